/* Steps that remember: what was said last, when, and what has gathered since.
 *
 * One cell for each step and target path, in the queue of its step: the one that is due first, or was used longest ago, stands in
 * front.  A queue needs no heap, because all cells of a step wait equally long.  Over the limits the one in front leaves early:
 * what it held back goes on, and what it remembered is as if it had never been.
 *
 *      deadband, on-change   pass or drop; nothing is ever due
 *      min-interval          pass, then hold the newest until the time is over
 *      max-interval          pass, and say it again when nothing came for so long
 *      window, merge         gather from the first message on, then say what came of it */
#include "base/hash.h"
#include "base/list.h"
#include "base/map.h"
#include "base/status.h"
#include "transform/steps.h"
#include <math.h>
#include <stdlib.h>

enum { TICK_MOST = 1000 }; /* cells at a time: who else wants the loop gets it in between */

typedef struct stats {
    uint64_t count;
    double min, max, sum, last;
} stats;

typedef struct gathered { /* one name of a merge */
    bridge_msg *msg;
    size_t len;
    char name[];
} gathered;

typedef struct cell {
    list link;
    unsigned step;
    bool fresh;
    int64_t due; /* INT64_MAX: never */
    size_t bytes;
    bridge_msg *held; /* WINDOW: the first one, without its payload */
    double last;
    uint64_t hash;
    stats stats;
    map items; /* MERGE: gathered, by name */
    size_t len;
    char key[]; /* the step, then the target */
} cell;

struct transform_state {
    mem *mem;
    uint64_t seed;
    map cells;
    list queues[TRANSFORM_STEPS];
    size_t bytes;
};

int transform_state_new(const transform *t, mem *m, uint64_t seed, transform_state **out)
{
    transform_state *s = mem_new(m, transform_state);

    (void)t;
    if (!s) return BRIDGE_NOMEM;
    s->mem = m;
    s->seed = seed;
    map_init(&s->cells, m, seed);
    for (int i = 0; i < TRANSFORM_STEPS; i++)
        list_init(&s->queues[i]);
    *out = s;
    return 0;
}

/* ---- cells */

static void count(transform_state *s, cell *c, size_t bytes)
{
    s->bytes += bytes;
    c->bytes += bytes;
}

static void discount(transform_state *s, cell *c, size_t bytes)
{
    s->bytes -= bytes;
    c->bytes -= bytes;
}

static void hold(transform_state *s, cell *c, bridge_msg *msg)
{
    if (c->held) discount(s, c, msg_bytes(c->held));
    bridge_msg_unref(c->held);
    c->held = msg ? bridge_msg_ref(msg) : NULL;
    if (msg) count(s, c, msg_bytes(msg));
}

static void cell_free(transform_state *s, cell *c)
{
    gathered *g;
    size_t at = 0;

    list_remove(&c->link);
    map_remove(&s->cells, c->key, c->len);
    s->bytes -= c->bytes;
    bridge_msg_unref(c->held);
    while ((g = map_next(&c->items, &at))) {
        bridge_msg_unref(g->msg);
        mem_free(s->mem, g);
    }
    map_done(&c->items);
    mem_free(s->mem, c);
}

void transform_state_free(transform_state *s)
{
    if (!s) return;
    for (int i = 0; i < TRANSFORM_STEPS; i++)
        while (!list_empty(&s->queues[i]))
            cell_free(s, list_of(s->queues[i].next, cell, link));
    map_done(&s->cells);
    mem_free(s->mem, s);
}

static size_t key_of(unsigned at, text target, char *out)
{
    out[0] = (char)(at + 1);
    memcpy(out + 1, target.p, target.len);
    return target.len + 1;
}

static cell *cell_new(transform_state *s, unsigned at, const char *key, size_t len)
{
    cell *c = mem_zalloc(s->mem, sizeof *c + len);

    if (!c) return NULL;
    c->step = at;
    c->fresh = true;
    c->due = INT64_MAX;
    c->len = len;
    memcpy(c->key, key, len);
    map_init(&c->items, s->mem, s->seed);
    if (map_put(&s->cells, c->key, len, c, NULL) < 0) {
        mem_free(s->mem, c);
        return NULL;
    }
    list_push(&s->queues[at], &c->link);
    count(s, c, sizeof *c + len);
    return c;
}

