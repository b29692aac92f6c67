/* Bytes as connections to a broker: each input is what up to four clients send, in turns.  The server stays up, frees what it
 * took, and writes only whole packets.  Input: chunks of (client and whether it is lost, length, bytes). */
#include "api/bridge.h"
#include "fuzz_pipe.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { CLIENTS = 4 };

extern const bridge_adapter mqtt_adapter;
static bridge *b;
static pipe_end *ends[CLIENTS];

static void on_gone(pipe_end *e)
{
    for (unsigned i = 0; i < CLIENTS; ++i)
        if (ends[i] == e) ends[i] = NULL;
}

static pipe_end *end_of(unsigned i)
{
    if (ends[i]) return ends[i];
    bridge_port *port = list_of(b->hub->ports.next, bridge_port, link);
    list_each(it, &b->hub->ports)
        if (list_of(it, bridge_port, link)->adapter == &mqtt_adapter) port = list_of(it, bridge_port, link);
    pipe_end *e = pipe_new(b->loop, on_gone);
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
