/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stek_nearest.h: what people mistype is found, what they made up is not, and the nearest word is the
 * one that a plain recursive distance finds.
 */
#include "core_util.h"

#include <strings.h>

#include "stek_nearest.h"

static const char *const commands[] = {"new",    "show",   "rotate", "revoke", "audit", "import",
                                       "export", "secret", "sync",   "fleet",  "probe"};
#define COMMANDS_N (sizeof(commands) / sizeof(commands[0]))

static void test_nearest_finds_what_was_meant(void **state)
{
    static const char *const cases[][2] = {
        {"sohw", "show"},      {"shwo", "show"},     {"rotat", "rotate"}, {"roatte", "rotate"},
        {"revok", "revoke"},   {"REVOKE", "revoke"}, {"imprt", "import"}, {"exprot", "export"},
        {"secrets", "secret"}, {"flet", "fleet"},    {"sec", "secret"},   {"prob", "probe"},
        {"nwe", "new"},        {"list", NULL},       {"x", NULL},         {"", NULL},
        {"status", NULL},      {"delete", NULL},     {"ne", "new"},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *found = stek_nearest(cases[i][0], commands, COMMANDS_N);

        if (cases[i][1] ? !found || strcmp(found, cases[i][1]) != 0 : found != NULL) {
            fail_msg("'%s': %s, not %s", cases[i][0], found ? found : "none",
                     cases[i][1] ? cases[i][1] : "none");
        }
    }
}

/* The same distance, by its definition. */
static int plain(const char *a, int a_len, const char *b, int b_len)
{
    int best, other;

    if (a_len == 0 || b_len == 0) {
        return a_len + b_len;
    }
    best = plain(a, a_len - 1, b, b_len - 1) + (a[a_len - 1] != b[b_len - 1]);
    other = plain(a, a_len - 1, b, b_len) + 1;
    best = other < best ? other : best;
    other = plain(a, a_len, b, b_len - 1) + 1;
    best = other < best ? other : best;
    if (a_len > 1 && b_len > 1 && a[a_len - 1] == b[b_len - 2] && a[a_len - 2] == b[b_len - 1]) {
        other = plain(a, a_len - 2, b, b_len - 2) + 1;
        best = other < best ? other : best;
    }
    return best;
}

static void random_word(rnd_t *rnd, char *word, int len_max)
{
    int len = 1 + (int)rnd_below(rnd, (unsigned)len_max);

    word[len] = '\0';
    while (len-- > 0) {
        word[len] = (char)('a' + rnd_below(rnd, 3));
    }
}

static void test_nearest_is_the_nearest_of_random_words(void **state)
{
    uint64_t seed = seed_from_env();
    rnd_t rnd = {seed};
    char texts[4][8], word[8];
    const char *words[4];
    int round, i;

    (void)state;
    print_message("seed %llu\n", (unsigned long long)seed);
    for (round = 0; round < 400; round++) {
        int len, most, best = 99;
        const char *wanted = NULL, *prefixed = NULL, *found;

        random_word(&rnd, word, 6);
        len = (int)strlen(word);
        most = (len + 2) / 3 < len - 1 ? (len + 2) / 3 : len - 1;
        for (i = 0; i < 4; i++) {
            int d, other_len;

            random_word(&rnd, texts[i], 6);
            words[i] = texts[i];
            other_len = (int)strlen(texts[i]);
            d = plain(word, len, texts[i], other_len);
            if (d <= most && d < other_len && d < best) {
                best = d;
                wanted = texts[i];
            }
            if (!prefixed && len >= 3 && strncmp(texts[i], word, (size_t)len) == 0) {
                prefixed = texts[i];
            }
        }
        wanted = prefixed ? prefixed : wanted;
        found = stek_nearest(word, words, 4);
        if (found != wanted) {
            fail_msg("'%s' of %s %s %s %s: %s, not %s", word, words[0], words[1], words[2],
                     words[3], found ? found : "none", wanted ? wanted : "none");
        }
    }
}

static void test_nearest_long_words_are_near_to_nothing(void **state)
{
    char lengthy[10000];
    const char *words[] = {lengthy, "show"};

    (void)state;
    memset(lengthy, 'a', sizeof(lengthy) - 1);
    lengthy[sizeof(lengthy) - 1] = '\0';
    assert_null(stek_nearest(lengthy, commands, COMMANDS_N));
    assert_string_equal(stek_nearest("shw", words, 2), "show");
    assert_null(stek_nearest("show", NULL, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nearest_finds_what_was_meant),
        cmocka_unit_test(test_nearest_is_the_nearest_of_random_words),
        cmocka_unit_test(test_nearest_long_words_are_near_to_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
