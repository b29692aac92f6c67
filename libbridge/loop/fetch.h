/* loop/fetch.h - asking other people's HTTP servers, on our loop.  libcurl lives in loop/fetch.c only.
 *
 * Nothing here waits: names are resolved in a thread of libcurl's, connections are kept and used again (HTTP/2 where the other
 * side has it), and all that happens is told from the loop, never from within fetch_start() or fetch_cancel().
 * No redirect is followed and no proxy of the environment is used: what was asked is what is connected to. */
#ifndef LOOP_FETCH_H
#define LOOP_FETCH_H
#include "base/text.h"
#include "loop/loop.h"

enum {
    FETCH_MAX = 4096,               /* under way at one time, of one loop; more is BUSY */
    FETCH_TIME = 30 * 1000,         /* ms for the whole, when nothing is said */
    FETCH_CONNECT_TIME = 10 * 1000, /* ms for name, connection and TLS */
    FETCH_MAX_HEAD = 64 * 1024,     /* bytes of the answer's head */
    FETCH_MAX_BODY = 1024 * 1024,   /* bytes of the answer's body, when nothing is said */
    FETCH_PER_HOST = 32             /* connections to one host and port; more requests wait for one of them */
};

typedef struct fetch fetch;

/* Who the other side must be, and who we are.  All may be NULL: the system's authorities, no certificate of ours. */
typedef struct fetch_tls {
    const char *ca, *cert, *key; /* files, PEM */
    bool insecure;               /* believe anybody; for tests */
} fetch_tls;

typedef struct fetch_answer { /* borrow */
    fetch *fetch;
    /* 0: there is an answer, whatever its status.  Else none came whole: TIMEOUT; UNREACHABLE (name, connection, refused); DENIED
     * (TLS: not who it should be); TOOBIG (over max_body); PROTOCOL, CLOSED (broken off); INVALID (the URL); NOMEM. */
    int outcome;
    const char *why; /* a sentence, when outcome is negative */
    int status;      /* 200; 0: none */
    const uint8_t *body;
    size_t len;
} fetch_answer;
typedef void (*fetch_fn)(void *user, const fetch_answer *answer);

typedef struct fetch_ask { /* all is copied */
    const char *method; /* NULL: GET */
    const char *url;    /* http or https */
    const char *const *headers; /* "Name: value", NULL-terminated; or NULL */
    const void *body; /* NULL: none; empty and not NULL: a body of no bytes */
    size_t len;
    const char *user, *password; /* Basic; or NULL */
    fetch_tls tls;
    int64_t timeout; /* ms; 0: FETCH_TIME; negative: none (event streams) */
    size_t max_body; /* 0: FETCH_MAX_BODY */
    /* Optional: is handed the body as it comes, and then the answer at the end has none; false ends it (outcome CANCELED).
     * Here answer->len is of this piece.  fetch_start() and fetch_cancel() may be called from it. */
    bool (*on_data)(void *user, const fetch_answer *answer);
} fetch_ask;

/* 0: fn is called exactly once, later, unless cancelled.  INVALID (a header or method with a line end in it), BUSY, NOMEM, IO. */
int fetch_start(loop *l, const fetch_ask *ask, fetch_fn fn, void *user, fetch **out, bridge_error *err);
void fetch_cancel(fetch *f); /* fn is not called any more; NULL is fine; not from its own fn */
/* A field of the answer's head, as long as the answer; p is NULL: not there.  Several of a name: the last. */
text fetch_header(const fetch_answer *answer, const char *name);
/* Each field of the head. */
void fetch_headers(const fetch_answer *answer, void (*fn)(void *user, const char *name, const char *value), void *user);

void fetch_end(loop *l); /* all of them, untold, and the connections: before the loop ends */
#endif
