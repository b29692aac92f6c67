/* Routes against a slow, obvious model: random routes come and go, messages of random schemes are published, and what
 * is heard, kept and called by name must be what the model says.   test_routes_model [operations] [seed] */
#include "api/bridge.h"
#include "check.h"
#include "hub/routes.h"
#include <stdlib.h>

enum { ROUTES = 24, HEARD = 4096 };

static uint64_t state;
static unsigned pick(unsigned n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (unsigned)(state >> 33) % n;
}

/* ---- random words */

static const char *const schemes[] = {"x-a", "x-b"};

static void random_path(char *out, bool with_names, const char **names_used, int *count)
{
    static const char *const words[] = {"a", "b", "c", ""};
    static const char *const names[] = {"{k}", "{l}", "{m}"};
    int segments = 1 + (int)pick(3);

    *out = 0;
    if (count) *count = 0;
    for (int i = 0; i < segments; i++) {
        if (i) strcat(out, "/");
        if (with_names && pick(3) == 0) {
            names_used[*count] = names[*count];
            strcat(out, names[(*count)++]);
        } else {
            strcat(out, words[pick(i == 0 ? 3 : 4)]);
        }
    }
    if (with_names && pick(4) == 0) {
        strcat(out, "/{rest...}");
        names_used[(*count)++] = "{rest...}";
    }
}

/* A target that uses the captures of its source, each once, in any place. */
static void random_target(char *out, const char **given, int count)
{
    bool used[8] = {false};

    strcpy(out, pick(2) ? "t" : "a");
    for (int i = 0; i < count; i++) {
        int c = (int)pick((unsigned)count);
        if (used[c] || strcmp(given[c], "{rest...}") == 0) continue;
        used[c] = true;
        strcat(out, "/");
        strcat(out, given[c]);
    }
    if (pick(2)) strcat(out, "/z");
    if (count && strcmp(given[count - 1], "{rest...}") == 0 && pick(3)) strcat(out, "/{rest...}");
}

/* ---- the model: a list */

typedef struct modelled {
    bridge_slot *slot; /* NULL: free */
    route *real;
    int scheme; /* -1: a copy */
    bool back;
    int priority;
    unsigned long age;
} modelled;

static modelled routes[ROUTES];
static unsigned long ages;

static bool better(const modelled *a, const pattern *pa, const modelled *b, const pattern *pb)
{
    int order;

    if (!b) return true;
    if (a->priority != b->priority) return a->priority > b->priority;
    order = pattern_compare(pa, pb);
    return order ? order > 0 : a->age < b->age;
}

static int fill(const modelled *r, bool forth, const char *path, char *out)
{
    captures caps;
    const pattern *p = forth ? r->real->from : r->real->to;

    if (!pattern_match(p, path, strlen(path), &caps)) return -1;
    return pattern_fill(forth ? r->real->to_target : r->real->from, forth ? &r->real->to_link : &r->real->from_link, &caps, out, 1000);
}

static bool model_name(int scheme, bool inward, const char *path, char *out)
{
    const modelled *best = NULL;

    for (int i = 0; i < ROUTES; i++) {
        const modelled *r = &routes[i];
        const pattern *p;
        if (!r->slot || r->scheme != scheme || (!inward && !r->back)) continue;
        p = inward ? r->real->from : r->real->to;
        if (!pattern_match(p, path, strlen(path), NULL)) continue;
        if (better(r, p, best, best ? (inward ? best->real->from : best->real->to) : NULL)) best = r;
    }
    return best && fill(best, inward, path, out) > 0;
}

static char expected[HEARD][256], heard[HEARD][256];
static int expected_count, heard_count;

static void model_tell(const char *path, const modelled **came, int depth)
{
    if (expected_count < HEARD) snprintf(expected[expected_count], sizeof expected[0], "%s", path);
    expected_count++;
    for (int way = 0; way < 2; way++)
        for (int i = 0; i < ROUTES; i++) {
            const modelled *r = &routes[i];
            char next[1000];
            bool crossed = depth >= HUB_MAX_HOPS;
            if (!r->slot || r->scheme >= 0 || (way == 1 && !r->back)) continue;
            for (int k = 0; k < depth; k++)
                crossed |= came[k] == r;
            if (crossed || fill(r, way == 0, path, next) <= 0) continue;
            came[depth] = r;
            model_tell(next, came, depth + 1);
        }
}

