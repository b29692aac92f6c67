/* hub/routes.h - routes as they are kept; shared by the files routes*.c only. */
#ifndef HUB_ROUTES_H
#define HUB_ROUTES_H
#include "hub/hub.h"
#include "transform/transform.h"

typedef enum route_kind { ROUTE_NAME, ROUTE_COPY } route_kind;

typedef struct far far; /* an uplink by its name; routes_far.c */

typedef struct route_end { /* its place in a trie */
    ptrie_entry entry;
    struct route *route;
} route_end;

struct route {
    list link;
    route_kind kind;
    uint8_t scheme;    /* NAME: whose; SCHEME_ANY: everybody's */
    bool back_too;     /* NAME: shown to the scheme under the name; COPY: also from target to source */
    route_end forth, back;
    far *from_far, *to_far; /* COPY: this side is an uplink's; NULL: it is a path of ours */
    pattern *from, *to;               /* NAME: the scheme's name, the canonical path.  COPY: source, target */
    pattern *to_target; /* to, for filling in; another one only when `to` cannot be matched with (a name stands in it twice) */
    pattern_link from_link, to_link;
    bridge_format format; /* FORMAT_AUTO: as it is */
    bridge_keep retain;
    int max_qos; /* 3: no cap */
    transform *does, *undoes; /* undoes: the way back, when there is one; or NULL */
    transform_state *state;   /* what `does` remembers */
    bool pass_bad;            /* a payload that a step cannot take goes on as it is */
    bool removed;
    char *kept;  /* lasting: its key in the store; or NULL */
    size_t kept_len;
    bool restored; /* it came from the store, and nobody has asked for it in this run */
    bool by_hand;  /* routes_hand.c */
    hub *hub;
    timer timer;
    uint64_t number, crossed;
    char *label; /* "coap:r/{room}/temp -> home/{room}/temp" */
    log_budget budget;
};

struct names { /* of one scheme */
    ptrie in, out;
    size_t count;
    pathcache inward; /* names that were met before */
};

enum { EVERY = HUB_SCHEMES };

struct routes {
    struct names names[HUB_SCHEMES + 1]; /* the last is every scheme's */
    ptrie copies;
    list all, dead;
    list functions; /* that transformations may call: routes_change.c */
    list fars;
    bool ending;
    size_t count;
    uint64_t changes; /* one more with each route that comes or goes: what was remembered is stale */
};

static inline route *route_of(const ptrie_entry *e)
{
    return list_of(e, route_end, entry)->route;
}

/* One that nobody holds a slot of. */
static inline bool route_is_by_hand(const route *r)
{
    return r->by_hand || r->restored;
}
route *route_there(hub *h, const route *r); /* one whose place it would take; or NULL */
void route_free(mem *m, route *r);

/* ---- routes_names.c */
void names_remembered(hub *h, struct routes *rs);
void names_forgotten(struct routes *rs);
void names_explain(hub *h, text path, buf *out);
/* The other side's path for one that `matched`, in out[room]: its length, or negative. */
int route_fill(const route *r, bool forth, const pattern *matched, text name, char *out, size_t room);

/* ---- routes.c: one copy, over the route of this entry */
void routes_carry_one(hub *h, bridge_peer *from, ptrie_entry *e, bridge_msg *msg, bridge_verb verb, const crossing *came);
void routes_carry_kept(route *r, bool forth, bridge_msg *value); /* to an uplink that was not there before */

/* ---- routes_far.c.  One that was named stays as long as the bridge: routes point to it. */
far *far_named(hub *h, text name); /* NULL: no memory */
ptrie *far_in(far *f);
const char *far_name(const far *f);
const bridge_peer *far_peer(const far *f); /* NULL: there is none now */
int far_join(route *r, bridge_error *err); /* tells the uplinks that it names; it is in the tries */
void far_leave(route *r);
bool far_is_from(const far *f, const bridge_peer *from, const bridge_msg *msg);
bool far_is_up(const far *f);
int far_may(const far *f, bridge_verb verb, const char *path); /* 0, DENIED: as the uplink's user */
int far_send(const far *f, bridge_verb verb, bridge_msg *msg, bool kept);
void fars_free(hub *h);
void fars_explain(hub *h, text path, buf *out);

/* ---- routes_read.c
 * Reads and checks what was said; *out is whole but in no trie. */
int route_read(hub *h, const bridge_route *said, route **out, bridge_error *err);

/* ---- routes_keep.c: r->kept is set, also while the store is read */
int route_keep(hub *h, route *r, const bridge_route *said);
void route_keep_not(hub *h, route *r);

/* ---- routes_change.c: what a route makes of a message
 * For a name, on the way in: under another path, transformed, in its format, with its QoS cap and retain. */
int route_apply(hub *h, route *r, bridge_msg *msg, bridge_verb verb, text path, bridge_msg **out);
/* For a name, on the way out: as the scheme has it. */
int route_show(hub *h, route *r, bridge_msg *msg, text name, bridge_msg **out);
/* For a copy: none, one or several messages, now or later. */
void route_carry(bridge_peer *from, route *r, bool forth, bridge_msg *msg, text path, int verb, const crossing *came);
enum { VERB_KEPT = -2 }; /* no news: a PUT for an uplink that has just come */
int route_transform_read(hub *h, route *r, const bridge_route *said, bridge_error *err);
void route_transform_flush(route *r); /* what is held back goes on */
void route_transform_free(mem *m, route *r);
void functions_free(hub *h);
#endif
