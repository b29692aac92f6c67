#include "adapter/uplink/options.h"
#include "base/clock.h"
#include "base/status.h"
#include <stdio.h>

/* Numbers: name, default, most. */
#define SETTINGS(X)                                                                                                    \
    X(will_qos, 0, 2)                                                                                                  \
    X(session_expiry, 86400, UINT32_MAX)                                                                               \
    X(keep_alive, 30, UINT16_MAX)                                                                                      \
    X(connect_timeout, 10, 3600)                                                                                       \
    X(retry_min, 1000, 86400000)                                                                                       \
    X(retry_max, 60000, 86400000)                                                                                      \
    X(max_queue, 100000, UINT32_MAX)                                                                                   \
    X(max_queue_bytes, 67108864, SIZE_MAX / 2)                                                                         \
    X(max_inflight, 100, 65000)                                                                                        \
    X(drain_rate, 20000, UINT32_MAX)                                                                                   \
    X(linger, 1000, 60000)                                                                                             \
    X(fail_back, 0, 86400)                                                                                             \
    X(max_packet, 67108864, 268435460)                                                                                 \
    X(topic_aliases, 64, UINT16_MAX)

#define WORD(name, otherwise, most) #name,
static const char *const own[] = {SETTINGS(WORD) "name", "broker", "client_id", "user_file", "token_file", "version", "clean", "will",
    "will_payload", "will_retain", "status", "drop", "queue_qos0", "out", "in", "both", "as", NULL};
#undef WORD
static const char *const secure[] = {"ca", "cert", "key", "ciphers", "psk_file", "alpn", "verify", NULL};

/* mqtt, mqtts, mqtt+ws, mqtt+wss; each with "bridge+" in front when a bridge is at the other end. */
static bool read_scheme(const char *scheme, broker *b, bool *mirror)
{
    *mirror = strncmp(scheme, "bridge+", 7) == 0;
    if (*mirror) scheme += 7;
    b->tls = strcmp(scheme, "mqtts") == 0 || strcmp(scheme, "mqtt+wss") == 0;
    b->ws = strncmp(scheme, "mqtt+ws", 7) == 0;
    return b->tls || b->ws || strcmp(scheme, "mqtt") == 0;
}

static int add_broker(uplink_options *o, const url *u, bridge_error *err)
{
    broker *b = &o->brokers[o->broker_count];
    bool mirror;

    if (o->broker_count == BROKERS_MAX) return fail(err, BRIDGE_INVALID, "more than %d brokers for one uplink", BROKERS_MAX);
    if (!read_scheme(u->scheme, b, &mirror))
        return fail(err, BRIDGE_INVALID, "broker=%s://...: mqtt, mqtts, mqtt+ws or mqtt+wss is wanted", u->scheme);
    if (o->broker_count == 0) o->mirror = mirror;
    if (!*u->host) return fail(err, BRIDGE_INVALID, "an uplink needs the name of a host: %s://HOST", u->scheme);
    b->port = u->port > 0 ? u->port : b->ws ? (b->tls ? 443 : 80) : b->tls ? 8883 : 1883;
    b->host = mem_text(o->mem, u->host);
    b->path = mem_text(o->mem, b->ws && *u->path ? u->path : b->ws ? "/mqtt" : "");
    o->broker_count++;
    return b->host && b->path ? 0 : fail_nomem(err);
}

static int read_brokers(uplink_options *o, const url *u, bridge_error *err)
{
    int rc = add_broker(o, u, err);

    for (size_t i = 0; i < u->param_count && rc == 0; i++) {
        url *other = NULL;
        if (strcmp(u->params[i].key, "broker") != 0) continue;
        rc = url_parse(o->mem, u->params[i].value, &other, err);
        if (rc == 0 && other->param_count) rc = fail(err, BRIDGE_INVALID, "broker=: options belong to the uplink's own URL");
        if (rc == 0) rc = add_broker(o, other, err);
        url_free(other);
    }
    return rc;
}

static int read_maps(uplink_options *o, const url *u, bridge_error *err)
{
    int rc = 0;

    maps_init(&o->maps, o->mem);
    for (size_t i = 0; i < u->param_count && rc == 0; i++) {
        const url_param *p = &u->params[i];
        if (strcmp(p->key, "out") == 0) rc = maps_add(&o->maps, MAP_OUT, p->value, err);
        else if (strcmp(p->key, "in") == 0) rc = maps_add(&o->maps, MAP_IN, p->value, err);
        else if (strcmp(p->key, "both") == 0) rc = maps_add(&o->maps, MAP_BOTH, p->value, err);
    }
    if (rc == 0) rc = maps_check(&o->maps, err);
    if (rc == 0 && o->mirror && !o->mirror_as) rc = fail(err, BRIDGE_INVALID, "where do its paths begin here? as=site/{path...} is wanted");
    if (rc == 0 && !o->mirror && o->mirror_as) rc = fail(err, BRIDGE_INVALID, "as= is for another bridge: bridge+%s://", u->scheme);
    if (rc == 0 && !o->mirror && o->maps.count == 0 && !url_get(u, "name"))
        rc = fail(err, BRIDGE_INVALID, "an uplink needs to know what to carry: out=, in= or both=, as in out=telemetry/{p...}>site7/{p...}; or name=, for routes");
    return rc;
}

