/* A broker of any bytes towards our client.  It stays up, frees what it took, says only whole packets that a broker would read, and
 * acknowledges what was taken late in any order, with a disk that is late or with none.  Input: what kind of client, then chunks of
 * (what happens, length, bytes). */
#include "adapter/mqtt/wire.h"
#include "adapter/uplink/buffer.h"
#include "adapter/uplink/client.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { HELD = 16, MOST = 1 << 18 };
typedef struct end {
    client *c;
    link_settings s;
    list parcels;
    client_ack *held[HELD];
    unsigned held_count;
    int64_t now;
    uint64_t batch; /* being filled; 0: there is no disk */
    bool hold, up;
} end;

static uint8_t out[MOST];
static size_t out_len;

static void *on_room(void *user, size_t len)
{
    (void)user;
    if (out_len + len > MOST) return NULL;
    out_len += len;
    return out + out_len - len;
}

static void on_up(void *user, const link_up *up)
{
    (void)up;
    ((end *)user)->up = true;
}

static void on_end(void *user, int code, const char *why)
{
    (void)code;
    if (!*why) abort();
    ((end *)user)->up = false;
}

static void on_reset(void *user)
{
    (void)user;
}

static void on_done(void *user, parcel *p)
{
    (void)user;
    parcel_free(mem_default(), p);
}

static void on_subscribed(void *user, const char *filter, bool awaited, uint8_t code)
{
    (void)user, (void)awaited, (void)code;
    if (strcmp(filter, "a/#") != 0) abort();
}

static int on_message(void *user, const arrival *a, client_ack *ack)
{
    end *e = user;

    if (strlen(a->topic) != a->topic_len) abort();
    for (size_t i = 0; i < a->prop_count; i++)
        if (!a->props[i].name || !a->props[i].value) abort();
    if (!ack || !e->hold || e->held_count == HELD) return a->len % 3 ? 0 : BRIDGE_DENIED;
    e->held[e->held_count++] = ack;
    return BRIDGE_PENDING;
}

static uint64_t keep_out(void *user, parcel *p)
{
    const end *e = user;

    if (p->qos != 2 || !p->id) abort();
    return e->batch;
}

static uint64_t keep_in(void *user, uint16_t id, bool taken)
{
    const end *e = user;

    (void)id, (void)taken;
    return e->batch;
}

static const client_hooks hooks = {on_room, on_up, on_end, on_reset, on_done, on_subscribed, on_message, keep_out, keep_in};

static void publish(end *e, uint8_t kind)
{
    static const char *const topics[] = {"a/b", "plant/7/raw", "plant/8", "plant/9", "plant/10", "plant/11/raw", "plant/12", "a/rather/long/one"};
    const char *topic = topics[kind >> 3 & 7]; /* more than there are aliases for */
    bridge_msg *msg = NULL;
    parcel *p;

    if (!client_may(e->c, kind % 3)) return;
    if (bridge_msg_new(&msg, BRIDGE_FIELDS(.path = topic, .data = "x", .len = 1, .response = kind & 64 ? "r" : NULL)) < 0) abort();
    p = parcel_new(mem_default(), msg, topic, strlen(topic));
    bridge_msg_unref(msg);
    p->qos = kind % 3;
    if (client_publish(e->c, p, e->now, e->now) < 0 || p->qos == 0) parcel_free(mem_default(), p);
    else list_push(&e->parcels, &p->link);
}

static void check_out(const end *e)
{
    size_t at = 0;
    unsigned header;
    wire_packet p;

    while (at < out_len) {
        int64_t n = wire_frame(out + at, out_len - at, &header);
        if (n <= 0 || (size_t)n > out_len - at) abort();
        if (wire_parse(&p, out + at, (size_t)n, (unsigned)e->s.version, 0) != 0) abort();
        at += (size_t)n;
    }
    out_len = 0;
}

static void happen(end *e, uint8_t what, const uint8_t *data, size_t n)
{
    e->now += what;
    switch (what % 8) {
    case 0:
        client_lost(e->c);
        client_begin(e->c, &e->s, e->now, e->now);
        break;
    case 1: publish(e, n ? data[0] : 0); break;
    case 2: client_subscribe(e->c, "a/#", 1, what & 16, what & 32); break;
    case 3:
        e->hold = what & 16;
        if (e->held_count) client_acknowledge(e->held[--e->held_count], what & 32 ? BRIDGE_BUSY : 0);
        break;
    case 4: e->now = client_tick(e->c, e->now) == INT64_MAX ? e->now : client_tick(e->c, e->now); break;
    case 5:
        client_unsubscribe(e->c, "a/#");
        if (e->batch) client_written(e->c, e->batch++);
        break;
    default: client_data(e->c, data, n, e->now);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const uint8_t *stop = data + len;
    end e = {.now = 1000};

    if (len < 1) return 0;
    e.s = (link_settings){.client_id = (char *)"me", .version = data[0] & 1 ? 5 : 4, .clean = data[0] & 2, .keep_alive = data[0] >> 4, .max_packet = 4096, .topic_aliases = 3};
    e.batch = data[0] >> 3 & 1;
    list_init(&e.parcels);
    if (client_new(&e.c, mem_default(), 4, &hooks, &e) < 0) abort();
    client_begin(e.c, &e.s, e.now, e.now);
    for (data++; stop - data >= 2;) {
        uint8_t what = data[0];
        size_t n = data[1];
        data += 2;
        if (n > (size_t)(stop - data)) n = (size_t)(stop - data);
        happen(&e, what, data, n);
        check_out(&e);
        data += n;
    }
    client_free(e.c);
    while (!list_empty(&e.parcels)) parcel_free(mem_default(), list_of(e.parcels.next, parcel, link));
    return 0;
}
