/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stekctl probe reads from tickets: layouts of several libraries, weak keys under every cipher
 * and MAC, plain secrets, repeated nonces; and nothing in good tickets.
 */
#include "core_util.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "probe/analysis.h"
#include "probe/candidate_keys.h"
#include "probe/checksum.h"
#include "probe/derived_keys.h"
#include "probe/hchacha.h"
#include "probe/mac_spans.h"
#include "probe/search.h"

#define TICKETS_N 10
#define TEXT_LEN 112
#define TICKET_MAX 512

/* How a ticket is put together; zeros: name 16 | IV 16 | AES-256-CBC | HMAC-SHA256. */
typedef struct recipe_t {
    int name_len, has_length, mac_len, is_tls13, plain, same_iv, holds_master, is_master_unknown;
    const EVP_CIPHER *(*cipher)(void);
    const EVP_MD *(*digest)(void);
    int no_mac_but_tag;
    unsigned char cipher_key[32], mac_key[32];
} recipe_t;

static unsigned char store[TICKETS_N][TICKET_MAX];
static probe_ticket_t tickets[TICKETS_N];
static rnd_t rnd;

/* The PSK that follows from a resumption master secret (RFC 9846, 4.7.1). */
static void expand(const unsigned char *master, probe_ticket_t *ticket)
{
    unsigned char info[64];
    size_t len = 0;

    info[len++] = 0;
    info[len++] = 32;
    info[len++] = 16;
    memcpy(info + len, "tls13 resumption", 16);
    len += 16;
    info[len++] = (unsigned char)ticket->nonce_len;
    memcpy(info + len, ticket->nonce, ticket->nonce_len);
    len += ticket->nonce_len;
    info[len++] = 1;
    assert_non_null(HMAC(EVP_sha256(), master, 32, info, len, ticket->secret, NULL));
}

static size_t encrypt(const recipe_t *recipe, const unsigned char *iv, const unsigned char *text,
                      unsigned char *out)
{
    const EVP_CIPHER *type = recipe->cipher ? recipe->cipher() : EVP_aes_256_cbc();
    EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
    unsigned char key[32];
    int len = 0, last = 0;

    memcpy(key, recipe->cipher_key, sizeof(key));
    if (EVP_CIPHER_get_mode(type) == EVP_CIPH_CCM_MODE) {
        assert_int_equal(EVP_EncryptInit_ex(cipher, type, NULL, NULL, NULL), 1);
        assert_int_equal(EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_SET_IVLEN, 12, NULL), 1);
        type = NULL;
    }
    assert_int_equal(EVP_EncryptInit_ex(cipher, type, NULL, key, iv), 1);
    assert_int_equal(EVP_EncryptUpdate(cipher, out, &len, text, TEXT_LEN), 1);
    assert_int_equal(EVP_EncryptFinal_ex(cipher, out + len, &last), 1);
    EVP_CIPHER_CTX_free(cipher);
    return (size_t)len + (size_t)last;
}

static int iv_len_of(const recipe_t *recipe)
{
    const EVP_CIPHER *type = recipe->cipher ? recipe->cipher() : EVP_aes_256_cbc();

    return EVP_CIPHER_get_mode(type) == EVP_CIPH_CCM_MODE ? 12 : EVP_CIPHER_get_iv_length(type);
}

static void make_secret(const recipe_t *recipe, probe_ticket_t *ticket, unsigned char *text)
{
    unsigned char master[32];

    ticket->is_tls13 = recipe->is_tls13;
    ticket->secret_len = recipe->is_tls13 ? 32 : 48;
    rnd_fill(&rnd, text, TEXT_LEN);
    memcpy(text, "\x30\x6c\x02\x01\x01\x02\x02\x03\x04\x04\x02\x13\x02\x04\x00\x04", 16);
    rnd_fill(&rnd, ticket->secret, ticket->secret_len);
    if (recipe->holds_master) {
        ticket->nonce_len = 8;
        rnd_fill(&rnd, ticket->nonce, 8);
        rnd_fill(&rnd, master, sizeof(master));
        expand(master, ticket);
        memcpy(text + 27, master, sizeof(master));
        memcpy(ticket->more[0], master, sizeof(master));
        ticket->more_n = recipe->is_master_unknown ? 0 : 1;
    }
    else {
        memcpy(text + 18, ticket->secret, ticket->secret_len);
    }
}

static void make_tickets(const recipe_t *recipe)
{
    int i, iv_len = iv_len_of(recipe), name_len = recipe->name_len ? recipe->name_len : 16;
    unsigned char name[64], iv[16], text[TEXT_LEN];

    rnd.state = seed_from_env();
    rnd_fill(&rnd, name, sizeof(name));
    rnd_fill(&rnd, iv, sizeof(iv));
    memset(tickets, 0, sizeof(tickets));
    for (i = 0; i < TICKETS_N; i++) {
        unsigned char *out = store[i], mac[64];
        const EVP_MD *md = recipe->digest ? recipe->digest() : EVP_sha256();
        size_t len = (size_t)name_len, text_len;
        unsigned mac_len = 0;

        make_secret(recipe, &tickets[i], text);
        memcpy(out, name, len);
        if (!recipe->same_iv) {
            rnd_fill(&rnd, iv, sizeof(iv));
        }
        memcpy(out + len, iv, (size_t)iv_len);
        len += (size_t)iv_len + (recipe->has_length ? 2 : 0);
        text_len = recipe->plain ? TEXT_LEN : encrypt(recipe, iv, text, out + len);
        if (recipe->plain) {
            memcpy(out + len, text, TEXT_LEN);
        }
        if (recipe->has_length) {
            out[len - 2] = (unsigned char)(text_len >> 8);
            out[len - 1] = (unsigned char)text_len;
        }
        len += text_len;
        assert_non_null(HMAC(md, recipe->mac_key, 32, out, len, mac, &mac_len));
        if (recipe->no_mac_but_tag) {
            rnd_fill(&rnd, mac, 16);
            mac_len = 16;
        }
        else if (recipe->mac_len) {
            mac_len = (unsigned)recipe->mac_len;
        }
        memcpy(out + len, mac, mac_len);
        tickets[i].bytes = out;
        tickets[i].len = len + mac_len;
    }
}

static recipe_t good_recipe(void)
{
    recipe_t recipe;

    memset(&recipe, 0, sizeof(recipe));
    rnd.state = seed_from_env() + 1;
    rnd_fill(&rnd, recipe.cipher_key, 32);
    rnd_fill(&rnd, recipe.mac_key, 32);
    return recipe;
}

static probe_format_t format_of(const recipe_t *recipe)
{
    probe_format_t format;

    make_tickets(recipe);
    probe_analysis_format(tickets, TICKETS_N, &format);
    return format;
}

