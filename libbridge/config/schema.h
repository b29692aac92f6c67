/* config/schema.h - what a config may say, and what one said.
 *
 *      listen connect routes store durability life passwords allow log limits        docs/config.md */
#ifndef CONFIG_SCHEMA_H
#define CONFIG_SCHEMA_H
#include "config/document.h"

typedef enum entry_kind { ENTRY_LISTEN, ENTRY_CONNECT, ENTRY_ROUTE, ENTRY_RESOURCE, ENTRY_LIFE, ENTRY_KINDS } entry_kind;
typedef struct resource { /* what a list of links says of a path */
    const char *path, *rt, *interface, *title; /* NULL: not said */
    int64_t ct, sz; /* -1: not said */
    bool obs;
} resource;

typedef struct entry { /* something with a slot: a URL, or a route */
    struct entry *next;
    entry_kind kind;
    int line;
    const char *url;    /* LISTEN, CONNECT; borrow from the document, as all texts here */
    char *made;         /* CONNECT: the URL, when it was said as an object; ours */
    bridge_route route; /* ROUTE */
    char *steps;        /* ROUTE: its transformation, when it was said as a list; ours */
    resource resource;  /* RESOURCE */
    bridge_life life;   /* LIFE */
    bridge_slot *slot;  /* while it is open */
    struct entry *was;  /* LISTEN, while a text is being loaded: the one of the old text that lives on in this one */
} entry;

typedef struct settings {
    mem *mem;
    node *document; /* owns the texts */
    entry *first[ENTRY_KINDS], *last[ENTRY_KINDS]; /* in the order of the text */
    const char *store, *passwords, *allow; /* or NULL */
    int store_line, rules_line;
    const node *history;    /* an object of pattern: {keep, records, resolution}, or NULL; read into bridge_history by settings_history() */
    const node *durability; /* an object of pattern: level, or NULL */
    int log_level;  /* 0: not said */
    int64_t max_message, max_queue, max_queue_bytes, max_values, max_value_bytes, max_client_names; /* 0: not said */
} settings;

/* connect.c: {"url": ..., "out": [...], ...} as one URL; *out is in m. */
int connect_url(mem *m, const node *object, char **out, bridge_error *err);
int settings_read(settings **out, mem *m, const char *json, bridge_error *err);
int settings_history(const node *n, bridge_history *out, bridge_error *err);
void settings_free(settings *s); /* the slots stay open; NULL is fine */
bool entry_same(const entry *a, const entry *b);

#endif
