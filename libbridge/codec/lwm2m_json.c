/* LwM2M JSON (LwM2M 1.0 6.4.4): {"bn":"/3/0/","bt":1,"e":[{"n":"0","t":-5,"sv":"x"}]} with v, sv, bv (a truth value)
 * and ov. */
#include "codec/base64.h"
#include "codec/json.h"
#include "codec/node.h"
#include "codec/senml.h"
#include <math.h>

typedef struct reader {
    scratch *scratch;
    const char *base;
    text bn;
    double now, bt;
    bridge_record_fn fn;
    void *user;
    bridge_error *err;
} reader;

static int wrong(reader *r, const char *what)
{
    return fail(r->err, BRIDGE_UNPROCESSABLE, "LwM2M JSON: %s", what);
}

/* Some devices leave the '/' between base name and name to the reader. */
static int set_name(reader *r, text n, bridge_record *out)
{
    bool slash = r->bn.len && n.len && r->bn.p[r->bn.len - 1] != '/' && n.p[0] != '/';
    size_t len = r->bn.len + slash + n.len;
    char *name;

    if (len > CODEC_MAX_NAME)
        return fail(r->err, BRIDGE_TOOBIG, "LwM2M JSON: name with more than %d bytes", CODEC_MAX_NAME);
    name = scratch_aligned(r->scratch, len + 1, 1);
    if (!name) return scratch_fail(r->scratch, r->err);
    memcpy(name, r->bn.p, r->bn.len);
    if (slash) name[r->bn.len] = '/';
    if (n.len) memcpy(name + r->bn.len + slash, n.p, n.len);
    name[len] = 0;
    if (!senml_name_ok(name, len, true)) return wrong(r, "bad name");
    senml_set_name(out, r->base, name);
    return 0;
}

static int set_link(reader *r, const item *it, bridge_record *out)
{
    text object, instance;
    uint64_t o, i;

    if (it->kind != ITEM_STRING) return wrong(r, "\"ov\" is no link");
    text_cut((text){it->p, it->len}, ':', &object, &instance);
    if (!text_to_u64(object, 65535, &o) || !text_to_u64(instance, 65535, &i)) return wrong(r, "\"ov\" is no link");
    out->type = BRIDGE_OBJLNK;
    out->as.link.object = (uint16_t)o;
    out->as.link.instance = (uint16_t)i;
    return 0;
}

static int set_value(reader *r, const char *label, const item *it, bridge_record *out)
{
    bridge_record value;
    int rc;

    if (out->type != BRIDGE_NIL) return wrong(r, "two values in one element");
    if (label[0] == 'o') return set_link(r, it, out);
    if (!(label[0] == 'v' ? item_is_number(it) : label[0] == 's' ? it->kind == ITEM_STRING : it->kind == ITEM_BOOL))
        return wrong(r, "a value of the wrong type");
    rc = record_of_item(r->scratch, it, &value, r->err);
    if (rc) return rc;
    out->type = value.type;
    out->as = value.as;
    out->digits = value.digits;
    return 0;
}

static double time_of(const reader *r, double t)
{
    double time = r->bt + t;

    return time != 0 && time < 268435456.0 && r->now > 0 ? time + r->now : time;
}

static int on_element(reader *r, const node *e)
{
    bridge_record out = {.name = ""};
    text n = {"", 0};
    double t = 0;
    int rc = 0;

    if (e->it.kind != ITEM_MAP) return wrong(r, "\"e\" is a list of objects");
    for (const node *m = e->first; m && rc == 0; m = m->next) {
        if (item_is(m->key, "n")) {
            if (m->it.kind != ITEM_STRING) return wrong(r, "\"n\" is no text");
            n = (text){m->it.p, m->it.len};
        } else if (item_is(m->key, "t")) {
            if (!item_is_number(&m->it)) return wrong(r, "\"t\" is no number");
            t = item_real(&m->it);
        } else if (item_is(m->key, "v") || item_is(m->key, "sv") || item_is(m->key, "bv") || item_is(m->key, "ov")) {
            rc = set_value(r, m->key->p, &m->it, &out);
        }
    }
    out.time = time_of(r, t);
    if (!isfinite(out.time)) return wrong(r, "time out of range");
    if (rc == 0) rc = set_name(r, n, &out);
    return rc ? rc : r->fn(r->user, &out);
}

static int read_codec(bridge_scratch *s, const char *base, double now, const void *data, size_t len,
                      bridge_record_fn fn, void *user, bridge_error *err)
{
    reader r = {.scratch = s, .base = base, .bn = {"", 0}, .now = now, .fn = fn, .user = user, .err = err};
    node *root, **e, **bn, **bt;
    int rc = node_read(s, BRIDGE_JSON, data, len, &root, err);

    if (rc) return rc;
    if (root->it.kind != ITEM_MAP) return wrong(&r, "an object expected");
    e = node_member(root, text_of("e"));
    bn = node_member(root, text_of("bn"));
    bt = node_member(root, text_of("bt"));
    if (!e || (*e)->it.kind != ITEM_LIST) return wrong(&r, "\"e\" is a list of objects");
    if ((bn && (*bn)->it.kind != ITEM_STRING) || (bt && !item_is_number(&(*bt)->it)))
        return wrong(&r, "bad \"bn\" or \"bt\"");
    if (bn) r.bn = (text){(*bn)->it.p, (*bn)->it.len};
    if (bt) r.bt = item_real(&(*bt)->it);
    for (const node *m = (*e)->first; m && rc == 0; m = m->next)
        rc = on_element(&r, m);
    return rc;
}

