#include "adapter/coap/dtls.h"
#include "adapter/coap/dtls_bio.h"
#include "loop/claim.h"
#include "loop/tls.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/map.h"
#include "base/status.h"
#include "core/url.h"
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/hmac.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <sys/stat.h>

const char *const coap_dtls_options[] = {"cert", "key", "ca", "crl", "psk_file", "credentials", NULL};

enum {
    DTLS_RESUMABLE = 10000,      /* sessions that may be resumed */
    DTLS_RESUME = 3600,          /* s */
    DTLS_HANDSHAKE = 30000,      /* ms; then a session that is not done is given up */
    DTLS_IDLE = 24 * 3600 * 1000, /* ms; a device that sleeps longer must shake hands again */
    DTLS_LOOK_AGAIN = 1000,      /* ms between looks at the files */
    DTLS_BEAT = 500,             /* ms between looks at handshakes under way */
    DTLS_COOKIE = 16,
    DTLS_PLAIN_MAX = 16384
};

typedef struct session {
    coap_via via;
    coap_dtls *d;
    coap_address address;
    SSL *ssl; /* NULL: a place for the next ClientHello */
    coap_peer *peer;
    list link; /* among handshakes, or among those that talk, the longest silent first */
    int64_t began, seen;
    dtls_bio io;
    bool ready, over;
    char name[COAP_ADDRESS_TEXT], *user; /* or NULL */
    claim claimed;
} session;

struct coap_dtls {
    coap_port *cp;
    SSL_CTX *ctx;
    BIO_METHOD *method;
    psks *keys;
    claim_asker asker; /* credentials=ask */
    const bridge_url *url; /* the port's: names the files, which are looked at again */
    uint64_t mark;         /* of the files as they were read */
    int64_t looked;
    map sessions; /* by address */
    list handshakes, talking;
    session *door; /* hears ClientHellos of nobody yet */
    timer beat;
    BIO_ADDR *nobody;
    uint8_t secret[32], plain[DTLS_PLAIN_MAX];
    unsigned count;
};

static void on_bio_send(dtls_bio *io, const uint8_t *p, size_t len)
{
    session *s = list_of(io, session, io);
    uint8_t *room = coap_udp_room(s->d->cp->udp, len);

    if (!room) return;
    memcpy(room, p, len);
    coap_udp_send(s->d->cp->udp, &s->address, room, len);
}

/* ---- What OpenSSL asks */

static session *session_of(SSL *ssl) { return SSL_get_app_data(ssl); }

static void cookie_of(const session *s, unsigned char *out)
{
    unsigned char whole[EVP_MAX_MD_SIZE];
    unsigned len = 0;

    HMAC(EVP_sha256(), s->d->secret, sizeof s->d->secret, (const unsigned char *)&s->address, sizeof s->address, whole, &len);
    memcpy(out, whole, DTLS_COOKIE);
}

static int on_cookie(SSL *ssl, unsigned char *cookie, unsigned *len)
{
    cookie_of(session_of(ssl), cookie);
    *len = DTLS_COOKIE;
    return 1;
}

static int on_verify_cookie(SSL *ssl, const unsigned char *cookie, unsigned len)
{
    unsigned char wanted[DTLS_COOKIE];

    cookie_of(session_of(ssl), wanted);
    return len == DTLS_COOKIE && CRYPTO_memcmp(cookie, wanted, len) == 0;
}

static unsigned on_psk(SSL *ssl, const char *identity, unsigned char *key, unsigned room)
{
    session *s = session_of(ssl);

    return claim_key(&s->claimed, s->d->cp->mem, &s->d->asker, s->d->keys, identity, key, room);
}

static int on_certificate(X509_STORE_CTX *chain, void *user)
{
    session *s = session_of(X509_STORE_CTX_get_ex_data(chain, SSL_get_ex_data_X509_STORE_CTX_idx()));

    (void)user;
    return claim_certificate(&s->claimed, s->d->cp->mem, &s->d->asker, chain);
}

/* ---- Sessions */

static uint8_t *on_room(coap_via *via, size_t len)
{
    session *s = list_of(via, session, via);
    buf *b = &s->d->cp->frame;

    buf_clear(b);
    return s->ready && !s->over && buf_room(b, len) == 0 ? b->data : NULL;
}

