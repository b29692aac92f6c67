/* adapter/coap/topics.h - the broker of draft-ietf-core-coap-pubsub: a collection of topics at /ps, whose data at /ps/data/<path>
 * are the same paths as everybody's.  One of a bridge, reached through every CoAP listener that has it.
 *
 *      POST /ps --> half created --PUT of data--> fully created
 *                        ^------DELETE of data---------+        DELETE of the topic, expiration-date: deleted
 *
 * Half or fully created is whether there is a value at the path: nothing else is remembered.
 *
 *   topics.c        the table   topics_config.c   the CBOR map of a topic's properties   topics_serve.c   /ps, /ps/1234
 *   topics_past.c   earlier representations */
#ifndef COAP_TOPICS_H
#define COAP_TOPICS_H
#include "adapter/coap/listing.h"
#include "base/map.h"

enum { /* docs/limits.md */
    TOPICS_MAX = 10000,
    TOPIC_TEXT = 1024,          /* bytes of a topic's name, path, type and date, each */
    TOPIC_PAST_FORMAT = 62,     /* application/multipart-core, RFC 8710 */
    TOPICS_FORMAT = 606,        /* application/core-pubsub+cbor: "TBD606" in the draft */
    TOPIC_OBSERVER_CHECK = 86400, /* s */
    TOPIC_PAST = 1000,            /* earlier representations of one topic's data that are kept when asked for */
    TOPIC_PAST_BYTES = 1024 * 1024,
    TOPICS_PAST_BYTES = 16 * 1024 * 1024 /* of all topics */
};

/* The draft's table of properties.  Its 21st version (July 2026) ends with initialize = 8, a byte string; in older ones 8 is topic-history, a
 * number, 9 initialize, a boolean, and 10 conf-filter.  The type tells which is meant. */
typedef enum topic_key {
    TOPIC_NAME, TOPIC_DATA, TOPIC_RESOURCE_TYPE, TOPIC_CONTENT_FORMAT, TOPIC_TYPE, TOPIC_EXPIRATION, TOPIC_MAX_SUBSCRIBERS,
    TOPIC_CHECK, TOPIC_HISTORY, TOPIC_INITIALIZE, TOPIC_FILTER, TOPIC_KEYS
} topic_key;

typedef struct topic_config { /* what a map says; texts borrow from it */
    unsigned has;             /* 1 << topic_key */
    unsigned wanted;          /* TOPIC_FILTER: 1 << topic_key */
    text name, data, resource_type, type, initial;
    text date;       /* expiration-date, when it was said as a text */
    int64_t expires; /* ms since 1970 */
    uint64_t format, max_subscribers, check, history;
    bool initialize;
} topic_config;

typedef struct topic {
    struct topics *topics;
    char id[17]; /* of /ps/<id> */
    char *name, *path, *resource_type, *type; /* path: canonical, of the data; type: NULL when not said */
    char *date;      /* expiration-date as it was said, when that was a text */
    int64_t expires; /* ms since 1970; -1: never */
    int format;      /* -1: any */
    uint32_t max_subscribers; /* 0: no limit */
    uint32_t check;           /* s */
    struct topic_past *past;  /* NULL: none is kept */
    timer life;
    list subscribers; /* coap_watcher.place */
    uint32_t subscriber_count;
} topic;

typedef struct topics {
    coap_port *home;
    bridge_peer *self; /* takes away the data of a topic that has expired, and hears what shall be kept */
    size_t past_bytes;
    list watchers;     /* coap_watcher.place: of the collection */
    map by_id, by_name, by_path;
    bool restoring;    /* then a date may have passed */
} topics;

topics *topics_of(coap_port *cp); /* NULL: this listener has none, or no memory */
topics *topics_make(coap_port *home);
void topics_free(topics *t);
int topic_new(topics *t, const topic_config *c, topic **out); /* INVALID: no path, or in use; BUSY */
int topic_update(topic *o, const topic_config *c, bool whole); /* INVALID; whole: what is not said is as at first */
void topic_remove(topic *o);                                  /* its subscribers are told 4.04; the value is the caller's */
void topic_subscribed(topic *o, coap_watcher *w);
bridge_peer *topics_self(topics *t); /* NULL: no memory */

/* topics_past.c: topic-history, in memory.  What cannot be kept is not promised: topic_past_most() tells what is. */
void topic_past_want(topic *o, uint64_t most); /* 0: none any more */
uint32_t topic_past_most(const topic *o);
void topic_past_hear(topic *o, bridge_msg *msg, bool gone);
int topic_past_write(buf *out, const topic *o, uint64_t most); /* application/multipart-core, the newest first */

/* keep.c, over a restart */
void topic_keep(const topic *o);
void topic_keep_not(const topic *o);
void topic_restore(topics *t, text id, const topic_config *c);

/* topics_config.c */
int topic_config_read(topic_config *out, bridge_scratch *s, const void *data, size_t len, const char **why);
int topic_keys_read(unsigned *wanted, bridge_scratch *s, const void *data, size_t len); /* of a FETCH: [1, 3], or {10: [1, 3]} */
int topic_config_write(buf *out, const topic *o, unsigned wanted); /* wanted: 1 << topic_key */
bool topic_config_matches(const topic *o, const topic_config *filter);
int topic_data_put(buf *out, const topic *o); /* "ps/data/home/kitchen", with escapes */
int64_t topic_date(text t);                   /* RFC 3339; ms since 1970, or negative */

/* topics_serve.c */
void topics_links(coap_port *cp, bridge_peer *peer, listing *l); /* for /.well-known/core */
bool topics_serve_past(coap_port *cp, coap_request *r, bridge_peer *peer, const topic *o, const char *path); /* the same, of data */
bool topics_serve(coap_port *cp, coap_request *r, bridge_peer *peer, const char *path); /* true: it was for us */
/* The topic whose data path this is ("ps/data/home/kitchen" -> "home/kitchen"); NULL with *path: there is none. */
topic *topics_data(coap_port *cp, const char *name, const char **path);
#endif
