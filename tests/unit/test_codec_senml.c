/* SenML: the examples of RFC 8428 5 and 6, and each sentence of 4 that can be broken. */
#include "codec/units.h"
#include "codec_check.h"

#define OW "urn:dev:ow:10e2073a01080063"
static const row rfc_examples[] = {
    {"[{\"n\":\"" OW "\",\"u\":\"Cel\",\"v\":23.1}]", OW "=23.100000000000001r Cel\n"}, /* 5.1.1 */
    {"[{\"bn\":\"" OW
     ":\",\"n\":\"voltage\",\"u\":\"V\",\"v\":120.1},{\"n\":\"current\",\"u\":\"A\",\"v\":1.2}]", /* 5.1.2 */
     OW ":voltage=120.09999999999999r V\n" OW ":current=1.2r A\n"},
    {"[{\"bn\":\"urn:dev:ow:10e2073a0108006:\",\"bt\":1.276020076001e+09,\"bu\":\"A\",\"bver\":5,\"n\":\"voltage\","
     "\"u\":\"V\",\"v\":120.1},"
     "{\"n\":\"current\",\"t\":-5,\"v\":1.2},{\"n\":\"current\",\"t\":-4,\"v\":1.3},{\"n\":\"current\",\"v\":1.7}]",
     "urn:dev:ow:10e2073a0108006:voltage=120.09999999999999r V @1276020076.0009999\n"
     "urn:dev:ow:10e2073a0108006:current=1.2r A @1276020071.0009999\n"
     "urn:dev:ow:10e2073a0108006:current=1.3r A @1276020072.0009999\n"
     "urn:dev:ow:10e2073a0108006:current=1.7r A @1276020076.0009999\n"},
    {"[{\"bn\":\"" OW ":\",\"n\":\"temp\",\"u\":\"Cel\",\"v\":23.1},{\"n\":\"label\",\"vs\":\"Machine "
                      "Room\"},{\"n\":\"open\",\"vb\":false},"
     "{\"n\":\"nfc-reader\",\"vd\":\"aGkgCg\"}]",
     OW ":temp=23.100000000000001r Cel\n" OW ":label=\"Machine Room\"\n" OW ":open=false\n" OW
        ":nfc-reader=h'6869200a'\n"},
    {"[{\"bn\":\"" OW
     "\",\"bt\":1.320067464e+09,\"bu\":\"%RH\",\"v\":20},{\"u\":\"lon\",\"v\":24.30621},{\"u\":\"lat\",\"v\":60.07965},"
     "{\"t\":60,\"v\":20.5},{\"u\":\"lon\",\"t\":60,\"v\":24.5}]",
     OW "=20 %RH @1320067464\n" OW "=24.30621r lon @1320067464\n" OW "=60.079650000000001r lat @1320067464\n" OW
        "=20.5r %RH @1320067524\n" OW "=24.5r lon @1320067524\n"},
    {"[{\"bn\":\"2001:db8::2/"
     "\",\"n\":\"temperature\",\"u\":\"Cel\",\"v\":27.5},{\"n\":\"humidity\",\"u\":\"%RH\",\"v\":80}]",
     "2001:db8::2/temperature=27.5r Cel\n2001:db8::2/humidity=80 %RH\n"},
    {"[{\"bn\":\"2001:db8:1234:5678::1/"
     "\",\"n\":\"temperature\",\"u\":\"Cel\",\"v\":25.5,\"ut\":5},{\"n\":\"humidity\",\"v\":30,\"u\":\"%RH\"}]",
     "2001:db8:1234:5678::1/temperature=25.5r Cel ~5\n2001:db8:1234:5678::1/humidity=30 %RH\n"},
};

