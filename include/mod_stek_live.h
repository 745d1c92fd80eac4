/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The live keyring of a ring: the keys that handshakes in this process use.  How it follows the
 * file ring is in mod_stek_live_follow.h.  The parent keeps live keyrings in retained memory, over
 * reloads; children inherit the parent's when they are forked and from then on follow the file by
 * themselves.
 *
 * Threads: handshakes read (lookup, current), one thread of a process writes (the parent's only
 * thread, or a child's timer).  Nothing here logs.
 */
#ifndef MOD_STEK_LIVE_H
#define MOD_STEK_LIVE_H

#include "mod_stek_config.h"
#include "mod_stek_counters.h"
#include "mod_stek_logged.h"
#include "stek_ring.h"

#pragma GCC visibility push(hidden)

typedef struct mod_stek_live_t mod_stek_live_t;

/* Parent, last post_config: the live keyring of that file and secret, whatever the ring's name, or
 * of that name if it is in memory: from before the reload, or new and empty. */
apr_status_t mod_stek_live_get(const mod_stek_ring_config_t *ring, mod_stek_live_t **plive);

/* Parent, last post_config: ends the live keyrings that no configured ring refers to any more, and
 * what another build of this module has left. */
void mod_stek_live_sweep(void);

/* Parent, end of a configuration: lists what must be ended if another build takes over. */
void mod_stek_live_hand_over(void);

/* Parent: what processes forked from now on inherit: the keys (inherit != 0: the MPM's
 * children), or zeros and nothing that writes a ring (processes that other modules fork while they
 * configure). */
void mod_stek_live_inherit(int inherit);

/* Child, child_init: locks the inherited memory, gives up what only the parent needs.  in_jail:
 * this process is in a chroot. */
void mod_stek_live_child_init(int in_jail);

/* In a process that a child has forked: locks the inherited memory. */
void mod_stek_live_lock(void);

/* Wipes the keys and secrets of this process, at the end of a child.  Never waits: a handshake
 * that was interrupted by the exit may hold the lock. */
void mod_stek_live_wipe(void);

/* Handshakes, any thread: */

/* Copies the current key; 0 if there is none, or issuing is off.  The caller wipes *key. */
int mod_stek_live_current(mod_stek_live_t *live, apr_time_t now, stek_key_t *key);

/* Nonzero if there is a current key and issuing is on. */
int mod_stek_live_can_issue(mod_stek_live_t *live, apr_time_t now);

/* The state of the key of that name, and a copy of it unless the state is STEK_STATE_UNKNOWN or
 * _ENDED: then *key and *prenewable are not set.  A key that has left the ring is remembered for a
 * while as ended.  *prenewable: there is a current key.  The caller wipes *key. */
stek_state_e mod_stek_live_lookup(mod_stek_live_t *live, const unsigned char name[STEK_NAME_LEN],
                                  apr_time_t now, stek_key_t *key, int *prenewable);

/* The counters, and this process's part of them; NULL if there was no memory. */
mod_stek_counters_t *mod_stek_live_counters(const mod_stek_live_t *live);
mod_stek_tally_t *mod_stek_live_tally(const mod_stek_live_t *live);

/* A ticket could not be sealed.  Counted in this process's own memory, so that the writing thread's
 * message is about what happened here, whatever others write to the counters. */
void mod_stek_live_count_unsealed(mod_stek_live_t *live);

/* Only the writing thread: */

/* How often that happened since the last call. */
unsigned mod_stek_live_take_unsealed(mod_stek_live_t *live);

/* The ring itself, good until the writing thread changes it. */
const stek_ring_t *mod_stek_live_ring(const mod_stek_live_t *live);

/* When the next key ends after now; 0: none will. */
apr_time_t mod_stek_live_next_end(const mod_stek_live_t *live, apr_time_t now);

/* Makes ring the live keyring; takes ownership of it, even on failure: APR_TIMEUP if handshakes do
 * not release the previous one (one that was interrupted by the process's exit never will). */
apr_status_t mod_stek_live_swap(mod_stek_live_t *live, stek_ring_t *ring);

/* Drops and wipes the keys that have ended at now.  Needs no memory: nobody who takes it from a
 * child keeps a key alive.  APR_TIMEUP as above. */
apr_status_t mod_stek_live_drop_ended(mod_stek_live_t *live, apr_time_t now);

/* Child: drops and wipes every key; the next ring that it can read brings them back.  As above. */
apr_status_t mod_stek_live_drop_keys(mod_stek_live_t *live);

/* Parent: turns issuing on, runs the test, again if it fails, and turns issuing off if it fails
 * twice: what fails for a moment must not cost tickets until the next reload.  If there is no
 * current key, the test gets one made for it.  test: nonzero if it passes.  Nonzero if issuing is
 * on. */
int mod_stek_live_selftest(mod_stek_live_t *live, apr_time_t now, int (*test)(void *data),
                           void *data);

/* Parent: what it has logged; kept over reloads. */
mod_stek_logged_t *mod_stek_live_logged(mod_stek_live_t *live);

#pragma GCC visibility pop
#endif
