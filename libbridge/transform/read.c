/* The text of a transformation: steps with '|' between them, words with blanks between them, quotes around what has either.
 *
 *      wrap value room=room source='north wing' | min-interval 10s */
#include "transform/read.h"
#include "base/status.h"
#include <stdio.h>
#include <stdlib.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* One word from *in on, written to *out without its quotes: never longer than it was. */
static int word_read(const char **in, char **out, word *w, bridge_error *err)
{
    const char *p = *in;
    char quote = 0, bracket = 0;

    *w = (word){.p = *out, .quote = SIZE_MAX};
    for (; *p && (quote || bracket || (!is_blank(*p) && *p != '|')); p++) {
        if (bracket || (!quote && *p == '[' && (p[1] == '\'' || p[1] == '"'))) { /* $['a b']: the quotes belong to the place */
            if (!bracket) *(*out)++ = *p++, bracket = *p;
            else if (*p == bracket && p[1] == ']') bracket = 0;
            *(*out)++ = *p;
        } else if (quote && *p == '\\' && (p[1] == quote || p[1] == '\\')) *(*out)++ = *++p;
        else if (*p == quote) quote = 0;
        else if (!quote && (*p == '\'' || *p == '"')) {
            quote = *p;
            if (w->quote == SIZE_MAX) w->quote = (size_t)(*out - w->p);
        } else *(*out)++ = *p;
    }
    if (quote || bracket) return fail(err, BRIDGE_INVALID, "a %c is not closed", quote ? quote : bracket);
    w->len = (size_t)(*out - w->p);
    *(*out)++ = 0;
    *in = p;
    return 0;
}

static int words_read(reading *r, const char **in, char **out)
{
    const char *p = *in;
    int rc = 0;

    for (r->count = 0; rc == 0;) {
        while (is_blank(*p)) p++;
        if (!*p || *p == '|') break;
        if (r->count == READ_WORDS) return fail(r->err, BRIDGE_INVALID, "more than %d words in one step", READ_WORDS);
        rc = word_read(&p, out, &r->words[r->count], r->err);
        if (rc == 0) r->count++;
    }
    *in = p;
    return rc;
}

static int steps_read(reading *r, const char *said)
{
    transform *t = r->t;
    char *out = t->words;
    int rc = 0;

    while (rc == 0) {
        rc = words_read(r, &said, &out);
        if (rc < 0) return rc;
        if (r->count == 0) return fail(r->err, BRIDGE_INVALID, t->count ? "a step is missing next to '|'" : "a transformation without steps");
        if (t->count == TRANSFORM_STEPS) return fail(r->err, BRIDGE_INVALID, "more than %d steps", TRANSFORM_STEPS);
        rc = step_read(r, &t->steps[t->count++]); /* counted first: what it has taken so far is freed with the rest */
        if (*said++ != '|') break;
    }
    return rc;
}

int transform_new(mem *m, transform **out, const char *said, const pattern *source, const transform_calls *calls, bridge_error *err)
{
    transform *t;
    reading r = {.source = source, .calls = calls, .err = err};
    size_t len = strlen(said);
    int rc;

    if (len > TRANSFORM_TEXT) return fail(err, BRIDGE_TOOBIG, "a transformation has at most %d bytes", TRANSFORM_TEXT);
    t = r.t = mem_new(m, transform);
    if (!t) return fail_nomem(err);
    t->mem = m;
    t->call = calls ? calls->call : NULL;
    t->said = mem_text(m, said);
    t->words = mem_alloc(m, 2 * len + 2); /* each word gets a NUL */
    rc = t->said && t->words ? steps_read(&r, said) : fail_nomem(err);
    if (rc == 0) *out = t;
    else transform_free(t);
    return rc;
}

void transform_free(transform *t)
{
    if (!t) return;
    for (unsigned i = 0; i < t->count; i++) {
        step *s = &t->steps[i];
        for (size_t k = 0; k < s->part_count; k++)
            mem_free(t->mem, s->parts[k].places.at);
        mem_free(t->mem, s->parts);
        mem_free(t->mem, s->places.at);
    }
    mem_free(t->mem, t->said);
    mem_free(t->mem, t->words);
    mem_free(t->mem, t);
}

const char *transform_text(const transform *t)
{
    return t->said;
}

/* ---- $.a.b[0]['c d']: names are cut out of the text, which is ours to change */

static int place_add(mem *m, place_list *l, place p, bridge_error *err)
{
    place *more = mem_realloc(m, l->at, (l->count + 1) * sizeof *more);

    if (!more) return fail_nomem(err);
    l->at = more;
    l->at[l->count++] = p;
    return 0;
}

static int bad_place(const char *said, size_t len, bridge_error *err)
{
    return fail(err, BRIDGE_INVALID, "\"%.*s\" is no place in a value; one is \"$.temp\", \"$.a.b[0]\", \"$['a b']\"", (int)(len < 60 ? len : 60), said);
}

static int bracket_read(char *p, char *end, place *out, char **next)
{
    char *close = memchr(p, ']', (size_t)(end - p)), *stop;

    if (!close || close == p) return BRIDGE_INVALID;
    if (*p == '\'' || *p == '"') {
        char *quote = memchr(p + 1, *p, (size_t)(end - p - 1));
        if (!quote || quote + 1 >= end || quote[1] != ']') return BRIDGE_INVALID;
        *quote = 0;
        *out = (place){.name = p + 1};
        *next = quote + 2;
        return 0;
    }
    *out = (place){.at = strtoll(p, &stop, 10)};
    *next = close + 1;
    return stop == close ? 0 : BRIDGE_INVALID;
}

