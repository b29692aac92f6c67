#include "adapter/coap/link.h"
#include "base/status.h"
#include "core/url.h"
#include "loop/claim.h"
#include "loop/tls.h"
#include <stdio.h>

enum { /* RFC 8323 5.3 to 5.6: options of signalling messages */
    CSM_MAX_MESSAGE_SIZE = 2,
    CSM_BLOCK_WISE = 4,
    ABORT_BAD_CSM_OPTION = 2,
    DEFAULT_MAX_MESSAGE = 1152, /* RFC 8323 5.3.1 */
    SLACK = 4096,               /* options beside a body of the largest size */
    OUT_MAX = 4 << 20,          /* bytes waiting for one peer; then it is told no more */
    OUT_HIGH = 256 * 1024       /* then it is not read from any more */
};

typedef struct coap_link {
    coap_via via;
    list link;
    coap_port *cp;
    stream *s;
    coap_peer *peer;
    size_t theirs; /* the largest message they take */
    bool greeted, bert, ending, websocket;
} coap_link;

static size_t ours(const coap_port *cp) { return coap_engine_limits(cp->engine)->max_body + SLACK; }

/* ---- Out */

static uint8_t *on_room(coap_via *via, size_t len)
{
    coap_link *l = list_of(via, coap_link, via);
    coap_port *cp = l->cp;

    if (stream_pending(l->s) + len > OUT_MAX) return NULL;
    buf_clear(&cp->frame);
    return buf_room(&cp->frame, len) < 0 ? NULL : cp->frame.data;
}

