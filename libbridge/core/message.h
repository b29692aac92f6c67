/* core/message.h - one message: immutable, reference-counted; header, path, payload and properties in one block.
 *
 *      struct bridge_msg | path NUL | payload | [msg_extra and its texts]
 *      struct bridge_msg | path NUL | which      the same under another name, when there is much of it: `shares` what `which` has
 *
 * What is derived from a message (an encoded PUBLISH, the JSON form of a SenML pack) hangs on it as a `derived`, so that it
 * is made once however many peers want it. */
#ifndef CORE_MESSAGE_H
#define CORE_MESSAGE_H
#include "base/mem.h"
#include "base/text.h"
#include "bridge/bridge.h"

typedef struct origin { /* who sent it: one object a peer, shared by its messages */
    atomic_uint refs;
    mem *mem;
    uint16_t scheme_len; /* "mqtt" of "mqtt:client-7" */
    uint16_t account;    /* where in text it stands by what this one is counted, when that is not its name; 0: it is */
    uint16_t user, door; /* likewise: the name that it has proved; the listener through which it came.  0: none */
    char text[];
} origin;

typedef struct derived {
    struct derived *next;
    uint32_t key;                /* DERIVED_* in the high byte, the rest is the owner's business */
    void (*free)(struct derived *d, mem *m); /* NULL: mem_free */
} derived;
enum { DERIVED_FORMAT = 1 << 24, DERIVED_MQTT = 2 << 24, DERIVED_HTTP = 3 << 24, DERIVED_COAP = 4 << 24, DERIVED_LIFE = 5 << 24 };

typedef struct msg_extra { /* what most messages do not have; lies behind the payload */
    const char *media_type, *response;
    const void *correlation;
    uint32_t correlation_len, prop_count;
    bridge_prop props[];
} msg_extra;

enum { MSG_TEXT_UNSAID, MSG_TEXT_NO, MSG_TEXT_YES };

struct bridge_msg {
    atomic_uint refs;
    uint32_t len; /* of the payload */
    mem *mem;
    origin *origin;             /* or NULL */
    _Atomic(derived *) derived; /* newest first; only ever prepended to */
    int64_t time, expires;      /* ms since 1970; INT64_MAX: never */
    uint64_t version;           /* given by the hub when it accepts the message; 0: not yet */
    uint16_t path_len, format;
    uint8_t verb; /* bridge_verb as accepted: PUT, POST, DELETE */
    uint8_t qos : 2, retain : 1, has_extra : 1;
    uint8_t shares : 1;    /* payload and extra are another's: msg_whole() */
    uint8_t text_said : 2; /* MSG_TEXT_*: whether its publisher said that the payload is UTF-8, to be passed on as said */
    uint8_t hops; /* routes crossed so far */
    char path[];  /* NUL-terminated */
};

enum { MSG_SHARED = 512 }; /* bytes from which on a renamed message has no copy of its own */
static inline bridge_msg **msg_whole_at(const bridge_msg *m)
{
    size_t at = offsetof(bridge_msg, path) + m->path_len + sizeof(bridge_msg *);

    return (bridge_msg **)(uintptr_t)((const char *)m + at / sizeof(bridge_msg *) * sizeof(bridge_msg *));
}
static inline const bridge_msg *msg_whole(const bridge_msg *m) { return m->shares ? *msg_whole_at(m) : m; }
static inline const uint8_t *msg_data(const bridge_msg *m)
{
    m = msg_whole(m);
    return (const uint8_t *)m->path + m->path_len + 1;
}
static inline text msg_path(const bridge_msg *m) { return (text){m->path, m->path_len}; }

origin *origin_new(mem *m, const char *scheme, const char *who); /* "scheme:who"; scheme NULL: who has it already */
/* The same with what else is known of it, each of them or NULL: "user:alice" or "host:10.0.0.7" by which it is counted, "alice", "mqtt://:1883". */
origin *origin_known(mem *m, const origin *o, const char *account, const char *user, const char *door);
static inline const char *origin_part(const origin *o, uint16_t at) { return at ? o->text + at : NULL; }
origin *origin_ref(origin *o);
void origin_unref(origin *o);

/* As bridge_msg_new(), in m, with from (its own ref is taken) instead of fields->origin. */
int msg_new(mem *m, const bridge_fields *fields, origin *from, bridge_msg **out);
/* The plain kind, for the fast way in: path has been checked, nothing but a payload, format AUTO; from is not NULL and in m. */
int msg_new_plain(mem *m, text path, const void *data, size_t len, uint8_t qos, bool retain, int64_t time, origin *from,
                  bridge_msg **out);
/* The same message under another path (not checked: from a route or a view); a large payload is not copied. */
int msg_renamed(const bridge_msg *msg, text path, bridge_msg **out);
/* The same message with another payload and format. */
int msg_with(const bridge_msg *msg, bridge_format format, const void *data, size_t len, bridge_msg **out);
bool msg_expired(const bridge_msg *msg, int64_t now);     /* now: ms since 1970 */
int64_t msg_ttl_left(const bridge_msg *msg, int64_t now); /* ms, never below 0; INT64_MAX: for ever */
/* What somebody said with a refusal, as a C text for people: false when it is none (no message, no text, empty, longer than room). */
bool msg_sentence(const bridge_msg *msg, char *out, size_t room);
const char *msg_prop(const bridge_msg *msg, const char *name); /* the first user property of that name, or NULL */
/* The property in which an owner says the query of what it has made, "first=1&second=2" as in a URI; its path is the message's. */
#define MSG_LOCATION_QUERY "location-query"
size_t msg_bytes(const bridge_msg *msg);                           /* memory it takes, without what is derived */

/* derived things: get is lock-free; put takes ownership of d, and answers what is there (d, or an earlier one with that key
 * put by another thread: then d has been freed). */
derived *msg_derived(const bridge_msg *msg, uint32_t key);
derived *msg_derive(bridge_msg *msg, derived *d);

const msg_extra *msg_extra_of(const bridge_msg *msg); /* NULL: none */
#endif
