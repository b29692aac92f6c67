/* How a package gets to its device: we write it (push), or the device is told a URL of ours (pull), which is good until it says that it has
 * it, and for so many bytes.  GET /fw/TOKEN over CoAP is answered here, over HTTP by whatever listens for that (hub/handout.h). */
#include "adapter/lwm2m/flash.h"
#include "codec/scratch.h"
#include <stdio.h>

/* Firmware Update Protocol Support (5/0/8), LwM2M 1.0 E.6, 1.1 E.6 */
enum { BY_COAP = 0, BY_COAPS = 1, BY_HTTP = 2, BY_HTTPS = 3, BY_COAP_TCP = 4, BY_COAPS_TCP = 5, BY_NOBODY = 31 };

bool lwm2m_way_read(text word, lwm2m_way *out)
{
    static const char *const words[] = {"", "push", "pull", "coap", "http"};

    for (int i = LWM2M_PUSH; i <= LWM2M_PULL_HTTP; i++)
        if (text_is(word, words[i])) {
            *out = (lwm2m_way)i;
            return true;
        }
    return false;
}

/* 5/0/9: 0 it pulls, 1 it takes pushes, 2 both, which is also what nothing means (E.6). */
const char *lwm2m_way_choose(lwm2m_flash *u, int64_t method)
{
    bool pulls = method != 1, takes = method != 0;

    if (!u->order.package) return pulls ? NULL : "the device fetches nothing: it only takes packages";
    if (u->order.way == LWM2M_PUSH && !takes) return "the device only pulls";
    if (u->order.way >= LWM2M_PULL_COAP && !pulls) return "the device fetches nothing: it only takes packages";
    u->pull = !takes || (u->order.way >= LWM2M_PULL && pulls);
    return NULL;
}

void lwm2m_way_protocols(lwm2m_flash *u, const coap_answer *answer)
{
    oma_path at = {3, {u->order.object, u->order.instance, FIRMWARE_PROTOCOLS}};
    int format = answer->meta->has & COAP_HAS_CONTENT_FORMAT ? answer->meta->format : -1;
    lwm2m_leaves leaves;
    bridge_scratch s;

    scratch_init(&s, u->server->mem);
    if (lwm2m_leaves_read(u->server, &s, &at, format, answer->body, answer->body_len, &leaves, NULL) == 0)
        for (size_t i = 0; i < leaves.count; i++) {
            const bridge_record *r = &leaves.at[i].record;
            if (r->type == BRIDGE_INT && r->as.i >= BY_COAP && r->as.i <= BY_COAPS_TCP) u->protocols |= 1u << r->as.i;
        }
    scratch_done(&s);
}

static unsigned protocol_of(const char *address)
{
    static const struct {
        const char *scheme;
        unsigned number;
    } all[] = {{"coap:", BY_COAP}, {"coaps:", BY_COAPS}, {"http:", BY_HTTP}, {"https:", BY_HTTPS}, {"coap+tcp:", BY_COAP_TCP},
               {"coaps+tcp:", BY_COAPS_TCP}};

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strncmp(address, all[i].scheme, strlen(all[i].scheme)) == 0) return all[i].number;
    return BY_NOBODY;
}

static bool speaks(const lwm2m_flash *u, const char *address)
{
    return !u->protocols || u->protocols & 1u << protocol_of(address);
}

typedef struct search {
    const lwm2m_flash *flash;
    char *out; /* "http://192.0.2.1:8080" */
    size_t room;
} search;

/* A listener of every address has none that a device could be told. */
static bool on_port(void *user, const roster_port *row)
{
    search *s = user;
    const char *host = strstr(row->name, "://");
    size_t len;

    if (row->uplink || row->closing || !host || (protocol_of(row->name) & ~1u) != BY_HTTP || !speaks(s->flash, row->name)) return true;
    host += 3;
    if (strncmp(host, "0.0.0.0", 7) == 0 || strncmp(host, "[::]", 4) == 0 || *host == ':' || *host == '*') return true;
    len = (size_t)(host - row->name) + strcspn(host, "/?");
    if (len >= s->room) return true;
    memcpy(s->out, row->name, len);
    s->out[len] = 0;
    return false;
}

static bool find_http(const lwm2m_flash *u, char *out, size_t room)
{
    const lwm2m_port *p = u->d->port;

    *out = 0;
    if (p->http && speaks(u, p->http))
        snprintf(out, room, "%s", p->http);
    else if (!p->http)
        roster_ports(p->coap.port, on_port, &(search){u, out, room});
    return *out != 0;
}

static const char *open_handout(lwm2m_flash *u)
{
    const lwm2m_port *p = u->d->port;
    bridge_fields f = {.size = sizeof f};
    bridge_msg *plain = NULL;
    int rc = 0;

    bridge_msg_look(u->order.package, &f);
    if (f.format != BRIDGE_BYTES) { /* whatever it was said to be, it goes out as bytes */
        rc = lwm2m_msg(u->d, u->d->name, BRIDGE_BYTES, f.data, f.len, &plain);
        if (rc < 0) return "out of memory";
        bridge_msg_unref(u->order.package);
        u->order.package = plain;
    }
    rc = handout_new(&u->handout, p->coap.port, u->token, u->order.package, p->limits.max_fetches * f.len);
    return rc < 0 ? "out of memory" : NULL;
}

const char *lwm2m_way_open(lwm2m_flash *u, char *uri, size_t room)
{
    const lwm2m_port *p = u->d->port;
    const char *base = p->coap.mount;
    char http[512];

    if (u->order.way != LWM2M_PULL_HTTP && p->address && speaks(u, p->address))
        snprintf(uri, room, "%s/%s%sfw/%s", p->address, base, *base ? "/" : "", u->token);
    else if (u->order.way != LWM2M_PULL_COAP && find_http(u, http, sizeof http))
        snprintf(uri, room, "%s/fw/%s", http, u->token);
    else if (u->order.way == LWM2M_PULL_HTTP)
        return u->protocols ? "the device fetches by none of our HTTP listeners" : "no HTTP listener has an address that a device could be told";
    else
        return p->address ? "the device fetches by no protocol that listens here" : "the listener has no address of its own";
    return open_handout(u);
}

void lwm2m_way_close(lwm2m_flash *u)
{
    handout_free(u->handout);
    u->handout = NULL;
}

/* By whoever was told the URL.  Later blocks come from what the engine keeps of the first answer; one that it has forgotten counts alone. */
bool lwm2m_serve_package(lwm2m_port *p, coap_request *r, text token)
{
    handout *h = handout_find(p->coap.port, token);
    bridge_fields f = {.size = sizeof f};
    bool middle = r->has_block2 && r->block2.num > 0;

    if (!h) return false;
    bridge_msg_look(handout_msg(h), &f);
    if (!handout_spend(h, middle ? 1024 : f.len)) return false;
    coap_respond(r, COAP_REPLY(.code = COAP_CONTENT, .format = COAP_SAY(BRIDGE_BYTES), .data = f.data, .len = f.len, .owner = handout_msg(h)));
    return true;
}
