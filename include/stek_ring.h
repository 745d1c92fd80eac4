/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ring: a set of keys and tombstones with an epoch and a generation.  Every change to a ring that
 * others can see is a merge into a new ring, so that writers need no leader: merge is commutative,
 * associative and idempotent.  A ring lives in locked memory and owns its keys.  Not locked against
 * threads: a ring that several threads see is not changed (whoever shares it swaps it).
 */
#ifndef STEK_RING_H
#define STEK_RING_H

#include "stek_key.h"

#pragma GCC visibility push(hidden)

#define STEK_KEYS_MAX 4096

/* What a sealed ring may take, and what its parts take of it (stek_seal.h), in bytes. */
#define STEK_RING_BYTES_MAX (512 * 1024)
#define STEK_SEALED_KEY_LEN 124
#define STEK_SEALED_TOMBSTONE_LEN 24
#define STEK_SEALED_REST_LEN 108
/* Memory that a ring takes for each key. */
#define STEK_RING_KEY_LEN (sizeof(stek_key_t) + sizeof(apr_uint64_t) + sizeof(apr_uint16_t))

/* What a count of generations can come to. */
#define STEK_GENERATION_MAX (APR_UINT64_C(1) << 53)

/* Stands in a sealed header in place of the generation: a fleet's floor, which is no ring. */
#define STEK_RING_FLOOR APR_UINT64_C(0x53544b464c4f4f52)

/* Stands for a revoked key until the key would have ended by itself, and for so much longer that a
 * clock that was fast for a while does not bring the key back. */
typedef struct stek_tombstone_t {
    unsigned char name[STEK_NAME_LEN];
    apr_time_t until; /* the key's decrypt_until */
} stek_tombstone_t;

#define STEK_TOMBSTONE_MARGIN apr_time_from_sec(24 * 60 * 60)

typedef struct stek_ring_t {
    apr_uint64_t epoch;           /* keys of a lower epoch are dead */
    apr_uint64_t generation;      /* counts writes; for display and for the writer's parameters */
    apr_time_t written_at;        /* 0: never written */
    apr_interval_time_t interval; /* of the last writer */
    apr_interval_time_t lifetime; /* of the last writer */
    apr_size_t key_n, key_max;
    apr_size_t tombstone_n, tombstone_max;
    apr_size_t left_out_n;        /* keys that the merge which made it left out for want of room */
    stek_key_t *keys;             /* sorted by name */
    stek_tombstone_t *tombstones; /* sorted by name */
    apr_uint64_t *heads;          /* of the keys' names: their first eight bytes, big-endian */
    apr_uint16_t *by_start;       /* indices into keys: greatest not_before first, then name */
} stek_ring_t;

/* An empty ring with room for so many; APR_ENOMEM, or STEK_EFULL if key_max > STEK_KEYS_MAX or
 * tombstone_max > 0xffff. */
apr_status_t stek_ring_create(apr_size_t key_max, apr_size_t tombstone_max, stek_ring_t **pring);

/* Wipes and frees; NULL is ignored. */
void stek_ring_destroy(stek_ring_t *ring);

/* Adds a copy of a key (or tombstone), while the ring is still private.  Not audited: what comes
 * from outside goes through stek_ring_unseal.  STEK_EFULL without room, APR_EEXIST if the name is
 * there, STEK_EMALFORMED if stek_key_check refuses it. */
apr_status_t stek_ring_add_key(stek_ring_t *ring, const stek_key_t *key);
apr_status_t stek_ring_add_tombstone(stek_ring_t *ring, const stek_tombstone_t *tombstone);

/* Nonzero while until + STEK_TOMBSTONE_MARGIN > now. */
int stek_tombstone_holds(const stek_tombstone_t *tombstone, apr_time_t now);

/* Drops and wipes, in place and without memory, the keys with not_before > latest; returns how many.
 * The caller keeps other threads away. */
apr_size_t stek_ring_drop_later(stek_ring_t *ring, apr_time_t latest);

/* Drops and wipes, in place and without memory, the keys and tombstones that have ended at now: what
 * stek_ring_merge of the ring alone would leave out.  The caller keeps other threads away. */
void stek_ring_drop_ended(stek_ring_t *ring, apr_time_t now, apr_interval_time_t lifetime);

/* The same with every key; epoch and tombstones stay. */
void stek_ring_drop_keys(stek_ring_t *ring);

/* The generation of what is written after one of that generation: the next number, never
 * STEK_RING_FLOOR, and the last one again and again. */
apr_uint64_t stek_ring_next_generation(apr_uint64_t generation);

/* The same for what is written after that ring, with that epoch.  A greater one begins the count anew if the
 * generation is one that no count can have come to: a thief's, which would otherwise stay for ever. */
apr_uint64_t stek_ring_generation_after(const stek_ring_t *before, apr_uint64_t epoch);

/* Nonzero if both hold the same keys, tombstones and epoch. */
int stek_ring_equal(const stek_ring_t *a, const stek_ring_t *b);

/* The key of that name, or NULL; O(log n).  The ring's. */
const stek_key_t *stek_ring_find(const stek_ring_t *ring, const unsigned char name[STEK_NAME_LEN]);

/* The tombstone of that name, or NULL; O(log n).  The ring's. */
const stek_tombstone_t *stek_ring_find_tombstone(const stek_ring_t *ring,
                                                 const unsigned char name[STEK_NAME_LEN]);

/* The key that encrypts at now: of those whose slot contains now the one with the greatest
 * not_before, then the smallest name; NULL if there is none.  A pure function of ring and time:
 * O(log n + keys whose slots overlap).  The ring's. */
const stek_key_t *stek_ring_current(const stek_ring_t *ring, apr_time_t now);

/* What a key is at a time.  Exactly one holds, whoever asks: handshakes, the status, stekctl. */
typedef enum stek_state_e {
    STEK_STATE_UNKNOWN, /* the ring has no such key */
    STEK_STATE_ENDED,   /* its window is over: decrypts no more */
    STEK_STATE_CURRENT, /* encrypts now: stek_ring_current */
    STEK_STATE_OLD,     /* its slot is over, or another key has replaced it in its slot */
    STEK_STATE_FUTURE   /* its slot has not begun; decrypts already, since a host with a fast clock
                           may be using it */
} stek_state_e;

/* The state at now of a key of the ring, by the host's lifetime (0: as stored).  key NULL:
 * STEK_STATE_UNKNOWN. */
stek_state_e stek_ring_key_state(const stek_ring_t *ring, const stek_key_t *key, apr_time_t now,
                                 apr_interval_time_t lifetime);

/* "current", "future", "old", "ended" or "unknown"; constant. */
const char *stek_state_text(stek_state_e state);

/* The earliest stek_key_end(key, lifetime) after now; 0 if no key is left. */
apr_time_t stek_ring_next_end(const stek_ring_t *ring, apr_time_t now,
                              apr_interval_time_t lifetime);

#pragma GCC visibility pop
#endif
