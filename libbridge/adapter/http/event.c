#include "adapter/http/event.h"
#include "codec/base64.h"
#include "codec/json.h"
#include "codec/registry.h"
#include "core/message.h"

/* Bytes of the well-formed UTF-8 sequence at p, or 0. */
static size_t sequence(const char *p, size_t len)
{
    size_t n = (uint8_t)*p < 0x80 ? 1 : (uint8_t)*p < 0xe0 ? 2 : (uint8_t)*p < 0xf0 ? 3 : 4;

    return n <= len && text_is_utf8(p, n) ? n : 0;
}

static int put_escaped(buf *out, char c)
{
    switch (c) {
    case '"': return buf_text(out, "\\\"");
    case '\\': return buf_text(out, "\\\\");
    case '\n': return buf_text(out, "\\n");
    case '\r': return buf_text(out, "\\r");
    case '\t': return buf_text(out, "\\t");
    default: return buf_print(out, "\\u%04x", (unsigned)(uint8_t)c);
    }
}

int json_text(buf *out, text t)
{
    size_t plain = 0, i = 0;
    int rc = buf_put_u8(out, '"');

    while (rc == 0 && i < t.len) {
        uint8_t c = (uint8_t)t.p[i];
        size_t n = c >= 0x20 && c < 0x80 && c != '"' && c != '\\' ? 1 : c >= 0x80 ? sequence(t.p + i, t.len - i) : 0;
        if (n > 0) {
            i += n;
            continue;
        }
        rc = buf_put(out, t.p + plain, i - plain);
        if (rc == 0) rc = c >= 0x80 ? buf_text(out, "\xef\xbf\xbd") : put_escaped(out, t.p[i]);
        plain = ++i;
    }
    if (rc == 0) rc = buf_put(out, t.p + plain, t.len - plain);
    return rc < 0 ? rc : buf_put_u8(out, '"');
}

int json_bytes(buf *out, const void *p, size_t len)
{
    int rc = buf_put_u8(out, '"');

    if (rc == 0) rc = base64_put(out, p, len);
    return rc < 0 ? rc : buf_put_u8(out, '"');
}

/* JSON may span lines and an event's line may not: blanks outside of strings go. */
static int put_json_line(buf *out, const uint8_t *p, size_t len)
{
    bool quoted = false;
    uint8_t *to = buf_reserve(out, len);
    size_t n = 0;

    if (len > 0 && !to) return BRIDGE_NOMEM;
    for (size_t i = 0; i < len; i++) {
        if (!quoted && (p[i] == '\n' || p[i] == '\r')) continue;
        to[n++] = p[i];
        if (quoted && p[i] == '\\' && i + 1 < len) to[n++] = p[++i];
        else if (p[i] == '"') quoted = !quoted;
    }
    out->len -= len - n;
    return 0;
}

/* A payload that says it is JSON may lie; what does not parse must not break the JSON around it. */
static bool is_json(const bridge_msg *msg)
{
    return json_read(NULL, msg_data(msg), msg->len, NULL, NULL, NULL) == 0;
}

static bridge_format format_of(const bridge_msg *msg)
{
    return msg->format == BRIDGE_FORMAT_AUTO ? codec_guess(msg_data(msg), msg->len) : (bridge_format)msg->format;
}

int json_value(buf *out, bridge_msg *msg)
{
    bridge_msg *json = NULL;
    bridge_format format = format_of(msg);
    int rc;

    if (format == BRIDGE_JSON && is_json(msg)) return put_json_line(out, msg_data(msg), msg->len);
    if (format != BRIDGE_JSON && format != BRIDGE_BYTES && bridge_msg_as(msg, BRIDGE_JSON, &json, NULL) == 0 && json->len > 0) {
        rc = put_json_line(out, msg_data(json), json->len);
        bridge_msg_unref(json);
        return rc;
    }
    bridge_msg_unref(json);
    if (text_is_utf8(msg_data(msg), msg->len)) return json_text(out, (text){(const char *)msg_data(msg), msg->len});
    rc = json_bytes(out, msg_data(msg), msg->len);
    return rc < 0 ? rc : 1;
}

static int put_props(buf *out, const msg_extra *extra)
{
    int rc = buf_text(out, ",\"properties\":[");

    for (uint32_t i = 0; rc == 0 && i < extra->prop_count; i++) {
        rc = buf_text(out, i ? ",[" : "[");
        if (rc == 0) rc = json_text(out, text_of(extra->props[i].name));
        if (rc == 0) rc = buf_put_u8(out, ',');
        if (rc == 0) rc = json_text(out, text_of(extra->props[i].value));
        if (rc == 0) rc = buf_put_u8(out, ']');
    }
    return rc < 0 ? rc : buf_put_u8(out, ']');
}

