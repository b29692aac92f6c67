/* Password and ACL files: what mosquitto's tools write and what mosquitto.conf(5) says. */
#include "auth/acl_file.h"
#include "auth/auth.h"
#include "auth/password_file.h"
#include "base/clock.h"
#include "check.h"
#include <stdlib.h>
#include <unistd.h>

/* Made by mosquitto_passwd 2.0: alice:secret, bob:pw (-H sha512), carol:x with 100,000 rounds. */
#define ALICE "alice:$7$101$IpI2pAvKfkpkpxBE$TfDoALEHqB2v8bq5gGkR80dJbwrrcrC1DF+2hETrMAOwepaLi6wH9/9BVYBTfJBflQeecE05Gfi1pFxvqJWH8Q==\n"
#define BOB "bob:$6$PUKn+D7T2fsuEp8c$FqRWpYpa56Gr+R4ETabTP/4946VfcMi2HRZ5ED2VKNN1/DXoKUQ6tNApWcMjOx0c/zG026AZkn1eHZrdYqm5Zg==\r\n"
#define CAROL "carol:$7$100000$tVxcXC+hvr6jNK8B$1ln6LIIhPYX1e9x4fVLyKvSvP3vD8z7zqrLIZTj1vitL+mLWWr95MAI6tzKE7qZdjzQwUCwmFZRHJRSeEHgrIA==\n"

static int check(passwords *p, const char *user, const char *secret)
{
    return passwords_check(p, text_of(user), secret, strlen(secret), 1000);
}

static void who_knows_the_password_is_who_he_says(void)
{
    passwords *p = NULL;

    CHECK_INT(passwords_read(&p, mem_default(), text_of("# people\n\n" ALICE BOB), "people", NULL), 0);
    for (int again = 0; again < 2; again++) { /* the second time it is remembered */
        CHECK_INT(check(p, "alice", "secret"), 0);
        CHECK_INT(check(p, "bob", "pw"), 0);
        CHECK_INT(check(p, "alice", "Secret"), BRIDGE_UNAUTHENTICATED);
        CHECK_INT(check(p, "alice", ""), BRIDGE_UNAUTHENTICATED);
        CHECK_INT(check(p, "bob", "secret"), BRIDGE_UNAUTHENTICATED);
        CHECK_INT(check(p, "nobody", "secret"), BRIDGE_UNAUTHENTICATED);
        CHECK_INT(check(p, "", ""), BRIDGE_UNAUTHENTICATED);
    }
    CHECK_INT(passwords_check(p, text_of("alice"), NULL, 0, 1000), BRIDGE_UNAUTHENTICATED);
    CHECK_INT(passwords_check(p, text_of("alice"), "secret\0x", 8, 1000), BRIDGE_UNAUTHENTICATED);
    passwords_free(p);
}

static void a_flood_of_wrong_passwords_costs_a_share_of_the_processor(void)
{
    passwords *p = NULL, *fresh = NULL;
    int busy = 0, wrong = 0;
    char guess[16];

    CHECK_INT(passwords_read(&p, mem_default(), text_of(CAROL), "people", NULL), 0);
    CHECK_INT(check(p, "carol", "x"), 0);
    for (int i = 0; i < 100; i++) {
        int rc;
        snprintf(guess, sizeof guess, "guess %d", i);
        rc = check(p, "carol", guess);
        busy += rc == BRIDGE_BUSY;
        wrong += rc == BRIDGE_UNAUTHENTICATED;
    }
    CHECK_INT(busy + wrong, 100);
    CHECK(busy > 50); /* how many were looked at before depends on the machine; with sanitizers maybe none */
    CHECK_INT(check(p, "carol", "x"), 0); /* who is known comes in all the same */
    CHECK_INT(passwords_check(p, text_of("carol"), "another", 7, 1000 + 60000), BRIDGE_UNAUTHENTICATED); /* it has earned again */
    CHECK_INT(passwords_read(&fresh, mem_default(), text_of(CAROL ALICE), "people", NULL), 0);
    passwords_inherit(fresh, p);
    passwords_free(p);
    CHECK_INT(check(fresh, "carol", "x"), 0);
    CHECK_INT(passwords_check(fresh, text_of("alice"), "secret", 6, 1000 + 120000), 0);
    passwords_free(fresh);
}

static void refused_passwords(const char *all, int status, const char *why)
{
    bridge_error err = {0};
    passwords *p = NULL;
    int rc = passwords_read(&p, mem_default(), text_of(all), "people", &err);

    CHECK_INT(rc, status);
    CHECK_STR(err.text, why);
    passwords_free(p);
}

