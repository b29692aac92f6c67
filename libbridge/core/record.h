/* core/record.h - records by hand. */
#ifndef CORE_RECORD_H
#define CORE_RECORD_H
#include "bridge/sys/codec.h"

const char *record_type_name(bridge_type type); /* "integer"; never NULL */
bool record_is_number(const bridge_record *r);
double record_real(const bridge_record *r); /* of a number; a bool counts 0 or 1; NaN for the rest */
/* Same name, unit, times, sum and value; numbers by value, so 5 and 5.0 are the same; digits do not count. */
bool record_equal(const bridge_record *a, const bridge_record *b);
#endif
