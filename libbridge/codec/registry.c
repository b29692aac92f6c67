#include "codec/registry.h"
#include "codec/codecs.h"
#include "codec/json.h"
#include <strings.h>

/* IANA "CoAP Content-Formats", and the numbers that OMA's devices used before they had registered ones. */
typedef struct format {
    uint16_t number;
    const char *name, *media_type;
} format;
static const format formats[] = {
    {0, "text", "text/plain;charset=utf-8"},
    {16, "cose-encrypt0", "application/cose;cose-type=\"cose-encrypt0\""},
    {17, "cose-mac0", "application/cose;cose-type=\"cose-mac0\""},
    {18, "cose-sign1", "application/cose;cose-type=\"cose-sign1\""},
    {19, "ace+cbor", "application/ace+cbor"},
    {21, "gif", "image/gif"},
    {22, "jpeg", "image/jpeg"},
    {23, "png", "image/png"},
    {40, "link-format", "application/link-format"},
    {41, "xml", "application/xml"},
    {42, "bytes", "application/octet-stream"},
    {47, "exi", "application/exi"},
    {50, "json", "application/json"},
    {51, "json-patch", "application/json-patch+json"},
    {52, "merge-patch", "application/merge-patch+json"},
    {60, "cbor", "application/cbor"},
    {61, "cwt", "application/cwt"},
    {62, "multipart-core", "application/multipart-core"},
    {63, "cbor-seq", "application/cbor-seq"},
    {96, "cose-encrypt", "application/cose;cose-type=\"cose-encrypt\""},
    {97, "cose-mac", "application/cose;cose-type=\"cose-mac\""},
    {98, "cose-sign", "application/cose;cose-type=\"cose-sign\""},
    {101, "cose-key", "application/cose-key"},
    {102, "cose-key-set", "application/cose-key-set"},
    {110, "senml+json", "application/senml+json"},
    {111, "sensml+json", "application/sensml+json"},
    {112, "senml+cbor", "application/senml+cbor"},
    {113, "sensml+cbor", "application/sensml+cbor"},
    {114, "senml-exi", "application/senml-exi"},
    {115, "sensml-exi", "application/sensml-exi"},
    {256, "coap-group+json", "application/coap-group+json"},
    {257, "concise-problem-details+cbor", "application/concise-problem-details+cbor"},
    {272, "missing-blocks+cbor-seq", "application/missing-blocks+cbor-seq"},
    {310, "senml+xml", "application/senml+xml"},
    {311, "sensml+xml", "application/sensml+xml"},
    {320, "senml-etch+json", "application/senml-etch+json"},
    {322, "senml-etch+cbor", "application/senml-etch+cbor"},
    {432, "td+json", "application/td+json"},
    {606, "core-pubsub+cbor", "application/core-pubsub+cbor"},
    {1542, "tlv-1542", "application/vnd.oma.lwm2m+tlv"},
    {1543, "lwm2m+json-1543", "application/vnd.oma.lwm2m+json"},
    {10001, "oscore", "application/oscore"},
    {11542, "tlv", "application/vnd.oma.lwm2m+tlv"},
    {11543, "lwm2m+json", "application/vnd.oma.lwm2m+json"},
    {11544, "lwm2m+cbor", "application/vnd.oma.lwm2m+cbor"},
};
enum { FORMATS = sizeof formats / sizeof *formats };

