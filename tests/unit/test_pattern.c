#include "check.h"
#include "core/pattern.h"
#include <stdlib.h>

static pattern *read_kind(const char *spelling, pattern_kind kind)
{
    pattern *p = NULL;

    CHECK_INT(pattern_new(mem_default(), &p, spelling, strlen(spelling), kind, NULL), 0);
    return p;
}

static int reads(const char *spelling, pattern_kind kind)
{
    pattern_room room;
    pattern p;

    return pattern_read(&p, &room, spelling, strlen(spelling), kind, NULL);
}

static bool matches(const char *spelling, const char *path)
{
    pattern *p = read_kind(spelling, PATTERN_FULL);
    bool yes = p && pattern_match(p, path, strlen(path), NULL);

    free(p);
    return yes;
}

static void what_can_be_read(void)
{
    CHECK_INT(reads("a/+/{b}/{c...}", PATTERN_FULL), 0);
    CHECK_INT(reads("{room}-lamp/x{y}z", PATTERN_FULL), 0);
    CHECK_INT(reads("", PATTERN_FULL), BRIDGE_INVALID);
    CHECK_INT(reads("a/#/b", PATTERN_FULL), BRIDGE_INVALID);
    CHECK_INT(reads("a+/b", PATTERN_FULL), BRIDGE_INVALID);
    CHECK_INT(reads("{a+}/b", PATTERN_FULL), BRIDGE_INVALID);
    CHECK_INT(reads("{a}/{a}", PATTERN_FULL), BRIDGE_INVALID);
    CHECK_INT(reads("{a}/{a}", PATTERN_TARGET), 0);
    CHECK_INT(reads("{a...}/b", PATTERN_FULL), BRIDGE_INVALID);
    CHECK_INT(reads("x{a...}", PATTERN_FULL), BRIDGE_INVALID);
    CHECK_INT(reads("{a}{b}", PATTERN_FULL), BRIDGE_INVALID);
    CHECK_INT(reads("{}", PATTERN_FULL), BRIDGE_INVALID);
    CHECK_INT(reads("{...}", PATTERN_FULL), BRIDGE_INVALID);
    CHECK_INT(reads("{a", PATTERN_FULL), BRIDGE_INVALID);
    CHECK_INT(reads("a}", PATTERN_FULL), BRIDGE_INVALID);
    CHECK_INT(reads("}a{", PATTERN_FULL), BRIDGE_INVALID);
    CHECK_INT(reads("{a/b}", PATTERN_FULL), BRIDGE_INVALID);
    CHECK_INT(reads("{a", PATTERN_FILTER), 0);
    CHECK_INT(reads("{a}/{a}", PATTERN_EXACT), 0);
    CHECK_INT(reads("a/+", PATTERN_EXACT), BRIDGE_INVALID);
    CHECK_INT(reads("+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+", PATTERN_FULL), BRIDGE_TOOBIG);
    CHECK_INT(reads("+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+", PATTERN_FILTER), 0);
}

static void an_error_is_a_sentence(void)
{
    bridge_error err;
    pattern_room room;
    pattern p;

    pattern_read(&p, &room, "a/{b...}/c", 10, PATTERN_FULL, &err);
    CHECK_STR(err.text, "In \"a/{b...}/c\" the rest ({b...}) is not last.");
    pattern_read(&p, &room, "{b}/{b}", 7, PATTERN_FULL, &err);
    CHECK_STR(err.text, "\"{b}/{b}\" has the name b twice.");
}

static void what_matches(void)
{
    CHECK(matches("a/b", "a/b"));
    CHECK(!matches("a/b", "a/b/"));
    CHECK(!matches("a/b", "a"));
    CHECK(matches("a/+", "a/"));
    CHECK(!matches("a/+", "a"));
    CHECK(!matches("a/+", "a/b/c"));
    CHECK(matches("+/+", "/b"));
    CHECK(matches("/+", "/b"));
    CHECK(!matches("+", "/b"));
    CHECK(matches("a/#", "a"));
    CHECK(matches("a/#", "a/"));
    CHECK(matches("a/#", "a/b/c"));
    CHECK(!matches("a/#", "ab"));
    CHECK(matches("#", "/"));
    CHECK(!matches("#", "$SYS/x"));
    CHECK(!matches("+/x", "$SYS/x"));
    CHECK(!matches("{a}/x", "$SYS/x"));
    CHECK(!matches("{a}S/x", "$SYS/x"));
    CHECK(matches("${a}/x", "$SYS/x"));
    CHECK(matches("$SYS/#", "$SYS/x"));
    CHECK(matches("$SYS/+", "$SYS/$x"));
    CHECK(matches("{room}-lamp", "hall-lamp"));
    CHECK(matches("{room}-lamp", "-lamp"));
    CHECK(!matches("{room}-lamp", "lamp"));
    CHECK(matches("a{x}a", "aa"));
    CHECK(!matches("a{x}a", "a"));
}

