/* mqtt.h - an MQTT 3.1.1 client for load: packets made by hand, acknowledgements answered at once, counts kept.
 * The scenarios (flow, steady, connect, retained) sit on top; each is one function called by main. */
#ifndef BENCH_MQTT_H
#define BENCH_MQTT_H
#include "conn.h"

typedef struct bench bench;

typedef struct client {
    conn conn; /* first: a conn * is a client * */
    bench *bench;
    uint32_t index;
    bool up, publisher;
    uint16_t next_id;
    uint32_t subscribing;    /* SUBACKs still to come */
    uint64_t sent, acked;    /* PUBLISHes, and those whose last acknowledgement came */
    uint64_t delivered;      /* publisher: how often its messages arrived; subscriber: what it got */
    uint32_t next_number;    /* expected in the next payload */
} client;

struct bench {
    loop loop;
    const char *scenario;
    bool keep_sessions;
    int qos;
    size_t payload;           /* bytes, at least 16: publisher, number, nanoseconds */
    double seconds;
    client *clients;
    uint32_t count, up, failed;
    uint64_t delivered, disorder, refused;
    uint64_t subscribed;
    void (*on_publish)(client *c, const uint8_t *topic, size_t topic_len, const uint8_t *payload, size_t len);
    uint8_t keep_alive;
};

/* payload layout, little endian as the machine is */
typedef struct stamp {
    uint32_t publisher, number;
    uint64_t ns;
} stamp;

void client_start(bench *b, client *c, uint32_t index);
void clients_start(bench *b, client *first, uint32_t index, uint32_t count); /* all up when it returns */
void client_subscribe(client *c, const char *filter, int qos);
void clients_subscribed(bench *b); /* waits for every SUBACK */

/* A PUBLISH made once and copied many times. */
typedef struct packet {
    uint8_t *bytes;
    size_t len, id_at, stamp_at;
} packet;
void packet_make(packet *p, const char *topic, int qos, bool retain, size_t payload);
void packet_free(packet *p);
void client_publish(client *c, const packet *p, int qos, uint64_t ns);

int run_flow(bench *b);     /* fanout, fanin, pairs, wild */
int run_steady(bench *b);   /* steady, slow */
int run_connect(bench *b);  /* connect: rate and bytes per connection */
int run_retained(bench *b); /* retained: store many, then deliver to # */
#endif
