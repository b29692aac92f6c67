/* CoAP over TCP and TLS towards others (RFC 8323): our CSM goes out with the connection, theirs must come first. */
#include "adapter/coap/client_inside.h"
#include "loop/tls.h"

enum { CSM_MAX_MESSAGE_SIZE = 2, CSM_BLOCK_WISE = 4, DEFAULT_MAX_MESSAGE = 1152, SLACK = 4096, OUT_MAX = 4 << 20 };

typedef struct far_link {
    coap_far *far; /* NULL: it is let go of */
    stream *s;
    mem *mem;
    coap_secrets *secrets; /* TLS: what the stream stands on */
    bool greeted;
} far_link;

static size_t ours(const coap_far *f) { return coap_engine_limits(f->client->engine)->max_body + SLACK; }

static uint8_t *on_room(coap_via *via, size_t len)
{
    coap_far *f = list_of(via, coap_far, via);
    buf *b = &f->client->out;

    if (!f->stream || stream_pending(f->stream->s) + len > OUT_MAX) return NULL;
    buf_clear(b);
    return buf_room(b, len) == 0 ? b->data : NULL;
}

static void on_send(coap_via *via, const uint8_t *p, size_t len) { stream_write(list_of(via, coap_far, via)->stream->s, p, len); }

static void send_signal(far_link *l, uint8_t code, const coap_token *token, uint32_t size)
{
    uint8_t bytes[64];
    coap_writer w;
    int64_t len;

    coap_write_frame(&w, bytes, sizeof bytes, code, token);
    if (code == COAP_CSM) {
        coap_write_uint(&w, CSM_MAX_MESSAGE_SIZE, size);
        coap_write_option(&w, CSM_BLOCK_WISE, NULL, 0);
    }
    len = coap_write_end(&w);
    if (len > 0) stream_write(l->s, w.start, (size_t)len);
}

/* False: what they say cannot be. */
static bool on_csm(far_link *l, const coap_packet *packet)
{
    coap_options walk = coap_options_of(packet);
    coap_option o;
    uint32_t theirs = DEFAULT_MAX_MESSAGE;
    bool bert = false;

    while (coap_next_option(&walk, &o)) {
        if (o.number == CSM_MAX_MESSAGE_SIZE && o.len <= 4) theirs = coap_uint(&o);
        else if (o.number == CSM_BLOCK_WISE) bert = true;
        else if (coap_is_critical(o.number)) return false;
    }
    coap_peer_set_stream(l->far->peer, theirs, bert && theirs > DEFAULT_MAX_MESSAGE);
    if (!l->greeted) {
        l->greeted = true;
        far_up(l->far);
    }
    return true;
}

static bool on_frame(far_link *l, const uint8_t *p, size_t len)
{
    coap_far *f = l->far;
    coap_packet packet;

    if (coap_parse_frame(&packet, p, len) != COAP_PARSED) return false;
    if (packet.code == COAP_CSM) return on_csm(l, &packet);
    if (!l->greeted || packet.code == COAP_RELEASE || packet.code == COAP_ABORT) return false;
    if (packet.code == COAP_PING) send_signal(l, COAP_PONG, &packet.token, 0);
    else if (!coap_is_signal(packet.code) && packet.code != COAP_EMPTY) coap_peer_packet(f->peer, loop_now(f->client->loop), &packet);
    return true;
}

static size_t on_data(void *user, const uint8_t *data, size_t len)
{
    far_link *l = user;
    size_t used = 0;

    while (l->far && !l->far->closed && used < len) {
        uint64_t frame = coap_frame_len(data + used, len - used);

        if (frame > ours(l->far) + COAP_FRAME_HEAD_MAX) {
            far_down(l->far, BRIDGE_PROTOCOL, "a message over the size we told");
            return len;
        }
        if (frame == 0 || frame > len - used) break;
        if (!on_frame(l, data + used, (size_t)frame)) {
            if (l->far) far_down(l->far, BRIDGE_UNREACHABLE, "the connection was ended");
            return len;
        }
        used += (size_t)frame;
    }
    if (l->far) client_rearm(l->far->client);
    return l->far && !l->far->closed ? used : len;
}

static void on_close(void *user, int status)
{
    far_link *l = user;
    coap_far *f = l->far;

    if (f) {
        f->stream = NULL;
        far_down(f, BRIDGE_UNREACHABLE, bridge_status_text(status));
    }
    coap_secrets_unref(l->secrets);
    mem_free(l->mem, l);
}

static void on_tls_up(void *user) { (void)user; } /* their CSM will tell */

static void on_tls_broke(void *user, const char *why)
{
    far_link *l = user;

    if (l->far) far_down(l->far, BRIDGE_UNREACHABLE, why);
}

static const tls_call call = {on_tls_up, on_tls_broke};

static int dial(far_link *l, coap_far *f)
{
    const far_address *to = far_where(f);
    struct ssl_st *ssl;
    int rc;

    if (f->transport != COAP_TLS) return stream_dial(&l->s, f->client->loop, &to->any, far_address_len(to), "");
    ssl = f->secrets ? secrets_ssl(f) : NULL;
    rc = ssl ? tls_dial(&l->s, f->client->loop, &to->any, far_address_len(to), ssl, f->secrets->method, &call) : BRIDGE_NOMEM;
    if (rc == 0) {
        l->secrets = f->secrets;
        l->secrets->refs++;
    }
    return rc;
}

static const stream_events events = {on_data, NULL, on_close};

void far_link_join(coap_far *f)
{
    far_link *l = mem_new(f->client->mem, far_link);

    f->via.room = on_room;
    f->via.send = on_send;
    coap_peer_set_stream(f->peer, DEFAULT_MAX_MESSAGE, false);
    if (!l || dial(l, f) < 0) {
        mem_free(f->client->mem, l);
        far_down(f, BRIDGE_UNREACHABLE, "no way there");
        return;
    }
    l->far = f;
    l->mem = f->client->mem;
    f->stream = l;
    stream_set_max_in(l->s, ours(f) + COAP_FRAME_HEAD_MAX);
    stream_start(l->s, &events, l);
    send_signal(l, COAP_CSM, NULL, (uint32_t)ours(f));
}

void far_link_drop(coap_far *f)
{
    far_link *l = f->stream;

    if (!l) return;
    f->stream = NULL;
    l->far = NULL;
    if (l->greeted) send_signal(l, COAP_RELEASE, NULL, 0);
    stream_close(l->s);
}