/* Dots and brackets become NULs, so that each name ends where it should. */
int places_read(mem *m, const char *said, size_t len, place_list *out, bridge_error *err)
{
    char *p = (char *)(uintptr_t)said, *end = p + len, *name;
    int rc = 0;
    bool first = true;

    if (p < end && *p == '$') p++, first = false;
    else if (p == end) return bad_place(said, len, err);
    while (p < end && rc == 0) {
        place one = {0};
        if (*p == '[') {
            char *open = p;
            if (bracket_read(p + 1, end, &one, &p) < 0) return bad_place(said, len, err);
            *open = 0;
        } else {
            if (!first && *p != '.') return bad_place(said, len, err);
            if (!first) *p++ = 0;
            for (name = p; p < end && *p != '.' && *p != '['; p++) {}
            if (p == name) return bad_place(said, len, err);
            one.name = name;
        }
        first = false;
        if (out->count == 32) return fail(err, BRIDGE_INVALID, "a place has at most 32 steps");
        rc = place_add(m, out, one, err);
    }
    *end = 0; /* a NUL already, or the brace of a template */
    return rc;
}

/* ---- fields */

static const char *const field_names[] = {"value", "payload", "path", "target", "time", "seconds", "iso", "origin", "qos", "format", NULL};
static const field_kind field_kinds[] = {FIELD_VALUE, FIELD_VALUE, FIELD_PATH, FIELD_TARGET, FIELD_TIME, FIELD_SECONDS, FIELD_ISO,
                                         FIELD_ORIGIN, FIELD_QOS, FIELD_FORMAT};

int field_read(reading *r, const char *name, size_t len, part *out)
{
    text said = {name, len};
    const char *near;
    char copy[64];

    *out = (part){.key = name};
    if (len && *name == '$') {
        out->kind = FIELD_PICK;
        return places_read(r->t->mem, name, len, &out->places, r->err);
    }
    out->capture = r->source ? pattern_find(r->source, said) : -1;
    out->kind = FIELD_CAPTURE; /* a capture hides a field of that name: it is what the writer of the route named */
    if (out->capture >= 0) return 0;
    for (int i = 0; field_names[i]; i++)
        if (text_is(said, field_names[i])) {
            out->kind = field_kinds[i];
            return 0;
        }
    snprintf(copy, sizeof copy, "%.*s", (int)(len < 60 ? len : 60), name);
    near = text_nearest(copy, field_names);
    return fail(r->err, BRIDGE_INVALID, "no field and no capture of the source is called \"%s\"%s%s%s", copy, near ? "; did you mean \"" : "",
                near ? near : "", near ? "\"?" : "");
}

/* ---- templates: {name} is filled in, other braces are text, \{ is a brace */

static part *part_add(reading *r, step *into)
{
    part *more = mem_realloc(r->t->mem, into->parts, (into->part_count + 1) * sizeof *more);

    if (!more) return NULL;
    into->parts = more;
    more[into->part_count] = (part){0};
    return &more[into->part_count++];
}

static bool is_name(const char *p, size_t len)
{
    if (len == 0) return false;
    if (*p == '$') return len == 1 || p[1] == '.' || p[1] == '[';
    for (size_t i = 0; i < len; i++)
        if (!((p[i] | 32) >= 'a' && (p[i] | 32) <= 'z') && p[i] != '_' && !(i && ((p[i] >= '0' && p[i] <= '9') || p[i] == '-'))) return false;
    return true;
}

static const char *placeholder(const char *p, const char *end)
{
    const char *close = *p == '{' ? memchr(p, '}', (size_t)(end - p)) : NULL;

    return close && is_name(p + 1, (size_t)(close - p - 1)) ? close : NULL;
}

/* Is what follows inside of a JSON string? */
static bool track(bool inside, const char *p, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (inside && p[i] == '\\') i++;
        else if (p[i] == '"') inside = !inside;
    }
    return inside;
}

static int text_add(reading *r, step *into, const char *p, size_t len)
{
    part *x = len ? part_add(r, into) : NULL;

    if (x) *x = (part){.kind = FIELD_TEXT, .literal = p, .len = len};
    return x || !len ? 0 : fail_nomem(r->err);
}

int parts_read(reading *r, const char *said, size_t len, step *into)
{
    const char *p = said, *end = said + len, *start = p, *close;
    bool inside = false;
    int rc = 0;

    while (p < end && rc == 0) {
        bool escaped = *p == '\\' && p + 1 < end && (p[1] == '{' || p[1] == '}');
        close = escaped ? NULL : placeholder(p, end);
        if (!close && !escaped) {
            p++;
            continue;
        }
        rc = text_add(r, into, start, (size_t)(p - start));
        inside = track(inside, start, (size_t)(p - start));
        start = escaped ? p + 1 : close + 1;
        if (close && rc == 0) {
            part *x = part_add(r, into);
            if (!x) return fail_nomem(r->err);
            rc = field_read(r, p + 1, (size_t)(close - p - 1), x);
            x->quoted = inside;
        }
        p = escaped ? p + 2 : start;
    }
    return rc ? rc : text_add(r, into, start, (size_t)(end - start));
}
