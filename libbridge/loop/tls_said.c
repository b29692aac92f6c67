/* What a listener's URL says about TLS: its words, the files behind them, and whether these have changed. */
#include "base/hash.h"
#include "base/status.h"
#include "loop/tls_keys.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

const char *const tls_url_options[] = {"cert", "key", "certs", "ca", "client_cert", "crl", "identity", "credentials", "psk_file", "min_version",
                                       "ciphers", "ciphersuites", "alpn", "handshake_timeout", NULL};

static int one_of(const url *u, const char *key, const char *const *words, const char **out, bridge_error *err)
{
    const char *said = url_get(u, key);

    *out = said;
    for (size_t i = 0; said && words[i]; i++)
        if (strcmp(said, words[i]) == 0) return 0;
    if (!said) return 0;
    return fail(err, BRIDGE_INVALID, "option %s=%s: one of %s, %s%s%s is wanted", key, said, words[0], words[1],
                words[2] ? ", " : "", words[2] ? words[2] : "");
}

static int check_said(const url *u, const tls_said *s, bridge_error *err)
{
    if (s->pairs.count == 0 && !s->dir && !s->psk_file && !s->asks)
        return fail(err, BRIDGE_INVALID, "%s:// needs cert= and key= (or certs=, or psk_file=) in its URL", u->scheme);
    if (!s->ca && (((url_get(u, "client_cert") || s->identity) && !s->asks) || s->crl))
        return fail(err, BRIDGE_INVALID, "client_cert=, crl= and identity= need ca=");
    return 0;
}

/* ---- pairs of a certificate and its key */

static int pair_add(tls_pairs *p, mem *m, const char *cert, const char *key)
{
    tls_pair one = {mem_text(m, cert), mem_text(m, key)};
    int rc = one.cert && one.key ? mem_grow(m, (void **)&p->at, &p->room, p->count, sizeof *p->at) : BRIDGE_NOMEM;

    if (rc == 0) {
        p->at[p->count++] = one;
        return 0;
    }
    mem_free(m, one.cert);
    mem_free(m, one.key);
    return rc;
}

void tls_pairs_done(tls_pairs *p, mem *m)
{
    for (size_t i = 0; i < p->count; i++) {
        mem_free(m, p->at[i].cert);
        mem_free(m, p->at[i].key);
    }
    mem_free(m, p->at);
    *p = (tls_pairs){NULL, 0, 0};
}

static const char *nth(const url *u, const char *key, size_t n)
{
    for (size_t i = 0; i < u->param_count; i++)
        if (strcmp(u->params[i].key, key) == 0 && n-- == 0) return u->params[i].value;
    return NULL;
}

/* cert=a&key=b&cert=c&key=d: the first with the first; without any key= each is in its certificate's file. */
static int read_pairs(tls_said *s, mem *m, const url *u, bridge_error *err)
{
    const char *cert, *key;
    bool keys = nth(u, "key", 0) != NULL;
    int rc = 0;

    for (size_t i = 0; rc == 0 && (cert = nth(u, "cert", i)) != NULL; i++) {
        key = keys ? nth(u, "key", i) : cert;
        if (!key) return fail(err, BRIDGE_INVALID, "cert= stands there %zu times and key= %zu times: one for each, or none", i + 1, i);
        rc = pair_add(&s->pairs, m, cert, key);
    }
    if (rc < 0) return fail_nomem(err);
    if (nth(u, "key", s->pairs.count))
        return s->pairs.count ? fail(err, BRIDGE_INVALID, "key= stands there more often than cert=") : fail(err, BRIDGE_INVALID, "key= without cert=");
    return 0;
}

static bool ends_in(const char *name, const char *end)
{
    size_t n = strlen(name), e = strlen(end);

    return n > e && strcmp(name + n - e, end) == 0;
}

static bool there(const char *name)
{
    struct stat st;

    return stat(name, &st) == 0 && S_ISREG(st.st_mode);
}

/* One name of a directory: "shop.pem" (or .crt) with its key in "shop.key" or in itself; "shop/fullchain.pem" with "shop/privkey.pem". */
static int take_name(tls_pairs *out, mem *m, const char *dir, const char *name)
{
    char cert[4200], key[4200];

    if (name[0] == '.') return 0;
    snprintf(cert, sizeof cert, "%s/%s/fullchain.pem", dir, name);
    snprintf(key, sizeof key, "%s/%s/privkey.pem", dir, name);
    if (there(cert) && there(key)) return pair_add(out, m, cert, key);
    if (!ends_in(name, ".pem") && !ends_in(name, ".crt")) return 0;
    snprintf(cert, sizeof cert, "%s/%s", dir, name);
    snprintf(key, sizeof key, "%s/%.*s.key", dir, (int)strlen(name) - 4, name);
    return there(cert) ? pair_add(out, m, cert, there(key) ? key : cert) : 0;
}

