/* TLS streams against OpenSSL's own client, in one thread over loopback; the files are made with the openssl tool. */
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

/* ---- stories */

static char *q(const char *format) /* "%" is the directory */
{
    static char query[2][1024];
    static int which;
    char *out = query[which++ & 1], *at = out;

    for (; *format; format++)
        if (*format == '%') at += sprintf(at, "%s", dir);
        else *at++ = *format;
    *at = 0;
    return out;
}

#define SERVER "cert=%/server.pem&key=%/server.key"

static void bytes_go_both_ways(int version)
{
    door d = open_door(q(SERVER));
    client c = dial(d, version, NULL, NULL);

    CHECK(shake(c));
    CHECK_INT(SSL_version(c.ssl), version);
    CHECK(echoes(c, 1, false));
    CHECK(echoes(c, 100000, true));
    CHECK(echoes(c, 3 << 20, false));
    CHECK_STR(last.who, "");
    SSL_shutdown(c.ssl);
    for (int i = 0; i < 100 && !last.closed; i++) turn();
    CHECK_INT(last.closed, 1);
    CHECK_INT(last.status, BRIDGE_CLOSED);
    hang_up(c);
    close_door(d);
}

static void what_was_written_before_a_close_arrives_with_close_notify(void)
{
    door d = open_door(q(SERVER));
    client c = dial(d, TLS1_3_VERSION, NULL, NULL);
    size_t len = 2 << 20, in = 0, n;
    char *many = calloc(1, len);

    CHECK(shake(c));
    CHECK(echoes(c, 1, false));
    stream_write(last.s, many, len);
    stream_close(last.s);
    for (int i = 0; i < 100000; i++) {
        turn();
        ERR_clear_error();
        if (SSL_read_ex(c.ssl, many, len, &n) == 1) in += n;
        else if (SSL_get_error(c.ssl, 0) != SSL_ERROR_WANT_READ) break;
    }
    CHECK_INT(in, len);
    CHECK_INT(SSL_get_shutdown(c.ssl) & SSL_RECEIVED_SHUTDOWN, SSL_RECEIVED_SHUTDOWN);
    for (int i = 0; i < 100 && !last.closed; i++) turn();
    CHECK_INT(last.status, 0);
    free(many);
    hang_up(c);
    close_door(d);
}

static void back_pressure_keeps_what_came(void)
{
    door d = open_door(q(SERVER));
    client c = dial(d, TLS1_3_VERSION, NULL, NULL);
    char many[50000] = {0};
    size_t n, seen;

    CHECK(shake(c));
    CHECK(echoes(c, 1, false));
    stream_read(last.s, false);
    seen = last.seen;
    CHECK_INT(SSL_write_ex(c.ssl, many, sizeof many, &n), 1);
    SSL_shutdown(c.ssl);
    for (int i = 0; i < 20; i++) turn();
    CHECK_INT(last.seen, seen);
    CHECK_INT(last.closed, 0);
    stream_read(last.s, true);
    for (int i = 0; i < 20 && !last.closed; i++) turn();
    CHECK_INT(last.seen, seen + sizeof many);
    CHECK_INT(last.closed, 1);
    hang_up(c);
    close_door(d);
}

static void who(int version, const char *query, const char *cert, const char *psk, const char *name)
{
    door d = open_door(q(query));
    client c = dial(d, version, cert, psk);
    bool in = shake(c) && echoes(c, 10, false);

    CHECK_INT(in, name != NULL);
    if (in != (name != NULL)) fprintf(stderr, "%s %s: %s\n", query, psk ? psk : "-", told);
    if (name) CHECK_STR(last.who, name);
    else CHECK(strncmp(told, "peer: ", 6) == 0);
    hang_up(c);
    close_door(d);
}

