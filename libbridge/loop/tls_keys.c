/* Certificates, keys and settings: from files to an SSL_CTX, each step with its own sentence when it fails. */
#include "loop/tls_keys.h"
#include "base/status.h"
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <unistd.h>

const char *tls_reason(void)
{
    unsigned long e = ERR_peek_error(), last = ERR_peek_last_error();
    const char *why = ERR_reason_error_string(e ? e : last);

    ERR_clear_error();
    return why ? why : "no reason was given";
}

/* ---- what OpenSSL asks of us */

int tls_never_ask(char *room, int size, int writing, void *user)
{
    (void)room, (void)size, (void)writing, (void)user;
    return 0; /* nobody sits at a terminal */
}

static unsigned on_psk(SSL *ssl, const char *identity, unsigned char *key, unsigned room)
{
    const tls_keys *k = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));

    return claim_key(SSL_get_app_data(ssl), k->mem, k->asker, k->psk, identity, key, room); /* proven when the handshake is done */
}

static int on_certificate(X509_STORE_CTX *chain, void *user)
{
    const tls_keys *k = user;
    SSL *ssl = X509_STORE_CTX_get_ex_data(chain, SSL_get_ex_data_X509_STORE_CTX_idx());

    return claim_certificate(SSL_get_app_data(ssl), k->mem, k->asker, chain);
}

