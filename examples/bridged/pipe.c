/* pipe.c - TCP and TLS; frames of WebSocket are in pipe_web.c. */
#include "pipe.h"
#include "pipe_web.h"
#include <errno.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char *const options[] = {"ca", "cert", "key", "psk_file", "verify", NULL};

static int fail(pipe_end *p, const char *why)
{
    snprintf(p->why, sizeof p->why, "%s", why);
    return -1;
}

static int fail_tls(pipe_end *p, const char *what)
{
    const char *why = ERR_reason_error_string(ERR_peek_last_error());

    snprintf(p->why, sizeof p->why, "%s%s%s", what, why ? ": " : "", why ? why : "");
    return -1;
}

/* ---- addresses */

static void copy(char *to, size_t room, const char *from, size_t len)
{
    snprintf(to, room, "%.*s", (int)(len < room ? len : room - 1), from);
}

static bool known_options(const char *query)
{
    for (const char *at = query; *at;) {
        size_t n = strcspn(at, "=&");
        int i = 0;
        while (options[i] && (strlen(options[i]) != n || memcmp(options[i], at, n) != 0)) i++;
        if (!options[i]) return false;
        at += strcspn(at, "&");
        if (*at) at++;
    }
    return true;
}

bool address_read(address *a, const char *url, const char **why)
{
    static const char *const schemes[][2] = {{"mqtt", "1883"}, {"mqtts", "8883"}, {"ws", "80"}, {"wss", "443"}, {"mqtt+ws", "80"}, {"mqtt+wss", "443"}};
    const char *at = strstr(url, "://"), *sign, *end;
    size_t len, i = 0;

    *a = (address){.path = "/mqtt"};
    if (at) copy(a->scheme, sizeof a->scheme, url, (size_t)(at - url));
    while (i < sizeof schemes / sizeof *schemes && strcmp(schemes[i][0], a->scheme) != 0) i++;
    if (!at || i == sizeof schemes / sizeof *schemes) return *why = "mqtt://, mqtts://, ws:// and wss:// are spoken here", false;
    copy(a->port, sizeof a->port, schemes[i][1], strlen(schemes[i][1]));
    at += 3;
    len = strcspn(at, "/?");
    sign = memchr(at, '@', len);
    if (sign) {
        const char *colon = memchr(at, ':', (size_t)(sign - at));
        copy(a->user, sizeof a->user, at, (size_t)((colon ? colon : sign) - at));
        if (colon) copy(a->password, sizeof a->password, colon + 1, (size_t)(sign - colon - 1));
        at = sign + 1;
    }
    end = *at == '[' ? strchr(at, ']') : NULL;
    len = end ? (size_t)(end - at) + 1 : strcspn(at, ":/?");
    copy(a->host, sizeof a->host, end ? at + 1 : at, end ? len - 2 : len);
    at += len;
    if (*at == ':') {
        len = strcspn(++at, "/?");
        copy(a->port, sizeof a->port, at, len);
        at += len;
    }
    len = strcspn(at, "?");
    if (len > 1) copy(a->path, sizeof a->path, at, len);
    if (at[len] == '?') copy(a->query, sizeof a->query, at + len + 1, strlen(at + len + 1));
    if (!*a->host) return *why = "there is no host in it", false;
    return known_options(a->query) ? true : (*why = "its options are ca=, cert=, key=, psk_file= and verify=no", false);
}

/* What the query says of a word, its percent escapes undone; NULL: nothing. */
static const char *option(const address *a, const char *name, char *room, size_t size)
{
    size_t n = strlen(name), len = 0;
    const char *at = a->query;

    while (*at && (strncmp(at, name, n) != 0 || at[n] != '=')) {
        at += strcspn(at, "&");
        if (*at) at++;
    }
    if (!*at) return NULL;
    for (at += n + 1; *at && *at != '&' && len + 1 < size; at++) {
        char hex[3] = {at[0] == '%' ? at[1] : 0, at[0] == '%' && at[1] ? at[2] : 0, 0};
        bool escaped = hex[0] && hex[1] && strspn(hex, "0123456789abcdefABCDEF") == 2;
        room[len++] = escaped ? (char)strtol(hex, NULL, 16) : *at;
        at += escaped ? 2 : 0;
    }
    room[len] = 0;
    return room;
}

/* ---- TLS */

static unsigned on_psk(SSL *s, const char *hint, char *identity, unsigned identity_room, unsigned char *key, unsigned room)
{
    const pipe_end *p = SSL_get_app_data(s);
    unsigned n = 0;

    (void)hint;
    snprintf(identity, identity_room, "%s", p->identity);
    for (; p->key[2 * n] && n < room; n++) {
        const char hex[3] = {p->key[2 * n], p->key[2 * n + 1], 0};
        key[n] = (unsigned char)strtol(hex, NULL, 16);
    }
    return n;
}

static int read_psk(pipe_end *p, const char *file)
{
    FILE *f = fopen(file, "r");
    int got = f ? fscanf(f, "%127[^:\n]:%128[0-9a-fA-F]", p->identity, p->key) : 0;

    if (f) fclose(f);
    return got == 2 && strlen(p->key) % 2 == 0 ? 0 : fail(p, "psk_file: one line identity:hexadecimal is wanted");
}

