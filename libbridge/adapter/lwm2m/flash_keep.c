/* Updates and campaigns over a restart (bridge/sys/store.h), the death of the process included: rows under NAME NUL.
 *
 *      'o'         what was ordered                      's'         how far it is
 *      'p' NUMBER  a package; of several parts each      't' NUMBER  a campaign: how far one of its devices is
 *
 * What has not been triggered begins anew when its device is there; of what has, only the outcome is waited for, and what turns out not to
 * have been executed, is.  So the row that says "triggered" is on disk before the device hears of it. */
#include "adapter/lwm2m/flash.h"
#include "base/status.h"
#include "hub/port.h"
#include <stdio.h>
#include <stdlib.h>

/* ---- Rows */

static int put_key(const char *name, uint8_t row, uint32_t number, buf *key)
{
    int rc = buf_put(key, name, strlen(name) + 1);

    if (rc == 0) rc = buf_put_u8(key, row);
    return rc < 0 ? rc : buf_put_be32(key, number);
}

void lwm2m_row_put(lwm2m_server *s, const char *name, uint8_t row, uint32_t number, const void *data, size_t len)
{
    bridge_store *store = bridge_port_store(s->home);
    buf key;

    if (!store || s->closing) return;
    buf_init(&key, s->mem, 0);
    if (put_key(name, row, number, &key) == 0) bridge_store_put(store, BRIDGE_KEPT_UPDATE, key.data, key.len, data, len);
    buf_done(&key);
}

void lwm2m_rows_drop(lwm2m_server *s, const char *name)
{
    bridge_store *store = bridge_port_store(s->home);

    if (store && !s->closing) bridge_store_remove_below(store, BRIDGE_KEPT_UPDATE, name, strlen(name) + 1);
}

const lwm2m_row *lwm2m_row_of(const lwm2m_rows *rows, uint8_t row, uint32_t number)
{
    for (size_t i = 0; i < rows->count && rows->at[i].row <= row; i++)
        if (rows->at[i].row == row && rows->at[i].number == number) return &rows->at[i];
    return NULL;
}

/* ---- Orders as bytes */

int lwm2m_put_text(buf *out, const char *words)
{
    size_t len = words ? strlen(words) : 0;
    int rc = buf_put_be32(out, (uint32_t)len);

    return rc < 0 ? rc : buf_put(out, words ? words : "", len);
}

int lwm2m_put_order(lwm2m_server *s, const char *name, uint32_t number, const lwm2m_order *o, buf *out)
{
    bridge_fields f = {.size = sizeof f};
    int rc = buf_put_u8(out, (uint8_t)o->kind);

    if (rc == 0) rc = buf_put_u8(out, (uint8_t)o->way);
    if (rc == 0) rc = buf_put_be32(out, o->object);
    if (rc == 0) rc = buf_put_be32(out, o->instance);
    if (rc == 0) rc = lwm2m_put_text(out, o->uri);
    if (rc < 0 || !o->package) return rc;
    bridge_msg_look(o->package, &f);
    lwm2m_row_put(s, name, LWM2M_ROW_PACKAGE, number, f.data, f.len);
    return 0;
}

static const uint8_t *take(lwm2m_taking *t, size_t len)
{
    const uint8_t *at = (const uint8_t *)t->left.p;

    t->bad |= t->left.len < len;
    if (t->bad) return NULL;
    t->left.p += len;
    t->left.len -= len;
    return at;
}

uint8_t lwm2m_take_u8(lwm2m_taking *t)
{
    const uint8_t *b = take(t, 1);

    return b ? *b : 0;
}

uint32_t lwm2m_take_u32(lwm2m_taking *t)
{
    const uint8_t *b = take(t, 4);

    return b ? (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3] : 0;
}

text lwm2m_take_text(lwm2m_taking *t)
{
    size_t len = lwm2m_take_u32(t);
    const uint8_t *b = take(t, len);

    return b ? (text){(const char *)b, len} : (text){"", 0};
}

