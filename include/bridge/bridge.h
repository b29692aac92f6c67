/* bridge/bridge.h - one routing table for MQTT, CoAP, HTTP/WebSocket and LwM2M, inside your process.
 *
 * Reading order: errors, messages, the bridge and its loop, listeners, routes, talking, answering,
 * policy, numbers.  What is not in bridge/ is not public.  bridge/sys/ is for people who add protocols.
 *
 * Words used below:
 *   [any]   may be called from any thread and does not wait.  Every other call belongs to the thread that runs the loop
 *           (before the loop first runs: to the thread that made the bridge); from another one it waits for that thread.
 *   borrow  good until this call or this callback returns; ref or copy it to keep it.
 *   slot    what you get for anything you register.  Pass NULL for `out` and it lives as long as the bridge.
 * Times are int64_t milliseconds, sizes are bytes, text is UTF-8 ending in NUL.
 * A call that can fail returns 0 or a negative bridge_status; what it would have put into `out` stays untouched then.
 * Nothing sets errno; nothing both logs and returns.  Structs that start with `size` only ever grow at the end. */
#ifndef BRIDGE_BRIDGE_H
#define BRIDGE_BRIDGE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif
#if defined(__GNUC__)
#define BRIDGE_API __attribute__((visibility("default")))
#else
#define BRIDGE_API
#endif

#define BRIDGE_VERSION_NUMBER 0x000100 /* 0.1.0 */
BRIDGE_API unsigned bridge_version(void); /* [any] what is linked, as BRIDGE_VERSION_NUMBER */

/* ---- 1. Errors ------------------------------------------------------------------------------------------------
 * One list for the outcome of a call and of a request over any protocol; docs/status.md has the table that maps
 * each to a CoAP code, an HTTP status and an MQTT 5 reason.  Numbers never change. */
#define BRIDGE_STATUS_MAP(X)                                                                                           \
    X(NOMEM, -1, "out of memory")                                                                                      \
    X(INVALID, -2, "invalid argument")                                                                                 \
    X(SYNTAX, -3, "cannot be parsed")                                                                                  \
    X(NOTFOUND, -4, "no such resource")                                                                                \
    X(EXISTS, -5, "already there")                                                                                     \
    X(DENIED, -6, "not allowed")                                                                                       \
    X(METHOD, -7, "verb not allowed here")                                                                             \
    X(FORMAT, -8, "content format not understood")                                                                     \
    X(TOOBIG, -9, "over a size limit")                                                                                 \
    X(BUSY, -10, "over a queue limit")                                                                                 \
    X(TIMEOUT, -11, "no answer in time")                                                                               \
    X(UNREACHABLE, -12, "peer not reachable")                                                                          \
    X(PROTOCOL, -13, "peer broke its protocol")                                                                        \
    X(CANCELED, -14, "canceled")                                                                                       \
    X(CLOSED, -15, "closed")                                                                                           \
    X(UNSUPPORTED, -16, "not built in")                                                                                \
    X(IO, -17, "system error")                                                                                         \
    X(UNAUTHENTICATED, -18, "who are you?")                                                                            \
    X(NOTACCEPTABLE, -19, "no representation in a wanted format")                                                      \
    X(CONFLICT, -20, "conflicts with what is there")                                                                   \
    X(PRECONDITION, -21, "precondition failed")                                                                        \
    X(UNPROCESSABLE, -22, "understood but cannot be applied")                                                          \
    X(INTERNAL, -23, "internal error")
typedef enum bridge_status {
    BRIDGE_OK = 0,
    BRIDGE_CREATED = 1, /* outcomes of requests only: a value that was not there before */
    BRIDGE_VALID = 2,   /* the asker's copy is still good */
    BRIDGE_UNHEARD = 3, /* accepted; nobody listened */
#define BRIDGE_STATUS_ENUM(name, number, text) BRIDGE_##name = number,
    BRIDGE_STATUS_MAP(BRIDGE_STATUS_ENUM)
#undef BRIDGE_STATUS_ENUM
} bridge_status;
BRIDGE_API const char *bridge_status_text(int status); /* [any] never NULL */
BRIDGE_API const char *bridge_status_name(int status); /* [any] "NOTFOUND"; never NULL */

