/* Observations: one at the device for all who watch a path, over whatever protocol; and Send (1.1), which nobody asked for.
 *
 *      watched --> asked --Observe--> goes on --news--> a message for each name it is watched by
 *         ^          |                   \--last watcher left--> GET Observe 1 (RFC 7641 3.6); a late notification gets a reset
 *         |          \--refused, no Observe--> nothing until it registers again
 *         +---registered again, moved--- all of it anew
 *
 * "lwm2m/lamp/3303/0/5700" is an observation of /3303/0/5700, told there; "lwm2m/lamp/3303/0/#" and "lwm2m/lamp/3303/0/+" are one of
 * /3303/0, of which each resource is told at its own path. */
#include "adapter/lwm2m/lwm2m.h"
#include "base/status.h"
#include "codec/scratch.h"
#include <stdio.h>

typedef struct watch_name { /* a filter that is watched */
    list link;
    bool wild, pinned, watched; /* pinned: by !observe */
    char filter[];
} watch_name;

typedef struct observation {
    list link;
    lwm2m_device *d;
    oma_path path;
    list names;
    lwm2m_op *op; /* NULL: not under way */
    uint8_t *body; /* Observe-Composite (1.1 6.4.4): which paths; else NULL */
    size_t len;
    int format;
} observation;

/* ---- News */

static void publish(lwm2m_device *d, const char *path, const oma_path *at, const lwm2m_leaves *leaves, int64_t when, bool keep)
{
    static const lwm2m_view plain = {-1, false};
    bridge_msg *msg = NULL;

    if (!d->peer || lwm2m_leaves_msg(d, path, at, leaves, &plain, when, keep, &msg, NULL) < 0) return;
    bridge_peer_submit(d->peer, keep ? BRIDGE_PUT : BRIDGE_POST, msg, NULL, NULL, NULL, NULL, NULL);
    bridge_msg_unref(msg);
}

/* Each value at its own path: what is spelt in the filter as it is spelt, the rest in numbers. */
static void publish_each(lwm2m_device *d, const char *filter, int levels, const lwm2m_leaves *leaves, int64_t when, bool keep)
{
    size_t prefix = strcspn(filter, "+#");
    char path[1200];

    for (size_t i = 0; i < leaves->count && !d->gone; i++) {
        const oma_path *p = &leaves->at[i].path;
        lwm2m_leaves one = {&leaves->at[i], 1, leaves->guessed};
        int n = snprintf(path, sizeof path, "%.*s", (int)prefix, filter);

        for (int k = levels; k < p->count && n > 0 && (size_t)n < sizeof path - 8; k++)
            n += snprintf(path + n, sizeof path - (size_t)n, "%s%u", k > levels ? "/" : "", p->id[k]);
        publish(d, path, p, &one, when, keep);
    }
}

/* The values of one moment, to all the names it is watched by. */
static void tell_names(observation *o, const lwm2m_leaves *leaves, int64_t when)
{
    lwm2m_device *d = o->d;

    list_each_safe (it, &o->names) { /* who hears of it may stop watching: then o is freed later, d is held */
        watch_name *n = list_of(it, watch_name, link);

        if (d->gone) return;
        if (n->wild)
            publish_each(d, n->filter, o->path.count, leaves, when, !o->body);
        else
            publish(d, n->filter, &o->path, leaves, when, true);
    }
}

typedef void (*moment_fn)(void *user, const lwm2m_leaves *leaves, int64_t when);

/* SenML may hold values of several moments (a history): each is told for itself, the oldest first.  RFC 8428 4.5.3 */
static int each_moment(lwm2m_device *d, const lwm2m_leaves *all, bridge_scratch *s, moment_fn fn, void *user)
{
    double told = -1;
    lwm2m_leaf *some = scratch_array(s, lwm2m_leaf, all->count + 1);

    if (!some) return BRIDGE_NOMEM;
    for (size_t left = all->count; left && !d->gone;) {
        lwm2m_leaves now = {some, 0, all->guessed};
        double next = -1;

        for (size_t i = 0; i < all->count; i++) {
            double at = all->at[i].record.time > 0 ? all->at[i].record.time : 0;
            if (at > told && (next < 0 || at < next)) next = at;
        }
        if (next < 0) break;
        for (size_t i = 0; i < all->count; i++)
            if ((all->at[i].record.time > 0 ? all->at[i].record.time : 0) == next) some[now.count++] = all->at[i];
        fn(user, &now, next > 0 ? (int64_t)(next * 1000 + 0.5) : 0);
        told = next;
        left -= now.count < left ? now.count : left;
    }
    return 0;
}

