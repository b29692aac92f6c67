/* Patterns and paths from strangers: the input is "pattern\npattern\npath", each any bytes.
 * Beyond not crashing: what matches both overlaps, what covers covers, and a filled-in pattern is the path again. */
#include "core/pattern.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define MUST(what)                                                                                                     \
    do {                                                                                                               \
        if (!(what)) abort();                                                                                          \
    } while (0)

static void fill_again(const pattern *p, const captures *c, text path)
{
    static char out[PATH_BYTES + 1];
    pattern_link link;

    for (int i = 0; i < p->count; i++)
        if (p->segments[i].kind != SEGMENT_LITERAL && p->segments[i].capture < 0) return; /* more than we count */
    MUST(pattern_bind(p, p, &link, NULL) == 0);
    MUST(pattern_fill(p, &link, c, out, sizeof out) == (int)path.len);
    MUST(memcmp(out, path.p, path.len) == 0);
}

static void ask_two(const pattern *a, const pattern *b, text path)
{
    captures c;
    bool on_a = pattern_match(a, path.p, path.len, &c), on_b = pattern_match(b, path.p, path.len, NULL);

    if (on_a) fill_again(a, &c, path);
    if (on_a && on_b) MUST(pattern_overlaps(a, b));
    if (on_b && !on_a) MUST(!pattern_covers(a, b));
    if (pattern_covers(a, b)) MUST(pattern_overlaps(a, b));
    MUST(pattern_overlaps(a, b) == pattern_overlaps(b, a));
    MUST((pattern_compare(a, b) > 0) == (pattern_compare(b, a) < 0));
    MUST(pattern_covers(a, a) && pattern_compare(a, a) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    pattern_room room_a, room_b;
    pattern a, b;
    text first, second, rest, path, group, filter;
    bridge_error err;

    text_cut((text){(const char *)data, len}, '\n', &first, &rest);
    text_cut(rest, '\n', &second, &path);
    (void)path_check_filter(first.p, first.len, &err);
    if (path_split_share(first, &group, &filter, &err) == 1) MUST(group.len && filter.len);
    for (int kind = PATTERN_FULL; kind <= PATTERN_TARGET; kind++) {
        bool filter_ok = path_check_filter(first.p, first.len, NULL) == 0;
        int rc = pattern_read(&a, &room_a, first.p, first.len, (pattern_kind)kind, &err);

        if (kind == PATTERN_FILTER) MUST((rc == 0) == filter_ok);
        if (rc < 0 || pattern_read(&b, &room_b, second.p, second.len, PATTERN_FULL, &err) < 0) continue;
        if (kind != PATTERN_TARGET && path_check(path.p, path.len, &err) == 0) ask_two(&a, &b, path);
    }
    return 0;
}
