/* auth/auth.h - password and access-control files, in the formats people have for mosquitto; docs/security.md. */
#ifndef AUTH_AUTH_H
#define AUTH_AUTH_H
#include "base/mem.h"
#include "bridge/bridge.h"

typedef struct auth auth;

/* Either name may be NULL; not both.  Reads the files at once: SYNTAX with the line in err, IO when one cannot be read. */
int auth_new(auth **out, mem *m, const char *password_file, const char *acl_file, bridge_error *err);
auth *auth_ref(auth *a);
void auth_unref(auth *a); /* NULL is fine */
int auth_reload(auth *a, bridge_error *err); /* reads the files again; on failure the old rules stay */
int auth_stage(auth *a, bridge_error *err);  /* the first half of that: what is read waits ... */
void auth_settle(auth *a, bool take);        /* ... to be taken or forgotten; nothing when nothing waits */
void auth_inherit(auth *fresh, const auth *old); /* remembers who has proved a name; either may be NULL */
bool auth_has_passwords(const auth *a); /* NULL has none */
bool auth_has_acl(const auth *a);

/* 0: this is `user`; UNAUTHENTICATED: wrong password, or a name is needed; BUSY: too many proofs lately.
 * Without a password file everybody may claim any name, and none is believed: *proven is false then. */
int auth_login(auth *a, const char *user, const void *secret, size_t secret_len, bool *proven);
/* What the ACL file says; DEFER when there is none.  client: client id, for %c. */
bridge_verdict auth_allows(auth *a, const char *user, const char *client, bridge_verb verb, const char *path);
#endif
