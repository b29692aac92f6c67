/* adapter/uplink/arrive.c - what paho hands over, on its receiving thread, becomes one block that the loop takes later. */
#include "adapter/uplink/inside.h"
#include <string.h>

/* Two walks over the message: the first measures, the second writes. */
typedef struct writer {
    char *at; /* NULL: measuring */
    size_t size;
} writer;

static void *put(writer *w, const void *p, size_t len, bool text)
{
    char *to = w->at;

    w->size += len + text;
    if (!to) return NULL;
    if (len) memcpy(to, p, len);
    if (text) to[len] = 0;
    w->at += len + text;
    return to;
}

static void *put_string(writer *w, const MQTTLenString *s, bool text)
{
    return put(w, s->data, s->len > 0 ? (size_t)s->len : 0, text);
}

static void put_property(writer *w, arrival *a, bridge_prop *props, const MQTTProperty *p)
{
    const MQTTLenString *data = &p->value.data;

    switch (p->identifier) {
    case MQTTPROPERTY_CODE_PAYLOAD_FORMAT_INDICATOR:
        a->says_text = p->value.byte == 1;
        a->says_bytes = p->value.byte == 0;
        break;
    case MQTTPROPERTY_CODE_MESSAGE_EXPIRY_INTERVAL:
        a->has_expiry = true;
        a->expiry = p->value.integer4;
        break;
    case MQTTPROPERTY_CODE_CONTENT_TYPE: a->content_type = put_string(w, data, true); break;
    case MQTTPROPERTY_CODE_RESPONSE_TOPIC: a->response = put_string(w, data, true); break;
    case MQTTPROPERTY_CODE_CORRELATION_DATA:
        a->correlation = put_string(w, data, false);
        a->correlation_len = data->len > 0 ? (size_t)data->len : 0;
        break;
    case MQTTPROPERTY_CODE_USER_PROPERTY: {
        const char *name = put_string(w, data, true), *value = put_string(w, &p->value.value, true);
        if (props) props[a->prop_count] = (bridge_prop){name, value};
        a->prop_count++;
        break;
    }
    default: break;
    }
}

static void put_all(writer *w, arrival *a, bridge_prop *props, const char *topic, size_t topic_len, const MQTTAsync_message *m)
{
    a->topic_len = topic_len;
    a->topic = put(w, topic, topic_len, true);
    a->len = m->payloadlen > 0 ? (size_t)m->payloadlen : 0;
    a->data = put(w, m->payload, a->len, false);
    a->prop_count = 0;
    for (int i = 0; m->struct_version >= 1 && i < m->properties.count; i++) put_property(w, a, props, &m->properties.array[i]);
}

static arrival *arrival_of(mem *memory, const char *topic, size_t topic_len, const MQTTAsync_message *m)
{
    arrival measured = {.next = NULL}, *a;
    writer w = {NULL, 0};

    put_all(&w, &measured, NULL, topic, topic_len, m);
    size_t props = measured.prop_count * sizeof(bridge_prop), bytes = sizeof *a + props + w.size;
    a = mem_alloc(memory, bytes);
    if (!a) return NULL;
    *a = (arrival){.bytes = bytes, .qos = (uint8_t)m->qos, .retain = m->retained != 0};
    w = (writer){(char *)(a + 1) + props, 0};
    a->props = (bridge_prop *)(a + 1);
    put_all(&w, a, (bridge_prop *)(a + 1), topic, topic_len, m);
    return a;
}

int link_on_arrived(void *context, char *topic, int topic_len, MQTTAsync_message *m)
{
    paho_link *k = context;
    arrival *a = arrival_of(k->mem, topic, topic_len > 0 ? (size_t)topic_len : strlen(topic), m);

    if (!a) return 0; /* no memory: paho keeps it and comes again */
    pthread_mutex_lock(&k->lock);
    while (k->arrived > LINK_ARRIVALS && !k->closing) /* the loop is late: the broker has to wait, too */
        pthread_cond_wait(&k->room, &k->lock);
    *k->last_arrival = a;
    k->last_arrival = &a->next;
    k->arrived += a->bytes;
    link_wake(k);
    pthread_mutex_unlock(&k->lock);
    MQTTAsync_freeMessage(&m);
    MQTTAsync_free(topic);
    return 1;
}
