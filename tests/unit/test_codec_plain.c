/* JSON, CBOR, text: RFC 8259, RFC 8949 appendix A and F, and how values meet records. */
#include "codec_check.h"

/* RFC 8949 appendix A: what it calls diagnostic notation, in JSON's words (6.1). */
static const row cbor_to_json[] = {
    {"00", "0"},
    {"01", "1"},
    {"0a", "10"},
    {"17", "23"},
    {"1818", "24"},
    {"1819", "25"},
    {"1864", "100"},
    {"1903e8", "1000"},
    {"1a000f4240", "1000000"},
    {"1b000000e8d4a51000", "1000000000000"},
    {"1bffffffffffffffff", "18446744073709551615"},
    {"c249010000000000000000", "18446744073709551616"},
    {"3bffffffffffffffff", "-18446744073709551616"},
    {"c349010000000000000000", "-18446744073709551617"},
    {"20", "-1"},
    {"29", "-10"},
    {"3863", "-100"},
    {"3903e7", "-1000"},
    {"3b7fffffffffffffff", "-9223372036854775808"},
    {"3b8000000000000000", "-9223372036854775809"},
    {"f90000", "0.0"},
    {"f98000", "-0.0"},
    {"f93c00", "1.0"},
    {"fb3ff199999999999a", "1.1"},
    {"f93e00", "1.5"},
    {"f97bff", "65504.0"},
    {"fa47c35000", "100000.0"},
    {"fa7f7fffff", "3.4028234663852886e38"},
    {"fb7e37e43c8800759c", "1e300"},
    {"f90001", "5.960464477539063e-8"},
    {"f90400", "6.103515625e-5"},
    {"f9c400", "-4.0"},
    {"fbc010666666666666", "-4.1"},
    {"f97c00", NULL, BRIDGE_UNPROCESSABLE},
    {"f97e00", NULL, BRIDGE_UNPROCESSABLE},
    {"f9fc00", NULL, BRIDGE_UNPROCESSABLE},
    {"fa7f800000", NULL, BRIDGE_UNPROCESSABLE},
    {"fb7ff8000000000000", NULL, BRIDGE_UNPROCESSABLE},
    {"f4", "false"},
    {"f5", "true"},
    {"f6", "null"},
    {"f7", "null"},
    {"f0", "null"},
    {"f8ff", "null"},
    {"c074323031332d30332d32315432303a30343a30305a", "\"2013-03-21T20:04:00Z\""},
    {"c11a514b67b0", "1363896240"},
    {"c1fb41d452d9ec200000", "1363896240.5"},
    {"d74401020304", "\"01020304\""},
    {"d818456449455446", "\"ZElFVEY\""},
    {"d82076687474703a2f2f7777772e6578616d706c652e636f6d", "\"http://www.example.com\""},
    {"40", "\"\""},
    {"4401020304", "\"AQIDBA\""},
    {"60", "\"\""},
    {"6161", "\"a\""},
    {"6449455446", "\"IETF\""},
    {"62225c", "\"\\\"\\\\\""},
    {"62c3bc", "\"\xc3\xbc\""},
    {"63e6b0b4", "\"\xe6\xb0\xb4\""},
    {"64f0908591", "\"\xf0\x90\x85\x91\""},
    {"80", "[]"},
    {"83010203", "[1,2,3]"},
    {"8301820203820405", "[1,[2,3],[4,5]]"},
    {"98190102030405060708090a0b0c0d0e0f101112131415161718181819",
     "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25]"},
    {"a0", "{}"},
    {"a201020304", "{\"1\":2,\"3\":4}"},
    {"a26161016162820203", "{\"a\":1,\"b\":[2,3]}"},
    {"826161a161626163", "[\"a\",{\"b\":\"c\"}]"},
    {"a56161614161626142616361436164614461656145", "{\"a\":\"A\",\"b\":\"B\",\"c\":\"C\",\"d\":\"D\",\"e\":\"E\"}"},
    {"5f42010243030405ff", "\"AQIDBAU\""},
    {"7f657374726561646d696e67ff", "\"streaming\""},
    {"9fff", "[]"},
    {"9f018202039f0405ffff", "[1,[2,3],[4,5]]"},
    {"9f01820203820405ff", "[1,[2,3],[4,5]]"},
    {"83018202039f0405ff", "[1,[2,3],[4,5]]"},
    {"83019f0203ff820405", "[1,[2,3],[4,5]]"},
    {"bf61610161629f0203ffff", "{\"a\":1,\"b\":[2,3]}"},
    {"826161bf61626163ff", "[\"a\",{\"b\":\"c\"}]"},
    {"bf6346756ef563416d7421ff", "{\"Fun\":true,\"Amt\":-2}"},
    /* decimal fractions and bigfloats: 3.4.4 */
    {"c48221196ab3", "273.15"},
    {"c5822003", "1.5"},
    {"c48202183b", "59e2"},
    {"c4822205", "0.005"},
    {"c48221392710", "-100.01"},
    {"c4822018c8", "20.0"},
    {"c48221c249010000000000000000", "184467440737095516.16"},
    {"d64401020304", "\"AQIDBA==\""},
    {"a143010203f5", "{\"AQID\":true}"},
    {"a120f5", "{\"-1\":true}"},
};

