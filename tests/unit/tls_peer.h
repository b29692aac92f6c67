/* Both ends of a TLS stream in one thread over loopback: a door of ours that echoes, OpenSSL's own client, and their files. */
#ifndef BRIDGE_TEST_TLS_PEER_H
#define BRIDGE_TEST_TLS_PEER_H

#include "check.h"
#include "loop/tls.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/bridge-tls-XXXXXX";
static loop *the_loop;

static int run(const char *format, ...) __attribute__((format(printf, 1, 2)));
static int run(const char *format, ...)
{
    char command[2048];
    va_list args;

    va_start(args, format);
    vsnprintf(command, sizeof command, format, args);
    va_end(args);
    return system(command);
}

/* One authority, a server, a client, and a stranger that signed itself. */
static void make_files(void)
{
    CHECK(mkdtemp(dir) != NULL);
    CHECK_INT(run("cd %s && exec >/dev/null 2>&1;"
                  "new() { openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $1.key -out $1.csr -subj \"$2\" &&"
                  " printf \"$3\" >ext && openssl x509 -req -in $1.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out $1.pem; };"
                  "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -subj /CN=authority -days 2 &&"
                  "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout other.key -out other.pem -subj /CN=alice -days 2 &&"
                  "new server /CN=localhost subjectAltName=DNS:localhost &&"
                  "new again /CN=renewed subjectAltName=DNS:localhost &&"
                  "new alice /CN=alice subjectAltName=email:alice@example.org,DNS:alice.example.org &&"
                  "new nameless /O=someone subjectAltName=DNS:device-7.example.org &&"
                  "openssl ec -in alice.key -aes128 -passout pass:x -out locked.key &&"
                  "printf '# keys\\nlamp:00112233445566778899aabbccddeeff\\n' >psk",
                  dir), 0);
}

/* ---- our side: it echoes, and says "who" on demand */

typedef struct served {
    stream *s;
    char who[64];
    int closed, status, count;
    size_t seen;
} served;

static served last;
static char told[256];

static size_t on_data(void *user, const uint8_t *data, size_t len)
{
    served *x = user;
    const char *name = stream_identity(x->s);

    snprintf(x->who, sizeof x->who, "%s", name ? name : "");
    x->seen += len;
    stream_write(x->s, data, len);
    return len;
}

static void on_close(void *user, int status)
{
    served *x = user;

    x->closed++;
    x->status = status;
    x->s = NULL;
}

static const stream_events events = {.on_data = on_data, .on_close = on_close};

static void on_accept(void *user, stream *s)
{
    (void)user;
    int count = last.count;
    last = (served){.s = s, .count = count + 1};
    stream_set_max_in(s, 1 << 24);
    stream_start(s, &events, &last);
}

static void on_trouble(void *user, const char *peer, const char *what)
{
    (void)user;
    snprintf(told, sizeof told, "%s%s", peer ? "peer: " : "", what);
}

typedef struct door {
    tls *tls;
    listener *li;
} door;

static tls *settings(const char *query, bridge_error *err)
{
    char textual[1024];
    url *u = NULL;
    tls *t = NULL;
    int rc;

    snprintf(textual, sizeof textual, "mqtts://127.0.0.1:0?%s", query);
    rc = url_parse(mem_default(), textual, &u, err);
    if (rc == 0) rc = tls_new(&t, mem_default(), u, "mqtt", err);
    url_free(u);
    return rc < 0 ? NULL : t;
}

static door open_door(const char *query)
{
    bridge_error err = {0};
    door d = {.tls = settings(query, &err)};

    told[0] = 0;
    last = (served){0};
    if (!d.tls) {
        fprintf(stderr, "%s: %s\n", query, err.text);
        exit(1);
    }
    tls_tell(d.tls, on_trouble, NULL);
    CHECK_INT(listener_open(&d.li, the_loop, &(listener_options){.host = "127.0.0.1", .tls = d.tls}, on_accept, NULL, &err), 0);
    return d;
}