static void on_moment(void *user, const lwm2m_leaves *leaves, int64_t when)
{
    observation *o = user;

    tell_names(o, leaves, when);
    if (o->d->update && !o->d->gone) lwm2m_flash_news(o->d, leaves);
}

static void take_news(observation *o, const coap_answer *answer)
{
    lwm2m_device *d = o->d;
    int format = answer->meta->has & COAP_HAS_CONTENT_FORMAT ? answer->meta->format : -1;
    lwm2m_leaves leaves;
    bridge_scratch s;

    d->server->count.notifications++;
    scratch_init(&s, d->server->mem);
    if (lwm2m_leaves_read(d->server, &s, &o->path, format, answer->body, answer->body_len, &leaves, NULL) == 0)
        each_moment(d, &leaves, &s, on_moment, o);
    else
        bridge_port_log(d->port->coap.port, BRIDGE_LOG_INFO, d->endpoint, "a notification that cannot be read, format %d", format);
    scratch_done(&s);
}

static void on_news(void *user, int status, const coap_answer *answer)
{
    observation *o = user;

    if (!answer || !answer->more) o->op = NULL;
    if (status < 0 || !answer || !answer->packet) return;
    lwm2m_awake(o->d);
    if (coap_class(answer->code) == 2 && !o->d->gone) {
        o->d->observing++;
        take_news(o, answer);
        if (--o->d->observing == 0) lwm2m_sweep(o->d);
    }
}

/* ---- Beginning and ending */

static void begin(observation *o)
{
    lwm2m_question q = {.code = COAP_GET, .path = o->path, .accept = -1, .format = -1, .observe = true};

    if (o->op || o->d->gone || list_empty(&o->names)) return;
    if (o->body) {
        q.code = COAP_FETCH;
        q.accept = q.format = o->format;
        q.data = o->body;
        q.len = o->len;
    }
    lwm2m_ask(o->d, &q, on_news, o, &o->op);
}

static void end(observation *o, bool tell)
{
    lwm2m_op *op = o->op;

    o->op = NULL;
    lwm2m_op_cancel(op, tell);
}

static void observation_free(observation *o)
{
    mem *m = o->d->server->mem;

    mem_free(m, o->body);
    mem_free(m, o);
}

static observation *find(lwm2m_device *d, const oma_path *path)
{
    list_each (it, &d->observations) {
        observation *o = list_of(it, observation, link);
        if (!o->body && o->path.count == path->count && memcmp(o->path.id, path->id, (size_t)path->count * sizeof *path->id) == 0) return o;
    }
    return NULL;
}

static observation *find_or_make(lwm2m_device *d, const oma_path *path)
{
    observation *o = find(d, path);

    if (o) return o;
    o = mem_new(d->server->mem, observation);
    if (!o) return NULL;
    o->d = d;
    o->path = *path;
    list_init(&o->names);
    list_push(&d->observations, &o->link);
    return o;
}

static watch_name *name_new(lwm2m_device *d, observation *o, const char *filter, bool wild)
{
    watch_name *n = mem_zalloc(d->server->mem, sizeof *n + strlen(filter) + 1);

    if (!n) return NULL;
    strcpy(n->filter, filter);
    n->wild = wild;
    list_push(&o->names, &n->link);
    return n;
}

static watch_name *find_name(const observation *o, const char *filter)
{
    list_each (it, &o->names)
        if (strcmp(list_of(it, watch_name, link)->filter, filter) == 0) return list_of(it, watch_name, link);
    return NULL;
}