bool lwm2m_is_packed(const lwm2m_order *o)
{
    return lwm2m_plan_of(o->kind)->package < 0 || o->leg == LWM2M_TRIGGER || o->package || o->uri;
}

int lwm2m_take_order(lwm2m_server *s, bridge_peer *voice, const lwm2m_rows *rows, uint32_t number, lwm2m_taking *t, lwm2m_order *out)
{
    const lwm2m_row *package = lwm2m_row_of(rows, LWM2M_ROW_PACKAGE, number);
    unsigned kind = lwm2m_take_u8(t), way = lwm2m_take_u8(t);
    text uri;
    int rc = 0;

    *out = (lwm2m_order){.kind = (lwm2m_flash_kind)kind, .way = (lwm2m_way)way};
    out->object = (uint16_t)lwm2m_take_u32(t);
    out->instance = (uint16_t)lwm2m_take_u32(t);
    uri = lwm2m_take_text(t);
    if (t->bad || kind >= LWM2M_FLASH_KINDS || way > LWM2M_PULL_HTTP) return BRIDGE_SYNTAX;
    if (uri.len && !(out->uri = mem_text_len(s->mem, uri.p, uri.len))) return BRIDGE_NOMEM;
    if (package) rc = bridge_peer_msg(voice, BRIDGE_FIELDS(.path = "package", .data = package->value.p, .len = package->value.len, .format = BRIDGE_BYTES), &out->package);
    return rc;
}

/* ---- Taking up */

static void take_flash(lwm2m_port *p, const lwm2m_rows *rows, lwm2m_taking *t)
{
    const lwm2m_row *state = lwm2m_row_of(rows, LWM2M_ROW_STATE, 0);
    lwm2m_order order;

    if (lwm2m_take_order(p->server, p->lister, rows, 0, t, &order) < 0)
        bridge_port_log(p->coap.port, BRIDGE_LOG_WARN, rows->at->name, "an update in the store cannot be read");
    else
        lwm2m_flash_resume(p->server, rows->at->name, &order, state && state->value.len && *state->value.p);
    lwm2m_order_done(p->server->mem, &order);
}

static void take_parts(lwm2m_port *p, const lwm2m_rows *rows, lwm2m_taking *t)
{
    static const lwm2m_parts_how alone = {0};
    const lwm2m_row *row = lwm2m_row_of(rows, LWM2M_ROW_STATE, 0);
    lwm2m_taking said = {row ? row->value : (text){"", 0}, false};
    lwm2m_parts_state state = {.at = lwm2m_take_u8(&said)};
    lwm2m_parts *parts = NULL;

    state.triggers = lwm2m_take_u8(&said);
    state.installed = lwm2m_take_u8(&said);
    state.triggered = lwm2m_take_u8(&said);
    if (lwm2m_take_parts(&parts, p->server, p->lister, rows, t) == 0) lwm2m_parts_resume(p->server, rows->at->name, parts, &state, &alone);
    lwm2m_parts_free(parts);
}

static bool is_known(const lwm2m_server *s, const char *name)
{
    list_each (it, &s->updates)
        if (strcmp(list_of(it, lwm2m_flash, link)->name, name) == 0) return true;
    return false;
}

static void take_rows(lwm2m_port *p, const lwm2m_rows *rows)
{
    const lwm2m_row *order = lwm2m_row_of(rows, LWM2M_ROW_ORDER, 0);
    lwm2m_taking t = {order ? order->value : (text){"", 0}, false};

    switch (lwm2m_take_u8(&t)) {
    case LWM2M_KEPT_FLASH:
        if (!is_known(p->server, rows->at->name)) take_flash(p, rows, &t);
        break;
    case LWM2M_KEPT_PARTS:
        if (!is_known(p->server, rows->at->name)) take_parts(p, rows, &t);
        break;
    case LWM2M_KEPT_CAMPAIGN: lwm2m_take_campaign(p, rows, &t); break;
    default: lwm2m_rows_drop(p->server, rows->at->name); /* of a later version, or none */
    }
}

