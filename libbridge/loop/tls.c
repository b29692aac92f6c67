#include "loop/tls.h"
#include "base/status.h"
#include "loop/internal.h"
#include <unistd.h>

const char *const tls_url_options[] = {"cert", "key", "ca", NULL};

int tls_new(tls **out, mem *m, const url *u, const char *alpn, bridge_error *err)
{
    (void)out, (void)m, (void)u, (void)alpn;
    return fail(err, BRIDGE_UNSUPPORTED, "TLS is not built in");
}

void tls_free(tls *t)
{
    (void)t;
}

stream *tls_stream(loop *l, int fd, const char *peer, tls *t)
{
    (void)l, (void)peer, (void)t;
    close(fd);
    return NULL;
}
