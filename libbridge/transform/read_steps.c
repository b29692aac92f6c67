/* Each step by its word, and what can be wrong with it. */
#include "base/status.h"
#include "codec/json.h"
#include "transform/read.h"
#include <math.h>

static int wrong(reading *r, const char *how)
{
    return fail(r->err, BRIDGE_INVALID, "\"%.40s\" is said like this: %s", r->words[0].p, how);
}

static int read_real(reading *r, unsigned i, double *out)
{
    item it;

    if (number_parse(r->words[i].p, r->words[i].len, &it) < 0 || !isfinite(item_real(&it)))
        return fail(r->err, BRIDGE_INVALID, "\"%.40s\" is not a number", r->words[i].p);
    *out = item_real(&it);
    return 0;
}

/* 500ms 10s 5m 2h 1d; more than a year is a slip. */
static int read_span(reading *r, unsigned i, int64_t *out)
{
    static const struct {
        const char *unit;
        double ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"min", 60000}, {"h", 3600000}, {"d", 86400000}};
    const word *w = &r->words[i];
    size_t used = 0;
    item it;

    if (number_read(w->p, w->p + w->len, &it, &used) == 0)
        for (size_t k = 0; k < sizeof units / sizeof *units; k++) {
            double ms = item_real(&it) * units[k].ms;
            if (strcmp(w->p + used, units[k].unit) != 0) continue;
            if (!(ms >= 1 && ms <= 366.0 * 86400000)) break;
            *out = (int64_t)ms;
            return 0;
        }
    return fail(r->err, BRIDGE_INVALID, "\"%.40s\" is no time; one is 500ms, 10s, 5m, 2h, 1d", w->p);
}

static int read_format(reading *r, unsigned i, bridge_format *out)
{
    *out = format_of_name((text){r->words[i].p, r->words[i].len});
    if (*out == BRIDGE_FORMAT_NAMED || !codec_find(*out) || !codec_find(*out)->write)
        return fail(r->err, BRIDGE_INVALID, "nothing here writes the format \"%.40s\"", r->words[i].p);
    return 0;
}

static int read_format_step(reading *r, step *s)
{
    s->kind = STEP_FORMAT;
    return r->count == 2 ? read_format(r, 1, &s->format) : wrong(r, "format json");
}

static int read_pick(reading *r, step *s)
{
    s->kind = STEP_PICK;
    return r->count == 2 ? places_read(r->t->mem, r->words[1].p, r->words[1].len, &s->places, r->err) : wrong(r, "pick $.temp");
}

/* key=name, key='text', key=12, or just name. */
static int read_member(reading *r, word *w, part *x)
{
    char *equals = w->len && *w->p != '$' ? memchr(w->p, '=', w->len) : NULL;
    const char *value = equals ? equals + 1 : w->p;
    size_t len = w->len - (size_t)(value - w->p);
    char *key = w->p;
    int rc;

    if (!equals && *w->p == '$') return fail(r->err, BRIDGE_INVALID, "\"%.60s\" needs a name: name=%.60s", w->p, w->p);
    if (equals) *equals = 0;
    if (!*key || !text_is_utf8(key, strlen(key))) return fail(r->err, BRIDGE_INVALID, "a member without a name");
    if (w->quote != SIZE_MAX && w->quote >= (size_t)(value - w->p)) {
        if (!text_is_utf8(value, len)) return fail(r->err, BRIDGE_INVALID, "\"%.60s\" is not UTF-8", value);
        *x = (part){.kind = FIELD_TEXT, .literal = value, .len = len};
    } else if (equals && len && strchr("-0123456789tfn[{", *value) && json_read(NULL, value, len, NULL, NULL, NULL) == 0) {
        *x = (part){.kind = FIELD_RAW, .literal = value, .len = len};
    } else {
        rc = field_read(r, value, len, x);
        if (rc < 0) return rc;
    }
    x->key = key;
    return 0;
}

static int read_wrap(reading *r, step *s)
{
    int rc = 0;

    s->kind = STEP_WRAP;
    if (r->count < 2 || r->words[1].len == 0) return wrong(r, "wrap value room time source='north wing'");
    if (strchr(r->words[1].p, '=') || !text_is_utf8(r->words[1].p, r->words[1].len)) return wrong(r, "wrap value room time source='north wing'");
    s->parts = mem_new_array(r->t->mem, part, r->count - 1);
    if (!s->parts) return fail_nomem(r->err);
    s->parts[0] = (part){.kind = FIELD_VALUE, .key = r->words[1].p};
    s->part_count = r->count - 1;
    for (unsigned i = 2; i < r->count && rc == 0; i++) {
        rc = read_member(r, &r->words[i], &s->parts[i - 1]);
        for (unsigned k = 0; rc == 0 && k < i - 1; k++)
            if (strcmp(s->parts[k].key, s->parts[i - 1].key) == 0)
                rc = fail(r->err, BRIDGE_INVALID, "the member \"%.60s\" is said twice", s->parts[k].key);
    }
    return rc;
}

static int read_template(reading *r, step *s)
{
    const char *p;

    s->kind = STEP_TEMPLATE;
    if (r->count != 2) return wrong(r, "template '{\"room\": \"{room}\", \"t\": {value}}'");
    if (!text_is_utf8(r->words[1].p, r->words[1].len)) return fail(r->err, BRIDGE_INVALID, "a template is UTF-8");
    for (p = r->words[1].p; *p == ' ' || *p == '\t' || *p == '\n' || *p == '\r'; p++) {}
    s->format = *p == '[' || (*p == '{' && strchr("\"{} \t\r\n", p[1])) ? BRIDGE_JSON : BRIDGE_TEXT;
    return parts_read(r, r->words[1].p, r->words[1].len, s);
}

