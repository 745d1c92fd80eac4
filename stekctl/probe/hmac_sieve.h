/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which keys may have made one of several HMACs?  Answers for thousands of keys in little time, and
 * lets one in billions pass that has not: prove the rest.  Pure; stekctl.
 */
#ifndef STEKCTL_PROBE_HMAC_SIEVE_H
#define STEKCTL_PROBE_HMAC_SIEVE_H

#include <apr.h>

#pragma GCC visibility push(hidden)

#define PROBE_SIEVE_KEYS 16 /* keys at a time */
#define PROBE_SIEVE_TEXTS_MAX 768
#define PROBE_SIEVE_LEN_MAX 4096 /* bytes that a MAC covers */

/* Two pieces, of which the second may be empty, and a MAC of at least 4 bytes over them. */
typedef struct probe_sieve_text_t {
    const unsigned char *first, *second, *mac;
    apr_size_t first_len, second_len;
} probe_sieve_text_t;

typedef struct probe_sieve_t probe_sieve_t;

/* For a digest by OpenSSL's name.  NULL: no memory, or too much to sieve, so all keys may be right.
 * What the texts point to must outlive it. */
probe_sieve_t *probe_sieve_create(const char *digest, const probe_sieve_text_t *texts,
                                  apr_size_t n);
void probe_sieve_free(probe_sieve_t *sieve);

/* Of keys[n * key_len], with n up to PROBE_SIEVE_KEYS and key_len up to PROBE_KEY_MAX: a bit for
 * every key that may be right. */
unsigned probe_sieve_keys(const probe_sieve_t *sieve, const unsigned char *keys, apr_size_t key_len,
                          apr_size_t n);

/* The same for one key, without a sieve.  Nonzero: it may be right. */
int probe_sieve_one(const char *digest, const probe_sieve_text_t *texts, apr_size_t n,
                    const unsigned char *key, apr_size_t key_len);

#pragma GCC visibility pop
#endif
