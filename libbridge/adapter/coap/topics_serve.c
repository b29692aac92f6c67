/* /ps, /ps/<id>, and which topic /ps/data/... belongs to. */
#include "adapter/coap/topics.h"
#include "codec/scratch.h"

typedef struct asking {
    topics *t;
    coap_port *cp;
    coap_request *r;
    bridge_peer *peer;
    topic_config c;
    scratch scratch;
} asking;

static void refuse(asking *a, int status, const char *why) { coap_answer_status(a->r, status, BRIDGE_PUT, why); }

static bool may(asking *a, bridge_verb verb, const topic *o)
{
    int rc = peer_may(a->peer, verb, o->path);

    if (rc < 0) refuse(a, rc, NULL);
    return rc == 0;
}

/* The map in the body; false: it has been answered. */
static bool take_config(asking *a)
{
    const coap_meta *m = a->r->meta;
    const char *why;
    int rc = m->has & COAP_HAS_CONTENT_FORMAT && (m->format == TOPICS_FORMAT || m->format == BRIDGE_CBOR) ? 0 : BRIDGE_FORMAT;

    if (rc < 0) {
        refuse(a, rc, "application/core-pubsub+cbor (606) is wanted");
        return false;
    }
    rc = topic_config_read(&a->c, &a->scratch, a->r->body, a->r->body_len, &why);
    if (rc < 0) refuse(a, rc == BRIDGE_NOMEM ? rc : BRIDGE_INVALID, why);
    return rc == 0;
}

static void answer_topic(asking *a, uint8_t code, const topic *o, unsigned wanted)
{
    buf b;

    buf_init(&b, a->cp->mem, 0);
    if (topic_config_write(&b, o, wanted) < 0)
        refuse(a, BRIDGE_NOMEM, NULL);
    else if (code == COAP_CONTENT)
        coap_respond(a->r, COAP_REPLY(.code = code, .format = COAP_SAY(TOPICS_FORMAT), .data = b.data, .len = b.len));
    else
        coap_promise(a->cp, a->r, code, code == COAP_CREATED ? "ps" : NULL, o->id, &b);
    buf_done(&b);
}

/* ---- lists */

static int add_conf(listing *l, const topic *o)
{
    buf_clear(&l->href);
    if (buf_print(&l->href, "/ps/%s", o->id) < 0) return BRIDGE_NOMEM;
    return listing_add(l, (text){(const char *)l->href.data, l->href.len}, text_of(";rt=\"core.ps.conf\";ct=606"));
}

static int add_data(listing *l, const topic *o)
{
    int rc;

    buf_clear(&l->href);
    buf_clear(&l->params);
    rc = buf_text(&l->href, "/");
    if (rc == 0) rc = topic_data_put(&l->href, o);
    if (rc == 0) rc = buf_text(&l->params, ";rt=\"core.ps.data\"");
    if (rc == 0 && o->format >= 0) rc = buf_print(&l->params, ";ct=%d", o->format);
    if (rc == 0) rc = buf_text(&l->params, ";obs");
    return rc == 0 ? listing_add(l, (text){(const char *)l->href.data, l->href.len}, (text){(const char *)l->params.data, l->params.len}) : rc;
}

static void add_topics(topics *t, bridge_peer *peer, listing *l, const topic_config *only, bool data)
{
    size_t at = 0;
    topic *o;

    while ((o = map_next(&t->by_id, &at))) {
        if ((only && !topic_config_matches(o, only)) || peer_may(peer, BRIDGE_GET, o->path) < 0) continue;
        if (data) add_data(l, o);
        else add_conf(l, o);
    }
}

void topics_links(coap_port *cp, bridge_peer *peer, listing *l)
{
    coap_port *home = cp->has_topics ? coap_home(cp) : NULL;

    if (!home) return;
    listing_add(l, text_of("/ps"), text_of(";rt=\"core.ps core.ps.coll\";ct=40;obs"));
    if (home->topics) add_topics(home->topics, peer, l, NULL, false);
}

/* Data are told when it is asked for their type: GET /ps?rt=core.ps.data */
static bool wants_data(const listing *l)
{
    for (unsigned i = 0; i < l->filter_count; i++)
        if (text_is(l->filters[i].name, "rt") && text_is(l->filters[i].value, "core.ps.data")) return true;
    return false;
}

/* The collection as it is now, for who watches it. */
static int render(coap_watcher *w, buf *out)
{
    topics *t = topics_of(w->cp);
    topic_config only;
    scratch room;
    const char *why;
    listing l;
    int rc = listing_begin_again(&l, w->cp->mem, w->path);

    scratch_init(&room, w->cp->mem);
    if (rc == 0 && !t) rc = BRIDGE_CLOSED;
    if (rc == 0 && w->question) rc = topic_config_read(&only, &room, msg_data(w->question), w->question->len, &why);
    if (rc == 0) {
        add_topics(t, w->peer, &l, w->question ? &only : NULL, !w->question && wants_data(&l));
        buf_done(out);
        *out = l.out; /* as long as a GET may have it */
        l.out = (buf){.mem = w->cp->mem};
    }
    listing_done(&l);
    scratch_done(&room);
    return rc;
}

