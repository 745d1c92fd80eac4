/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sieve (hmac_sieve.h).  The texts are the same for every key, so what their blocks add is made
 * once; texts that begin alike share the state behind their common blocks.
 *
 *     state of key ^ 36.. -> common blocks -> a text's other blocks -> state of key ^ 5c.. -> MAC
 */
#include "hmac_sieve.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "hash_lanes.h"
#include "ticket.h"

#define BLOCK_MAX 128

typedef struct text_t {
    const unsigned char *mac;
    apr_size_t common; /* the text that it shares blocks with; itself: none */
    apr_size_t common_n, blocks_n;
    const unsigned char *schedules; /* of its blocks behind the common ones */
} text_t;

struct probe_sieve_t {
    const probe_hash_t *hash;
    apr_size_t block_len, n;
    text_t texts[PROBE_SIEVE_TEXTS_MAX];
    unsigned char *schedules; /* of all texts, a word for all lanes */
    probe_vector_t *common;   /* states behind common blocks, while keys are tried */
};

/* Blocks whose schedules are made side by side. */
typedef struct batch_t {
    probe_vector_t words[PROBE_BLOCK_N];
    unsigned char *out;
    apr_size_t n;
} batch_t;

/* ---- words ---- */

static apr_uint32_t half_at(const unsigned char *bytes, int is_big)
{
    return is_big ? (apr_uint32_t)bytes[0] << 24 | (apr_uint32_t)bytes[1] << 16
                        | (apr_uint32_t)bytes[2] << 8 | bytes[3]
                  : (apr_uint32_t)bytes[3] << 24 | (apr_uint32_t)bytes[2] << 16
                        | (apr_uint32_t)bytes[1] << 8 | bytes[0];
}

/* Long words are always big-endian. */
static apr_uint64_t word_at(const probe_hash_t *hash, const unsigned char *bytes)
{
    return hash->word_len == sizeof(apr_uint32_t)
               ? half_at(bytes, hash->is_big)
               : (apr_uint64_t)half_at(bytes, 1) << 32 | half_at(bytes + 4, 1);
}

static void put(const probe_hash_t *hash, probe_vector_t *vector, apr_size_t lane,
                apr_uint64_t word)
{
    apr_uint32_t half = (apr_uint32_t)word;

    if (hash->word_len == sizeof(half)) {
        memcpy(vector->bytes + lane * sizeof(half), &half, sizeof(half));
    }
    else {
        memcpy(vector->bytes + lane * sizeof(word), &word, sizeof(word));
    }
}

static void put_all(const probe_hash_t *hash, probe_vector_t *vector, apr_uint64_t word)
{
    apr_size_t lane;

    for (lane = 0; lane < PROBE_VECTOR_LEN / hash->word_len; lane++) {
        put(hash, vector, lane, word);
    }
}

static void start(const probe_hash_t *hash, probe_vector_t *state)
{
    apr_size_t i;

    for (i = 0; i < hash->state_n; i++) {
        put_all(hash, &state[i], hash->start[i]);
    }
}

/* The end of a message of len bytes, in a block whose other words are set up to at. */
static void put_end(const probe_hash_t *hash, probe_vector_t *block, apr_size_t at, apr_size_t len)
{
    apr_size_t i;

    put_all(hash, &block[at], hash->is_big ? (apr_uint64_t)0x80 << (8 * hash->word_len - 8) : 0x80);
    for (i = at + 1; i < PROBE_BLOCK_N; i++) {
        put_all(hash, &block[i], 0);
    }
    put_all(hash, &block[hash->is_big ? PROBE_BLOCK_N - 1 : PROBE_BLOCK_N - 2], 8 * len);
}

/* ---- texts ---- */

static apr_size_t length(const probe_sieve_text_t *text)
{
    return text->first_len + text->second_len;
}

static int begins_at(const probe_sieve_text_t *text, const unsigned char *first)
{
    return text->second_len == 0 && text->first == first;
}

/* How many blocks all the texts that begin there, and are whole, have in common. */
static apr_size_t count_common(const probe_sieve_t *sieve, const probe_sieve_text_t *texts,
                               const unsigned char *first)
{
    apr_size_t len = PROBE_SIEVE_LEN_MAX, i;

    for (i = 0; i < sieve->n; i++) {
        if (begins_at(&texts[i], first) && texts[i].first_len < len) {
            len = texts[i].first_len;
        }
    }
    return len / sieve->block_len;
}

/* Where text i finds the common blocks: at the first text of its kind, which does them itself. */
static void find_common(probe_sieve_t *sieve, const probe_sieve_text_t *texts, apr_size_t i)
{
    text_t *text = &sieve->texts[i];

    for (text->common = 0; text->common < i; text->common++) {
        if (begins_at(&texts[text->common], texts[i].first)) {
            break;
        }
    }
    text->common_n = count_common(sieve, texts, texts[i].first);
    if (texts[i].second_len) {
        text->common = i;
        text->common_n = 0;
    }
}

