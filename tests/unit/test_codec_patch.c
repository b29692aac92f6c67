/* Patches: RFC 7396 appendix A, RFC 6902 appendix A, RFC 8790, and what is hostile. */
#include "codec_check.h"

typedef struct patch_row {
    const char *value, *patch, *want;
    int status;
} patch_row;

static void check_patch(const char *file, int line, bridge_format format, bridge_format patch, const patch_row *r)
{
    size_t len, patch_len;
    uint8_t *data = cell(format, r->value, &len), *change = cell(patch, r->patch, &patch_len);
    static char got[65536];
    bridge_error err = {0};
    buf out;
    int rc;

    buf_init(&out, mem_default(), 0);
    rc = codec_patch(mem_default(), "p", 0, format, data, len, patch, change, patch_len, &out, &err);
    if (is_binary(format) && out.len)
        tohex(out.data, out.len, got);
    else
        snprintf(got, sizeof got, "%.*s", (int)out.len, out.data ? (char *)out.data : "");
    if (rc != r->status || (rc < 0 && (err.status != rc || !err.text[0])) || (rc == 0 && strcmp(got, r->want) != 0)) {
        fprintf(stderr, "%s:%d: %.200s + %.200s: %d (%s)\n   gave %s\n   not  %s\n", file, line, r->value, r->patch, rc,
                err.text, got, r->want ? r->want : "an error");
        check_failed++;
    }
    buf_done(&out);
    free(data);
    free(change);
}
#define CHECK_PATCHES(format, patch, rows)                                                                             \
    for (size_t i_ = 0; i_ < sizeof(rows) / sizeof *(rows); i_++)                                                      \
    check_patch(__FILE__, __LINE__, format, patch, &(rows)[i_])

