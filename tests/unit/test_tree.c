#include "check.h"
#include "core/tree.h"
#include <stdlib.h>

static pattern *read_pattern(const char *spelling)
{
    pattern *p = NULL;

    CHECK_INT(pattern_new(mem_default(), &p, spelling, strlen(spelling), PATTERN_FULL, NULL), 0);
    return p;
}

static int set(tree *t, const char *path, const char *value)
{
    return tree_set_value(t, path, strlen(path), (void *)(uintptr_t)value, NULL);
}

static const char *get(const tree *t, const char *path)
{
    const char *v = tree_value(t, path, strlen(path));

    return v ? v : "-";
}

static void take(tree *t, const char *path)
{
    tree_remove_value(t, path, strlen(path));
}

static int subscribe(tree *t, const char *spelling, const char *group, sub *s)
{
    pattern *p = read_pattern(spelling);
    int rc = tree_subscribe(t, p, text_of(group), s);

    free(p);
    return rc;
}

/* ---- values ---- */

static int append(void *user, void *value)
{
    strcat(user, value);
    return 0;
}

static const char *all(tree *t, const char *spelling)
{
    static char seen[200];
    pattern *p = read_pattern(spelling);

    seen[0] = 0;
    tree_each_value(t, p, append, seen);
    free(p);
    return seen;
}

static void values(tree *t)
{
    char five[] = "5";
    void *old = NULL;

    CHECK_STR(get(t, "a/b"), "-");
    set(t, "a/b", "1");
    set(t, "a/b/c", "2");
    set(t, "/", "3");
    set(t, "$SYS/a", "4");
    CHECK_STR(get(t, "a/b"), "1");
    CHECK_STR(get(t, "a"), "-");
    CHECK_STR(get(t, "/"), "3");
    CHECK_STR(get(t, "//"), "-");
    CHECK_INT(tree_set_value(t, "a/b", 3, five, &old), 0);
    CHECK_STR(old, "1");
    CHECK_INT(tree_count(t).values, 4);
    CHECK_STR(all(t, "a/b"), "5");
    CHECK_STR(all(t, "a/#"), "52");
    CHECK_STR(all(t, "a/b/#"), "52");
    CHECK_STR(all(t, "a/b/c/#"), "2");
    CHECK_STR(all(t, "+/b"), "5");
    CHECK_STR(all(t, "+/+"), "35");
    CHECK_STR(all(t, "$SYS/+"), "4");
    CHECK_STR(all(t, "+/a"), "");
    CHECK_STR(all(t, "+/b{x}"), "5");
    CHECK_STR(all(t, "${x}/#"), "4");
    take(t, "a/b");
    CHECK_STR(get(t, "a/b"), "-");
    CHECK_STR(get(t, "a/b/c"), "2");
    take(t, "a/b/c");
    take(t, "/");
    take(t, "$SYS/a");
    take(t, "never/there");
    CHECK_INT(tree_count(t).nodes, 0);
}

static void long_segments(tree *t)
{
    set(t, "a-segment-of-exactly-28-bytes/a-segment-that-does-not-fit-into-a-node", "1");
    set(t, "a-segment-of-exactly-28-bytes/a-segment-that-does-not-fit-into-a-nodf", "2");
    CHECK_STR(get(t, "a-segment-of-exactly-28-bytes/a-segment-that-does-not-fit-into-a-node"), "1");
    CHECK_STR(all(t, "+/a-segment-that-does-not-{x}-into-a-nodf"), "2");
    take(t, "a-segment-of-exactly-28-bytes/a-segment-that-does-not-fit-into-a-node");
    take(t, "a-segment-of-exactly-28-bytes/a-segment-that-does-not-fit-into-a-nodf");
    CHECK_INT(tree_count(t).nodes, 0);
}

static int list_child(void *user, text segment, bool has_value, bool has_children)
{
    sprintf((char *)user + strlen(user), "%.*s%s%s ", (int)segment.len, segment.p, has_value ? "=" : "",
            has_children ? "/" : "");
    return 0;
}

