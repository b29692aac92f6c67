/* adapter/mqtt/rate.c - how many, how fast: connections of a listener, CONNECTs of an address, packets of a client.  What is over a
 * limit is told so with the standard's reason code, as far as that is not work in itself. */
#include "adapter/mqtt/session.h"
#include "base/clock.h"
#include <arpa/inet.h>

typedef struct address { /* an IPv4 address, or the network (64 bits) of an IPv6 one */
    uint8_t key[8];
    uint64_t connects; /* in this second */
} address;

bool mqtt_too_fast(mqtt_client *c)
{
    int64_t second = c->seen / 1000;
    if (second != c->second) {
        c->second = second;
        c->in_second = 0;
    }
    return ++c->in_second > c->port->limits.max_rate;
}

uint8_t mqtt_too_many(mqtt_port *port, int64_t now)
{
    if (port->limits.max_connections && port->client_count >= port->limits.max_connections) return MQTT_OVER_COUNT;
    if (!port->limits.max_connect_rate) return 0;
    if (now / 1000 != port->second) {
        port->second = now / 1000;
        port->connects_in_second = 0;
    }
    return ++port->connects_in_second > port->limits.max_connect_rate ? MQTT_OVER_RATE : 0;
}

uint8_t mqtt_say_over(mqtt_client *c)
{
    const mqtt_limits *most = &c->port->limits;
    switch (c->over) {
    case MQTT_OVER_COUNT: mqtt_say(c, "%llu connections at most", (unsigned long long)most->max_connections); return WIRE_QUOTA;
    case MQTT_OVER_RATE: mqtt_say(c, "%llu new connections in a second at most", (unsigned long long)most->max_connect_rate); break;
    default: mqtt_say(c, "%llu connections of one address in a second at most", (unsigned long long)most->max_peer_connects);
    }
    return WIRE_CONNECTION_RATE;
}

bool mqtt_is_crowded(const mqtt_port *port)
{
    return port->limits.max_connections && port->client_count >= port->limits.max_connections + MQTT_MAX_REFUSED;
}

/* false: this machine, a Unix socket */
static bool key_of(const char *peer, uint8_t *key)
{
    char host[64];
    struct in6_addr a;
    const char *end = strrchr(peer, peer[0] == '[' ? ']' : ':');
    size_t len = end ? (size_t)(end - peer) : 0;
    if (!end || len >= sizeof host) return false;
    memcpy(host, peer, len);
    host[len] = 0;
    memset(key, 0, 8);
    if (peer[0] != '[') return inet_pton(AF_INET, host, key) == 1 && key[0] != 127;
    if (inet_pton(AF_INET6, host + 1, &a) != 1 || IN6_IS_ADDR_LOOPBACK(&a)) return false;
    memcpy(key, &a, 8);
    return true;
}

void mqtt_addresses_forget(mqtt_shared *sh)
{
    size_t at = 0;
    for (address *a; (a = map_next(&sh->addresses, &at));) mem_free(sh->mem, a);
    map_done(&sh->addresses);
}

/* Counted from CONNECT on, when a balancer has said who it is; forgotten each second. */
bool mqtt_too_eager(mqtt_client *c)
{
    mqtt_shared *sh = c->port->shared;
    int64_t second = loop_now(sh->loop) / 1000;
    uint8_t key[8];
    if (!c->port->limits.max_peer_connects || !key_of(stream_peer(c->stream), key)) return false;
    if (second != sh->second) {
        uint64_t seed = sh->addresses.seed;
        mqtt_addresses_forget(sh);
        map_init(&sh->addresses, sh->mem, seed);
        sh->second = second;
    }
    address *a = map_get(&sh->addresses, key, sizeof key);
    if (!a && (a = mem_new(sh->mem, address))) {
        memcpy(a->key, key, sizeof key);
        if (map_put(&sh->addresses, a->key, sizeof a->key, a, NULL) < 0) {
            mem_free(sh->mem, a);
            a = NULL;
        }
    }
    return !a || ++a->connects > c->port->limits.max_peer_connects;
}