typedef struct bridge_error { /* yours, on your stack; every `err` may be NULL */
    int status, line;         /* line: in a config text, else 0 */
    char text[240];           /* a sentence for a person; no secrets in it */
} bridge_error;

/* ---- 2. Messages ----------------------------------------------------------------------------------------------
 * Immutable once made, reference-counted, safe to share between threads.
 * A path is a list of UTF-8 segments joined by '/'; it is spelt exactly as an MQTT topic name, so every legal topic
 * name is a path ("/a" and "a//b" have empty segments).  No '+', no '#', no NUL, at most 65,535 bytes. */
typedef struct bridge_msg bridge_msg;
typedef enum bridge_verb {
    BRIDGE_NOTIFY, /* to be told of a message (policy only) */
    BRIDGE_GET,
    BRIDGE_PUT,    /* set the last value: MQTT PUBLISH with retain, CoAP/HTTP PUT, LwM2M Write */
    BRIDGE_POST,   /* an event, not kept: MQTT PUBLISH without retain, CoAP/HTTP POST, LwM2M Execute */
    BRIDGE_DELETE, /* remove the value: empty retained PUBLISH, CoAP/HTTP DELETE */
    BRIDGE_PATCH,  /* change part of the value */
    BRIDGE_WATCH,  /* subscribe, observe (policy only; the path may hold wildcards) */
    BRIDGE_CONNECT /* log in (policy only) */
} bridge_verb;
typedef enum bridge_format { /* the IANA CoAP Content-Format numbers (RFC 7252 12.3, OMA); any uint16 may stand here */
    BRIDGE_TEXT = 0,
    BRIDGE_LINKS = 40,
    BRIDGE_XML = 41,
    BRIDGE_BYTES = 42,
    BRIDGE_JSON = 50,
    BRIDGE_JSON_PATCH = 51,
    BRIDGE_MERGE_PATCH = 52,
    BRIDGE_CBOR = 60,
    BRIDGE_SENML_JSON = 110,
    BRIDGE_SENML_CBOR = 112,
    BRIDGE_SENML_ETCH_JSON = 320,
    BRIDGE_SENML_ETCH_CBOR = 322,
    BRIDGE_TLV = 11542,
    BRIDGE_LWM2M_JSON = 11543,
    BRIDGE_LWM2M_CBOR = 11544,
    BRIDGE_FORMAT_AUTO = 65535, /* nobody said: text, JSON or bytes, told from the payload when somebody asks */
    BRIDGE_FORMAT_NAMED = 65534 /* not registered: see bridge_fields.media_type */
} bridge_format;
typedef struct bridge_prop { /* MQTT 5 user property, HTTP header: kept in order, names may repeat */
    const char *name, *value;
} bridge_prop;
typedef struct bridge_fields { /* to make a message and to look at one */
    size_t size;               /* sizeof(bridge_fields); BRIDGE_FIELDS() sets it */
    const char *path;          /* "sensors/kitchen/temp" */
    const void *data;
    size_t len;
    bridge_format format;
    uint8_t qos;     /* 0, 1, 2 */
    bool retain;     /* publish: keep it as the path's last value */
    int64_t time;    /* ms since 1970 (0: now) */
    int64_t ttl;     /* ms to live from `time` (0: for ever); MQTT Message Expiry, CoAP Max-Age */
    const char *origin; /* "mqtt:client-7".  Set on what comes in; say it yourself ("modbus:plc-1") to speak for a scheme */
    uint64_t version;   /* set when the bridge accepts it: larger is newer, never 0; the ETag */
    const char *media_type;  /* with BRIDGE_FORMAT_NAMED: "image/png"; else NULL */
    const char *response;    /* where the answer shall go (MQTT 5 Response Topic), or NULL */
    const void *correlation; /* MQTT 5 Correlation Data, or NULL */
    size_t correlation_len;
    const bridge_prop *props;
    size_t prop_count;
} bridge_fields;
/* BRIDGE_FIELDS(.path = "a", .data = "1", .len = 1): what is not said is 0, and the format AUTO.  TEXT is 0, too: whether it was said
 * is told from the words, as they stand, because a default that is then said otherwise is a warning of -Wextra. */
