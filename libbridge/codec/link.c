#include "codec/link.h"
#include "base/status.h"

static bool token_char(char c)
{
    return c > ' ' && c < 0x7f && !strchr("\"(),/:;<=>?@[\\]{}", c);
}

static void skip_blanks(text *t)
{
    while (t->len && strchr(" \t\r\n", *t->p) && *t->p)
        t->p++, t->len--;
}

/* How long the quoted string is, both quotes included; 0: it has no end. */
static size_t quoted_length(text t)
{
    for (size_t i = 1; i < t.len; i++) {
        if (t.p[i] == '"') return i + 1;
        if (t.p[i] == '\\') i++;
    }
    return 0;
}

/* One parameter from the front; 0 when there is none, SYNTAX. */
static int take_param(text *t, link_param *out)
{
    size_t n = 0;

    skip_blanks(t);
    if (!t->len || *t->p != ';') return 0;
    t->p++, t->len--;
    skip_blanks(t);
    while (n < t->len && token_char(t->p[n]))
        n++;
    if (n == 0) return BRIDGE_SYNTAX;
    *out = (link_param){.name = {t->p, n}};
    t->p += n, t->len -= n;
    skip_blanks(t);
    if (!t->len || *t->p != '=') return 1;
    t->p++, t->len--;
    skip_blanks(t);
    out->has_value = true;
    if (t->len && *t->p == '"') {
        n = quoted_length(*t);
        if (n == 0) return BRIDGE_SYNTAX;
        out->quoted = true;
        out->value = (text){t->p + 1, n - 2};
    } else { /* ptoken of RFC 6690 2: more than a token, so that dates and URIs pass */
        for (n = 0; n < t->len && t->p[n] > ' ' && t->p[n] < 0x7f && !strchr("\",;\\", t->p[n]); n++) {
        }
        if (n == 0) return BRIDGE_SYNTAX;
        out->value = (text){t->p, n};
    }
    t->p += n, t->len -= n;
    return 1;
}

int link_next(text *rest, link_item *out, bridge_error *err)
{
    const char *close, *params;
    link_param ignored;
    text t = *rest;
    int rc;

    skip_blanks(&t);
    if (!t.len) return 0;
    close = memchr(t.p, '>', t.len);
    if (*t.p != '<' || !close || memchr(t.p + 1, '<', (size_t)(close - t.p - 1)))
        return fail(err, BRIDGE_SYNTAX, "link-format: '<' target '>' expected");
    out->target = (text){t.p + 1, (size_t)(close - t.p - 1)};
    params = close + 1;
    t.len -= (size_t)(params - t.p);
    t.p = params;
    while ((rc = take_param(&t, &ignored)) > 0) {
    }
    if (rc < 0)
        return fail(err, rc, "link-format: bad parameter of <%.*s>", out->target.len > 80 ? 80 : (int)out->target.len,
                    out->target.p);
    out->params = (text){params, (size_t)(t.p - params)};
    if (t.len && *t.p != ',') return fail(err, BRIDGE_SYNTAX, "link-format: ',' or ';' expected");
    if (t.len) {
        t.p++, t.len--;
        skip_blanks(&t);
        if (!t.len) return fail(err, BRIDGE_SYNTAX, "link-format: a link expected after ','");
    }
    *rest = t;
    return 1;
}

int link_param_next(text *params, link_param *out)
{
    return take_param(params, out) > 0;
}

bool link_param_find(const link_item *l, const char *name, link_param *out)
{
    text params = l->params;

    while (link_param_next(&params, out))
        if (text_is(out->name, name)) return true;
    return false;
}

int link_unquote(buf *out, const link_param *param)
{
    text t = param->value;
    int rc = 0;

    for (size_t i = 0; i < t.len && rc == 0; i++) {
        if (param->quoted && t.p[i] == '\\' && i + 1 < t.len) i++;
        rc = buf_put(out, t.p + i, 1);
    }
    return rc;
}

