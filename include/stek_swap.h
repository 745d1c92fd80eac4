/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a file in memory may reach a disk after all: the kernel swaps a tmpfs out as it does any
 * memory, unless it is mounted noswap (Linux 6.4 and later); a ramfs never.  No state; any thread,
 * any phase.
 */
#ifndef STEK_SWAP_H
#define STEK_SWAP_H

#include <apr_pools.h>

#pragma GCC visibility push(hidden)

/* text[len] is /proc/swaps, or the beginning of it: nonzero if something is swapped to. */
int stek_swap_is_on(const char *text, apr_size_t len);

/* line[len] is one of /proc/self/mountinfo: nonzero if it mounts the file system of that device, a
 * tmpfs that may be swapped. */
int stek_swap_mount_swaps(const char *line, apr_size_t len, unsigned int dev_major,
                          unsigned int dev_minor);

/* Nonzero if the file at path (or, if missing, its directory) may be swapped out now.  Zero where
 * that cannot be told. */
int stek_swap_reaches(const char *path, apr_pool_t *pool);

#pragma GCC visibility pop
#endif
