#include "check.h"
#include "loop/stream.h"
#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int64_t fake_now = 1000;
static int64_t fake_clock(void *user)
{
    (void)user;
    return fake_now;
}

static int fired[3], fired_count;
static timer timers[3];
static void on_timer(timer *t)
{
    fired[fired_count++] = (int)(t - timers);
}

static void timers_follow_the_bridges_clock(void)
{
    loop *l = NULL;

    CHECK_INT(loop_new(&l, mem_default(), fake_clock, NULL), 0);
    timer_start(&timers[0], l, 3000, on_timer);
    timer_start(&timers[1], l, 1000, on_timer);
    timer_start(&timers[2], l, 2000, on_timer);
    timer_stop(&timers[2]);
    CHECK(loop_timeout(l) >= 0 && loop_timeout(l) <= 1000);
    loop_process(l);
    CHECK_INT(fired_count, 0);
    fake_now += 86400000;
    CHECK_INT(loop_timeout(l), 0);
    loop_process(l);
    CHECK_INT(fired_count, 2);
    CHECK(fired[0] == 1 && fired[1] == 0);
    loop_free(l);
}

/* ---- a connection that echoes, driven from outside through one descriptor */

typedef struct echo {
    stream *s;
    loop *l;
    size_t seen;
    int closed, status;
    bool slow; /* leaves bytes over until a line is whole */
} echo;

static size_t echo_data(void *user, const uint8_t *data, size_t len)
{
    echo *e = user;
    size_t used = len;

    if (e->slow)
        while (used && data[used - 1] != '\n')
            used--;
    e->seen += used;
    if (used) stream_write(e->s, data, used);
    return used;
}

static void echo_close(void *user, int status)
{
    echo *e = user;

    e->closed++;
    e->status = status;
    e->s = NULL;
}

static const stream_events echo_events = {.on_data = echo_data, .on_close = echo_close};

static void echo_accept(void *user, stream *s)
{
    echo *e = user;

    e->s = s;
    stream_start(s, &echo_events, e);
}

