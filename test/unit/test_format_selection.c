/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What other programs get: which keys of a ring in which order, and what HAProxy has to be told.
 */
#include "core_util.h"

#include "convert/haproxy_socket.h"
#include "convert/export_keys.h"

#define LIFETIME (18 * HOUR)

static stek_ring_t *ring;
static export_keys_t selection;

/* Keys 0, 1, ... n - 1 of slots T0, T0 + 1 h, ... */
static void make_ring(unsigned n)
{
    unsigned i;

    assert_int_equal(stek_ring_create(n + 1, 0, &ring), APR_SUCCESS);
    ring->interval = HOUR;
    ring->lifetime = LIFETIME;
    for (i = 0; i < n; i++) {
        stek_key_t key = good_key(i, T0 + i * HOUR, HOUR, LIFETIME);

        assert_int_equal(stek_ring_add_key(ring, &key), APR_SUCCESS);
    }
}

static int drop_ring(void **state)
{
    (void)state;
    stek_ring_destroy(ring);
    ring = NULL;
    return 0;
}

static apr_status_t select_at(format_e format, apr_time_t now)
{
    return export_keys_make(ring, format, now, NULL, &selection);
}

/* numbers: of the keys expected, as digits in order. */
static void assert_selected(const char *numbers)
{
    size_t i;

    assert_int_equal(selection.key_n, strlen(numbers));
    for (i = 0; numbers[i]; i++) {
        stek_key_t want = good_key((unsigned)(numbers[i] - '0'), T0, HOUR, LIFETIME);

        assert_memory_equal(selection.keys[i]->name, want.name, STEK_NAME_LEN);
    }
}

static void test_selection_nginx_current_first_all_live(void **state)
{
    (void)state;
    make_ring(4);
    assert_int_equal(select_at(FORMAT_NGINX, T0 + 2 * HOUR), APR_SUCCESS);
    assert_selected("2310");
    assert_int_equal(select_at(FORMAT_ATS, T0 + 3 * HOUR), APR_SUCCESS);
    assert_selected("3210");
}

static void test_selection_single_key_formats_current_only(void **state)
{
    (void)state;
    make_ring(4);
    assert_int_equal(select_at(FORMAT_LIGHTTPD, T0 + HOUR), APR_SUCCESS);
    assert_selected("1");
    assert_int_equal(select_at(FORMAT_APACHE, T0 + 3 * HOUR), APR_SUCCESS);
    assert_selected("3");
}

static void test_selection_dnsdist_current_last(void **state)
{
    (void)state;
    make_ring(5);
    assert_int_equal(select_at(FORMAT_DNSDIST, T0 + 2 * HOUR), APR_SUCCESS);
    assert_selected("01432");
}

static void test_selection_haproxy_former_current_next(void **state)
{
    (void)state;
    make_ring(5);
    assert_int_equal(select_at(FORMAT_HAPROXY, T0 + 2 * HOUR), APR_SUCCESS);
    assert_selected("123");
    assert_int_equal(select_at(FORMAT_HAPROXY, T0), APR_SUCCESS);
    assert_selected("001");
    assert_int_equal(select_at(FORMAT_HAPROXY, T0 + 4 * HOUR), APR_SUCCESS);
    assert_selected("342");
}

static void test_selection_haproxy_one_key_three_times(void **state)
{
    (void)state;
    make_ring(1);
    assert_int_equal(select_at(FORMAT_HAPROXY, T0), APR_SUCCESS);
    assert_selected("000");
}

static void test_selection_ended_keys_left_out_to_the_second(void **state)
{
    apr_time_t end = T0 + HOUR + LIFETIME;

    (void)state;
    make_ring(20);
    assert_int_equal(select_at(FORMAT_NGINX, end - SEC(1)), APR_SUCCESS);
    assert_int_equal(selection.key_n, 20);
    assert_int_equal(select_at(FORMAT_NGINX, end), APR_SUCCESS);
    assert_int_equal(selection.key_n, 19);
    assert_int_equal(select_at(FORMAT_DNSDIST, end), APR_SUCCESS);
    assert_int_equal(selection.key_n, 19);
}

static void test_selection_none_current_former_while_it_decrypts(void **state)
{
    stek_key_t former = good_key(1, T0, HOUR, LIFETIME), unknown = good_key(9, T0, HOUR, LIFETIME);

    (void)state;
    make_ring(2);
    assert_int_equal(select_at(FORMAT_NGINX, T0 + 2 * HOUR), APR_NOTFOUND);
    assert_int_equal(export_keys_make(ring, FORMAT_NGINX, T0 + 2 * HOUR, former.name, &selection),
                     APR_SUCCESS);
    assert_selected("10");
    assert_int_equal(export_keys_make(ring, FORMAT_NGINX, T0 + 2 * HOUR, unknown.name, &selection),
                     APR_NOTFOUND);
    assert_int_equal(
        export_keys_make(ring, FORMAT_NGINX, T0 + 2 * HOUR + LIFETIME, former.name, &selection),
        APR_NOTFOUND);
}

