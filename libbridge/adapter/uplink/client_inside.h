/* adapter/uplink/client_inside.h - what client.c, client_in.c and client_out.c share. */
#ifndef ADAPTER_UPLINK_CLIENT_INSIDE_H
#define ADAPTER_UPLINK_CLIENT_INSIDE_H
#include "adapter/mqtt/wire.h"
#include "adapter/uplink/aliases.h"
#include "adapter/uplink/client.h"
#include "base/buf.h"
#include <string.h>

typedef enum client_state { CLIENT_IDLE, CLIENT_ASKED, CLIENT_UP } client_state;

typedef struct slot { /* of a packet identifier */
    void *of;         /* a parcel, or a wish_sent; NULL: free */
    uint16_t next;    /* the next free one */
    bool is_parcel;
} slot;

typedef struct subscribing { /* SUBSCRIBE or UNSUBSCRIBE of one filter: one that is refused does not spoil the others */
    list link;
    uint16_t id; /* 0: waits */
    uint8_t qos;
    bool leaves, quiet, awaited;
    char filter[];
} subscribing;

struct client_ack {
    list link;
    client *client;
    uint16_t id;
    uint8_t qos, reason;
    bool done, muted; /* muted: its connection has gone */
};

typedef struct owed { /* a PUBCOMP that waits for the disk */
    uint64_t batch;
    uint16_t id;
    uint8_t reason;
} owed;

struct client {
    mem *mem;
    const client_hooks *hooks;
    void *user;
    client_state state;
    bool clean, fresh; /* fresh: what we know of a session is another broker's */
    uint64_t max_in; /* bytes of a packet from them */
    unsigned version, turn; /* turn: another number for each connection */
    /* keep-alive */
    int64_t calendar; /* what is to be added to now */
    int64_t now, heard, said, pinged, keep_alive; /* ms; pinged: 0 no PINGREQ is unanswered */
    /* out */
    slot *slots; /* by packet identifier; [0] is nobody's */
    size_t slot_count, slot_room;
    uint16_t free_id;
    unsigned window, in_flight, quota, most_quota, stale; /* stale: in flight and not yet sent again */
    unsigned held;                                        /* in flight, and what is to be said waits for the disk */
    list flight, asking;
    unsigned asked;
    uint32_t max_packet;
    buf props; /* user properties of the message being written */
    unsigned most_aliases;
    aliases_out aliases_out;
    aliases_in aliases_in;
    bool session;       /* we know of one at the broker */
    uint8_t *uncertain; /* a bit for each packet identifier that the broker may have of QoS 2 from before our time; NULL: none */
    /* in */
    list acks;
    unsigned acks_pending;
    client_ack *spare;
    uint16_t *taken; /* identifiers of QoS 2 that are not yet released */
    size_t taken_count, taken_room;
    owed *owed; /* in order */
    size_t owed_count, owed_room;
    buf texts;
    bridge_prop *user_props;
    size_t user_room;
};

static inline wire_slice slice_text(const char *s)
{
    return (wire_slice){(const uint8_t *)s, (uint32_t)strlen(s)};
}

/* client.c */
int client_write(client *c, const wire_packet *p);
void client_end(client *c, uint8_t reason, int code, const char *why); /* reason: what we tell them; 0: nothing */

/* client_out.c */
void client_resend(client *c);
void client_ask_on(client *c);
void client_drop_asking(client *c);
void client_drop_flight(client *c);
int client_handle_ack(client *c, const wire_packet *p); /* PUBACK, PUBREC, PUBCOMP; 0 or a reason to break off */
int client_handle_suback(client *c, const wire_packet *p);
void client_doubt(client *c); /* a session we know nothing of */
void client_say_held(client *c, uint64_t batch);

/* client_in.c */
int client_handle_publish(client *c, const wire_packet *p);
int client_handle_pubrel(client *c, const wire_packet *p);
void client_mute(client *c);
void client_drop_in(client *c, bool all);
int client_take_again(client *c, uint16_t id); /* one that was taken before our time */
void client_say_owed(client *c, uint64_t batch);
#endif
