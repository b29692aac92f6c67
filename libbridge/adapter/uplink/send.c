/* adapter/uplink/send.c - parcels become MQTTAsync_send().
 *
 * Paho's asynchronous client makes a command of each message, which its sending thread takes up.  When another thread makes them,
 * the two fight for paho's locks; when its own thread makes them, from within the callback that says that the last one is written,
 * nobody does: measured, that is twice as fast (docs/why/71-uplinks.md).  So the courier sends the first message, and each
 * callback sends the next ones. */
#include "adapter/uplink/inside.h"
#include "base/clock.h"
#include "codec/registry.h"
#include "core/message.h"
#include <string.h>

static void put_done(paho_link *k, parcel *p) /* lock is held */
{
    p->next = NULL;
    *k->last_done = p;
    k->last_done = &p->next;
    link_wake(k);
}

static void finish(parcel *p, bool done)
{
    paho_link *k = p->on;

    pthread_mutex_lock(&k->lock);
    if (p->qos == 0) k->unwritten--;
    else k->unacked--;
    if (done) put_done(k, p); /* else it stays with us until the connection is made anew */
    pthread_mutex_unlock(&k->lock);
    link_pump(k, false);
}

/* When the system refuses to take a message of QoS 1 or 2, paho (1.3.12) frees its topic and payload, and keeps pointers to them to send
 * it again when the session goes on: other bytes would go out, if any.  Such a handle is not connected again. */
static void unwritable(parcel *p, int code)
{
    paho_link *k = p->on;

    if (p->qos == 0 || code != MQTTASYNC_FAILURE) return;
    pthread_mutex_lock(&k->lock);
    k->torn = true;
    pthread_mutex_unlock(&k->lock);
}

static void on_sent(void *context, MQTTAsync_successData *d)
{
    (void)d;
    finish(context, true);
}

static void on_sent5(void *context, MQTTAsync_successData5 *d)
{
    (void)d;
    finish(context, true);
}

static void on_unsent(void *context, MQTTAsync_failureData *d)
{
    unwritable(context, d ? d->code : 0);
    finish(context, ((parcel *)context)->qos == 0);
}

static void on_unsent5(void *context, MQTTAsync_failureData5 *d)
{
    parcel *p = context;

    p->refused = p->qos > 0 && d && d->reasonCode >= 0x80 && d->packet_type >= 4 && d->packet_type <= 7; /* PUBACK to PUBCOMP */
    p->reason = d ? (uint8_t)d->reasonCode : 0;
    unwritable(p, d ? d->code : 0);
    finish(p, p->refused || p->qos == 0);
}

/* ---- MQTT 5 properties */

static MQTTLenString len_string(const char *s, size_t len)
{
    return (MQTTLenString){(int)len, (char *)s};
}

static void add_text(MQTTProperties *to, enum MQTTPropertyCodes id, const char *s, size_t len)
{
    MQTTProperty p = {.identifier = id, .value.data = len_string(s, len)};

    if (len <= UINT16_MAX) MQTTProperties_add(to, &p);
}

static void add_user(MQTTProperties *to, const char *name, const char *value)
{
    MQTTProperty p = {.identifier = MQTTPROPERTY_CODE_USER_PROPERTY};
    size_t n = strlen(name), v = strlen(value);

    if (n > UINT16_MAX || v > UINT16_MAX) return; /* HTTP headers can be longer */
    if (has_controls(name, n) || has_controls(value, v)) return;
    p.value.data = len_string(name, n);
    p.value.value = len_string(value, v);
    MQTTProperties_add(to, &p);
}