static const format *find(bridge_format number)
{
    size_t low = 0, high = FORMATS;

    while (low < high) {
        size_t middle = (low + high) / 2;
        if (formats[middle].number == (unsigned)number) return &formats[middle];
        if (formats[middle].number < (unsigned)number)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

const char *format_media_type(bridge_format number)
{
    const format *f = find(number);

    return f ? f->media_type : NULL;
}

const char *format_name(bridge_format number)
{
    const format *f = find(number);

    return f ? f->name : NULL;
}

/* One parameter of a media type: name=value, quoted or not (RFC 9110 5.6.6).  Quoted pairs stay as they are. */
static bool next_parameter(text *rest, text *name, text *value)
{
    text one;

    do {
        if (!rest->len) return false;
        text_cut(*rest, ';', &one, rest);
        one = text_trim(one);
    } while (!one.len);
    text_cut(one, '=', name, value);
    *name = text_trim(*name);
    *value = text_trim(*value);
    if (value->len >= 2 && value->p[0] == '"' && value->p[value->len - 1] == '"') value->p++, value->len -= 2;
    return true;
}

/* cose-type tells the six COSE formats apart, cf is coap-payload's number; a charset must be one whose bytes are UTF-8.
 */
static bool parameters(text rest, text *cose, text *number)
{
    text name, value;

    while (next_parameter(&rest, &name, &value)) {
        if (text_is_nocase(name, "cose-type")) *cose = value;
        if (text_is_nocase(name, "cf")) *number = value;
        if (text_is_nocase(name, "charset") && !text_is_nocase(value, "utf-8") && !text_is_nocase(value, "utf8") &&
            !text_is_nocase(value, "us-ascii"))
            return false;
    }
    return true;
}

bridge_format format_of_media_type(text media_type)
{
    text type, rest, cose = {0}, number = {0}, own, own_rest, own_cose, ignored;
    uint64_t v;

    text_cut(media_type, ';', &type, &rest);
    type = text_trim(type);
    if (!parameters(rest, &cose, &number)) return BRIDGE_FORMAT_NAMED;
    if (text_is_nocase(type, "application/coap-payload"))
        return text_to_u64(number, BRIDGE_FORMAT_NAMED - 1, &v) ? (bridge_format)v : BRIDGE_FORMAT_NAMED;
    if (text_is_nocase(type, "text/json")) return BRIDGE_JSON;
    for (size_t i = FORMATS; i-- > 0;) { /* from the back: 11542 before 1542 */
        text_cut(text_of(formats[i].media_type), ';', &own, &own_rest);
        if (own.len != type.len || strncasecmp(own.p, type.p, own.len) != 0) continue;
        own_cose = (text){0};
        parameters(own_rest, &own_cose, &ignored);
        if (!own_cose.len || text_same(own_cose, cose)) return formats[i].number;
    }
    return BRIDGE_FORMAT_NAMED;
}

bridge_format format_of_name(text name)
{
    uint64_t v;

    if (text_to_u64(name, BRIDGE_FORMAT_NAMED - 1, &v)) return (bridge_format)v;
    for (size_t i = 0; i < FORMATS; i++)
        if (text_is_nocase(name, formats[i].name)) return formats[i].number;
    return format_of_media_type(name);
}

/* ---- codecs */

static const bridge_codec *const codecs[] = {&text_codec, &bytes_codec,      &json_codec,
                                             &cbor_codec, &senml_json_codec, &senml_cbor_codec,
                                             &tlv_codec,  &lwm2m_json_codec, &lwm2m_cbor_codec};

/* Numbers whose bytes are those of another: old ones of OMA, and streams that end (RFC 8428 8). */
static bridge_format same_bytes(bridge_format number)
{
    switch ((int)number) {
    case 111: return BRIDGE_SENML_JSON;
    case 113: return BRIDGE_SENML_CBOR;
    case 1542: return BRIDGE_TLV;
    case 1543: return BRIDGE_LWM2M_JSON;
    default: return number;
    }
}

const bridge_codec *codec_find(bridge_format number)
{
    number = same_bytes(number);
    for (size_t i = 0; i < sizeof codecs / sizeof *codecs; i++)
        if (codecs[i]->format == number) return codecs[i];
    return NULL;
}

const bridge_codec *codec_named(const char *name)
{
    return codec_find(format_of_name(text_of(name)));
}

static bool is_text(const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (p[i] < 0x20 && p[i] != '\t' && p[i] != '\n' && p[i] != '\r') return false;
        if (p[i] == 0x7f || (p[i] == 0xc2 && i + 1 < len && p[i + 1] < 0xa0)) return false; /* U+0080 to U+009F */
    }
    return text_is_utf8(p, len);
}

bridge_format codec_guess(const void *data, size_t len)
{
    const char *p = data, *end = p + len;

    while (p < end && strchr(" \t\r\n", *p) && *p)
        p++;
    if (p < end && (*p == '{' || *p == '[') && json_read(NULL, data, len, NULL, NULL, NULL) == 0) return BRIDGE_JSON;
    return is_text(data, len) ? BRIDGE_TEXT : BRIDGE_BYTES;
}

bool codec_converts(bridge_format source, bridge_format target)
{
    const bridge_codec *from, *to;

    if (source == target || target == BRIDGE_FORMAT_AUTO) return true;
    if (source == BRIDGE_FORMAT_AUTO) source = BRIDGE_TEXT;
    from = codec_find(source);
    to = codec_find(target);
    if (from && from == to) return true;
    return from && from->read && to && to->write;
}
