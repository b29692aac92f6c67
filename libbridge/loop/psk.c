#include "loop/psk.h"
#include "base/textfile.h"
#include "base/clock.h"
#include "base/map.h"
#include "base/status.h"
#include <string.h>

typedef struct psk {
    unsigned key_len, name_len;
    uint8_t key[PSK_MAX];
    char name[];
} psk;

struct psks {
    mem *mem;
    map by_name;
};

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool take_key(psk *k, text hex)
{
    if (hex.len == 0 || hex.len % 2 || hex.len / 2 > PSK_MAX) return false;
    for (size_t i = 0; i < hex.len; i += 2) {
        int high = hex_digit(hex.p[i]), low = hex_digit(hex.p[i + 1]);

        if (high < 0 || low < 0) return false;
        k->key[k->key_len++] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static void psk_free(mem *m, psk *k)
{
    if (k) explicit_bzero(k->key, sizeof k->key);
    mem_free(m, k);
}

static int take_line(psks *p, const textfile *lines, text line, bridge_error *err)
{
    void *before = NULL;
    text name, key;
    psk *k;
    int rc = 0;

    if (!text_cut(line, ':', &name, &key) || name.len == 0 || memchr(name.p, 0, name.len))
        return textfile_fail(lines, err, BRIDGE_SYNTAX, "identity:key is wanted");
    if (map_get(&p->by_name, name.p, name.len))
        return textfile_fail(lines, err, BRIDGE_SYNTAX, "%.*s has a key already", name.len < 60 ? (int)name.len : 60, name.p);
    k = mem_zalloc(p->mem, sizeof *k + name.len);
    if (!k) return fail_nomem(err);
    k->name_len = (unsigned)name.len;
    memcpy(k->name, name.p, name.len);
    if (!take_key(k, text_trim(key)))
        rc = textfile_fail(lines, err, BRIDGE_SYNTAX, "the key is 2 to %d hexadecimal digits, two a byte", 2 * PSK_MAX);
    if (rc == 0 && map_put(&p->by_name, k->name, k->name_len, k, &before) < 0) rc = fail_nomem(err);
    if (rc < 0) psk_free(p->mem, k);
    return rc;
}

int psks_read(psks **out, mem *m, const char *file, bridge_error *err)
{
    psks *p = mem_new(m, psks);
    textfile lines = {.name = file};
    uint64_t seed;
    text line;
    buf b;
    int rc;

    random_bytes(&seed, sizeof seed);
    if (!p) return fail_nomem(err);
    p->mem = m;
    map_init(&p->by_name, m, seed);
    rc = textfile_read(&b, m, file, err);
    if (rc == 0) {
        lines.rest = (text){(const char *)b.data, b.len};
        while (rc == 0 && textfile_next(&lines, &line)) rc = take_line(p, &lines, line, err);
        textfile_drop(&b);
    }
    if (rc < 0)
        psks_free(p);
    else
        *out = p;
    return rc;
}

void psks_free(psks *p)
{
    size_t at = 0;
    psk *k;

    if (!p) return;
    while ((k = map_next(&p->by_name, &at))) psk_free(p->mem, k);
    map_done(&p->by_name);
    mem_free(p->mem, p);
}

unsigned psks_find(const psks *p, text identity, uint8_t *key, size_t room)
{
    const psk *k = map_get(&p->by_name, identity.p, identity.len);

    if (!k || k->key_len > room) return 0;
    memcpy(key, k->key, k->key_len);
    return k->key_len;
}

int psks_only(const psks *p, text *identity)
{
    size_t at = 0;
    const psk *k = p->by_name.count == 1 ? map_next(&p->by_name, &at) : NULL;

    if (!k) return BRIDGE_INVALID;
    *identity = (text){k->name, k->name_len};
    return 0;
}
