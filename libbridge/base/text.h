/* base/text.h - text as bytes with a length. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H
#include "base/buf.h"
#include <stdbool.h>
#include <string.h>

typedef struct text { /* a slice; not NUL-terminated */
    const char *p;
    size_t len;
} text;

static inline text text_of(const char *s) { return (text){s, s ? strlen(s) : 0}; }
static inline bool text_is(text t, const char *s) { return t.len == strlen(s) && memcmp(t.p, s, t.len) == 0; }
static inline bool text_same(text a, text b) { return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0); }
bool text_is_nocase(text t, const char *s); /* ASCII */
text text_trim(text t);                     /* blanks and tabs off both ends */
bool text_cut(text t, char at, text *head, text *tail); /* at the first `at`; false: none, head is all, tail empty */

/* Well-formed UTF-8 (RFC 3629: no overlong forms, no surrogates, at most U+10FFFF) without NUL. */
bool text_is_utf8(const void *p, size_t len);

bool text_to_u64(text t, uint64_t max, uint64_t *out); /* decimal digits only, all of them, at most max */
bool text_to_bool(text t, bool *out);                  /* 1 0 true false yes no on off */

int text_percent_decode(buf *out, text t);                      /* RFC 3986 2.1; BRIDGE_SYNTAX for a bad escape */
int text_percent_encode(buf *out, text t, const char *safe);    /* unreserved and `safe` stay */

/* The word of a NULL-terminated list that is nearest to `word`, or NULL when none is near: for "did you mean". */
const char *text_nearest(const char *word, const char *const *words);
#endif