/* ---- layouts ---- */

static void test_analysis_openssl_layout_recognised(void **state)
{
    recipe_t recipe = good_recipe();
    probe_format_t format = format_of(&recipe);

    (void)state;
    assert_int_equal(format.layout, PROBE_LAYOUT_OPENSSL);
    assert_int_equal(format.name_len, 16);
    assert_int_equal(format.iv_at, 16);
    assert_int_equal(format.text_at, 32);
    assert_int_equal(format.mac_len, 32);
    assert_string_equal(probe_analysis_layout(format.layout), "OpenSSL");
}

static void test_analysis_gnutls_layout_recognised(void **state)
{
    recipe_t recipe = good_recipe();
    probe_format_t format;

    (void)state;
    recipe.has_length = 1;
    recipe.digest = EVP_sha1;
    format = format_of(&recipe);
    assert_int_equal(format.layout, PROBE_LAYOUT_GNUTLS);
    assert_int_equal(format.text_at, 34);
    assert_int_equal(format.mac_len, 20);
    probe_analysis_format(tickets, 1, &format);
    assert_int_equal(format.layout, PROBE_LAYOUT_GNUTLS);
}

static void test_analysis_rfc5077_layout_recognised(void **state)
{
    recipe_t recipe = good_recipe();
    probe_format_t format;

    (void)state;
    recipe.has_length = 1;
    recipe.cipher = EVP_aes_128_cbc;
    format = format_of(&recipe);
    assert_int_equal(format.layout, PROBE_LAYOUT_RFC5077);
    assert_int_equal(format.mac_len, 32);
}

static void test_analysis_mbedtls_layout_recognised(void **state)
{
    recipe_t recipe = good_recipe();
    probe_format_t format;

    (void)state;
    recipe.name_len = 4;
    recipe.has_length = 1;
    recipe.cipher = EVP_aes_256_gcm;
    recipe.no_mac_but_tag = 1;
    format = format_of(&recipe);
    assert_int_equal(format.layout, PROBE_LAYOUT_MBEDTLS);
    assert_int_equal(format.name_len, 4);
    assert_int_equal(format.iv_len, 12);
}

static int has_span(const probe_spans_t *spans, size_t mac_at, size_t mac_len, size_t from)
{
    size_t i;

    for (i = 0; i < spans->n; i++) {
        const probe_span_t *span = &spans->all[i];

        if (span->mac_at == mac_at && span->mac_len == mac_len && span->from == from) {
            return 1;
        }
    }
    return 0;
}

/* Of a long digest, in a known layout, what is cut to 16 bytes or less: at level quick only at the
 * end, over all or all but the name.  Shorter digests, other layouts and levels get all places. */
static void test_analysis_long_mac_cut_short_searched_at_end_only(void **state)
{
    static const size_t cuts[] = {16, 12, 10}, len = 192;
    static const struct {
        probe_layout_e layout;
        size_t digest_len;
        probe_level_e level;
        int is_narrow;
    } cases[] = {
        {PROBE_LAYOUT_OPENSSL, 48, PROBE_QUICK, 1},  {PROBE_LAYOUT_OPENSSL, 64, PROBE_QUICK, 1},
        {PROBE_LAYOUT_OPENSSL, 32, PROBE_QUICK, 0},  {PROBE_LAYOUT_UNKNOWN, 48, PROBE_QUICK, 0},
        {PROBE_LAYOUT_OPENSSL, 48, PROBE_NORMAL, 0}, {PROBE_LAYOUT_UNKNOWN, 64, PROBE_QUICK, 0},
    };
    size_t i, j;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int is_known = cases[i].layout == PROBE_LAYOUT_OPENSSL;
        probe_format_t format = {.layout = cases[i].layout,
                                 .name_len = 16,
                                 .prefix_len = 16,
                                 .iv_at = is_known ? 16 : 0,
                                 .iv_len = is_known ? 16 : 0,
                                 .text_at = is_known ? 32 : 0,
                                 .mac_len = is_known ? 32 : 0};
        probe_spans_t spans;

        probe_mac_spans(&spans, len, &format, cases[i].digest_len, cases[i].level, 0);
        for (j = 0; j < sizeof(cuts) / sizeof(cuts[0]); j++) {
            size_t end = len - cuts[j];

            assert_true(has_span(&spans, end, cuts[j], 0));
            assert_true(has_span(&spans, end, cuts[j], 16));
            assert_int_equal(has_span(&spans, end, cuts[j], 32), !cases[i].is_narrow);
        }
        assert_int_equal(has_span(&spans, 16, 16, 32), !cases[i].is_narrow);
    }
}

/* Name 16 | length | text | 16 bytes: what would be the IV is the rest of a name.  If sessions begin
 * alike behind it, it is an IV that is always the same. */
static void test_analysis_long_name_before_length_is_no_iv(void **state)
{
    static const unsigned char text[] = {5, 5, 5, 5, 1, 2, 3, 4};
    static unsigned char bytes[TICKETS_N][120];
    probe_ticket_t made[TICKETS_N];
    probe_format_t format;
    int alike, i;

    (void)state;
    rnd.state = seed_from_env();
    for (alike = 0; alike <= 1; alike++) {
        for (i = 0; i < TICKETS_N; i++) {
            unsigned char *ticket = bytes[i];

            memset(ticket, 'n', 16);
            ticket[16] = 0;
            ticket[17] = sizeof(bytes[i]) - 18 - 16;
            rnd_fill(&rnd, ticket + 18, sizeof(bytes[i]) - 18);
            ticket[18] = (unsigned char)i;
            if (alike) {
                memcpy(ticket + 18, text, sizeof(text));
            }
            made[i] = (probe_ticket_t){.bytes = ticket, .len = sizeof(bytes[i])};
        }
        probe_analysis_format(made, TICKETS_N, &format);
        assert_int_equal(format.layout, alike ? PROBE_LAYOUT_MBEDTLS : PROBE_LAYOUT_UNKNOWN);
    }
    /* A nonce without a name is none of another key each time. */
    for (i = 0; i < TICKETS_N; i++) {
        rnd_fill(&rnd, bytes[i], 16);
        bytes[i][0] = (unsigned char)i;
    }
    probe_analysis_format(made, TICKETS_N, &format);
    assert_int_equal(format.layout, PROBE_LAYOUT_UNKNOWN);
}

/* Number of the key 4 | IV 16 | GCM; other lengths, a multiple of the block, and the byte of newer
 * versions say that it is something else. */
