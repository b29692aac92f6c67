/* A value as an answer: which representation, does the asker have it, all of it or a part. */
#include "adapter/http/answer.h"
#include "base/clock.h"
#include "codec/registry.h"
#include "core/message.h"

/* The lines that every answer with this value has; made once a message, hangs on it. */
typedef struct lines {
    derived d;
    bridge_format format;
    uint16_t tag_at, tag_len, type_at, type_len, len;
    char text[];
} lines;

static bridge_format format_of(const bridge_msg *msg)
{
    return msg->format == BRIDGE_FORMAT_AUTO ? codec_guess(msg_data(msg), msg->len) : (bridge_format)msg->format;
}

/* A media type may come from anywhere; it must not end its header line. */
static bool is_clean(const char *type)
{
    size_t n = 0;

    for (; type[n]; n++)
        if ((uint8_t)type[n] < 0x20 || type[n] == 0x7f || n > 255) return false;
    return n > 0;
}

/* A browser that opens a value shows it; what somebody published must not act with this origin's rights. */
static const char *guard_of(bridge_format format)
{
    bool active = format == BRIDGE_FORMAT_NAMED || format == BRIDGE_XML || format == BRIDGE_BYTES;

    return active ? "X-Content-Type-Options: nosniff\r\nContent-Security-Policy: sandbox\r\n" : "";
}

/* The media type with the charset that makes browsers show text right; out has 280 bytes. */
static const char *media_type_of(const bridge_msg *msg, bridge_format format, char *out)
{
    const msg_extra *extra = msg_extra_of(msg);
    const char *known = format == BRIDGE_FORMAT_NAMED ? extra ? extra->media_type : NULL : format_media_type(format);

    if (format == BRIDGE_TEXT) return "text/plain;charset=utf-8";
    if (known && is_clean(known)) return known;
    if (format == BRIDGE_FORMAT_NAMED) return "application/octet-stream";
    sprintf(out, "application/coap-payload;cf=%u", (unsigned)format & 0xffff); /* RFC 8075 6.2 */
    return out;
}

/* converted: the tag is of a value that was turned into its format here; version and time are the original's. */
static lines *make_lines(bridge_msg *msg, const bridge_msg *from)
{
    bridge_format format = format_of(msg);
    char room[280], tag[ETAG_ROOM], date[DATE_LEN + 1];
    const char *type = media_type_of(msg, format, room);
    int tag_len = from->version ? etag_print(tag, from->version, msg != from, format) : 0;
    lines *l = mem_alloc(msg->mem, sizeof *l + 512 + strlen(type));
    char *at;

    if (!l) return NULL;
    *l = (lines){.d = {.key = DERIVED_HTTP | 1}, .format = format, .type_at = sizeof "Content-Type: " - 1, .type_len = (uint16_t)strlen(type)};
    date_print(date, from->time / 1000);
    at = l->text + sprintf(l->text, "Content-Type: %s\r\nLast-Modified: %s\r\nVary: Accept\r\nAccept-Ranges: bytes\r\n%s", type, date, guard_of(format));
    if (tag_len) {
        l->tag_at = (uint16_t)(at - l->text + 6);
        l->tag_len = (uint16_t)tag_len;
        at += sprintf(at, "ETag: %s\r\n", tag);
    }
    l->len = (uint16_t)(at - l->text);
    return (lines *)msg_derive(msg, &l->d);
}

static const lines *lines_of(bridge_msg *msg, const bridge_msg *from)
{
    derived *d = msg_derived(msg, DERIVED_HTTP | 1);

    return d ? (const lines *)d : make_lines(msg, from);
}

/* ---- conditions (RFC 9110 13) */

bool http_none_match(const http_head *h, text tag)
{
    head_list at = {0};
    text item, opaque;
    uint64_t version;
    bool weak;

    while (head_next(h, HEAD_IF_NONE_MATCH, &at, &item)) {
        if (text_is(item, "*")) return false;
        etag_read(item, &weak, &version, &opaque);
        if (tag.len && text_same(opaque, tag)) return false;
    }
    return true;
}

