/* One pack of many values, and many values that become one pack (RFC 8428). */
#include "base/status.h"
#include "codec/senml.h"
#include "core/path.h"
#include "transform/steps.h"

typedef struct splitting {
    passage *p;
    unsigned at;
    const step *step;
    bridge_msg *msg;
    text target;
    unsigned count;
} splitting;

/* Where a record goes: below the target, by its name. */
static int record_target(const splitting *x, const bridge_record *r, char *out, size_t room, text *to, bridge_error *err)
{
    const char *name = r->name;
    size_t len;

    while (*name == '/')
        name++;
    len = strlen(name);
    if (x->target.len + 1 + len >= room) return fail(err, BRIDGE_TOOBIG, "the path of a value is too long");
    memcpy(out, x->target.p, x->target.len);
    *to = (text){out, x->target.len};
    if (len) {
        out[to->len++] = '/';
        memcpy(out + to->len, name, len);
        to->len += len;
    }
    out[to->len] = 0;
    return path_check(to->p, to->len, err);
}

static int on_record(void *user, const bridge_record *r)
{
    splitting *x = user;
    char path[PATH_BYTES + 1];
    bridge_record one = *r;
    bridge_msg *made = NULL;
    bridge_error *err = x->p->err;
    text to;
    buf b;
    int rc;

    if (++x->count > TRANSFORM_SPLIT) return fail(err, BRIDGE_TOOBIG, "more than %d values in one pack", TRANSFORM_SPLIT);
    rc = record_target(x, r, path, sizeof path, &to, err);
    if (rc < 0) return rc;
    one.name = "";
    one.absolute = false;
    buf_init(&b, x->msg->mem, SCRATCH_LIMIT);
    rc = codec_write(x->msg->mem, path, x->step->format, &one, 1, &b, err);
    if (rc == 0) rc = msg_with(x->msg, x->step->format, b.data, b.len, &made);
    if (rc == 0 && r->time > 0 && r->time < 9e12) made->time = (int64_t)(r->time * 1000 + 0.5);
    buf_done(&b);
    if (rc == 0) rc = pass_on(x->p, x->at + 1, made, to);
    bridge_msg_unref(made);
    return rc;
}

typedef struct counting {
    unsigned count;
} counting;

static int count_record(void *user, const bridge_record *r)
{
    (void)r;
    return ++((counting *)user)->count > TRANSFORM_SPLIT ? BRIDGE_TOOBIG : 0;
}

/* All of the pack or nothing: it is read through before the first value goes on. */
int step_split(passage *p, unsigned at, bridge_msg *msg, text target)
{
    splitting x = {.p = p, .at = at, .step = &p->t->steps[at], .msg = msg, .target = target};
    bridge_format format = payload_format(msg);
    double now = (double)msg->time / 1000;
    counting c = {0};
    int rc;

    if (msg->len == 0) return fail(p->err, BRIDGE_UNPROCESSABLE, "there is no value");
    rc = codec_read(msg->mem, msg->path, now, format, msg_data(msg), msg->len, count_record, &c, p->err);
    if (rc == BRIDGE_TOOBIG) return fail(p->err, rc, "more than %d values in one pack", TRANSFORM_SPLIT);
    return rc < 0 ? rc : codec_read(msg->mem, msg->path, now, format, msg_data(msg), msg->len, on_record, &x, p->err);
}

/* ---- the other way */

typedef struct gathering {
    collector all;
    const pack_item *item;
} gathering;

static int gather(void *user, const bridge_record *r)
{
    gathering *g = user;
    scratch *s = g->all.scratch;
    bridge_record one = *r;
    size_t len = strlen(g->item->name), more = strlen(r->name);
    char *name = scratch_aligned(s, len + more + 2, 1);
    void *copy;

    if (!name) return scratch_fail(s, g->all.err);
    memcpy(name, g->item->name, len);
    if (more) name[len++] = '/';
    memcpy(name + len, r->name, more + 1);
    if (!senml_name_ok(name, len + more, true))
        return fail(g->all.err, BRIDGE_UNPROCESSABLE, "SenML cannot spell the name \"%.60s\" (RFC 8428 4.5.1)", name);
    one.name = name;
    one.absolute = true;
    if (one.time == 0) one.time = (double)g->item->msg->time / 1000;
    if (r->unit && !(one.unit = scratch_text(s, r->unit, strlen(r->unit)))) return scratch_fail(s, g->all.err);
    if (r->digits && !(one.digits = scratch_text(s, r->digits, strlen(r->digits)))) return scratch_fail(s, g->all.err);
    if (r->type == BRIDGE_STRING || r->type == BRIDGE_OPAQUE || r->type == BRIDGE_TREE) {
        copy = scratch_text(s, r->as.bytes.p, r->as.bytes.len);
        if (!copy) return scratch_fail(s, g->all.err);
        one.as.bytes.p = copy;
    }
    return collect(&g->all, &one);
}

int pack_write(mem *m, const pack_item *items, size_t count, bridge_format format, buf *out, bridge_error *err)
{
    gathering g;
    scratch s;
    int rc = 0;

    scratch_init(&s, m);
    g.all = (collector){.scratch = &s, .err = err};
    for (size_t i = 0; i < count && rc == 0; i++) {
        const bridge_msg *msg = items[i].msg;
        g.item = &items[i];
        rc = codec_read(m, "", (double)msg->time / 1000, payload_format(msg), msg_data(msg), msg->len, gather, &g, err);
    }
    if (rc == 0) rc = codec_write(m, "", format, g.all.records, g.all.count, out, err);
    scratch_done(&s);
    return rc;
}
