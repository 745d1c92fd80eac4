/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sealed form of a ring, version 1.  All numbers big-endian, all times whole seconds since
 * 1970, up to the end of the year 9999.
 *
 *     offset  len  header, in clear, authenticated
 *          0    8  magic "STEKRING"
 *          8    2  version = 1
 *         10    2  flags = 0
 *         12    4  interval, s (1 .. 604800)
 *         16    4  lifetime, s (1 .. 604800)
 *         20    8  epoch
 *         28    8  generation; STEK_RING_FLOOR: a floor, without keys
 *         36    8  written at, s
 *         44    8  secret id
 *         52   32  salt
 *         84    4  body length: all that follows, the tag included
 *         88    .  body: AES-256-GCM of the plaintext, and its 16-byte tag; header = AAD
 *
 *     plaintext: key_n u16 | tombstone_n u16 | keys by name | tombstones by name
 *     key, 124 bytes:      name 16 | hmac 32 | aes 32 | flags u32 | epoch u64 | created u64 |
 *                          not_before u64 | encrypt_until u64 | decrypt_until u64
 *     tombstone, 24 bytes: name 16 | until u64
 *
 *     id    = HKDF-SHA256(secret, salt "",   info "stek ring v1 id",   8)      (RFC 5869)
 *     Ksalt = HKDF-SHA256(secret, salt "",   info "stek ring v1 salt", 32)
 *     salt  = HMAC-SHA256(Ksalt, 32 random bytes | header with salt 0 | plaintext)
 *     key | nonce = HKDF-SHA256(secret, salt, info "stek ring v1 seal", 32 + 12)
 *
 * The salt depends on everything that is sealed, so a random generator that repeats itself reveals
 * at most that two rings are equal.  Test vector: test/unit/vector_ring_v1.h.  No state.
 */
#ifndef STEK_SEAL_H
#define STEK_SEAL_H

#include <apr_pools.h>
#include "stek_ring.h"
#include "stek_secret.h"

#pragma GCC visibility push(hidden)

#define STEK_RING_MAGIC "STEKRING"
#define STEK_RING_MAGIC_LEN 8
#define STEK_RING_VERSION 1
#define STEK_RING_HEADER_LEN 88
#define STEK_RING_GENERATION_AT 28
#define STEK_RING_SALT_AT                                                                          \
    52 /* in the header: STEK_SECRET_SALT_LEN bytes, of each sealing its own */
#define STEK_RING_SALT_RANDOM_LEN 32
#define STEK_SEAL_TIME_MAX_S APR_INT64_C(253402300799) /* so that adding spans cannot overflow */

/* The header in clear: what can be said of a ring without its secret. */
typedef struct stek_header_t {
    apr_uint16_t version;
    apr_interval_time_t interval;
    apr_interval_time_t lifetime;
    apr_uint64_t epoch;
    apr_uint64_t generation;
    apr_time_t written_at;
    unsigned char secret_id[STEK_SECRET_ID_LEN];
} stek_header_t;

/* Seals ring under secret: *psealed (ciphertext, malloc'd, the caller frees) of *plen bytes.
 * random: fresh random bytes.  STEK_ETOOBIG beyond STEK_RING_BYTES_MAX, STEK_EMALFORMED
 * if it could not be opened again (interval or lifetime not set, times out of range),
 * STEK_ECRYPTO, APR_ENOMEM. */
apr_status_t stek_ring_seal(const stek_ring_t *ring, const stek_secret_t *secret,
                            const unsigned char random[STEK_RING_SALT_RANDOM_LEN],
                            unsigned char **psealed, apr_size_t *plen);

/* Opens sealed[len] with whichever secret has its id, checks the format and audits every key, so
 * that what it gives is what was audited.  STEK_EMAGIC, STEK_EVERSION, STEK_ELENGTH,
 * STEK_ESECRET, STEK_ESEAL, STEK_EMALFORMED (unsorted or double names, bad windows), STEK_EWEAK,
 * STEK_ETOOBIG. audit == 0 leaves the audit to the caller (stekctl audit: shows which key is
 * weak).  *psecret_i (may be NULL): which of the secrets sealed it. */
apr_status_t stek_ring_unseal(const unsigned char *sealed, apr_size_t len,
                              const stek_secrets_t *secrets, int audit, stek_ring_t **pring,
                              apr_size_t *psecret_i);

/* Reads the header only, without any secret: STEK_EMAGIC, STEK_EVERSION, STEK_ELENGTH.  Nothing has
 * been authenticated: a time beyond the format's is shown as its last. */
apr_status_t stek_header_read(const unsigned char *sealed, apr_size_t len, stek_header_t *header);

#pragma GCC visibility pop
#endif
