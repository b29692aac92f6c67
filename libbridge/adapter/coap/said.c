/* What a listener's URL says beside where it listens. */
#include "adapter/coap/coap.h"
#include "adapter/coap/dtls.h"
#include "base/status.h"
#include "core/target.h"
#include "core/url.h"
#include "loop/tls.h"

static const char *const options[] = {"max_peers", "max_observers", "nstart", "block_size", "multicast", "proxy", "rd", "ps", "echo", "max_rate", "notify", NULL};

static int take_limits(const bridge_url *u, coap_limits *l, bridge_error *err)
{
    uint64_t peers, observers, nstart, block, rate;
    const char *known[64], *echo = url_get(u, "echo");
    size_t n = 0;
    int rc;

    for (const char *const *o = options; *o; o++) known[n++] = *o;
    for (const char *const *o = coap_dtls_options; strcmp(u->scheme, "coaps") == 0 && *o && n < 63; o++) known[n++] = *o;
    for (const char *const *o = tls_url_options; strcmp(u->scheme, "coaps+tcp") == 0 && *o && n < 63; o++) known[n++] = *o;
    known[n] = NULL;
    rc = url_check(u, known, err);
    if (rc == 0) rc = url_get_u64(u, "max_peers", 0, 10 * 1000 * 1000, &peers, err);
    if (rc == 0) rc = url_get_u64(u, "max_observers", 0, 10 * 1000 * 1000, &observers, err);
    if (rc == 0) rc = url_get_u64(u, "nstart", 0, 1000, &nstart, err);
    if (rc == 0) rc = url_get_u64(u, "block_size", 1024, 1024, &block, err);
    if (rc == 0) rc = url_get_u64(u, "max_rate", 0, 10 * 1000 * 1000, &rate, err);
    if (rc < 0) return rc;
    if (block < 16 || block & (block - 1)) return fail(err, BRIDGE_INVALID, "option block_size: 16, 32, 64 ... 1024 is wanted");
    if (echo && strcmp(echo, "large") != 0 && strcmp(echo, "always") != 0 && strcmp(echo, "no") != 0)
        return fail(err, BRIDGE_INVALID, "option echo=%s: no, large or always is wanted", echo);
    l->echo = !echo || *echo == 'n' ? 0 : *echo == 'l' ? 1 : 2;
    l->max_peers = (unsigned)peers;
    l->max_observers = (unsigned)observers;
    l->nstart = (unsigned)nstart;
    l->max_rate = (unsigned)rate;
    l->block = (unsigned)block;
    return 0;
}

static int take_manner(const bridge_url *u, coap_manner *out, bridge_error *err)
{
    static const char *const words[] = {[COAP_AS_ASKED] = "asked", [COAP_CONFIRMED] = "con", [COAP_UNCONFIRMED] = "non"};
    const char *said = url_get(u, "notify");

    *out = COAP_AS_ASKED;
    for (int i = 0; said && i < 3; i++) {
        if (strcmp(said, words[i]) != 0) continue;
        *out = (coap_manner)i;
        return 0;
    }
    return said ? fail(err, BRIDGE_INVALID, "option notify=%s: asked, con or non is wanted", said) : 0;
}

/* yes, no; left out: as the mount says, -1. */
static int take_place(const bridge_url *u, const char *option, int8_t *out, bridge_error *err)
{
    const char *said = url_get(u, option);
    bool yes;

    *out = -1;
    if (!said) return 0;
    if (!text_to_bool(text_of(said), &yes)) return fail(err, BRIDGE_INVALID, "option %s=%s: yes or no is wanted", option, said);
    *out = yes;
    return 0;
}

int coap_said_read(coap_said *out, mem *m, const bridge_url *u, bridge_error *err)
{
    int rc;

    *out = (coap_said){0};
    rc = take_limits(u, &out->limits, err);
    if (rc == 0) rc = take_manner(u, &out->manner, err);
    if (rc == 0) rc = take_place(u, "rd", &out->directory, err);
    if (rc == 0) rc = take_place(u, "ps", &out->topics, err);
    return rc == 0 && url_get(u, "proxy") ? allowed_new(&out->targets, m, url_get(u, "proxy"), err) : rc;
}

int coap_said_check(const bridge_url *u, bridge_error *err)
{
    coap_said said;
    int rc = coap_said_read(&said, mem_default(), u, err);

    allowed_free(said.targets);
    return rc;
}
