/* DTLS 1.2 towards others (RFC 7252 9.1): a pre-shared key, or certificates. */
#include "adapter/coap/client_inside.h"
#include "base/status.h"
#include "core/url.h"
#include "hub/port.h"
#include "loop/psk.h"
#include <arpa/inet.h>
#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <unistd.h>

const char *const coap_secrets_options[] = {"psk_file", "identity", "ca", "cert", "key", "verify", NULL};

enum { DTLS_MTU = 1400 };

typedef struct far_session {
    coap_far *far;
    SSL *ssl;
    timer again; /* of the handshake's flights */
    const uint8_t *in;
    size_t in_len;
    bool ready, busy;
} far_session;

/* ---- OpenSSL reads and writes datagrams through these */

static int on_bio_read(BIO *b, char *out, int room)
{
    far_session *s = BIO_get_data(b);
    size_t n = s->in_len < (size_t)room ? s->in_len : (size_t)room;

    BIO_clear_retry_flags(b);
    if (!s->in) {
        BIO_set_retry_read(b);
        return -1;
    }
    memcpy(out, s->in, n);
    s->in = NULL;
    return (int)n;
}

static int on_bio_write(BIO *b, const char *p, int len)
{
    far_session *s = BIO_get_data(b);
    int fd = s->far->fd;

    BIO_clear_retry_flags(b);
    if (fd >= 0 && send(fd, p, (size_t)len, MSG_DONTWAIT) < 0 && errno == ECONNREFUSED) send(fd, p, (size_t)len, MSG_DONTWAIT);
    return len; /* lost, as datagrams are */
}

static long on_bio_ctrl(BIO *b, int what, long number, void *p)
{
    (void)b, (void)number, (void)p;
    switch (what) {
    case BIO_CTRL_FLUSH: return 1;
    case BIO_CTRL_DGRAM_QUERY_MTU:
    case BIO_CTRL_DGRAM_GET_MTU: return DTLS_MTU;
    default: return 0;
    }
}

/* ---- Secrets */

static unsigned on_psk(SSL *ssl, const char *hint, char *identity, unsigned identity_room, unsigned char *key, unsigned key_room)
{
    const coap_secrets *k = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    size_t len = k->identity ? strlen(k->identity) : 0;

    (void)hint;
    if (len == 0 || len >= identity_room || k->key_len > key_room) return 0;
    memcpy(identity, k->identity, len + 1);
    memcpy(key, k->key, k->key_len);
    return k->key_len;
}

static int ssl_fail(bridge_error *err, int status, const char *what, const char *file)
{
    char why[160];

    ERR_error_string_n(ERR_peek_last_error(), why, sizeof why);
    ERR_clear_error();
    return fail(err, status, "%s %s: %s", what, file, why);
}

static int take_certificates(coap_secrets *k, const bridge_url *u, bridge_error *err)
{
    const char *cert = url_get(u, "cert"), *key = url_get(u, "key"), *ca = url_get(u, "ca");

    if (cert && SSL_CTX_use_certificate_chain_file(k->ctx, cert) != 1) return ssl_fail(err, BRIDGE_IO, "certificate", cert);
    if (cert && SSL_CTX_use_PrivateKey_file(k->ctx, key ? key : cert, SSL_FILETYPE_PEM) != 1)
        return ssl_fail(err, BRIDGE_IO, "private key", key ? key : cert);
    if (ca && SSL_CTX_load_verify_file(k->ctx, ca) != 1) return ssl_fail(err, BRIDGE_IO, "certificates of authorities", ca);
    if (!ca) SSL_CTX_set_default_verify_paths(k->ctx);
    SSL_CTX_set_verify(k->ctx, k->verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    return 0;
}

static int take_key(coap_secrets *k, const char *file, const char *identity, bridge_error *err)
{
    psks *keys;
    text who = text_of(identity ? identity : "");
    int rc = psks_read(&keys, k->mem, file, err);

    if (rc < 0) return rc;
    if (!identity) rc = psks_only(keys, &who);
    if (rc == 0) k->key_len = psks_find(keys, who, k->key, sizeof k->key);
    if (rc == 0 && k->key_len) k->identity = mem_text_len(k->mem, who.p, who.len);
    psks_free(keys);
    if (rc < 0) return fail(err, BRIDGE_INVALID, "psk_file %s holds several keys: say identity=, too", file);
    if (!k->key_len) return fail(err, BRIDGE_INVALID, "psk_file %s has no key for identity %.60s", file, identity);
    if (!k->identity) return fail_nomem(err);
    SSL_CTX_set_psk_client_callback(k->ctx, on_psk);
    return 0;
}

static int method_make(coap_secrets *k)
{
    k->method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "coap datagram");
    if (!k->method) return BRIDGE_NOMEM;
    BIO_meth_set_read(k->method, on_bio_read);
    BIO_meth_set_write(k->method, on_bio_write);
    BIO_meth_set_ctrl(k->method, on_bio_ctrl);
    return 0;
}

