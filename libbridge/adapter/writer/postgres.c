/* adapter/writer/postgres.c - PostgreSQL: one table, one COPY a batch, in one transaction of its own.
 *
 *   postgresql://user:password@host:5432/database?table=messages&pattern=sensors/%23 */
#include "adapter/writer/writer.h"
#include "codec/registry.h"
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

typedef struct postgres {
    PGconn *db;
    char copy[200];
} postgres;

static const char *const options[] = {"table", "sslmode", NULL};

static int failed(const postgres *p, char *why)
{
    snprintf(why, WRITER_WHY, "PostgreSQL: %.150s", PQerrorMessage(p->db));
    for (char *c = why; *c; c++)
        if (*c == '\n') *c = ' ';
    return PQstatus(p->db) == CONNECTION_OK ? BRIDGE_INVALID : BRIDGE_UNREACHABLE;
}

static int run(postgres *p, const char *sql, ExecStatusType wanted, char *why)
{
    PGresult *r = PQexec(p->db, sql);
    bool good = PQresultStatus(r) == wanted;

    PQclear(r);
    return good ? 0 : failed(p, why);
}

/* What people would have written; an index on time too, because that is what is asked for. */
static int make_table(postgres *p, const char *table, char *why)
{
    char sql[1200];
    char *name = PQescapeIdentifier(p->db, table, strlen(table));
    int rc;

    if (!name) return failed(p, why);
    snprintf(sql, sizeof sql,
             "SET client_min_messages = warning; CREATE TABLE IF NOT EXISTS %s (time timestamptz NOT NULL, path text NOT NULL, number double precision,"
             " value text, data bytea, format text, origin text, qos smallint NOT NULL);"
             "DO $$ BEGIN IF NOT EXISTS (SELECT 1 FROM pg_indexes WHERE schemaname = current_schema() AND tablename = '%.60s') THEN"
             " CREATE INDEX ON %s (path, time); CREATE INDEX ON %s USING brin (time); END IF; END $$",
             name, strpbrk(table, "'\\") ? "" : table, name, name);
    rc = run(p, sql, PGRES_COMMAND_OK, why);
    snprintf(p->copy, sizeof p->copy, "COPY %.100s (time, path, number, value, data, format, origin, qos) FROM STDIN", name);
    PQfreemem(name);
    return rc == BRIDGE_INVALID ? BRIDGE_IO : rc; /* somebody may mend it: messages wait */
}

static void close_db(void *state)
{
    postgres *p = state;

    PQfinish(p->db);
    free(p);
}

static int open_db(void **state, const url *u, char *why)
{
    const char *keys[] = {"host", "port", "dbname", "user", "password", "sslmode", "connect_timeout", "application_name", "client_encoding", NULL};
    char port[16];
    const char *values[] = {u->host, port, *u->path ? u->path + 1 : NULL, u->user, u->password, url_get(u, "sslmode"), "10", "libbridge", "UTF8", NULL};
    postgres *p = calloc(1, sizeof *p);
    int rc;

    if (!p) return BRIDGE_NOMEM;
    snprintf(port, sizeof port, "%d", u->port >= 0 ? u->port : 5432);
    p->db = PQconnectdbParams(keys, values, 0);
    rc = PQstatus(p->db) == CONNECTION_OK ? 0 : failed(p, why);
    if (rc == 0) rc = make_table(p, url_get(u, "table") ? url_get(u, "table") : "messages", why);
    if (rc == 0) *state = p;
    else close_db(p);
    return rc;
}

/* ---- COPY's text format */

static int put_text(buf *b, const char *s, size_t len)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < len; i++) {
        const char *escape = s[i] == '\\' ? "\\\\" : s[i] == '\t' ? "\\t" : s[i] == '\n' ? "\\n" : s[i] == '\r' ? "\\r" : NULL;
        rc = escape ? buf_text(b, escape) : buf_put_u8(b, (uint8_t)s[i]);
    }
    return rc;
}

static int put_data(buf *b, const uint8_t *p, size_t len)
{
    int rc = buf_text(b, "\\\\x");

    for (size_t i = 0; rc == 0 && i < len; i++) rc = buf_print(b, "%02x", p[i]);
    return rc;
}

static int put_row(buf *b, const bridge_msg *m)
{
    const char *format = format_name((bridge_format)m->format);
    bool is_text = text_is_utf8(msg_data(m), m->len);
    double number;
    time_t t = (time_t)(m->time / 1000);
    struct tm tm;
    char when[40];
    int rc;

    gmtime_r(&t, &tm);
    strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", &tm);
    rc = buf_print(b, "%s.%03d+00\t", when, (int)(m->time % 1000));
    if (rc == 0) rc = put_text(b, m->path, m->path_len);
    if (rc == 0) rc = writer_number(m, &number) ? buf_print(b, "\t%.17g\t", number) : buf_text(b, "\t\\N\t");
    if (rc == 0) rc = is_text ? put_text(b, (const char *)msg_data(m), m->len) : buf_text(b, "\\N");
    if (rc == 0) rc = buf_text(b, "\t");
    if (rc == 0) rc = is_text ? buf_text(b, "\\N") : put_data(b, msg_data(m), m->len);
    if (rc == 0) rc = buf_print(b, "\t%s\t", format ? format : "\\N");
    if (rc == 0) rc = m->origin ? put_text(b, m->origin->text, strlen(m->origin->text)) : buf_text(b, "\\N");
    return rc == 0 ? buf_print(b, "\t%d\n", m->qos) : rc;
}

static int write_rows(void *state, bridge_msg *const *messages, size_t count, char *why)
{
    postgres *p = state;
    PGresult *r;
    buf b;
    int rc = run(p, p->copy, PGRES_COPY_IN, why);

    if (rc < 0) return rc == BRIDGE_INVALID ? BRIDGE_IO : rc;
    buf_init(&b, mem_default(), 0);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        rc = put_row(&b, messages[i]);
        if (rc == 0 && (b.len > 65536 || i + 1 == count)) {
            if (PQputCopyData(p->db, (char *)b.data, (int)b.len) != 1) rc = failed(p, why);
            buf_clear(&b);
        }
    }
    buf_done(&b);
    if (PQputCopyEnd(p->db, rc < 0 ? "given up" : NULL) != 1 && rc == 0) rc = failed(p, why);
    while ((r = PQgetResult(p->db))) {
        if (rc == 0 && PQresultStatus(r) != PGRES_COMMAND_OK) rc = failed(p, why);
        PQclear(r);
    }
    return rc;
}

const writer_kind writer_postgres = {.options = options, .open = open_db, .write = write_rows, .close = close_db};
