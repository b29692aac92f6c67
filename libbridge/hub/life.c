/* The life of names.  A topic of MQTT is there for ever once somebody has said it; here patterns have rules: how long a value is
 * good, how long a name nobody uses stays, how many names may stand next to each other; and a client may have only so many.
 *
 * Used is a name that is written, asked for (GET), or watched by itself, not by a wildcard: who archives "#" keeps nothing alive.
 * A walk through the values below the pattern, a few hundred a turn, finds the unused ones; when each was used last hangs on
 * the value, and only below such a pattern. */
#include "base/status.h"
#include "hub/hub.h"

enum { WALK = 300, SWEEPS = 4, SWEEP_MIN = 1000 };

struct life {
    ptrie rules;
    list all;
    map clients; /* names of each, when they are counted */
    uint64_t removed, refused;
};

struct life_rule {
    list link;
    ptrie_entry place;
    hub *hub;
    int64_t value_ttl, unused;
    size_t max_children;
    timer timer;
    trie_cursor walk;
    bool walking;
};

typedef struct used { /* hangs on a value */
    derived derived;
    int64_t at;
} used;

typedef struct client {
    size_t names, len;
    char key[];
} client;

int life_new(hub *h)
{
    h->life = mem_new(h->mem, struct life);
    if (!h->life) return BRIDGE_NOMEM;
    ptrie_init(&h->life->rules, h->mem, h->seed + 5);
    list_init(&h->life->all);
    map_init(&h->life->clients, h->mem, h->seed + 6);
    return 0;
}

static void forget_clients(hub *h)
{
    size_t at = 0;
    client *c;

    while ((c = map_next(&h->life->clients, &at)))
        mem_free(h->mem, c);
    map_done(&h->life->clients);
    map_init(&h->life->clients, h->mem, h->seed + 6);
}

void life_free(hub *h)
{
    if (!h->life) return;
    while (!list_empty(&h->life->all))
        life_remove(list_of(h->life->all.next, life_rule, link));
    forget_clients(h);
    map_done(&h->life->clients);
    ptrie_done(&h->life->rules);
    mem_free(h->mem, h->life);
    h->life = NULL;
}

/* ---- used */

static used *used_of(bridge_msg *value, int64_t now)
{
    derived *d = msg_derived(value, DERIVED_LIFE);
    used *u;

    if (d) return (used *)d;
    u = mem_alloc(value->mem, sizeof *u);
    if (!u) return NULL;
    *u = (used){.derived.key = DERIVED_LIFE, .at = now};
    return (used *)msg_derive(value, &u->derived);
}

static life_rule *rule_of(const hub *h, const bridge_msg *msg)
{
    ptrie_entry *e = h->life->rules.count ? ptrie_best(&h->life->rules, msg->path, msg->path_len) : NULL;

    return e ? list_of(e, life_rule, place) : NULL;
}

void life_use(hub *h, bridge_msg *value)
{
    life_rule *r = rule_of(h, value);
    int64_t now = loop_calendar(h->loop);
    used *u = r && r->unused ? used_of(value, now) : NULL;

    if (u) u->at = now;
}

static void on_subs(void *user, sub *const *subs, size_t count, sub_group *group)
{
    (void)group;
    for (size_t i = 0; i < count; i++)
        if (!((const bridge_watch *)subs[i])->wild) *(bool *)user = true;
}

static void look_at(life_rule *r, bridge_msg *value, int64_t now)
{
    hub *h = r->hub;
    used *u = rule_of(h, value) == r ? used_of(value, now) : NULL;
    bool watched = false;

    if (!u || now - u->at < r->unused) return;
    tree_match(h->tree, value->path, value->path_len, on_subs, &watched);
    if (watched) {
        u->at = now;
        return;
    }
    h->life->removed++;
    bridge_msg_ref(value);
    values_remove(h, msg_path(value));
    bridge_msg_unref(value);
}