#if defined(__GNUC__)
#define BRIDGE_FIELDS(...) bridge_fields_said(&(bridge_fields){.size = sizeof(bridge_fields), __VA_ARGS__}, #__VA_ARGS__)
static inline bridge_fields *bridge_fields_said(bridge_fields *fields, const char *words) /* of constants nothing is left to do */
{
    if (fields->format == BRIDGE_TEXT && !__builtin_strstr(words, ".format =") && !__builtin_strstr(words, ".format="))
        fields->format = BRIDGE_FORMAT_AUTO;
    return fields;
}
#else
#define BRIDGE_FIELDS(...) (&(bridge_fields){.size = sizeof(bridge_fields), .format = BRIDGE_FORMAT_AUTO, __VA_ARGS__})
#endif
/* [any] Copies everything.  INVALID for a bad path, qos or size. */
BRIDGE_API int bridge_msg_new(bridge_msg **out, const bridge_fields *fields);
BRIDGE_API bridge_msg *bridge_msg_ref(bridge_msg *msg); /* [any] returns msg */
BRIDGE_API void bridge_msg_unref(bridge_msg *msg);      /* [any] NULL is fine */
/* [any] Fills in *fields (as many bytes as fields->size says) and returns it; its pointers are good as long as your
 * reference.  m = bridge_msg_look(msg, BRIDGE_FIELDS()); */
BRIDGE_API const bridge_fields *bridge_msg_look(const bridge_msg *msg, bridge_fields *fields);
/* [any] The same message in another format: a new reference, converted once and remembered on msg.
 * NOTACCEPTABLE no codec makes it, UNPROCESSABLE the payload does not hold what its format says. */
BRIDGE_API int bridge_msg_as(bridge_msg *msg, bridge_format format, bridge_msg **out, bridge_error *err);

/* ---- 3. The bridge and its loop ---------------------------------------------------------------------------------
 * Many may live in one process; they share nothing. */
typedef struct bridge bridge;
typedef struct bridge_slot bridge_slot;
typedef struct bridge_options {
    size_t size; /* sizeof(bridge_options); BRIDGE_OPTIONS() sets it; all zero is a good default */
    void *(*realloc)(void *user, void *ptr, size_t len); /* [any] len 0 frees; NULL: the C library's */
    void (*log)(void *user, int level, const char *area, const char *line); /* level: BRIDGE_LOG_*; [any] */
    int64_t (*clock)(void *user); /* monotonic ms, for tests; NULL: the system's */
    void *user;                   /* handed to the three above */
    size_t max_message;           /* bytes of one payload; 0: see docs/limits.md, as for all below */
    size_t max_queue;             /* messages waiting for one peer */
    size_t max_queue_bytes;       /* bytes waiting for one peer */
    size_t max_values;            /* values kept */
    size_t max_value_bytes;       /* bytes of values kept */
    int log_level;                /* BRIDGE_LOG_*; 0: BRIDGE_LOG_INFO */
    int64_t sys_interval;         /* ms between two rounds of numbers under $SYS; 0: 10 s, negative: none */
    bool offline;                 /* listeners and uplinks are looked at but not opened: to check and to explain */
    size_t max_memory; /* bytes of the whole bridge (without OpenSSL's); 0: no limit.  From 7/8 of it on new peers and messages are
                        * refused as BUSY.  Not together with a realloc of your own */
    const char *store; /* what outlives the process: "memory:" (nothing, the default), "sqlite:FILE"; docs/store.md */
    size_t max_client_names; /* values that one client may have written last; 0: no limit */
} bridge_options;
enum { BRIDGE_LOG_ERROR = 1, BRIDGE_LOG_WARN = 2, BRIDGE_LOG_INFO = 3, BRIDGE_LOG_DEBUG = 4 };
#define BRIDGE_OPTIONS(...) (&(bridge_options){.size = sizeof(bridge_options), __VA_ARGS__})
BRIDGE_API int bridge_new(bridge **out, const bridge_options *options, bridge_error *err); /* [any] options may be NULL */
BRIDGE_API void bridge_free(bridge *b); /* stops, closes every slot, joins its thread; not from a callback; NULL is fine */
/* Config text (JSON with comments), not a file name; docs/config.md.  All of it or nothing: on an error the bridge is as before.
 * Loading again replaces what the last load added and the new text no longer says; connections on listeners that stay are kept. */
