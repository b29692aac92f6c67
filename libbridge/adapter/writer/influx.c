/* adapter/writer/influx.c - InfluxDB's line protocol over HTTP: version 1 (/write) and 2 (/api/v2/write).
 *
 *   influxdb://user:password@host:8086/database?measurement=messages
 *   influxdb2://host:8086/bucket?org=home&token_file=/etc/influx.token           an s behind it: TLS
 *
 *   messages,path=home/kitchen/temp value=21.5 1700000000000        numbers
 *   messages,path=home/kitchen/state text="on" 1700000000000        other text; bytes that are no text are left out */
#include "adapter/writer/writer.h"
#include "base/textfile.h"
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct influx {
    CURL *curl;
    struct curl_slist *headers;
    char *address, *login;
    const char *measurement;
    char answer[WRITER_WHY];
} influx;

static const char *const options[] = {"measurement", "org", "token_file", NULL};

static void close_it(void *state)
{
    influx *x = state;

    if (x->curl) curl_easy_cleanup(x->curl);
    curl_slist_free_all(x->headers);
    mem_free(mem_default(), x->address);
    mem_free(mem_default(), x->login);
    free(x);
}

static size_t on_answer(char *data, size_t size, size_t count, void *user)
{
    influx *x = user;
    size_t n = size * count, have = strlen(x->answer), room = sizeof x->answer - 1 - have;

    memcpy(x->answer + have, data, n < room ? n : room);
    x->answer[have + (n < room ? n : room)] = 0;
    return n;
}

static int make_address(influx *x, const url *u)
{
    bool second = strncmp(u->scheme, "influxdb2", 9) == 0;
    bool tls = u->scheme[strlen(u->scheme) - 1] == 's', six = strchr(u->host, ':') != NULL;
    buf b;
    int rc;

    buf_init(&b, mem_default(), 0);
    rc = buf_print(&b, "%s://%s%s%s:%d%s", tls ? "https" : "http", six ? "[" : "", u->host, six ? "]" : "", u->port >= 0 ? u->port : 8086,
                   second ? "/api/v2/write?precision=ms&bucket=" : "/write?precision=ms&db=");
    if (rc == 0) rc = text_percent_encode(&b, text_of(*u->path ? u->path + 1 : "bridge"), "");
    if (rc == 0 && second) rc = buf_text(&b, "&org=");
    if (rc == 0 && second) rc = text_percent_encode(&b, text_of(url_get(u, "org") ? url_get(u, "org") : ""), "");
    if (rc == 0) x->address = buf_cstr(&b) ? mem_text(mem_default(), (char *)b.data) : NULL;
    buf_done(&b);
    return x->address ? 0 : BRIDGE_NOMEM;
}

static int take_token(influx *x, const url *u, char *why)
{
    const char *file = url_get(u, "token_file");
    bridge_error err = {0};
    buf b;
    int rc;

    if (!file) return 0;
    rc = textfile_read(&b, mem_default(), file, &err);
    if (rc < 0) {
        snprintf(why, WRITER_WHY, "%.190s", err.text);
        return BRIDGE_IO;
    }
    text token = text_trim((text){(char *)b.data, b.len});
    while (token.len && (token.p[token.len - 1] == '\n' || token.p[token.len - 1] == '\r')) token.len--;
    char *line = mem_alloc(mem_default(), token.len + 40);
    if (line) snprintf(line, token.len + 40, "Authorization: Token %.*s", (int)token.len, token.p);
    if (line) x->headers = curl_slist_append(x->headers, line);
    mem_free(mem_default(), line);
    textfile_drop(&b);
    return 0;
}

