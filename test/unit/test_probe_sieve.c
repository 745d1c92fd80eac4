/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sieve for HMAC keys beside OpenSSL's HMAC: random digests, texts of one and two pieces, keys
 * of every length.  A key that made one of the MACs always passes, others do not.
 */
#include "core_util.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "probe/des_lanes.h"
#include "probe/hash_lanes.h"
#include "probe/hmac_sieve.h"
#include "probe/mac_keys.h"

#define ROUNDS_N 4000
#define TICKET_LEN 700
#define TEXTS_MAX 40
#define LONGEST 64

static const char *const names[] = {"MD5", "SHA1", "SHA224", "SHA256", "SHA384", "SHA512"};

typedef struct case_t {
    unsigned char ticket[TICKET_LEN], macs[TEXTS_MAX][EVP_MAX_MD_SIZE];
    unsigned char keys[PROBE_SIEVE_KEYS * LONGEST];
    probe_sieve_text_t texts[TEXTS_MAX];
    apr_size_t texts_n, key_len, keys_n;
    const char *digest;
} case_t;

static void mac_by_openssl(const case_t *one, const probe_sieve_text_t *text,
                           const unsigned char *key, unsigned char *mac)
{
    unsigned char all[2 * TICKET_LEN];

    memcpy(all, text->first, text->first_len);
    if (text->second_len) {
        memcpy(all + text->first_len, text->second, text->second_len);
    }
    assert_non_null(HMAC(EVP_get_digestbyname(one->digest), key, (int)one->key_len, all,
                         text->first_len + text->second_len, mac, NULL));
}

/* Many texts begin at the same place, as those of MACs that are cut to different lengths do. */
static void draw(rnd_t *rnd, case_t *one)
{
    apr_size_t i, from = rnd_below(rnd, 20);

    rnd_fill(rnd, one->ticket, sizeof(one->ticket));
    rnd_fill(rnd, one->keys, sizeof(one->keys));
    rnd_fill(rnd, one->macs[0], sizeof(one->macs));
    one->digest = names[rnd_below(rnd, 6)];
    one->key_len = 8 + rnd_below(rnd, LONGEST - 7);
    one->keys_n = 1 + rnd_below(rnd, PROBE_SIEVE_KEYS);
    one->texts_n = 1 + rnd_below(rnd, TEXTS_MAX);
    for (i = 0; i < one->texts_n; i++) {
        probe_sieve_text_t *text = &one->texts[i];
        apr_size_t at = rnd_below(rnd, 3) ? from : rnd_below(rnd, TICKET_LEN / 2);
        apr_size_t second = rnd_below(rnd, 3) ? 0 : rnd_below(rnd, TICKET_LEN / 2);

        text->first = one->ticket + at;
        text->first_len = 1 + rnd_below(rnd, TICKET_LEN - (unsigned)at);
        text->second = one->ticket + second;
        text->second_len = second ? rnd_below(rnd, TICKET_LEN / 2) : 0;
        text->mac = one->macs[i];
    }
}

static void test_sieve_right_keys_pass_others_do_not(void **state)
{
    static case_t one;
    rnd_t rnd = {seed_from_env()};
    uint64_t seed = rnd.state;
    int round;

    (void)state;
    for (round = 0; round < ROUNDS_N; round++) {
        unsigned passed, wanted = 0, key, text, n;
        probe_sieve_t *sieve;

        draw(&rnd, &one);
        /* Each for other texts. */
        for (n = rnd_below(&rnd, 3), text = 0; n > 0 && text < one.texts_n; n--, text += 7) {
            key = rnd_below(&rnd, (unsigned)one.keys_n);
            mac_by_openssl(&one, &one.texts[text], one.keys + key * one.key_len, one.macs[text]);
            wanted |= 1U << key;
        }
        sieve = probe_sieve_create(one.digest, one.texts, one.texts_n);
        assert_non_null(sieve);
        passed = probe_sieve_keys(sieve, one.keys, one.key_len, one.keys_n);
        probe_sieve_free(sieve);
        if (passed != wanted) {
            fail_msg("seed %llu, round %d: %s passed %x, not %x", (unsigned long long)seed, round,
                     one.digest, passed, wanted);
        }
        for (key = 0; key < one.keys_n; key++) {
            if (probe_sieve_one(one.digest, one.texts, one.texts_n, one.keys + key * one.key_len,
                                one.key_len)
                != (int)(wanted >> key & 1)) {
                fail_msg("seed %llu, round %d: %s, key %u alone", (unsigned long long)seed, round,
                         one.digest, key);
            }
        }
    }
}

