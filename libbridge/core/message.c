#include "core/message.h"
#include "base/clock.h"
#include "core/path.h"
#include <stdalign.h>

origin *origin_new(mem *m, const char *scheme, const char *who)
{
    size_t scheme_len = scheme ? strlen(scheme) : strcspn(who, ":"), len = strlen(who);
    origin *o = mem_alloc(m, sizeof *o + (scheme ? scheme_len + 1 : 0) + len + 1);
    char *at;

    if (!o) return NULL;
    atomic_init(&o->refs, 1);
    o->mem = mem_ref(m);
    o->scheme_len = (uint16_t)(scheme_len > UINT16_MAX ? UINT16_MAX : scheme_len);
    o->account = o->user = o->door = 0;
    at = o->text;
    if (scheme) {
        memcpy(at, scheme, scheme_len);
        at += scheme_len;
        *at++ = ':';
    }
    memcpy(at, who, len + 1);
    return o;
}

/* Behind the name and its NUL; what would stand too far back is not known. */
static uint16_t part(origin *o, size_t *at, const char *said)
{
    size_t here = *at, len = said ? strlen(said) + 1 : 0;

    if (!said || here > UINT16_MAX) return 0;
    memcpy(o->text + here, said, len);
    *at += len;
    return (uint16_t)here;
}

origin *origin_known(mem *m, const origin *o, const char *account, const char *user, const char *door)
{
    size_t len = strlen(o->text) + 1, more = (account ? strlen(account) + 1 : 0) + (user ? strlen(user) + 1 : 0) + (door ? strlen(door) + 1 : 0);
    origin *out = mem_alloc(m, sizeof *out + len + more);

    if (!out) return NULL;
    atomic_init(&out->refs, 1);
    out->mem = mem_ref(m);
    out->scheme_len = o->scheme_len;
    memcpy(out->text, o->text, len);
    out->account = part(out, &len, account);
    out->user = part(out, &len, user);
    out->door = part(out, &len, door);
    return out;
}

origin *origin_ref(origin *o)
{
    if (o) atomic_fetch_add_explicit(&o->refs, 1, memory_order_relaxed);
    return o;
}

void origin_unref(origin *o)
{
    mem *m;

    if (!o || atomic_fetch_sub_explicit(&o->refs, 1, memory_order_acq_rel) != 1) return;
    m = o->mem;
    mem_free(m, o);
    mem_unref(m);
}

/* ---- layout */

static size_t extra_offset(size_t path_len, size_t len)
{
    size_t end = offsetof(bridge_msg, path) + path_len + 1 + len;

    return (end + alignof(msg_extra) - 1) & ~(alignof(msg_extra) - 1);
}

const msg_extra *msg_extra_of(const bridge_msg *m)
{
    m = msg_whole(m);
    return m->has_extra ? (const msg_extra *)((const char *)m + extra_offset(m->path_len, m->len)) : NULL;
}

static bool wants_extra(const bridge_fields *f)
{
    return f->media_type || f->response || f->correlation || f->prop_count;
}

static size_t text_size(const char *s)
{
    return s ? strlen(s) + 1 : 0;
}

static size_t extra_size(const bridge_fields *f)
{
    size_t n = sizeof(msg_extra) + f->prop_count * sizeof(bridge_prop);

    n += text_size(f->media_type) + text_size(f->response) + f->correlation_len;
    for (size_t i = 0; i < f->prop_count; i++)
        n += text_size(f->props[i].name) + text_size(f->props[i].value);
    return n;
}

static const char *place(char **at, const void *p, size_t len)
{
    char *here = *at;

    if (!p) return NULL;
    if (len) memcpy(here, p, len);
    *at += len;
    return here;
}

static void extra_fill(msg_extra *x, const bridge_fields *f)
{
    char *at = (char *)(x->props + f->prop_count);

    x->media_type = place(&at, f->media_type, text_size(f->media_type));
    x->response = place(&at, f->response, text_size(f->response));
    x->correlation = place(&at, f->correlation, f->correlation_len);
    x->correlation_len = (uint32_t)f->correlation_len;
    x->prop_count = (uint32_t)f->prop_count;
    for (size_t i = 0; i < f->prop_count; i++) {
        x->props[i].name = place(&at, f->props[i].name, text_size(f->props[i].name));
        x->props[i].value = place(&at, f->props[i].value, text_size(f->props[i].value));
    }
}

/* ---- making */

static bool fields_are_fine(const bridge_fields *f, text path)
{
    if (f->qos > 2 || f->ttl < 0 || f->time < 0 || f->len > UINT32_MAX || (f->len && !f->data)) return false;
    if ((unsigned)f->format > UINT16_MAX || (f->correlation_len && !f->correlation)) return false;
    if (f->correlation_len > UINT16_MAX || f->prop_count > UINT16_MAX) return false;
    for (size_t i = 0; i < f->prop_count; i++)
        if (!f->props[i].name || !f->props[i].value) return false;
    return path_check(path.p, path.len, NULL) == 0;
}

