/* The tree, the ptrie and patterns against a slow obvious implementation: lists, and a matcher that splits and
 * recurses.
 *
 *      test_tree_model [operations, default 60000] [seed]
 *
 * The alphabet is made to hurt: empty segments, '$', braces that are text, names inside of text, long segments, deep
 * paths. */
#include "check.h"
#include "core/tree.h"
#include <stdlib.h>

static uint64_t random_state = 88172645463325252u;
static uint32_t dice(uint32_t sides)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)((random_state >> 32) * sides >> 32);
}

enum { PATH_ROOM = 700, MANY = 48 };
static const char *const words[] = {"",
                                    "$",
                                    "$S",
                                    "a",
                                    "b",
                                    "ab",
                                    "\xc3\xbc",
                                    "abcdefgh",
                                    "abcdefghi",
                                    "aXb",
                                    "a-segment-that-does-not-fit-into-a-node",
                                    "a-segment-of-exactly-28-bytes"};
static const char *const full_words[] = {"+", "+", "#", "{1}", "a{2}", "{3}b", "a{4}b", "${5}", "{6}", "{7...}"};
static const char *const filter_words[] = {"+", "+", "+", "#", "{x}"};

static void random_path(char *out)
{
    uint32_t levels = dice(60) == 0 ? 1 + dice(40) : 1 + dice(4);

    do {
        out[0] = 0;
        for (uint32_t i = 0; i < levels && strlen(out) + 45 < PATH_ROOM; i++) {
            if (i) strcat(out, "/");
            strcat(out, dice(9) ? words[dice(7)] : words[dice(12)]);
        }
        levels += !out[0]; /* the empty path is none */
    } while (!out[0]);
}

#define ANY_OF(list) (list)[dice(sizeof(list) / sizeof *(list))]

/* A random spelling may be illegal ("#" in the middle, a name twice): then another one is tried. */
static bool plain_phase; /* no text around names, no priorities: the ptrie takes a short cut then */
static pattern *random_pattern(void)
{
    pattern_kind kind = dice(3) ? PATTERN_FULL : dice(2) ? PATTERN_FILTER : PATTERN_EXACT;
    char spelt[PATH_ROOM];
    pattern *p = NULL;

    while (!p) {
        uint32_t levels = 1 + dice(4);

        spelt[0] = 0;
        for (uint32_t i = 0; i < levels; i++) {
            const char *word = dice(2) || kind == PATTERN_EXACT ? words[dice(8)]
                               : kind == PATTERN_FULL           ? ANY_OF(full_words)
                                                                : ANY_OF(filter_words);
            if (i) strcat(spelt, "/");
            strcat(spelt, plain_phase && strchr(word, '{') ? "+" : word);
        }
        pattern_new(mem_default(), &p, spelt, strlen(spelt), kind, NULL);
    }
    return p;
}

/* ---- the slow matcher: strings only ---- */

static bool slow_segment(const char *want, size_t want_len, const char *got, size_t got_len, pattern_kind kind)
{
    const char *open = kind == PATTERN_FULL ? memchr(want, '{', want_len) : NULL;
    size_t pre, post;

    if (kind != PATTERN_EXACT && want_len == 1 && *want == '+') return true;
    if (!open) return want_len == got_len && memcmp(want, got, got_len) == 0;
    pre = (size_t)(open - want);
    post = want_len - (size_t)((char *)memchr(want, '}', want_len) - want) - 1;
    return got_len >= pre + post && strncmp(want, got, pre) == 0 &&
           strncmp(want + want_len - post, got + got_len - post, post) == 0;
}

static bool slow_rest(const char *want, pattern_kind kind)
{
    return (kind != PATTERN_EXACT && strcmp(want, "#") == 0) ||
           (kind == PATTERN_FULL && strstr(want, "...}") && !strchr(want, '/'));
}

static bool slow_from(const char *want, const char *got, pattern_kind kind)
{
    size_t want_len = strcspn(want, "/"), got_len = strcspn(got, "/");

    if (slow_rest(want, kind)) return true;
    if (!slow_segment(want, want_len, got, got_len, kind)) return false;
    if (!want[want_len] && !got[got_len]) return true;
    if (!got[got_len]) return slow_rest(want + want_len + 1, kind); /* "a/#" matches "a" */
    return want[want_len] && slow_from(want + want_len + 1, got + got_len + 1, kind);
}

static bool slow_match(const pattern *p, const char *path)
{
    char first = p->text[0];

    if (path[0] == '$' && p->kind != PATTERN_EXACT && (first == '+' || first == '#')) return false;
    if (path[0] == '$' && p->kind == PATTERN_FULL && first == '{') return false;
    return slow_from(p->text, path, (pattern_kind)p->kind);
}