static void a_name_is_what_is_proved(int version)
{
    who(version, SERVER "&ca=%/ca.pem", "alice", NULL, "alice");
    who(version, SERVER "&ca=%/ca.pem&identity=email", "alice", NULL, "alice@example.org");
    who(version, SERVER "&ca=%/ca.pem&identity=dns", "alice", NULL, "alice.example.org");
    who(version, SERVER "&ca=%/ca.pem&identity=uri", "alice", NULL, "");
    who(version, SERVER "&ca=%/ca.pem", "nameless", NULL, "device-7.example.org");
    who(version, SERVER "&ca=%/ca.pem", NULL, NULL, NULL);
    who(version, SERVER "&ca=%/ca.pem", "other", NULL, NULL);
    who(version, SERVER "&ca=%/ca.pem&client_cert=optional", NULL, NULL, "");
    who(version, SERVER "&ca=%/ca.pem&client_cert=optional", "alice", NULL, "alice");
    who(version, SERVER "&ca=%/ca.pem&client_cert=optional", "other", NULL, NULL);
    who(version, SERVER, "alice", NULL, ""); /* nobody asked for it */
    who(version, "psk_file=%/psk", NULL, "lamp", "lamp");
    who(version, "psk_file=%/psk", NULL, "lantern", NULL);
    who(version, SERVER "&psk_file=%/psk", NULL, NULL, "");
    who(version, SERVER "&psk_file=%/psk", NULL, "lamp", "lamp");
}

/* TLS 1.3: the name comes with the first flight, the proof later.  A key for another hash is passed over. */
static void a_key_that_was_only_offered_proves_nothing(void)
{
    door d = open_door(q(SERVER "&psk_file=%/psk&ciphersuites=TLS_AES_256_GCM_SHA384"));
    client c = dial(d, TLS1_3_VERSION, NULL, "lamp");

    CHECK(shake(c));
    CHECK(echoes(c, 10, false));
    CHECK_STR(last.who, "");
    hang_up(c);
    close_door(d);
}

static SSL_SESSION *kept;
static int on_session(SSL *ssl, SSL_SESSION *s)
{
    (void)ssl;
    SSL_SESSION_free(kept);
    kept = s;
    return 1;
}

