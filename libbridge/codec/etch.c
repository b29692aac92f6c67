/* SenML-ETCH (RFC 8790): records of one pack pick or change records of another. */
#include "codec/etch.h"
#include "codec/cbor.h"
#include "codec/collect.h"
#include "codec/json.h"
#include "codec/senml.h"

typedef struct etch_question {
    senml_reader senml;
    collector records;
    uint8_t removes[CODEC_MAX_RECORDS / 8 + 1];
} reader;

static int on_record(void *user, const bridge_record *record)
{
    reader *r = user;
    size_t at = r->records.count;
    int rc = collect(&r->records, record);

    if (rc == 0 && r->senml.removes) r->removes[at / 8] |= (uint8_t)(1 << at % 8);
    return rc;
}

static int read_etch(scratch *s, const char *path, double now, bool json, const void *data, size_t len, reader *r,
                     bridge_error *err)
{
    memset(r, 0, sizeof *r);
    r->records.scratch = s;
    r->records.err = err;
    senml_reader_init(&r->senml, s, path, now, json, on_record, r, err);
    r->senml.etch = true;
    return json ? json_read(s, data, len, senml_item, &r->senml, err)
                : cbor_read(s, data, len, senml_item, &r->senml, err);
}

/* RFC 8790 3.1: the same name, and the same time if one is said. */
static bool picks(const bridge_record *etch, const bridge_record *r)
{
    return strcmp(etch->name, r->name) == 0 && (etch->time == 0 || etch->time == r->time);
}

static void change_record(bridge_record *r, const bridge_record *by)
{
    if (by->type != BRIDGE_NIL) {
        r->type = by->type;
        r->as = by->as;
        r->digits = by->digits;
    }
    if (by->unit) r->unit = by->unit;
    if (by->has_sum) r->has_sum = true, r->sum = by->sum;
    if (by->update != 0) r->update = by->update;
}

static void remove_matching(collector *target, const bridge_record *by)
{
    size_t kept = 0;

    for (size_t i = 0; i < target->count; i++)
        if (!picks(by, &target->records[i])) target->records[kept++] = target->records[i];
    target->count = kept;
}

/* RFC 8790 3.2: what is there is changed, what is not is added, null takes away. */
static int apply(collector *target, const bridge_record *by, bool removes)
{
    bool found = false;

    if (removes) {
        remove_matching(target, by);
        return 0;
    }
    for (size_t i = 0; i < target->count; i++) {
        if (!picks(by, &target->records[i])) continue;
        change_record(&target->records[i], by);
        found = true;
    }
    return found ? 0 : collect(target, by);
}

static int too_many(const collector *target, const reader *r, bridge_error *err)
{
    if ((target->count + r->records.count) * r->records.count <= ETCH_STEPS) return 0;
    return fail(err, BRIDGE_TOOBIG, "too many records to compare");
}

int etch_patch(scratch *s, const char *path, double now, bool json, const void *data, size_t len, collector *target,
               bridge_error *err)
{
    reader *r = scratch_new(s, reader);
    int rc = r ? read_etch(s, path, now, json, data, len, r, err) : scratch_fail(s, err);

    if (rc == 0) rc = too_many(target, r, err);
    for (size_t i = 0; rc == 0 && i < r->records.count; i++)
        rc = apply(target, &r->records.records[i], r->removes[i / 8] >> i % 8 & 1);
    return rc;
}

int etch_read(scratch *s, const char *path, double now, bool json, const void *data, size_t len, etch_question **out, bridge_error *err)
{
    *out = scratch_new(s, reader);
    return *out ? read_etch(s, path, now, json, data, len, *out, err) : scratch_fail(s, err);
}

size_t etch_pick(const etch_question *q, collector *target)
{
    size_t kept = 0, compared = target->count * q->records.count;

    for (size_t i = 0; i < target->count; i++) {
        size_t k = 0;
        while (k < q->records.count && !picks(&q->records.records[k], &target->records[i]))
            k++;
        if (k < q->records.count) target->records[kept++] = target->records[i];
    }
    target->count = kept;
    return compared;
}

int etch_fetch(scratch *s, const char *path, double now, bool json, const void *data, size_t len, collector *target,
               bridge_error *err)
{
    etch_question *q;
    int rc = etch_read(s, path, now, json, data, len, &q, err);

    if (rc == 0) rc = too_many(target, q, err);
    if (rc == 0) etch_pick(q, target);
    return rc;
}
