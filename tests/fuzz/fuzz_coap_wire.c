/* Any bytes as a datagram, a stream frame and a WebSocket message: read, looked at, and what parsed is written back the same. */
#include "adapter/coap/names.h"
#include "adapter/coap/options.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void look(const coap_packet *p, int framing)
{
    static uint8_t memory[1 << 17];
    char path[300];
    coap_options walk = coap_options_of(p);
    coap_option o;
    coap_writer w;
    coap_meta m;
    coap_packet again;
    int64_t len;

    coap_meta_read(&m, p);
    coap_path_join(p, path, sizeof path, NULL);
    coap_cache_key(p, 1);
    if (framing == 0)
        coap_write_datagram(&w, memory, sizeof memory, p->type, p->code, p->id, &p->token);
    else if (framing == 1)
        coap_write_frame(&w, memory, sizeof memory, p->code, &p->token);
    else
        coap_write_websocket(&w, memory, sizeof memory, p->code, &p->token);
    while (coap_next_option(&walk, &o)) coap_write_option(&w, o.number, o.p, o.len);
    coap_write_payload(&w, p->payload, p->payload_len);
    len = coap_write_end(&w);
    if (len < 0) abort();
    if ((framing == 0   ? coap_parse_datagram(&again, w.start, (size_t)len)
         : framing == 1 ? coap_parse_frame(&again, w.start, (size_t)len)
                        : coap_parse_websocket(&again, w.start, (size_t)len)) != COAP_PARSED)
        abort();
    if (again.code != p->code || !coap_token_same(&again.token, &p->token) || again.payload_len != p->payload_len) abort();
    if (coap_cache_key(&again, 1) != coap_cache_key(p, 1)) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    coap_packet p;
    uint64_t frame;

    if (len > 70000) return 0;
    if (coap_parse_datagram(&p, data, len) == COAP_PARSED) look(&p, 0);
    frame = coap_frame_len(data, len);
    if (frame && frame <= len && coap_parse_frame(&p, data, (size_t)frame) == COAP_PARSED) look(&p, 1);
    if (coap_parse_websocket(&p, data, len) == COAP_PARSED) look(&p, 2);
    return 0;
}
