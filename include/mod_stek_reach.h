/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What httpd's children can read.  The parent, as root, reads more than they.  Judged by mode bits,
 * so that root need not become another user to try.  Parent only.
 */
#ifndef MOD_STEK_REACH_H
#define MOD_STEK_REACH_H

#include <apr_pools.h>

#pragma GCC visibility push(hidden)

/* pre_config: forgets the groups of the former configuration's children. */
void mod_stek_reach_reset(void);

/* APR_SUCCESS if children can enter all directories above path; and, if readable is set, read it.
 * Who started as root may have directories of his own on the way.  Else APR_EACCES, and *pculprit
 * says what is shut.  What is not there shuts nobody out. */
apr_status_t mod_stek_reach_check(const char *path, int readable, const char **pculprit,
                                  apr_pool_t *pool);

#pragma GCC visibility pop
#endif
