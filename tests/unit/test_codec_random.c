/* Properties instead of examples: random records survive every format that has words for them, random trees survive
 * JSON and CBOR, and a conversion that runs out of memory at its n-th allocation says so and leaves nothing behind, for
 * every n. */
#include "codec_check.h"
#include "core/record.h"
#include <math.h>

static uint64_t state = 0x9e3779b97f4a7c15u;

static uint32_t dice(uint32_t sides)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 32) % sides;
}

static double random_real(void)
{
    double d;
    uint64_t bits;

    switch (dice(4)) {
    case 0: return (double)((int)dice(2000) - 1000) / 8;
    case 1: return (double)((int)dice(2000000) - 1000000) / 1000;
    default:
        do {
            bits = (uint64_t)dice(UINT32_MAX) << 32 | dice(UINT32_MAX);
            memcpy(&d, &bits, sizeof d);
        } while (!isfinite(d));
        return d;
    }
}

static int64_t random_int(void)
{
    int64_t v = (int64_t)((uint64_t)dice(UINT32_MAX) << 32 | dice(UINT32_MAX));

    return v >> dice(64);
}

typedef struct pack {
    bridge_record records[8];
    char names[8][8], digits[8][40], bytes[8][12];
    size_t count;
} pack;

static const char *const decimals[] = {
    "0.10", "21.50", "1e3", "-0", "0.12345678901234567890", "123456789012345678901234567890", "1E-7", "1e400", "-5.0"};

/* What every format has: different names of numbers, no time, no unit.  full: what SenML has beyond. */
static void random_record(pack *p, size_t i, bool full)
{
    static const char *const units[] = {"Cel", "ms", "V", NULL, NULL, "furlong"};
    bridge_record *r = &p->records[i];

    *r = (bridge_record){.name = p->names[i],
                         .type = (bridge_type[]){BRIDGE_BOOL, BRIDGE_INT, BRIDGE_REAL, BRIDGE_STRING, BRIDGE_UINT,
                                                 BRIDGE_OPAQUE, BRIDGE_REAL}[dice(full ? 7 : 5)]};
    sprintf(p->names[i], "%zu", 10 * i + dice(10));
    switch (r->type) {
    case BRIDGE_BOOL: r->as.b = dice(2); break;
    case BRIDGE_INT: r->as.i = random_int(); break;
    case BRIDGE_UINT: r->as.u = (uint64_t)random_int() | (uint64_t)1 << 63; break;
    case BRIDGE_REAL:
        r->as.d = random_real();
        if (full && dice(3) == 0) {
            r->digits = decimals[dice(sizeof decimals / sizeof *decimals)];
            r->as.d = strtod(r->digits, NULL);
        }
        break;
    default:
        r->as.bytes.p = p->bytes[i];
        r->as.bytes.len = dice(12);
        for (size_t k = 0; k < r->as.bytes.len; k++)
            p->bytes[i][k] = (char)(r->type == BRIDGE_STRING ? " aZ\"\\\n\t/{1"[dice(10)] : (int)dice(256));
    }
    if (!full) return;
    r->unit = units[dice(6)];
    if (dice(2)) r->time = 1500000000 + (double)dice(100000) / 1000;
    if (dice(4) == 0) r->has_sum = true, r->sum = random_real();
    if (dice(6) == 0) r->update = dice(100);
}

typedef struct checker {
    const pack *p;
    size_t seen;
    bool ok, types; /* types: a whole REAL stays REAL */
} checker;

static int compare(void *user, const bridge_record *r)
{
    checker *c = user;
    const bridge_record *want = &c->p->records[c->seen];

    if (c->seen++ >= c->p->count || !record_equal(r, want))
        c->ok = false;
    else if (c->types && (r->type == BRIDGE_REAL) != (want->type == BRIDGE_REAL) && !want->digits)
        c->ok = false;
    return 0;
}

