/* LwM2M's own formats: the examples of LwM2M 1.0 6.4.3 and 6.4.4, 1.2's CBOR, paths of numbers, types from a model. */
#include "codec/cast.h"
#include "codec/tlv.h"
#include "codec_check.h"

#define DEVICE_TLV                                                                                                     \
    "c80014 4f70656e204d6f62696c6520416c6c69616e6365 c80116 4c69676874776569676874204d324d20436c69656e74 c80209 "      \
    "333435303030313233"                                                                                               \
    "c303312e30 8606 410001 410105 8807 08 42000ed8 42011388 8708 41007d 42010384 c10964 c10a0f 830b 410000 "          \
    "c40d5182428f"                                                                                                     \
    "c60e2b30323a3030 c11055"
#define DEVICE_RECORDS                                                                                                 \
    "0=\"Open Mobile Alliance\"\n1=\"Lightweight M2M "                                                                 \
    "Client\"\n2=\"345000123\"\n3=\"1.0\"\n6/0=1\n6/1=5\n7/0=3800\n7/1=5000\n8/0=125\n"                                \
    "8/1=900\n9=100\n10=15\n11/0=0\n13=1367491215\n14=\"+02:00\"\n16=85\n"

static const row device[] = {
    {DEVICE_TLV, DEVICE_RECORDS},          /* 6.4.3.1: GET /3/0 */
    {"080079" DEVICE_TLV, DEVICE_RECORDS}, /* the same in its instance, as some answer */
    {"", ""},
    {"c0", NULL, BRIDGE_SYNTAX},
    {"c800", NULL, BRIDGE_SYNTAX},
    {"c30331", NULL, BRIDGE_SYNTAX},
    {"e0", NULL, BRIDGE_SYNTAX},
    {"f80000ffffff", NULL, BRIDGE_SYNTAX},
    {"8303 c10001", NULL, BRIDGE_SYNTAX},
    {"0303 410001", NULL, BRIDGE_SYNTAX},
    {"0302 0100", NULL, BRIDGE_SYNTAX},
    {"8302 8000", NULL, BRIDGE_SYNTAX},
};
static const row at_object[] = {
    /* GET /2, 6.4.3.2's second example: two access control objects */
    {"08000e c10001 c10100 830241 7f07 c1037f 080112 c10003 c10100 8702 417f07 61013601 c1037f",
     "0/0=1\n0/1=0\n0/2/127=7\n0/3=127\n1/0=3\n1/1=0\n1/2/127=7\n1/2/310=1\n1/3=127\n"},
};
static const row at_resource[] = {
    /* base /3303/0/5700 */
    {"e41644 41ac0000", "=21.5r\n"}, {"84164404", NULL, BRIDGE_SYNTAX}, {"a31644 410005", "0=5\n"}, {"410005", "0=5\n"},
    {"c10005", "/3303/0/0=5\n"},
};
static const row without_base[] = {
    {"e41644 41ac0000", "5700=21.5r\n"},
    {"0400 c20512 34", "0/5=4660\n"},
    /* guesses: text, halves of doubles, link-like numbers, bytes */
    {"c2055551", "5=\"UQ\"\n"},
    {"c405 74657374", "5=\"test\"\n"},
    {"c80508 4035800000000000", "5=21.5r\n"},
    {"c80508 ffffffffffffffff", "5=-1\n"},
    {"c305 010203", "5=h'010203'\n"},
    {"c005", "5=\"\"\n"},
    {"c405 00010002", "5=65538\n"},
    {"c305 313233", "5=\"123\"\n"},
};

static const row to_tlv[] = {
    /* base /3303/0 */
    {"{\"5700\":21.5,\"5701\":\"Cel\",\"5750\":true,\"6/0\":1,\"6/1\":300}",
     "870641000142010 12c e41644 41ac0000 e31645 43656c e1167601"},
    {"{\"6\":{\"1\":300,\"0\":1}}", "87064100014201012c"},
    {"{\"5700\":0.1}", "e81644 08 3fb999999999999a"},
    {"{\"0\":-129}", "c200ff7f"},
    {"{\"0\":2147483648}", "c80008 0000000080000000"},
    {"{\"0\":null}", "c000"},
    {"{\"1\":\"\"}", "c001"},
    {"21.5", NULL, BRIDGE_UNPROCESSABLE},
    {"{\"a\":1}", NULL, BRIDGE_UNPROCESSABLE},
    {"{\"5\":[1]}", NULL, BRIDGE_UNPROCESSABLE},
    {"{\"65536\":1}", NULL, BRIDGE_UNPROCESSABLE},
    {"{\"1/2/3\":1}", NULL, BRIDGE_UNPROCESSABLE},
    {"{\"1\":1,\"1/0\":1}", NULL, BRIDGE_UNPROCESSABLE},
    {"{\"1\":18446744073709551615}", "c80108 ffffffffffffffff"},
    {"{}", NULL, BRIDGE_UNPROCESSABLE},
};
static const row to_tlv_object[] = {
    /* base /3 */
    {"{\"0\":{\"1\":5},\"1\":{\"1\":6}}", "0300c10105 0301c10106"},
    {"{\"0/1/2\":5}", "0500 8301 410205"},
    {"{\"0\":5}", NULL, BRIDGE_UNPROCESSABLE},
};
static const row to_tlv_resource[] = {
    /* base /3303/0/5700 */
    {"21.5", "e41644 41ac0000"},
    {"{\"0\":1,\"1\":2}", "a61644 410001 410102"},
};

