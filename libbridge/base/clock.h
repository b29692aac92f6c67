/* base/clock.h - monotonic and calendar milliseconds; random bytes. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H
#include <stddef.h>
#include <stdint.h>

int64_t clock_monotonic(void); /* ms */
int64_t clock_calendar(void);  /* ms since 1970 */
void random_bytes(void *p, size_t len); /* from the kernel; cannot fail */
#endif
