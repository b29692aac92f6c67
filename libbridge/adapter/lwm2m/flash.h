/* adapter/lwm2m/flash.h - new firmware and software, as one order each.
 *
 *   flash_ask.c   a question to a device's path becomes an order       flash_plan.c  which resources of which object mean what
 *   firmware.c    the machine that carries it out                      flash_way.c   pushed, or fetched from us, and by which protocol
 *   parts.c       several orders of one device: all are brought, then all are triggered
 *   campaign.c    one order for many devices               flash_keep.c  what of all this outlives the process */
#ifndef LWM2M_FLASH_H
#define LWM2M_FLASH_H
#include "adapter/lwm2m/lwm2m.h"
#include "bridge/sys/store.h"
#include "codec/node.h"
#include "hub/handout.h"

typedef enum lwm2m_flash_kind {
    LWM2M_FIRMWARE, LWM2M_INSTALL, LWM2M_ACTIVATE, LWM2M_DEACTIVATE, LWM2M_UNINSTALL, LWM2M_ENABLE, LWM2M_DISABLE, LWM2M_FLASH_KINDS,
    LWM2M_PARTS = LWM2M_FLASH_KINDS /* several of them: parts.c */
} lwm2m_flash_kind;
typedef enum lwm2m_way { LWM2M_ANY_WAY, LWM2M_PUSH, LWM2M_PULL, LWM2M_PULL_COAP, LWM2M_PULL_HTTP } lwm2m_way;
typedef enum lwm2m_leg { LWM2M_ALL_OF_IT, LWM2M_BRING, LWM2M_TRIGGER } lwm2m_leg; /* BRING: it is not triggered; TRIGGER: it was brought */
enum { FIRMWARE_OBJECT = 5, SOFTWARE_OBJECT = 9, COMPONENT_OBJECT = 14, ADVANCED_OBJECT = 33629 }; /* the last: a list of what object 5 is one of */

typedef struct lwm2m_plan {
    lwm2m_flash_kind kind;
    const char *event;       /* told at DEVICE/!event, as its member */
    const char *busy, *done; /* the names of the last two steps */
    uint16_t object;
    bool many;               /* instances: the event says which */
    int look;                /* resources; -1: none.  The first one read */
    int64_t needs;           /* what it must say; -1: anything */
    int package, uri, trigger;
    int state, result, active; /* observed */
    int check;               /* read after the trigger */
    int64_t ready;           /* the State in which trigger may be executed */
    const char *(*failed)(int64_t result); /* NULL: it has not */
    bool (*is_done)(int64_t state, int64_t result, int64_t active);
} lwm2m_plan;

enum { FIRMWARE_UPDATING = 3 }; /* State, LwM2M 1.1 E.6 */
enum { FIRMWARE_PROTOCOLS = 8 }; /* the resource: which protocols it fetches by */
enum { /* Update State (9/N/7), SwMgmt 1.0 5.1.2 */
    SOFTWARE_INITIAL = 0,
    SOFTWARE_DOWNLOADED = 2,
    SOFTWARE_DELIVERED = 3,
    SOFTWARE_INSTALLED = 4
};
enum { SOFTWARE_UNINSTALL = 6 }; /* the resource */

const lwm2m_plan *lwm2m_plan_of(lwm2m_flash_kind kind);

typedef void (*lwm2m_flash_fn)(void *user, const char *failed, int64_t result); /* failed NULL: it went well; borrow */
typedef struct lwm2m_order {
    lwm2m_flash_kind kind;
    uint16_t object, instance;
    lwm2m_way way;
    lwm2m_leg leg;
    bridge_msg *package; /* or NULL: uri */
    char *uri;
    lwm2m_flash_fn done; /* once, maybe before lwm2m_flash_begin() returns; or NULL */
    void (*triggers)(void *user); /* before it is triggered: what is said to the store here is there first; or NULL */
    void *user;
} lwm2m_order;

typedef enum flash_step { FLASH_LOOK, FLASH_HOW, FLASH_RESET, FLASH_SEND, FLASH_DOWNLOADING, FLASH_TRIGGER, FLASH_UPDATING, FLASH_OVER } flash_step;

struct lwm2m_flash {
    lwm2m_server *server;
    const lwm2m_plan *plan;
    lwm2m_order order; /* package and uri are its own */
    lwm2m_device *d;   /* NULL: it has left in the middle, to restart */
    char *name;
    list link;         /* in server->updates */
    handout *handout;  /* while our URL is good; or NULL */
    char token[LWM2M_LOCATION + 1]; /* of that URL */
    flash_step step;
    lwm2m_op *op;
    timer patience;
    bridge_store_wait disk; /* it is triggered when that is there */
    bool pull, pinned, kept; /* kept: it is in the store under its own name */
    bool again;        /* it was under way before a restart, and its device has yet to say how it stands */
    unsigned protocols; /* bits: 5/0/8; 0: not known */
    int64_t state, result, active, before; /* -1: not said yet; before: the State that it was found in */
};

/* ---- firmware.c */
int lwm2m_flash_begin(lwm2m_device *d, const lwm2m_order *order); /* CONFLICT: one is under way.  Takes references and copies of its own */
/* Those with this user end with why, unless they were triggered; without why they go on, and nobody is told. */
void lwm2m_flash_abandon(lwm2m_server *s, const void *user, const char *why);

/* One of before the restart; its device may not be there yet.  Takes references and copies of its own. */
int lwm2m_flash_resume(lwm2m_server *s, const char *name, const lwm2m_order *order, bool triggered);

