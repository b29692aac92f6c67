#include "base/status.h"
#include <stdarg.h>
#include <stdio.h>

static int fill(bridge_error *err, int status, int line, const char *format, va_list args)
{
    if (!err) return status;
    err->status = status;
    err->line = line;
    vsnprintf(err->text, sizeof err->text, format, args);
    return status;
}

int fail(bridge_error *err, int status, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fill(err, status, 0, format, args);
    va_end(args);
    return status;
}

int fail_line(bridge_error *err, int status, int line, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fill(err, status, line, format, args);
    va_end(args);
    return status;
}

int fail_nomem(bridge_error *err)
{
    return fail(err, BRIDGE_NOMEM, "out of memory");
}

const char *bridge_status_text(int status)
{
    switch (status) {
    case BRIDGE_OK: return "ok";
    case BRIDGE_CREATED: return "created";
    case BRIDGE_VALID: return "still valid";
    case BRIDGE_UNHEARD: return "accepted, nobody listened";
#define TEXT_OF(name, number, text) case BRIDGE_##name: return text;
        BRIDGE_STATUS_MAP(TEXT_OF)
#undef TEXT_OF
    default: return "unknown status";
    }
}

const char *bridge_status_name(int status)
{
    switch (status) {
    case BRIDGE_OK: return "OK";
    case BRIDGE_CREATED: return "CREATED";
    case BRIDGE_VALID: return "VALID";
    case BRIDGE_UNHEARD: return "UNHEARD";
#define NAME_OF(name, number, text) case BRIDGE_##name: return #name;
        BRIDGE_STATUS_MAP(NAME_OF)
#undef NAME_OF
    default: return "UNKNOWN";
    }
}