static int dial(int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    CHECK_INT(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

static void turn_until(loop *l, int fd, short events) /* waits on the loop's descriptor and ours */
{
    for (int i = 0; i < 500; i++) {
        struct pollfd p[2] = {{.fd = loop_fd(l), .events = POLLIN}, {.fd = fd, .events = events}};
        int ms = loop_timeout(l);
        poll(p, 2, ms < 0 || ms > 1000 ? 1000 : ms);
        if (p[1].revents) return;
        loop_process(l);
    }
    CHECK(!"the loop never came to an end");
}

static void a_stream_echoes_and_closes(void)
{
    static char big[3 << 20], back[3 << 20];
    echo e = {.slow = true};
    listener *li = NULL;
    loop *l = NULL;
    size_t sent = 0, got = 0;
    char line[16];
    int fd;

    CHECK_INT(loop_new(&l, mem_default(), NULL, NULL), 0);
    e.l = l;
    CHECK_INT(listener_open(&li, l, &(listener_options){.host = "127.0.0.1"}, echo_accept, &e, NULL), 0);
    fd = dial(listener_port(li));
    CHECK_INT(write(fd, "hel", 3), 3);
    for (int i = 0; i < 3; i++)
        loop_process(l);
    CHECK_INT(e.seen, 0);
    CHECK_INT(write(fd, "lo\n", 3), 3);
    turn_until(l, fd, POLLIN);
    CHECK_INT(read(fd, line, sizeof line), 6);
    CHECK(memcmp(line, "hello\n", 6) == 0);

    e.slow = false;
    for (size_t i = 0; i < sizeof big; i++)
        big[i] = (char)(i * 7 + i / 251);
    while (got < sizeof back) {
        ssize_t n;
        turn_until(l, fd, (short)(sent < sizeof big ? POLLIN | POLLOUT : POLLIN));
        n = sent < sizeof big ? send(fd, big + sent, sizeof big - sent, MSG_DONTWAIT) : 0;
        if (n > 0) sent += (size_t)n;
        loop_process(l);
        n = recv(fd, back + got, sizeof back - got, MSG_DONTWAIT);
        if (n > 0) got += (size_t)n;
    }
    CHECK(memcmp(big, back, sizeof big) == 0);

    stream_write_ref(e.s, big, 100000, NULL, NULL);
    stream_write(e.s, "end", 3);
    stream_close(e.s);
    for (got = 0; got < 100003;) {
        ssize_t n;
        turn_until(l, fd, POLLIN);
        n = recv(fd, back + got, sizeof back - got, MSG_DONTWAIT);
        if (n <= 0) break;
        got += (size_t)n;
    }
    CHECK_INT(got, 100003);
    CHECK(memcmp(back + 100000, "end", 3) == 0);
    for (int i = 0; i < 10 && !e.closed; i++)
        loop_process(l);
    CHECK_INT(e.closed, 1);
    CHECK_INT(e.status, 0);
    close(fd);
    listener_close(li);
    loop_free(l);
}

static int posted;
static void on_post(void *user)
{
    (void)user;
    posted++;
}

static void *poster(void *user)
{
    for (int i = 0; i < 1000; i++)
        while (loop_post(user, on_post, NULL) < 0)
            ;
    loop_post(user, (void (*)(void *))loop_stop, user);
    return NULL;
}

static void posts_come_from_other_threads(void)
{
    pthread_t thread;
    loop *l = NULL;

    CHECK_INT(loop_new(&l, mem_default(), NULL, NULL), 0);
    pthread_create(&thread, NULL, poster, l);
    loop_run(l);
    pthread_join(thread, NULL);
    CHECK_INT(posted, 1000);
    loop_free(l);
}

/* Somebody posts and then sends, while the loop is between waiting and reading. */
typedef struct race {
    stream *s;
    loop *l;
    int fd; /* the one that sends */
    void (*what)(struct race *r);
    bool done, closed;
    char seen[8];
} race;

static void on_race(void *user)
{
    race *r = user;

    r->done = true;
    if (r->what) r->what(r);
}

static size_t race_data(void *user, const uint8_t *data, size_t len)
{
    race *r = user;

    CHECK(r->done);
    CHECK(len < sizeof r->seen);
    memcpy(r->seen, data, len);
    return len;
}

static void race_close(void *user, int status)
{
    race *r = user;

    (void)status;
    r->closed = true;
}

static const stream_events race_events = {.on_data = race_data, .on_close = race_close};

static void race_accept(void *user, stream *s)
{
    race *r = user;

    r->s = s;
    CHECK_INT(loop_post(r->l, on_race, r), 0);
    CHECK_INT(write(r->fd, "sent", 4), 4);
    stream_start(s, &race_events, r);
}

static void race_stops(race *r)
{
    stream_read(r->s, false);
}

static void race_aborts(race *r)
{
    stream_abort(r->s, BRIDGE_DENIED);
}

static race raced(loop *l, void (*what)(race *r))
{
    race r = {.l = l, .what = what};
    listener *li = NULL;

    CHECK_INT(listener_open(&li, l, &(listener_options){.host = "127.0.0.1"}, race_accept, &r, NULL), 0);
    for (int i = 0; i < 3; i++) /* its first look is made; the next comes out of the kernel's list, before a turn's posts are looked at */
        loop_process(l);
    r.fd = dial(listener_port(li));
    for (int i = 0; i < 500 && !r.seen[0] && !r.closed && !(what == race_stops && r.done); i++)
        loop_process(l);
    CHECK(r.done);
    if (what == race_stops) {
        for (int i = 0; i < 5; i++)
            loop_process(l);
        CHECK_STR(r.seen, "");
        stream_read(r.s, true);
        stream_again(r.s);
    }
    close(r.fd);
    for (int i = 0; i < 500 && !r.closed; i++)
        loop_process(l);
    CHECK(r.closed);
    listener_close(li);
    return r;
}

static void what_was_posted_before_bytes_were_sent_comes_before_them(void)
{
    loop *l = NULL;

    CHECK_INT(loop_new(&l, mem_default(), NULL, NULL), 0);
    CHECK_STR(raced(l, NULL).seen, "sent");
    CHECK_STR(raced(l, race_stops).seen, "sent");
    CHECK_STR(raced(l, race_aborts).seen, "");
    loop_free(l);
}

int main(void)
{
    timers_follow_the_bridges_clock();
    a_stream_echoes_and_closes();
    posts_come_from_other_threads();
    what_was_posted_before_bytes_were_sent_comes_before_them();
    return check_done();
}
