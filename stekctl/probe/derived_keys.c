/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Derived keys (derived_keys.h).  Facts from the sources named here.
 *
 *     Go 1.25, crypto/tls/common.go    SHA-512(32 bytes): name 16, AES-128 16, HMAC 16
 *     GnuTLS 3.7, lib/stek.c           SHA3-512(time step | 64 bytes): name 16, AES-256 32, HMAC 16;
 *                                      a step is three times the expiry time, 6 hours by default
 *     Botan 2 and 3, tls_session.cpp   HMAC-SHA-512/256(key, seed in the ticket): AES-256
 *     s2n 1.3, tls/s2n_config.c        HKDF-SHA256(key), no salt, no info: AES-256
 *     s2n 8cbf81ad7, tls/s2n_resume.c  of that, HKDF-SHA256 again, with the ticket's info
 *
 * These take keys as they are, or make them at random and take none:
 *
 *     mbedTLS 0064484a701b, library/ssl_ticket.c      any AEAD with its key; or from its generator
 *     wolfSSL 5.5.4, wolfssl/ssl.h                    name 16 | key 32 | key 32, ChaCha20-Poly1305
 *     NSS 18ff6ff935e7, lib/ssl/sslsnce.c             at random, AES-256 and HMAC-SHA256
 *     OpenJDK 0827b24f8cd6, sun/security/ssl/SessionTicketExtension.java
 *                                                     AES-256 by the SSLContext's SecureRandom
 */
#include "derived_keys.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

#define GNUTLS_STEP_S (3 * 6 * 3600)
#define GNUTLS_STEPS 3 /* a step before, now, and after: clocks differ */
#define BOTAN_SEED_AT 12
#define BOTAN_SEED_LEN 16
#define S2N_INFO_AT 17
#define S2N_INFO_LEN 32

typedef struct scheme_t {
    const char *name;
    apr_size_t raw_len, cipher_len, mac_len; /* lengths of keys; 0: makes none */
    apr_size_t per;
    int (*derive)(const unsigned char *raw, const probe_keys_for_t *what, apr_size_t step,
                  unsigned char *out);
    int (*is_for)(const probe_keys_for_t *what);
} scheme_t;

static int derive_go(const unsigned char *raw, const probe_keys_for_t *what, apr_size_t step,
                     unsigned char *out)
{
    unsigned char digest[EVP_MAX_MD_SIZE];

    (void)step;
    if (EVP_Digest(raw, 32, digest, NULL, EVP_sha512(), NULL) != 1) {
        return 0;
    }
    memcpy(out, digest + (what->is_mac ? 32 : 16), 16);
    return 1;
}

/* Name, IV, text and HMAC-SHA256, with or without the name. */
static int is_for_go(const probe_keys_for_t *what)
{
    return what->layout == PROBE_LAYOUT_UNKNOWN || what->layout == PROBE_LAYOUT_OPENSSL;
}

static int derive_gnutls(const unsigned char *raw, const probe_keys_for_t *what, apr_size_t step,
                         unsigned char *out)
{
    unsigned char text[8 + 64], digest[EVP_MAX_MD_SIZE];
    apr_uint64_t t = (apr_uint64_t)apr_time_sec(what->ticket->at) / GNUTLS_STEP_S + step - 1;
    int i;

    for (i = 0; i < 8; i++) {
        text[i] = (unsigned char)(t >> (56 - 8 * i));
    }
    memcpy(text + 8, raw, 64);
    if (EVP_Digest(text, sizeof(text), digest, NULL, EVP_sha3_512(), NULL) != 1) {
        return 0;
    }
    memcpy(out, digest + (what->is_mac ? 48 : 16), what->is_mac ? 16 : 32);
    return 1;
}

static int is_for_gnutls(const probe_keys_for_t *what)
{
    return what->layout == PROBE_LAYOUT_GNUTLS;
}

static int derive_botan(const unsigned char *raw, const probe_keys_for_t *what, apr_size_t step,
                        unsigned char *out)
{
    (void)step;
    return HMAC(EVP_sha512_256(), raw, 32, what->ticket->bytes + BOTAN_SEED_AT, BOTAN_SEED_LEN, out,
                NULL)
           != NULL;
}

