/* core/url.h - listeners, uplinks and stores are URLs: scheme://user:password@host:port/path?key=value&...
 * Leave out the host for "every address"; [::1] for IPv6; "scheme+unix:///run/x.sock" for a Unix socket path. */
#ifndef CORE_URL_H
#define CORE_URL_H
#include "base/mem.h"
#include "bridge/bridge.h"
#include "bridge/sys/adapter.h"

typedef struct url_param {
    char *key, *value;
} url_param;

struct bridge_url {
    mem *mem;
    char *scheme, *host, *path; /* host "" when left out; path with its leading '/', "" when left out; percent-decoded host only */
    char *user, *password;      /* or NULL */
    int port;                   /* -1: not said */
    url_param *params;
    size_t param_count;
};
typedef struct bridge_url url;

int url_parse(mem *m, const char *textual, url **out, bridge_error *err);
void url_free(url *u);
const char *url_get(const url *u, const char *key);                   /* NULL: not said */
int url_get_u64(const url *u, const char *key, uint64_t otherwise, uint64_t max, uint64_t *out, bridge_error *err);
int url_get_bool(const url *u, const char *key, bool otherwise, bool *out, bridge_error *err);
int url_check(const url *u, const char *const *known, bridge_error *err); /* INVALID: an unknown key, with the nearest known */
bool url_is_loopback(const url *u);                                   /* 127/8, ::1, localhost, Unix sockets */
#endif
