/* adapter/coap/saying.h - a question of ours, option by option; and what others' answers mean here (docs/status.md). */
#ifndef COAP_SAYING_H
#define COAP_SAYING_H
#include "adapter/coap/client.h"
#include "base/buf.h"
#include "base/text.h"

enum { SAYING_MAX = 56 };
typedef struct coap_saying { /* on the stack; options in any order */
    buf bytes;
    coap_option options[SAYING_MAX]; /* p is NULL until coap_saying_done() */
    uint32_t at[SAYING_MAX];
    unsigned count;
    int broken; /* TOOBIG: too many, or too long; NOMEM; SYNTAX: a bad escape */
} coap_saying;

void coap_say_begin(coap_saying *s, mem *m);
void coap_say(coap_saying *s, uint16_t number, const void *p, size_t len);
void coap_say_uint(coap_saying *s, uint16_t number, uint32_t value);
void coap_say_path(coap_saying *s, text path);   /* one Uri-Path a segment; "" none */
void coap_say_query(coap_saying *s, text query); /* "a=1&b=%20": one Uri-Query each, escapes taken away */
void coap_say_escaped_path(coap_saying *s, text path); /* as it stands in a URI, with or without its leading '/' (RFC 7252 6.4) */
int coap_say_end(coap_saying *s);                /* 0: options may be used; or what went wrong */
void coap_say_free(coap_saying *s);

int coap_status_of_code(uint8_t code); /* a bridge_status; RFC 8075 7 by way of docs/status.md */
uint32_t coap_answer_age(const coap_answer *a); /* seconds; 60 when it was not said (RFC 7252 5.10.5) */
/* Location-Path and -Query as a reference: "/a/b?c=1", "?c=1"; it lies in out.  NULL: none was told. */
const char *coap_answer_location(const coap_answer *a, buf *out);
bool coap_etag_same(const coap_answer *a, const uint8_t *etag, size_t len);
#endif