static void on_sweep(timer *t)
{
    life_rule *r = list_of(t, life_rule, timer);
    hub *h = r->hub;
    int64_t now = loop_calendar(h->loop), next = r->unused / SWEEPS;
    bridge_msg *value = NULL;

    if (!r->walking) r->walk = tree_values(h->tree, r->place.pattern);
    r->walking = true;
    for (int i = 0; i < WALK && (value = tree_next_value(&r->walk)); i++)
        look_at(r, value, now);
    if (!value) {
        tree_leave_values(&r->walk);
        r->walking = false;
    }
    timer_start(&r->timer, h->loop, r->walking ? 1 : next < SWEEP_MIN ? SWEEP_MIN : next, on_sweep);
}

/* ---- rules */

static int check(const bridge_life *said, bridge_error *err)
{
    if (!said->pattern) return fail(err, BRIDGE_INVALID, "a rule of life has a pattern");
    if (said->value_ttl < 0 || said->unused < 0) return fail(err, BRIDGE_INVALID, "a time to live is not negative");
    if (said->unused && said->unused < SWEEP_MIN) return fail(err, BRIDGE_INVALID, "a name stays at least a second unused");
    if (said->max_children > LIFE_MAX_CHILDREN) return fail(err, BRIDGE_INVALID, "max_children is at most %d", LIFE_MAX_CHILDREN);
    if (!said->value_ttl && !said->unused && !said->max_children)
        return fail(err, BRIDGE_INVALID, "a rule of life says value_ttl, unused or max_children");
    return 0;
}

int life_add(hub *h, const bridge_life *given, life_rule **out, bridge_error *err)
{
    bridge_life said = {0};
    life_rule *r;
    pattern *p = NULL;
    int rc;

    memcpy(&said, given, given->size < sizeof said ? given->size : sizeof said);
    rc = check(&said, err);
    if (rc == 0 && h->life->rules.count >= LIFE_MAX_RULES) rc = fail(err, BRIDGE_BUSY, "more than %d rules of life", LIFE_MAX_RULES);
    if (rc == 0) rc = pattern_new(h->mem, &p, said.pattern, strlen(said.pattern), PATTERN_FULL, err);
    if (rc == 0 && ptrie_same(&h->life->rules, p)) rc = fail(err, BRIDGE_EXISTS, "\"%s\" has a rule of life already", said.pattern);
    r = rc == 0 ? mem_new(h->mem, life_rule) : NULL;
    if (rc == 0 && !r) rc = fail_nomem(err);
    if (rc == 0) {
        *r = (life_rule){.hub = h, .value_ttl = said.value_ttl, .unused = said.unused, .max_children = said.max_children, .place.pattern = p};
        rc = ptrie_add(&h->life->rules, &r->place) < 0 ? fail_nomem(err) : 0;
    }
    if (rc < 0) {
        mem_free(h->mem, r);
        mem_free(h->mem, p);
        return rc;
    }
    list_push(&h->life->all, &r->link);
    if (r->unused) timer_start(&r->timer, h->loop, r->unused / SWEEPS < SWEEP_MIN ? SWEEP_MIN : r->unused / SWEEPS, on_sweep);
    *out = r;
    return 0;
}

void life_remove(life_rule *r)
{
    hub *h = r->hub;

    timer_stop(&r->timer);
    if (r->walking) tree_leave_values(&r->walk);
    ptrie_remove(&h->life->rules, &r->place);
    list_remove(&r->link);
    mem_free(h->mem, (void *)(uintptr_t)r->place.pattern);
    mem_free(h->mem, r);
}

/* ---- limits on new names */

/* How many stand below the deepest ancestor that is there: one more would be the new name, or the beginning of it. */
static bool has_room(hub *h, const bridge_msg *msg, size_t most)
{
    const trie *t = &h->tree->values;
    size_t len = msg->path_len, count = 0;
    uint32_t node = 0;

    while (len > 0 && !node) {
        while (len > 0 && msg->path[len - 1] != '/') len--;
        if (len > 0) node = trie_find_path(t, msg->path, --len);
    }
    if (!node && !t->count) return true;
    for (uint32_t c = trie_at(t, node)->child; c && count < most; c = trie_at(t, c)->next)
        count++;
    return count < most;
}

