/* A bridge that only looks at its config (bridge_options.offline) reaches nobody: whom it would ask, and what it would send, is said in the
 * log instead, in the area "dry-run" (`bridged --dry-run`). */
#include "hub/hub.h"
#include <stdarg.h>
#include <stdio.h>

enum { SHOWN = 60 };

static void say(hub *h, const bridge_msg *msg, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void say(hub *h, const bridge_msg *msg, const char *format, ...)
{
    char line[400];
    va_list args;
    int len = (int)(msg->len < SHOWN ? msg->len : SHOWN);

    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    /* whatever the config's log level is: this is what was asked for */
    log_line(&h->log, BRIDGE_LOG_ERROR, "dry-run", "%s%s%.*s%s", line, len ? " " : "", len, (const char *)msg_data(msg), msg->len > SHOWN ? "..." : "");
}

static void say_sent(hub *h, const char *uplink, const bridge_msg *msg, const char *path, bool retain, bool gone)
{
    say(h, msg, "uplink %.100s is sent %.200s%s", uplink, path, gone ? " (removed)" : retain ? " (kept)" : "");
}

void offline_sent(hub *h, const char *uplink, bridge_verb verb, const bridge_msg *msg)
{
    say_sent(h, uplink, msg, msg->path, msg->retain, verb == BRIDGE_DELETE);
}

void offline_denied(hub *h, const char *uplink, const bridge_msg *msg)
{
    say(h, msg, "uplink %.100s may not read %.200s:", uplink, msg->path);
}

void bridge_port_rehearsed(bridge_port *port, const char *name, const bridge_msg *msg, const char *path, bool retain, bool gone)
{
    say_sent(port->hub, name, msg, path, retain, gone);
}

int offline_heard(hub *h, bridge_msg *msg)
{
    list_each(it, &h->ports)
    {
        bridge_port *p = list_of(it, bridge_port, link);
        const bridge_adapter *a = p->adapter;
        if (!p->uplink || !a->rehearse_in || list_empty(&p->peers)) continue;
        if (strcmp(bridge_peer_name(list_of(p->peers.next, bridge_peer, link)), msg->origin->text) == 0) return a->rehearse_in(p, msg);
    }
    return BRIDGE_NOTFOUND;
}

static void on_call(void *user, bridge_call *call)
{
    static const char *const verbs[] = {[BRIDGE_GET] = "GET", [BRIDGE_PUT] = "PUT", [BRIDGE_POST] = "POST", [BRIDGE_DELETE] = "DELETE",
                                        [BRIDGE_PATCH] = "PATCH"};
    const bridge_port *p = user;
    const bridge_msg *msg = bridge_call_msg(call);
    bridge_verb verb = bridge_call_verb(call);

    say(p->hub, msg, "%s://%s is asked: %s %.200s", p->url->scheme, p->url->host, verb <= BRIDGE_PATCH && verbs[verb] ? verbs[verb] : "?", msg->path);
    bridge_call_reply(call, BRIDGE_OK, NULL);
}

static const bridge_adapter nobody = {.size = sizeof nobody, .scheme = "nobody"};

int offline_listen(bridge_port *p, const url *u)
{
    char name[1024];
    bool six = strchr(u->host, ':') != NULL, numbered = u->port >= 0;
    char number[16] = "";

    if (numbered) snprintf(number, sizeof number, ":%d", u->port);
    snprintf(name, sizeof name, "%s://%s%s%s%s%s", u->scheme, six ? "[" : "", u->host, six ? "]" : "", number, u->path);
    bridge_port_named(p, name);
    p->adapter = &nobody;
    p->stand_in = true;
    return 0;
}

int offline_connect(bridge_port *p, const url *u, bridge_error *err)
{
    const bridge_owner_fns fns = {.size = sizeof fns, .call = on_call};
    const char *as = url_get(u, "as");
    bridge_owner *o;
    bridge_peer *peer;

    if (!as) return 0;
    p->adapter = &nobody;
    if (bridge_peer_new(&peer, p, u->host, NULL, BRIDGE_PEER_CANONICAL, NULL) < 0) return BRIDGE_NOMEM;
    return own(peer, as, &fns, p, &o, err);
}