/* The text's bytes, padded as a message behind the key's block. */
static void lay_out(const probe_sieve_t *sieve, const probe_sieve_text_t *text,
                    unsigned char *bytes, apr_size_t blocks_n)
{
    const probe_hash_t *hash = sieve->hash;
    apr_size_t len = length(text), size = blocks_n * sieve->block_len, i;
    apr_uint64_t bits = 8 * (apr_uint64_t)(len + sieve->block_len);

    memset(bytes, 0, size);
    memcpy(bytes, text->first, text->first_len);
    if (text->second_len) {
        memcpy(bytes + text->first_len, text->second, text->second_len);
    }
    bytes[len] = 0x80;
    for (i = 0; i < sizeof(bits); i++) {
        bytes[hash->is_big ? size - 1 - i : size - 8 + i] = (unsigned char)(bits >> 8 * i);
    }
}

static apr_size_t own_from(const probe_sieve_t *sieve, apr_size_t i)
{
    return sieve->texts[i].common == i ? 0 : sieve->texts[i].common_n;
}

static apr_size_t schedule_len(const probe_hash_t *hash)
{
    return hash->rounds_n * hash->word_len;
}

static void flush(const probe_hash_t *hash, batch_t *batch)
{
    probe_vector_t schedule[PROBE_ROUNDS_MAX];
    apr_size_t lane, i;

    hash->expand(schedule, batch->words);
    for (lane = 0; lane < batch->n; lane++) {
        for (i = 0; i < hash->rounds_n; i++, batch->out += hash->word_len) {
            memcpy(batch->out, schedule[i].bytes + lane * hash->word_len, hash->word_len);
        }
    }
    batch->n = 0;
}

static void make_schedules(const probe_sieve_t *sieve, const probe_sieve_text_t *texts,
                           apr_size_t i, batch_t *batch)
{
    unsigned char bytes[PROBE_SIEVE_LEN_MAX + 2 * BLOCK_MAX];
    const probe_hash_t *hash = sieve->hash;
    apr_size_t block, word;

    lay_out(sieve, &texts[i], bytes, sieve->texts[i].blocks_n);
    for (block = own_from(sieve, i); block < sieve->texts[i].blocks_n; block++) {
        for (word = 0; word < PROBE_BLOCK_N; word++) {
            put(hash, &batch->words[word], batch->n,
                word_at(hash, bytes + block * sieve->block_len + word * hash->word_len));
        }
        if (++batch->n == PROBE_VECTOR_LEN / hash->word_len) {
            flush(hash, batch);
        }
    }
}

static void make_all(probe_sieve_t *sieve, const probe_sieve_text_t *texts)
{
    unsigned char *out = sieve->schedules;
    batch_t batch = {.out = out};
    apr_size_t i;

    for (i = 0; i < sieve->n; i++) {
        sieve->texts[i].schedules = out;
        make_schedules(sieve, texts, i, &batch);
        out += (sieve->texts[i].blocks_n - own_from(sieve, i)) * schedule_len(sieve->hash);
    }
    flush(sieve->hash, &batch);
}

probe_sieve_t *probe_sieve_create(const char *digest, const probe_sieve_text_t *texts, apr_size_t n)
{
    probe_sieve_t *sieve = calloc(1, sizeof(*sieve));
    apr_size_t blocks_n = 0, i;

    if (!sieve || n > PROBE_SIEVE_TEXTS_MAX || !(sieve->hash = probe_hash_find(digest))) {
        goto fail;
    }
    sieve->block_len = PROBE_BLOCK_N * sieve->hash->word_len;
    sieve->n = n;
    for (i = 0; i < n; i++) {
        if (length(&texts[i]) > PROBE_SIEVE_LEN_MAX) {
            goto fail;
        }
        sieve->texts[i].mac = texts[i].mac;
        /* With a byte and two words more. */
        sieve->texts[i].blocks_n = (length(&texts[i]) + 2 * sieve->hash->word_len)
                                       / sieve->block_len
                                   + 1;
        find_common(sieve, texts, i);
        blocks_n += sieve->texts[i].blocks_n - own_from(sieve, i);
    }
    sieve->schedules = malloc((blocks_n + 1) * schedule_len(sieve->hash));
    sieve->common = aligned_alloc(PROBE_VECTOR_LEN,
                                  (n + 1) * PROBE_STATE_MAX * sizeof(probe_vector_t));
    if (sieve->schedules && sieve->common) {
        make_all(sieve, texts);
        return sieve;
    }
fail:
    probe_sieve_free(sieve);
    return NULL;
}

