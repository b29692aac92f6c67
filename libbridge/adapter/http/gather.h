/* adapter/http/gather.h - a long answer in slices: as much as the client takes, a turn of the loop between two of them. */
#ifndef HTTP_GATHER_H
#define HTTP_GATHER_H
#include "adapter/http/server.h"
#include "hub/walk.h"

typedef struct gather_kind {
    const char *type, *open, *close; /* open and close stand around all of it */
    int (*add)(void *user, bridge_msg *msg); /* user: a gathered; 0 or negative */
    int (*name)(void *user, const char *segment, bool has_value, bool has_children); /* instead: it is the names below a path */
    bridge_format pack; /* instead: it is one SenML pack, of this format */
    int (*begin)(void *user); /* or NULL: says what stands before the values */
    void (*free)(void *own);
} gather_kind;

typedef struct gathered {
    http_conn *conn;
    buf *out;
    bool more; /* not the first */
    bool top;  /* names: below nothing */
    void *own; /* of the kind: for its free() */
} gathered;

void gather_read(request *r, const char *pattern, const gather_kind *kind, void *own); /* pattern: of names the path; "" the top; takes own */
void gather_drained(http_conn *c);
void gather_tick(http_conn *c);
void gather_end(http_conn *c); /* nothing when there is none */
#endif
