/* adapter/mqtt/wire.h - MQTT 3.1, 3.1.1 and 5.0: bytes <-> packets, without any I/O.
 *
 * Reading is two steps: wire_frame() tells how long the packet at p is, wire_parse() decodes one whole packet.
 * Nothing is copied and nothing is allocated: slices point into the caller's bytes.  A packet that breaks the
 * standard gives the MQTT 5 reason code to disconnect with (0x81 malformed, 0x82 protocol error, ...).
 * Writing is two steps as well: wire_measure() says how many bytes, wire_write() fills them in.
 *
 * Statement numbers in the code are those of the OASIS texts; [5: x] MQTT 5.0, [3: x] MQTT 3.1.1. */
#ifndef ADAPTER_MQTT_WIRE_H
#define ADAPTER_MQTT_WIRE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WIRE_V31 = 3, WIRE_V311 = 4, WIRE_V5 = 5 };
enum { WIRE_MAX_REMAINING = 268435455, WIRE_MAX_HEADER = 5 }; /* [5: 1.5.5] */

typedef enum wire_type {
    WIRE_CONNECT = 1,
    WIRE_CONNACK,
    WIRE_PUBLISH,
    WIRE_PUBACK,
    WIRE_PUBREC,
    WIRE_PUBREL,
    WIRE_PUBCOMP,
    WIRE_SUBSCRIBE,
    WIRE_SUBACK,
    WIRE_UNSUBSCRIBE,
    WIRE_UNSUBACK,
    WIRE_PINGREQ,
    WIRE_PINGRESP,
    WIRE_DISCONNECT,
    WIRE_AUTH,
    WIRE_WILL /* no packet: the will's properties inside CONNECT */
} wire_type;

/* Reason codes of MQTT 5 (2.4). */
enum {
    WIRE_SUCCESS = 0x00,
    WIRE_DISCONNECT_WITH_WILL = 0x04,
    WIRE_NO_SUBSCRIBERS = 0x10,
    WIRE_NO_SUBSCRIPTION = 0x11,
    WIRE_CONTINUE_AUTH = 0x18,
    WIRE_REAUTH = 0x19,
    WIRE_UNSPECIFIED = 0x80,
    WIRE_MALFORMED = 0x81,
    WIRE_PROTOCOL_ERROR = 0x82,
    WIRE_IMPLEMENTATION = 0x83,
    WIRE_BAD_VERSION = 0x84,
    WIRE_BAD_CLIENT_ID = 0x85,
    WIRE_BAD_LOGIN = 0x86,
    WIRE_NOT_AUTHORIZED = 0x87,
    WIRE_UNAVAILABLE = 0x88,
    WIRE_BUSY = 0x89,
    WIRE_BANNED = 0x8A,
    WIRE_SHUTTING_DOWN = 0x8B,
    WIRE_BAD_AUTH_METHOD = 0x8C,
    WIRE_KEEP_ALIVE = 0x8D,
    WIRE_TAKEN_OVER = 0x8E,
    WIRE_BAD_FILTER = 0x8F,
    WIRE_BAD_TOPIC = 0x90,
    WIRE_ID_IN_USE = 0x91,
    WIRE_ID_NOT_FOUND = 0x92,
    WIRE_RECEIVE_MAX = 0x93,
    WIRE_BAD_ALIAS = 0x94,
    WIRE_TOO_LARGE = 0x95,
    WIRE_RATE = 0x96,
    WIRE_QUOTA = 0x97,
    WIRE_ADMIN = 0x98,
    WIRE_BAD_PAYLOAD = 0x99,
    WIRE_NO_RETAIN = 0x9A,
    WIRE_NO_QOS = 0x9B,
    WIRE_NO_SHARED = 0x9E,
    WIRE_CONNECTION_RATE = 0x9F,
    WIRE_NO_SUB_IDS = 0xA1,
    WIRE_NO_WILDCARDS = 0xA2
};

