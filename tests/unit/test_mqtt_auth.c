/* Enhanced authentication (MQTT 5 4.12): an application's method, played through by a client of packets. */
#include "adapter/mqtt/wire.h"
#include "bridge/bridge.h"
#include "check.h"
#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* The method "twice": "a" is answered by the challenge "b", then "c" is right and gets "d"; "no" is wrong at any time. */
static bridge_verdict judge(void *user, const bridge_ask *ask)
{
    (void)user;
    if (ask->verb != BRIDGE_CONNECT || !ask->method) return BRIDGE_ALLOW;
    if (strcmp(ask->method, "twice") != 0) return BRIDGE_DEFER;
    if (ask->secret_len == 1 && memcmp(ask->secret, "a", 1) == 0 && ask->step == 0) {
        bridge_ask_reply(ask, "b", 1);
        return BRIDGE_CHALLENGE;
    }
    if (ask->secret_len == 1 && memcmp(ask->secret, "c", 1) == 0 && ask->step == 1) {
        bridge_ask_reply(ask, "d", 1);
        return BRIDGE_ALLOW;
    }
    return BRIDGE_DENY;
}

typedef struct client {
    int fd;
    uint8_t in[512];
    size_t len;
} client;

static client open_client(int port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    client c = {.fd = socket(AF_INET, SOCK_STREAM, 0)};
    struct timeval patience = {20, 0};
    setsockopt(c.fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    CHECK_INT(connect(c.fd, (struct sockaddr *)&to, sizeof to), 0);
    return c;
}

static void say(client *c, const wire_packet *p)
{
    uint8_t bytes[512];
    size_t n = (size_t)(wire_write(p, bytes) - bytes);
    CHECK_INT(send(c->fd, bytes, n, MSG_NOSIGNAL), n);
}

/* The next packet; type 0 when the server has closed. */
static wire_packet hear(client *c)
{
    static uint8_t packet[512];
    wire_packet p = {0};
    unsigned header;
    for (;;) {
        int64_t n = c->len ? wire_frame(c->in, c->len, &header) : 0;
        if (n > 0 && (size_t)n <= c->len) {
            memcpy(packet, c->in, (size_t)n);
            c->len -= (size_t)n;
            memmove(c->in, c->in + n, c->len);
            CHECK_INT(wire_parse(&p, packet, (size_t)n, WIRE_V5, WIRE_FROM_SERVER), 0);
            return p;
        }
        ssize_t got = recv(c->fd, c->in + c->len, sizeof c->in - c->len, 0);
        if (got <= 0) return p;
        c->len += (size_t)got;
    }
}

static wire_slice s_of(const char *text)
{
    return (wire_slice){(const uint8_t *)text, (uint32_t)strlen(text)};
}

static wire_packet with_auth(unsigned type, uint8_t reason, const char *method, const char *data)
{
    wire_packet p = {.type = (uint8_t)type, .version = WIRE_V5, .reason = reason};
    if (type == WIRE_CONNECT) p.connect = (wire_connect){.clean = true, .client_id = s_of("guest")};
    p.props.has = WIRE_HAS_AUTH_METHOD | WIRE_HAS_AUTH_DATA;
    p.props.auth_method = s_of(method);
    p.props.auth_data = s_of(data);
    return p;
}

static bool data_is(const wire_packet *p, const char *method, const char *data)
{
    const wire_props *x = &p->props;
    return (x->has & WIRE_HAS_AUTH_METHOD) && (x->has & WIRE_HAS_AUTH_DATA) && x->auth_method.len == strlen(method) &&
           memcmp(x->auth_method.p, method, x->auth_method.len) == 0 && x->auth_data.len == strlen(data) &&
           memcmp(x->auth_data.p, data, x->auth_data.len) == 0;
}

static client let_in(int port)
{
    client c = open_client(port);
    wire_packet p = with_auth(WIRE_CONNECT, 0, "twice", "a");
    say(&c, &p);
    p = hear(&c);
    CHECK(p.type == WIRE_AUTH && p.reason == WIRE_CONTINUE_AUTH && data_is(&p, "twice", "b")); /* [5: 4.12.0-2, -3] */
    p = with_auth(WIRE_AUTH, WIRE_CONTINUE_AUTH, "twice", "c");
    say(&c, &p);
    p = hear(&c);
    CHECK(p.type == WIRE_CONNACK && p.reason == 0 && data_is(&p, "twice", "d")); /* [5: 4.12.0-5] */
    return c;
}

static void refused(int port, const char *method, const char *first, const char *second, uint8_t reason)
{
    client c = open_client(port);
    wire_packet p = with_auth(WIRE_CONNECT, 0, method, first);
    say(&c, &p);
    if (second) {
        CHECK_INT(hear(&c).type, WIRE_AUTH);
        p = with_auth(WIRE_AUTH, WIRE_CONTINUE_AUTH, method, second);
        say(&c, &p);
    }
    p = hear(&c);
    CHECK(p.type == WIRE_CONNACK);
    CHECK_INT(p.reason, reason); /* [5: 4.12.0-4] */
    CHECK_INT(hear(&c).type, 0);
    close(c.fd);
}

static void again(int port)
{
    client c = let_in(port);
    wire_packet p = with_auth(WIRE_AUTH, WIRE_REAUTH, "twice", "a");
    say(&c, &p);
    p = hear(&c);
    CHECK(p.type == WIRE_AUTH && p.reason == WIRE_CONTINUE_AUTH);
    p = (wire_packet){.type = WIRE_PINGREQ, .version = WIRE_V5};
    say(&c, &p);
    CHECK_INT(hear(&c).type, WIRE_PINGRESP); /* [5: 4.12.1] the connection goes on meanwhile */
    p = with_auth(WIRE_AUTH, WIRE_CONTINUE_AUTH, "twice", "c");
    say(&c, &p);
    p = hear(&c);
    CHECK(p.type == WIRE_AUTH && p.reason == 0 && data_is(&p, "twice", "d"));
    p = with_auth(WIRE_AUTH, WIRE_REAUTH, "twice", "no");
    say(&c, &p);
    p = hear(&c);
    CHECK(p.type == WIRE_DISCONNECT && p.reason == WIRE_NOT_AUTHORIZED); /* [5: 4.12.1-2] */
    close(c.fd);
    c = let_in(port);
    p = with_auth(WIRE_AUTH, WIRE_REAUTH, "other", "a"); /* [5: 4.12.1-1] */
    say(&c, &p);
    p = hear(&c);
    CHECK(p.type == WIRE_DISCONNECT && p.reason == WIRE_PROTOCOL_ERROR);
    close(c.fd);
}

static void out_of_turn(int port) /* [5: 3.1.2-30] nothing but AUTH and DISCONNECT before CONNACK */
{
    client c = open_client(port);
    wire_packet p = with_auth(WIRE_CONNECT, 0, "twice", "a");
    say(&c, &p);
    CHECK_INT(hear(&c).type, WIRE_AUTH);
    p = (wire_packet){.type = WIRE_PINGREQ, .version = WIRE_V5};
    say(&c, &p);
    p = hear(&c);
    CHECK(p.type == WIRE_CONNACK && p.reason == WIRE_PROTOCOL_ERROR);
    CHECK_INT(hear(&c).type, 0);
    close(c.fd);
}

int main(void)
{
    bridge *b = NULL;
    bridge_slot *slot = NULL;
    bridge_error err = {0};
    CHECK_INT(bridge_new(&b, BRIDGE_OPTIONS(.log_level = BRIDGE_LOG_ERROR), &err), 0);
    CHECK_INT(bridge_listen(b, "mqtt://127.0.0.1:0", &slot, &err), 0);
    CHECK_INT(bridge_on_access(b, judge, NULL, NULL), 0);
    int port = atoi(strrchr(bridge_slot_name(slot), ':') + 1);
    CHECK_INT(bridge_start(b), 0);
    client c = let_in(port);
    close(c.fd);
    refused(port, "twice", "no", NULL, WIRE_NOT_AUTHORIZED);
    refused(port, "twice", "a", "no", WIRE_NOT_AUTHORIZED);
    refused(port, "other", "a", NULL, WIRE_BAD_AUTH_METHOD);
    again(port);
    out_of_turn(port);
    bridge_free(b);
    return check_done();
}