void probe_sieve_free(probe_sieve_t *sieve)
{
    if (sieve) {
        free(sieve->schedules);
        free(sieve->common);
        free(sieve);
    }
}

/* ---- keys ---- */

/* The state behind the keys' block. */
static void begin(const probe_sieve_t *sieve, const unsigned char *keys, apr_size_t key_len,
                  apr_size_t n, unsigned char pad, probe_vector_t *state)
{
    const probe_hash_t *hash = sieve->hash;
    probe_vector_t block[PROBE_BLOCK_N], schedule[PROBE_ROUNDS_MAX];
    unsigned char bytes[BLOCK_MAX];
    apr_size_t lane, i;

    memset(block, 0, sizeof(block));
    for (lane = 0; lane < n; lane++) {
        memset(bytes, pad, sizeof(bytes));
        for (i = 0; i < key_len; i++) {
            bytes[i] ^= keys[lane * key_len + i];
        }
        for (i = 0; i < PROBE_BLOCK_N; i++) {
            put(hash, &block[i], lane, word_at(hash, bytes + i * hash->word_len));
        }
    }
    start(hash, state);
    hash->expand(schedule, block);
    hash->add(state, schedule);
}

static void add_blocks(const probe_sieve_t *sieve, const text_t *text, apr_size_t skip,
                       apr_size_t n, probe_vector_t *state)
{
    const probe_hash_t *hash = sieve->hash;
    apr_size_t i;

    for (i = skip; i < skip + n; i++) {
        hash->add_same(state, text->schedules + i * schedule_len(hash));
    }
}

/* Which lanes have the first word of the MAC. */
static unsigned compare(const probe_hash_t *hash, const probe_vector_t *first,
                        const unsigned char *mac, apr_size_t n)
{
    /* A MAC may be cut to less than a long word. */
    unsigned shift = hash->word_len == 8 ? 32 : 0, found = 0;
    apr_uint32_t half = half_at(mac, hash->is_big);
    apr_size_t lane;

    for (lane = 0; lane < n; lane++) {
        apr_uint64_t word = 0;
        apr_uint32_t small;

        if (hash->word_len == sizeof(word)) {
            memcpy(&word, first->bytes + lane * sizeof(word), sizeof(word));
        }
        else {
            memcpy(&small, first->bytes + lane * sizeof(small), sizeof(small));
            word = small;
        }
        found |= (unsigned)((apr_uint32_t)(word >> shift) == half) << lane;
    }
    return found;
}

static unsigned sieve_lanes(const probe_sieve_t *sieve, const unsigned char *keys,
                            apr_size_t key_len, apr_size_t n)
{
    const probe_hash_t *hash = sieve->hash;
    apr_size_t words = hash->digest_len / hash->word_len, i;
    probe_vector_t inner[PROBE_STATE_MAX], outer[PROBE_STATE_MAX], state[PROBE_STATE_MAX];
    probe_vector_t block[PROBE_BLOCK_N], schedule[PROBE_ROUNDS_MAX];
    unsigned found = 0;

    begin(sieve, keys, key_len, n, 0x36, inner);
    begin(sieve, keys, key_len, n, 0x5c, outer);
    put_end(hash, block, words, sieve->block_len + hash->digest_len);
    for (i = 0; i < sieve->n; i++) {
        const text_t *text = &sieve->texts[i];
        apr_size_t left = text->blocks_n - text->common_n;
        probe_vector_t *shared = sieve->common + text->common * PROBE_STATE_MAX;

        if (text->common == i) {
            memcpy(state, inner, sizeof(state));
            add_blocks(sieve, text, 0, text->common_n, state);
            memcpy(shared, state, sizeof(state));
            add_blocks(sieve, text, text->common_n, left, state);
        }
        else {
            memcpy(state, shared, sizeof(state));
            add_blocks(sieve, text, 0, left, state);
        }
        memcpy(block, state, words * sizeof(*block));
        memcpy(state, outer, sizeof(state));
        hash->expand(schedule, block);
        hash->add(state, schedule);
        found |= compare(hash, &state[0], text->mac, n);
    }
    return found;
}

unsigned probe_sieve_keys(const probe_sieve_t *sieve, const unsigned char *keys, apr_size_t key_len,
                          apr_size_t n)
{
    apr_size_t lanes = PROBE_VECTOR_LEN / sieve->hash->word_len, i;
    unsigned found = 0;

    for (i = 0; i < n; i += lanes) {
        apr_size_t part = n - i < lanes ? n - i : lanes;

        found |= sieve_lanes(sieve, keys + i * key_len, key_len, part) << i;
    }
    return found;
}
