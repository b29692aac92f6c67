/* Many values as one SenML pack, or the part of it that a FETCH asks for.  A small one has base names and times; the records of one that
 * is written bit by bit stand each for itself, since nobody knows what will follow. */
#include "hub/hub.h"
#include "codec/collect.h"
#include "codec/etch.h"
#include "codec/scratch.h"
#include "codec/senml.h"
#include "hub/port.h"
#include "hub/walk.h"

struct packer {
    mem *mem;
    bridge_format format;
    etch_question *question; /* or NULL; in asked */
    scratch memory, asked;
    collector records;       /* not yet written; in memory */
    size_t room, bytes;      /* of their values and paths */
    size_t compared;         /* pairs of records; since the start */
    size_t rests;            /* enough for one turn when so many have been */
    const bridge_msg *msg;   /* whose records come now */
    bool begun, more;        /* a part has been written; it had a record */
};

static int copy_bytes(packer *p, bridge_record *r)
{
    void *copy;

    if (r->type != BRIDGE_STRING && r->type != BRIDGE_OPAQUE && r->type != BRIDGE_TREE) return 0;
    copy = scratch_text(p->records.scratch, r->as.bytes.p, r->as.bytes.len);
    r->as.bytes.p = copy;
    return copy ? 0 : BRIDGE_NOMEM;
}

static int add_record(void *user, const bridge_record *said)
{
    packer *p = user;
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
static int add_values(packer *p, bridge_msg *msg)
{
    size_t before = p->records.count;
    int rc;

    p->msg = msg;
    p->bytes += msg->path_len + msg->len;
    rc = codec_read(p->mem, "", (double)msg->time / 1000, (bridge_format)msg->format, msg_data(msg), msg->len, add_record, p, NULL);
    if (rc >= 0 || rc == BRIDGE_NOMEM) return rc;
    p->records.count = before;
    return add_record(p, &(bridge_record){.name = "", .type = BRIDGE_OPAQUE, .as.bytes = {msg_data(msg), msg->len}});
}

static int pick(packer *p, size_t before)
{
    collector new = {.scratch = &p->memory, .records = p->records.records + before, .count = p->records.count - before};

    if (!new.count) return 0;
    p->compared += etch_pick(p->question, &new);
    p->records.count = before + new.count;
    return p->compared > ETCH_STEPS ? BRIDGE_TOOBIG : 0;
}

int packer_add(packer *p, bridge_msg *msg)
{
    size_t before = p->records.count;
    int rc = add_values(p, msg);

    if (rc == 0 && p->question) rc = pick(p, before);
    return rc < 0 ? rc : p->bytes >= WALK_BYTES || p->compared >= p->rests;
}

int packer_new(mem *m, const bridge_msg *question, bridge_format format, packer **out)
{
    packer *p;
    int rc = 0;

    if (question && question->format != BRIDGE_SENML_ETCH_JSON && question->format != BRIDGE_SENML_ETCH_CBOR) return BRIDGE_FORMAT;
    if (format != BRIDGE_SENML_JSON && format != BRIDGE_SENML_CBOR) return BRIDGE_NOTACCEPTABLE;
    p = mem_new(m, packer);
    if (!p) return BRIDGE_NOMEM;
    p->mem = m;
    p->format = format;
    p->rests = PACKER_COMPARES;
    scratch_init(&p->memory, m);
    scratch_init(&p->asked, m);
    p->records.scratch = &p->memory;
    if (question)
        rc = etch_read(&p->asked, "", (double)question->time / 1000, question->format == BRIDGE_SENML_ETCH_JSON, msg_data(question),
                       question->len, &p->question, NULL);
    if (rc == 0) *out = p;
    else packer_free(p);
    return rc;
}

/* A record that SenML cannot say is left out. */
static int write_records(packer *p, buf *out)
{
    bool json = p->format == BRIDGE_SENML_JSON;
    int rc = 0;

    if (!p->begun) rc = buf_put_u8(out, json ? '[' : 0x9f); /* RFC 8949 3.2.2: an array whose length is not said */
    p->begun = true;
    for (size_t i = 0; rc == 0 && i < p->records.count; i++) {
        size_t before = out->len;
        rc = senml_write_part(&p->records.records[i], 1, json, !p->more, out, NULL);
        if (rc != BRIDGE_NOMEM && rc != BRIDGE_TOOBIG) rc = 0;
        p->more |= out->len > before;
    }
    return rc;
}

int packer_write(packer *p, buf *out, bool last)
{
    int rc;

    if (last && !p->begun) return codec_write(p->mem, "", p->format, p->records.records, p->records.count, out, NULL);
    rc = write_records(p, out);
    if (rc == 0 && last) rc = buf_put_u8(out, p->format == BRIDGE_SENML_JSON ? ']' : 0xff);
    p->records.count = p->bytes = 0;
    p->rests = p->compared + PACKER_COMPARES;
    scratch_done(&p->memory);
    scratch_init(&p->memory, p->mem);
    return rc;
}

void packer_free(packer *p)
{
    mem *m = p ? p->mem : NULL;

    if (!p) return;
    mem_free(m, p->records.records);
    scratch_done(&p->memory);
    scratch_done(&p->asked);
    mem_free(m, p);
}
