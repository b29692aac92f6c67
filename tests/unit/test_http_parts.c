/* HTTP without a network: heads, chunks, targets, tags, ranges, dates, frames. */
#include "adapter/http/head.h"
#include "adapter/http/media.h"
#include "adapter/http/target.h"
#include "codec/ws.h"
#include "check.h"
#include <stdlib.h>

static int read_head(http_head *h, const char *data)
{
    const char *why = "";
    size_t seen = 0;

    return head_read(h, data, strlen(data), &seen, &why);
}

static void heads(void)
{
    static const struct {
        int want; /* 1: fine, 0: more is needed, else minus the status */
        const char *data;
    } rows[] = {
        {1, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
        {1, "GET / HTTP/1.0\r\n\r\n"},
        {1, "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"},
        {1, "GET http://a/b HTTP/1.1\r\nHost: a\r\n\r\n"},
        {1, "PUT /k\xc3\xbc HTTP/1.1\r\nhost:a\r\ncontent-length:\t3 \r\n\r\nabc"},
        {1, "GET / HTTP/1.1\r\nHost:\r\n\r\n"},
        {0, ""},
        {0, "GET / HTTP/1.1\r\nHost: a\r\n"},
        {0, "GET / HTTP/1.1\r\nHost: a\r\n\r"},
        {-400, "GET / HTTP/1.1\n"},
        {-400, "GET / HTTP/1.1\r\n\r\n"},                                               /* no Host */
        {-400, "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"},                         /* two */
        {-400, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"},
        {-400, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"},
        {-400, "GET / HTTP/1.1\nHost: a\n\n"},                                          /* bare LF */
        {-400, "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n"},
        {-400, "GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n"},                              /* bare CR */
        {-400, "GET / HTTP/1.1\r\nHost : a\r\n\r\n"},                                   /* blank before the colon */
        {-400, "GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n"},
        {-400, "GET / HTTP/1.1\r\n X: y\r\nHost: a\r\n\r\n"},
        {-400, "GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n"},
        {-400, "GET / HTTP/1.1\r\nHost: a\r\nX: \x01\r\n\r\n"},
        {-400, "GET / HTTP/1.1\r\nHost: a\r\n: v\r\n\r\n"},
        {-400, "GET  / HTTP/1.1\r\nHost: a\r\n\r\n"},
        {-400, "GET / HTTP/1.1 \r\nHost: a\r\n\r\n"},
        {-400, "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"},
        {-400, "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n"},
        {-400, "G(T / HTTP/1.1\r\nHost: a\r\n\r\n"},
        {-400, "GET /\r\nHost: a\r\n\r\n"},                                             /* HTTP/0.9 */
        {-400, "GET / http/1.1\r\nHost: a\r\n\r\n"},
        {-505, "GET / HTTP/2.0\r\nHost: a\r\n\r\n"},
        {-400, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"},
        {-400, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n"},
        {-400, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\n"},
        {-400, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\n"},
        {-400, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\n"},
        {-400, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n"},
        {-400, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n"},
        {-400, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n"},
        {-501, "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"},
        {-501, "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n"},
        {-400, "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n"},
        {-400, "PUT / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"},
        {-417, "PUT / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n"},
    };
    http_head h;
    size_t len;
    char *big;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int got = read_head(&h, rows[i].data);
        if ((got > 0 ? 1 : got) != rows[i].want)
            fprintf(stderr, "row %zu: %d, not %d: %s\n", i, got, rows[i].want, rows[i].data), check_failed++;
    }
    CHECK_INT(read_head(&h, "PUT /x?y HTTP/1.1\r\nhOsT: a\r\nContent-Length: 3\r\nAccept: a/b,\"c,d\" , e/f\r\nX: 1\r\nACCEPT: g/h\r\n\r\nabc"), 93);
    CHECK(text_is(h.method, "PUT") && text_is(h.target, "/x?y") && h.length == 3 && h.keep_alive);
    {
        static const char *const want[] = {"a/b", "\"c,d\"", "e/f", "g/h"};
        head_list at = {0};
        text item;
        for (int i = 0; i < 4; i++) CHECK(head_next(&h, HEAD_ACCEPT, &at, &item) && text_is(item, want[i]));
        CHECK(!head_next(&h, HEAD_ACCEPT, &at, &item));
    }
    CHECK(read_head(&h, "GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n") > 0 && !h.keep_alive);
    CHECK(read_head(&h, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n") > 0 && h.keep_alive);
    CHECK(read_head(&h, "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n") > 0 && h.upgrade);
    big = malloc(HEAD_TARGET + HEAD_BYTES + 1000);
    memset(big, 'a', HEAD_BYTES + 100);
    memcpy(big, "GET / HTTP/1.1\r\nHost: ", 22);
    big[HEAD_BYTES + 99] = 0;
    CHECK_INT(read_head(&h, big), -431);
    memset(big, 'a', HEAD_TARGET + 100);
    memcpy(big, "GET /", 5);
    strcpy(big + HEAD_TARGET + 10, " HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK_INT(read_head(&h, big), -414);
    strcpy(big + HEAD_TARGET, " HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK(read_head(&h, big) > HEAD_TARGET);
    memset(big, 'a', HEAD_TARGET + 100);
    big[HEAD_TARGET + 100] = 0;
    CHECK_INT(read_head(&h, big), -414);
    len = (size_t)sprintf(big, "GET / HTTP/1.1\r\nHost: a\r\n");
    for (int i = 0; i < HEAD_FIELDS; i++) len += (size_t)sprintf(big + len, "a: b\r\n");
    strcpy(big + len, "\r\n");
    CHECK_INT(read_head(&h, big), -431);
    free(big);
    for (int c = 1; c < 128; c++) { /* RFC 9110 5.6.2 */
        char method[] = "G?T / HTTP/1.1\r\nHost: a\r\n\r\n";
        bool token = strchr("!#$%&'*+-.^_`|~", c) || (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z');
        method[1] = (char)c;
        CHECK((read_head(&h, method) > 0) == token);
    }
    { /* byte by byte it is the same */
        const char *all = "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", *why;
        size_t seen = 0, n = 0;
        int rc = 0;
        for (; rc == 0 && n <= strlen(all); n++) rc = head_read(&h, all, n, &seen, &why);
        CHECK_INT(rc, strlen(all) - 3);
        CHECK_INT(n - 1, rc);
        CHECK_INT(head_read(&h, all, strlen(all), &seen, &why), rc); /* and again, when the body has come */
    }
}

static void bodies(void)
{
    static const struct {
        int want;
        const char *data, *content;
    } rows[] = {
        {1, "0\r\n\r\n", ""},
        {1, "3\r\nabc\r\n0\r\n\r\n", "abc"},
        {1, "1;x=y\r\na\r\n2 ; z\r\nbc\r\n000\r\nTrailer: t\r\n\r\n", "abc"},
        {1, "A\r\n0123456789\r\n0a\r\nabcdefghij\r\n0\r\n\r\n", "0123456789abcdefghij"},
        {0, "3\r\nab", NULL},
        {0, "0\r\n", NULL},
        {0, "0\r\nTrailer: t\r\n", NULL},
        {-400, "\r\n", NULL},
        {-400, "g\r\n", NULL},
        {-400, "3\nabc\r\n", NULL},
        {-400, "-1\r\n", NULL},
        {-400, "0x3\r\nabc\r\n", NULL},
        {-400, "3\r\nabcd\r\n", NULL},
        {-400, "3\r\r\nabc\r\n", NULL},
        {-413, "fffffffffffffffff\r\n", NULL},
        {-413, "ffffffffffffffff\r\n", NULL},
        {-413, "41\r\n", NULL},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        chunks c = {0};
        const char *why;
        uint8_t out[65] = {0};
        int rc = chunks_scan(&c, rows[i].data, strlen(rows[i].data), 64, &why);
        if (rc != rows[i].want) fprintf(stderr, "chunks %zu: %d, not %d\n", i, rc, rows[i].want), check_failed++;
        if (rc != 1) continue;
        chunks_copy(rows[i].data, 0, c.at, out);
        CHECK_STR((char *)out, rows[i].content);
        CHECK_INT(c.total, strlen(rows[i].content));
        CHECK_INT(c.at, strlen(rows[i].data));
        c = (chunks){0};
        for (size_t n = 0; n < strlen(rows[i].data); n++) CHECK_INT(chunks_scan(&c, rows[i].data, n, 64, &why), 0);
        CHECK_INT(chunks_scan(&c, rows[i].data, strlen(rows[i].data), 64, &why), 1);
    }
}

static void targets(void)
{
    static const struct {
        const char *target, *name; /* NULL: refused */
    } rows[] = {
        {"/resources/a/b", "a/b"},       {"/resources//a//b/", "/a//b/"}, {"/resources/a/../b/./c", "a/../b/./c"},
        {"/resources/a%20b", "a b"},     {"/resources/%25", "%"},         {"/resources/a%3Fb?c=d", "a?b"},
        {"/resources/k%C3%BC", "k\xc3\xbc"}, {"/resources/a+b", "a+b"},   {"/resources/%2B/x", "+/x"},
        {"/resources/%23", "#"},         {"/resources", ""},              {"/resources/", ""},
        {"http://h:1/resources/a", "a"}, {"/resources?x", ""},
        {"/resources/a%2Fb", NULL},      {"/resources/a%2fb", NULL},      {"/resources/%00", NULL},
        {"/resources/%", NULL},          {"/resources/%4", NULL},         {"/resources/%4x", NULL},
        {"/resourcesx", NULL},           {"/other", NULL},                {"resources/a", NULL},
    };
    static const char *const names[] = {"a", "/", "//", "a//b", "/a/", "a b", "%", "a?b#", "..", "a/./../b", "k\xc3\xbc\xf0\x9f\x92\xa1",
                                        "{x}", "$SYS/a", "\"<>\\^`|", "a;b=c,d@e:f!'()*&", "~-._"};
    char name[256];
    text path, query, below;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        bool fine = target_split(text_of(rows[i].target), &path, &query) == 0 &&
                    target_below(path, text_of("/resources"), &below) == 0 && target_name(below, name) >= 0;
        if (fine != (rows[i].name != NULL)) fprintf(stderr, "target %s\n", rows[i].target), check_failed++;
        if (fine && rows[i].name) CHECK_STR(name, rows[i].name);
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        buf b;
        buf_init(&b, mem_default(), 0);
        CHECK(target_put(&b, text_of("/m"), text_of(names[i])) == 0);
        CHECK(target_split((text){(char *)b.data, b.len}, &path, &query) == 0 && !query.p);
        CHECK(target_below(path, text_of("/m"), &below) == 0);
        CHECK(target_name(below, name) == (int)strlen(names[i]));
        CHECK_STR(name, names[i]);
        for (size_t n = 0; n < b.len; n++) CHECK(b.data[n] > 0x20 && b.data[n] < 0x7f && !strchr("\"<>\\^`{|}#+", b.data[n]));
        buf_done(&b);
    }
    CHECK(query_has(text_of("a=b&observe&c"), "observe") && !query_has(text_of("observed"), "observe"));
    CHECK(query_get(text_of("a=b&path=x%2Fy%20z"), "path", name, sizeof name));
    CHECK_STR(name, "x/y z");
    CHECK(!query_get(text_of("path=1234"), "path", name, 4) && !query_get(text_of("path=%zz"), "path", name, 9));
}

static void tags(void)
{
    char out[ETAG_ROOM];
    uint64_t version;
    text opaque;
    bool weak;

    CHECK_INT(etag_print(out, 0x1f, false, 0), 4);
    CHECK_STR(out, "\"1f\"");
    etag_print(out, UINT64_MAX, true, 65535);
    CHECK_STR(out, "\"ffffffffffffffff-65535\"");
    CHECK(etag_read(text_of(out), &weak, &version, &opaque) && version == UINT64_MAX && !weak);
    CHECK(etag_read(text_of("W/\"a-50\""), &weak, &version, &opaque) && weak && version == 10 && text_is(opaque, "\"a-50\""));
    CHECK(!etag_read(text_of("\"xyz\""), &weak, &version, &opaque) && !etag_read(text_of("1f"), &weak, &version, &opaque));
    CHECK(!etag_read(text_of("\"\""), &weak, &version, &opaque) && !etag_read(text_of("\"12345678901234567\""), &weak, &version, &opaque));
}

static void ranges(void)
{
    static const struct {
        const char *value;
        uint64_t size;
        int want;
        uint64_t from, count;
    } rows[] = {
        {"bytes=0-0", 10, 1, 0, 1},  {"bytes=2-", 10, 1, 2, 8},    {"bytes=-3", 10, 1, 7, 3},   {"bytes=-30", 10, 1, 0, 10},
        {"bytes=5-99", 10, 1, 5, 5}, {"bytes=10-", 10, -1, 0, 0},  {"bytes=-0", 10, -1, 0, 0},  {"bytes=0-", 0, -1, 0, 0},
        {"bytes=4-3", 10, 0, 0, 0},  {"bytes=0-1, ,3-4", 10, 2, 0, 2}, {"bytes=90-,3-4", 10, 1, 3, 2},
        {"bytes=0-8,1-9", 10, 0, 0, 0}, {"bytes=10-,11-", 10, -1, 0, 0}, {"bytes=0-0,1-1,2-2,3-3,4-4,5-5,6-6,7-7,8-8", 10, 0, 0, 0},
        {"bytes=0-1,x", 10, 0, 0, 0}, {"bytes=", 10, 0, 0, 0}, {"lines=0-1", 10, 0, 0, 0}, {"bytes=-", 10, 0, 0, 0},
        {"bytes=a-b", 10, 0, 0, 0},  {"bytes", 10, 0, 0, 0},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        byte_range parts[RANGES_MAX] = {{0, 0}};
        CHECK_INT(ranges_read(text_of(rows[i].value), rows[i].size, parts), rows[i].want);
        if (rows[i].want <= 0) continue;
        CHECK_INT(parts[0].from, rows[i].from);
        CHECK_INT(parts[0].count, rows[i].count);
    }
}

static void dates(void)
{
    static const int64_t some[] = {0, 784111777, 951782400, 951868800, 1709164800, 4102444800, 253402300799};
    char out[DATE_LEN + 1];
    int64_t back;

    date_print(out, 784111777);
    CHECK_STR(out, "Sun, 06 Nov 1994 08:49:37 GMT");
    for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
        date_print(out, some[i]);
        CHECK(date_read(text_of(out), &back) && back == some[i]);
    }
    CHECK(!date_read(text_of("Sunday, 06-Nov-94 08:49:37 GMT"), &back) && !date_read(text_of("Sun, 06 Nov 1994 28:49:37 GMT"), &back));
}

static void frames(void)
{
    /* RFC 6455 5.7 and 1.3 */
    static const uint8_t hello[] = {0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58};
    static const struct {
        int want;
        uint8_t len, data[12];
    } bad[] = {
        {-1002, 2, {0x81, 0x05}},                               /* not masked */
        {-1002, 2, {0xc1, 0x85}},                               /* a reserved bit */
        {-1002, 2, {0x83, 0x85}},                               /* a reserved opcode */
        {-1002, 2, {0x8b, 0x80}},                               /* the same, control */
        {-1002, 2, {0x08, 0x80}},                               /* a control frame in parts */
        {-1002, 4, {0x89, 0xfe, 0x00, 0x7e}},                   /* a long one */
        {-1002, 4, {0x82, 0xfe, 0x00, 0x7d}},                   /* length not minimal */
        {-1002, 10, {0x82, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff}},
        {-1002, 10, {0x82, 0xff, 0x80, 0, 0, 0, 0, 1, 0, 0}},
        {-1009, 4, {0x82, 0xfe, 0x04, 0x00}},                   /* over max */
    };
    uint8_t out[16];
    char answer[WS_ACCEPT + 1];
    ws_frame f;

    for (size_t n = 0; n < sizeof hello; n++) CHECK_INT(ws_read(&f, hello, n, 1000, true), 0);
    CHECK_INT(ws_read(&f, hello, sizeof hello, 1000, true), sizeof hello);
    CHECK(f.fin && f.opcode == WS_TEXT && f.len == 5);
    ws_unmask(&f, out);
    CHECK(memcmp(out, "Hello", 5) == 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) CHECK_INT(ws_read(&f, bad[i].data, bad[i].len, 1000, true), bad[i].want);
    CHECK(ws_header(out, WS_TEXT, 125) == 2 && ws_header(out, WS_TEXT, 126) == 4 && ws_header(out, WS_BINARY, 65536) == 10);
    CHECK(out[0] == 0x82 && out[1] == 127 && out[7] == 1 && out[9] == 0);
    ws_accept(text_of("dGhlIHNhbXBsZSBub25jZQ=="), answer);
    CHECK_STR(answer, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    CHECK(ws_key_is_fine(text_of("dGhlIHNhbXBsZSBub25jZQ==")) && !ws_key_is_fine(text_of("dGhlIHNhbXBsZSBub25jZQ")));
}

int main(void)
{
    heads();
    bodies();
    targets();
    tags();
    ranges();
    dates();
    frames();
    return check_done();
}
