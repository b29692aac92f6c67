/* Registrations over a restart: where each device is and until when, under its name in the store (bridge/sys/store.h).
 *
 * A device is taken up again by the first listener of the same scheme and mount.  What kept MQTT sessions watch, and what !observe and
 * !observe-composite began, is observed again at once; the device hears a new token, and its notifications with the old one are reset. */
#include "adapter/lwm2m/lwm2m.h"
#include "base/status.h"
#include "bridge/sys/store.h"

enum { RECORD_VERSION = 1, RECORD_FIELDS = 9 };

typedef struct record { /* numbers of a record, as they are in the file; texts follow */
    uint8_t version, minor, queue_mode, format_known;
    uint16_t format, family, port_number;
    uint32_t scope;
    int64_t lifetime, since, expires; /* ms since 1970 */
    uint8_t remote[16], local[16];
} record;

static const char *scheme_of(const lwm2m_port *p) { return p->scheme; }

static int put_text(buf *out, const char *words)
{
    size_t len = words ? strlen(words) : 0;
    int rc = buf_put_be32(out, (uint32_t)len);

    return rc ? rc : buf_put(out, words ? words : "", len);
}

static int put_record(const lwm2m_device *d, buf *out)
{
    record r;
    const char *texts[RECORD_FIELDS] = {scheme_of(d->port), d->port->mount, d->endpoint, d->location, d->identity,
                                        d->msisdn,          d->binding,     d->links,    d->root};
    int64_t left = d->expiry.due - loop_now(d->server->loop);
    int rc;

    memset(&r, 0, sizeof r);
    r.version = RECORD_VERSION;
    r.minor = d->minor;
    r.queue_mode = d->queue_mode;
    r.format_known = d->format_known;
    r.format = d->format;
    r.lifetime = d->lifetime;
    r.since = d->since;
    r.expires = loop_calendar(d->server->loop) + (left > 0 ? left : 0);
    if (d->place.port) {
        r.family = d->place.address.family;
        r.port_number = d->place.address.port;
        r.scope = d->place.address.scope;
        memcpy(r.remote, d->place.address.remote, 16);
        memcpy(r.local, d->place.address.local, 16);
    }
    rc = buf_put(out, &r, sizeof r);
    for (int i = 0; i < RECORD_FIELDS && rc == 0; i++) rc = put_text(out, texts[i]);
    return rc;
}

void lwm2m_keep(lwm2m_device *d)
{
    bridge_store *s = bridge_port_store(d->server->home);
    buf out;

    if (!s || d->gone) return;
    buf_init(&out, d->server->mem, 0);
    if (put_record(d, &out) == 0) bridge_store_put(s, BRIDGE_KEPT_REGISTRATION, d->name, strlen(d->name), out.data, out.len);
    buf_done(&out);
}

void lwm2m_keep_not(const lwm2m_device *d)
{
    bridge_store *s = bridge_port_store(d->server->home);

    if (!s) return;
    bridge_store_remove(s, BRIDGE_KEPT_REGISTRATION, d->name, strlen(d->name));
    if (d->pinned) bridge_store_remove_below(s, BRIDGE_KEPT_OBSERVATION, d->name, strlen(d->name) + 1);
}

/* ---- Observations that nobody but the device has to be there for: NAME NUL FILTER; a composite one is NAME NUL and has a value,
 * its format and its paths. */

static int pin_key(const lwm2m_device *d, const char *filter, buf *key)
{
    int rc = buf_put(key, d->name, strlen(d->name) + 1);

    return rc ? rc : buf_put(key, filter, strlen(filter));
}

static void keep_pin(lwm2m_device *d, const char *filter, const void *value, size_t len)
{
    bridge_store *s = bridge_port_store(d->server->home);
    buf key;

    if (!s || d->gone) return;
    d->pinned = true;
    buf_init(&key, d->server->mem, 0);
    if (pin_key(d, filter, &key) == 0) bridge_store_put(s, BRIDGE_KEPT_OBSERVATION, key.data, key.len, value, len);
    buf_done(&key);
}

void lwm2m_keep_pin(lwm2m_device *d, const char *filter) { keep_pin(d, filter, "", 0); }

void lwm2m_keep_pin_set(lwm2m_device *d, const lwm2m_paths *paths)
{
    buf value;

    buf_init(&value, d->server->mem, 0);
    if (buf_put_be32(&value, BRIDGE_SENML_JSON) == 0 && lwm2m_paths_write(paths, BRIDGE_SENML_JSON, &value) == 0)
        keep_pin(d, "", value.data, value.len);
    buf_done(&value);
}

void lwm2m_keep_pin_not(const lwm2m_device *d, const char *filter)
{
    bridge_store *s = bridge_port_store(d->server->home);
    buf key;

    if (!s || !d->pinned) return;
    buf_init(&key, d->server->mem, 0);
    if (pin_key(d, filter, &key) == 0) bridge_store_remove(s, BRIDGE_KEPT_OBSERVATION, key.data, key.len);
    buf_done(&key);
}

/* ---- Again */

