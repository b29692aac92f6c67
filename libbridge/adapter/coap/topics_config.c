/* A topic's properties as a CBOR map (draft-ietf-core-coap-pubsub, "CoAP Pubsub Parameters"). */
#include "adapter/coap/topics.h"
#include "codec/cbor.h"
#include "codec/node.h"

static const char *const names[TOPIC_KEYS] = {"topic-name", "topic-data", "resource-type", "topic-content-format", "topic-type", "expiration-date",
                                              "max-subscribers", "observer-check", "topic-history", "initialize", "conf-filter"};

static int key_of(const item *it)
{
    if (it->kind == ITEM_INT) return it->i >= 0 && it->i < TOPIC_KEYS ? (int)it->i : -1;
    for (int k = 0; it->kind == ITEM_STRING && k < TOPIC_KEYS; k++)
        if (item_is(it, names[k])) return k;
    return -1;
}

static bool take_text(const node *n, text *out)
{
    if (n->it.kind != ITEM_STRING || !n->it.len || n->it.len > TOPIC_TEXT) return false;
    *out = (text){n->it.p, n->it.len};
    return text_is_utf8(out->p, out->len);
}

static bool take_number(const node *n, uint64_t least, uint64_t most, uint64_t *out)
{
    if (n->it.kind != ITEM_INT || n->it.i < 0 || (uint64_t)n->it.i < least || (uint64_t)n->it.i > most) return false;
    *out = (uint64_t)n->it.i;
    return true;
}

static bool take_filter(const node *n, unsigned *wanted)
{
    if (n->it.kind != ITEM_LIST) return false;
    for (const node *m = n->first; m; m = m->next) {
        int k = key_of(&m->it);

        if (k >= 0) *wanted |= 1u << k; /* what we have not got is not told */
    }
    return true;
}

/* Tag 1, a number of seconds (RFC 8949 3.4.2); in older versions of the draft a text. */
static bool take_date(topic_config *c, const node *n)
{
    double seconds;

    if (n->it.kind == ITEM_STRING) return take_text(n, &c->date) && (c->expires = topic_date(c->date)) >= 0;
    if (!item_is_number(&n->it) || n->it.tag != 1) return false;
    seconds = item_real(&n->it);
    if (!(seconds >= 0 && seconds < 253402300800.0)) return false; /* the year 10000 */
    c->expires = (int64_t)(seconds * 1000);
    return true;
}

/* The first representation; or true, which is an empty one. */
static bool take_initial(topic_config *c, const node *n)
{
    if (n->it.kind == ITEM_BYTES) c->initial = (text){n->it.p, n->it.len};
    c->initialize = n->it.kind == ITEM_BYTES || (n->it.kind == ITEM_BOOL && n->it.b);
    return n->it.kind == ITEM_BYTES || n->it.kind == ITEM_BOOL;
}

static bool take_one(topic_config *c, topic_key key, const node *n)
{
    switch (key) {
    case TOPIC_NAME: return take_text(n, &c->name);
    case TOPIC_DATA: return take_text(n, &c->data);
    case TOPIC_RESOURCE_TYPE: return take_text(n, &c->resource_type);
    case TOPIC_CONTENT_FORMAT: return take_number(n, 0, 65533, &c->format);
    case TOPIC_TYPE: return take_text(n, &c->type);
    case TOPIC_EXPIRATION: return take_date(c, n);
    case TOPIC_MAX_SUBSCRIBERS: return take_number(n, 0, UINT32_MAX, &c->max_subscribers);
    case TOPIC_CHECK: return take_number(n, 1, UINT32_MAX, &c->check);
    case TOPIC_HISTORY: return take_number(n, 0, UINT32_MAX, &c->history);
    case TOPIC_INITIALIZE: return take_initial(c, n);
    default: return take_filter(n, &c->wanted);
    }
}

static int property_of(const node *n)
{
    int key = key_of(n->key);

    return key == TOPIC_HISTORY && n->it.kind == ITEM_BYTES ? TOPIC_INITIALIZE : key;
}