static void children(tree *t)
{
    char seen[100] = "";

    tree_each_child(t, text_of(NULL), list_child, seen);
    CHECK_STR(seen, "");
    set(t, "a/b/c", "1");
    set(t, "a/b", "1");
    set(t, "a/x", "1");
    set(t, "a/", "1");
    tree_each_child(t, text_of("a"), list_child, seen);
    CHECK_STR(seen, "= x= b=/ ");
    seen[0] = 0;
    tree_each_child(t, text_of(NULL), list_child, seen);
    CHECK_STR(seen, "a/ ");
    tree_each_child(t, text_of("a/q"), list_child, seen);
    CHECK_STR(seen, "a/ ");
    take(t, "a/b/c");
    take(t, "a/b");
    take(t, "a/x");
    take(t, "a/");
}

static int take_all(void *user, void *value)
{
    (void)value;
    take(user, "a/1");
    take(user, "a/2");
    take(user, "a/3");
    return 0;
}

static int stop_at_once(void *user, void *value)
{
    (void)value;
    ++*(int *)user;
    return 7;
}

static void values_go_while_they_are_listed(tree *t)
{
    pattern *p = read_pattern("a/#");
    int seen = 0;

    set(t, "a/1", "1");
    set(t, "a/2", "2");
    set(t, "a/3", "3");
    CHECK_INT(tree_each_value(t, p, stop_at_once, &seen), 7);
    CHECK_INT(seen, 1);
    CHECK_INT(tree_each_value(t, p, take_all, t), 0);
    CHECK_INT(tree_count(t).nodes, 0);
    free(p);
}

/* ---- subscriptions ---- */

static void count_subs(void *user, sub *const *subs, size_t count, sub_group *group)
{
    (void)subs;
    if (group)
        sprintf((char *)user + strlen(user), "%.*s:%d ", group->name_len, group->name, (int)count);
    else
        sprintf((char *)user + strlen(user), "%d ", (int)count);
}

static const char *match(const tree *t, const char *path)
{
    static char seen[200];

    seen[0] = 0;
    tree_match(t, path, strlen(path), count_subs, seen);
    return seen;
}

static void subscriptions(tree *t)
{
    sub s[8] = {{0}};
    char spelt[40] = "";

    CHECK_STR(match(t, "a/b"), "");
    subscribe(t, "a/b", NULL, &s[0]);
    subscribe(t, "a/b", NULL, &s[1]);
    subscribe(t, "a/b", NULL, &s[2]);
    subscribe(t, "a/+", NULL, &s[3]);
    subscribe(t, "#", NULL, &s[4]);
    subscribe(t, "a/b/#", NULL, &s[5]);
    subscribe(t, "{x}/b{y}", NULL, &s[6]);
    CHECK_STR(match(t, "a/b"), "3 1 1 1 1 ");
    CHECK_STR(match(t, "a"), "1 ");
    CHECK_STR(match(t, "$a/b"), "");
    CHECK_INT(tree_spell_sub(t, &s[6], spelt, sizeof spelt), 5);
    CHECK(memcmp(spelt, "+/b{}", 5) == 0);
    CHECK_INT(tree_spell_sub(t, &s[5], spelt, 4), BRIDGE_TOOBIG);
    CHECK_INT(tree_spell_sub(t, &s[5], spelt, 5), 5);
    CHECK(memcmp(spelt, "a/b/#", 5) == 0);
    CHECK_INT(tree_count(t).subs, 7);
    tree_unsubscribe(t, &s[0]);
    CHECK(!sub_is_on(&s[0]) && sub_is_on(&s[1]));
    CHECK_STR(match(t, "a/b"), "2 1 1 1 1 ");
    for (int i = 0; i < 8; i++)
        tree_unsubscribe(t, &s[i]);
    CHECK_INT(tree_count(t).nodes, 0);
    CHECK_INT(t->list_bytes, 0);
}

static void shared_subscriptions(tree *t)
{
    sub s[5] = {{0}};
    tree_found f = {0};

    subscribe(t, "a/+", "g", &s[0]);
    subscribe(t, "a/+", "g", &s[1]);
    subscribe(t, "a/+", "h", &s[2]);
    subscribe(t, "a/+", NULL, &s[3]);
    subscribe(t, "a/#", "g", &s[4]);
    CHECK_STR(match(t, "a/b"), "1 h:1 g:2 g:1 ");
    CHECK_INT(tree_collect(t, "a/b", 3, &f), 0);
    CHECK(f.count == 1 && f.subs[0] == &s[3] && f.group_count == 3);
    tree_unsubscribe(t, &s[0]);
    CHECK_STR(match(t, "a/b"), "1 h:1 g:1 g:1 ");
    tree_unsubscribe(t, &s[2]);
    tree_unsubscribe(t, &s[3]);
    CHECK_STR(match(t, "a/b"), "g:1 g:1 ");
    tree_unsubscribe(t, &s[1]);
    tree_unsubscribe(t, &s[4]);
    CHECK_INT(tree_count(t).nodes, 0);
    CHECK_INT(t->list_bytes, 0);
    tree_found_done(&f);
}

