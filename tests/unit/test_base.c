#include "base/buf.h"
#include "base/map.h"
#include "base/text.h"
#include "check.h"

static void utf8(void)
{
    CHECK(text_is_utf8("", 0));
    CHECK(text_is_utf8("plain ascii, longer than eight", 30));
    CHECK(text_is_utf8("gr\xc3\xbc\xc3\x9f", 6));
    CHECK(text_is_utf8("\xf0\x9f\x92\xa1", 4));
    CHECK(!text_is_utf8("a\0b", 3));
    CHECK(!text_is_utf8("12345678\0", 9));
    CHECK(!text_is_utf8("\xc0\x80", 2));             /* overlong NUL */
    CHECK(!text_is_utf8("\xed\xa0\x80", 3));         /* surrogate */
    CHECK(!text_is_utf8("\xf4\x90\x80\x80", 4));     /* above U+10FFFF */
    CHECK(!text_is_utf8("abc\xe2\x82", 5));          /* cut short */
}

static void numbers(void)
{
    uint64_t v = 0;
    bool yes = false;

    CHECK(text_to_u64(text_of("65535"), 65535, &v) && v == 65535);
    CHECK(!text_to_u64(text_of("65536"), 65535, &v));
    CHECK(!text_to_u64(text_of(""), 9, &v));
    CHECK(!text_to_u64(text_of("1x"), 99, &v));
    CHECK(text_to_u64(text_of("18446744073709551615"), UINT64_MAX, &v) && v == UINT64_MAX);
    CHECK(!text_to_u64(text_of("18446744073709551616"), UINT64_MAX, &v));
    CHECK(!text_to_u64(text_of("9"), 5, &v));
    CHECK(text_to_bool(text_of("Yes"), &yes) && yes);
    CHECK(!text_to_bool(text_of("maybe"), &yes));
}

static void percent(void)
{
    buf b;

    buf_init(&b, mem_default(), 0);
    CHECK_INT(text_percent_decode(&b, text_of("a%2Fb%20c")), 0);
    CHECK_STR(buf_cstr(&b), "a/b c");
    buf_clear(&b);
    CHECK_INT(text_percent_decode(&b, text_of("a%2")), BRIDGE_SYNTAX);
    buf_clear(&b);
    CHECK_INT(text_percent_encode(&b, text_of("a b/\xc3\xbc"), "/"), 0);
    CHECK_STR(buf_cstr(&b), "a%20b/%C3%BC");
    buf_done(&b);
}

static void nearest(void)
{
    static const char *const words[] = {"listen", "routes", "store", NULL};

    CHECK_STR(text_nearest("lisen", words), "listen");
    CHECK_STR(text_nearest("ruotes", words), "routes");
    CHECK(text_nearest("banana", words) == NULL);
}

static void maps(void)
{
    static char keys[2000][8];
    size_t at = 0, seen = 0;
    map m;

    map_init(&m, mem_default(), 42);
    for (int i = 0; i < 2000; i++) {
        snprintf(keys[i], sizeof keys[i], "k%d", i);
        CHECK_INT(map_put(&m, keys[i], strlen(keys[i]), keys[i], NULL), 0);
    }
    for (int i = 0; i < 2000; i += 2)
        CHECK(map_remove(&m, keys[i], strlen(keys[i])) == keys[i]);
    for (int i = 0; i < 2000; i++)
        CHECK((map_get(&m, keys[i], strlen(keys[i])) != NULL) == (i % 2));
    while (map_next(&m, &at))
        seen++;
    CHECK_INT(seen, 1000);
    map_done(&m);
}

int main(void)
{
    utf8();
    numbers();
    percent();
    nearest();
    maps();
    return check_done();
}
