/* TLS 1.2 and 1.3 as streams.  OpenSSL never sees the socket: what recv() brought is handed to it in one piece (64 KiB), all that
 * is in it is decrypted before the protocol above hears of it, and what it writes in a turn goes to the kernel at once.
 *
 *      socket -- recv --> loop->scratch -- SSL_read --> loop->plain --> stream_feed_behind()
 *      socket <-- send -- wire <-- SSL_write (full records) <-- the stream's corked output
 *
 * With OpenSSL on the socket each record costs reads and writes of its own; docs/why/31-tls.md. */
#include "loop/tls.h"
#include "base/clock.h"
#include "base/status.h"
#include "loop/internal.h"
#include "loop/tls_keys.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { RECORD = 16384, SEND_AT = 4 * RECORD };

struct tls {
    mem *mem;
    unsigned refs; /* the listener's, and one for each connection */
    tls_said said;
    tls_keys *keys;
    int64_t looked;
    uint64_t mark; /* of the files as they were */
    claim_asker asker;
    list conns;
    void (*tell)(void *user, const char *peer, const char *what);
    void *user;
};

typedef struct secure {
    stream s;
    pollee poll;
    turn_end goodbye;
    timer patience; /* for the handshake */
    tls *tls; /* of the listener; NULL: we have called */
    tls_keys *keys;
    const tls_call *call;
    SSL *ssl;
    list link; /* of tls->conns */
    claim claimed;
    char *identity; /* what of it is proven */
    const uint8_t *in; /* ciphertext that OpenSSL has not taken yet */
    size_t in_len;
    uint8_t *kept; /* that, while nobody reads */
    uint8_t *wire; /* ciphertext that the kernel has not taken yet */
    size_t wire_len, wire_cap, wire_at;
    bool up, broken; /* the handshake is done; nothing more can be said */
    bool ended;      /* they have said close_notify */
    bool proxied;    /* a PROXY header comes first */
} secure;

/* ---- OpenSSL's side */

static int bio_read(BIO *b, char *to, int room)
{
    secure *t = BIO_get_data(b);
    size_t n = t->in_len < (size_t)room ? t->in_len : (size_t)room;

    BIO_clear_retry_flags(b);
    if (n == 0) {
        BIO_set_retry_read(b);
        return -1;
    }
    memcpy(to, t->in, n);
    t->in += n;
    t->in_len -= n;
    return (int)n;
}

static int bio_write(BIO *b, const char *p, int len)
{
    secure *t = BIO_get_data(b);
    size_t n = (size_t)len, used = t->wire_len - t->wire_at, cap = used + n;

    BIO_clear_retry_flags(b);
    if (t->wire_len + n > t->wire_cap) {
        uint8_t *more = spare_take(t->s.loop, &cap);
        if (!more) return -1;
        if (used) memcpy(more, t->wire + t->wire_at, used);
        spare_give(t->s.loop, t->wire, t->wire_cap);
        t->wire = more;
        t->wire_cap = cap;
        t->wire_len = used;
        t->wire_at = 0;
    }
    memcpy(t->wire + t->wire_len, p, n);
    t->wire_len += n;
    return len;
}

static long bio_ctrl(BIO *b, int what, long n, void *p)
{
    (void)b, (void)n, (void)p;
    return what == BIO_CTRL_FLUSH;
}

BIO_METHOD *tls_bio_method(void)
{
    BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "corked stream");

    if (m && BIO_meth_set_read(m, bio_read) && BIO_meth_set_write(m, bio_write) && BIO_meth_set_ctrl(m, bio_ctrl)) return m;
    BIO_meth_free(m);
    return NULL;
}

/* ---- writing */

static bool is_wire_empty(const secure *t)
{
    return t->wire_at == t->wire_len;
}

static int send_wire(secure *t) /* 0, also when some of it has to wait; or CLOSED */
{
    while (!is_wire_empty(t)) {
        ssize_t n = send(t->poll.fd, t->wire + t->wire_at, t->wire_len - t->wire_at, MSG_NOSIGNAL);
        if (n < 0) return errno == EAGAIN || errno == EINTR || errno == ENOBUFS ? 0 : BRIDGE_CLOSED;
        t->wire_at += (size_t)n;
    }
    spare_give(t->s.loop, t->wire, t->wire_cap);
    t->wire = NULL;
    t->wire_len = t->wire_cap = t->wire_at = 0;
    return 0;
}

