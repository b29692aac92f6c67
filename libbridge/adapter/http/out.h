/* adapter/http/out.h - the other direction: HTTP servers that we ask (bridge_connect with http:// or https://).
 *
 *      http://host/hook/{room}?watch=home/{room}/alarm     a webhook: what is published there is sent to the URL    hook.c
 *      http://host/base?as=plant/{path...}                 an owner: the server's resources are paths of the bridge  far.c
 *
 * Captures of the pattern stand in the URL's path, and in query=, as {name}; {path} is the whole path. */
#ifndef HTTP_OUT_H
#define HTTP_OUT_H
#include "core/pattern.h"
#include "core/url.h"
#include "hub/port.h"
#include "loop/fetch.h"

enum {
    OUT_FIRST_WAIT = 1000,         /* ms before the first retry; twice as long each time, give or take a quarter */
    OUT_LONGEST_WAIT = 300 * 1000, /* ms, also of what Retry-After says */
    OUT_URL = 8 * 1024,            /* bytes of a URL once it is filled in */
    OUT_LABEL = 256
};

struct http_out;
typedef struct out_kind {
    void (*close)(struct http_out *o); /* frees it and calls bridge_port_closed() */
    void (*stats)(struct http_out *o, bridge_stat_fn fn, void *user);
} out_kind;

/* The front of both kinds: who is asked. */
typedef struct http_out {
    const out_kind *kind;
    bridge_port *port;
    loop *loop;
    mem *mem;
    bridge_peer *peer;
    pattern *pattern; /* of our paths */
    char *url, *query; /* templates; query may be NULL */
    char *user, *password, *ca, *cert, *key, *token_file; /* or NULL */
    bool insecure;
    int64_t timeout;
} http_out;

int out_connect(bridge_port *port, const url *u, http_out **out, bridge_error *err);
int out_check(const url *u, bridge_error *err);
void out_done(http_out *o); /* the front's own parts */

/* The URL for a path, and who asks, in ask; url: room for OUT_URL bytes.  TOOBIG, INVALID (the path is not of the pattern). */
int out_address(const http_out *o, text path, buf *address);
/* "Authorization: Bearer ..." from token_file, read anew; 0 with nothing put when there is none. */
int out_token(const http_out *o, buf *line);
void out_ask(const http_out *o, fetch_ask *ask); /* fills in names, TLS and timeout */
int64_t out_wait(int64_t first, unsigned tries); /* ms before retry number `tries` (from 1), with jitter */
/* Retry-After in ms, both forms (RFC 9110 10.2.3); 0: not said. */
int64_t out_retry_after(const http_out *o, const fetch_answer *a);
/* A duration option: "5s", "500ms", "2m", or seconds; INVALID. */
int out_duration(const url *u, const char *name, int64_t otherwise, int64_t *ms, bridge_error *err);
void out_label(const http_out *o, char label[OUT_LABEL]); /* url="..." */
/* A path as one header value: escaped as in a URL. */
int out_escape(buf *out, text path);

int hook_open(bridge_port *port, const url *u, http_out **out, bridge_error *err);
int far_open(bridge_port *port, const url *u, http_out **out, bridge_error *err);
/* Fills in the front; on failure the caller calls out_done(). */
int out_begin(http_out *o, bridge_port *port, const url *u, const char *pattern, const char *who, void *state, bridge_error *err);
#endif
