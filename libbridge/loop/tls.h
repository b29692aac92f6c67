/* loop/tls.h - TLS settings of a listener, said once for every protocol above; and of a client, at the end.  OpenSSL lives in loop/tls*.c only.
 *
 *      cert=FILE key=FILE       our certificate with its chain, and its key (in the same file if key is left out); PEM.  Several of
 *                               both: chosen by the name that a client says (SNI); the first for those who say none
 *      certs=DIR                all certificates of a directory, NAME.pem with NAME.key, chosen in the same way
 *      ca=FILE                  who signs client certificates; then each client needs one ...
 *      client_cert=optional     ... or may have one
 *      crl=FILE                 certificates that were taken back
 *      identity=cn|dns|email|uri   what of a client certificate is its user's name; cn, and without one the first other
 *      credentials=ask          the application is asked for keys, and about certificates (tls_asks())
 *      psk_file=FILE            lines "identity:key in hex": clients that share a key; then cert= may be left out
 *      min_version=1.2|1.3      1.2
 *      ciphers=... ciphersuites=...   as openssl-ciphers(1) has them, for TLS 1.2 and 1.3
 *      alpn=NAMES               instead of the protocol's own, the best first: h2,http/1.1
 *      handshake_timeout=MS     10000
 *
 * The files are looked at again when somebody connects and a second has passed: changed ones hold for the connections that come
 * then; while they are wrong, the old ones hold.  docs/security.md. */
#ifndef LOOP_TLS_H
#define LOOP_TLS_H
#include "core/url.h"
#include "loop/stream.h"

typedef struct tls tls;
struct ssl_st;
struct bio_method_st;
struct sockaddr;

enum { TLS_HANDSHAKE = 10000, TLS_LOOK_AGAIN = 1000, TLS_IDENTITY_MAX = 1024, TLS_CERTS_MAX = 10000 };

/* From a listener's URL.  alpn: "mqtt"; NULL for none.  INVALID, IO, SYNTAX with a sentence. */
int tls_new(tls **out, mem *m, const url *u, const char *alpn, bridge_error *err);
void tls_free(tls *t); /* NULL is fine; connections that use it go on */
/* Told of what went wrong: peer is who could not shake hands, or NULL when files could not be read again. */
void tls_tell(tls *t, void (*fn)(void *user, const char *peer, const char *what), void *user);
int tls_reload(tls *t, bridge_error *err); /* now; on failure the old files hold */
struct claim_asker;
/* Another URL's words hold for who connects from now on; those who are here stay.  On failure nothing has changed. */
int tls_change(tls *t, const url *u, const char *alpn, const struct claim_asker *asker, bridge_error *err);
void tls_asks(tls *t, const struct claim_asker *asker); /* copies; whom credentials=ask means */
/* Connections of this name or identity (NULL: all) that would not come in today with the same key end. */
void tls_recheck(tls *t, const char *identity);
/* For transports of other rooms (DTLS): the name in the peer's certificate, yours to free, or NULL.  Only the verified leaf counts; a
 * name with a NUL in it, or longer than TLS_IDENTITY_MAX, is none.  want: "cn", "dns", "email", "uri", or NULL as above. */
char *tls_certified(const struct ssl_st *ssl, const char *want, mem *m);
/* Towards others, as stream_dial(): ssl (taken, also on failure) knows its context, the name it asks for and what it verifies; method
 * is tls_bio_method()'s, and is there until on_close.  What is written before it is up waits.  user of both is stream_start()'s. */
typedef struct tls_call {
    void (*up)(void *user);
    void (*broke)(void *user, const char *why); /* before on_close */
} tls_call;
int tls_dial(stream **out, loop *l, const struct sockaddr *to, size_t len, struct ssl_st *ssl, const struct bio_method_st *method,
             const tls_call *call);
struct bio_method_st *tls_bio_method(void);
struct x509_st;
char *tls_name_in(const struct x509_st *leaf, const char *want, mem *m); /* of a certificate that is not verified yet */

/* The same with what most clients want: what we say of ourselves, and whom we believe; for one connection or many.  Files are read once. */
typedef struct tls_said_by_us { /* NULL: not said */
    const char *ca;                    /* file, PEM; NULL: the authorities of the system are believed */
    const char *cert, *key, *ciphers;  /* files, PEM; key: NULL, it is in cert.  ciphers: of TLS 1.2 */
    const char *psk_file;              /* one line "identity:key in hex"; then TLS 1.2, and no certificates */
    const char *alpn;                  /* one name */
    bool lax;                          /* believe everybody */
} tls_said_by_us;
typedef struct tls_keys tls_client;
int tls_client_new(tls_client **out, mem *m, const tls_said_by_us *said, bridge_error *err); /* IO, SYNTAX, INVALID with a sentence */
tls_client *tls_client_ref(tls_client *c);
void tls_client_unref(tls_client *c); /* NULL is fine */
/* name: whom we mean to speak to, a host's name or address: it is said (SNI, RFC 6066 3), and the certificate has to be theirs (RFC 9525).
 * The caller holds a reference until on_close. */
int tls_client_dial(stream **out, loop *l, const struct sockaddr *to, size_t len, tls_client *c, const char *name, const tls_call *call);
extern const char *const tls_url_options[]; /* NULL-terminated; for url_check() */
#endif
