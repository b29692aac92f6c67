/* wire.c - MQTT 3.1.1 and 5 by hand (OASIS mqtt-v3.1.1, mqtt-v5.0): CONNECT, SUBSCRIBE, PUBLISH at QoS 0 and 1, PING, DISCONNECT. */
#include "wire.h"
#include "wire_props.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { CONNECT = 0x10, CONNACK = 0x20, PUBLISH = 0x30, PUBACK = 0x40, SUBSCRIBE = 0x82, SUBACK = 0x90, PINGREQ = 0xc0, PINGRESP = 0xd0,
       DISCONNECT = 0xe0, PATIENCE = 30000 };

static int fail(wire *w, const char *why)
{
    snprintf(w->why, sizeof w->why, "%s", why);
    return -1;
}

static int send_all(wire *w, const void *p, size_t len)
{
    return pipe_send(&w->pipe, p, len) < 0 ? fail(w, w->pipe.why) : 0;
}

static int send_packet(wire *w, int type, const void *body, size_t len)
{
    unsigned char head[5] = {(unsigned char)type};
    size_t n = 1, left = len;

    do {
        head[n] = (unsigned char)(left & 127);
        left >>= 7;
        head[n++] |= left ? 128 : 0;
    } while (left && n < sizeof head);
    return send_all(w, head, n) < 0 ? -1 : len ? send_all(w, body, len) : 0;
}

/* The length of the packet at the front and where its body begins; 0: not whole yet. */
static size_t whole(const wire *w, size_t *body)
{
    size_t len = 0, n = 1;

    for (unsigned shift = 0; n < w->have && n < 5; shift += 7) {
        unsigned char c = w->buf[n++];
        len |= (size_t)(c & 127) << shift;
        if (c & 128) continue;
        *body = n;
        return w->have >= n + len ? n + len : 0;
    }
    return 0;
}

/* Reads until a packet stands at the front of the buffer: 1; 0: not in time; -1. */
static int packet(wire *w, size_t *body, size_t *len, int wait_ms)
{
    while (!(*len = whole(w, body))) {
        int n;
        if (!pipe_wait(&w->pipe, wait_ms)) return 0;
        if (w->room - w->have < 65536) {
            unsigned char *more = w->room > (size_t)300 << 20 ? NULL : realloc(w->buf, w->room * 2 + 131072);
            if (!more) return fail(w, "out of memory");
            w->buf = more;
            w->room = w->room * 2 + 131072;
        }
        n = pipe_read(&w->pipe, w->buf + w->have, w->room - w->have - 1);
        if (n < 0) return fail(w, w->pipe.why);
        w->have += (size_t)n;
    }
    return 1;
}

static void drop(wire *w, size_t len)
{
    memmove(w->buf, w->buf + len, w->have - len);
    w->have -= len;
}

/* Waits for one kind of packet; messages that come meanwhile are passed over: who publishes has not subscribed. */
static int await(wire *w, int type, unsigned char *second)
{
    size_t body, len;
    int rc;

    while ((rc = packet(w, &body, &len, PATIENCE)) > 0) {
        int got = w->buf[0] & 0xf0;
        if (second && len > body + 1) *second = w->buf[body + 1];
        if (got == CONNACK && w->is5 && len > body + 2) wire_props_read(w->buf + body + 2, len - body - 2, &(line){0}, &w->told);
        drop(w, len);
        if (got == (type & 0xf0)) return 0;
    }
    return rc < 0 ? -1 : fail(w, "no answer in time");
}

static size_t put_text(unsigned char *to, const char *p, size_t len)
{
    to[0] = (unsigned char)(len >> 8);
    to[1] = (unsigned char)len;
    memcpy(to + 2, p, len);
    return len + 2;
}

static int say_hello(wire *w, const char *user, const char *password)
{
    unsigned char body[1024], code = 255;
    char id[64];
    size_t n = put_text(body, "MQTT", 4);

    snprintf(id, sizeof id, "bridged-%ld-%ld", (long)getpid(), (long)time(NULL));
    body[n++] = w->is5 ? 5 : 4;
    body[n++] = (unsigned char)(2 | (*user ? 128 : 0) | (*password ? 64 : 0));
    body[n++] = 0;
    body[n++] = 0; /* no keep-alive: who only listens sends nothing */
    if (w->is5) {
        body[n++] = 1 + 2 + 11 + 2 + 4;
        body[n++] = 0x26; /* a user property */
        n += put_text(body + n, "tell-origin", 11);
        n += put_text(body + n, "true", 4);
    }
    n += put_text(body + n, id, strlen(id));
    if (*user) n += put_text(body + n, user, strlen(user));
    if (*password) n += put_text(body + n, password, strlen(password));
    if (send_packet(w, CONNECT, body, n) < 0 || await(w, CONNACK, &code) < 0) return -1;
    return code == 0 ? 0 : fail(w, "the other side does not let us in");
}

static int open_as(wire *w, const char *url, bool is5)
{
    const char *why = NULL;
    address a;

    *w = (wire){.pipe = {.fd = -1}, .is5 = is5};
    if (!address_read(&a, url, &why)) return fail(w, why);
    return pipe_open(&w->pipe, &a) < 0 ? fail(w, w->pipe.why) : say_hello(w, a.user, a.password);
}

