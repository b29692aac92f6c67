#include "adapter/uplink/maps.h"
#include "base/status.h"

void maps_init(map_table *t, mem *m)
{
    *t = (map_table){.mem = m};
}

static void line_done(mem *m, map_line *l)
{
    mem_free(m, l->source);
    mem_free(m, l->target);
    mem_free(m, l->filter);
}

void maps_done(map_table *t)
{
    for (size_t i = 0; i < t->count; i++) line_done(t->mem, &t->lines[i]);
    mem_free(t->mem, t->lines);
    t->lines = NULL;
    t->count = t->room = 0;
}

/* "home/{room}-lamp/{rest...}" is "home/+/#" for a broker; what the fixed text excludes is sorted out when it comes. */
static char *filter_of(mem *m, const pattern *p)
{
    buf b;
    char *out = NULL;
    int rc = 0;

    buf_init(&b, m, 0);
    for (int i = 0; i < p->count && rc == 0; i++) {
        text segment = pattern_text(p, i);
        segment_kind kind = (segment_kind)p->segments[i].kind;
        if (i) rc = buf_put_u8(&b, '/');
        if (rc < 0) break;
        if (kind == SEGMENT_LITERAL) rc = buf_put(&b, segment.p, segment.len);
        else rc = buf_put_u8(&b, kind == SEGMENT_REST ? '#' : '+');
    }
    if (rc == 0) out = mem_text_len(m, (const char *)b.data, b.len);
    buf_done(&b);
    return out;
}

static int bad(bridge_error *err, text line, const char *why)
{
    return fail(err, BRIDGE_INVALID, "map \"%.*s\": %s", line.len < 120 ? (int)line.len : 120, line.p, why);
}

static int read_options(text options, map_line *l, text line, bridge_error *err)
{
    text one, key, value;

    while (options.len) {
        uint64_t n;
        text_cut(options, ';', &one, &options);
        text_cut(one, '=', &key, &value);
        if (text_is(key, "qos")) {
            if (!text_to_u64(value, 2, &n)) return bad(err, line, "qos is 0, 1 or 2");
            l->qos = (uint8_t)n;
        } else if (text_is(key, "retain")) {
            if (text_is(value, "keep")) l->retain = BRIDGE_KEEP_AS_IS;
            else if (text_is(value, "always")) l->retain = BRIDGE_KEEP_ALWAYS;
            else if (text_is(value, "never")) l->retain = BRIDGE_KEEP_NEVER;
            else return bad(err, line, "retain is keep, always or never");
        } else {
            return bad(err, line, "its options are qos= and retain=");
        }
    }
    return 0;
}

static int add_line(map_table *t, const map_line *said, text source, text target, bridge_error *err)
{
    map_line *l;

    if (t->count >= MAPS_MAX) return fail(err, BRIDGE_BUSY, "more than %d maps for one uplink", MAPS_MAX);
    int rc = mem_grow(t->mem, (void **)&t->lines, &t->room, t->count, sizeof *t->lines);
    if (rc < 0) return fail_nomem(err);
    l = &t->lines[t->count++]; /* from here on maps_done() cleans up */
    *l = *said;
    rc = pattern_new(t->mem, &l->source, source.p, source.len, PATTERN_FULL, err);
    if (rc == 0) rc = pattern_new(t->mem, &l->target, target.p, target.len, PATTERN_TARGET, err);
    if (rc == 0) rc = pattern_bind(l->target, l->source, &l->link, err);
    if (rc == 0 && !(l->filter = filter_of(t->mem, l->source))) rc = fail_nomem(err);
    return rc;
}

int maps_add(map_table *t, map_way way, const char *said, bridge_error *err)
{
    text line = text_of(said), names, options, source, target;
    map_line l = {.qos = 2};
    int rc;

    text_cut(line, ';', &names, &options);
    if (!text_cut(names, '>', &source, &target)) target = source;
    if (source.len == 0 || target.len == 0) return bad(err, line, "it should look like source>target");
    rc = read_options(options, &l, line, err);
    l.out = way != MAP_IN;
    if (rc == 0) rc = add_line(t, &l, source, target, err);
    if (rc < 0 || way != MAP_BOTH) return rc;
    l.out = false;
    return add_line(t, &l, target, source, err);
}

int maps_check(const map_table *t, bridge_error *err)
{
    for (size_t i = 0; i < t->count; i++)
        for (size_t j = 0; j < i; j++) {
            const map_line *a = &t->lines[i], *b = &t->lines[j];
            if (a->out || b->out || !pattern_overlaps(a->source, b->source)) continue;
            return fail(err, BRIDGE_INVALID, "\"%.80s\" and \"%.80s\" both take some topics of the broker: let only one of them", b->source->text,
                        a->source->text);
        }
    return 0;
}

int map_name(const map_line *l, const char *path, size_t len, char *out)
{
    captures caps;

    if (!pattern_match(l->source, path, len, &caps)) return BRIDGE_NOTFOUND;
    return pattern_fill(l->target, &l->link, &caps, out, MAP_NAME);
}
