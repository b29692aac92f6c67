/* The public calls about what outlives the process. */
#include "api/bridge.h"
#include "base/status.h"
#include "hub/history.h"

typedef struct keeping {
    const char *text;
    int level;
    const bridge_history *history;
    bridge_error *err;
} keeping;

static int do_keep(bridge *b, void *args)
{
    keeping *k = args;

    return keep_open(b->hub, k->text, k->err);
}

int bridge_persist(bridge *b, const char *where, bridge_error *err)
{
    keeping k = {.text = where, .err = err};

    return where ? on_loop(b, do_keep, &k) : fail(err, BRIDGE_INVALID, "no store");
}

static int do_level(bridge *b, void *args)
{
    keeping *k = args;

    return keep_level_set(b->hub, k->text, k->level, k->err);
}

int bridge_durability(bridge *b, const char *pattern_text, const char *level, bridge_error *err)
{
    keeping k = {.text = pattern_text, .level = level ? store_level_of(level) : -1, .err = err};

    if (!pattern_text) return fail(err, BRIDGE_INVALID, "no pattern");
    if (level && k.level < 0) return fail(err, BRIDGE_INVALID, "durability \"%.40s\": full, normal or none is wanted", level);
    return on_loop(b, do_level, &k);
}

static int do_record(bridge *b, void *args)
{
    keeping *k = args;

    return history_rule_set(b->hub, k->text, k->history, k->err);
}

int bridge_record_history(bridge *b, const char *pattern_text, const bridge_history *said, bridge_error *err)
{
    bridge_history rule = {0};
    keeping k = {.text = pattern_text, .history = said ? &rule : NULL, .err = err};

    if (!pattern_text) return fail(err, BRIDGE_INVALID, "no pattern");
    if (said) memcpy(&rule, said, said->size < sizeof rule ? said->size : sizeof rule);
    if (rule.keep < 0 || rule.resolution < 0) return fail(err, BRIDGE_INVALID, "a time below 0");
    return on_loop(b, do_record, &k);
}
