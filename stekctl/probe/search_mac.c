/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The search for a weak key of the MAC, or for a digest without a key (search.h), at every place
 * where a MAC may be (mac_spans.h).
 */
#include "search.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "hmac_sieve.h"
#include "mac_keys.h"
#include "mac_spans.h"

typedef struct digest_t {
    const char *name, *hmac;
    apr_size_t len;
} digest_t;

static const digest_t digests[] = {
    {"SHA256", "HMAC-SHA256", 32}, {"SHA384", "HMAC-SHA384", 48}, {"SHA1", "HMAC-SHA1", 20},
    {"SHA512", "HMAC-SHA512", 64}, {"MD5", "HMAC-MD5", 16},       {"SHA224", "HMAC-SHA224", 28},
};

/* From level normal on, with the most common keys, at the usual places, where OpenSSL has them. */
static const digest_t rare_digests[] = {
    {"SHA3-256", "HMAC-SHA3-256", 32},       {"SHA512-256", "HMAC-SHA512-256", 32},
    {"BLAKE2S-256", "HMAC-BLAKE2S-256", 32}, {"SM3", "HMAC-SM3", 32},
    {"SHA3-384", "HMAC-SHA3-384", 48},       {"SHA3-512", "HMAC-SHA3-512", 64},
    {"BLAKE2B-512", "HMAC-BLAKE2B-512", 64}, {"SHA3-224", "HMAC-SHA3-224", 28},
    {"SHA512-224", "HMAC-SHA512-224", 28},   {"RIPEMD160", "HMAC-RIPEMD160", 20},
};

#define RARE_N (sizeof(rare_digests) / sizeof(rare_digests[0]))
#define DIGESTS_N (sizeof(digests) / sizeof(digests[0]))

_Static_assert(PROBE_SPANS_MAX <= PROBE_SIEVE_TEXTS_MAX, "a sieve takes all places of a MAC");

typedef struct work_t {
    probe_search_t *search;
    probe_spans_t spans;
    const digest_t *counted; /* the digest whose keys are counted */
    /* For the usual places, the others, and rare digests; made when needed. */
    probe_mac_keys_t keys[3];
    int is_rare; /* the digest is */
    probe_sieve_text_t texts[PROBE_SPANS_MAX];
} work_t;

/* One digest at the usual places, or at all. */
typedef struct try_t {
    const digest_t *digest;
    EVP_MAC_CTX *mac;
    int is_usual;
    const probe_sieve_t *sieve; /* NULL: none */
    apr_size_t texts_n;         /* without a sieve; 0: any key may be right */
} try_t;

#define FEW 2 /* keys: for more, a sieve takes less time */

static int found_span(work_t *work, const probe_span_t *span, const digest_t *digest,
                      const char *name)
{
    probe_hit_t *hit = &work->search->hit;

    hit->algorithm = name;
    hit->text_at = span->from;
    hit->mac_at = span->mac_at;
    hit->mac_len = span->mac_len;
    hit->mac_full_len = digest->len;
    return 1;
}

