/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parent's work on one ring at one time: what the functions of mod_stek_ring_* and of the
 * monitor hook share.
 */
#ifndef MOD_STEK_TASK_H
#define MOD_STEK_TASK_H

#include "mod_stek_config.h"

typedef struct mod_stek_task_t {
    mod_stek_ring_config_t *ring;
    apr_time_t now;
    const char *culprit; /* path that an error is about, in pool; NULL: the ring's own */
    int shut_out;        /* nonzero: culprit says what keeps children out, not root */
    /* The secret's file cannot be read, although the ring works with what it held; as culprit says. */
    apr_status_t secret_status;
    server_rec *server; /* whose log gets the messages */
    apr_pool_t *pool;
} mod_stek_task_t;

#endif
