/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory for secrets: anonymous private mappings of whole pages that are kept out of swap (mlock)
 * and core dumps (MADV_DONTDUMP), and wiped on release.  Children of a fork inherit the content,
 * not the lock: a child calls stek_mem_lock again.  No state of its own; any thread, any phase.
 *
 * Copies pass through the processor's vector registers, and stay there until other code happens to
 * use them: new threads and processes inherit them, and the dynamic linker saves them on the stack
 * when it binds a symbol.  Hence the last function here.
 */
#ifndef STEK_MEM_H
#define STEK_MEM_H

#include <apr.h>
#include <apr_errno.h>

#pragma GCC visibility push(hidden)

/* A zeroed block of at least len bytes (len > 0), or NULL with errno set.  A failing mlock is no
 * failure: limits are compared once, by whoever can tell the administrator
 * (stek_mem_lock_limit). */
void *stek_mem_alloc(apr_size_t len);

/* Wipes and releases a block from stek_mem_alloc, and wipes the registers. Ignores NULL and, in a
 * child, a block that was wiped on fork (its size is wiped too: stek_mem_size gives 0,
 * stek_mem_lock APR_EINVAL). */
void stek_mem_free(void *block);

/* Locks the block in this process, after a fork.  APR_SUCCESS or the system's error. */
apr_status_t stek_mem_lock(void *block);

/* What a child that is forked from now on finds in the block: zeros if on != 0, else its content.
 * APR_ENOTIMPL where the system cannot do that. */
apr_status_t stek_mem_wipe_on_fork(void *block, int on);

/* Bytes that the block occupies, including its own header, rounded up to whole pages. */
apr_size_t stek_mem_size(const void *block);

/* The mapping that contains the block; its size is stek_mem_size. */
void *stek_mem_mapping(void *block);

/* How many bytes this process may lock (RLIMIT_MEMLOCK); APR_SIZE_MAX if there is no limit. */
apr_size_t stek_mem_lock_limit(void);

/* Wipes what copies and comparisons left in this thread's vector registers. Call it when you are
 * done with a secret that was not in a block. */
void stek_mem_wipe_registers(void);

#pragma GCC visibility pop
#endif
