/* What a config may say, and what is said about one that may not. */
#include "check.h"
#include "config/schema.h"
#include <limits.h>
#include <stdlib.h>

static int read(const char *text, bridge_error *err)
{
    settings *s = NULL;
    int rc;

    *err = (bridge_error){0};
    rc = settings_read(&s, mem_default(), text, err);
    settings_free(s);
    return rc;
}

static void everything(void)
{
    static const char text[] = "// a bridge\n"
                               "{ \"listen\": [\"mqtt://:1883?anonymous=allow\", \"coap://:5683/r\"],\n"
                               "  \"connect\": \"mqtt://cloud.example\", /* one is enough */\n"
                               "  \"routes\": [\n"
                               "    {\"source\": \"coap:r/{room}/temp\", \"target\": \"home/{room}/temperature\",\n"
                               "     \"format\": \"json\", \"ways\": \"both\", \"retain\": true, \"qos\": 0, \"priority\": -2}],\n"
                               "  \"store\": \"memory:\", \"passwords\": \"p.txt\", \"allow\": \"acl.txt\", \"log\": \"warn\",\n"
                               "  \"limits\": {\"max_message\": 10, \"max_queue\": 20, \"max_queue_bytes\": 30,\n"
                               "             \"max_values\": 40, \"max_value_bytes\": 50} }\n";
    bridge_error err = {0};
    settings *s = NULL;
    entry *e;

    CHECK_INT(settings_read(&s, mem_default(), text, &err), 0);
    CHECK_STR(err.text, "");
    if (!s) return;
    e = s->first[ENTRY_LISTEN];
    CHECK_STR(e->url, "mqtt://:1883?anonymous=allow");
    CHECK_INT(e->line, 2);
    e = s->first[ENTRY_CONNECT];
    CHECK(e && e->line == 3 && !e->next);
    e = s->first[ENTRY_ROUTE];
    CHECK(e && e->line == 5 && !e->next);
    CHECK(e->route.ways == BRIDGE_BOTH_WAYS && e->route.retain == BRIDGE_KEEP_ALWAYS);
    CHECK(e->route.max_qos == BRIDGE_QOS(0) && e->route.priority == -2);
    CHECK_STR(e->route.format, "json");
    CHECK(s->max_message == 10 && s->max_value_bytes == 50);
    CHECK_INT(s->log_level, BRIDGE_LOG_WARN);
    settings_free(s);
}

static void problems(void)
{
    static const struct {
        const char *text;
        int status, line;
        const char *said;
    } rows[] = {
        {"{}", 0, 0, ""},
        {"", BRIDGE_SYNTAX, 1, "premature EOF"},
        {"[]", BRIDGE_SYNTAX, 1, "a config is an object: { ... }"},
        {"{\n\"lisen\": []}", BRIDGE_INVALID, 2, "unknown key \"lisen\"; did you mean \"listen\"?"},
        {"{\n\n\"banana\": 1}", BRIDGE_INVALID, 3, "unknown key \"banana\""},
        {"{\"log\": \"info\",\n\"log\": \"info\"}", BRIDGE_SYNTAX, 2, "said twice: \"log\""},
        {"{\"listen\": [\"mqtt://:1\",\n\"mqtt://:1\"]}", BRIDGE_INVALID, 2, "\"mqtt://:1\" is said twice"},
        {"{\"listen\": 1883}", BRIDGE_INVALID, 1, "\"listen\" is a list of URLs, not a whole number"},
        {"{\"listen\": [1883]}", BRIDGE_INVALID, 1, "\"listen\" is a list of URLs, not a whole number"},
        {"{\"log\": \"wran\"}", BRIDGE_INVALID, 1,
         "\"log\" is \"error\", \"warn\", \"info\" or \"debug\", not \"wran\"; did you mean \"warn\"?"},
        {"{\"routes\": [{\"source\": \"a\"}]}", BRIDGE_INVALID, 1, "this route has no \"target\""},
        {"{\"routes\": [{\"source\": \"a\",\n\"taget\": \"b\"}]}", BRIDGE_INVALID, 2,
         "unknown key \"taget\"; did you mean \"target\"?"},
        {"{\"routes\": [{\"qos\": 3}]}", BRIDGE_INVALID, 1, "\"qos\" is 0, 1 or 2, not a whole number"},
        {"{\"limits\": {\"max_queue\": 0}}", BRIDGE_INVALID, 1, "\"max_queue\" must be more than 0"},
        {"{\"limits\": {\"max_queue\": 1.5}}", BRIDGE_INVALID, 1, "\"max_queue\" is a whole number, not a number"},
        {"{\"durability\": {\"a\": \"ful\"}}", BRIDGE_INVALID, 1, "\"a\" is \"full\", \"normal\" or \"none\", not \"ful\"; did you mean \"full\"?"},
        {"{\"store\": \"a\\u0000b\"}", BRIDGE_SYNTAX, 1, "a text holds a NUL"},
        {"[[[[[[[[[1]]]]]]]]]", BRIDGE_SYNTAX, 1, "too deep"},
        {"{\"log\": \"info\"} x", BRIDGE_SYNTAX, 1, "trailing garbage"},
    };
    bridge_error err;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        CHECK_INT(read(rows[i].text, &err), rows[i].status);
        CHECK_INT(err.line, rows[i].line);
        CHECK_STR(err.text, rows[i].said);
    }
}