int wire_open(wire *w, const char *url)
{
    return open_as(w, url, false);
}

/* A broker of 3.1.1 says no to a client of 5, or just goes. */
int wire_open_told(wire *w, const char *url)
{
    if (open_as(w, url, true) == 0) return 0;
    if (w->pipe.fd < 0) return -1;
    wire_close(w);
    return open_as(w, url, false);
}

void wire_close(wire *w)
{
    if (w->pipe.fd >= 0) send_packet(w, DISCONNECT, NULL, 0);
    pipe_close(&w->pipe);
    free(w->buf);
    *w = (wire){.pipe = {.fd = -1}};
}

int wire_subscribe(wire *w, char *const *filters, int count)
{
    size_t n = 3;
    unsigned char *body;
    int rc;

    for (int i = 0; i < count; i++) {
        if (strlen(filters[i]) > 65535) return fail(w, "a filter is too long");
        n += strlen(filters[i]) + 3;
    }
    body = malloc(n);
    if (!body) return fail(w, "out of memory");
    w->id++;
    body[0] = (unsigned char)(w->id >> 8);
    body[1] = (unsigned char)w->id;
    n = 2;
    if (w->is5) body[n++] = 0; /* no properties */
    for (int i = 0; i < count; i++) {
        n += put_text(body + n, filters[i], strlen(filters[i]));
        body[n++] = w->is5 ? 1 | 8 : 1; /* QoS 1; retain as published */
    }
    rc = send_packet(w, SUBSCRIBE, body, n);
    free(body);
    return rc;
}

int wire_publish(wire *w, const line *l)
{
    size_t path = strlen(l->path), n = 0;
    unsigned char *body;
    int rc;

    if (path > 65535) return fail(w, "the path is too long");
    body = malloc(path + l->len + 4);
    if (!body) return fail(w, "out of memory");
    n += put_text(body, l->path, path);
    if (l->qos) {
        w->id = w->id == 65535 ? 1 : (uint16_t)(w->id + 1);
        body[n++] = (unsigned char)(w->id >> 8);
        body[n++] = (unsigned char)w->id;
    }
    if (l->len) memcpy(body + n, l->data, l->len);
    rc = send_packet(w, PUBLISH | (l->qos ? 2 : 0) | (l->retain ? 1 : 0), body, n + l->len);
    free(body);
    return rc < 0 ? -1 : l->qos ? await(w, PUBACK, NULL) : 0;
}

int wire_flush(wire *w)
{
    return send_packet(w, PINGREQ, NULL, 0) < 0 ? -1 : await(w, PINGRESP, NULL);
}

static int take(wire *w, size_t body, size_t len, line *out)
{
    int qos = w->buf[0] >> 1 & 3;
    size_t path = len >= body + 2 ? (size_t)w->buf[body] << 8 | w->buf[body + 1] : len, n = body + 2 + path, props = 0;
    struct timespec now;

    *out = (line){.path = (char *)w->buf + body, .qos = qos, .retain = w->buf[0] & 1, .format = BRIDGE_FORMAT_AUTO};
    if (n + (qos ? 2u : 0u) > len) return fail(w, "the other side does not speak MQTT");
    if (qos && send_packet(w, PUBACK, w->buf + n, 2) < 0) return -1;
    memmove(w->buf + body, w->buf + body + 2, path); /* to have room for a NUL behind the path */
    w->buf[body + path] = 0;
    n += qos ? 2 : 0;
    if (w->is5 && !(props = wire_props_read(w->buf + n, len - n, out, NULL))) return fail(w, "the other side does not speak MQTT 5");
    clock_gettime(CLOCK_REALTIME, &now);
    out->time = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    out->data = w->buf + n + props;
    out->len = len - n - props;
    if (!w->told) { /* then others said it */
        out->origin = out->user = out->listener = out->name = NULL;
        out->copied = false;
    }
    return 1;
}

static int granted(wire *w, size_t body, size_t len)
{
    size_t at = body + 2;

    if (w->is5 && len > at) at += wire_props_read(w->buf + at, len - at, &(line){0}, NULL);
    for (; at < len; at++)
        if (w->buf[at] >= 128) return fail(w, "the other side refuses the subscription");
    w->subscribed = true;
    return 0;
}

/* A server of MQTT 5 may wish for a keep-alive although we did not (3.2.2.3.14). */
static int stay(wire *w)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    if (!w->is5 || now.tv_sec < w->pinged + 5) return 0;
    w->pinged = now.tv_sec;
    return send_packet(w, PINGREQ, NULL, 0);
}

int wire_next(wire *w, line *out, int wait_ms)
{
    size_t body, len;
    int rc;

    drop(w, w->used); /* the one that was handed out last */
    w->used = 0;
    if (stay(w) < 0) return -1;
    while ((rc = packet(w, &body, &len, wait_ms)) > 0) {
        int kind = w->buf[0] & 0xf0;
        if (kind == PUBLISH) {
            w->used = len;
            return take(w, body, len, out);
        }
        if (kind == SUBACK && granted(w, body, len) < 0) return -1;
        drop(w, len);
        if (kind == SUBACK) return 0;
    }
    return rc;
}
