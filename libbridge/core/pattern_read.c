/* Reading patterns. */
#include "core/pattern.h"

/* Messages show the beginning of a long pattern: err has 240 bytes for all. */
#define SHOWN(p) ((p)->len < 80 ? (int)(p)->len : 80), (p)->text

/* "{name}" inside a segment: sets pre and post.  rest: it was "{name...}". */
static int read_name(const pattern *p, pattern_segment *s, bool *rest, bridge_error *err)
{
    const char *at = p->text + s->at, *open = memchr(at, '{', s->len), *close = memchr(at, '}', s->len);
    text name;

    if (!open || !close || close < open)
        return fail(err, BRIDGE_INVALID, "In \"%.*s\" a brace has no partner.", SHOWN(p));
    s->pre = (uint16_t)(open - at);
    s->post = (uint16_t)(at + s->len - close - 1);
    if (memchr(open + 1, '{', s->len - s->pre - 1u) || memchr(close + 1, '}', s->post))
        return fail(err, BRIDGE_INVALID, "In \"%.*s\" one segment has two names.", SHOWN(p));
    name = (text){open + 1, (size_t)(close - open) - 1};
    *rest = name.len > 3 && memcmp(name.p + name.len - 3, "...", 3) == 0;
    if (*rest) name.len -= 3;
    if (name.len == 0 || memchr(name.p, '.', name.len))
        return fail(err, BRIDGE_INVALID, "In \"%.*s\" a name is empty or has a dot in it.", SHOWN(p));
    if (*rest && s->pre + s->post > 0)
        return fail(err, BRIDGE_INVALID, "In \"%.*s\" {%.*s...} is not a segment of its own.", SHOWN(p), (int)name.len,
                    name.p);
    return 0;
}

static int read_braces(const pattern *p, pattern_segment *s, bridge_error *err)
{
    bool rest = false;
    int rc;

    if (!memchr(p->text + s->at, '{', s->len) && !memchr(p->text + s->at, '}', s->len)) return 0;
    rc = read_name(p, s, &rest, err);
    if (rc < 0) return rc;
    s->kind = rest ? SEGMENT_REST : s->pre + s->post > 0 ? SEGMENT_PART : SEGMENT_ONE;
    return 0;
}

static int read_segment(const pattern *p, pattern_segment *s, bool last, bridge_error *err)
{
    const char *at = p->text + s->at;
    int rc = 0;

    s->kind = SEGMENT_LITERAL;
    s->pre = s->post = 0;
    s->capture = -1;
    if (s->len == 0 || p->kind == PATTERN_EXACT) return 0;
    if (p->kind != PATTERN_FILTER) rc = read_braces(p, s, err);
    if (rc < 0) return rc;
    if (s->len == 1 && (*at == '+' || *at == '#')) {
        s->kind = *at == '+' ? SEGMENT_ONE : SEGMENT_REST;
    } else if (memchr(at, '+', s->len) || memchr(at, '#', s->len)) {
        return fail(err, BRIDGE_INVALID, "In \"%.*s\" a wildcard is only part of a segment.", SHOWN(p));
    }
    if (s->kind == SEGMENT_REST && !last)
        return fail(err, BRIDGE_INVALID, "In \"%.*s\" the rest (%.*s) is not last.", SHOWN(p),
                    s->len < 60 ? s->len : 60, at);
    return 0;
}

/* Gives the segment its number; a filter may have more wildcards than we count, nobody asks for them. */
static int number_capture(pattern *p, int i, pattern_segment *s, bridge_error *err)
{
    text name;

    if (s->kind == SEGMENT_LITERAL || (p->captures == PATTERN_CAPTURES && p->kind == PATTERN_FILTER)) return 0;
    if (p->captures == PATTERN_CAPTURES)
        return fail(err, BRIDGE_TOOBIG, "\"%.*s\" has more than %d captures.", SHOWN(p), PATTERN_CAPTURES);
    s->capture = (int8_t)p->captures;
    p->capture_segment[p->captures] = (uint8_t)i;
    p->count = (uint8_t)(i + 1);
    name = pattern_name(p, p->captures);
    if (name.len && p->kind == PATTERN_FULL && pattern_find(p, name) >= 0)
        return fail(err, BRIDGE_INVALID, "\"%.*s\" has the name %.*s twice.", SHOWN(p),
                    name.len < 60 ? (int)name.len : 60, name.p);
    p->captures++;
    return 0;
}

int pattern_read(pattern *out, pattern_room *room, const char *str, size_t len, pattern_kind kind, bridge_error *err)
{
    pattern p = {.text = str, .segments = room->segments, .len = (uint16_t)len, .kind = (uint8_t)kind};
    int rc = kind == PATTERN_EXACT ? path_check(str, len, err) : path_check_text(str, len, "pattern", err), i = 0;
    text segment;

    if (rc < 0) return rc;
    for (path_walk w = path_start(str, len); path_next(&w, &segment); i++) {
        pattern_segment *s = &room->segments[i];

        s->at = (uint16_t)(segment.p - str);
        s->len = (uint16_t)segment.len;
        rc = read_segment(&p, s, !w.at, err);
        if (rc == 0) rc = number_capture(&p, i, s, err);
        if (rc < 0) return rc;
    }
    p.count = (uint8_t)i;
    *out = p;
    return 0;
}

int pattern_new(mem *m, pattern **out, const char *str, size_t len, pattern_kind kind, bridge_error *err)
{
    pattern_room room;
    pattern p, *copy;
    pattern_segment *segments;
    char *bytes;
    int rc = pattern_read(&p, &room, str, len, kind, err);

    if (rc < 0) return rc;
    copy = mem_alloc(m, sizeof p + p.count * sizeof *segments + len + 1);
    if (!copy) return fail_nomem(err);
    segments = (pattern_segment *)(copy + 1);
    bytes = (char *)(segments + p.count);
    memcpy(segments, room.segments, p.count * sizeof *segments);
    memcpy(bytes, str, len);
    bytes[len] = 0;
    *copy = p;
    copy->segments = segments;
    copy->text = bytes;
    *out = copy;
    return 0;
}