static void test_analysis_java_layout_recognised(void **state)
{
    static const struct {
        size_t len;
        int flag;
        probe_layout_e layout;
    } cases[] = {
        {333, -1, PROBE_LAYOUT_JAVA},    {336, -1, PROBE_LAYOUT_UNKNOWN},
        {340, -1, PROBE_LAYOUT_UNKNOWN}, {344, -1, PROBE_LAYOUT_UNKNOWN},
        {348, -1, PROBE_LAYOUT_UNKNOWN}, {250, -1, PROBE_LAYOUT_UNKNOWN},
        {333, 1, PROBE_LAYOUT_UNKNOWN},
    };
    recipe_t recipe = good_recipe();
    probe_format_t format;
    size_t i;
    int j;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        make_tickets(&recipe);
        for (j = 0; j < TICKETS_N; j++) {
            rnd_fill(&rnd, store[j] + 4, sizeof(store[j]) - 4);
            store[j][16] = cases[i].flag < 0 ? store[j][16] : (unsigned char)cases[i].flag;
            tickets[j].len = cases[i].len;
        }
        probe_analysis_format(tickets, TICKETS_N, &format);
        assert_int_equal(format.layout, cases[i].layout);
    }
    assert_true(probe_analysis_is_aead(PROBE_LAYOUT_JAVA));
}

static void test_analysis_short_tickets_stateful(void **state)
{
    recipe_t recipe = good_recipe();
    probe_format_t format;
    int i;

    (void)state;
    make_tickets(&recipe);
    for (i = 0; i < TICKETS_N; i++) {
        rnd_fill(&rnd, store[i], 32);
        tickets[i].len = 32;
    }
    probe_analysis_format(tickets, TICKETS_N, &format);
    assert_int_equal(format.layout, PROBE_LAYOUT_STATEFUL);
}

static void test_analysis_two_hosts_names_told(void **state)
{
    recipe_t recipe = good_recipe();
    probe_format_t format;
    int i;

    (void)state;
    make_tickets(&recipe);
    for (i = 0; i < TICKETS_N; i += 2) {
        store[i][0] ^= 0x80;
    }
    probe_analysis_format(tickets, TICKETS_N, &format);
    assert_int_equal(format.name_len, 16);
}

/* What all tickets have in common behind 16 bytes is no IV; but one that counts begins with zeros. */
static void test_analysis_longer_name_layout_not_recognised(void **state)
{
    static const struct {
        size_t n;
        probe_layout_e layout;
        unsigned char byte;
    } cases[] = {{TICKETS_N, PROBE_LAYOUT_UNKNOWN, 0x5a},
                 {4, PROBE_LAYOUT_UNKNOWN, 0x5a},
                 {3, PROBE_LAYOUT_OPENSSL, 0x5a},
                 {TICKETS_N, PROBE_LAYOUT_OPENSSL, 0}};
    recipe_t recipe = good_recipe();
    probe_format_t format;
    size_t i;
    int j;

    (void)state;
    make_tickets(&recipe);
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (j = 0; j < TICKETS_N; j++) {
            memset(store[j] + 16, cases[i].byte, 13);
            store[j][29] = (unsigned char)j;
        }
        probe_analysis_format(tickets, cases[i].n, &format);
        assert_int_equal(format.layout, cases[i].layout);
    }
}

static void test_analysis_text_layout_not_recognised(void **state)
{
    recipe_t recipe = good_recipe();
    probe_format_t format;
    int i, j;

    (void)state;
    make_tickets(&recipe);
    for (i = 0; i < TICKETS_N; i++) {
        tickets[i].len = 192;
        for (j = 0; j < 192; j++) {
            store[i][j] = (unsigned char)"0123456789abcdef"[j < 16 ? j : store[i][j] & 15];
        }
        store[i][16] = (unsigned char)('0' + i);
    }
    probe_analysis_format(tickets, TICKETS_N, &format);
    assert_int_equal(format.layout, PROBE_LAYOUT_UNKNOWN);
    assert_int_equal(format.name_len, 16);
}

/* What looks like the IV of mbedTLS, but is the same in two tickets, although no key stream is. */
static void test_analysis_gcm_iv_without_key_stream_nothing_found(void **state)
{
    recipe_t recipe = good_recipe();
    probe_format_t format;
    probe_hit_t hit;
    int i;

    (void)state;
    recipe.name_len = 4;
    recipe.has_length = 1;
    recipe.cipher = EVP_aes_256_gcm;
    recipe.no_mac_but_tag = 1;
    make_tickets(&recipe);
    for (i = 0; i < 2; i++) {
        memset(store[i] + 4, 0x5a, 12);
    }
    probe_analysis_format(tickets, TICKETS_N, &format);
    assert_int_equal(format.layout, PROBE_LAYOUT_MBEDTLS);
    assert_false(probe_analysis_nonce(tickets, TICKETS_N, &format, &hit));
}

/* ---- weak keys ---- */

static int search_one(int (*search)(probe_search_t *), probe_level_e level,
                      const probe_format_t *format, probe_hit_t *hit)
{
    probe_search_t one = {.ticket = &tickets[0], .format = format, .level = level};
    int found = search(&one);

    assert_null(one.missing);
    *hit = one.hit;
    return found;
}

static void assert_cipher_found(const recipe_t *recipe, const char *algorithm, apr_size_t key_len)
{
    probe_format_t format = format_of(recipe);
    probe_hit_t hit;

    if (!search_one(probe_search_cipher, PROBE_QUICK, &format, &hit)) {
        fail_msg("%s: not found", algorithm);
    }
    assert_string_equal(hit.algorithm, algorithm);
    assert_int_equal(hit.key_len, key_len);
    assert_memory_equal(hit.key, recipe->cipher_key, key_len);
}

static void test_analysis_zero_key_each_cipher_found(void **state)
{
    static const struct {
        const EVP_CIPHER *(*cipher)(void);
        const char *name;
        apr_size_t key_len;
    } ciphers[] = {
        {EVP_aes_128_cbc, "AES-128-CBC", 16}, {EVP_aes_256_cbc, "AES-256-CBC", 32},
        {EVP_aes_128_gcm, "AES-128-GCM", 16}, {EVP_aes_256_gcm, "AES-256-GCM", 32},
        {EVP_aes_128_ctr, "AES-128-CTR", 16}, {EVP_aes_256_ctr, "AES-256-CTR", 32},
        {EVP_aes_128_ccm, "AES-128-CCM", 16}, {EVP_aes_256_ccm, "AES-256-CCM", 32},
        {EVP_chacha20, "ChaCha20", 32},       {EVP_chacha20_poly1305, "ChaCha20-Poly1305", 32},
    };
    recipe_t recipe = good_recipe();
    size_t i, variant;

    (void)state;
    memset(recipe.cipher_key, 0, sizeof(recipe.cipher_key));
    for (i = 0; i < sizeof(ciphers) / sizeof(ciphers[0]); i++) {
        recipe.cipher = ciphers[i].cipher;
        for (variant = 0; variant < 8; variant++) {
            recipe.is_tls13 = variant & 1;
            recipe.has_length = variant >> 1 & 1;
            recipe.name_len = variant >> 2 & 1 ? 4 : 16;
            assert_cipher_found(&recipe, ciphers[i].name, ciphers[i].key_len);
        }
    }
}

