/* Certificates by server name (RFC 6066 3): a client says in its first message whom it wants, and gets the certificate that has this
 * name among its own; "*.example.org" stands for one segment (RFC 9525 6.3).  Who says no name, or one that nobody has, gets the
 * first certificate.  Several of one name (RSA beside ECDSA) are all offered: the client's signature algorithms choose. */
#include "base/clock.h"
#include "base/map.h"
#include "base/status.h"
#include "loop/tls_keys.h"
#include <ctype.h>
#include <openssl/x509v3.h>

typedef struct cert {
    X509 *leaf;
    EVP_PKEY *key;
    STACK_OF(X509) *chain;
} cert;

typedef struct name {
    struct name *next; /* another certificate of this name */
    size_t cert, len;
    char text[]; /* lower case */
} name;

struct tls_names {
    mem *mem;
    cert *certs;
    size_t count, room;
    map by_name;
};

static void put_lower(char *to, const char *from, size_t len)
{
    for (size_t i = 0; i < len; i++) to[i] = (char)tolower((unsigned char)from[i]);
}

static int name_add(tls_names *n, size_t which, const ASN1_STRING *s)
{
    const char *said = (const char *)ASN1_STRING_get0_data(s);
    int len = ASN1_STRING_length(s);
    name *one, *first;

    if (len <= 0 || len > TLS_IDENTITY_MAX || memchr(said, 0, (size_t)len)) return 0;
    one = mem_alloc(n->mem, sizeof *one + (size_t)len);
    if (!one) return BRIDGE_NOMEM;
    *one = (name){.cert = which, .len = (size_t)len};
    put_lower(one->text, said, one->len);
    first = map_get(&n->by_name, one->text, one->len);
    if (first) {
        one->next = first->next;
        first->next = one;
        return 0;
    }
    if (map_put(&n->by_name, one->text, one->len, one, NULL) == 0) return 0;
    mem_free(n->mem, one);
    return BRIDGE_NOMEM;
}

/* The DNS names; a certificate that has none goes by its common name. */
static int names_of(tls_names *n, size_t which)
{
    const X509 *leaf = n->certs[which].leaf;
    GENERAL_NAMES *all = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
    const X509_NAME *subject = X509_get_subject_name(leaf);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1), rc = 0, found = 0;

    for (int i = 0; all && rc == 0 && i < sk_GENERAL_NAME_num(all); i++) {
        const GENERAL_NAME *g = sk_GENERAL_NAME_value(all, i);
        if (g->type != GEN_DNS) continue;
        rc = name_add(n, which, g->d.ia5);
        found++;
    }
    GENERAL_NAMES_free(all);
    if (rc == 0 && !found && at >= 0) rc = name_add(n, which, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    return rc;
}

/* A context reads and checks the files; what it has read is kept, it goes. */
static int take(tls_names *n, const tls_pair *pair, bridge_error *err)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    int rc = ctx ? tls_take_pair(ctx, pair, err) : fail_nomem(err);
    cert *c;

    if (rc == 0) rc = mem_grow(n->mem, (void **)&n->certs, &n->room, n->count, sizeof *n->certs);
    if (rc == 0) {
        c = &n->certs[n->count++];
        *c = (cert){SSL_CTX_get0_certificate(ctx), SSL_CTX_get0_privatekey(ctx), NULL};
        X509_up_ref(c->leaf);
        EVP_PKEY_up_ref(c->key);
        SSL_CTX_get0_chain_certs(ctx, &c->chain);
        if (c->chain) c->chain = X509_chain_up_ref(c->chain);
        rc = names_of(n, n->count - 1);
    }
    SSL_CTX_free(ctx);
    return rc == BRIDGE_NOMEM ? fail_nomem(err) : rc;
}

int tls_names_new(tls_names **out, mem *m, const tls_pairs *pairs, bridge_error *err)
{
    tls_names *n = mem_new(m, tls_names);
    uint64_t seed;
    int rc = 0;

    if (!n) return fail_nomem(err);
    n->mem = m;
    random_bytes(&seed, sizeof seed);
    map_init(&n->by_name, m, seed);
    for (size_t i = 0; rc == 0 && i < pairs->count; i++) rc = take(n, &pairs->at[i], err);
    if (rc == 0) *out = n;
    else tls_names_free(n);
    return rc;
}

void tls_names_free(tls_names *n)
{
    size_t at = 0;
    name *one, *next;

    if (!n) return;
    for (size_t i = 0; i < n->count; i++) {
        X509_free(n->certs[i].leaf);
        EVP_PKEY_free(n->certs[i].key);
        sk_X509_pop_free(n->certs[i].chain, X509_free);
    }
    while ((one = map_next(&n->by_name, &at)))
        for (; one; one = next) {
            next = one->next;
            mem_free(n->mem, one);
        }
    map_done(&n->by_name);
    mem_free(n->mem, n->certs);
    mem_free(n->mem, n);
}

static const name *find(const tls_names *n, const char *said)
{
    char low[256];
    size_t len = strlen(said);
    const name *found;
    const char *dot;

    if (len > 0 && said[len - 1] == '.') len--;
    if (len == 0 || len >= sizeof low) return NULL;
    put_lower(low, said, len);
    found = map_get(&n->by_name, low, len);
    dot = memchr(low, '.', len);
    if (found || !dot || dot == low) return found;
    low[dot - low - 1] = '*';
    return map_get(&n->by_name, dot - 1, len - (size_t)(dot - 1 - low));
}

int tls_names_choose(SSL *ssl, void *names)
{
    const tls_names *n = names;
    const char *said = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    const name *found = said ? find(n, said) : NULL;

    if (!found) return 1; /* the first one, which the context has */
    SSL_certs_clear(ssl);
    for (; found; found = found->next) {
        const cert *c = &n->certs[found->cert];
        if (SSL_use_cert_and_key(ssl, c->leaf, c->key, c->chain, 1) != 1) return 0;
    }
    return 1;
}
