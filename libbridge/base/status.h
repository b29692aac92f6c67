/* base/status.h - filling in a caller's bridge_error. */
#ifndef BASE_STATUS_H
#define BASE_STATUS_H
#include "bridge/bridge.h"

/* Returns status, so that `return fail(err, BRIDGE_INVALID, "...")` reads well; err may be NULL. */
int fail(bridge_error *err, int status, const char *format, ...) __attribute__((format(printf, 3, 4)));
int fail_line(bridge_error *err, int status, int line, const char *format, ...) __attribute__((format(printf, 4, 5)));
int fail_nomem(bridge_error *err);
#endif
