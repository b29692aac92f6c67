/* bench/convert.c - how fast a pack of 100 SenML records crosses from JSON to CBOR, beside yajl that only parses the
 * same text. Interleaved rounds, CPU time, best of each.  Fails below half of the speed of yajl. */
#include "codec/registry.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <yajl/yajl_parse.h>

enum { RECORDS = 100, ROUNDS = 15, REPEAT = 1000 };

static double cpu(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static size_t make_pack(char *to)
{
    size_t n = (size_t)sprintf(to, "[{\"bn\":\"urn:dev:ow:10e2073a0108006:\",\"bt\":1.276020076001e+09,\"bu\":\"A\","
                                   "\"n\":\"voltage\",\"u\":\"V\",\"v\":120.1}");

    for (int i = 1; i < RECORDS; i++)
        n += (size_t)sprintf(to + n, ",{\"n\":\"current%d\",\"t\":%d,\"v\":%d.%d}", i % 7, i - RECORDS, 1 + i % 3, i);
    to[n++] = ']';
    return n;
}

static double yajl_alone(const char *pack, size_t len)
{
    double start = cpu();

    for (int i = 0; i < REPEAT; i++) {
        yajl_handle h = yajl_alloc(NULL, NULL, NULL);
        if (yajl_parse(h, (const unsigned char *)pack, len) != yajl_status_ok ||
            yajl_complete_parse(h) != yajl_status_ok)
            abort();
        yajl_free(h);
    }
    return (cpu() - start) / REPEAT;
}

static double convert(const char *pack, size_t len, bridge_format from, bridge_format to, size_t *out_len)
{
    double start = cpu();
    buf out;

    buf_init(&out, mem_default(), 0);
    for (int i = 0; i < REPEAT; i++) {
        buf_clear(&out);
        if (codec_convert(mem_default(), "", 0, from, to, pack, len, &out, NULL) < 0) abort();
    }
    *out_len = out.len;
    buf_done(&out);
    return (cpu() - start) / REPEAT;
}

int main(void)
{
    static char pack[RECORDS * 80];
    double best[3] = {1, 1, 1};
    size_t len = make_pack(pack), cbor_len = 0;
    buf cbor;

    buf_init(&cbor, mem_default(), 0);
    if (codec_convert(mem_default(), "", 0, BRIDGE_SENML_JSON, BRIDGE_SENML_CBOR, pack, len, &cbor, NULL) < 0) return 1;
    for (int i = 0; i < ROUNDS; i++) {
        size_t ignored;
        double t[3] = {yajl_alone(pack, len), convert(pack, len, BRIDGE_SENML_JSON, BRIDGE_SENML_CBOR, &cbor_len),
                       convert((char *)cbor.data, cbor.len, BRIDGE_SENML_CBOR, BRIDGE_SENML_JSON, &ignored)};
        for (int k = 0; k < 3; k++)
            if (t[k] < best[k]) best[k] = t[k];
    }
    buf_done(&cbor);
    printf("convert: 100 records, %zu bytes JSON, %zu bytes CBOR\n", len, cbor_len);
    printf("  yajl alone, parse            %6.1f us  %6.1f MB/s\n", best[0] * 1e6, (double)len / best[0] / 1e6);
    printf("  senml+json -> senml+cbor     %6.1f us  %6.1f MB/s  %.2fx yajl's speed (at least 0.50)\n", best[1] * 1e6,
           (double)len / best[1] / 1e6, best[0] / best[1]);
    printf("  senml+cbor -> senml+json     %6.1f us\n", best[2] * 1e6);
    return best[0] / best[1] >= 0.5 ? 0 : 1;
}
