/* adapter/mqtt/handle_auth.c - enhanced authentication [5: 4.12]: the application's policy function asks, the client answers,
 * until it says ALLOW or DENY; later the client may begin anew.  The method's meaning is theirs alone. */
#include "adapter/mqtt/session.h"
#include <stdio.h>

int mqtt_auth_new(mqtt_client *c, const wire_packet *connect, const uint8_t *raw, size_t len)
{
    mem *m = c->port->shared->mem;
    mqtt_auth *a = mem_new(m, mqtt_auth);
    c->auth = a;
    if (!a) return BRIDGE_NOMEM;
    buf_init(&a->reply, m, UINT16_MAX);
    a->method = mem_text_len(m, (const char *)connect->props.auth_method.p, connect->props.auth_method.len);
    a->connect = mem_copy(m, raw, len);
    a->connect_len = len;
    return a->method && a->connect ? 0 : BRIDGE_NOMEM;
}

void mqtt_auth_free(mqtt_client *c)
{
    mem *m = c->port->shared->mem;
    mqtt_auth *a = c->auth;
    c->auth = NULL;
    if (!a) return;
    buf_done(&a->reply);
    mem_free(m, a->method);
    mem_free(m, a->connect);
    mem_free(m, a);
}

void mqtt_auth_props(const mqtt_client *c, wire_props *props)
{
    const mqtt_auth *a = c->auth;
    props->has |= WIRE_HAS_AUTH_METHOD; /* [5: 4.12.0-5] */
    props->auth_method = (wire_slice){(const uint8_t *)a->method, (uint32_t)strlen(a->method)};
    if (a->reply.len == 0) return;
    props->has |= WIRE_HAS_AUTH_DATA;
    props->auth_data = (wire_slice){a->reply.data, (uint32_t)a->reply.len};
}

void mqtt_auth_send(mqtt_client *c, uint8_t reason)
{
    wire_packet p = {.type = WIRE_AUTH, .version = WIRE_V5, .reason = reason};
    mqtt_auth_props(c, &p.props);
    mqtt_send(c, &p);
}

/* The client is in already and proves itself anew [5: 4.12.1]. */
static int prove_again(mqtt_client *c, wire_slice data)
{
    mqtt_auth *a = c->auth;
    bridge_ask ask = {.size = sizeof ask, .verb = BRIDGE_CONNECT, .who = bridge_peer_name(c->session->peer), .method = a->method,
                      .user = bridge_peer_user(c->session->peer), .path = c->session->id, .secret = data.p,
                      .secret_len = data.len, .step = a->step++, .reply = &a->reply};
    buf_clear(&a->reply);
    int rc = bridge_port_login(c->via, &ask);
    if (c->state == MQTT_GONE) return 0;
    a->again = rc == BRIDGE_PENDING;
    if (rc < 0) return WIRE_NOT_AUTHORIZED;
    mqtt_auth_send(c, rc == BRIDGE_PENDING ? WIRE_CONTINUE_AUTH : WIRE_SUCCESS);
    return 0;
}

int mqtt_handle_auth(mqtt_client *c, const wire_packet *p)
{
    mqtt_auth *a = c->auth;
    wire_slice none = {NULL, 0}, data = p->props.has & WIRE_HAS_AUTH_DATA ? p->props.auth_data : none;
    if (!a || !(p->props.has & WIRE_HAS_AUTH_METHOD) || p->props.auth_method.len != strlen(a->method) ||
        memcmp(p->props.auth_method.p, a->method, p->props.auth_method.len) != 0)
        return WIRE_PROTOCOL_ERROR; /* [5: 4.12.0-1, 4.12.1-1] */
    if (c->state == MQTT_ASKING) return p->reason == WIRE_CONTINUE_AUTH ? mqtt_connect_go_on(c, data) : WIRE_PROTOCOL_ERROR;
    if (p->reason == WIRE_REAUTH && !a->again) {
        a->step = 0;
        return prove_again(c, data);
    }
    return p->reason == WIRE_CONTINUE_AUTH && a->again ? prove_again(c, data) : WIRE_PROTOCOL_ERROR;
}