BRIDGE_API int bridge_load(bridge *b, const char *config, bridge_error *err);
BRIDGE_API int bridge_check(const char *config, bridge_error *err); /* [any] would it load?  Opens nothing. */

BRIDGE_API int bridge_run(bridge *b);   /* way 1: this thread, until bridge_stop() */
BRIDGE_API int bridge_start(bridge *b); /* way 2: a thread of its own; callbacks come there */
BRIDGE_API int bridge_fd(const bridge *b); /* way 3: your loop.  Poll this fd for reading ... */
BRIDGE_API int bridge_timeout(bridge *b);  /*        ... at most so many ms (-1: for ever) ... */
BRIDGE_API int bridge_process(bridge *b);  /*        ... then call this; callbacks come from inside it.  CLOSED once stopped */
BRIDGE_API void bridge_stop(bridge *b);    /* [any] also from a signal handler */
BRIDGE_API int bridge_call_in(bridge *b, void (*fn)(void *user), void *user); /* [any] run fn once on the loop thread */
BRIDGE_API void bridge_slot_close(bridge_slot *slot); /* [any] at once on the loop thread, soon elsewhere; NULL is fine */
BRIDGE_API void *bridge_slot_user(const bridge_slot *slot); /* borrow: the `user` it was registered with */
BRIDGE_API const char *bridge_slot_name(const bridge_slot *slot); /* borrow: "mqtt://127.0.0.1:41883", real port */

/* ---- 4. Listeners and uplinks: one URL each, options in its query; docs/urls.md lists them. --------------------
 * INVALID for an unknown option or a listener open to others without a policy, SYNTAX, EXISTS port in use, UNSUPPORTED. */
BRIDGE_API int bridge_listen(bridge *b, const char *url, bridge_slot **out, bridge_error *err);
BRIDGE_API int bridge_connect(bridge *b, const char *url, bridge_slot **out, bridge_error *err);
/* Tells fn the name of every listener that is open, oldest first, those of bridge_load() too. */
BRIDGE_API void bridge_listeners(bridge *b, void (*fn)(void *user, const char *url), void *user); /* borrow url */

/* Opens what outlives the process, before the first listener; the same as bridge_options.store.  "sqlite:FILE", "memory:".
 * EXISTS: another process has it, or there is one already.  A damaged file is moved aside, said so in the log, and begun anew. */
BRIDGE_API int bridge_persist(bridge *b, const char *store, bridge_error *err);
/* What an acknowledgement of a message promises whose path matches: "full" it survives a loss of power, "normal" the end of the
 * process, "none" nothing; NULL: what the listener or the store says.  The most specific pattern counts. */
BRIDGE_API int bridge_durability(bridge *b, const char *pattern, const char *level, bridge_error *err);

/* Messages (PUT, POST) whose path matches get a past: each is recorded with time, value, format and origin; SenML packs record by record.
 * Read at $history/<path>, over any protocol; docs/store.md.  The most specific pattern counts.  NULL takes it back; what is recorded stays.
 * UNSUPPORTED without a store that outlives the process. */
typedef struct bridge_history {
    size_t size;
    int64_t keep;       /* ms that a record is kept at least; 0: for ever */
    uint64_t records;   /* how many are kept of each path at least; 0: any number */
    int64_t resolution; /* at most one record of a path in so many ms; 0: every message */
} bridge_history;
#define BRIDGE_HISTORY(...) (&(bridge_history){.size = sizeof(bridge_history), __VA_ARGS__})
BRIDGE_API int bridge_record_history(bridge *b, const char *pattern, const bridge_history *history, bridge_error *err);

