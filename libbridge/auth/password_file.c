#include "auth/password_file.h"
#include "base/textfile.h"
#include "base/clock.h"
#include "base/map.h"
#include "base/status.h"
#include "codec/base64.h"
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <time.h>

enum { HASH_BYTES = 64, SALT_BYTES = 64, TAG_BYTES = 32, KEY_BYTES = 32 };

typedef struct entry {
    uint8_t hash[HASH_BYTES], salt[SALT_BYTES];
    uint8_t right[TAG_BYTES], wrong[TAG_BYTES]; /* keyed hashes of what was said last */
    uint32_t rounds;                            /* 0: one plain SHA-512 */
    uint16_t salt_len;
    bool has_right, has_wrong;
    int line;
    size_t name_len;
    char name[];
} entry;

struct passwords {
    mem *mem;
    map users;
    const entry *decoy; /* for names that nobody has */
    uint8_t key[KEY_BYTES];
    int64_t credit, since; /* microseconds of proofs that may still be spent; as of when */
};

/* ---- reading */

static bool read_salt_and_hash(entry *e, text said)
{
    uint8_t room[512];
    text salt, hash;
    size_t n;

    if (said.len > sizeof room || !text_cut(said, '$', &salt, &hash)) return false;
    if (!base64_read(salt.p, salt.len, room, &n) || n == 0 || n > sizeof e->salt) return false;
    memcpy(e->salt, room, n);
    e->salt_len = (uint16_t)n;
    if (!base64_read(hash.p, hash.len, room, &n) || n != sizeof e->hash) return false;
    memcpy(e->hash, room, n);
    return true;
}

static int read_secret(const textfile *l, entry *e, text said, bridge_error *err)
{
    text rounds;
    uint64_t n;

    if (said.len > 3 && memcmp(said.p, "$6$", 3) == 0) {
        if (read_salt_and_hash(e, (text){said.p + 3, said.len - 3})) return 0;
        return textfile_fail(l, err, BRIDGE_SYNTAX, "the hash of %.60s is damaged: $6$salt$hash is wanted", e->name);
    }
    if (said.len > 3 && memcmp(said.p, "$7$", 3) == 0) {
        text_cut((text){said.p + 3, said.len - 3}, '$', &rounds, &said);
        if (!text_to_u64(rounds, INT_MAX, &n) || n == 0 || !read_salt_and_hash(e, said))
            return textfile_fail(l, err, BRIDGE_SYNTAX, "the hash of %.60s is damaged: $7$rounds$salt$hash is wanted", e->name);
        e->rounds = (uint32_t)n;
        if (n <= PASSWORD_ROUNDS_MAX) return 0;
        return textfile_fail(l, err, BRIDGE_TOOBIG, "%.60s has %llu rounds, at most %d are served", e->name,
                          (unsigned long long)n, PASSWORD_ROUNDS_MAX);
    }
    if (said.len > 1 && said.p[0] == '$')
        return textfile_fail(l, err, BRIDGE_UNSUPPORTED,
                          "the hash of %.60s is of a kind we do not know: mosquitto_passwd -H sha512-pbkdf2 makes one we do", e->name);
    return textfile_fail(l, err, BRIDGE_SYNTAX, "the password of %.60s is not hashed: mosquitto_passwd -U does that", e->name);
}

static int read_line(passwords *p, const textfile *l, text line, bridge_error *err)
{
    text name, said;
    entry *e, *other;
    void *old;
    int rc;

    if (!text_cut(line, ':', &name, &said) || name.len == 0)
        return textfile_fail(l, err, BRIDGE_SYNTAX, "name:hash is wanted, as mosquitto_passwd writes it");
    if (memchr(name.p, 0, name.len)) return textfile_fail(l, err, BRIDGE_SYNTAX, "there is a NUL in the name");
    if (said.len == 0) return textfile_fail(l, err, BRIDGE_SYNTAX, "%.*s has no password", name.len < 60 ? (int)name.len : 60, name.p);
    other = map_get(&p->users, name.p, name.len);
    if (other) return textfile_fail(l, err, BRIDGE_SYNTAX, "%.60s stands in line %d already", other->name, other->line);
    e = mem_zalloc(p->mem, sizeof *e + name.len + 1);
    if (!e) return fail_nomem(err);
    memcpy(e->name, name.p, name.len);
    e->name_len = name.len;
    e->line = l->line;
    rc = read_secret(l, e, said, err);
    if (rc == 0 && map_put(&p->users, e->name, e->name_len, e, &old) < 0) rc = fail_nomem(err);
    if (rc < 0) mem_free(p->mem, e);
    else if (!p->decoy) p->decoy = e;
    return rc;
}

