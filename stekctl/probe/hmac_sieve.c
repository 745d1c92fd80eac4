/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sieve (hmac_sieve.h).  The texts are the same for every key, so what their blocks add is made
 * once; texts that begin alike share the state behind their common blocks.
 *
 *     state of key ^ 36.. -> common blocks -> a text's other blocks -> state of key ^ 5c.. -> MAC
 *
 * For a single key, that would be more work than it saves: then texts share a vector instead.
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
    apr_size_t n;
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

static apr_size_t lanes_of(const probe_hash_t *hash)
{
    return hash->vector_len / hash->word_len;
}

static apr_uint64_t get(const probe_hash_t *hash, const probe_vector_t *vector, apr_size_t lane)
{
    apr_uint64_t word;
    apr_uint32_t half;

    if (hash->word_len == sizeof(half)) {
        memcpy(&half, vector->bytes + lane * sizeof(half), sizeof(half));
        return half;
    }
    memcpy(&word, vector->bytes + lane * sizeof(word), sizeof(word));
    return word;
}

static void put_all(const probe_hash_t *hash, probe_vector_t *vector, apr_uint64_t word)
{
    apr_size_t lane;

    for (lane = 0; lane < lanes_of(hash); lane++) {
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

static apr_size_t block_len(const probe_hash_t *hash)
{
    return PROBE_BLOCK_N * hash->word_len;
}

/* With a byte and two words more. */
static apr_size_t blocks_of(const probe_hash_t *hash, const probe_sieve_text_t *text)
{
    return (length(text) + 2 * hash->word_len) / block_len(hash) + 1;
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
    return len / block_len(sieve->hash);
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

/* A block of the text, padded as a message behind the key's block. */
static void take_block(const probe_hash_t *hash, const probe_sieve_text_t *text, apr_size_t block,
                       unsigned char bytes[BLOCK_MAX])
{
    apr_size_t size = block_len(hash), at = block * size, len = length(text), i;
    apr_size_t from = at > text->first_len ? at : text->first_len;
    apr_size_t end = at + size < len ? at + size : len;
    apr_uint64_t bits = 8 * (apr_uint64_t)(len + size);

    memset(bytes, 0, size);
    if (at < text->first_len) {
        memcpy(bytes, text->first + at, text->first_len - at < size ? text->first_len - at : size);
    }
    if (from < end) {
        memcpy(bytes + from - at, text->second + from - text->first_len, end - from);
    }
    if (at <= len && len < at + size) {
        bytes[len - at] = 0x80;
    }
    for (i = 0; block + 1 == blocks_of(hash, text) && i < sizeof(bits); i++) {
        bytes[hash->is_big ? size - 1 - i : size - 8 + i] = (unsigned char)(bits >> 8 * i);
    }
}

static void put_block(const probe_hash_t *hash, const probe_sieve_text_t *text, apr_size_t block,
                      apr_size_t lane, probe_vector_t *words)
{
    unsigned char bytes[BLOCK_MAX];
    apr_size_t i;

    take_block(hash, text, block, bytes);
    for (i = 0; i < PROBE_BLOCK_N; i++) {
        put(hash, &words[i], lane, word_at(hash, bytes + i * hash->word_len));
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
    apr_size_t block;

    for (block = own_from(sieve, i); block < sieve->texts[i].blocks_n; block++) {
        put_block(sieve->hash, &texts[i], block, batch->n, batch->words);
        if (++batch->n == lanes_of(sieve->hash)) {
            flush(sieve->hash, batch);
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
    sieve->n = n;
    for (i = 0; i < n; i++) {
        if (length(&texts[i]) > PROBE_SIEVE_LEN_MAX) {
            goto fail;
        }
        sieve->texts[i].mac = texts[i].mac;
        sieve->texts[i].blocks_n = blocks_of(sieve->hash, &texts[i]);
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
static void begin(const probe_hash_t *hash, const unsigned char *keys, apr_size_t key_len,
                  apr_size_t n, unsigned char pad, probe_vector_t *state)
{
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

/* Nonzero: the lane has the first word of the MAC. */
static int is_mac(const probe_hash_t *hash, const probe_vector_t *first, apr_size_t lane,
                  const unsigned char *mac)
{
    /* A MAC may be cut to less than a long word. */
    unsigned shift = hash->word_len == 8 ? 32 : 0;

    return (apr_uint32_t)(get(hash, first, lane) >> shift) == half_at(mac, hash->is_big);
}

/* Keys in lanes, behind their blocks. */
typedef struct keyed_t {
    probe_vector_t inner[PROBE_STATE_MAX], outer[PROBE_STATE_MAX];
    probe_vector_t end[PROBE_BLOCK_N]; /* the outer hash's last block, but for the inner digest */
} keyed_t;

static void set_keys(const probe_hash_t *hash, const unsigned char *keys, apr_size_t key_len,
                     apr_size_t n, keyed_t *keyed)
{
    begin(hash, keys, key_len, n, 0x36, keyed->inner);
    begin(hash, keys, key_len, n, 0x5c, keyed->outer);
    put_end(hash, keyed->end, hash->digest_len / hash->word_len,
            block_len(hash) + hash->digest_len);
}

/* The state behind a text becomes that of its MAC. */
static void end_text(const probe_hash_t *hash, keyed_t *keyed, probe_vector_t *state)
{
    probe_vector_t schedule[PROBE_ROUNDS_MAX];

    memcpy(keyed->end, state, hash->digest_len / hash->word_len * sizeof(*state));
    memcpy(state, keyed->outer, sizeof(keyed->outer));
    hash->expand(schedule, keyed->end);
    hash->add(state, schedule);
}

static unsigned sieve_lanes(const probe_sieve_t *sieve, const unsigned char *keys,
                            apr_size_t key_len, apr_size_t n)
{
    const probe_hash_t *hash = sieve->hash;
    probe_vector_t state[PROBE_STATE_MAX];
    unsigned found = 0, lane;
    keyed_t keyed;
    apr_size_t i;

    set_keys(hash, keys, key_len, n, &keyed);
    for (i = 0; i < sieve->n; i++) {
        const text_t *text = &sieve->texts[i];
        apr_size_t left = text->blocks_n - text->common_n;
        probe_vector_t *shared = sieve->common + text->common * PROBE_STATE_MAX;

        if (text->common == i) {
            memcpy(state, keyed.inner, sizeof(state));
            add_blocks(sieve, text, 0, text->common_n, state);
            memcpy(shared, state, sizeof(state));
            add_blocks(sieve, text, text->common_n, left, state);
        }
        else {
            memcpy(state, shared, sizeof(state));
            add_blocks(sieve, text, 0, left, state);
        }
        end_text(hash, &keyed, state);
        for (lane = 0; lane < n; lane++) {
            found |= (unsigned)is_mac(hash, &state[0], lane, text->mac) << lane;
        }
    }
    return found;
}

unsigned probe_sieve_keys(const probe_sieve_t *sieve, const unsigned char *keys, apr_size_t key_len,
                          apr_size_t n)
{
    apr_size_t lanes = lanes_of(sieve->hash), i;
    unsigned found = 0;

    for (i = 0; i < n; i += lanes) {
        apr_size_t part = n - i < lanes ? n - i : lanes;

        found |= sieve_lanes(sieve, keys + i * key_len, key_len, part) << i;
    }
    return found;
}

/* ---- one key ---- */

static void spread(const probe_hash_t *hash, probe_vector_t *state)
{
    apr_size_t i;

    for (i = 0; i < hash->state_n; i++) {
        put_all(hash, &state[i], get(hash, &state[i], 0));
    }
}

/* Adds texts, one to each lane: a block of all of them at a time, as far as they go. */
static void add_texts(const probe_hash_t *hash, const probe_sieve_text_t *texts, apr_size_t n,
                      probe_vector_t *state)
{
    probe_vector_t block[PROBE_BLOCK_N], schedule[PROBE_ROUNDS_MAX], before[PROBE_STATE_MAX];
    apr_size_t blocks_n = 0, lane, at, i;

    for (lane = 0; lane < n; lane++) {
        at = blocks_of(hash, &texts[lane]);
        blocks_n = at > blocks_n ? at : blocks_n;
    }
    memset(block, 0, sizeof(block));
    for (at = 0; at < blocks_n; at++) {
        memcpy(before, state, sizeof(before));
        for (lane = 0; lane < n; lane++) {
            if (at < blocks_of(hash, &texts[lane])) {
                put_block(hash, &texts[lane], at, lane, block);
            }
        }
        hash->expand(schedule, block);
        hash->add(state, schedule);
        for (lane = 0; lane < n; lane++) {
            for (i = 0; at >= blocks_of(hash, &texts[lane]) && i < hash->state_n; i++) {
                put(hash, &state[i], lane, get(hash, &before[i], lane));
            }
        }
    }
}

int probe_sieve_one(const char *digest, const probe_sieve_text_t *texts, apr_size_t n,
                    const unsigned char *key, apr_size_t key_len)
{
    const probe_hash_t *hash = probe_hash_find(digest);
    probe_vector_t state[PROBE_STATE_MAX];
    apr_size_t i, lane, part;
    keyed_t keyed;
    int found = 0;

    if (!hash) {
        return 1;
    }
    set_keys(hash, key, key_len, 1, &keyed);
    spread(hash, keyed.inner);
    spread(hash, keyed.outer);
    for (i = 0; i < n && !found; i += part) {
        part = n - i < lanes_of(hash) ? n - i : lanes_of(hash);
        memcpy(state, keyed.inner, sizeof(state));
        add_texts(hash, &texts[i], part, state);
        end_text(hash, &keyed, state);
        for (lane = 0; lane < part; lane++) {
            found |= is_mac(hash, &state[0], lane, texts[i + lane].mac);
        }
    }
    return found;
}