/* Reads a past record by record: path by path, each in the order of time.  What is on disk when a page of it is read (1,000 records, 1 MiB;
 * the memory that a cursor takes) is there; what was acknowledged is, what was published some ms ago (commit=) may not be yet.
 * [open and next: any thread; both wait for the disk, and for the loop's thread]  Meant for a thread of your own: on the loop's thread a page
 * holds up everything else.  One thread at a time has a cursor.  Close it before bridge_free().
 * NOTFOUND nothing was recorded at this path (a filter without matches has no records), INVALID no filter, UNSUPPORTED without a store. */
typedef struct bridge_history_cursor bridge_history_cursor;
typedef struct bridge_history_range { /* NULL, or all zero: everything, oldest first */
    size_t size;
    int64_t since, until; /* ms since 1970, both included; until 0: no end, also what comes while you read */
    bool newest_first;
} bridge_history_range;
#define BRIDGE_HISTORY_RANGE(...) (&(bridge_history_range){.size = sizeof(bridge_history_range), __VA_ARGS__})
typedef struct bridge_history_record { /* borrow: good until the next call with this cursor */
    size_t size;         /* sizeof(bridge_history_record), set it before the first call */
    const char *path;
    const char *name;    /* of a record of a SenML pack: what follows path and '/'; or NULL */
    int64_t time;        /* ms since 1970 */
    const void *data;    /* a NUL follows that does not count */
    size_t len;
    bridge_format format;
    bool is_number;      /* then number is what data says */
    double number;
    const char *origin;  /* "mqtt:client-7", or NULL */
} bridge_history_record;
BRIDGE_API int bridge_history_open(bridge *b, const char *filter, const bridge_history_range *range, bridge_history_cursor **out,
                                   bridge_error *err);
/* 1 and a record; 0: that was all; a negative status (IO): the same call may be tried again. */
BRIDGE_API int bridge_history_next(bridge_history_cursor *cursor, bridge_history_record *record);
BRIDGE_API void bridge_history_close(bridge_history_cursor *cursor); /* [any] NULL is fine */

/* ---- 5. Routes ------------------------------------------------------------------------------------------------
 * Both sides are "scheme:path" or "path"; {name} takes one segment, {name...} the rest.  With a protocol's scheme at the source
 * a route is a name that this protocol has for the target ("coap:r/{room}/temp" is "home/{room}/temperature"); without, it
 * copies what is published at the source.  Tried most specific first, then oldest first; a message crosses a route at
 * most once.  docs/routes.md.  INVALID for a route that can never match, EXISTS for one that is already there. */
typedef enum bridge_ways { BRIDGE_WAYS_AUTO, BRIDGE_ONE_WAY, BRIDGE_BOTH_WAYS } bridge_ways;
typedef enum bridge_keep { BRIDGE_KEEP_AS_IS, BRIDGE_KEEP_ALWAYS, BRIDGE_KEEP_NEVER } bridge_keep;
typedef enum bridge_on_error { BRIDGE_ERROR_DROP, BRIDGE_ERROR_PASS } bridge_on_error;
typedef struct bridge_route {
    size_t size;
    const char *source, *target; /* "coap:r/{room}/temp", "mqtt:home/{room}/temperature" */
    const char *format;          /* to hand over: "json", "senml+cbor", ...; NULL keeps it */
    bridge_ways ways;            /* AUTO: names both ways, copies one way */
    bridge_keep retain;          /* override of the retain flag */
    int max_qos;                 /* cap; 0 none.  Use BRIDGE_QOS(n) */
    int priority;                /* larger first, before "most specific first" */
    const char *transform;       /* "pick $.temp | unit degF Cel | deadband 0.5": docs/routes.md; NULL: none */
    bridge_on_error on_error;    /* a payload that a step cannot take: not carried over, or passed as it is */
    bool lasting;                /* kept in the store and there again at the next start, until its slot is closed or it is forgotten;
                                  * bridge_free() leaves it.  UNSUPPORTED without a store.  docs/routes.md */
} bridge_route;
#define BRIDGE_QOS(n) ((n) + 1)
#define BRIDGE_ROUTE(...) (&(bridge_route){.size = sizeof(bridge_route), __VA_ARGS__})
BRIDGE_API int bridge_route_add(bridge *b, const bridge_route *route, bridge_slot **out, bridge_error *err);
/* [any] Takes a lasting route away, also one that came from the store and has no slot; a slot it has does nothing any more.
 * NOTFOUND: none was added with these words. */
