#include "adapter/coap/topics.h"
#include "base/clock.h"
#include "core/path.h"
#include <stdio.h>

topics *topics_of(coap_port *cp)
{
    coap_port *home = cp->has_topics ? coap_home(cp) : NULL;

    return home ? topics_make(home) : NULL;
}

topics *topics_make(coap_port *home)
{
    topics *t = home->topics;
    uint64_t seed;

    if (t) return t;
    t = mem_new(home->mem, topics);
    if (!t) return NULL;
    random_bytes(&seed, sizeof seed);
    t->home = home;
    list_init(&t->watchers);
    map_init(&t->by_id, home->mem, seed);
    map_init(&t->by_name, home->mem, seed);
    map_init(&t->by_path, home->mem, seed);
    home->topics = t;
    return t;
}

static void topic_free(topic *o)
{
    mem *m = o->topics->home->mem;

    timer_stop(&o->life);
    topic_past_want(o, 0);
    mem_free(m, o->name);
    mem_free(m, o->path);
    mem_free(m, o->resource_type);
    mem_free(m, o->type);
    mem_free(m, o->date);
    mem_free(m, o);
}

void topic_subscribed(topic *o, coap_watcher *w)
{
    w->topic = o;
    w->checked = loop_now(w->cp->loop);
    list_push(&o->subscribers, &w->place);
    o->subscriber_count++;
}

static void forget_subscribers(topic *o)
{
    list *it;

    while ((it = list_pop(&o->subscribers))) list_of(it, coap_watcher, place)->topic = NULL;
    o->subscriber_count = 0;
}

/* Those who came last go first; a topic that ends has room for nobody. */
static void keep_subscribers(topic *o, uint32_t most)
{
    while (o->subscriber_count > most) {
        coap_watcher *w = list_of(o->subscribers.prev, coap_watcher, place);
        coap_port *cp = w->cp;

        coap_unwatch(w, COAP_NOT_FOUND);
        turn_end_want(cp->loop, &cp->flush);
    }
}

static void topic_leave(topic *o)
{
    topics *t = o->topics;

    map_remove(&t->by_id, o->id, strlen(o->id));
    map_remove(&t->by_name, o->name, strlen(o->name));
    map_remove(&t->by_path, o->path, strlen(o->path));
}

void topic_remove(topic *o)
{
    topic_keep_not(o);
    topic_leave(o);
    keep_subscribers(o, 0);
    coap_watchers_again(&o->topics->watchers);
    topic_free(o);
}

void topics_free(topics *t)
{
    size_t at = 0;
    topic *o;

    if (!t) return;
    while (list_pop(&t->watchers)) {}
    while ((o = map_next(&t->by_id, &at))) { /* listeners, and with them the subscribers, may have gone before */
        forget_subscribers(o);
        topic_free(o);
    }
    bridge_peer_free(t->self);
    map_done(&t->by_id);
    map_done(&t->by_name);
    map_done(&t->by_path);
    mem_free(t->home->mem, t);
}

/* ---- its end by date */

bridge_peer *topics_self(topics *t)
{
    if (!t->self) bridge_peer_new(&t->self, t->home->port, "pubsub", NULL, BRIDGE_PEER_INSIDE, NULL);
    return t->self;
}

static void on_expired(timer *life)
{
    topic *o = list_of(life, topic, life);
    topics *t = o->topics;
    bridge_msg *msg = NULL;

    if (topics_self(t) && bridge_peer_msg(t->self, BRIDGE_FIELDS(.path = o->path), &msg) == 0)
        bridge_peer_submit(t->self, BRIDGE_DELETE, msg, NULL, NULL, NULL, NULL, NULL);
    bridge_msg_unref(msg);
    topic_remove(o);
}

static int live_until(topic *o, const topic_config *c)
{
    loop *l = o->topics->home->loop;
    bool ends = c->has & 1u << TOPIC_EXPIRATION;
    int64_t left = ends ? c->expires - loop_calendar(l) : 0;
    char *copy = NULL;

    if (ends && left <= 0 && !o->topics->restoring) return BRIDGE_INVALID;
    if (left < 0) left = 0; /* it ended while we were away */
    if (c->date.len && !(copy = mem_text_len(o->topics->home->mem, c->date.p, c->date.len))) return BRIDGE_NOMEM;
    mem_free(o->topics->home->mem, o->date);
    o->date = copy;
    o->expires = ends ? c->expires : -1;
    if (!ends) timer_stop(&o->life);
    return ends ? timer_start(&o->life, l, left, on_expired) : 0;
}

/* ---- what is said of it */

static int take_type(topic *o, text type)
{
    char *copy = type.len ? mem_text_len(o->topics->home->mem, type.p, type.len) : NULL;

    if (type.len && !copy) return BRIDGE_NOMEM;
    mem_free(o->topics->home->mem, o->type);
    o->type = copy;
    return 0;
}

