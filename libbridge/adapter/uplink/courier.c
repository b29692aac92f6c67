/* adapter/uplink/courier.c - the thread that gives paho its orders. */
#include "adapter/uplink/inside.h"
#include "base/status.h"
#include "base/text.h"
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <time.h>

enum { NUDGE_MAX = 64 }; /* ms */

/* ---- orders, on the courier */

static int on_tls_trouble(const char *words, size_t len, void *user)
{
    paho_link *k = user;

    while (len && (words[len - 1] == '\n' || words[len - 1] == ' ')) len--;
    if (len == 0) return 1;
    pthread_mutex_lock(&k->lock);
    bool deaf = k->deaf;
    pthread_mutex_unlock(&k->lock);
    link_news *n = deaf ? NULL : link_news_new(k, LINK_FAILED, k->attempt);
    if (!n) return 1;
    n->code = INT32_MIN; /* only words: the verdict follows */
    snprintf(n->text, sizeof n->text, "TLS: %.*s", (int)(len < 140 ? len : 140), words);
    link_tell(k, n);
    return 1;
}

static unsigned on_psk(const char *hint, char *identity, unsigned room, unsigned char *psk, unsigned psk_room, void *user)
{
    const link_settings *s = user;

    (void)hint;
    if (strlen(s->psk_identity) >= room || s->psk_len > psk_room) return 0;
    strcpy(identity, s->psk_identity);
    memcpy(psk, s->psk, s->psk_len);
    return s->psk_len;
}

/* A name that cannot be resolved must not keep paho's lock for as long as that takes to find out.  Without TLS, and without the Host
 * header of WebSocket, paho gets the address, so that it does not ask again. */
static int resolve(const link_settings *s, char *out, size_t room, const char **why)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL, *best;
    char port[8];
    int rc;

    snprintf(port, sizeof port, "%d", s->port);
    rc = getaddrinfo(s->host, port, &hints, &found);
    if (rc != 0) {
        *why = gai_strerror(rc);
        return BRIDGE_UNREACHABLE;
    }
    for (best = found; best->ai_next && best->ai_family != AF_INET; best = best->ai_next) continue;
    rc = getnameinfo(best->ai_addr, best->ai_addrlen, out, (socklen_t)room, NULL, 0, NI_NUMERICHOST);
    freeaddrinfo(found);
    if (s->tls || s->ws || rc != 0) snprintf(out, room, "%s", s->host);
    return 0;
}

static int make_handle(paho_link *k, const link_settings *s, const char *host)
{
    MQTTAsync_createOptions o = MQTTAsync_createOptions_initializer;
    const char *scheme = s->ws ? (s->tls ? "wss" : "ws") : s->tls ? "ssl" : "tcp";
    bool v6 = strchr(host, ':') != NULL;
    char uri[600];
    int rc;

    snprintf(uri, sizeof uri, "%s://%s%s%s:%d%s", scheme, v6 ? "[" : "", host, v6 ? "]" : "", s->port, s->path ? s->path : "");
    o.MQTTVersion = s->version;
    o.maxBufferedMessages = 1000000; /* the link sees to it that there are few */
    rc = MQTTAsync_createWithOptions(&k->handle, uri, s->client_id, MQTTCLIENT_PERSISTENCE_NONE, NULL, &o);
    if (rc == MQTTASYNC_SUCCESS) rc = MQTTAsync_setCallbacks(k->handle, k, link_on_lost, link_on_arrived, NULL);
    if (rc == MQTTASYNC_SUCCESS && s->version == MQTTVERSION_5) rc = MQTTAsync_setDisconnected(k->handle, k, link_on_disconnected);
    return rc;
}

/* From here on paho calls nothing of ours: what it had is ours again. */
static void forget_handle(paho_link *k, bool tell)
{
    if (k->handle) MQTTAsync_destroy(&k->handle);
    pthread_mutex_lock(&k->lock);
    k->up = false;
    k->torn = k->exact = false;
    k->nudge = 0;
    link_outbox_clear(k);
    pthread_mutex_unlock(&k->lock);
    if (tell) link_tell(k, link_news_new(k, LINK_RESET, k->attempt));
}

