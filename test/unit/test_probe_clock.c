/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys of clocks: the generators make what the originals make, and a key that one of them made of a
 * random number is found, with the number.
 */
#include "core_util.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <time.h>

#include "probe/search_clock.h"
#include "probe/weak_random.h"

#define NAME_LEN 16
#define IV_LEN 16
#define TEXT_LEN 112
#define AT_S 1795793011

static probe_random_t random_bytes;

static int form_named(const char *name)
{
    int form;

    for (form = 0; form < PROBE_RANDOM_FORMS; form++) {
        if (!strcmp(probe_random_name(form), name)) {
            return form;
        }
    }
    fail_msg("no form is called '%s'", name);
    return -1;
}

/* Made by CPython 3.11, OpenJDK 17 and libstdc++ 12 with this seed. */
static void test_clock_generators_as_originals(void **state)
{
    static const struct {
        const char *name;
        apr_uint64_t seed;
        const char *hex;
    } known[] = {
        {"randbytes() of Python", AT_S, "6a571a00455dcbbf0567c99e9dd82b29"},
        {"nextBytes() of java.util.Random", AT_S, "45179b043487ba54435c7e472b9ca35c"},
        {"nextInt(256) of java.util.Random", APR_UINT64_C(1795793011123),
         "dcc10904669441356509e508db608564"},
        {"mt19937, four bytes each", AT_S, "98810234526b759bcb3885a84041e586"},
    };
    unsigned char out[16];
    char hex[33];
    size_t i, j;

    (void)state;
    for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        assert_true(probe_random_make(&random_bytes, form_named(known[i].name), known[i].seed, out,
                                      sizeof(out)));
        for (j = 0; j < sizeof(out); j++) {
            snprintf(hex + 2 * j, 3, "%02x", out[j]);
        }
        assert_string_equal(hex, known[i].hex);
    }
}

#ifdef __GLIBC__
static void test_clock_rand_as_this_libc(void **state)
{
    int form = form_named("rand() of glibc, a byte each"), round, i;
    rnd_t rnd = {seed_from_env()};
    unsigned char out[PROBE_RANDOM_MAX];

    (void)state;
    for (round = 0; round < 1000; round++) {
        unsigned seed = round ? rnd_below(&rnd, 0xffffffff) : 0;

        assert_true(probe_random_make(&random_bytes, form, seed, out, sizeof(out)));
        srand(seed);
        for (i = 0; i < PROBE_RANDOM_MAX; i++) {
            assert_int_equal(out[i], rand() & 0xff);
        }
    }
}
#endif

/* name | IV or nonce | text | 32 or 16 bytes more. */
static size_t make_ticket(rnd_t *rnd, const unsigned char *key, int is_gcm, probe_ticket_t *ticket,
                          unsigned char *out)
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    unsigned char text[TEXT_LEN];
    size_t at = NAME_LEN + (is_gcm ? 12 : IV_LEN), tail = is_gcm ? 16 : 32;
    int len = 0, last = 0;

    rnd_fill(rnd, text, sizeof(text));
    rnd_fill(rnd, out, at);
    rnd_fill(rnd, ticket->secret, 48);
    memcpy(text + 20, ticket->secret, 48);
    ticket->secret_len = 48;
    assert_int_equal(EVP_EncryptInit_ex(ctx, is_gcm ? EVP_aes_128_gcm() : EVP_aes_256_cbc(), NULL,
                                        key, out + NAME_LEN),
                     1);
    assert_int_equal(EVP_EncryptUpdate(ctx, out + at, &len, text, TEXT_LEN - 5), 1);
    assert_int_equal(EVP_EncryptFinal_ex(ctx, out + at + len, &last), 1);
    EVP_CIPHER_CTX_free(ctx);
    rnd_fill(rnd, out + at + len + last, tail);
    return at + (size_t)(len + last) + tail;
}

