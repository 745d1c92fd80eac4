/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secrets and their file's text: made, parsed, written, rolled; each way in which a text can be
 * wrong, with its line.
 */
#include "core_util.h"

#include <openssl/evp.h>

#include "stek_secret.h"

#define LINE_A "stek-secret-v1 1gp4tHCy1ThJ6nYNxRXm3tQTVBnP2B2C3bIWZ6qeq1k=\n"
#define LINE_B "stek-secret-v1 q3bF1mYxkQ0v7bW9sC2Hj5n8Lr4TgUeZ6iPdXaMoK+k=\n"
#define LINE_FLEET "stek-fleet-v1 9sX1mYxkQ0v7bW9sC2Hj5g==\n"

static void parse_fails(const char *text, size_t len, apr_status_t expected, int expected_line)
{
    stek_secrets_t *secrets = NULL;
    int line = -1;

    assert_int_equal(stek_secrets_parse(text, len, &secrets, &line), expected);
    assert_null(secrets);
    if (expected_line > 0) {
        assert_int_equal(line, expected_line);
    }
    assert_int_equal(stek_secrets_parse(text, len, &secrets, NULL), expected);
}

static stek_secrets_t *parse_succeeds(const char *text)
{
    stek_secrets_t *secrets = NULL;
    int line = -1;

    assert_int_equal(stek_secrets_parse(text, strlen(text), &secrets, &line), APR_SUCCESS);
    assert_non_null(secrets);
    assert_int_equal(line, -1);
    return secrets;
}

static void test_secret_make_local_has_one_secret(void **state)
{
    stek_secrets_t *a = NULL, *b = NULL;
    static const unsigned char zeros[STEK_SECRET_ID_LEN];

    (void)state;
    assert_int_equal(stek_secrets_make(0, stek_rng_system, &a), APR_SUCCESS);
    assert_int_equal(stek_secrets_make(0, stek_rng_system, &b), APR_SUCCESS);
    assert_int_equal(a->n, 1);
    assert_false(a->has_fleet_id);
    assert_memory_not_equal(a->secrets[0].id, zeros, STEK_SECRET_ID_LEN);
    assert_memory_not_equal(a->secrets[0].id, b->secrets[0].id, STEK_SECRET_ID_LEN);
    assert_false(stek_secrets_equal(a, b));
    assert_true(stek_secrets_equal(a, a));
    stek_secrets_destroy(a);
    stek_secrets_destroy(b);
}

static void test_secret_make_fleet_has_fleet_id(void **state)
{
    stek_secrets_t *a = NULL, *b = NULL;

    (void)state;
    assert_int_equal(stek_secrets_make(1, stek_rng_system, &a), APR_SUCCESS);
    assert_int_equal(stek_secrets_make(1, stek_rng_system, &b), APR_SUCCESS);
    assert_true(a->has_fleet_id);
    assert_memory_not_equal(a->fleet_id, b->fleet_id, STEK_FLEET_ID_LEN);
    memcpy(b->secrets, a->secrets, sizeof(a->secrets));
    assert_false(stek_secrets_equal(a, b));
    stek_secrets_destroy(a);
    stek_secrets_destroy(b);
}

static apr_status_t constant_rng(unsigned char *bytes, apr_size_t len)
{
    memset(bytes, 0x42, len);
    return APR_SUCCESS;
}

static void test_secret_make_bad_generator_is_refused(void **state)
{
    stek_secrets_t *secrets = NULL;

    (void)state;
    assert_int_equal(stek_secrets_make(0, broken_rng, &secrets), STEK_ERNG);
    assert_int_equal(stek_secrets_make(0, constant_rng, &secrets), STEK_EWEAK);
    assert_null(secrets);
}

static void test_secret_text_then_parse_is_the_same(void **state)
{
    (void)state;
    for (int fleet = 0; fleet <= 1; fleet++) {
        stek_secrets_t *made = NULL, *parsed;
        char text[STEK_SECRET_FILE_MAX];
        apr_size_t len = 0;

        assert_int_equal(stek_secrets_make(fleet, stek_rng_system, &made), APR_SUCCESS);
        assert_int_equal(stek_secrets_text(made, text, sizeof(text), &len), APR_SUCCESS);
        assert_int_equal(len, strlen(text));
        parsed = parse_succeeds(text);
        assert_true(stek_secrets_equal(made, parsed));
        assert_memory_equal(made->secrets[0].id, parsed->secrets[0].id, STEK_SECRET_ID_LEN);
        stek_secrets_destroy(made);
        stek_secrets_destroy(parsed);
    }
}