/* ---- what should be there ---- */

typedef struct kept {
    char path[PATH_ROOM];
    int seen, listed, said;
    bool expected; /* was there when the long walk began */
    long id;       /* a freed one's address comes again, this does not */
} kept;
typedef struct watch {
    sub sub; /* first: a sub * is a watch * */
    pattern *pattern;
    char group[4]; /* "": not shared */
    int seen;
} watch;

typedef struct model {
    long last_id;
    tree *t;
    ptrie routes;
    kept *kept[MANY];
    watch *watches[MANY];
    ptrie_entry *owners[MANY], *entries[MANY];
    trie_cursor walk; /* rests while all changes; walk_pattern NULL: none */
    pattern *walk_pattern;
} model;

static void replace_value(model *m)
{
    kept **slot = &m->kept[dice(MANY)], *k = calloc(1, sizeof *k);
    void *old = k;

    if (*slot) {
        CHECK(tree_remove_value(m->t, (*slot)->path, strlen((*slot)->path)) == *slot);
        CHECK(!tree_value(m->t, (*slot)->path, strlen((*slot)->path)));
        free(*slot);
        *slot = NULL;
    }
    k->id = ++m->last_id;
    random_path(k->path);
    CHECK_INT(tree_set_value(m->t, k->path, strlen(k->path), k, &old), 0);
    for (int i = 0; i < MANY; i++) {
        if (!m->kept[i] || strcmp(m->kept[i]->path, k->path) != 0) continue;
        CHECK(old == m->kept[i]);
        free(m->kept[i]);
        m->kept[i] = NULL;
        old = NULL;
    }
    CHECK(!old);
    *slot = k;
}

static void drop_watch(model *m, int i)
{
    watch *w = m->watches[i];

    m->watches[i] = NULL;
    if (!w) return;
    tree_unsubscribe(m->t, &w->sub);
    CHECK(!sub_is_on(&w->sub));
    free(w->pattern);
    free(w);
}

static void subscribe_or_not(model *m)
{
    int i = (int)dice(MANY);
    watch *w = m->watches[i];
    char spelt[PATH_ROOM];

    if (w) {
        drop_watch(m, i);
        return;
    }
    m->watches[i] = w = calloc(1, sizeof *w);
    w->pattern = random_pattern();
    if (dice(3) == 0) sprintf(w->group, "g%d", (int)dice(2));
    CHECK_INT(tree_subscribe(m->t, w->pattern, text_of(w->group[0] ? w->group : NULL), &w->sub), 0);
    if (pattern_is_literal(w->pattern)) {
        CHECK_INT(tree_spell_sub(m->t, &w->sub, spelt, sizeof spelt), w->pattern->len);
        CHECK(memcmp(spelt, w->pattern->text, w->pattern->len) == 0);
    }
}

static void free_entry(ptrie_entry *e)
{
    mem_free(mem_default(), (void *)(uintptr_t)e->pattern);
    free(e);
}

static void drop_owner(model *m, int i)
{
    if (!m->owners[i]) return;
    tree_disown(m->t, m->owners[i]);
    free_entry(m->owners[i]);
    m->owners[i] = NULL;
}

static void own_or_not(model *m)
{
    int at = (int)dice(MANY);
    ptrie_entry *e = m->owners[at];
    bool exists = false;

    if (e) {
        drop_owner(m, at);
        return;
    }
    e = calloc(1, sizeof *e);
    e->pattern = random_pattern();
    for (int i = 0; i < MANY; i++) /* the same shape is what covers both ways */
        exists |= m->owners[i] && pattern_covers(e->pattern, m->owners[i]->pattern) &&
                  pattern_covers(m->owners[i]->pattern, e->pattern);
    CHECK_INT(tree_own(m->t, e), exists ? BRIDGE_EXISTS : 0);
    if (exists)
        free_entry(e);
    else
        m->owners[at] = e;
}

static void drop_route(model *m, int i)
{
    if (!m->entries[i]) return;
    ptrie_remove(&m->routes, m->entries[i]);
    free_entry(m->entries[i]);
    m->entries[i] = NULL;
}

static void route_or_not(model *m)
{
    int i = (int)dice(MANY);
    ptrie_entry *e = m->entries[i];

    if (e) {
        drop_route(m, i);
        return;
    }
    m->entries[i] = e = calloc(1, sizeof *e);
    e->pattern = random_pattern();
    e->priority = plain_phase || dice(3) ? 0 : (int)dice(3) - 1;
    CHECK_INT(ptrie_add(&m->routes, e), 0);
}

/* ---- questions ---- */

