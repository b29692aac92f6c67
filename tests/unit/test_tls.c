/* TLS streams against OpenSSL's own client; the files are made with the openssl tool. */
#include "tls_peer.h"

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