/* ---- writing */

static int put_text(json_writer *w, const char *label, const char *p, size_t len)
{
    int rc = json_put(w, ITEM(.kind = ITEM_STRING, .key = true, .p = label, .len = strlen(label)));

    return rc ? rc : json_put(w, ITEM(.kind = ITEM_STRING, .p = p, .len = len));
}

static int put_seconds(json_writer *w, const char *label, double t)
{
    int rc = json_put(w, ITEM(.kind = ITEM_STRING, .key = true, .p = label, .len = strlen(label)));

    if (rc) return rc;
    if (fabs(t) < 9e15 && t == (double)(int64_t)t) return json_put(w, ITEM(.kind = ITEM_INT, .i = (int64_t)t));
    return json_put(w, ITEM(.kind = ITEM_REAL, .d = t));
}

static int put_value(json_writer *w, const bridge_record *r)
{
    static const char *const labels[] = {NULL, "bv", "v", "v", "v", "sv", "sv", "ov"};
    char link[LINK_ROOM];
    item it;
    int rc;

    if (r->type == BRIDGE_NIL) return 0;
    if (r->type >= BRIDGE_TREE)
        return fail(w->err, BRIDGE_UNPROCESSABLE, "LwM2M JSON has no objects and lists as values");
    rc = json_put(w, ITEM(.kind = ITEM_STRING, .key = true, .p = labels[r->type], .len = strlen(labels[r->type])));
    item_of_record(r, &it, link);
    if (it.kind == ITEM_BYTES) it.tag = 22; /* 6.4.4: Base64 */
    return rc ? rc : json_put(w, &it);
}

/* Names below the base get what of it the base name does not say: prefix, and a '/' if there is a name. */
static int put_record(json_writer *w, const bridge_record *r, text prefix, bool slash, double bt)
{
    char name[CODEC_MAX_NAME + 2];
    size_t len = strlen(r->name), n = 0;
    int rc = json_put(w, ITEM(.kind = ITEM_MAP));

    if (len + prefix.len >= CODEC_MAX_NAME) return fail(w->err, BRIDGE_TOOBIG, "LwM2M JSON: name with too many bytes");
    if (!r->absolute) {
        if (prefix.len) memcpy(name, prefix.p, prefix.len);
        n = prefix.len;
        if (slash && len) name[n++] = '/';
    }
    memcpy(name + n, r->name, len);
    if (rc == 0 && n + len) rc = put_text(w, "n", name, n + len);
    if (rc == 0 && r->time != bt) rc = put_seconds(w, "t", r->time - bt);
    if (rc == 0) rc = put_value(w, r);
    return rc ? rc : json_put(w, ITEM(.kind = ITEM_END));
}

static int put_records(json_writer *w, const bridge_record *records, size_t count, text prefix, bool slash, double bt)
{
    int rc = json_put(w, ITEM(.kind = ITEM_STRING, .key = true, .p = "e", .len = 1));

    if (rc == 0) rc = json_put(w, ITEM(.kind = ITEM_LIST));
    for (size_t i = 0; i < count && rc == 0; i++)
        rc = put_record(w, &records[i], prefix, slash, bt);
    return rc ? rc : json_put(w, ITEM(.kind = ITEM_END));
}

static int write_codec(bridge_scratch *s, const char *base, const bridge_record *records, size_t count, buf *out,
                       bridge_error *err)
{
    json_writer *w = JSON_WRITER(out, err);
    text prefix = {"", 0};
    size_t len = strlen(base);
    bool named = true, absolute = false, slash = len && base[len - 1] != '/';
    double bt = count ? records[0].time : 0;
    char *bn;
    int rc;

    if (!senml_name_ok(base, len, true) || len > CODEC_MAX_NAME) base = "", len = 0, slash = false; /* stays unsaid */
    bn = scratch_text(s, base, len + 1);
    if (!bn) return scratch_fail(s, err);
    for (size_t i = 0; i < count; i++) {
        if (!senml_name_ok(records[i].name, strlen(records[i].name), len == 0 || records[i].absolute))
            return fail(err, BRIDGE_UNPROCESSABLE, "LwM2M JSON: a name has characters that it cannot have");
        if (!records[i].name[0]) named = false;
        if (records[i].absolute) absolute = true;
        if (bt + (records[i].time - bt) != records[i].time) bt = 0;
    }
    if (absolute)
        prefix = (text){base, len}, len = 0;
    else if (slash && named)
        bn[len++] = '/', slash = false;
    rc = json_put(w, ITEM(.kind = ITEM_MAP));
    if (rc == 0 && len) rc = put_text(w, "bn", bn, len);
    if (rc == 0 && bt != 0) rc = put_seconds(w, "bt", bt);
    if (rc == 0) rc = put_records(w, records, count, prefix, slash, bt);
    return rc ? rc : json_put(w, ITEM(.kind = ITEM_END));
}

const bridge_codec lwm2m_json_codec = {
    sizeof(bridge_codec), BRIDGE_LWM2M_JSON, "lwm2m+json", "application/vnd.oma.lwm2m+json", read_codec, write_codec};
