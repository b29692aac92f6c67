#include "codec/units.h"

static const unit units[] = {
    {"%", NULL, 1, 0},
    {"%EL", NULL, 1, 0},
    {"%RH", NULL, 1, 0},
    {"/", NULL, 1, 0},
    {"/100", "/", 1e-2, 0},
    {"/1000", "/", 1e-3, 0},
    {"1/min", NULL, 1, 0},
    {"1/s", NULL, 1, 0},
    {"A", NULL, 1, 0},
    {"Ah", "C", 3600, 0},
    {"B", NULL, 1, 0},
    {"B/s", "bit/s", 8, 0},
    {"Bq", NULL, 1, 0},
    {"Bspl", NULL, 1, 0},
    {"C", NULL, 1, 0},
    {"Cel", NULL, 1, 0},
    {"EL", NULL, 1, 0},
    {"F", NULL, 1, 0},
    {"GB", "B", 1e9, 0},
    {"Gy", NULL, 1, 0},
    {"H", NULL, 1, 0},
    {"Hz", NULL, 1, 0},
    {"J", NULL, 1, 0},
    {"J/m", NULL, 1, 0},
    {"K", NULL, 1, 0},
    {"KiB", "B", 1024, 0},
    {"MB/s", "bit/s", 8e6, 0},
    {"MHz", "Hz", 1e6, 0},
    {"Mbit/s", "bit/s", 1e6, 0},
    {"N", NULL, 1, 0},
    {"NTU", NULL, 1, 0},
    {"Ohm", NULL, 1, 0},
    {"Pa", NULL, 1, 0},
    {"S", NULL, 1, 0},
    {"S/m", NULL, 1, 0},
    {"Sv", NULL, 1, 0},
    {"T", NULL, 1, 0},
    {"V", NULL, 1, 0},
    {"VA", NULL, 1, 0},
    {"VAh", "VAs", 3600, 0},
    {"VAs", NULL, 1, 0},
    {"W", NULL, 1, 0},
    {"W/m2", NULL, 1, 0},
    {"Wb", NULL, 1, 0},
    {"Wh", "J", 3600, 0},
    {"Wh/km", "J/m", 3.6, 0},
    {"beat/min", NULL, 1, 0},
    {"beats", NULL, 1, 0},
    {"bit", NULL, 1, 0},
    {"bit/s", NULL, 1, 0},
    {"cd", NULL, 1, 0},
    {"cd/m2", NULL, 1, 0},
    {"cm", "m", 1e-2, 0},
    {"count", NULL, 1, 0},
    {"dB", NULL, 1, 0},
    {"dBW", NULL, 1, 0},
    {"dBm", "dBW", 1, -30},
    {"deg", NULL, 1, 0},
    {"g", NULL, 1, 0},
    {"g/l", "kg/m3", 1, 0},
    {"h", "s", 3600, 0},
    {"hPa", "Pa", 100, 0},
    {"kVA", "VA", 1e3, 0},
    {"kVAh", "VAs", 3.6e6, 0},
    {"kW", "W", 1e3, 0},
    {"kWh", "J", 3.6e6, 0},
    {"kat", NULL, 1, 0},
    {"kg", NULL, 1, 0},
    {"kg/m3", NULL, 1, 0},
    {"km", "m", 1e3, 0},
    {"km/h", "m/s", 1 / 3.6, 0},
    {"kvar", "var", 1e3, 0},
    {"kvarh", "vars", 3.6e6, 0},
    {"l", NULL, 1, 0},
    {"l/s", NULL, 1, 0},
    {"lat", NULL, 1, 0},
    {"lm", NULL, 1, 0},
    {"lon", NULL, 1, 0},
    {"lx", NULL, 1, 0},
    {"m", NULL, 1, 0},
    {"m/h", "m/s", 1 / 3600.0, 0},
    {"m/s", NULL, 1, 0},
    {"m/s2", NULL, 1, 0},
    {"m2", NULL, 1, 0},
    {"m3", NULL, 1, 0},
    {"m3/s", NULL, 1, 0},
    {"mA", "A", 1e-3, 0},
    {"mV", "V", 1e-3, 0},
    {"mg/l", "kg/m3", 1e-3, 0},
    {"min", "s", 60, 0},
    {"mm", "m", 1e-3, 0},
    {"mm/h", "m/s", 1 / 3.6e6, 0},
    {"mol", NULL, 1, 0},
    {"ms", "s", 1e-3, 0},
    {"pH", NULL, 1, 0},
    {"ppb", "/", 1e-9, 0},
    {"ppm", "/", 1e-6, 0},
    {"ppt", "/", 1e-12, 0},
    {"rad", NULL, 1, 0},
    {"s", NULL, 1, 0},
    {"sr", NULL, 1, 0},
    {"ug/l", "kg/m3", 1e-6, 0},
    {"ug/m3", "kg/m3", 1e-9, 0},
    {"var", NULL, 1, 0},
    {"varh", "vars", 3600, 0},
    {"vars", NULL, 1, 0},
};

static int compare(text a, const char *b)
{
    int order = strncmp(a.p, b, a.len);

    return order ? order : b[a.len] ? -1 : 0;
}

const unit *unit_find(text name)
{
    size_t low = 0, high = sizeof units / sizeof *units;

    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = compare(name, units[middle].name);
        if (order == 0) return &units[middle];
        if (order > 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

const char *unit_to_primary(const char *name, double *value)
{
    const unit *u = unit_find(text_of(name));

    if (!u || !u->primary) return name;
    *value = *value * u->scale + u->offset;
    return u->primary;
}
