#include "adapter/coap/names.h"
#include "adapter/coap/options.h"
#include "base/text.h"
#include <string.h>

static bool segment_ok(const coap_option *o)
{
    const uint8_t *p = o->p;
    bool ascii = true;

    for (uint32_t i = 0; i < o->len; i++) {
        if (p[i] == '/' || p[i] == 0) return false;
        if (p[i] & 0x80) ascii = false;
    }
    return ascii || text_is_utf8(p, o->len);
}

int coap_path_join(const coap_packet *packet, char *out, size_t max, unsigned *segments)
{
    coap_options walk = coap_options_of(packet);
    unsigned count = 0;
    size_t len = 0;
    coap_option o;

    while (coap_next_option(&walk, &o) && o.number <= COAP_URI_PATH) {
        if (o.number != COAP_URI_PATH) continue;
        if (!segment_ok(&o)) return BRIDGE_SYNTAX;
        if (len + o.len + 2 > max) return BRIDGE_TOOBIG;
        if (count++) out[len++] = '/';
        memcpy(out + len, o.p, o.len);
        len += o.len;
    }
    out[len] = 0;
    if (segments) *segments = count;
    return (int)len;
}

const char *coap_path_below(const char *path, unsigned segments, const char *mount, bool *root)
{
    size_t len = strlen(mount);

    *root = false;
    if (len == 0) {
        *root = segments == 0;
        return path;
    }
    if (strncmp(path, mount, len) != 0) return NULL;
    if (path[len] == 0) {
        *root = true;
        return path + len;
    }
    return path[len] == '/' ? path + len + 1 : NULL;
}

int coap_path_check(const char *path)
{
    for (const char *p = path;;) {
        const char *end = strchr(p, '/');
        size_t len = end ? (size_t)(end - p) : strlen(p);

        if (len > COAP_SEGMENT_MAX) return BRIDGE_INVALID;
        if (!end) return 0;
        p = end + 1;
    }
}

int coap_path_write(coap_writer *w, uint16_t number, const char *path)
{
    if (coap_path_check(path) < 0) return BRIDGE_INVALID;
    for (const char *p = path;;) {
        const char *end = strchr(p, '/');

        coap_write_option(w, number, p, end ? (size_t)(end - p) : strlen(p));
        if (!end) return 0;
        p = end + 1;
    }
}