int tls_said_pairs(const tls_said *s, mem *m, tls_pairs *out, bridge_error *err)
{
    struct dirent **names = NULL;
    int rc = 0, n;

    for (size_t i = 0; rc == 0 && i < s->pairs.count; i++) rc = pair_add(out, m, s->pairs.at[i].cert, s->pairs.at[i].key);
    if (rc < 0 || !s->dir) return rc < 0 ? fail_nomem(err) : 0;
    n = scandir(s->dir, &names, NULL, alphasort);
    if (n < 0) return fail(err, BRIDGE_IO, "cannot read the directory %s", s->dir);
    for (int i = 0; i < n; i++) {
        if (rc == 0) rc = take_name(out, m, s->dir, names[i]->d_name);
        free(names[i]);
    }
    free(names);
    if (rc < 0) return fail_nomem(err);
    if (out->count == 0) return fail(err, BRIDGE_INVALID, "%s holds no certificates: NAME.pem and NAME.key are wanted", s->dir);
    if (out->count > TLS_CERTS_MAX) return fail(err, BRIDGE_TOOBIG, "%s holds more than %d certificates", s->dir, TLS_CERTS_MAX);
    return 0;
}

/* ---- files that change */

static uint64_t mark(const char *file, uint64_t before)
{
    struct stat st;
    int64_t seen[5] = {0};

    if (file && stat(file, &st) == 0) {
        seen[0] = st.st_mtim.tv_sec;
        seen[1] = st.st_mtim.tv_nsec;
        seen[2] = st.st_size;
        seen[3] = (int64_t)st.st_ino;
        seen[4] = 1;
    }
    return hash_bytes(seen, sizeof seen, before);
}

uint64_t tls_said_look(const tls_said *s, mem *m)
{
    const char *const files[] = {s->ca, s->crl, s->psk_file, s->dir};
    tls_pairs pairs = {NULL, 0, 0};
    uint64_t all = 1;

    tls_said_pairs(s, m, &pairs, NULL);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) all = mark(files[i], all);
    for (size_t i = 0; i < pairs.count; i++) {
        all = mark(pairs.at[i].cert, all);
        all = mark(pairs.at[i].key, all);
    }
    tls_pairs_done(&pairs, m);
    return all;
}

/* ---- all of it */

int tls_said_read(tls_said *s, mem *m, const url *u, const char *alpn, bridge_error *err)
{
    static const char *const versions[] = {"1.2", "1.3", NULL}, *const clients[] = {"required", "optional", NULL},
                             *const names[] = {"cn", "dns", "email", "uri", NULL}, *const askers[] = {"files", "ask", NULL};
    static const char *const texts[] = {"certs", "ca", "crl", "psk_file", "ciphers", "ciphersuites"};
    char **to[] = {&s->dir, &s->ca, &s->crl, &s->psk_file, &s->ciphers, &s->ciphersuites};
    const char *version, *client, *name, *asked;
    uint64_t ms;
    int rc = one_of(u, "min_version", versions, &version, err);

    if (rc == 0) rc = one_of(u, "client_cert", clients, &client, err);
    if (rc == 0) rc = one_of(u, "identity", names, &name, err);
    if (rc == 0) rc = one_of(u, "credentials", askers, &asked, err);
    if (rc == 0) rc = url_get_u64(u, "handshake_timeout", TLS_HANDSHAKE, 3600000, &ms, err);
    if (rc == 0) rc = read_pairs(s, m, u, err);
    if (rc < 0) return rc;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        *to[i] = mem_text(m, url_get(u, texts[i]));
        if (url_get(u, texts[i]) && !*to[i]) return fail_nomem(err);
    }
    if (url_get(u, "alpn")) alpn = url_get(u, "alpn");
    s->alpn = mem_text(m, alpn && *alpn ? alpn : NULL);
    s->identity = mem_text(m, name);
    if ((alpn && *alpn && !s->alpn) || (name && !s->identity)) return fail_nomem(err);
    s->only_13 = version && strcmp(version, "1.3") == 0;
    s->asks = asked && strcmp(asked, "ask") == 0;
    s->client_optional = client && strcmp(client, "optional") == 0;
    s->patience = ms ? (int64_t)ms : TLS_HANDSHAKE;
    return check_said(u, s, err);
}

void tls_said_forget(tls_said *s, mem *m)
{
    char *all[] = {s->dir, s->ca, s->crl, s->psk_file, s->ciphers, s->ciphersuites, s->alpn, s->identity};

    for (size_t i = 0; i < sizeof all / sizeof *all; i++) mem_free(m, all[i]);
    tls_pairs_done(&s->pairs, m);
}