static void test_secret_text_base64_agrees_with_openssl(void **state)
{
    rnd_t rnd = {seed_from_env()};
    stek_secrets_t *secrets = NULL;

    (void)state;
    assert_int_equal(stek_secrets_make(1, stek_rng_system, &secrets), APR_SUCCESS);
    for (int i = 0; i < 2000; i++) {
        unsigned char expected[64];
        char text[STEK_SECRET_FILE_MAX];
        apr_size_t len;

        rnd_fill(&rnd, secrets->secrets[0].bytes, STEK_SECRET_LEN);
        rnd_fill(&rnd, secrets->fleet_id, STEK_FLEET_ID_LEN);
        assert_int_equal(stek_secrets_text(secrets, text, sizeof(text), &len), APR_SUCCESS);
        EVP_EncodeBlock(expected, secrets->secrets[0].bytes, STEK_SECRET_LEN);
        assert_memory_equal(text + strlen("stek-secret-v1 "), expected, 44);
        EVP_EncodeBlock(expected, secrets->fleet_id, STEK_FLEET_ID_LEN);
        assert_memory_equal(text + strlen(LINE_A) + strlen("stek-fleet-v1 "), expected, 24);
    }
    stek_secrets_destroy(secrets);
}

static void test_secret_text_short_buffer_says_no_space(void **state)
{
    stek_secrets_t *secrets = parse_succeeds(LINE_A LINE_B LINE_FLEET);
    char text[STEK_SECRET_FILE_MAX];
    apr_size_t len = 0, short_len = 77, need = strlen(LINE_A LINE_B LINE_FLEET);

    (void)state;
    assert_int_equal(stek_secrets_text(secrets, text, need + 1, &len), APR_SUCCESS);
    assert_int_equal(len, need);
    assert_string_equal(text, LINE_A LINE_B LINE_FLEET);
    for (apr_size_t size = 0; size <= need; size++) {
        assert_int_equal(stek_secrets_text(secrets, text, size, &short_len), APR_ENOSPC);
    }
    assert_int_equal(short_len, 77);
    stek_secrets_destroy(secrets);
}

static void test_secret_parse_harmless_forms_are_the_same(void **state)
{
    static const char *const forms[] = {
        LINE_A LINE_B LINE_FLEET,
        "# why\n\n" LINE_A "   \n\t# x\n" LINE_B "#\n" LINE_FLEET "\n\n",
        LINE_FLEET LINE_A LINE_B "# stek-secret-v1 no\n# no end of line",
        "\r\n#\r\nstek-secret-v1 1gp4tHCy1ThJ6nYNxRXm3tQTVBnP2B2C3bIWZ6qeq1k=\r\n"
        "  stek-secret-v1 \t q3bF1mYxkQ0v7bW9sC2Hj5n8Lr4TgUeZ6iPdXaMoK+k= \r\n"
        "stek-fleet-v1 9sX1mYxkQ0v7bW9sC2Hj5g==",
    };
    stek_secrets_t *first = parse_succeeds(forms[0]);

    (void)state;
    assert_int_equal(first->n, 2);
    assert_int_equal(first->secrets[0].bytes[0], 0xd6);
    assert_int_equal(first->secrets[1].bytes[0], 0xab);
    for (size_t i = 1; i < sizeof(forms) / sizeof(forms[0]); i++) {
        stek_secrets_t *other = parse_succeeds(forms[i]);

        assert_true(stek_secrets_equal(first, other));
        stek_secrets_destroy(other);
    }
    stek_secrets_destroy(first);
}

static void test_secret_parse_order_matters(void **state)
{
    stek_secrets_t *ab = parse_succeeds(LINE_A LINE_B), *ba = parse_succeeds(LINE_B LINE_A);
    stek_secrets_t *a = parse_succeeds(LINE_A);

    (void)state;
    assert_false(stek_secrets_equal(ab, ba));
    assert_false(stek_secrets_equal(ab, a));
    stek_secrets_destroy(ab);
    stek_secrets_destroy(ba);
    stek_secrets_destroy(a);
}