static void test_selection_aes128_only_where_it_fits(void **state)
{
    stek_key_t key = good_key(7, T0 + 2 * HOUR, 0, LIFETIME);

    (void)state;
    make_ring(4);
    key.flags = STEK_KEY_AES128;
    memset(key.hmac_key + 16, 0, 16);
    memset(key.aes_key + 16, 0, 16);
    assert_int_equal(stek_ring_add_key(ring, &key), APR_SUCCESS);
    assert_int_equal(select_at(FORMAT_HAPROXY, T0 + 2 * HOUR), APR_SUCCESS);
    assert_selected("123");
    assert_int_equal(select_at(FORMAT_DNSDIST, T0 + 2 * HOUR), APR_SUCCESS);
    assert_selected("0132");
    assert_int_equal(select_at(FORMAT_NGINX, T0 + 2 * HOUR), APR_SUCCESS);
    assert_int_equal(selection.key_n, 5);
}

/* What HAProxy holds after the pushes that haproxy_socket_push_n asks for. */
static int pushes(haproxy_socket_t *haproxy, apr_time_t now)
{
    int n, i;

    assert_int_equal(select_at(FORMAT_HAPROXY, now), APR_SUCCESS);
    n = haproxy_socket_push_n(haproxy, selection.keys);
    for (i = 3 - n; i < 3; i++) {
        memmove(haproxy->names[0], haproxy->names[1], (size_t)2 * STEK_NAME_LEN);
        memcpy(haproxy->names[2], selection.keys[i]->name, STEK_NAME_LEN);
    }
    haproxy->known = 1;
    for (i = 0; i < 3; i++) {
        assert_memory_equal(haproxy->names[i], selection.keys[i]->name, STEK_NAME_LEN);
    }
    return n;
}

static void test_selection_haproxy_pushes_as_few_as_needed(void **state)
{
    stek_key_t extra = good_key(8, T0 + 2 * HOUR + SEC(1800), SEC(1800), LIFETIME);
    haproxy_socket_t haproxy = {0};

    (void)state;
    make_ring(6);
    assert_int_equal(pushes(&haproxy, T0 + HOUR), 3); /* unknown: all */
    assert_int_equal(pushes(&haproxy, T0 + HOUR), 0);
    assert_int_equal(pushes(&haproxy, T0 + 2 * HOUR), 1); /* time goes on: the one after the next */
    assert_int_equal(stek_ring_add_key(ring, &extra), APR_SUCCESS);
    assert_int_equal(pushes(&haproxy, T0 + 2 * HOUR), 3); /* another is next: from the start */
    assert_int_equal(pushes(&haproxy, T0 + 2 * HOUR + SEC(1800)), 1);
    assert_int_equal(pushes(&haproxy, T0 + 5 * HOUR), 3);
}

#define ANSWER_HEAD "# id secret\n# 0 (/run/keys 1.2)\n"
#define REST "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

static void test_haproxy_answer_names_in_order(void **state)
{
    unsigned char names[3][STEK_NAME_LEN];

    (void)state;
    assert_true(haproxy_socket_read_names(ANSWER_HEAD "0.0 QUFBQUFBQUFBQUFBQUFBQUFB" REST "\n"
                                                      "0.1 QkJCQkJCQkJCQkJCQkJCQkJC" REST "\n"
                                                      "0.2 Q0NDQ0NDQ0NDQ0NDQ0NDQ0ND" REST "\n\n",
                                          names));
    assert_memory_equal(names[0], "AAAAAAAAAAAAAAAA", STEK_NAME_LEN);
    assert_memory_equal(names[1], "BBBBBBBBBBBBBBBB", STEK_NAME_LEN);
    assert_memory_equal(names[2], "CCCCCCCCCCCCCCCC", STEK_NAME_LEN);
}

static void test_haproxy_answer_that_says_something_else_ignored(void **state)
{
    static const char *const answers[] = {
        "",
        "\n",
        "'show tls-keys' unable to locate referenced filename\n",
        ANSWER_HEAD "\n",
        ANSWER_HEAD "0.0 QUFBQUFBQUFBQUFBQUFBQUFB\n0.1 QUFBQUFBQUFBQUFBQUFBQUFB\n",
        ANSWER_HEAD "0.0 QUFBQUFBQUFBQUFBQUFBQUFB\n0.1 QUFBQUFBQUFBQUFBQUFBQUFB\n0.2 QUFB\n",
        ANSWER_HEAD "0.0 QUFBQUFBQUFBQUFBQUFBQUFB\n0.1 ****************QUFBQUFB\n"
                    "0.2 QUFBQUFBQUFBQUFBQUFBQUFB\n",
        ANSWER_HEAD "0.0 QUFBQUFBQUFBQUFBQUFBQUFB\n0.1 QUFBQUFBQUFBQUFBQUFBQUFB\n"
                    "0.2 QUFBQUFBQUFBQUFBQUFBQUFB\n0.3 QUFBQUFBQUFBQUFBQUFBQUFB\n",
    };
    unsigned char names[3][STEK_NAME_LEN] = {"unchanged"};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        assert_false(haproxy_socket_read_names(answers[i], names));
        assert_string_equal((char *)names[0], "unchanged");
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, drop_ring)
    static const struct CMUnitTest tests[] = {
        TEST(test_selection_nginx_current_first_all_live),
        TEST(test_selection_single_key_formats_current_only),
        TEST(test_selection_dnsdist_current_last),
        TEST(test_selection_haproxy_former_current_next),
        TEST(test_selection_haproxy_one_key_three_times),
        TEST(test_selection_ended_keys_left_out_to_the_second),
        TEST(test_selection_none_current_former_while_it_decrypts),
        TEST(test_selection_aes128_only_where_it_fits),
        TEST(test_selection_haproxy_pushes_as_few_as_needed),
        TEST(test_haproxy_answer_names_in_order),
        TEST(test_haproxy_answer_that_says_something_else_ignored),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