static int read_words(uplink_options *o, const url *u, bridge_error *err)
{
    const char *version = url_get(u, "version"), *drop = url_get(u, "drop");

    if (!version || strcmp(version, "auto") == 0) o->version = UPLINK_AUTO;
    else if (strcmp(version, "5") == 0) o->version = UPLINK_V5;
    else if (strcmp(version, "3.1.1") == 0) o->version = UPLINK_V311;
    else return fail(err, BRIDGE_INVALID, "option version=%s: 5, 3.1.1 or auto is wanted", version);
    if (o->mirror && o->version == UPLINK_V311) return fail(err, BRIDGE_INVALID, "another bridge speaks MQTT 5: leave version= out");
    if (!drop || strcmp(drop, "new") == 0) o->drop = DROP_NEW;
    else if (strcmp(drop, "old") == 0) o->drop = DROP_OLD;
    else if (strcmp(drop, "refuse") == 0) o->drop = DROP_REFUSE;
    else return fail(err, BRIDGE_INVALID, "option drop=%s: new, old or refuse is wanted", drop);
    return 0;
}

static int read_texts(uplink_options *o, const url *u, bridge_error *err)
{
    char made[40];
    uint32_t seed;

    o->name = url_get(u, "name");
    if (!o->name) o->name = u->host;
    if (path_check(o->name, strlen(o->name), NULL) < 0 || strchr(o->name, '/'))
        return fail(err, BRIDGE_INVALID, "option name=%s: one segment of a path is wanted", o->name);
    o->user = u->user;
    o->password = u->password;
    o->user_file = url_get(u, "user_file");
    o->token_file = url_get(u, "token_file");
    o->ca = url_get(u, "ca");
    o->cert = url_get(u, "cert");
    o->key = url_get(u, "key");
    o->ciphers = url_get(u, "ciphers");
    o->psk_file = url_get(u, "psk_file");
    o->alpn = url_get(u, "alpn");
    o->will = url_get(u, "will");
    o->will_payload = url_get(u, "will_payload");
    o->status = url_get(u, "status");
    o->mirror_as = url_get(u, "as");
    random_bytes(&seed, sizeof seed);
    snprintf(made, sizeof made, "bridge-%08x", seed);
    o->client_id = mem_text(o->mem, url_get(u, "client_id") ? url_get(u, "client_id") : made);
    return o->client_id ? 0 : fail_nomem(err);
}

static int check_texts(const uplink_options *o, const url *u, bridge_error *err)
{
    if (o->token_file && (o->password || o->user_file)) return fail(err, BRIDGE_INVALID, "one of password, user_file and token_file is enough");
    if (!o->clean && !url_get(u, "client_id")) return fail(err, BRIDGE_INVALID, "clean=no needs a client_id= that stays the same");
    if (o->will && path_check(o->will, strlen(o->will), err) < 0) return BRIDGE_INVALID;
    if (o->status && path_check(o->status, strlen(o->status), err) < 0) return BRIDGE_INVALID;
    if (o->will && o->status) return fail(err, BRIDGE_INVALID, "status= is a will already: one of will= and status=");
    if (o->key && !o->cert) return fail(err, BRIDGE_INVALID, "key= without cert=");
    return 0;
}

int options_read(uplink_options *o, mem *m, const url *u, bridge_error *err)
{
    const char *known[64];
    size_t n = 0;
    bool tls = false;
    int rc;

    *o = (uplink_options){.mem = m};
    rc = read_brokers(o, u, err);
    for (unsigned i = 0; i < o->broker_count; i++) tls |= o->brokers[i].tls;
    for (const char *const *w = own; *w; w++) known[n++] = *w;
    for (const char *const *w = secure; tls && *w; w++) known[n++] = *w;
    known[n] = NULL;
    if (rc == 0) rc = url_check(u, known, err);
    if (rc == 0) rc = read_texts(o, u, err);
#define SETTING(name, otherwise, most)                                                                                 \
    if (rc == 0) rc = url_get_u64(u, #name, otherwise, most, &o->name, err);
    SETTINGS(SETTING)
#undef SETTING
    if (rc == 0) rc = url_get_bool(u, "clean", true, &o->clean, err);
    if (rc == 0) rc = url_get_bool(u, "verify", true, &o->verify, err);
    if (rc == 0) rc = url_get_bool(u, "will_retain", false, &o->will_retain, err);
    if (rc == 0) rc = url_get_bool(u, "queue_qos0", true, &o->queue_qos0, err);
    if (rc == 0) rc = read_words(o, u, err);
    if (rc == 0) rc = read_maps(o, u, err);
    if (rc == 0) rc = check_texts(o, u, err);
    if (o->max_inflight == 0) o->max_inflight = 1;
    if (o->retry_max < o->retry_min) o->retry_max = o->retry_min;
    return rc;
}

void options_done(uplink_options *o)
{
    if (!o->mem) return;
    for (unsigned i = 0; i < o->broker_count; i++) {
        mem_free(o->mem, o->brokers[i].host);
        mem_free(o->mem, o->brokers[i].path);
    }
    mem_free(o->mem, o->client_id);
    maps_done(&o->maps);
}
