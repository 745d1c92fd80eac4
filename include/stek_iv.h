/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Initialisation vectors for tickets: unpredictable, and never repeated under one key even if the
 * random generator returns the same bytes again and again.
 *
 *     IV  = AES-256(k, counter)                       a permutation: no repeat under one k
 *     k   = SHA-256(label | random 32 | unique | k before | time)
 *
 * k is secret, so the IV cannot be foreseen (CBC needs that); `unique` (process id, host, start
 * time) keeps apart processes whose generators fail alike.  k is renewed every STEK_IV_REKEY_N
 * vectors and every STEK_IV_REKEY_AFTER.  IVs are made in batches, which costs less than the
 * generator for each. State in locked memory that a forked child finds zeroed: a child makes its
 * own.
 */
#ifndef STEK_IV_H
#define STEK_IV_H

#include "stek_key.h"

#pragma GCC visibility push(hidden)

#define STEK_IV_LEN 16
#define STEK_IV_REKEY_N (1u << 20)
#define STEK_IV_REKEY_AFTER apr_time_from_sec(3600)

typedef struct stek_iv_t stek_iv_t;

/* unique[unique_len]: what distinguishes this process from every other, on any host, at any time.
 * If rng fails, the state is still made. APR_ENOMEM, STEK_ECRYPTO. */
apr_status_t stek_iv_create(const void *unique, apr_size_t unique_len, apr_time_t now,
                            stek_rng_t *rng, stek_iv_t **piv);

/* The next vector.  Any thread.  STEK_ECRYPTO; also in a child that inherited the state by fork. */
apr_status_t stek_iv_next(stek_iv_t *iv, apr_time_t now, unsigned char out[STEK_IV_LEN]);

/* Nonzero in a child that inherited the state by fork, where the system wipes it then. */
int stek_iv_is_wiped(const stek_iv_t *iv);

/* Also for a copy that a child inherited by fork: wipes the copy of k in OpenSSL's context. */
void stek_iv_destroy(stek_iv_t *iv);

#pragma GCC visibility pop
#endif
