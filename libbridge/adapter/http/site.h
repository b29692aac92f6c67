/* adapter/http/site.h - the files of the page, which the build puts into the library (embed.py). */
#ifndef HTTP_SITE_H
#define HTTP_SITE_H
#include <stddef.h>

typedef struct site_file {
    const char *path, *type, *tag; /* "/page/app.js"; tag: an ETag with its quotes */
    const unsigned char *data;
    size_t len;
} site_file;
extern const site_file site_files[];
extern const unsigned site_file_count;
#endif