int passwords_read(passwords **out, mem *m, text all, const char *name, bridge_error *err)
{
    textfile l = {.name = name, .rest = all};
    passwords *p = mem_new(m, passwords);
    uint64_t seed;
    text line;
    int rc = 0;

    if (!p) return fail_nomem(err);
    p->mem = m;
    p->credit = PASSWORD_BURST;
    random_bytes(p->key, sizeof p->key);
    random_bytes(&seed, sizeof seed);
    map_init(&p->users, m, seed);
    while (rc == 0 && textfile_next(&l, &line)) rc = read_line(p, &l, line, err);
    if (rc == 0) *out = p;
    else passwords_free(p);
    return rc;
}

void passwords_free(passwords *p)
{
    size_t at = 0;
    entry *e;

    if (!p) return;
    while ((e = map_next(&p->users, &at))) mem_free(p->mem, e);
    map_done(&p->users);
    OPENSSL_cleanse(p->key, sizeof p->key);
    mem_free(p->mem, p);
}

static bool same_line(const entry *a, const entry *b)
{
    return a->rounds == b->rounds && a->salt_len == b->salt_len && memcmp(a->salt, b->salt, a->salt_len) == 0 &&
           memcmp(a->hash, b->hash, sizeof a->hash) == 0;
}

void passwords_inherit(passwords *fresh, const passwords *old)
{
    size_t at = 0;
    entry *e;

    memcpy(fresh->key, old->key, sizeof fresh->key);
    fresh->credit = old->credit;
    fresh->since = old->since;
    while ((e = map_next(&fresh->users, &at))) {
        const entry *was = map_get(&old->users, e->name, e->name_len);
        if (!was || !same_line(e, was)) continue;
        memcpy(e->right, was->right, sizeof e->right);
        memcpy(e->wrong, was->wrong, sizeof e->wrong);
        e->has_right = was->has_right;
        e->has_wrong = was->has_wrong;
    }
}

/* ---- proving */

static bool plain_sha512(const entry *e, const void *secret, size_t len, uint8_t *out)
{
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    bool ok = c && EVP_DigestInit_ex(c, EVP_sha512(), NULL) && EVP_DigestUpdate(c, secret, len) &&
              EVP_DigestUpdate(c, e->salt, e->salt_len) && EVP_DigestFinal_ex(c, out, NULL);

    EVP_MD_CTX_free(c);
    return ok;
}

static bool is_right(const entry *e, const void *secret, size_t len)
{
    uint8_t hash[HASH_BYTES];
    bool ok = e->rounds ? PKCS5_PBKDF2_HMAC(secret, (int)len, e->salt, e->salt_len, (int)e->rounds, EVP_sha512(), sizeof hash, hash)
                        : plain_sha512(e, secret, len, hash);

    ok = ok && CRYPTO_memcmp(hash, e->hash, sizeof hash) == 0;
    OPENSSL_cleanse(hash, sizeof hash);
    return ok;
}

static int64_t spent(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void earn(passwords *p, int64_t now)
{
    if (p->since && now > p->since) p->credit += (now - p->since) * 1000 * PASSWORD_SHARE / 100;
    if (p->credit > PASSWORD_BURST) p->credit = PASSWORD_BURST;
    p->since = now;
}

static bool prove(passwords *p, const entry *e, const void *secret, size_t len)
{
    int64_t before = spent();
    bool ok = is_right(e, secret, len);

    p->credit -= spent() - before;
    return ok;
}

static void remember(bool *has, uint8_t *where, const uint8_t *tag)
{
    *has = true;
    memcpy(where, tag, TAG_BYTES);
}

int passwords_check(passwords *p, text user, const void *secret, size_t len, int64_t now)
{
    entry *e = map_get(&p->users, user.p, user.len);
    uint8_t tag[TAG_BYTES];

    if (!secret) { /* OpenSSL would take the length for that of a text */
        secret = "";
        len = 0;
    }
    if (len > INT_MAX / 2) return BRIDGE_UNAUTHENTICATED;
    earn(p, now);
    if (!e) { /* takes as long as a wrong password, while there is time to spare: names cannot be found out by the clock */
        if (p->decoy && p->credit > PASSWORD_BURST / 2) prove(p, p->decoy, secret, len);
        return BRIDGE_UNAUTHENTICATED;
    }
    if (!HMAC(EVP_sha256(), p->key, sizeof p->key, secret, len, tag, NULL)) return BRIDGE_NOMEM;
    if (e->has_right && CRYPTO_memcmp(e->right, tag, sizeof tag) == 0) return 0;
    if (e->has_wrong && CRYPTO_memcmp(e->wrong, tag, sizeof tag) == 0) return BRIDGE_UNAUTHENTICATED;
    if (p->credit <= 0) return BRIDGE_BUSY;
    if (prove(p, e, secret, len)) {
        remember(&e->has_right, e->right, tag);
        return 0;
    }
    remember(&e->has_wrong, e->wrong, tag);
    return BRIDGE_UNAUTHENTICATED;
}
