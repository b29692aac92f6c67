#include "auth/auth.h"
#include "auth/acl_file.h"
#include "auth/file.h"
#include "auth/password_file.h"
#include "base/clock.h"
#include "base/status.h"

struct auth { /* belongs to the loop's thread */
    mem *mem;
    unsigned refs;
    char *password_file, *acl_file; /* or NULL */
    passwords *passwords;
    acl *acl;
};

static int read_passwords(const auth *a, passwords **out, bridge_error *err)
{
    buf all;
    int rc = rules_file_read(&all, a->mem, a->password_file, err);

    if (rc < 0) return rc;
    rc = passwords_read(out, a->mem, (text){(char *)all.data, all.len}, a->password_file, err);
    rules_file_drop(&all);
    return rc;
}

static int read_acl(const auth *a, acl **out, bridge_error *err)
{
    buf all;
    int rc = rules_file_read(&all, a->mem, a->acl_file, err);

    if (rc < 0) return rc;
    rc = acl_read(out, a->mem, (text){(char *)all.data, all.len}, a->acl_file, err);
    rules_file_drop(&all);
    return rc;
}

int auth_reload(auth *a, bridge_error *err)
{
    passwords *p = NULL;
    acl *rules = NULL;
    int rc = a->password_file ? read_passwords(a, &p, err) : 0;

    if (rc == 0 && a->acl_file) rc = read_acl(a, &rules, err);
    if (rc < 0) {
        passwords_free(p);
        return rc;
    }
    if (p && a->passwords) passwords_inherit(p, a->passwords);
    passwords_free(a->passwords);
    acl_free(a->acl);
    a->passwords = p;
    a->acl = rules;
    return 0;
}

int auth_new(auth **out, mem *m, const char *password_file, const char *acl_file, bridge_error *err)
{
    auth *a = mem_new(m, auth);
    int rc = 0;

    if (!a) return fail_nomem(err);
    a->mem = m;
    a->refs = 1;
    a->password_file = mem_text(m, password_file);
    a->acl_file = mem_text(m, acl_file);
    if ((password_file && !a->password_file) || (acl_file && !a->acl_file)) rc = fail_nomem(err);
    if (rc == 0) rc = auth_reload(a, err);
    if (rc == 0) *out = a;
    else auth_unref(a);
    return rc;
}

auth *auth_ref(auth *a)
{
    a->refs++;
    return a;
}

void auth_unref(auth *a)
{
    if (!a || --a->refs) return;
    passwords_free(a->passwords);
    acl_free(a->acl);
    mem_free(a->mem, a->password_file);
    mem_free(a->mem, a->acl_file);
    mem_free(a->mem, a);
}

int auth_login(auth *a, const char *user, const void *secret, size_t secret_len, bool *proven)
{
    int rc;

    *proven = false;
    if (!a->passwords) return 0;
    if (!user) return BRIDGE_UNAUTHENTICATED;
    rc = passwords_check(a->passwords, text_of(user), secret, secret_len, clock_monotonic());
    *proven = rc == 0;
    return rc;
}

bridge_verdict auth_allows(auth *a, const char *user, const char *client, bridge_verb verb, const char *path)
{
    bool yes = false;

    if (!a->acl) return BRIDGE_DEFER;
    switch (verb) {
    case BRIDGE_NOTIFY:
    case BRIDGE_GET: yes = acl_allows(a->acl, user, client, ACL_READ, path); break;
    case BRIDGE_WATCH: yes = acl_allows_watch(a->acl, user, client, path); break;
    case BRIDGE_PUT:
    case BRIDGE_POST:
    case BRIDGE_DELETE:
    case BRIDGE_PATCH: yes = acl_allows(a->acl, user, client, ACL_WRITE, path); break;
    case BRIDGE_CONNECT: return BRIDGE_DEFER;
    }
    return yes ? BRIDGE_ALLOW : BRIDGE_DENY;
}