/* The next bytes to encrypt: small pieces are put together, so that records are full. */
static const uint8_t *next_piece(const struct iovec *iov, unsigned count, unsigned *i, size_t *at, uint8_t *room, size_t *len)
{
    const uint8_t *p = (const uint8_t *)iov[*i].iov_base + *at;
    size_t rest = iov[*i].iov_len - *at;

    if (rest >= RECORD || *i + 1 == count) {
        *len = rest < SEND_AT ? rest : SEND_AT;
        *at += *len;
        if (*at == iov[*i].iov_len) ++*i, *at = 0;
        return p;
    }
    for (*len = 0; *i < count && *len < RECORD;) {
        rest = iov[*i].iov_len - *at;
        if (rest > RECORD - *len) rest = RECORD - *len;
        memcpy(room + *len, (const uint8_t *)iov[*i].iov_base + *at, rest);
        *len += rest;
        *at += rest;
        if (*at == iov[*i].iov_len) ++*i, *at = 0;
    }
    return room;
}

static ptrdiff_t tls_write(stream *s, const struct iovec *iov, unsigned count)
{
    secure *t = list_of(s, secure, s);
    uint8_t room[RECORD];
    size_t at = 0, total = 0, len, done;
    unsigned i = 0;
    int rc;

    if (!t->up) return 0; /* goes on when the handshake is done */
    rc = send_wire(t);
    if (rc < 0 || !is_wire_empty(t)) return rc;
    while (i < count && !s->waiting) {
        const uint8_t *p = next_piece(iov, count, &i, &at, room, &len);
        ERR_clear_error();
        if (len && SSL_write_ex(t->ssl, p, len, &done) != 1) { /* only memory can be missing */
            t->broken = true;
            return BRIDGE_NOMEM;
        }
        total += len;
        if (t->wire_len < SEND_AT && i < count) continue;
        rc = send_wire(t);
        if (rc < 0) return rc;
        s->waiting = !is_wire_empty(t); /* what is taken is not all gone */
    }
    return (ptrdiff_t)total;
}

static void tls_want_write(stream *s)
{
    (void)s; /* edge-triggered: EPOLLOUT comes by itself */
}

static bool shake_hands(secure *t);

static void on_writable(secure *t)
{
    int rc;

    if (!t->up && t->call && SSL_in_before(t->ssl) && !shake_hands(t)) return; /* connected: we begin */
    rc = send_wire(t);

    if (rc < 0) stream_ended(&t->s, rc);
    else if (is_wire_empty(t) && t->up) stream_writable(&t->s);
}

/* ---- reading */

static void tell(const secure *t, const char *what)
{
    if (t->call) t->call->broke(t->s.user, what);
    else if (t->tls->tell) t->tls->tell(t->tls->user, t->s.peer, what);
}

static void broke(secure *t, const char *what)
{
    long verdict = t->call && !t->up ? SSL_get_verify_result(t->ssl) : X509_V_OK;

    if (verdict != X509_V_OK) what = X509_verify_cert_error_string(verdict);
    t->broken = true;
    tell(t, what);
    send_wire(t); /* the alert */
    stream_ended(&t->s, BRIDGE_PROTOCOL);
}

/* A shared key that was offered may have been passed over; then a certificate decides. */
static void take_identity(secure *t)
{
    char *certified = tls_certified(t->ssl, t->keys->identity, t->s.mem);

    if (certified || (SSL_version(t->ssl) >= TLS1_3_VERSION && !SSL_session_reused(t->ssl))) {
        mem_free(t->s.mem, t->claimed.identity);
        t->claimed.identity = NULL;
        if (!certified) claim_drop(&t->claimed, t->s.mem);
    }
    if (t->claimed.name || t->claimed.identity) {
        mem_free(t->s.mem, certified);
        certified = mem_text(t->s.mem, t->claimed.name ? t->claimed.name : t->claimed.identity);
    }
    t->identity = certified;
}

