/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secrets that seal rings, and the text file that keeps them:
 *
 *     # comment
 *     stek-secret-v1 BASE64(32 bytes)          first line: seals; every line: opens
 *     stek-fleet-v1 BASE64(16 bytes)           fleet secrets only: the fleet's ring id, once
 *     stek-day-v1 DAY                          fleet secrets with a ratchet: the day since 1970 at which
 *                                              all secrets of the file stand, once
 *
 * Lines end in LF or CRLF; blank lines are skipped.  Secrets live in locked memory.  No state.
 */
#ifndef STEK_SECRET_H
#define STEK_SECRET_H

#include <apr.h>
#include <apr_errno.h>
#include "stek_key.h"

#pragma GCC visibility push(hidden)

#define STEK_SECRET_WORD "stek-secret-v1" /* begins a line of the file */
#define STEK_SECRET_LEN 32
#define STEK_SECRET_ID_LEN 8
#define STEK_SECRET_SALT_LEN 32
#define STEK_FLEET_ID_LEN 16
#define STEK_SECRETS_MAX 16
#define STEK_SECRET_FILE_MAX 8192 /* bytes of text */
#define STEK_DAY_MAX 9999999      /* of a ratchet: seven digits */

typedef struct stek_secret_t {
    unsigned char bytes[STEK_SECRET_LEN];
    unsigned char id[STEK_SECRET_ID_LEN]; /* HKDF(bytes, "id"): names the secret, reveals nothing */
} stek_secret_t;

typedef struct stek_secrets_t {
    apr_size_t n; /* >= 1; the first seals, all open */
    int has_fleet_id;
    unsigned char fleet_id[STEK_FLEET_ID_LEN];
    apr_int32_t day; /* of the fleet secret's ratchet, in days since 1970; 0: no ratchet */
    stek_secret_t secrets[STEK_SECRETS_MAX];
} stek_secrets_t;

/* HKDF-SHA256 (RFC 5869) of a secret into out; salt: STEK_SECRET_SALT_LEN bytes; NULL: the
 * empty one.
 * STEK_ECRYPTO, and then out is wiped. */
apr_status_t stek_secret_hkdf(const unsigned char secret[STEK_SECRET_LEN],
                              const unsigned char *salt, const char *info, unsigned char *out,
                              apr_size_t out_len);

/* Fills secret->id from secret->bytes.  STEK_ECRYPTO. */
apr_status_t stek_secret_set_id(stek_secret_t *secret);

/* A set with one new random secret, in locked memory; fleet != 0: with a new fleet id too. Release
 * it with stek_secrets_destroy. */
apr_status_t stek_secrets_make(int fleet, stek_rng_t *rng, stek_secrets_t **psecrets);

/* Parses text[len], which stays unchanged and which the caller wipes. STEK_ESYNTAX, STEK_EEMPTY,
 * STEK_EWEAK (a weak secret), STEK_EFULL; *pline, if not NULL, is the line at fault, counted from
 * 1. */
apr_status_t stek_secrets_parse(const char *text, apr_size_t len, stek_secrets_t **psecrets,
                                int *pline);

/* Writes the file's text into buf[buf_size], NUL-terminated; *plen does not count the NUL.
 * APR_ENOSPC if buf is too small; STEK_SECRET_FILE_MAX is always enough. buf is in locked
 * memory. */
apr_status_t stek_secrets_text(const stek_secrets_t *secrets, char *buf, apr_size_t buf_size,
                               apr_size_t *plen);

/* A copy in locked memory with one new random secret at the front (roll): STEK_EFULL. */
apr_status_t stek_secrets_roll(const stek_secrets_t *secrets, stek_rng_t *rng,
                               stek_secrets_t **psecrets);

/* Nonzero if they have a secret in common. */
int stek_secrets_share(const stek_secrets_t *a, const stek_secrets_t *b);

int stek_secrets_equal(const stek_secrets_t *a, const stek_secrets_t *b);
void stek_secrets_destroy(stek_secrets_t *secrets);

#pragma GCC visibility pop
#endif
