/* auth/password_file.h - who is who: the files that mosquitto_passwd writes.
 *
 *      name:$6$salt$hash            SHA-512 of password and salt
 *      name:$7$rounds$salt$hash     PBKDF2 with HMAC-SHA-512 (RFC 8018 5.2)
 *
 * Proving a password costs what the file asks for (0.1 ms with mosquitto's 101 rounds, 50 ms with 100,000), so that
 *   - the last password that was right, and the last that was wrong, are remembered for each name as keyed hashes: who
 *     comes again costs a microsecond;
 *   - all other proofs together get PASSWORD_SHARE of one processor; beyond that the answer is BUSY.  docs/security.md. */
#ifndef AUTH_PASSWORD_FILE_H
#define AUTH_PASSWORD_FILE_H
#include "base/text.h"
#include "bridge/bridge.h"

typedef struct passwords passwords;

enum {
    PASSWORD_ROUNDS_MAX = 1000000, /* half a second */
    PASSWORD_SHARE = 25,           /* % of one processor for proofs that are not remembered ... */
    PASSWORD_BURST = 250000        /* ... after so many microseconds of it at once */
};

/* text: all of the file; name: what to call it in errors.  SYNTAX, NOMEM. */
int passwords_read(passwords **out, mem *m, text all, const char *name, bridge_error *err);
void passwords_free(passwords *p); /* NULL is fine */
/* What is remembered stays so for names whose line is the same in both, and so does what has been spent. */
void passwords_inherit(passwords *fresh, const passwords *old);
/* 0, UNAUTHENTICATED or BUSY.  now: monotonic ms. */
int passwords_check(passwords *p, text user, const void *secret, size_t len, int64_t now);
#endif
