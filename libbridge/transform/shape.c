/* The shape of a payload: a part of it, something around it, something quite else.
 *
 * Where JSON is written, whatever is put in becomes JSON by the place it stands at: a string inside quotes, a value outside.  A
 * room that calls itself `x","admin":true` stays one string. */
#include "base/status.h"
#include "codec/json.h"
#include "codec/node.h"
#include "transform/steps.h"
#include <stdio.h>
#include <time.h>

/* ---- reading */

static bool is_json(bridge_format f)
{
    return f == BRIDGE_JSON || f == BRIDGE_SENML_JSON || f == BRIDGE_LWM2M_JSON;
}

/* The payload as a tree; what is neither JSON nor CBOR is converted first. */
static int tree_of(scratch *s, bridge_msg *msg, buf *room, node **out, bridge_error *err)
{
    bridge_format f = payload_format(msg);
    int rc;

    if (msg->len == 0) return fail(err, BRIDGE_UNPROCESSABLE, "there is no value");
    if (is_json(f) || f == BRIDGE_CBOR)
        return codec_said(node_read(s, f == BRIDGE_CBOR ? f : BRIDGE_JSON, msg_data(msg), msg->len, out, err), err);
    rc = codec_convert(msg->mem, msg->path, (double)msg->time / 1000, f, BRIDGE_JSON, msg_data(msg), msg->len, room, err);
    return rc ? rc : codec_said(node_read(s, BRIDGE_JSON, room->data, room->len, out, err), err);
}

static node *step_in(node *n, const place *p)
{
    int64_t at = p->at;
    node **member;

    if (p->name) {
        member = n->it.kind == ITEM_MAP ? node_member(n, text_of(p->name)) : NULL;
        return member ? *member : NULL;
    }
    if (n->it.kind != ITEM_LIST) return NULL;
    if (at < 0) at += (int64_t)node_count(n);
    if (at < 0) return NULL;
    for (n = n->first; n && at > 0; at--)
        n = n->next;
    return n;
}

static int find(const place_list *l, node *n, node **out, bridge_error *err)
{
    for (size_t i = 0; i < l->count; i++) {
        const place *p = &l->at[i];
        n = step_in(n, p);
        if (!n) return p->name ? fail(err, BRIDGE_UNPROCESSABLE, "no \"%.60s\" is in it", p->name)
                               : fail(err, BRIDGE_UNPROCESSABLE, "no [%lld] is in it", (long long)p->at);
    }
    if (n->it.kind == ITEM_NULL || n->it.kind == ITEM_SIMPLE) return fail(err, BRIDGE_UNPROCESSABLE, "what was picked is null");
    *out = n;
    return 0;
}

/* A scalar as people write it; false: it is none. */
static bool is_scalar(const node *n)
{
    return n->it.kind != ITEM_LIST && n->it.kind != ITEM_MAP;
}

static int put_scalar(const item *it, buf *out)
{
    char digits[NUMBER_ROOM];

    switch (it->kind) {
    case ITEM_BOOL: return buf_text(out, it->b ? "true" : "false");
    case ITEM_STRING:
    case ITEM_BYTES: return buf_put(out, it->p, it->len);
    case ITEM_INT: return it->p ? buf_put(out, it->p, it->len) : buf_put(out, digits, number_int(it->i, digits));
    case ITEM_UINT: return it->p ? buf_put(out, it->p, it->len) : buf_put(out, digits, number_uint(it->u, digits));
    default: return it->p ? buf_put(out, it->p, it->len) : buf_put(out, digits, number_real(it->d, digits));
    }
}

static int picked(const step *x, scratch *s, bridge_msg *msg, buf *room, buf *out, bridge_format *format, bridge_error *err)
{
    node *n;
    int rc = tree_of(s, msg, room, &n, err);

    if (rc == 0) rc = find(&x->places, n, &n, err);
    if (rc < 0) return rc;
    if (is_scalar(n)) {
        *format = n->it.kind == ITEM_BYTES ? BRIDGE_BYTES : BRIDGE_TEXT;
        return codec_said(put_scalar(&n->it, out), err);
    }
    *format = payload_format(msg) == BRIDGE_CBOR ? BRIDGE_CBOR : BRIDGE_JSON;
    return codec_said(node_write(n, *format, out, err), err);
}

