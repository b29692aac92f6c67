/* Making a path out of a target and what a source captured. */
#include "core/pattern.h"

static segment_kind capture_kind(const pattern *p, int capture)
{
    return p->segments[p->capture_segment[capture]].kind;
}

/* The n-th '+' (or the '#') of the source, where n is what came before in the target. */
static int find_nameless(const pattern *target, int capture, const pattern *source)
{
    bool rest = capture_kind(target, capture) == SEGMENT_REST;
    int skip = 0;

    for (int i = 0; i < capture; i++)
        skip += pattern_name(target, i).len == 0 && (capture_kind(target, i) == SEGMENT_REST) == rest;
    for (int i = 0; i < source->captures; i++)
        if (pattern_name(source, i).len == 0 && (capture_kind(source, i) == SEGMENT_REST) == rest && skip-- == 0)
            return i;
    return -1;
}

int pattern_bind(const pattern *target, const pattern *source, pattern_link *out, bridge_error *err)
{
    pattern_link link = {{0}};

    for (int i = 0; i < target->captures; i++) {
        text name = pattern_name(target, i);
        int from = name.len ? pattern_find(source, name) : find_nameless(target, i, source);
        const char *what = name.len ? name.p : capture_kind(target, i) == SEGMENT_REST ? "#" : "+";
        int shown = name.len == 0 ? 1 : name.len < 60 ? (int)name.len : 60;

        if (from < 0)
            return fail(err, BRIDGE_INVALID, "The target wants %.*s, but \"%.*s\" does not capture it.", shown, what,
                        source->len < 80 ? source->len : 80, source->text);
        if ((capture_kind(target, i) == SEGMENT_REST) != (capture_kind(source, from) == SEGMENT_REST))
            return fail(err, BRIDGE_INVALID, "%.*s is one segment on one side and the rest on the other.", shown, what);
        link.capture[i] = (uint8_t)from;
    }
    *out = link;
    return 0;
}

typedef struct filling {
    char *out;
    size_t len, room, levels;
} filling;

static bool put(filling *f, const char *p, size_t len)
{
    if (len >= f->room - f->len) return false; /* one byte stays for the NUL */
    if (len) memcpy(f->out + f->len, p, len);
    f->len += len;
    return true;
}

static bool put_segment(filling *f, const pattern *target, int i, const pattern_link *link, const captures *caps)
{
    const pattern_segment *s = &target->segments[i];
    const char *at = target->text + s->at;
    text value = {NULL, 0};

    if (s->kind != SEGMENT_LITERAL) value = caps->at[link->capture[s->capture]];
    if (s->kind == SEGMENT_REST && !value.p) return true; /* the source matched at the parent level: so does this */
    f->levels += s->kind == SEGMENT_REST ? path_levels(value.p, value.len) : 1;
    if (i > 0 && !put(f, "/", 1)) return false;
    if (s->kind == SEGMENT_LITERAL) return put(f, at, s->len);
    return put(f, at, s->pre) && put(f, value.p, value.len) && put(f, at + s->len - s->post, s->post);
}

int pattern_fill(const pattern *target, const pattern_link *link, const captures *caps, char *out, size_t room)
{
    filling f = {.out = out, .room = room};

    if (room == 0) return BRIDGE_TOOBIG;
    for (int i = 0; i < target->count; i++)
        if (!put_segment(&f, target, i, link, caps)) return BRIDGE_TOOBIG;
    if (f.len == 0) return BRIDGE_INVALID;
    if (f.len > PATH_BYTES || f.levels > PATH_LEVELS) return BRIDGE_TOOBIG;
    out[f.len] = 0;
    return (int)f.len;
}

int pattern_filter(const pattern *p, char *out, size_t room)
{
    size_t n = 0;

    for (int i = 0; i < p->count; i++) {
        segment_kind kind = (segment_kind)p->segments[i].kind;
        text s = kind == SEGMENT_LITERAL ? pattern_text(p, i) : text_of(kind == SEGMENT_REST ? "#" : "+");
        if (n + s.len + 2 > room) return BRIDGE_TOOBIG;
        if (i) out[n++] = '/';
        memcpy(out + n, s.p, s.len);
        n += s.len;
    }
    out[n] = 0;
    return (int)n;
}