typedef struct found { /* read first, then made: nothing is said to a store that is being read */
    mem *mem;
    lwm2m_row *at;
    size_t count, room;
} found;

static int on_row(void *user, const void *key, size_t key_len, const void *value, size_t len)
{
    found *f = user;
    size_t name = strnlen(key, key_len);
    const uint8_t *rest = (const uint8_t *)key + name + 1;
    char *copy;

    if (key_len != name + 6) return 0;
    if (mem_grow(f->mem, (void **)&f->at, &f->room, f->count, sizeof *f->at) < 0) return BRIDGE_NOMEM;
    copy = mem_alloc(f->mem, key_len + len); /* the name, its NUL, the value */
    if (!copy) return BRIDGE_NOMEM;
    memcpy(copy, key, name + 1);
    if (len) memcpy(copy + name + 1, value, len);
    f->at[f->count++] = (lwm2m_row){copy, rest[0], (uint32_t)rest[1] << 24 | (uint32_t)rest[2] << 16 | (uint32_t)rest[3] << 8 | rest[4],
                                    {copy + name + 1, len}};
    return 0;
}

static int by_key(const void *a, const void *b)
{
    const lwm2m_row *x = a, *y = b;
    int order = strcmp(x->name, y->name);

    if (order == 0) order = x->row - y->row;
    return order ? order : x->number < y->number ? -1 : x->number > y->number;
}

void lwm2m_flash_take_up(lwm2m_port *p)
{
    lwm2m_server *s = p->server;
    found f = {.mem = s->mem};
    char prefix[1024];
    int len = snprintf(prefix, sizeof prefix, "%s/", p->mount);

    if (bridge_store_each(bridge_port_store(p->coap.port), BRIDGE_KEPT_UPDATE, prefix, (size_t)len, on_row, &f) == 0 && f.count) {
        qsort(f.at, f.count, sizeof *f.at, by_key);
        for (size_t i = 0, next; i < f.count; i = next) {
            for (next = i + 1; next < f.count && strcmp(f.at[next].name, f.at[i].name) == 0;) next++;
            take_rows(p, &(lwm2m_rows){&f.at[i], next - i});
        }
    }
    for (size_t i = 0; i < f.count; i++) mem_free(s->mem, (char *)(uintptr_t)f.at[i].name);
    mem_free(s->mem, f.at);
    list_each_safe (it, &s->devices) { /* one that came with another listener may have been waited for */
        lwm2m_device *d = list_of(it, lwm2m_device, link);
        if (d->port == p && d->ready) lwm2m_flash_back(d);
    }
}

/* ---- Promises: who ordered it is answered when the store has it */

typedef struct word {
    bridge_store_wait disk;
    list link; /* in server->words */
    lwm2m_server *server;
    bridge_call *call;
    int status;
} word;

static void word_free(word *w)
{
    mem *m = w->server->mem;

    bridge_store_forget(&w->disk);
    list_remove(&w->link);
    bridge_call_unref(w->call);
    mem_free(m, w);
}

static void on_disk(bridge_store_wait *wait, int status)
{
    word *w = list_of(wait, word, disk);

    if (status == BRIDGE_CLOSED) return; /* the end drops it */
    bridge_call_reply(w->call, status < 0 ? status : w->status, NULL);
    word_free(w);
}

void lwm2m_reply_kept(lwm2m_port *p, bridge_call *call, int status)
{
    word *w = port_promises(p->coap.port) ? mem_new(p->server->mem, word) : NULL;

    if (!w) {
        bridge_call_reply(call, status, NULL);
        return;
    }
    *w = (word){.server = p->server, .call = bridge_call_ref(call), .status = status, .disk = {.fn = on_disk}};
    list_push(&p->server->words, &w->link);
    port_promise(p->coap.port, &w->disk);
}

void lwm2m_words_drop(lwm2m_server *s)
{
    while (!list_empty(&s->words)) word_free(list_of(s->words.next, word, link));
}
