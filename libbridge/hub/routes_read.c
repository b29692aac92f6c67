/* From what was said to a route: schemes, patterns, options, and all that can be wrong with them. */
#include "base/status.h"
#include "codec/registry.h"
#include "hub/routes.h"
#include <ctype.h>

typedef struct side {
    int scheme; /* its number; SCHEME_ANY; -1: none, a canonical path */
    text path, far; /* far: "cloud" of "uplink.cloud:", then path is a name there */
} side;

static size_t scheme_length(const char *said)
{
    size_t n = 0;

    if (said[0] == '*' && said[1] == ':') return 1;
    if (!isalpha((unsigned char)said[0])) return 0;
    while (isalnum((unsigned char)said[n]) || (said[n] && strchr("+-._", said[n])))
        n++;
    return said[n] == ':' ? n : 0;
}

static int unknown_scheme(hub *h, text scheme, bridge_error *err)
{
    const char *words[HUB_SCHEMES + 1], *near;
    char name[32] = "";

    for (unsigned i = 0; i < h->scheme_count; i++)
        words[i] = h->schemes[i];
    words[h->scheme_count] = NULL;
    if (scheme.len < sizeof name) memcpy(name, scheme.p, scheme.len);
    near = text_nearest(name, words);
    return fail(err, BRIDGE_INVALID,
                "nothing here speaks \"%.*s\"%s%s%s; schemes of your own begin with \"x-\", and \"path:\" says that a ':' belongs to the path",
                (int)scheme.len, scheme.p, near ? ", did you mean \"" : "", near ? near : "", near ? "\"" : "");
}

static const text uplinks = {"uplink.", 7};

static int read_side(hub *h, const char *said, side *out, bridge_error *err)
{
    size_t n = scheme_length(said);
    text scheme = {said, n};

    *out = (side){.scheme = -1, .path = text_of(said)};
    if (n == 0) return 0;
    out->path = text_of(said + n + 1);
    if (text_is(scheme, "path")) return 0;
    if (n > uplinks.len && memcmp(said, uplinks.p, uplinks.len) == 0) {
        out->far = (text){said + uplinks.len, n - uplinks.len};
        return 0;
    }
    if (text_is(scheme, "*")) {
        out->scheme = SCHEME_ANY;
        return 0;
    }
    out->scheme = hub_scheme(h, scheme);
    if (out->scheme < 0 && n > 2 && memcmp(said, "x-", 2) == 0) {
        char name[32] = "";
        if (n >= sizeof name) return fail(err, BRIDGE_TOOBIG, "a scheme has at most 31 letters");
        memcpy(name, said, n);
        out->scheme = hub_scheme_add(h, name);
        return out->scheme < 0 ? fail(err, BRIDGE_BUSY, "too many schemes of your own") : 0;
    }
    return out->scheme < 0 ? unknown_scheme(h, scheme, err) : 0;
}

static int read_patterns(hub *h, route *r, text from, text to, bridge_error *err)
{
    int rc = pattern_new(h->mem, &r->from, from.p, from.len, PATTERN_FULL, err);

    if (rc == 0) rc = pattern_new(h->mem, &r->to_target, to.p, to.len, PATTERN_TARGET, err);
    if (rc == 0) rc = pattern_bind(r->to_target, r->from, &r->to_link, err);
    return rc;
}

/* The way back exists when every capture of the source stands in the target exactly once.  Most targets can be matched with as they are
 * read: then one pattern does for both. */
static int read_backwards(hub *h, route *r, text to, bridge_error *err)
{
    int rc = pattern_new(h->mem, &r->to, to.p, to.len, PATTERN_FULL, err);

    if (rc == 0) {
        mem_free(h->mem, r->to_target);
        r->to_target = r->to;
    }
    return rc == 0 ? pattern_bind(r->from, r->to, &r->from_link, err) : rc;
}

static int read_options(route *r, const bridge_route *said, bridge_error *err)
{
    r->format = BRIDGE_FORMAT_AUTO;
    r->max_qos = said->max_qos ? said->max_qos - 1 : 3;
    r->retain = said->retain;
    if (said->max_qos < 0 || said->max_qos > 3) return fail(err, BRIDGE_INVALID, "a route's QoS is 0, 1 or 2");
    if ((int)said->retain < BRIDGE_KEEP_AS_IS || said->retain > BRIDGE_KEEP_NEVER) return fail(err, BRIDGE_INVALID, "unknown retain option");
    if ((int)said->ways < BRIDGE_WAYS_AUTO || said->ways > BRIDGE_BOTH_WAYS) return fail(err, BRIDGE_INVALID, "unknown direction");
    if (!said->format) return 0;
    r->format = format_of_name(text_of(said->format));
    if (r->format == BRIDGE_FORMAT_NAMED || !codec_find(r->format))
        return fail(err, BRIDGE_INVALID, "nothing here writes the format \"%s\"", said->format);
    return 0;
}