typedef struct budget {
    int left;
} budget;

static void *scarce(void *user, void *p, size_t len)
{
    budget *b = user;

    if (len == 0) {
        free(p);
        return NULL;
    }
    return b->left-- > 0 ? realloc(p, len) : NULL;
}

static void out_of_memory(void)
{
    static const char text[] = "{\"listen\": [\"mqtt://:1883\"], \"routes\": [{\"source\": \"a\", \"target\": \"b\"}]}";
    int rc = BRIDGE_NOMEM;

    for (int n = 0; rc == BRIDGE_NOMEM && n < 200; n++) {
        budget b = {n + 1};
        mem *m = mem_create(scarce, &b);
        bridge_error err = {0};
        settings *s = NULL;

        if (!m) continue;
        rc = settings_read(&s, m, text, &err);
        CHECK(rc == 0 || rc == BRIDGE_NOMEM);
        settings_free(s);
        mem_unref(m);
    }
    CHECK_INT(rc, 0);
}

/* The n-th allocation fails, for every n: the load says so, and the bridge is as before. */
static void loading_without_memory(void)
{
    static const char first[] = "{\"routes\": [{\"source\": \"a/{x}\", \"target\": \"b/{x}\"}], \"log\": \"error\"}";
    static const char second[] = "{\"routes\": [{\"source\": \"c/{x}\", \"target\": \"d/{x}\"},"
                                 " {\"source\": \"coap:e\", \"target\": \"f\"}], \"limits\": {\"max_queue\": 5}}";
    int rc = BRIDGE_NOMEM;

    for (int n = 0; rc == BRIDGE_NOMEM && n < 500; n++) {
        budget b = {INT_MAX};
        bridge_error err = {0};
        bridge *made = NULL;
        char text[2000];

        CHECK_INT(bridge_new(&made, BRIDGE_OPTIONS(.realloc = scarce, .user = &b, .log_level = BRIDGE_LOG_ERROR), &err), 0);
        CHECK_INT(bridge_load(made, first, &err), 0);
        b.left = n;
        rc = bridge_load(made, second, &err);
        b.left = INT_MAX;
        CHECK(rc == 0 || rc == BRIDGE_NOMEM);
        CHECK(bridge_explain(made, "a/1", text, sizeof text) > 0);
        CHECK((strstr(text, "b/1") != NULL) == (rc < 0));
        bridge_free(made);
    }
    CHECK_INT(rc, 0);
}

int main(void)
{
    everything();
    problems();
    out_of_memory();
    loading_without_memory();
    return check_done();
}
