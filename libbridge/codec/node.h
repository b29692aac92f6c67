/* codec/node.h - a JSON or CBOR value as a tree, for what cannot be done in passing: patches, and telling values from
 * trees. */
#ifndef CODEC_NODE_H
#define CODEC_NODE_H
#include "base/text.h"
#include "codec/item.h"
#include "codec/registry.h"

typedef struct node {
    item it;         /* LIST and MAP: the members follow */
    const item *key; /* in a map */
    struct node *first, *next;
} node;

typedef struct node_builder {
    scratch *scratch;
    bridge_error *err;
    node *root;
    const item *key;
    int depth;
    node **tail[CODEC_MAX_DEPTH + 1];
} node_builder;
#define NODE_BUILDER(memory, error) (&(node_builder){.scratch = (memory), .err = (error)})
int node_add(void *builder, const item *it); /* an item_fn; the tree is builder->root */

int node_walk(const node *n, item_fn fn, void *user); /* says the items again */
/* Deep; *budget counts nodes down, so that patches cannot double a value for ever.  TOOBIG, NOMEM. */
int node_copy(scratch *s, const node *n, size_t *budget, node **out, bridge_error *err);
/* By value: numbers numerically, maps whatever their order (RFC 6902 4.6). */
bool node_equal(const node *a, const node *b);
size_t node_total(const node *n);         /* all of them, itself included */
node **node_member(node *map, text name); /* the place that points to it: of the last with that name; NULL: none */
const node *node_of(const node *map, const char *name); /* the member itself; NULL: none, or no map */
node **node_member_key(node *map, const item *key);
size_t node_count(const node *n);

/* Reads JSON or CBOR. */
int node_read(scratch *s, bridge_format format, const void *data, size_t len, node **out, bridge_error *err);
int node_write(const node *n, bridge_format format, buf *out, bridge_error *err);
#endif
