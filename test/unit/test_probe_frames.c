/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tickets in layouts drawn at random (frames.h), with weak keys of cipher and MAC: stekctl probe finds
 * both, and says where the text begins.  What was drawn decides what is right.
 */
#include "core_util.h"

#include <openssl/evp.h>

#include "../integration/frames.h"
#include "probe/analysis.h"
#include "probe/search.h"

#define TICKETS_N 4
#define DRAWS 24
#define CHOOSE(array) ((array)[rnd_below(&rnd, sizeof(array) / sizeof((array)[0]))])

typedef struct drawn_t {
    const char *cipher, *name; /* as frames.h and the probe call it */
    unsigned nonce_len, zeros;
} drawn_t;

/* With a MAC inside: what the search opens has to begin and to end where the text does. */
static const drawn_t usual[] = {
    {"aes-128-cbc", "AES-128-CBC", 16, 0}, {"aes-192-cbc", "AES-192-CBC", 16, 0},
    {"aes-256-cbc", "AES-256-CBC", 16, 0}, {"3des-cbc", "3DES-CBC", 8, 0},
    {"des-cbc", "DES-CBC", 8, 0},          {"aes-256-ecb", "AES-256-ECB", 0, 0},
    {"3des-ecb", "3DES-ECB", 0, 0},        {"aes-128-ctr", "AES-128-CTR", 16, 0},
    {"aes-256-ctr", "AES-256-CTR", 12, 0}, {"chacha20", "ChaCha20", 12, 0},
    {"chacha20", "ChaCha20", 8, 0},        {"xchacha20", "XChaCha20", 24, 0},
};

/* From level normal on. */
static const drawn_t rare[] = {
    {"camellia-128-cbc", "CAMELLIA-128-CBC", 16, 0},
    {"camellia-192-cbc", "CAMELLIA-192-CBC", 16, 0},
    {"camellia-256-cbc", "CAMELLIA-256-CBC", 16, 0},
    {"aria-128-cbc", "ARIA-128-CBC", 16, 0},
    {"aria-192-cbc", "ARIA-192-CBC", 16, 0},
    {"aria-256-cbc", "ARIA-256-CBC", 16, 0},
    {"sm4-cbc", "SM4-CBC", 16, 0},
    {"aes-128-ctr", "AES-128-CTR", 12, 4},
    {"aes-256-ctr", "AES-256-CTR", 8, 8},
    {"aes-256-gcm", "AES-256-GCM", 8, 4},
    {"aes-192-ccm", "AES-192-CCM", 8, 4},
    {"chacha20-poly1305", "ChaCha20-Poly1305", 8, 0},
    {"chacha20-poly1305", "ChaCha20-Poly1305", 8, 4},
};

static rnd_t rnd;
static unsigned char store[TICKETS_N][FRAME_MAX];
static probe_ticket_t tickets[TICKETS_N];
static char words[512];

static void say(frame_t *frame, const char *word, const char *value)
{
    size_t len = strlen(words);

    snprintf(words + len, sizeof(words) - len, "%s=%s,", word, value);
    assert_true(frame_word(frame, word, value));
}

static void say_number(frame_t *frame, const char *word, unsigned n)
{
    char value[16];

    snprintf(value, sizeof(value), "%u", n);
    say(frame, word, value);
}

/* The name, the cipher and its key: "changeme", or "password" over and over. */
static void draw_head(frame_t *frame, const drawn_t *drawn)
{
    static const unsigned names[] = {0, 4, 8, 16, 16, 20, 32};
    unsigned i, name_len = CHOOSE(names);
    unsigned char name[32];
    char hex[65] = "none";

    words[0] = '\0';
    frame_init(frame);
    say(frame, "cipher", drawn->cipher);
    say_number(frame, "nonce", drawn->nonce_len);
    say_number(frame, "zeros", drawn->zeros);
    rnd_fill(&rnd, name, sizeof(name));
    for (i = 0; i < name_len; i++) {
        snprintf(hex + (size_t)2 * i, 3, "%02x", name[i]);
    }
    say(frame, "name", hex);
    say(frame, "key",
        strcmp(drawn->cipher, "des-cbc") ? "70617373776f726470617373776f726470617373776f7264"
                                           "70617373776f7264"
                                         : "6368616e67656d65");
}