/* What a filter observes: all before its first wildcard.  False: nothing of the device. */
static bool filter_read(const lwm2m_device *d, const char *filter, oma_path *path, bool *wild)
{
    size_t prefix = strlen(d->name), len;
    text op;

    if (strncmp(filter, d->name, prefix) != 0 || filter[prefix] != '/') return false;
    filter += prefix + 1;
    if (*filter == '!' || strstr(filter, "/!")) return false; /* events and results */
    len = strcspn(filter, "+#");
    *wild = filter[len] != 0;
    if (*wild && len) len--; /* the slash before it */
    return lwm2m_path_read(d->server, (text){filter, len}, path, &op) && path->count && !op.p;
}

static void forget_values(lwm2m_device *d, const watch_name *n);

/* Those whose last watcher has left; not while one of them is being told. */
void lwm2m_sweep(lwm2m_device *d)
{
    if (d->observing) return;
    list_each_safe (it, &d->observations) {
        observation *o = list_of(it, observation, link);

        list_each_safe (at, &o->names) {
            watch_name *n = list_of(at, watch_name, link);

            if (n->watched || n->pinned) continue;
            list_remove(&n->link);
            if (!d->gone) forget_values(d, n);
            mem_free(d->server->mem, n);
        }
        if (!list_empty(&o->names)) continue;
        end(o, true);
        list_remove(&o->link);
        observation_free(o);
    }
}

static void want(lwm2m_device *d, const char *filter, bool wanted, bool pin)
{
    bool wild = false;
    oma_path path;
    observation *o;
    watch_name *n;

    if (!filter_read(d, filter, &path, &wild)) return;
    o = wanted ? find_or_make(d, &path) : find(d, &path);
    n = o ? find_name(o, filter) : NULL;
    if (o && wanted && !n) {
        n = name_new(d, o, filter, wild);
    }
    if (n && pin) n->pinned = wanted;
    if (n && !pin) n->watched = wanted;
    if (wanted && n)
        begin(o);
    else
        lwm2m_sweep(d);
}

void lwm2m_interest(void *user, const char *filter, bool wanted) { want(user, filter, wanted, false); }

void lwm2m_pin(lwm2m_device *d, const char *filter, bool wanted)
{
    want(d, filter, wanted, true);
    if (wanted)
        lwm2m_keep_pin(d, filter, 0, NULL, 0);
    else
        lwm2m_keep_pin_not(d, filter);
}

void lwm2m_observe_again(lwm2m_device *d)
{
    list_each (it, &d->observations) {
        observation *o = list_of(it, observation, link);

        end(o, false); /* it has forgotten, or hears us no more where it was */
        begin(o);
    }
}

/* ---- What is kept while it is watched */

typedef struct kept {
    mem *mem;
    char **paths;
    size_t count, room;
} kept;

static int on_kept(void *user, bridge_msg *msg)
{
    kept *k = user;
    bridge_fields f = {.size = sizeof f};

    if (mem_grow(k->mem, (void **)&k->paths, &k->room, k->count, sizeof *k->paths) < 0) return 1;
    k->paths[k->count] = mem_text(k->mem, bridge_msg_look(msg, &f)->path);
    if (k->paths[k->count]) k->count++;
    return 0;
}

static void forget_values(lwm2m_device *d, const watch_name *n)
{
    kept k = {.mem = d->server->mem};

    if (!d->owner) return;
    if (!n->wild) {
        bridge_owner_forget(d->owner, n->filter);
        return;
    }
    bridge_peer_read(d->peer, n->filter, on_kept, &k);
    for (size_t i = 0; i < k.count; i++) {
        bridge_owner_forget(d->owner, k.paths[i]);
        mem_free(k.mem, k.paths[i]);
    }
    mem_free(k.mem, k.paths);
}