int step_pick(const step *x, bridge_msg *msg, bridge_msg **out, bridge_error *err)
{
    bridge_format format = BRIDGE_TEXT;
    buf room, made;
    scratch s;
    int rc;

    scratch_init(&s, msg->mem);
    buf_init(&room, msg->mem, SCRATCH_LIMIT);
    buf_init(&made, msg->mem, SCRATCH_LIMIT);
    rc = picked(x, &s, msg, &room, &made, &format, err);
    if (rc == 0) rc = msg_with(msg, format, made.data, made.len, out);
    buf_done(&made);
    buf_done(&room);
    scratch_done(&s);
    return rc;
}

/* ---- writing */

typedef enum manner { PLAIN, JSON_VALUE, JSON_INSIDE } manner;

static int put_inside(buf *out, const char *p, size_t len)
{
    size_t start = out->len;
    int rc = json_put_string(out, p, len);

    if (rc < 0) return rc;
    memmove(out->data + start, out->data + start + 1, out->len - start - 2); /* without its quotes */
    out->len -= 2;
    return 0;
}

static int put_text(buf *out, manner how, const char *p, size_t len, bridge_error *err)
{
    if (how == PLAIN) return codec_said(buf_put(out, p, len), err);
    if (!utf8_with_nul(p, len)) return fail(err, BRIDGE_UNPROCESSABLE, "it is not UTF-8, which JSON wants");
    return codec_said(how == JSON_VALUE ? json_put_string(out, p, len) : put_inside(out, p, len), err);
}

static int put_value(bridge_msg *msg, manner how, buf *out, bridge_error *err)
{
    bridge_format f = payload_format(msg);
    const char *p = (const char *)msg_data(msg);

    if (how != JSON_VALUE && (is_json(f) || f == BRIDGE_TEXT)) return put_text(out, how, p, msg->len, err);
    if (how == JSON_VALUE && msg->len == 0) return codec_said(buf_text(out, "null"), err);
    if (is_json(f)) {
        int rc = codec_said(json_read(NULL, p, msg->len, NULL, NULL, err), err);
        return rc ? rc : codec_said(buf_put(out, p, msg->len), err);
    }
    if (how == JSON_VALUE)
        return codec_convert(msg->mem, msg->path, (double)msg->time / 1000, f, BRIDGE_JSON, p, msg->len, out, err);
    buf made;
    buf_init(&made, msg->mem, SCRATCH_LIMIT);
    int rc = f == BRIDGE_BYTES ? buf_put(&made, p, msg->len) :
             codec_convert(msg->mem, msg->path, (double)msg->time / 1000, f, BRIDGE_JSON, p, msg->len, &made, err);
    if (rc == 0) rc = put_text(out, how, (const char *)made.data, made.len, err);
    buf_done(&made);
    return codec_said(rc, err);
}

static int put_pick(const part *x, bridge_msg *msg, manner how, buf *out, bridge_error *err)
{
    buf room, made;
    scratch s;
    node *n;
    int rc;

    scratch_init(&s, msg->mem);
    buf_init(&room, msg->mem, SCRATCH_LIMIT);
    buf_init(&made, msg->mem, SCRATCH_LIMIT);
    rc = tree_of(&s, msg, &room, &n, err);
    if (rc == 0) rc = find(&x->places, n, &n, err);
    if (rc == 0 && how == JSON_VALUE) {
        rc = node_write(n, BRIDGE_JSON, out, err);
    } else if (rc == 0) {
        rc = is_scalar(n) ? put_scalar(&n->it, &made) : node_write(n, BRIDGE_JSON, &made, err);
        if (rc == 0) rc = put_text(out, how, (const char *)made.data, made.len, err);
    }
    buf_done(&made);
    buf_done(&room);
    scratch_done(&s);
    return codec_said(rc, err);
}

