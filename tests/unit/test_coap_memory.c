/* CoAP with every allocation failing in turn: an error, a lost message or a lost observation, never a crash or a leak.  Server and client,
 * blocks, observers, directory, broker, proxy and a foreign server, which is this one. */
#include "adapter/coap/options.h"
#include "bridge/bridge.h"
#include "check.h"
#include <arpa/inet.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct failing {
    long count, at; /* the at-th allocation fails */
    long live;
} failing;

static void *shaky(void *user, void *p, size_t len)
{
    failing *f = user;

    if (len == 0) {
        f->live -= p != NULL;
        return free(p), NULL;
    }
    if (++f->count == f->at) return NULL;
    f->live += p == NULL;
    return realloc(p, len);
}

static void quiet(void *user, int level, const char *area, const char *line) { (void)user, (void)level, (void)area, (void)line; }

typedef struct talker {
    bridge *b;
    int fd, port;
    uint16_t id;
    unsigned good, bad; /* answers and notifications */
} talker;

static void turns(bridge *b, int n)
{
    for (int i = 0; i < n; i++) {
        struct pollfd p = {.fd = bridge_fd(b), .events = POLLIN};

        poll(&p, 1, 0);
        bridge_process(b);
    }
}

/* What a client says back to confirmable messages, so that the next may come. */
static void listen_up(talker *t)
{
    uint8_t heard[2048], ack[COAP_EMPTY_LEN];
    coap_packet packet;
    ssize_t n;

    turns(t->b, 4);
    while ((n = recv(t->fd, heard, sizeof heard, MSG_DONTWAIT)) > 0) {
        if (coap_parse_datagram(&packet, heard, (size_t)n) != COAP_PARSED) continue;
        if (packet.code >> 5 == 2) t->good++;
        else if (packet.code) t->bad++;
        if (packet.code >> 5 != 2 && packet.code && getenv("SHOW")) printf("%u.%02u %.*s\n", packet.code >> 5, packet.code & 31, (int)packet.payload_len, (const char *)packet.payload);
        if (packet.type != COAP_CON) continue;
        send(t->fd, ack, coap_write_empty(ack, COAP_ACK, packet.id), MSG_NOSIGNAL);
        turns(t->b, 2);
    }
}

static void listen_later(talker *t) /* timers of 1 ms have rung */
{
    for (int i = 0; i < 3; i++) {
        poll(NULL, 0, 1);
        listen_up(t);
    }
}

typedef struct saying {
    uint8_t code, token;
    const char *path, *query, *uri; /* segments with '/' between */
    int format, observe, block1, block2; /* + 1 */
    const char *data;
    size_t len;
} saying;
#define BLOCK(num, more, szx) (((num) << 4 | (more) << 3 | (szx)) + 1)

static void put_words(coap_writer *w, uint16_t option, const char *words, char between)
{
    for (const char *end; words; words = *end ? end + 1 : NULL) {
        end = strchr(words, between);
        if (!end) end = words + strlen(words);
        coap_write_option(w, option, words, (size_t)(end - words));
    }
}

static void say(talker *t, const saying *s)
{
    uint8_t bytes[2048];
    coap_token token = {1, {s->token ? s->token : 1}};
    coap_writer w;
    int64_t len;

    coap_write_datagram(&w, bytes, sizeof bytes, COAP_CON, s->code ? s->code : COAP_GET, t->id++, &token);
    if (s->observe) coap_write_uint(&w, COAP_OBSERVE, (uint32_t)s->observe - 1);
    put_words(&w, COAP_URI_PATH, s->path, '/');
    if (s->format) coap_write_uint(&w, COAP_CONTENT_FORMAT, (uint32_t)s->format - 1);
    put_words(&w, COAP_URI_QUERY, s->query, '&');
    if (s->block2) coap_write_uint(&w, COAP_BLOCK2, (uint32_t)s->block2 - 1);
    if (s->block1) coap_write_uint(&w, COAP_BLOCK1, (uint32_t)s->block1 - 1);
    if (s->uri) coap_write_option(&w, COAP_PROXY_URI, s->uri, strlen(s->uri));
    if (s->data) coap_write_payload(&w, s->data, s->len ? s->len : strlen(s->data));
    len = coap_write_end(&w);
    CHECK(len > 0);
    send(t->fd, w.start, (size_t)len, MSG_NOSIGNAL);
    listen_up(t);
}
#define SAY(...) say(t, &(saying){__VA_ARGS__})

static void talk_values(talker *t)
{
    static char block[64];

    SAY(.code = COAP_PUT, .path = "r/a", .data = "21.5");
    SAY(.path = "r/a", .token = 2, .observe = 1);
    SAY(.path = "r/+", .token = 3, .observe = 1);
    SAY(.code = COAP_PUT, .path = "r/a", .data = "22");
    for (int i = 0; i < 3; i++) SAY(.code = COAP_PUT, .path = "r/big", .block1 = BLOCK(i, i < 2, 2), .data = block, .len = sizeof block);
    SAY(.path = "r/big", .block2 = BLOCK(0, 0, 2));
    SAY(.path = "r/big", .block2 = BLOCK(2, 0, 2));
    SAY(.code = COAP_PUT, .path = "r/pack", .format = 111, .data = "[{\"n\":\"t\",\"v\":1},{\"n\":\"l\",\"v\":2}]");
    SAY(.code = COAP_FETCH, .path = "r/pack", .token = 4, .observe = 1, .format = 321, .data = "[{\"n\":\"t\"}]");
    SAY(.code = COAP_IPATCH, .path = "r/pack", .format = 321, .data = "[{\"n\":\"t\",\"v\":3}]");
    SAY(.path = ".well-known/core");
    SAY(.path = "r/a", .token = 2, .observe = 2);
    SAY(.code = COAP_DELETE, .path = "r/a");
}

