#include "adapter/coap/dtls_bio.h"
#include <openssl/bio.h>
#include <openssl/ssl.h>
#include <string.h>

static int on_read(BIO *b, char *out, int room)
{
    dtls_bio *io = BIO_get_data(b);
    size_t n = io->in_len < (size_t)room ? io->in_len : (size_t)room;

    BIO_clear_retry_flags(b);
    if (!io->in) {
        BIO_set_retry_read(b);
        return -1;
    }
    memcpy(out, io->in, n);
    io->in = NULL;
    return (int)n;
}

static int on_write(BIO *b, const char *p, int len)
{
    dtls_bio *io = BIO_get_data(b);

    BIO_clear_retry_flags(b);
    io->send(io, (const uint8_t *)p, (size_t)len);
    return len;
}

static long on_ctrl(BIO *b, int what, long number, void *p)
{
    (void)b, (void)number, (void)p;
    switch (what) {
    case BIO_CTRL_FLUSH: return 1;
    case BIO_CTRL_DGRAM_QUERY_MTU:
    case BIO_CTRL_DGRAM_GET_MTU: return DTLS_MTU;
    default: return 0;
    }
}

BIO_METHOD *dtls_bio_method(void)
{
    BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "coap datagram");

    if (m && BIO_meth_set_read(m, on_read) && BIO_meth_set_write(m, on_write) && BIO_meth_set_ctrl(m, on_ctrl)) return m;
    BIO_meth_free(m);
    return NULL;
}

bool dtls_bio_join(dtls_bio *io, SSL *ssl, const BIO_METHOD *method)
{
    BIO *b = BIO_new(method);

    if (!b) return false;
    BIO_set_data(b, io);
    BIO_set_init(b, 1);
    SSL_set_bio(ssl, b, b);
    SSL_set_options(ssl, SSL_OP_NO_QUERY_MTU);
    SSL_set_mtu(ssl, DTLS_MTU);
    return true;
}