static int make(mem *m, const bridge_fields *f, text path, origin *from, bridge_msg **out)
{
    bool extra = wants_extra(f);
    size_t at = extra_offset(path.len, f->len);
    bridge_msg *msg = mem_alloc(m, extra ? at + extra_size(f) : offsetof(bridge_msg, path) + path.len + 1 + f->len);

    if (!msg) return BRIDGE_NOMEM;
    atomic_init(&msg->refs, 1);
    atomic_init(&msg->derived, NULL);
    msg->len = (uint32_t)f->len;
    msg->mem = from && from->mem == m ? m : mem_ref(m); /* its origin holds m already */
    msg->origin = origin_ref(from);
    msg->time = f->time ? f->time : clock_calendar();
    msg->expires = f->ttl && f->ttl < INT64_MAX - msg->time ? msg->time + f->ttl : INT64_MAX;
    msg->version = f->version;
    msg->path_len = (uint16_t)path.len;
    msg->format = (uint16_t)f->format;
    msg->verb = f->retain ? BRIDGE_PUT : BRIDGE_POST;
    msg->qos = f->qos & 3;
    msg->retain = f->retain;
    msg->has_extra = extra;
    msg->shares = 0;
    msg->hops = 0;
    msg->text_said = MSG_TEXT_UNSAID;
    memcpy(msg->path, path.p, path.len);
    msg->path[path.len] = 0;
    if (f->len) memcpy(msg->path + path.len + 1, f->data, f->len);
    if (extra) extra_fill((msg_extra *)((char *)msg + at), f);
    *out = msg;
    return 0;
}

int msg_new(mem *m, const bridge_fields *fields, origin *from, bridge_msg **out)
{
    text path = text_of(fields->path);

    if (!fields->path || !fields_are_fine(fields, path)) return BRIDGE_INVALID;
    return make(m, fields, path, from, out);
}

int msg_new_plain(mem *m, text path, const void *data, size_t len, uint8_t qos, bool retain, int64_t time, origin *from,
                  bridge_msg **out)
{
    bridge_msg *msg = mem_alloc(m, offsetof(bridge_msg, path) + path.len + 1 + len);

    if (!msg) return BRIDGE_NOMEM;
    *msg = (bridge_msg){.refs = 1, .len = (uint32_t)len, .mem = m, .origin = origin_ref(from), .time = time, .expires = INT64_MAX,
                        .path_len = (uint16_t)path.len, .format = (uint16_t)BRIDGE_FORMAT_AUTO,
                        .verb = retain ? BRIDGE_PUT : BRIDGE_POST, .qos = qos & 3, .retain = retain};
    memcpy(msg->path, path.p, path.len);
    msg->path[path.len] = 0;
    if (len) memcpy(msg->path + path.len + 1, data, len);
    *out = msg;
    return 0;
}

int bridge_msg_new(bridge_msg **out, const bridge_fields *given)
{
    bridge_fields f = {.format = BRIDGE_FORMAT_AUTO};
    origin *from = NULL;
    int rc;

    if (!out || !given || given->size < offsetof(bridge_fields, qos)) return BRIDGE_INVALID;
    memcpy(&f, given, given->size < sizeof f ? given->size : sizeof f);
    if (f.origin && !(from = origin_new(mem_default(), NULL, f.origin))) return BRIDGE_NOMEM;
    rc = msg_new(mem_default(), &f, from, out);
    origin_unref(from);
    return rc;
}

static void carry(const bridge_msg *from, bridge_msg *to)
{
    to->expires = from->expires;
    to->version = from->version;
    to->verb = from->verb;
    to->retain = from->retain;
    to->hops = from->hops;
    if (to->format == from->format) to->text_said = from->text_said;
}

static int remake(const bridge_msg *msg, text path, bridge_format format, const void *data, size_t len, bridge_msg **out)
{
    bridge_fields f = {.size = sizeof f};
    int rc;

    bridge_msg_look(msg, &f);
    if (format != f.format) f.media_type = NULL;
    f.format = format;
    f.data = data;
    f.len = len;
    rc = make(msg->mem, &f, path, msg->origin, out);
    if (rc == 0) carry(msg, *out);
    return rc;
}

static int share(const bridge_msg *msg, text path, bridge_msg **out)
{
    size_t most = offsetof(bridge_msg, path) + path.len + 2 * sizeof(bridge_msg *);
    bridge_msg *it = mem_alloc(msg->mem, most);

    if (!it) return BRIDGE_NOMEM;
    memcpy(it, msg, offsetof(bridge_msg, path));
    atomic_init(&it->refs, 1);
    atomic_init(&it->derived, NULL);
    it->mem = msg->origin && msg->origin->mem == msg->mem ? msg->mem : mem_ref(msg->mem);
    it->origin = origin_ref(msg->origin);
    it->path_len = (uint16_t)path.len;
    it->shares = 1;
    memcpy(it->path, path.p, path.len);
    it->path[path.len] = 0;
    *msg_whole_at(it) = bridge_msg_ref((bridge_msg *)(uintptr_t)msg_whole(msg));
    *out = it;
    return 0;
}

