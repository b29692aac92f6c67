#include "hub/history.h"
#include "base/status.h"
#include "codec/registry.h"
#include <math.h>
#include <stdlib.h>

enum { PRUNE_EVERY = 1000, PRUNE_AGAIN = 20 /* while there is more to go */, PRUNE_PATHS = 200 };

/* ---- paths and their numbers */

static history_path *add_path(history *x, const char *path, size_t len, uint32_t id)
{
    history_path *p;

    while (x->count < id)
        if (mem_grow(x->hub->mem, (void **)&x->all, &x->room, x->count, sizeof *x->all) < 0) return NULL;
        else x->all[x->count++] = NULL;
    p = mem_alloc(x->hub->mem, sizeof *p + len + 1);
    if (!p) return NULL;
    *p = (history_path){.id = id, .last = INT64_MIN, .len = (uint32_t)len};
    memcpy(p->path, path, len);
    p->path[len] = 0;
    if (map_put(&x->paths, p->path, len, p, NULL) < 0) {
        mem_free(x->hub->mem, p);
        return NULL;
    }
    x->all[id - 1] = p;
    return p;
}

static int on_path(void *user, const void *key, size_t key_len, const void *value, size_t len)
{
    uint32_t id;

    if (len != sizeof id) return 0;
    memcpy(&id, value, sizeof id);
    if (id == 0 || id > 2 * HISTORY_PATHS_MAX) return 0;
    return add_path(user, key, key_len, id) ? 0 : BRIDGE_NOMEM;
}

static history_path *path_of(history *x, const bridge_msg *msg)
{
    history_path *p = map_get(&x->paths, msg->path, msg->path_len);

    if (p || x->paths.count >= HISTORY_PATHS_MAX) return p;
    p = add_path(x, msg->path, msg->path_len, (uint32_t)x->count + 1);
    if (p) bridge_store_put(x->hub->store, BRIDGE_KEPT_HISTORY, p->path, p->len, &p->id, sizeof p->id);
    return p;
}

/* ---- recording */

static bool is_number(const bridge_msg *msg, double *out)
{
    const char *at = (const char *)msg_data(msg);
    char digits[40], *end;

    if (msg->len == 0 || msg->len >= sizeof digits) return false;
    if (msg->format != BRIDGE_FORMAT_AUTO && msg->format != BRIDGE_TEXT && msg->format != BRIDGE_JSON) return false;
    for (uint32_t i = 0; i < msg->len; i++)
        if (!strchr("0123456789+-.eE", at[i]) || at[i] == 0) return false;
    memcpy(digits, at, msg->len);
    digits[msg->len] = 0;
    *out = strtod(digits, &end);
    return *end == 0 && isfinite(*out); /* 1e400 is a text */
}

typedef struct packing { /* a SenML pack: each of its records is one of the history */
    history *x;
    history_path *path;
    bridge_past past;
    const bridge_msg *msg;
} packing;

static int on_record(void *user, const bridge_record *r)
{
    packing *k = user;
    bridge_past *p = &k->past;
    char number[40];

    p->name = *r->name ? r->name : NULL;
    p->time = r->time > 0 ? (int64_t)(r->time * 1000 + 0.5) : k->msg->time;
    p->is_number = r->type == BRIDGE_INT || r->type == BRIDGE_UINT || r->type == BRIDGE_REAL || r->type == BRIDGE_BOOL;
    p->format = BRIDGE_TEXT;
    if (p->is_number) {
        p->number = r->type == BRIDGE_INT ? (double)r->as.i : r->type == BRIDGE_UINT ? (double)r->as.u : r->type == BRIDGE_BOOL ? r->as.b : r->as.d;
        p->len = (size_t)snprintf(number, sizeof number, "%.17g", p->number);
        p->value = number;
        if (r->digits && r->type != BRIDGE_BOOL) p->value = r->digits, p->len = strlen(r->digits);
        if (r->type == BRIDGE_BOOL) p->value = r->as.b ? "true" : "false", p->len = r->as.b ? 4 : 5;
        p->is_number = isfinite(p->number);
    } else if (r->type == BRIDGE_STRING || r->type == BRIDGE_TREE || r->type == BRIDGE_OPAQUE) {
        p->value = r->as.bytes.p;
        p->len = r->as.bytes.len;
        if (r->type == BRIDGE_OPAQUE) p->format = BRIDGE_BYTES;
    } else {
        return 0;
    }
    bridge_store_record(k->x->hub->store, p);
    p->part++;
    return 0;
}

