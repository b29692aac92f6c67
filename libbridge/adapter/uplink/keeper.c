/* adapter/uplink/keeper.c - one idle handle of paho's, and a wire to it, so that paho's threads neither end nor sleep too long.
 *
 * Paho stops its two threads when its last handle is destroyed, waiting for up to a second and not minding who makes a new one
 * meanwhile.  A handle that is never destroyed prevents that: the one thing that all bridges of a process share.
 *
 * And paho's receiving thread sleeps for a second in a poll() that does not know of a socket that was made meanwhile, nor of one that
 * has just been connected: each connection but the first of a process would wait for that second.  So the idle handle is connected,
 * through the loopback, to ourselves; two bytes on that wire end the sleep.  Where there is no loopback, the second is waited for. */
#include "adapter/uplink/inside.h"
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static pthread_once_t paho_once = PTHREAD_ONCE_INIT;
static struct {
    pthread_mutex_t lock;
    MQTTAsync handle;
    int listener, wire;
    bool greeted;
} paho_keeper = {.lock = PTHREAD_MUTEX_INITIALIZER, .listener = -1, .wire = -1};

static int listen_here(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0) return 0;
    if (bind(fd, (struct sockaddr *)&a, len) == 0 && listen(fd, 1) == 0 && getsockname(fd, (struct sockaddr *)&a, &len) == 0) {
        paho_keeper.listener = fd;
        return ntohs(a.sin_port);
    }
    close(fd);
    return 0;
}

static void begin(void)
{
    MQTTAsync_init_options init = MQTTAsync_init_options_initializer;
    MQTTAsync_connectOptions o = MQTTAsync_connectOptions_initializer;
    char uri[40];
    int port = listen_here();

    init.do_openssl_init = 1;
    MQTTAsync_global_init(&init);
    snprintf(uri, sizeof uri, "tcp://127.0.0.1:%d", port ? port : 1);
    if (MQTTAsync_create(&paho_keeper.handle, uri, "bridge-keeper", MQTTCLIENT_PERSISTENCE_NONE, NULL) != MQTTASYNC_SUCCESS || !port) return;
    o.keepAliveInterval = 0;
    o.MQTTVersion = MQTTVERSION_3_1_1;
    MQTTAsync_connect(paho_keeper.handle, &o);
}

void keeper_begin(void)
{
    pthread_once(&paho_once, begin);
}

static void greet(void)
{
    static const uint8_t connack[] = {0x20, 2, 0, 0};
    char connect[64];

    if (paho_keeper.wire < 0 && paho_keeper.listener >= 0 && (paho_keeper.wire = accept(paho_keeper.listener, NULL, NULL)) >= 0) {
        fcntl(paho_keeper.wire, F_SETFD, FD_CLOEXEC);
        close(paho_keeper.listener);
        paho_keeper.listener = -1;
    }
    if (paho_keeper.wire >= 0 && recv(paho_keeper.wire, connect, sizeof connect, MSG_DONTWAIT) > 0)
        paho_keeper.greeted = send(paho_keeper.wire, connack, sizeof connack, MSG_DONTWAIT | MSG_NOSIGNAL) == sizeof connack;
}

void keeper_nudge(void)
{
    static const uint8_t pingresp[] = {0xd0, 0}; /* paho takes it at any time, and does nothing */

    pthread_mutex_lock(&paho_keeper.lock);
    if (!paho_keeper.greeted) greet();
    else (void)!send(paho_keeper.wire, pingresp, sizeof pingresp, MSG_DONTWAIT | MSG_NOSIGNAL); /* it may be full: then paho has enough to do */
    pthread_mutex_unlock(&paho_keeper.lock);
}
