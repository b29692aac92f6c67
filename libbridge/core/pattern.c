#include "core/pattern.h"

bool pattern_is_literal(const pattern *p)
{
    for (int i = 0; i < p->count; i++)
        if (p->segments[i].kind != SEGMENT_LITERAL) return false;
    return true;
}

text pattern_name(const pattern *p, int capture)
{
    const pattern_segment *s = &p->segments[p->capture_segment[capture]];
    const char *at = p->text + s->at + s->pre;
    size_t len = (size_t)(s->len - s->pre - s->post);

    if (*at != '{') return (text){at, 0};
    return (text){at + 1, len - 2 - (s->kind == SEGMENT_REST ? 3 : 0)};
}

int pattern_find(const pattern *p, text name)
{
    for (int i = 0; i < p->captures; i++)
        if (text_same(pattern_name(p, i), name)) return i;
    return -1;
}

bool pattern_segment_match(const pattern *p, int i, text segment, text *value)
{
    const pattern_segment *s = &p->segments[i];
    const char *fixed = p->text + s->at;

    if (s->kind == SEGMENT_LITERAL) return text_same(pattern_text(p, i), segment);
    if (s->kind == SEGMENT_PART) {
        if (segment.len < (size_t)s->pre + s->post) return false;
        if (memcmp(segment.p, fixed, s->pre) != 0) return false;
        if (memcmp(segment.p + segment.len - s->post, fixed + s->len - s->post, s->post) != 0) return false;
    }
    if (value) *value = (text){segment.p + s->pre, segment.len - s->pre - s->post};
    return true;
}

/* MQTT 4.7.2: is this a path that a wildcard in the first segment leaves alone? */
static bool hidden(const pattern *p, const char *path, size_t len)
{
    const pattern_segment *first = &p->segments[0];

    return len && path[0] == '$' && first->kind != SEGMENT_LITERAL && first->pre == 0;
}

bool pattern_match(const pattern *p, const char *path, size_t len, captures *caps)
{
    path_walk w = path_start(path, len);
    captures found;

    if (hidden(p, path, len)) return false;
    for (int i = 0; i < p->count; i++) {
        const pattern_segment *s = &p->segments[i];
        text segment, value = {NULL, 0};

        if (s->kind == SEGMENT_REST) {
            if (w.at) value = (text){w.at, (size_t)(w.end - w.at)};
            w.at = NULL;
        } else if (!path_next(&w, &segment) || !pattern_segment_match(p, i, segment, &value)) {
            return false;
        }
        if (s->capture >= 0) found.at[s->capture] = value;
    }
    if (w.at) return false;
    if (caps) {
        found.count = p->captures;
        *caps = found;
    }
    return true;
}

static int rank(const pattern *p, int i)
{
    static const int ranks[] = {[SEGMENT_REST] = 0, [SEGMENT_ONE] = 2, [SEGMENT_PART] = 3, [SEGMENT_LITERAL] = 4};

    return i < p->count ? ranks[p->segments[i].kind] : 1; /* the end: above the rest, below all that is there */
}

int pattern_compare(const pattern *a, const pattern *b)
{
    for (int i = 0; i < a->count || i < b->count; i++) {
        int by = rank(a, i) - rank(b, i);

        if (by) return by;
        if (a->segments[i].kind != SEGMENT_PART) continue;
        by = (a->segments[i].pre + a->segments[i].post) - (b->segments[i].pre + b->segments[i].post);
        if (by) return by;
    }
    return 0;
}

static bool begins(const char *p, size_t len, const char *with, size_t with_len)
{
    return with_len <= len && memcmp(p, with, with_len) == 0;
}

static bool ends(const char *end, size_t len, const char *with_end, size_t with_len)
{
    return with_len <= len && memcmp(end - with_len, with_end - with_len, with_len) == 0;
}

/* Can one segment fit both?  Any long enough text between the longer beginning and the longer ending does. */
static bool parts_overlap(text a, const pattern_segment *sa, text b, const pattern_segment *sb)
{
    const char *ea = a.p + a.len, *eb = b.p + b.len;

    return (begins(a.p, sa->pre, b.p, sb->pre) || begins(b.p, sb->pre, a.p, sa->pre)) &&
           (ends(ea, sa->post, eb, sb->post) || ends(eb, sb->post, ea, sa->post));
}

static bool segments_overlap(const pattern *a, const pattern *b, int i)
{
    const pattern_segment *sa = &a->segments[i], *sb = &b->segments[i];

    if (sa->kind == SEGMENT_LITERAL) return pattern_segment_match(b, i, pattern_text(a, i), NULL);
    if (sb->kind == SEGMENT_LITERAL) return pattern_segment_match(a, i, pattern_text(b, i), NULL);
    if (sa->kind == SEGMENT_ONE || sb->kind == SEGMENT_ONE) return true;
    return parts_overlap(pattern_text(a, i), sa, pattern_text(b, i), sb);
}

/* Does the pattern match only paths that begin with '$'? */
static bool dollar_only(const pattern *p)
{
    const pattern_segment *first = &p->segments[0];

    return p->text[0] == '$' && (first->kind == SEGMENT_LITERAL || (first->kind == SEGMENT_PART && first->pre));
}

static bool open_first(const pattern *p) /* is the first segment a wildcard in the sense of MQTT 4.7.2? */
{
    return p->segments[0].kind != SEGMENT_LITERAL && p->segments[0].pre == 0;
}

bool pattern_overlaps(const pattern *a, const pattern *b)
{
    if ((dollar_only(a) && open_first(b)) || (dollar_only(b) && open_first(a))) return false;
    for (int i = 0;; i++) {
        if (i < a->count && a->segments[i].kind == SEGMENT_REST) return true;
        if (i < b->count && b->segments[i].kind == SEGMENT_REST) return true;
        if (i == a->count || i == b->count) return a->count == b->count;
        if (!segments_overlap(a, b, i)) return false;
    }
}

static bool segment_covers(const pattern *a, const pattern *b, int i)
{
    const pattern_segment *sa = &a->segments[i], *sb = &b->segments[i];
    text ta = pattern_text(a, i), tb = pattern_text(b, i);

    if (sb->kind == SEGMENT_LITERAL) return pattern_segment_match(a, i, tb, NULL);
    if (sa->kind == SEGMENT_ONE) return true;
    return sa->kind == SEGMENT_PART && sb->kind == SEGMENT_PART && begins(tb.p, sb->pre, ta.p, sa->pre) &&
           ends(tb.p + tb.len, sb->post, ta.p + ta.len, sa->post);
}

bool pattern_covers(const pattern *a, const pattern *b)
{
    if (dollar_only(b) && open_first(a)) return false;
    for (int i = 0;; i++) {
        if (i < a->count && a->segments[i].kind == SEGMENT_REST) return true;
        if (i < b->count && b->segments[i].kind == SEGMENT_REST) return false;
        if (i == a->count || i == b->count) return a->count == b->count;
        if (!segment_covers(a, b, i)) return false;
    }
}
