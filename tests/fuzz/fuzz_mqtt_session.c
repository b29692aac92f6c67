/* Bytes as connections to a broker: each input is what up to four clients send, in turns.  The server stays up, frees what it
 * took, and writes only whole packets.  Input: chunks of (client and whether it is lost, length, bytes). */
#include "adapter/mqtt/wire.h"
#include "api/bridge.h"
#include "loop/stream.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { CLIENTS = 4, MOST_OUT = 1 << 20 };
typedef struct pipe_end { /* a stream without a socket */
    stream s;
    turn_end goodbye;
    bool open;
} pipe_end;

extern const bridge_adapter mqtt_adapter;
static bridge *b;
static pipe_end *ends[CLIENTS];

static ptrdiff_t take(stream *s, const struct iovec *iov, unsigned count)
{
    size_t n = 0;
    (void)s;
    for (unsigned i = 0; i < count; ++i) n += iov[i].iov_len;
    return (ptrdiff_t)n;
}

static void nothing(stream *s)
{
    (void)s;
}

static void reading(stream *s, bool on)
{
    (void)s, (void)on;
}

static void on_goodbye(turn_end *t)
{
    pipe_end *e = list_of(t, pipe_end, goodbye);
    for (unsigned i = 0; i < CLIENTS; ++i)
        if (ends[i] == e) ends[i] = NULL;
    stream_closed(&e->s);
    free(e);
}

static void shut(stream *s)
{
    turn_end_want(s->loop, &list_of(s, pipe_end, s)->goodbye);
}

static const stream_ops ops = {.write = take, .want_write = nothing, .read = reading, .close = shut};

static pipe_end *end_of(unsigned i)
{
    if (ends[i]) return ends[i];
    bridge_port *port = list_of(b->hub->ports.next, bridge_port, link);
    list_each(it, &b->hub->ports)
        if (list_of(it, bridge_port, link)->adapter == &mqtt_adapter) port = list_of(it, bridge_port, link);
    pipe_end *e = calloc(1, sizeof *e);
    turn_end_init(&e->goodbye, on_goodbye);
    stream_init(&e->s, &ops, b->loop);
    if (mqtt_adapter.accept(bridge_port_home(port), port, &e->s, NULL) < 0) abort();
    return ends[i] = e;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const uint8_t *end = data + len;
    if (bridge_new(&b, BRIDGE_OPTIONS(.log_level = BRIDGE_LOG_ERROR), NULL) < 0) abort();
    if (bridge_listen(b, "mqtt://127.0.0.1:0", NULL, NULL) < 0) abort();
    while (end - data >= 2) {
        unsigned who = data[0] % CLIENTS;
        bool lost = data[0] & 0x80;
        size_t n = data[1];
        data += 2;
        if (n > (size_t)(end - data)) n = (size_t)(end - data);
        stream_feed(&end_of(who)->s, data, n);
        data += n;
        if (lost && ends[who]) stream_ended(&ends[who]->s, BRIDGE_CLOSED);
        bridge_process(b);
    }
    for (unsigned i = 0; i < CLIENTS; ++i)
        if (ends[i]) stream_ended(&ends[i]->s, BRIDGE_CLOSED);
    bridge_process(b);
    bridge_free(b);
    for (unsigned i = 0; i < CLIENTS; ++i) ends[i] = NULL;
    return 0;
}
