/* adapter/http/far.h - resources of a foreign HTTP server as paths of the bridge. */
#ifndef HTTP_FAR_H
#define HTTP_FAR_H
#include "adapter/http/out.h"
#include "base/map.h"

enum {
    FAR_POLL = 30 * 1000, /* ms between two looks, where the server has no events and poll= says nothing */
    FAR_TAGS = 1000,      /* entity tags remembered, so that If-Match can be said to the server in its own words */
    FAR_VIEWS = 1000,     /* paths followed at a time; more are not: their watchers hear what passes through here */
    FAR_LINE = 1024 * 1024 + 64 * 1024 /* bytes of one event */
};

struct far;
typedef struct far_ask { /* a call that was passed on */
    list link;
    struct far *far;
    bridge_call *call;
    fetch *fetch;
} far_ask;

typedef struct far_tag { /* what the server called a version */
    list age;
    uint64_t version;
    uint16_t path_len, tag_len;
    char text[]; /* path, tag, NUL */
} far_tag;

typedef struct far_view { /* a path that somebody watches */
    list link;
    struct far *far;
    fetch *fetch;
    timer again;
    unsigned failures;
    bool busy, dead; /* in a call-back of its own; free it behind that */
    bool events, there, polls; /* events: they are coming; there: it has a value; polls: no events are offered */
    buf line, data;            /* of the event stream */
    char event[16], tag[256];
    bridge_msg *last;
    char path[];
} far_view;

typedef struct far {
    http_out out;
    bridge_owner *owner;
    int64_t poll; /* 0: not said */
    size_t max_body;
    list asks, views;
    map tags;
    list tag_ages;
    size_t view_count;
    turn_end end; /* closing: its news may have led to it */
    uint64_t requests, failures, polls, events;
} far;

/* far.c */
/* The answer as a message at path: payload, format, ttl, version; 0 or negative. */
int far_message(far *f, text path, const fetch_answer *a, bridge_msg **out);
int far_outcome(const fetch_answer *a); /* docs/status.md, the other way round */
int64_t far_fresh(const fetch_answer *a); /* ms that it may be kept (RFC 9111 4.2); 0: not */
uint64_t far_version(text tag);           /* of an entity tag; 0: none */
/* far_watch.c */
void far_interest(void *user, const char *filter, bool wanted);
void far_view_free(far_view *v);
/* far_events.c: bytes of a text/event-stream (WHATWG HTML 9.2.6) */
int far_feed(far_view *v, const uint8_t *p, size_t len, void (*fn)(far_view *v));
#endif
