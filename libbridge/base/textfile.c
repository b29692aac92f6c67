#include "base/textfile.h"
#include "base/status.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int textfile_read(buf *out, mem *m, const char *name, bridge_error *err)
{
    FILE *f = fopen(name, "re");
    uint8_t *at;
    size_t n;
    int rc = 0;

    if (!f) return fail(err, BRIDGE_IO, "cannot read %s: %s", name, strerror(errno));
    buf_init(out, m, TEXTFILE_MAX);
    do {
        rc = buf_room(out, 4096);
        if (rc < 0) break;
        at = out->data + out->len;
        n = fread(at, 1, out->cap - out->len, f);
        out->len += n;
    } while (n > 0);
    if (rc == 0 && ferror(f)) rc = fail(err, BRIDGE_IO, "cannot read %s: %s", name, strerror(errno));
    else if (rc < 0) fail(err, rc, "%s does not fit: %s", name, bridge_status_text(rc));
    fclose(f);
    if (rc < 0) textfile_drop(out);
    return rc;
}

void textfile_drop(buf *b)
{
    if (b->data) explicit_bzero(b->data, b->cap);
    buf_done(b);
}

bool textfile_next(textfile *l, text *line)
{
    while (l->rest.len) {
        text all = l->rest;

        text_cut(all, '\n', line, &l->rest);
        l->line++;
        while (line->len && strchr(" \t\r", line->p[line->len - 1]) && line->p[line->len - 1]) line->len--;
        if (line->len && line->p[0] != '#') return true;
    }
    return false;
}

int textfile_fail(const textfile *l, bridge_error *err, int status, const char *format, ...)
{
    char said[200];
    va_list args;

    va_start(args, format);
    vsnprintf(said, sizeof said, format, args);
    va_end(args);
    return fail(err, status, "%s line %d: %s", l->name, l->line, said);
}