static void draw_text(frame_t *frame)
{
    static const char *const forms[] = {"none", "none", "hex", "base64"};
    static const unsigned ats[] = {0, 3, 16, 27, 40};

    say(frame, "form", CHOOSE(forms));
    say_number(frame, "at", CHOOSE(ats));
    say_number(frame, "length", 2 * rnd_below(&rnd, 2));
}

static void draw_mac(frame_t *frame)
{
    static const char *const digests[] = {"md5", "sha1", "sha224", "sha256", "sha384", "sha512"};
    static const char *const places[] = {"inside", "inside-front"};

    say(frame, "digest", CHOOSE(digests));
    say(frame, "mac", CHOOSE(places));
    say(frame, "mac-key", rnd_below(&rnd, 2) ? "none" : "6368616e67656d65");
}

static probe_format_t make_tickets(const frame_t *frame)
{
    frame_state_t state = {.version = 0x303, .cipher_id = {0xc0, 0x30}};
    probe_format_t format;
    int i;

    memset(tickets, 0, sizeof(tickets));
    for (i = 0; i < TICKETS_N; i++) {
        state.secret_len = tickets[i].secret_len = rnd_below(&rnd, 2) ? 48 : 32;
        rnd_fill(&rnd, state.secret, state.secret_len);
        memcpy(tickets[i].secret, state.secret, state.secret_len);
        tickets[i].len = frame_seal(frame, &state, store[i]);
        tickets[i].bytes = store[i];
    }
    probe_analysis_format(tickets, TICKETS_N, &format);
    return format;
}

static void assert_found(const frame_t *frame, const drawn_t *drawn, probe_level_e level,
                         probe_opened_t *opened, probe_search_t *search)
{
    static probe_format_t format;

    format = make_tickets(frame);
    memset(search, 0, sizeof(*search));
    search->ticket = &tickets[0];
    search->format = &format;
    search->level = level;
    search->opened = opened;
    if (!probe_search_cipher(search)) {
        fail_msg("%s: no cipher's key found", words);
    }
    /* One DES key three times, or two times zeros behind it, is DES. */
    if (strcmp(drawn->name, "DES-CBC") && strcmp(drawn->name, search->hit.algorithm)) {
        fail_msg("%s: found as %s", words, search->hit.algorithm);
    }
}

static void test_frames_mac_inside_found(void **state)
{
    static probe_opened_t opened;
    probe_search_t search;
    int i;

    (void)state;
    rnd.state = seed_from_env();
    for (i = 0; i < DRAWS; i++) {
        const drawn_t *drawn = &CHOOSE(usual);
        size_t text_at;
        frame_t frame;

        draw_head(&frame, drawn);
        draw_text(&frame);
        draw_mac(&frame);
        assert_found(&frame, drawn, PROBE_QUICK, &opened, &search);
        memset(&search.hit, 0, sizeof(search.hit));
        search.level = PROBE_QUICK;
        if (!probe_search_inside(&search)) {
            fail_msg("%s: no MAC found", words);
        }
        text_at = frame.name_len + frame.nonce_len + (frame.has_length ? 2 : 0);
        if (opened.at != text_at
            || (strstr(drawn->name, "CBC") && (!opened.has_iv || opened.iv_at != frame.name_len))) {
            fail_msg("%s: text at %d, IV at %d", words, (int)opened.at, (int)opened.iv_at);
        }
        assert_string_equal(search.hit.algorithm + (search.hit.key_len ? 5 : 0), frame.digest);
    }
}

static void test_frames_rare_ciphers_found(void **state)
{
    static probe_opened_t opened;
    probe_search_t search;
    const drawn_t *drawn;
    frame_t frame;

    (void)state;
    rnd.state = seed_from_env();
    drawn = &CHOOSE(rare);
    draw_head(&frame, drawn);
    draw_text(&frame);
    assert_found(&frame, drawn, PROBE_NORMAL, &opened, &search);
    if (strstr(drawn->cipher, "cbc")) {
        return;
    }
    assert_int_equal(search.hit.text_at,
                     frame.name_len + frame.nonce_len + (frame.has_length ? 2 : 0));
    assert_int_equal(search.hit.iv_at, frame.name_len);
    assert_int_equal(search.hit.iv_len, 8 + 4 * (drawn->nonce_len == 12));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frames_mac_inside_found),
        cmocka_unit_test(test_frames_rare_ciphers_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