static void on_send(coap_via *via, const uint8_t *p, size_t len)
{
    session *s = list_of(via, session, via);

    SSL_write(s->ssl, p, (int)len);
    ERR_clear_error();
}

static session *session_new(coap_dtls *d)
{
    session *s = mem_new(d->cp->mem, session);

    if (s) s->ssl = SSL_new(d->ctx);
    if (!s || !s->ssl || !dtls_bio_join(&s->io, s->ssl, d->method)) {
        if (s) SSL_free(s->ssl);
        mem_free(d->cp->mem, s);
        return NULL;
    }
    s->d = d;
    list_init(&s->link);
    s->io.send = on_bio_send;
    SSL_set_app_data(s->ssl, s);
    SSL_set_options(s->ssl, SSL_OP_COOKIE_EXCHANGE);
    SSL_set_accept_state(s->ssl);
    s->via = (coap_via){.room = on_room, .send = on_send, .name = s->name, .user = NULL};
    return s;
}

static void session_free(session *s)
{
    coap_dtls *d = s->d;

    if (map_get(&d->sessions, &s->address, sizeof s->address) == s) {
        map_remove(&d->sessions, &s->address, sizeof s->address);
        d->count--;
    }
    list_remove(&s->link);
    s->over = true;
    if (s->peer) coap_peer_lost(s->peer);
    if (s->ready) SSL_shutdown(s->ssl);
    SSL_free(s->ssl);
    ERR_clear_error();
    mem_free(d->cp->mem, s->user);
    claim_drop(&s->claimed, d->cp->mem);
    mem_free(d->cp->mem, s);
}

static void take_name(session *s)
{
    const char *identity = SSL_get_psk_identity(s->ssl);
    mem *m = s->d->cp->mem;
    uint8_t key[PSK_MAX];

    if (identity && !s->claimed.identity) claim_key(&s->claimed, m, &s->d->asker, s->d->keys, identity, key, sizeof key); /* it is resumed */
    OPENSSL_cleanse(key, sizeof key);
    if (s->claimed.name)
        s->user = mem_text(m, s->claimed.name);
    else
        s->user = identity ? mem_text(m, identity) : tls_certified(s->ssl, NULL, m);
    s->via.user = s->user;
}

/* False: it is over. */
static bool session_shake(session *s)
{
    int rc = SSL_do_handshake(s->ssl);

    if (rc == 1) {
        take_name(s);
        s->peer = coap_peer_connected(s->d->cp->engine, &s->via);
        s->ready = s->peer != NULL;
        list_remove(&s->link);
        list_push(&s->d->talking, &s->link);
        return s->ready;
    }
    rc = SSL_get_error(s->ssl, rc);
    ERR_clear_error();
    return rc == SSL_ERROR_WANT_READ || rc == SSL_ERROR_WANT_WRITE;
}

static void session_input(session *s, const uint8_t *p, size_t len)
{
    coap_dtls *d = s->d;
    int64_t now = loop_now(d->cp->loop);
    bool well = true;
    int n, why;

    s->io.in = p;
    s->io.in_len = len;
    if (!s->ready) well = session_shake(s);
    while (well && s->ready) {
        n = SSL_read(s->ssl, d->plain, sizeof d->plain);
        if (n <= 0) {
            why = SSL_get_error(s->ssl, n);
            ERR_clear_error();
            well = why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE;
            break;
        }
        s->seen = now;
        list_remove(&s->link);
        list_push(&d->talking, &s->link);
        coap_peer_input(s->peer, now, d->plain, (size_t)n);
        if (d->cp->on_heard && s->ready) d->cp->on_heard(d->cp, NULL, s->peer);
    }
    s->io.in = NULL;
    if (!well) session_free(s);
}

/* ---- Coming in */

/* Over the limit the one that was silent longest goes; but nobody who talks goes for one who has yet to prove himself. */
static bool make_place(coap_dtls *d)
{
    unsigned most = coap_engine_limits(d->cp->engine)->max_peers;

    if (d->count < most) return true;
    if (!list_empty(&d->handshakes))
        session_free(list_of(d->handshakes.next, session, link));
    else if (!list_empty(&d->talking))
        session_free(list_of(d->talking.next, session, link));
    return d->count < most;
}

