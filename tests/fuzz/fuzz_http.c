/* HTTP's parsers.  Heads and chunks: the same bytes, all at once and cut at a place of the fuzzer's choice, give the same.
 * Targets: what is unescaped and escaped again unescapes to the same.  Frames: unmasked within their bounds. */
#include "adapter/http/event.h"
#include "adapter/http/head.h"
#include "adapter/http/media.h"
#include "adapter/http/target.h"
#include "codec/ws.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void use_fields(const http_head *h)
{
    accept_list accept;
    uint64_t number;
    byte_range parts[RANGES_MAX];
    uint32_t tried = 0;
    bridge_format format;
    text item, opaque;
    bool weak;

    accept_read(&accept, h);
    for (int i = 0; i < 40 && accept_choose(&accept, BRIDGE_TEXT, text_of("text/plain"), &tried, &format) == 0; i++) {}
    max_age_read(h, &number);
    prefer_wait(h, 300, &number);
    for (int i = ranges_read(head_value(h, HEAD_RANGE), 100, parts); i > 0; i--)
        if (parts[i - 1].from >= 100 || parts[i - 1].from + parts[i - 1].count > 100) __builtin_trap();
    for (head_list at = {0}; head_next(h, HEAD_IF_MATCH, &at, &item);) etag_read(item, &weak, &number, &opaque);
    if (head_value(h, HEAD_WS_KEY).p) ws_key_is_fine(head_value(h, HEAD_WS_KEY));
}

static void one_request(const char *data, size_t len, size_t cut)
{
    static http_head h, again;
    const char *why;
    size_t seen = 0, seen_cut = 0;
    int rc = head_read(&h, data, len, &seen, &why), rc_cut;

    rc_cut = head_read(&again, data, cut, &seen_cut, &why);
    if (rc_cut == 0) rc_cut = head_read(&again, data, len, &seen_cut, &why);
    if (rc > 0 && rc_cut != rc) abort();
    if (rc <= 0) return;
    use_fields(&h);
    if (h.chunked) {
        chunks whole = {.at = (size_t)rc}, parts = {.at = (size_t)rc};
        int all = chunks_scan(&whole, data, len, 4096, &why), some = cut > (size_t)rc ? chunks_scan(&parts, data, cut, 4096, &why) : 0;
        if (some == 0) some = chunks_scan(&parts, data, len, 4096, &why);
        if (all == 1) {
            uint8_t *out = malloc(whole.total + 1);
            if (some != 1 || parts.total != whole.total || parts.at != whole.at) abort();
            chunks_copy(data, (size_t)rc, whole.at, out);
            free(out);
        }
    }
}

static void one_target(const char *data, size_t len)
{
    char *name = malloc(len + 1), *again;
    char value[32];
    text path, query, below;
    int n;
    buf b;

    buf_init(&b, mem_default(), 0);
    if (target_split((text){data, len}, &path, &query) == 0 && target_below(path, text_of("/r"), &below) == 0 &&
        (n = target_name(below, name)) > 0) {
        if (target_put(&b, text_of("/r"), (text){name, (size_t)n}) < 0) abort();
        again = malloc(b.len + 1);
        if (target_below((text){(char *)b.data, b.len}, text_of("/r"), &below) < 0 || target_name(below, again) != n ||
            memcmp(name, again, (size_t)n) != 0)
            abort();
        free(again);
        query_get(query, "path", value, sizeof value);
    }
    buf_done(&b);
    free(name);
}

static void one_text(const char *data, size_t len)
{
    int64_t seconds;
    char date[DATE_LEN + 1];
    buf b;

    buf_init(&b, mem_default(), 0);
    if (json_text(&b, (text){data, len}) < 0 || !text_is_utf8(b.data, b.len)) abort();
    sse_data(&b, data, len);
    buf_done(&b);
    if (date_read((text){data, len}, &seconds)) date_print(date, seconds);
}

static void frames(const uint8_t *data, size_t len)
{
    while (len > 0) {
        ws_frame f;
        int64_t n = ws_read(&f, data, len, 65536, true);
        uint8_t *out;
        if (n <= 0) return;
        if ((size_t)n > len || f.payload + f.len != data + n) abort();
        out = malloc(f.len + 1);
        ws_unmask(&f, out);
        free(out);
        data += n;
        len -= (size_t)n;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len < 2) return 0;
    switch (data[0] & 3) {
    case 0: one_request((const char *)data + 2, len - 2, (len - 2) * data[1] / 256); break;
    case 1: one_target((const char *)data + 2, len - 2); break;
    case 2: one_text((const char *)data + 2, len - 2); break;
    default: frames(data + 2, len - 2);
    }
    return 0;
}
