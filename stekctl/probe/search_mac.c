/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The search for a weak key of the MAC (search.h).
 */
#include "candidate_keys.h"
#include "search.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

typedef struct search_t {
    const probe_ticket_t *ticket;
    const probe_format_t *format;
    probe_level_e level;
    probe_hit_t *hit;
} search_t;

typedef struct digest_t {
    const char *name, *hmac;
    apr_size_t len;
} digest_t;

static const digest_t digests[] = {
    {"SHA256", "HMAC-SHA256", 32}, {"SHA384", "HMAC-SHA384", 48}, {"SHA1", "HMAC-SHA1", 20},
    {"SHA512", "HMAC-SHA512", 64}, {"MD5", "HMAC-MD5", 16},
};

/* Full and commonly truncated lengths of MACs; with less than 8 bytes, a match proves nothing. */
static const apr_size_t mac_lens[] = {64, 48, 32, 28, 24, 20, 16, 12, 10, 8};

static int found_key(probe_hit_t *hit, const char *algorithm, const unsigned char *key,
                     apr_size_t key_len)
{
    hit->algorithm = algorithm;
    memcpy(hit->key, key, key_len);
    hit->key_len = key_len;
    return 1;
}

/* HMAC over bytes[from, len - mac_len) against the last mac_len bytes. */
static int try_mac(search_t *search, const digest_t *digest, EVP_MAC_CTX *mac,
                   const unsigned char *key, apr_size_t key_len, apr_size_t from)
{
    const probe_ticket_t *ticket = search->ticket;
    apr_size_t i, len;
    unsigned char out[EVP_MAX_MD_SIZE];

    for (i = 0; i < sizeof(mac_lens) / sizeof(mac_lens[0]); i++) {
        apr_size_t mac_len = mac_lens[i];

        if (mac_len > digest->len || ticket->len < from + mac_len + 16
            || (ticket->len > PROBE_TEXT_MAX && mac_len != digest->len)) {
            continue;
        }
        if (EVP_MAC_init(mac, key, key_len, NULL) != 1
            || EVP_MAC_update(mac, ticket->bytes + from, ticket->len - mac_len - from) != 1
            || EVP_MAC_final(mac, out, &len, sizeof(out)) != 1) {
            return 0;
        }
        if (memcmp(out, ticket->bytes + ticket->len - mac_len, mac_len) == 0) {
            search->hit->text_at = from;
            search->hit->mac_len = mac_len;
            search->hit->mac_full_len = digest->len;
            return 1;
        }
    }
    return 0;
}

/* What the MAC covers begins at the ticket's start, after the name, or after name and IV. */
static int try_mac_key(search_t *search, const digest_t *digest, EVP_MAC_CTX *mac,
                       const unsigned char *key, apr_size_t key_len)
{
    static const apr_size_t usual[] = {0, 16, 32, 4, 2};
    apr_size_t n = search->level == PROBE_QUICK ? 1 : search->level == PROBE_NORMAL ? 3 : 5, i;
    apr_size_t name_len = search->format->name_len;

    for (i = 0; i < n; i++) {
        if (try_mac(search, digest, mac, key, key_len, usual[i])) {
            return found_key(search->hit, digest->hmac, key, key_len);
        }
    }
    return n > 1 && name_len != 0 && name_len != 16 && name_len != 32
           && try_mac(search, digest, mac, key, key_len, name_len)
           && found_key(search->hit, digest->hmac, key, key_len);
}

static int search_mac(search_t *search, const digest_t *digest, EVP_MAC *fetched,
                      apr_size_t key_len)
{
    OSSL_PARAM params[2] = {OSSL_PARAM_END, OSSL_PARAM_END};
    EVP_MAC_CTX *mac = EVP_MAC_CTX_new(fetched);
    apr_size_t n = 0, i;
    unsigned char *keys = probe_candidate_keys(key_len, search->level, &n);
    int found = 0;

    params[0] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)digest->name, 0);
    if (mac && keys && EVP_MAC_CTX_set_params(mac, params) == 1) {
        for (i = 0; i < n && !found; i++) {
            found = try_mac_key(search, digest, mac, keys + i * key_len, key_len);
        }
    }
    EVP_MAC_CTX_free(mac);
    free(keys);
    return found;
}

int probe_search_mac(const probe_ticket_t *ticket, const probe_format_t *format,
                     probe_level_e level, probe_hit_t *hit)
{
    static const apr_size_t key_lens[] = {32, 16, 48, 64, 20};
    search_t search = {.ticket = ticket, .format = format, .level = level, .hit = hit};
    apr_size_t digests_n = ticket->len > PROBE_TEXT_MAX ? 2 : sizeof(digests) / sizeof(digests[0]);
    /* All keys would take minutes on a huge ticket; its MAC key is most likely its cipher key. */
    apr_size_t key_lens_n = ticket->len > PROBE_TEXT_MAX ? 1 : level == PROBE_DEEP ? 5 : 3, i, j;
    EVP_MAC *fetched = EVP_MAC_fetch(NULL, "HMAC", NULL);
    int found = 0;

    memset(hit, 0, sizeof(*hit));
    if (ticket->len > PROBE_TEXT_MAX && level > PROBE_QUICK) {
        search.level = PROBE_QUICK;
    }
    for (i = 0; fetched && i < digests_n && !found; i++) {
        for (j = 0; j < key_lens_n && !found; j++) {
            found = search_mac(&search, &digests[i], fetched, key_lens[j]);
        }
    }
    EVP_MAC_free(fetched);
    ERR_clear_error();
    return found;
}
