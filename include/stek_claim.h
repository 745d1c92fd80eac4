/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether what stands at a path is ours: only then may it be replaced, moved or removed.  Ours is a
 * regular file of root's or the owner's, with one name, that is empty or holds what such a file
 * holds.  Looked at without following links, and without opening what is no regular file.  No
 * state; any thread, any phase.
 */
#ifndef STEK_CLAIM_H
#define STEK_CLAIM_H

#include <apr_pools.h>
#include <sys/types.h>

#pragma GCC visibility push(hidden)

typedef struct stek_claim_t {
    const char *what;    /* "a ring": for messages */
    apr_size_t head_len; /* this many bytes are enough to tell */
    int whole;           /* nonzero: no such file is longer */
    /* Nonzero if the first len bytes (at most head_len) are those of such a file. */
    int (*match)(const unsigned char *bytes, apr_size_t len, const void *baton);
    const void *baton;
} stek_claim_t;

extern const stek_claim_t stek_claim_ring; /* begins with the magic, and is no floor */
extern const stek_claim_t
    stek_claim_floor; /* begins with the magic, and has the mark (STEK_RING_FLOOR) */
extern const stek_claim_t stek_claim_sealed; /* either: the first floors had no mark */
extern const stek_claim_t stek_claim_secret; /* contains secrets, weak ones too, or only comments */

/* Nonzero if the header of these sealed bytes is marked as a floor's. */
int stek_claim_is_floor(const unsigned char *sealed, apr_size_t len);

/* APR_SUCCESS: ours. APR_ENOENT: nothing is there. STEK_EFOREIGN: *pfound, in pool, says what was
 * found, such as "is a directory". Any other code: it could not be examined. */
apr_status_t stek_claim_check(const stek_claim_t *claim, const char *path, uid_t owner,
                              const char **pfound, apr_pool_t *pool);

/* The same for a file that is about to be replaced: APR_SUCCESS also if nothing is there. */
apr_status_t stek_claim_may_replace(const stek_claim_t *claim, const char *path, uid_t owner,
                                    apr_pool_t *pool);

#pragma GCC visibility pop
#endif