static void to_the_back(transform_state *s, cell *c, int64_t due)
{
    c->due = due;
    list_remove(&c->link);
    list_push(&s->queues[c->step], &c->link);
}

/* ---- what comes of a cell whose time is over */

static int print_stats(const stats *x, unsigned wanted, buf *out, bridge_format *format)
{
    static const struct {
        unsigned bit;
        const char *name;
    } names[] = {{STAT_COUNT, "count"}, {STAT_MIN, "min"}, {STAT_MAX, "max"}, {STAT_MEAN, "mean"}, {STAT_SUM, "sum"}, {STAT_LAST, "last"}};
    const double values[] = {(double)x->count, x->min, x->max, x->sum / (double)x->count, x->sum, x->last};
    bool one = (wanted & (wanted - 1)) == 0;
    char digits[NUMBER_ROOM];
    int rc = one ? 0 : buf_text(out, "{");

    *format = one ? BRIDGE_TEXT : BRIDGE_JSON;
    for (int i = 0; i < 6 && rc == 0; i++) {
        if (!(wanted & names[i].bit)) continue;
        if (!one) rc = buf_print(out, "%s\"%s\":", out->len > 1 ? "," : "", names[i].name);
        if (rc == 0) rc = buf_put(out, digits, number_print(values[i], digits));
    }
    return rc == 0 && !one ? buf_text(out, "}") : rc;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const pack_item *)a)->name, ((const pack_item *)b)->name);
}

static int print_pack(transform_state *s, cell *c, bridge_format format, buf *out, bridge_error *err)
{
    pack_item *items = mem_new_array(s->mem, pack_item, c->items.count);
    size_t n = 0, at = 0;
    gathered *g;
    int rc;

    if (!items) return fail_nomem(err);
    while ((g = map_next(&c->items, &at)))
        items[n++] = (pack_item){g->name, g->msg};
    qsort(items, n, sizeof *items, by_name); /* the same values make the same pack */
    rc = pack_write(s->mem, items, n, format, out, err);
    mem_free(s->mem, items);
    return rc;
}

/* The message that was held back, or what was gathered; the cell is ready for what comes next, or gone.  NULL: nothing. */
static int harvest(passage *p, cell *c, bool last, bridge_msg **out)
{
    transform_state *s = p->state;
    const step *x = &p->t->steps[c->step];
    bridge_format format = x->format;
    buf b;
    int rc = 0;

    if (x->kind == STEP_WINDOW || x->kind == STEP_MERGE) {
        buf_init(&b, s->mem, SCRATCH_LIMIT);
        rc = x->kind == STEP_WINDOW ? codec_said(print_stats(&c->stats, x->stats, &b, &format), p->err) : print_pack(s, c, format, &b, p->err);
        if (rc == 0) rc = msg_with(c->held, format, b.data, b.len, out);
        buf_done(&b);
        cell_free(s, c);
        return rc;
    }
    if (c->held && !(last && x->kind == STEP_MAX_INTERVAL)) *out = bridge_msg_ref(c->held);
    if (last || !c->held) {
        cell_free(s, c);
    } else {
        if (x->kind == STEP_MIN_INTERVAL) hold(s, c, NULL);
        to_the_back(s, c, p->way->now + x->ms);
    }
    return 0;
}

/* From a cell on: c may be gone afterwards. */
static int release(passage *p, cell *c, bool last)
{
    char target[PATH_BYTES + 2];
    size_t len = c->len - 1;
    unsigned at = c->step;
    bridge_msg *msg = NULL;
    int rc;

    memcpy(target, c->key + 1, len);
    target[len] = 0;
    rc = harvest(p, c, last, &msg);
    if (rc == 0 && msg) rc = pass_on(p, at + 1, msg, (text){target, len});
    bridge_msg_unref(msg);
    return rc;
}

/* ---- what comes in */

static int make_room(passage *p, unsigned at, size_t more)
{
    transform_state *s = p->state;

    if (more > TRANSFORM_BYTES) return fail(p->err, BRIDGE_TOOBIG, "more than a route may hold back");
    while ((s->cells.count >= TRANSFORM_PATHS || s->bytes + more > TRANSFORM_BYTES) && !list_empty(&s->queues[at]))
        release(p, list_of(s->queues[at].next, cell, link), true);
    if (s->cells.count >= TRANSFORM_PATHS || s->bytes + more > TRANSFORM_BYTES)
        return fail(p->err, BRIDGE_BUSY, "more than a route may hold back");
    return 0;
}