/* "user:alice", "host:10.0.0.7" where its peer has been told so; else "coap:10.0.0.7", "mqtt:client-7": of an address the port is left out, which a stranger changes at will. */
static text client_of(const bridge_msg *msg)
{
    const origin *o = msg->origin;
    text t = o ? text_of(o->text) : (text){NULL, 0};
    size_t len = t.len;

    if (o && o->account) return text_of(o->text + o->account);
    if (!o || (o->scheme_len == 3 && memcmp(o->text, "app", 3) == 0)) return (text){NULL, 0};
    while (len > 0 && t.p[len - 1] >= '0' && t.p[len - 1] <= '9') len--;
    if (len > (size_t)o->scheme_len + 1 && len < t.len && t.p[len - 1] == ':' && memcmp(t.p, "mqtt:", 5) != 0) t.len = len - 1;
    return t;
}

static bool may_have_more(hub *h, const bridge_msg *msg)
{
    text who = client_of(msg);
    const client *c = who.p ? map_get(&h->life->clients, who.p, who.len) : NULL;

    return !c || c->names < h->limits.max_client_names;
}

int life_admit(hub *h, bridge_msg *msg, const bridge_msg *there)
{
    life_rule *r = rule_of(h, msg);
    int64_t now = loop_calendar(h->loop);

    if (!there && r && r->max_children && !has_room(h, msg, r->max_children)) {
        h->life->refused++;
        return hub_over(h, "%zu names there at most", (size_t)r->max_children);
    }
    if (!there && h->limits.max_client_names && !may_have_more(h, msg)) {
        h->life->refused++;
        return hub_over(h, "%zu values of one client at most", h->limits.max_client_names);
    }
    if (r && r->value_ttl && now + r->value_ttl < msg->expires) msg->expires = now + r->value_ttl;
    if (r && r->unused) {
        used *u = used_of(msg, now);
        if (u) u->at = now;
    }
    return 0;
}

static void count(hub *h, const bridge_msg *msg, bool more)
{
    text who = client_of(msg);
    client *c = who.p ? map_get(&h->life->clients, who.p, who.len) : NULL;

    if (!who.p || (!c && !more)) return;
    if (!c) {
        c = mem_alloc(h->mem, sizeof *c + who.len);
        if (!c) return; /* not counted is not limited: better than refused for ever */
        *c = (client){.len = who.len};
        memcpy(c->key, who.p, who.len);
        if (map_put(&h->life->clients, c->key, c->len, c, NULL) < 0) {
            mem_free(h->mem, c);
            return;
        }
    }
    c->names += more ? 1 : (size_t)-1;
    if (c->names) return;
    map_remove(&h->life->clients, c->key, c->len);
    mem_free(h->mem, c);
}

/* A name belongs to who wrote it last. */
void life_account(hub *h, const bridge_msg *was, const bridge_msg *is)
{
    if (is) count(h, is, true);
    if (was) count(h, was, false);
}

static int count_one(void *user, void *value)
{
    count(user, value, true);
    return 0;
}

void life_limit_clients(hub *h, size_t most)
{
    pattern_room room;
    pattern p;

    if (!h->limits.max_client_names && most && pattern_read(&p, &room, "#", 1, PATTERN_FILTER, NULL) == 0) {
        forget_clients(h);
        tree_each_value(h->tree, &p, count_one, h);
    }
    h->limits.max_client_names = most;
}

/* ---- numbers and words */

void life_stats(hub *h, bridge_stat_fn fn, void *user)
{
    fn(user, "bridge_hub_names_unused_total", "", (double)h->life->removed);
    fn(user, "bridge_hub_names_refused_total", "", (double)h->life->refused);
}

void life_explain(hub *h, text path, buf *out)
{
    ptrie_entry *e = h->life->rules.count ? ptrie_best(&h->life->rules, path.p, path.len) : NULL;
    const life_rule *r = e ? list_of(e, life_rule, place) : NULL;

    if (!r) return;
    buf_print(out, "its life is ruled by %s:", r->place.pattern->text);
    if (r->value_ttl) buf_print(out, " a value is good for %lld ms;", (long long)r->value_ttl);
    if (r->unused) buf_print(out, " unused for %lld ms it goes;", (long long)r->unused);
    if (r->max_children) buf_print(out, " at most %zu names stand next to each other;", r->max_children);
    out->data[out->len - 1] = '\n';
}
