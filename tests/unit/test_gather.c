/* Answers made of many values, over CoAP and HTTP: others are answered in between.  Nothing is timed here: what both ask is sent before the
 * bridge has its next turn, and each turn is ours to give.  A busy kernel may bring the second question late, so there are several tries:
 * were the large answer made in one turn, none of them would succeed. */
#include "adapter/coap/options.h"
#include "bridge/bridge.h"
#include "check.h"
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { COUNT = 20000, ROUNDS = 100000, TRIES = 20 }; /* values; turns until we give up */
#define ETCH_JSON 320

typedef struct scene {
    bridge *b;
    int coap, http; /* ports */
} scene;

static void turn_within(bridge *b, int most)
{
    struct pollfd p = {.fd = bridge_fd(b), .events = POLLIN};
    int wait = bridge_timeout(b);

    poll(&p, 1, wait < 0 || wait > most ? most : wait);
    bridge_process(b);
}

static void turn(bridge *b) { turn_within(b, 100); }

static void on_url(void *user, const char *url)
{
    scene *s = user;
    int port = atoi(strrchr(url, ':') + 1);

    if (strncmp(url, "coap", 4) == 0) s->coap = port;
    else s->http = port;
}

static void put(bridge *b, const char *path, const char *value)
{
    bridge_msg *m = NULL;

    CHECK_INT(bridge_msg_new(&m, BRIDGE_FIELDS(.path = path, .data = value, .len = strlen(value), .retain = true, .format = BRIDGE_TEXT)), 0);
    CHECK_INT(bridge_publish(b, m), 0);
    bridge_msg_unref(m);
}

static void scene_open(scene *s)
{
    char path[32];

    CHECK_INT(bridge_new(&s->b, BRIDGE_OPTIONS(.log_level = BRIDGE_LOG_ERROR, .max_message = 8 << 20), NULL), 0);
    CHECK_INT(bridge_listen(s->b, "coap://127.0.0.1:0/r", NULL, NULL), 0);
    CHECK_INT(bridge_listen(s->b, "http://127.0.0.1:0", NULL, NULL), 0);
    bridge_listeners(s->b, on_url, s);
    for (int i = 0; i < COUNT; i++) {
        snprintf(path, sizeof path, "many/%05d", i);
        put(s->b, path, "21.5");
        if (i % 500 == 0) turn_within(s->b, 0);
    }
    put(s->b, "one", "1");
    for (int i = 0; i < 8; i++) turn_within(s->b, 0);
}

static int dial(int kind, int port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, kind | SOCK_CLOEXEC, 0);

    CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0);
    return fd;
}

/* ---- CoAP */

typedef struct question {
    uint8_t code, token;
    uint16_t id;
    const char *folder, *name, *query, *fetch;
    int observe, accept; /* + 1 */
} question;

static void ask(int fd, const question *q)
{
    uint8_t bytes[512];
    coap_token token = {1, {q->token}};
    coap_writer w;
    int64_t len;

    coap_write_datagram(&w, bytes, sizeof bytes, COAP_CON, q->code, q->id, &token);
    if (q->observe) coap_write_uint(&w, COAP_OBSERVE, (uint32_t)q->observe - 1);
    coap_write_option(&w, COAP_URI_PATH, q->folder, strlen(q->folder));
    for (const char *at = q->name; at; at = strchr(at, '/') ? strchr(at, '/') + 1 : NULL) coap_write_option(&w, COAP_URI_PATH, at, strcspn(at, "/"));
    if (q->fetch) coap_write_uint(&w, COAP_CONTENT_FORMAT, ETCH_JSON);
    if (q->query) coap_write_option(&w, COAP_URI_QUERY, q->query, strlen(q->query));
    if (q->accept) coap_write_uint(&w, COAP_ACCEPT, (uint32_t)q->accept - 1);
    if (q->fetch) coap_write_payload(&w, q->fetch, strlen(q->fetch));
    len = coap_write_end(&w);
    CHECK(len > 0 && send(fd, w.start, (size_t)len, 0) == len);
}