static bool is_fresh(const request *r, const lines *l, int64_t time)
{
    text since = head_value(r->head, HEAD_IF_MODIFIED_SINCE);
    int64_t seconds;

    if (r->head->first[HEAD_IF_NONE_MATCH]) return !http_none_match(r->head, (text){l->text + l->tag_at, l->tag_len});
    return since.p && date_read(since, &seconds) && time / 1000 <= seconds;
}

/* ---- choosing */

/* A new reference to the message to send: msg itself or its form in a format that the asker takes. */
static int choose(const request *r, bridge_msg *msg, bridge_msg **out)
{
    bridge_format native, wanted;
    accept_list accept;
    uint32_t tried = 0;
    char room[280];
    const char *type;

    if (!r->head->first[HEAD_ACCEPT]) return *out = bridge_msg_ref(msg), 0;
    native = format_of(msg);
    type = media_type_of(msg, native, room);
    accept_read(&accept, r->head);
    while (accept_choose(&accept, native, text_of(type), &tried, &wanted) == 0) {
        if (wanted == native) return *out = bridge_msg_ref(msg), 0;
        if (bridge_msg_as(msg, wanted, out, NULL) == 0) return 0;
    }
    return BRIDGE_NOTACCEPTABLE;
}

bool resource_is_known(const request *r, bridge_msg *msg)
{
    bridge_msg *chosen;
    const lines *l;
    bool known;

    if (choose(r, msg, &chosen) < 0) return false;
    l = lines_of(chosen, msg);
    known = l && is_fresh(r, l, msg->time);
    bridge_msg_unref(chosen);
    return known;
}

/* ---- writing */

static void put_freshness(answer *a, const bridge_msg *msg)
{
    int64_t left;

    if (msg->expires == INT64_MAX) {
        answer_text(a, "Cache-Control: no-cache\r\n"); /* keep it, but ask again: it may change at any moment */
        return;
    }
    left = msg_ttl_left(msg, loop_calendar(a->conn->port->loop)) / 1000;
    answer_print(a, "Cache-Control: max-age=%lld\r\n", (long long)left);
}

/* RFC 8288: what it stands in, and where it is watched (RFC 5989).  Relative to the target, so that mounts and names are right. */
static void put_links(answer *a, const request *r)
{
    text below;

    if (target_below(r->path, text_of(r->conn->port->mount), &below) == 0)
        answer_text(a, "Link: <./>;rel=\"collection up\", <?observe>;rel=\"monitor\"\r\n");
}

/* How many parts, 0 all, -1 not satisfiable. */
static int find_ranges(const request *r, const lines *l, const bridge_msg *msg, byte_range *parts)
{
    text range = head_value(r->head, HEAD_RANGE), only_if = head_value(r->head, HEAD_IF_RANGE);

    if (!range.p || !text_is(r->head->method, "GET")) return 0;
    if (only_if.p && !(l->tag_len && text_same(only_if, (text){l->text + l->tag_at, l->tag_len}))) return 0;
    return ranges_read(range, msg->len, parts);
}

static void put_range(buf *out, int *rc, const byte_range *part, const bridge_msg *msg)
{
    if (*rc == 0) *rc = buf_print(out, "Content-Range: bytes %llu-%llu/%u\r\n", (unsigned long long)part->from,
                                  (unsigned long long)(part->from + part->count - 1), (unsigned)msg->len);
}

