/* adapter/lwm2m/lwm2m.h - what the files of the adapter share.
 *
 *   lwm2m.c     listeners: open, close, numbers         registry.c  devices: by endpoint, by location, their lifetimes
 *   rd.c        what devices ask: register, update,     event.c     !registered, !updated, ... as messages
 *               de-register, send, look up              owner.c     a question to a path becomes an operation
 *   talk.c      operations to a device, queue mode      observe.c   one observation for all who watch a path
 *   news.c      what nobody asked for, and how it is told
 *   value.c     payloads <-> plain values               model.c     objects and resources: names, types
 *   composite.c several places of a device at once      words.c     codes and paths as outcomes and text
 *   several.c   ... as one path that can be watched
 *   flash.h     new firmware and software: its own files
 *
 * A device is an owner of `<mount>/<endpoint>/{path...}` (bridge/sys/adapter.h).  All devices of a bridge are in one registry, whatever
 * listener they came through; it lives in the adapter's home port. */
#ifndef LWM2M_LWM2M_H
#define LWM2M_LWM2M_H
#include "adapter/coap/coap.h"
#include "adapter/lwm2m/model.h"
#include "base/map.h"
#include "codec/oma.h"

typedef struct lwm2m_server lwm2m_server;
typedef struct lwm2m_device lwm2m_device;
typedef struct lwm2m_op lwm2m_op;
typedef struct lwm2m_flash lwm2m_flash;

enum { /* what is not in lwm2m_limits; docs/limits.md */
    LWM2M_ENDPOINT_MAX = 255,  /* bytes of an endpoint name */
    LWM2M_LOCATION = 16,       /* characters of a location: 96 random bits */
    LWM2M_GUESTS = 10000,      /* devices being bootstrapped at once */
    LWM2M_FLYING = 4,          /* operations under way at one device; on datagrams NSTART holds as well */
    LWM2M_LIFETIME = 86400,    /* s; LwM2M 1.0 5.3.1: when a device says none */
    LWM2M_SILENT = 45000,      /* ms without a datagram after which a timeout means that nobody is there: MAX_TRANSMIT_SPAN, RFC 7252 4.8.2 */
    LWM2M_PROBE = 20000,       /* ms that a suspect which speaks has to acknowledge a question: time for four tries */
    LWM2M_AWAKE = 93000        /* ms a device in queue mode listens after its last message: MAX_TRANSMIT_WAIT, LwM2M 1.0 8.3 */
};

typedef struct lwm2m_limits { /* options of the URL */
    uint64_t max_devices;   /* registered through this bridge; 1,000,000 */
    uint64_t max_links;     /* bytes of links of one registration; 16,384 */
    uint64_t max_queue;     /* operations waiting for one device; 64 */
    uint64_t max_lifetime;  /* s; longer ones are cut; 31,536,000 */
    uint64_t max_register_rate; /* registrations a second through this listener; 0: any */
    uint64_t queue_ttl;     /* s a write without an expiry waits for a device that sleeps; 86,400 */
    uint64_t update_timeout; /* s an update of firmware or software may take; 3,600 */
    uint64_t max_fetches;   /* how often a package may be fetched under one URL, in sizes of it; 10 */
    uint64_t awake;         /* ms a device in queue mode is taken to be awake after it spoke; 93,000 */
} lwm2m_limits;

typedef struct lwm2m_port { /* a listener */
    coap_port coap; /* first */
    lwm2m_server *server;
    list link, promises;
    lwm2m_limits limits;
    char *mount;       /* names begin with it: "lwm2m" */
    char scheme[16];   /* "lwm2ms" */
    char *bootstrap;   /* file, or NULL */
    char *address;     /* "coap://192.0.2.1:5683", what devices reach it by; NULL: not known */
    char *http;        /* "http://192.0.2.1:8080", where they reach an HTTP listener of ours; NULL: as it is bound */
    bridge_peer *lister; /* list.c: who tells which devices there are */
    bool free_names;   /* endpoint=any: a proven name need not be the endpoint */
    bool lookup;       /* lookup=1: devices may ask who is there */
    uint64_t second, registrations; /* of this second */
} lwm2m_port;