/* The next that is more than an acknowledgement; 0: none yet. */
static uint8_t heard(int fd, coap_packet *packet, uint8_t *bytes, size_t room)
{
    uint8_t ack[COAP_EMPTY_LEN];
    ssize_t n;

    while ((n = recv(fd, bytes, room, MSG_DONTWAIT)) > 0) {
        if (coap_parse_datagram(packet, bytes, (size_t)n) != COAP_PARSED) continue;
        if (packet->type == COAP_CON) send(fd, ack, coap_write_empty(ack, COAP_ACK, packet->id), 0);
        if (packet->code) return packet->code;
    }
    return 0;
}

static uint8_t wait_for(scene *s, int fd, coap_packet *packet, uint8_t *bytes, size_t room)
{
    uint8_t code = 0;

    for (int i = 0; i < ROUNDS && !(code = heard(fd, packet, bytes, room)); i++) turn(s->b);
    return code;
}

static bool has(const coap_packet *p, const char *word)
{
    return memmem(p->payload, p->payload_len, word, strlen(word)) != NULL;
}

/* The large question comes first, the small one right behind it; true: that is answered first. */
static bool small_one_first(scene *s, question large, const char *begins)
{
    bool first;
    int many = dial(SOCK_DGRAM, s->coap), few = dial(SOCK_DGRAM, s->coap);
    uint8_t bytes[2048];
    coap_packet p;

    large.token = 1;
    ask(many, &large);
    ask(few, &(question){.code = COAP_GET, .token = 2, .folder = "r", .name = "one"});
    CHECK_INT(wait_for(s, few, &p, bytes, sizeof bytes), COAP_CONTENT);
    CHECK(has(&p, "1"));
    first = heard(many, &p, bytes, sizeof bytes) == 0;
    CHECK_INT(first ? wait_for(s, many, &p, bytes, sizeof bytes) : p.code, COAP_CONTENT);
    CHECK(p.token.len == 1 && p.token.bytes[0] == 1 && has(&p, begins));
    close(many), close(few);
    return first;
}

static void nobody_waits(scene *s, question large, const char *begins)
{
    int tries = 1;

    while (!small_one_first(s, large, begins) && tries < TRIES) tries++;
    CHECK(tries < TRIES);
}

static void over_coap(scene *s)
{
    nobody_waits(s, (question){.code = COAP_GET, .folder = "r", .name = "many/+"}, "{\"many/");
    nobody_waits(s, (question){.code = COAP_GET, .folder = "r", .name = "#", .accept = 1 + 110}, "[{\"bver\"");
    nobody_waits(s, (question){.code = COAP_FETCH, .folder = "r", .name = "many/+", .fetch = "[{\"n\":\"many/19999\"},{\"n\":\"many/00003\"}]"},
                    "many/19999");
    nobody_waits(s, (question){.code = COAP_GET, .folder = ".well-known", .name = "core", .query = "href=/r/many/19999"}, "</r/many/19999>");
}

/* Who watches many is told them all, and then again what has changed while they were gathered; nobody waits. */
static void a_watcher(scene *s)
{
    int many = dial(SOCK_DGRAM, s->coap), few = dial(SOCK_DGRAM, s->coap);
    uint8_t bytes[2048];
    coap_packet p;

    ask(many, &(question){.code = COAP_FETCH, .token = 1, .folder = "r", .name = "many/+", .fetch = "[{\"n\":\"many/00000\"}]", .observe = 1});
    ask(few, &(question){.code = COAP_GET, .token = 2, .folder = "r", .name = "one"});
    CHECK_INT(wait_for(s, few, &p, bytes, sizeof bytes), COAP_CONTENT);
    put(s->b, "many/00000", "22.5"); /* the newest come first: it will be gathered with this value, or with the old one and then again */
    CHECK_INT(wait_for(s, many, &p, bytes, sizeof bytes), COAP_CONTENT);
    while (!has(&p, "22.5") && wait_for(s, many, &p, bytes, sizeof bytes) == COAP_CONTENT) {}
    CHECK(has(&p, "22.5"));
    put(s->b, "many/00000", "23.5");
    while (wait_for(s, many, &p, bytes, sizeof bytes) == COAP_CONTENT && !has(&p, "23.5")) {}
    CHECK(has(&p, "23.5"));
    close(many), close(few);
}