int topic_config_read(topic_config *out, scratch *s, const void *data, size_t len, const char **why)
{
    node *root = NULL;
    int rc = node_read(s, BRIDGE_CBOR, data, len, &root, NULL);

    *out = (topic_config){0};
    *why = "not a CBOR map";
    if (rc == 0 && root->it.kind != ITEM_MAP) rc = BRIDGE_INVALID;
    for (const node *n = rc == 0 ? root->first : NULL; n && rc == 0; n = n->next) {
        int key = property_of(n);

        *why = key < 0 ? "not one of the parameters of a topic" : names[key];
        if (key < 0 || out->has & 1u << key || !take_one(out, (topic_key)key, n)) rc = BRIDGE_INVALID;
        if (rc == 0) out->has |= 1u << key;
    }
    return rc;
}

int topic_keys_read(unsigned *wanted, scratch *s, const void *data, size_t len)
{
    topic_config c;
    node *root = NULL;
    const char *why;
    int rc = node_read(s, BRIDGE_CBOR, data, len, &root, NULL);

    *wanted = 0;
    if (rc == 0 && root->it.kind == ITEM_LIST) return take_filter(root, wanted) ? 0 : BRIDGE_INVALID;
    if (rc == 0) rc = topic_config_read(&c, s, data, len, &why);
    if (rc == 0 && c.has != 1u << TOPIC_FILTER) rc = BRIDGE_INVALID;
    if (rc == 0) *wanted = c.wanted;
    return rc == BRIDGE_NOMEM ? rc : rc < 0 ? BRIDGE_INVALID : 0;
}

/* ---- out */

int topic_data_put(buf *out, const topic *o)
{
    int rc = buf_text(out, "ps/data/");

    return rc == 0 ? text_percent_encode(out, text_of(o->path), "/!$&'()*+=:@") : rc;
}

static int put_text(buf *out, topic_key key, const char *value)
{
    int rc = cbor_put_int(out, key);

    return rc == 0 ? cbor_put_text(out, value, strlen(value)) : rc;
}

static int put_number(buf *out, topic_key key, int64_t value)
{
    int rc = cbor_put_int(out, key);

    return rc == 0 ? cbor_put_int(out, value) : rc;
}

static int put_data(buf *out, const topic *o)
{
    buf name;
    int rc;

    buf_init(&name, out->mem, 0);
    rc = buf_put(&name, "/", 1);
    if (rc == 0) rc = topic_data_put(&name, o);
    if (rc == 0) rc = cbor_put_int(out, TOPIC_DATA);
    if (rc == 0) rc = cbor_put_text(out, (const char *)name.data, name.len);
    buf_done(&name);
    return rc;
}

static int put_date(buf *out, const topic *o)
{
    int rc;

    if (o->date) return put_text(out, TOPIC_EXPIRATION, o->date); /* to who said it so */
    rc = cbor_put_int(out, TOPIC_EXPIRATION);
    if (rc == 0) rc = cbor_put_head(out, CBOR_TAG, 1);
    if (rc == 0) rc = o->expires % 1000 ? cbor_put_real(out, (double)o->expires / 1000) : cbor_put_int(out, o->expires / 1000);
    return rc;
}

static unsigned said(const topic *o)
{
    unsigned has = 1u << TOPIC_NAME | 1u << TOPIC_DATA | 1u << TOPIC_RESOURCE_TYPE | 1u << TOPIC_CHECK;

    if (o->format >= 0) has |= 1u << TOPIC_CONTENT_FORMAT;
    if (o->type) has |= 1u << TOPIC_TYPE;
    if (o->expires >= 0) has |= 1u << TOPIC_EXPIRATION;
    if (topic_past_most(o)) has |= 1u << TOPIC_HISTORY;
    if (o->max_subscribers) has |= 1u << TOPIC_MAX_SUBSCRIBERS;
    return has;
}

