#include "auth/acl_file.h"
#include "base/textfile.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/map.h"
#include "base/status.h"
#include "core/ptrie.h"

enum { LINEAR = 8 }; /* up to so many lines are simply tried one by one */

typedef struct acl_line {
    ptrie_entry entry; /* its pattern has '+' where a segment has %u or %c */
    struct acl_line *next;
    pattern *pattern;
    const char *said; /* with %u and %c; NULL: there are none */
    uint8_t access;   /* acl_access */
    bool by_user;
} acl_line;

typedef struct section {
    acl_line *lines;
    size_t count;
    ptrie trie; /* when there are more than LINEAR of them */
    char name[];
} section;

struct acl {
    mem *mem;
    map users;           /* sections by name */
    section *anonymous, *patterns;
    ptrie_found found;   /* scratch */
    uint64_t seed;
};

typedef struct asker {
    text user, client; /* user.p NULL: anonymous */
} asker;

/* ---- reading */

static section *section_new(acl *a, text name)
{
    section *s = mem_zalloc(a->mem, sizeof *s + name.len + 1);

    if (!s) return NULL;
    if (name.len) memcpy(s->name, name.p, name.len);
    ptrie_init(&s->trie, a->mem, a->seed);
    return s;
}

static void section_free(acl *a, section *s)
{
    if (!s) return;
    ptrie_done(&s->trie);
    while (s->lines) {
        acl_line *l = s->lines;
        s->lines = l->next;
        mem_free(a->mem, l->pattern);
        mem_free(a->mem, l);
    }
    mem_free(a->mem, s);
}

static int section_add(section *s, acl_line *l)
{
    int rc = 0;

    l->entry.pattern = l->pattern;
    l->next = s->lines;
    s->lines = l;
    if (++s->count <= LINEAR) return 0;
    for (acl_line *x = l; x && rc == 0; x = x->next) {
        if (x->entry.node) break; /* all that are behind it are in, too */
        rc = ptrie_add(&s->trie, &x->entry);
    }
    return rc;
}

static bool has_variable(text t)
{
    for (size_t i = 0; i + 1 < t.len; i++)
        if (t.p[i] == '%' && (t.p[i + 1] == 'u' || t.p[i + 1] == 'c')) return true;
    return false;
}

static bool mentions(text t, char which)
{
    for (size_t i = 0; i + 1 < t.len; i++)
        if (t.p[i] == '%' && t.p[i + 1] == which) return true;
    return false;
}

/* "home/%u-lamp/#" is looked up as "home/+/#". */
static int plus_for_variables(buf *out, text filter)
{
    text segment;
    int rc = 0;

    for (path_walk w = path_start(filter.p, filter.len); rc == 0 && path_next(&w, &segment);) {
        if (segment.p != filter.p) rc = buf_put_u8(out, '/');
        if (rc == 0) rc = has_variable(segment) ? buf_put_u8(out, '+') : buf_put(out, segment.p, segment.len);
    }
    return rc;
}

static int line_new(acl *a, const textfile *at, text filter, bool variables, acl_line **out, bridge_error *err)
{
    bool some = variables && has_variable(filter);
    acl_line *l = mem_zalloc(a->mem, sizeof *l + (some ? filter.len + 1 : 0));
    bridge_error why = {0};
    buf plain;
    int rc = l ? 0 : BRIDGE_NOMEM;

    buf_init(&plain, a->mem, 0);
    if (rc == 0 && some) {
        memcpy(l + 1, filter.p, filter.len);
        l->said = (const char *)(l + 1);
        l->by_user = mentions(filter, 'u');
        rc = plus_for_variables(&plain, filter);
        filter = (text){(const char *)plain.data, plain.len};
    }
    if (rc < 0) fail_nomem(err);
    else rc = pattern_new(a->mem, &l->pattern, filter.p, filter.len, PATTERN_FILTER, &why);
    if (rc < 0 && why.status) textfile_fail(at, err, rc == BRIDGE_NOMEM ? rc : BRIDGE_SYNTAX, "%s", why.text);
    buf_done(&plain);
    if (rc == 0) *out = l;
    else mem_free(a->mem, l);
    return rc == BRIDGE_NOMEM || rc == 0 ? rc : BRIDGE_SYNTAX;
}

