/* loop/internal.h - what the files of this room share. */
#ifndef LOOP_INTERNAL_H
#define LOOP_INTERNAL_H
#include "loop/stream.h"
#include <pthread.h>
#include <stdatomic.h>

struct post;

enum { TLS_PLAIN = STREAM_READ + 32768 }; /* what was read, and a record that came in pieces */

struct loop {
    uv_loop_t uv;
    mem *mem;
    int64_t (*clock)(void *user);
    void *clock_user;
    int64_t now, calendar_offset;
    _Atomic(pthread_t) thread; /* the one that runs it, before that the one that made it */
    bool turning; /* inside run or process */
    atomic_bool stopped, kicked;
    bool running;

    uv_async_t wake;
    pthread_mutex_t lock; /* around the posts and `running`, nothing else */
    pthread_cond_t begun;
    struct post *posts, **posts_tail;
    atomic_uint post_count;

    uv_timer_t tick; /* the heap's first */
    uv_timer_t most; /* loop_turn()'s patience */
    void (*on_tick)(uv_timer_t *);
    int64_t armed;
    timer **heap;
    size_t timers, heap_room;

    uv_check_t check;
    uv_prepare_t prepare;
    uv_idle_t idle; /* runs while some connection has more to read */
    list turn_ends;

    uv_poll_t poll; /* our epoll set inside libuv's */
    void *ready;    /* the batch of struct epoll_event under way */
    int ready_count;
    int epoll;
    list again; /* connections that were not read dry */
    uint8_t *scratch; /* STREAM_HEAD + STREAM_READ bytes that all connections read into */
    uint8_t *plain;   /* the same for what TLS has decrypted, of TLS_PLAIN bytes; NULL until there is a connection with it */
    void *spare[2];   /* free output buffers, by size; see stream.c */
    unsigned spare_count[2];
    struct fetcher *fetcher; /* fetch.c; NULL until somebody fetches */
};

void posts_run(loop *l);
void stream_keep(stream *s, const uint8_t *data, size_t len); /* read, but not wanted now: for stream_again() */

int64_t timers_due(const loop *l); /* INT64_MAX: none */
void timers_run(loop *l);
void timers_done(loop *l);

/* A file descriptor in the epoll set.  Edge-triggered: on_ready reads until there is no more, or asks poller_more(). */
typedef struct pollee {
    void (*on_ready)(struct pollee *p, uint32_t events); /* EPOLL* */
    list again;
    int fd;
} pollee;
int poller_open(loop *l);
void poller_close(loop *l);
void poller_again(loop *l);
int poller_add(loop *l, pollee *p, uint32_t events);
void poller_remove(loop *l, pollee *p); /* before close(fd) */
void poller_more(loop *l, pollee *p);   /* call on_ready again next turn, with EPOLLIN */

void *spare_take(loop *l, size_t *size); /* at least *size; sets it */
void spare_give(loop *l, void *p, size_t size);
void spare_done(loop *l);

/* NULL: no memory, and fd is closed.  proxied: a PROXY header comes before everything else. */
stream *tcp_stream(loop *l, int fd, const char *peer, bool proxied);
stream *tls_stream(loop *l, int fd, const char *peer, struct tls *tls, bool proxied);

/* ---- proxy.c */
/* Takes the header off the socket, and s->peer from it.  false: it is not all there yet, or the stream is ended. */
bool proxy_taken(stream *s, int fd, uint32_t events);
int proxy_read(const uint8_t *p, size_t len, char *peer, size_t room); /* its length; 0: more is needed; -1: it is none */
#endif
