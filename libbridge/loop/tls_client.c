/* TLS as a client: what we prove, and what has to be proved to us. */
#include "base/status.h"
#include "loop/tls_keys.h"
#include <openssl/err.h>
#include <openssl/x509v3.h>

static unsigned on_psk(SSL *ssl, const char *hint, char *name, unsigned room, unsigned char *key, unsigned key_room)
{
    const tls_keys *k = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    text identity;

    (void)hint;
    if (psks_only(k->psk, &identity) < 0 || identity.len >= room) return 0;
    memcpy(name, identity.p, identity.len);
    name[identity.len] = 0;
    return psks_find(k->psk, identity, key, key_room);
}

static int take_psk(tls_keys *k, const tls_said_by_us *said, bridge_error *err)
{
    text identity;
    int rc = psks_read(&k->psk, k->mem, said->psk_file, err);

    if (rc < 0) return rc;
    if (psks_only(k->psk, &identity) < 0) return fail(err, BRIDGE_INVALID, "%s: one line identity:key in hexadecimal is wanted", said->psk_file);
    SSL_CTX_set_psk_client_callback(k->ctx, on_psk);
    SSL_CTX_set_max_proto_version(k->ctx, TLS1_2_VERSION); /* servers that know keys by name know them there */
    return SSL_CTX_set_cipher_list(k->ctx, said->ciphers ? said->ciphers : "PSK") == 1 ? 0 : fail(err, BRIDGE_INVALID, "no cipher for a shared key");
}

static int take_authorities(tls_keys *k, const tls_said_by_us *said, bridge_error *err)
{
    int rc = said->ca ? tls_readable(said->ca, err) : 0;

    if (rc < 0) return rc;
    if (said->ca && SSL_CTX_load_verify_file(k->ctx, said->ca) != 1)
        return fail(err, BRIDGE_SYNTAX, "%s holds no certificates in PEM: %s", said->ca, tls_reason());
    if (!said->ca) SSL_CTX_set_default_verify_paths(k->ctx);
    SSL_CTX_set_verify(k->ctx, said->lax ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
    return 0;
}

static int take_alpn(tls_keys *k, const char *name, bridge_error *err)
{
    size_t n = strlen(name);
    unsigned char framed[256];

    if (n == 0 || n > 255) return fail(err, BRIDGE_INVALID, "alpn=%.60s: 1 to 255 bytes are wanted", name);
    framed[0] = (unsigned char)n; /* RFC 7301 3.1 */
    memcpy(framed + 1, name, n);
    return SSL_CTX_set_alpn_protos(k->ctx, framed, (unsigned)n + 1) == 0 ? 0 : fail_nomem(err);
}

static int fill(tls_keys *k, const tls_said_by_us *said, bridge_error *err)
{
    tls_pair pair = {(char *)said->cert, (char *)(said->key ? said->key : said->cert)};
    int rc;

    k->ctx = SSL_CTX_new(TLS_client_method());
    k->bio = tls_bio_method();
    if (!k->ctx || !k->bio) return fail_nomem(err);
    SSL_CTX_set_app_data(k->ctx, k);
    SSL_CTX_set_default_passwd_cb(k->ctx, tls_never_ask);
    SSL_CTX_set_min_proto_version(k->ctx, TLS1_2_VERSION);
    SSL_CTX_set_options(k->ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_session_cache_mode(k->ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(k->ctx, SSL_MODE_RELEASE_BUFFERS);
    if (said->psk_file) return take_psk(k, said, err);
    if (said->ciphers && SSL_CTX_set_cipher_list(k->ctx, said->ciphers) != 1)
        return fail(err, BRIDGE_INVALID, "ciphers=%.100s: none of them is known", said->ciphers);
    rc = take_authorities(k, said, err);
    return rc == 0 && said->cert ? tls_take_pair(k->ctx, &pair, err) : rc;
}

int tls_client_new(tls_client **out, mem *m, const tls_said_by_us *said, bridge_error *err)
{
    tls_keys *k = mem_new(m, tls_keys);
    int rc;

    if (!k) return fail_nomem(err);
    k->mem = m;
    k->refs = 1;
    rc = fill(k, said, err);
    if (rc == 0 && said->alpn) rc = take_alpn(k, said->alpn, err);
    ERR_clear_error();
    if (rc == 0) *out = k;
    else tls_keys_unref(k);
    return rc;
}

tls_client *tls_client_ref(tls_client *c)
{
    c->refs++;
    return c;
}

void tls_client_unref(tls_client *c)
{
    tls_keys_unref(c);
}

static int mean(SSL *ssl, const char *name)
{
    X509_VERIFY_PARAM *wanted = SSL_get0_param(ssl);
    bool address = X509_VERIFY_PARAM_set1_ip_asc(wanted, name) == 1; /* an address is not said: RFC 6066 3 */

    ERR_clear_error();
    X509_VERIFY_PARAM_set_hostflags(wanted, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return address || (SSL_set_tlsext_host_name(ssl, name) == 1 && SSL_set1_host(ssl, name) == 1) ? 0 : BRIDGE_INVALID;
}

int tls_client_dial(stream **out, loop *l, const struct sockaddr *to, size_t len, tls_client *c, const char *name, const tls_call *call)
{
    SSL *ssl = SSL_new(c->ctx);
    int rc = ssl ? mean(ssl, name) : BRIDGE_NOMEM;

    if (rc == 0) return tls_dial(out, l, to, len, ssl, c->bio, call);
    SSL_free(ssl);
    return rc;
}
