/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Times of certificates and CRLs, against the function of OpenSSL that verifies chains.
 */
/* X509_cmp_time() is the reference as long as OpenSSL has it. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "core_util.h"

#include <openssl/asn1.h>
#include <openssl/x509.h>

#include "stek_x509_time.h"

#define ROUNDS 200000

static ASN1_TIME *made(int type, const char *text)
{
    ASN1_STRING *t = ASN1_STRING_type_new(type);

    assert_non_null(t);
    assert_int_equal(ASN1_STRING_set(t, text, -1), 1);
    return t;
}

static void as_openssl(int type, const char *text, apr_time_t now)
{
    ASN1_TIME *t = made(type, text);
    time_t now_s = (time_t)apr_time_sec(now);
    int got = stek_x509_time_compare(t, now), wanted = X509_cmp_time(t, &now_s);

    if (got != wanted) {
        fail_msg("%s (type %d) at %ld: %d, and OpenSSL says %d", text, type, (long)now_s, got,
                 wanted);
    }
    ASN1_STRING_free(t);
}

/* Nearly always a time: each part seldom beyond its range, the end seldom another. */
static void draw_text(rnd_t *rnd, char *text, size_t len, int *type)
{
    static const char *const ends[] = {"Z", "", "z", "+0100", ".5Z", "0Z", "-0000"};
    int is_utc = rnd_below(rnd, 2) == 0, odd = rnd_below(rnd, 4) == 0;
    unsigned year = is_utc ? rnd_below(rnd, 100) : 1900 + rnd_below(rnd, 300);

    *type = (rnd_below(rnd, 20) == 0) ^ is_utc ? V_ASN1_UTCTIME : V_ASN1_GENERALIZEDTIME;
    snprintf(text, len, is_utc ? "%02u%02u%02u%02u%02u%02u%s" : "%04u%02u%02u%02u%02u%02u%s", year,
             rnd_below(rnd, odd ? 15 : 12) + 1 - (unsigned)odd * rnd_below(rnd, 2),
             rnd_below(rnd, odd ? 33 : 28) + 1, rnd_below(rnd, odd ? 26 : 24),
             rnd_below(rnd, odd ? 62 : 60), rnd_below(rnd, odd ? 63 : 60),
             ends[odd ? rnd_below(rnd, 7) : 0]);
    if (rnd_below(rnd, 30) == 0) {
        text[rnd_below(rnd, (unsigned)strlen(text))] = "x /:\xb2"[rnd_below(rnd, 5)];
    }
}

static void test_x509_time_compare_drawn_as_openssl(void **state)
{
    uint64_t seed = seed_from_env();
    rnd_t rnd = {seed};
    char text[64];
    int i, type;

    (void)state;
    print_message("seed %llu\n", (unsigned long long)seed);
    for (i = 0; i < ROUNDS; i++) {
        draw_text(&rnd, text, sizeof(text), &type);
        as_openssl(type, text, SEC((apr_int64_t)(rnd_next(&rnd) % UINT64_C(6000000000))));
    }
}

static void test_x509_time_compare_at_the_second_is_not_later(void **state)
{
    apr_time_t now;

    (void)state;
    for (now = T0 - SEC(2); now <= T0 + SEC(2); now += APR_USEC_PER_SEC / 2) {
        as_openssl(V_ASN1_UTCTIME, "260101000000Z", now);
        as_openssl(V_ASN1_GENERALIZEDTIME, "20260101000000Z", now);
    }
    as_openssl(V_ASN1_GENERALIZEDTIME, "99991231235959Z", T0);
}

static void test_x509_time_compare_other_type_is_none(void **state)
{
    (void)state;
    as_openssl(V_ASN1_UTF8STRING, "260101000000Z", T0);
    as_openssl(V_ASN1_UTCTIME, "", T0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_x509_time_compare_drawn_as_openssl),
        cmocka_unit_test(test_x509_time_compare_at_the_second_is_not_later),
        cmocka_unit_test(test_x509_time_compare_other_type_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
