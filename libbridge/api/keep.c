/* The public calls about what outlives the process. */
#include "api/bridge.h"
#include "base/status.h"
#include "hub/keep.h"

typedef struct keeping {
    const char *text;
    int level;
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