BRIDGE_API int bridge_route_forget(bridge *b, const char *source, const char *target, bridge_error *err);
/* A step `call name` of a transformation.  Answers 0 with a new reference in *out (msg itself, or one whose payload and format are
 * taken) or with NULL: not carried over; or a negative status: a payload it cannot take.  On the loop's thread; borrow msg.
 * EXISTS when the name is taken.  Closed, routes that call it treat every message as one it cannot take. */
typedef int (*bridge_transform_fn)(void *user, bridge_msg *msg, bridge_msg **out);
BRIDGE_API int bridge_transform(bridge *b, const char *name, bridge_transform_fn fn, void *user, bridge_slot **out, bridge_error *err);
/* The life of names, for values whose path matches; of several rules the most specific.  BUSY for a new name over max_children, and
 * over max_client_names: 0x97, 4.29, 429. */
typedef struct bridge_life {
    size_t size;
    const char *pattern; /* "devices/{id}/#" */
    int64_t value_ttl;   /* ms a value is good at most; 0: as long as it says itself */
    int64_t unused;      /* ms after which a name that nobody writes, asks for or watches by itself is removed; 0: never */
    size_t max_children; /* names directly below one; 0: no limit */
} bridge_life;
#define BRIDGE_LIFE(...) (&(bridge_life){.size = sizeof(bridge_life), __VA_ARGS__})
BRIDGE_API int bridge_life_add(bridge *b, const bridge_life *life, bridge_slot **out, bridge_error *err);
/* Why a path goes where it goes, in sentences: NUL-terminated into text[len]; returns the length it wanted, or negative. */
BRIDGE_API int bridge_explain(bridge *b, const char *path, char *text, size_t len);

/* ---- 6. Talking to resources, wherever they live ---------------------------------------------------------------- */
typedef void (*bridge_msg_fn)(void *user, bridge_msg *msg);                /* borrow msg */
typedef void (*bridge_done_fn)(void *user, int status, bridge_msg *reply); /* once; reply may be NULL; borrow */
/* [any] Takes its own reference.  From another thread it is queued: BUSY over the queue's limit; what this process sends or asks over a
 * socket afterwards finds it done. */
BRIDGE_API int bridge_publish(bridge *b, bridge_msg *msg);
/* Every message whose path matches, kept values first.  pattern: "+", "#", "{name}", "{name...}". */
BRIDGE_API int bridge_subscribe(bridge *b, const char *pattern, bridge_msg_fn fn, void *user, bridge_slot **out,
                                bridge_error *err);
/* Asks whoever owns the path, else the value that is kept.  [any]; fn runs on the loop thread, exactly once, maybe before
 * this returns.  timeout: ms, 0 means 5 s.  Closing the slot cancels: fn gets CANCELED. */
BRIDGE_API int bridge_request(bridge *b, bridge_verb verb, bridge_msg *msg, int64_t timeout, bridge_done_fn fn,
                              void *user, bridge_slot **out);

/* ---- 7. Answering requests: your code as a resource ------------------------------------------------------------- */
typedef struct bridge_call bridge_call;
typedef void (*bridge_call_fn)(void *user, bridge_call *call);
/* Owns the pattern: GET, PUT, POST, DELETE from any protocol come to fn.  EXISTS when another handler has that pattern. */
BRIDGE_API int bridge_handle(bridge *b, const char *pattern, bridge_call_fn fn, void *user, bridge_slot **out,
                             bridge_error *err);
