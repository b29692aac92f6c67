/* Reading a text/event-stream (WHATWG HTML 9.2.6).  Lines end in LF, CR or CRLF; an empty one ends an event. */
#include "adapter/http/far.h"

static void end_event(far_view *v, void (*fn)(far_view *v))
{
    if (v->data.len) {
        v->data.len--; /* the line end behind the last line */
        fn(v);
    }
    buf_clear(&v->data);
    v->event[0] = 0;
}

static int take_line(far_view *v, text line, void (*fn)(far_view *v))
{
    text name, value;
    int rc = 0;

    if (line.len == 0) {
        end_event(v, fn);
        return 0;
    }
    text_cut(line, ':', &name, &value);
    if (value.len && value.p[0] == ' ') value.p++, value.len--;
    if (text_is(name, "data")) {
        rc = buf_put(&v->data, value.p, value.len);
        if (rc == 0) rc = buf_put_u8(&v->data, '\n');
    } else if (text_is(name, "event")) {
        size_t n = value.len < sizeof v->event ? value.len : sizeof v->event - 1;
        memcpy(v->event, value.p, n);
        v->event[n] = 0;
    }
    return rc;
}

/* A CR at the very end of what came may have its LF still on the way: the line waits for one more byte. */
int far_feed(far_view *v, const uint8_t *p, size_t len, void (*fn)(far_view *v))
{
    size_t at = 0;
    int rc = buf_put(&v->line, p, len);

    while (rc == 0) {
        const char *start = (const char *)v->line.data + at;
        size_t n = 0, left = v->line.len - at, skip = 1;
        while (n < left && start[n] != '\n' && start[n] != '\r') n++;
        if (n == left || (start[n] == '\r' && n + 1 == left)) break;
        if (start[n] == '\r' && start[n + 1] == '\n') skip = 2;
        rc = take_line(v, (text){start, n}, fn);
        at += n + skip;
    }
    buf_drop(&v->line, at);
    return rc;
}