/* A digest that anyone can compute.  -1: OpenSSL does not have it. */
static int try_digest(work_t *work, const digest_t *digest, const EVP_MD *md)
{
    const unsigned char *bytes = work->search->ticket->bytes;
    unsigned char out[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    apr_size_t i;
    int found = ctx ? 0 : -1;

    for (i = 0; i < work->spans.n && found == 0; i++) {
        const probe_span_t *span = &work->spans.all[i];

        if (EVP_DigestInit_ex(ctx, md, NULL) != 1
            || EVP_DigestUpdate(ctx, bytes + span->from, span->len) != 1
            || EVP_DigestUpdate(ctx, bytes + span->second_from, span->second_len) != 1
            || EVP_DigestFinal_ex(ctx, out, NULL) != 1) {
            found = -1;
        }
        else if (memcmp(out, bytes + span->mac_at, span->mac_len) == 0) {
            found = found_span(work, span, digest, digest->name);
            work->search->hit.key_len = 0;
        }
    }
    EVP_MD_CTX_free(ctx);
    return found;
}

/* As try_digest(). */
static int try_key(work_t *work, const digest_t *digest, EVP_MAC_CTX *mac, const unsigned char *key,
                   apr_size_t key_len, int is_usual)
{
    const unsigned char *bytes = work->search->ticket->bytes;
    unsigned char out[EVP_MAX_MD_SIZE];
    apr_size_t i, len;

    for (i = 0; i < work->spans.n; i++) {
        const probe_span_t *span = &work->spans.all[i];

        if (is_usual && !span->is_usual) {
            continue;
        }
        if (EVP_MAC_init(mac, key, key_len, NULL) != 1
            || EVP_MAC_update(mac, bytes + span->from, span->len) != 1
            || EVP_MAC_update(mac, bytes + span->second_from, span->second_len) != 1
            || EVP_MAC_final(mac, out, &len, sizeof(out)) != 1) {
            return -1;
        }
        if (memcmp(out, bytes + span->mac_at, span->mac_len) == 0) {
            return found_span(work, span, digest, digest->hmac);
        }
    }
    return 0;
}

/* Those for the usual places, or the others. */
static int make_keys(const work_t *work, probe_mac_keys_t *all, int is_usual)
{
    const probe_search_t *search = work->search;
    /* All keys would take minutes on a huge ticket; its MAC key is most likely its cipher key. */
    int is_huge = search->ticket->len > PROBE_TEXT_MAX;
    int is_quick = search->level > PROBE_QUICK && (!is_usual || is_huge || work->is_rare);
    probe_keys_for_t what = {.level = is_quick ? PROBE_QUICK : search->level,
                             .is_mac = 1,
                             .is_foreign = !is_usual,
                             .own = search->own,
                             .ticket = search->ticket,
                             .layout = search->format->layout};
    apr_size_t lengths_n = search->level == PROBE_DEEP ? 5 : 4;

    if (search->level == PROBE_QUICK && !is_usual) {
        lengths_n = 2; /* at many places, the most usual lengths */
    }
    return probe_mac_keys_make(all, is_huge ? 1 : lengths_n, &what);
}

/* Spans as the sieve wants them, each once: it is enough to know that one fits. */
static apr_size_t list_texts(work_t *work, int is_usual)
{
    probe_sieve_text_t *texts = work->texts;
    const unsigned char *bytes = work->search->ticket->bytes;
    apr_size_t i, j, n = 0;

    for (i = 0; i < work->spans.n; i++) {
        const probe_span_t *span = &work->spans.all[i];
        int is_whole = span->len == 0 || span->second_len == 0;
        probe_sieve_text_t text = {
            .first = bytes + (span->len ? span->from : span->second_from),
            .first_len = span->len ? span->len : span->second_len,
            .second = bytes + span->second_from,
            .second_len = is_whole ? 0 : span->second_len,
            .mac = bytes + span->mac_at,
        };

        for (j = 0; j < n; j++) {
            if (texts[j].first == text.first && texts[j].first_len == text.first_len
                && texts[j].second_len == text.second_len && texts[j].mac == text.mac) {
                break;
            }
        }
        if (j == n && (!is_usual || span->is_usual)) {
            texts[n++] = text;
        }
    }
    return n;
}

/* A few keys that passed the sieve, if there is one. */
static int try_some(work_t *work, const try_t *how, const probe_keys_t *keys,
                    const apr_size_t *which, apr_size_t n, apr_size_t *pat)
{
    unsigned char bytes[PROBE_SIEVE_KEYS * PROBE_KEY_MAX];
    unsigned passed = (1U << n) - 1;
    apr_size_t i;
    int found = 0;

    for (i = 0; i < n; i++) {
        memcpy(bytes + i * keys->len, keys->bytes + which[i] * keys->len, keys->len);
    }
    if (how->sieve) {
        passed = probe_sieve_keys(how->sieve, bytes, keys->len, n);
    }
    for (i = 0; i < n && how->texts_n; i++) {
        if (!probe_sieve_one(how->digest->name, work->texts, how->texts_n, bytes + i * keys->len,
                             keys->len)) {
            passed &= ~(1U << i);
        }
    }
    for (i = 0; i < n && found == 0; i++) {
        if (passed & 1U << i) {
            found = try_key(work, how->digest, how->mac, bytes + i * keys->len, keys->len,
                            how->is_usual);
            *pat = which[i];
        }
    }
    return found;
}

static int try_keys(work_t *work, const try_t *how, const probe_keys_t *keys,
                    const unsigned char *repeats)
{
    probe_search_t *search = work->search;
    apr_size_t which[PROBE_SIEVE_KEYS], at = 0, n = 0, i;
    int found = 0;

    for (i = 0; i < keys->n && found == 0; i++) {
        if (!repeats[i]) {
            which[n++] = i;
        }
        if (n == PROBE_SIEVE_KEYS || (n > 0 && i + 1 == keys->n)) {
            found = try_some(work, how, keys, which, n, &at);
            n = 0;
        }
    }
    if (found > 0) {
        probe_keys_tell(keys, at, &search->hit);
    }
    search->missing = found < 0 && !work->is_rare ? how->digest->hmac : search->missing;
    /* The keys are the same for every digest. */
    if (how->is_usual && (!work->counted || work->counted == how->digest)) {
        work->counted = how->digest;
        search->keys_n += found > 0 ? at + 1 : i;
    }
    return found > 0;
}

static apr_size_t count_keys(const probe_mac_keys_t *all)
{
    apr_size_t n = 0, i, j;

    for (i = 0; i < all->n; i++) {
        for (j = 0; j < all->of[i].keys.n; j++) {
            n += !all->of[i].repeats[j];
        }
    }
    return n;
}

static int try_lengths(work_t *work, try_t *how)
{
    probe_mac_keys_t *all = &work->keys[work->is_rare ? 2 : how->is_usual ? 0 : 1];
    probe_sieve_t *sieve = NULL;
    apr_size_t texts_n, i;
    int found = 0;

    if (all->n == 0 && !make_keys(work, all, how->is_usual)) {
        work->search->missing = "memory";
        return 0;
    }
    texts_n = list_texts(work, how->is_usual);
    how->texts_n = count_keys(all) <= FEW ? texts_n : 0;
    if (!how->texts_n) {
        sieve = probe_sieve_create(how->digest->name, work->texts, texts_n);
    }
    how->sieve = sieve;
    for (i = 0; i < all->n && !found; i++) {
        found = try_keys(work, how, &all->of[i].keys, all->of[i].repeats);
    }
    probe_sieve_free(sieve);
    return found;
}

static int try_hmac(work_t *work, const digest_t *digest, EVP_MAC *fetched)
{
    OSSL_PARAM params[2] = {OSSL_PARAM_END, OSSL_PARAM_END};
    try_t how = {.digest = digest, .mac = EVP_MAC_CTX_new(fetched)};
    int found = 0;

    params[0] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)digest->name, 0);
    if (!how.mac || EVP_MAC_CTX_set_params(how.mac, params) != 1) {
        work->search->missing = work->is_rare ? work->search->missing : digest->hmac;
        EVP_MAC_CTX_free(how.mac);
        return 0;
    }
    if (work->spans.usual_n > 0) {
        how.is_usual = 1;
        found = try_lengths(work, &how);
    }
    if (!found && !work->search->again && !work->is_rare) {
        how.is_usual = 0;
        found = try_lengths(work, &how);
    }
    EVP_MAC_CTX_free(how.mac);
    return found;
}