typedef struct lwm2m_counters {
    uint64_t registrations, updates, deregistrations, expirations, refused, requests, answers, timeouts, notifications, sends, queued,
        coalesced;
} lwm2m_counters;

typedef struct lwm2m_place { /* where a datagram comes from; compared as bytes */
    lwm2m_port *port;
    coap_address address;
} lwm2m_place;

typedef struct lwm2m_conn { /* a session or a stream: who speaks through it (the coap_peer's user) */
    list devices;
} lwm2m_conn;

struct lwm2m_server { /* the home port's state */
    bridge_port *home; /* NULL: not begun */
    mem *mem;
    loop *loop;
    list ports, devices, updates, parts, campaigns, guests; /* guests: are being bootstrapped */
    list words; /* flash_keep.c: answers that wait for the disk */
    unsigned campaign_count;
    unsigned guest_count;
    unsigned port_count;
    map by_name;     /* "lwm2m/lamp-7" */
    map by_location, by_place;
    size_t device_count, suspects;
    lwm2m_model *model; /* of a folder of DDF files, or NULL */
    bool closing;
    lwm2m_counters count;
};

/* What one registration says, and an update may change. */
typedef struct lwm2m_said {
    text endpoint, version, binding, msisdn, links;
    uint64_t lifetime;
    bool has_lifetime, has_binding, has_links, queue;
} lwm2m_said;

struct lwm2m_device {
    list link; /* in server->devices, the longest registered first */
    lwm2m_server *server;
    lwm2m_port *port;  /* the listener it speaks through */
    bridge_peer *peer;
    bridge_owner *owner;
    lwm2m_place place; /* datagrams: where it is */
    coap_peer *conn;   /* sessions and streams: NULL when that is gone */
    list conn_link;
    char *name;           /* "lwm2m/lamp-7"; endpoint is what follows the mount, as it was said */
    char *endpoint, *identity, *msisdn, *links, *root; /* identity: proven, or NULL; root: alternate path without its '/', "" is none */
    char location[LWM2M_LOCATION + 1], binding[8];
    uint8_t minor;        /* of LwM2M 1.minor */
    bool queue_mode, asleep, gone, guest, suspect, ready, stays, lost, pinned, mute; /* suspect: it acknowledges nothing; mute: and speaks all the same; pinned: observations of it are in the store; ready: its registration has been answered; lost: its session is over */
    uint16_t format;      /* what it likes to be written: TLV, SenML ... */
    bool format_known;    /* by ct or by an answer */
    int64_t lifetime, since, seen; /* s; ms since 1970; ms of the loop */
    timer expiry, doze;   /* doze: when it is taken to be asleep */
    list queue, flying;   /* lwm2m_op */
    unsigned queued, flying_count;
    list observations;
    lwm2m_device *gateway; /* it is behind that one; or NULL */
    list behind, behind_link; /* who is behind it; its place among those of its gateway */
    struct boot *boot;    /* it is being bootstrapped; or NULL */
    lwm2m_flash *update; /* of its firmware or software, under way; or NULL */
    unsigned observing;   /* news are being told */
    unsigned holds;       /* it is freed when nobody works on it */
};

typedef struct lwm2m_leaf {
    oma_path path;
    bridge_record record;
} lwm2m_leaf;
typedef struct lwm2m_leaves {
    lwm2m_leaf *at;
    size_t count;
    bool guessed; /* of one of them the type is not known but guessed */
} lwm2m_leaves;

