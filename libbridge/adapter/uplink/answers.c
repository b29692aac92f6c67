/* adapter/uplink/answers.c - what paho answers to orders, on its threads. */
#include "adapter/uplink/inside.h"
#include <stdio.h>

void link_tell_failed(paho_link *k, link_kind kind, int code, const char *why)
{
    link_news *n = link_news_new(k, kind, k->attempt);

    if (!n) return;
    n->code = code;
    snprintf(n->text, sizeof n->text, "%s", why);
    link_tell(k, n);
}

static void set_up(paho_link *k, bool up)
{
    pthread_mutex_lock(&k->lock);
    k->up = k->kick = up;
    if (up) pthread_cond_signal(&k->work);
    pthread_mutex_unlock(&k->lock);
}

static void on_up(paho_link *k, bool present, MQTTProperties *props)
{
    link_news *n = link_news_new(k, LINK_UP, k->attempt);

    set_up(k, true);
    if (!n) return;
    n->session_present = present;
    n->max_qos = 2;
    if (props && MQTTProperties_hasProperty(props, MQTTPROPERTY_CODE_RETAIN_AVAILABLE))
        n->no_retain = MQTTProperties_getNumericValue(props, MQTTPROPERTY_CODE_RETAIN_AVAILABLE) == 0;
    if (props && MQTTProperties_hasProperty(props, MQTTPROPERTY_CODE_MAXIMUM_QOS))
        n->max_qos = (uint8_t)MQTTProperties_getNumericValue(props, MQTTPROPERTY_CODE_MAXIMUM_QOS);
    if (props && MQTTProperties_hasProperty(props, MQTTPROPERTY_CODE_MAXIMUM_PACKET_SIZE))
        n->max_packet = (uint32_t)MQTTProperties_getNumericValue(props, MQTTPROPERTY_CODE_MAXIMUM_PACKET_SIZE);
    link_tell(k, n);
}

void link_on_connected(void *context, MQTTAsync_successData *d)
{
    on_up(context, d && d->alt.connect.sessionPresent, NULL);
}

void link_on_connected5(void *context, MQTTAsync_successData5 *d)
{
    on_up(context, d && d->alt.connect.sessionPresent, d ? &d->properties : NULL);
}

static const char *refusal_of_311(int code) /* MQTT 3.1.1 table 3.1 */
{
    static const char *const words[] = {NULL, "it does not speak MQTT 3.1.1", "it does not like our client id", "it is not available",
                                        "name or password are wrong", "we are not authorized"};

    return code > 0 && code < 6 ? words[code] : NULL;
}

void link_on_refused(void *context, MQTTAsync_failureData *d)
{
    const char *why = d ? refusal_of_311(d->code) : NULL;

    if (!why) why = d && d->message ? d->message : "no answer";
    link_tell_failed(context, LINK_FAILED, d ? d->code : 0, why);
}

void link_on_refused5(void *context, MQTTAsync_failureData5 *d)
{
    const char *why = d && d->reasonCode >= 0x80 ? MQTTReasonCode_toString(d->reasonCode) : d ? d->message : NULL;

    link_tell_failed(context, LINK_FAILED, d && d->reasonCode >= 0x80 ? (int)d->reasonCode : d ? d->code : 0, why ? why : "no answer");
}

void link_on_lost(void *context, char *cause)
{
    paho_link *k = context;

    set_up(k, false);
    link_tell_failed(k, LINK_LOST, 0, cause ? cause : "connection lost");
    if (cause) MQTTAsync_free(cause);
}

void link_on_disconnected(void *context, MQTTProperties *props, enum MQTTReasonCodes reason)
{
    const char *why = MQTTReasonCode_toString(reason);

    (void)props;
    set_up(context, false);
    link_tell_failed(context, LINK_LOST, (int)reason, why ? why : "the broker has disconnected us");
}

void link_tell_subscribed(paho_link *k, unsigned count, const uint8_t *codes)
{
    link_news *n = link_news_new(k, LINK_SUBSCRIBED, k->attempt);

    if (!n) return;
    n->count = count;
    n->codes = mem_copy(k->mem, codes, count);
    link_tell(k, n);
}

void link_on_subscribed(void *context, MQTTAsync_successData *d)
{
    uint8_t codes[1] = {d ? (uint8_t)d->alt.qos : 0};

    link_tell_subscribed(context, 1, codes);
}

void link_on_subscribed5(void *context, MQTTAsync_successData5 *d)
{
    uint8_t codes[1] = {d ? (uint8_t)d->reasonCode : 0};

    link_tell_subscribed(context, 1, codes);
}

void link_on_unsubscribable(void *context, MQTTAsync_failureData *d)
{
    uint8_t codes[1] = {0x80};

    (void)d;
    link_tell_subscribed(context, 1, codes);
}

void link_on_unsubscribable5(void *context, MQTTAsync_failureData5 *d)
{
    uint8_t codes[1] = {d && d->reasonCode >= 0x80 ? (uint8_t)d->reasonCode : 0x80};

    link_tell_subscribed(context, 1, codes);
}
