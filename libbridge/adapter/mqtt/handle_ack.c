/* adapter/mqtt/handle_ack.c - what clients answer to our PUBLISH [5: 3.4, 3.5, 3.7, 4.3]. */
#include "adapter/mqtt/persist.h"

int mqtt_handle_puback(mqtt_client *c, const wire_packet *p)
{
    mqtt_out *o = mqtt_queue_find(c->session, p->id);
    if (!o) return 0; /* of an exchange that is over; harmless */
    if (o->qos != 1) return WIRE_PROTOCOL_ERROR;
    mqtt_queue_done(c->session, o);
    mqtt_queue_pump(c->session);
    return 0;
}

int mqtt_handle_pubrec(mqtt_client *c, const wire_packet *p)
{
    mqtt_out *o = mqtt_queue_find(c->session, p->id);
    if (!o) {
        mqtt_send_ack(c, WIRE_PUBREL, p->id, WIRE_ID_NOT_FOUND); /* [5: 4.3.3-4] so that the client may forget it */
        return 0;
    }
    if (o->qos != 2) return WIRE_PROTOCOL_ERROR;
    if (p->reason >= WIRE_UNSPECIFIED) { /* [5: 4.4.0-2] refused: over */
        mqtt_queue_done(c->session, o);
        mqtt_queue_pump(c->session);
        return 0;
    }
    mqtt_queue_release(c->session, o);
    mqtt_persist_send(c->session, WIRE_PUBREL, p->id, WIRE_SUCCESS);
    return 0;
}

int mqtt_handle_pubcomp(mqtt_client *c, const wire_packet *p)
{
    mqtt_out *o = mqtt_queue_find(c->session, p->id);
    if (!o) return 0;
    if (o->qos != 2 || o->state != OUT_RELEASED) return WIRE_PROTOCOL_ERROR;
    mqtt_queue_done(c->session, o);
    mqtt_queue_pump(c->session);
    return 0;
}
