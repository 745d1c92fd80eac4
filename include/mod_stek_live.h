/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The live keyring of a ring: the keys that handshakes in this process use, and how they follow the
 * file ring.  The parent keeps each in retained memory, over reloads; children inherit the parent's
 * at their fork and from then on follow the file by themselves.
 *
 *     live = merge(live, file)
 *
 * so an old copy of the file changes nothing, and a bad one is refused and changes nothing.
 *
 * Threads: handshakes read (lookup, current), one thread a process writes (the parent's only
 * thread, or a child's timer).  Nothing here logs.
 */
#ifndef MOD_STEK_LIVE_H
#define MOD_STEK_LIVE_H

#include <pthread.h>
#include "mod_stek_config.h"
#include "mod_stek_counters.h"
#include "stek_health.h"
#include "stek_ring_file.h"

#pragma GCC visibility push(hidden)

/* So many names are remembered, to tell a late ticket from a strange one. */
#define MOD_STEK_ENDED_MAX 64

typedef struct mod_stek_live_t {
    struct mod_stek_live_t *next;
    char *path;            /* of the file ring; NULL: anonymous memory; malloc'd */
    char *identity;        /* path of its secret, or a ring in memory's name; malloc'd */
    pthread_rwlock_t lock; /* guards `ring` against the writer's swap */
    stek_ring_t *ring;     /* never NULL; replaced whole */
    /* Names of keys that ended, the oldest goes first, and how many ever did; guarded by lock. */
    unsigned char ended[MOD_STEK_ENDED_MAX][STEK_NAME_LEN];
    unsigned ended_n;
    stek_secrets_t *secrets; /* NULL until there are any */
    stek_ring_file_t file;
    mod_stek_counters_t *counters; /* NULL: no memory, counts nothing */
    mod_stek_slot_t *slot;         /* this process's part of them, or NULL */
    apr_interval_time_t lifetime;  /* the ring's, as configured */
    stek_stamp_t stamp;            /* of the file when it was last looked at */
    apr_status_t load_status;      /* how that look ended */
    int dirty; /* the file lacks what the live keyring has, or keeps what it ended */
    int issue; /* the self-test passed: tickets may be issued */
    apr_status_t logged_status; /* the generator's: trouble last logged, */
    apr_time_t logged_at;       /* and when */
    apr_uint64_t
        unsealed_n;         /* the generator's: tickets that could not be sealed, as last logged, */
    apr_time_t unsealed_at; /* and when */
    int unpublished;        /* the copy for processes in a chroot lacks what the live keyring has */
    int told_jail;          /* the generator's: said that they look at a directory that is gone */
    int warned_disk;        /* the generator's: said that the ring is on a disk */
    int warned_swap;            /* the generator's: said that it may be swapped out */
} mod_stek_live_t;

/* Parent, last post_config: the live keyring of that file and secret, whatever the ring's name, or
 * of that name if it is in memory: from before the reload, or new and empty. */
apr_status_t mod_stek_live_get(const mod_stek_ring_t *ring, mod_stek_live_t **plive);

/* Parent, last post_config: ends the live keyrings that no configured ring refers to any more, and
 * what another build of this module has left. */
void mod_stek_live_sweep(void);

/* Parent, end of a configuration: notes what is to be ended if another build takes over. */
void mod_stek_live_hand_over(void);

/* Parent: what processes forked from now on inherit: the keys (inherit != 0: the MPM's
 * children), or zeros (whatever other modules fork while they configure). */
void mod_stek_live_inherit(int inherit);

/* Parent: gives processes in a chroot what they cannot read from the file, if that changed. */
apr_status_t mod_stek_live_publish(mod_stek_live_t *live);

/* Child, child_init: locks the inherited memory, gives up what only the parent needs.  in_jail: this
 * process is in a chroot. */
void mod_stek_live_child_init(int in_jail);

/* In a process that a child has forked: locks the inherited memory. */
void mod_stek_live_lock(void);

/* Wipes the keys and secrets of this process, at the end of a child.  Never waits: a handshake
 * that was interrupted by the exit may hold the lock. */
void mod_stek_live_wipe(void);

/* Looks at the file, merges it in if it changed since the last look, if that look failed, or if
 * reload is set, and drops what has ended at now.  APR_SUCCESS, or why the file was not taken;
 * the live keyring is good either way. *pculprit as stek_ring_file_load.  Only the writing
 * thread. */
apr_status_t mod_stek_live_refresh(mod_stek_live_t *live, apr_time_t now, int reload,
                                   const char **pculprit, apr_pool_t *pool);

/* Makes ring the live keyring; takes it over, also on failure: APR_TIMEUP if handshakes do not
 * let go of the former (one that was interrupted by the process's exit never will).  Only the
 * writing thread. */
apr_status_t mod_stek_live_swap(mod_stek_live_t *live, stek_ring_t *ring);

/* Parent, before it takes secrets that share none with the former: where the file opens under them
 * it is another ring, and the live keyring is emptied. */
apr_status_t mod_stek_live_compare_secrets(mod_stek_live_t *live, const stek_secrets_t *secrets,
                                           apr_pool_t *pool);

/* Takes secrets over, ends the former. */
void mod_stek_live_set_secrets(mod_stek_live_t *live, stek_secrets_t *secrets);

/* Copies the key that encrypts at now; 0 if there is none, or issuing is off.  The caller wipes
 * *key. */
int mod_stek_live_current(mod_stek_live_t *live, apr_time_t now, stek_key_t *key);

/* Nonzero if there is a key that encrypts at now. */
int mod_stek_live_can_issue(mod_stek_live_t *live, apr_time_t now);

/* The state of the key of that name, and a copy of it unless the state is STEK_STATE_UNKNOWN or
 * _ENDED: then *key and *prenewable are not set.  A key that has left the ring is remembered for a
 * while as ended.  *prenewable: a key encrypts at now.  The caller wipes *key. */
stek_state_e mod_stek_live_lookup(mod_stek_live_t *live, const unsigned char name[STEK_NAME_LEN],
                                  apr_time_t now, stek_key_t *key, int *prenewable);

/* One key as it may be shown. */
typedef struct mod_stek_view_key_t {
    char hex[STEK_HEX_LEN];
    stek_state_e state;
    apr_time_t not_before;
    apr_time_t encrypt_until;
    apr_time_t decrypt_until; /* with the configured lifetime */
} mod_stek_view_key_t;

/* A live keyring as it may be shown. */
typedef struct mod_stek_view_t {
    stek_health_t health;           /* next is NULL: see next_hex */
    char next_hex[STEK_HEX_LEN];    /* of the key that encrypts next; "": none */
    char current_hex[STEK_HEX_LEN]; /* of the key that encrypts now; "": none */
    apr_uint64_t epoch, generation;
    apr_time_t written_at;
    apr_size_t tombstone_n;
    apr_size_t key_n;
    mod_stek_view_key_t *keys; /* greatest not_before first; in pool */
} mod_stek_view_t;

/* Takes a view of the live keyring; arguments as stek_health_judge.  Any thread. */
void mod_stek_live_view(mod_stek_live_t *live, apr_interval_time_t interval, stek_source_t *source,
                        apr_time_t now, apr_pool_t *pool, mod_stek_view_t *view);

/* The index under which an SSL_CTX carries our record of its vhost; retained, since OpenSSL
 * cannot give one back.  -1 if OpenSSL has none. */
int mod_stek_ssl_ctx_index(void);

/* The same for the record that an SSL carries of its connection (mod_stek_handshake.h). */
int mod_stek_ssl_index(void);

#pragma GCC visibility pop
#endif