static const row rules[] = {
    /* now is 1500000000 */
    {"[]", ""},
    {"[{\"bn\":\"a\"}]", ""},
    {"[{\"bn\":\"a\"},{\"n\":\"b\",\"v\":1}]", "ab=1\n"},
    {"[{\"n\":\"a\",\"v\":1,\"t\":-10}]", "a=1 @1499999990\n"},
    {"[{\"n\":\"a\",\"v\":1,\"t\":268435456}]", "a=1 @268435456\n"},
    {"[{\"n\":\"a\",\"v\":1,\"t\":0}]", "a=1\n"},
    {"[{\"bt\":1e9,\"n\":\"a\",\"v\":1,\"t\":0.5}]", "a=1 @1000000000.5\n"},
    {"[{\"bv\":10,\"n\":\"a\",\"v\":1},{\"n\":\"b\",\"v\":2.5},{\"n\":\"c\",\"vs\":\"x\"},{\"n\":\"d\"}]",
     "a=11\nb=12.5r\nc=\"x\"\nd=10\n"},
    {"[{\"bv\":9223372036854775807,\"n\":\"a\",\"v\":1}]", "a=9.2233720368547758e+18r\n"},
    {"[{\"bs\":100,\"n\":\"a\",\"s\":5},{\"n\":\"b\",\"v\":1}]", "a=nil +105\nb=1 +100\n"},
    {"[{\"n\":\"a\",\"s\":5,\"v\":2}]", "a=2 +5\n"},
    {"[{\"bu\":\"W\",\"n\":\"a\",\"v\":1},{\"n\":\"b\",\"u\":\"V\",\"v\":1},{\"n\":\"c\",\"u\":\"\",\"v\":1}]",
     "a=1 W\nb=1 V\nc=1\n"},
    {"[{\"bn\":\"a/\",\"n\":\"x\",\"v\":1},{\"bn\":\"b/\",\"n\":\"x\",\"v\":1},{\"n\":\"y\",\"v\":2}]",
     "a/x=1\nb/x=1\nb/y=2\n"},
    {"[{\"n\":\"/3/0/1\"}]", "/3/0/1=nil\n"},
    {"[{\"v\":1}]", "=1\n"},
    {"[{\"n\":\"l\",\"vlo\":\"3303:65535\"}]", "l=3303:65535\n"},
    {"[{\"n\":\"a\",\"vd\":\"-_8\"},{\"n\":\"b\",\"vd\":\"+/8=\"},{\"n\":\"c\",\"vd\":\"\"}]",
     "a=h'fbff'\nb=h'fbff'\nc=h''\n"},
    {"[{\"bver\":26,\"n\":\"a\",\"u\":\"ms\",\"v\":1}]", "a=1 ms\n"},
    {"[{\"n\":\"a\",\"v\":1,\"x\":[{\"v\":2}],\"y\":null}]", "a=1\n"},
    {"[{\"n\":\"a\",\"v\":18446744073709551615}]", "a=18446744073709551615\n"},
    /* broken */
    {"[{\"n\":\"a\",\"v\":1,\"x_\":1}]", NULL, BRIDGE_UNPROCESSABLE},
    {"[{\"n\":\"a\",\"v\":1,\"_\":1}]", NULL, BRIDGE_UNPROCESSABLE},
    {"[{\"bver\":11,\"n\":\"a\",\"v\":1}]", NULL, BRIDGE_UNPROCESSABLE},
    {"[{\"bver\":10,\"v\":1},{\"bver\":5,\"v\":1}]", NULL, BRIDGE_UNPROCESSABLE},
    {"[{\"bver\":1.5,\"v\":1}]", NULL, BRIDGE_UNPROCESSABLE},
    {"{}", NULL, BRIDGE_UNPROCESSABLE},
    {"[1]", NULL, BRIDGE_UNPROCESSABLE},
    {"[[]]", NULL, BRIDGE_UNPROCESSABLE},
    {"1", NULL, BRIDGE_UNPROCESSABLE},
    {"[{\"n\":1,\"v\":1}]", NULL, BRIDGE_UNPROCESSABLE},
    {"[{\"n\":\"a\",\"v\":\"1\"}]", NULL, BRIDGE_UNPROCESSABLE},
    {"[{\"n\":\"a\",\"v\":[1]}]", NULL, BRIDGE_UNPROCESSABLE},
    {"[{\"n\":\"a\",\"v\":1,\"vs\":\"x\"}]", NULL, BRIDGE_UNPROCESSABLE},
    {"[{\"n\":\"a\",\"v\":1,\"v\":2}]", NULL, BRIDGE_UNPROCESSABLE},
    {"[{\"n\":\"a b\",\"v\":1}]", NULL, BRIDGE_UNPROCESSABLE},
    {"[{\"n\":\"-a\",\"v\":1}]", NULL, BRIDGE_UNPROCESSABLE},
    {"[{\"n\":\"a\\u0000\",\"v\":1}]", NULL, BRIDGE_UNPROCESSABLE},
    {"[{\"n\":\"a\",\"vd\":\"a\"}]", NULL, BRIDGE_UNPROCESSABLE},
    {"[{\"n\":\"a\",\"vd\":\"a*bc\"}]", NULL, BRIDGE_UNPROCESSABLE},
    {"[{\"n\":\"a\",\"vlo\":\"70000:1\"}]", NULL, BRIDGE_UNPROCESSABLE},
    {"[{\"n\":\"a\",\"v\":1,\"t\":1e999}]", NULL, BRIDGE_UNPROCESSABLE},
    {"[{\"n\":\"a\",\"v\":1}", NULL, BRIDGE_SYNTAX},
    {"[{\"bt\":{\"v\":1},\"v\":1}]", NULL, BRIDGE_UNPROCESSABLE},
};