/* What bridge_own() wants to be told besides. */
typedef struct bridge_owner_fns {
    size_t size;         /* sizeof(bridge_owner_fns) */
    bridge_call_fn call; /* answer now, or keep a reference and answer later; bridge_call_timeout() says how long that may take */
    /* Optional.  Somebody began to watch a path, or a filter, that lies wholly within the pattern (wanted), or the last one that did so
     * has left (!wanted): told once for each distinct filter, over whatever protocols it is watched.  The time to start, and to end, the one
     * poll or observation of the real thing; publish what it says.  An owner with this is not asked for the first value of a watch.
     * Told too of watchers that were there before it. */
    void (*interest)(void *user, const char *filter, bool wanted); /* borrow */
    void (*cancel)(void *user, bridge_call *call); /* optional: nobody waits any more; you may still answer, or just unref */
    /* Optional.  Somebody wants to watch what a question asks for at path: a FETCH (its payload says which part), or a query.  Appends to out,
     * NUL-terminated, where that is told, and answered, by itself: "/!composite/3.0.0".  1; 0: at path itself; negative: it cannot be watched. */
    int (*part)(void *user, const char *path, bridge_msg *question, const char *query, char *out, size_t room); /* borrow */
} bridge_owner_fns;
/* As bridge_handle(), which is this with call() alone. */
BRIDGE_API int bridge_own(bridge *b, const char *pattern, const bridge_owner_fns *fns, void *user, bridge_slot **out,
                          bridge_error *err);
BRIDGE_API bridge_verb bridge_call_verb(const bridge_call *call);
BRIDGE_API bridge_msg *bridge_call_msg(const bridge_call *call);                       /* borrow; never NULL */
BRIDGE_API const char *bridge_call_capture(const bridge_call *call, const char *name); /* borrow; NULL: no such name */
BRIDGE_API const char *bridge_call_query(const bridge_call *call); /* borrow; "pmin=10&gt=5" as in a URI, or NULL */
BRIDGE_API int64_t bridge_call_timeout(const bridge_call *call);   /* ms until nobody waits for the answer */
BRIDGE_API bridge_call *bridge_call_ref(bridge_call *call);                            /* [any] to answer later */
/* [any] The first one wins; msg may be NULL.  CREATED to a POST: its path says where that is which was made, the user property
 * "location-query" ("a=1&b=2") which query belongs to it. */
BRIDGE_API void bridge_call_reply(bridge_call *call, int status, bridge_msg *msg);
BRIDGE_API void bridge_call_unref(bridge_call *call); /* [any] last one unanswered: TIMEOUT */

/* What lists of resources say of the paths that match: link attributes as in RFC 6690, rt="temperature";if="sensor";ct=50.  The
 * most specific pattern counts; ct, sz and obs are added where it does not say them.  SYNTAX, EXISTS, BUSY over a limit. */
BRIDGE_API int bridge_describe(bridge *b, const char *pattern, const char *attributes, bridge_slot **out, bridge_error *err);

/* ---- 8. Policy: asked before anything crosses -------------------------------------------------------------------
 * DEFER goes to the next, newest first; then come password and ACL files, whose word is final; when nobody decides, it is
 * allowed (docs/security.md). */