static void a_session_is_resumed_and_its_name_with_it(int version)
{
    door d = open_door(q(SERVER "&ca=%/ca.pem"));

    for (int round = 0; round < 2; round++) {
        client c = dial(d, version, "alice", NULL);
        SSL_CTX_set_session_cache_mode(c.ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_sess_set_new_cb(c.ctx, on_session);
        if (round) SSL_set_session(c.ssl, kept);
        CHECK(shake(c));
        CHECK(echoes(c, 10, false));
        CHECK_INT(SSL_session_reused(c.ssl), round);
        CHECK_STR(last.who, "alice");
        SSL_shutdown(c.ssl);
        hang_up(c);
    }
    SSL_SESSION_free(kept);
    kept = NULL;
    close_door(d);
}

static void a_protocol_is_agreed_on(void)
{
    static const unsigned char both[] = "\x08http/1.1\x04mqtt", wrong[] = "\x02h2";
    const unsigned char *chosen;
    unsigned len;
    door d = open_door(q(SERVER));
    client c = dial(d, TLS1_3_VERSION, NULL, NULL);

    SSL_set_alpn_protos(c.ssl, both, sizeof both - 1);
    CHECK(shake(c));
    SSL_get0_alpn_selected(c.ssl, &chosen, &len);
    CHECK(len == 4 && memcmp(chosen, "mqtt", 4) == 0);
    hang_up(c);
    c = dial(d, TLS1_3_VERSION, NULL, NULL);
    SSL_set_alpn_protos(c.ssl, wrong, sizeof wrong - 1);
    CHECK(!shake(c));
    hang_up(c);
    close_door(d);
}

static void old_versions_are_refused(void)
{
    door d = open_door(q(SERVER "&min_version=1.3"));
    client c = dial(d, TLS1_2_VERSION, NULL, NULL);

    CHECK(!shake(c));
    CHECK_STR(told, "peer: unsupported protocol");
    hang_up(c);
    close_door(d);
}

static void noise_is_not_a_handshake(void)
{
    door d = open_door(q(SERVER));
    client c = dial(d, TLS1_3_VERSION, NULL, NULL);

    CHECK_INT(write(c.fd, "GET / HTTP/1.1\r\n\r\n", 18), 18);
    for (int i = 0; i < 100 && !last.closed; i++) turn();
    CHECK_INT(last.status, BRIDGE_PROTOCOL);
    CHECK_STR(told, "peer: http request");
    hang_up(c);
    c = dial(d, TLS1_3_VERSION, NULL, NULL);
    CHECK(shake(c));
    CHECK(echoes(c, 10, false));
    CHECK_INT(write(c.fd, "\x17\x03\x03\x00\x20 this is no record of theirs....", 37), 37);
    for (int i = 0; i < 100 && !last.closed; i++) turn();
    CHECK_INT(last.status, BRIDGE_PROTOCOL);
    hang_up(c);
    close_door(d);
}

static int64_t later;
static int64_t moving_clock(void *user)
{
    (void)user;
    return 1000 + later;
}

static void who_dawdles_is_let_go(void)
{
    door d = open_door(q(SERVER "&handshake_timeout=5000"));
    client c = dial(d, TLS1_3_VERSION, NULL, NULL);

    for (int i = 0; i < 100 && !last.s; i++) turn();
    CHECK_INT(last.closed, 0);
    later += 5001;
    for (int i = 0; i < 100 && !last.closed; i++) turn();
    CHECK_INT(last.status, BRIDGE_TIMEOUT);
    CHECK_STR(told, "peer: no handshake in time");
    hang_up(c);
    close_door(d);
}

static char *name_of_server(client c, char *out)
{
    X509_NAME_get_text_by_NID(X509_get_subject_name(SSL_get0_peer_certificate(c.ssl)), NID_commonName, out, 64);
    return out;
}

static void certificates_change_under_open_connections(void)
{
    door d;
    client before, after;
    char name[64];

    run("cd %s && cp server.pem live.pem && cp server.key live.key", dir);
    d = open_door(q("cert=%/live.pem&key=%/live.key"));
    before = dial(d, TLS1_3_VERSION, NULL, NULL);
    CHECK(shake(before));
    CHECK_STR(name_of_server(before, name), "localhost");
    CHECK(echoes(before, 10, false));

    run("cd %s && echo nonsense >live.pem", dir);
    later += TLS_LOOK_AGAIN;
    after = dial(d, TLS1_3_VERSION, NULL, NULL);
    CHECK(shake(after)); /* the old ones hold */
    CHECK(strstr(told, "live.pem holds no certificate in PEM"));
    CHECK_STR(name_of_server(after, name), "localhost");
    hang_up(after);

    run("cd %s && cp again.pem live.pem && cp again.key live.key", dir);
    later += TLS_LOOK_AGAIN;
    last.s = NULL; /* that of the first stays open, but is not looked at any more */
    after = dial(d, TLS1_3_VERSION, NULL, NULL);
    CHECK(shake(after));
    CHECK_STR(name_of_server(after, name), "renewed");
    CHECK(echoes(after, 10, false));
    CHECK_INT(last.count, 3);
    hang_up(before);
    hang_up(after);
    close_door(d);
}

static void refused(const char *query, const char *why)
{
    bridge_error err = {0};
    tls *t = settings(q(query), &err);

    CHECK(!t);
    CHECK(err.status < 0);
    if (!strstr(err.text, why)) CHECK_STR(err.text, why);
    tls_free(t);
}

static void what_is_wrong_is_said_at_once(void)
{
    refused("", "mqtts:// needs cert= and key= (or certs=, or psk_file=) in its URL");
    refused("key=%/server.key", "key= without cert=");
    refused("cert=%/none.pem&key=%/server.key", "none.pem: No such file or directory");
    refused("cert=%/server.pem&key=%/none.key", "none.key: No such file or directory");
    refused("cert=%/server.pem&key=%/alice.key", "alice.key does not belong to the certificate in");
    refused("cert=%/server.pem", "server.pem holds no key in PEM");
    refused("cert=%/server.key&key=%/server.key", "server.key holds no certificate in PEM");
    refused("cert=%/server.pem&key=%/locked.key", "locked.key holds no key in PEM, or one with a password on it");
    refused(SERVER "&ca=%/server.key", "server.key holds no certificates in PEM");
    refused(SERVER "&ca=%/ca.pem&crl=%/ca.pem", "ca.pem holds no revocation list in PEM");
    refused(SERVER "&client_cert=optional", "client_cert=, crl= and identity= need ca=");
    refused(SERVER "&ca=%/ca.pem&client_cert=maybe", "option client_cert=maybe: one of required, optional is wanted");
    refused(SERVER "&min_version=1.1", "option min_version=1.1: one of 1.2, 1.3 is wanted");
    refused(SERVER "&ciphers=ROT13", "ciphers=ROT13: none of them is known");
    refused(SERVER "&ciphersuites=ROT13", "ciphersuites=ROT13: not all of them are known");
    run("cd %s && printf 'lamp:00\\nlamp:01\\n' >twice && printf '\\nlamp:xyz\\n' >nohex", dir);
    refused("psk_file=%/twice", "twice line 2: lamp has a key already");
    refused("psk_file=%/nohex", "nohex line 2: the key is 2 to 128 hexadecimal digits, two a byte");
}

static int left;

static void *scarce(void *user, void *p, size_t len)
{
    (void)user;
    if (len == 0) {
        free(p);
        return NULL;
    }
    return left-- > 0 ? realloc(p, len) : NULL;
}

static void out_of_memory_is_an_answer(void)
{
    char textual[1024];
    url *u = NULL;
    int n = 0, rc;

    snprintf(textual, sizeof textual, "mqtts://127.0.0.1:0?%s", q(SERVER "&ca=%/ca.pem&identity=cn&psk_file=%/psk"));
    CHECK_INT(url_parse(mem_default(), textual, &u, NULL), 0);
    do {
        bridge_error err = {0};
        tls *t = NULL;
        mem *m;
        left = 1;
        m = mem_create(scarce, NULL);
        left = n++;
        rc = tls_new(&t, m, u, "mqtt", &err);
        CHECK(rc == 0 || rc == BRIDGE_NOMEM);
        CHECK_INT(err.status, rc);
        tls_free(t);
        mem_unref(m);
    } while (rc < 0 && n < 200);
    CHECK_INT(rc, 0);
    CHECK(n > 10);
    url_free(u);
}

int main(void)
{
    make_files();
    CHECK_INT(loop_new(&the_loop, mem_default(), moving_clock, NULL), 0);
    bytes_go_both_ways(TLS1_2_VERSION);
    bytes_go_both_ways(TLS1_3_VERSION);
    what_was_written_before_a_close_arrives_with_close_notify();
    back_pressure_keeps_what_came();
    a_name_is_what_is_proved(TLS1_2_VERSION);
    a_name_is_what_is_proved(TLS1_3_VERSION);
    a_key_that_was_only_offered_proves_nothing();
    a_session_is_resumed_and_its_name_with_it(TLS1_2_VERSION);
    a_session_is_resumed_and_its_name_with_it(TLS1_3_VERSION);
    a_protocol_is_agreed_on();
    old_versions_are_refused();
    noise_is_not_a_handshake();
    who_dawdles_is_let_go();
    certificates_change_under_open_connections();
    what_is_wrong_is_said_at_once();
    out_of_memory_is_an_answer();
    loop_free(the_loop);
    run("rm -r %s", dir);
    return check_done();
}
