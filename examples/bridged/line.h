/* line.h - one recorded message as one line of JSON; docs/record.md. */
#ifndef BRIDGED_LINE_H
#define BRIDGED_LINE_H
#include "bridge/bridge.h"
#include <stdio.h>

enum { LINE_MAX_BYTES = 2 * 1024 * 1024 };

typedef struct line { /* texts are the line's, and die with it */
    int64_t time;
    char *path, *origin, *user, *listener, *name; /* all but path may be NULL; name: what the origin's protocol calls it */
    unsigned char *data;
    size_t len;
    int qos;
    bool retain, gone, copied;
    int format;
} line;

/* Reads the next line of the file into room; blank lines and lines that begin with '#' are passed over.  1, 0 at the end, or -1 with a
 * sentence in why. */
int line_read(FILE *f, char *room, line *out, const char **why);
void line_write(FILE *f, const line *l);
#endif