/* ---- owners ---- */

static const char *owner(const tree *t, const char *path)
{
    ptrie_entry *e = tree_owner(t, path, strlen(path));

    return e ? e->pattern->text : "-";
}

static void owners(tree *t)
{
    static const char *const spelt[] = {"home/+/temp",     "home/#",     "home/hall/{what}",
                                        "home/{r}-lamp/#", "home/{r}/+", "#"};
    ptrie_entry e[6] = {{0}}, same = {0};

    for (int i = 0; i < 6; i++) {
        e[i].pattern = read_pattern(spelt[i]);
        CHECK_INT(tree_own(t, &e[i]), 0);
    }
    same.pattern = e[0].pattern;
    CHECK_INT(tree_own(t, &same), BRIDGE_EXISTS);
    CHECK_STR(owner(t, "home/hall/temp"), "home/hall/{what}");
    CHECK_STR(owner(t, "home/attic/temp"), "home/+/temp");
    CHECK_STR(owner(t, "home/a-lamp/temp"), "home/{r}-lamp/#");
    CHECK_STR(owner(t, "home/attic/x"), "home/{r}/+");
    CHECK_STR(owner(t, "home"), "home/#");
    CHECK_STR(owner(t, "x"), "#");
    CHECK_STR(owner(t, "$SYS"), "-");
    for (int i = 0; i < 6; i++) {
        tree_disown(t, &e[i]);
        mem_free(mem_default(), (void *)(uintptr_t)e[i].pattern);
    }
    tree_disown(t, &same);
    CHECK_STR(owner(t, "x"), "-");
    CHECK_INT(tree_count(t).nodes, 0);
}

static void precedence(void)
{
    static const struct {
        const char *spelling;
        int priority;
    } said[] = {{"a/#", 0}, {"a/+", 0}, {"a/{x}", 0}, {"+/b", 5}, {"a/b", 0}, {"{n}/b", 5}, {"a/#", -1}};
    static const int want[] = {3, 5, 4, 1, 2, 0, 6};
    ptrie_entry e[7] = {{0}};
    ptrie_found f = {0};
    ptrie t;

    ptrie_init(&t, mem_default(), 1);
    for (int i = 0; i < 7; i++) {
        e[i].pattern = read_pattern(said[i].spelling);
        e[i].priority = said[i].priority;
        CHECK_INT(ptrie_add(&t, &e[i]), 0);
    }
    CHECK_INT(ptrie_all(&t, "a/b", 3, &f), 0);
    CHECK_INT(f.count, 7);
    for (int i = 0; i < 7; i++)
        CHECK(f.at[i] == &e[want[i]]);
    CHECK(ptrie_best(&t, "a/b", 3) == &e[3]);
    for (int i = 0; i < 7; i++) {
        ptrie_remove(&t, &e[i]);
        mem_free(mem_default(), (void *)(uintptr_t)e[i].pattern);
    }
    CHECK_INT(t.trie.count, 0);
    CHECK_INT(t.unlike, 0);
    ptrie_found_done(&f);
    ptrie_done(&t);
}

/* ---- memory ---- */

static void many_come_and_go(tree *t)
{
    char path[60];
    size_t full, few;

    for (int i = 0; i < 20000; i++) {
        sprintf(path, "site/%d/%d/temperature", i / 100, i);
        CHECK_INT(set(t, path, "x"), 0);
    }
    full = tree_count(t).bytes;
    for (int i = 0; i < 19990; i++) {
        sprintf(path, "site/%d/%d/temperature", i / 100, i);
        take(t, path);
    }
    few = tree_count(t).bytes;
    CHECK(few < full / 10);
    for (int i = 19990; i < 20000; i++) {
        sprintf(path, "site/%d/%d/temperature", i / 100, i);
        CHECK_STR(get(t, path), "x");
        take(t, path);
    }
    CHECK_INT(tree_count(t).nodes, 0);
}