/* ---- composite.c, several.c */
enum { COMPOSITE_PATHS = 256 }; /* of one question; docs/limits.md */
typedef struct lwm2m_paths {
    unsigned count;
    oma_path at[COMPOSITE_PATHS];
} lwm2m_paths;
/* Which are asked for: a JSON list, SenML or SenML-ETCH without values, or ?paths=/3/0,/3303/0/5700.  Below `at` only. */
int lwm2m_paths_read(const lwm2m_device *d, const oma_path *at, const bridge_fields *f, const char *query, lwm2m_paths *out, bridge_error *err);
int lwm2m_paths_write(const lwm2m_paths *paths, bridge_format format, buf *out); /* SenML without values */
bool lwm2m_is_set(text op);
bool lwm2m_set_read(const lwm2m_device *d, const oma_path *at, text op, lwm2m_paths *out); /* "composite/3.0.0,3303.0.5700"; sorted */
int lwm2m_part(void *user, const char *path, bridge_msg *question, const char *query, char *out, size_t room); /* bridge_owner_fns.part */
const int *lwm2m_composite_wishes(const lwm2m_device *d); /* formats to ask for several in, the best first; ends with -1 */

/* ---- registry.c */
lwm2m_server *lwm2m_server_of(bridge_port *port); /* of any port of the adapter; NULL: no memory */
void lwm2m_server_done(lwm2m_server *s);
lwm2m_device *lwm2m_find(lwm2m_server *s, const char *name);
lwm2m_device *lwm2m_find_peer(lwm2m_port *p, coap_peer *from); /* who speaks from there; NULL: nobody registered */
lwm2m_device *lwm2m_find_location(lwm2m_server *s, text location);
int lwm2m_register(lwm2m_port *p, coap_peer *from, const lwm2m_said *said, const char *identity, lwm2m_device **out);
int lwm2m_update(lwm2m_device *d, lwm2m_port *p, coap_peer *from, const lwm2m_said *said);
typedef enum lwm2m_why { LWM2M_GONE_ASKED, LWM2M_GONE_EXPIRED, LWM2M_GONE_REPLACED, LWM2M_GONE_CLOSED } lwm2m_why;
void lwm2m_remove(lwm2m_device *d, lwm2m_why why);
void lwm2m_heard(lwm2m_device *d); /* it spoke: it is awake, and its queue goes out */
void lwm2m_awake(lwm2m_device *d); /* the same, without the queue */
void lwm2m_asleep(lwm2m_device *d);
void lwm2m_peer_lost(lwm2m_port *p, coap_peer *peer);
static inline void lwm2m_hold(lwm2m_device *d) { d->holds++; }
void lwm2m_release(lwm2m_device *d);

typedef struct lwm2m_kept { /* a registration of before the restart */
    lwm2m_said said;
    text location, identity;
    uint8_t minor;
    int format; /* -1: not known */
    int64_t since, left; /* left: ms of its lifetime */
    coap_address address; /* family 0: it had a connection */
} lwm2m_kept;
void lwm2m_restore(lwm2m_port *p, const lwm2m_kept *kept);

char *lwm2m_name_new(mem *m, const char *mount, text endpoint); /* "lwm2m/lamp-7": of what cannot stand in a path the escapes */
void lwm2m_random_name(char *out); /* LWM2M_LOCATION characters and a NUL */

/* ---- firmware.c; what else there is of updates is in flash.h */
void lwm2m_flash_end(lwm2m_device *d, const char *why);
void lwm2m_flash_leave(lwm2m_device *d, bool closing); /* closing: its listener; it may be back at another one */
void lwm2m_flash_back(lwm2m_device *d);
void lwm2m_flash_news(lwm2m_device *d, const lwm2m_leaves *leaves);
void lwm2m_flash_done(lwm2m_server *s);
void lwm2m_flash_take_up(lwm2m_port *p); /* flash_keep.c: what was under way when the bridge ended */
void lwm2m_words_drop(lwm2m_server *s);
bool lwm2m_serve_package(lwm2m_port *p, coap_request *r, text token); /* flash_way.c; false: there is none */

/* ---- campaign.c: "lwm2m/!campaigns/NAME" */
void lwm2m_campaigns_own(lwm2m_port *p);
void lwm2m_campaigns_done(lwm2m_server *s);

/* ---- gateway.c */
void lwm2m_look_behind(lwm2m_device *d);
void lwm2m_behind(lwm2m_device *gateway, text endpoint, const char *root, text links); /* registry.c: it is there (still) */

