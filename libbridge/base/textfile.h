/* base/textfile.h - text files of rules and secrets: small, read at once, line by line. */
#ifndef BASE_TEXTFILE_H
#define BASE_TEXTFILE_H
#include "base/text.h"
#include "bridge/bridge.h"

enum { TEXTFILE_MAX = 64 * 1024 * 1024 }; /* bytes; docs/limits.md */

/* All of a file, which is cleansed and freed by textfile_drop().  IO with the system's reason, TOOBIG. */
int textfile_read(buf *out, mem *m, const char *name, bridge_error *err);
void textfile_drop(buf *b);

typedef struct textfile { /* the walk over the lines of a text; errors name the file and the line */
    const char *name;
    text rest;
    int line;
} textfile;

bool textfile_next(textfile *l, text *line); /* without the line's end; blank lines and those that begin with '#' are left out */
/* Answers status; the sentence begins with "NAME line N: ". */
int textfile_fail(const textfile *l, bridge_error *err, int status, const char *format, ...) __attribute__((format(printf, 4, 5)));
#endif