static void on_heard(void *user, bridge_msg *msg)
{
    (void)user;
    if (heard_count < HEARD) snprintf(heard[heard_count], sizeof heard[0], "%s", bridge_msg_look(msg, BRIDGE_FIELDS())->path);
    heard_count++;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void compare(const char *what)
{
    CHECK_INT(heard_count, expected_count);
    if (heard_count != expected_count || heard_count > HEARD) {
        fprintf(stderr, "  publishing %s; heard", what);
        for (int i = 0; i < heard_count && i < 8; i++)
            fprintf(stderr, " %s", heard[i]);
        fprintf(stderr, "; expected");
        for (int i = 0; i < expected_count && i < 8; i++)
            fprintf(stderr, " %s", expected[i]);
        for (int i = 0; i < ROUTES; i++)
            if (routes[i].slot) fprintf(stderr, "\n    %s%s, priority %d", routes[i].real->label, routes[i].back ? " (both ways)" : "", routes[i].priority);
        fprintf(stderr, "\n");
        return;
    }
    qsort(heard, (size_t)heard_count, sizeof heard[0], by_text);
    qsort(expected, (size_t)expected_count, sizeof expected[0], by_text);
    for (int i = 0; i < heard_count; i++)
        CHECK_STR(heard[i], expected[i]);
}

/* ---- operations */

static void add(bridge *b, modelled *r)
{
    char source[300], target[300], from[200], to[200];
    const char *names[8];
    int count, kind = (int)pick(3);

    random_path(from, true, names, &count);
    random_target(to, names, count);
    snprintf(source, sizeof source, "%s%s%s", kind < 2 ? schemes[kind] : "", kind < 2 ? ":" : "", from);
    snprintf(target, sizeof target, "%s", to);
    r->priority = (int)pick(5) == 0;
    if (bridge_route_add(b, BRIDGE_ROUTE(.source = source, .target = target, .ways = (bridge_ways)pick(3), .priority = r->priority), &r->slot, NULL) < 0) {
        r->slot = NULL;
        return;
    }
    r->real = r->slot->thing;
    r->scheme = kind < 2 ? kind : -1;
    r->back = r->real->back_too;
    r->age = ages++;
}

static void publish(bridge *b)
{
    static const modelled *came[HUB_MAX_HOPS + 1];
    char path[200], canonical[1000], who[16] = "app:";
    int scheme = (int)pick(3);
    bridge_msg *msg = NULL;

    random_path(path, false, NULL, NULL);
    if (path[0] == 0) return;
    if (scheme < 2) snprintf(who, sizeof who, "%s:1", schemes[scheme]);
    if (scheme == 2 || !model_name(scheme, true, path, canonical)) strcpy(canonical, path);
    expected_count = heard_count = 0;
    model_tell(canonical, came, 0);
    if (bridge_msg_new(&msg, BRIDGE_FIELDS(.path = path, .data = "x", .len = 1, .origin = who)) < 0) return;
    CHECK_INT(bridge_publish(b, msg), 0);
    bridge_msg_unref(msg);
    compare(path);
}

static void name(bridge *b)
{
    char path[200], want[1000], got[1000];
    int scheme = (int)pick(2), id = hub_scheme(b->hub, text_of(schemes[scheme])), len;

    random_path(path, false, NULL, NULL);
    if (path[0] == 0 || id < 0) return;
    len = routes_name_out(b->hub, (uint8_t)id, text_of(path), got, sizeof got);
    if (!model_name(scheme, false, path, want))
        CHECK_INT(len, 0);
    else
        CHECK_STR(len > 0 ? got : "(none)", want);
}

int main(int argc, char **argv)
{
    long operations = argc > 1 ? atol(argv[1]) : 30000;
    bridge *b = NULL;

    state = argc > 2 ? strtoull(argv[2], NULL, 10) * 2654435761u + 1 : 88172645463325252u;
    CHECK_INT(bridge_new(&b, BRIDGE_OPTIONS(.sys_interval = -1, .log_level = BRIDGE_LOG_ERROR), NULL), 0);
    bridge_subscribe(b, "#", on_heard, NULL, NULL, NULL);
    for (long i = 0; i < operations && check_failed < 10; i++) {
        modelled *r = &routes[pick(ROUTES)];
        switch (pick(4)) {
        case 0:
            if (!r->slot && pick(3) == 0) add(b, r);
            break;
        case 1:
            if (r->slot && pick(3) == 0) {
                bridge_slot_close(r->slot);
                r->slot = NULL;
            }
            break;
        case 2: name(b); break;
        default: publish(b); break;
        }
    }
    bridge_free(b);
    return check_done();
}