static void test_analysis_wild_keys_found(void **state)
{
    recipe_t recipe = good_recipe();
    int i;

    (void)state;
    for (i = 0; i < 32; i++) {
        recipe.cipher_key[i] = i < 16 ? 0x31 : 0;
    }
    assert_cipher_found(&recipe, "AES-256-CBC", 32);
    recipe.cipher = EVP_aes_128_cbc;
    for (i = 0; i < 32; i++) {
        recipe.cipher_key[i] = (unsigned char)(0x10 + i);
    }
    assert_cipher_found(&recipe, "AES-128-CBC", 16);
}

static void test_analysis_master_secret_in_ticket_found(void **state)
{
    recipe_t recipe = good_recipe();

    (void)state;
    recipe.is_tls13 = recipe.holds_master = recipe.has_length = 1;
    recipe.digest = EVP_sha1;
    memset(recipe.cipher_key, 0, sizeof(recipe.cipher_key));
    assert_cipher_found(&recipe, "AES-256-CBC", 32);
}

static void test_analysis_zero_mac_key_each_digest_found(void **state)
{
    static const struct {
        const EVP_MD *(*digest)(void);
        const char *name;
        int len;
    } digests[] = {{EVP_md5, "HMAC-MD5", 16},
                   {EVP_sha1, "HMAC-SHA1", 20},
                   {EVP_sha256, "HMAC-SHA256", 32},
                   {EVP_sha384, "HMAC-SHA384", 48},
                   {EVP_sha512, "HMAC-SHA512", 64}};
    static const int cuts[] = {0, 8, 10, 12, 16};
    recipe_t recipe = good_recipe();
    size_t i, j;

    (void)state;
    memset(recipe.mac_key, 0, sizeof(recipe.mac_key));
    for (i = 0; i < sizeof(digests) / sizeof(digests[0]); i++) {
        for (j = 0; j < sizeof(cuts) / sizeof(cuts[0]); j++) {
            probe_format_t format;
            probe_hit_t hit;

            recipe.digest = digests[i].digest;
            recipe.mac_len = cuts[j];
            format = format_of(&recipe);
            assert_true(search_one(probe_search_mac, PROBE_QUICK, &format, &hit));
            assert_string_equal(hit.algorithm, digests[i].name);
            assert_int_equal(hit.mac_len, cuts[j] ? cuts[j] : digests[i].len);
            assert_int_equal(hit.mac_full_len, digests[i].len);
        }
    }
}

/* No less than a MAC of its full length. */
static void test_analysis_cut_mac_with_rarer_key_found(void **state)
{
    static const int cuts[] = {10, 12, 16};
    recipe_t recipe = good_recipe();
    rnd_t chance = {seed_from_env()};
    uint64_t seed = chance.state;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
        probe_format_t format;
        probe_hit_t hit;

        memset(recipe.mac_key, 0, sizeof(recipe.mac_key));
        recipe.mac_key[rnd_below(&chance, 32)] = (unsigned char)(1 << rnd_below(&chance, 8));
        recipe.mac_len = cuts[i];
        format = format_of(&recipe);
        format.layout = PROBE_LAYOUT_UNKNOWN; /* as those of ciphers with shorter blocks are */
        if (!search_one(probe_search_mac, PROBE_NORMAL, &format, &hit)) {
            fail_msg("seed %llu, cut to %d", (unsigned long long)seed, cuts[i]);
        }
        assert_int_equal(hit.mac_len, cuts[i]);
    }
}

/* Puts a ticket together by hand: name 16 | nonce | text under zeros, the secret inside in some form. */
static probe_format_t format_by_hand(const EVP_CIPHER *type, size_t nonce_len, int is_aead,
                                     const unsigned char *key, const char *digits)
{
    EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
    unsigned char text[TEXT_LEN], *out = store[0];
    probe_format_t format = {.name_len = 16};
    size_t i, at = 16 + nonce_len;
    int len = 0;

    memset(tickets, 0, sizeof(tickets));
    rnd.state = seed_from_env();
    rnd_fill(&rnd, out, at);
    rnd_fill(&rnd, text, sizeof(text));
    rnd_fill(&rnd, tickets[0].secret, 32);
    tickets[0].secret_len = 32;
    for (i = 0; i < 32 && digits; i++) {
        text[20 + 2 * i] = (unsigned char)digits[tickets[0].secret[i] >> 4];
        text[21 + 2 * i] = (unsigned char)digits[tickets[0].secret[i] & 15];
    }
    if (!digits) {
        memcpy(text + 20, tickets[0].secret, 32);
    }
    assert_int_equal(EVP_EncryptInit_ex(cipher, type, NULL, NULL, NULL), 1);
    assert_true(!is_aead
                || EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_SET_IVLEN, (int)nonce_len, NULL) == 1);
    assert_int_equal(EVP_EncryptInit_ex(cipher, NULL, NULL, key, out + 16), 1);
    assert_int_equal(EVP_CIPHER_CTX_set_padding(cipher, 0), 1);
    assert_int_equal(EVP_EncryptUpdate(cipher, out + at, &len, text, sizeof(text)), 1);
    EVP_CIPHER_CTX_free(cipher);
    rnd_fill(&rnd, out + at + sizeof(text), 16);
    tickets[0].bytes = out;
    tickets[0].len = at + sizeof(text) + 16;
    return format;
}

