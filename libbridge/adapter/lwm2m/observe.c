/* Observations: one at the device for all who watch a path, over whatever protocol.
 *
 *      watched --> asked --Observe--> goes on --news--> a message for each name it is watched by
 *         ^          |                   \--last watcher left--> GET Observe 1 (RFC 7641 3.6); a late notification gets a reset
 *         |          \--refused, no Observe--> nothing until it registers again
 *         +---registered again, moved--- all of it anew
 *
 * "lwm2m/lamp/3303/0/5700" is an observation of /3303/0/5700, told there; "lwm2m/lamp/3303/0/#" and "lwm2m/lamp/3303/0/+" are one of
 * /3303/0, of which each resource is told at its own path; "lwm2m/lamp/!composite/3.0.0,3303.0.5700" is one of a set of paths (several.c).  A device
 * that knows no Observe-Composite (1.1 6.4.4) has each path of a set observed by itself, and the set is told anew whenever one of them is. */
#include "adapter/lwm2m/lwm2m.h"
#include "base/status.h"
#include "codec/scratch.h"
#include <stdio.h>

typedef struct observation {
    list link;
    lwm2m_device *d;
    oma_path path; /* of a set: what all of it is below */
    list names;
    lwm2m_op *op; /* NULL: not under way */
    lwm2m_paths *set; /* or NULL */
    unsigned wish;    /* of a set: which of the formats is tried */
    bool singly;      /* of a set: its paths have observations of their own */
} observation;

typedef struct watch_name { /* a filter that is watched */
    list link;
    bool wild, pinned, watched; /* pinned: by !observe */
    observation *of; /* no filter: a set, singly observed, of which this is one; what was last said of it: */
    void *said;
    size_t len;
    int format;
    char filter[];
} watch_name;

/* ---- News */

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
        lwm2m_publish(d, path, p, &one, when, keep);
    }
}

/* The values of one moment, to all the names it is watched by. */
static void tell_names(observation *o, const lwm2m_leaves *leaves, int64_t when)
{
    lwm2m_device *d = o->d;

    list_each_safe (it, &o->names) { /* who hears of it may stop watching: then o is freed later, d is held */
        watch_name *n = list_of(it, watch_name, link);

        if (d->gone) return;
        if (n->of) continue; /* take_parts() */
        if (n->wild)
            publish_each(d, n->filter, o->path.count, leaves, when, !o->set);
        else
            lwm2m_publish(d, n->filter, &o->path, leaves, when, true);
    }
}

static void on_moment(void *user, const lwm2m_leaves *leaves, int64_t when)
{
    observation *o = user;

    tell_names(o, leaves, when);
    if (o->d->update && !o->d->gone) lwm2m_flash_news(o->d, leaves);
}

static void take_news(observation *o, const coap_answer *answer)
{
    static const oma_path root = {0};
    lwm2m_device *d = o->d;
    int format = answer->meta->has & COAP_HAS_CONTENT_FORMAT ? answer->meta->format : -1;
    lwm2m_leaves leaves;
    bridge_scratch s;

    d->server->count.notifications++;
    scratch_init(&s, d->server->mem);
    if (lwm2m_leaves_read(d->server, &s, o->set ? &root : &o->path, format, answer->body, answer->body_len, &leaves, NULL) == 0)
        lwm2m_each_moment(d, &leaves, &s, on_moment, o);
    else
        bridge_port_log(d->port->coap.port, BRIDGE_LOG_INFO, d->endpoint, "a notification that cannot be read, format %d", format);
    scratch_done(&s);
}

/* ---- A set whose paths are observed one by one */

typedef int (*part_fn)(void *user, const observation *o, watch_name *n);

static int each_part(const observation *set, part_fn fn, void *user)
{
    int rc = 0;

    list_each (it, &set->d->observations) {
        observation *o = list_of(it, observation, link);

        list_each (at, &o->names) {
            watch_name *n = list_of(at, watch_name, link);
            if (n->of == set && rc == 0) rc = fn(user, o, n);
        }
    }
    return rc;
}