/* What does not fit into one slice: answers that are kept, and made later. */
static void talk_many(talker *t)
{
    static char large[40000];
    const char *const paths[] = {"w/a", "w/b"};
    bridge_msg *m;

    memset(large, 'x', sizeof large);
    for (int i = 0; i < 2; i++) {
        m = NULL;
        if (bridge_msg_new(&m, BRIDGE_FIELDS(.path = paths[i], .data = large, .len = sizeof large, .retain = true)) == 0) bridge_publish(t->b, m);
        bridge_msg_unref(m);
    }
    turns(t->b, 2);
    for (int i = 0; i < 3; i++) {
        SAY(.path = "r/w/+", .token = 20, .observe = i == 0 ? 1 : i == 1 ? 2 : 0, .block2 = BLOCK(0, 0, 2));
        SAY(.code = COAP_FETCH, .path = "r/w/+", .token = 21, .format = 321, .data = "[{\"n\":\"w/a\"}]", .block2 = BLOCK(0, 0, 2));
    }
    listen_later(t);
}

/* topic-name "t", resource-type "x", topic-history 2 */
static void talk_services(talker *t)
{
    static const char topic[] = "\xa3\x00\x61t\x02\x61x\x08\x02", wanted[] = "\xa1\x02\x61x";

    SAY(.code = COAP_FETCH, .path = "ps", .token = 5, .observe = 1, .format = 607, .data = wanted, .len = 4);
    SAY(.code = COAP_POST, .path = "ps", .format = 607, .data = topic, .len = sizeof topic - 1);
    for (int i = 0; i < 4; i++) SAY(.code = COAP_PUT, .path = "ps/data/t", .data = "v");
    SAY(.path = "ps/data/t", .query = "history");
    SAY(.path = "rd-lookup/res", .token = 6, .observe = 1);
    SAY(.code = COAP_POST, .path = "rd", .query = "ep=lamp&lt=90", .format = 41, .data = "</x>;rt=\"t\"");
    SAY(.path = "rd-lookup/ep", .query = "ep=lamp");
}

static void talk_far(talker *t)
{
    char uri[64], far[128];
    bridge_slot *uplink = NULL;

    snprintf(uri, sizeof uri, "coap://127.0.0.1:%d/r/big", t->port);
    SAY(.code = COAP_PUT, .path = "r/big", .data = "it is read through a proxy");
    SAY(.uri = uri);
    SAY(.uri = uri, .token = 7, .observe = 1);
    snprintf(far, sizeof far, "coap://127.0.0.1:%d/r?as=far/{path...}", t->port);
    bridge_connect(t->b, far, &uplink, NULL);
    turns(t->b, 10);
    SAY(.path = "r/far/big");
    SAY(.path = "r/far/big", .token = 8, .observe = 1);
    SAY(.code = COAP_PUT, .path = "r/far/big", .data = "and changed");
    turns(t->b, 10);
    listen_up(t);
    bridge_slot_close(uplink);
}

static void talk(talker *t)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)t->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    t->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    CHECK(t->fd >= 0 && connect(t->fd, (struct sockaddr *)&to, sizeof to) == 0);
    talk_values(t);
    talk_many(t);
    talk_services(t);
    talk_far(t);
    close(t->fd);
    turns(t->b, 2);
}

/* True when the failing allocation was reached. */
static bool once(long at)
{
    failing f = {.at = at};
    bridge_slot *slot = NULL;
    talker t = {.id = 1};

    if (bridge_new(&t.b, BRIDGE_OPTIONS(.realloc = shaky, .log = quiet, .user = &f), NULL) == 0) {
        if (bridge_listen(t.b, "coap://127.0.0.1:0/r?proxy=coap://127.0.0.1:*", &slot, NULL) == 0) {
            const char *colon = strrchr(bridge_slot_name(slot), ':');

            t.port = colon ? atoi(colon + 1) : 0; /* its name may not have fitted */
            if (t.port) talk(&t);
        }
        bridge_free(t.b);
    }
    CHECK_INT(f.live, 0);
    if (at == 0) CHECK(t.good > 40 && t.bad == 0);
    if (at == 0 && getenv("SHOW")) printf("%u good, %u bad\n", t.good, t.bad);
    return f.count >= at;
}

int main(void)
{
    long at = 1;

    once(0); /* nothing fails: it all works */
    while (once(at) && at < 6000) at++;
    if (getenv("SHOW")) printf("%ld allocations\n", at);
    CHECK(at > 300 && at < 6000);
    return check_done();
}
