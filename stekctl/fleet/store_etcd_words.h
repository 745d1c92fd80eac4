/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why etcd refuses a call, in words that say what to do.  Pure.
 */
#ifndef STEKCTL_STORE_ETCD_WORDS_H
#define STEKCTL_STORE_ETCD_WORDS_H

#include "store_result.h"

#pragma GCC visibility push(hidden)

/* Of an answer with an HTTP status other than 200, and etcd's message in it (empty: none).  STORE_REFUSED:
 * the cluster does not want it; STORE_SILENT: this member cannot, another may; STORE_LOST: the login has
 * ended. */
store_result_e etcd_words(int status, const char *message, int writing, char why[STORE_WHY_LEN]);

#pragma GCC visibility pop
#endif
