/* adapter/coap/dtls_bio.h - OpenSSL reads and writes datagrams through this, on either side. */
#ifndef COAP_DTLS_BIO_H
#define COAP_DTLS_BIO_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DTLS_MTU = 1400 }; /* of our records; the path's is not asked for */

struct ssl_st;
struct bio_method_st;

typedef struct dtls_bio { /* of a session, at one place for as long as that lives */
    const uint8_t *in;    /* the datagram under way; NULL: there is none */
    size_t in_len;
    void (*send)(struct dtls_bio *io, const uint8_t *p, size_t len); /* what cannot go is lost, as datagrams are */
} dtls_bio;

struct bio_method_st *dtls_bio_method(void); /* BIO_meth_free() it after the last session; NULL: no memory */
bool dtls_bio_join(dtls_bio *io, struct ssl_st *ssl, const struct bio_method_st *method); /* false: no memory */
#endif
