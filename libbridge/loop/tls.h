/* loop/tls.h - TLS settings of a listener, said once for every protocol above.  OpenSSL lives in loop/tls.c only. */
#ifndef LOOP_TLS_H
#define LOOP_TLS_H
#include "core/url.h"
#include "loop/stream.h"

typedef struct tls tls;

/* From a listener's URL: cert=FILE key=FILE ca=FILE (client certificates wanted) ...; docs/urls.md.  alpn: "mqtt", or NULL. */
int tls_new(tls **out, mem *m, const url *u, const char *alpn, bridge_error *err);
void tls_free(tls *t); /* NULL is fine; connections that use it go on */
extern const char *const tls_url_options[]; /* NULL-terminated; for url_check() */
#endif
