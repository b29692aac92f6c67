/* loop/tls_keys.h - what the files of a listener say at one time, in OpenSSL's words; shared by tls*.c.  Connections keep a
 * reference to what they began with. */
#ifndef LOOP_TLS_KEYS_H
#define LOOP_TLS_KEYS_H
#include "loop/claim.h"
#include "loop/psk.h"
#include "loop/tls.h"
#include <openssl/ssl.h>

typedef struct tls_pair { /* files */
    char *cert, *key;
} tls_pair;
typedef struct tls_pairs {
    tls_pair *at;
    size_t count, room;
} tls_pairs;
typedef struct tls_names tls_names; /* tls_names.c */
typedef struct tls_keys tls_keys;

typedef struct tls_said { /* the words of the URL, copied */
    tls_pairs pairs;      /* cert= and key= */
    char *dir;            /* certs= */
    char *ca, *crl, *psk_file, *ciphers, *ciphersuites, *alpn, *identity;
    bool client_optional, only_13, asks;
    int64_t patience;
} tls_said;

struct tls_keys {
    mem *mem;
    unsigned refs;
    SSL_CTX *ctx;
    BIO_METHOD *bio; /* of connections; tls.c */
    psks *psk;       /* or NULL */
    const claim_asker *asker; /* of the listener; fn is NULL when nobody is asked */
    tls_names *names; /* or NULL: there is one certificate, or none */
    char *alpn, *identity;
};

int tls_keys_new(tls_keys **out, mem *m, const tls_said *said, const tls_keys *old, const claim_asker *asker, bridge_error *err);
void tls_keys_unref(tls_keys *k); /* NULL is fine */

/* ---- tls_said.c */
int tls_said_read(tls_said *s, mem *m, const url *u, const char *alpn, bridge_error *err);
void tls_said_forget(tls_said *s, mem *m);
uint64_t tls_said_look(const tls_said *s, mem *m); /* another number when one of the files is another */
/* All pairs that there are now, those of cert= first: the first is for those who say no name. */
int tls_said_pairs(const tls_said *s, mem *m, tls_pairs *out, bridge_error *err);
void tls_pairs_done(tls_pairs *p, mem *m);

/* ---- tls_names.c */
int tls_names_new(tls_names **out, mem *m, const tls_pairs *pairs, bridge_error *err);
void tls_names_free(tls_names *n);             /* NULL is fine */
int tls_names_choose(SSL *ssl, void *names);   /* for SSL_CTX_set_cert_cb() */

int tls_never_ask(char *room, int size, int writing, void *user);
int tls_readable(const char *name, bridge_error *err);
int tls_take_pair(SSL_CTX *ctx, const tls_pair *pair, bridge_error *err);
const char *tls_reason(void);     /* of the last OpenSSL error, which is taken away */
#endif
