/* One-line asserts that say what they saw and go on; a test program ends with return check_done(). */
#ifndef UNIT_CHECK_H
#define UNIT_CHECK_H
#include <stdio.h>
#include <string.h>

static int check_failed;

#define CHECK(what)                                                                                                    \
    do {                                                                                                               \
        if (!(what)) {                                                                                                 \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #what);                                         \
            check_failed++;                                                                                            \
        }                                                                                                              \
    } while (0)
#define CHECK_INT(got, want)                                                                                           \
    do {                                                                                                               \
        long long got_ = (long long)(got), want_ = (long long)(want);                                                  \
        if (got_ != want_) {                                                                                           \
            fprintf(stderr, "%s:%d: %s is %lld, not %lld\n", __FILE__, __LINE__, #got, got_, want_);                   \
            check_failed++;                                                                                            \
        }                                                                                                              \
    } while (0)
#define CHECK_STR(got, want)                                                                                           \
    do {                                                                                                               \
        const char *got_ = (got), *want_ = (want);                                                                     \
        if (!got_ || !want_ || strcmp(got_, want_) != 0) {                                                               \
            fprintf(stderr, "%s:%d: %s is \"%s\", not \"%s\"\n", __FILE__, __LINE__, #got, got_ ? got_ : "NULL", want_ ? want_ : "NULL");  \
            check_failed++;                                                                                            \
        }                                                                                                              \
    } while (0)
static inline int check_done(void)
{
    return check_failed ? 1 : 0;
}
#endif