/* RFC 8949 appendix F and section 3: not well-formed. */
static const row cbor_malformed[] = {
    {"", NULL, BRIDGE_SYNTAX},
    {"18", NULL, BRIDGE_SYNTAX},
    {"19", NULL, BRIDGE_SYNTAX},
    {"1a", NULL, BRIDGE_SYNTAX},
    {"1b", NULL, BRIDGE_SYNTAX},
    {"1901", NULL, BRIDGE_SYNTAX},
    {"1a0102", NULL, BRIDGE_SYNTAX},
    {"1b01020304050607", NULL, BRIDGE_SYNTAX},
    {"38", NULL, BRIDGE_SYNTAX},
    {"58", NULL, BRIDGE_SYNTAX},
    {"78", NULL, BRIDGE_SYNTAX},
    {"98", NULL, BRIDGE_SYNTAX},
    {"9a01ff00", NULL, BRIDGE_SYNTAX},
    {"b8", NULL, BRIDGE_SYNTAX},
    {"d8", NULL, BRIDGE_SYNTAX},
    {"f8", NULL, BRIDGE_SYNTAX},
    {"f900", NULL, BRIDGE_SYNTAX},
    {"fa0000", NULL, BRIDGE_SYNTAX},
    {"fb000000", NULL, BRIDGE_SYNTAX},
    {"41", NULL, BRIDGE_SYNTAX},
    {"61", NULL, BRIDGE_SYNTAX},
    {"5affffffff00", NULL, BRIDGE_SYNTAX},
    {"5bffffffffffffffff010203", NULL, BRIDGE_SYNTAX},
    {"7affffffff00", NULL, BRIDGE_SYNTAX},
    {"7b7fffffffffffffff010203", NULL, BRIDGE_SYNTAX},
    {"81", NULL, BRIDGE_SYNTAX},
    {"818181818181818181", NULL, BRIDGE_SYNTAX},
    {"8200", NULL, BRIDGE_SYNTAX},
    {"a1", NULL, BRIDGE_SYNTAX},
    {"a20102", NULL, BRIDGE_SYNTAX},
    {"a100", NULL, BRIDGE_SYNTAX},
    {"a2000000", NULL, BRIDGE_SYNTAX},
    {"c0", NULL, BRIDGE_SYNTAX},
    {"5f4100", NULL, BRIDGE_SYNTAX},
    {"7f6100", NULL, BRIDGE_SYNTAX},
    {"9f", NULL, BRIDGE_SYNTAX},
    {"9f0102", NULL, BRIDGE_SYNTAX},
    {"bf", NULL, BRIDGE_SYNTAX},
    {"bf01020102", NULL, BRIDGE_SYNTAX},
    {"819f", NULL, BRIDGE_SYNTAX},
    {"9f80ff00", NULL, BRIDGE_SYNTAX},
    {"9f819f819f9fffffff", NULL, BRIDGE_SYNTAX},
    {"1c", NULL, BRIDGE_SYNTAX},
    {"1d", NULL, BRIDGE_SYNTAX},
    {"1e", NULL, BRIDGE_SYNTAX},
    {"3c", NULL, BRIDGE_SYNTAX},
    {"5c", NULL, BRIDGE_SYNTAX},
    {"9e", NULL, BRIDGE_SYNTAX},
    {"bd", NULL, BRIDGE_SYNTAX},
    {"dc", NULL, BRIDGE_SYNTAX},
    {"fc", NULL, BRIDGE_SYNTAX},
    {"fe", NULL, BRIDGE_SYNTAX},
    {"f800", NULL, BRIDGE_SYNTAX},
    {"f818", NULL, BRIDGE_SYNTAX},
    {"f81f", NULL, BRIDGE_SYNTAX},
    {"5f00ff", NULL, BRIDGE_SYNTAX},
    {"5f21ff", NULL, BRIDGE_SYNTAX},
    {"5f6100ff", NULL, BRIDGE_SYNTAX},
    {"5f80ff", NULL, BRIDGE_SYNTAX},
    {"5fc000ff", NULL, BRIDGE_SYNTAX},
    {"5fe0ff", NULL, BRIDGE_SYNTAX},
    {"7f4100ff", NULL, BRIDGE_SYNTAX},
    {"5f5f4100ffff", NULL, BRIDGE_SYNTAX},
    {"7f7f6100ffff", NULL, BRIDGE_SYNTAX},
    {"ff", NULL, BRIDGE_SYNTAX},
    {"81ff", NULL, BRIDGE_SYNTAX},
    {"8200ff", NULL, BRIDGE_SYNTAX},
    {"a1ff", NULL, BRIDGE_SYNTAX},
    {"a100ff", NULL, BRIDGE_SYNTAX},
    {"bf00ff", NULL, BRIDGE_SYNTAX},
    {"bf000000ff", NULL, BRIDGE_SYNTAX},
    {"9fc0ff", NULL, BRIDGE_SYNTAX},
    {"1f", NULL, BRIDGE_SYNTAX},
    {"3f", NULL, BRIDGE_SYNTAX},
    {"df", NULL, BRIDGE_SYNTAX},
    {"0000", NULL, BRIDGE_SYNTAX},
    {"61ff", NULL, BRIDGE_SYNTAX},
    {"62c328", NULL, BRIDGE_SYNTAX},
    {"c201", NULL, BRIDGE_UNPROCESSABLE},
    {"c401", NULL, BRIDGE_UNPROCESSABLE},
    {"c4820161", NULL, BRIDGE_UNPROCESSABLE},
    {"a18001", NULL, BRIDGE_UNPROCESSABLE},
    {"a1f501", NULL, BRIDGE_UNPROCESSABLE},
    {"c4821b7fffffffffffffff01", NULL, BRIDGE_UNPROCESSABLE},
    {"9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f", NULL, BRIDGE_TOOBIG},
    {"d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d000", NULL, BRIDGE_TOOBIG},
};