static const row below_base[] = {
    /* path is greenhouse/42 */
    {"[{\"n\":\"greenhouse/42\",\"v\":1}]", "=1\n"},
    {"[{\"bn\":\"/greenhouse/42/\",\"n\":\"t\",\"v\":1}]", "t=1\n"},
    {"[{\"n\":\"greenhouse/421\",\"v\":1}]", "greenhouse/421=1\n"},
    {"[{\"n\":\"other\",\"v\":1}]", "other=1\n"},
    {"[{\"v\":1}]", "=1\n"},
};

/* RFC 8428 6: the pack of 5.1.2 in CBOR. */
static const row rfc_cbor[] = {
    {"87 a7 21 78 1b 75726e3a6465763a6f773a313065323037336130313038303036 3a 22 fb 41d303a15b001062 23 6141 20 05 00 "
     "67 766f6c74616765 01 6156 02"
     "fb 405e066666666666 a3 00 67 63757272656e74 06 24 02 fb 3ff3333333333333 a3 00 67 63757272656e74 06 23 02 fb "
     "3ff4cccccccccccd"
     "a3 00 67 63757272656e74 06 22 02 fb 3ff6666666666666 a3 00 67 63757272656e74 06 21 02 f9 3e00 a3 00 67 "
     "63757272656e74 06 20 02 fb 3ff999999999999a"
     "a3 00 67 63757272656e74 06 00 02 fb 3ffb333333333333",
     "urn:dev:ow:10e2073a0108006:voltage=120.09999999999999r V @1276020076.0009999\n"
     "urn:dev:ow:10e2073a0108006:current=1.2r A @1276020071.0009999\nurn:dev:ow:10e2073a0108006:current=1.3r A "
     "@1276020072.0009999\n"
     "urn:dev:ow:10e2073a0108006:current=1.3999999999999999r A "
     "@1276020073.0009999\nurn:dev:ow:10e2073a0108006:current=1.5r A @1276020074.0009999\n"
     "urn:dev:ow:10e2073a0108006:current=1.6000000000000001r A "
     "@1276020075.0009999\nurn:dev:ow:10e2073a0108006:current=1.7r A @1276020076.0009999\n"},
    {"81a2006161084401020304", "a=h'01020304'\n"},
    {"81a200616102c48221196ab3", "a=273.14999999999998r\n"},
    {"9fbf006161 04f5ffff", "a=true\n"},
    {"81a200616163766c6f63333a30", "a=3:0\n"},
    {"81a2006161646162635f01", NULL, BRIDGE_UNPROCESSABLE},
    {"81a200616102f97e00", NULL, BRIDGE_UNPROCESSABLE},
    {"81a200616108 6161", NULL, BRIDGE_UNPROCESSABLE},
    {"81a300616102010203", NULL, BRIDGE_UNPROCESSABLE},
    {"81a2006161", NULL, BRIDGE_SYNTAX},
    {"81a200616102a1026161", NULL, BRIDGE_UNPROCESSABLE},
    {"81a300616102 01 1863 8101", "a=1\n"},
};

