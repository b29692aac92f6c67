/* adapter/http/target.h - request targets and names, lossless both ways (docs/mapping.md 1, RFC 3986).
 *
 *      /resources/greenhouse/42/soil%20temp?observe    below the mount /resources is  greenhouse/42/soil temp
 *
 * The target is taken as it came: nothing folds "//" or "..", each is a segment like others.  A segment is unescaped on its
 * own; "%2F" would make two of it, and no topic segment holds a '/', so that is refused. */
#ifndef HTTP_TARGET_H
#define HTTP_TARGET_H
#include "base/text.h"
#include "bridge/bridge.h"

/* Splits "/path?query" or "http://host/path?query" (RFC 9112 3.2); "*" is a path of its own.  SYNTAX for all else.
 * No '?' leaves query->p NULL. */
int target_split(text target, text *path, text *query);
/* The rest of path below mount ("" or "/resources"): NOTFOUND when it is not below it; *below is empty for the mount itself,
 * with or without its slash. */
int target_below(text path, text mount, text *below);
/* Unescapes a name into out, which has room for raw.len + 1.  Its length, or SYNTAX: a bad escape, an escaped '/' or NUL. */
int target_name(text raw, char *out);
/* Appends mount and the escaped name: "." and ".." are escaped too, or clients would fold them. */
int target_put(buf *out, text mount, text name);

/* The query's words, key[=value], joined by '&'.  Values are unescaped into room (at most room - 1 bytes, NUL added). */
bool query_has(text query, const char *key);
bool query_get(text query, const char *key, char *value, size_t room); /* false: not there, or not fit for room */
#endif