static void mark_subs(void *user, sub *const *subs, size_t count, sub_group *group)
{
    (void)user;
    CHECK(count > 0);
    for (size_t i = 0; i < count; i++) {
        watch *w = (watch *)subs[i];
        w->seen++;
        CHECK(group ? strlen(w->group) == group->name_len && memcmp(w->group, group->name, group->name_len) == 0
                    : !w->group[0]);
    }
}

/* A look ahead changes nothing, whatever it is given: names come to it as strangers sent them. */
static void look_ahead(model *m, const char *path)
{
    static const char odd[] = "//\0+/#/$a/a/very/long/way/down/to/where/no/pattern/ever/goes/\377\376";
    text paths[TRIE_AHEAD + 1];

    for (size_t i = 0; i < TRIE_AHEAD + 1; i++)
        paths[i] = i & 1 ? text_of(path) : (text){odd, 1 + dice(sizeof odd - 1)};
    trie_foresee(&m->t->subs, paths, dice(TRIE_AHEAD + 2));
}

static void ask_match(model *m, const char *path)
{
    tree_found found = {0};
    size_t plain = 0;

    look_ahead(m, path);
    for (int i = 0; i < MANY; i++)
        if (m->watches[i]) m->watches[i]->seen = 0;
    tree_match(m->t, path, strlen(path), mark_subs, NULL);
    for (int i = 0; i < MANY; i++) {
        watch *w = m->watches[i];
        int want = w && slow_match(w->pattern, path);

        if (!w) continue;
        if (w->seen != want) fprintf(stderr, "\"%s\" on \"%s\": %d, not %d\n", w->pattern->text, path, w->seen, want);
        CHECK(w->seen == want);
        CHECK(pattern_match(w->pattern, path, strlen(path), NULL) == want);
        plain += want && !w->group[0];
    }
    CHECK_INT(tree_collect(m->t, path, strlen(path), &found), 0);
    CHECK_INT(found.count, plain);
    tree_found_done(&found);
}

static bool slow_before(const ptrie_entry *a, const ptrie_entry *b)
{
    int by = a->priority != b->priority ? a->priority - b->priority : pattern_compare(a->pattern, b->pattern);

    return by > 0 || (by == 0 && a->age < b->age);
}

static void ask_entries(model *m, const char *path)
{
    ptrie_found found = {0};
    ptrie_entry *best = NULL;
    size_t want = 0;

    CHECK_INT(ptrie_all(&m->routes, path, strlen(path), &found), 0);
    for (int i = 0; i < MANY; i++) {
        if (!m->entries[i] || !slow_match(m->entries[i]->pattern, path)) continue;
        want++;
        if (!best || slow_before(m->entries[i], best)) best = m->entries[i];
    }
    CHECK_INT(found.count, want);
    for (size_t i = 1; i < found.count; i++)
        CHECK(slow_before(found.at[i - 1], found.at[i]));
    CHECK(ptrie_best(&m->routes, path, strlen(path)) == best);
    CHECK(found.count == 0 || found.at[0] == best);
    ptrie_found_done(&found);

    best = NULL;
    for (int i = 0; i < MANY; i++)
        if (m->owners[i] && slow_match(m->owners[i]->pattern, path) && (!best || slow_before(m->owners[i], best)))
            best = m->owners[i];
    CHECK(tree_owner(m->t, path, strlen(path)) == best);
}

static int mark_value(void *user, void *value)
{
    (void)user;
    ((kept *)value)->seen++;
    return 0;
}

static void ask_values(model *m)
{
    pattern *p = random_pattern();

    for (int i = 0; i < MANY; i++)
        if (m->kept[i]) m->kept[i]->seen = 0;
    CHECK_INT(tree_each_value(m->t, p, mark_value, NULL), 0);
    for (int i = 0; i < MANY; i++) {
        if (!m->kept[i]) continue;
        CHECK_INT(m->kept[i]->seen, slow_match(p, m->kept[i]->path));
        CHECK(tree_value(m->t, m->kept[i]->path, strlen(m->kept[i]->path)) == m->kept[i]);
    }
    free(p);
}

/* While values are listed anything may come and go: what was there all the time is seen once. */
static int change_things(void *user, void *value)
{
    model *m = user;

    ((kept *)value)->listed++;
    for (uint32_t n = dice(3); n; n--)
        replace_value(m);
    if (dice(40) == 0) ask_values(m); /* a walk inside a walk */
    return dice(40) == 0;
}

static void change_values_while_listed(model *m)
{
    long before[MANY];
    pattern *p = random_pattern();
    int stopped;

    for (int i = 0; i < MANY; i++) {
        before[i] = m->kept[i] ? m->kept[i]->id : 0;
        if (m->kept[i]) m->kept[i]->listed = 0;
    }
    stopped = tree_each_value(m->t, p, change_things, m);
    for (int i = 0; i < MANY; i++) {
        const kept *now = m->kept[i];

        if (!now || now->id != before[i]) continue;
        CHECK(now->listed <= 1);
        CHECK(now->listed == slow_match(p, now->path) || stopped);
    }
    free(p);
}

