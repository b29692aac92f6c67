/* config/document.h - JSON with comments as a tree whose every value knows its line. */
#ifndef CONFIG_DOCUMENT_H
#define CONFIG_DOCUMENT_H
#include "base/mem.h"
#include "bridge/bridge.h"
#include <stdbool.h>
#include <stdint.h>

enum { DOCUMENT_MAX_DEPTH = 8, DOCUMENT_MAX_BYTES = 32 * 1024 * 1024 };

typedef enum node_kind { NODE_NULL, NODE_BOOL, NODE_INT, NODE_REAL, NODE_TEXT, NODE_LIST, NODE_OBJECT } node_kind;
typedef struct node {
    node_kind kind;
    int line;
    char *key; /* inside an object, else NULL */
    union {
        bool yes;
        int64_t number;
        char *text;
    };
    struct node *parent, *first, *last, *next;
} node;

/* SYNTAX with the line in err; duplicate keys are one. */
int document_read(node **out, mem *m, const char *text, bridge_error *err);
void document_free(mem *m, node *n); /* NULL is fine */
const char *node_kind_name(node_kind kind); /* "a list" */
int config_error(bridge_error *err, int status, int line, const char *format, ...) __attribute__((format(printf, 4, 5)));

#endif