static void fill_tls(paho_link *k, const link_settings *s, MQTTAsync_SSLOptions *t)
{
    t->trustStore = s->ca;
    t->keyStore = s->cert;
    t->privateKey = s->key;
    t->enabledCipherSuites = s->ciphers;
    t->enableServerCertAuth = s->verify;
    t->verify = s->verify && !s->psk_len;
    t->sslVersion = s->psk_len ? MQTT_SSL_VERSION_TLS_1_2 : MQTT_SSL_VERSION_DEFAULT;
    t->disableDefaultTrustStore = s->ca || s->psk_len;
    t->ssl_error_cb = on_tls_trouble;
    t->ssl_error_context = k;
    if (s->psk_len) {
        t->ssl_psk_cb = on_psk;
        t->ssl_psk_context = (void *)s;
        if (!t->enabledCipherSuites) t->enabledCipherSuites = "PSK";
    }
    if (s->alpn) { /* RFC 7301 3.1: each name with its length in front; it was put there by uplink.c */
        t->protos = (const unsigned char *)s->alpn;
        t->protos_len = (unsigned)strlen(s->alpn);
    }
}

static int connect_now(paho_link *k, const link_settings *s)
{
    MQTTAsync_connectOptions o = MQTTAsync_connectOptions_initializer;
    MQTTAsync_connectOptions o5 = MQTTAsync_connectOptions_initializer5;
    MQTTAsync_SSLOptions tls = MQTTAsync_SSLOptions_initializer;
    MQTTAsync_willOptions will = MQTTAsync_willOptions_initializer;
    MQTTProperties props = MQTTProperties_initializer;
    MQTTProperty expiry = {.identifier = MQTTPROPERTY_CODE_SESSION_EXPIRY_INTERVAL, .value.integer4 = s->session_expiry};
    bool v5 = s->version == MQTTVERSION_5;
    int rc;

    if (v5) {
        o = o5;
            o.onSuccess5 = link_on_connected5;
        o.onFailure5 = link_on_refused5;
        if (!s->clean) {
            MQTTProperties_add(&props, &expiry);
            o.connectProperties = &props;
        }
        o.cleanstart = s->clean;
    } else {
        o.cleansession = s->clean;
        o.MQTTVersion = MQTTVERSION_3_1_1;
        o.onSuccess = link_on_connected;
        o.onFailure = link_on_refused;
    }
    o.context = k;
    o.keepAliveInterval = s->keep_alive;
    o.connectTimeout = s->connect_timeout;
    o.maxInflight = 65000;
    o.username = s->user;
    if (s->password) {
        o.binarypwd.data = s->password;
        o.binarypwd.len = (int)s->password_len;
    }
    if (s->tls) {
        fill_tls(k, s, &tls);
        o.ssl = &tls;
    }
    if (s->will) {
        will.topicName = s->will;
        will.payload.data = s->will_payload;
        will.payload.len = (int)strlen(s->will_payload);
        will.qos = s->will_qos;
        will.retained = s->will_retain;
        o.will = &will;
    }
    rc = MQTTAsync_connect(k->handle, &o);
    MQTTProperties_free(&props);
    return rc;
}

static void open_now(paho_link *k, order *o)
{
    link_settings *s = o->settings;
    char host[300];
    const char *why = NULL;
    bool again = k->handle && k->settings && !s->fresh && k->settings->version == s->version;
    int rc;

    k->attempt = o->epoch;
    pthread_mutex_lock(&k->lock);
    if (k->torn) {
        again = false;
        if (k->exact) s->clean = true; /* new packet ids must not meet those that the broker has of QoS 2 */
    }
    pthread_mutex_unlock(&k->lock);
    if (!again) forget_handle(k, true);
    link_settings_free(k->settings);
    k->settings = s;
    o->settings = NULL;
    pthread_mutex_lock(&k->lock);
    k->max_inflight = s->max_inflight;
    pthread_mutex_unlock(&k->lock);
    if (resolve(s, host, sizeof host, &why) < 0) {
        char words[160];
        snprintf(words, sizeof words, "%.90s: %s", s->host, why);
        link_tell_failed(k, LINK_FAILED, 0, words);
        return;
    }
    rc = again ? MQTTASYNC_SUCCESS : make_handle(k, s, host);
    if (rc == MQTTASYNC_SUCCESS) {
        pthread_mutex_lock(&k->lock);
        k->nudge = 1;
        pthread_mutex_unlock(&k->lock);
        rc = connect_now(k, s);
    }
    if (rc != MQTTASYNC_SUCCESS) link_tell_failed(k, LINK_FAILED, rc, MQTTAsync_strerror(rc) ? MQTTAsync_strerror(rc) : "cannot connect");
}