static void on_beat(timer *t)
{
    coap_dtls *d = list_of(t, coap_dtls, beat);
    int64_t now = loop_now(d->cp->loop);

    list_each_safe (it, &d->handshakes) {
        session *s = list_of(it, session, link);

        if (now - s->began > DTLS_HANDSHAKE || DTLSv1_handle_timeout(s->ssl) < 0) session_free(s);
    }
    while (!list_empty(&d->talking) && now - list_of(d->talking.next, session, link)->seen > DTLS_IDLE)
        session_free(list_of(d->talking.next, session, link));
    ERR_clear_error();
    coap_udp_flush(d->cp->udp);
    if (!list_empty(&d->handshakes))
        timer_start(&d->beat, d->cp->loop, DTLS_BEAT, on_beat);
    else if (!list_empty(&d->talking))
        timer_start(&d->beat, d->cp->loop, DTLS_IDLE / 24, on_beat);
}

static void look_again(coap_dtls *d);

/* Somebody with a good cookie comes in, maybe in the place of an earlier session of that address (RFC 6347 4.2.8). */
static void let_in(coap_dtls *d, session *s)
{
    session *before = map_get(&d->sessions, &s->address, sizeof s->address);

    if (before) {
        before->ready = false; /* no close_notify into the new handshake */
        session_free(before);
    }
    if (!make_place(d) || map_put(&d->sessions, &s->address, sizeof s->address, s, NULL) < 0) {
        session_free(s);
        return;
    }
    d->count++;
    s->began = s->seen = loop_now(d->cp->loop);
    coap_address_text(&s->address, s->name);
    list_push(&d->handshakes, &s->link);
    timer_start(&d->beat, d->cp->loop, DTLS_BEAT, on_beat);
    if (!session_shake(s)) session_free(s);
}

static void knock(coap_dtls *d, const coap_address *from, const uint8_t *p, size_t len)
{
    session *s;
    int rc;

    look_again(d);
    if (!d->door) d->door = session_new(d);
    s = d->door;
    if (!s) return;
    s->address = *from;
    s->io.in = p;
    s->io.in_len = len;
    rc = DTLSv1_listen(s->ssl, d->nobody);
    s->io.in = NULL;
    ERR_clear_error();
    if (rc == 0) return;
    d->door = NULL;
    if (rc > 0)
        let_in(d, s);
    else
        session_free(s);
}

/* RFC 6347 4.1, 4.2: content type 22, epoch 0, message type 1 */
static bool is_hello(const uint8_t *p, size_t len) { return len > 13 && p[0] == 22 && p[3] == 0 && p[4] == 0 && p[13] == 1; }

static void on_datagram(void *user, const coap_address *from, const uint8_t *p, size_t len, bool multicast)
{
    coap_dtls *d = user;
    session *s;

    if (multicast || d->cp->closing) return;
    s = map_get(&d->sessions, from, sizeof *from);
    d->cp->reading = true;
    if (is_hello(p, len) && (!s || s->ready))
        knock(d, from, p, len);
    else if (s)
        session_input(s, p, len);
    d->cp->reading = false;
}

/* ---- Life */

static int ssl_fail(bridge_error *err, int status, const char *what, const char *file)
{
    char why[160];

    ERR_error_string_n(ERR_peek_last_error(), why, sizeof why);
    ERR_clear_error();
    return fail(err, status, "%s %s: %s", what, file, why);
}

static int take_certificates(SSL_CTX *ctx, const bridge_url *u, bridge_error *err)
{
    const char *cert = url_get(u, "cert"), *key = url_get(u, "key"), *ca = url_get(u, "ca"), *crl = url_get(u, "crl");

    if (cert && SSL_CTX_use_certificate_chain_file(ctx, cert) != 1) return ssl_fail(err, BRIDGE_IO, "certificate", cert);
    if (cert && SSL_CTX_use_PrivateKey_file(ctx, key ? key : cert, SSL_FILETYPE_PEM) != 1)
        return ssl_fail(err, BRIDGE_IO, "private key", key ? key : cert);
    if (ca && SSL_CTX_load_verify_locations(ctx, ca, NULL) != 1) return ssl_fail(err, BRIDGE_IO, "certificates of authorities", ca);
    if (crl && !ca) return fail(err, BRIDGE_INVALID, "crl= needs ca=");
    if (crl && X509_load_crl_file(X509_STORE_add_lookup(SSL_CTX_get_cert_store(ctx), X509_LOOKUP_file()), crl, X509_FILETYPE_PEM) < 1)
        return ssl_fail(err, BRIDGE_SYNTAX, "revocation list", crl);
    if (crl) X509_STORE_set_flags(SSL_CTX_get_cert_store(ctx), X509_V_FLAG_CRL_CHECK);
    if (ca) SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    return 0;
}