typedef struct wire_slice {
    const uint8_t *p; /* NULL: not there */
    uint32_t len;
} wire_slice;

/* Every property of MQTT 5 (2.2.2.2): identifier, NAME, kind, field, packets that may carry it.  User properties
 * and subscription identifiers may repeat: walk them with wire_next_user() and wire_next_id(). */
#define WIRE_PROPS(X)                                                                                                  \
    X(0x01, PAYLOAD_FORMAT, FLAG, payload_format, ON(PUBLISH) | ON(WILL))                                              \
    X(0x02, MESSAGE_EXPIRY, U32, message_expiry, ON(PUBLISH) | ON(WILL))                                               \
    X(0x03, CONTENT_TYPE, TEXT, content_type, ON(PUBLISH) | ON(WILL))                                                  \
    X(0x08, RESPONSE_TOPIC, TOPIC, response_topic, ON(PUBLISH) | ON(WILL))                                             \
    X(0x09, CORRELATION, BYTES, correlation, ON(PUBLISH) | ON(WILL))                                                   \
    X(0x0B, SUBSCRIPTION_ID, VARINT, subscription_id, ON(PUBLISH) | ON(SUBSCRIBE))                                     \
    X(0x11, SESSION_EXPIRY, U32, session_expiry, ON(CONNECT) | ON(CONNACK) | ON(DISCONNECT))                           \
    X(0x12, ASSIGNED_ID, TEXT, assigned_id, ON(CONNACK))                                                               \
    X(0x13, SERVER_KEEP_ALIVE, U16, server_keep_alive, ON(CONNACK))                                                    \
    X(0x15, AUTH_METHOD, TEXT, auth_method, ON(CONNECT) | ON(CONNACK) | ON(AUTH))                                      \
    X(0x16, AUTH_DATA, BYTES, auth_data, ON(CONNECT) | ON(CONNACK) | ON(AUTH))                                         \
    X(0x17, PROBLEM_INFO, FLAG, problem_info, ON(CONNECT))                                                             \
    X(0x18, WILL_DELAY, U32, will_delay, ON(WILL))                                                                     \
    X(0x19, WANTS_RESPONSE_INFO, FLAG, wants_response_info, ON(CONNECT))                                               \
    X(0x1A, RESPONSE_INFO, TEXT, response_info, ON(CONNACK))                                                           \
    X(0x1C, SERVER_REFERENCE, TEXT, server_reference, ON(CONNACK) | ON(DISCONNECT))                                    \
    X(0x1F, REASON_STRING, TEXT, reason_string,                                                                        \
      ON(CONNACK) | ON(PUBACK) | ON(PUBREC) | ON(PUBREL) | ON(PUBCOMP) | ON(SUBACK) | ON(UNSUBACK) | ON(DISCONNECT) |  \
          ON(AUTH))                                                                                                    \
    X(0x21, RECEIVE_MAX, U16_NOT_0, receive_max, ON(CONNECT) | ON(CONNACK))                                            \
    X(0x22, ALIAS_MAX, U16, alias_max, ON(CONNECT) | ON(CONNACK))                                                      \
    X(0x23, ALIAS, ALIAS, alias, ON(PUBLISH))                                                                          \
    X(0x24, MAX_QOS, FLAG, max_qos, ON(CONNACK))                                                                       \
    X(0x25, RETAIN_OK, FLAG, retain_ok, ON(CONNACK))                                                                   \
    X(0x26, USER, PAIR, user, ~0u)                                                                                     \
    X(0x27, MAX_PACKET, U32_NOT_0, max_packet, ON(CONNECT) | ON(CONNACK))                                              \
    X(0x28, WILDCARDS_OK, FLAG, wildcards_ok, ON(CONNACK))                                                             \
    X(0x29, SUB_IDS_OK, FLAG, sub_ids_ok, ON(CONNACK))                                                                 \
    X(0x2A, SHARED_OK, FLAG, shared_ok, ON(CONNACK))