typedef struct gathering {
    bridge_scratch scratch;
    lwm2m_leaves all;
} gathering;

static int gather(void *user, const observation *o, watch_name *n)
{
    gathering *g = user;
    lwm2m_leaves some;
    lwm2m_leaf *more;

    if (!n->said) return o->op ? BRIDGE_PENDING : 0; /* it may yet say something: until then the set is not whole */
    if (lwm2m_leaves_read(o->d->server, &g->scratch, &o->path, n->format, n->said, n->len, &some, NULL) < 0 || !some.count) return 0;
    more = scratch_array(&g->scratch, lwm2m_leaf, g->all.count + some.count);
    if (!more) return BRIDGE_NOMEM;
    if (g->all.count) memcpy(more, g->all.at, g->all.count * sizeof *more);
    memcpy(more + g->all.count, some.at, some.count * sizeof *more);
    g->all = (lwm2m_leaves){more, g->all.count + some.count, g->all.guessed || some.guessed};
    return 0;
}

static void tell_set(observation *set)
{
    gathering g = {.all = {0}};

    scratch_init(&g.scratch, set->d->server->mem);
    if (each_part(set, gather, &g) == 0 && g.all.count) tell_names(set, &g.all, 0);
    scratch_done(&g.scratch);
}

/* One of them has said something; NULL: it says nothing any more. */
static void take_parts(const observation *o, const coap_answer *answer)
{
    lwm2m_device *d = o->d;

    list_each_safe (it, &o->names) {
        watch_name *n = list_of(it, watch_name, link);

        if (!n->of) continue;
        mem_free(d->server->mem, n->said);
        n->said = answer ? mem_copy(d->server->mem, answer->body, answer->body_len) : NULL;
        n->len = answer ? answer->body_len : 0;
        n->format = answer && answer->meta->has & COAP_HAS_CONTENT_FORMAT ? answer->meta->format : -1;
        tell_set(n->of);
        if (d->gone) return;
    }
}

static observation *find_or_make(lwm2m_device *d, const oma_path *path);
static watch_name *name_new(lwm2m_device *d, observation *o, const char *filter, bool wild);
static void begin(observation *o);
static void begin_anew(observation *o);

static void observe_singly(observation *set)
{
    if (set->singly) return;
    set->singly = true;
    for (unsigned i = 0; i < set->set->count; i++) {
        observation *o = find_or_make(set->d, &set->set->at[i]);
        watch_name *n = o ? name_new(set->d, o, "", false) : NULL;

        if (!n) continue;
        n->of = set;
        n->watched = true;
        begin_anew(o); /* one that goes on would not say how it stands */
    }
}

static int leave_part(void *user, const observation *o, watch_name *n)
{
    (void)user, (void)o;
    n->of = NULL;
    n->watched = false;
    return 0;
}

/* ---- Answers */

static bool is_refused(const coap_answer *a) { return a && a->packet && coap_class(a->code) != 2; }

/* Of a set: the next format; or it knows no composites at all. */
static void on_refused(observation *o, uint8_t code)
{
    const int *wishes = lwm2m_composite_wishes(o->d);

    if ((code == COAP_UNSUPPORTED_FORMAT || code == COAP_NOT_ACCEPTABLE) && wishes[o->wish + 1] >= 0) {
        o->wish++;
        begin(o);
    } else if (code == COAP_NOT_ALLOWED || code == COAP_NOT_IMPLEMENTED) {
        observe_singly(o);
    }
}

static void on_news(void *user, int status, const coap_answer *answer)
{
    observation *o = user;
    lwm2m_device *d = o->d;

    if (!answer || !answer->more) o->op = NULL;
    if (d->gone) return;
    d->observing++;
    if (status >= 0 && answer && answer->packet) lwm2m_awake(d);
    if (status >= 0 && is_refused(answer) && o->set && !d->gone) {
        on_refused(o, answer->code);
    } else if (status >= 0 && answer && answer->packet && !is_refused(answer) && !d->gone) {
        take_news(o, answer);
        if (!d->gone) take_parts(o, answer);
    } else if (!o->op && !d->gone) {
        take_parts(o, NULL);
    }
    if (--d->observing == 0) lwm2m_sweep(d);
}

