/* What the tests of the codecs share: a row is a payload, two formats, and what shall come out. */
#ifndef UNIT_CODEC_CHECK_H
#define UNIT_CODEC_CHECK_H
#include "check.h"
#include "codec/registry.h"
#include <stdlib.h>

/* Rows that succeed leave the status out. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

/* Binary formats are written in hex in the tables; blanks in it are skipped. */
static inline size_t unhex(const char *hex, uint8_t *to)
{
    size_t n = 0;
    int half = -1;

    for (; *hex; hex++) {
        int v = *hex >= '0' && *hex <= '9' ? *hex - '0' : *hex >= 'a' && *hex <= 'f' ? *hex - 'a' + 10 : -1;
        if (v < 0) continue;
        if (half < 0)
            half = v;
        else
            to[n++] = (uint8_t)(half << 4 | v), half = -1;
    }
    return n;
}

static inline void tohex(const uint8_t *p, size_t len, char *to)
{
    for (size_t i = 0; i < len; i++)
        sprintf(to + 2 * i, "%02x", p[i]);
    to[2 * len] = 0;
}

static inline int is_binary(bridge_format format)
{
    return format == BRIDGE_CBOR || format == BRIDGE_SENML_CBOR || format == BRIDGE_SENML_ETCH_CBOR ||
           format == BRIDGE_TLV || format == BRIDGE_LWM2M_CBOR || format == BRIDGE_BYTES || (int)format == 113 ||
           (int)format == 1542;
}

/* Bytes of a table's cell: hex where the format is binary.  Allocated to its exact length, so that ASan sees one byte
 * more. */
static inline uint8_t *cell(bridge_format format, const char *what, size_t *len)
{
    uint8_t *p = malloc(strlen(what) + 1);

    if (is_binary(format)) {
        *len = unhex(what, p);
    } else {
        *len = strlen(what);
        memcpy(p, what, *len);
    }
    return realloc(p, *len ? *len : 1);
}

/* Records as one line each: name=value unit @time +sum ~update */
static inline int show_record(void *user, const bridge_record *r)
{
    buf *out = user;

    buf_print(out, "%s=", r->name);
    switch (r->type) {
    case BRIDGE_NIL: buf_text(out, "nil"); break;
    case BRIDGE_BOOL: buf_text(out, r->as.b ? "true" : "false"); break;
    case BRIDGE_INT: buf_print(out, "%lld", (long long)r->as.i); break;
    case BRIDGE_UINT: buf_print(out, "%llu", (unsigned long long)r->as.u); break;
    case BRIDGE_REAL: buf_print(out, "%.17gr", r->as.d); break;
    case BRIDGE_STRING: buf_print(out, "\"%.*s\"", (int)r->as.bytes.len, (const char *)r->as.bytes.p); break;
    case BRIDGE_OPAQUE:
        buf_text(out, "h'");
        for (size_t i = 0; i < r->as.bytes.len; i++)
            buf_print(out, "%02x", ((const uint8_t *)r->as.bytes.p)[i]);
        buf_text(out, "'");
        break;
    case BRIDGE_OBJLNK: buf_print(out, "%u:%u", r->as.link.object, r->as.link.instance); break;
    case BRIDGE_TREE: buf_print(out, "tree %.*s", (int)r->as.bytes.len, (const char *)r->as.bytes.p); break;
    }
    if (r->unit) buf_print(out, " %s", r->unit);
    if (r->time != 0) buf_print(out, " @%.17g", r->time);
    if (r->has_sum) buf_print(out, " +%.17g", r->sum);
    if (r->update != 0) buf_print(out, " ~%.17g", r->update);
    return buf_text(out, "\n");
}

typedef struct row {
    const char *payload, *want; /* want: NULL when it shall fail */
    int status;
} row;

static inline void check_row(const char *file, int line, const char *path, double now, bridge_format from,
                             bridge_format to, const row *r)
{
    static char got[1 << 20], want[1 << 20];
    size_t len, want_len;
    uint8_t *data = cell(from, r->payload, &len), *expected;
    bridge_error err = {0};
    buf out;
    int rc;

    buf_init(&out, mem_default(), 0);
    rc = codec_convert(mem_default(), path, now, from, to, data, len, &out, &err);
    if (rc != r->status) {
        fprintf(stderr, "%s:%d: %.300s: status %d (%s), not %d\n", file, line, r->payload, rc, err.text, r->status);
        check_failed++;
    }
    if (rc < 0 && (err.status != rc || !err.text[0] || out.len)) {
        fprintf(stderr, "%s:%d: %.300s: error %d says %d \"%s\", %zu bytes out\n", file, line, r->payload, rc,
                err.status, err.text, out.len);
        check_failed++;
    }
    if (rc == 0 && r->want) {
        expected = cell(to, r->want, &want_len);
        if (want_len != out.len || memcmp(out.data ? out.data : (uint8_t *)"", expected, want_len) != 0) {
            if (is_binary(to))
                tohex(out.data, out.len, got), tohex(expected, want_len, want);
            else
                snprintf(got, sizeof got, "%.*s", (int)out.len, (char *)out.data),
                    snprintf(want, sizeof want, "%s", r->want);
            fprintf(stderr, "%s:%d: %.300s\n   gave %s\n   not  %s\n", file, line, r->payload, got, want);
            check_failed++;
        }
        free(expected);
    }
    buf_done(&out);
    free(data);
}

/* Reads, and compares what show_record() says. */
static inline void check_records(const char *file, int line, const char *path, double now, bridge_format from,
                                 const row *r)
{
    size_t len;
    uint8_t *data = cell(from, r->payload, &len);
    bridge_error err = {0};
    buf out;
    int rc;

    buf_init(&out, mem_default(), 0);
    rc = codec_read(mem_default(), path, now, from, data, len, show_record, &out, &err);
    if (rc != r->status || (rc < 0 && (err.status != rc || !err.text[0]))) {
        fprintf(stderr, "%s:%d: %.300s: status %d (%s), not %d\n", file, line, r->payload, rc, err.text, r->status);
        check_failed++;
    } else if (rc == 0 && r->want && strcmp(buf_cstr(&out), r->want) != 0) {
        fprintf(stderr, "%s:%d: %.300s\n   gave %s   not  %s", file, line, r->payload, buf_cstr(&out), r->want);
        check_failed++;
    }
    buf_done(&out);
    free(data);
}

#define CHECK_RECORDS(path, now, from, rows)                                                                           \
    for (size_t i_ = 0; i_ < sizeof(rows) / sizeof *(rows); i_++)                                                      \
    check_records(__FILE__, __LINE__, path, now, from, &(rows)[i_])
#define CHECK_ROWS(path, now, from, to, rows)                                                                          \
    for (size_t i_ = 0; i_ < sizeof(rows) / sizeof *(rows); i_++)                                                      \
    check_row(__FILE__, __LINE__, path, now, from, to, &(rows)[i_])
#define CHECK_ROW(path, now, from, to, ...) check_row(__FILE__, __LINE__, path, now, from, to, &(row){__VA_ARGS__})
#endif
