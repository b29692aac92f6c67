/* codec/number.h - numbers as text, exactly, and in no locale. */
#ifndef CODEC_NUMBER_H
#define CODEC_NUMBER_H
#include "codec/item.h"
#include "codec/registry.h"

/* digits x 10^exponent, without zeros at either end of the digits; zero has none. */
typedef struct decimal {
    bool negative;
    int count;
    int64_t exponent;
    char digits[CODEC_MAX_DIGITS];
} decimal;

enum { NUMBER_ROOM = 32 };

enum { NUMBER_MAX_EXPONENT = 1000000 }; /* far beyond any double; a decimal still */

/* A JSON number (RFC 8259 6), all of it, into kind, value and digits.  SYNTAX, TOOBIG. */
int number_parse(const char *p, size_t len, item *out);
/* The number that starts at p and ends where it ends; *used of its characters. */
int number_read(const char *p, const char *end, item *out, size_t *used);
/* out has NUMBER_ROOM bytes; the length is answered, no NUL. */
size_t number_int(int64_t v, char *out);
size_t number_uint(uint64_t v, char *out);
/* The shortest decimal that reads back as d; has a '.' or an 'e'.  Not for NaN and infinities. */
size_t number_real(double d, char *out);
void decimal_of(const char *p, size_t len, decimal *out); /* p: a JSON number */
/* Does a double say all that the digits say, that is: do its shortest digits have the same value? */
bool number_fits_double(const char *p, size_t len, double d);
double number_value(const decimal *d); /* nearest double */
#endif