/* RFC 8323 4.2: in WebSocket the length is that of the message, and Len is 0. */
static int record_write(coap_link *l, const uint8_t *p, size_t len)
{
    size_t extended = *p >> 4 < 13 ? 0 : (size_t)1 << ((*p >> 4) - 13), n = len - extended;
    uint8_t head[5] = {(uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n, *p & 15};
    uint8_t *to = stream_reserve(l->s, 4 + n);

    if (!to) return BRIDGE_NOMEM;
    memcpy(to, head, 5);
    memcpy(to + 5, p + 1 + extended, n - 1);
    return 0;
}

static int link_write(coap_link *l, const uint8_t *p, size_t len) { return l->websocket ? record_write(l, p, len) : stream_write(l->s, p, len); }

static void on_send(coap_via *via, const uint8_t *p, size_t len)
{
    coap_link *l = list_of(via, coap_link, via);

    if (link_write(l, p, len) == 0 && stream_pending(l->s) > OUT_HIGH) stream_read(l->s, false);
}

static void on_drain(void *user)
{
    coap_link *l = user;

    stream_read(l->s, true);
    stream_again(l->s);
}

static void send_signal(coap_link *l, uint8_t code, const coap_token *token, uint16_t option, uint32_t value, const char *why)
{
    uint8_t bytes[256];
    coap_writer w;
    int64_t len;

    coap_write_frame(&w, bytes, sizeof bytes, code, token);
    if (option) coap_write_uint(&w, option, value);
    if (code == COAP_CSM) coap_write_option(&w, CSM_BLOCK_WISE, NULL, 0);
    if (why) coap_write_payload(&w, why, strlen(why));
    len = coap_write_end(&w);
    if (len > 0) link_write(l, w.start, (size_t)len);
}

static void link_abort(coap_link *l, uint16_t option, uint32_t value, const char *why)
{
    if (l->ending) return;
    l->ending = true;
    bridge_port_log(l->cp->port, BRIDGE_LOG_INFO, l->via.name, "aborted: %s", why);
    send_signal(l, COAP_ABORT, NULL, option, value, why);
    stream_close(l->s);
}

/* ---- In */

static void on_csm(coap_link *l, const coap_packet *packet)
{
    coap_options walk = coap_options_of(packet);
    coap_option o;

    while (coap_next_option(&walk, &o)) {
        if (o.number == CSM_MAX_MESSAGE_SIZE && o.len <= 4) {
            l->theirs = coap_uint(&o);
        } else if (o.number == CSM_BLOCK_WISE) {
            l->bert = true;
        } else if (coap_is_critical(o.number)) {
            link_abort(l, ABORT_BAD_CSM_OPTION, o.number, "unknown CSM option");
            return;
        }
    }
    l->greeted = true;
    coap_peer_set_stream(l->peer, l->theirs, l->bert && l->theirs > DEFAULT_MAX_MESSAGE); /* RFC 8323 6 */
}

static void on_signal(coap_link *l, const coap_packet *packet)
{
    switch (packet->code) {
    case COAP_CSM: on_csm(l, packet); break;
    case COAP_PING: send_signal(l, COAP_PONG, &packet->token, 0, 0, NULL); break;
    case COAP_PONG: break;
    case COAP_RELEASE: /* RFC 8323 5.5: what is under way is answered, then we go */
    case COAP_ABORT:
        l->ending = true;
        stream_close(l->s);
        break;
    default: link_abort(l, 0, 0, "unknown signal"); break;
    }
}

static void on_frame(coap_link *l, const uint8_t *p, size_t len)
{
    coap_packet packet;

    if ((l->websocket ? coap_parse_websocket(&packet, p, len) : coap_parse_frame(&packet, p, len)) != COAP_PARSED)
        link_abort(l, 0, 0, "message format error");
    else if (!l->greeted && packet.code != COAP_CSM)
        link_abort(l, 0, 0, "CSM must come first"); /* RFC 8323 5.3 */
    else if (coap_is_signal(packet.code))
        on_signal(l, &packet);
    else if (packet.code != COAP_EMPTY) /* RFC 8323 3.4: empty ones are ignored */
        coap_peer_packet(l->peer, loop_now(l->cp->loop), &packet);
}

/* With its front; 0: not yet known. */
static uint64_t record_len(const uint8_t *p, size_t len)
{
    return len < 4 ? 0 : 4 + ((uint64_t)p[0] << 24 | (uint64_t)p[1] << 16 | (uint64_t)p[2] << 8 | p[3]);
}

static size_t on_data(void *user, const uint8_t *data, size_t len)
{
    coap_link *l = user;
    coap_port *cp = l->cp;
    size_t used = 0;

    l->via.user = stream_identity(l->s);
    while (!l->ending && used < len) {
        size_t front = l->websocket ? 4 : 0;
        uint64_t frame = l->websocket ? record_len(data + used, len - used) : coap_frame_len(data + used, len - used);

        if (frame > ours(cp) + COAP_FRAME_HEAD_MAX) link_abort(l, 0, 0, "message over the size we told");
        if (frame == 0 || frame > len - used || l->ending) break;
        on_frame(l, data + used + front, (size_t)frame - front);
        used += (size_t)frame;
    }
    coap_rearm(cp);
    return l->ending ? len : used;
}

/* ---- Life */

static void on_close(void *user, int status)
{
    coap_link *l = user;
    coap_port *cp = l->cp;

    (void)status;
    l->ending = true;
    list_remove(&l->link);
    coap_peer_lost(l->peer);
    mem_free(cp->mem, l);
    coap_bury_soon(cp);
}

static const stream_events events = {on_data, on_drain, on_close};

static void on_tls_trouble(void *user, const char *peer, const char *what)
{
    coap_port *cp = user;

    bridge_port_log(cp->port, peer ? BRIDGE_LOG_INFO : BRIDGE_LOG_WARN, peer, "%s", what);
}

static int link_begin(coap_port *cp, bridge_port *via, stream *s)
{
    coap_link *l = mem_new(cp->mem, coap_link);

    if (l) l->peer = coap_peer_connected(cp->engine, &l->via);
    if (!l || !l->peer) {
        mem_free(cp->mem, l);
        return BRIDGE_NOMEM;
    }
    l->cp = cp;
    l->s = s;
    l->via = (coap_via){.room = on_room, .send = on_send, .name = stream_peer(s), .port = via};
    l->websocket = via;
    l->theirs = DEFAULT_MAX_MESSAGE;
    coap_peer_set_stream(l->peer, DEFAULT_MAX_MESSAGE, false);
    list_push(&cp->links, &l->link);
    stream_set_high(s, OUT_HIGH);
    stream_set_max_in(s, ours(cp) + COAP_FRAME_HEAD_MAX);
    stream_start(s, &events, l);
    send_signal(l, COAP_CSM, NULL, CSM_MAX_MESSAGE_SIZE, (uint32_t)ours(cp), NULL);
    return 0;
}

static void on_accept(void *user, stream *s)
{
    int rc = link_begin(user, NULL, s);

    if (rc < 0) stream_abort(s, rc);
}

int coap_links_take(coap_port *cp, bridge_port *via, stream *s) { return link_begin(cp, via, s); }

int coap_links_open(coap_port *cp, const bridge_url *u, bool secure, bridge_error *err)
{
    listener_options o = {.host = u->host, .port = u->port >= 0 ? u->port : secure ? 5684 : 5683};
    char name[512];
    int rc = secure ? tls_new(&cp->tls, cp->mem, u, "coap", err) : 0;

    if (cp->tls) tls_tell(cp->tls, on_tls_trouble, cp);
    if (cp->tls) tls_asks(cp->tls, &(claim_asker){bridge_port_credential, cp->port});
    o.tls = cp->tls;
    if (rc == 0) rc = listener_open(&cp->listener, cp->loop, &o, on_accept, cp, err);
    if (rc < 0) return rc;
    snprintf(name, sizeof name, "%s://%s%s", u->scheme, listener_address(cp->listener), u->path);
    bridge_port_named(cp->port, name);
    return 0;
}

void coap_links_close(coap_port *cp)
{
    listener_close(cp->listener);
    cp->listener = NULL;
    list_each_safe (it, &cp->links) {
        coap_link *l = list_of(it, coap_link, link);

        if (l->ending) continue;
        l->ending = true;
        send_signal(l, COAP_RELEASE, NULL, 0, 0, NULL);
        stream_close(l->s);
    }
}
