/* The steps of one message, one after the other. */
#include "base/status.h"
#include "transform/steps.h"

/* Captures are looked for only by steps that want them. */
static bool wants_captures(const step *s)
{
    for (size_t i = 0; i < s->part_count; i++)
        if (s->parts[i].kind == FIELD_CAPTURE) return true;
    return false;
}

/* Of what a function answers the payload and its format count: who sent it, when and to where stays. */
static int by_function(const passage *p, const step *s, bridge_msg *msg, bridge_msg **out)
{
    bridge_msg *made = NULL;
    int rc = p->t->call(s->handle, msg, &made);

    if (rc < 0) {
        bridge_msg_unref(made);
        return fail(p->err, rc, "the function said: %s", bridge_status_text(rc));
    }
    if (!made || made == msg) {
        *out = made; /* its reference */
        return 0;
    }
    rc = msg_with(msg, (bridge_format)made->format, msg_data(made), made->len, out);
    bridge_msg_unref(made);
    return rc;
}

static int apply(const passage *p, const step *s, bridge_msg *msg, text target, bridge_msg **out)
{
    captures caps = {.count = 0};

    if (wants_captures(s) && !pattern_match(p->way->source, msg->path, msg->path_len, &caps)) return BRIDGE_INTERNAL;
    switch (s->kind) {
    case STEP_FORMAT:
        if (msg->len) return bridge_msg_as(msg, s->format, out, p->err);
        *out = bridge_msg_ref(msg);
        return 0;
    case STEP_PICK: return step_pick(s, msg, out, p->err);
    case STEP_WRAP: return step_wrap(s, msg, target, &caps, out, p->err);
    case STEP_TEMPLATE: return step_template(s, msg, target, &caps, out, p->err);
    case STEP_CALL: return by_function(p, s, msg, out);
    default: return step_affine(&s->affine, msg, out, p->err);
    }
}

int pass_on(passage *p, unsigned at, bridge_msg *msg, text target)
{
    const step *s = &p->t->steps[at];
    bridge_msg *made = NULL;
    int rc;

    if (at == p->t->count) return p->way->out(p->way->user, msg, target);
    if (s->kind == STEP_SPLIT) return step_split(p, at, msg, target);
    if (s->kind > STEP_SPLIT) return step_hold(p, at, msg, target);
    rc = apply(p, s, msg, target, &made);
    if (rc == 0 && made) rc = pass_on(p, at + 1, made, target);
    bridge_msg_unref(made);
    return rc;
}

int transform_run(const transform *t, transform_state *s, const transform_way *way, bridge_msg *msg, text target, bridge_error *err)
{
    passage p = {t, s, way, err};

    return pass_on(&p, 0, msg, target);
}

static int take(void *user, bridge_msg *msg, text target)
{
    (void)target;
    *(bridge_msg **)user = bridge_msg_ref(msg);
    return 0;
}

int transform_one(const transform *t, bridge_msg *msg, text target, const pattern *source, bridge_msg **out, bridge_error *err)
{
    transform_way way = {.source = source, .out = take, .user = out};
    passage p = {t, NULL, &way, err};

    *out = NULL;
    return pass_on(&p, 0, msg, target);
}

bool transform_is_plain(const transform *t, const char **why_not)
{
    for (unsigned i = 0; i < t->count; i++)
        if (t->steps[i].kind >= STEP_SPLIT) {
            if (why_not) *why_not = t->steps[i].kind == STEP_SPLIT ? "makes several messages of one" : "holds messages back";
            return false;
        }
    return true;
}

bool transform_keeps_paths(const transform *t)
{
    for (unsigned i = 0; i < t->count; i++)
        if (t->steps[i].kind == STEP_SPLIT || t->steps[i].kind == STEP_MERGE || t->steps[i].kind == STEP_WINDOW) return false;
    return true;
}

bool transform_remembers(const transform *t)
{
    for (unsigned i = 0; i < t->count; i++)
        if (t->steps[i].kind > STEP_SPLIT) return true;
    return false;
}

int transform_inverse(const transform *t, mem *m, transform **out, bridge_error *err)
{
    transform *back;

    for (unsigned i = 0; i < t->count; i++)
        if (t->steps[i].kind != STEP_AFFINE && t->steps[i].kind != STEP_FORMAT)
            return fail(err, BRIDGE_INVALID, "\"%.100s\" has no way back: only scale, offset, unit and format have one", t->said);
    back = mem_new(m, transform);
    if (!back) return fail_nomem(err);
    back->mem = m;
    for (unsigned i = t->count; i-- > 0;)
        if (t->steps[i].kind == STEP_AFFINE)
            back->steps[back->count++] = (step){.kind = STEP_AFFINE, .affine = affine_back(&t->steps[i].affine)};
    *out = back;
    return 0;
}
