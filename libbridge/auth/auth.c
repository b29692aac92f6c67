#include "auth/auth.h"
#include "auth/acl_file.h"
#include "base/textfile.h"
#include "auth/password_file.h"
#include "base/clock.h"
#include "base/status.h"

struct auth { /* belongs to the loop's thread */
    mem *mem;
    unsigned refs;
    char *password_file, *acl_file; /* or NULL */
    passwords *passwords, *next_passwords; /* next: staged */
    acl *acl, *next_acl;
};

static int read_passwords(const auth *a, passwords **out, bridge_error *err)
{
    buf all;
    int rc = textfile_read(&all, a->mem, a->password_file, err);

    if (rc < 0) return rc;
    rc = passwords_read(out, a->mem, (text){(char *)all.data, all.len}, a->password_file, err);
    textfile_drop(&all);
    return rc;
}

static int read_acl(const auth *a, acl **out, bridge_error *err)
{
    buf all;
    int rc = textfile_read(&all, a->mem, a->acl_file, err);

    if (rc < 0) return rc;
    rc = acl_read(out, a->mem, (text){(char *)all.data, all.len}, a->acl_file, err);
    textfile_drop(&all);
    return rc;
}

int auth_stage(auth *a, bridge_error *err)
{
    int rc = 0;

    auth_settle(a, false);
    if (a->password_file) rc = read_passwords(a, &a->next_passwords, err);
    if (rc == 0 && a->acl_file) rc = read_acl(a, &a->next_acl, err);
    if (rc < 0) auth_settle(a, false);
    return rc;
}

void auth_settle(auth *a, bool take)
{
    if (take && a->next_passwords) {
        if (a->passwords) passwords_inherit(a->next_passwords, a->passwords);
        passwords_free(a->passwords);
        a->passwords = a->next_passwords;
        a->next_passwords = NULL;
    }
    if (take && a->next_acl) {
        acl_free(a->acl);
        a->acl = a->next_acl;
        a->next_acl = NULL;
    }
    passwords_free(a->next_passwords);
    acl_free(a->next_acl);
    a->next_passwords = NULL;
    a->next_acl = NULL;
}

int auth_reload(auth *a, bridge_error *err)
{
    int rc = auth_stage(a, err);

    auth_settle(a, rc == 0);
    return rc;
}

void auth_inherit(auth *fresh, const auth *old)
{
    if (fresh && old && fresh->passwords && old->passwords) passwords_inherit(fresh->passwords, old->passwords);
}

bool auth_has_passwords(const auth *a)
{
    return a && a->passwords != NULL;
}

bool auth_has_acl(const auth *a)
{
    return a && a->acl != NULL;
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
    auth_settle(a, false);
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
