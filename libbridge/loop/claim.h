/* loop/claim.h - who a TLS or DTLS client says to be in its handshake, and what the application says of that (bridge_on_credential()).
 *
 *      a key: asked by its identity, then psk_file    a certificate: the chain is verified, then asked, whatever that found
 *
 * What was claimed is kept with the session, so that it can be asked about again when something has changed. */
#ifndef LOOP_CLAIM_H
#define LOOP_CLAIM_H
#include "base/mem.h"
#include "bridge/bridge.h"
#include "loop/psk.h"
#include <openssl/ssl.h>

typedef struct claim_asker {
    bridge_verdict (*fn)(void *user, bridge_credential *c); /* NULL: only files are asked */
    void *user;
} claim_asker;

typedef struct claim {
    char *identity;    /* of a key; NULL: none was offered */
    char *name;        /* by which the application knows it; NULL: as it says itself */
    uint64_t key_mark; /* of that key */
    bool trusted;      /* the certificate's chain was verified */
} claim;

enum { CLAIM_NAME = 256 };

void claim_drop(claim *c, mem *m);
/* The key of an identity, into key; its length, 0: nobody we know. */
unsigned claim_key(claim *c, mem *m, const claim_asker *a, const psks *file, const char *identity, uint8_t *key, size_t room);
/* What SSL_CTX_set_cert_verify_callback() wants to know: 1 or 0. */
int claim_certificate(claim *c, mem *m, const claim_asker *a, X509_STORE_CTX *chain);
bool claim_is_of(const claim *c, const char *name, const char *identity); /* who is meant?  identity NULL: everybody */
/* Would it come in today, with the same key and name? */
bool claim_holds(const claim *c, mem *m, const claim_asker *a, const psks *file, const SSL *ssl);
#endif