/* The device has gone: whoever watches is told that there is nothing any more. */
void lwm2m_observe_done(lwm2m_device *d)
{
    list *it, *at;

    while ((it = list_pop(&d->observations))) {
        observation *o = list_of(it, observation, link);

        end(o, false);
        while ((at = list_pop(&o->names))) {
            watch_name *n = list_of(at, watch_name, link);
            bridge_msg *msg = NULL;

            if (!n->wild && !o->body && d->peer && !d->server->closing && bridge_peer_msg(d->peer, BRIDGE_FIELDS(.path = n->filter), &msg) == 0)
                bridge_peer_submit(d->peer, BRIDGE_DELETE, msg, NULL, NULL, NULL, NULL, NULL);
            if (n->wild && !o->body) forget_values(d, n);
            bridge_msg_unref(msg);
            mem_free(d->server->mem, n);
        }
        observation_free(o);
    }
}

/* ---- Several paths at once */

/* All of them, until !cancel-composite: each value is told at its own path. */
int lwm2m_observe_composite(lwm2m_device *d, int format, const void *body, size_t len)
{
    mem *m = d->server->mem;
    observation *o = mem_new(m, observation);
    char filter[1024];
    watch_name *n;

    if (!o) return BRIDGE_NOMEM;
    o->d = d;
    o->format = format;
    o->len = len;
    o->body = mem_copy(m, body, len);
    list_init(&o->names);
    list_init(&o->link);
    snprintf(filter, sizeof filter, "%s/", d->name);
    n = o->body ? name_new(d, o, filter, true) : NULL;
    if (!n) {
        observation_free(o);
        return BRIDGE_NOMEM;
    }
    n->pinned = true;
    list_push(&d->observations, &o->link);
    lwm2m_keep_pin(d, "", format, body, len);
    begin(o);
    return 0;
}

bool lwm2m_cancel_composite(lwm2m_device *d)
{
    bool any = false;

    list_each (it, &d->observations) {
        observation *o = list_of(it, observation, link);
        if (!o->body) continue;
        list_each (at, &o->names) list_of(at, watch_name, link)->pinned = false;
        any = true;
    }
    lwm2m_keep_pin_not(d, "");
    lwm2m_sweep(d);
    return any;
}

/* ---- Send (LwM2M 1.1 6.4.6) */

static void on_sent_moment(void *user, const lwm2m_leaves *leaves, int64_t when)
{
    lwm2m_device *d = user;
    static const oma_path root = {0};
    char path[1200];
    int n = snprintf(path, sizeof path, "%s", d->name);

    for (size_t i = 0; i < leaves->count && !d->gone; i++) {
        lwm2m_leaves one = {&leaves->at[i], 1, leaves->guessed};

        lwm2m_path_text(&leaves->at[i].path, path + n);
        publish(d, path, &leaves->at[i].path, &one, when, bridge_owner_is_wanted(d->owner, path));
    }
    if (d->gone) return;
    snprintf(path + n, sizeof path - (size_t)n, "/!send");
    publish(d, path, &root, leaves, when, false);
}

void lwm2m_serve_send(lwm2m_port *p, coap_request *r)
{
    lwm2m_device *d = lwm2m_find_peer(p, r->peer);
    static const oma_path root = {0};
    lwm2m_leaves leaves;
    bridge_scratch s;
    int rc;

    if (!d) {
        coap_request_text(r, COAP_NOT_FOUND, "not registered");
        return;
    }
    if (!(r->meta->has & COAP_HAS_CONTENT_FORMAT) || !lwm2m_is_lwm2m_format((bridge_format)r->meta->format) || r->meta->format == BRIDGE_TLV) {
        coap_request_text(r, COAP_UNSUPPORTED_FORMAT, "SenML or LwM2M CBOR is wanted");
        return;
    }
    lwm2m_hold(d);
    scratch_init(&s, p->server->mem);
    rc = lwm2m_leaves_read(p->server, &s, &root, r->meta->format, r->body, r->body_len, &leaves, NULL);
    if (rc < 0) {
        coap_answer_status(r, BRIDGE_INVALID, BRIDGE_POST, "the values cannot be read");
    } else {
        p->server->count.sends++;
        coap_respond(r, COAP_REPLY(.code = COAP_CHANGED));
        each_moment(d, &leaves, &s, on_sent_moment, d);
        if (!d->gone) lwm2m_heard(d);
    }
    scratch_done(&s);
    lwm2m_release(d);
}
