/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Key files of other programs: each layout byte for byte, there and back, and all that must be
 * refused.
 */
#include "core_util.h"

#include <openssl/evp.h>

#include "convert/format.h"

#define KEYS_MAX 8

static stek_key_t keys[KEYS_MAX];
static apr_size_t key_n;
static int line;

/* len bytes first, first + 1, ... */
static unsigned char *put(unsigned char *at, unsigned char first, size_t len)
{
    size_t i;

    for (i = 0; i < len; i++) {
        at[i] = (unsigned char)(first + i);
    }
    return at + len;
}

#define NAME 0x10
#define HMAC 0x40
#define AES 0x80

static apr_status_t parse(format_e format, const void *bytes, size_t len)
{
    key_n = 0;
    return format_parse(format, bytes, len, keys, KEYS_MAX, &key_n, &line);
}

/* name | one | two, halves of half bytes. */
static size_t raw_key(unsigned char *raw, int one, int two, size_t half)
{
    return (size_t)(put(put(put(raw, NAME, 16), (unsigned char)one, half), (unsigned char)two, half)
                    - raw);
}

static void assert_key(const stek_key_t *key, size_t half)
{
    unsigned char want[32];
    static const unsigned char zero[16];

    put(want, NAME, 16);
    assert_memory_equal(key->name, want, 16);
    put(want, HMAC, half);
    assert_memory_equal(key->hmac_key, want, half);
    put(want, AES, half);
    assert_memory_equal(key->aes_key, want, half);
    if (half == 16) {
        assert_memory_equal(key->hmac_key + 16, zero, 16);
        assert_memory_equal(key->aes_key + 16, zero, 16);
    }
    assert_int_equal(key->flags, half == 16 ? STEK_KEY_AES128 : 0);
}

static size_t base64(char *text, const unsigned char *raw, size_t len, int n, const char *end)
{
    char *at = text;

    while (n-- > 0) {
        at += EVP_EncodeBlock((unsigned char *)at, raw, (int)len);
        strcpy(at, end);
        at += strlen(end);
    }
    return (size_t)(at - text);
}

static void test_format_binary_layouts_halves_in_their_places(void **state)
{
    static const struct {
        format_e format;
        int one, two;
        size_t half;
    } layouts[] = {
        {FORMAT_NGINX, AES, HMAC, 16},   {FORMAT_NGINX, HMAC, AES, 32},
        {FORMAT_APACHE, HMAC, AES, 16},  {FORMAT_ATS, HMAC, AES, 16},
        {FORMAT_DNSDIST, AES, HMAC, 32},
    };
    unsigned char raw[80];
    size_t i, len;

    (void)state;
    for (i = 0; i < sizeof(layouts) / sizeof(layouts[0]); i++) {
        len = raw_key(raw, layouts[i].one, layouts[i].two, layouts[i].half);
        assert_int_equal(parse(layouts[i].format, raw, len), APR_SUCCESS);
        assert_int_equal(key_n, 1);
        assert_key(&keys[0], layouts[i].half);
        assert_true(keys[0].not_before == 0 && keys[0].decrypt_until == 0);
    }
}

static void test_format_haproxy_lines_aes_first(void **state)
{
    static const char *const ends[] = {"\n", "\r\n"};
    unsigned char raw[80];
    char text[1024];
    size_t half, len, i;

    (void)state;
    for (half = 16; half <= 32; half += 16) {
        len = raw_key(raw, AES, HMAC, half);
        for (i = 0; i < 2; i++) {
            assert_int_equal(parse(FORMAT_HAPROXY, text, base64(text, raw, len, 4, ends[i])),
                             APR_SUCCESS);
            assert_int_equal(key_n, 4);
            assert_key(&keys[0], half);
            assert_key(&keys[3], half);
        }
    }
    /* The last line need not end. */
    len = base64(text, raw, 80, 3, "\n");
    assert_int_equal(parse(FORMAT_HAPROXY, text, len - 1), APR_SUCCESS);
    assert_int_equal(key_n, 3);
}

static void test_format_lighttpd_times_and_version(void **state)
{
    struct {
        int32_t times[3];
        unsigned char raw[80];
    } file = {{0, 1767225600, 1767229200}, {0}};

    (void)state;
    raw_key(file.raw, HMAC, AES, 32);
    assert_int_equal(sizeof(file), FORMAT_LIGHTTPD_LEN);
    assert_int_equal(parse(FORMAT_LIGHTTPD, &file, sizeof(file)), APR_SUCCESS);
    assert_key(&keys[0], 32);
    assert_true(keys[0].not_before == T0);
    assert_true(keys[0].decrypt_until == T0 + HOUR);
    file.times[0] = 1;
    assert_int_equal(parse(FORMAT_LIGHTTPD, &file, sizeof(file)), STEK_EVERSION);
}