/* RFC 7641 of the collection: GET, or FETCH of some of it, with Observe is told which topics there are whenever one comes or goes. */
static int take_observe(asking *a, coap_watcher **out)
{
    bridge_fields f = {.size = sizeof f, .path = "ps", .data = a->r->body, .len = a->r->body_len, .format = BRIDGE_CBOR};
    bridge_msg *question = NULL;
    buf query;
    int rc;

    if (!(a->r->meta->has & COAP_HAS_OBSERVE)) return 0;
    buf_init(&query, a->cp->mem, COAP_QUERY_MAX);
    rc = listing_query(&query, a->r);
    if (rc == 0 && a->r->code == COAP_FETCH) rc = bridge_peer_msg(a->peer, &f, &question);
    if (rc == 0) rc = coap_watch_made(a->cp, a->r, a->peer, (const char *)query.data, render, &a->t->watchers, out);
    if (*out) (*out)->question = question; /* its reference */
    else bridge_msg_unref(question);
    buf_done(&query);
    return rc;
}

static void answer_list(asking *a, const topic_config *only)
{
    listing l;
    int rc = listing_begin(&l, a->cp->mem, a->r);

    if (rc == 0) rc = take_observe(a, &l.watcher);
    if (rc < 0) {
        refuse(a, rc, rc == BRIDGE_INVALID ? "too many filters, or '&' in one" : NULL);
    } else {
        add_topics(a->t, a->peer, &l, only, !only && wants_data(&l));
        listing_answer(&l, a->r);
    }
    listing_done(&l);
}

/* ---- the collection */

static int put_first(asking *a, const topic *o)
{
    text initial = a->c.initial;
    bridge_fields f = {.size = sizeof f, .path = o->path, .data = initial.len ? initial.p : "", .len = initial.len, .retain = true,
                       .format = BRIDGE_FORMAT_AUTO};
    bridge_msg *msg = NULL;
    int rc;

    if (o->format >= 0) f.format = (bridge_format)o->format;
    rc = bridge_peer_msg(a->peer, &f, &msg);

    if (rc == 0) rc = bridge_peer_submit(a->peer, BRIDGE_PUT, msg, NULL, NULL, NULL, NULL, NULL);
    bridge_msg_unref(msg);
    return rc;
}

static void serve_create(asking *a)
{
    topic *made;
    int rc;

    if (!take_config(a)) return;
    rc = a->c.has & 1u << TOPIC_FILTER || (a->c.initial.p && !(a->c.has & 1u << TOPIC_CONTENT_FORMAT)) ? BRIDGE_INVALID : coap_may_promise(a->cp);
    if (rc == 0) rc = topic_new(a->t, &a->c, &made);
    if (rc < 0) {
        refuse(a, rc, rc == BRIDGE_INVALID ? "topic-name, resource-type; a name or path that is in use, or none; a date that is over; no format of initialize" : NULL);
        return;
    }
    rc = peer_may(a->peer, BRIDGE_PUT, made->path);
    if (rc == 0 && a->c.initialize) rc = put_first(a, made);
    if (rc < 0) {
        topic_remove(made);
        refuse(a, rc, NULL);
        return;
    }
    topic_keep(made);
    answer_topic(a, COAP_CREATED, made, ~0u);
}

static void serve_collection(asking *a)
{
    switch (a->r->code) {
    case COAP_GET:
        if (listing_may(a->r)) answer_list(a, NULL);
        break;
    case COAP_FETCH:
        if (take_config(a)) answer_list(a, &a->c);
        break;
    case COAP_POST: serve_create(a); break;
    default: refuse(a, BRIDGE_METHOD, NULL); break;
    }
}

/* ---- one topic */

static void serve_part(asking *a, const topic *o)
{
    const coap_meta *m = a->r->meta;
    unsigned wanted;
    int rc = m->has & COAP_HAS_CONTENT_FORMAT && (m->format == TOPICS_FORMAT || m->format == BRIDGE_CBOR) ? 0 : BRIDGE_FORMAT;

    if (rc == 0) rc = topic_keys_read(&wanted, &a->scratch, a->r->body, a->r->body_len);
    if (rc < 0) refuse(a, rc, "a list of properties is wanted, application/cbor");
    else answer_topic(a, COAP_CONTENT, o, wanted);
}