static bool take_text(const uint8_t **at, const uint8_t *end, text *out)
{
    size_t len;

    if (end - *at < 4) return false;
    len = (size_t)(*at)[0] << 24 | (size_t)(*at)[1] << 16 | (size_t)(*at)[2] << 8 | (*at)[3];
    *at += 4;
    if ((size_t)(end - *at) < len) return false;
    *out = (text){(const char *)*at, len};
    *at += len;
    return true;
}

typedef struct found { /* what the store holds is read first, then made: nothing is said to a store that is being read */
    mem *mem;
    lwm2m_port *port;
    buf all;
} found;

static int on_kept(void *user, const void *key, size_t key_len, const void *value, size_t len)
{
    found *f = user;
    int rc = buf_put_be32(&f->all, (uint32_t)len);

    (void)key, (void)key_len;
    return rc ? rc : buf_put(&f->all, value, len);
}

static void take_up(lwm2m_port *p, const uint8_t *at, const uint8_t *end)
{
    text t[RECORD_FIELDS];
    lwm2m_kept kept = {0};
    record r;
    int i = 0;

    if (end - at < (ptrdiff_t)sizeof r) return;
    memcpy(&r, at, sizeof r);
    at += sizeof r;
    while (i < RECORD_FIELDS && take_text(&at, end, &t[i])) i++;
    if (i < RECORD_FIELDS || r.version != RECORD_VERSION || !text_is(t[0], scheme_of(p)) || !text_is(t[1], p->mount)) return;
    kept.said = (lwm2m_said){.endpoint = t[2], .binding = t[6], .msisdn = t[5], .links = t[7], .lifetime = (uint64_t)r.lifetime,
                             .has_lifetime = true, .has_binding = true, .has_links = true, .queue = r.queue_mode};
    kept.location = t[3];
    kept.identity = t[4];
    kept.minor = r.minor;
    kept.format = r.format_known ? r.format : -1;
    kept.since = r.since;
    kept.left = r.expires - loop_calendar(p->server->loop);
    kept.address = (coap_address){.family = r.family, .port = r.port_number, .scope = r.scope};
    memcpy(kept.address.remote, r.remote, 16);
    memcpy(kept.address.local, r.local, 16);
    lwm2m_restore(p, &kept);
}

/* What is found, one after the other, each with its length in front. */
typedef void (*found_fn)(lwm2m_port *p, const uint8_t *at, const uint8_t *end);

static void take_each(lwm2m_port *p, bridge_kept kind, bridge_store_key_fn collect, found_fn take)
{
    found f = {.mem = p->server->mem, .port = p};
    size_t at = 0;

    buf_init(&f.all, p->server->mem, 0);
    if (bridge_store_each(bridge_port_store(p->coap.port), kind, NULL, 0, collect, &f) == 0) {
        while (at + 4 <= f.all.len) {
            const uint8_t *b = f.all.data + at;
            size_t len = (size_t)b[0] << 24 | (size_t)b[1] << 16 | (size_t)b[2] << 8 | b[3];
            take(p, b + 4, b + 4 + len);
            at += 4 + len;
        }
    }
    buf_done(&f.all);
}

static int on_kept_pin(void *user, const void *key, size_t key_len, const void *value, size_t len)
{
    found *f = user;
    int rc = buf_put_be32(&f->all, (uint32_t)(key_len + 1 + len));

    if (rc == 0) rc = buf_put(&f->all, key, key_len);
    if (rc == 0) rc = buf_put(&f->all, "", 1);
    return rc ? rc : buf_put(&f->all, value, len);
}

static void take_set(lwm2m_device *d, int format, const uint8_t *body, size_t len)
{
    static const oma_path root = {0};
    bridge_fields f = {.size = sizeof f, .data = body, .len = len, .format = (bridge_format)format};
    lwm2m_paths paths;

    if (lwm2m_paths_read(d, &root, &f, NULL, &paths, NULL) == 0) lwm2m_observe_composite(d, &paths);
}

/* NAME NUL FILTER NUL [format, paths] */
static void take_pin(lwm2m_port *p, const uint8_t *at, const uint8_t *end)
{
    const char *name = (const char *)at;
    const uint8_t *nul = memchr(at, 0, (size_t)(end - at)), *more = nul ? memchr(nul + 1, 0, (size_t)(end - nul - 1)) : NULL;
    lwm2m_device *d = more ? lwm2m_find(p->server, name) : NULL;

    if (!d || d->port != p) return;
    d->pinned = true;
    if (nul[1])
        lwm2m_pin(d, (const char *)nul + 1, true);
    else if (end - more > 5)
        take_set(d, more[3] << 8 | more[4], more + 5, (size_t)(end - more - 5));
}

void lwm2m_take_up(lwm2m_port *p)
{
    if (!bridge_port_store(p->coap.port)) return;
    take_each(p, BRIDGE_KEPT_REGISTRATION, on_kept, take_up);
    take_each(p, BRIDGE_KEPT_OBSERVATION, on_kept_pin, take_pin);
    lwm2m_flash_take_up(p);
}