/* ---- bootstrap.c */
int lwm2m_boot(lwm2m_device *d); /* one that is registered; CONFLICT: it is under way */
void lwm2m_serve_bootstrap(lwm2m_port *p, coap_request *r, text endpoint, int format, const char *identity); /* POST /bs, GET /bspack */
bool lwm2m_boot_dropped(lwm2m_server *s, coap_request *r); /* its answer is not waited for any more; false: it is none of a boot */
void lwm2m_boot_lost(lwm2m_device *d);
int lwm2m_guest(lwm2m_port *p, coap_peer *from, text endpoint, const char *identity, lwm2m_device **out); /* not registered */

/* ---- persist.c */
void lwm2m_keep(lwm2m_device *d);
void lwm2m_keep_not(const lwm2m_device *d);
void lwm2m_keep_pin(lwm2m_device *d, const char *filter);
void lwm2m_keep_pin_set(lwm2m_device *d, const lwm2m_paths *paths); /* a composite one: the last */
void lwm2m_keep_pin_not(const lwm2m_device *d, const char *filter);
void lwm2m_take_up(lwm2m_port *p); /* what is in the store for this listener */

/* ---- promise.c */
/* Answers CREATED, CHANGED or DELETED when the store has what was said so far, and goes on from there.  d: NULL when it has gone. */
void lwm2m_promise(lwm2m_port *p, coap_request *r, uint8_t code, lwm2m_device *d, bool links);
void lwm2m_promise_dropped(coap_request *r);
void lwm2m_promises_drop(lwm2m_port *p); /* all of them; nobody is answered */

/* ---- rd.c */
void lwm2m_serve(void *user, coap_request *r);
void lwm2m_serve_send(lwm2m_port *p, coap_request *r); /* news.c */
int lwm2m_links_check(const char *links, size_t len, text *root, int *format, bridge_error *err);

/* ---- list.c: "lwm2m/" */
void lwm2m_list_open(lwm2m_port *p);
void lwm2m_list_close(lwm2m_port *p);

/* ---- event.c */
void lwm2m_event(lwm2m_device *d, const char *what, const char *more); /* more: JSON members with a comma in front, or NULL */
/* The same of one that has left, or may have: d is NULL then.  more is not. */
void lwm2m_event_of(lwm2m_server *s, lwm2m_device *d, const char *name, const char *what, const char *more);
void lwm2m_say(lwm2m_server *s, const char *path, const void *json, size_t len); /* the server's own voice */
bridge_peer *lwm2m_voice(const lwm2m_device *d);
int lwm2m_msg(lwm2m_device *d, const char *path, bridge_format format, const void *data, size_t len, bridge_msg **out);
int lwm2m_describe(const lwm2m_device *d, buf *out);                  /* its JSON, without the braces */

/* ---- owner.c */
extern const bridge_owner_fns lwm2m_owner_fns;

/* ---- talk.c: an operation is a CoAP request to the device.  done is called exactly once, unless it is cancelled. */
typedef void (*lwm2m_done_fn)(void *user, int status, const coap_answer *answer); /* status 0: answered, whatever the code */
typedef struct lwm2m_question {
    uint8_t code;
    oma_path path;     /* count 0: the root */
    int accept, format; /* -1: none */
    const char *query; /* "pmin=10&gt=5", or NULL */
    const void *data;
    size_t len;
    int64_t patience;  /* ms, until nobody waits */
    bool replace;      /* a write: one of the same path that still waits is not needed any more */
    bool observe;      /* stays; answer->more */
    bool is_bootstrap; /* the path is "bs": Bootstrap-Finish */
} lwm2m_question;
int lwm2m_ask(lwm2m_device *d, const lwm2m_question *q, lwm2m_done_fn done, void *user, lwm2m_op **out);
void lwm2m_op_cancel(lwm2m_op *op, bool tell); /* NULL is fine */
void lwm2m_pump(lwm2m_device *d);    /* what waits goes out, if it may */
void lwm2m_elsewhere(lwm2m_device *d); /* its address has changed: it may hear us there */
void lwm2m_spoke(lwm2m_device *d);   /* it is no suspect any more; lwm2m_pump() then */
void lwm2m_on_heard(coap_port *cp, const coap_address *from, coap_peer *peer); /* coap_port.on_heard */
void lwm2m_fly_again(lwm2m_device *d);
void lwm2m_conn_lost(lwm2m_device *d); /* registry.c */
void lwm2m_drop_ops(lwm2m_device *d, int status);
int lwm2m_status_of(uint8_t code);   /* words.c: of an answer: 0 or negative */