static void serve_update(asking *a, topic *o, bool whole)
{
    int rc;

    if (!take_config(a)) return;
    if (whole && !(a->c.has & 1u << TOPIC_NAME && a->c.has & 1u << TOPIC_RESOURCE_TYPE))
        rc = BRIDGE_INVALID;
    else if ((rc = coap_may_promise(a->cp)) == 0)
        rc = topic_update(o, &a->c, whole);
    topic_keep(o); /* some of it may have been taken */
    if (rc < 0)
        refuse(a, rc, rc == BRIDGE_INVALID ? "topic-name, topic-data and resource-type stay as they are" : NULL);
    else
        answer_topic(a, COAP_CHANGED, o, ~0u);
}

static void serve_delete(asking *a, topic *o)
{
    bridge_msg *msg = NULL;
    int rc = bridge_peer_msg(a->peer, BRIDGE_FIELDS(.path = o->path), &msg);

    if (rc == 0) rc = bridge_peer_submit(a->peer, BRIDGE_DELETE, msg, NULL, NULL, NULL, NULL, NULL);
    bridge_msg_unref(msg);
    if (rc < 0 && rc != BRIDGE_NOTFOUND) {
        refuse(a, rc, NULL);
        return;
    }
    topic_remove(o);
    coap_promise(a->cp, a->r, COAP_DELETED, NULL, NULL, NULL);
}

static void serve_topic(asking *a, topic *o)
{
    switch (a->r->code) {
    case COAP_GET:
        if (may(a, BRIDGE_GET, o)) answer_topic(a, COAP_CONTENT, o, ~0u);
        break;
    case COAP_FETCH:
        if (may(a, BRIDGE_GET, o)) serve_part(a, o);
        break;
    case COAP_POST: /* PUT in older versions of the draft */
    case COAP_PUT:
    case COAP_IPATCH:
        if (may(a, BRIDGE_PUT, o)) serve_update(a, o, a->r->code != COAP_IPATCH);
        break;
    case COAP_DELETE:
        if (may(a, BRIDGE_DELETE, o)) serve_delete(a, o);
        break;
    default: refuse(a, BRIDGE_METHOD, NULL); break;
    }
}

/* ---- what its data were: GET /ps/data/<path>?history=10.  The draft leaves the way to a later document (3.3 of its 21st version). */

static bool wants_past(const coap_request *r, uint64_t *most)
{
    coap_options walk = coap_options_of(r->packet);
    text name, value;
    bool has_value;

    while (r->code == COAP_GET && coap_query_next(&walk, &name, &value, &has_value)) {
        if (!text_is(name, "history")) continue;
        *most = TOPIC_PAST;
        if (has_value && !text_to_u64(value, UINT32_MAX, most)) *most = 0;
        return true;
    }
    return false;
}

bool topics_serve_past(coap_port *cp, coap_request *r, bridge_peer *peer, const topic *o, const char *path)
{
    const coap_meta *m = r->meta;
    uint64_t most;
    buf b;
    int rc;

    if (!wants_past(r, &most)) return false;
    buf_init(&b, cp->mem, 0);
    rc = peer_may(peer, BRIDGE_GET, path);
    if (rc == 0 && most == 0) rc = BRIDGE_INVALID;
    if (rc == 0 && !topic_past_most(o)) rc = BRIDGE_NOTFOUND;
    if (rc == 0 && m->has & COAP_HAS_ACCEPT && m->accept != TOPIC_PAST_FORMAT) rc = BRIDGE_NOTACCEPTABLE;
    if (rc == 0) rc = topic_past_write(&b, o, most);
    if (rc < 0) coap_answer_status(r, rc, BRIDGE_GET, rc == BRIDGE_NOTFOUND ? "this topic has no topic-history" : NULL);
    else coap_respond(r, COAP_REPLY(.code = COAP_CONTENT, .format = COAP_SAY(TOPIC_PAST_FORMAT), .data = b.data, .len = b.len));
    buf_done(&b);
    return true;
}

/* ---- which */

topic *topics_data(coap_port *cp, const char *name, const char **path)
{
    topics *t;

    if (!cp->has_topics || strncmp(name, "ps/data/", 8) != 0) return NULL;
    *path = name + 8;
    t = topics_of(cp);
    return t ? map_get(&t->by_path, *path, strlen(*path)) : NULL;
}

bool topics_serve(coap_port *cp, coap_request *r, bridge_peer *peer, const char *path)
{
    asking a = {.cp = cp, .r = r, .peer = peer};
    topic *o;

    if (!cp->has_topics || (strcmp(path, "ps") != 0 && strncmp(path, "ps/", 3) != 0)) return false;
    a.t = topics_of(cp);
    if (!a.t) {
        refuse(&a, BRIDGE_NOMEM, NULL);
        return true;
    }
    scratch_init(&a.scratch, cp->mem);
    o = path[2] ? map_get(&a.t->by_id, path + 3, strlen(path + 3)) : NULL;
    if (!path[2])
        serve_collection(&a);
    else if (o)
        serve_topic(&a, o);
    else
        refuse(&a, BRIDGE_NOTFOUND, NULL);
    scratch_done(&a.scratch);
    return true;
}
