/* Any bytes as a config: an error with a line, or settings that hold together; never a crash. */
#include "config/schema.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char *text = malloc(len + 1);
    bridge_error err = {0};
    settings *s = NULL;
    int rc;

    if (!text) return 0;
    memcpy(text, data, len);
    text[len] = 0;
    rc = settings_read(&s, mem_default(), text, &err);
    if (rc == 0)
        for (int kind = 0; kind < ENTRY_KINDS; kind++)
            for (entry *e = s->first[kind]; e; e = e->next)
                if (e->line < 1 || (kind == ENTRY_ROUTE ? !e->route.source || !e->route.target : !e->url)) abort();
    if (rc < 0 && (!err.text[0] || err.status != rc)) abort();
    settings_free(s);
    free(text);
    return 0;
}
