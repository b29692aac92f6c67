/* adapter/http/answer.h - writing answers. */
#ifndef HTTP_ANSWER_H
#define HTTP_ANSWER_H
#include "adapter/http/server.h"

/* RFC 5789 3.1 */
#define ACCEPT_PATCH "Accept-Patch: application/merge-patch+json, application/json-patch+json, application/senml-etch+json, application/senml-etch+cbor\r\n"

typedef struct answer {
    http_conn *conn;
    buf *out;
    int status, rc;
} answer;

/* Starts an answer: status line, Date, CORS, Connection. */
void answer_begin(answer *a, http_conn *c, int status);
void answer_text(answer *a, const char *lines); /* one or more header lines, each with its CRLF */
void answer_field(answer *a, const char *name, text value);
void answer_print(answer *a, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Content-Length, the empty line and the body (left out for HEAD).  owner: the message that the body lies in, or NULL. */
void answer_end(answer *a, const void *body, size_t len, bridge_msg *owner);
void answer_end_of_head(answer *a); /* no length: the body goes on until the connection ends */

/* Whole answers.  problem: application/problem+json (RFC 9457); lines: more header lines or NULL. */
void answer_empty(http_conn *c, int status, const char *lines);
void answer_body(http_conn *c, int status, const char *content_type, const void *body, size_t len);
void answer_problem(http_conn *c, int status, const char *detail, const char *lines);
/* The outcome of a request as its HTTP answer (docs/mapping.md 3); detail may be NULL. */
void answer_failure(http_conn *c, int outcome, const char *detail);
int http_status_of(int outcome);
const char *http_reason(int status);
#endif
