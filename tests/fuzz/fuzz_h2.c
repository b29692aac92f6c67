/* Frames of HTTP/2 as one connection to a bridge: nghttp2 reads them, our callbacks make requests of them and frames of the answers.
 * Input: records of (kind, flags, stream, length, bytes).  Kinds 0 to 9 are frames, whose heads are made here; 0x10 raw bytes, 0x11 the
 * client stops reading, 0x12 it goes on, 0x13 somebody publishes, 0x14 the bridge closes the listener.  What is written must be whole frames. */
#include "adapter/http/server.h"
#include "api/bridge.h"
#include "fuzz_pipe.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { RAW = 0x10, STALL, READ, PUBLISH, CLOSE, KINDS };
typedef struct frames { /* what is being written */
    uint8_t head[9];
    size_t have, rest;
} frames;

extern const bridge_adapter http_adapter;
static const uint8_t preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0";
static bridge *b;
static pipe_end *end;
static frames out;

/* Frames begin where the one before ends, and none is larger than the client allows (RFC 9113 4.2). */
static void check(pipe_end *e, const uint8_t *p, size_t n)
{
    (void)e;
    for (; n > 0; p++, n--) {
        if (out.rest > 0) {
            out.rest--;
            continue;
        }
        out.head[out.have++] = *p;
        if (out.have < 9) continue;
        out.rest = (size_t)out.head[0] << 16 | (size_t)out.head[1] << 8 | out.head[2];
        if (out.rest >= 1 << 24 || out.head[3] > 9) abort();
        out.have = 0;
    }
}

static void on_gone(pipe_end *e)
{
    (void)e;
    end = NULL;
}

static void begin(void)
{
    bridge_port *port = NULL;

    list_each(it, &b->hub->ports)
    {
        bridge_port *at = list_of(it, bridge_port, link);
        if (at->adapter == &http_adapter) port = at;
    }
    if (!port) abort();
    out = (frames){0};
    end = pipe_new(b->loop, on_gone);
    end->wrote = check;
    conn_accept(bridge_port_state(port), &end->s);
    stream_feed(&end->s, preface, sizeof preface);
}

static void frame(const uint8_t *head, const uint8_t *payload)
{
    uint8_t whole[9 + 255] = {0, 0, head[3], head[0], head[1], 0, 0, 0, head[2]};

    memcpy(whole + 9, payload, head[3]);
    stream_feed(&end->s, whole, 9 + (size_t)head[3]);
}

static void publish(const uint8_t *payload, size_t len)
{
    bridge_msg *msg;

    if (bridge_msg_new(&msg, BRIDGE_FIELDS(.path = "a", .data = payload, .len = len, .retain = true)) < 0) return;
    bridge_publish(b, msg);
    bridge_msg_unref(msg);
}

static void one(bridge_slot *door, const uint8_t *head, const uint8_t *payload)
{
    unsigned kind = head[0] % KINDS;

    if (kind <= 9) {
        frame((const uint8_t[]){(uint8_t)kind, head[1], head[2], head[3]}, payload);
    } else if (kind == STALL) {
        end->stalled = true;
    } else if (kind == READ) {
        end->stalled = false;
        stream_writable(&end->s);
    } else if (kind == PUBLISH) {
        publish(payload, head[3]);
    } else if (kind == CLOSE) {
        bridge_slot_close(door);
    } else {
        stream_feed(&end->s, payload, head[3]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const uint8_t *stop = data + len;
    bridge_slot *door;

    if (bridge_new(&b, BRIDGE_OPTIONS(.log_level = BRIDGE_LOG_ERROR, .max_message = 65536), NULL) < 0) abort();
    if (bridge_listen(b, "http://127.0.0.1:0/r", &door, NULL) < 0) abort();
    begin();
    while (stop - data >= 4 && end) {
        uint8_t head[4];
        memcpy(head, data, sizeof head);
        data += 4;
        if (head[3] > stop - data) head[3] = (uint8_t)(stop - data);
        one(door, head, data);
        data += head[3];
        if (head[0] % KINDS == CLOSE) door = NULL;
        bridge_process(b);
    }
    if (end) stream_ended(&end->s, BRIDGE_CLOSED);
    bridge_process(b);
    bridge_free(b);
    end = NULL;
    return 0;
}
