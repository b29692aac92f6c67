#include "adapter/http/answer.h"
#include "adapter/http/cors.h"
#include "adapter/http/event.h"
#include <stdarg.h>
#include <stdio.h>

static const struct {
    int status;
    const char *reason;
} reasons[] = {
    {100, "Continue"}, {101, "Switching Protocols"}, {200, "OK"}, {201, "Created"}, {202, "Accepted"}, {204, "No Content"},
    {206, "Partial Content"}, {304, "Not Modified"}, {308, "Permanent Redirect"}, {400, "Bad Request"}, {401, "Unauthorized"},
    {403, "Forbidden"}, {404, "Not Found"}, {405, "Method Not Allowed"}, {406, "Not Acceptable"}, {408, "Request Timeout"},
    {409, "Conflict"}, {412, "Precondition Failed"}, {413, "Content Too Large"}, {414, "URI Too Long"},
    {415, "Unsupported Media Type"}, {416, "Range Not Satisfiable"}, {417, "Expectation Failed"}, {422, "Unprocessable Content"},
    {426, "Upgrade Required"}, {429, "Too Many Requests"}, {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"}, {501, "Not Implemented"}, {502, "Bad Gateway"}, {503, "Service Unavailable"},
    {504, "Gateway Timeout"}, {508, "Loop Detected"}, {505, "HTTP Version Not Supported"},
};

const char *http_reason(int status)
{
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (reasons[i].status == status) return reasons[i].reason;
    return "";
}

/* The one table, docs/mapping.md 3 and docs/status.md. */
int http_status_of(int outcome)
{
    switch (outcome) {
    case BRIDGE_OK: return 200;
    case BRIDGE_CREATED: return 201;
    case BRIDGE_UNHEARD: return 202;
    case BRIDGE_VALID: return 304;
    case BRIDGE_SYNTAX:
    case BRIDGE_INVALID: return 400;
    case BRIDGE_UNAUTHENTICATED: return 401;
    case BRIDGE_DENIED: return 403;
    case BRIDGE_NOTFOUND: return 404;
    case BRIDGE_METHOD: return 405;
    case BRIDGE_NOTACCEPTABLE: return 406;
    case BRIDGE_EXISTS:
    case BRIDGE_CONFLICT: return 409;
    case BRIDGE_PRECONDITION: return 412;
    case BRIDGE_TOOBIG: return 413;
    case BRIDGE_FORMAT: return 415;
    case BRIDGE_UNPROCESSABLE: return 422;
    case BRIDGE_BUSY: return 429;
    case BRIDGE_UNSUPPORTED: return 501;
    case BRIDGE_PROTOCOL:
    case BRIDGE_UNREACHABLE: return 502;
    case BRIDGE_NOMEM:
    case BRIDGE_CANCELED:
    case BRIDGE_CLOSED: return 503;
    case BRIDGE_TIMEOUT: return 504;
    default: return 500;
    }
}

static const char *date_now(http_port *p)
{
    int64_t second = loop_calendar(p->loop) / 1000;

    if (second != p->date_second) {
        p->date_second = second;
        date_print(p->date, second);
    }
    return p->date;
}

static void put(answer *a, const void *p, size_t len)
{
    if (a->rc == 0) a->rc = buf_put(a->out, p, len);
}

/* An answer that is the same for all says so; one that depends on who asks must not be kept for others (Fetch 3.3.7). */
static void put_cors(answer *a, const cors *rules)
{
    const http_conn *c = a->conn;

    if (!rules->any) answer_text(a, "Vary: Origin\r\n");
    if (rules->any) answer_text(a, "Access-Control-Allow-Origin: *\r\n");
    else if (c->allowed) answer_field(a, "Access-Control-Allow-Origin", text_of(c->origin));
    if (c->allowed) answer_text(a, rules->always);
}

void answer_begin(answer *a, http_conn *c, int status)
{
    http_port *p = c->port;

    *a = (answer){.conn = c, .out = &p->out, .status = status};
    buf_clear(a->out);
    if (status == 200) answer_text(a, "HTTP/1.1 200 OK\r\nDate: ");
    else answer_print(a, "HTTP/1.1 %d %s\r\nDate: ", status, http_reason(status));
    put(a, date_now(p), DATE_LEN);
    answer_text(a, "\r\n");
    if (p->cors) put_cors(a, p->cors);
    if (c->waits) answer_text(a, "Preference-Applied: wait\r\n");
    if (!c->keep_alive) answer_text(a, "Connection: close\r\n");
    else if (c->minor0) answer_text(a, "Connection: keep-alive\r\n");
}

void answer_text(answer *a, const char *lines)
{
    put(a, lines, strlen(lines));
}

void answer_field(answer *a, const char *name, text value)
{
    answer_text(a, name);
    put(a, ": ", 2);
    put(a, value.p, value.len);
    put(a, "\r\n", 2);
}

void answer_print(answer *a, const char *format, ...)
{
    char line[512];
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    put(a, line, n < (int)sizeof line ? (size_t)n : sizeof line - 1);
}

static void unref(void *msg)
{
    bridge_msg_unref(msg);
}

static void write_out(answer *a, const void *body, size_t len, bridge_msg *owner)
{
    http_conn *c = a->conn;

    if (a->rc == 0) a->rc = stream_write(c->s, a->out->data, a->out->len);
    if (a->rc == 0 && len > 0) {
        if (owner && len >= HTTP_REF_BYTES) {
            a->rc = stream_write_ref(c->s, body, len, unref, bridge_msg_ref(owner));
            if (a->rc < 0) bridge_msg_unref(owner);
        } else {
            a->rc = stream_write(c->s, body, len);
        }
    }
    if (a->status >= 400) c->port->errors++;
    if (a->rc < 0 && a->rc != BRIDGE_CLOSED) stream_abort(c->s, a->rc); /* half an answer is none */
}

void answer_end(answer *a, const void *body, size_t len, bridge_msg *owner)
{
    char line[48];
    int n;

    if (a->status == 204 || a->status == 304 || a->status < 200) { /* RFC 9110 8.6: no length where no content can be */
        put(a, "\r\n", 2);
        len = 0;
    } else {
        n = snprintf(line, sizeof line, "Content-Length: %zu\r\n\r\n", len);
        put(a, line, (size_t)n);
    }
    write_out(a, body, a->conn->head_only ? 0 : len, owner);
}

void answer_end_of_head(answer *a)
{
    put(a, "\r\n", 2);
    write_out(a, NULL, 0, NULL);
}

void answer_empty(http_conn *c, int status, const char *lines)
{
    answer a;

    answer_begin(&a, c, status);
    if (lines) answer_text(&a, lines);
    answer_end(&a, NULL, 0, NULL);
}

void answer_body(http_conn *c, int status, const char *content_type, const void *body, size_t len)
{
    answer a;

    answer_begin(&a, c, status);
    answer_field(&a, "Content-Type", text_of(content_type));
    answer_text(&a, "Cache-Control: no-cache\r\n");
    answer_end(&a, body, len, NULL);
}

void answer_problem(http_conn *c, int status, const char *detail, const char *lines)
{
    answer a;
    buf b;
    int rc;

    buf_init(&b, c->port->mem, 0);
    rc = buf_print(&b, "{\"title\":\"%s\",\"status\":%d", http_reason(status), status);
    if (rc == 0 && detail) rc = buf_text(&b, ",\"detail\":");
    if (rc == 0 && detail) rc = json_text(&b, text_of(detail));
    if (rc == 0) rc = buf_text(&b, "}\n");
    answer_begin(&a, c, status);
    answer_text(&a, "Content-Type: application/problem+json\r\nCache-Control: no-store\r\n");
    if (lines) answer_text(&a, lines);
    answer_end(&a, b.data, rc == 0 ? b.len : 0, NULL);
    buf_done(&b);
}

void answer_failure(http_conn *c, int outcome, const char *detail)
{
    int status = http_status_of(outcome);
    const char *lines = NULL;

    if (status == 401) lines = "WWW-Authenticate: Basic realm=\"bridge\", charset=\"UTF-8\"\r\n";
    if (status == 405) lines = "Allow: GET, HEAD, OPTIONS\r\n";
    if (status == 429 || status == 503) lines = "Retry-After: 1\r\n";
    answer_problem(c, status, detail ? detail : bridge_status_text(outcome), lines);
}