static size_t print_iso(int64_t ms, char *out, size_t room)
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm t;
    size_t n;

    if (!gmtime_r(&seconds, &t)) return 0;
    n = strftime(out, room, "%Y-%m-%dT%H:%M:%S", &t);
    return n + (size_t)snprintf(out + n, room - n, ".%03dZ", (int)(ms % 1000));
}

static int put_field(const part *x, manner how, bridge_msg *msg, text target, const captures *caps, buf *out, bridge_error *err)
{
    const char *name;
    char iso[64];

    switch (x->kind) {
    case FIELD_VALUE: return put_value(msg, how, out, err);
    case FIELD_PICK: return put_pick(x, msg, how, out, err);
    case FIELD_PATH: return put_text(out, how, msg->path, msg->path_len, err);
    case FIELD_TARGET: return put_text(out, how, target.p, target.len, err);
    case FIELD_TIME: return codec_said(buf_print(out, "%lld", (long long)msg->time), err);
    case FIELD_SECONDS: return codec_said(buf_print(out, "%lld.%03d", (long long)(msg->time / 1000), (int)(msg->time % 1000)), err);
    case FIELD_QOS: return codec_said(buf_print(out, "%d", msg->qos), err);
    case FIELD_ISO: return put_text(out, how, iso, print_iso(msg->time, iso, sizeof iso), err);
    case FIELD_ORIGIN: return put_text(out, how, msg->origin ? msg->origin->text : "", msg->origin ? strlen(msg->origin->text) : 0, err);
    case FIELD_FORMAT:
        name = format_name(payload_format(msg));
        return put_text(out, how, name ? name : "bytes", name ? strlen(name) : 5, err);
    case FIELD_CAPTURE: return put_text(out, how, caps->at[x->capture].p ? caps->at[x->capture].p : "", caps->at[x->capture].len, err);
    case FIELD_TEXT: return put_text(out, how, x->literal, x->len, err);
    default: return codec_said(buf_put(out, x->literal, x->len), err);
    }
}

int parts_print(const part *parts, size_t count, bool json, bridge_msg *msg, text target, const captures *caps, buf *out, bridge_error *err)
{
    int rc = 0;

    for (size_t i = 0; i < count && rc == 0; i++) {
        const part *x = &parts[i];
        if (x->kind == FIELD_TEXT) rc = codec_said(buf_put(out, x->literal, x->len), err);
        else rc = put_field(x, !json ? PLAIN : x->quoted ? JSON_INSIDE : JSON_VALUE, msg, target, caps, out, err);
    }
    return rc;
}

int step_template(const step *x, bridge_msg *msg, text target, const captures *caps, bridge_msg **out, bridge_error *err)
{
    buf b;
    int rc;

    buf_init(&b, msg->mem, SCRATCH_LIMIT);
    rc = parts_print(x->parts, x->part_count, x->format == BRIDGE_JSON, msg, target, caps, &b, err);
    if (rc == 0) rc = msg_with(msg, x->format, b.data, b.len, out);
    buf_done(&b);
    return rc;
}

int step_wrap(const step *x, bridge_msg *msg, text target, const captures *caps, bridge_msg **out, bridge_error *err)
{
    buf b;
    int rc;

    buf_init(&b, msg->mem, SCRATCH_LIMIT);
    rc = buf_text(&b, "{");
    for (size_t i = 0; i < x->part_count && rc == 0; i++) {
        const part *p = &x->parts[i];
        if (i) rc = buf_text(&b, ",");
        if (rc == 0) rc = json_put_string(&b, p->key, strlen(p->key));
        if (rc == 0) rc = buf_text(&b, ":");
        if (rc == 0) rc = put_field(p, JSON_VALUE, msg, target, caps, &b, err);
    }
    if (rc == 0) rc = buf_text(&b, "}");
    if (rc == 0) rc = msg_with(msg, BRIDGE_JSON, b.data, b.len, out);
    else codec_said(rc, err);
    buf_done(&b);
    return rc;
}
