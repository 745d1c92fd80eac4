/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What httpd's children can read.  The parent, as root, reads more than they.  For what the parent
 * only warns about it judges by mode bits; files that decide about clients it opens with the
 * children's rights.  Parent only.
 */
#ifndef MOD_STEK_REACH_H
#define MOD_STEK_REACH_H

#include <apr_pools.h>
#include <sys/stat.h>

#pragma GCC visibility push(hidden)

/* pre_config: forgets the groups of the former configuration's children. */
void mod_stek_reach_reset(void);

/* APR_SUCCESS if children can enter all directories above path; and, if readable is set, read it.
 * Who started as root may have directories of his own on the way.  Else APR_EACCES, and *pculprit
 * says what is shut.  What is not there shuts nobody out. */
apr_status_t mod_stek_reach_check(const char *path, int readable, const char **pculprit,
                                  apr_pool_t *pool);

/* Looks at path as children would; APR_FROM_OS_ERROR's code if they cannot.  Outputs on success. */
apr_status_t mod_stek_reach_stat(const char *path, struct stat *st);

/* Opens a regular file for reading as children would, and waits for nobody: a FIFO or device counts
 * as missing (ENOENT).  The caller closes *pfd. */
apr_status_t mod_stek_reach_open(const char *path, int *pfd);

#pragma GCC visibility pop
#endif