void history_record(hub *h, const bridge_msg *msg)
{
    history *x = h->history;
    const ptrie_entry *e = x && x->rules.count && msg->path[0] != '$' ? ptrie_best(&x->rules, msg->path, msg->path_len) : NULL;
    const history_rule *rule;
    history_path *path;

    if (!e) return;
    rule = list_of(e, history_rule, at);
    path = path_of(x, msg);
    if (!path || (rule->resolution && path->last != INT64_MIN && msg->time >= path->last && msg->time < path->last + rule->resolution)) return;
    packing k = {.x = x, .path = path, .msg = msg,
                 .past = {.path = path->id, .time = msg->time, .part = path->last == msg->time ? path->part + 1 : 0, .format = msg->format,
                          .origin = msg->origin ? msg->origin->text : NULL, .value = msg_data(msg), .len = msg->len}};
    if ((msg->format == BRIDGE_SENML_JSON || msg->format == BRIDGE_SENML_CBOR) &&
        codec_read(h->mem, "", (double)msg->time / 1000, (bridge_format)msg->format, msg_data(msg), msg->len, on_record, &k, NULL) == 0) {
        path->part = k.past.part;
    } else {
        k.past.is_number = is_number(msg, &k.past.number);
        bridge_store_record(h->store, &k.past);
        path->part = k.past.part;
    }
    path->last = msg->time;
}

/* ---- retention: a few paths a second, each loses a few thousand records at most, in the store's own thread */

static void on_prune(timer *t)
{
    history *x = list_of(t, history, prune);
    int64_t now = loop_calendar(x->hub->loop);

    for (size_t i = 0; i < PRUNE_PATHS && i < x->count && !store_is_full(x->hub->store); i++) {
        const history_path *p = x->all[x->turn++ % x->count];
        const ptrie_entry *e = p ? ptrie_best(&x->rules, p->path, p->len) : NULL;
        const history_rule *rule = e ? list_of(e, history_rule, at) : NULL;
        if (rule && (rule->keep || rule->records)) bridge_store_prune(x->hub->store, p->id, rule->keep ? now - rule->keep : 0, rule->records);
    }
    timer_start(t, x->hub->loop, atomic_exchange(&x->hub->store->more_to_prune, false) ? PRUNE_AGAIN : PRUNE_EVERY, on_prune);
}

/* ---- rules */

static int history_new(hub *h, bridge_error *err)
{
    history *x;
    int rc;

    if (h->history) return 0;
    if (!h->store) return fail(err, BRIDGE_UNSUPPORTED, "a history needs a store that outlives the process: sqlite:FILE");
    x = h->history = mem_new(h->mem, history);
    if (!x) return fail_nomem(err);
    x->hub = h;
    list_init(&x->rule_list);
    ptrie_init(&x->rules, h->mem, h->seed ^ 6);
    map_init(&x->paths, h->mem, h->seed ^ 7);
    rc = bridge_store_each(h->store, BRIDGE_KEPT_HISTORY, NULL, 0, on_path, x);
    if (rc == 0) rc = history_listen(x);
    if (rc == 0) rc = timer_start(&x->prune, h->loop, PRUNE_EVERY, on_prune);
    if (rc < 0) {
        history_free(h);
        return fail(err, rc, "the history cannot be opened: %s", bridge_status_text(rc));
    }
    return 0;
}

static void drop_rule(history *x, history_rule *r)
{
    ptrie_remove(&x->rules, &r->at);
    list_remove(&r->link);
    mem_free(x->hub->mem, r->pattern);
    mem_free(x->hub->mem, r);
}