int msg_renamed(const bridge_msg *msg, text path, bridge_msg **out)
{
    if (path.len > PATH_BYTES) return BRIDGE_TOOBIG;
    if (msg->len >= MSG_SHARED || msg->shares) return share(msg, path, out);
    return remake(msg, path, msg->format, msg_data(msg), msg->len, out);
}

int msg_with(const bridge_msg *msg, bridge_format format, const void *data, size_t len, bridge_msg **out)
{
    if (len > UINT32_MAX) return BRIDGE_TOOBIG;
    return remake(msg, msg_path(msg), format, data, len, out);
}

/* ---- life */

bridge_msg *bridge_msg_ref(bridge_msg *msg)
{
    atomic_fetch_add_explicit(&msg->refs, 1, memory_order_relaxed);
    return msg;
}

static void destroy(bridge_msg *msg)
{
    derived *d = atomic_load_explicit(&msg->derived, memory_order_acquire);
    origin *from = msg->origin;
    mem *m = msg->mem;
    bool held = from && from->mem == m; /* m, by the origin */

    if (msg->shares) bridge_msg_unref(*msg_whole_at(msg));

    while (d) {
        derived *next = d->next;
        if (d->free)
            d->free(d, m);
        else
            mem_free(m, d);
        d = next;
    }
    mem_free(m, msg);
    origin_unref(from);
    if (!held) mem_unref(m);
}

void bridge_msg_unref(bridge_msg *msg)
{
    if (!msg) return;
    /* The last reference needs no locked instruction: nobody is left who could take another. */
    if (atomic_load_explicit(&msg->refs, memory_order_acquire) == 1 ||
        atomic_fetch_sub_explicit(&msg->refs, 1, memory_order_acq_rel) == 1)
        destroy(msg);
}

const bridge_fields *bridge_msg_look(const bridge_msg *msg, bridge_fields *fields)
{
    const msg_extra *x = msg_extra_of(msg);
    bridge_fields f = {
        .size = fields->size,
        .path = msg->path,
        .data = msg_data(msg),
        .len = msg->len,
        .format = (bridge_format)msg->format,
        .qos = msg->qos,
        .retain = msg->retain,
        .time = msg->time,
        .ttl = msg->expires == INT64_MAX ? 0 : msg->expires - msg->time,
        .origin = msg->origin ? msg->origin->text : NULL,
        .version = msg->version,
    };

    if (x) {
        f.media_type = x->media_type;
        f.response = x->response;
        f.correlation = x->correlation;
        f.correlation_len = x->correlation_len;
        f.props = x->props;
        f.prop_count = x->prop_count;
    }
    memcpy(fields, &f, fields->size < sizeof f ? fields->size : sizeof f);
    return fields;
}

bool msg_expired(const bridge_msg *msg, int64_t now)
{
    return now >= msg->expires;
}

int64_t msg_ttl_left(const bridge_msg *msg, int64_t now)
{
    if (msg->expires == INT64_MAX) return INT64_MAX;
    if (now < msg->time) return msg->expires - msg->time; /* another clock made it: it never has more left than it was given */
    return now >= msg->expires ? 0 : msg->expires - now;
}

size_t msg_bytes(const bridge_msg *msg)
{
    size_t n = offsetof(bridge_msg, path) + msg->path_len + 1 + msg->len;

    if (msg->shares) return offsetof(bridge_msg, path) + msg->path_len + 2 * sizeof(bridge_msg *) + msg_bytes(msg_whole(msg));
    if (msg->has_extra) { /* what bridge_msg_look() shows is all there is to measure */
        bridge_fields f = {.size = sizeof f};
        bridge_msg_look(msg, &f);
        n = extra_offset(msg->path_len, msg->len) + extra_size(&f);
    }
    return n;
}

/* ---- derived things */

static derived *look_for(derived *d, uint32_t key)
{
    while (d && d->key != key)
        d = d->next;
    return d;
}

derived *msg_derived(const bridge_msg *msg, uint32_t key)
{
    return look_for(atomic_load_explicit(&msg->derived, memory_order_acquire), key);
}

derived *msg_derive(bridge_msg *msg, derived *d)
{
    derived *head = atomic_load_explicit(&msg->derived, memory_order_acquire);

    do {
        derived *there = look_for(head, d->key);
        if (there) {
            if (d->free)
                d->free(d, msg->mem);
            else
                mem_free(msg->mem, d);
            return there;
        }
        d->next = head;
    } while (!atomic_compare_exchange_weak_explicit(&msg->derived, &head, d, memory_order_acq_rel, memory_order_acquire));
    return d;
}

const char *msg_prop(const bridge_msg *msg, const char *name)
{
    bridge_fields f = {.size = sizeof f};

    bridge_msg_look(msg, &f);
    for (size_t i = 0; i < f.prop_count; i++)
        if (strcmp(f.props[i].name, name) == 0) return f.props[i].value;
    return NULL;
}

bool msg_sentence(const bridge_msg *msg, char *out, size_t room)
{
    if (!msg || msg->format != BRIDGE_TEXT || msg->len == 0 || msg->len >= room || !text_is_utf8(msg_data(msg), msg->len))
        return false;
    memcpy(out, msg_data(msg), msg->len);
    out[msg->len] = 0;
    return true;
}