static void test_secret_parse_no_secret_is_empty(void **state)
{
    static const char *const texts[] = {"", "\n", "\r\n", "# only words\n", "   ", LINE_FLEET};

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        parse_fails(texts[i], strlen(texts[i]), STEK_EEMPTY, 0);
    }
}

static void test_secret_parse_bad_syntax_is_refused_with_its_line(void **state)
{
    static const struct {
        const char *text;
        int line;
    } cases[] = {
        {"hello\n", 1},
        {"stek-secret-v1\n", 1},
        {"stek-secret-v1 \n", 1},
        {LINE_A "\nstek-secret-v2 1gp4tHCy1ThJ6nYNxRXm3tQTVBnP2B2C3bIWZ6qeq1k=\n", 3},
        {LINE_A "stek-secret-v1x 1gp4tHCy1ThJ6nYNxRXm3tQTVBnP2B2C3bIWZ6qeq1k=\n", 2},
        {"Stek-secret-v1 1gp4tHCy1ThJ6nYNxRXm3tQTVBnP2B2C3bIWZ6qeq1k=\n", 1},
        {"1gp4tHCy1ThJ6nYNxRXm3tQTVBnP2B2C3bIWZ6qeq1k=\n", 1},
        /* without padding, with too much, too long, too short */
        {"stek-secret-v1 1gp4tHCy1ThJ6nYNxRXm3tQTVBnP2B2C3bIWZ6qeq1k\n", 1},
        {"stek-secret-v1 1gp4tHCy1ThJ6nYNxRXm3tQTVBnP2B2C3bIWZ6qeq1k==\n", 1},
        {"stek-secret-v1 1gp4tHCy1ThJ6nYNxRXm3tQTVBnP2B2C3bIWZ6qeq1==\n", 1},
        {"stek-secret-v1 1gp4tHCy1ThJ6nYNxRXm3tQTVBnP2B2C3bIWZ6qeq1kA\n", 1},
        {"stek-secret-v1 1gp4tHCy1ThJ6nYNxRXm3tQTVBnP2B2C3bIWZ6qeq1kAAAAA\n", 1},
        {"stek-secret-v1 1gp4tHCy1ThJ6nYNxRXm3tQTVBnP2B2C3bIWZ6qe\n", 1},
        /* padding bits set; digits of base64url; a blank and something more inside */
        {"stek-secret-v1 1gp4tHCy1ThJ6nYNxRXm3tQTVBnP2B2C3bIWZ6qeq1l=\n", 1},
        {"stek-secret-v1 -gp4tHCy1ThJ6nYNxRXm3tQTVBnP2B2C3bIWZ6qeq1k=\n", 1},
        {"stek-secret-v1 _gp4tHCy1ThJ6nYNxRXm3tQTVBnP2B2C3bIWZ6qeq1k=\n", 1},
        {"stek-secret-v1 1gp4tHCy1ThJ6nYN RXm3tQTVBnP2B2C3bIWZ6qeq1k=\n", 1},
        {"stek-secret-v1 1gp4tHCy1ThJ6nYNxRXm3tQTVBnP2B2C3bIWZ6qeq1k= x\n", 1},
        {"stek-secret-v1 1gp4tHCy1ThJ6nYNxRXm3tQTVBnP2B2C3bIWZ6qeq1k= # x\n", 1},
        {"stek-secret-v1 1gp4tHCy1ThJ6nYNxRXm3tQTVBnP2B2C3bIWZ6qeq1k=\r\r\n", 1},
        {"\xef\xbb\xbf" LINE_A, 1},
        {LINE_A LINE_FLEET "#\n" LINE_FLEET, 4},
        {LINE_A "stek-fleet-v1 9sX1mYxkQ0v7bW9sC2Hj5h==\n", 2},
        {LINE_A "stek-fleet-v1 9sX1mYxkQ0v7bW9sC2Hj5g=\n", 2},
        {LINE_A "stek-fleet-v1\n", 2},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        parse_fails(cases[i].text, strlen(cases[i].text), STEK_ESYNTAX, cases[i].line);
    }
    parse_fails(LINE_A "\0\n", strlen(LINE_A) + 2, STEK_ESYNTAX, 2);
}

