/* Link-format: the examples of RFC 6690 5 and 6, its filters, and what is not a link. */
#include "check.h"
#include "codec/link.h"

/* The links that match, targets only, with blanks between; "!" when it does not parse. */
static const char *matching(const char *links, const char *query)
{
    static char got[1024];
    link_filter filters[4];
    text rest = text_of(links), one, queries = text_of(query);
    size_t count = 0, n = 0;
    link_item l;
    int rc;

    while (queries.len && count < 4) {
        text_cut(queries, '&', &one, &queries);
        filters[count++] = link_filter_of(one);
    }
    got[0] = 0;
    while ((rc = link_next(&rest, &l, NULL)) > 0)
        if (link_matches(&l, filters, count))
            n += (size_t)sprintf(got + n, "%s%.*s", n ? " " : "", (int)l.target.len, l.target.p);
    return rc < 0 ? "!" : got;
}

static const char sensors[] = "</sensors>;ct=40;title=\"Sensor "
                              "Index\",</sensors/temp>;rt=\"temperature-c\";if=\"sensor\",</sensors/"
                              "light>;rt=\"light-lux core.sen-light\";if=\"sensor\";ct=\"0 41\","
                              "<http://www.example.com/sensors/t123>;anchor=\"/sensors/temp\";rel=\"describedby\",</"
                              "t>;anchor=\"/sensors/temp\";rel=\"alternate\";obs";

static void filters(void)
{
    static const struct {
        const char *query, *want;
    } rows[] = {
        {"", "/sensors /sensors/temp /sensors/light http://www.example.com/sensors/t123 /t"},
        {"rt=light-lux", "/sensors/light"},
        {"rt=core.sen-light", "/sensors/light"},
        {"rt=light-lux core.sen-light", "/sensors/light"},
        {"rt=temperature*", "/sensors/temp"},
        {"rt=core*", "/sensors/light"},
        {"rt=light", ""},
        {"rt=*", "/sensors/temp /sensors/light"},
        {"if=sensor", "/sensors/temp /sensors/light"},
        {"if=sensor&rt=core*", "/sensors/light"},
        {"href=/sensors*", "/sensors /sensors/temp /sensors/light"},
        {"href=/sensors", "/sensors"},
        {"href=*", "/sensors /sensors/temp /sensors/light http://www.example.com/sensors/t123 /t"},
        {"ct=40", "/sensors"},
        {"ct=41", "/sensors/light"},
        {"obs", "/t"},
        {"obs=1", ""},
        {"anchor=/sensors/temp", "http://www.example.com/sensors/t123 /t"},
        {"title=Sensor Index", "/sensors"},
        {"title=Sensor", ""},
        {"title=Sen*", "/sensors"},
        {"rel=alternate", "/t"},
        {"rt=\"temperature-c\"", "/sensors/temp"},
        {"foo=*", ""},
        {"", "/sensors /sensors/temp /sensors/light http://www.example.com/sensors/t123 /t"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        CHECK_STR(matching(sensors, rows[i].query), rows[i].want);
}

static void malformed(void)
{
    static const char *const rows[] = {"a",
                                       "<a",
                                       "a>",
                                       "<a>;",
                                       "<a>;=1",
                                       "<a>,",
                                       "<a>,,<b>",
                                       "<a><b>",
                                       "<a>;rt=",
                                       "<a>;rt=\"x",
                                       "<a>;rt=\"x\\\"",
                                       "<a>;rt x",
                                       "<<a>",
                                       ",<a>",
                                       "<a>;rt=\"x\"y",
                                       "<a>;r t=1"};

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        CHECK_STR(matching(rows[i], ""), "!");
    CHECK_STR(matching("", ""), "");
    CHECK_STR(matching(" <a> ; rt = x , <b>;title=\"a,b;c\" ", "rt=x"), "a");
    CHECK_STR(matching("<>;rt=x", "rt=x"), "");
    CHECK_STR(matching("<a>;b=c;title*=utf-8'de'%e4", "b=c"), "a");
    CHECK_STR(matching("<a>;ct=40;sz=1280;exp;hreflang=en-GB", "exp"), "a");
}

static void values(void)
{
    text rest = text_of("<a>;title=\"say \\\"hi\\\" \\\\\";sz=5");
    link_param p;
    link_item l;
    buf out;

    buf_init(&out, mem_default(), 0);
    CHECK_INT(link_next(&rest, &l, NULL), 1);
    CHECK(link_param_find(&l, "title", &p));
    CHECK_INT(link_unquote(&out, &p), 0);
    CHECK_STR(buf_cstr(&out), "say \"hi\" \\");
    CHECK(link_param_find(&l, "sz", &p) && text_is(p.value, "5") && !p.quoted);
    CHECK(!link_param_find(&l, "rt", &p));
    buf_done(&out);
}

static void writing(void)
{
    buf out;

    buf_init(&out, mem_default(), 0);
    CHECK_INT(link_put(&out, text_of("/sensors/k\xc3\xbc"
                                     "che <1>")),
              0);
    CHECK_INT(link_put_param(&out, "rt", text_of("a \"b\" \\")), 0);
    CHECK_INT(link_put(&out, text_of("/t%20x")), 0);
    CHECK_INT(link_put_token(&out, "ct", text_of("40")), 0);
    CHECK_INT(link_put_flag(&out, "obs"), 0);
    CHECK_STR(buf_cstr(&out), "</sensors/k%C3%BCche%20%3C1%3E>;rt=\"a \\\"b\\\" \\\\\",</t%20x>;ct=40;obs");
    CHECK_STR(matching(buf_cstr(&out), "obs"), "/t%20x");
    buf_done(&out);
}

int main(void)
{
    filters();
    malformed();
    values();
    writing();
    return check_done();
}
