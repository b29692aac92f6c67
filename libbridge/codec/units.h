/* codec/units.h - the units that SenML knows: RFC 8428 12.1, RFC 8798, and what IANA added since. */
#ifndef CODEC_UNITS_H
#define CODEC_UNITS_H
#include "base/text.h"

typedef struct unit {
    const char *name;
    const char *primary; /* of a secondary unit (RFC 8798 3): value in primary = value * scale + offset; else NULL */
    double scale, offset;
} unit;

const unit *unit_find(text name); /* NULL: not registered, which is no error */
/* *value in the primary unit, whose name is answered; other units stay.  For rules that compare values of several
 * sources. */
const char *unit_to_primary(const char *name, double *value);
#endif
