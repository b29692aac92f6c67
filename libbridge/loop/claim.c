#include "loop/claim.h"
#include "base/hash.h"
#include "loop/tls.h"
#include <openssl/crypto.h>
#include <openssl/x509.h>

enum { MARK = 0x636c61 };

void claim_drop(claim *c, mem *m)
{
    mem_free(m, c->identity);
    mem_free(m, c->name);
    *c = (claim){0};
}

static bridge_verdict ask(const claim_asker *a, bridge_credential *c, char *name)
{
    *name = 0;
    c->size = sizeof *c;
    c->name = name;
    c->name_room = CLAIM_NAME;
    return a && a->fn ? a->fn(a->user, c) : BRIDGE_DEFER;
}

/* The application's word, then the file's. */
static unsigned find_key(const claim_asker *a, const psks *file, const char *identity, uint8_t *key, size_t room, char *name)
{
    bridge_credential c = {.identity = identity, .key = key, .key_room = room < PSK_MAX ? room : PSK_MAX};

    switch (ask(a, &c, name)) {
    case BRIDGE_ALLOW: return c.key_len <= c.key_room && text_is_utf8(name, strlen(name)) ? (unsigned)c.key_len : 0;
    case BRIDGE_DEFER: *name = 0; return file ? psks_find(file, text_of(identity), key, room) : 0;
    default: return 0;
    }
}

unsigned claim_key(claim *c, mem *m, const claim_asker *a, const psks *file, const char *identity, uint8_t *key, size_t room)
{
    char name[CLAIM_NAME];
    unsigned n = identity && *identity && strlen(identity) <= TLS_IDENTITY_MAX ? find_key(a, file, identity, key, room, name) : 0;

    claim_drop(c, m);
    if (n == 0) return 0;
    c->identity = mem_text(m, identity);
    c->name = *name ? mem_text(m, name) : NULL;
    c->key_mark = hash_bytes(key, n, MARK);
    return c->identity && (!*name || c->name) ? n : 0;
}

/* DEFER leaves it to the chain. */
static bool is_welcome(const claim_asker *a, X509 *leaf, bool trusted, mem *m, char *name)
{
    char *known = tls_name_in(leaf, NULL, m);
    unsigned char *der = NULL;
    int len = i2d_X509(leaf, &der);
    bridge_credential c = {.identity = known ? known : "", .certificate = der, .certificate_len = len > 0 ? (size_t)len : 0, .trusted = trusted};
    bridge_verdict v = len > 0 ? ask(a, &c, name) : BRIDGE_DENY;

    if (v != BRIDGE_ALLOW) *name = 0;
    mem_free(m, known);
    OPENSSL_free(der);
    return v == BRIDGE_DEFER ? trusted : v == BRIDGE_ALLOW && text_is_utf8(name, strlen(name));
}

int claim_certificate(claim *c, mem *m, const claim_asker *a, X509_STORE_CTX *chain)
{
    bool trusted = X509_verify_cert(chain) > 0, well;
    X509 *leaf = X509_STORE_CTX_get0_cert(chain);
    char name[CLAIM_NAME];

    claim_drop(c, m);
    well = leaf && is_welcome(a, leaf, trusted, m, name);
    if (!well) {
        if (trusted) X509_STORE_CTX_set_error(chain, X509_V_ERR_CERT_REJECTED);
        return 0;
    }
    X509_STORE_CTX_set_error(chain, X509_V_OK);
    c->trusted = trusted;
    c->name = *name ? mem_text(m, name) : NULL;
    return !*name || c->name;
}

bool claim_is_of(const claim *c, const char *name, const char *identity)
{
    return !identity || (name && strcmp(name, identity) == 0) || (c->identity && strcmp(c->identity, identity) == 0);
}

bool claim_holds(const claim *c, mem *m, const claim_asker *a, const psks *file, const SSL *ssl)
{
    uint8_t key[PSK_MAX];
    char name[CLAIM_NAME];
    X509 *leaf = c->identity ? NULL : SSL_get0_peer_certificate(ssl);
    unsigned n;
    bool well = true;

    if (c->identity) {
        n = find_key(a, file, c->identity, key, sizeof key, name);
        well = n > 0 && hash_bytes(key, n, MARK) == c->key_mark;
        OPENSSL_cleanse(key, sizeof key);
    } else if (leaf) {
        well = is_welcome(a, leaf, c->trusted, m, name);
    } else {
        return true; /* it has claimed nothing */
    }
    return well && strcmp(name, c->name ? c->name : "") == 0;
}
