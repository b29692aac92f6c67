/* pipe.h - bytes to and from a broker: TCP, TLS, WebSocket over either; blocking, one connection. */
#ifndef BRIDGED_PIPE_H
#define BRIDGED_PIPE_H
#include <stdbool.h>
#include <stddef.h>

typedef struct pipe_end {
    int fd;
    struct ssl_ctx_st *context; /* NULL: no TLS */
    struct ssl_st *tls;
    bool web; /* each byte goes in a frame of RFC 6455 */
    unsigned long long left; /* of the frame that is being read */
    char identity[128], key[130]; /* psk_file */
    char why[160];
} pipe_end;

typedef struct address { /* scheme://[user[:password]@]host[:port][/path][?query] */
    char scheme[16], host[256], port[16], user[256], password[256], path[512], query[2048];
} address;

bool address_read(address *a, const char *url, const char **why);
/* All of them: 0 or -1 with a sentence in why. */
int pipe_open(pipe_end *p, const address *a);
void pipe_close(pipe_end *p);
int pipe_send(pipe_end *p, const void *bytes, size_t len);
int pipe_wait(pipe_end *p, int ms);                  /* 1: there is something to read; 0: not in time, or a signal */
int pipe_read(pipe_end *p, void *room, size_t most); /* how many bytes; 0: none yet, try again */
#endif