/* ---- flash_way.c */
bool lwm2m_way_read(text word, lwm2m_way *out);              /* "push", "pull", "coap", "http" */
const char *lwm2m_way_choose(lwm2m_flash *u, int64_t method); /* by what 5/0/9 says; NULL, or why it cannot be */
void lwm2m_way_protocols(lwm2m_flash *u, const coap_answer *answer); /* what 5/0/8 says */
const char *lwm2m_way_open(lwm2m_flash *u, char *uri, size_t room);  /* our URL is good from now on; NULL, or why there is none */
void lwm2m_way_close(lwm2m_flash *u);

/* ---- flash_ask.c */
typedef struct lwm2m_verb {
    const char *name;
    lwm2m_flash_kind kind;
    lwm2m_way way;
} lwm2m_verb;
const lwm2m_verb *lwm2m_verb_of(text op); /* "update-firmware", ...; NULL: none of them */
/* What was asked at a path of the device; *why says what is wrong. */
int lwm2m_flash_ask(lwm2m_device *d, const lwm2m_verb *verb, const oma_path *at, const char *query, bridge_msg *msg, const char **why);
/* {"uri": ..} or {"package": base64}, and {"method": ..}, into an order that was zeroed; its done() with lwm2m_order_done(). */
int lwm2m_order_read(lwm2m_server *s, bridge_peer *voice, const node *body, lwm2m_order *out);
const node *lwm2m_member(const node *body, const char *name, item_kind kind); /* of an order; NULL: it is not said, or of another kind */
void lwm2m_order_done(mem *m, lwm2m_order *order);

/* ---- parts.c */
typedef struct lwm2m_parts lwm2m_parts;
typedef struct lwm2m_parts_state { /* how far it is */
    uint8_t at;
    bool triggers, installed; /* all are brought; the one at hand is installed, and is to be activated */
    bool triggered;           /* the one at hand */
} lwm2m_parts_state;
typedef struct lwm2m_parts_how { /* who wants it */
    lwm2m_flash_fn done;
    void (*said)(void *user, const lwm2m_parts_state *state); /* it is so far: to be kept; or NULL */
    void *user;
} lwm2m_parts_how;
int lwm2m_parts_read(lwm2m_parts **out, lwm2m_server *s, bridge_peer *voice, const node *body, const char **why); /* for one device, or several */
void lwm2m_parts_free(lwm2m_parts *parts);
int lwm2m_parts_begin(lwm2m_device *d, lwm2m_parts *parts, const lwm2m_parts_how *how); /* CONFLICT; takes a reference */
int lwm2m_parts_resume(lwm2m_server *s, const char *name, lwm2m_parts *parts, const lwm2m_parts_state *state, const lwm2m_parts_how *how);
void lwm2m_parts_abandon(lwm2m_server *s, const void *user, const char *why);
void lwm2m_parts_done(lwm2m_server *s);
int lwm2m_parts_put(const lwm2m_parts *parts, lwm2m_server *s, const char *name, buf *out); /* and its packages into the store */

/* ---- flash_keep.c.  Rows of the store under NAME NUL: a device's, or a campaign's path */
enum { LWM2M_ROW_ORDER = 'o', LWM2M_ROW_PACKAGE = 'p', LWM2M_ROW_STATE = 's', LWM2M_ROW_TARGET = 't' };
typedef struct lwm2m_row {
    const char *name;
    uint8_t row;
    uint32_t number;
    text value;
} lwm2m_row;
typedef struct lwm2m_rows { /* of one name, in order */
    const lwm2m_row *at;
    size_t count;
} lwm2m_rows;
void lwm2m_row_put(lwm2m_server *s, const char *name, uint8_t row, uint32_t number, const void *data, size_t len);
void lwm2m_rows_drop(lwm2m_server *s, const char *name); /* all of that name */
const lwm2m_row *lwm2m_row_of(const lwm2m_rows *rows, uint8_t row, uint32_t number); /* or NULL */

enum { LWM2M_KEPT_FLASH = 'F', LWM2M_KEPT_PARTS = 'P', LWM2M_KEPT_CAMPAIGN = 'C' }; /* the first byte of an order's row */
int lwm2m_put_text(buf *out, const char *words); /* NULL is "" */
int lwm2m_put_order(lwm2m_server *s, const char *name, uint32_t number, const lwm2m_order *order, buf *out); /* its package goes into a row */
typedef struct lwm2m_taking { /* a row that is being read; what does not fit makes it bad, and is 0 */
    text left;
    bool bad;
} lwm2m_taking;
uint8_t lwm2m_take_u8(lwm2m_taking *t);
uint32_t lwm2m_take_u32(lwm2m_taking *t);
text lwm2m_take_text(lwm2m_taking *t);
/* A package that is not there any more leaves the order without one. */
int lwm2m_take_order(lwm2m_server *s, bridge_peer *voice, const lwm2m_rows *rows, uint32_t number, lwm2m_taking *t, lwm2m_order *out);
int lwm2m_take_parts(lwm2m_parts **out, lwm2m_server *s, bridge_peer *voice, const lwm2m_rows *rows, lwm2m_taking *t);
int lwm2m_take_campaign(lwm2m_port *p, const lwm2m_rows *rows, lwm2m_taking *t); /* campaign_keep.c */
bool lwm2m_is_packed(const lwm2m_order *order); /* it has all that its kind needs */
#define LWM2M_UNPACKED "the package is gone"
/* bridge_call_reply(), once all that was said is in the store. */
void lwm2m_reply_kept(lwm2m_port *p, bridge_call *call, int status);
#endif