static void what_is_captured(void)
{
    pattern *p = read_kind("home/{room}-lamp/+/{rest...}", PATTERN_FULL);
    captures c;

    CHECK(pattern_match(p, "home/hall-lamp//x/y", 19, &c));
    CHECK_INT(c.count, 3);
    CHECK(text_is(c.at[0], "hall") && text_is(c.at[1], "") && text_is(c.at[2], "x/y"));
    CHECK(text_is(pattern_name(p, 0), "room") && text_is(pattern_name(p, 1), "") &&
          text_is(pattern_name(p, 2), "rest"));
    CHECK_INT(pattern_find(p, text_of("rest")), 2);
    CHECK_INT(pattern_find(p, text_of("lamp")), -1);
    CHECK(pattern_match(p, "home/-lamp/b/", 13, &c) && c.at[2].p && c.at[2].len == 0);
    CHECK(pattern_match(p, "home/-lamp/b", 12, &c) && !c.at[2].p);
    free(p);
}

/* The path that `from` becomes by source -> target; "-" when it does not match, "!" when it cannot be filled in. */
static const char *route(const char *source, const char *target, const char *from)
{
    static char out[300];
    pattern *s = read_kind(source, PATTERN_FULL), *t = read_kind(target, PATTERN_TARGET);
    pattern_link link;
    captures c;
    int rc = -1;

    CHECK_INT(pattern_bind(t, s, &link, NULL), 0);
    if (!pattern_match(s, from, strlen(from), &c))
        strcpy(out, "-");
    else if ((rc = pattern_fill(t, &link, &c, out, sizeof out)) < 0)
        strcpy(out, "!");
    else
        CHECK_INT(rc, strlen(out));
    free(s);
    free(t);
    return out;
}

static void what_is_filled_in(void)
{
    CHECK_STR(route("r/{room}/temp", "home/{room}/temperature", "r/hall/temp"), "home/hall/temperature");
    CHECK_STR(route("home/{room}/light", "{room}-lamp/3311/0/5850", "home/hall/light"), "hall-lamp/3311/0/5850");
    CHECK_STR(route("{room}-lamp/3311", "home/{room}/light", "hall-lamp/3311"), "home/hall/light");
    CHECK_STR(route("a/#", "b/#", "a/x/y"), "b/x/y");
    CHECK_STR(route("a/#", "b/#", "a/"), "b/");
    CHECK_STR(route("a/#", "b/#", "a"), "b");
    CHECK_STR(route("a/{r...}", "{r...}", "a/x//"), "x//");
    CHECK_STR(route("a/{r...}", "{r...}", "a"), "!");
    CHECK_STR(route("a/{r...}", "{r...}", "a/"), "!");
    CHECK_STR(route("+/a/+", "x/+/+", "1/a/2"), "x/1/2");
    CHECK_STR(route("{a}/{b}", "{b}/{a}/{b}", "1/2"), "2/1/2");
    CHECK_STR(route("{a}/+/#", "+/{a}/#", "1/2/3/4"), "2/1/3/4");
    CHECK_STR(route("a/b", "c", "a/b"), "c");
    CHECK_STR(route("+/+", "+/+", "//"), "-");
}

static int binds(const char *source, const char *target)
{
    pattern *s = read_kind(source, PATTERN_FULL), *t = read_kind(target, PATTERN_TARGET);
    pattern_link link;
    int rc = pattern_bind(t, s, &link, NULL);

    free(s);
    free(t);
    return rc;
}

