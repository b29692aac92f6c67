/* auth/file.h - text files of rules: small, read at once, line by line. */
#ifndef AUTH_FILE_H
#define AUTH_FILE_H
#include "base/text.h"
#include "bridge/bridge.h"

enum { RULES_FILE_MAX = 64 * 1024 * 1024 }; /* bytes; docs/limits.md */

/* All of a file, which is cleansed and freed by rules_file_drop().  IO with the system's reason, TOOBIG. */
int rules_file_read(buf *out, mem *m, const char *name, bridge_error *err);
void rules_file_drop(buf *b);

typedef struct rules_lines { /* the walk over the lines of a text; errors name the file and the line */
    const char *name;
    text rest;
    int line;
} rules_lines;

bool rules_next(rules_lines *l, text *line); /* without the line's end; blank lines and those that begin with '#' are left out */
/* Answers status; the sentence begins with "NAME line N: ". */
int rules_fail(const rules_lines *l, bridge_error *err, int status, const char *format, ...) __attribute__((format(printf, 4, 5)));
#endif