static void survives(const pack *p, bridge_format format, const char *base, bool types)
{
    checker c = {p, 0, true, types};
    bridge_error err = {0};
    buf out;
    int rc;

    buf_init(&out, mem_default(), 0);
    rc = codec_write(mem_default(), base, format, p->records, p->count, &out, &err);
    if (rc == 0) rc = codec_read(mem_default(), base, 0, format, out.data, out.len, compare, &c, &err);
    if (rc || !c.ok || c.seen != p->count) {
        buf seen, wanted;
        buf_init(&seen, mem_default(), 0);
        buf_init(&wanted, mem_default(), 0);
        codec_read(mem_default(), base, 0, format, out.data, out.len, show_record, &seen, NULL);
        for (size_t i = 0; i < p->count; i++)
            show_record(&wanted, &p->records[i]);
        fprintf(stderr, "format %d base %s: %d %s\n   wanted %s   got %s", format, base, rc, err.text,
                buf_cstr(&wanted), buf_cstr(&seen));
        if (!is_binary(format)) fprintf(stderr, "   in %.*s\n", (int)out.len, (char *)out.data);
        check_failed++;
        buf_done(&seen);
        buf_done(&wanted);
    }
    buf_done(&out);
}

static void records(void)
{
    for (int round = 0; round < 1000 && check_failed < 5; round++) {
        pack p = {.count = 1 + dice(8)};
        for (size_t i = 0; i < p.count; i++)
            random_record(&p, i, false);
        survives(&p, BRIDGE_JSON, "a/b", true);
        survives(&p, BRIDGE_CBOR, "a/b", true);
        survives(&p, BRIDGE_LWM2M_JSON, "/3/0", true);
        survives(&p, BRIDGE_LWM2M_CBOR, "/3/0", true);
        for (size_t i = 0; i < p.count; i++)
            random_record(&p, i, true);
        survives(&p, BRIDGE_SENML_JSON, "a/b", true);
        survives(&p, BRIDGE_SENML_CBOR, "a/b", true);
        for (size_t i = 0; i < p.count; i++)
            p.records[i].absolute = true;
        survives(&p, BRIDGE_SENML_JSON, "", true);
        survives(&p, BRIDGE_SENML_CBOR, "a/b", true);
        if (p.count > 1) p.records[0].absolute = false;
        survives(&p, BRIDGE_SENML_CBOR, "a/b", true);
    }
}

/* ---- JSON text that we would write ourselves comes back byte by byte through CBOR, whatever its numbers are. */

static void random_tree(buf *out, int depth)
{
    uint32_t kind = dice(depth > 4 ? 5 : 8);

    switch (kind) {
    case 0: buf_print(out, "%lld", (long long)random_int()); break;
    case 1:
        buf_print(out, "%u%09u%09u%09u", dice(1000) + 1, dice(1000000000), dice(1000000000), dice(1000000000));
        break;
    case 2: buf_text(out, "\"a\\\"\xc3\xbc\\u0001\""); break;
    case 3: buf_text(out, (const char *[]){"true", "false", "null", "[]", "{}"}[dice(5)]); break;
    case 4: buf_print(out, "0.%u%09u%09u7", dice(9) + 1, dice(1000000000), dice(1000000000)); break;
    default:
        buf_text(out, kind == 7 ? "{" : "[");
        for (uint32_t i = 0, n = dice(depth ? 7 : 300); i < n; i++) {
            if (i) buf_text(out, ",");
            if (kind == 7) buf_print(out, "\"%u\":", i);
            random_tree(out, depth + 1);
        }
        buf_text(out, kind == 7 ? "}" : "]");
    }
}

static void trees(void)
{
    buf json, cbor, back;

    buf_init(&json, mem_default(), 0);
    buf_init(&cbor, mem_default(), 0);
    buf_init(&back, mem_default(), 0);
    for (int round = 0; round < 150; round++) {
        buf_clear(&json), buf_clear(&cbor), buf_clear(&back);
        random_tree(&json, 0);
        CHECK_INT(codec_convert(mem_default(), "", 0, BRIDGE_JSON, BRIDGE_CBOR, json.data, json.len, &cbor, NULL), 0);
        CHECK_INT(codec_convert(mem_default(), "", 0, BRIDGE_CBOR, BRIDGE_JSON, cbor.data, cbor.len, &back, NULL), 0);
        CHECK(json.len == back.len && memcmp(json.data, back.data, json.len) == 0);
        if (check_failed) {
            fprintf(stderr, "%.*s\n%.*s\n", (int)json.len, (char *)json.data, (int)back.len, (char *)back.data);
            break;
        }
    }
    buf_done(&json), buf_done(&cbor), buf_done(&back);
}

/* ---- doubles: what is printed reads back as the same bits */