static void turn(void)
{
    loop_turn(the_loop, 0);
}

static void close_door(door d)
{
    if (last.s) stream_abort(last.s, 0);
    listener_close(d.li);
    tls_free(d.tls);
    for (int i = 0; i < 5; i++) turn();
}

/* ---- their side */

typedef struct client {
    SSL_CTX *ctx;
    SSL *ssl;
    int fd;
} client;

static unsigned give_psk(SSL *ssl, const char *hint, char *identity, unsigned room, unsigned char *key, unsigned key_room)
{
    static const unsigned char right[16] = {0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff};

    (void)hint, (void)key_room;
    snprintf(identity, room, "%s", (const char *)SSL_get_app_data(ssl));
    memcpy(key, right, sizeof right);
    return sizeof right;
}

static client dial(door d, int version, const char *cert, const char *psk)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)listener_port(d.li)), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    client c = {.ctx = SSL_CTX_new(TLS_client_method()), .fd = socket(AF_INET, SOCK_STREAM, 0)};
    char file[300];

    CHECK_INT(connect(c.fd, (struct sockaddr *)&a, sizeof a), 0);
    fcntl(c.fd, F_SETFL, O_NONBLOCK);
    SSL_CTX_set_max_proto_version(c.ctx, version);
    if (!psk) {
        snprintf(file, sizeof file, "%s/ca.pem", dir);
        SSL_CTX_load_verify_locations(c.ctx, file, NULL);
        SSL_CTX_set_verify(c.ctx, SSL_VERIFY_PEER, NULL);
    }
    if (cert) {
        snprintf(file, sizeof file, "%s/%s.pem", dir, cert);
        SSL_CTX_use_certificate_chain_file(c.ctx, file);
        snprintf(file, sizeof file, "%s/%s.key", dir, cert);
        SSL_CTX_use_PrivateKey_file(c.ctx, file, SSL_FILETYPE_PEM);
    }
    if (psk) SSL_CTX_set_psk_client_callback(c.ctx, give_psk);
    c.ssl = SSL_new(c.ctx);
    SSL_set_app_data(c.ssl, (void *)(uintptr_t)psk);
    SSL_set_fd(c.ssl, c.fd);
    SSL_set_connect_state(c.ssl);
    return c;
}

static void hang_up(client c)
{
    SSL_free(c.ssl);
    SSL_CTX_free(c.ctx);
    close(c.fd);
    for (int i = 0; i < 5; i++) turn();
}

static bool again(client c, int rc)
{
    int why = SSL_get_error(c.ssl, rc);

    turn();
    return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE;
}

static bool shake(client c)
{
    for (int i = 0; i < 10000; i++) {
        int rc = SSL_do_handshake(c.ssl);
        if (rc == 1) return true;
        if (!again(c, rc)) return false;
    }
    return false;
}

/* Says something and hears it back: len bytes, of both sides at once. */
static bool echoes(client c, size_t len, bool slowly)
{
    char *said = malloc(len), *heard = malloc(len);
    size_t out = 0, in = 0, n;
    bool same;

    for (size_t i = 0; i < len; i++) said[i] = (char)(i * 2654435761u >> 13);
    for (int i = 0; i < 200000 && in < len; i++) {
        size_t most = slowly ? 1 + (size_t)i % 700 : len - out;
        if (most > len - out) most = len - out;
        if (out < len && SSL_write_ex(c.ssl, said + out, most, &n) == 1) out += n;
        else if (out < len && SSL_get_error(c.ssl, 0) == SSL_ERROR_WANT_WRITE) SSL_set_mode(c.ssl, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
        turn();
        ERR_clear_error();
        if (SSL_read_ex(c.ssl, heard + in, len - in, &n) == 1) in += n;
        else if (SSL_get_error(c.ssl, 0) != SSL_ERROR_WANT_READ) break;
    }
    same = in == len && memcmp(said, heard, len) == 0;
    free(said);
    free(heard);
    return same;
}

#endif