/* One SUBSCRIBE for each filter: their answers come in this order, and one that is refused does not spoil the others. */
static void subscribe_now(paho_link *k, const order *o)
{
    bool v5 = k->settings && k->settings->version == MQTTVERSION_5;

    for (unsigned i = 0; i < o->count; i++) {
        MQTTAsync_responseOptions r = MQTTAsync_responseOptions_initializer;
        uint8_t no[1] = {0x80};
        r.context = k;
        if (v5) {
            r.onSuccess5 = link_on_subscribed5;
            r.onFailure5 = link_on_unsubscribable5;
            r.subscribeOptions.noLocal = 1;
            r.subscribeOptions.retainAsPublished = 1;
            r.subscribeOptions.retainHandling = o->quiet ? 2 : 0;
        } else {
            r.onSuccess = link_on_subscribed;
            r.onFailure = link_on_unsubscribable;
        }
        if (!k->handle || MQTTAsync_subscribe(k->handle, o->filters[i].filter, o->filters[i].qos, &r) != MQTTASYNC_SUCCESS)
            link_tell_subscribed(k, 1, no);
    }
}

static void close_now(paho_link *k, const order *o)
{
    if (k->handle) {
        MQTTAsync_disconnectOptions d = MQTTAsync_disconnectOptions_initializer;
        MQTTAsync_disconnectOptions d5 = MQTTAsync_disconnectOptions_initializer5;
        bool v5 = k->settings && k->settings->version == MQTTVERSION_5;
        (v5 ? &d5 : &d)->timeout = o->linger;
        MQTTAsync_setCallbacks(k->handle, k, NULL, link_on_arrived, NULL);
        if (MQTTAsync_disconnect(k->handle, v5 ? &d5 : &d) == MQTTASYNC_SUCCESS)
            for (int waited = 0; waited < o->linger + 200 && MQTTAsync_isConnected(k->handle); waited += 5)
                nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    forget_handle(k, false);
    link_tell(k, link_news_new(k, LINK_OVER, k->attempt));
}

static void execute(paho_link *k, order *o)
{
    switch (o->kind) {
    case ORDER_OPEN: open_now(k, o); break;
    case ORDER_SUBSCRIBE: subscribe_now(k, o); break;
    case ORDER_UNSUBSCRIBE:
        if (k->handle) MQTTAsync_unsubscribe(k->handle, o->filters[0].filter, NULL);
        break;
    case ORDER_DROP: forget_handle(k, false); break;
    case ORDER_CLOSE: close_now(k, o); break;
    }
}

/* Waits for something to do; NULL: look again.  While paho connects it is nudged, less and less often: see keeper.c. */
static order *next_order(paho_link *k)
{
    order *o = k->orders;
    struct timespec soon;

    if (o) {
        k->orders = o->next;
        if (!k->orders) k->last_order = &k->orders;
        return o;
    }
    if (k->kick || k->deaf) return NULL;
    if (!k->nag && !k->nudge) {
        pthread_cond_wait(&k->work, &k->lock);
        return NULL;
    }
    clock_gettime(CLOCK_REALTIME, &soon);
    soon.tv_nsec += (k->nag ? 10 : k->nudge) * 1000000L;
    if (soon.tv_nsec >= 1000000000) soon = (struct timespec){soon.tv_sec + 1, soon.tv_nsec - 1000000000};
    if (pthread_cond_timedwait(&k->work, &k->lock, &soon) == ETIMEDOUT && k->nudge) {
        keeper_nudge();
        k->nudge = k->nudge < NUDGE_MAX / 2 ? k->nudge * 2 : NUDGE_MAX;
    }
    if (k->nag) {
        k->nag = false;
        link_wake(k);
    }
    return NULL;
}

void *link_courier(void *user)
{
    paho_link *k = user;
    bool over = false;

    keeper_begin();
    while (!over) {
        bool kicked;
        pthread_mutex_lock(&k->lock);
        order *o = next_order(k);
        kicked = k->kick && !o;
        if (kicked) k->kick = false;
        over = k->deaf && !o;
        pthread_mutex_unlock(&k->lock);
        if (kicked) link_pump(k, true);
        if (!o) continue;
        execute(k, o);
        link_order_free(k, o);
    }
    forget_handle(k, false);
    link_unref(k);
    return NULL;
}