static int ctx_make(coap_dtls *d, const bridge_url *u, bridge_error *err)
{
    const char *keys = url_get(u, "psk_file");
    bool asks = d->asker.fn != NULL;
    int rc;

    if (!keys && !asks && !url_get(u, "cert")) return fail(err, BRIDGE_INVALID, "coaps:// wants psk_file=, or cert= and key=");
    d->ctx = SSL_CTX_new(DTLS_server_method());
    if (!d->ctx) return fail_nomem(err);
    SSL_CTX_set_min_proto_version(d->ctx, DTLS1_2_VERSION);
    SSL_CTX_set_options(d->ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET | SSL_OP_CIPHER_SERVER_PREFERENCE);
    /* RFC 5246 F.1.4: a device that comes back, from another address perhaps, is spared the certificates.  What one session proved
     * holds for the next, as long as this context: new keys, certificates or revocations are a new one, and an empty cache. */
    SSL_CTX_set_session_cache_mode(d->ctx, asks ? SSL_SESS_CACHE_OFF : SSL_SESS_CACHE_SERVER); /* who is resumed is asked about nobody */
    SSL_CTX_sess_set_cache_size(d->ctx, DTLS_RESUMABLE);
    SSL_CTX_set_timeout(d->ctx, DTLS_RESUME);
    SSL_CTX_set_session_id_context(d->ctx, (const unsigned char *)"coaps", 5);
    SSL_CTX_set_cookie_generate_cb(d->ctx, on_cookie);
    SSL_CTX_set_cookie_verify_cb(d->ctx, on_verify_cookie);
    /* RFC 7252 9.1.3: the two CCM_8 suites are mandatory; OpenSSL counts their tag as weak, so they want security level 1 */
    SSL_CTX_set_cipher_list(d->ctx, "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE-ECDSA-AES128-CCM8:ECDHE-PSK-AES128-CBC-SHA256:PSK-AES128-GCM-SHA256:"
                                    "PSK-AES128-CCM8:PSK-AES128-CCM:PSK-AES256-CCM8:PSK-AES128-CBC-SHA256:@SECLEVEL=1");
    rc = take_certificates(d->ctx, u, err);
    if (rc == 0 && keys) rc = psks_read(&d->keys, d->cp->mem, keys, err);
    if (rc == 0 && (keys || asks)) SSL_CTX_set_psk_server_callback(d->ctx, on_psk);
    if (rc == 0 && asks && url_get(u, "cert")) SSL_CTX_set_verify(d->ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    if (rc == 0 && asks) SSL_CTX_set_cert_verify_callback(d->ctx, on_certificate, NULL);
    return rc;
}

/* ---- Files that have changed hold for those who come from now on */

static uint64_t look_at_files(const bridge_url *u)
{
    uint64_t mark = 1;

    for (const char *const *o = coap_dtls_options; *o; o++) {
        const char *file = url_get(u, *o);
        struct stat st;
        int64_t seen[4] = {0};

        if (file && stat(file, &st) == 0) {
            seen[0] = st.st_mtim.tv_sec;
            seen[1] = st.st_mtim.tv_nsec;
            seen[2] = st.st_size;
            seen[3] = (int64_t)st.st_ino;
        }
        mark = hash_bytes(seen, sizeof seen, mark);
    }
    return mark;
}

/* What cannot be read leaves things as they were. */
static int renew(coap_dtls *d, const bridge_url *u, claim_asker asker, bridge_error *err)
{
    coap_dtls fresh = {.cp = d->cp, .asker = asker};
    int rc = ctx_make(&fresh, u, err);

    if (rc < 0) {
        SSL_CTX_free(fresh.ctx);
        psks_free(fresh.keys);
        return rc;
    }
    if (d->door) session_free(d->door); /* it was made with the old ones */
    d->door = NULL;
    SSL_CTX_free(d->ctx);
    psks_free(d->keys);
    d->ctx = fresh.ctx;
    d->keys = fresh.keys;
    return 0;
}

static void look_again(coap_dtls *d)
{
    int64_t now = loop_now(d->cp->loop);
    bridge_error err = {0};
    uint64_t mark;

    if (now - d->looked < DTLS_LOOK_AGAIN) return;
    d->looked = now;
    mark = look_at_files(d->url);
    if (mark == d->mark) return;
    d->mark = mark;
    if (renew(d, d->url, d->asker, &err) < 0) bridge_port_log(d->cp->port, BRIDGE_LOG_WARN, NULL, "not read again: %s", err.text);
}

void coap_dtls_recheck(coap_dtls *d, const char *identity)
{
    d->looked -= DTLS_LOOK_AGAIN; /* the files, too */
    look_again(d);
    list_each_safe (it, &d->talking) {
        session *s = list_of(it, session, link);

        if (!claim_is_of(&s->claimed, s->user, identity)) continue;
        if (!claim_holds(&s->claimed, d->cp->mem, &d->asker, d->keys, s->ssl)) session_free(s);
    }
    coap_udp_flush(d->cp->udp);
}

/* files, or ask */
static int asker_take(const coap_dtls *d, const bridge_url *u, claim_asker *out, bridge_error *err)
{
    const char *said = url_get(u, "credentials");

    *out = (claim_asker){0};
    if (said && strcmp(said, "ask") != 0 && strcmp(said, "files") != 0)
        return fail(err, BRIDGE_INVALID, "option credentials=%s: one of files, ask is wanted", said);
    if (said && strcmp(said, "ask") == 0) *out = (claim_asker){bridge_port_credential, d->cp->port};
    return 0;
}

int coap_dtls_open(coap_dtls **out, coap_port *cp, const bridge_url *u, bridge_error *err)
{
    coap_dtls *d = mem_new(cp->mem, coap_dtls);
    uint64_t seed;
    int rc;

    if (!d) return fail_nomem(err);
    *out = d;
    d->cp = cp;
    list_init(&d->handshakes);
    list_init(&d->talking);
    random_bytes(&seed, sizeof seed);
    random_bytes(d->secret, sizeof d->secret);
    map_init(&d->sessions, cp->mem, seed);
    d->method = dtls_bio_method();
    d->nobody = BIO_ADDR_new();
    rc = d->method && d->nobody ? 0 : BRIDGE_NOMEM;
    if (rc < 0) return fail_nomem(err);
    d->url = u;
    d->looked = loop_now(cp->loop);
    d->mark = look_at_files(u);
    rc = asker_take(d, u, &d->asker, err);
    if (rc == 0) rc = ctx_make(d, u, err);
    return rc < 0 ? rc : coap_udp_open(&cp->udp, cp->port, u->host, u->port < 0 ? 5684 : u->port, on_datagram, d, err);
}

int coap_dtls_change(coap_dtls *d, const bridge_url *u, bridge_error *err)
{
    claim_asker asker;
    int rc = asker_take(d, u, &asker, err);

    if (rc == 0) rc = renew(d, u, asker, err);
    if (rc < 0) return rc;
    d->asker = asker;
    d->url = u;
    d->mark = look_at_files(u);
    return 0;
}

void coap_dtls_close(coap_dtls *d)
{
    if (!d) return;
    timer_stop(&d->beat);
    while (!list_empty(&d->handshakes)) session_free(list_of(d->handshakes.next, session, link));
    while (!list_empty(&d->talking)) session_free(list_of(d->talking.next, session, link));
    if (d->door) session_free(d->door);
    map_done(&d->sessions);
    SSL_CTX_free(d->ctx);
    BIO_meth_free(d->method);
    BIO_ADDR_free(d->nobody);
    psks_free(d->keys);
    OPENSSL_cleanse(d->secret, sizeof d->secret);
    mem_free(d->cp->mem, d);
}