/* ---- news.c */
void lwm2m_publish(lwm2m_device *d, const char *path, const oma_path *at, const lwm2m_leaves *leaves, int64_t when, bool keep);
typedef void (*lwm2m_moment_fn)(void *user, const lwm2m_leaves *leaves, int64_t when);
int lwm2m_each_moment(lwm2m_device *d, const lwm2m_leaves *all, bridge_scratch *s, lwm2m_moment_fn fn, void *user);

/* ---- observe.c */
void lwm2m_interest(void *user, const char *filter, bool wanted);
void lwm2m_pin(lwm2m_device *d, const char *filter, bool wanted); /* the same, asked for by !observe and !cancel */
int lwm2m_observe_composite(lwm2m_device *d, const lwm2m_paths *paths);
bool lwm2m_cancel_composite(lwm2m_device *d); /* all of them; false: there was none */
void lwm2m_sweep(lwm2m_device *d);
void lwm2m_observe_again(lwm2m_device *d); /* it has forgotten: after a registration */
void lwm2m_observe_done(lwm2m_device *d);

/* ---- value.c */
typedef struct lwm2m_view { /* how a value is wanted */
    int accept;    /* -1: plain */
    bool names;    /* names of the registry, not numbers */
} lwm2m_view;
/* A payload at a place as values, typed by the object model; in s, which must outlive them, as must data. */
int lwm2m_leaves_read(const lwm2m_server *srv, bridge_scratch *s, const oma_path *at, int format, const void *data, size_t len,
                      lwm2m_leaves *out, bridge_error *err);
/* As wanted: appended to out, *format becomes what it is. */
int lwm2m_leaves_write(const lwm2m_server *srv, const oma_path *at, const lwm2m_leaves *leaves, const lwm2m_view *v, buf *out,
                       bridge_format *format, bridge_error *err);
/* A message for path of a device's payload, as wanted. */
int lwm2m_value_msg(lwm2m_device *d, const char *path, const oma_path *at, int format, const void *data, size_t len, const lwm2m_view *v,
                    bridge_msg **out, bridge_error *err);
int lwm2m_leaves_msg(lwm2m_device *d, const char *path, const oma_path *at, const lwm2m_leaves *leaves, const lwm2m_view *v, int64_t when,
                     bool retain, bridge_msg **out, bridge_error *err);
/* What is written to `at`, in one of the device's formats: wish, or *format itself when it is one.  *format becomes what it is. */
int lwm2m_value_write(lwm2m_device *d, const oma_path *at, int wish, bridge_format *format, const void *data, size_t len, buf *out,
                      bridge_error *err);
int lwm2m_value_create(lwm2m_device *d, const oma_path *at, int wish, bridge_format *format, const void *data, size_t len, buf *out,
                       bridge_error *err);
int lwm2m_value_patch(lwm2m_device *d, const oma_path *at, int wish, bridge_format *format, const void *data, size_t len, buf *out,
                      bridge_error *err);
bool lwm2m_is_lwm2m_format(bridge_format f);

/* ---- paths: "3303/0/5700", "temperature/0/sensorValue"; what follows as "!op" is in *op.  False: it is none. */
bool lwm2m_path_read(const lwm2m_server *s, text path, oma_path *out, text *op);
int lwm2m_path_text(const oma_path *path, char *out); /* "/3303/0/5700"; at most LWM2M_PATH_TEXT with its NUL; returns the length */
enum { LWM2M_PATH_TEXT = 28 };
#endif
