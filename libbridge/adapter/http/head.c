#include "adapter/http/head.h"

/* RFC 9110 5.6.2: what a method and a field name are made of; one bit a character. */
static bool is_token_char(uint8_t c)
{
    static const uint32_t bits[8] = {
        0x00000000, 0x03ff6cfa, /* ! # $ % & ' * + - . 0-9 */
        0xc7fffffe, 0x57ffffff, /* A-Z ^ _ ` a-z | ~ */
    };

    return bits[c >> 5] >> (c & 31) & 1;
}

static int refuse(int status, const char *words, const char **why)
{
    *why = words;
    return -status;
}

static bool is_token(text t)
{
    for (size_t i = 0; i < t.len; i++)
        if (!is_token_char((uint8_t)t.p[i])) return false;
    return t.len > 0;
}

/* Bytes at and above 0x80 may stand in values and targets: UTF-8 that nobody escaped (RFC 9110 5.5 obs-text). */
static bool is_value(text t)
{
    for (size_t i = 0; i < t.len; i++) {
        uint8_t c = (uint8_t)t.p[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f) return false;
    }
    return true;
}

static bool is_target(text t)
{
    for (size_t i = 0; i < t.len; i++) {
        uint8_t c = (uint8_t)t.p[i];
        if (c <= 0x20 || c == 0x7f || c == '#') return false;
    }
    return t.len > 0;
}

static const struct known {
    const char *name;
    uint8_t len, once;
} known_fields[] = {
    {"", 0, 0},
#define HEAD_KNOWN_ROW(name, spelt, once) {spelt, sizeof spelt - 1, once},
    HEAD_KNOWN_MAP(HEAD_KNOWN_ROW)
#undef HEAD_KNOWN_ROW
};

static head_known known_of(text name)
{
    char first = (char)(name.p[0] | 0x20);

    for (unsigned i = 1; i < HEAD_KNOWN_COUNT; i++)
        if (known_fields[i].len == name.len && known_fields[i].name[0] == first && text_is_nocase(name, known_fields[i].name))
            return (head_known)i;
    return HEAD_OTHER;
}

/* One line without its CRLF; *at moves behind it.  A CR or LF of its own is a difference of opinion between parsers. */
static bool take_line(const char **at, const char *end, text *line)
{
    const char *lf = memchr(*at, '\n', (size_t)(end - *at));

    if (!lf || lf == *at || lf[-1] != '\r') return false;
    *line = (text){*at, (size_t)(lf - 1 - *at)};
    *at = lf + 1;
    return memchr(line->p, '\r', line->len) == NULL;
}

static int read_request_line(http_head *h, text line, const char **why)
{
    text rest, version;

    if (!text_cut(line, ' ', &h->method, &rest) || !text_cut(rest, ' ', &h->target, &version))
        return refuse(400, "The request line is not \"METHOD target HTTP/1.1\".", why);
    if (!is_token(h->method)) return refuse(400, "The method is not a token.", why);
    if (version.len != 8 || memcmp(version.p, "HTTP/", 5) != 0 || version.p[6] != '.' || version.p[5] < '0' ||
        version.p[5] > '9' || version.p[7] < '0' || version.p[7] > '9')
        return refuse(400, "The request line does not end in a version of HTTP.", why);
    if (version.p[5] != '1') return refuse(505, "This server speaks HTTP/1.1.", why);
    if (h->target.len > HEAD_TARGET) return refuse(414, "The target is too long.", why);
    if (!is_target(h->target)) return refuse(400, "The target holds a blank, a '#' or a control character.", why);
    h->minor = version.p[7] == '0' ? 0 : 1;
    return 0;
}

static int read_field(http_head *h, text line, const char **why)
{
    head_field *f;

    if (h->count == HEAD_FIELDS) return refuse(431, "Too many header lines.", why);
    f = &h->fields[h->count];
    if (line.p[0] == ' ' || line.p[0] == '\t') return refuse(400, "A header line is folded (RFC 9112 5.2).", why);
    if (!text_cut(line, ':', &f->name, &f->value)) return refuse(400, "A header line has no colon.", why);
    if (!is_token(f->name)) return refuse(400, "A header's name is not a token.", why);
    f->value = text_trim(f->value);
    if (!is_value(f->value)) return refuse(400, "A header's value holds a control character.", why);
    f->known = (uint8_t)known_of(f->name);
    if (f->known) {
        if (!h->first[f->known]) h->first[f->known] = (uint8_t)(h->count + 1);
        else if (known_fields[f->known].once) return refuse(400, "A header that may stand once stands twice.", why);
    }
    h->count++;
    return 0;
}

/* Where the body ends: RFC 9112 6.  Whatever two readers could take differently is refused. */
static int read_framing(http_head *h, const char **why)
{
    text coding = head_value(h, HEAD_TRANSFER_ENCODING), length = head_value(h, HEAD_CONTENT_LENGTH);

    h->has_length = length.p != NULL;
    if (coding.p && length.p) return refuse(400, "Transfer-Encoding and Content-Length together.", why);
    if (coding.p && h->minor == 0) return refuse(400, "Transfer-Encoding in HTTP/1.0.", why);
    if (coding.p && !text_is_nocase(coding, "chunked"))
        return refuse(501, "The only transfer coding here is chunked.", why);
    h->chunked = coding.p != NULL;
    if (length.p && !text_to_u64(length, INT64_MAX, &h->length))
        return refuse(400, "Content-Length is not a number.", why);
    return 0;
}