static const row senml_to_json[] = {
    /* path is home/k */
    {"[{\"n\":\"home/k\",\"u\":\"Cel\",\"v\":21.50}]", "21.50"},
    {"[{\"bn\":\"home/k/\",\"n\":\"t\",\"v\":1},{\"n\":\"h\",\"vs\":\"x\"}]", "{\"t\":1,\"h\":\"x\"}"},
    {"[{\"n\":\"a\",\"v\":1,\"t\":-2},{\"n\":\"b\",\"v\":9},{\"n\":\"a\",\"v\":2,\"t\":-1}]", "{\"a\":[1,2],\"b\":9}"},
    {"[]", "{}"},
    {"[{\"n\":\"x\",\"v\":1}]", "{\"x\":1}"},
};
static const row json_to_senml[] = {
    {"21.50", "[{\"n\":\"home/k\",\"v\":21.50}]"},
    {"{\"t\":1,\"h\":\"x\"}", "[{\"bn\":\"home/k/\",\"n\":\"t\",\"v\":1},{\"n\":\"h\",\"vs\":\"x\"}]"},
    {"{\"3303\":{\"0\":{\"5700\":21.5,\"5701\":null}}}",
     "[{\"bn\":\"home/k/\",\"n\":\"3303/0/5700\",\"v\":21.5},{\"n\":\"3303/0/5701\"}]"},
    {"{\"a b\":1}", NULL, BRIDGE_UNPROCESSABLE},
    {"[1,2]", NULL, BRIDGE_UNPROCESSABLE},
    {"true", "[{\"n\":\"home/k\",\"vb\":true}]"},
};
static const row senml_to_cbor[] = {
    {"[{\"n\":\"home/k\",\"u\":\"Cel\",\"v\":21.50}]", "81a300 66686f6d652f6b 01 6343656c 02 f94d60"},
    {"[{\"n\":\"home/k\",\"vd\":\"AQI\",\"t\":1500000000}]", "81a300 66686f6d652f6b 08 420102 06 1a59682f00"},
    {"[{\"n\":\"home/k\",\"v\":0.12345678901234567890123}]", "81a200 66686f6d652f6b 02 c48236c24a029d42b64e76714244cb"},
    {"[{\"bu\":\"V\",\"bt\":1500000000,\"n\":\"u/a\",\"v\":1},{\"n\":\"u/b\",\"v\":2}]",
     "82a422 1a59682f00 23 6156 0063752f61 0201 a2 0063752f62 0202"},
};
static const row to_text[] = {
    {"[{\"n\":\"elsewhere\",\"u\":\"Cel\",\"v\":21.50}]", "21.50"},
    {"[{\"v\":1},{\"v\":2}]", NULL, BRIDGE_UNPROCESSABLE},
};
static const row secondary[] = {
    /* RFC 9100: the feature is named when it is used */
    {"81a300 6161 01 646b6d2f68 02 1824", "[{\"bver\":26,\"n\":\"a\",\"u\":\"km/h\",\"v\":36}]"},
    {"82a500 622f61 01 614b 02 01 05 02 06 1a59682f00 a400 622f62 01 614b 04f4 06 1a59682f00", /* what all share moves
                                                                                                  to the front */
     "[{\"bt\":1500000000,\"bu\":\"K\",\"n\":\"/a\",\"v\":1,\"s\":2},{\"n\":\"/b\",\"vb\":false}]"},
    {"83a200 68612f622f632f78 2f 0201 a200 68612f622f632f79 2f 0202", NULL, BRIDGE_SYNTAX},
    {"83a200 67612f622f632f78 0201 a200 67612f622f632f79 0202 a200 67612f622f632f7a 0203",
     "[{\"bn\":\"a/b/c/\",\"n\":\"x\",\"v\":1},{\"n\":\"y\",\"v\":2},{\"n\":\"z\",\"v\":3}]"},
};