static const patch_row merges[] = {
    /* RFC 7396 appendix A, all fifteen */
    {"{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
    {"{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}"},
    {"{\"a\":\"b\"}", "{\"a\":null}", "{}"},
    {"{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}"},
    {"{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
    {"{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}"},
    {"{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}", "{\"a\":{\"b\":\"d\"}}"},
    {"{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}"},
    {"[\"a\",\"b\"]", "[\"c\",\"d\"]", "[\"c\",\"d\"]"},
    {"{\"a\":\"b\"}", "[\"c\"]", "[\"c\"]"},
    {"{\"a\":\"foo\"}", "null", "null"},
    {"{\"a\":\"foo\"}", "\"bar\"", "\"bar\""},
    {"{\"e\":null}", "{\"a\":1}", "{\"e\":null,\"a\":1}"},
    {"[1,2]", "{\"a\":\"b\",\"c\":null}", "{\"a\":\"b\"}"},
    {"{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}"},
    /* and section 3's */
    {"{\"title\":\"Goodbye!\",\"author\":{\"givenName\":\"John\",\"familyName\":\"Doe\"},\"tags\":[\"example\","
     "\"sample\"],\"content\":\"This will be unchanged\"}",
     "{\"title\":\"Hello!\",\"phoneNumber\":\"+01-123-456-7890\",\"author\":{\"familyName\":null},\"tags\":["
     "\"example\"]}",
     "{\"title\":\"Hello!\",\"author\":{\"givenName\":\"John\"},\"tags\":[\"example\"],\"content\":\"This will be "
     "unchanged\",\"phoneNumber\":\"+01-123-456-7890\"}"},
    {"", "{\"a\":1,\"b\":null}", "{\"a\":1}"},
    {"1.50", "{\"a\":1.50}", "{\"a\":1.50}"},
    {"{\"x\":12345678901234567890.10,\"b\":[1e400]}", "{\"a\":1}",
     "{\"x\":12345678901234567890.10,\"b\":[1e400],\"a\":1}"},
    {"{", "{}", NULL, BRIDGE_SYNTAX},
    {"{}", "{", NULL, BRIDGE_SYNTAX},
    {"{}", "", NULL, BRIDGE_SYNTAX},
};
static const patch_row cbor_merges[] = {
    {"a26161016162c24901 0000000000000000", "{\"a\":null,\"c\":[true]}",
     "a26162c2490100000000000000006163"
     "81f5"},
    {"a201020304", "{\"1\":null}", "a201020304"},
    {"a16161c11a514b67b0", "{\"b\":1}", "a26161c11a514b67b0616201"},
    {"", "{\"a\":1}", "a1616101"},
    {"a1830101018101", "{\"b\":1}", NULL, BRIDGE_UNPROCESSABLE},
};

static const patch_row patches[] = {
    /* RFC 6902 appendix A.1 to A.16 */
    {"{\"foo\":\"bar\"}", "[{\"op\":\"add\",\"path\":\"/baz\",\"value\":\"qux\"}]",
     "{\"foo\":\"bar\",\"baz\":\"qux\"}"},
    {"{\"foo\":[\"bar\",\"baz\"]}", "[{\"op\":\"add\",\"path\":\"/foo/1\",\"value\":\"qux\"}]",
     "{\"foo\":[\"bar\",\"qux\",\"baz\"]}"},
    {"{\"baz\":\"qux\",\"foo\":\"bar\"}", "[{\"op\":\"remove\",\"path\":\"/baz\"}]", "{\"foo\":\"bar\"}"},
    {"{\"foo\":[\"bar\",\"qux\",\"baz\"]}", "[{\"op\":\"remove\",\"path\":\"/foo/1\"}]", "{\"foo\":[\"bar\",\"baz\"]}"},
    {"{\"baz\":\"qux\",\"foo\":\"bar\"}", "[{\"op\":\"replace\",\"path\":\"/baz\",\"value\":\"boo\"}]",
     "{\"baz\":\"boo\",\"foo\":\"bar\"}"},
    {"{\"foo\":{\"bar\":\"baz\",\"waldo\":\"fred\"},\"qux\":{\"corge\":\"grault\"}}",
     "[{\"op\":\"move\",\"from\":\"/foo/waldo\",\"path\":\"/qux/thud\"}]",
     "{\"foo\":{\"bar\":\"baz\"},\"qux\":{\"corge\":\"grault\",\"thud\":\"fred\"}}"},
    {"{\"foo\":[\"all\",\"grass\",\"cows\",\"eat\"]}", "[{\"op\":\"move\",\"from\":\"/foo/1\",\"path\":\"/foo/3\"}]",
     "{\"foo\":[\"all\",\"cows\",\"eat\",\"grass\"]}"},
    {"{\"baz\":\"qux\",\"foo\":[\"a\",2,\"c\"]}",
     "[{\"op\":\"test\",\"path\":\"/baz\",\"value\":\"qux\"},{\"op\":\"test\",\"path\":\"/foo/1\",\"value\":2}]",
     "{\"baz\":\"qux\",\"foo\":[\"a\",2,\"c\"]}"},
    {"{\"baz\":\"qux\"}", "[{\"op\":\"test\",\"path\":\"/baz\",\"value\":\"bar\"}]", NULL, BRIDGE_CONFLICT},
    {"{\"foo\":\"bar\"}", "[{\"op\":\"add\",\"path\":\"/child\",\"value\":{\"grandchild\":{}}}]",
     "{\"foo\":\"bar\",\"child\":{\"grandchild\":{}}}"},
    {"{\"foo\":\"bar\"}", "[{\"op\":\"add\",\"path\":\"/baz\",\"value\":\"qux\",\"xyz\":123}]",
     "{\"foo\":\"bar\",\"baz\":\"qux\"}"},
    {"{\"foo\":\"bar\"}", "[{\"op\":\"add\",\"path\":\"/baz/bat\",\"value\":\"qux\"}]", NULL, BRIDGE_UNPROCESSABLE},
    {"{\"/\":9,\"~1\":10}", "[{\"op\":\"test\",\"path\":\"/~01\",\"value\":10}]", "{\"/\":9,\"~1\":10}"},
    {"{\"/\":9,\"~1\":10}", "[{\"op\":\"test\",\"path\":\"/~01\",\"value\":\"10\"}]", NULL, BRIDGE_CONFLICT},
    {"{\"foo\":[\"bar\"]}", "[{\"op\":\"add\",\"path\":\"/foo/-\",\"value\":[\"abc\",\"def\"]}]",
     "{\"foo\":[\"bar\",[\"abc\",\"def\"]]}"},
    /* sentences of 4 and RFC 6901 */
    {"{\"a\":1}", "[]", "{\"a\":1}"},
    {"{\"a\":1}", "[{\"op\":\"replace\",\"path\":\"\",\"value\":[2]}]", "[2]"},
    {"{\"a\":1}", "[{\"op\":\"add\",\"path\":\"/a\",\"value\":2}]", "{\"a\":2}"},
    {"{\"a\":1}", "[{\"op\":\"remove\",\"path\":\"\"}]", "null"},
    {"{\"a\":[1]}",
     "[{\"op\":\"copy\",\"from\":\"/a\",\"path\":\"/b\"},{\"op\":\"add\",\"path\":\"/b/0\",\"value\":0}]",
     "{\"a\":[1],\"b\":[0,1]}"},
    {"{\"a\":1}", "[{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/a\"}]", "{\"a\":1}"},
    {"{\"a\":{\"b\":1}}", "[{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/a/b\"}]", NULL, BRIDGE_UNPROCESSABLE},
    {"{\"a\":{\"b\":1}}", "[{\"op\":\"move\",\"from\":\"/a/b\",\"path\":\"/a\"}]", "{\"a\":1}"},
    {"{\"a/b\":1,\"\":2}", "[{\"op\":\"remove\",\"path\":\"/a~1b\"},{\"op\":\"remove\",\"path\":\"/\"}]", "{}"},
    {"{\"a\":1.0}", "[{\"op\":\"test\",\"path\":\"/a\",\"value\":1}]", "{\"a\":1.0}"},
    {"{\"a\":{\"x\":1,\"y\":2}}", "[{\"op\":\"test\",\"path\":\"/a\",\"value\":{\"y\":2,\"x\":1}}]",
     "{\"a\":{\"x\":1,\"y\":2}}"},
    {"{\"a\":100000000000000000001}", "[{\"op\":\"test\",\"path\":\"/a\",\"value\":100000000000000000002}]", NULL,
     BRIDGE_CONFLICT},
    {"[1,2]", "[{\"op\":\"add\",\"path\":\"/2\",\"value\":3}]", "[1,2,3]"},
    {"[1,2]", "[{\"op\":\"add\",\"path\":\"/3\",\"value\":3}]", NULL, BRIDGE_UNPROCESSABLE},
    {"[1,2]", "[{\"op\":\"remove\",\"path\":\"/2\"}]", NULL, BRIDGE_UNPROCESSABLE},
    {"[1,2]", "[{\"op\":\"remove\",\"path\":\"/-\"}]", NULL, BRIDGE_UNPROCESSABLE},
    {"[1,2]", "[{\"op\":\"remove\",\"path\":\"/01\"}]", NULL, BRIDGE_UNPROCESSABLE},
    {"[1,2]", "[{\"op\":\"replace\",\"path\":\"/-1\",\"value\":1}]", NULL, BRIDGE_UNPROCESSABLE},
    {"{\"a\":1}", "[{\"op\":\"replace\",\"path\":\"/b\",\"value\":1}]", NULL, BRIDGE_UNPROCESSABLE},
    {"{\"a\":1}", "[{\"op\":\"remove\",\"path\":\"/a/b\"}]", NULL, BRIDGE_UNPROCESSABLE},
    {"{}", "{}", NULL, BRIDGE_SYNTAX},
    {"{}", "[1]", NULL, BRIDGE_SYNTAX},
    {"{}", "[{\"op\":\"add\"}]", NULL, BRIDGE_SYNTAX},
    {"{}", "[{\"op\":\"frob\",\"path\":\"\"}]", NULL, BRIDGE_SYNTAX},
    {"{}", "[{\"op\":\"add\",\"path\":\"a\",\"value\":1}]", NULL, BRIDGE_SYNTAX},
    {"{}", "[{\"op\":\"add\",\"path\":\"/~2\",\"value\":1}]", NULL, BRIDGE_SYNTAX},
    {"{}", "[{\"op\":\"add\",\"path\":\"/a\"}]", NULL, BRIDGE_SYNTAX},
    {"{}", "[{\"op\":\"copy\",\"path\":\"/a\"}]", NULL, BRIDGE_SYNTAX},
    {"{}", "[{\"op\":\"copy\",\"path\":\"/a\",\"from\":\"/b\"}]", NULL, BRIDGE_UNPROCESSABLE},
    {"", "[{\"op\":\"add\",\"path\":\"\",\"value\":{\"a\":1}}]", "{\"a\":1}"},
    {"", "[{\"op\":\"add\",\"path\":\"/a\",\"value\":1}]", NULL, BRIDGE_UNPROCESSABLE},
};

static const patch_row etches[] = {
    /* RFC 8790 3.2 and its examples in the style of RFC 8428 */
    {"[{\"bn\":\"2001:db8::2/3311/0/"
     "\",\"n\":\"5850\",\"vb\":false},{\"n\":\"5851\",\"v\":42},{\"n\":\"5750\",\"vs\":\"Ceiling light\"}]",
     "[{\"bn\":\"2001:db8::2/3311/0/\",\"n\":\"5850\",\"vb\":true},{\"n\":\"5851\",\"v\":10}]",
     "[{\"bn\":\"2001:db8::2/3311/0/"
     "\",\"n\":\"5850\",\"vb\":true},{\"n\":\"5851\",\"v\":10},{\"n\":\"5750\",\"vs\":\"Ceiling light\"}]"},
    {"[{\"n\":\"a\",\"v\":1},{\"n\":\"b\",\"v\":2}]", "[{\"n\":\"a\",\"v\":null},{\"n\":\"c\",\"u\":\"V\",\"v\":3}]",
     "[{\"n\":\"b\",\"v\":2},{\"n\":\"c\",\"u\":\"V\",\"v\":3}]"},
    {"[{\"bt\":1e9,\"n\":\"a\",\"v\":1},{\"n\":\"a\",\"t\":1,\"v\":2}]", "[{\"n\":\"a\",\"t\":1000000001,\"v\":9}]",
     "[{\"bt\":1000000000,\"n\":\"a\",\"v\":1},{\"n\":\"a\",\"v\":9,\"t\":1}]"},
    {"", "[{\"n\":\"a\",\"v\":1}]", "[{\"n\":\"a\",\"v\":1}]"},
    {"[]", "[{\"n\":\"a\",\"v\":null}]", "[]"},
    {"[{\"n\":\"a\",\"v\":1}]", "[{\"n\":\"a\",\"x_\":1}]", NULL, BRIDGE_UNPROCESSABLE},
    {"[{\"n\":\"a\",\"v\":1}]", "{}", NULL, BRIDGE_UNPROCESSABLE},
    {"[{\"n\":\"p\",\"v\":1}]", "[{\"v\":null}]", "[]"},
};
static const patch_row etch_on_json[] = {
    {"{\"a\":1,\"b\":2}", "[{\"n\":\"b\",\"v\":3},{\"n\":\"p/c\",\"v\":4}]", "{\"a\":1,\"b\":3,\"c\":4}"},
    {"5", "[{\"n\":\"p\",\"v\":6}]", "6"},
};
static const patch_row etch_cbor[] = {
    {"82a20061610201 a20061620202", "82a2006161 02f6 a20061620204", "81a20061620204"},
};

static void mismatches(void)
{
    static const patch_row text_value[] = {{"21.5", "{\"a\":1}", NULL, BRIDGE_FORMAT}};
    static const patch_row unnamed[] = {{"21.5", "{\"a\":1}", "{\"a\":1}"},
                                        {"hello", "{\"a\":1}", NULL, BRIDGE_SYNTAX},
                                        {"\xff", "{}", NULL, BRIDGE_FORMAT}};
    static const patch_row as_json[] = {{"{}", "{}", NULL, BRIDGE_FORMAT}};

    CHECK_PATCHES(BRIDGE_TEXT, BRIDGE_MERGE_PATCH, text_value);
    CHECK_PATCHES(BRIDGE_FORMAT_AUTO, BRIDGE_MERGE_PATCH, unnamed);
    CHECK_PATCHES(BRIDGE_JSON, BRIDGE_JSON, as_json);
    CHECK_PATCHES(23, BRIDGE_SENML_ETCH_JSON, text_value);
    CHECK_INT(codec_patch_makes(BRIDGE_MERGE_PATCH), BRIDGE_JSON);
    CHECK_INT(codec_patch_makes(BRIDGE_SENML_ETCH_CBOR), BRIDGE_SENML_CBOR);
    CHECK_INT(codec_patch_makes(BRIDGE_CBOR), BRIDGE_FORMAT_NAMED);
}

/* A patch that doubles the value forty times, and one that nests it. */
static void hostile(void)
{
    static char patch[200000];
    bridge_error err;
    size_t n = 0;
    buf out;

    buf_init(&out, mem_default(), 1 << 20);
    n = (size_t)sprintf(patch, "[");
    for (int i = 0; i < 40; i++)
        n += (size_t)sprintf(patch + n, "%s{\"op\":\"copy\",\"from\":\"/a\",\"path\":\"/a/%d\"}", i ? "," : "", i);
    patch[n++] = ']';
    CHECK_INT(codec_patch(mem_default(), "", 0, BRIDGE_JSON, "{\"a\":[1]}", 9, BRIDGE_JSON_PATCH, patch, n, &out, &err),
              BRIDGE_TOOBIG);
    n = (size_t)sprintf(patch, "[");
    for (int i = 0; i < 40; i++)
        n += (size_t)sprintf(patch + n, "%s{\"op\":\"copy\",\"from\":\"/a\",\"path\":\"/a/-\"}", i ? "," : "");
    patch[n++] = ']';
    CHECK_INT(codec_patch(mem_default(), "", 0, BRIDGE_JSON, "{\"a\":[1]}", 9, BRIDGE_JSON_PATCH, patch, n, &out, &err),
              BRIDGE_TOOBIG);
    n = (size_t)sprintf(patch, "{");
    for (int i = 0; i < 5000; i++)
        n += (size_t)sprintf(patch + n, "%s\"%d\":%d", i ? "," : "", i, i);
    patch[n++] = '}';
    CHECK_INT(codec_patch(mem_default(), "", 0, BRIDGE_JSON, "{}", 2, BRIDGE_MERGE_PATCH, patch, n, &out, &err),
              BRIDGE_TOOBIG);
    CHECK_INT(out.len, 0);
    buf_done(&out);
}

static void fetch(void)
{
    static const char pack[] = "[{\"bt\":1e9,\"n\":\"a\",\"v\":1},{\"n\":\"b\",\"v\":2},{\"n\":\"a\",\"t\":1,\"v\":3}]";
    static const char names[] = "[{\"n\":\"a\"}]", timed[] = "[{\"n\":\"a\",\"t\":1000000001}]";
    bridge_error err;
    buf out;

    buf_init(&out, mem_default(), 0);
    CHECK_INT(codec_fetch(mem_default(), "", 0, BRIDGE_SENML_JSON, pack, sizeof pack - 1, BRIDGE_SENML_ETCH_JSON, names,
                          sizeof names - 1, BRIDGE_JSON, &out, &err),
              0);
    CHECK_STR(buf_cstr(&out), "{\"a\":[1,3]}");
    buf_clear(&out);
    CHECK_INT(codec_fetch(mem_default(), "", 0, BRIDGE_SENML_JSON, pack, sizeof pack - 1, BRIDGE_SENML_ETCH_JSON, timed,
                          sizeof timed - 1, BRIDGE_TEXT, &out, &err),
              0);
    CHECK_STR(buf_cstr(&out), "3");
    CHECK_INT(codec_fetch(mem_default(), "", 0, BRIDGE_SENML_JSON, pack, sizeof pack - 1, BRIDGE_JSON, names,
                          sizeof names - 1, BRIDGE_JSON, &out, &err),
              BRIDGE_FORMAT);
    CHECK_INT(codec_fetch(mem_default(), "", 0, BRIDGE_SENML_JSON, pack, sizeof pack - 1, BRIDGE_SENML_ETCH_JSON, names,
                          sizeof names - 1, 23, &out, &err),
              BRIDGE_NOTACCEPTABLE);
    buf_done(&out);
}

int main(void)
{
    CHECK_PATCHES(BRIDGE_JSON, BRIDGE_MERGE_PATCH, merges);
    CHECK_PATCHES(BRIDGE_CBOR, BRIDGE_MERGE_PATCH, cbor_merges);
    CHECK_PATCHES(BRIDGE_JSON, BRIDGE_JSON_PATCH, patches);
    CHECK_PATCHES(BRIDGE_SENML_JSON, BRIDGE_SENML_ETCH_JSON, etches);
    CHECK_PATCHES(BRIDGE_JSON, BRIDGE_SENML_ETCH_JSON, etch_on_json);
    CHECK_PATCHES(BRIDGE_SENML_CBOR, BRIDGE_SENML_ETCH_CBOR, etch_cbor);
    mismatches();
    hostile();
    fetch();
    return check_done();
}