static const row lwm2m_json[] = {
    /* 6.4.4: base /3/0 */
    {"{\"bn\":\"/3/0/\",\"e\":[{\"n\":\"0\",\"sv\":\"Open Mobile "
     "Alliance\"},{\"n\":\"6/0\",\"v\":1},{\"n\":\"11/0\",\"bv\":false},{\"n\":\"20\",\"ov\":\"3:0\"}]}",
     "0=\"Open Mobile Alliance\"\n6/0=1\n11/0=false\n20=3:0\n"},
    {"{\"e\":[{\"n\":\"1/2\",\"v\":22.5,\"t\":-5},{\"n\":\"1/2\",\"v\":22.5,\"t\":-30},{\"n\":\"1/"
     "2\",\"v\":22}],\"bt\":1500000000,\"bn\":\"/72/\"}",
     "/72/1/2=22.5r @1499999995\n/72/1/2=22.5r @1499999970\n/72/1/2=22 @1500000000\n"},
    {"{\"bn\":\"/3/0\",\"e\":[{\"n\":\"1\",\"v\":1}]}", "1=1\n"},
    {"{\"bn\":\"/3/0\",\"e\":[{\"v\":1}]}", "=1\n"},
    {"{\"e\":[]}", ""},
    {"{\"e\":[{\"n\":\"1\"}]}", "1=nil\n"},
    {"{}", NULL, BRIDGE_UNPROCESSABLE},
    {"[]", NULL, BRIDGE_UNPROCESSABLE},
    {"{\"e\":{}}", NULL, BRIDGE_UNPROCESSABLE},
    {"{\"e\":[1]}", NULL, BRIDGE_UNPROCESSABLE},
    {"{\"e\":[{\"v\":\"1\"}]}", NULL, BRIDGE_UNPROCESSABLE},
    {"{\"e\":[{\"v\":1,\"sv\":\"1\"}]}", NULL, BRIDGE_UNPROCESSABLE},
    {"{\"e\":[{\"ov\":\"3\"}]}", NULL, BRIDGE_UNPROCESSABLE},
    {"{\"bn\":1,\"e\":[]}", NULL, BRIDGE_UNPROCESSABLE},
    {"{\"e\":[{\"n\":\"a b\",\"v\":1}]}", NULL, BRIDGE_UNPROCESSABLE},
    {"{\"e\":[", NULL, BRIDGE_SYNTAX},
};
static const row to_lwm2m_json[] = {
    /* base /3/0 */
    {"{\"0\":\"x\",\"6/0\":1,\"11\":true}",
     "{\"bn\":\"/3/0/\",\"e\":[{\"n\":\"0\",\"sv\":\"x\"},{\"n\":\"6/0\",\"v\":1},{\"n\":\"11\",\"bv\":true}]}"},
    {"21.50", "{\"bn\":\"/3/0\",\"e\":[{\"v\":21.50}]}"},
    {"[1]", NULL, BRIDGE_UNPROCESSABLE},
};