static void what_cannot_be_bound(void)
{
    CHECK_INT(binds("a/{x}", "b/{y}"), BRIDGE_INVALID);
    CHECK_INT(binds("a/{x}", "b/{x...}"), BRIDGE_INVALID);
    CHECK_INT(binds("a/{x...}", "b/{x}"), BRIDGE_INVALID);
    CHECK_INT(binds("a/+", "b/+/+"), BRIDGE_INVALID);
    CHECK_INT(binds("a/+", "b/#"), BRIDGE_INVALID);
    CHECK_INT(binds("a/{x}", "b/+"), BRIDGE_INVALID);
}

static void what_is_too_long(void)
{
    pattern *s = read_kind("a/{x...}", PATTERN_FULL), *t = read_kind("bb/{x...}", PATTERN_TARGET);
    pattern_link link;
    captures c;
    char out[7];

    CHECK_INT(pattern_bind(t, s, &link, NULL), 0);
    CHECK(pattern_match(s, "a/123", 5, &c));
    CHECK_INT(pattern_fill(t, &link, &c, out, 7), 6);
    CHECK_INT(pattern_fill(t, &link, &c, out, 6), BRIDGE_TOOBIG);
    CHECK_INT(pattern_fill(t, &link, &c, out, 0), BRIDGE_TOOBIG);
    free(s);
    free(t);
}

static int relation(const char *a, const char *b, char what)
{
    pattern *p = read_kind(a, PATTERN_FULL), *q = read_kind(b, PATTERN_FULL);
    int by = what == '<' ? pattern_compare(p, q) : what == 'o' ? pattern_overlaps(p, q) : pattern_covers(p, q);

    if (what == '<') CHECK((by > 0) == (pattern_compare(q, p) < 0) && (by == 0) == (pattern_compare(q, p) == 0));
    if (what == 'o') CHECK_INT(by, pattern_overlaps(q, p));
    free(p);
    free(q);
    return by;
}

static void what_is_more_specific(void)
{
    CHECK(relation("a/b", "a/+", '<') > 0);
    CHECK(relation("a/+", "+/b", '<') > 0);
    CHECK(relation("a/x{n}", "a/{n}", '<') > 0);
    CHECK(relation("a/xx{n}", "a/x{n}", '<') > 0);
    CHECK(relation("a/{n}", "a/#", '<') > 0);
    CHECK(relation("a", "a/#", '<') > 0);
    CHECK(relation("a/+/c", "a/#", '<') > 0);
    CHECK(relation("a/{x}", "a/+", '<') == 0);
}

static void what_overlaps(void)
{
    CHECK(relation("a/+", "+/b", 'o'));
    CHECK(!relation("a/+", "b/+", 'o'));
    CHECK(relation("a/#", "a", 'o'));
    CHECK(!relation("a/+", "a", 'o'));
    CHECK(relation("a/b/#", "a/+/c/d", 'o'));
    CHECK(!relation("#", "$SYS/a", 'o'));
    CHECK(!relation("+/#", "$SYS/#", 'o'));
    CHECK(!relation("{x}S/a", "${y}/a", 'o'));
    CHECK(relation("ab{x}", "a{x}c", 'o'));
    CHECK(!relation("ab{x}", "ac{x}", 'o'));
    CHECK(!relation("{x}b", "{x}c", 'o'));
    CHECK(relation("#", "{x...}", 'o'));
}

static void what_covers(void)
{
    CHECK(relation("a/#", "a", 'c'));
    CHECK(relation("a/#", "a/+/c", 'c'));
    CHECK(relation("a/+", "a/{x}", 'c'));
    CHECK(relation("a/+", "a/b", 'c'));
    CHECK(relation("a/x{n}", "a/xy{n}z", 'c'));
    CHECK(!relation("a/x{n}", "a/{n}", 'c'));
    CHECK(!relation("a/+", "a/#", 'c'));
    CHECK(!relation("a/+", "a", 'c'));
    CHECK(!relation("#", "$SYS", 'c'));
    CHECK(relation("${x}", "$SYS", 'c'));
}

int main(void)
{
    what_can_be_read();
    an_error_is_a_sentence();
    what_matches();
    what_is_captured();
    what_is_filled_in();
    what_cannot_be_bound();
    what_is_too_long();
    what_is_more_specific();
    what_overlaps();
    what_covers();
    return check_done();
}