/* RFC 7301 3.2: the first of our names, which stand in the order that we like them, that the client offers; who offers protocols but
 * none of ours has come to the wrong door. */
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *offered, unsigned len, void *user)
{
    const tls_keys *k = user;
    text name, rest = text_of(k->alpn);

    (void)ssl;
    while (rest.len) {
        text_cut(rest, ',', &name, &rest);
        for (unsigned at = 0; at < len && at + 1 + offered[at] <= len; at += 1 + offered[at])
            if (offered[at] == name.len && memcmp(offered + at + 1, name.p, name.len) == 0) {
                *out = offered + at + 1;
                *out_len = offered[at];
                return SSL_TLSEXT_ERR_OK;
            }
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* ---- the steps */

int tls_readable(const char *name, bridge_error *err)
{
    return access(name, R_OK) == 0 ? 0 : fail(err, BRIDGE_IO, "cannot read %s: %s", name, strerror(errno));
}

int tls_take_pair(SSL_CTX *ctx, const tls_pair *pair, bridge_error *err)
{
    int rc = tls_readable(pair->cert, err);

    if (rc == 0) rc = tls_readable(pair->key, err);
    if (rc < 0) return rc;
    if (SSL_CTX_use_certificate_chain_file(ctx, pair->cert) != 1)
        return fail(err, BRIDGE_SYNTAX, "%s holds no certificate in PEM: %s", pair->cert, tls_reason());
    if (SSL_CTX_use_PrivateKey_file(ctx, pair->key, SSL_FILETYPE_PEM) == 1 && SSL_CTX_check_private_key(ctx) == 1) return 0;
    if (ERR_GET_REASON(ERR_peek_last_error()) == X509_R_KEY_VALUES_MISMATCH ||
        ERR_GET_REASON(ERR_peek_last_error()) == X509_R_KEY_TYPE_MISMATCH)
        rc = fail(err, BRIDGE_INVALID, "the key in %s does not belong to the certificate in %s", pair->key, pair->cert);
    else
        rc = fail(err, BRIDGE_SYNTAX, "%s holds no key in PEM, or one with a password on it: %s", pair->key, tls_reason());
    ERR_clear_error();
    return rc;
}

static int take_certs(tls_keys *k, const tls_said *said, bridge_error *err)
{
    tls_pairs pairs = {NULL, 0, 0};
    int rc = tls_said_pairs(said, k->mem, &pairs, err);

    if (rc == 0 && pairs.count) rc = tls_take_pair(k->ctx, &pairs.at[0], err);
    if (rc == 0 && pairs.count > 1) rc = tls_names_new(&k->names, k->mem, &pairs, err);
    if (k->names) SSL_CTX_set_cert_cb(k->ctx, tls_names_choose, k->names);
    tls_pairs_done(&pairs, k->mem);
    return rc;
}

static int take_ca(tls_keys *k, const tls_said *said, bridge_error *err)
{
    int rc = tls_readable(said->ca, err);

    if (rc < 0) return rc;
    if (SSL_CTX_load_verify_file(k->ctx, said->ca) != 1)
        return fail(err, BRIDGE_SYNTAX, "%s holds no certificates in PEM: %s", said->ca, tls_reason());
    SSL_CTX_set_client_CA_list(k->ctx, SSL_load_client_CA_file(said->ca));
    SSL_CTX_set_verify(k->ctx, SSL_VERIFY_PEER | (said->client_optional ? 0 : SSL_VERIFY_FAIL_IF_NO_PEER_CERT), NULL);
    if (!said->crl) return 0;
    rc = tls_readable(said->crl, err);
    if (rc < 0) return rc;
    if (X509_load_crl_file(X509_STORE_add_lookup(SSL_CTX_get_cert_store(k->ctx), X509_LOOKUP_file()), said->crl, X509_FILETYPE_PEM) < 1)
        return fail(err, BRIDGE_SYNTAX, "%s holds no revocation list in PEM: %s", said->crl, tls_reason());
    X509_STORE_set_flags(SSL_CTX_get_cert_store(k->ctx), X509_V_FLAG_CRL_CHECK);
    return 0;
}

static int take_psk(tls_keys *k, const tls_said *said, bridge_error *err)
{
    int rc = said->psk_file ? psks_read(&k->psk, k->mem, said->psk_file, err) : 0;

    if (rc < 0) return rc;
    SSL_CTX_set_psk_server_callback(k->ctx, on_psk);
    /* Who has a key is to be known by it, beside a certificate of ours, too.  OpenSSL takes such a key to be one for SHA-256
     * (RFC 8446 4.2.11), and would pass it over for a suite with another hash. */
    SSL_CTX_set_cipher_list(k->ctx, "kECDHEPSK:kPSK:ALL:!COMPLEMENTOFDEFAULT:!eNULL");
    SSL_CTX_set_ciphersuites(k->ctx, "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384");
    return 0;
}

/* The application has a word about each certificate, whoever signed it. */
static void take_asker(tls_keys *k, const tls_said *said)
{
    if (said->pairs.count || said->dir) SSL_CTX_set_verify(k->ctx, SSL_VERIFY_PEER | (said->client_optional ? 0 : SSL_VERIFY_FAIL_IF_NO_PEER_CERT), NULL);
    SSL_CTX_set_cert_verify_callback(k->ctx, on_certificate, k);
}

static int take_ciphers(tls_keys *k, const tls_said *said, bridge_error *err)
{
    if (said->ciphers && SSL_CTX_set_cipher_list(k->ctx, said->ciphers) != 1)
        return fail(err, BRIDGE_INVALID, "ciphers=%s: none of them is known", said->ciphers);
    if (said->ciphersuites && SSL_CTX_set_ciphersuites(k->ctx, said->ciphersuites) != 1)
        return fail(err, BRIDGE_INVALID, "ciphersuites=%s: not all of them are known", said->ciphersuites);
    ERR_clear_error();
    return 0;
}

/* Tickets stay good over a reload, unless who may come in has changed with it. */
static void take_tickets(tls_keys *k, const tls_said *said, const tls_keys *old)
{
    unsigned char keys[80];

    SSL_CTX_set_session_id_context(k->ctx, (const unsigned char *)"bridge", 6);
    SSL_CTX_set_session_cache_mode(k->ctx, SSL_SESS_CACHE_OFF);
    if (said->psk_file || said->asks) { /* a ticket would not say whose it is, nor ask again */
        SSL_CTX_set_options(k->ctx, SSL_OP_NO_TICKET);
        SSL_CTX_set_num_tickets(k->ctx, 0);
        return;
    }
    SSL_CTX_set_num_tickets(k->ctx, 1);
    if (old && !said->ca && SSL_CTX_get_tlsext_ticket_keys(old->ctx, keys, sizeof keys) == 1)
        SSL_CTX_set_tlsext_ticket_keys(k->ctx, keys, sizeof keys);
    OPENSSL_cleanse(keys, sizeof keys);
}

static int fill(tls_keys *k, const tls_said *said, const tls_keys *old, bridge_error *err)
{
    int rc;

    k->ctx = SSL_CTX_new(TLS_server_method());
    k->bio = tls_bio_method();
    k->alpn = mem_text(k->mem, said->alpn);
    k->identity = mem_text(k->mem, said->identity);
    if (!k->ctx || !k->bio || (said->alpn && !k->alpn) || (said->identity && !k->identity)) return fail_nomem(err);
    SSL_CTX_set_app_data(k->ctx, k);
    SSL_CTX_set_default_passwd_cb(k->ctx, tls_never_ask);
    SSL_CTX_set_min_proto_version(k->ctx, said->only_13 ? TLS1_3_VERSION : TLS1_2_VERSION);
    SSL_CTX_set_options(k->ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_mode(k->ctx, SSL_MODE_RELEASE_BUFFERS);
    if (k->alpn) SSL_CTX_set_alpn_select_cb(k->ctx, on_alpn, k);
    take_tickets(k, said, old);
    rc = take_certs(k, said, err);
    if (rc == 0 && said->ca) rc = take_ca(k, said, err);
    if (rc == 0 && (said->psk_file || said->asks)) rc = take_psk(k, said, err);
    if (rc == 0 && said->asks) take_asker(k, said);
    return rc == 0 ? take_ciphers(k, said, err) : rc;
}

int tls_keys_new(tls_keys **out, mem *m, const tls_said *said, const tls_keys *old, const claim_asker *asker, bridge_error *err)
{
    tls_keys *k = mem_new(m, tls_keys);
    int rc;

    if (!k) return fail_nomem(err);
    k->mem = m;
    k->refs = 1;
    k->asker = asker;
    rc = fill(k, said, old, err);
    ERR_clear_error();
    if (rc == 0) *out = k;
    else tls_keys_unref(k);
    return rc;
}

void tls_keys_unref(tls_keys *k)
{
    if (!k || --k->refs) return;
    SSL_CTX_free(k->ctx);
    BIO_meth_free(k->bio);
    psks_free(k->psk);
    tls_names_free(k->names);
    mem_free(k->mem, k->alpn);
    mem_free(k->mem, k->identity);
    mem_free(k->mem, k);
}

/* ---- who is it */

static char *text_of_asn1(mem *m, const ASN1_STRING *s)
{
    unsigned char *utf8 = NULL;
    int n = s ? ASN1_STRING_to_UTF8(&utf8, s) : -1;
    char *name = NULL;

    if (n > 0 && n <= TLS_IDENTITY_MAX && !memchr(utf8, 0, (size_t)n) && text_is_utf8(utf8, (size_t)n))
        name = mem_text_len(m, (char *)utf8, (size_t)n);
    OPENSSL_free(utf8);
    return name;
}

static char *common_name(mem *m, const X509 *leaf)
{
    const X509_NAME *subject = X509_get_subject_name(leaf);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);

    return at < 0 ? NULL : text_of_asn1(m, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
}

static char *alternative(mem *m, const X509 *leaf, int type) /* GEN_*; -1: the first of any */
{
    GENERAL_NAMES *all = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
    char *name = NULL;

    for (int i = 0; all && !name && i < sk_GENERAL_NAME_num(all); i++) {
        const GENERAL_NAME *g = sk_GENERAL_NAME_value(all, i);
        bool is_text = g->type == GEN_DNS || g->type == GEN_EMAIL || g->type == GEN_URI;
        if (is_text && (type < 0 || g->type == type)) name = text_of_asn1(m, g->d.ia5);
    }
    GENERAL_NAMES_free(all);
    return name;
}

char *tls_certified(const SSL *ssl, const char *want, mem *m)
{
    const X509 *leaf = SSL_get0_peer_certificate(ssl);

    if (!leaf || SSL_get_verify_result(ssl) != X509_V_OK || !(SSL_get_verify_mode(ssl) & SSL_VERIFY_PEER)) return NULL;
    return tls_name_in(leaf, want, m);
}

char *tls_name_in(const X509 *leaf, const char *want, mem *m)
{
    char *name;

    if (!want) want = "";
    if (strcmp(want, "dns") == 0) return alternative(m, leaf, GEN_DNS);
    if (strcmp(want, "email") == 0) return alternative(m, leaf, GEN_EMAIL);
    if (strcmp(want, "uri") == 0) return alternative(m, leaf, GEN_URI);
    name = common_name(m, leaf);
    return name || *want ? name : alternative(m, leaf, -1);
}