static const row lwm2m_cbor[] = {
    /* base /3/0 */
    {"a103a100a3 00 6178 06a20001 0105 0d c11a5182428f", "0=\"x\"\n6/0=1\n6/1=5\n13=1367491215\n"},
    {"a1 830300 00 6178", "0=\"x\"\n"},
    {"a1 820300 a100 6178", "0=\"x\"\n"},
    {"a1 19 0ce7 a100a1 191644 f94d60", "/3303/0/5700=21.5r\n"},
    {"bf9f0300 00ff6178ff", "0=\"x\"\n"},
    {"a0", ""},
    {"01", NULL, BRIDGE_UNPROCESSABLE},
    {"80", NULL, BRIDGE_UNPROCESSABLE},
    {"a16161 01", NULL, BRIDGE_UNPROCESSABLE},
    {"a1 85 0300000001 01", NULL, BRIDGE_UNPROCESSABLE},
    {"a103 8101", NULL, BRIDGE_UNPROCESSABLE},
    {"a1 81 8103 01", NULL, BRIDGE_UNPROCESSABLE},
    {"a12001", NULL, BRIDGE_UNPROCESSABLE},
    {"a1 03", NULL, BRIDGE_SYNTAX},
};
static const row to_lwm2m_cbor[] = {
    /* base /3/0 */
    {"{\"13\":1367491215,\"0\":\"x\",\"6/0\":1,\"6/1\":5}", "a103a100a3 00 6178 06a20001 0105 0d 1a5182428f"},
    {"5", "a103a10005"},
    {"{\"a\":1}", NULL, BRIDGE_UNPROCESSABLE},
    {"[1]", NULL, BRIDGE_UNPROCESSABLE},
};

static void casts(void)
{
    static const struct {
        const char *said;
        bridge_type type;
        const char *want; /* as show_record() says, or NULL */
    } rows[] = {
        {"1", BRIDGE_BOOL, "=true\n"},
        {"0", BRIDGE_BOOL, "=false\n"},
        {"2", BRIDGE_BOOL, NULL},
        {"on", BRIDGE_BOOL, "=true\n"},
        {"21", BRIDGE_REAL, "=21r\n"},
        {"21.0", BRIDGE_INT, "=21\n"},
        {"21.5", BRIDGE_INT, NULL},
        {"1e3", BRIDGE_INT, "=1000\n"},
        {"true", BRIDGE_INT, "=1\n"},
        {"-1", BRIDGE_UINT, NULL},
        {"5", BRIDGE_UINT, "=5\n"},
        {"18446744073709551615", BRIDGE_UINT, "=18446744073709551615\n"},
        {"18446744073709551615", BRIDGE_INT, NULL},
        {"21.50", BRIDGE_STRING, "=\"21.50\"\n"},
        {"true", BRIDGE_STRING, "=\"true\"\n"},
        {"AQID", BRIDGE_OPAQUE, "=h'010203'\n"},
        {"*", BRIDGE_OPAQUE, NULL},
        {"3:0", BRIDGE_OBJLNK, "=3:0\n"},
        {"3", BRIDGE_OBJLNK, NULL},
        {"x", BRIDGE_REAL, NULL},
        {"1e300", BRIDGE_INT, NULL},
        {"", BRIDGE_REAL, NULL},
    };
    buf out;

    buf_init(&out, mem_default(), 0);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        item it = {.kind = ITEM_STRING, .tag = ITEM_NO_TAG, .p = rows[i].said, .len = strlen(rows[i].said)};
        bridge_record r = {.name = "", .type = BRIDGE_STRING, .as.bytes = {it.p, it.len}};
        bridge_error err = {0};
        scratch s;
        int rc;
        scratch_init(&s, mem_default());
        rc = record_cast(&s, &r, rows[i].type, &err);
        buf_clear(&out);
        show_record(&out, &r);
        if (rows[i].want) {
            CHECK_INT(rc, rows[i].type == BRIDGE_INT && !strcmp(rows[i].said, "true") ? BRIDGE_UNPROCESSABLE : 0);
            if (rc == 0) CHECK_STR(buf_cstr(&out), rows[i].want);
        } else {
            CHECK_INT(rc, BRIDGE_UNPROCESSABLE);
            CHECK_INT(r.type, BRIDGE_STRING);
        }
        scratch_done(&s);
    }
    buf_done(&out);
}

static void types(void)
{
    static const struct {
        const char *hex;
        bridge_type type;
        const char *want;
    } rows[] = {
        {"0c", BRIDGE_INT, "=12\n"},
        {"ffff", BRIDGE_INT, "=-1\n"},
        {"ffff", BRIDGE_UINT, "=65535\n"},
        {"010203", BRIDGE_INT, NULL},
        {"01", BRIDGE_BOOL, "=true\n"},
        {"02", BRIDGE_BOOL, NULL},
        {"41ac0000", BRIDGE_REAL, "=21.5r\n"},
        {"4035800000000000", BRIDGE_REAL, "=21.5r\n"},
        {"41ac", BRIDGE_REAL, NULL},
        {"00420001", BRIDGE_OBJLNK, "=66:1\n"},
        {"00", BRIDGE_OBJLNK, NULL},
        {"78", BRIDGE_STRING, "=\"x\"\n"},
        {"ff", BRIDGE_STRING, NULL},
        {"", BRIDGE_INT, NULL},
        {"ffffffffffffffff", BRIDGE_UINT, "=18446744073709551615\n"},
    };
    uint8_t bytes[16];
    buf out;

    buf_init(&out, mem_default(), 0);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        bridge_record r = {.name = "", .type = BRIDGE_OPAQUE, .as.bytes = {bytes, unhex(rows[i].hex, bytes)}};
        bool ok = tlv_type(&r, rows[i].type);
        buf_clear(&out);
        show_record(&out, &r);
        CHECK(ok == (rows[i].want != NULL));
        if (ok) CHECK_STR(buf_cstr(&out), rows[i].want);
    }
    buf_done(&out);
}

