/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a file in memory may reach a disk after all: the kernel swaps a tmpfs out as it does any
 * memory, unless it is mounted noswap (Linux 6.4 and later); a ramfs never.  No state; any thread,
 * any phase.
 */
#ifndef STEK_SWAPPABLE_H
#define STEK_SWAPPABLE_H

#include <apr_pools.h>

#pragma GCC visibility push(hidden)

/* text[len] is /proc/swaps, or its beginning: nonzero if the system has swap space. */
int stek_swappable_is_on(const char *text, apr_size_t len);

/* line[len] is a line of /proc/self/mountinfo: nonzero if it mounts the file system of that device,
 * and that is a tmpfs that can be swapped out. */
int stek_swappable_mount(const char *line, apr_size_t len, unsigned int dev_major,
                         unsigned int dev_minor);

/* Nonzero if the file at path (or, if it does not exist, its directory) can be swapped out. Zero if
 * that cannot be determined. */
int stek_swappable_file(const char *path, apr_pool_t *pool);

#pragma GCC visibility pop
#endif