static void test_analysis_zero_key_more_ciphers_found(void **state)
{
    static const struct {
        const EVP_CIPHER *(*cipher)(void);
        size_t nonce_len;
        int is_aead;
        const char *name;
    } cases[] = {
        {EVP_aes_192_cbc, 16, 0, "AES-192-CBC"}, {EVP_aes_192_ctr, 16, 0, "AES-192-CTR"},
        {EVP_aes_128_gcm, 16, 1, "AES-128-GCM"}, {EVP_aes_256_gcm, 8, 1, "AES-256-GCM"},
        {EVP_aes_192_gcm, 12, 1, "AES-192-GCM"}, {EVP_aes_128_ccm, 13, 1, "AES-128-CCM"},
        {EVP_aes_256_ccm, 8, 1, "AES-256-CCM"},  {EVP_des_ede3_cbc, 8, 0, "3DES-CBC"},
        {EVP_aes_128_ecb, 0, 0, "AES-128-ECB"},  {EVP_aes_256_ecb, 0, 0, "AES-256-ECB"},
    };
    static const unsigned char zero[32];
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        probe_format_t format = format_by_hand(cases[i].cipher(), cases[i].nonce_len,
                                               cases[i].is_aead, zero, NULL);
        probe_hit_t hit;

        if (!search_one(probe_search_cipher, PROBE_QUICK, &format, &hit)) {
            fail_msg("%s: not found", cases[i].name);
        }
        assert_string_equal(hit.algorithm, cases[i].name);
        /* Blocks are only known by their alignment. */
        assert_int_equal(hit.text_at % 8, (16 + cases[i].nonce_len) % 8);
        assert_int_equal(hit.secret_at, 16 + cases[i].nonce_len + 20 + 16);
    }
}

/* draft-irtf-cfrg-xchacha-03, 2.2.1. */
static void test_analysis_hchacha_as_in_draft(void **state)
{
    static const unsigned char nonce[16] = {0, 0, 0, 9, 0,    0,    0,    0x4a,
                                            0, 0, 0, 0, 0x31, 0x41, 0x59, 0x27};
    static const unsigned char expected[8] = {0x82, 0x41, 0x3b, 0x42, 0x27, 0xb2, 0x7b, 0xfe};
    unsigned char key[32], out[32];
    int i;

    (void)state;
    for (i = 0; i < 32; i++) {
        key[i] = (unsigned char)i;
    }
    probe_hchacha(key, nonce, out);
    assert_memory_equal(out, expected, sizeof(expected));
}

static void test_analysis_secret_in_hex_found(void **state)
{
    static const unsigned char zero[32];
    probe_format_t format = format_by_hand(EVP_aes_256_ctr(), 16, 0, zero, "0123456789abcdef");
    probe_hit_t hit;

    (void)state;
    assert_true(search_one(probe_search_cipher, PROBE_QUICK, &format, &hit));
    assert_string_equal(hit.form, "in hex");
}

static void test_analysis_ticket_in_base64_found(void **state)
{
    static const unsigned char zero[32];
    static unsigned char text[TICKET_MAX];
    probe_format_t format = format_by_hand(EVP_aes_128_cbc(), 16, 0, zero, NULL);
    probe_hit_t hit;

    (void)state;
    tickets[0].len = (size_t)EVP_EncodeBlock(text, tickets[0].bytes, (int)tickets[0].len);
    tickets[0].bytes = text;
    assert_true(search_one(probe_search_cipher, PROBE_QUICK, &format, &hit));
    assert_true(hit.is_decoded);
}

/* crypto/tls takes everything from a hash of what is configured. */
static void test_analysis_key_that_go_derives_found(void **state)
{
    static const unsigned char zero[32];
    unsigned char digest[64];
    probe_format_t format;
    probe_hit_t hit;

    (void)state;
    assert_int_equal(EVP_Digest(zero, 32, digest, NULL, EVP_sha512(), NULL), 1);
    format = format_by_hand(EVP_aes_128_ctr(), 16, 0, digest + 16, NULL);
    assert_true(search_one(probe_search_cipher, PROBE_QUICK, &format, &hit));
    assert_memory_equal(hit.key, digest + 16, 16);
    assert_non_null(strstr(hit.scheme, "Go"));
    assert_memory_equal(hit.configured, zero, 32);
}

static void hkdf(const unsigned char *raw, const unsigned char *info, size_t info_len,
                 unsigned char *out)
{
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string("digest", "SHA256", 0),
        OSSL_PARAM_construct_octet_string("key", (void *)raw, 32),
        OSSL_PARAM_construct_octet_string("info", (void *)info, info_len),
        OSSL_PARAM_construct_end(),
    };
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);

    assert_int_equal(EVP_KDF_derive(ctx, out, 32, params), 1);
    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(kdf);
}

/* s2n makes a key for each ticket, from 32 bytes in it. */
static void test_analysis_key_of_one_ticket_found(void **state)
{
    static const unsigned char zero[32];
    unsigned char key[32], once[32], info[32];
    probe_format_t format = {.name_len = 17};
    probe_hit_t hit;

    (void)state;
    rnd.state = seed_from_env() + 2;
    rnd_fill(&rnd, info, sizeof(info));
    hkdf(zero, NULL, 0, key);
    hkdf(key, info, sizeof(info), once);
    format_by_hand(EVP_aes_256_gcm(), 12, 1, once, NULL);
    memmove(store[0] + 49, store[0] + 16, tickets[0].len - 16);
    memcpy(store[0] + 17, info, sizeof(info));
    tickets[0].len += 33;
    assert_true(search_one(probe_search_cipher, PROBE_NORMAL, &format, &hit));
    assert_memory_equal(hit.key, once, sizeof(once));
    assert_memory_equal(hit.configured, zero, sizeof(zero));
    assert_int_equal(hit.iv_at, 49);
}

/* "secretsecret..." fills a file of name and keys, and 16 bytes for the name end within the word. */
static void test_analysis_text_from_its_middle_found(void **state)
{
    unsigned char key[32];
    probe_format_t format;
    probe_hit_t hit;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(key); i++) {
        key[i] = (unsigned char)"secret"[(16 + i) % 6];
    }
    format = format_by_hand(EVP_aes_256_cbc(), 16, 0, key, NULL);
    assert_true(search_one(probe_search_cipher, PROBE_QUICK, &format, &hit));
    assert_memory_equal(hit.key, key, sizeof(key));
}

/* How a text gets into a file of keys. */
static size_t fill_file(int how, const char *word, unsigned char *file, size_t most)
{
    static const EVP_MD *(*const digests[])(void) = {EVP_md5, EVP_sha1, EVP_sha256, EVP_sha512};
    static const char hex[] = "0123456789abcdef";
    unsigned char digest[EVP_MAX_MD_SIZE], text[240];
    unsigned int len = 0, i;

    if (how == 0) {
        for (i = 0; i < sizeof(text); i++) {
            text[i] = (unsigned char)word[i % strlen(word)];
        }
        EVP_EncodeBlock(file, text, (int)(most / 4 * 3));
        return most;
    }
    assert_int_equal(EVP_Digest(word, strlen(word), digest, &len, digests[(how - 1) / 2](), NULL),
                     1);
    for (i = 0; i < most; i++) {
        unsigned char byte = digest[i / 2 % len];

        file[i] = how % 2 ? digest[i % len] : (unsigned char)hex[i % 2 ? byte & 15 : byte >> 4];
    }
    return most;
}

