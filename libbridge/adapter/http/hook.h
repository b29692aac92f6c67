/* adapter/http/hook.h - a webhook: messages of a pattern, each a request to somebody's URL.
 *
 * The messages of one path are a lane: one under way at a time, in order, tried again until it is taken or given up.  Lanes do not
 * wait for each other; at most `inflight` requests are under way.
 *
 *      lane:  READY --> ASKED --2xx--> READY or gone
 *               ^         |--5xx but 508, 408, 425, 429, no answer--> RESTING --time--> READY
 *               +---------+--508, other 3xx, 4xx: the message is given up */
#ifndef HTTP_HOOK_H
#define HTTP_HOOK_H
#include "adapter/http/out.h"
#include "adapter/http/server.h"
#include "base/map.h"

enum {
    HOOK_QUEUE = 10000,                   /* messages waiting */
    HOOK_QUEUE_BYTES = 16 * 1024 * 1024,  /* and their payloads' bytes */
    HOOK_INFLIGHT = 8,                    /* requests under way */
    HOOK_RETRIES = 10,                    /* after the first try; with the waits between them some 20 minutes */
    HOOK_ANSWER = 64 * 1024,              /* bytes of an answer that are read: nobody wants them */
    HOOK_SECRET = 4096                    /* bytes of a secret */
};

typedef enum lane_state { LANE_READY, LANE_ASKED, LANE_RESTING } lane_state;

struct hook;
typedef struct lane {
    list link; /* in hook->ready, when READY */
    struct hook *hook;
    list calls; /* of this path, oldest first */
    timer rest;
    fetch *fetch;
    uint8_t state;
    uint16_t len;
    char path[];
} lane;

typedef struct hook_call { /* one message to be delivered */
    list link, age; /* in its lane; in hook->by_age */
    lane *lane;
    bridge_msg *msg;
    bool gone, retained;
    unsigned tries;
    uint64_t number;
} hook_call;

typedef struct hook {
    http_out out;
    taker taker;
    bridge_watch *watch;
    char *method;
    bridge_format format; /* AUTO: as it is */
    bool event, retained, keep_newest;
    uint8_t *secret;
    size_t secret_len;
    char run[17]; /* random, of this hook's life: makes delivery ids unique */
    unsigned retries;
    int64_t backoff;
    uint64_t max_queue, max_bytes, max_inflight;
    map lanes;
    list ready, by_age;
    size_t count, bytes, inflight;
    uint64_t numbers;
    timer pause; /* Retry-After holds for all lanes */
    turn_end pump;
    bool ended; /* 410 */
    uint64_t sent, failed, retried, given_up, dropped;
} hook;

/* hook_ask.c: the request for a call; 0, or negative when it can never be sent. */
int hook_ask(hook *h, hook_call *c, fetch_fn fn, fetch **out);
/* "t=1700000000,v1=<hex>": HMAC-SHA256 of "1700000000." and the body; out has room for 96. */
void hook_sign(const hook *h, int64_t seconds, const void *body, size_t len, char *out);
#endif
