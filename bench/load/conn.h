/* conn.h - non-blocking TCP (or TLS) connections of a load client on one epoll: reads 64 KiB at a time, collects
 * output per connection and writes it in one call, so that the client is never what is measured. */
#ifndef BENCH_CONN_H
#define BENCH_CONN_H
#include "util.h"

#include <netinet/in.h>

#define CONN_CHUNK 65536u

typedef struct conn conn;
typedef struct loop loop;

typedef struct conn_events {
    void (*open)(conn *c);
    size_t (*data)(conn *c, const uint8_t *p, size_t len); /* returns how much was used; the rest comes again */
    void (*close)(conn *c);                                /* the peer went, or a write failed */
} conn_events;

struct conn {
    loop *loop;
    const conn_events *on;
    int fd;
    void *tls;
    bool connecting, handshake, blocked, paused;
    uint8_t *in, *out;
    size_t in_len, in_cap, out_len, out_pos, out_cap;
};

struct loop {
    int epoll;
    struct sockaddr_in to;
    void *tls;           /* an SSL_CTX, when the target is TLS */
    int receive_buffer;  /* SO_RCVBUF of new connections; 0: the system's */
    int source;          /* 127.0.0.x to connect from, 0: any */
    uint64_t open_count;
};

void loop_init(loop *l, const char *host, long port, bool tls);
int loop_turn(loop *l, int timeout); /* ms; returns events handled */

void conn_open(loop *l, conn *c, const conn_events *on);
void conn_close(conn *c);
uint8_t *conn_room(conn *c, size_t len); /* where len bytes of output may be written */
void conn_wrote(conn *c, size_t len);
void conn_put(conn *c, const void *p, size_t len);
void conn_flush(conn *c);
void conn_pause(conn *c, bool paused);   /* stop (or go on) reading */
static inline size_t conn_waiting(const conn *c)
{
    return c->out_len - c->out_pos;
}
#endif