/* As nginx and httpd read files of 48 bytes, and nginx those of 80: what is in the middle of digests,
 * their hex digits, or base64 is a key. */
static void test_analysis_file_of_text_found(void **state)
{
    static const char *const some[] = {"secret", "password", "changeme", "letmein", "nginx"};
    rnd_t choice = {seed_from_env()};
    int i;

    (void)state;
    for (i = 0; i < 4; i++) {
        int how = (int)(rnd_next(&choice) % 9);
        const char *word = some[rnd_next(&choice) % 5];
        int is_long = (int)(rnd_next(&choice) % 2);
        unsigned char file[84] = {0};
        probe_format_t format;
        probe_hit_t hit;

        fill_file(how, word, file, 80);
        format = format_by_hand(is_long ? EVP_aes_256_cbc() : EVP_aes_128_cbc(), 16, 0,
                                file + (is_long ? 48 : 32), NULL);
        if (!search_one(probe_search_cipher, PROBE_NORMAL, &format, &hit)) {
            fail_msg("%s in way %d, %d bytes: not found", word, how, is_long ? 80 : 48);
        }
        assert_memory_equal(hit.key, file + (is_long ? 48 : 32), hit.key_len);
    }
}

/* The beginning of any private key is public. */
static void test_analysis_file_of_private_key_found(void **state)
{
    int i;

    (void)state;
    for (i = 0; i < 3; i++) {
        EVP_PKEY *pkey = i > 0 ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256");
        BIO *bio = BIO_new(BIO_s_mem());
        probe_format_t format;
        probe_hit_t hit;
        char *pem;

        /* What is behind the first words of EC's older format is secret. */
        assert_int_equal(
            i == 2 ? PEM_write_bio_PrivateKey_traditional(bio, pkey, NULL, NULL, 0, NULL, NULL)
                   : PEM_write_bio_PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL),
            1);
        assert_true(BIO_get_mem_data(bio, &pem) > 80);
        format = format_by_hand(EVP_aes_128_cbc(), 16, 0, (unsigned char *)pem + 32, NULL);
        if (!search_one(probe_search_cipher, PROBE_NORMAL, &format, &hit)) {
            fail_msg("not found: %.48s", pem);
        }
        assert_memory_equal(hit.key, pem + 32, 16);
        BIO_free(bio);
        EVP_PKEY_free(pkey);
    }
}

static int is_candidate(probe_level_e level, const unsigned char *key, apr_size_t len)
{
    probe_keys_for_t what = {.level = level, .ticket = &tickets[0]};
    probe_keys_t keys;
    apr_size_t i;

    probe_candidate_keys(&keys, len, &what);
    for (i = 0; i < keys.n && memcmp(keys.bytes + i * len, key, len) != 0; i++) {
    }
    i = i < keys.n;
    probe_keys_free(&keys);
    return (int)i;
}

/* The length of an RSA key's file: each from the longest one down to what is one key in 100,000. */
static void test_analysis_file_of_any_rsa_key_found(void **state)
{
    static const struct {
        int bits;
        apr_size_t longest[2]; /* of PKCS #8, of PKCS #1 */
    } sizes[] = {{2048, {1216, 1190}}, {3072, {1792, 1766}}, {4096, {2373, 2347}}};
    size_t i, older, shorter;

    (void)state;
    make_tickets(&(recipe_t){.name_len = 16});
    for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        EVP_PKEY *pkey = EVP_RSA_gen(sizes[i].bits);

        for (older = 0; older < 2; older++) {
            BIO *bio = BIO_new(BIO_s_mem());
            char text[128], *pem, *line;

            assert_int_equal(
                older ? PEM_write_bio_PrivateKey_traditional(bio, pkey, NULL, NULL, 0, NULL, NULL)
                      : PEM_write_bio_PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL),
                1);
            assert_true(BIO_get_mem_data(bio, &pem) > (long)sizeof(text));
            memcpy(text, pem, sizeof(text));
            line = memchr(text, '\n', 40);
            for (shorter = 0; shorter < 8; shorter++) {
                apr_size_t len = sizes[i].longest[older] - shorter;
                unsigned char der[6] = {0x30, 0x82, len >> 8, len & 0xff, 2, 1}, base64[9];

                EVP_EncodeBlock(base64, der, sizeof(der));
                memcpy(line + 1, base64, 8);
                assert_true(is_candidate(PROBE_NORMAL, (unsigned char *)text + 16, 16));
                assert_true(is_candidate(PROBE_NORMAL, (unsigned char *)text + 32, 16));
            }
            BIO_free(bio);
        }
        EVP_PKEY_free(pkey);
    }
}

/* All that EVP_BytesToKey() makes may have been cut into name, IV and keys. */
static void test_analysis_key_of_password_found(void **state)
{
    const EVP_MD *const mds[] = {EVP_md5(), EVP_sha1(), EVP_sha256()};
    unsigned char made[48], text[32 + 6], more[EVP_MAX_MD_SIZE];
    size_t i, at;

    (void)state;
    make_tickets(&(recipe_t){.name_len = 16});
    for (i = 0; i < sizeof(mds) / sizeof(mds[0]); i++) {
        assert_int_equal(EVP_BytesToKey(EVP_aes_256_cbc(), mds[i], NULL,
                                        (const unsigned char *)"secret", 6, 1, made, made + 32),
                         32);
        for (at = 0; at <= 32; at += 16) {
            assert_true(is_candidate(PROBE_NORMAL, made + at, at < 32 ? 32 : 16));
        }
    }
    /* The fourth block of MD5. */
    EVP_BytesToKey(EVP_aes_256_cbc(), EVP_md5(), NULL, (const unsigned char *)"secret", 6, 1, made,
                   made + 32);
    memcpy(text, made + 32, 16);
    memcpy(text + 16, "secret", 6);
    assert_int_equal(EVP_Digest(text, 22, more, NULL, EVP_md5(), NULL), 1);
    assert_true(is_candidate(PROBE_NORMAL, more, 16));
}

static void test_analysis_date_as_key_found(void **state)
{
    static const char *const dates[] = {"2026-01-01", "20251231", "31.12.2025", "01022025"};
    unsigned char key[32], digest[32];
    size_t i;

    (void)state;
    make_tickets(&(recipe_t){.name_len = 16});
    tickets[0].at = T0;
    for (i = 0; i < sizeof(dates) / sizeof(dates[0]); i++) {
        memset(key, 0, sizeof(key));
        memcpy(key, dates[i], strlen(dates[i]));
        assert_true(is_candidate(PROBE_DEEP, key, sizeof(key)));
    }
    assert_int_equal(EVP_Digest(dates[1], 8, digest, NULL, EVP_sha256(), NULL), 1);
    assert_true(is_candidate(PROBE_DEEP, digest, sizeof(digest)));
}