int topic_config_write(buf *out, const topic *o, unsigned wanted)
{
    unsigned has = said(o) & wanted, count = 0;
    int rc;

    for (int k = 0; k < TOPIC_KEYS; k++) count += has >> k & 1;
    rc = cbor_put_head(out, CBOR_MAP, count);
    for (int k = 0; rc == 0 && k < TOPIC_KEYS; k++) {
        if (!(has >> k & 1)) continue;
        switch (k) {
        case TOPIC_NAME: rc = put_text(out, TOPIC_NAME, o->name); break;
        case TOPIC_DATA: rc = put_data(out, o); break;
        case TOPIC_RESOURCE_TYPE: rc = put_text(out, TOPIC_RESOURCE_TYPE, o->resource_type); break;
        case TOPIC_CONTENT_FORMAT: rc = put_number(out, TOPIC_CONTENT_FORMAT, o->format); break;
        case TOPIC_TYPE: rc = put_text(out, TOPIC_TYPE, o->type); break;
        case TOPIC_EXPIRATION: rc = put_date(out, o); break;
        case TOPIC_HISTORY: rc = put_number(out, TOPIC_HISTORY, topic_past_most(o)); break;
        case TOPIC_MAX_SUBSCRIBERS: rc = put_number(out, TOPIC_MAX_SUBSCRIBERS, o->max_subscribers); break;
        default: rc = put_number(out, TOPIC_CHECK, o->check); break;
        }
    }
    return rc;
}

/* ---- comparing */

static bool same(const char *have, text want) { return have && text_is(want, have); }

static bool same_data(const topic *o, text want)
{
    buf name;
    bool yes;

    buf_init(&name, o->topics->home->mem, 0);
    if (want.len && want.p[0] == '/') want.p++, want.len--;
    yes = topic_data_put(&name, o) == 0 && text_same((text){(const char *)name.data, name.len}, want);
    buf_done(&name);
    return yes;
}

bool topic_config_matches(const topic *o, const topic_config *f)
{
    if (f->has & 1u << TOPIC_NAME && !same(o->name, f->name)) return false;
    if (f->has & 1u << TOPIC_DATA && !same_data(o, f->data)) return false;
    if (f->has & 1u << TOPIC_RESOURCE_TYPE && !same(o->resource_type, f->resource_type)) return false;
    if (f->has & 1u << TOPIC_CONTENT_FORMAT && o->format != (int)f->format) return false;
    if (f->has & 1u << TOPIC_TYPE && !same(o->type, f->type)) return false;
    if (f->has & 1u << TOPIC_EXPIRATION && o->expires != f->expires) return false;
    if (f->has & 1u << TOPIC_HISTORY && topic_past_most(o) != f->history) return false;
    if (f->has & 1u << TOPIC_MAX_SUBSCRIBERS && o->max_subscribers != f->max_subscribers) return false;
    return !(f->has & 1u << TOPIC_CHECK) || o->check == f->check;
}

/* ---- dates (RFC 3339 5.6) */

static bool digits(const char **at, const char *end, int count, int *out)
{
    for (*out = 0; count--; ++*at) {
        if (*at == end || **at < '0' || **at > '9') return false;
        *out = *out * 10 + (**at - '0');
    }
    return true;
}

static bool mark(const char **at, const char *end, const char *any) { return *at < end && strchr(any, **at) && *(*at)++; }

int64_t topic_date(text t)
{
    const char *at = t.p, *end = t.p + t.len;
    int year, month, day, hour, minute, second, off_hour = 0, off_minute = 0, sign = 0, unused;
    int64_t days;

    if (!(digits(&at, end, 4, &year) && mark(&at, end, "-") && digits(&at, end, 2, &month) && mark(&at, end, "-") &&
          digits(&at, end, 2, &day) && mark(&at, end, "Tt ") && digits(&at, end, 2, &hour) && mark(&at, end, ":") &&
          digits(&at, end, 2, &minute) && mark(&at, end, ":") && digits(&at, end, 2, &second)))
        return -1;
    if (mark(&at, end, "."))
        while (at < end && *at >= '0' && *at <= '9') digits(&at, end, 1, &unused);
    if (!mark(&at, end, "Zz")) {
        sign = at < end && *at == '-' ? -1 : 1;
        if (!(mark(&at, end, "+-") && digits(&at, end, 2, &off_hour) && mark(&at, end, ":") && digits(&at, end, 2, &off_minute))) return -1;
    }
    if (at != end || year < 1970 || month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 60) return -1;
    /* days since 1970 of the civil calendar, with March as the first month, so that leap days come last */
    year -= month <= 2;
    days = (int64_t)year * 365 + year / 4 - year / 100 + year / 400 + (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1 - 719468;
    return ((days * 24 + hour - sign * off_hour) * 60 + minute - sign * off_minute) * 60000 + second * 1000;
}