static bool shake_hands(secure *t) /* are we through? */
{
    int rc;

    ERR_clear_error();
    rc = SSL_do_handshake(t->ssl);
    if (rc != 1 && SSL_get_error(t->ssl, rc) != SSL_ERROR_WANT_READ) {
        broke(t, tls_reason());
        return false;
    }
    if (send_wire(t) < 0) {
        stream_ended(&t->s, BRIDGE_CLOSED);
        return false;
    }
    if (rc != 1) return false;
    t->up = true;
    timer_stop(&t->patience);
    if (t->call) t->call->up(t->s.user);
    else take_identity(t);
    if (t->s.closed) return false;
    if (is_wire_empty(t)) stream_writable(&t->s);
    return !t->s.closed;
}

static void keep_in(secure *t)
{
    uint8_t *old = t->kept;

    t->kept = t->in_len ? mem_copy(t->s.mem, t->in, t->in_len) : NULL;
    if (t->in_len && !t->kept) stream_ended(&t->s, BRIDGE_NOMEM);
    t->in = t->kept;
    mem_free(t->s.mem, old);
}

/* Decrypts all there is.  Answers SSL_ERROR_WANT_READ when it is read dry, NONE when the room is full. */
static int decrypt(secure *t, size_t *len)
{
    size_t n;

    *len = 0;
    ERR_clear_error();
    while (*len < TLS_PLAIN) {
        if (SSL_read_ex(t->ssl, t->s.loop->plain + STREAM_HEAD + *len, TLS_PLAIN - *len, &n) != 1) return SSL_get_error(t->ssl, 0);
        *len += n;
    }
    return SSL_ERROR_NONE;
}

static void take_in(secure *t, const uint8_t *data, size_t len)
{
    stream *s = &t->s;
    int why = SSL_ERROR_NONE;
    size_t n;

    t->in = data;
    t->in_len = len;
    if (!t->up && !shake_hands(t)) return;
    while (why == SSL_ERROR_NONE && s->reading && !s->closed) {
        why = decrypt(t, &n);
        if (send_wire(t) < 0 && why == SSL_ERROR_WANT_READ) why = SSL_ERROR_ZERO_RETURN;
        if (n) stream_feed_behind(s, s->loop->plain + STREAM_HEAD, n);
        if (s->closed) return;
        if (why == SSL_ERROR_ZERO_RETURN && !s->reading) t->ended = true; /* told when it is wanted */
        else if (why == SSL_ERROR_ZERO_RETURN) stream_ended(s, BRIDGE_CLOSED); /* close_notify */
        else if (why != SSL_ERROR_NONE && why != SSL_ERROR_WANT_READ) broke(t, tls_reason());
    }
    if (!s->closed && (t->in_len || t->kept)) keep_in(t);
}

static void on_ready(pollee *p, uint32_t events)
{
    secure *t = list_of(p, secure, poll);
    stream *s = &t->s;
    loop *l = s->loop;
    ssize_t n;

    if (events & EPOLLOUT) on_writable(t);
    if (s->closed || (t->up && !s->reading) || !(events & (EPOLLIN | EPOLLHUP | EPOLLERR | EPOLLRDHUP))) return;
    if (t->proxied && (t->proxied = !proxy_taken(s, p->fd, events))) return;
    if (t->ended) {
        stream_ended(s, BRIDGE_CLOSED);
        return;
    }
    if (t->up && t->kept) {
        take_in(t, t->in, t->in_len);
        if (s->closed || !s->reading) return;
    }
    n = recv(p->fd, l->scratch, STREAM_READ, 0);
    if (n > 0) {
        loop_catch_up(l);
        if (s->closed) return;
        take_in(t, l->scratch, (size_t)n);
        if (s->closed || (t->up && !s->reading)) return;
        /* As in tcp.c: a short read means that it is read dry, unless the end came along with it. */
        if (n == STREAM_READ || (events & (EPOLLHUP | EPOLLERR | EPOLLRDHUP))) poller_more(l, p);
    } else if (n == 0) {
        stream_ended(s, BRIDGE_CLOSED);
    } else if (errno != EAGAIN && errno != EINTR) {
        stream_ended(s, errno == ETIMEDOUT ? BRIDGE_TIMEOUT : BRIDGE_CLOSED);
    }
}

