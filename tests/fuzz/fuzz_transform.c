/* A transformation and the payload that goes through it: the first line is the steps, what follows the payload. */
#include "base/mem.h"
#include "transform/transform.h"
#include <stdlib.h>
#include <string.h>

static void *find(void *user, text name)
{
    return text_is(name, "same") ? user : NULL;
}

static int call(void *handle, bridge_msg *msg, bridge_msg **out)
{
    (void)handle;
    *out = bridge_msg_ref(msg);
    return 0;
}

static int on_out(void *user, bridge_msg *msg, text target)
{
    (void)msg;
    *(size_t *)user += target.len;
    return 0;
}

static void through(const transform *t, const pattern *source, const uint8_t *data, size_t len)
{
    static const bridge_format formats[] = {BRIDGE_FORMAT_AUTO, BRIDGE_JSON, BRIDGE_CBOR, BRIDGE_SENML_JSON, BRIDGE_SENML_CBOR};
    transform_state *s = NULL;
    size_t told = 0;
    transform_way way = {.source = source, .now = 1000, .out = on_out, .user = &told};

    if (transform_state_new(t, mem_default(), 7, &s) < 0) return;
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        bridge_msg *msg = NULL;
        const bridge_fields f = {.size = sizeof f, .path = i & 1 ? "in/hall/t" : "in/attic/t", .data = data, .len = len, .format = formats[i], .time = 1};
        bridge_error err;
        if (bridge_msg_new(&msg, &f) < 0) continue;
        transform_run(t, s, &way, msg, (text){"out", 3}, &err);
        bridge_msg_unref(msg);
        way.now += 700;
        transform_tick(t, s, &way, false, NULL);
    }
    transform_tick(t, s, &way, true, NULL);
    if (transform_paths(s) || transform_bytes(s)) abort();
    transform_state_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static char handle[1];
    const transform_calls calls = {find, call, handle};
    const uint8_t *end = memchr(data, '\n', len);
    size_t said = end ? (size_t)(end - data) : len;
    transform *t = NULL, *back = NULL;
    pattern *source = NULL;
    char *steps = mem_text_len(mem_default(), (const char *)data, said);

    if (steps && pattern_new(mem_default(), &source, "in/{room}/t", 11, PATTERN_FULL, NULL) == 0 &&
        transform_new(mem_default(), &t, steps, source, &calls, NULL) == 0) {
        through(t, source, end ? end + 1 : data, end ? len - said - 1 : 0);
        if (transform_inverse(t, mem_default(), &back, NULL) == 0 && transform_remembers(back)) abort();
    }
    transform_free(back);
    transform_free(t);
    mem_free(mem_default(), source);
    mem_free(mem_default(), steps);
    return 0;
}