/* ---- Beginning and ending */

static void begin(observation *o)
{
    lwm2m_question q = {.code = COAP_GET, .path = o->path, .accept = -1, .format = -1, .observe = true};
    buf body;

    if (o->op || o->d->gone || list_empty(&o->names) || o->singly) return;
    if (o->set && o->d->minor == 0) {
        observe_singly(o);
        return;
    }
    buf_init(&body, o->d->server->mem, 0);
    if (o->set) {
        q.code = COAP_FETCH;
        q.path.count = 0;
        q.accept = q.format = lwm2m_composite_wishes(o->d)[o->wish];
        if (lwm2m_paths_write(o->set, (bridge_format)q.format, &body) < 0) q.format = -1;
        q.data = body.data;
        q.len = body.len;
    }
    lwm2m_ask(o->d, &q, on_news, o, &o->op);
    buf_done(&body);
}

static void end(observation *o, bool tell)
{
    lwm2m_op *op = o->op;

    o->op = NULL;
    lwm2m_op_cancel(op, tell);
}

static void begin_anew(observation *o)
{
    end(o, true);
    begin(o);
}

static void name_free(lwm2m_device *d, watch_name *n)
{
    mem_free(d->server->mem, n->said);
    mem_free(d->server->mem, n);
}

static void observation_free(observation *o)
{
    mem *m = o->d->server->mem;

    mem_free(m, o->set);
    mem_free(m, o);
}

static observation *find(lwm2m_device *d, const oma_path *path, const lwm2m_paths *set)
{
    list_each (it, &d->observations) {
        observation *o = list_of(it, observation, link);

        if (!o->set != !set || oma_compare(&o->path, path) != 0) continue;
        if (!set || (o->set->count == set->count && memcmp(o->set->at, set->at, set->count * sizeof *set->at) == 0)) return o;
    }
    return NULL;
}

static observation *observation_new(lwm2m_device *d, const oma_path *path, const lwm2m_paths *set)
{
    observation *o = mem_new(d->server->mem, observation);

    if (!o) return NULL;
    o->d = d;
    o->path = *path;
    o->set = set ? mem_copy(d->server->mem, set, offsetof(lwm2m_paths, at) + set->count * sizeof *set->at) : NULL;
    list_init(&o->names);
    if (set && !o->set) {
        mem_free(d->server->mem, o);
        return NULL;
    }
    list_push(&d->observations, &o->link);
    return o;
}

static observation *find_or_make(lwm2m_device *d, const oma_path *path)
{
    observation *o = find(d, path, NULL);

    return o ? o : observation_new(d, path, NULL);
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
    list_each (it, &o->names) {
        watch_name *n = list_of(it, watch_name, link);
        if (!n->of && strcmp(n->filter, filter) == 0) return n;
    }
    return NULL;
}

/* What a filter observes: a set of paths (then set->count), or all before its first wildcard.  False: nothing of the device. */
static bool filter_read(const lwm2m_device *d, const char *filter, oma_path *path, lwm2m_paths *set, bool *wild)
{
    size_t prefix = strlen(d->name), len;
    text op;

    set->count = 0;
    *wild = false;
    if (strncmp(filter, d->name, prefix) != 0 || filter[prefix] != '/') return false;
    filter += prefix + 1;
    len = strcspn(filter, "+#");
    if (!filter[len] && lwm2m_path_read(d->server, (text){filter, len}, path, &op) && op.p) return lwm2m_set_read(d, path, op, set);
    if (*filter == '!' || strstr(filter, "/!")) return false; /* events and results */
    *wild = filter[len] != 0;
    if (*wild && len) len--; /* the slash before it */
    return lwm2m_path_read(d->server, (text){filter, len}, path, &op) && path->count && !op.p;
}

static void forget_values(lwm2m_device *d, const watch_name *n);