/* Shortest heads and floats on writing; what no double holds stays exact. */
static const row json_to_cbor[] = {
    {"0", "00"},
    {"-1", "20"},
    {"24", "1818"},
    {"256", "190100"},
    {"65536", "1a00010000"},
    {"4294967296", "1b0000000100000000"},
    {"18446744073709551615", "1bffffffffffffffff"},
    {"18446744073709551616", "c249010000000000000000"},
    {"-9223372036854775808", "3b7fffffffffffffff"},
    {"-18446744073709551616", "3bffffffffffffffff"},
    {"-18446744073709551617", "c349010000000000000000"},
    {"0.0", "f90000"},
    {"-0.0", "f98000"},
    {"-0", "f98000"},
    {"1.0", "f93c00"},
    {"1.1", "fb3ff199999999999a"},
    {"65504.0", "f97bff"},
    {"100000.0", "fa47c35000"},
    {"5.960464477539063e-8", "f90001"},
    {"0.00006103515625", "f90400"},
    {"1e300", "fb7e37e43c8800759c"},
    {"3.4028234663852886e38", "fa7f7fffff"},
    {"65505.0", "fa477fe100"},
    {"21.50", "f94d60"},
    {"1E3", "f963d0"},
    {"0.10000000000000001", "fb3fb999999999999a"},
    {"9007199254740993.0", "1b0020000000000001"},
    {"5.9604644775390625e-8", "f90001"},
    {"0.12345678901234567890123", "c48236c24a029d42b64e76714244cb"},
    {"1e400", "c48219019001"},
    {"1e1000000", "c4821a000f424001"},
    {"1e1000001", NULL, BRIDGE_TOOBIG},
    {"-1e-400", "c48239018f20"},
    {"3.14159265358979323846", "c48233c2491107d5eb5b5ba4d7c6"},
    {"\"\\u00fc\\ud800\\udd51\\n\\/\"", "68c3bcf09085910a2f"},
    {"[]", "80"},
    {"{}", "a0"},
    {" [ 1 , 2 ] ", "820102"},
    {"[[[[]]],{}]", "82818180a0"},
    {"{\"a\":{\"b\":[true,false,null]}}", "a16161a1616283f5f4f6"},
    {"[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,[25]]",
     "98190102030405060708090a0b0c0d0e0f1011121314151617181881 1819"},
};

