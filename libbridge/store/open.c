/* store/open.c - the beginning and the end of a store: "memory:", "sqlite:FILE?commit=5ms&durability=full&pending=67108864". */
#include "base/status.h"
#include "store/store.h"
#include <stdio.h>

static const bridge_store_engine *const engines[] = {&sqlite_engine, NULL};

int store_level_of(const char *word)
{
    static const char *const words[] = {"none", "normal", "full"};

    for (int i = 0; i < 3; i++)
        if (strcmp(words[i], word) == 0) return i;
    return BRIDGE_INVALID;
}

typedef struct words { /* what a store's URL says */
    const bridge_store_engine *engine; /* NULL: memory */
    char where[1024];
    uint64_t commit, pending, wait;
    int level;
} words;

static int take_ms(text value, uint64_t *out, const char *name, bridge_error *err)
{
    if (value.len > 2 && memcmp(value.p + value.len - 2, "ms", 2) == 0) value.len -= 2;
    if (text_to_u64(value, 60000, out)) return 0;
    return fail(err, BRIDGE_INVALID, "store option %s=%.*s: milliseconds, up to 60000, are wanted", name, (int)(value.len < 40 ? value.len : 40), value.p);
}

static int one_option(words *w, text key, text value, bridge_error *err)
{
    static const char *const known[] = {"commit", "durability", "pending", "wait", NULL};
    char word[40] = "", name[40] = "";

    snprintf(name, sizeof name, "%.*s", (int)key.len, key.p);
    snprintf(word, sizeof word, "%.*s", (int)value.len, value.p);
    if (text_is(key, "commit")) return take_ms(value, &w->commit, "commit", err);
    if (text_is(key, "wait")) return take_ms(value, &w->wait, "wait", err);
    if (text_is(key, "pending")) {
        if (text_to_u64(value, (uint64_t)1 << 40, &w->pending) && w->pending >= 65536) return 0;
        return fail(err, BRIDGE_INVALID, "store option pending=%s: bytes, at least 65536, are wanted", word);
    }
    if (text_is(key, "durability")) {
        w->level = store_level_of(word);
        if (w->level >= 0) return 0;
        return fail(err, BRIDGE_INVALID, "store option durability=%s: full, normal or none is wanted", word);
    }
    const char *near = text_nearest(name, known);
    return fail(err, BRIDGE_INVALID, "a store has no option \"%s\"%s%s%s", name, near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

static int read_words(words *w, const char *url, bridge_error *err)
{
    text scheme, rest, where, query, one, key, value;
    int rc = 0;

    *w = (words){.commit = STORE_COMMIT, .pending = STORE_PENDING, .wait = STORE_WAIT, .level = STORE_FULL};
    if (!text_cut(text_of(url), ':', &scheme, &rest))
        return fail(err, BRIDGE_SYNTAX, "store \"%.100s\": memory: or sqlite:FILE is wanted", url);
    text_cut(rest, '?', &where, &query);
    if (text_is(scheme, "memory")) return where.len ? fail(err, BRIDGE_INVALID, "memory: has no name") : 0;
    for (size_t i = 0; engines[i]; i++)
        if (text_is(scheme, engines[i]->scheme)) w->engine = engines[i];
    if (!w->engine) return fail(err, BRIDGE_UNSUPPORTED, "no store is called \"%.*s:\"; there are memory: and sqlite:FILE", (int)scheme.len, scheme.p);
    if (where.len > 2 && where.p[0] == '/' && where.p[1] == '/') where = (text){where.p + 2, where.len - 2}; /* sqlite:///var/x.db */
    if (where.len == 0 || where.len >= sizeof w->where) return fail(err, BRIDGE_SYNTAX, "store \"%.100s\": a file name is wanted", url);
    memcpy(w->where, where.p, where.len);
    while (rc == 0 && query.len) {
        text_cut(query, '&', &one, &query);
        text_cut(one, '=', &key, &value);
        rc = one_option(w, key, value, err);
    }
    return rc;
}

int store_check(const char *url, bridge_error *err)
{
    words w;

    return read_words(&w, url, err);
}

/* ---- queue numbers: each start takes a range of its own, so that none comes again whatever the clock says */

static int on_range(void *user, const void *key, size_t key_len, const void *value, size_t len)
{
    (void)key;
    (void)key_len;
    if (len == sizeof(uint64_t)) memcpy(user, value, len);
    return 0;
}

static int take_range(bridge_store *s)
{
    uint64_t range = 0, next;
    int rc = s->engine->each(s->state, BRIDGE_KEPT_STORE, "queues", 6, on_range, &range);

    s->queues = range;
    next = range + ((uint64_t)1 << 32);
    if (rc < 0) return rc;
    rc = s->engine->begin(s->state, false);
    if (rc == 0) rc = s->engine->put(s->state, BRIDGE_KEPT_STORE, "queues", 6, &next, sizeof next);
    if (rc == 0) rc = s->engine->commit(s->state);
    if (rc < 0) s->engine->rollback(s->state);
    return rc;
}

/* ---- life */

static void unmake(bridge_store *s)
{
    mem *m = s->mem;

    if (s->state) s->engine->close(s->state);
    mem_free(m, s->name);
    mem_free(m, s);
    mem_unref(m);
}

static int begin(bridge_store *s, const words *w, bridge_error *err)
{
    bridge_error note = {0};
    bool is_late;
    uint64_t next;
    int rc = s->engine->open(&s->state, w->where, (int)w->wait, &note, err);

    if (rc < 0) return rc;
    if (*note.text) log_line(s->log, BRIDGE_LOG_ERROR, "store", "%s: %s", s->name, note.text);
    rc = take_range(s);
    is_late = rc == BRIDGE_BUSY; /* a full disk: with the first batch */
    if (rc < 0 && !is_late) return fail(err, rc, "%s: %s", s->name, s->engine->why(s->state));
    rc = writer_start(s);
    if (rc < 0) return fail(err, rc, "%s: no thread", s->name);
    store_ready_to_fill(s);
    if (is_late) {
        next = s->queues + ((uint64_t)1 << 32);
        bridge_store_put(s, BRIDGE_KEPT_STORE, "queues", 6, &next, sizeof next);
    }
    return 0;
}

int store_open(bridge_store **out, mem *m, loop *l, logger *log, const char *url, bridge_error *err)
{
    words w;
    bridge_store *s;
    int rc = read_words(&w, url, err);

    if (rc < 0) return rc;
    if (!w.engine) {
        *out = NULL;
        return 0;
    }
    s = mem_new(m, bridge_store);
    if (!s) return fail_nomem(err);
    atomic_init(&s->refs, 1);
    s->mem = mem_ref(m);
    s->loop = l;
    s->log = log;
    s->engine = w.engine;
    s->level = (store_level)w.level;
    s->commit = (int64_t)w.commit;
    s->max_pending = (size_t)w.pending;
    s->filling.number = 1;
    s->waits.next = s->waits.prev = &s->waits;
    s->telling.next = s->telling.prev = &s->telling;
    turn_end_init(&s->end, NULL);
    buf_init(&s->filling.ops, m, 0);
    buf_init(&s->busy.ops, m, 0);
    s->name = mem_text_len(m, url, strcspn(url, "?"));
    rc = s->name ? begin(s, &w, err) : fail_nomem(err);
    if (rc < 0) {
        unmake(s);
        return rc;
    }
    *out = s;
    return 0;
}