static void test_format_several_keys_in_their_order(void **state)
{
    unsigned char file[3 * 80];
    int n;

    (void)state;
    for (n = 0; n < 3; n++) {
        raw_key(file + n * 48, HMAC, AES, 16);
        file[n * 48] = (unsigned char)n;
    }
    assert_int_equal(parse(FORMAT_ATS, file, 3 * 48), APR_SUCCESS);
    assert_int_equal(key_n, 3);
    assert_int_equal(keys[2].name[0], 2);
    for (n = 0; n < 3; n++) {
        raw_key(file + n * 80, AES, HMAC, 32);
        file[n * 80] = (unsigned char)n;
    }
    assert_int_equal(parse(FORMAT_DNSDIST, file, 3 * 80), APR_SUCCESS);
    assert_int_equal(key_n, 3);
    assert_int_equal(keys[2].name[0], 2);
    keys[2].name[0] = NAME;
    assert_key(&keys[2], 32);
}

/* Every length: only those that the layout has are taken. */
static void test_format_wrong_length_refused(void **state)
{
    unsigned char bytes[512];
    size_t len;
    rnd_t rnd = {4};
    int format;

    (void)state;
    rnd_fill(&rnd, bytes, sizeof(bytes));
    memset(bytes, 0, 4);
    for (format = 0; format < FORMAT_N; format++) {
        assert_int_equal(parse((format_e)format, bytes, 0), STEK_EEMPTY);
        for (len = 1; len < 400; len++) {
            int good = (format == FORMAT_NGINX && (len == 48 || len == 80))
                       || (format == FORMAT_APACHE && len == 48)
                       || (format == FORMAT_ATS && len % 48 == 0)
                       || (format == FORMAT_DNSDIST && len % 80 == 0)
                       || (format == FORMAT_LIGHTTPD && len == FORMAT_LIGHTTPD_LEN);
            apr_status_t rv = parse((format_e)format, bytes, len);

            if (good) {
                assert_int_equal(rv, APR_SUCCESS);
            }
            else {
                assert_true(rv == STEK_ELENGTH || (format == FORMAT_HAPROXY && rv != APR_SUCCESS));
                assert_int_equal(key_n, 0);
            }
        }
    }
}

static void test_format_haproxy_bad_line_refused_with_its_number(void **state)
{
    unsigned char raw[80];
    char text[1024], bad[1024];
    static const char strange[] = " -_=\t~\n";
    size_t len, i;

    (void)state;
    raw_key(raw, AES, HMAC, 32);
    len = base64(text, raw, 80, 3, "\n");
    for (i = 0; i < sizeof(strange); i++) {
        memcpy(bad, text, len);
        bad[109 + 20] = strange[i];
        assert_true(parse(FORMAT_HAPROXY, bad, len) != APR_SUCCESS);
        assert_int_equal(line, 2);
    }
    /* Bits behind the last byte must be zero: another text for the same key. */
    memcpy(bad, text, len);
    bad[106]++;
    assert_int_equal(parse(FORMAT_HAPROXY, bad, len), STEK_ESYNTAX);
    assert_int_equal(line, 1);
    /* An empty line, and keys of two lengths. */
    memcpy(bad, text, len);
    bad[len] = '\n';
    assert_int_equal(parse(FORMAT_HAPROXY, bad, len + 1), STEK_ELENGTH);
    assert_int_equal(line, 4);
    base64(bad + len, raw, 48, 1, "\n");
    assert_int_equal(parse(FORMAT_HAPROXY, bad, len + 65), STEK_ELENGTH);
    assert_int_equal(line, 4);
}

static void test_format_too_many_keys_refused(void **state)
{
    unsigned char *bytes = calloc(KEYS_MAX + 1, 80), raw[80];
    char *text = malloc((KEYS_MAX + 1) * 110);

    (void)state;
    assert_non_null(bytes);
    assert_non_null(text);
    assert_int_equal(parse(FORMAT_DNSDIST, bytes, KEYS_MAX * 80), APR_SUCCESS);
    assert_int_equal(parse(FORMAT_DNSDIST, bytes, (KEYS_MAX + 1) * 80), STEK_EFULL);
    raw_key(raw, AES, HMAC, 32);
    assert_int_equal(parse(FORMAT_HAPROXY, text, base64(text, raw, 80, KEYS_MAX + 1, "\n")),
                     STEK_EFULL);
    free(bytes);
    free(text);
}