static void doubles(void)
{
    for (int i = 0; i < 20000 && check_failed < 5; i++) {
        bridge_record r = {.name = "", .type = BRIDGE_REAL, .as.d = random_real()};
        pack p = {.count = 1};
        p.records[0] = r;
        survives(&p, i % 2 ? BRIDGE_TEXT : BRIDGE_CBOR, "", true);
    }
}

/* ---- out of memory */

typedef struct limited {
    long left;
    long live;
} limited;

static void *limited_realloc(void *user, void *p, size_t len)
{
    limited *l = user;

    if (len == 0) {
        l->live -= p != NULL;
        free(p);
        return NULL;
    }
    if (l->left == 0) return NULL;
    l->left--;
    l->live += p == NULL;
    return realloc(p, len);
}

static int run_out(mem *m, int what, buf *out, bridge_error *err)
{
    static char json[60000], patch[20000];
    static const char copy[] = "[{\"op\":\"copy\",\"from\":\"/1\",\"path\":\"/~0x\"}]";
    static const char instance[] = "{\"1\":\"x\",\"2/0\":5,\"\\u0033\":2.5}";
    static size_t n, patch_len;

    if (!n) {
        n = (size_t)sprintf(json, "[");
        for (int i = 0; i < 900; i++)
            n += (size_t)sprintf(json + n, "%s{\"n\":\"sensor/%d\",\"u\":\"V\",\"v\":%d.5,\"x\\u0041\":[]}",
                                 i ? "," : "", i, i);
        json[n++] = ']';
        patch_len = (size_t)sprintf(patch, "[{\"n\":\"sensor/5\",\"v\":null},{\"n\":\"sensor/x\",\"vd\":\"AQID\"}]");
    }
    switch (what) {
    case 0: return codec_convert(m, "a", 0, BRIDGE_SENML_JSON, BRIDGE_SENML_CBOR, json, n, out, err);
    case 1: return codec_convert(m, "a", 0, BRIDGE_SENML_JSON, BRIDGE_JSON, json, n, out, err);
    case 2: return codec_convert(m, "a", 0, BRIDGE_JSON, BRIDGE_CBOR, json, n, out, err);
    case 3:
        return codec_patch(m, "a", 0, BRIDGE_SENML_JSON, json, n, BRIDGE_SENML_ETCH_JSON, patch, patch_len, out, err);
    case 4: return codec_patch(m, "a", 0, BRIDGE_JSON, json, n, BRIDGE_JSON_PATCH, copy, strlen(copy), out, err);
    case 5: return codec_patch(m, "a", 0, BRIDGE_JSON, json, n, BRIDGE_MERGE_PATCH, "{\"a\":{\"b\":1}}", 13, out, err);
    case 6: return codec_convert(m, "/3/0", 0, BRIDGE_JSON, BRIDGE_TLV, instance, strlen(instance), out, err);
    case 7: return codec_convert(m, "/3/0", 0, BRIDGE_JSON, BRIDGE_LWM2M_CBOR, instance, strlen(instance), out, err);
    case 8: return codec_convert(m, "/3/0", 0, BRIDGE_JSON, BRIDGE_LWM2M_JSON, instance, strlen(instance), out, err);
    default: return codec_convert(m, "/3/0", 0, BRIDGE_JSON, BRIDGE_TEXT, "[1,2]", 5, out, err);
    }
}

static void memory(void)
{
    for (int what = 0; what < 10; what++) {
        int want = what == 4 || what == 9 ? BRIDGE_UNPROCESSABLE : 0;
        for (long n = 0; n < 200; n++) {
            limited l = {.left = 1};
            mem *m = mem_create(limited_realloc, &l);
            bridge_error err = {0};
            buf out;
            int rc;
            l.left = n;
            buf_init(&out, m, 0);
            rc = run_out(m, what, &out, &err);
            if (rc != want && (rc != BRIDGE_NOMEM || err.status != BRIDGE_NOMEM || out.len)) {
                fprintf(stderr, "conversion %d without its %ld. allocation: %d (%s), %zu bytes\n", what, n, rc,
                        err.text, out.len);
                check_failed++;
                break;
            }
            buf_done(&out);
            mem_unref(m);
            CHECK_INT(l.live, 0);
            if (rc == want) {
                CHECK(n > 0 || what >= 6);
                break;
            }
            CHECK(n < 199);
        }
    }
}

int main(void)
{
    records();
    trees();
    doubles();
    memory();
    return check_done();
}
