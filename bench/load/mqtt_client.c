/* mqtt_client.c - bytes to packets and back; MQTT 3.1.1 sections 2 and 3. */
#include "mqtt.h"

#include <stdlib.h>
#include <string.h>

static size_t put_length(uint8_t *p, size_t len)
{
    size_t n = 0;

    do {
        p[n] = len % 128;
        len /= 128;
        if (len) p[n] |= 128;
        n++;
    } while (len);
    return n;
}

static size_t put_text(uint8_t *p, const char *text)
{
    size_t len = strlen(text);

    p[0] = (uint8_t)(len >> 8);
    p[1] = (uint8_t)len;
    memcpy(p + 2, text, len);
    return len + 2;
}

static uint16_t next_id(client *c)
{
    if (++c->next_id == 0) c->next_id = 1;
    return c->next_id;
}

static void on_open(conn *link)
{
    client *c = (client *)link;
    uint8_t out[80];
    char id[32];
    size_t len = 10;

    snprintf(id, sizeof(id), "bench-%c%06u", c->publisher ? 'p' : 's', c->index);
    memcpy(out + 2, "\0\4MQTT\4\2\0\0", 10);
    out[0] = 0x10;
    out[11] = c->bench->keep_alive;
    if (c->bench->keep_sessions) out[9] = 0; /* no clean session */
    len += put_text(out + 2 + len, id);
    out[1] = (uint8_t)len;
    conn_put(link, out, len + 2);
}

static void on_close(conn *link)
{
    ((client *)link)->bench->failed++;
}

static void put_ack(client *c, uint8_t type, const uint8_t *id)
{
    uint8_t *p = conn_room(&c->conn, 4);

    p[0] = type;
    p[1] = 2;
    p[2] = id[0];
    p[3] = id[1];
    conn_wrote(&c->conn, 4);
}

static void on_publish(client *c, uint8_t flags, const uint8_t *p, size_t len)
{
    size_t topic = (size_t)p[0] << 8 | p[1], head = 2 + topic;
    int qos = (flags >> 1) & 3;

    if (qos) {
        put_ack(c, qos == 1 ? 0x40 : 0x50, p + head);
        head += 2;
    }
    if (head > len) die("malformed PUBLISH");
    c->bench->delivered++;
    if (c->bench->on_publish) c->bench->on_publish(c, p + 2, topic, p + head, len - head);
}

static void on_packet(client *c, uint8_t first, const uint8_t *p, size_t len)
{
    switch (first >> 4) {
    case 2: /* CONNACK */
        if (len != 2 || p[1] != 0) die("connection refused: %u", p[1]);
        c->up = true;
        c->bench->up++;
        break;
    case 3: on_publish(c, first, p, len); break;
    case 4: /* PUBACK */
    case 7: /* PUBCOMP */ c->acked++; break;
    case 5: /* PUBREC */ put_ack(c, 0x62, p); break;
    case 6: /* PUBREL */ put_ack(c, 0x70, p); break;
    case 9: /* SUBACK */
        for (size_t i = 2; i < len; i++) c->bench->refused += p[i] == 0x80;
        c->subscribing--;
        c->bench->subscribed--;
        break;
    case 13: break;
    default: die("unexpected packet %u", first);
    }
}

static size_t on_data(conn *link, const uint8_t *p, size_t len)
{
    size_t used = 0;

    while (len - used >= 2) {
        const uint8_t *q = p + used;
        size_t body = q[1] & 127, head = 2;

        while (q[head - 1] & 128 && used + head < len && head < 5) {
            body |= (size_t)(q[head] & 127) << (7 * (head - 1));
            head++;
        }
        if (q[head - 1] & 128 || len - used < head + body) break;
        on_packet((client *)link, q[0], q + head, body);
        if (link->fd < 0) return used;
        used += head + body;
    }
    return used;
}

static const conn_events events = {on_open, on_data, on_close};

void client_start(bench *b, client *c, uint32_t index)
{
    c->bench = b;
    c->index = index;
    conn_open(&b->loop, &c->conn, &events);
}

void clients_start(bench *b, client *first, uint32_t index, uint32_t count)
{
    uint32_t started = 0, base = b->up, seen = b->up;
    uint64_t patience = now_ns() + 30000000000u;

    while (b->up - base < count) {
        /* 64 at a time: mosquitto's listen backlog is 100, and a dropped SYN costs a second */
        while (started < count && started - (b->up - base) < 64) {
            client_start(b, first + started, index + started);
            started++;
        }
        loop_turn(&b->loop, 100);
        if (b->up != seen) {
            seen = b->up;
            patience = now_ns() + 30000000000u;
        }
        if (b->failed) die("a connection was closed before CONNACK");
        if (now_ns() > patience) die("no CONNACK for 30 s");
    }
}

void client_subscribe(client *c, const char *filter, int qos)
{
    uint8_t out[512];
    uint8_t body[500];
    size_t len = 2, head;
    uint16_t id = next_id(c);

    if (strlen(filter) > 400) die("filter too long");
    body[0] = (uint8_t)(id >> 8);
    body[1] = (uint8_t)id;
    len += put_text(body + len, filter);
    body[len++] = (uint8_t)qos;
    out[0] = 0x82;
    head = 1 + put_length(out + 1, len);
    memcpy(out + head, body, len);
    conn_put(&c->conn, out, head + len);
    c->subscribing++;
    c->bench->subscribed++;
}

void clients_subscribed(bench *b)
{
    uint64_t patience = now_ns() + 60000000000u;

    for (uint32_t i = 0; i < b->count; i++) {
        if (b->clients[i].conn.out_len) conn_flush(&b->clients[i].conn);
    }
    while (b->subscribed) {
        loop_turn(&b->loop, 100);
        if (now_ns() > patience || b->failed) die("subscribing failed");
    }
    if (b->refused) die("a subscription was refused");
}

void packet_make(packet *p, const char *topic, int qos, bool retain, size_t payload)
{
    size_t topic_len = strlen(topic) + 2, body = topic_len + (qos ? 2 : 0) + payload, head;

    p->bytes = zeroed(1, body + 8);
    p->bytes[0] = (uint8_t)(0x30 | qos << 1 | (retain ? 1 : 0));
    head = 1 + put_length(p->bytes + 1, body);
    put_text(p->bytes + head, topic);
    p->id_at = qos ? head + topic_len : 0;
    p->stamp_at = head + topic_len + (qos ? 2 : 0);
    p->len = head + body;
    memset(p->bytes + p->stamp_at, 'x', payload);
}

void packet_free(packet *p)
{
    free(p->bytes);
    p->bytes = NULL;
}

void client_publish(client *c, const packet *p, int qos, uint64_t ns)
{
    uint8_t *out = conn_room(&c->conn, p->len);
    stamp mark = {c->index, (uint32_t)c->sent, ns};

    memcpy(out, p->bytes, p->len);
    if (qos) {
        uint16_t id = next_id(c);

        out[p->id_at] = (uint8_t)(id >> 8);
        out[p->id_at + 1] = (uint8_t)id;
    }
    memcpy(out + p->stamp_at, &mark, sizeof(mark));
    c->sent++;
    conn_wrote(&c->conn, p->len);
}
