/* Accept: which representation a reader gets (RFC 9110 12.5.1). */
#include "adapter/http/media.h"
#include "codec/registry.h"

/* "0.75" in thousandths; what is not a weight counts as 1 (RFC 9110 12.4.2). */
static uint16_t read_weight(text t)
{
    unsigned value, scale = 100;

    if (t.len == 0 || t.len > 5 || (t.p[0] != '0' && t.p[0] != '1')) return 1000;
    value = t.p[0] == '1' ? 1000 : 0;
    for (size_t i = 2; i < t.len && t.p[1] == '.'; i++, scale /= 10) {
        if (t.p[i] < '0' || t.p[i] > '9') return 1000;
        value += (unsigned)(t.p[i] - '0') * scale;
    }
    return (uint16_t)(value > 1000 ? 1000 : value);
}

static bool read_range(accept_range *r, text item)
{
    text whole, parameters, parameter, key, value;

    text_cut(item, ';', &whole, &parameters);
    if (!text_cut(text_trim(whole), '/', &r->type, &r->subtype) || r->type.len == 0 || r->subtype.len == 0) return false;
    r->q = 1000;
    while (parameters.len > 0) {
        text_cut(parameters, ';', &parameter, &parameters);
        if (text_cut(text_trim(parameter), '=', &key, &value) && text_is_nocase(key, "q")) r->q = read_weight(text_trim(value));
    }
    return true;
}

void accept_read(accept_list *a, const http_head *h)
{
    head_list at = {0};
    text item;

    a->count = 0;
    while (a->count < ACCEPT_RANGES && head_next(h, HEAD_ACCEPT, &at, &item))
        if (read_range(&a->ranges[a->count], item)) a->count++;
}

static bool same_nocase(text a, text b)
{
    if (a.len != b.len) return false;
    for (size_t i = 0; i < a.len; i++) {
        char x = a.p[i], y = b.p[i];
        if (x != y && ((x | 0x20) != (y | 0x20) || (x | 0x20) < 'a' || (x | 0x20) > 'z')) return false;
    }
    return true;
}

/* 3 exact, 2 "type / *", 1 "* / *", 0 no. */
static int fits(const accept_range *r, text type, text subtype)
{
    if (text_is(r->type, "*")) return text_is(r->subtype, "*");
    if (!same_nocase(r->type, type)) return 0;
    if (text_is(r->subtype, "*")) return 2;
    return same_nocase(r->subtype, subtype) ? 3 : 0;
}

unsigned accept_quality(const accept_list *a, text media_type, unsigned *place)
{
    text whole, rest, type, subtype;
    unsigned q = 0;
    int best = 0;

    *place = 0;
    if (a->count == 0) return 1000;
    text_cut(media_type, ';', &whole, &rest);
    text_cut(text_trim(whole), '/', &type, &subtype);
    for (unsigned i = 0; i < a->count; i++) {
        int fit = fits(&a->ranges[i], type, subtype);
        if (fit <= best) continue;
        best = fit;
        q = a->ranges[i].q;
        *place = i;
    }
    return q;
}

static const bridge_format targets[] = {BRIDGE_JSON, BRIDGE_TEXT, BRIDGE_CBOR, BRIDGE_SENML_JSON, BRIDGE_SENML_CBOR,
                                        BRIDGE_TLV,  BRIDGE_LWM2M_JSON, BRIDGE_LWM2M_CBOR, BRIDGE_LINKS};
enum { TARGETS = sizeof targets / sizeof *targets, NATIVE = 31 };

int accept_choose(const accept_list *a, bridge_format native, text type, uint32_t *tried, bridge_format *out)
{
    unsigned place, best_place = 0, best = 0;
    int chosen = -1;

    if (!(*tried & 1u << NATIVE)) {
        best = accept_quality(a, type, &best_place);
        if (best > 0) chosen = NATIVE;
    }
    for (int i = 0; i < TARGETS && a->count > 0; i++) {
        unsigned q;
        if ((*tried & 1u << i) || targets[i] == native || !codec_converts(native, targets[i])) continue;
        q = accept_quality(a, text_of(format_media_type(targets[i])), &place);
        if (q < best || q == 0 || (q == best && (chosen == NATIVE || (chosen >= 0 && place >= best_place)))) continue;
        best = q;
        best_place = place;
        chosen = i;
    }
    if (chosen < 0) return BRIDGE_NOTACCEPTABLE;
    *tried |= 1u << chosen;
    *out = chosen == NATIVE ? native : targets[chosen];
    return 0;
}

bool accept_asks(const accept_list *a, const char *media_type)
{
    text type, subtype;
    unsigned most = 0, q = 0;

    text_cut(text_of(media_type), '/', &type, &subtype);
    for (unsigned i = 0; i < a->count; i++) {
        if (fits(&a->ranges[i], type, subtype) == 3 && a->ranges[i].q > q) q = a->ranges[i].q;
        if (a->ranges[i].q > most) most = a->ranges[i].q;
    }
    return q > 0 && q == most;
}