static void units(void)
{
    double v = 36;

    CHECK_STR(unit_to_primary("km/h", &v), "m/s");
    CHECK(v > 9.999999 && v < 10.000001);
    v = 10;
    CHECK_STR(unit_to_primary("dBm", &v), "dBW");
    CHECK(v == -20);
    CHECK_STR(unit_to_primary("Cel", &v), "Cel");
    CHECK_STR(unit_to_primary("furlong", &v), "furlong");
    CHECK(unit_find(text_of("")) == NULL);
    CHECK(unit_find(text_of("kW")) && unit_find(text_of("kWh")) && unit_find(text_of("%")) &&
          unit_find(text_of("vars")));
    CHECK(unit_find(text_of("k")) == NULL);
    CHECK(strcmp(unit_find(text_of("kW"))->name, "kW") == 0);
}

static void many(void)
{
    static char pack[400000];
    bridge_error err;
    size_t n = 0;
    buf out;

    pack[n++] = '[';
    for (int i = 0; i < 10001; i++)
        n += (size_t)sprintf(pack + n, "{\"n\":\"a\",\"v\":%d},", i);
    pack[n - 1] = ']';
    buf_init(&out, mem_default(), 0);
    CHECK_INT(codec_convert(mem_default(), "", 0, BRIDGE_SENML_JSON, BRIDGE_SENML_CBOR, pack, n, &out, &err),
              BRIDGE_TOOBIG);
    CHECK_INT(out.len, 0);
    for (n -= 3; pack[n] != '}'; n--) {
    }
    pack[n + 1] = ']';
    n += 2;
    CHECK_INT(codec_convert(mem_default(), "", 0, BRIDGE_SENML_JSON, BRIDGE_SENML_CBOR, pack, n, &out, &err), 0);
    CHECK_INT(codec_convert(mem_default(), "", 0, BRIDGE_SENML_JSON, BRIDGE_JSON, pack, n, &out, &err), 0);
    buf_done(&out);
}

int main(void)
{
    units();
    many();
    CHECK_RECORDS("", 0, BRIDGE_SENML_JSON, rfc_examples);
    CHECK_RECORDS("", 1500000000, BRIDGE_SENML_JSON, rules);
    CHECK_RECORDS("greenhouse/42", 0, BRIDGE_SENML_JSON, below_base);
    CHECK_RECORDS("", 0, BRIDGE_SENML_CBOR, rfc_cbor);
    CHECK_ROWS("home/k", 0, BRIDGE_SENML_JSON, BRIDGE_JSON, senml_to_json);
    CHECK_ROWS("home/k", 0, BRIDGE_JSON, BRIDGE_SENML_JSON, json_to_senml);
    CHECK_ROWS("home/k", 0, BRIDGE_SENML_JSON, BRIDGE_TEXT, to_text);
    CHECK_ROWS("", 0, BRIDGE_SENML_JSON, BRIDGE_SENML_CBOR, senml_to_cbor);
    CHECK_ROWS("", 0, BRIDGE_SENML_CBOR, BRIDGE_SENML_JSON, secondary);
    return check_done();
}