typedef struct lanes_t {
    const probe_hash_t *hash;
    probe_vector_t words[PROBE_BLOCK_N], state[PROBE_STATE_MAX], schedule[PROBE_ROUNDS_MAX];
    unsigned char same[PROBE_ROUNDS_MAX * 8]; /* lane 0's schedule */
    unsigned char digests[16][EVP_MAX_MD_SIZE];
} lanes_t;

/* Where byte i of a message or digest is. */
static unsigned char *byte_of(const lanes_t *all, probe_vector_t *vectors, size_t lane, size_t i)
{
    size_t len = all->hash->word_len, at = i % len;

    return &vectors[i / len].bytes[lane * len + (all->hash->is_big ? len - 1 - at : at)];
}

static void start(lanes_t *all)
{
    size_t len = all->hash->word_len, lane, i, j;

    for (lane = 0; lane < all->hash->vector_len / len; lane++) {
        for (i = 0; i < all->hash->state_n; i++) {
            for (j = 0; j < len; j++) {
                all->state[i].bytes[lane * len + j] = (unsigned char)(all->hash->start[i] >> 8 * j);
            }
        }
    }
}

/* A message that fits into a block with its length. */
static void draw_message(rnd_t *rnd, lanes_t *all, size_t lane, const EVP_MD *md)
{
    size_t size = PROBE_BLOCK_N * all->hash->word_len, i;
    size_t len = rnd_below(rnd, (unsigned)(size - 2 * all->hash->word_len));
    unsigned char block[128] = {0};

    rnd_fill(rnd, block, len);
    assert_int_equal(EVP_Digest(block, len, all->digests[lane], NULL, md, NULL), 1);
    block[len] = 0x80;
    block[all->hash->is_big ? size - 1 : size - 8] = (unsigned char)(8 * len);
    block[all->hash->is_big ? size - 2 : size - 7] = (unsigned char)(8 * len >> 8);
    for (i = 0; i < size; i++) {
        *byte_of(all, all->words, lane, i) = block[i];
    }
}

/* Every lane has a message of its own, or they all have the first one's. */
static void compare_digests(lanes_t *all, int is_same, unsigned long long seed)
{
    size_t lane, i;

    for (lane = 0; lane < all->hash->vector_len / all->hash->word_len; lane++) {
        for (i = 0; i < all->hash->digest_len; i++) {
            if (*byte_of(all, all->state, lane, i) != all->digests[is_same ? 0 : lane][i]) {
                fail_msg("seed %llu: %s in vectors of %d bytes, lane %d", seed, all->hash->name,
                         (int)all->hash->vector_len, (int)lane);
            }
        }
    }
}

static void check_hash(rnd_t *rnd, const probe_hash_t *hash, unsigned long long seed)
{
    static lanes_t all;
    EVP_MD *md = EVP_MD_fetch(NULL, hash->name, NULL);
    size_t lane, i;

    assert_non_null(md);
    all.hash = hash;
    for (lane = 0; lane < hash->vector_len / hash->word_len; lane++) {
        draw_message(rnd, &all, lane, md);
    }
    EVP_MD_free(md);
    start(&all);
    hash->expand(all.schedule, all.words);
    hash->add(all.state, all.schedule);
    compare_digests(&all, 0, seed);
    for (i = 0; i < hash->rounds_n; i++) {
        memcpy(all.same + i * hash->word_len, all.schedule[i].bytes, hash->word_len);
    }
    start(&all);
    hash->add_same(all.state, all.same);
    compare_digests(&all, 1, seed);
}

static void test_hash_lanes_of_every_kind_agree_with_openssl(void **state)
{
    rnd_t rnd = {seed_from_env()};
    uint64_t seed = rnd.state;
    int kind, kinds_n = 0, round;
    size_t i;

    (void)state;
    for (kind = 0; kind < PROBE_HASH_KINDS; kind++) {
        for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
            const probe_hash_t *hash = probe_hash_of_kind(names[i], kind);

            for (round = 0; hash && round < 20; round++) {
                check_hash(&rnd, hash, seed);
            }
            kinds_n += hash && i == 0;
        }
    }
    assert_true(kinds_n > 0);
    print_message("%d kinds\n", kinds_n);
}