#define WIRE_PROP_NUMBER(id, name, kind, field, on) WIRE_PROP_##name = id,
#define WIRE_PROP_BIT(id, name, kind, field, on)                                                                       \
    static const uint64_t WIRE_HAS_##name __attribute__((unused)) = UINT64_C(1) << id;
enum { WIRE_PROPS(WIRE_PROP_NUMBER) WIRE_PROP_LAST = 0x2A };
WIRE_PROPS(WIRE_PROP_BIT)
#undef WIRE_PROP_NUMBER
#undef WIRE_PROP_BIT

typedef struct wire_props {
    uint64_t has; /* WIRE_HAS_*: only these fields are set */
    uint32_t message_expiry, session_expiry, will_delay, max_packet;
    uint32_t subscription_id; /* the first one */
    uint16_t server_keep_alive, receive_max, alias_max, alias;
    uint8_t payload_format, problem_info, wants_response_info, max_qos, retain_ok, wildcards_ok, sub_ids_ok, shared_ok;
    wire_slice content_type, response_topic, correlation, assigned_id, auth_method, auth_data, response_info,
        server_reference, reason_string, user;
    uint8_t wrong;    /* reading: identifier of the one that is wrong, 0: none */
    wire_slice raw;   /* reading: all of them, as they came */
    wire_slice extra; /* writing: user properties and identifiers, encoded; they go last */
} wire_props;

typedef struct wire_connect {
    bool clean, has_will, will_retain;
    bool bridge; /* another broker: mosquitto's and others' convention of the top bit of the protocol level */
    uint8_t will_qos;
    uint16_t keep_alive;
    wire_slice client_id, will_topic, will_payload, user, password;
    wire_props will;
} wire_connect;

typedef struct wire_publish {
    uint8_t qos;
    bool retain, dup;
    wire_slice topic, payload;
} wire_publish;

typedef struct wire_list { /* (UN)SUBSCRIBE: filters, walk with wire_next_filter(); (UN)SUBACK: codes */
    wire_slice entries;
    unsigned count;
} wire_list;

typedef struct wire_packet {
    uint8_t type;    /* wire_type */
    uint8_t version; /* WIRE_V31, WIRE_V311, WIRE_V5; after a bad CONNECT: 0 if it did not get that far */
    uint8_t reason;  /* CONNACK, PUBACK ... PUBCOMP, DISCONNECT, AUTH */
    bool session_present; /* CONNACK */
    uint16_t id;
    union {
        wire_connect connect;
        wire_publish publish;
        wire_list list;
    };
    wire_props props; /* version 5 only; else .has is 0 */
    const char *fault; /* reading: what is wrong with it, or NULL when that cannot be said in a word */
} wire_packet;

typedef struct wire_filter {
    wire_slice text;
    uint8_t qos, retain_handling;
    bool no_local, keep_retain;
} wire_filter;

/* ---- reading (wire.c, wire_connect.c, wire_text.c, props.c) */

/* Length of the packet at p, header included: positive; 0: not yet known, give more bytes; -1: not a length [5: 1.5.5]. */
int64_t wire_frame(const uint8_t *p, size_t n, unsigned *header_len);

enum {
    WIRE_FROM_SERVER = 1, /* the sender is the server (what clients read) */
    WIRE_STRICT_TEXT = 2  /* control and non-characters are malformed too: [5: 1.5.4] "MAY treat as malformed" */
};
/* One whole packet.  version is ignored for CONNECT.  0, or the reason code of what is wrong with it. */
int wire_parse(wire_packet *out, const uint8_t *p, size_t len, unsigned version, unsigned flags);

/* Of a CONNECT of which only the beginning is here; 0: it does not say. */
unsigned wire_peek_version(const uint8_t *p, size_t len);

