/* adapter/http/h2.h - HTTP/2 (RFC 9113), with nghttp2 for its frames.
 *
 * A connection that begins with the preface becomes a session; each of its requests is a connection of its own (http_conn) on a
 * stream of its own, whose bytes are one HTTP/1.1 request and one answer.  So nothing behind it knows the difference, and
 * back-pressure, event streams and late answers work as they do elsewhere:
 *
 *      HEADERS, DATA --> h2_stream.in --whole--> http_conn (take_request) --> h2_stream.out --> HEADERS, DATA
 *
 * What a stranger may do is bounded here, beside nghttp2's own bounds (CONTINUATION frames, SETTINGS entries, unread answers to PING). */
#ifndef HTTP_H2_H
#define HTTP_H2_H
#include "adapter/http/server.h"
#include <nghttp2/nghttp2.h>

enum {
    H2_STREAMS = 100,              /* requests under way in one connection */
    H2_HEAD_LIST = 80 * 1024,      /* bytes of a request's fields as SETTINGS_MAX_HEADER_LIST_SIZE counts them: 32 more for each */
    H2_WINDOW = 256 * 1024,        /* bytes that may come of one request before we have taken some */
    H2_ALL_WINDOW = 1024 * 1024,   /* and of all of them */
    H2_BODIES = 4 * 1024 * 1024,   /* bytes of half-read bodies of one connection, beside one of max_message */
    H2_OUT = 64 * 1024,            /* bytes of one answer that wait for the client's window */
    H2_PENDING = 128 * 1024,       /* bytes waiting for the connection; then answers rest */
    H2_ANSWER_HEAD = 64 * 1024,    /* bytes of an answer's head: its Location may be long */
    H2_RESETS = 200,               /* requests that the client took back, at once (CVE-2023-44487) ... */
    H2_RESETS_RATE = 20,           /* ... and a second */
    H2_CONTROL = 2000,             /* frames that carry nothing (PING, SETTINGS, PRIORITY, empty DATA), at once ... */
    H2_CONTROL_RATE = 200,         /* ... and a second */
    H2_TICK = 5 * 1000,            /* ms between looks at who is slow */
    H2_STUCK = 30 * 1000           /* ms that an answer may wait for the client's window without moving */
};

typedef struct bucket { /* so many at once, so many a second */
    int64_t at;
    uint64_t left; /* thousandths */
} bucket;

typedef struct h2 {
    http_conn *conn;
    nghttp2_session *session;
    nghttp2_mem memory;
    list streams;
    unsigned count;
    size_t bodies;
    bucket resets, control;
    turn_end pump;
    int64_t idle_since;
    bool saying_bye, hurt; /* hurt: the client broke a rule; what is to be said is said, then it is closed */
} h2;

typedef struct h2_stream {
    list link;
    h2 *h2; /* NULL: the session has gone */
    mem *mem;
    int32_t id;
    stream inner;
    http_conn *within; /* on inner; NULL before the request is whole, and when it has ended */
    turn_end goodbye;
    /* the request */
    char *method, *path, *authority;
    buf fields, in; /* in: head and body, as HTTP/1.1 */
    size_t head_len, length_at, drained, listed;
    uint64_t length;
    int64_t deadline;
    bool has_length, has_head, whole, over, expects, is_head;
    /* the answer */
    buf head, out;
    size_t out_at;
    uint64_t left;
    int64_t moved; /* when some of it was sent */
    bool answered, has_left, finished, starved, done; /* done: nghttp2 has closed it */
} h2_stream;

/* h2.c */
bool h2_open(http_conn *c); /* the preface is at hand: from now on it is HTTP/2; false: no memory */
size_t h2_data(http_conn *c, const uint8_t *data, size_t len);
void h2_drained(http_conn *c);
void h2_tick(http_conn *c);
void h2_bye(http_conn *c); /* no more requests; closes when those there are have been answered */
void h2_gone(http_conn *c); /* the connection has closed */
void h2_wake(h2 *s);
bool bucket_take(bucket *b, int64_t now, unsigned at_once, unsigned a_second); /* false: it is empty */

/* h2_in.c: a request, as it comes.  Negative: no memory, the stream ends. */
int h2_field(h2_stream *v, text name, text value);
int h2_head_done(h2_stream *v);
int h2_body(h2_stream *v, const uint8_t *data, size_t len); /* 1: too much of it, an answer says so */
void h2_serve(h2_stream *v);                               /* it is whole */
void h2_refuse(h2_stream *v, int status, const char *why); /* it will not be */

/* h2_out.c: an answer, as it is made */
extern const stream_ops h2_stream_ops;
h2_stream *h2_stream_new(h2 *s, int32_t id);
void h2_stream_end(h2_stream *v); /* nghttp2 has closed it, or the session has gone */
#endif
