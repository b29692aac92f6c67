#include "core/record.h"
#include <math.h>
#include <string.h>

const char *record_type_name(bridge_type type)
{
    static const char *const names[] = {"nothing", "boolean", "integer", "integer", "number",
                                        "string",  "bytes",   "link",    "tree"};

    return (size_t)type < sizeof names / sizeof *names ? names[type] : "unknown";
}

bool record_is_number(const bridge_record *r)
{
    return r->type == BRIDGE_INT || r->type == BRIDGE_UINT || r->type == BRIDGE_REAL;
}

double record_real(const bridge_record *r)
{
    switch (r->type) {
    case BRIDGE_BOOL: return r->as.b ? 1 : 0;
    case BRIDGE_INT: return (double)r->as.i;
    case BRIDGE_UINT: return (double)r->as.u;
    case BRIDGE_REAL: return r->as.d;
    default: return NAN;
    }
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool value_equal(const bridge_record *a, const bridge_record *b)
{
    if (record_is_number(a) && record_is_number(b)) {
        if (a->type == b->type && a->type != BRIDGE_REAL) return a->as.u == b->as.u;
        return record_real(a) == record_real(b);
    }
    if (a->type != b->type) return false;
    switch (a->type) {
    case BRIDGE_BOOL: return a->as.b == b->as.b;
    case BRIDGE_STRING:
    case BRIDGE_OPAQUE:
    case BRIDGE_TREE:
        return a->as.bytes.len == b->as.bytes.len &&
               (a->as.bytes.len == 0 || memcmp(a->as.bytes.p, b->as.bytes.p, a->as.bytes.len) == 0);
    case BRIDGE_OBJLNK: return a->as.link.object == b->as.link.object && a->as.link.instance == b->as.link.instance;
    default: return true;
    }
}

bool record_equal(const bridge_record *a, const bridge_record *b)
{
    return same_text(a->name, b->name) && a->absolute == b->absolute && same_text(a->unit, b->unit) &&
           a->time == b->time && a->update == b->update && a->has_sum == b->has_sum &&
           (!a->has_sum || a->sum == b->sum) && value_equal(a, b);
}