static int cell_for(passage *p, unsigned at, text target, size_t more, cell **out)
{
    char key[PATH_BYTES + 2];
    size_t len = key_of(at, target, key);
    int rc;

    *out = map_get(&p->state->cells, key, len);
    if (*out && p->state->bytes + more <= TRANSFORM_BYTES) return 0;
    rc = make_room(p, at, sizeof **out + len + more);
    if (rc < 0) return rc;
    *out = map_get(&p->state->cells, key, len); /* it may have been the one that left */
    if (!*out) *out = cell_new(p->state, at, key, len);
    return *out ? 0 : fail_nomem(p->err);
}

static int filter(passage *p, unsigned at, bridge_msg *msg, text target)
{
    const step *x = &p->t->steps[at];
    double d = 0, band;
    uint64_t hash = 0;
    cell *c = NULL;
    bool same;
    int rc = 0;

    if (x->kind == STEP_DEADBAND) rc = payload_number(msg, &d, p->err);
    else hash = hash_bytes(msg_data(msg), msg->len, p->state->seed) ^ msg->format;
    if (rc == 0) rc = cell_for(p, at, target, 0, &c);
    if (rc < 0) return rc;
    band = x->percent ? fabs(c->last) * x->band / 100 : x->band;
    same = !c->fresh && (x->kind == STEP_ON_CHANGE ? hash == c->hash : fabs(d - c->last) < band || d == c->last);
    to_the_back(p->state, c, INT64_MAX);
    if (same) return 0;
    c->fresh = false;
    c->last = d;
    c->hash = hash;
    return pass_on(p, at + 1, msg, target);
}

static int pace(passage *p, unsigned at, bridge_msg *msg, text target)
{
    const step *x = &p->t->steps[at];
    cell *c;
    int rc = cell_for(p, at, target, msg_bytes(msg), &c);

    if (rc < 0) return rc;
    if (x->kind == STEP_MAX_INTERVAL) hold(p->state, c, msg);
    if (x->kind == STEP_MIN_INTERVAL && !c->fresh && p->way->now < c->due) {
        hold(p->state, c, msg);
        return 0;
    }
    if (x->kind == STEP_MIN_INTERVAL) hold(p->state, c, NULL); /* it is older than this one */
    c->fresh = false;
    to_the_back(p->state, c, p->way->now + x->ms);
    return pass_on(p, at + 1, msg, target);
}

/* The first message of a window says what its result is like; its payload is not needed. */
static int begin(passage *p, cell *c, bridge_msg *msg, int64_t ms)
{
    bridge_msg *head = NULL;
    int rc;

    if (!c->fresh) return 0;
    rc = msg_with(msg, BRIDGE_TEXT, "", 0, &head);
    if (rc < 0) {
        cell_free(p->state, c);
        return fail(p->err, rc, "%s", bridge_status_text(rc));
    }
    hold(p->state, c, head);
    bridge_msg_unref(head);
    c->fresh = false;
    to_the_back(p->state, c, p->way->now + ms);
    return 0;
}

static int window(passage *p, unsigned at, bridge_msg *msg, text target)
{
    const step *x = &p->t->steps[at];
    double d;
    cell *c;
    int rc = payload_number(msg, &d, p->err);

    if (rc == 0) rc = cell_for(p, at, target, 0, &c);
    if (rc == 0) rc = begin(p, c, msg, x->ms);
    if (rc < 0) return rc;
    c->stats.min = c->stats.count && c->stats.min < d ? c->stats.min : d;
    c->stats.max = c->stats.count && c->stats.max > d ? c->stats.max : d;
    c->stats.sum += d;
    c->stats.last = d;
    c->stats.count++;
    return 0;
}

static int item_name(passage *p, const step *x, bridge_msg *msg, text target, buf *out)
{
    captures caps = {.count = 0};
    const char *slash = strrchr(msg->path, '/');

    if (x->part_count == 0) return codec_said(buf_text(out, slash ? slash + 1 : msg->path), p->err);
    if (!pattern_match(p->way->source, msg->path, msg->path_len, &caps)) return BRIDGE_INTERNAL;
    return parts_print(x->parts, x->part_count, false, msg, target, &caps, out, p->err);
}