static int put_about(buf *out, const bridge_msg *msg)
{
    const msg_extra *extra = msg_extra_of(msg);
    const char *type = extra && extra->media_type ? extra->media_type : format_media_type(format_of(msg));
    int rc = buf_print(out, ",\"len\":%u,\"time\":%lld,\"kept\":%s,\"qos\":%u", msg->len, (long long)msg->time,
                       msg->verb == BRIDGE_PUT || msg->verb == BRIDGE_PATCH ? "true" : "false", msg->qos);

    if (rc == 0 && type) rc = buf_text(out, ",\"type\":");
    if (rc == 0 && type) rc = json_text(out, text_of(type));
    if (rc == 0 && msg->format == BRIDGE_FORMAT_AUTO) rc = buf_text(out, ",\"guess\":true"); /* nobody said the type */
    if (rc == 0 && msg->origin) rc = buf_text(out, ",\"origin\":");
    if (rc == 0 && msg->origin) rc = json_text(out, text_of(msg->origin->text));
    if (rc == 0 && msg->expires != INT64_MAX) rc = buf_print(out, ",\"expires\":%lld", (long long)msg->expires);
    return rc == 0 && extra && extra->prop_count ? put_props(out, extra) : rc;
}

int json_event(buf *out, bridge_msg *msg, unsigned flags)
{
    size_t key;
    int rc = buf_text(out, "{\"path\":");

    if (rc == 0) rc = json_text(out, msg_path(msg));
    if (rc == 0 && (flags & EVENT_GONE)) {
        rc = buf_text(out, ",\"gone\":true");
    } else if (rc == 0 && flags & EVENT_ABOUT && msg->len > EVENT_ABOUT_BYTES) {
        rc = buf_text(out, ",\"long\":true");
    } else if (rc == 0) {
        key = out->len;
        rc = buf_text(out, ",\"value\":");
        if (rc == 0) rc = json_value(out, msg);
        if (rc == 1) { /* said again under the name that tells what it is */
            out->len = key;
            rc = buf_text(out, ",\"base64\":");
            if (rc == 0) rc = json_bytes(out, msg_data(msg), msg->len);
        }
    }
    if (rc == 0 && (flags & EVENT_ABOUT) && !(flags & EVENT_GONE)) rc = put_about(out, msg);
    if (rc == 0 && (flags & EVENT_VERSION)) rc = buf_print(out, ",\"version\":\"%llx\"", (unsigned long long)msg->version);
    if (rc == 0 && (flags & EVENT_RETAINED)) rc = buf_text(out, ",\"retained\":true");
    return rc < 0 ? rc : buf_put_u8(out, '}');
}

int sse_data(buf *out, const void *p, size_t len)
{
    text line, rest = {p, len};
    int rc = 0;
    bool more = true;

    while (rc == 0 && more) {
        size_t end = 0;
        while (end < rest.len && rest.p[end] != '\n' && rest.p[end] != '\r') end++;
        line = (text){rest.p, end};
        more = end < rest.len;
        if (more && rest.p[end] == '\r' && end + 1 < rest.len && rest.p[end + 1] == '\n') end++;
        rest = more ? (text){rest.p + end + 1, rest.len - end - 1} : rest;
        rc = buf_text(out, "data: ");
        if (rc == 0) rc = buf_put(out, line.p, line.len);
        if (rc == 0) rc = buf_put_u8(out, '\n');
    }
    return rc;
}

static int put_plain(buf *out, bridge_msg *msg)
{
    buf json;
    int rc;

    if (msg->len > 0 && text_is_utf8(msg_data(msg), msg->len)) return sse_data(out, msg_data(msg), msg->len);
    buf_init(&json, out->mem, 0);
    rc = json_value(&json, msg);
    if (rc == 1) {
        buf_clear(&json);
        rc = buf_text(out, "event: bytes\n");
        if (rc == 0) rc = json_event(&json, msg, 0);
    }
    if (rc == 0) rc = sse_data(out, json.data, json.len);
    buf_done(&json);
    return rc;
}

int sse_event(buf *out, bridge_msg *msg, bool named, bool gone, bool about)
{
    int rc = msg->version ? buf_print(out, "id: %llx\n", (unsigned long long)msg->version) : 0;

    if (rc == 0 && gone) rc = buf_text(out, "event: gone\n");
    if (rc == 0 && (named || gone || about)) {
        rc = buf_text(out, "data: ");
        if (rc == 0) rc = json_event(out, msg, (gone ? EVENT_GONE : 0u) | (about ? EVENT_ABOUT : 0u));
        if (rc == 0) rc = buf_put_u8(out, '\n');
    } else if (rc == 0) {
        rc = put_plain(out, msg);
    }
    return rc < 0 ? rc : buf_put_u8(out, '\n');
}