static void test_sieve_too_much_refused(void **state)
{
    static unsigned char long_text[PROBE_SIEVE_LEN_MAX + 1];
    probe_sieve_text_t text = {
        .first = long_text, .mac = long_text, .first_len = PROBE_SIEVE_LEN_MAX};
    probe_sieve_t *sieve = probe_sieve_create("SHA256", &text, 1);

    (void)state;
    assert_non_null(sieve);
    probe_sieve_free(sieve);
    text.first_len++;
    assert_null(probe_sieve_create("SHA256", &text, 1));
    assert_null(probe_sieve_create("BLAKE2", &text, 0));
}

/* An HMAC fills keys up with zeros: what repeats an earlier key makes the same MAC, and nothing else
 * is left out. */
static void test_mac_keys_repeats_are_same_keys(void **state)
{
    probe_keys_for_t what = {.level = PROBE_QUICK, .is_mac = 1};
    probe_mac_keys_t all;
    apr_size_t i, j, repeats_n = 0, keys_n = 0, k, l;

    (void)state;
    assert_int_equal(probe_mac_keys_make(&all, 4, &what), 1);
    for (i = 0; i < all.n; i++) {
        for (j = 0; j < all.of[i].keys.n; j++) {
            unsigned char padded[LONGEST] = {0}, other[LONGEST];
            int is_known = 0;

            memcpy(padded, all.of[i].keys.bytes + j * all.of[i].keys.len, all.of[i].keys.len);
            for (k = 0; k <= i && !is_known; k++) {
                for (l = 0; l < (k < i ? all.of[k].keys.n : j) && !is_known; l++) {
                    memset(other, 0, sizeof(other));
                    memcpy(other, all.of[k].keys.bytes + l * all.of[k].keys.len,
                           all.of[k].keys.len);
                    is_known = memcmp(padded, other, sizeof(other)) == 0;
                }
            }
            assert_int_equal(all.of[i].repeats[j], is_known);
            repeats_n += all.of[i].repeats[j];
            keys_n++;
        }
    }
    print_message("%d of %d keys repeat others\n", (int)repeats_n, (int)keys_n);
    assert_true(repeats_n > 0 && repeats_n < keys_n);
    probe_mac_keys_free(&all);
}

/* DES is triple DES with the same key three times. */
static void check_des(rnd_t *rnd, apr_size_t key_len, apr_size_t n, uint64_t seed)
{
    static unsigned char keys[24 * PROBE_DES_KEYS], texts[PROBE_DES_KEYS][PROBE_DES_BLOCK];
    unsigned char block[PROBE_DES_BLOCK], full[24], text[PROBE_DES_BLOCK];
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    probe_des_t *des;
    apr_size_t i, j;
    int len;

    rnd_fill(rnd, keys, sizeof(keys));
    rnd_fill(rnd, block, sizeof(block));
    des = probe_des_create(keys, key_len, n);
    assert_non_null(des);
    probe_des_decrypt(des, block, texts);
    probe_des_free(des);
    for (i = 0; i < n; i++) {
        for (j = 0; j < sizeof(full); j++) {
            full[j] = keys[i * key_len + j % key_len];
        }
        assert_int_equal(EVP_DecryptInit_ex(ctx, EVP_des_ede3_ecb(), NULL, full, NULL), 1);
        assert_int_equal(EVP_CIPHER_CTX_set_padding(ctx, 0), 1);
        assert_int_equal(EVP_DecryptUpdate(ctx, text, &len, block, sizeof(block)), 1);
        if (memcmp(text, texts[i], sizeof(text)) != 0) {
            fail_msg("key %d of %d, %d bytes, seed %" APR_UINT64_T_FMT, (int)i, (int)n,
                     (int)key_len, (apr_uint64_t)seed);
        }
    }
    EVP_CIPHER_CTX_free(ctx);
}

static void test_des_lanes_agree_with_openssl(void **state)
{
    rnd_t rnd = {seed_from_env()};
    uint64_t seed = rnd.state;
    apr_size_t key_len;

    (void)state;
    for (key_len = 8; key_len <= 24; key_len += 8) {
        check_des(&rnd, key_len, PROBE_DES_KEYS, seed);
        check_des(&rnd, key_len, 1 + rnd_below(&rnd, PROBE_DES_KEYS), seed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_des_lanes_agree_with_openssl),
        cmocka_unit_test(test_sieve_right_keys_pass_others_do_not),
        cmocka_unit_test(test_hash_lanes_of_every_kind_agree_with_openssl),
        cmocka_unit_test(test_sieve_too_much_refused),
        cmocka_unit_test(test_mac_keys_repeats_are_same_keys),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