static int add_item(passage *p, cell *c, bridge_msg *msg, text name)
{
    transform_state *s = p->state;
    gathered *g = map_get(&c->items, name.p, name.len);

    if (g) {
        discount(s, c, msg_bytes(g->msg));
        bridge_msg_unref(g->msg);
        g->msg = bridge_msg_ref(msg);
        count(s, c, msg_bytes(msg));
        return 0;
    }
    g = mem_alloc(s->mem, sizeof *g + name.len + 1);
    if (!g) return fail_nomem(p->err);
    *g = (gathered){.msg = msg, .len = name.len};
    memcpy(g->name, name.p, name.len);
    g->name[name.len] = 0;
    if (map_put(&c->items, g->name, g->len, g, NULL) < 0) {
        mem_free(s->mem, g);
        return fail_nomem(p->err);
    }
    bridge_msg_ref(msg);
    count(s, c, msg_bytes(msg) + sizeof *g + name.len);
    return 0;
}

static int merge(passage *p, unsigned at, bridge_msg *msg, text target)
{
    const step *x = &p->t->steps[at];
    cell *c = NULL;
    buf name, probe;
    int rc;

    buf_init(&name, p->state->mem, PATH_BYTES);
    buf_init(&probe, p->state->mem, SCRATCH_LIMIT);
    rc = item_name(p, x, msg, target, &name);
    /* One bad value may not spoil the pack of the others. */
    if (rc == 0) rc = buf_cstr(&name) ? pack_write(p->state->mem, &(pack_item){(char *)name.data, msg}, 1, x->format, &probe, p->err) : fail_nomem(p->err);
    if (rc == 0) rc = cell_for(p, at, target, msg_bytes(msg) + sizeof(gathered) + name.len, &c);
    if (rc == 0 && c->items.count >= TRANSFORM_SPLIT) {
        release(p, c, true);
        rc = cell_for(p, at, target, msg_bytes(msg) + sizeof(gathered) + name.len, &c);
    }
    if (rc == 0) rc = begin(p, c, msg, x->ms);
    if (rc == 0) rc = add_item(p, c, msg, (text){(char *)name.data, name.len});
    buf_done(&probe);
    buf_done(&name);
    return rc;
}

int step_hold(passage *p, unsigned at, bridge_msg *msg, text target)
{
    switch (p->t->steps[at].kind) {
    case STEP_WINDOW: return window(p, at, msg, target);
    case STEP_MERGE: return merge(p, at, msg, target);
    case STEP_MIN_INTERVAL:
    case STEP_MAX_INTERVAL: return pace(p, at, msg, target);
    default: return filter(p, at, msg, target);
    }
}

/* ---- time */

int64_t transform_due(const transform_state *s)
{
    int64_t due = INT64_MAX;

    for (int i = 0; i < TRANSFORM_STEPS; i++)
        if (!list_empty(&s->queues[i])) {
            const cell *c = list_of(s->queues[i].next, cell, link);
            if (c->due < due) due = c->due;
        }
    return due;
}

void transform_tick(const transform *t, transform_state *s, const transform_way *way, bool all, void (*bad)(void *user, const bridge_error *err))
{
    int left = all ? INT32_MAX : TICK_MOST;

    for (unsigned i = 0; i < t->count; i++)
        while (!list_empty(&s->queues[i]) && left-- > 0) {
            cell *c = list_of(s->queues[i].next, cell, link);
            bridge_error err = {0};
            passage p = {t, s, way, &err};
            if (!all && c->due > way->now) break;
            if (release(&p, c, all) < 0 && bad) bad(way->user, &err);
        }
}

void transform_forget(transform_state *s, text target)
{
    char key[PATH_BYTES + 2];

    for (unsigned i = 0; i < TRANSFORM_STEPS; i++) {
        size_t len = key_of(i, target, key);
        cell *c = list_empty(&s->queues[i]) ? NULL : map_get(&s->cells, key, len);
        if (c) cell_free(s, c);
    }
}

size_t transform_paths(const transform_state *s)
{
    return s->cells.count;
}

size_t transform_bytes(const transform_state *s)
{
    return s->bytes;
}
