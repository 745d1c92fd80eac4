/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a live keyring is made of, for the sources that work on it: mod_stek_live.c (the keyring
 * that handshakes use), mod_stek_live_follow.c (how it follows the file ring) and
 * mod_stek_live_view.c.  Everybody else uses the functions in their headers.
 */
#ifndef MOD_STEK_LIVE_PRIVATE_H
#define MOD_STEK_LIVE_PRIVATE_H

#include <pthread.h>
#include "mod_stek_counters.h"
#include "mod_stek_logged.h"
#include "stek_ring_file.h"

/* Number of names remembered, to distinguish an expired ticket from an unknown one. */
#define MOD_STEK_ENDED_MAX 64

/* In retained memory: a changed member raises LAYOUT in mod_stek_live.c. */
struct mod_stek_live_t {
    struct mod_stek_live_t *next;
    char *path;            /* of the file ring; NULL: anonymous memory; malloc'd */
    char *identity;        /* path of its secret, or the name of a ring in memory; malloc'd */
    pthread_rwlock_t lock; /* guards `ring`, `ended` and `issue` against the writing thread */
    stek_ring_t *ring;     /* never NULL; replaced whole, or shortened */
    /* Names of keys that ended, the oldest is overwritten first, and how many ever did. */
    unsigned char ended[MOD_STEK_ENDED_MAX][STEK_NAME_LEN];
    unsigned ended_n;
    stek_secrets_t *secrets; /* NULL until there are any */
    stek_ring_file_t file;
    mod_stek_counters_t *counters; /* NULL: no memory, counts nothing */
    mod_stek_tally_t *tally;       /* this process's part of them, or NULL */
    apr_interval_time_t lifetime;  /* the ring's, as configured */
    stek_stamp_t stamp;            /* of the file when it was last checked */
    apr_status_t load_status;      /* how that check ended */
    apr_time_t looked_at;          /* when it was, by the clock of then; forks inherit it */
    apr_time_t late_at;            /* when keys were left out that began too late; 0: none were */
    int blind_n;                   /* checks in a row that failed for want of own means */
    int dirty; /* the file lacks what the live keyring has, or keeps what it ended */
    _Atomic unsigned unsealed_n; /* tickets that this process could not seal, not logged yet */
    /* stek_ring_digest48 of what the file had when it was loaded or written last; 0: not known */
    _Atomic apr_uint64_t number;
    apr_size_t left_out_n; /* keys of the file left out: too late, or no room */
    int issue;             /* the self-test passed: tickets may be issued */
    int unpublished;       /* the copy for processes in a chroot lacks what the live keyring has */
    mod_stek_logged_t logged; /* the parent's */
};

#endif