bool wire_next_filter(const wire_packet *packet, wire_slice *rest, wire_filter *out); /* rest starts as list.entries */
bool wire_next_user(wire_slice *rest, wire_slice *name, wire_slice *value);           /* rest starts as props.raw */
bool wire_next_id(wire_slice *rest, uint32_t *id);                                    /* rest starts as props.raw */

bool wire_text_ok(wire_slice s, bool strict);   /* UTF-8 without U+0000 and surrogates [5: 1.5.4-1, -2] */
bool wire_topic_ok(wire_slice s, bool strict);  /* and not empty, no wildcard [5: 4.7.3-1, 3.3.2-2] */
bool wire_filter_ok(wire_slice s, bool strict); /* and wildcards only where they may stand [5: 4.7.1-1, -2] */
/* "$share/group/filter" into its parts [5: 4.8.2-1, -2]: 0 not shared, 1 shared, -1 malformed. */
int wire_share(wire_slice s, wire_slice *group, wire_slice *filter);

/* ---- writing (encode.c, props.c) */
size_t wire_measure(const wire_packet *packet);              /* 0: over the protocol's limit of 256 MiB */
uint8_t *wire_write(const wire_packet *packet, uint8_t *out); /* one past the end */
uint8_t *wire_write_head(const wire_packet *packet, uint8_t *out); /* PUBLISH without its payload */
size_t wire_props_whole(const wire_packet *packet);                /* the property section with its length */
size_t wire_user_size(size_t name_len, size_t value_len);     /* one user property, encoded, for props.extra */
uint8_t *wire_user_write(uint8_t *out, wire_slice name, wire_slice value);
uint8_t *wire_id_write(uint8_t *out, uint32_t id); /* one subscription identifier, at most 5 bytes */
uint8_t wire_connack_v3(uint8_t reason);           /* the return code of 3.1 and 3.1.1 nearest to a reason code */
const char *wire_type_name(unsigned type);

/* ---- shared by the files of the codec */
static inline unsigned wire_varint_size(uint32_t n)
{
    return n < 128 ? 1 : n < 16384 ? 2 : n < 2097152 ? 3 : 4;
}

static inline uint8_t *wire_varint_write(uint8_t *out, uint32_t n)
{
    while (n > 127) {
        *out++ = (uint8_t)(n | 128);
        n >>= 7;
    }
    *out++ = (uint8_t)n;
    return out;
}

static inline uint8_t *wire_u16_write(uint8_t *out, unsigned n)
{
    out[0] = (uint8_t)(n >> 8);
    out[1] = (uint8_t)n;
    return out + 2;
}

typedef struct wire_cursor { /* what is left to read of a packet */
    const uint8_t *p, *end;
} wire_cursor;

static inline bool wire_u8(wire_cursor *c, uint8_t *out)
{
    if (c->p == c->end) return false;
    *out = *c->p++;
    return true;
}

static inline bool wire_u16(wire_cursor *c, uint16_t *out)
{
    if (c->end - c->p < 2) return false;
    *out = (uint16_t)(c->p[0] << 8 | c->p[1]);
    c->p += 2;
    return true;
}

static inline bool wire_bytes(wire_cursor *c, wire_slice *out)
{
    uint16_t len;
    if (!wire_u16(c, &len) || c->end - c->p < len) return false;
    *out = (wire_slice){c->p, len};
    c->p += len;
    return true;
}

bool wire_varint(wire_cursor *c, uint32_t *out); /* shortest form only [5: 1.5.5-1] */
/* The property section at the cursor.  0 or a reason code. */
int wire_props_parse(wire_cursor *c, wire_props *out, wire_type type, unsigned flags);
size_t wire_props_size(const wire_props *props); /* without the length in front */
uint8_t *wire_props_write(const wire_props *props, size_t size, uint8_t *out);
int wire_connect_parse(wire_packet *out, wire_cursor *c, unsigned flags);

#endif