static int is_for_botan(const probe_keys_for_t *what)
{
    return what->layout == PROBE_LAYOUT_BOTAN;
}

/* HKDF-SHA256 without salt (RFC 5869), 32 bytes. */
static int expand(const unsigned char *raw, const unsigned char *info, apr_size_t info_len,
                  unsigned char *out)
{
    static const unsigned char salt[32];
    unsigned char prk[EVP_MAX_MD_SIZE], text[S2N_INFO_LEN + 1];

    memcpy(text, info, info_len);
    text[info_len] = 1;
    return HMAC(EVP_sha256(), salt, sizeof(salt), raw, 32, prk, NULL)
           && HMAC(EVP_sha256(), prk, 32, text, info_len + 1, out, NULL);
}

static int derive_s2n(const unsigned char *raw, const probe_keys_for_t *what, apr_size_t step,
                      unsigned char *out)
{
    (void)what;
    (void)step;
    return expand(raw, raw, 0, out);
}

/* Version 1 | name 16 | info 32 | IV 12 | GCM */
static int derive_s2n_once(const unsigned char *raw, const probe_keys_for_t *what, apr_size_t step,
                           unsigned char *out)
{
    unsigned char key[EVP_MAX_MD_SIZE];

    (void)step;
    return expand(raw, raw, 0, key)
           && expand(key, what->ticket->bytes + S2N_INFO_AT, S2N_INFO_LEN, out);
}

static int is_for_s2n_once(const probe_keys_for_t *what)
{
    return what->layout == PROBE_LAYOUT_UNKNOWN && what->ticket->len > S2N_INFO_AT + S2N_INFO_LEN;
}

static int is_for_s2n(const probe_keys_for_t *what)
{
    return what->layout == PROBE_LAYOUT_UNKNOWN;
}

static const scheme_t schemes[] = {
    {"Go, SHA-512", 32, 16, 16, 1, derive_go, is_for_go},
    {"GnuTLS, SHA3-512 with the time", 64, 32, 16, GNUTLS_STEPS, derive_gnutls, is_for_gnutls},
    {"Botan, HMAC with the ticket's seed", 32, 32, 0, 1, derive_botan, is_for_botan},
    {"s2n, HKDF", 32, 32, 0, 1, derive_s2n, is_for_s2n},
    {"s2n, HKDF with the ticket's info", 32, 32, 0, 1, derive_s2n_once, is_for_s2n_once},
};

static void apply(probe_keys_t *keys, const scheme_t *scheme, const probe_keys_for_t *what,
                  const probe_keys_t *raw)
{
    probe_range_t *range = &keys->ranges[keys->ranges_n++];
    unsigned char out[EVP_MAX_MD_SIZE];
    apr_size_t i, j;

    range->scheme = scheme->name;
    range->first = keys->n;
    range->per = scheme->per;
    range->raw = raw->bytes;
    range->raw_len = scheme->raw_len;
    for (i = 0; i < raw->n && !keys->is_failed; i++) {
        for (j = 0; j < scheme->per; j++) {
            if (!scheme->derive(raw->bytes + i * scheme->raw_len, what, j, out)) {
                keys->is_failed = 1;
                return;
            }
            probe_keys_add(keys, out, keys->len);
        }
    }
}

int probe_keys_make(probe_keys_t *keys, apr_size_t key_len, const probe_keys_for_t *what)
{
    apr_size_t i;

    probe_candidate_keys(keys, key_len, what);
    for (i = 0; what->ticket && !what->is_foreign && i < sizeof(schemes) / sizeof(schemes[0]);
         i++) {
        const scheme_t *scheme = &schemes[i];
        probe_keys_t raw;

        if (key_len != (what->is_mac ? scheme->mac_len : scheme->cipher_len)
            || !scheme->is_for(what)) {
            continue;
        }
        probe_candidate_keys(&raw, scheme->raw_len, what);
        keys->is_failed |= raw.is_failed;
        apply(keys, scheme, what, &raw);
    }
    if (keys->is_failed) {
        probe_keys_free(keys);
        return 0;
    }
    return 1;
}