/* Several parts are one multipart (RFC 9110 14.6), behind a line that no content can be made to hold. */
static void write_parts(request *r, const lines *l, bridge_msg *msg, const bridge_msg *from, const byte_range *parts, int count)
{
    size_t first_line = (size_t)l->type_at + l->type_len + 2;
    buf *b = &r->conn->port->body;
    uint64_t dice[2];
    char boundary[40];
    answer a;
    int rc = 0;

    random_bytes(dice, sizeof dice);
    sprintf(boundary, "%016llx%016llx", (unsigned long long)dice[0], (unsigned long long)dice[1]);
    buf_clear(b);
    for (int i = 0; i < count && rc == 0; i++) {
        rc = buf_print(b, "%s--%s\r\n", i ? "\r\n" : "", boundary);
        if (rc == 0) rc = buf_put(b, l->text, first_line);
        put_range(b, &rc, &parts[i], msg);
        if (rc == 0) rc = buf_text(b, "\r\n");
        if (rc == 0) rc = buf_put(b, msg_data(msg) + parts[i].from, parts[i].count);
    }
    if (rc == 0) rc = buf_print(b, "\r\n--%s--\r\n", boundary);
    if (rc < 0) {
        answer_failure(r->conn, rc, NULL);
        return;
    }
    answer_begin(&a, r->conn, 206);
    answer_print(&a, "Content-Type: multipart/byteranges; boundary=%s\r\n", boundary);
    if (a.rc == 0) a.rc = buf_put(a.out, l->text + first_line, l->len - first_line);
    put_freshness(&a, from);
    put_links(&a, r);
    answer_end(&a, b->data, b->len, NULL);
}

/* If-Match and If-Unmodified-Since of a GET (RFC 9110 13.1.1, 13.1.4): tags are compared strongly, the first counts before the second. */
static bool is_as_expected(const request *r, const lines *l, int64_t time)
{
    text since = head_value(r->head, HEAD_IF_UNMODIFIED_SINCE), item;
    head_list at = {0};
    int64_t seconds;

    if (!r->head->first[HEAD_IF_MATCH]) return !since.p || !date_read(since, &seconds) || time / 1000 <= seconds;
    while (head_next(r->head, HEAD_IF_MATCH, &at, &item))
        if (text_is(item, "*") || (l->tag_len && text_same(item, (text){l->text + l->tag_at, l->tag_len}))) return true;
    return false;
}

static void write_value(request *r, int status, bridge_msg *msg, const bridge_msg *from)
{
    const lines *l = lines_of(msg, from);
    bool is_get = text_is(r->head->method, "GET") || text_is(r->head->method, "HEAD");
    byte_range parts[RANGES_MAX] = {{0, msg->len}};
    int count = 0;
    answer a;

    if (!l) {
        answer_failure(r->conn, BRIDGE_NOMEM, NULL);
        return;
    }
    if (is_get && !is_as_expected(r, l, from->time)) {
        answer_failure(r->conn, BRIDGE_PRECONDITION, NULL);
        return;
    }
    if (is_get && is_fresh(r, l, from->time)) status = 304;
    else if (is_get && r->head->first[HEAD_RANGE]) count = find_ranges(r, l, msg, parts);
    if (count < 0) {
        buf_clear(&r->conn->port->body);
        buf_print(&r->conn->port->body, "Content-Range: bytes */%u\r\n", (unsigned)msg->len);
        answer_problem(r->conn, 416, NULL, buf_cstr(&r->conn->port->body));
        return;
    }
    if (count > 1) {
        write_parts(r, l, msg, from, parts, count);
        return;
    }
    answer_begin(&a, r->conn, count ? 206 : status);
    if (a.rc == 0) a.rc = buf_put(a.out, l->text, l->len);
    if (is_get) {
        put_freshness(&a, from);
        put_links(&a, r);
    }
    if (count) put_range(a.out, &a.rc, parts, msg);
    answer_end(&a, msg_data(msg) + parts[0].from, parts[0].count, msg);
}

void resource_answer(request *r, int status, bridge_msg *msg)
{
    bridge_msg *chosen;

    if (choose(r, msg, &chosen) < 0) {
        answer_failure(r->conn, BRIDGE_NOTACCEPTABLE, NULL);
        return;
    }
    write_value(r, status, chosen, msg);
    bridge_msg_unref(chosen);
}
