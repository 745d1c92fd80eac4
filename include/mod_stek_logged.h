/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this process has logged about a ring.  It belongs to the parent's files on rings and to the
 * timer; the live keyring only keeps it, so that a reload repeats no message.
 */
#ifndef MOD_STEK_LOGGED_H
#define MOD_STEK_LOGGED_H

#include <apr_errno.h>
#include <apr_time.h>

typedef struct mod_stek_logged_t {
    apr_status_t status;    /* the problem last logged; APR_SUCCESS: none */
    unsigned status_hash;   /* of what was said to be at fault */
    apr_time_t status_at;   /* when */
    apr_time_t unsealed_at; /* a child's timer: when it logged tickets that could not be sealed */
    apr_status_t refused;  /* why the ring in the way is refused; APR_SUCCESS: none is in the way */
    apr_status_t stuck;    /* why it could not be moved aside */
    apr_time_t secret_at;  /* when it last said that the secret's file cannot be read; 0: it can */
    apr_size_t left_out_n; /* keys of the file that were not taken in */
    int disk;              /* the ring is on a disk */
    int swap;              /* it may be swapped out */
    int lost_jail;         /* processes in a chroot see a directory that is gone */
} mod_stek_logged_t;

#endif