static const row json_malformed[] = {
    {"", NULL, BRIDGE_SYNTAX},
    {" ", NULL, BRIDGE_SYNTAX},
    {"{", NULL, BRIDGE_SYNTAX},
    {"[", NULL, BRIDGE_SYNTAX},
    {"[1", NULL, BRIDGE_SYNTAX},
    {"[1,", NULL, BRIDGE_SYNTAX},
    {"[1,]", NULL, BRIDGE_SYNTAX},
    {"[,1]", NULL, BRIDGE_SYNTAX},
    {"{\"a\"}", NULL, BRIDGE_SYNTAX},
    {"{\"a\":}", NULL, BRIDGE_SYNTAX},
    {"{\"a\":1,}", NULL, BRIDGE_SYNTAX},
    {"{a:1}", NULL, BRIDGE_SYNTAX},
    {"{1:1}", NULL, BRIDGE_SYNTAX},
    {"]", NULL, BRIDGE_SYNTAX},
    {"[1}", NULL, BRIDGE_SYNTAX},
    {"01", NULL, BRIDGE_SYNTAX},
    {"-", NULL, BRIDGE_SYNTAX},
    {"+1", NULL, BRIDGE_SYNTAX},
    {".5", NULL, BRIDGE_SYNTAX},
    {"5.", NULL, BRIDGE_SYNTAX},
    {"1e", NULL, BRIDGE_SYNTAX},
    {"1e+", NULL, BRIDGE_SYNTAX},
    {"0x10", NULL, BRIDGE_SYNTAX},
    {"NaN", NULL, BRIDGE_SYNTAX},
    {"Infinity", NULL, BRIDGE_SYNTAX},
    {"-Infinity", NULL, BRIDGE_SYNTAX},
    {"tru", NULL, BRIDGE_SYNTAX},
    {"truee", NULL, BRIDGE_SYNTAX},
    {"nul", NULL, BRIDGE_SYNTAX},
    {"'a'", NULL, BRIDGE_SYNTAX},
    {"\"a", NULL, BRIDGE_SYNTAX},
    {"\"a\\", NULL, BRIDGE_SYNTAX},
    {"\"\\x\"", NULL, BRIDGE_SYNTAX},
    {"\"\\u12\"", NULL, BRIDGE_SYNTAX},
    {"\"\\ud800\"", NULL, BRIDGE_SYNTAX},
    {"\"\\ud800\\u0041\"", NULL, BRIDGE_SYNTAX},
    {"\"\\udc00\"", NULL, BRIDGE_SYNTAX},
    {"\"\x01\"", NULL, BRIDGE_SYNTAX},
    {"\"\n\"", NULL, BRIDGE_SYNTAX},
    {"\"\xff\"", NULL, BRIDGE_SYNTAX},
    {"\"\xc0\x80\"", NULL, BRIDGE_SYNTAX},
    {"\"\xed\xa0\x80\"", NULL, BRIDGE_SYNTAX},
    {"1 2", NULL, BRIDGE_SYNTAX},
    {"{}{}", NULL, BRIDGE_SYNTAX},
    {"\xef\xbb\xbf"
     "1",
     NULL, BRIDGE_SYNTAX},
    {"// c\n1", NULL, BRIDGE_SYNTAX},
    {"1 // c", NULL, BRIDGE_SYNTAX},
    {"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]", NULL, BRIDGE_TOOBIG},
    {"11111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111"
     "111111111111111111111111111111111",
     NULL, BRIDGE_TOOBIG},
};