static int use_files(pipe_end *p, const address *a)
{
    char ca[1024], cert[1024], key[1024], psk[1024], verify[8];
    const char *own = option(a, "cert", cert, sizeof cert), *said = option(a, "verify", verify, sizeof verify);
    bool shared = option(a, "psk_file", psk, sizeof psk) != NULL;

    if (shared) {
        if (read_psk(p, psk) < 0) return -1;
        SSL_CTX_set_psk_client_callback(p->context, on_psk);
        SSL_CTX_set_max_proto_version(p->context, TLS1_2_VERSION);
        if (!SSL_CTX_set_cipher_list(p->context, "PSK:!NULL")) return fail_tls(p, "psk_file");
    } else if (!option(a, "ca", ca, sizeof ca)) {
        SSL_CTX_set_default_verify_paths(p->context);
    } else if (!SSL_CTX_load_verify_locations(p->context, ca, NULL)) {
        return fail_tls(p, "ca");
    }
    if (own && SSL_CTX_use_certificate_chain_file(p->context, cert) != 1) return fail_tls(p, "cert");
    if (own && SSL_CTX_use_PrivateKey_file(p->context, option(a, "key", key, sizeof key) ? key : cert, SSL_FILETYPE_PEM) != 1) return fail_tls(p, "key");
    SSL_CTX_set_verify(p->context, shared || (said && strcmp(said, "no") == 0) ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
    return 0;
}

static int secure(pipe_end *p, const address *a)
{
    X509_VERIFY_PARAM *names;

    p->context = SSL_CTX_new(TLS_client_method());
    if (!p->context) return fail_tls(p, "TLS");
    if (use_files(p, a) < 0) return -1;
    p->tls = SSL_new(p->context);
    if (!p->tls || !SSL_set_fd(p->tls, p->fd)) return fail_tls(p, "TLS");
    SSL_set_app_data(p->tls, p);
    names = SSL_get0_param(p->tls);
    if (!X509_VERIFY_PARAM_set1_ip_asc(names, a->host)) {
        SSL_set_tlsext_host_name(p->tls, a->host);
        X509_VERIFY_PARAM_set1_host(names, a->host, 0);
    }
    return SSL_connect(p->tls) == 1 ? 0 : fail_tls(p, "no TLS with the other side");
}

/* ---- the connection */

static int dial(pipe_end *p, const address *a)
{
    struct addrinfo want = {.ai_socktype = SOCK_STREAM}, *all = NULL;

    if (getaddrinfo(a->host, a->port, &want, &all) != 0) return fail(p, "no such host");
    for (struct addrinfo *one = all; one && p->fd < 0; one = one->ai_next) {
        p->fd = socket(one->ai_family, one->ai_socktype | SOCK_CLOEXEC, one->ai_protocol);
        if (p->fd >= 0 && connect(p->fd, one->ai_addr, one->ai_addrlen) < 0) {
            close(p->fd);
            p->fd = -1;
        }
    }
    freeaddrinfo(all);
    return p->fd < 0 ? fail(p, "nobody listens there") : 0;
}

int pipe_open(pipe_end *p, const address *a)
{
    size_t n = strlen(a->scheme);

    *p = (pipe_end){.fd = -1};
    if (dial(p, a) < 0 || (a->scheme[n - 1] == 's' && strcmp(a->scheme + n - 2, "ws") != 0 && secure(p, a) < 0)) return -1;
    return strstr(a->scheme, "ws") ? web_open(p, a) : 0;
}

void pipe_close(pipe_end *p)
{
    if (p->tls) SSL_shutdown(p->tls);
    SSL_free(p->tls);
    SSL_CTX_free(p->context);
    if (p->fd >= 0) close(p->fd);
    p->fd = -1;
    p->tls = NULL;
    p->context = NULL;
}

int pipe_send_raw(pipe_end *p, const void *bytes, size_t len)
{
    const char *at = bytes;

    while (len) {
        ssize_t n = p->tls ? SSL_write(p->tls, at, len < 16384 ? (int)len : 16384) : send(p->fd, at, len, MSG_NOSIGNAL);
        bool again = p->tls ? n <= 0 && SSL_get_error(p->tls, (int)n) == SSL_ERROR_WANT_WRITE : n < 0 && errno == EINTR;
        if (again) continue;
        if (n <= 0) return fail(p, "the connection is gone");
        at += n;
        len -= (size_t)n;
    }
    return 0;
}

int pipe_read_raw(pipe_end *p, void *room, size_t most)
{
    ssize_t n = p->tls ? SSL_read(p->tls, room, most < 65536 ? (int)most : 65536) : recv(p->fd, room, most, 0);

    if (n > 0) return (int)n;
    if (p->tls ? SSL_get_error(p->tls, (int)n) == SSL_ERROR_WANT_READ : n < 0 && errno == EINTR) return 0;
    return fail(p, "the other side has closed the connection");
}

int pipe_wait(pipe_end *p, int ms)
{
    struct pollfd one = {.fd = p->fd, .events = POLLIN};

    if (p->tls && SSL_pending(p->tls) > 0) return 1;
    return poll(&one, 1, ms) > 0;
}

int pipe_send(pipe_end *p, const void *bytes, size_t len)
{
    return p->web ? web_send(p, bytes, len) : pipe_send_raw(p, bytes, len);
}

int pipe_read(pipe_end *p, void *room, size_t most)
{
    return p->web ? web_read(p, room, most) : pipe_read_raw(p, room, most);
}
