/* adapter/uplink/options.h - what an uplink's URL says (docs/uplinks.md, docs/urls.md). */
#ifndef ADAPTER_UPLINK_OPTIONS_H
#define ADAPTER_UPLINK_OPTIONS_H
#include "adapter/uplink/buffer.h"
#include "adapter/uplink/maps.h"
#include "core/url.h"

enum { BROKERS_MAX = 16 };

typedef struct broker { /* one of those that may be connected to, in this order */
    char *host, *path; /* path: of a WebSocket, "/mqtt" */
    int port;
    bool tls, ws;
} broker;

typedef enum uplink_version { UPLINK_AUTO = 0, UPLINK_V311 = 4, UPLINK_V5 = 5 } uplink_version;

typedef struct uplink_options { /* texts are borrowed from the URL, which the port keeps; but for the brokers, and the client id */
    mem *mem;
    broker brokers[BROKERS_MAX];
    unsigned broker_count;
    const char *name, *user, *password, *user_file, *token_file;
    char *client_id;
    uplink_version version;
    bool clean, mirror; /* mirror: the other side is a bridge */
    uint64_t fail_back, max_packet, topic_aliases;
    const char *ca, *cert, *key, *ciphers, *psk_file, *alpn;
    bool verify;
    const char *will, *will_payload, *status, *mirror_as;
    bool will_retain;
    uint64_t will_qos, session_expiry, keep_alive, connect_timeout, retry_min, retry_max;
    uint64_t max_queue, max_queue_bytes, max_inflight, drain_rate, linger;
    buffer_policy drop;
    bool queue_qos0;
    map_table maps;
} uplink_options;

int options_read(uplink_options *o, mem *m, const url *u, bridge_error *err); /* options_done() also when it fails */
void options_done(uplink_options *o);
#endif