static int take_settings(topic *o, const topic_config *c, bool whole)
{
    int rc = 0;

    if (whole || c->has & 1u << TOPIC_EXPIRATION) rc = live_until(o, c);
    if (rc == 0 && (whole || c->has & 1u << TOPIC_TYPE)) rc = take_type(o, c->type);
    if (rc < 0) return rc;
    if (whole || c->has & 1u << TOPIC_CONTENT_FORMAT) o->format = c->has & 1u << TOPIC_CONTENT_FORMAT ? (int)c->format : -1;
    if (whole || c->has & 1u << TOPIC_MAX_SUBSCRIBERS) o->max_subscribers = (uint32_t)c->max_subscribers;
    if (whole || c->has & 1u << TOPIC_HISTORY) topic_past_want(o, c->history);
    if (whole || c->has & 1u << TOPIC_CHECK) o->check = c->has & 1u << TOPIC_CHECK ? (uint32_t)c->check : TOPIC_OBSERVER_CHECK;
    return 0;
}

int topic_update(topic *o, const topic_config *c, bool whole)
{
    topic_config fixed = *c;
    int rc;

    fixed.has &= 1u << TOPIC_NAME | 1u << TOPIC_DATA | 1u << TOPIC_RESOURCE_TYPE; /* which cannot be changed */
    if (!topic_config_matches(o, &fixed) || c->has & (1u << TOPIC_INITIALIZE | 1u << TOPIC_FILTER)) return BRIDGE_INVALID;
    rc = take_settings(o, c, whole);
    if (rc == 0 && o->max_subscribers) keep_subscribers(o, o->max_subscribers);
    coap_watchers_again(&o->topics->watchers); /* its format is in the list */
    return rc;
}

/* The path of its data: what topic-data says (ps/data/...), else the name. */
static int take_path(topic *o, const topic_config *c)
{
    mem *m = o->topics->home->mem;
    text t = c->data.len ? c->data : c->name;
    buf b;
    int rc;

    buf_init(&b, m, PATH_BYTES);
    if (c->data.len && t.p[0] == '/') t.p++, t.len--;
    if (c->data.len && (t.len <= 8 || memcmp(t.p, "ps/data/", 8) != 0)) return BRIDGE_INVALID;
    rc = c->data.len ? text_percent_decode(&b, (text){t.p + 8, t.len - 8}) : buf_put(&b, t.p, t.len);
    if (rc == 0 && path_check((const char *)b.data, b.len, NULL) < 0) rc = BRIDGE_INVALID;
    if (rc == 0 && (b.data[0] == '$' || map_get(&o->topics->by_path, b.data, b.len))) rc = BRIDGE_INVALID;
    if (rc == 0 && !(o->path = mem_text_len(m, (const char *)b.data, b.len))) rc = BRIDGE_NOMEM;
    buf_done(&b);
    return rc;
}

static int fill(topic *o, const topic_config *c)
{
    mem *m = o->topics->home->mem;
    uint64_t id;
    int rc = take_path(o, c);

    random_bytes(&id, sizeof id);
    snprintf(o->id, sizeof o->id, "%016llx", (unsigned long long)id);
    if (rc == 0 && !((o->name = mem_text_len(m, c->name.p, c->name.len)) &&
                     (o->resource_type = mem_text_len(m, c->resource_type.p, c->resource_type.len))))
        rc = BRIDGE_NOMEM;
    return rc == 0 ? take_settings(o, c, true) : rc;
}

static int enter(topic *o)
{
    topics *t = o->topics;
    int rc = map_put(&t->by_id, o->id, strlen(o->id), o, NULL);

    if (rc == 0) rc = map_put(&t->by_name, o->name, strlen(o->name), o, NULL);
    if (rc == 0) rc = map_put(&t->by_path, o->path, strlen(o->path), o, NULL);
    if (rc < 0) topic_leave(o);
    return rc;
}

static int make(topics *t, const topic_config *c, text id, topic **out)
{
    topic *o;
    int rc;

    if (!c->name.len || !c->resource_type.len || map_get(&t->by_name, c->name.p, c->name.len)) return BRIDGE_INVALID;
    if (t->by_id.count >= TOPICS_MAX) return BRIDGE_BUSY;
    o = mem_new(t->home->mem, topic);
    if (!o) return BRIDGE_NOMEM;
    o->topics = t;
    o->expires = -1;
    list_init(&o->subscribers);
    rc = fill(o, c);
    if (id.len) snprintf(o->id, sizeof o->id, "%.*s", (int)id.len, id.p);
    if (rc == 0) rc = enter(o);
    if (rc < 0)
        topic_free(o);
    else
        *out = o;
    return rc;
}

int topic_new(topics *t, const topic_config *c, topic **out)
{
    int rc = make(t, c, (text){0}, out);

    if (rc == 0) coap_watchers_again(&t->watchers);
    return rc;
}

void topic_restore(topics *t, text id, const topic_config *c)
{
    topic *made;

    t->restoring = true;
    if (id.len < sizeof made->id && !map_get(&t->by_id, id.p, id.len)) make(t, c, id, &made);
    t->restoring = false;
}
