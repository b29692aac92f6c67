/* adapter/uplink/reasons.c - what a broker means. */
#include "adapter/mqtt/wire.h"
#include "adapter/uplink/client.h"

static const char *of_311(uint8_t code) /* [3: table 3.1] */
{
    static const char *const words[] = {"accepted", "it does not speak this version of MQTT", "it does not like our client id", "it is not available",
                                        "name or password are wrong", "we are not authorized"};

    return code < sizeof words / sizeof *words ? words[code] : "refused";
}

/* [5: 2.4] */
static const struct {
    uint8_t code;
    const char *words;
} reasons[] = {
    {WIRE_SUCCESS, "it has disconnected us"},
    {WIRE_UNSPECIFIED, "unspecified error"},
    {WIRE_MALFORMED, "malformed packet"},
    {WIRE_PROTOCOL_ERROR, "protocol error"},
    {WIRE_IMPLEMENTATION, "implementation specific error"},
    {WIRE_BAD_VERSION, "it does not speak this version of MQTT"},
    {WIRE_BAD_CLIENT_ID, "it does not like our client id"},
    {WIRE_BAD_LOGIN, "name or password are wrong"},
    {WIRE_NOT_AUTHORIZED, "we are not authorized"},
    {WIRE_UNAVAILABLE, "it is not available"},
    {WIRE_BUSY, "it is busy"},
    {WIRE_BANNED, "we are banned"},
    {WIRE_SHUTTING_DOWN, "it is shutting down"},
    {WIRE_BAD_AUTH_METHOD, "bad authentication method"},
    {WIRE_KEEP_ALIVE, "it has not heard of us within the keep-alive"},
    {WIRE_TAKEN_OVER, "another client has come with our client id"},
    {WIRE_BAD_FILTER, "topic filter invalid"},
    {WIRE_BAD_TOPIC, "topic name invalid"},
    {WIRE_ID_IN_USE, "packet identifier in use"},
    {WIRE_ID_NOT_FOUND, "packet identifier not found"},
    {WIRE_RECEIVE_MAX, "receive maximum exceeded"},
    {WIRE_BAD_ALIAS, "topic alias invalid"},
    {WIRE_TOO_LARGE, "packet too large"},
    {WIRE_RATE, "message rate too high"},
    {WIRE_QUOTA, "quota exceeded"},
    {WIRE_ADMIN, "administrative action"},
    {WIRE_BAD_PAYLOAD, "payload format invalid"},
    {WIRE_NO_RETAIN, "it keeps no values"},
    {WIRE_NO_QOS, "quality of service not supported"},
    {0x9C, "use another server"},
    {0x9D, "the server has moved"},
    {WIRE_NO_SHARED, "no shared subscriptions"},
    {WIRE_CONNECTION_RATE, "connection rate exceeded"},
    {0xA0, "maximum connect time"},
    {WIRE_NO_SUB_IDS, "no subscription identifiers"},
    {WIRE_NO_WILDCARDS, "no wildcards"},
};

const char *reason_text(unsigned version, uint8_t reason)
{
    if (version != WIRE_V5) return of_311(reason);
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (reasons[i].code == reason) return reasons[i].words;
    return "refused";
}
