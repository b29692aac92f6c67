/* loop/psk.h - pre-shared keys, in a file as mosquitto's psk_file: one "identity:hexadecimal key" a line. */
#ifndef LOOP_PSK_H
#define LOOP_PSK_H
#include "base/text.h"
#include "bridge/bridge.h"

typedef struct psks psks;
enum { PSK_MAX = 64 }; /* bytes of one key */

int psks_read(psks **out, mem *m, const char *file, bridge_error *err); /* IO, SYNTAX, NOMEM */
void psks_free(psks *p);                                                /* NULL is fine; the keys are cleansed */
unsigned psks_find(const psks *p, text identity, uint8_t *key, size_t room); /* the key's length; 0: nobody we know */
int psks_only(const psks *p, text *identity); /* borrow; the one that is there; INVALID: there are more, or none */
#endif
