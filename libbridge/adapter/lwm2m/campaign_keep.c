/* Campaigns over a restart (flash_keep.c): the order, its devices and packages in rows that are written once; its state; and of each device
 * what has become of it, in a row of its own.  Those that were busy go on as updates of one device do, those that wait begin when what
 * listens is there again. */
#include "adapter/lwm2m/campaign.h"
#include "base/status.h"

static int put_order(const campaign *c, buf *out)
{
    int rc = buf_put_u8(out, LWM2M_KEPT_CAMPAIGN);

    if (rc == 0) rc = lwm2m_put_text(out, c->verb->name);
    if (rc == 0) rc = buf_put_be32(out, (uint32_t)c->at_once);
    if (rc == 0) rc = buf_put_be32(out, (uint32_t)c->retries);
    if (rc == 0) rc = c->parts ? lwm2m_parts_put(c->parts, c->server, c->path, out) : lwm2m_put_order(c->server, c->path, 0, &c->order, out);
    if (rc == 0) rc = buf_put_be32(out, (uint32_t)c->count);
    for (size_t i = 0; i < c->count && rc == 0; i++) rc = lwm2m_put_text(out, c->targets[i].endpoint);
    return rc;
}

void campaign_keep(campaign *c)
{
    buf out;

    buf_init(&out, c->server->mem, 0);
    if (put_order(c, &out) == 0) lwm2m_row_put(c->server, c->path, LWM2M_ROW_ORDER, 0, out.data, out.len);
    buf_done(&out);
}

void campaign_keep_state(const campaign *c)
{
    uint8_t row = (uint8_t)c->state;

    lwm2m_row_put(c->server, c->path, LWM2M_ROW_STATE, 0, &row, 1);
}

void campaign_keep_target(const target *t)
{
    const campaign *c = t->campaign;
    uint8_t head[] = {(uint8_t)t->fate, t->triggered, t->is.at, t->is.triggers, t->is.installed, t->is.triggered};
    buf out;
    int rc;

    buf_init(&out, c->server->mem, 0);
    rc = buf_put(&out, head, sizeof head);
    if (rc == 0) rc = buf_put_be32(&out, t->tries);
    if (rc == 0) rc = buf_put_be32(&out, (uint32_t)t->result);
    if (rc == 0) rc = lwm2m_put_text(&out, t->why);
    if (rc == 0) lwm2m_row_put(c->server, c->path, LWM2M_ROW_TARGET, (uint32_t)(t - c->targets), out.data, out.len);
    buf_done(&out);
}

/* ---- Taking up */

static int take_order(campaign *c, const lwm2m_port *p, const lwm2m_rows *rows, lwm2m_taking *t)
{
    int rc;

    c->verb = lwm2m_verb_of(lwm2m_take_text(t));
    c->at_once = lwm2m_take_u32(t);
    c->retries = lwm2m_take_u32(t);
    if (!c->verb || !c->at_once) return BRIDGE_SYNTAX;
    rc = c->verb->kind == LWM2M_PARTS ? lwm2m_take_parts(&c->parts, c->server, p->lister, rows, t)
                                      : lwm2m_take_order(c->server, p->lister, rows, 0, t, &c->order);
    for (uint32_t left = lwm2m_take_u32(t); left && rc == 0 && !t->bad; left--) rc = campaign_add(c, p, lwm2m_take_text(t));
    return rc == 0 && t->bad ? BRIDGE_SYNTAX : rc;
}

static void take_target(target *to, text row)
{
    lwm2m_taking t = {row, false};
    unsigned became = lwm2m_take_u8(&t);
    text why;

    to->triggered = lwm2m_take_u8(&t);
    to->is.at = lwm2m_take_u8(&t);
    to->is.triggers = lwm2m_take_u8(&t);
    to->is.installed = lwm2m_take_u8(&t);
    to->is.triggered = lwm2m_take_u8(&t);
    to->tries = lwm2m_take_u32(&t);
    to->result = (int32_t)lwm2m_take_u32(&t);
    why = lwm2m_take_text(&t);
    if (t.bad || became >= FATES) return;
    to->fate = (fate)became;
    if (why.len) to->why = mem_text_len(to->campaign->server->mem, why.p, why.len);
}

int lwm2m_take_campaign(lwm2m_port *p, const lwm2m_rows *rows, lwm2m_taking *t)
{
    const lwm2m_row *row = lwm2m_row_of(rows, LWM2M_ROW_STATE, 0);
    campaign *c = campaign_find(p->server, rows->at->name) ? NULL : campaign_alloc(p, rows->at->name);
    int rc = c ? take_order(c, p, rows, t) : BRIDGE_EXISTS;

    if (rc < 0) {
        if (c) campaign_free(c);
        return rc;
    }
    if (row && row->value.len && (uint8_t)*row->value.p <= FINISHED) c->state = (state)*row->value.p;
    for (size_t i = 0; i < rows->count; i++)
        if (rows->at[i].row == LWM2M_ROW_TARGET && rows->at[i].number < c->count) take_target(&c->targets[rows->at[i].number], rows->at[i].value);
    campaign_settle(c);
    c->gathers = true;
    campaign_enter(c, CAMPAIGN_GATHERS);
    c->holds++;
    for (size_t i = 0; i < c->count; i++)
        if (c->targets[i].fate == BUSY) campaign_resume(&c->targets[i]);
    c->holds--;
    return 0;
}
