/* The map of a topic's properties (draft-ietf-core-coap-pubsub), and its date: what is read fits what the header promises. */
#include "adapter/coap/topics.h"
#include "codec/scratch.h"
#include "fuzz_codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    topic_config c;
    scratch s;
    const char *why = NULL;

    scratch_init(&s, mem_default());
    if (topic_config_read(&c, &s, data, len, &why) == 0) {
        MUST(c.has < 1u << TOPIC_KEYS && c.wanted < 1u << TOPIC_KEYS);
        MUST(c.name.len <= TOPIC_TEXT && c.data.len <= TOPIC_TEXT && c.type.len <= TOPIC_TEXT);
        if (c.has & 1u << TOPIC_EXPIRATION) MUST(c.expires >= 0);
    } else {
        MUST(why);
    }
    scratch_done(&s);
    topic_date((text){(const char *)data, len});
    return 0;
}
