/* hub/routes.h - one route as it is kept; shared by routes.c and routes_read.c only. */
#ifndef HUB_ROUTES_H
#define HUB_ROUTES_H
#include "hub/hub.h"

typedef enum route_kind { ROUTE_NAME, ROUTE_COPY } route_kind;

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
    pattern *from, *to;               /* NAME: the scheme's name, the canonical path.  COPY: source, target */
    pattern *from_target, *to_target; /* the same, for filling in */
    pattern_link from_link, to_link;
    bridge_format format; /* FORMAT_AUTO: as it is */
    bridge_keep retain;
    int max_qos; /* 3: no cap */
    uint64_t number;
    char *label; /* "coap:r/{room}/temp -> home/{room}/temp" */
    log_budget budget;
};

static inline route *route_of(const ptrie_entry *e)
{
    return list_of(e, route_end, entry)->route;
}

/* Reads and checks what was said; *out is whole but in no trie. */
int route_read(hub *h, const bridge_route *said, route **out, bridge_error *err);
/* What the route makes of a message: under another path, in its format, with its QoS cap and retain. */
int route_apply(hub *h, const route *r, bridge_msg *msg, text path, bridge_msg **out);
#endif