static int read_scale(reading *r, step *s)
{
    s->kind = STEP_AFFINE;
    s->affine = (affine){.mul = 1, .per = 1, .to_mul = 1, .to_per = 1};
    if (r->count != 2 && r->count != 3) return wrong(r, "scale 0.1, or scale 1.8 32 (times, then plus)");
    if (read_real(r, 1, &s->affine.mul) < 0 || (r->count == 3 && read_real(r, 2, &s->affine.add) < 0)) return BRIDGE_INVALID;
    return s->affine.mul != 0 ? 0 : fail(r->err, BRIDGE_INVALID, "scale 0 makes every value the same");
}

static int read_offset(reading *r, step *s)
{
    s->kind = STEP_AFFINE;
    s->affine = (affine){.mul = 1, .per = 1, .to_mul = 1, .to_per = 1};
    return r->count == 2 ? read_real(r, 1, &s->affine.add) : wrong(r, "offset -40");
}

static int read_unit(reading *r, step *s)
{
    s->kind = STEP_AFFINE;
    return r->count == 3 ? units_between(r->words[1].p, r->words[2].p, &s->affine, r->err) : wrong(r, "unit degF Cel");
}

static int read_call(reading *r, step *s)
{
    s->kind = STEP_CALL;
    if (r->count != 2) return wrong(r, "call name");
    s->handle = r->calls ? r->calls->find(r->calls->user, (text){r->words[1].p, r->words[1].len}) : NULL;
    return s->handle ? 0 : fail(r->err, BRIDGE_INVALID, "no function is called \"%.60s\" (bridge_transform)", r->words[1].p);
}

static int read_split(reading *r, step *s)
{
    s->kind = STEP_SPLIT;
    s->format = BRIDGE_TEXT;
    if (r->count > 2) return wrong(r, "split, or split senml+json");
    return r->count == 2 ? read_format(r, 1, &s->format) : 0;
}

static int read_merge(reading *r, step *s)
{
    int rc;

    s->kind = STEP_MERGE;
    s->format = BRIDGE_SENML_JSON;
    if (r->count < 2 || r->count > 4) return wrong(r, "merge 10s, or merge 10s name='{room}/{what}' senml+cbor");
    rc = read_span(r, 1, &s->ms);
    for (unsigned i = 2; i < r->count && rc == 0; i++) {
        word *w = &r->words[i];
        if (strncmp(w->p, "name=", 5) == 0 && s->part_count == 0) rc = parts_read(r, w->p + 5, w->len - 5, s);
        else rc = read_format(r, i, &s->format);
    }
    return rc;
}

static int read_deadband(reading *r, step *s)
{
    word *w = &r->words[1];

    s->kind = STEP_DEADBAND;
    if (r->count != 2) return wrong(r, "deadband 0.5, or deadband 2%");
    if (w->len > 1 && w->p[w->len - 1] == '%') {
        s->percent = true;
        w->p[--w->len] = 0;
    }
    if (read_real(r, 1, &s->band) < 0) return BRIDGE_INVALID;
    return s->band > 0 ? 0 : fail(r->err, BRIDGE_INVALID, "a deadband is more than 0; to drop what is the same, say on-change");
}

static int read_on_change(reading *r, step *s)
{
    s->kind = STEP_ON_CHANGE;
    return r->count == 1 ? 0 : wrong(r, "on-change");
}

static int read_min_interval(reading *r, step *s)
{
    s->kind = STEP_MIN_INTERVAL;
    return r->count == 2 ? read_span(r, 1, &s->ms) : wrong(r, "min-interval 10s");
}

static int read_max_interval(reading *r, step *s)
{
    s->kind = STEP_MAX_INTERVAL;
    return r->count == 2 ? read_span(r, 1, &s->ms) : wrong(r, "max-interval 5m");
}

static int read_window(reading *r, step *s)
{
    static const char *const names[] = {"count", "min", "max", "mean", "sum", "last", NULL};
    int rc;

    s->kind = STEP_WINDOW;
    if (r->count < 3) return wrong(r, "window 60s mean, or window 60s count min max mean");
    rc = read_span(r, 1, &s->ms);
    for (unsigned i = 2; i < r->count && rc == 0; i++) {
        unsigned bit = 0;
        for (unsigned k = 0; names[k]; k++)
            if (strcmp(r->words[i].p, names[k]) == 0) bit = 1u << k;
        s->stats |= bit;
        if (!bit) rc = fail(r->err, BRIDGE_INVALID, "a window gives count, min, max, mean, sum or last, not \"%.40s\"", r->words[i].p);
    }
    return rc;
}

static const struct {
    const char *name;
    int (*read)(reading *r, step *s);
} kinds[] = {{"format", read_format_step}, {"pick", read_pick}, {"wrap", read_wrap}, {"template", read_template}, {"scale", read_scale},
             {"offset", read_offset}, {"unit", read_unit}, {"call", read_call}, {"split", read_split}, {"merge", read_merge},
             {"deadband", read_deadband}, {"on-change", read_on_change}, {"min-interval", read_min_interval},
             {"max-interval", read_max_interval}, {"window", read_window}};
enum { KINDS = sizeof kinds / sizeof *kinds };

int step_read(reading *r, step *out)
{
    const char *names[KINDS + 1], *near;

    for (size_t i = 0; i < KINDS; i++) {
        names[i] = kinds[i].name;
        if (strcmp(r->words[0].p, kinds[i].name) == 0) return kinds[i].read(r, out);
    }
    names[KINDS] = NULL;
    near = text_nearest(r->words[0].p, names);
    return fail(r->err, BRIDGE_INVALID, "no step is called \"%.40s\"%s%s%s", r->words[0].p, near ? "; did you mean \"" : "", near ? near : "",
                near ? "\"?" : "");
}