static int try_both(work_t *work, const digest_t *digest, EVP_MAC *fetched)
{
    EVP_MD *md = EVP_MD_fetch(NULL, digest->name, NULL);
    int found;

    probe_mac_spans(&work->spans, work->search->ticket->len, work->search->format, digest->len,
                    work->search->level, work->search->again != PROBE_AGAIN_NOT);
    found = md ? try_digest(work, digest, md) : -1;
    EVP_MD_free(md);
    if (found < 0) {
        work->search->missing = work->is_rare ? work->search->missing : digest->hmac;
        return 0;
    }
    work->search->forms_n += 2;
    probe_search_tried(work->search, digest->name);
    probe_search_tried(work->search, digest->hmac);
    return found || try_hmac(work, digest, fetched);
}

static int try_rare(work_t *work, EVP_MAC *fetched)
{
    const probe_search_t *search = work->search;
    apr_size_t i;
    int found = 0;

    work->is_rare = 1;
    for (i = 0; search->level > PROBE_QUICK && search->ticket->len <= PROBE_TEXT_MAX && i < RARE_N
                && !found;
         i++) {
        found = try_both(work, &rare_digests[i], fetched);
    }
    return found;
}

int probe_search_mac(probe_search_t *search)
{
    apr_size_t n = search->ticket->len > PROBE_TEXT_MAX ? 2 : DIGESTS_N, i;
    EVP_MAC *fetched = EVP_MAC_fetch(NULL, "HMAC", NULL);
    work_t *work = calloc(1, sizeof(*work)); /* too much for the stack of a probe in a list */
    int found = 0;

    if (!fetched || !work) {
        search->missing = fetched ? "memory" : "HMAC";
        goto cleanup;
    }
    work->search = search;
    for (i = 0; i < n && !found; i++) {
        if (search->again != PROBE_AGAIN_SAME || digests[i].len == search->format->mac_len) {
            found = try_both(work, &digests[i], fetched);
        }
    }
    found = found || try_rare(work, fetched);
    for (i = 0; i < sizeof(work->keys) / sizeof(work->keys[0]); i++) {
        probe_mac_keys_free(&work->keys[i]);
    }
cleanup:
    free(work);
    EVP_MAC_free(fetched);
    ERR_clear_error();
    return found;
}