static void tls_read(stream *s, bool on)
{
    secure *t = list_of(s, secure, s);

    if (on) poller_more(s->loop, &t->poll);
}

static const char *tls_identity(const stream *s)
{
    const secure *t = list_of(s, const secure, s);

    return t->up ? t->identity : NULL;
}

/* ---- life */

static void tls_unref(tls *t);

static void on_goodbye(turn_end *end)
{
    secure *t = list_of(end, secure, goodbye);

    SSL_free(t->ssl); /* before on_close, with which what it stands on may go */
    stream_closed(&t->s);
    spare_give(t->s.loop, t->wire, t->wire_cap);
    mem_free(t->s.mem, t->kept);
    mem_free(t->s.mem, t->identity);
    claim_drop(&t->claimed, t->s.mem);
    list_remove(&t->link);
    tls_keys_unref(t->keys);
    if (t->tls) tls_unref(t->tls);
    mem_free(t->s.mem, t);
}

static void tls_close(stream *s)
{
    secure *t = list_of(s, secure, s);

    timer_stop(&t->patience);
    if (t->up && !t->broken) {
        ERR_clear_error();
        SSL_shutdown(t->ssl); /* close_notify: RFC 8446 6.1; we do not wait for theirs */
        send_wire(t);
    }
    poller_remove(s->loop, &t->poll);
    close(t->poll.fd);
    turn_end_want(s->loop, &t->goodbye);
}

static void on_impatient(timer *x)
{
    secure *t = list_of(x, secure, patience);

    tell(t, "no handshake in time");
    stream_ended(&t->s, BRIDGE_TIMEOUT);
}

static const stream_ops tls_ops = {
    .write = tls_write, .want_write = tls_want_write, .read = tls_read, .close = tls_close, .identity = tls_identity};

static int equip(secure *t, loop *l, const BIO_METHOD *method, int64_t patience)
{
    BIO *bio;

    if (!l->plain) l->plain = mem_alloc(l->mem, STREAM_HEAD + TLS_PLAIN);
    bio = l->plain && t->ssl ? BIO_new(method) : NULL;
    if (!bio) return BRIDGE_NOMEM;
    BIO_set_data(bio, t);
    BIO_set_init(bio, 1);
    SSL_set_bio(t->ssl, bio, bio);
    return timer_start(&t->patience, l, patience, on_impatient);
}

static void look_again(tls *t, int64_t now);

static void secure_init(secure *t, loop *l, int fd, const char *peer)
{
    int yes = 1;

    stream_init(&t->s, &tls_ops, l);
    turn_end_init(&t->goodbye, on_goodbye);
    strncpy(t->s.peer, peer, sizeof t->s.peer - 1);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    t->poll.fd = fd;
    t->poll.on_ready = on_ready;
}

static int secure_begin(secure *t) { return poller_add(t->s.loop, &t->poll, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET); }

static void secure_unmake(secure *t, int fd, loop *l)
{
    if (t) {
        timer_stop(&t->patience);
        SSL_free(t->ssl);
    }
    close(fd);
    mem_free(l->mem, t);
}

stream *tls_stream(loop *l, int fd, const char *peer, tls *settings, bool proxied)
{
    secure *t = mem_new(l->mem, secure);
    int rc = BRIDGE_NOMEM;

    if (t) {
        look_again(settings, loop_now(l));
        secure_init(t, l, fd, peer);
        t->tls = settings;
        t->keys = settings->keys;
        t->proxied = proxied;
        t->ssl = SSL_new(t->keys->ctx);
        rc = equip(t, l, t->keys->bio, settings->said.patience);
    }
    if (rc == 0) {
        SSL_set_app_data(t->ssl, &t->claimed);
        SSL_set_accept_state(t->ssl);
        rc = secure_begin(t);
    }
    if (rc == 0) {
        settings->refs++;
        t->keys->refs++;
        list_push(&settings->conns, &t->link);
        return &t->s;
    }
    secure_unmake(t, fd, l);
    return NULL;
}