/* ---- writing */

/* What cannot stand between < and > is percent-encoded; what is already stays. */
int link_put(buf *out, text target)
{
    int rc = out->len ? buf_text(out, ",<") : buf_text(out, "<");

    for (size_t i = 0; i < target.len && rc == 0; i++) {
        unsigned char c = (unsigned char)target.p[i];
        if (c <= ' ' || c == '<' || c == '>' || c == '"' || c >= 0x7f)
            rc = buf_print(out, "%%%02X", c);
        else
            rc = buf_put_u8(out, c);
    }
    return rc ? rc : buf_put_u8(out, '>');
}

static int put_name(buf *out, const char *name)
{
    int rc = buf_put_u8(out, ';');

    return rc ? rc : buf_text(out, name);
}

int link_put_again(buf *out, const link_param *p)
{
    int rc = buf_put_u8(out, ';');

    if (rc == 0) rc = buf_put(out, p->name.p, p->name.len);
    if (rc == 0 && p->has_value) rc = buf_text(out, p->quoted ? "=\"" : "=");
    if (rc == 0 && p->has_value) rc = buf_put(out, p->value.p, p->value.len);
    return rc == 0 && p->quoted ? buf_put_u8(out, '"') : rc;
}

int link_put_flag(buf *out, const char *name)
{
    return put_name(out, name);
}

int link_put_token(buf *out, const char *name, text value)
{
    int rc = put_name(out, name);

    if (rc == 0) rc = buf_put_u8(out, '=');
    return rc ? rc : buf_put(out, value.p, value.len);
}

int link_put_param(buf *out, const char *name, text value)
{
    int rc = put_name(out, name);

    if (rc == 0) rc = buf_text(out, "=\"");
    for (size_t i = 0; i < value.len && rc == 0; i++) {
        if (value.p[i] == '"' || value.p[i] == '\\') rc = buf_put_u8(out, '\\');
        if (rc == 0) rc = buf_put_u8(out, (uint8_t)value.p[i]);
    }
    return rc ? rc : buf_put_u8(out, '"');
}

/* ---- filters */

link_filter link_filter_of(text query)
{
    link_filter f = {.prefix = false};

    f.has_value = text_cut(query, '=', &f.name, &f.value);
    if (f.value.len >= 2 && f.value.p[0] == '"' && f.value.p[f.value.len - 1] == '"') f.value.p++, f.value.len -= 2;
    if (f.value.len && f.value.p[f.value.len - 1] == '*') {
        f.prefix = true;
        f.value.len--;
    }
    return f;
}

static bool value_matches(const link_filter *f, text value)
{
    if (!f->prefix) return text_same(f->value, value);
    return value.len >= f->value.len && (f->value.len == 0 || memcmp(value.p, f->value.p, f->value.len) == 0);
}

static bool has_many(text name)
{
    return text_is(name, "rt") || text_is(name, "if") || text_is(name, "rel") || text_is(name, "rev") ||
           text_is(name, "ct");
}

static bool param_matches(const link_filter *f, const link_param *p)
{
    text one, rest = p->value;

    if (!f->has_value) return true;
    if (value_matches(f, p->value)) return true;
    if (!has_many(f->name)) return false;
    while (rest.len) {
        text_cut(rest, ' ', &one, &rest);
        if (one.len && value_matches(f, one)) return true;
    }
    return false;
}

static bool filter_matches(const link_item *l, const link_filter *f)
{
    text params = l->params;
    link_param p;

    if (text_is(f->name, "href")) return !f->has_value || value_matches(f, l->target);
    while (link_param_next(&params, &p))
        if (text_same(p.name, f->name) && param_matches(f, &p)) return true;
    return false;
}

bool link_matches(const link_item *l, const link_filter *filters, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!filter_matches(l, &filters[i])) return false;
    return true;
}
