/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The audit: refuses keys that are not random.  Each test has a false-positive chance below 2^-40
 * on random bytes.  Patterns from the wild: Hebrok et al., "We Really Need to Talk About Session
 * Tickets", USENIX Security 2023.  Pure functions; any thread, any phase.
 */
#ifndef STEK_AUDIT_H
#define STEK_AUDIT_H

#include "stek_key.h"
#include "stek_ring.h"

#pragma GCC visibility push(hidden)

typedef enum stek_weakness_e {
    STEK_WEAK_NONE = 0,
    STEK_WEAK_CONSTANT,   /* one byte repeated, all-zero among them */
    STEK_WEAK_SEQUENCE,   /* arithmetic sequence mod 256 */
    STEK_WEAK_PERIOD,     /* repeats with a period of at most half its length; equal halves too */
    STEK_WEAK_RUN,        /* 8 or more equal bytes in a row */
    STEK_WEAK_TEXT,       /* all printable ASCII */
    STEK_WEAK_FEW_VALUES, /* 16 or fewer distinct bytes (16-byte keys: 7 or fewer) */
    STEK_WEAK_BIT_COUNT,  /* 71 or fewer, or 185 or more, of 256 bits set */
    STEK_WEAK_KNOWN,      /* seen in the wild, as a whole or in either half */
    STEK_WEAK_SAME_PARTS, /* HMAC key equal to AES key */
    STEK_WEAK_SHARED,     /* the ring has these bytes, or this name, in another key */
    STEK_WEAK_N
} stek_weakness_e;

/* One half of a key: bytes[len], len 16 or 32. */
stek_weakness_e stek_audit_bytes(const unsigned char *bytes, apr_size_t len);

/* Both halves of a key, and the two against each other; for an AES-128 key also both as one text of
 * 32 bytes, because 16 are too few for some tests. */
stek_weakness_e stek_audit_key(const stek_key_t *key);

/* Writes the i-th publicly known half of a key, 16 bytes, for callers that look for it elsewhere.
 * 0: there are no more, and half is unchanged. */
int stek_audit_known(apr_size_t i, unsigned char *half);

/* Audits every key of the ring, and the keys against each other. If one is weak, *pkey (if not
 * NULL) is that key; the ring owns it. */
stek_weakness_e stek_audit_ring(const stek_ring_t *ring, const stek_key_t **pkey);

/* For a ring whose keys have passed one by one, such as a merged one: drops and wipes, in place, every key
 * that shares bytes with a key of a smaller name, so that all hosts drop the same.  Returns how many.  The
 * caller keeps other threads away. */
apr_size_t stek_audit_drop_shared(stek_ring_t *ring);

/* A clause for messages: "is one byte repeated". */
const char *stek_weakness_text(stek_weakness_e weakness);

#pragma GCC visibility pop
#endif
