/* Several paths of a device as one that can be watched: what a FETCH with Observe asks for, or ?paths= with an event stream.
 *
 *      lwm2m/lamp-7/!composite/3.0.0,3303.0.5700        lwm2m/lamp-7/3303/!composite/0.5700,1.5700
 *
 * Sorted, each once: whoever asks for the same, in whatever order and spelling, watches the same, which is one Observe-Composite at the device. */
#include "adapter/lwm2m/errand.h"
#include "base/status.h"
#include <stdio.h>
#include <stdlib.h>

static int by_path(const void *a, const void *b) { return oma_compare(a, b); }

static void sort(lwm2m_paths *p)
{
    unsigned kept = 0;

    qsort(p->at, p->count, sizeof *p->at, by_path);
    for (unsigned i = 0; i < p->count; i++)
        if (!kept || by_path(&p->at[kept - 1], &p->at[i]) != 0) p->at[kept++] = p->at[i];
    p->count = kept;
}

/* "!composite/3.0.0,3303.0.5700" below `at`; "." is all of it. */
static int write_name(const lwm2m_paths *p, const oma_path *at, char *out, size_t room)
{
    size_t n = (size_t)snprintf(out, room, "/!composite/");

    for (unsigned i = 0; i < p->count && n < room; i++) {
        const oma_path *one = &p->at[i];

        if (i) n += (size_t)snprintf(out + n, room - n, ",");
        if (one->count == at->count && n < room) n += (size_t)snprintf(out + n, room - n, ".");
        for (int k = at->count; k < one->count && n < room; k++)
            n += (size_t)snprintf(out + n, room - n, "%s%u", k > at->count ? "." : "", (unsigned)one->id[k]);
    }
    return n < room ? 0 : BRIDGE_TOOBIG;
}

static bool one_read(const lwm2m_device *d, text said, oma_path *out)
{
    char spelt[200];
    oma_path below;
    text op;

    if (text_is(said, ".")) return true;
    if (!said.len || said.len >= sizeof spelt) return false;
    for (size_t i = 0; i < said.len; i++) spelt[i] = said.p[i] == '.' ? '/' : said.p[i];
    if (!lwm2m_path_read(d->server, (text){spelt, said.len}, &below, &op) || op.p || !below.count) return false;
    if (out->count + below.count > OMA_LEVELS) return false;
    for (int i = 0; i < below.count; i++) out->id[out->count++] = below.id[i];
    return true;
}

static const char word[] = "composite/";
enum { WORD = sizeof word - 1 };

bool lwm2m_is_set(text op) { return op.len > WORD && memcmp(op.p, word, WORD) == 0; }

bool lwm2m_set_read(const lwm2m_device *d, const oma_path *at, text op, lwm2m_paths *out)
{
    text one;

    out->count = 0;
    if (!lwm2m_is_set(op)) return false;
    for (text rest = {op.p + WORD, op.len - WORD}; rest.len;) {
        text_cut(rest, ',', &one, &rest);
        if (out->count == COMPOSITE_PATHS) return false;
        out->at[out->count] = *at;
        if (!one_read(d, one, &out->at[out->count++])) return false;
    }
    sort(out);
    return out->count > 0;
}

int lwm2m_part(void *user, const char *path, bridge_msg *question, const char *query, char *out, size_t room)
{
    lwm2m_device *d = user;
    size_t prefix = strlen(d->name);
    bridge_fields f = {.size = sizeof f};
    lwm2m_paths paths;
    oma_path at = {0};
    text op = {NULL, 0};
    int rc;

    bridge_msg_look(question, &f);
    if (!f.len && (!query || strncmp(query, "paths=", 6) != 0) && (!query || !strstr(query, "&paths="))) return 0;
    if (strncmp(path, d->name, prefix) != 0) return 0;
    if (path[prefix] == '/') prefix++;
    if (!lwm2m_path_read(d->server, text_of(path + prefix), &at, &op) || op.p) return 0;
    rc = lwm2m_paths_read(d, &at, &f, query, &paths, NULL);
    if (rc < 0) return rc;
    sort(&paths);
    rc = write_name(&paths, &at, out, room);
    return rc < 0 ? rc : 1;
}
