/* auth/acl_file.h - who may do what: the files that mosquitto reads (mosquitto.conf(5), acl_file).
 *
 *      topic [read|write|readwrite|deny] FILTER       before the first user line: for those without a name
 *      user NAME
 *      topic [read|write|readwrite|deny] FILTER       for this user; deny goes before everything else in the section
 *      pattern [read|write|readwrite|deny] FILTER     for everybody; %u is the user's name, %c the client id
 *
 * What no line allows is denied. */
#ifndef AUTH_ACL_FILE_H
#define AUTH_ACL_FILE_H
#include "base/text.h"
#include "bridge/bridge.h"

typedef struct acl acl;
typedef enum acl_access { ACL_DENY = 0, ACL_READ = 1, ACL_WRITE = 2 } acl_access;

/* text: all of the file; name: what to call it in errors.  SYNTAX, NOMEM. */
int acl_read(acl **out, mem *m, text all, const char *name, bridge_error *err);
void acl_free(acl *a); /* NULL is fine */
/* want: ACL_READ or ACL_WRITE.  user may be NULL. */
bool acl_allows(acl *a, const char *user, const char *client, acl_access want, const char *path);
/* Is there anything below this filter that may be read?  Each delivery is asked for again. */
bool acl_allows_watch(acl *a, const char *user, const char *client, const char *filter);
#endif
