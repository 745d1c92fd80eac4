/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys to try (candidate_keys.h): keys found in the wild, and keys that people type.
 */
#include "candidate_keys.h"

#include <stdlib.h>
#include <string.h>

#include "stek_audit.h"

typedef struct keys_t {
    unsigned char *bytes;
    apr_size_t len, n, room;
} keys_t;

static unsigned char *next_key(keys_t *keys)
{
    if (keys->n == keys->room) {
        apr_size_t room = keys->room ? 2 * keys->room : 512;
        unsigned char *more = realloc(keys->bytes, room * keys->len);

        if (!more) {
            return NULL;
        }
        keys->bytes = more;
        keys->room = room;
    }
    return memset(keys->bytes + keys->len * keys->n++, 0, keys->len);
}

static int add_count(keys_t *keys, int start, int step)
{
    unsigned char *key = next_key(keys);
    apr_size_t i;

    for (i = 0; key && i < keys->len; i++) {
        key[i] = (unsigned char)(start + (int)i * step);
    }
    return key != NULL;
}

/* pattern repeated over text_len bytes, followed by zeros. */
static int add_pattern(keys_t *keys, const unsigned char *pattern, apr_size_t pattern_len,
                       apr_size_t text_len)
{
    unsigned char *key = next_key(keys);
    apr_size_t i;

    for (i = 0; key && i < keys->len && i < text_len; i++) {
        key[i] = pattern[i % pattern_len];
    }
    return key != NULL;
}

/* Two halves from the audit's list; longer keys end in zeros. */
static int add_halves(keys_t *keys, const unsigned char *a, const unsigned char *b)
{
    unsigned char both[32];

    memcpy(both, a, 16);
    memcpy(both + 16, b, 16);
    return add_pattern(keys, both, sizeof(both), sizeof(both));
}

static int add_known(keys_t *keys, probe_level_e level)
{
    static const unsigned char zeros[16];
    unsigned char half[16], other[16];
    apr_size_t i, j;

    for (i = 0; stek_audit_known(i, half); i++) {
        if (!add_pattern(keys, half, 16, keys->len) || !add_pattern(keys, half, 8, 8)) {
            return 0;
        }
        if (keys->len <= 16) {
            continue;
        }
        if (!add_halves(keys, half, zeros)) {
            return 0;
        }
        /* Neighbours in the list are often the two halves of one key. */
        for (j = 0; stek_audit_known(j, other); j++) {
            if ((level == PROBE_DEEP || j == i + 1) && !add_halves(keys, half, other)) {
                return 0;
            }
        }
    }
    return 1;
}

static int add_words(keys_t *keys)
{
    static const apr_uint32_t words[] = {
        0xdeadbeef, 0xcafebabe, 0xbaadf00d, 0xbaddcafe, 0xfeedface, 0xfeedfeed, 0xfee1dead,
        0xdeadc0de, 0xdeadf00d, 0xdeadbabe, 0xdeaddead, 0xcafed00d, 0xcafefeed, 0xabadcafe,
        0xabbababe, 0x8badf00d, 0x1badb002, 0x0d15ea5e, 0xc001d00d, 0xdefec8ed, 0xfeeefeee,
        0xd00d2bad, 0x0badf00d, 0x12345678, 0x01234567, 0x00112233,
    };
    static const char *const texts[] = {"secret",
                                        "password",
                                        "changeme",
                                        "test",
                                        "key",
                                        "0123456789",
                                        "1234567890",
                                        "abcdefghijklmnopqrstuvwxyz",
                                        "ABCDEFGHIJKLMNOPQRSTUVWXYZ"};
    apr_size_t i;

    for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        unsigned char word[4] = {(unsigned char)(words[i] >> 24), (unsigned char)(words[i] >> 16),
                                 (unsigned char)(words[i] >> 8), (unsigned char)words[i]};

        if (!add_pattern(keys, word, sizeof(word), keys->len)) {
            return 0;
        }
    }
    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        const unsigned char *text = (const unsigned char *)texts[i];
        apr_size_t len = strlen(texts[i]);

        if (!add_pattern(keys, text, len, keys->len) || !add_pattern(keys, text, len, len)) {
            return 0;
        }
    }
    return add_count(keys, 0x00, 0x11) && add_count(keys, 0x11, 0x11);
}

unsigned char *probe_candidate_keys(apr_size_t key_len, probe_level_e level, apr_size_t *pn)
{
    static const unsigned char zero, one = '1';
    keys_t keys = {NULL, key_len, 0, 0};
    int start, is_good;

    /* The most frequent in the wild first. */
    is_good = add_pattern(&keys, &zero, 1, key_len);
    if (is_good && level >= PROBE_QUICK) {
        is_good = add_pattern(&keys, &one, 1, key_len > 16 ? 16 : 8)
                  && add_pattern(&keys, &one, 1, 16) && add_known(&keys, level);
    }
    for (start = 0; is_good && start < 256 && level > PROBE_QUICK; start++) {
        unsigned char byte = (unsigned char)start;

        is_good = add_pattern(&keys, &byte, 1, key_len) && add_count(&keys, start, 1)
                  && add_count(&keys, start, -1);
        if (is_good && key_len > 16) {
            is_good = add_pattern(&keys, &byte, 1, 16);
        }
    }
    if (is_good && level > PROBE_QUICK) {
        is_good = add_words(&keys);
    }
    if (!is_good) {
        free(keys.bytes);
        return NULL;
    }
    *pn = keys.n;
    return keys.bytes;
}