typedef enum bridge_verdict {
    BRIDGE_DEFER,
    BRIDGE_ALLOW,
    BRIDGE_DENY,
    BRIDGE_CHALLENGE /* CONNECT with a method only: not yet; what bridge_ask_reply() said is sent, its answer is asked again */
} bridge_verdict;
typedef struct bridge_ask { /* borrow */
    size_t size;
    bridge_verb verb;
    const char *who;     /* "mqtt:client-7", "coap:127.0.0.1:40000", "http:alice" */
    const char *user;    /* the name it has proved, or claims on CONNECT; NULL: anonymous */
    const char *path;    /* canonical path or pattern; on CONNECT the client id */
    const void *secret;  /* on CONNECT the password, or NULL */
    size_t secret_len;
    const char *certified; /* on CONNECT the name that TLS has proved (client certificate, PSK identity), or NULL */
    const char *method;    /* on CONNECT the method of an enhanced authentication (MQTT 5 4.12): secret is its data; else NULL */
    unsigned step;         /* of it: 0 at first, one more after each challenge */
    void *reply;           /* see bridge_ask_reply() */
    const char *listener;  /* of bridge_may(): through which it would come: its URL up to the '?', as said or as bridge_listeners() tells it */
} bridge_ask;
typedef bridge_verdict (*bridge_policy_fn)(void *user, const bridge_ask *ask);
/* Inside a policy function, about an ask with a method: data for the peer, sent with a challenge or with the welcome.  Copies. */
BRIDGE_API int bridge_ask_reply(const bridge_ask *ask, const void *data, size_t len);
/* A password file (as mosquitto_passwd writes it) and an ACL file (as mosquitto reads it) for all listeners that do not name their
 * own; either may be NULL.  Calling it again reads them again; both NULL takes them away.  SYNTAX with the line, IO. */
BRIDGE_API int bridge_rules(bridge *b, const char *password_file, const char *acl_file, bridge_error *err);
/* Would it be allowed?  who, user, verb and path as in an ask; path as who's protocol names it.  0, DENIED, UNAUTHENTICATED; NOTFOUND, no such
 * listener.  Asks the functions, then the rules of the listener (NULL: of the only one that speaks who's protocol) and the bridge's; nothing is counted. */
BRIDGE_API int bridge_may(bridge *b, const bridge_ask *ask);
BRIDGE_API int bridge_on_access(bridge *b, bridge_policy_fn fn, void *user, bridge_slot **out);

/* ---- 8b. Keys of TLS and DTLS clients, from your program ----------------------------------------------------------
 * Listeners whose URL says credentials=ask ask for the key of each client that says an identity (PSK), and about each certificate
 * that is shown, in the middle of the handshake; psk_file and ca are what DEFER leaves it to.  DENY ends the handshake. */
typedef struct bridge_credential { /* borrow */
    size_t size;
    const char *listener;    /* its URL, as bridge_listeners() tells it */
    const char *identity;    /* of the key; or the name in the certificate, "" when it has none */
    const void *certificate; /* DER; NULL: a key is wanted */
    size_t certificate_len;
    bool trusted;            /* the certificate is signed by the listener's ca=, in its time, and not in its crl= */
    uint8_t *key;            /* ALLOW: write the key here, and its length below; 1 to 64 bytes.  Wiped after use */
    size_t key_room, key_len;
    char *name;              /* optional: the name (UTF-8, with its NUL) that it is known by from now on, instead of identity */
    size_t name_room;        /* 256 */
} bridge_credential;
typedef bridge_verdict (*bridge_credential_fn)(void *user, bridge_credential *c);
/* fn is called on the loop thread and answers at once; it must not call the bridge.  c and all in it are the bridge's, for this call only;
 * user must live until the slot is closed.  DEFER goes to the next function, newest first, then to the files. */
BRIDGE_API int bridge_on_credential(bridge *b, bridge_credential_fn fn, void *user, bridge_slot **out);
/* [any] What you would answer about an identity has changed (NULL: about all).  Soon after, on the loop, you are asked again about each
 * session of that identity, or of that name; those who would not come in now, or with another key or name, are ended.  Files of
 * listeners are looked at again, too.  Copies identity.  Sessions of listeners with credentials=ask are never resumed. */
BRIDGE_API int bridge_credentials_changed(bridge *b, const char *identity);

/* ---- 9. Numbers ------------------------------------------------------------------------------------------------- */
typedef void (*bridge_stat_fn)(void *user, const char *name, const char *labels, double value); /* borrow; labels may be "" */
BRIDGE_API void bridge_stats(bridge *b, bridge_stat_fn fn, void *user); /* names as in docs/metrics.md */
#ifdef __cplusplus
}
#endif
#endif
