/* The directory's registrations and the broker's topics over a restart (bridge/sys/store.h): each under its name, as a record that is
 * put anew when it changes.  A topic's record is its configuration as the draft has it, in CBOR; its data are values like all others. */
#include "adapter/coap/directory.h"
#include "adapter/coap/topics.h"
#include "bridge/sys/store.h"
#include "codec/scratch.h"

enum { RECORD_VERSION = 1, RECORD_TEXTS = 6, RECORD_HEAD = 22 };

static int put_text(buf *out, text t)
{
    int rc = buf_put_be32(out, (uint32_t)t.len);

    return rc ? rc : buf_put(out, t.len ? t.p : "", t.len);
}

static uint64_t number(const uint8_t *at, int bytes)
{
    uint64_t n = 0;

    while (bytes--) n = n << 8 | *at++;
    return n;
}

static bool take_text(const uint8_t **at, const uint8_t *end, text *out)
{
    size_t len;

    if (end - *at < 4) return false;
    len = (size_t)number(*at, 4);
    *at += 4;
    if ((size_t)(end - *at) < len) return false;
    *out = (text){(const char *)*at, len};
    *at += len;
    return true;
}

/* ---- Out.  What does not fit into memory is not kept: it is there until the end of the process, as it would be without a store. */

void registration_keep(const registration *r)
{
    coap_port *home = r->directory->home;
    bridge_store *s = bridge_port_store(home->port);
    int64_t left = r->life.due - loop_now(home->loop);
    text texts[RECORD_TEXTS] = {r->ep, r->d, text_of(r->base), text_of(r->extra), text_of(r->user ? r->user : ""), {r->links, r->links_len}};
    buf out;
    int rc;

    if (!s) return;
    buf_init(&out, home->mem, 0);
    rc = buf_put_u8(&out, RECORD_VERSION);
    if (rc == 0) rc = buf_put_u8(&out, r->base_said);
    if (rc == 0) rc = buf_put_be64(&out, r->id);
    if (rc == 0) rc = buf_put_be32(&out, r->lt);
    if (rc == 0) rc = buf_put_be64(&out, (uint64_t)(loop_calendar(home->loop) + (left > 0 ? left : 0)));
    for (int i = 0; i < RECORD_TEXTS && rc == 0; i++) rc = put_text(&out, texts[i]);
    if (rc == 0) bridge_store_put(s, BRIDGE_KEPT_DIRECTORY, r->key, r->key_len, out.data, out.len);
    buf_done(&out);
}

void registration_keep_not(const registration *r)
{
    bridge_store *s = bridge_port_store(r->directory->home->port);

    if (s) bridge_store_remove(s, BRIDGE_KEPT_DIRECTORY, r->key, r->key_len);
}

void topic_keep(const topic *o)
{
    coap_port *home = o->topics->home;
    bridge_store *s = bridge_port_store(home->port);
    buf out;

    if (!s) return;
    buf_init(&out, home->mem, 0);
    if (topic_config_write(&out, o, ~0u) == 0) bridge_store_put(s, BRIDGE_KEPT_TOPIC, o->id, strlen(o->id), out.data, out.len);
    buf_done(&out);
}

void topic_keep_not(const topic *o)
{
    bridge_store *s = bridge_port_store(o->topics->home->port);

    if (s) bridge_store_remove(s, BRIDGE_KEPT_TOPIC, o->id, strlen(o->id));
}

/* ---- Again.  All is read first, then made: nothing is said to a store that is being read. */

static int on_kept(void *user, const void *key, size_t key_len, const void *value, size_t len)
{
    buf *all = user;
    int rc = put_text(all, (text){key, key_len});

    return rc ? rc : put_text(all, (text){value, len});
}

static void take_up_registration(coap_port *home, bridge_store *s, text key, text value)
{
    const uint8_t *at = (const uint8_t *)value.p, *end = at + value.len;
    directory *d = directory_make(home);
    text t[RECORD_TEXTS];
    int64_t left;
    int i = 0;

    if (!d || value.len < RECORD_HEAD || *at != RECORD_VERSION) return;
    left = (int64_t)number(at + 14, 8) - loop_calendar(home->loop);
    for (const uint8_t *in = at + RECORD_HEAD; i < RECORD_TEXTS && take_text(&in, end, &t[i]);) i++;
    if (i < RECORD_TEXTS) return;
    if (left <= 0)
        bridge_store_remove(s, BRIDGE_KEPT_DIRECTORY, key.p, key.len);
    else
        directory_restore(d, &(directory_kept){.id = number(at + 2, 8), .lt = (uint32_t)number(at + 10, 4), .base_said = at[1] == 1,
                                               .left = left, .ep = t[0], .d = t[1], .base = t[2], .extra = t[3], .user = t[4], .links = t[5]});
}

static void take_up_topic(coap_port *home, bridge_store *s, text key, text value)
{
    topics *t = topics_make(home);
    topic_config c;
    scratch room;
    const char *why;

    (void)s;
    if (!t) return;
    scratch_init(&room, home->mem);
    if (topic_config_read(&c, &room, value.p, value.len, &why) == 0) topic_restore(t, key, &c);
    scratch_done(&room);
}

static void take_up(coap_port *home, bridge_store *s, bridge_kept kind, void (*one)(coap_port *, bridge_store *, text, text))
{
    buf all;
    text key, value;

    buf_init(&all, home->mem, 0);
    if (bridge_store_each(s, kind, NULL, 0, on_kept, &all) == 0 && all.len) {
        const uint8_t *at = all.data, *end = at + all.len;

        while (take_text(&at, end, &key) && take_text(&at, end, &value)) one(home, s, key, value);
    }
    buf_done(&all);
}

void coap_restore(bridge_port *port)
{
    bridge_store *s = bridge_port_store(port);
    coap_port *home = s ? coap_home_of(port) : NULL;

    if (!home) return;
    take_up(home, s, BRIDGE_KEPT_DIRECTORY, take_up_registration);
    take_up(home, s, BRIDGE_KEPT_TOPIC, take_up_topic);
}