static void test_analysis_own_key_found(void **state)
{
    static const unsigned char own_bytes[] = "correct horse battery staple";
    const probe_own_key_t own = {own_bytes, sizeof(own_bytes) - 1};
    const probe_own_keys_t list = {&own, 1};
    unsigned char key[32] = {0};
    probe_format_t format;
    probe_search_t search;

    (void)state;
    memcpy(key, own_bytes, own.len);
    format = format_by_hand(EVP_aes_256_ctr(), 16, 0, key, NULL);
    search = (probe_search_t){.ticket = tickets, .format = &format, .level = PROBE_QUICK};
    assert_false(probe_search_cipher(&search));
    search.own = &list;
    assert_true(probe_search_cipher(&search));
    assert_memory_equal(search.hit.key, key, sizeof(key));
}

/* Nothing is claimed where OpenSSL lacks what the search needs. */
static void test_analysis_search_without_ciphers_not_ok(void **state)
{
    static const unsigned char zero[32];
    probe_format_t format = format_by_hand(EVP_aes_256_ctr(), 16, 0, zero, NULL);
    probe_search_t search = {.ticket = tickets, .format = &format, .level = PROBE_ONE_KEY};

    (void)state;
    assert_int_equal(EVP_set_default_properties(NULL, "provider=none"), 1);
    assert_false(probe_search_cipher(&search));
    assert_non_null(search.missing);
    search.missing = NULL;
    assert_false(probe_search_mac(&search));
    assert_non_null(search.missing);
    assert_int_equal(EVP_set_default_properties(NULL, ""), 1);
}

static void test_analysis_digest_without_key_found(void **state)
{
    recipe_t recipe = good_recipe();
    probe_format_t format = format_of(&recipe);
    size_t len = tickets[0].len - 32;
    probe_hit_t hit;

    (void)state;
    assert_int_equal(EVP_Digest(store[0], len, store[0] + len, NULL, EVP_sha256(), NULL), 1);
    assert_true(search_one(probe_search_mac, PROBE_QUICK, &format, &hit));
    assert_string_equal(hit.algorithm, "SHA256");
    assert_int_equal(hit.key_len, 0);
    assert_false(probe_checksum_find(tickets, TICKETS_N, &format, &hit));
}

static void test_analysis_weak_keys_cover_audit_list(void **state)
{
    static const unsigned char zero[32];
    probe_keys_for_t what = {.level = PROBE_QUICK};
    probe_keys_t keys;
    apr_size_t i, quick_n;

    (void)state;
    assert_true(probe_keys_make(&keys, 32, &what));
    quick_n = keys.n;
    assert_true(quick_n > 50);
    assert_memory_equal(keys.bytes, zero, sizeof(zero));
    for (i = 0; i < keys.n; i++) {
        if (keys.bytes[32 * i] == 0x60 && keys.bytes[32 * i + 16] == 0x1f) {
            break;
        }
    }
    assert_true(i < keys.n); /* both halves of the AES-256 key of SP 800-38A */
    probe_keys_free(&keys);
    what.level = PROBE_DEEP;
    assert_true(probe_keys_make(&keys, 32, &what));
    assert_true(keys.n > quick_n + 1000);
    probe_keys_free(&keys);
}

/* ---- plain, nonces ---- */

static void test_analysis_plain_secret_found(void **state)
{
    recipe_t recipe = good_recipe();
    probe_hit_t hit;
    int variant;

    (void)state;
    recipe.plain = 1;
    for (variant = 0; variant < 4; variant++) {
        recipe.is_tls13 = variant & 1;
        recipe.holds_master = variant == 3;
        make_tickets(&recipe);
        assert_true(probe_analysis_plain(tickets, TICKETS_N, &hit));
        assert_true(hit.text_at >= 32 && hit.text_at <= 32 + TEXT_LEN);
    }
}

static void test_analysis_constant_iv_stream_proven(void **state)
{
    recipe_t recipe = good_recipe();
    probe_format_t format;
    probe_hit_t hit;

    (void)state;
    recipe.same_iv = 1;
    recipe.cipher = EVP_aes_256_ctr;
    format = format_of(&recipe);
    assert_true(probe_analysis_nonce(tickets, TICKETS_N, &format, &hit));
    assert_true(hit.proven);
}

static void test_analysis_one_stream_repeated_proven(void **state)
{
    recipe_t recipe = good_recipe();
    probe_format_t format;
    probe_hit_t hit;
    int i, j = 7;

    (void)state;
    recipe.cipher = EVP_aes_256_ctr;
    format = format_of(&recipe);
    assert_false(probe_analysis_nonce(tickets, TICKETS_N, &format, &hit));
    /* The plain text of ticket 3 under the key stream of ticket 7. */
    for (i = 0; i < 48; i++) {
        store[3][32 + 18 + i] = store[j][32 + 18 + i] ^ tickets[j].secret[i] ^ tickets[3].secret[i];
    }
    assert_true(probe_analysis_nonce(tickets, TICKETS_N, &format, &hit));
    assert_true(hit.proven);
    assert_int_equal(hit.first, 3);
    assert_int_equal(hit.second, 7);
}

/* Every ticket begins one or two blocks later in one key stream: the IV is counted up. */
static void test_analysis_counted_iv_proven(void **state)
{
    rnd_t own = {seed_from_env()};
    unsigned char stream[TICKET_MAX];
    probe_format_t format = {.name_len = 16};
    probe_hit_t hit;
    size_t round, i, j;

    (void)state;
    for (round = 0; round < 20; round++) {
        size_t shift = 16 * (1 + rnd_next(&own) % 2), at = rnd_next(&own) % 60;

        memset(tickets, 0, sizeof(tickets));
        rnd_fill(&own, stream, sizeof(stream));
        for (i = 0; i < 3; i++) {
            rnd_fill(&own, store[i], 200);
            rnd_fill(&own, tickets[i].secret, 48);
            memcpy(store[i] + 32 + at, tickets[i].secret, 48);
            for (j = 32; j < 200; j++) {
                store[i][j] ^= stream[j + i * shift];
            }
            tickets[i].secret_len = 48;
            tickets[i].bytes = store[i];
            tickets[i].len = 200;
        }
        assert_true(probe_analysis_nonce(tickets, 3, &format, &hit));
        assert_true(hit.proven);
        assert_int_equal(hit.shift, shift);
        for (j = 32; j < 200; j++) {
            store[1][j] ^= stream[j + 250];
        }
        assert_true(!probe_analysis_nonce(tickets, 2, &format, &hit) && hit.shift == 0);
    }
}