/* Several at a time: each has its turn; who cancels, or leaves in the middle, leaves nothing. */
static void several(scene *s)
{
    int fds[4];
    uint8_t bytes[2048];
    coap_packet p;

    for (int i = 0; i < 4; i++) {
        fds[i] = dial(SOCK_DGRAM, s->coap);
        ask(fds[i], &(question){.code = COAP_GET, .token = 1, .folder = "r", .name = "many/+", .observe = 1});
    }
    turn(s->b);
    ask(fds[1], &(question){.code = COAP_GET, .token = 1, .id = 1, .folder = "r", .name = "many/+", .observe = 2});
    ask(fds[2], &(question){.code = COAP_GET, .token = 1, .id = 1, .folder = "r", .name = "many/+", .observe = 1});
    for (int i = 0; i < 4; i++) CHECK_INT(wait_for(s, fds[i], &p, bytes, sizeof bytes), COAP_CONTENT);
    ask(fds[0], &(question){.code = COAP_GET, .token = 4, .id = 9, .folder = "r", .name = "many/+"});
    turn(s->b);
    for (int i = 0; i < 4; i++) close(fds[i]);
}

/* ---- HTTP */

static void shout(int fd, const char *target)
{
    char head[256];
    int n = snprintf(head, sizeof head, "GET %s HTTP/1.1\r\nHost: t\r\n\r\n", target);

    CHECK(send(fd, head, (size_t)n, MSG_NOSIGNAL) == n);
}

/* Adds what has come; true: it ends so. */
static bool ends(int fd, char *bytes, size_t *len, size_t room, const char *end)
{
    ssize_t n;

    while (*len < room && (n = recv(fd, bytes + *len, room - *len, MSG_DONTWAIT)) > 0) *len += (size_t)n;
    return *len >= strlen(end) && memcmp(bytes + *len - strlen(end), end, strlen(end)) == 0;
}

static bool over_http(scene *s, const char *target, const char *contains)
{
    bool first;
    int many = dial(SOCK_STREAM, s->http), few = dial(SOCK_STREAM, s->http);
    size_t room = 4 << 20, all = 0, little = 0;
    char *bytes = malloc(room), answer[2048];

    shout(many, "/healthz"), shout(few, "/healthz"); /* both are known from here on */
    for (int i = 0; i < ROUNDS && !ends(many, bytes, &all, room, "ok\n"); i++) turn(s->b);
    for (int i = 0; i < ROUNDS && !ends(few, answer, &little, sizeof answer, "ok\n"); i++) turn(s->b);
    all = little = 0;
    shout(many, target), shout(few, "/healthz");
    for (int i = 0; i < ROUNDS && !ends(few, answer, &little, sizeof answer, "ok\n"); i++) turn(s->b);
    CHECK(little > 0);
    first = !ends(many, bytes, &all, room, "0\r\n\r\n");
    for (int i = 0; i < ROUNDS && !ends(many, bytes, &all, room, "0\r\n\r\n"); i++) turn(s->b);
    CHECK(all > 0 && memmem(bytes, all, contains, strlen(contains)));
    free(bytes);
    close(many), close(few);
    return first;
}

static void nobody_waits_there(scene *s, const char *target, const char *contains)
{
    int tries = 1;

    while (!over_http(s, target, contains) && tries < TRIES) tries++;
    CHECK(tries < TRIES);
}

int main(void)
{
    scene s = {0};

    scene_open(&s);
    over_coap(&s);
    a_watcher(&s);
    several(&s);
    nobody_waits_there(&s, "/.well-known/core", "</resources/many/19999>");
    nobody_waits_there(&s, "/.well-known/core?href=/resources/many/19999", "</resources/many/19999>");
    nobody_waits_there(&s, "/resources/many/%2B", "\"many/19999\"");
    bridge_free(s.b);
    return check_done();
}
