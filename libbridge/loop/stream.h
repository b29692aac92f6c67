/* loop/stream.h - a connection: bytes in, bytes out, corked.
 *
 * What is written during a turn of the loop is collected and given to the kernel once, at the turn's end, straight away;
 * only when the kernel is full do we wait for writability.  An idle stream holds no buffers.
 *
 *   reading:  on_data is handed all that was read (up to 64 KiB) and answers how much it has used; the rest is kept and handed
 *             over again, with more behind it.
 *   writing:  stream_write() copies, stream_write_ref() keeps a reference for large things.  stream_pending() tells what is still
 *             waiting; on_drain comes when it fell to zero after having been over stream_set_high().
 *   closing:  stream_close() writes out what is pending (as long as some of it
 *             goes every STREAM_LINGER ms, at most STREAM_LINGERS times), stream_abort() does not.  on_close comes once,
 *             from a later point of the loop, whoever closed; the stream is gone when it returns.  No call-backs after a
 *             close but this one.
 * A TLS or WebSocket stream is the same thing with other `ops`. */
#ifndef LOOP_STREAM_H
#define LOOP_STREAM_H
#include "loop/loop.h"
#include "bridge/sys/adapter.h"
#include <sys/uio.h>

typedef struct stream stream;
typedef struct stream_events {
    size_t (*on_data)(void *user, const uint8_t *data, size_t len); /* returns how much was used */
    void (*on_drain)(void *user);                                   /* may be NULL */
    void (*on_close)(void *user, int status);                       /* 0: we closed; CLOSED: they did; IO, TIMEOUT, PROTOCOL ... */
} stream_events;
enum { STREAM_LINGER = 2000, STREAM_LINGERS = 150, STREAM_READ = 65536, STREAM_HEAD = 65536, STREAM_FLUSH_AT = 64 * 1024 };

typedef struct stream_ops { /* what a transport does; see tcp.c */
    /* Takes as many bytes as go without waiting: their number, 0 for none (stream_writable() will be called), or negative. */
    ptrdiff_t (*write)(stream *s, const struct iovec *iov, unsigned count);
    void (*want_write)(stream *s);    /* call stream_writable() when it goes on */
    void (*read)(stream *s, bool on); /* back-pressure towards the peer */
    const char *(*identity)(const stream *s); /* NULL: such streams prove no names */
    void (*close)(stream *s);         /* then call stream_closed() once, never from within this call */
} stream_ops;

struct stream {
    const stream_ops *ops;
    loop *loop;
    mem *mem;
    const stream_events *events;
    void *user;
    uint8_t *in;                 /* what on_data left over */
    size_t in_len, in_cap, in_max;
    uint8_t *out;                /* corked output */
    size_t out_len, out_cap, out_at;
    struct stream_ref *refs, **refs_tail; /* large things between the bytes of out */
    size_t refs_len, high;
    turn_end flush;
    timer linger;
    size_t lingering; /* what was left of it last time */
    uint8_t lingers;
    int status; /* handed to on_close */
    bool closing, closed, was_high, waiting, reading, in_data;
    char peer[64];               /* "127.0.0.1:40000" */
};

/* For the protocols above */
void stream_start(stream *s, const stream_events *events, void *user); /* reading begins */
int stream_write(stream *s, const void *p, size_t len);                /* 0, NOMEM, CLOSED */
/* Room for len bytes at the end of the corked output, to be filled in at once; NULL: no memory or closed. */
void *stream_reserve(stream *s, size_t len);
int stream_write_ref(stream *s, const void *p, size_t len, void (*release)(void *), void *owner); /* p lives until release(owner) */
size_t stream_pending(const stream *s);
void stream_set_high(stream *s, size_t bytes);
void stream_set_max_in(stream *s, size_t bytes); /* left-over bytes beyond this are a PROTOCOL close; default 1 MiB */
void stream_read(stream *s, bool on);            /* stop and go on reading */
void stream_again(stream *s);                    /* hand over now what on_data left; nothing when called from on_data */
void stream_close(stream *s);
void stream_abort(stream *s, int status);
void stream_flush(stream *s); /* now; seldom needed */
static inline const char *stream_peer(const stream *s) { return s->peer; }
/* The name that the other end has proved by a certificate or a shared key; NULL: none, or not yet.  Known when on_data comes. */
static inline const char *stream_identity(const stream *s) { return s->ops->identity ? s->ops->identity(s) : NULL; }

/* For transports */
int stream_init(stream *s, const stream_ops *ops, loop *l);
void stream_feed(stream *s, const uint8_t *data, size_t len); /* bytes came in */
/* The same; the STREAM_HEAD bytes before data are free to be written, so that what was left over goes there and not all of it
 * has to move. */
void stream_feed_behind(stream *s, uint8_t *data, size_t len);
void stream_writable(stream *s);
void stream_ended(stream *s, int status);  /* the peer or the network closed */
void stream_closed(stream *s);             /* ops->close is done: on_close, then the stream's buffers are gone */

/* Listening sockets: TCP ("host", port; "" is every address) and Unix ("/path").  A stream handed to on_accept is not reading yet. */
/* Towards others, over TCP: it may be started and written to at once; on_close tells when nobody is there.  UNREACHABLE, NOMEM. */
struct sockaddr;
int stream_dial(stream **out, loop *l, const struct sockaddr *to, size_t len, const char *peer);

typedef struct listener listener;
typedef struct listener_options {
    const char *host; /* or NULL */
    int port;         /* 0: any */
    const char *unix_path; /* or NULL */
    struct tls *tls;  /* or NULL */
    bool proxy;       /* each connection begins with a PROXY header that says where it really comes from; before TLS */
    int backlog;      /* 0: 1024 */
} listener_options;
int listener_open(listener **out, loop *l, const listener_options *options, void (*on_accept)(void *user, stream *s),
                  void *user, bridge_error *err);
int listener_port(const listener *li);
const char *listener_address(const listener *li); /* "127.0.0.1:41883", "[::1]:1883" or the Unix path */
void listener_close(listener *li);                /* accepted streams live on; NULL is fine */
#endif