static const row text_to_json[] = {
    {"21.5", "21.5"},
    {"21.50\n", "21.50"},
    {" -7 ", "-7"},
    {"true", "true"},
    {"on", "\"on\""},
    {"007", "\"007\""},
    {"", "\"\""},
    {"a\"b\n", "\"a\\\"b\\n\""},
    {"[1]", "\"[1]\""},
    {"NaN", "\"NaN\""},
    {"1e3", "1e3"},
    {"gr\xc3\xbcn", "\"gr\xc3\xbcn\""},
    {"\xff", NULL, BRIDGE_SYNTAX},
    {"9007199254740993", "9007199254740993"},
    {"0.1000000000000000055", "0.1000000000000000055"},
};
static const row json_to_text[] = {
    {"21.50", "21.50"},
    {"\"on\"", "on"},
    {"true", "true"},
    {"null", ""},
    {"{\"a\":1}", "1"},
    {"{\"a\":1,\"b\":2}", NULL, BRIDGE_UNPROCESSABLE},
    {"[1]", NULL, BRIDGE_UNPROCESSABLE},
    {"{}", NULL, BRIDGE_UNPROCESSABLE},
    {"18446744073709551616", "18446744073709551616"},
};
static const row cbor_to_text[] = {
    {"43010203", "AQID"}, {"fb3ff199999999999a", "1.1"}, {"f97c00", NULL, BRIDGE_UNPROCESSABLE}, {"6161", "a"},
    {"f93c00", "1.0"},
};
static const row json_to_bytes[] = {
    {"\"on\"", "6f6e"},
    {"5", "35"},
};

static void names(void)
{
    CHECK_INT(format_of_media_type(text_of("text/plain")), BRIDGE_TEXT);
    CHECK_INT(format_of_media_type(text_of("text/plain;charset=utf-8")), BRIDGE_TEXT);
    CHECK_INT(format_of_media_type(text_of("Text/Plain ; charset=\"UTF-8\"")), BRIDGE_TEXT);
    CHECK_INT(format_of_media_type(text_of("text/plain;charset=iso-8859-1")), BRIDGE_FORMAT_NAMED);
    CHECK_INT(format_of_media_type(text_of("application/json; charset=utf-8")), BRIDGE_JSON);
    CHECK_INT(format_of_media_type(text_of("application/vnd.oma.lwm2m+tlv")), BRIDGE_TLV);
    CHECK_INT(format_of_media_type(text_of("application/vnd.oma.lwm2m+json")), BRIDGE_LWM2M_JSON);
    CHECK_INT(format_of_media_type(text_of("application/cose; cose-type=\"cose-sign1\"")), 18);
    CHECK_INT(format_of_media_type(text_of("application/cose")), BRIDGE_FORMAT_NAMED);
    CHECK_INT(format_of_media_type(text_of("application/coap-payload;cf=112")), 112);
    CHECK_INT(format_of_media_type(text_of("application/coap-payload")), BRIDGE_FORMAT_NAMED);
    CHECK_INT(format_of_media_type(text_of("image/webp")), BRIDGE_FORMAT_NAMED);
    CHECK_INT(format_of_media_type(text_of("")), BRIDGE_FORMAT_NAMED);
    CHECK_INT(format_of_name(text_of("json")), BRIDGE_JSON);
    CHECK_INT(format_of_name(text_of("senml+cbor")), BRIDGE_SENML_CBOR);
    CHECK_INT(format_of_name(text_of("110")), BRIDGE_SENML_JSON);
    CHECK_INT(format_of_name(text_of("application/cbor")), BRIDGE_CBOR);
    CHECK_INT(format_of_name(text_of("jsn")), BRIDGE_FORMAT_NAMED);
    CHECK_STR(format_media_type(BRIDGE_TEXT), "text/plain;charset=utf-8");
    CHECK_STR(format_media_type(11544), "application/vnd.oma.lwm2m+cbor");
    CHECK(format_media_type(BRIDGE_FORMAT_AUTO) == NULL);
    CHECK(format_name(9999) == NULL);
    CHECK(codec_named("cbor") == codec_find(BRIDGE_CBOR));
    CHECK(codec_named("image/png") == NULL);
    CHECK(codec_converts(BRIDGE_TEXT, BRIDGE_JSON));
    CHECK(codec_converts(23, 23));
    CHECK(!codec_converts(23, BRIDGE_JSON));
}

