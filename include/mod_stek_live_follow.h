/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a live keyring follows the file ring, in the parent and in every child by itself:
 *
 *     live = merge(live, file)
 *
 * so an old copy of the file changes nothing, and a bad one is refused and changes nothing.
 *
 * Only the writing thread of a process (mod_stek_live.h).  Nothing here logs.
 */
#ifndef MOD_STEK_LIVE_FOLLOW_H
#define MOD_STEK_LIVE_FOLLOW_H

#include "mod_stek_live.h"
#include "stek_ring_file.h"

#pragma GCC visibility push(hidden)

/* Checks the file, merges it in if it changed since the last check, if that failed, if the clock has
 * been set back since then (what seemed to have ended may be good), or if reload is set, and drops the keys that have ended at now.  APR_SUCCESS, or why the file was refused; the
 * live keyring is good either way. *pculprit as stek_ring_file_load. */
apr_status_t mod_stek_live_refresh(mod_stek_live_t *live, apr_time_t now, int reload,
                                   const char **pculprit, apr_pool_t *pool);

/* How many keys of the file, when it was last read, were not taken in: they begin too late
 * (stek_admit.h), or there was no room for them. */
apr_size_t mod_stek_live_left_out(const mod_stek_live_t *live);

/* Nonzero if this process could not read a changed file at the last looks, for want of memory or
 * descriptors: whoever may set its limits must not thereby keep revoked keys in use. */
int mod_stek_live_is_blind(const mod_stek_live_t *live);

/* Writes next to the file, then makes it the live keyring; takes ownership of it, even on failure.
 * The caller holds the file's lock and has merged what the file contains.  Codes of
 * stek_ring_file_save and mod_stek_live_swap. */
apr_status_t mod_stek_live_save(mod_stek_live_t *live, stek_ring_t *next, int flags,
                                apr_pool_t *pool);

/* The same without the lock.  What another writer has put there since the caller's last look is merged
 * in: then the live keyring is dirty again, and belongs in the file once more. */
apr_status_t mod_stek_live_save_unlocked(mod_stek_live_t *live, stek_ring_t *next, int flags,
                                         apr_time_t now, apr_pool_t *pool);

/* Nonzero if the file lacks what the live keyring has, or keeps what it ended. */
int mod_stek_live_is_dirty(const mod_stek_live_t *live);

const stek_ring_file_t *mod_stek_live_file(const mod_stek_live_t *live);

/* Parent, last post_config: from here on the file is the one at the configured path, with files of
 * owner and root trusted (gid: stek_ring_file_t.gid)... */
void mod_stek_live_open_path(mod_stek_live_t *live, uid_t owner, gid_t gid);

/* ...or anonymous memory, with a secret that exists in memory only. */
apr_status_t mod_stek_live_open_memory(mod_stek_live_t *live);

/* Parent: changes whose files are trusted besides root's. */
void mod_stek_live_set_owner(mod_stek_live_t *live, uid_t owner);

/* NULL until there are any. */
const stek_secrets_t *mod_stek_live_secrets(const mod_stek_live_t *live);

/* Parent: makes secrets if there are none. */
apr_status_t mod_stek_live_make_secrets(mod_stek_live_t *live);

/* Parent: replaces the secrets; takes ownership of them, even on failure.  If they share none
 * with the previous ones and open the file, it is another ring, and the live keyring is
 * emptied. */
apr_status_t mod_stek_live_take_secrets(mod_stek_live_t *live, stek_secrets_t *secrets,
                                        apr_pool_t *pool);

/* Parent, before children are shut into a chroot: as stek_ring_file_prepare_jail. */
apr_status_t mod_stek_live_prepare_jail(mod_stek_live_t *live, apr_status_t *pwhy,
                                        apr_pool_t *pool);

/* Parent: gives processes in a chroot what they cannot read from the file, if that changed. */
apr_status_t mod_stek_live_publish(mod_stek_live_t *live);

#pragma GCC visibility pop
#endif