static bool is_wanted(const observation *o)
{
    list_each (it, &o->names) {
        const watch_name *n = list_of(it, watch_name, link);
        if (n->watched || n->pinned) return true;
    }
    return false;
}

/* What is kept at a path's own name was told there: of one that is but a part of sets, nothing was. */
static bool is_only_part(const observation *o)
{
    list_each (it, &o->names)
        if (!list_of(it, watch_name, link)->of) return false;
    return !list_empty(&o->names);
}

static void sweep_names(observation *o)
{
    lwm2m_device *d = o->d;

    list_each_safe (it, &o->names) {
        watch_name *n = list_of(it, watch_name, link);

        if (n->watched || n->pinned) continue;
        list_remove(&n->link);
        if (!d->gone && *n->filter) forget_values(d, n);
        name_free(d, n);
    }
}

/* Those whose last watcher has left; not while one of them is being told. */
void lwm2m_sweep(lwm2m_device *d)
{
    if (d->observing) return;
    list_each (it, &d->observations) {
        observation *o = list_of(it, observation, link);
        if (o->singly && !is_wanted(o)) each_part(o, leave_part, NULL);
    }
    list_each_safe (it, &d->observations) {
        observation *o = list_of(it, observation, link);

        sweep_names(o);
        if (!list_empty(&o->names)) continue;
        end(o, true);
        list_remove(&o->link);
        observation_free(o);
    }
}

static void want(lwm2m_device *d, const char *filter, bool wanted, bool pin)
{
    bool wild = false;
    lwm2m_paths set;
    oma_path path;
    observation *o;
    watch_name *n;
    bool silent;

    if (!filter_read(d, filter, &path, &set, &wild)) return;
    o = find(d, &path, set.count ? &set : NULL);
    if (!o && wanted) o = observation_new(d, &path, set.count ? &set : NULL);
    silent = o && is_only_part(o);
    n = o ? find_name(o, filter) : NULL;
    if (o && wanted && !n) n = name_new(d, o, filter, wild);
    if (n && pin) n->pinned = wanted;
    if (n && !pin) n->watched = wanted;
    if (wanted && n)
        silent ? begin_anew(o) : begin(o);
    else
        lwm2m_sweep(d);
}

void lwm2m_interest(void *user, const char *filter, bool wanted) { want(user, filter, wanted, false); }

void lwm2m_pin(lwm2m_device *d, const char *filter, bool wanted)
{
    want(d, filter, wanted, true);
    if (wanted)
        lwm2m_keep_pin(d, filter);
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

            if (!n->wild && !n->of && d->peer && !d->server->closing && bridge_peer_msg(d->peer, BRIDGE_FIELDS(.path = n->filter), &msg) == 0)
                bridge_peer_submit(d->peer, BRIDGE_DELETE, msg, NULL, NULL, NULL, NULL, NULL);
            if (n->wild && !o->set) forget_values(d, n);
            bridge_msg_unref(msg);
            name_free(d, n);
        }
        observation_free(o);
    }
}

/* ---- Several paths at once */

/* All of them, until !cancel-composite: each value is told at its own path. */
int lwm2m_observe_composite(lwm2m_device *d, const lwm2m_paths *paths)
{
    static const oma_path root = {0};
    observation *o = observation_new(d, &root, paths);
    char filter[1024];
    watch_name *n;

    snprintf(filter, sizeof filter, "%s/", d->name);
    n = o ? name_new(d, o, filter, true) : NULL;
    if (!n) {
        lwm2m_sweep(d);
        return BRIDGE_NOMEM;
    }
    n->pinned = true;
    lwm2m_keep_pin_set(d, paths);
    begin(o);
    return 0;
}

bool lwm2m_cancel_composite(lwm2m_device *d)
{
    bool any = false;

    list_each (it, &d->observations) {
        observation *o = list_of(it, observation, link);
        list_each (at, &o->names) {
            watch_name *n = list_of(at, watch_name, link);
            any |= o->set && n->pinned;
            if (o->set) n->pinned = false;
        }
    }
    lwm2m_keep_pin_not(d, "");
    lwm2m_sweep(d);
    return any;
}
