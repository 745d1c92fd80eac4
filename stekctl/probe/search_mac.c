/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The search for a weak key of the MAC, or for a digest without a key (search.h), at every place
 * where a MAC may be (mac_spans.h).
 */
#include "search.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <string.h>

#include "derived_keys.h"
#include "mac_spans.h"

typedef struct digest_t {
    const char *name, *hmac;
    apr_size_t len;
} digest_t;

static const digest_t digests[] = {
    {"SHA256", "HMAC-SHA256", 32}, {"SHA384", "HMAC-SHA384", 48}, {"SHA1", "HMAC-SHA1", 20},
    {"SHA512", "HMAC-SHA512", 64}, {"MD5", "HMAC-MD5", 16},       {"SHA224", "HMAC-SHA224", 28},
};

#define FIRST_KEY_LEN 32
#define DIGESTS_N (sizeof(digests) / sizeof(digests[0]))

typedef struct work_t {
    probe_search_t *search;
    probe_spans_t spans;
    const digest_t *counted; /* the digest whose keys are counted */
} work_t;

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

/* HMAC fills keys up with zeros, so these were tried with another length. */
static int ends_in_zeros(const unsigned char *key, apr_size_t key_len)
{
    return key[key_len - 1] == 0 && key[key_len - 2] == 0 && key[key_len - 3] == 0
           && key[key_len - 4] == 0;
}

static int try_keys(work_t *work, const digest_t *digest, EVP_MAC_CTX *mac, apr_size_t key_len,
                    int is_usual)
{
    probe_search_t *search = work->search;
    /* All keys would take minutes on a huge ticket; its MAC key is most likely its cipher key. */
    int is_quick = search->level > PROBE_QUICK
                   && (!is_usual || search->ticket->len > PROBE_TEXT_MAX);
    probe_keys_for_t what = {.level = is_quick ? PROBE_QUICK : search->level,
                             .is_mac = 1,
                             .own = search->own,
                             .ticket = search->ticket,
                             .layout = search->format->layout};
    probe_keys_t keys;
    apr_size_t i;
    int found = 0;

    if (!probe_keys_make(&keys, key_len, &what)) {
        search->missing = "memory";
        return 0;
    }
    for (i = 0; i < keys.n && found == 0; i++) {
        if (!is_usual && key_len != FIRST_KEY_LEN
            && ends_in_zeros(keys.bytes + i * key_len, key_len)) {
            continue;
        }
        found = try_key(work, digest, mac, keys.bytes + i * key_len, key_len, is_usual);
    }
    if (found > 0) {
        probe_keys_tell(&keys, i - 1, &search->hit);
    }
    search->missing = found < 0 ? digest->hmac : search->missing;
    /* The keys are the same for every digest. */
    if (is_usual && (!work->counted || work->counted == digest)) {
        work->counted = digest;
        search->keys_n += i;
    }
    probe_keys_free(&keys);
    return found > 0;
}

static int try_hmac(work_t *work, const digest_t *digest, EVP_MAC *fetched)
{
    static const apr_size_t key_lens[] = {FIRST_KEY_LEN, 16, 48, 64, 20};
    OSSL_PARAM params[2] = {OSSL_PARAM_END, OSSL_PARAM_END};
    EVP_MAC_CTX *mac = EVP_MAC_CTX_new(fetched);
    apr_size_t n = work->search->level == PROBE_DEEP ? 5 : 4, i;
    int found = 0;

    params[0] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)digest->name, 0);
    if (!mac || EVP_MAC_CTX_set_params(mac, params) != 1) {
        work->search->missing = digest->hmac;
        EVP_MAC_CTX_free(mac);
        return 0;
    }
    n = work->search->ticket->len > PROBE_TEXT_MAX ? 1 : n;
    for (i = 0; i < n && !found && work->spans.usual_n > 0; i++) {
        found = try_keys(work, digest, mac, key_lens[i], 1);
    }
    /* At many places, keys of the usual lengths. */
    n = work->search->level == PROBE_QUICK && n > 2 ? 2 : n;
    for (i = 0; i < n && !found && !work->search->is_again; i++) {
        found = try_keys(work, digest, mac, key_lens[i], 0);
    }
    EVP_MAC_CTX_free(mac);
    return found;
}

static int try_both(work_t *work, const digest_t *digest, EVP_MAC *fetched)
{
    EVP_MD *md = EVP_MD_fetch(NULL, digest->name, NULL);
    int found;

    probe_mac_spans(&work->spans, work->search->ticket->len, work->search->format, digest->len,
                    work->search->level, work->search->is_again);
    found = md ? try_digest(work, digest, md) : -1;
    EVP_MD_free(md);
    if (found < 0) {
        work->search->missing = digest->hmac;
        return 0;
    }
    work->search->forms_n += 2;
    return found || try_hmac(work, digest, fetched);
}

int probe_search_mac(probe_search_t *search)
{
    apr_size_t n = search->ticket->len > PROBE_TEXT_MAX ? 2 : DIGESTS_N, i;
    EVP_MAC *fetched = EVP_MAC_fetch(NULL, "HMAC", NULL);
    work_t work = {.search = search};
    int found = 0;

    if (!fetched) {
        search->missing = "HMAC";
    }
    for (i = 0; fetched && i < n && !found; i++) {
        found = try_both(&work, &digests[i], fetched);
    }
    EVP_MAC_free(fetched);
    ERR_clear_error();
    return found;
}
