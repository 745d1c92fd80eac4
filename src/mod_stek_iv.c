/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process's initialisation vectors (mod_stek_iv.h).  Glue.
 *
 * The parent makes some in post_config: its self-test seals, and in one-process mode it serves.
 * Every child makes its own, and so does a process that a child forks for one connection.
 */
#include "mod_stek_iv.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "http_log.h"
#include "mod_stek_words.h"
#include "mod_stek_phase.h"

APLOG_USE_MODULE(stek_rotate);

static stek_iv_t *ivs;
static _Atomic pid_t ivs_pid; /* whose they are */

static apr_status_t teardown(void *data)
{
    (void)data;
    atomic_store(&ivs_pid, 0);
    stek_iv_destroy(ivs);
    ivs = NULL;
    return APR_SUCCESS;
}

/* What goes in tells this process from every other, on any host. */
static apr_status_t make(stek_iv_t **pivs)
{
    struct {
        pid_t pid;
        apr_time_t now;
        struct timespec since_boot;
        char host[128];
    } unique;

    memset(&unique, 0, sizeof(unique));
    unique.pid = getpid();
    unique.now = apr_time_now();
    clock_gettime(CLOCK_MONOTONIC, &unique.since_boot);
    if (gethostname(unique.host, sizeof(unique.host) - 1) != 0) {
        unique.host[0] = '\0';
    }
    return stek_iv_create(&unique, sizeof(unique), unique.now, stek_rng_system, pivs);
}

/* Makes this process's vectors, in place of those that it has inherited. */
static apr_status_t renew(void)
{
    apr_status_t rv;

    teardown(NULL);
    rv = make(&ivs);
    if (rv == APR_SUCCESS) {
        atomic_store(&ivs_pid, getpid());
    }
    return rv;
}

apr_status_t mod_stek_iv_setup(apr_pool_t *pconf)
{
    apr_pool_cleanup_register(pconf, NULL, teardown, apr_pool_cleanup_null);
    return renew();
}

void mod_stek_iv_child_init(apr_pool_t *pchild, server_rec *s)
{
    (void)pchild;
    if (!mod_stek_one_process() && renew() != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, s,
                     "STEK4003: cannot make initialisation vectors, so this child issues no "
                     "tickets; check memory limits and OpenSSL's configuration, then reload");
    }
}

/* The process number alone is not enough: that of a process that has ended is reused. */
static int are_own(void)
{
    return atomic_load(&ivs_pid) == getpid() && !stek_iv_is_wiped(ivs);
}

/* A process that the MPM has not forked (mpm-itk: one for each connection) ran no child_init,
 * and has zeros, or another process's vectors.  It begins with one thread. */
static int are_ready(void)
{
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    int ready = are_own();

    if (!ready) {
        pthread_mutex_lock(&mutex);
        ready = are_own() || renew() == APR_SUCCESS;
        pthread_mutex_unlock(&mutex);
    }
    return ready;
}

int mod_stek_iv_next(apr_time_t now, unsigned char iv[STEK_IV_LEN])
{
    return are_ready() && stek_iv_next(ivs, now, iv) == APR_SUCCESS;
}