static int secrets_fill(coap_secrets *k, bool datagrams, const bridge_url *u, bridge_error *err)
{
    const char *keys = url_get(u, "psk_file");
    int rc = url_get_bool(u, "verify", true, &k->verify, err);

    if (rc < 0) return rc;
    k->ctx = SSL_CTX_new(datagrams ? DTLS_client_method() : TLS_client_method());
    if (!k->ctx || method_make(k) < 0) return fail_nomem(err);
    SSL_CTX_set_app_data(k->ctx, k);
    SSL_CTX_set_min_proto_version(k->ctx, datagrams ? DTLS1_2_VERSION : TLS1_2_VERSION);
    SSL_CTX_set_options(k->ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_QUERY_MTU);
    /* RFC 7252 9.1.3: the two CCM_8 suites are mandatory; OpenSSL counts their tag as weak, so they want security level 1 */
    SSL_CTX_set_cipher_list(k->ctx, keys ? "ECDHE-PSK-AES128-CBC-SHA256:PSK-AES128-GCM-SHA256:PSK-AES128-CCM8:PSK-AES128-CCM:"
                                           "PSK-AES256-CCM8:PSK-AES128-CBC-SHA256:@SECLEVEL=1"
                                         : "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE-ECDSA-AES128-CCM8:@SECLEVEL=1");
    if (keys) return take_key(k, keys, url_get(u, "identity"), err);
    return take_certificates(k, u, err);
}

int coap_secrets_new(coap_secrets **out, mem *m, coap_transport transport, const bridge_url *u, bridge_error *err)
{
    coap_secrets *k = mem_new(m, coap_secrets);
    int rc;

    if (!k) return fail_nomem(err);
    k->mem = m;
    k->refs = 1;
    rc = secrets_fill(k, transport == COAP_DTLS, u, err);
    if (rc == 0)
        *out = k;
    else
        coap_secrets_unref(k);
    return rc;
}

void coap_secrets_unref(coap_secrets *k)
{
    if (!k || --k->refs) return;
    SSL_CTX_free(k->ctx);
    BIO_meth_free(k->method);
    OPENSSL_cleanse(k->key, sizeof k->key);
    mem_free(k->mem, k->identity);
    mem_free(k->mem, k);
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

    s->in = c->in;
    s->in_len = len;
    if (!s->ready && !shake(s)) return false;
    while (f->session == s && s->ready) {
        ERR_clear_error();
        n = SSL_read(s->ssl, plain, sizeof plain);
        if (n <= 0) {
            why = SSL_get_error(s->ssl, n);
            s->in = NULL;
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

static int name_it(SSL *ssl, const coap_far *f)
{
    if (f->numeric) return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), f->host) == 1 ? 0 : BRIDGE_INVALID;
    SSL_set_tlsext_host_name(ssl, f->host);
    return SSL_set1_host(ssl, f->host) == 1 ? 0 : BRIDGE_NOMEM;
}

static far_session *session_new(coap_far *f)
{
    far_session *s = mem_new(f->client->mem, far_session);
    BIO *b = BIO_new(f->secrets->method);

    if (s) s->ssl = SSL_new(f->secrets->ctx);
    if (!s || !s->ssl || !b || name_it(s->ssl, f) < 0) {
        if (s) SSL_free(s->ssl);
        BIO_free(b);
        mem_free(f->client->mem, s);
        return NULL;
    }
    s->far = f;
    BIO_set_data(b, s);
    BIO_set_init(b, 1);
    SSL_set_bio(s->ssl, b, b);
    SSL_set_mtu(s->ssl, DTLS_MTU);
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