int history_rule_set(hub *h, const char *filter, const bridge_history *rule, bridge_error *err)
{
    pattern *p = NULL;
    history_rule *r;
    ptrie_entry *there;
    int rc = pattern_new(h->mem, &p, filter, strlen(filter), PATTERN_FULL, err);

    if (rc < 0) return rc;
    if (h->offline) rc = BRIDGE_CANCELED;
    if (rc == 0 && rule) rc = history_new(h, err);
    if (rc < 0 || !h->history) {
        mem_free(h->mem, p);
        return rc == BRIDGE_CANCELED ? 0 : rc;
    }
    there = ptrie_same(&h->history->rules, p);
    if (there) drop_rule(h->history, list_of(there, history_rule, at));
    if (!rule || h->history->rules.count >= HISTORY_RULES_MAX) {
        mem_free(h->mem, p);
        return rule ? fail(err, BRIDGE_BUSY, "more than %d patterns with a history", HISTORY_RULES_MAX) : 0;
    }
    r = mem_new(h->mem, history_rule);
    if (r) *r = (history_rule){.at.pattern = p, .pattern = p, .keep = rule->keep, .resolution = rule->resolution, .records = rule->records};
    if (r && ptrie_add(&h->history->rules, &r->at) == 0) {
        list_push(&h->history->rule_list, &r->link);
        return 0;
    }
    mem_free(h->mem, r);
    mem_free(h->mem, p);
    return fail_nomem(err);
}

void history_free(hub *h)
{
    history *x = h->history;

    if (!x) return;
    history_deaf(x);
    timer_stop(&x->prune);
    while (!list_empty(&x->rule_list)) drop_rule(x, list_of(x->rule_list.next, history_rule, link));
    ptrie_done(&x->rules);
    map_done(&x->paths);
    for (size_t i = 0; i < x->count; i++) mem_free(h->mem, x->all[i]);
    mem_free(h->mem, x->all);
    mem_free(h->mem, x);
    h->history = NULL;
}

/* ---- who is asked for */

void history_names_free(mem *m, history_name *names, size_t count)
{
    for (size_t i = 0; i < count; i++) mem_free(m, names[i].path);
    mem_free(m, names);
}

static int add_name(hub *h, bridge_peer *peer, const history_path *p, mem *m, history_name **out, size_t *count, size_t *room)
{
    if (peer && !policy_is_open(peer) && policy_check(peer, BRIDGE_GET, p->path) < 0) return 0;
    if (mem_grow(m, (void **)out, room, *count, sizeof **out) < 0) return BRIDGE_NOMEM;
    (void)h;
    (*out)[*count] = (history_name){p->id, mem_text_len(m, p->path, p->len)};
    return (*out)[(*count)++].path ? 0 : BRIDGE_NOMEM;
}

int history_names(hub *h, bridge_peer *peer, const char *filter, mem *m, history_name **out, size_t *count)
{
    history *x = h->history;
    pattern_room where;
    pattern p;
    size_t room = 0;
    int rc;

    *out = NULL;
    *count = 0;
    if (!x) return BRIDGE_NOTFOUND;
    rc = pattern_read(&p, &where, filter, strlen(filter), PATTERN_FULL, NULL);
    if (rc < 0) return BRIDGE_SYNTAX;
    if (pattern_is_literal(&p)) {
        const history_path *one = map_get(&x->paths, filter, strlen(filter));
        rc = one ? add_name(h, peer, one, m, out, count, &room) : BRIDGE_NOTFOUND;
        return rc == 0 && *count == 0 ? BRIDGE_DENIED : rc;
    }
    for (size_t i = 0; rc == 0 && i < x->count; i++)
        if (x->all[i] && pattern_match(&p, x->all[i]->path, x->all[i]->len, NULL)) rc = add_name(h, peer, x->all[i], m, out, count, &room);
    if (rc < 0) history_names_free(m, *out, *count);
    return rc;
}