static void paths(void)
{
    oma_path p = oma_base("lwm2m/lamp-7/3303/0");

    CHECK_INT(p.count, 2);
    CHECK_INT(p.id[0], 3303);
    CHECK_INT(oma_base("/3303/0/").count, 2);
    CHECK_INT(oma_base("/1/2/3/4/5").count, 4);
    CHECK_INT(oma_base("/1/2/3/4/5").id[0], 2);
    CHECK_INT(oma_base("home/k").count, 0);
    CHECK_INT(oma_base("").count, 0);
    CHECK_INT(oma_base("70000").count, 0);
    CHECK(!oma_add(&p, "a"));
    p.count = 0;
    CHECK(oma_add(&p, "/3/0//1") == false);
}

int main(void)
{
    casts();
    types();
    paths();
    CHECK_RECORDS("/3/0", 0, BRIDGE_TLV, device);
    CHECK_RECORDS("lwm2m/lamp/3/0", 0, 1542, device);
    CHECK_RECORDS("/2", 0, BRIDGE_TLV, at_object);
    CHECK_RECORDS("/3303/0/5700", 0, BRIDGE_TLV, at_resource);
    CHECK_RECORDS("", 0, BRIDGE_TLV, without_base);
    CHECK_ROWS("/3303/0", 0, BRIDGE_JSON, BRIDGE_TLV, to_tlv);
    CHECK_ROWS("", 0, BRIDGE_JSON, BRIDGE_TLV, to_tlv);
    CHECK_ROWS("/3", 0, BRIDGE_JSON, BRIDGE_TLV, to_tlv_object);
    CHECK_ROWS("/3303/0/5700", 0, BRIDGE_JSON, BRIDGE_TLV, to_tlv_resource);
    CHECK_ROW("/2", 0, BRIDGE_TLV, BRIDGE_JSON, "080009 8702 417f07 61013601", NULL, 0);
    CHECK_ROW("/3/0", 0, BRIDGE_TLV, BRIDGE_JSON, "8606 410001 410105", "{\"6/0\":1,\"6/1\":5}");
    CHECK_RECORDS("/3/0", 0, BRIDGE_LWM2M_JSON, lwm2m_json);
    CHECK_ROWS("/3/0", 0, BRIDGE_JSON, BRIDGE_LWM2M_JSON, to_lwm2m_json);
    CHECK_ROW("/5/0", 0, BRIDGE_CBOR, BRIDGE_LWM2M_JSON, "a1 6130 43fbfffe",
              "{\"bn\":\"/5/0/\",\"e\":[{\"n\":\"0\",\"sv\":\"+//+\"}]}");
    CHECK_ROW("/5/0", 0, BRIDGE_SENML_CBOR, BRIDGE_LWM2M_JSON,
              "82a422 1a59682f00 21 652f352f302f 006131 0201 a3006131 0202 0620",
              "{\"bn\":\"/5/0/\",\"bt\":1500000000,\"e\":[{\"n\":\"1\",\"v\":1},{\"n\":\"1\",\"t\":-1,\"v\":2}]}");
    CHECK_RECORDS("/3/0", 0, BRIDGE_LWM2M_CBOR, lwm2m_cbor);
    CHECK_ROWS("/3/0", 0, BRIDGE_JSON, BRIDGE_LWM2M_CBOR, to_lwm2m_cbor);
    CHECK_ROW("home/k", 0, BRIDGE_JSON, BRIDGE_LWM2M_CBOR, "5", NULL, BRIDGE_UNPROCESSABLE);
    CHECK_ROW("home/k", 0, BRIDGE_JSON, BRIDGE_LWM2M_CBOR, "{\"/3/0/1\":5}", "a103a100a10105");
    CHECK_ROW("/3/0", 0, BRIDGE_CBOR, BRIDGE_JSON, "a1820300 01", NULL, BRIDGE_UNPROCESSABLE);
    CHECK_ROW("/3/0", 0, BRIDGE_CBOR, BRIDGE_SENML_JSON, "a1820300 01", NULL, BRIDGE_UNPROCESSABLE);
    return check_done();
}
