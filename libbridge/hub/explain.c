/* Why a path goes where it goes, in sentences. */
#include "hub/hub.h"

enum { SHOWN = 20 };

struct telling {
    hub *hub;
    buf *out;
    unsigned watchers;
};

static void on_subs(void *user, sub *const *subs, size_t count, sub_group *group)
{
    struct telling *t = user;
    char filter[PATH_BYTES + 1];

    for (size_t i = 0; i < count; i++) {
        const bridge_watch *w = (const bridge_watch *)subs[i];
        if (t->watchers++ >= SHOWN) continue;
        int len = tree_spell_sub(t->hub->tree, &w->sub, filter, sizeof filter); /* not ended by a NUL */
        buf_print(t->out, "%s watches it by %.*s at QoS %u%s%.*s\n", bridge_peer_name(w->peer), len < 0 ? 0 : len, filter, w->qos,
                  group ? ", one of group " : "", group ? (int)group->name_len : 0, group ? group->name : "");
    }
}

static void explain_value(hub *h, text path, buf *out)
{
    const bridge_msg *value = values_get(h, path);

    if (value)
        buf_print(out, "a value of %u bytes is kept, from %s, version %llu\n", value->len, value->origin ? value->origin->text : "nobody",
                  (unsigned long long)value->version);
    else
        buf_print(out, "no value is kept\n");
}

int hub_explain(hub *h, const char *textual, buf *out)
{
    text path = text_of(textual);
    struct telling t = {.hub = h, .out = out};
    const ptrie_entry *owner;
    int rc = path_check(path.p, path.len, NULL);

    if (rc < 0) return rc;
    buf_print(out, "%s\n", textual);
    routes_explain(h, path, out);
    owner = tree_owner(h->tree, path.p, path.len);
    if (owner) buf_print(out, "requests are answered by the owner of %.*s\n", (int)owner->pattern->len, owner->pattern->text);
    explain_value(h, path, out);
    life_explain(h, path, out);
    tree_match(h->tree, path.p, path.len, on_subs, &t);
    if (t.watchers == 0) buf_print(out, "nobody watches it\n");
    if (t.watchers > SHOWN) buf_print(out, "and %u more watch it\n", t.watchers - SHOWN);
    if (h->auth || h->policy_count) buf_print(out, "who may read and write it is asked of %s\n", h->policy_count ? "the application" : "the ACL file");
    return 0;
}