static void test_format_round_trip_equal(void **state)
{
    const stek_key_t *set[3];
    stek_key_t good[3];
    unsigned char buf[1024];
    apr_size_t len, n, i, room;
    int format;

    (void)state;
    for (i = 0; i < 3; i++) {
        good[i] = good_key((unsigned)i, T0, HOUR, 18 * HOUR);
        set[i] = &good[i];
    }
    for (format = 0; format < FORMAT_N; format++) {
        n = format == FORMAT_NGINX || format == FORMAT_APACHE || format == FORMAT_LIGHTTPD ? 1 : 3;
        assert_int_equal(format_emit((format_e)format, set, n, buf, sizeof(buf), &len),
                         APR_SUCCESS);
        assert_int_equal(parse((format_e)format, buf, len), APR_SUCCESS);
        assert_int_equal(key_n, n);
        for (i = 0; i < n; i++) {
            assert_memory_equal(keys[i].name, good[i].name, 16);
            if (!format_is_short((format_e)format)) {
                assert_memory_equal(keys[i].hmac_key, good[i].hmac_key, 32);
                assert_memory_equal(keys[i].aes_key, good[i].aes_key, 32);
            }
        }
        for (room = 0; room < len; room++) {
            assert_int_equal(format_emit((format_e)format, set, n, buf, room, &i), APR_ENOSPC);
        }
        assert_int_equal(format_emit((format_e)format, set, 0, buf, sizeof(buf), &i),
                         STEK_EMALFORMED);
        if (n == 1) {
            assert_int_equal(format_emit((format_e)format, set, 2, buf, sizeof(buf), &i),
                             STEK_EMALFORMED);
        }
    }
}

static void test_format_short_keys_round_trip_where_known(void **state)
{
    stek_key_t good = good_key(1, T0, HOUR, HOUR);
    const stek_key_t *set = &good;
    unsigned char buf[256];
    apr_size_t len;
    int format;

    (void)state;
    good.flags = STEK_KEY_AES128;
    memset(good.hmac_key + 16, 0, 16);
    memset(good.aes_key + 16, 0, 16);
    for (format = 0; format < FORMAT_N; format++) {
        apr_status_t rv = format_emit((format_e)format, &set, 1, buf, sizeof(buf), &len);

        if (format == FORMAT_LIGHTTPD || format == FORMAT_DNSDIST) {
            assert_int_equal(rv, STEK_EMALFORMED);
            continue;
        }
        assert_int_equal(rv, APR_SUCCESS);
        assert_int_equal(parse((format_e)format, buf, len), APR_SUCCESS);
        assert_memory_equal(keys[0].hmac_key, good.hmac_key, 32);
        assert_memory_equal(keys[0].aes_key, good.aes_key, 32);
        assert_int_equal(keys[0].flags, STEK_KEY_AES128);
    }
}

/* HKDF-SHA256 of 40..5f 80..9f by another implementation. */
static void test_format_derived_short_key_known_answer(void **state)
{
    static const unsigned char want[32] = {0x66, 0x63, 0x49, 0x04, 0xbc, 0x19, 0x9d, 0x79,
                                           0x75, 0xe3, 0x3a, 0x07, 0xe8, 0xb5, 0x16, 0xe7,
                                           0x7b, 0x77, 0x0e, 0x6e, 0x01, 0xfd, 0x45, 0xcc,
                                           0x59, 0x2a, 0xd9, 0x98, 0xa6, 0x43, 0x58, 0x2c};
    stek_key_t key = good_key(1, T0, HOUR, HOUR);
    const stek_key_t *set = &key;
    unsigned char buf[64];
    apr_size_t len;

    (void)state;
    put(key.hmac_key, HMAC, 32);
    put(key.aes_key, AES, 32);
    assert_int_equal(format_emit(FORMAT_ATS, &set, 1, buf, sizeof(buf), &len), APR_SUCCESS);
    assert_int_equal(len, 48);
    assert_memory_equal(buf, key.name, 16);
    assert_memory_equal(buf + 16, want, 32);
}

static void test_format_lighttpd_time_beyond_2038_capped(void **state)
{
    stek_key_t key = good_key(1, SEC(APR_INT64_C(2147483640)), HOUR, HOUR);
    const stek_key_t *set = &key;
    unsigned char buf[FORMAT_LIGHTTPD_LEN];
    apr_size_t len;

    (void)state;
    assert_int_equal(format_emit(FORMAT_LIGHTTPD, &set, 1, buf, sizeof(buf), &len), APR_SUCCESS);
    assert_int_equal(parse(FORMAT_LIGHTTPD, buf, len), APR_SUCCESS);
    assert_true(keys[0].not_before == SEC(APR_INT64_C(2147483640)));
    assert_true(keys[0].decrypt_until == SEC(APR_INT64_C(2147483647)));
}

