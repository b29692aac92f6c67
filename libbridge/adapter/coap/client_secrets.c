/* What keeps DTLS and TLS towards others safe: a pre-shared key, or certificates (RFC 7252 9.1, RFC 8323 9). */
#include "adapter/coap/client_inside.h"
#include "adapter/coap/dtls_bio.h"
#include "base/status.h"
#include "core/url.h"
#include "loop/psk.h"
#include "loop/tls.h"
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

const char *const coap_secrets_options[] = {"psk_file", "identity", "ca", "cert", "key", "verify", NULL};

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
    SSL_CTX_set_verify(k->ctx, SSL_VERIFY_PEER, NULL); /* TLS 1.3: who passes the key over for a certificate is nobody we trust */
    return 0;
}

static int secrets_fill(coap_secrets *k, bool datagrams, const bridge_url *u, bridge_error *err)
{
    const char *keys = url_get(u, "psk_file");
    int rc = url_get_bool(u, "verify", true, &k->verify, err);

    if (rc < 0) return rc;
    k->ctx = SSL_CTX_new(datagrams ? DTLS_client_method() : TLS_client_method());
    k->method = datagrams ? dtls_bio_method() : tls_bio_method();
    if (!k->ctx || !k->method) return fail_nomem(err);
    if (!datagrams) SSL_CTX_set_alpn_protos(k->ctx, (const unsigned char *)"\4coap", 5); /* RFC 8323 8.2 */
    SSL_CTX_set_app_data(k->ctx, k);
    SSL_CTX_set_min_proto_version(k->ctx, datagrams ? DTLS1_2_VERSION : TLS1_2_VERSION);
    SSL_CTX_set_options(k->ctx, SSL_OP_NO_RENEGOTIATION);
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

static int name_it(SSL *ssl, const coap_far *f)
{
    if (f->numeric) return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), f->host) == 1 ? 0 : BRIDGE_INVALID;
    SSL_set_tlsext_host_name(ssl, f->host);
    return SSL_set1_host(ssl, f->host) == 1 ? 0 : BRIDGE_NOMEM;
}

SSL *secrets_ssl(const coap_far *f)
{
    SSL *ssl = SSL_new(f->secrets->ctx);

    if (ssl && name_it(ssl, f) == 0) return ssl;
    SSL_free(ssl);
    return NULL;
}
