/* Records as text: one walk over the store, path by path, straight into the answer.  Runs on the reading thread.
 *
 *   JSON     [{"path":"a/b","time":1700000000000,"value":21.5,"format":"text","origin":"mqtt:x"}, ...]
 *   columns  {"path":[...],"time":[...],"value":[...]}            for pandas.DataFrame(...)
 *   CSV      path,time,value,format,origin                        RFC 4180
 *   SenML    [{"n":"a/b","t":1700000000.000,"v":21.5}, ...]       RFC 8428 */
#include "hub/history.h"
#include "codec/json.h"
#include "codec/registry.h"
#include <math.h>
#include <stdlib.h>

typedef struct saying {
    const history_range *range;
    const atomic_bool *quit;
    const char *path;
    buf *out, times, values; /* the last two: of columns */
    size_t count;
    /* of the step that is being added up */
    bool open;
    int64_t step_at;
    uint64_t n;
    double sum, least, greatest, first, last;
    int rc;
} saying;

enum { FULL = 1, STOPPED = 2 };

static int json_value(buf *out, const bridge_past *p)
{
    char short_one[40];

    if (p->is_number && isfinite(p->number)) {
        snprintf(short_one, sizeof short_one, "%.15g", p->number);
        if (strtod(short_one, NULL) != p->number) snprintf(short_one, sizeof short_one, "%.17g", p->number);
        return buf_text(out, short_one);
    }
    if (p->len && (p->format == BRIDGE_JSON || codec_guess(p->value, p->len) == BRIDGE_JSON)) return buf_put(out, p->value, p->len);
    if (text_is_utf8(p->value, p->len)) return json_put_string(out, p->value, p->len);
    return buf_text(out, "null");
}

static int csv_text(buf *out, const char *s, size_t len)
{
    int rc = 0;

    if (!memchr(s, ',', len) && !memchr(s, '"', len) && !memchr(s, '\n', len) && !memchr(s, '\r', len)) return buf_put(out, s, len);
    rc = buf_put_u8(out, '"');
    for (size_t i = 0; rc == 0 && i < len; i++) {
        if (s[i] == '"') rc = buf_put_u8(out, '"');
        if (rc == 0) rc = buf_put_u8(out, (uint8_t)s[i]);
    }
    return rc == 0 ? buf_put_u8(out, '"') : rc;
}

static int put_name_as(int (*put)(buf *out, const char *s, size_t len), buf *out, const char *path, const char *name)
{
    buf whole;
    int rc;

    if (!name) return put(out, path, strlen(path));
    buf_init(&whole, out->mem, 0);
    rc = buf_print(&whole, "%s/%s", path, name);
    if (rc == 0) rc = put(out, (char *)whole.data, whole.len);
    buf_done(&whole);
    return rc;
}

static int put_name(buf *out, const char *path, const char *name)
{
    return put_name_as(json_put_string, out, path, name);
}

static int say_json(saying *x, const bridge_past *p)
{
    const char *format = format_name((bridge_format)p->format);
    buf *b = x->out;
    int rc = buf_text(b, x->count ? ",\n {\"path\":" : "\n {\"path\":");

    if (rc == 0) rc = put_name(b, x->path, p->name);
    if (rc == 0) rc = buf_print(b, ",\"time\":%lld,\"value\":", (long long)p->time);
    if (rc == 0) rc = json_value(b, p);
    if (rc == 0 && format) rc = buf_print(b, ",\"format\":\"%s\"", format);
    if (rc == 0 && p->origin) rc = buf_text(b, ",\"origin\":");
    if (rc == 0 && p->origin) rc = json_put_string(b, p->origin, strlen(p->origin));
    return rc == 0 ? buf_text(b, "}") : rc;
}

static int say_csv(saying *x, const bridge_past *p)
{
    const char *format = format_name((bridge_format)p->format);
    buf *b = x->out;
    int rc = put_name_as(csv_text, b, x->path, p->name);

    if (rc == 0) rc = buf_print(b, ",%lld,", (long long)p->time);
    if (rc == 0) rc = text_is_utf8(p->value, p->len) ? csv_text(b, p->value, p->len) : 0;
    if (rc == 0) rc = buf_print(b, ",%s,", format ? format : "");
    if (rc == 0 && p->origin) rc = csv_text(b, p->origin, strlen(p->origin));
    return rc == 0 ? buf_text(b, "\r\n") : rc;
}

static int say_senml(saying *x, const bridge_past *p)
{
    buf *b = x->out;
    int rc;

    if (!p->is_number && !text_is_utf8(p->value, p->len)) return 0;
    rc = buf_text(b, x->count ? ",\n {\"n\":" : "\n {\"n\":");
    if (rc == 0) rc = put_name(b, x->path, p->name);
    if (rc == 0) rc = buf_print(b, ",\"t\":%lld.%03d,", (long long)(p->time / 1000), (int)(p->time % 1000));
    if (rc == 0 && p->is_number) rc = buf_text(b, "\"v\":");
    if (rc == 0 && p->is_number) rc = json_value(b, p);
    if (rc == 0 && !p->is_number) rc = buf_text(b, "\"vs\":");
    if (rc == 0 && !p->is_number) rc = json_put_string(b, p->value, p->len);
    return rc == 0 ? buf_text(b, "}") : rc;
}