int tls_dial(stream **out, loop *l, const struct sockaddr *to, size_t len, SSL *ssl, const BIO_METHOD *method, const tls_call *call)
{
    int fd = socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), rc = BRIDGE_NOMEM;
    secure *t = fd < 0 ? NULL : mem_new(l->mem, secure);

    if (!t) SSL_free(ssl);
    if (t) {
        secure_init(t, l, fd, "");
        t->call = call;
        t->ssl = ssl;
        rc = equip(t, l, method, TLS_HANDSHAKE);
    }
    if (rc == 0) SSL_set_connect_state(ssl);
    if (rc == 0 && connect(fd, to, (socklen_t)len) < 0 && errno != EINPROGRESS) rc = BRIDGE_UNREACHABLE;
    if (rc == 0) rc = secure_begin(t);
    if (rc == 0) {
        *out = &t->s;
        return 0;
    }
    if (fd >= 0) secure_unmake(t, fd, l);
    return rc;
}

/* ---- files that change */

int tls_reload(tls *t, bridge_error *err)
{
    tls_keys *fresh = NULL;
    int rc;

    t->mark = tls_said_look(&t->said, t->mem);
    rc = tls_keys_new(&fresh, t->mem, &t->said, t->keys, &t->asker, err);
    if (rc < 0) return rc;
    tls_keys_unref(t->keys);
    t->keys = fresh;
    return 0;
}

static void look_again(tls *t, int64_t now)
{
    bridge_error err = {0};

    if (t->looked && now - t->looked < TLS_LOOK_AGAIN) return;
    t->looked = now;
    if (tls_said_look(&t->said, t->mem) == t->mark) return;
    if (tls_reload(t, &err) < 0 && t->tell) t->tell(t->user, NULL, err.text);
}

int tls_new(tls **out, mem *m, const url *u, const char *alpn, bridge_error *err)
{
    tls *t = mem_new(m, tls);
    int rc;

    if (!t) return fail_nomem(err);
    t->mem = m;
    t->refs = 1;
    list_init(&t->conns);
    rc = tls_said_read(&t->said, m, u, alpn, err);
    if (rc == 0) rc = tls_reload(t, err);
    if (rc == 0) *out = t;
    else tls_free(t);
    return rc;
}

void tls_asks(tls *t, const claim_asker *asker)
{
    t->asker = t->said.asks ? *asker : (claim_asker){0};
}

int tls_change(tls *t, const url *u, const char *alpn, const claim_asker *asker, bridge_error *err)
{
    tls_said old = t->said;
    int rc;

    t->said = (tls_said){0};
    rc = tls_said_read(&t->said, t->mem, u, alpn, err);
    if (rc == 0) rc = tls_reload(t, err);
    tls_said_forget(rc == 0 ? &old : &t->said, t->mem);
    if (rc < 0) t->said = old;
    else tls_asks(t, asker);
    return rc;
}

void tls_recheck(tls *t, const char *identity)
{
    t->looked = 0; /* files, too, are looked at now */
    look_again(t, 1);
    list_each_safe (it, &t->conns) {
        secure *c = list_of(it, secure, link);

        if (!c->up || c->s.closed || !claim_is_of(&c->claimed, c->identity, identity)) continue;
        if (!claim_holds(&c->claimed, t->mem, &t->asker, t->keys->psk, c->ssl)) stream_ended(&c->s, BRIDGE_CLOSED);
    }
}

void tls_tell(tls *t, void (*fn)(void *, const char *, const char *), void *user)
{
    t->tell = fn;
    t->user = user;
}

static void tls_unref(tls *t)
{
    if (--t->refs) return;
    tls_keys_unref(t->keys);
    tls_said_forget(&t->said, t->mem);
    mem_free(t->mem, t);
}

void tls_free(tls *t)
{
    if (!t) return;
    t->tell = NULL; /* who was told goes, too */
    t->asker.fn = NULL;
    tls_unref(t);
}