/* The table grows and shrinks in small steps while it is used: at every moment all of it can be found. */
static void grows_and_shrinks_meanwhile(tree *t)
{
    enum { MANY = 6000 };
    static bool there[MANY];
    unsigned state = 1, wrong = 0;
    char path[20];

    for (int i = 0; i < 300000; i++) {
        unsigned k = (state = state * 1103515245u + 12345u) / 65536 % MANY;
        bool wanted = (state >> 8) % 100 < (i / 50000 % 2 ? 4u : 96u);

        sprintf(path, "k/%u", k);
        wrong += (tree_value(t, path, strlen(path)) != NULL) != there[k];
        if (wanted) set(t, path, "x");
        if (!wanted) take(t, path);
        there[k] = wanted;
    }
    CHECK_INT(wrong, 0);
    for (unsigned k = 0; k < MANY; k++) {
        sprintf(path, "k/%u", k);
        take(t, path);
    }
    CHECK_INT(tree_count(t).nodes, 0);
}

typedef struct failing {
    long left, live; /* allocations until one fails; blocks */
} failing;

static void *fail_nth(void *user, void *p, size_t len)
{
    failing *f = user;

    if (len == 0) {
        f->live -= p != NULL;
        free(p);
        return NULL;
    }
    if (f->left-- == 0) return NULL;
    f->live += p == NULL;
    return realloc(p, len);
}

/* Whatever fails, what was answered is what is there. */
static void with_failures(mem *m)
{
    tree *t;
    sub s[40] = {{0}};
    ptrie_entry e[20] = {{0}};
    tree_found f = {0};
    char path[80];
    int set_ok[40], own_ok[20];

    if (tree_new(m, 9, &t) < 0) return;
    for (int i = 0; i < 40; i++) {
        sprintf(path, "a/%d/a-segment-that-does-not-fit-into-a-node/%d", i % 3, i);
        set_ok[i] = set(t, path, "v") == 0;
        sprintf(path, "a/%d/+/{x}-a-segment-that-does-not-fit-into-a-node", i % 7);
        subscribe(t, path, i % 5 == 0 ? "g" : i % 7 == 0 ? "h" : NULL, &s[i]);
    }
    for (int i = 0; i < 20; i++) {
        sprintf(path, "a/%d/#", i);
        e[i].pattern = read_pattern(path);
        own_ok[i] = tree_own(t, &e[i]) == 0;
        tree_collect(t, "a/1/b/c-a-segment-that-does-not-fit-into-a-node", 44, &f);
    }
    for (int i = 0; i < 40; i++) {
        sprintf(path, "a/%d/a-segment-that-does-not-fit-into-a-node/%d", i % 3, i);
        CHECK_STR(get(t, path), set_ok[i] ? "v" : "-");
        take(t, path);
        if (i % 2) tree_unsubscribe(t, &s[i]); /* the rest goes with the tree */
    }
    for (int i = 0; i < 20; i++) {
        sprintf(path, "a/%d/x", i);
        CHECK_STR(owner(t, path), own_ok[i] ? e[i].pattern->text : "-");
        tree_disown(t, &e[i]);
        mem_free(mem_default(), (void *)(uintptr_t)e[i].pattern);
    }
    CHECK_INT(t->values.count + t->owners.trie.count, 0);
    tree_found_done(&f);
    tree_free(t);
}

static void the_nth_allocation_fails(void)
{
    failing f = {.left = 1000000};
    mem *m = mem_create(fail_nth, &f);
    long wanted;

    with_failures(m);
    wanted = 1000000 - f.left;
    CHECK(wanted > 50);
    for (long n = 0; n <= wanted; n++) {
        f.left = n;
        with_failures(m);
        CHECK_INT(f.live, 1); /* m itself */
    }
    mem_unref(m);
}

int main(void)
{
    tree *t = NULL;

    CHECK_INT(tree_new(mem_default(), 42, &t), 0);
    values(t);
    long_segments(t);
    children(t);
    values_go_while_they_are_listed(t);
    subscriptions(t);
    shared_subscriptions(t);
    owners(t);
    many_come_and_go(t);
    grows_and_shrinks_meanwhile(t);
    tree_free(t);
    tree_free(NULL);
    precedence();
    the_nth_allocation_fails();
    return check_done();
}
