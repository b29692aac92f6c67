#include "core/path.h"

int path_check_text(const char *p, size_t len, const char *what, bridge_error *err)
{
    if (!p || len == 0) return fail(err, BRIDGE_INVALID, "The %s is empty.", what);
    if (len > PATH_BYTES) return fail(err, BRIDGE_TOOBIG, "The %s is longer than %d bytes.", what, PATH_BYTES);
    if (memchr(p, 0, len)) return fail(err, BRIDGE_INVALID, "The %s has a NUL in it.", what);
    if (!text_is_utf8(p, len)) return fail(err, BRIDGE_INVALID, "The %s is not well-formed UTF-8.", what);
    if (path_levels(p, len) > PATH_LEVELS)
        return fail(err, BRIDGE_TOOBIG, "The %s has more than %d levels.", what, PATH_LEVELS);
    return 0;
}

int path_check(const char *path, size_t len, bridge_error *err)
{
    int rc = path_check_text(path, len, "path", err);

    if (rc < 0) return rc;
    if (memchr(path, '+', len) || memchr(path, '#', len)) /* MQTT 4.7.1: wildcards are for filters */
        return fail(err, BRIDGE_INVALID, "The path \"%.*s\" has a wildcard in it.", len < 100 ? (int)len : 100, path);
    return 0;
}

int path_check_filter(const char *filter, size_t len, bridge_error *err)
{
    int rc = path_check_text(filter, len, "filter", err), shown = len < 100 ? (int)len : 100;
    text s;

    if (rc < 0) return rc;
    for (path_walk w = path_start(filter, len); path_next(&w, &s);) {
        bool hash = s.len && memchr(s.p, '#', s.len), plus = s.len && memchr(s.p, '+', s.len);

        if ((hash || plus) && s.len > 1)
            return fail(err, BRIDGE_INVALID, "In the filter \"%.*s\" a wildcard is only part of a level.", shown,
                        filter);
        if (hash && w.at) return fail(err, BRIDGE_INVALID, "In the filter \"%.*s\" # is not last.", shown, filter);
    }
    return 0;
}

int path_split_share(text whole, text *group, text *filter, bridge_error *err)
{
    static const char word[] = "$share/";
    size_t skip = sizeof word - 1;
    text name, rest;

    if (whole.len < skip - 1 || memcmp(whole.p, word, skip - 1) != 0) return 0;
    if (whole.len > skip - 1 && whole.p[skip - 1] != '/') return 0; /* "$shared/x" is a topic like others */
    whole = whole.len >= skip ? (text){whole.p + skip, whole.len - skip} : (text){whole.p + whole.len, 0};
    if (!text_cut(whole, '/', &name, &rest) || name.len == 0 || rest.len == 0)
        return fail(err, BRIDGE_INVALID, "A shared subscription is $share/<group>/<filter>.");
    if (memchr(name.p, '+', name.len) || memchr(name.p, '#', name.len)) /* MQTT 5.0 4.8.2 */
        return fail(err, BRIDGE_INVALID, "The name of a share group has no wildcards.");
    *group = name;
    *filter = rest;
    return 1;
}

size_t path_levels(const char *path, size_t len)
{
    const char *p = path, *end = path + len;
    size_t n = 1;

    while (p < end && (p = memchr(p, '/', (size_t)(end - p)))) {
        n++;
        p++;
    }
    return n;
}
