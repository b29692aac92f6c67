/* connect.c - an uplink said as an object becomes its URL: one form to open, to compare, and to explain.
 *
 *      {"url": "mqtts://cloud:8883", "name": "cloud", "keep_alive": 20, "broker": ["mqtts://second:8883"],
 *       "out": [{"source": "telemetry/{p...}", "target": "site7/{p...}", "qos": 1, "retain": true}], "in": ["commands/#"]}
 *
 * Every other member is an option of the URL; a list says it again and again. */
#include "base/status.h"
#include "base/text.h"
#include "config/schema.h"

static int wrong(const node *n, const char *what, bridge_error *err)
{
    return fail_line(err, BRIDGE_INVALID, n->line, "\"%.80s\" is %s, not %s", n->key ? n->key : n->parent->key, what, node_kind_name(n->kind));
}

static const node *member(const node *object, const char *key)
{
    for (const node *n = object->first; n; n = n->next)
        if (strcmp(n->key, key) == 0) return n;
    return NULL;
}

/* {"source", "target", "qos", "retain"}: "source>target;qos=1;retain=always" */
static int map_text(buf *out, const node *object, bridge_error *err)
{
    static const char *const known[] = {"source", "target", "qos", "retain", NULL};
    const node *source = member(object, "source"), *target = member(object, "target"), *qos = member(object, "qos"),
               *retain = member(object, "retain");
    int rc;

    for (const node *n = object->first; n; n = n->next) {
        int i = 0;
        while (known[i] && strcmp(known[i], n->key) != 0) i++;
        if (!known[i]) return fail_line(err, BRIDGE_INVALID, n->line, "unknown key \"%.80s\": a map has source, target, qos and retain", n->key);
    }
    if (!source) return fail_line(err, BRIDGE_INVALID, object->line, "this map has no \"source\"");
    if (source->kind != NODE_TEXT || (target && target->kind != NODE_TEXT)) return wrong(target && source->kind == NODE_TEXT ? target : source, "a text", err);
    if (qos && (qos->kind != NODE_INT || qos->number < 0 || qos->number > 2)) return wrong(qos, "0, 1 or 2", err);
    if (retain && retain->kind != NODE_BOOL) return wrong(retain, "true (keep always) or false (never)", err);
    rc = buf_text(out, source->text);
    if (rc == 0 && target) rc = buf_print(out, ">%s", target->text);
    if (rc == 0 && qos) rc = buf_print(out, ";qos=%d", (int)qos->number);
    if (rc == 0 && retain) rc = buf_text(out, retain->yes ? ";retain=always" : ";retain=never");
    return rc < 0 ? fail_nomem(err) : 0;
}

static int add_option(buf *url, buf *scratch, const char *key, const node *n, bridge_error *err)
{
    bool first = !memchr(url->data, '?', url->len);
    int rc = 0;

    buf_clear(scratch);
    if (n->kind == NODE_TEXT) rc = buf_text(scratch, n->text);
    else if (n->kind == NODE_INT) rc = buf_print(scratch, "%lld", (long long)n->number);
    else if (n->kind == NODE_BOOL) rc = buf_text(scratch, n->yes ? "yes" : "no");
    else if (n->kind == NODE_OBJECT && (strcmp(key, "out") == 0 || strcmp(key, "in") == 0 || strcmp(key, "both") == 0)) {
        rc = map_text(scratch, n, err);
        if (rc < 0) return rc;
    } else return wrong(n, "a text, a whole number, true or false", err);
    if (rc == 0) rc = buf_print(url, "%c%s=", first ? '?' : '&', key);
    if (rc == 0) rc = text_percent_encode(url, (text){(const char *)scratch->data, scratch->len}, "/:>;{}=+#,@ ");
    return rc < 0 ? fail_nomem(err) : 0;
}

int connect_url(mem *m, const node *object, char **out, bridge_error *err)
{
    const node *where = member(object, "url");
    buf url, scratch;
    int rc = 0;

    if (!where) return fail_line(err, BRIDGE_INVALID, object->line, "this uplink has no \"url\"");
    if (where->kind != NODE_TEXT) return wrong(where, "a text", err);
    buf_init(&url, m, 0);
    buf_init(&scratch, m, 0);
    if (buf_text(&url, where->text) < 0) rc = fail_nomem(err);
    for (const node *n = object->first; n && rc == 0; n = n->next) {
        if (n == where) continue;
        if (n->kind != NODE_LIST) rc = add_option(&url, &scratch, n->key, n, err);
        else
            for (const node *item = n->first; item && rc == 0; item = item->next) rc = add_option(&url, &scratch, n->key, item, err);
    }
    if (rc == 0 && !(*out = mem_text_len(m, (const char *)url.data, url.len))) rc = fail_nomem(err);
    buf_done(&url);
    buf_done(&scratch);
    return rc;
}