static void test_analysis_constant_iv_cbc_found(void **state)
{
    recipe_t recipe = good_recipe();
    probe_format_t format;
    probe_hit_t hit;

    (void)state;
    recipe.same_iv = 1;
    format = format_of(&recipe);
    assert_true(probe_analysis_nonce(tickets, TICKETS_N, &format, &hit));
    assert_false(hit.proven);
}

static void test_analysis_same_ticket_twice_no_finding(void **state)
{
    recipe_t recipe = good_recipe();
    probe_format_t format = format_of(&recipe);
    probe_hit_t hit;

    (void)state;
    memcpy(store[1], store[0], sizeof(store[0]));
    memcpy(tickets[1].secret, tickets[0].secret, sizeof(tickets[0].secret));
    assert_false(probe_analysis_nonce(tickets, 2, &format, &hit));
}

/* ---- good and hostile ones ---- */

static void assert_clean(probe_level_e level)
{
    probe_format_t format;
    probe_hit_t hit;

    probe_analysis_format(tickets, TICKETS_N, &format);
    assert_false(probe_analysis_plain(tickets, TICKETS_N, &hit));
    assert_false(probe_analysis_nonce(tickets, TICKETS_N, &format, &hit));
    assert_false(search_one(probe_search_cipher, level, &format, &hit));
    assert_false(search_one(probe_search_mac, level, &format, &hit));
}

static void test_analysis_good_tickets_clean(void **state)
{
    static const EVP_CIPHER *(*const ciphers[])(void) = {EVP_aes_256_cbc, EVP_aes_128_gcm,
                                                         EVP_aes_256_ctr, EVP_chacha20};
    int i;

    (void)state;
    for (i = 0; i < 8; i++) {
        recipe_t recipe = good_recipe();

        recipe.cipher = ciphers[i % 4];
        recipe.is_tls13 = i & 1;
        recipe.has_length = i >> 2 & 1;
        make_tickets(&recipe);
        assert_clean(i == 0 ? PROBE_NORMAL : PROBE_QUICK);
    }
}

static void search_any(const probe_ticket_t *ticket, const probe_format_t *format)
{
    probe_search_t search = {.ticket = ticket, .format = format, .level = PROBE_ONE_KEY};

    assert_false(probe_search_cipher(&search));
    assert_false(probe_search_mac(&search));
}

static void test_analysis_any_length_safe(void **state)
{
    static unsigned char big[65535];
    probe_ticket_t one[2];
    probe_format_t format;
    probe_hit_t hit;
    apr_size_t len;

    (void)state;
    rnd.state = seed_from_env();
    rnd_fill(&rnd, big, sizeof(big));
    for (len = 0; len <= sizeof(big); len = len < 140    ? len + 1
                                            : len == 140 ? sizeof(big)
                                                         : len + 1) {
        memset(one, 0, sizeof(one));
        one[0].bytes = one[1].bytes = big;
        one[0].len = len;
        one[1].len = len / 2;
        one[0].secret_len = one[1].secret_len = 32;
        one[0].is_tls13 = one[1].is_tls13 = 1;
        rnd_fill(&rnd, one[0].secret, 32);
        rnd_fill(&rnd, one[1].secret, 32);
        probe_analysis_format(one, 2, &format);
        probe_analysis_format(one, 1, &format);
        assert_false(probe_analysis_plain(one, 2, &hit));
        (void)probe_analysis_nonce(one, 2, &format, &hit);
        search_any(&one[0], &format);
    }
    probe_analysis_format(one, 0, &format);
    assert_int_equal(format.layout, PROBE_LAYOUT_UNKNOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_analysis_openssl_layout_recognised),
        cmocka_unit_test(test_analysis_gnutls_layout_recognised),
        cmocka_unit_test(test_analysis_rfc5077_layout_recognised),
        cmocka_unit_test(test_analysis_mbedtls_layout_recognised),
        cmocka_unit_test(test_analysis_long_name_before_length_is_no_iv),
        cmocka_unit_test(test_analysis_long_mac_cut_short_searched_at_end_only),
        cmocka_unit_test(test_analysis_java_layout_recognised),
        cmocka_unit_test(test_analysis_short_tickets_stateful),
        cmocka_unit_test(test_analysis_two_hosts_names_told),
        cmocka_unit_test(test_analysis_longer_name_layout_not_recognised),
        cmocka_unit_test(test_analysis_text_layout_not_recognised),
        cmocka_unit_test(test_analysis_gcm_iv_without_key_stream_nothing_found),
        cmocka_unit_test(test_analysis_zero_key_each_cipher_found),
        cmocka_unit_test(test_analysis_wild_keys_found),
        cmocka_unit_test(test_analysis_master_secret_in_ticket_found),
        cmocka_unit_test(test_analysis_zero_mac_key_each_digest_found),
        cmocka_unit_test(test_analysis_cut_mac_with_rarer_key_found),
        cmocka_unit_test(test_analysis_zero_key_more_ciphers_found),
        cmocka_unit_test(test_analysis_hchacha_as_in_draft),
        cmocka_unit_test(test_analysis_secret_in_hex_found),
        cmocka_unit_test(test_analysis_ticket_in_base64_found),
        cmocka_unit_test(test_analysis_key_that_go_derives_found),
        cmocka_unit_test(test_analysis_key_of_one_ticket_found),
        cmocka_unit_test(test_analysis_text_from_its_middle_found),
        cmocka_unit_test(test_analysis_file_of_text_found),
        cmocka_unit_test(test_analysis_file_of_private_key_found),
        cmocka_unit_test(test_analysis_file_of_any_rsa_key_found),
        cmocka_unit_test(test_analysis_key_of_password_found),
        cmocka_unit_test(test_analysis_date_as_key_found),
        cmocka_unit_test(test_analysis_own_key_found),
        cmocka_unit_test(test_analysis_search_without_ciphers_not_ok),
        cmocka_unit_test(test_analysis_digest_without_key_found),
        cmocka_unit_test(test_analysis_weak_keys_cover_audit_list),
        cmocka_unit_test(test_analysis_plain_secret_found),
        cmocka_unit_test(test_analysis_constant_iv_stream_proven),
        cmocka_unit_test(test_analysis_one_stream_repeated_proven),
        cmocka_unit_test(test_analysis_counted_iv_proven),
        cmocka_unit_test(test_analysis_constant_iv_cbc_found),
        cmocka_unit_test(test_analysis_same_ticket_twice_no_finding),
        cmocka_unit_test(test_analysis_good_tickets_clean),
        cmocka_unit_test(test_analysis_any_length_safe),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
