/* DTLS 1.2 towards others (RFC 7252 9.1); what keeps it safe is in client_secrets.c. */
#include "adapter/coap/client_inside.h"
#include "adapter/coap/dtls_bio.h"
#include "base/status.h"
#include "hub/port.h"
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

typedef struct far_session {
    coap_far *far;
    SSL *ssl;
    dtls_bio io;
    timer again; /* of the handshake's flights */
    bool ready, busy;
} far_session;

static void on_bio_send(dtls_bio *io, const uint8_t *p, size_t len)
{
    int fd = list_of(io, far_session, io)->far->fd;

    /* ECONNREFUSED tells of something earlier, and takes this one's turn away */
    if (fd >= 0 && send(fd, p, len, MSG_DONTWAIT) < 0 && errno == ECONNREFUSED) send(fd, p, len, MSG_DONTWAIT);
}

/* ---- Sessions */

static uint8_t *on_room(coap_via *via, size_t len)
{
    coap_far *f = list_of(via, coap_far, via);
    buf *b = &f->client->out;

    buf_clear(b);
    return f->session && f->session->ready && buf_room(b, len) == 0 ? b->data : NULL;
}

static void on_send(coap_via *via, const uint8_t *p, size_t len)
{
    coap_far *f = list_of(via, coap_far, via);

    SSL_write(f->session->ssl, p, (int)len);
    ERR_clear_error();
}

static void broke(coap_far *f)
{
    const char *why = ERR_reason_error_string(ERR_peek_last_error());
    long verdict = SSL_get_verify_result(f->session->ssl);

    if (verdict != X509_V_OK) why = X509_verify_cert_error_string(verdict);
    far_down(f, BRIDGE_UNREACHABLE, why ? why : "the session has ended");
    ERR_clear_error();
}

static void on_again(timer *t)
{
    far_session *s = list_of(t, far_session, again);
    struct timeval in;
    int64_t ms = 1000;

    if (DTLSv1_handle_timeout(s->ssl) < 0) {
        broke(s->far);
        return;
    }
    if (DTLSv1_get_timeout(s->ssl, &in)) ms = in.tv_sec * 1000 + in.tv_usec / 1000 + 1;
    timer_start(&s->again, s->far->client->loop, ms, on_again);
}

static bool shake(far_session *s) /* false: it is over */
{
    int rc, why;

    ERR_clear_error();
    rc = SSL_do_handshake(s->ssl);
    if (rc == 1) {
        s->ready = true;
        timer_stop(&s->again);
        far_up(s->far);
        return true;
    }
    why = SSL_get_error(s->ssl, rc);
    return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE;
}

/* False: the session is over. */
static bool session_input(coap_far *f, size_t len)
{
    far_session *s = f->session;
    coap_client *c = f->client;
    uint8_t plain[16384];
    int n, why;

    s->io.in = c->in;
    s->io.in_len = len;
    if (!s->ready && !shake(s)) return false;
    while (f->session == s && s->ready) {
        ERR_clear_error();
        n = SSL_read(s->ssl, plain, sizeof plain);
        if (n <= 0) {
            why = SSL_get_error(s->ssl, n);
            s->io.in = NULL;
            return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE;
        }
        coap_peer_input(f->peer, loop_now(c->loop), plain, (size_t)n);
    }
    return true;
}

static void on_readable(void *user, unsigned events)
{
    coap_far *f = user;
    coap_client *c = f->client;

    (void)events;
    for (int round = 0; round < CLIENT_ROUNDS && f->session && !f->closed; round++) {
        ssize_t n = recv(f->fd, c->in, CLIENT_IN, MSG_DONTWAIT);

        if (n >= 0) {
            if (session_input(f, (size_t)n)) continue;
            broke(f);
            break;
        }
        if (errno == ECONNREFUSED || errno == EHOSTUNREACH || errno == ENETUNREACH) {
            far_down(f, BRIDGE_UNREACHABLE, "refused");
            break;
        }
        if (errno != EINTR) break;
    }
    client_rearm(c);
}

static far_session *session_new(coap_far *f)
{
    far_session *s = mem_new(f->client->mem, far_session);

    if (s) s->ssl = secrets_ssl(f);
    if (!s || !s->ssl || !dtls_bio_join(&s->io, s->ssl, f->secrets->method)) {
        if (s) SSL_free(s->ssl);
        mem_free(f->client->mem, s);
        return NULL;
    }
    s->far = f;
    s->io.send = on_bio_send;
    SSL_set_connect_state(s->ssl);
    return s;
}

void far_dtls_join(coap_far *f)
{
    f->via.room = on_room;
    f->via.send = on_send;
    f->session = f->secrets ? session_new(f) : NULL;
    if (!f->session)
        far_down(f, BRIDGE_NOMEM, "no session could be made");
    else if (far_socket(f, on_readable) < 0)
        far_down(f, BRIDGE_UNREACHABLE, "no way there");
    else if (shake(f->session))
        timer_start(&f->session->again, f->client->loop, 1000, on_again);
    else
        broke(f);
}

void far_dtls_drop(coap_far *f)
{
    far_session *s = f->session;

    if (!s) return;
    f->session = NULL;
    timer_stop(&s->again);
    if (s->ready) SSL_shutdown(s->ssl); /* the socket is still there */
    SSL_free(s->ssl);
    ERR_clear_error();
    mem_free(f->client->mem, s);
}