static void a_bad_password_file_is_told_by_its_line(void)
{
    refused_passwords("\nbob:secret\n", BRIDGE_SYNTAX, "people line 2: the password of bob is not hashed: mosquitto_passwd -U does that");
    refused_passwords("bob\n", BRIDGE_SYNTAX, "people line 1: name:hash is wanted, as mosquitto_passwd writes it");
    refused_passwords(":x\n", BRIDGE_SYNTAX, "people line 1: name:hash is wanted, as mosquitto_passwd writes it");
    refused_passwords("bob:\n", BRIDGE_SYNTAX, "people line 1: bob has no password");
    refused_passwords(ALICE "# again\n" ALICE, BRIDGE_SYNTAX, "people line 3: alice stands in line 1 already");
    refused_passwords("bob:$6$AAAA$AAAA", BRIDGE_SYNTAX, "people line 1: the hash of bob is damaged: $6$salt$hash is wanted");
    refused_passwords("bob:$7$0$AAAA$AAAA", BRIDGE_SYNTAX, "people line 1: the hash of bob is damaged: $7$rounds$salt$hash is wanted");
    refused_passwords("bob:$argon2id$v=19", BRIDGE_UNSUPPORTED,
                      "people line 1: the hash of bob is of a kind we do not know: mosquitto_passwd -H sha512-pbkdf2 makes one we do");
}

