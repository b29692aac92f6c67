/* udp.h - many client ports towards one server, moved with sendmmsg and recvmmsg. */
#ifndef BENCH_UDP_H
#define BENCH_UDP_H
#include "util.h"

#include <netinet/in.h>

#define UDP_BATCH 64u
#define UDP_SIZE 1400u

typedef void (*udp_fn)(uint32_t port, const uint8_t *p, size_t len);
void udp_open(const char *host, long port, uint32_t ports);
uint8_t *udp_room(uint32_t port);            /* UDP_SIZE bytes for one datagram of that port */
void udp_wrote(uint32_t port, size_t len);   /* goes out at the latest with udp_flush() */
void udp_flush(void);
int udp_turn(int timeout, udp_fn fn);        /* datagrams received */
/* A CoAP option behind those before it, in order (RFC 7252 3.1); returns what follows it.  Shorter than 269 bytes, and less than 269 further on. */
uint8_t *udp_option(uint8_t *p, unsigned *last, unsigned number, const void *value, size_t len);
#endif