/* Of a number that comes early in the search, so that this takes no minute; the score has the time. */
static void test_clock_key_of_a_number_found(void **state)
{
    rnd_t rnd = {seed_from_env()};
    uint64_t seed = rnd.state;
    unsigned char bytes[512], key[PROBE_RANDOM_MAX];
    int round;

    (void)state;
    for (round = 0; round < 10; round++) {
        int is_gcm = round % 2, form = (int)rnd_below(&rnd, PROBE_RANDOM_FORMS);
        probe_format_t format = {.name_len = NAME_LEN,
                                 .layout = is_gcm ? PROBE_LAYOUT_UNKNOWN : PROBE_LAYOUT_OPENSSL,
                                 .iv_at = 16,
                                 .iv_len = is_gcm ? 0 : 16,
                                 .text_at = 32,
                                 .mac_len = 32};
        probe_ticket_t ticket = {.bytes = bytes, .at = apr_time_from_sec(AT_S)};
        probe_search_t search = {.ticket = &ticket, .format = &format, .level = PROBE_DEEP};
        probe_clock_t clock = {.search = &search};
        apr_uint64_t number = PROBE_CLOCK_SMALL - 1 - rnd_below(&rnd, 500);

        assert_true(probe_random_make(&random_bytes, form, number, key, sizeof(key)));
        ticket.len = make_ticket(&rnd, key, is_gcm, &ticket, bytes);
        if (!probe_search_clock(&clock) || search.hit.made_of != number) {
            fail_msg("%s, %llu, gcm %d, seed %llu", probe_random_name(form),
                     (unsigned long long)number, is_gcm, (unsigned long long)seed);
        }
        assert_memory_equal(search.hit.key, key, is_gcm ? 16 : 32);
    }
}

static clock_t elsewhere; /* CPU time that others have used */

clock_t __real_clock(void);
clock_t __wrap_clock(void);
clock_t __wrap_clock(void)
{
    return __real_clock() + elsewhere;
}

static void let_others_work(void *arg, apr_size_t done, apr_size_t all)
{
    (void)arg;
    (void)done;
    (void)all;
    elsewhere += 2 * (clock_t)PROBE_CLOCK_CPU_S * CLOCKS_PER_SEC;
}

/* In a list of hosts, others have their turn while this one's key is searched for. */
static void test_clock_time_of_others_does_not_count(void **state)
{
    rnd_t rnd = {seed_from_env()};
    unsigned char bytes[512], key[PROBE_RANDOM_MAX];
    probe_format_t format = {.name_len = NAME_LEN,
                             .layout = PROBE_LAYOUT_OPENSSL,
                             .iv_at = 16,
                             .iv_len = 16,
                             .text_at = 32,
                             .mac_len = 32};
    probe_ticket_t ticket = {.bytes = bytes, .at = apr_time_from_sec(AT_S)};
    probe_search_t search = {.ticket = &ticket, .format = &format, .level = PROBE_DEEP};
    probe_clock_t clock = {.search = &search, .progress = let_others_work};
    apr_uint64_t number = PROBE_CLOCK_SMALL - 10000;

    (void)state;
    assert_true(probe_random_make(&random_bytes, 0, number, key, sizeof(key)));
    ticket.len = make_ticket(&rnd, key, 0, &ticket, bytes);
    assert_true(probe_search_clock(&clock) && search.hit.made_of == number);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clock_generators_as_originals),
#ifdef __GLIBC__
        cmocka_unit_test(test_clock_rand_as_this_libc),
#endif
        cmocka_unit_test(test_clock_key_of_a_number_found),
        cmocka_unit_test(test_clock_time_of_others_does_not_count),
    };
    int failed_n;

    if (!probe_random_begin(&random_bytes)) {
        return 1;
    }
    failed_n = cmocka_run_group_tests(tests, NULL, NULL);
    probe_random_end(&random_bytes);
    return failed_n;
}
