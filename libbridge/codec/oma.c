#include "codec/oma.h"
#include "codec/number.h"
#include <stdlib.h>

static bool add_segment(oma_path *path, text segment)
{
    uint64_t id;

    if (path->count == OMA_LEVELS || segment.len > 5 || !text_to_u64(segment, 65535, &id)) return false;
    path->id[path->count++] = (uint16_t)id;
    return true;
}

bool oma_add(oma_path *path, const char *name)
{
    text rest = text_of(name), segment;

    if (rest.len && rest.p[0] == '/') rest.p++, rest.len--;
    if (rest.len && rest.p[rest.len - 1] == '/') rest.len--;
    while (rest.len) {
        text_cut(rest, '/', &segment, &rest);
        if (!add_segment(path, segment)) return false;
    }
    return true;
}

oma_path oma_base(const char *base)
{
    size_t end = strlen(base), start[OMA_LEVELS + 1];
    oma_path out = {0};
    int found = 0;

    while (end && base[end - 1] == '/')
        end--;
    start[0] = end;
    while (found < OMA_LEVELS && end) {
        size_t at = end;
        uint64_t id;
        while (at && base[at - 1] != '/')
            at--;
        if (end - at > 5 || !text_to_u64((text){base + at, end - at}, 65535, &id)) break;
        start[++found] = at;
        end = at ? at - 1 : 0;
    }
    if (found) oma_add(&out, base + start[found]);
    return out;
}

int oma_compare(const oma_path *a, const oma_path *b)
{
    for (int i = 0; i < a->count && i < b->count; i++)
        if (a->id[i] != b->id[i]) return a->id[i] < b->id[i] ? -1 : 1;
    return a->count - b->count;
}

static int by_path(const void *a, const void *b)
{
    const oma_leaf *x = a, *y = b;

    return oma_compare(&x->path, &y->path);
}

int oma_leaves(scratch *s, const oma_path *base, const bridge_record *records, size_t count, oma_leaf **out,
               bridge_error *err)
{
    oma_leaf *leaves = scratch_array(s, oma_leaf, count);

    if (count && !leaves) return scratch_fail(s, err);
    for (size_t i = 0; i < count; i++) {
        const char *name = records[i].name;
        leaves[i] = (oma_leaf){.path = *base, .record = &records[i]};
        if (name[0] == '/' || records[i].absolute) leaves[i].path.count = 0;
        if (!oma_add(&leaves[i].path, name))
            return fail(err, BRIDGE_UNPROCESSABLE, "LwM2M: \"%.60s\" is no path of numbers", name);
        if (records[i].type == BRIDGE_TREE)
            return fail(err, BRIDGE_UNPROCESSABLE, "LwM2M: no objects and lists as values");
    }
    if (count) qsort(leaves, count, sizeof *leaves, by_path);
    for (size_t i = 1; i < count; i++) { /* sorted, so what is inside of something stands behind it */
        const oma_path *a = &leaves[i - 1].path, *b = &leaves[i].path;
        if (a->count <= b->count && memcmp(a->id, b->id, (size_t)a->count * sizeof *a->id) == 0)
            return fail(err, BRIDGE_UNPROCESSABLE, "LwM2M: two values in one place, \"%.60s\"", leaves[i].record->name);
    }
    *out = leaves;
    return 0;
}

int oma_name(scratch *s, const oma_path *base, const oma_path *path, const char **out, bridge_error *err)
{
    char name[OMA_LEVELS * 6 + 2];
    size_t n = 0;
    int i = 0;

    while (i < base->count && i < path->count && base->id[i] == path->id[i])
        i++;
    if (i < base->count) { /* elsewhere: from the root */
        i = 0;
        name[n++] = '/';
    } else if (base->count == 0 && path->count) {
        name[n++] = '/';
    }
    for (int first = i; i < path->count; i++) {
        if (i > first) name[n++] = '/';
        n += number_uint(path->id[i], name + n);
    }
    *out = n ? scratch_text(s, name, n) : "";
    return *out ? 0 : scratch_fail(s, err);
}