static void test_secret_parse_each_foreign_digit_is_refused(void **state)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    (void)state;
    for (int c = 0; c < 256; c++) {
        char text[] = LINE_A;
        stek_secrets_t *secrets = NULL;
        apr_status_t rv;

        text[strlen("stek-secret-v1 ") + 20] = (char)c;
        rv = stek_secrets_parse(text, strlen(LINE_A), &secrets, NULL);
        if (c != 0 && strchr(digits, c) != NULL) {
            assert_int_equal(rv, APR_SUCCESS);
            stek_secrets_destroy(secrets);
        }
        else {
            assert_int_equal(rv, STEK_ESYNTAX);
        }
    }
}

static void test_secret_parse_weak_is_refused(void **state)
{
    static const char zeros[] = LINE_A
        "stek-secret-v1 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n";
    static const char text[] = "stek-secret-v1 dGhpcyBpcyBteSB2ZXJ5IG93biBzZWNyZXQgMDAwMSE=\n";

    (void)state;
    parse_fails(zeros, strlen(zeros), STEK_EWEAK, 2);
    parse_fails(text, strlen(text), STEK_EWEAK, 1);
}

static void test_secret_roll_until_full_puts_the_new_in_front(void **state)
{
    stek_secrets_t *secrets = parse_succeeds(LINE_A LINE_FLEET), *next = NULL, *parsed;
    char text[STEK_SECRET_FILE_MAX];
    apr_size_t len;

    (void)state;
    while (secrets->n < STEK_SECRETS_MAX) {
        assert_int_equal(stek_secrets_roll(secrets, stek_rng_system, &next), APR_SUCCESS);
        assert_int_equal(next->n, secrets->n + 1);
        assert_memory_equal(&next->secrets[1], &secrets->secrets[0],
                            secrets->n * sizeof(stek_secret_t));
        assert_memory_not_equal(&next->secrets[0], &secrets->secrets[0], sizeof(stek_secret_t));
        assert_true(next->has_fleet_id);
        assert_memory_equal(next->fleet_id, secrets->fleet_id, STEK_FLEET_ID_LEN);
        stek_secrets_destroy(secrets);
        secrets = next;
        next = NULL;
    }
    assert_int_equal(stek_secrets_roll(secrets, stek_rng_system, &next), STEK_EFULL);
    assert_null(next);

    assert_int_equal(stek_secrets_text(secrets, text, sizeof(text), &len), APR_SUCCESS);
    parsed = parse_succeeds(text);
    assert_true(stek_secrets_equal(secrets, parsed));
    memcpy(text + len, LINE_B, sizeof(LINE_B));
    parse_fails(text, strlen(text), STEK_EFULL, STEK_SECRETS_MAX + 2);
    stek_secrets_destroy(parsed);
    stek_secrets_destroy(secrets);
}

static void test_secret_roll_bad_generator_is_refused(void **state)
{
    stek_secrets_t *secrets = parse_succeeds(LINE_A), *next = NULL;

    (void)state;
    assert_int_equal(stek_secrets_roll(secrets, broken_rng, &next), STEK_ERNG);
    assert_int_equal(stek_secrets_roll(secrets, constant_rng, &next), STEK_EWEAK);
    assert_null(next);
    assert_int_equal(secrets->n, 1);
    stek_secrets_destroy(secrets);
    stek_secrets_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_secret_make_local_has_one_secret),
        cmocka_unit_test(test_secret_make_fleet_has_fleet_id),
        cmocka_unit_test(test_secret_make_bad_generator_is_refused),
        cmocka_unit_test(test_secret_text_then_parse_is_the_same),
        cmocka_unit_test(test_secret_text_base64_agrees_with_openssl),
        cmocka_unit_test(test_secret_text_short_buffer_says_no_space),
        cmocka_unit_test(test_secret_parse_harmless_forms_are_the_same),
        cmocka_unit_test(test_secret_parse_order_matters),
        cmocka_unit_test(test_secret_parse_no_secret_is_empty),
        cmocka_unit_test(test_secret_parse_bad_syntax_is_refused_with_its_line),
        cmocka_unit_test(test_secret_parse_each_foreign_digit_is_refused),
        cmocka_unit_test(test_secret_parse_weak_is_refused),
        cmocka_unit_test(test_secret_roll_until_full_puts_the_new_in_front),
        cmocka_unit_test(test_secret_roll_bad_generator_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
