#include "adapter/uplink/aliases.h"
#include "adapter/mqtt/wire.h"
#include "base/status.h"
#include <string.h>

typedef struct alias {
    list link; /* in used, once it was said */
    uint64_t said; /* as which message */
    unsigned number;
    uint32_t len;
    char topic[];
} alias;

void aliases_out_init(aliases_out *a, mem *m)
{
    *a = (aliases_out){.mem = m};
    map_init(&a->by_topic, m, (uint64_t)(uintptr_t)a); /* our own topics: nobody is out to make them collide */
    list_init(&a->used);
}

static void drop(aliases_out *a, alias *it)
{
    list_remove(&it->link);
    map_remove(&a->by_topic, it->topic, it->len);
    mem_free(a->mem, it);
}

void aliases_out_begin(aliases_out *a, unsigned most)
{
    while (!list_empty(&a->used)) drop(a, list_of(a->used.next, alias, link));
    a->most = most;
    a->count = 0;
    a->said = 0;
}

void aliases_out_done(aliases_out *a)
{
    aliases_out_begin(a, 0);
    map_done(&a->by_topic);
}

/* The number that a new topic may have; 0: none now. */
static unsigned number_for_one_more(const aliases_out *a)
{
    const alias *oldest;

    if (a->count < a->most) return a->count + 1;
    oldest = list_of(a->used.next, alias, link);
    return a->said - oldest->said > 2 * (uint64_t)a->most ? oldest->number : 0;
}

alias_use aliases_out_use(aliases_out *a, text topic)
{
    alias_use use = {0};
    alias *it;

    if (a->most == 0 || topic.len < ALIAS_TOPIC_MIN) return use;
    a->said++;
    it = map_get(&a->by_topic, topic.p, topic.len);
    if (it) {
        it->said = a->said;
        list_remove(&it->link);
        list_push(&a->used, &it->link);
        return (alias_use){.number = it->number, .known = true};
    }
    use.number = number_for_one_more(a);
    use.taken = use.number ? mem_alloc(a->mem, sizeof *it + topic.len) : NULL;
    if (!use.taken) return (alias_use){0};
    *use.taken = (alias){.said = a->said, .number = use.number, .len = (uint32_t)topic.len};
    memcpy(use.taken->topic, topic.p, topic.len);
    return use;
}

void aliases_out_said(aliases_out *a, const alias_use *use)
{
    alias *it = use->taken;

    if (!it) return;
    if (it->number <= a->count) drop(a, list_of(a->used.next, alias, link)); /* whose number it was */
    else a->count++;
    list_push(&a->used, &it->link);
    if (map_put(&a->by_topic, it->topic, it->len, it, NULL) < 0) a->most = 0; /* out of memory: topics go as they are from now on */
}

void aliases_out_unsaid(aliases_out *a, const alias_use *use)
{
    mem_free(a->mem, use->taken);
}

/* ---- theirs */

void aliases_in_begin(aliases_in *a, mem *m, unsigned most)
{
    for (unsigned i = 0; a->topics && i < a->most; i++) mem_free(a->mem, a->topics[i]);
    if (a->topics) mem_free(a->mem, a->topics);
    *a = (aliases_in){.mem = m, .most = most};
}

int aliases_in_resolve(aliases_in *a, unsigned number, text *topic)
{
    char *copy;

    if (number == 0 || number > a->most) return WIRE_BAD_ALIAS; /* [5: 3.3.2-8] to [5: 3.3.2-10] */
    if (!a->topics && !(a->topics = mem_new_array(a->mem, char *, a->most))) return WIRE_UNSPECIFIED;
    number--;
    if (topic->len == 0) {
        if (!a->topics[number]) return WIRE_PROTOCOL_ERROR; /* [5: 3.3.2.3.4] */
        *topic = text_of(a->topics[number]);
        return 0;
    }
    copy = mem_text_len(a->mem, topic->p, topic->len);
    if (!copy) return WIRE_UNSPECIFIED;
    mem_free(a->mem, a->topics[number]);
    a->topics[number] = copy;
    return 0;
}