static int say_columns(saying *x, const bridge_past *p)
{
    const char *comma = x->count ? "," : "";
    int rc = buf_text(x->out, comma);

    if (rc == 0) rc = put_name(x->out, x->path, p->name);
    if (rc == 0) rc = buf_print(&x->times, "%s%lld", comma, (long long)p->time);
    if (rc == 0) rc = buf_text(&x->values, comma);
    return rc == 0 ? json_value(&x->values, p) : rc;
}

static int say_one(saying *x, const bridge_past *p)
{
    int rc;

    switch (x->range->as) {
    case SAY_CSV: rc = say_csv(x, p); break;
    case SAY_SENML: rc = say_senml(x, p); break;
    case SAY_COLUMNS: rc = say_columns(x, p); break;
    default: rc = say_json(x, p);
    }
    if (rc < 0) return rc;
    return ++x->count >= x->range->limit ? FULL : 0;
}

/* ---- aggregates: of the numbers of each step */

static int close_step(saying *x)
{
    char words[40];
    bridge_past p = {.time = x->step_at, .is_number = true, .format = BRIDGE_TEXT, .value = words};

    if (!x->open) return 0;
    x->open = false;
    switch (x->range->aggregate) {
    case MEAN: p.number = x->sum / (double)x->n; break;
    case MIN: p.number = x->least; break;
    case MAX: p.number = x->greatest; break;
    case SUM: p.number = x->sum; break;
    case COUNT: p.number = (double)x->n; break;
    case FIRST: p.number = x->first; break;
    default: p.number = x->last;
    }
    p.len = (size_t)snprintf(words, sizeof words, "%.17g", p.number);
    p.is_number = isfinite(p.number); /* a sum may be over them all */
    return say_one(x, &p);
}

static int add_up(saying *x, const bridge_past *p)
{
    int64_t step = x->range->step, at = step ? p->time / step * step : x->open ? x->step_at : p->time;
    int rc = 0;

    if (!p->is_number && x->range->aggregate != COUNT) return 0;
    if (x->open && at != x->step_at) rc = close_step(x);
    if (rc) return rc;
    if (!x->open) {
        x->open = true;
        x->step_at = at;
        x->n = 0;
        x->sum = 0;
        x->least = x->greatest = x->first = p->number;
    }
    x->n++;
    x->sum += p->number;
    x->last = p->number;
    if (p->number < x->least) x->least = p->number;
    if (p->number > x->greatest) x->greatest = p->number;
    return 0;
}

static int on_past(void *user, const bridge_past *p)
{
    saying *x = user;

    if (atomic_load_explicit(x->quit, memory_order_relaxed)) return STOPPED;
    return x->range->aggregate == EACH ? say_one(x, p) : add_up(x, p);
}

/* ---- */

static int finish(saying *x)
{
    buf *b = x->out;
    int rc;

    if (x->range->as == SAY_CSV) return 0;
    if (x->range->as != SAY_COLUMNS) return buf_text(b, "\n]\n");
    rc = buf_text(b, "],\n\"time\":[");
    if (rc == 0) rc = buf_put(b, x->times.data, x->times.len);
    if (rc == 0) rc = buf_text(b, "],\n\"value\":[");
    if (rc == 0) rc = buf_put(b, x->values.data, x->values.len);
    return rc == 0 ? buf_text(b, "]}\n") : rc;
}

int history_say(bridge_store *s, mem *m, const history_range *r, const history_name *names, size_t count, const atomic_bool *quit, buf *out)
{
    static const char *const begin[] = {[SAY_JSON] = "[", [SAY_CSV] = "path,time,value,format,origin\r\n", [SAY_SENML] = "[", [SAY_COLUMNS] = "{\"path\":["};
    saying x = {.range = r, .quit = quit, .out = out};
    void *view = NULL;
    int rc = bridge_store_view(s, &view);

    buf_init(&x.times, m, HISTORY_ANSWER_MAX);
    buf_init(&x.values, m, HISTORY_ANSWER_MAX);
    if (rc == 0) rc = buf_text(out, begin[r->as]);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        x.path = names[i].path;
        rc = bridge_store_past(s, view, names[i].id, r->from, r->upto, r->newest_first, on_past, &x);
        if (rc == 0) rc = close_step(&x);
    }
    if (rc == FULL) rc = 0;
    if (rc == STOPPED) rc = BRIDGE_CANCELED;
    if (rc == 0) rc = finish(&x);
    bridge_store_view_close(s, view);
    buf_done(&x.times);
    buf_done(&x.values);
    return rc;
}