static acl *acl_of(const char *all)
{
    bridge_error err = {0};
    acl *a = NULL;

    if (acl_read(&a, mem_default(), text_of(all), "rules", &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        check_failed++;
    }
    return a;
}

#define MAY(user, client, access, path)     CHECK(acl_allows(a, user, client, access, path))
#define MAY_NOT(user, client, access, path) CHECK(!acl_allows(a, user, client, access, path))

static void sections_are_as_in_mosquitto(void)
{
    acl *a = acl_of("# who has no name\n"
                    "topic read public/#\n"
                    "user alice\n"
                    "topic home/#\n"
                    "topic deny home/safe/#\n"
                    "topic read $SYS/#\n"
                    "topic write in box/alice\n"
                    "user bob  the builder\r\n"
                    "topic   readwrite   tools/+\n"
                    "user alice\n"
                    "\ttopic write more\n");

    MAY(NULL, "c", ACL_READ, "public/a");
    MAY_NOT(NULL, "c", ACL_WRITE, "public/a");
    MAY_NOT("alice", "c", ACL_READ, "public/a"); /* those lines are for the nameless */
    MAY("alice", "c", ACL_READ, "home");
    MAY("alice", "c", ACL_WRITE, "home/x/y");
    MAY_NOT("alice", "c", ACL_READ, "home/safe/code"); /* deny wins, wherever it stands */
    MAY_NOT("alice", "c", ACL_WRITE, "home/safe");
    MAY("alice", "c", ACL_READ, "$SYS/broker/version");
    MAY_NOT("alice", "c", ACL_READ, "box/alice");
    MAY("alice", "c", ACL_WRITE, "in box/alice");
    MAY("alice", "c", ACL_WRITE, "more");
    MAY_NOT("alice", "c", ACL_READ, "more");
    MAY("bob  the builder", "c", ACL_WRITE, "tools/hammer");
    MAY_NOT("bob  the builder", "c", ACL_WRITE, "tools/hammer/1");
    MAY_NOT("bob", "c", ACL_READ, "tools/hammer");
    MAY_NOT("carol", "c", ACL_READ, "home");
    acl_free(a);

    a = acl_of("# nothing is allowed\n");
    MAY_NOT(NULL, "c", ACL_READ, "a");
    acl_free(a);
}

static void patterns_have_the_names_put_in(void)
{
    acl *a = acl_of("user alice\n"
                    "topic read shared\n"
                    "topic deny users/alice/locked\n"
                    "pattern users/%u/#\n"
                    "pattern read dev/%c/in\n"
                    "pattern write dev/x-%c-%u/out\n"
                    "pattern deny +/%u/private\n"
                    "pattern read all\n");

    MAY("alice", "c7", ACL_WRITE, "users/alice/a/b");
    MAY("bob", "c7", ACL_WRITE, "users/bob");
    MAY_NOT("bob", "c7", ACL_WRITE, "users/alice");
    MAY_NOT("alice", "c7", ACL_READ, "users/alice/locked");
    MAY_NOT("bob", "c7", ACL_READ, "users/bob/private");
    MAY(NULL, "c7", ACL_READ, "dev/c7/in");
    MAY_NOT(NULL, "c7", ACL_WRITE, "dev/c7/in");
    MAY_NOT(NULL, "c8", ACL_READ, "dev/c7/in");
    MAY_NOT(NULL, "c7", ACL_READ, "users//x"); /* %u is nobody's */
    MAY("bob", "c7", ACL_WRITE, "dev/x-c7-bob/out");
    MAY_NOT("bob", "c7", ACL_WRITE, "dev/x-c7-bobby/out");
    MAY_NOT("bob", "c7", ACL_WRITE, "dev/x-c7-bo/out");
    MAY("alice", "c7", ACL_READ, "shared");
    MAY("bob", "c7", ACL_READ, "all");
    MAY_NOT("a/b", "c7", ACL_READ, "all"); /* such names get nothing from patterns */
    MAY_NOT("bob", "+", ACL_READ, "all");
    MAY("alice", "#", ACL_READ, "shared");
    acl_free(a);
}

static void a_subscription_needs_something_to_read(void)
{
    acl *a = acl_of("user alice\ntopic read home/+/temp\ntopic deny secret/#\ntopic write out\npattern read users/%u/#\n");

    CHECK(acl_allows_watch(a, "alice", "c", "#"));
    CHECK(acl_allows_watch(a, "alice", "c", "home/#"));
    CHECK(acl_allows_watch(a, "alice", "c", "home/hall/temp"));
    CHECK(!acl_allows_watch(a, "alice", "c", "home/hall"));
    CHECK(!acl_allows_watch(a, "alice", "c", "secret/#"));
    CHECK(!acl_allows_watch(a, "alice", "c", "secret/+"));
    CHECK(!acl_allows_watch(a, "alice", "c", "out"));
    CHECK(!acl_allows_watch(a, "alice", "c", "+"));
    CHECK(acl_allows_watch(a, "alice", "c", "users/alice/+"));
    CHECK(acl_allows_watch(a, "bob", "c", "users/+/x"));
    CHECK(acl_allows_watch(a, "bob", "c", "users/#"));
    CHECK(!acl_allows_watch(a, "bob", "c", "users/alice/+"));
    CHECK(!acl_allows_watch(a, NULL, "c", "users/+/x"));
    CHECK(!acl_allows_watch(a, "bob", "c", "home/#"));
    acl_free(a);
}

static void refused_acl(const char *all, const char *why)
{
    bridge_error err = {0};
    acl *a = NULL;

    CHECK_INT(acl_read(&a, mem_default(), text_of(all), "rules", &err), BRIDGE_SYNTAX);
    CHECK_STR(err.text, why);
    CHECK(!a);
}

static void a_bad_acl_file_is_told_by_its_line(void)
{
    refused_acl("topic\n", "rules line 1: a topic filter is missing");
    refused_acl("\n# x\ntopic reed home/#\n", "rules line 3: \"reed\" is none of read, write, readwrite and deny");
    refused_acl("users alice\n", "rules line 1: \"users\" is none of topic, pattern and user");
    refused_acl("user\n", "rules line 1: a user's name is missing");
    refused_acl("topic read home/#/x\n", "rules line 1: In \"home/#/x\" the rest (#) is not last.");
    refused_acl("pattern read %u+/x+\n", "rules line 1: In \"+/x+\" a wildcard is only part of a segment.");
}

/* A long section is looked up, a short one walked: both say the same. */
static void thousands_of_lines(void)
{
    enum { LINES = 5000 };
    buf all;
    acl *a = NULL;
    char path[64];
    int64_t before;

    buf_init(&all, mem_default(), 0);
    buf_text(&all, "user alice\n");
    for (int i = 0; i < LINES; i++) {
        buf_print(&all, "topic %s lines/%d/%s\n", i % 7 ? "read" : "deny", i, i % 2 ? "#" : "+");
        buf_print(&all, "pattern write %%u/%d/%%c\n", i);
    }
    before = clock_monotonic();
    CHECK_INT(acl_read(&a, mem_default(), (text){(char *)all.data, all.len}, "rules", NULL), 0);
    for (int i = 0; a && i < LINES; i++) {
        snprintf(path, sizeof path, "lines/%d/x", i);
        CHECK_INT(acl_allows(a, "alice", "c", ACL_READ, path), i % 7 != 0);
        snprintf(path, sizeof path, "lines/%d/x/y", i);
        CHECK_INT(acl_allows(a, "alice", "c", ACL_READ, path), i % 7 != 0 && i % 2 != 0);
        snprintf(path, sizeof path, "bob/%d/c", i);
        MAY("bob", "c", ACL_WRITE, path);
        MAY_NOT("bob", "d", ACL_WRITE, path);
        MAY_NOT("bobo", "c", ACL_WRITE, path);
    }
    CHECK(clock_monotonic() - before < 5000); /* 25,000 questions; a walk each would be 250 million comparisons */
    acl_free(a);
    buf_done(&all);
}

static void put_file(const char *name, const char *all)
{
    FILE *f = fopen(name, "w");

    CHECK(f && fputs(all, f) >= 0 && fclose(f) == 0);
}

static void files_are_read_again(void)
{
    char people[] = "/tmp/bridge-people-XXXXXX", rules[] = "/tmp/bridge-rules-XXXXXX";
    bridge_error err = {0};
    bool proven = false;
    auth *a = NULL;

    close(mkstemp(people));
    close(mkstemp(rules));
    put_file(people, ALICE);
    put_file(rules, "user alice\ntopic read a\n");
    CHECK_INT(auth_new(&a, mem_default(), people, rules, &err), 0);
    CHECK_INT(auth_login(a, "alice", "secret", 6, &proven), 0);
    CHECK(proven);
    CHECK_INT(auth_login(a, NULL, NULL, 0, &proven), BRIDGE_UNAUTHENTICATED);
    CHECK_INT(auth_allows(a, "alice", "c", BRIDGE_GET, "a"), BRIDGE_ALLOW);
    CHECK_INT(auth_allows(a, "alice", "c", BRIDGE_PUT, "a"), BRIDGE_DENY);
    CHECK_INT(auth_allows(a, "alice", "c", BRIDGE_CONNECT, "c"), BRIDGE_DEFER);
    put_file(people, "alice:plain\n");
    put_file(rules, "user alice\ntopic write a\n");
    CHECK_INT(auth_reload(a, &err), BRIDGE_SYNTAX);
    CHECK(strstr(err.text, " line 1: the password of alice is not hashed"));
    CHECK_INT(auth_login(a, "alice", "secret", 6, &proven), 0); /* the old ones stay, both of them */
    CHECK_INT(auth_allows(a, "alice", "c", BRIDGE_PUT, "a"), BRIDGE_DENY);
    put_file(people, BOB);
    CHECK_INT(auth_reload(a, &err), 0);
    CHECK_INT(auth_login(a, "alice", "secret", 6, &proven), BRIDGE_UNAUTHENTICATED);
    CHECK_INT(auth_login(a, "bob", "pw", 2, &proven), 0);
    CHECK_INT(auth_allows(a, "alice", "c", BRIDGE_PUT, "a"), BRIDGE_ALLOW);
    unlink(people);
    CHECK_INT(auth_reload(a, &err), BRIDGE_IO);
    auth_unref(auth_ref(a));
    auth_unref(a);
    a = NULL;
    CHECK_INT(auth_new(&a, mem_default(), NULL, rules, &err), 0);
    CHECK_INT(auth_login(a, "alice", "anything", 8, &proven), 0);
    CHECK(!proven); /* nobody has proved a name here */
    auth_unref(a);
    unlink(rules);
}

/* ---- memory ends at every place where it can */

static int left;

static void *scarce(void *user, void *p, size_t len)
{
    (void)user;
    if (len == 0) {
        free(p);
        return NULL;
    }
    return left-- > 0 ? realloc(p, len) : NULL;
}

static void out_of_memory_is_an_answer(void)
{
    mem *m;
    int n = 0, rc;

    do {
        acl *a = NULL;
        passwords *p = NULL;
        left = 1;
        m = mem_create(scarce, NULL);
        left = n++;
        rc = acl_read(&a, m, text_of("topic a\ntopic b\ntopic c\ntopic d\ntopic e\ntopic f\ntopic g\ntopic h\ntopic i/+\nuser x\n"
                                     "topic j\npattern %u/%c\n"), "rules", NULL);
        if (rc == 0) rc = passwords_read(&p, m, text_of(ALICE BOB), "people", NULL);
        CHECK(rc == 0 || rc == BRIDGE_NOMEM);
        acl_free(a);
        passwords_free(p);
        mem_unref(m);
    } while (rc < 0 && n < 500);
    CHECK_INT(rc, 0);
    CHECK(n > 20);
}

int main(void)
{
    who_knows_the_password_is_who_he_says();
    a_flood_of_wrong_passwords_costs_a_share_of_the_processor();
    a_bad_password_file_is_told_by_its_line();
    sections_are_as_in_mosquitto();
    patterns_have_the_names_put_in();
    a_subscription_needs_something_to_read();
    a_bad_acl_file_is_told_by_its_line();
    thousands_of_lines();
    files_are_read_again();
    out_of_memory_is_an_answer();
    return check_done();
}
