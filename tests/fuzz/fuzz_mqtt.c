/* Bytes as MQTT packets, of every version and from either side: no read outside of them, and what is accepted can be
 * written and read again.  First byte: bits 0-1 version, bit 2 from the server, bit 3 strict text. */
#include "adapter/mqtt/wire.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void keep_repeated(wire_props *props, uint8_t *room)
{
    uint8_t *end = room;
    wire_slice rest = props->raw, name, value;
    uint32_t id;
    while (wire_next_id(&rest, &id)) end = wire_id_write(end, id);
    for (rest = props->raw; wire_next_user(&rest, &name, &value);) end = wire_user_write(end, name, value);
    props->extra = (wire_slice){room, (uint32_t)(end - room)};
}

static void again(wire_packet *p, size_t len, unsigned flags)
{
    uint8_t *room = malloc(len + 1), *will_room = malloc(len + 1);
    wire_packet q;
    if (p->version == WIRE_V5 && p->props.has) keep_repeated(&p->props, room);
    if (p->type == WIRE_CONNECT && p->connect.has_will && p->version == WIRE_V5) keep_repeated(&p->connect.will, will_room);
    size_t n = wire_measure(p);
    uint8_t *out = malloc(n);
    if (wire_write(p, out) != out + n) abort();
    if (wire_parse(&q, out, n, p->version, flags) != 0) abort();
    if (p->type != q.type || p->reason != q.reason || p->id != q.id || p->props.has != q.props.has) abort();
    free(out);
    free(room);
    free(will_room);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len == 0) return 0;
    unsigned version = 3 + (data[0] & 3) % 3, flags = data[0] >> 2 & 3, header;
    const uint8_t *p = data + 1, *end = data + len;
    while (p < end) {
        int64_t n = wire_frame(p, (size_t)(end - p), &header);
        if (n <= 0 || n > end - p) break;
        wire_packet packet;
        wire_filter filter;
        int rc = wire_parse(&packet, p, (size_t)n, version, flags);
        if (rc < 0 || rc > 255) abort();
        if (rc == 0) {
            if (packet.type == WIRE_SUBSCRIBE || packet.type == WIRE_UNSUBSCRIBE) {
                unsigned count = 0;
                for (wire_slice rest = packet.list.entries; wire_next_filter(&packet, &rest, &filter);) count++;
                if (count != packet.list.count) abort();
            }
            again(&packet, (size_t)n, flags);
            if (packet.type == WIRE_CONNECT) version = packet.version;
        }
        p += n;
    }
    return 0;
}