static const struct access_word {
    const char *word;
    uint8_t access;
} access_words[] = {{"read", ACL_READ}, {"write", ACL_WRITE}, {"readwrite", ACL_READ | ACL_WRITE}, {"deny", ACL_DENY}};

static text without_blanks(text t)
{
    while (t.len && (*t.p == ' ' || *t.p == '\t')) {
        t.p++;
        t.len--;
    }
    return t;
}

static bool cut_word(text t, text *word, text *rest)
{
    size_t n = 0;

    while (n < t.len && t.p[n] != ' ' && t.p[n] != '\t') n++;
    *word = (text){t.p, n};
    *rest = without_blanks((text){t.p + n, t.len - n});
    return rest->len > 0;
}

/* What stands behind "topic" or "pattern".  A filter may have blanks in it, but then the access must be said. */
static int read_filter(acl *a, section *s, const textfile *at, text said, bridge_error *err)
{
    uint8_t access = ACL_READ | ACL_WRITE;
    text word, rest;
    acl_line *l;
    size_t i = 0;
    int rc;

    if (said.len == 0) return textfile_fail(at, err, BRIDGE_SYNTAX, "a topic filter is missing");
    if (cut_word(said, &word, &rest)) {
        while (i < 4 && !text_is(word, access_words[i].word)) i++;
        if (i == 4)
            return textfile_fail(at, err, BRIDGE_SYNTAX, "\"%.*s\" is none of read, write, readwrite and deny",
                              word.len < 60 ? (int)word.len : 60, word.p);
        access = access_words[i].access;
        said = rest;
    }
    rc = line_new(a, at, said, s == a->patterns, &l, err);
    if (rc < 0) return rc;
    l->access = access;
    rc = section_add(s, l);
    return rc < 0 ? fail_nomem(err) : 0;
}

static section *section_of(acl *a, text name)
{
    section *s = map_get(&a->users, name.p, name.len);
    void *old;

    if (s) return s;
    s = section_new(a, name);
    if (!s || map_put(&a->users, s->name, name.len, s, &old) == 0) return s;
    section_free(a, s);
    return NULL;
}

static int read_line(acl *a, section **now, const textfile *at, text line, bridge_error *err)
{
    text word, rest;

    cut_word(without_blanks(line), &word, &rest);
    if (text_is(word, "topic")) return read_filter(a, *now, at, rest, err);
    if (text_is(word, "pattern")) return read_filter(a, a->patterns, at, rest, err);
    if (!text_is(word, "user"))
        return textfile_fail(at, err, BRIDGE_SYNTAX, "\"%.*s\" is none of topic, pattern and user",
                          word.len < 60 ? (int)word.len : 60, word.p);
    if (rest.len == 0) return textfile_fail(at, err, BRIDGE_SYNTAX, "a user's name is missing");
    if (memchr(rest.p, 0, rest.len)) return textfile_fail(at, err, BRIDGE_SYNTAX, "there is a NUL in the name");
    *now = section_of(a, rest);
    return *now ? 0 : fail_nomem(err);
}

int acl_read(acl **out, mem *m, text all, const char *name, bridge_error *err)
{
    textfile l = {.name = name, .rest = all};
    acl *a = mem_new(m, acl);
    section *now;
    text line;
    int rc = 0;

    if (!a) return fail_nomem(err);
    a->mem = a->found.mem = m;
    random_bytes(&a->seed, sizeof a->seed);
    map_init(&a->users, m, a->seed);
    now = a->anonymous = section_new(a, (text){NULL, 0});
    a->patterns = section_new(a, (text){NULL, 0});
    if (!a->anonymous || !a->patterns) rc = fail_nomem(err);
    while (rc == 0 && textfile_next(&l, &line)) rc = read_line(a, &now, &l, line, err);
    if (rc == 0) *out = a;
    else acl_free(a);
    return rc;
}

void acl_free(acl *a)
{
    size_t at = 0;
    section *s;

    if (!a) return;
    while ((s = map_next(&a->users, &at))) section_free(a, s);
    map_done(&a->users);
    section_free(a, a->anonymous);
    section_free(a, a->patterns);
    ptrie_found_done(&a->found);
    mem_free(a->mem, a);
}

/* ---- asking */