static void test_format_use_as_the_programs_do(void **state)
{
    (void)state;
    assert_int_equal(format_use(FORMAT_NGINX, 0, 3), FORMAT_ENCRYPTS);
    assert_int_equal(format_use(FORMAT_NGINX, 1, 3), FORMAT_DECRYPTS);
    assert_int_equal(format_use(FORMAT_ATS, 0, 1), FORMAT_ENCRYPTS);
    assert_int_equal(format_use(FORMAT_APACHE, 0, 1), FORMAT_ENCRYPTS);
    assert_int_equal(format_use(FORMAT_DNSDIST, 0, 3), FORMAT_DECRYPTS);
    assert_int_equal(format_use(FORMAT_DNSDIST, 2, 3), FORMAT_ENCRYPTS);
    assert_int_equal(format_use(FORMAT_LIGHTTPD, 1, 2), FORMAT_ENCRYPTS);
    assert_int_equal(format_use(FORMAT_HAPROXY, 0, 5), FORMAT_IGNORED);
    assert_int_equal(format_use(FORMAT_HAPROXY, 1, 5), FORMAT_IGNORED);
    assert_int_equal(format_use(FORMAT_HAPROXY, 2, 5), FORMAT_DECRYPTS);
    assert_int_equal(format_use(FORMAT_HAPROXY, 3, 5), FORMAT_ENCRYPTS);
    assert_int_equal(format_use(FORMAT_HAPROXY, 4, 5), FORMAT_DECRYPTS);
}

static void test_format_guess_by_length_and_text(void **state)
{
    unsigned char bytes[512], raw[80];
    char text[512];
    format_e format;
    rnd_t rnd = {7};

    (void)state;
    rnd_fill(&rnd, bytes, sizeof(bytes));
    assert_int_equal(format_guess(bytes, 0, &format), STEK_ELENGTH);
    assert_int_equal(format_guess(bytes, 47, &format), STEK_ELENGTH);
    assert_int_equal(format_guess(bytes, 240, &format), STEK_ESYNTAX);
    assert_int_equal(format_guess(bytes, 92, &format), STEK_ELENGTH);
    assert_int_equal(format_guess(bytes, 48, &format), APR_SUCCESS);
    assert_int_equal(format, FORMAT_ATS);
    assert_int_equal(format_guess(bytes, 160, &format), APR_SUCCESS);
    assert_int_equal(format, FORMAT_DNSDIST);
    memset(bytes, 0, 4);
    assert_int_equal(format_guess(bytes, 92, &format), APR_SUCCESS);
    assert_int_equal(format, FORMAT_LIGHTTPD);
    raw_key(raw, AES, HMAC, 32);
    assert_int_equal(format_guess((unsigned char *)text, base64(text, raw, 80, 3, "\r\n"), &format),
                     APR_SUCCESS);
    assert_int_equal(format, FORMAT_HAPROXY);
    /* A weak binary key of letters is still a binary key. */
    memset(bytes, 'A', 48);
    assert_int_equal(format_guess(bytes, 48, &format), APR_SUCCESS);
    assert_int_equal(format, FORMAT_ATS);
}

static void test_format_names_found_and_listed(void **state)
{
    format_e format;
    int i;

    (void)state;
    for (i = 0; i < FORMAT_N; i++) {
        assert_int_equal(format_find(format_name((format_e)i), &format), APR_SUCCESS);
        assert_int_equal(format, i);
        assert_non_null(strstr(format_names(), format_name((format_e)i)));
    }
    for (i = 0; i < FORMAT_EXPORT_N; i++) {
        const char *name = format_name((format_e)i);

        assert_int_equal(format_find_export(name, &format), APR_SUCCESS);
        assert_int_equal(format, i);
        assert_non_null(strstr(i < FORMAT_N ? format_names() : format_export_names(), name));
        assert_int_equal(format_find(name, &format), i < FORMAT_N ? APR_SUCCESS : APR_NOTFOUND);
    }
    assert_int_equal(format_find("", &format), APR_NOTFOUND);
    assert_int_equal(format_find("Nginx", &format), APR_NOTFOUND);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_format_binary_layouts_halves_in_their_places),
        cmocka_unit_test(test_format_haproxy_lines_aes_first),
        cmocka_unit_test(test_format_lighttpd_times_and_version),
        cmocka_unit_test(test_format_several_keys_in_their_order),
        cmocka_unit_test(test_format_wrong_length_refused),
        cmocka_unit_test(test_format_haproxy_bad_line_refused_with_its_number),
        cmocka_unit_test(test_format_too_many_keys_refused),
        cmocka_unit_test(test_format_round_trip_equal),
        cmocka_unit_test(test_format_short_keys_round_trip_where_known),
        cmocka_unit_test(test_format_derived_short_key_known_answer),
        cmocka_unit_test(test_format_lighttpd_time_beyond_2038_capped),
        cmocka_unit_test(test_format_use_as_the_programs_do),
        cmocka_unit_test(test_format_guess_by_length_and_text),
        cmocka_unit_test(test_format_names_found_and_listed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
