/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Escaping: what each form must not contain, and bytes that are no text.
 */
#include "core_util.h"

#include <apr_general.h>

#include "stek_escape.h"

#define FFFD "\xef\xbf\xbd"

static apr_pool_t *pool;

static void test_escape_plain_text_unchanged(void **state)
{
    const char *text = "www.example.org /run/x \xc3\xa4\xe2\x82\xac\xf0\x9f\x94\x91";

    (void)state;
    assert_string_equal(stek_escape_html(text, pool), text);
    assert_string_equal(stek_escape_json(text, pool), text);
    assert_string_equal(stek_escape_label(text, pool), text);
    assert_string_equal(stek_escape_html("", pool), "");
}

static void test_escape_markup_harmless(void **state)
{
    (void)state;
    assert_string_equal(stek_escape_html("<a b=\"c\" d='e'>&", pool),
                        "&lt;a b=&quot;c&quot; d=&#39;e&#39;&gt;&amp;");
    assert_string_equal(stek_escape_json("\"\\</script>\n", pool),
                        "\\\"\\\\\\u003c/script\\u003e\\u000a");
    assert_string_equal(stek_escape_label("a\"b\\c\nd", pool), "a\\\"b\\\\c\\nd");
}

static void test_escape_control_characters_replaced(void **state)
{
    (void)state;
    assert_string_equal(stek_escape_html("a\r\n\x1b[1m\x7f", pool), "a" FFFD FFFD FFFD "[1m" FFFD);
    assert_string_equal(stek_escape_label("\x01\r", pool), FFFD FFFD);
    assert_string_equal(stek_escape_html("\xc2\x85\xc2\xa0", pool), FFFD "\xc2\xa0");
}

static void test_escape_malformed_utf8_replaced(void **state)
{
    static const char *const bad[] = {"\x80",
                                      "\xff",
                                      "\xc0\xaf",
                                      "\xe0\x80\xaf",
                                      "\xed\xa0\x80",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80"};
    size_t i, at;

    (void)state;
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const char *text = stek_escape_json(bad[i], pool);

        assert_int_equal(stek_utf8_len(bad[i]), 0);
        assert_int_equal(strlen(text), 3 * strlen(bad[i]));
        for (at = 0; text[at]; at += 3) {
            assert_memory_equal(text + at, FFFD, 3);
        }
    }
    /* Cut at the end of the text. */
    assert_string_equal(stek_escape_html("a\xe2\x82", pool), "a" FFFD FFFD);
}

static void test_escape_any_bytes_give_no_special_character(void **state)
{
    rnd_t rnd = {7};
    unsigned char text[200];
    int round, i;

    (void)state;
    for (round = 0; round < 2000; round++) {
        const char *html, *json, *label, *c;

        rnd_fill(&rnd, text, sizeof(text));
        for (i = 0; i < (int)sizeof(text); i++) {
            text[i] = text[i] ? text[i] : '<';
        }
        text[sizeof(text) - 1] = '\0';
        html = stek_escape_html((char *)text, pool);
        json = stek_escape_json((char *)text, pool);
        label = stek_escape_label((char *)text, pool);
        assert_null(strpbrk(html, "<>\"'\n\r\t\x1b"));
        assert_null(strpbrk(json, "<>&\n\r\t\x1b"));
        assert_null(strpbrk(label, "\n\r\t\x1b"));
        for (c = html; *c; c += stek_utf8_len(c)) {
            assert_true(stek_utf8_len(c) > 0);
        }
        for (c = label; *c; c++) {
            assert_true(*c != '"');
            c += *c == '\\';
        }
        apr_pool_clear(pool);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_escape_plain_text_unchanged),
        cmocka_unit_test(test_escape_markup_harmless),
        cmocka_unit_test(test_escape_control_characters_replaced),
        cmocka_unit_test(test_escape_malformed_utf8_replaced),
        cmocka_unit_test(test_escape_any_bytes_give_no_special_character),
    };
    int failed;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    apr_pool_destroy(pool);
    apr_terminate();
    return failed;
}
