/* loop/tls_keys.h - what the files of a listener say at one time, in OpenSSL's words; shared by tls*.c.  Connections keep a
 * reference to what they began with. */
#ifndef LOOP_TLS_KEYS_H
#define LOOP_TLS_KEYS_H
#include "loop/psk.h"
#include "loop/tls.h"
#include <openssl/ssl.h>

typedef struct tls_said { /* the words of the URL, copied */
    char *cert, *key, *ca, *crl, *psk_file, *ciphers, *ciphersuites, *alpn, *identity;
    bool client_optional, only_13;
    int64_t patience;
} tls_said;

typedef struct tls_keys {
    mem *mem;
    unsigned refs;
    SSL_CTX *ctx;
    BIO_METHOD *bio; /* of connections; tls.c */
    psks *psk;       /* or NULL */
    char *alpn, *identity;
} tls_keys;

int tls_keys_new(tls_keys **out, mem *m, const tls_said *said, const tls_keys *old, bridge_error *err);
void tls_keys_unref(tls_keys *k); /* NULL is fine */

BIO_METHOD *tls_bio_method(void); /* tls.c */
const char *tls_reason(void);     /* of the last OpenSSL error, which is taken away */
#endif