static void fill_properties(MQTTProperties *to, const parcel *what, int64_t now)
{
    const bridge_fields *f = bridge_msg_look(what->msg, BRIDGE_FIELDS());
    const char *type = f->media_type ? f->media_type : format_media_type(f->format);
    const char *response = what->response ? what->response : f->response;

    if (what->msg->text_said) {
        MQTTProperty p = {.identifier = MQTTPROPERTY_CODE_PAYLOAD_FORMAT_INDICATOR, .value.byte = what->msg->text_said == MSG_TEXT_YES};
        MQTTProperties_add(to, &p);
    }
    if (what->until != INT64_MAX) {
        int64_t left = what->until > now ? (what->until - now + 999) / 1000 : 0;
        MQTTProperty p = {.identifier = MQTTPROPERTY_CODE_MESSAGE_EXPIRY_INTERVAL, .value.integer4 = left < UINT32_MAX ? (uint32_t)left : UINT32_MAX};
        MQTTProperties_add(to, &p);
    }
    if (type && !has_controls(type, strlen(type))) add_text(to, MQTTPROPERTY_CODE_CONTENT_TYPE, type, strlen(type));
    if (response && !has_controls(response, strlen(response))) add_text(to, MQTTPROPERTY_CODE_RESPONSE_TOPIC, response, strlen(response));
    if (f->correlation) add_text(to, MQTTPROPERTY_CODE_CORRELATION_DATA, f->correlation, f->correlation_len);
    for (size_t i = 0; i < f->prop_count; i++) add_user(to, f->props[i].name, f->props[i].value);
    add_user(to, LINK_HOP, what->hop);
}

static int send_one(paho_link *k, parcel *p)
{
    MQTTAsync_responseOptions r = MQTTAsync_responseOptions_initializer;
    bool five = p->hop != NULL; /* the parcel may be sent, answered and freed before paho's call is back */
    int rc;

    p->on = k;
    r.context = p;
    if (five) {
        r.onSuccess5 = on_sent5;
        r.onFailure5 = on_unsent5;
        fill_properties(&r.properties, p, clock_calendar());
    } else {
        r.onSuccess = on_sent;
        r.onFailure = on_unsent;
    }
    rc = MQTTAsync_send(k->handle, p->topic, p->gone ? 0 : (int)p->msg->len, p->gone ? "" : (const void *)msg_data(p->msg), p->qos, p->retain, &r);
    if (five) MQTTProperties_free(&r.properties);
    return rc;
}

/* ---- the pump */

static parcel *take_next(paho_link *k) /* lock is held */
{
    parcel *p = k->outbox;

    if (!p || !k->up || k->unwritten >= LINK_UNWRITTEN || (p->qos > 0 && k->unacked >= k->max_inflight)) return NULL;
    k->outbox = p->next;
    if (!k->outbox) k->last_out = &k->outbox;
    p->next = NULL;
    p->handed = true;
    if (p->qos == 2) k->exact = true;
    if (p->qos == 0) k->unwritten++;
    else k->unacked++;
    return p;
}

static void put_back(paho_link *k, parcel *p) /* lock is held */
{
    p->handed = false;
    if (p->qos == 0) k->unwritten--;
    else k->unacked--;
    p->next = k->outbox;
    if (!k->outbox) k->last_out = &p->next;
    k->outbox = p;
}

/* Whoever comes while another pumps leaves it to him: so the order is kept.  The courier stops as soon as something is under way:
 * the callback of that goes on. */
void link_pump(paho_link *k, bool on_courier)
{
    parcel *p;

    pthread_mutex_lock(&k->lock);
    if (k->pumping) {
        pthread_mutex_unlock(&k->lock);
        return;
    }
    k->pumping = true;
    while (!(on_courier && k->unwritten + k->unacked > 0) && (p = take_next(k))) {
        pthread_mutex_unlock(&k->lock);
        int rc = send_one(k, p);
        pthread_mutex_lock(&k->lock);
        if (rc == MQTTASYNC_SUCCESS) continue;
        put_back(k, p); /* the connection has just gone */
        break;
    }
    k->pumping = false;
    pthread_mutex_unlock(&k->lock);
}

void link_push(paho_link *k, parcel *first, parcel *last)
{
    pthread_mutex_lock(&k->lock);
    *k->last_out = first;
    last->next = NULL;
    k->last_out = &last->next;
    if (k->up && k->unwritten == 0 && !k->kick) {
        k->kick = true;
        pthread_cond_signal(&k->work);
    }
    pthread_mutex_unlock(&k->lock);
}

void link_outbox_clear(paho_link *k)
{
    k->outbox = NULL;
    k->last_out = &k->outbox;
    k->unwritten = k->unacked = 0;
}