static void guesses(void)
{
    static const struct {
        const char *data;
        size_t len;
        bridge_format want;
    } rows[] = {
        {"", 0, BRIDGE_TEXT},
        {"21.5", 4, BRIDGE_TEXT},
        {"{\"a\":1}", 7, BRIDGE_JSON},
        {" [1]\n", 5, BRIDGE_JSON},
        {"[1", 2, BRIDGE_TEXT},
        {"\"x\"", 3, BRIDGE_TEXT},
        {"a\0b", 3, BRIDGE_BYTES},
        {"\xff\xfe", 2, BRIDGE_BYTES},
        {"\x1b[0m", 4, BRIDGE_BYTES},
        {"a\nb\tc\r\n", 7, BRIDGE_TEXT},
        {"gr\xc3\xbcn", 5, BRIDGE_TEXT},
        {"\xc2\x85", 2, BRIDGE_BYTES},
        {"{\"a\":\"\\n\"}", 10, BRIDGE_JSON},
        {"\x7f", 1, BRIDGE_BYTES},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        CHECK_INT(codec_guess(rows[i].data, rows[i].len), rows[i].want);
}

static void identity(void)
{
    CHECK_ROW("a", 0, BRIDGE_JSON, BRIDGE_JSON, "{ broken", "{ broken");
    CHECK_ROW("a", 0, 23, 23, "png", "png");
    CHECK_ROW("a", 0, BRIDGE_FORMAT_AUTO, BRIDGE_CBOR, "21.5", "f94d60");
    CHECK_ROW("a", 0, BRIDGE_FORMAT_AUTO, BRIDGE_CBOR, "[1]", "8101");
    CHECK_ROW("a", 0, 23, BRIDGE_JSON, "png", NULL, BRIDGE_FORMAT);
    CHECK_ROW("a", 0, BRIDGE_JSON, 23, "1", NULL, BRIDGE_NOTACCEPTABLE);
}

static void limits(void)
{
    static char many[120000];
    bridge_error err;
    size_t n = 1;
    buf out;

    many[0] = '{';
    for (int i = 0; i < 10001; i++)
        n += (size_t)sprintf(many + n, "\"%x\":1,", i);
    many[n - 1] = '}';
    buf_init(&out, mem_default(), 100);
    CHECK_INT(codec_convert(mem_default(), "", 0, BRIDGE_JSON, BRIDGE_CBOR, many, n, &out, &err), BRIDGE_TOOBIG);
    CHECK_INT(out.len, 0);
    CHECK_INT(err.status, BRIDGE_TOOBIG);
    buf_done(&out);
}

int main(void)
{
    names();
    guesses();
    identity();
    limits();
    CHECK_ROWS("", 0, BRIDGE_CBOR, BRIDGE_JSON, cbor_to_json);
    CHECK_ROWS("", 0, BRIDGE_CBOR, BRIDGE_JSON, cbor_malformed);
    CHECK_ROWS("", 0, BRIDGE_JSON, BRIDGE_CBOR, json_to_cbor);
    CHECK_ROWS("", 0, BRIDGE_JSON, BRIDGE_CBOR, json_malformed);
    CHECK_ROWS("", 0, BRIDGE_TEXT, BRIDGE_JSON, text_to_json);
    CHECK_ROWS("", 0, BRIDGE_JSON, BRIDGE_TEXT, json_to_text);
    CHECK_ROWS("", 0, BRIDGE_CBOR, BRIDGE_TEXT, cbor_to_text);
    CHECK_ROWS("", 0, BRIDGE_JSON, BRIDGE_BYTES, json_to_bytes);
    return check_done();
}