/* Is `segment` what `said` is with the names put in? */
static bool segment_is(text said, text segment, const asker *who)
{
    size_t at = 0;

    for (size_t i = 0; i < said.len; i++) {
        bool variable = i + 1 < said.len && said.p[i] == '%' && (said.p[i + 1] == 'u' || said.p[i + 1] == 'c');
        text put = {said.p + i, 1};
        if (variable) put = said.p[++i] == 'u' ? who->user : who->client;
        if (segment.len - at < put.len || (put.len && memcmp(segment.p + at, put.p, put.len) != 0)) return false;
        at += put.len;
    }
    return at == segment.len;
}

static bool is_wild(text t)
{
    return t.len == 1 && (*t.p == '+' || *t.p == '#');
}

/* The pattern matched with '+' for what depends on who asks; now those segments are looked at. */
static bool names_fit(const acl_line *l, const char *path, size_t len, const asker *who, bool wildcards)
{
    path_walk s, p = path_start(path, len);
    text said, segment;

    if (!l->said) return true;
    if (l->by_user && !who->user.p) return false;
    s = path_start(l->said, strlen(l->said));
    while (path_next(&s, &said) && path_next(&p, &segment)) {
        if (wildcards && is_wild(segment)) {
            if (*segment.p == '#') break;
            continue;
        }
        if (has_variable(said) && !segment_is(said, segment, who)) return false;
    }
    return true;
}

typedef enum word { NO_WORD, YES, NO } word;

static bool says(const acl_line *l, const char *path, size_t len, const asker *who, acl_access want, word *so_far)
{
    if (!names_fit(l, path, len, who, false)) return false;
    if (l->access == ACL_DENY) *so_far = NO;
    else if (l->access & want) *so_far = YES;
    return l->access == ACL_DENY; /* nothing outweighs it */
}

static word ask(acl *a, section *s, const asker *who, acl_access want, const char *path, size_t len)
{
    word w = NO_WORD;

    if (s->count <= LINEAR) {
        for (acl_line *l = s->lines; l; l = l->next)
            if (pattern_match(l->pattern, path, len, NULL) && says(l, path, len, who, want, &w)) break;
        return w;
    }
    if (ptrie_all(&s->trie, path, len, &a->found) < 0) return NO;
    for (size_t i = 0; i < a->found.count; i++)
        if (says(list_of(a->found.at[i], acl_line, entry), path, len, who, want, &w)) break;
    return w;
}

/* As mosquitto has it: such a name would reach into what belongs to others. */
static bool is_dangerous(const asker *who)
{
    for (int i = 0; i < 2; i++) {
        text t = i ? who->client : who->user;
        if (t.len && (memchr(t.p, '+', t.len) || memchr(t.p, '#', t.len) || memchr(t.p, '/', t.len))) return true;
    }
    return false;
}

static section *section_for(const acl *a, const asker *who)
{
    return who->user.p ? map_get(&a->users, who->user.p, who->user.len) : a->anonymous;
}

bool acl_allows(acl *a, const char *user, const char *client, acl_access want, const char *path)
{
    asker who = {text_of(user), text_of(client)};
    section *own = section_for(a, &who);
    size_t len = strlen(path);
    word w = own ? ask(a, own, &who, want, path, len) : NO_WORD;

    if (w != NO_WORD) return w == YES;
    if (!a->patterns->count || is_dangerous(&who)) return false;
    return ask(a, a->patterns, &who, want, path, len) == YES;
}

static word ask_watch(const section *s, const pattern *filter, const asker *who)
{
    word w = NO_WORD;

    for (const acl_line *l = s->lines; l; l = l->next) {
        if (l->access == ACL_DENY && !l->said && pattern_covers(l->pattern, filter)) return NO;
        if ((l->access & ACL_READ) && w == NO_WORD && pattern_overlaps(l->pattern, filter) &&
            names_fit(l, filter->text, filter->len, who, true))
            w = YES;
    }
    return w;
}

bool acl_allows_watch(acl *a, const char *user, const char *client, const char *filter)
{
    asker who = {text_of(user), text_of(client)};
    section *own = section_for(a, &who);
    pattern_room room;
    pattern p;
    word w;

    if (pattern_read(&p, &room, filter, strlen(filter), PATTERN_FILTER, NULL) < 0) return false;
    if (pattern_is_literal(&p)) return acl_allows(a, user, client, ACL_READ, filter);
    w = own ? ask_watch(own, &p, &who) : NO_WORD;
    if (w != NO_WORD) return w == YES;
    if (!a->patterns->count || is_dangerous(&who)) return false;
    return ask_watch(a->patterns, &p, &who) == YES;
}