static int read_connection(http_head *h, const char **why)
{
    text host = head_value(h, HEAD_HOST), expect = head_value(h, HEAD_EXPECT);

    if (!host.p && h->minor == 1) return refuse(400, "HTTP/1.1 wants a Host (RFC 9112 3.2).", why);
    for (size_t i = 0; i < host.len; i++)
        if (strchr(" \t,/\\@?#\"<>", host.p[i])) return refuse(400, "Host is not a host.", why);
    h->keep_alive = h->minor == 1 ? !head_has(h, HEAD_CONNECTION, "close") : head_has(h, HEAD_CONNECTION, "keep-alive");
    h->upgrade = h->minor == 1 && h->first[HEAD_UPGRADE] && head_has(h, HEAD_CONNECTION, "upgrade");
    if (expect.p && h->minor == 1) {
        if (!text_is_nocase(expect, "100-continue")) return refuse(417, "The only expectation here is 100-continue.", why);
        h->wants_continue = true;
    }
    return 0;
}

/* Length of the head with its empty line, 0 when that has not come yet. */
static size_t find_end(const char *data, size_t len, size_t skip, size_t *seen)
{
    size_t from = *seen > skip + 3 ? *seen - 3 : skip;
    const char *hit = len > from ? memmem(data + from, len - from, "\r\n\r\n", 4) : NULL;

    *seen = hit ? (size_t)(hit - data) : len; /* while a body is awaited the head is read again */
    return hit ? *seen + 4 : 0;
}

/* Is what has come too long to wait for more?  A bare LF ends the wait for an end that will not come. */
static int check_length(const char *data, size_t len, const char **why)
{
    const char *line = memchr(data, '\n', len < HEAD_TARGET + 64 ? len : HEAD_TARGET + 64);

    if (!line) return len >= HEAD_TARGET + 64 ? refuse(414, "The target is too long.", why) : 0;
    if (line == data || line[-1] != '\r') return refuse(400, "Lines end in CRLF.", why);
    if (len - (size_t)(line - data) > HEAD_BYTES) return refuse(431, "The head of the request is too long.", why);
    return 0;
}

int head_read(http_head *h, const char *data, size_t len, size_t *seen, const char **why)
{
    const char *at = data, *end;
    size_t skip = 0, size;
    text line;
    int rc;

    /* RFC 9112 2.2: an empty line before the request line is left over from the last body of a careless client. */
    while (skip + 1 < len && skip < 4 && data[skip] == '\r' && data[skip + 1] == '\n') skip += 2;
    size = len > skip ? find_end(data, len, skip, seen) : 0;
    if (size == 0 || size > HEAD_BYTES) {
        rc = check_length(data + skip, (size ? size : len) - skip, why);
        if (rc < 0 || size == 0) return rc;
    }
    h->count = 0;
    h->chunked = h->has_length = h->wants_continue = h->upgrade = false;
    h->length = 0;
    memset(h->first, 0, sizeof h->first);
    at = data + skip;
    end = data + size - 2;
    if (!take_line(&at, end, &line)) return refuse(400, "A line does not end in CRLF.", why);
    rc = read_request_line(h, line, why);
    while (rc == 0 && at < end) {
        if (!take_line(&at, end, &line) || line.len == 0) return refuse(400, "A line does not end in CRLF.", why);
        rc = read_field(h, line, why);
    }
    if (rc == 0) rc = read_framing(h, why);
    if (rc == 0) rc = read_connection(h, why);
    return rc < 0 ? rc : (int)size;
}

/* Up to the next comma that is not inside a quoted string. */
static text cut_item(text *rest)
{
    bool quoted = false;
    size_t i = 0;
    text item;

    for (; i < rest->len && (quoted || rest->p[i] != ','); i++) {
        if (rest->p[i] == '"') quoted = !quoted;
        else if (quoted && rest->p[i] == '\\' && i + 1 < rest->len) i++;
    }
    item = text_trim((text){rest->p, i});
    if (i < rest->len) i++;
    *rest = (text){rest->p + i, rest->len - i};
    return item;
}

bool head_next(const http_head *h, head_known known, head_list *at, text *item)
{
    if (!h->first[known]) return false;
    if (at->field == 0) {
        at->field = h->first[known];
        at->rest = h->fields[at->field - 1].value;
    }
    for (;;) {
        while (at->rest.len > 0) {
            *item = cut_item(&at->rest);
            if (item->len) return true;
        }
        do {
            if (at->field >= h->count) return false;
            at->field++;
        } while (h->fields[at->field - 1].known != known);
        at->rest = h->fields[at->field - 1].value;
    }
}

bool head_has(const http_head *h, head_known known, const char *item)
{
    head_list at = {0};
    text t;

    while (head_next(h, known, &at, &t))
        if (text_is_nocase(t, item)) return true;
    return false;
}
