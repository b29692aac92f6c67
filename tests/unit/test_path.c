#include "check.h"
#include "core/path.h"

static int path(const char *p)
{
    return path_check(p, strlen(p), NULL);
}

static int filter(const char *p)
{
    return path_check_filter(p, strlen(p), NULL);
}

static void legal_paths(void)
{
    CHECK_INT(path("a"), 0);
    CHECK_INT(path("/"), 0);
    CHECK_INT(path("/a//b/"), 0);
    CHECK_INT(path("$SYS/x y/%2F?=&"), 0);
    CHECK_INT(path("gr\xc3\xbc\xc3\x9f/\xf0\x9f\x92\xa1"), 0);
    CHECK_INT(path(""), BRIDGE_INVALID);
    CHECK_INT(path_check(NULL, 0, NULL), BRIDGE_INVALID);
    CHECK_INT(path_check("a\0b", 3, NULL), BRIDGE_INVALID);
    CHECK_INT(path("a/\xed\xa0\x80"), BRIDGE_INVALID);
    CHECK_INT(path("a/+"), BRIDGE_INVALID);
    CHECK_INT(path("a#"), BRIDGE_INVALID);
}

static void limits(void)
{
    static char big[PATH_BYTES + 1];
    char deep[PATH_LEVELS];
    bridge_error err;

    memset(big, 'x', sizeof big);
    CHECK_INT(path_check(big, PATH_BYTES, NULL), 0);
    CHECK_INT(path_check(big, PATH_BYTES + 1, &err), BRIDGE_TOOBIG);
    CHECK_INT(err.status, BRIDGE_TOOBIG);
    CHECK_STR(err.text, "The path is longer than 65535 bytes.");
    memset(deep, '/', sizeof deep);
    CHECK_INT(path_check(deep, PATH_LEVELS - 1, NULL), 0);
    CHECK_INT(path_check(deep, PATH_LEVELS, &err), BRIDGE_TOOBIG);
    CHECK_INT(path_levels(deep, PATH_LEVELS - 1), PATH_LEVELS);
}

static void legal_filters(void)
{
    CHECK_INT(filter("#"), 0);
    CHECK_INT(filter("+"), 0);
    CHECK_INT(filter("+/+/#"), 0);
    CHECK_INT(filter("/+"), 0);
    CHECK_INT(filter("a//#"), 0);
    CHECK_INT(filter("{a}/b"), 0);
    CHECK_INT(filter(""), BRIDGE_INVALID);
    CHECK_INT(filter("a+"), BRIDGE_INVALID);
    CHECK_INT(filter("a#"), BRIDGE_INVALID);
    CHECK_INT(filter("#/a"), BRIDGE_INVALID);
    CHECK_INT(filter("a/#/"), BRIDGE_INVALID);
    CHECK_INT(filter("++"), BRIDGE_INVALID);
}

static int share(const char *p, const char *want_group, const char *want_filter)
{
    text group = {NULL, 0}, rest = {NULL, 0};
    int rc = path_split_share(text_of(p), &group, &rest, NULL);

    if (rc == 1) CHECK(text_is(group, want_group) && text_is(rest, want_filter));
    return rc;
}

static void shares(void)
{
    CHECK_INT(share("$share/g/a/+", "g", "a/+"), 1);
    CHECK_INT(share("$share/g//", "g", "/"), 1);
    CHECK_INT(share("$shared/g/a", NULL, NULL), 0);
    CHECK_INT(share("a/$share/g", NULL, NULL), 0);
    CHECK_INT(share("$sha", NULL, NULL), 0);
    CHECK_INT(share("$share", NULL, NULL), BRIDGE_INVALID);
    CHECK_INT(share("$share/", NULL, NULL), BRIDGE_INVALID);
    CHECK_INT(share("$share/g", NULL, NULL), BRIDGE_INVALID);
    CHECK_INT(share("$share/g/", NULL, NULL), BRIDGE_INVALID);
    CHECK_INT(share("$share//a", NULL, NULL), BRIDGE_INVALID);
    CHECK_INT(share("$share/+/a", NULL, NULL), BRIDGE_INVALID);
}

static void walks(void)
{
    static const char *const want[] = {"", "a", "", "b", ""};
    text s;
    int n = 0;

    for (path_walk w = path_start("/a//b/", 6); path_next(&w, &s); n++)
        CHECK(n < 5 && text_is(s, want[n]));
    CHECK_INT(n, 5);
}

int main(void)
{
    legal_paths();
    limits();
    legal_filters();
    shares();
    walks();
    return check_done();
}
