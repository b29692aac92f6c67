/* From one unit to another: SenML's (RFC 8428 12.1, RFC 8798, IANA), and some that people's devices have and SenML does not. */
#include "codec/units.h"
#include "base/status.h"
#include "transform/steps.h"

typedef struct way { /* to its primary unit: (x * mul + add) / per */
    const char *name, *primary;
    double mul, add, per;
} way;

static const way more[] = {
    {"degF", "Cel", 5, -160, 9}, {"degC", "Cel", 1, 0, 1},      {"K", "Cel", 1, -273.15, 1},  {"ft", "m", 0.3048, 0, 1},
    {"in", "m", 0.0254, 0, 1},   {"mi", "m", 1609.344, 0, 1},   {"mph", "m/s", 0.44704, 0, 1}, {"kn", "m/s", 1852, 0, 3600},
    {"psi", "Pa", 6894.757293168361, 0, 1}, {"bar", "Pa", 1e5, 0, 1}, {"mbar", "Pa", 100, 0, 1}, {"lb", "kg", 0.45359237, 0, 1},
    {"gal", "l", 3.785411784, 0, 1},
};

static bool find(const char *name, way *out)
{
    const unit *u;

    for (size_t i = 0; i < sizeof more / sizeof *more; i++)
        if (strcmp(more[i].name, name) == 0) {
            *out = more[i];
            return true;
        }
    u = unit_find(text_of(name));
    if (!u) return false;
    *out = (way){u->name, u->primary ? u->primary : u->name, u->scale, u->offset, 1};
    if (u->scale < 1 && u->primary) *out = (way){u->name, u->primary, 1, u->offset / u->scale, 1 / u->scale}; /* 1e-3 is no double; 1000 is */
    return true;
}

int units_between(const char *from, const char *to, affine *out, bridge_error *err)
{
    way a, b;

    if (!find(from, &a)) return fail(err, BRIDGE_INVALID, "no unit is called \"%.40s\"", from);
    if (!find(to, &b)) return fail(err, BRIDGE_INVALID, "no unit is called \"%.40s\"", to);
    if (strcmp(a.primary, b.primary) != 0 && strcmp(from, "K") == 0) a = (way){"K", "K", 1, 0, 1};
    if (strcmp(a.primary, b.primary) != 0 && strcmp(to, "K") == 0) b = (way){"K", "K", 1, 0, 1};
    if (strcmp(a.primary, b.primary) != 0)
        return fail(err, BRIDGE_INVALID, "\"%.40s\" is measured in %s, \"%.40s\" in %s: there is no way between them", from, a.primary, to, b.primary);
    *out = (affine){.mul = a.mul, .add = a.add, .per = a.per, .to_mul = b.mul, .to_add = b.add, .to_per = b.per, .from = from, .to = to};
    return 0;
}
