/* Many values as one SenML pack, or the part of it that a FETCH asks for. */
#include "hub/hub.h"
#include "codec/collect.h"
#include "codec/etch.h"
#include "codec/scratch.h"
#include "codec/senml.h"
#include "hub/port.h"

typedef struct packing {
    collector records;
    const bridge_msg *msg;
    size_t bytes, most; /* of names and payloads */
    mem *mem;
    size_t room;
} packing;

static int copy_bytes(packing *p, bridge_record *r)
{
    void *copy;

    if (r->type != BRIDGE_STRING && r->type != BRIDGE_OPAQUE && r->type != BRIDGE_TREE) return 0;
    copy = scratch_text(p->records.scratch, r->as.bytes.p, r->as.bytes.len);
    r->as.bytes.p = copy;
    return copy ? 0 : BRIDGE_NOMEM;
}

static int add_record(void *user, const bridge_record *said)
{
    packing *p = user;
    scratch *s = p->records.scratch;
    size_t path = p->msg->path_len, name = strlen(said->name);
    bridge_record r = *said;
    char *full = scratch_array(s, char, path + name + 2);
    int rc = mem_grow(p->mem, (void **)&p->records.records, &p->room, p->records.count, sizeof r);

    if (!full || rc < 0) return BRIDGE_NOMEM;
    memcpy(full, p->msg->path, path);
    full[path] = '/';
    memcpy(full + path + (name > 0), said->name, name + 1);
    r.name = full;
    if (r.unit) r.unit = scratch_text(s, r.unit, strlen(r.unit));
    if (r.digits) r.digits = scratch_text(s, r.digits, strlen(r.digits));
    if (r.time == 0) r.time = (double)p->msg->time / 1000;
    p->records.records[p->records.count++] = r;
    return copy_bytes(p, &p->records.records[p->records.count - 1]);
}

/* A value that has no records is bytes. */
static int add_values(void *user, bridge_msg *msg)
{
    packing *p = user;
    size_t before = p->records.count;
    int rc;

    p->msg = msg;
    p->bytes += msg->path_len + msg->len;
    if (p->bytes > p->most) return BRIDGE_TOOBIG;
    rc = codec_read(p->mem, "", (double)msg->time / 1000, (bridge_format)msg->format, msg_data(msg), msg->len, add_record, p, NULL);
    if (rc >= 0 || rc == BRIDGE_NOMEM) return rc;
    p->records.count = before;
    return add_record(p, &(bridge_record){.name = "", .type = BRIDGE_OPAQUE, .as.bytes = {msg_data(msg), msg->len}});
}

static int pick(packing *p, const bridge_msg *question)
{
    return etch_fetch(p->records.scratch, "", (double)question->time / 1000, question->format == BRIDGE_SENML_ETCH_JSON,
                      msg_data(question), question->len, &p->records, NULL);
}

int peer_pack(bridge_peer *peer, const char *filter, const bridge_msg *question, bridge_format format, size_t most, buf *out)
{
    scratch memory;
    packing p = {.records = {.scratch = &memory}, .mem = peer->port->hub->mem, .most = most};
    int rc;

    if (question && question->format != BRIDGE_SENML_ETCH_JSON && question->format != BRIDGE_SENML_ETCH_CBOR) return BRIDGE_FORMAT;
    if (format != BRIDGE_SENML_JSON && format != BRIDGE_SENML_CBOR) return BRIDGE_NOTACCEPTABLE;
    scratch_init(&memory, p.mem);
    rc = bridge_peer_read(peer, filter, add_values, &p);
    if (rc == 0 && question) rc = pick(&p, question);
    if (rc == 0) rc = codec_write(p.mem, "", format, p.records.records, p.records.count, out, NULL);
    mem_free(p.mem, p.records.records);
    scratch_done(&memory);
    return rc;
}

int pack_value(mem *m, bridge_msg *msg, bool json, bool first, buf *out)
{
    scratch memory;
    packing p = {.records = {.scratch = &memory}, .mem = m, .most = SIZE_MAX};
    int rc;

    scratch_init(&memory, m);
    rc = add_values(&p, msg);
    if (rc == 0) rc = senml_write_part(p.records.records, p.records.count, json, first, out, NULL);
    mem_free(m, p.records.records);
    scratch_done(&memory);
    return rc == BRIDGE_NOMEM ? rc : 0;
}