/* A walk that takes a step now and then, over many changes. */
static void begin_long_walk(model *m)
{
    m->walk_pattern = random_pattern();
    m->walk = tree_values(m->t, m->walk_pattern);
    for (int i = 0; i < MANY; i++) {
        if (!m->kept[i]) continue;
        m->kept[i]->expected = slow_match(m->walk_pattern, m->kept[i]->path);
        m->kept[i]->said = 0;
    }
}

static void end_long_walk(model *m, bool all_said)
{
    for (int i = 0; i < MANY; i++) {
        if (!m->kept[i]) continue;
        CHECK(m->kept[i]->said <= 1);
        CHECK(m->kept[i]->said == 1 || !m->kept[i]->expected || !all_said);
        m->kept[i]->expected = false;
        m->kept[i]->said = 0;
    }
    tree_leave_values(&m->walk);
    free(m->walk_pattern);
    m->walk_pattern = NULL;
}

static void step_long_walk(model *m)
{
    kept *k;

    if (!m->walk_pattern) {
        begin_long_walk(m);
    } else if (dice(200) == 0) {
        end_long_walk(m, false);
    } else if ((k = tree_next_value(&m->walk))) {
        k->said++;
        CHECK(slow_match(m->walk_pattern, k->path));
    } else {
        end_long_walk(m, true);
    }
}

/* Overlap and cover: what they say may not be contradicted by any path. */
static void ask_patterns(const char *path)
{
    pattern *a = random_pattern(), *b = random_pattern();
    bool on_a = pattern_match(a, path, strlen(path), NULL), on_b = pattern_match(b, path, strlen(path), NULL);

    if (on_a && on_b) CHECK(pattern_overlaps(a, b));
    if (on_b && !on_a) CHECK(!pattern_covers(a, b));
    if (pattern_covers(a, b)) CHECK(pattern_overlaps(a, b));
    CHECK(pattern_overlaps(a, b) == pattern_overlaps(b, a));
    free(a);
    free(b);
}

/* What a pattern captured, filled into the same pattern, is the path again: names survive a round trip. */
static void ask_fill(const char *path)
{
    pattern *p = random_pattern();
    pattern_link link;
    captures c;
    char out[PATH_ROOM + 8];

    if (pattern_match(p, path, strlen(path), &c)) {
        CHECK_INT(pattern_bind(p, p, &link, NULL), 0);
        CHECK_INT(pattern_fill(p, &link, &c, out, sizeof out), strlen(path));
        CHECK_STR(out, path);
    }
    free(p);
}

static void clear(model *m)
{
    if (m->walk_pattern) end_long_walk(m, false);
    for (int i = 0; i < MANY; i++) {
        if (m->kept[i]) tree_remove_value(m->t, m->kept[i]->path, strlen(m->kept[i]->path));
        free(m->kept[i]);
        m->kept[i] = NULL;
        drop_watch(m, i);
        drop_owner(m, i);
        drop_route(m, i);
    }
    CHECK_INT(tree_count(m->t).nodes, 0);
    CHECK_INT(tree_count(m->t).values + tree_count(m->t).subs + tree_count(m->t).owners, 0);
    CHECK_INT(m->t->list_bytes + m->t->values.long_bytes + m->t->subs.long_bytes, 0);
    CHECK_INT(m->routes.trie.count + m->routes.unlike, 0);
}

int main(int argc, char **argv)
{
    long operations = argc > 1 ? atol(argv[1]) : 60000;
    static model m;
    char path[PATH_ROOM];

    if (argc > 2) random_state ^= strtoull(argv[2], NULL, 0) * 0x9e3779b97f4a7c15u;
    CHECK_INT(tree_new(mem_default(), random_state, &m.t), 0);
    ptrie_init(&m.routes, mem_default(), random_state);
    for (long i = 0; i < operations && !check_failed; i++) {
        switch (dice(4)) {
        case 0: replace_value(&m); break;
        case 1: subscribe_or_not(&m); break;
        case 2: own_or_not(&m); break;
        default: route_or_not(&m); break;
        }
        random_path(path);
        ask_match(&m, path);
        ask_entries(&m, path);
        ask_patterns(path);
        ask_fill(path);
        if (dice(4) == 0) ask_values(&m);
        if (dice(3) == 0) step_long_walk(&m);
        if (dice(50) == 0) change_values_while_listed(&m);
        if (dice(2000) == 0) {
            clear(&m);
            plain_phase = dice(2);
        }
    }
    clear(&m);
    tree_free(m.t);
    ptrie_done(&m.routes);
    return check_done();
}