static int open_it(void **state, const url *u, char *why)
{
    influx *x = calloc(1, sizeof *x);
    int rc;

    if (!x) return BRIDGE_NOMEM;
    x->measurement = url_get(u, "measurement") ? url_get(u, "measurement") : "messages";
    x->curl = curl_easy_init();
    x->headers = curl_slist_append(NULL, "Content-Type: text/plain; charset=utf-8");
    rc = x->curl && x->headers ? make_address(x, u) : BRIDGE_NOMEM;
    if (rc == 0) rc = take_token(x, u, why);
    if (rc < 0) {
        close_it(x);
        return rc;
    }
    curl_easy_setopt(x->curl, CURLOPT_URL, x->address);
    curl_easy_setopt(x->curl, CURLOPT_HTTPHEADER, x->headers);
    curl_easy_setopt(x->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(x->curl, CURLOPT_TIMEOUT, 30L);
    curl_easy_setopt(x->curl, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(x->curl, CURLOPT_WRITEFUNCTION, on_answer);
    curl_easy_setopt(x->curl, CURLOPT_WRITEDATA, x);
    if (u->user) curl_easy_setopt(x->curl, CURLOPT_USERNAME, u->user);
    if (u->password) curl_easy_setopt(x->curl, CURLOPT_PASSWORD, u->password);
    *state = x;
    return 0;
}

/* ---- lines */

static int put_escaped(buf *b, const char *s, size_t len, const char *which)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < len; i++) {
        if (s[i] == '\n' || s[i] == '\r') {
            rc = buf_put_u8(b, ' '); /* a line is a record */
            continue;
        }
        if (strchr(which, s[i])) rc = buf_put_u8(b, '\\');
        if (rc == 0) rc = buf_put_u8(b, (uint8_t)s[i]);
    }
    return rc;
}

static int put_line(buf *b, const influx *x, const bridge_msg *m)
{
    double number;
    bool is_number = writer_number(m, &number);
    int rc;

    if (!is_number && !text_is_utf8(msg_data(m), m->len)) return 0;
    rc = put_escaped(b, x->measurement, strlen(x->measurement), ", ");
    if (rc == 0) rc = buf_text(b, ",path=");
    if (rc == 0) rc = put_escaped(b, m->path, m->path_len, ",= ");
    if (rc == 0 && m->path[m->path_len - 1] == '\\') rc = buf_put_u8(b, ' '); /* a backslash at the end would escape what follows */
    if (rc == 0) rc = is_number ? buf_print(b, " value=%.17g", number) : buf_text(b, " text=\"");
    if (rc == 0 && !is_number) rc = put_escaped(b, (const char *)msg_data(m), m->len, "\"\\");
    return rc == 0 ? buf_print(b, "%s %lld\n", is_number ? "" : "\"", (long long)m->time) : rc;
}

static int post(influx *x, const buf *b, char *why)
{
    long status = 0;
    CURLcode rc;

    x->answer[0] = 0;
    curl_easy_setopt(x->curl, CURLOPT_POSTFIELDS, (const char *)b->data);
    curl_easy_setopt(x->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)b->len);
    rc = curl_easy_perform(x->curl);
    if (rc != CURLE_OK) {
        snprintf(why, WRITER_WHY, "InfluxDB: %s", curl_easy_strerror(rc));
        return BRIDGE_UNREACHABLE;
    }
    curl_easy_getinfo(x->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status / 100 == 2) return 0;
    snprintf(why, WRITER_WHY, "InfluxDB: %ld %.150s", status, x->answer);
    return status == 400 || status == 413 || status == 422 ? BRIDGE_INVALID : BRIDGE_IO; /* what 400 refuses it will refuse again */
}

static int write_lines(void *state, bridge_msg *const *messages, size_t count, char *why)
{
    influx *x = state;
    buf b;
    int rc = 0;

    buf_init(&b, mem_default(), 0);
    for (size_t i = 0; rc == 0 && i < count; i++) rc = put_line(&b, x, messages[i]);
    if (rc == 0 && b.len) rc = post(x, &b, why);
    buf_done(&b);
    return rc;
}

const writer_kind writer_influx = {.options = options, .open = open_it, .write = write_lines, .close = close_it};