static int label(hub *h, route *r, const bridge_route *said)
{
    buf b;

    buf_init(&b, h->mem, 0);
    buf_print(&b, "%s -> %s", said->source, said->target);
    r->label = mem_text_len(h->mem, (const char *)b.data, b.len);
    buf_done(&b);
    return r->label ? 0 : BRIDGE_NOMEM;
}

/* An uplink has no names of ours: what goes there or comes from there is copied. */
static int settle_far(hub *h, route *r, side s, side t, bridge_error *err)
{
    if (!s.far.p && !t.far.p) return 0;
    if (s.scheme >= 0 || t.scheme >= 0)
        return fail(err, BRIDGE_INVALID, "a route to or from an uplink has a path of the bridge, or another uplink, at its other side, and no protocol's name");
    if (s.far.p && t.far.p && text_same(s.far, t.far)) return fail(err, BRIDGE_INVALID, "\"%.*s\" would get what it has said itself", (int)s.far.len, s.far.p);
    if (s.far.p) r->from_far = far_named(h, s.far);
    if (t.far.p) r->to_far = far_named(h, t.far);
    return (s.far.p && !r->from_far) || (t.far.p && !r->to_far) ? fail_nomem(err) : 0;
}

static int settle(hub *h, route *r, const bridge_route *said, side s, side t, bridge_error *err)
{
    text from = s.path, to = t.path;
    bool turned = false;
    bridge_error back;
    int rc;

    if (t.scheme == SCHEME_ANY) t.scheme = -1; /* every scheme: the canonical path */
    if (s.scheme < 0 && t.scheme >= 0) {       /* said from the other side: the target is the scheme's name */
        turned = true;
        from = t.path;
        to = s.path;
    }
    r->kind = s.scheme < 0 && t.scheme < 0 ? ROUTE_COPY : ROUTE_NAME;
    r->scheme = (uint8_t)(turned ? t.scheme : s.scheme >= 0 ? s.scheme : 0);
    rc = settle_far(h, r, s, t, err);
    if (rc == 0) rc = read_patterns(h, r, from, to, err);
    if (rc < 0) return rc;
    rc = read_backwards(h, r, to, &back);
    if (rc == BRIDGE_NOMEM) return fail_nomem(err);
    r->back_too = rc == 0 && (said->ways == BRIDGE_BOTH_WAYS || (r->kind == ROUTE_NAME && said->ways == BRIDGE_WAYS_AUTO));
    if (rc < 0 && said->ways == BRIDGE_BOTH_WAYS)
        return fail(err, BRIDGE_INVALID, "\"%s\" does not tell what \"%s\" was, so there is no way back", said->target, said->source);
    if (rc < 0 && turned) return fail(err, BRIDGE_INVALID, "\"%s\" can never be shown as \"%s\": %s", said->source, said->target, back.text);
    if (r->to && r->kind == ROUTE_COPY && r->from_far == r->to_far && strcmp(r->from->text, r->to->text) == 0)
        return fail(err, BRIDGE_INVALID, "\"%s\" would be copied to itself", said->source);
    return 0;
}

int route_read(hub *h, const bridge_route *given, route **out, bridge_error *err)
{
    bridge_route said = {0};
    route *r;
    side s, t;
    int rc;

    memcpy(&said, given, given->size < sizeof said ? given->size : sizeof said);
    if (!said.source || !said.target) return fail(err, BRIDGE_INVALID, "a route has a source and a target");
    r = *out = mem_new(h->mem, route);
    if (!r) return BRIDGE_NOMEM;
    list_init(&r->link);
    r->hub = h;
    rc = read_side(h, said.source, &s, err);
    if (rc == 0) rc = read_side(h, said.target, &t, err);
    if (rc == 0) rc = read_options(r, &said, err);
    if (rc == 0) rc = settle(h, r, &said, s, t, err);
    if (rc == 0) rc = label(h, r, &said);
    if (rc == 0) rc = route_transform_read(h, r, &said, err);
    if (rc < 0) return rc;
    r->forth = (route_end){.entry = {.pattern = r->from, .priority = said.priority}, .route = r};
    r->back = (route_end){.entry = {.pattern = r->to, .priority = said.priority}, .route = r};
    r->number = ++h->version;
    return 0;
}
