/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The timer thread of a child.  Glue; the only thread of a child that changes live keyrings.
 *
 * It is an own thread because mod_watchdog would wake every child each 100 ms and stops as soon as
 * a child drains.  It waits on the monotonic clock: a wall clock set back by a day must not put off
 * the end of keys by a day.  It logs at debug only: the parent reads the same files and says what
 * is wrong.
 */
#include "mod_stek_timer.h"

#include "ap_mpm.h"
#include "http_log.h"
#include "mpm_common.h"
#include "apr_thread_proc.h"
#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "mod_stek_generator.h"
#include "mod_stek_live.h"
#include "mod_stek_log.h"

APLOG_USE_MODULE(stek_rotate);

#define STOP_WAIT apr_time_from_sec(3)

typedef struct timer_state_t {
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    int stopping, done; /* guarded by mutex */
    apr_thread_t *thread;
    apr_pool_t *pool;    /* this record's; */
    apr_pool_t *scratch; /* of one look at the rings */
    server_rec *server;
    int one_process;
} timer_state_t;

/* Time to sleep: until the next poll or key's end, whichever is first. */
static apr_interval_time_t refresh_all(timer_state_t *timer, apr_pool_t *pool)
{
    apr_time_t now = apr_time_now();
    apr_interval_time_t delay = apr_time_from_sec(3600);
    int i, n;
    mod_stek_ring_t *const *rings = mod_stek_rings(&n);

    for (i = 0; i < n; i++) {
        mod_stek_live_t *live = rings[i]->live;
        const char *culprit;
        apr_time_t end;
        apr_status_t rv;

        if (!live) {
            continue;
        }
        rv = mod_stek_live_refresh(live, now, 0, &culprit, pool);
        if (rv != APR_SUCCESS) {
            ap_log_error(APLOG_MARK, APLOG_DEBUG, 0, timer->server,
                         "STEK4001: ring '%s': keeping the keys at hand: %s", rings[i]->name,
                         mod_stek_status_text(rv, pool));
        }
        end = stek_ring_next_end(live->ring, now, live->lifetime);
        delay = rings[i]->poll < delay ? rings[i]->poll : delay;
        if (end > now && end - now < delay) {
            delay = end - now;
        }
    }
    return delay;
}

/* The monotonic clock, a while from now. */
static struct timespec from_now(apr_interval_time_t delay)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += (time_t)apr_time_sec(delay);
    t.tv_nsec += (long)apr_time_usec(delay) * 1000;
    if (t.tv_nsec >= 1000000000L) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000L;
    }
    return t;
}

/* Nonzero when the thread is to end. */
static int sleep_for(timer_state_t *timer, apr_interval_time_t delay)
{
    struct timespec until = from_now(delay);
    int stopping, rc = 0;

    pthread_mutex_lock(&timer->mutex);
    while (!timer->stopping && rc == 0) {
        rc = pthread_cond_timedwait(&timer->wake, &timer->mutex, &until);
    }
    stopping = timer->stopping;
    pthread_mutex_unlock(&timer->mutex);
    return stopping;
}

static void *APR_THREAD_FUNC timer_run(apr_thread_t *thread, void *data)
{
    timer_state_t *timer = data;
    apr_interval_time_t delay;

    (void)thread;
    /* The MPM's signals are for its own threads. */
    apr_setup_signal_thread();
    do {
        if (timer->one_process) {
            mod_stek_generator_monitor(timer->scratch, timer->server);
        }
        delay = refresh_all(timer, timer->scratch);
        apr_pool_clear(timer->scratch);
    } while (!sleep_for(timer, delay));
    pthread_mutex_lock(&timer->mutex);
    timer->done = 1;
    pthread_cond_signal(&timer->wake);
    pthread_mutex_unlock(&timer->mutex);
    return NULL;
}

/* Waits for the thread, but not for ever: prefork ends a child from within its signal handler, and the
 * thread may want a lock that the interrupted code holds.  What a thread that is left behind uses
 * stays until the process is gone. */
static apr_status_t timer_stop(void *data)
{
    timer_state_t *timer = data;
    struct timespec until = from_now(STOP_WAIT);
    int done, rc = 0;
    apr_status_t rv;

    pthread_mutex_lock(&timer->mutex);
    timer->stopping = 1;
    pthread_cond_signal(&timer->wake);
    while (!timer->done && (rc == 0 || timer->one_process)) {
        rc = timer->one_process ? pthread_cond_wait(&timer->wake, &timer->mutex)
                                : pthread_cond_timedwait(&timer->wake, &timer->mutex, &until);
    }
    done = timer->done;
    pthread_mutex_unlock(&timer->mutex);
    /* One process only ends its "child" to reload: what is retained serves on. */
    if (!timer->one_process) {
        mod_stek_live_wipe();
    }
    if (done) {
        apr_thread_join(&rv, timer->thread);
        apr_pool_destroy(timer->pool);
    }
    return APR_SUCCESS;
}

static int timer_init(timer_state_t *timer)
{
    pthread_condattr_t attr;
    int ok;

    if (pthread_condattr_init(&attr) != 0) {
        return 0;
    }
    ok = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0
         && pthread_cond_init(&timer->wake, &attr) == 0
         && pthread_mutex_init(&timer->mutex, NULL) == 0;
    pthread_condattr_destroy(&attr);
    return ok;
}

/* The thread, with all that it uses, in a pool of its own: pchild's is not for two threads, and may go
 * before the thread does. */
static apr_status_t timer_make(server_rec *s, timer_state_t **ptimer)
{
    apr_allocator_t *allocator;
    timer_state_t *timer;
    apr_pool_t *pool;
    apr_status_t rv = apr_allocator_create(&allocator);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    rv = apr_pool_create_unmanaged_ex(&pool, NULL, allocator);
    if (rv != APR_SUCCESS) {
        apr_allocator_destroy(allocator);
        return rv;
    }
    apr_allocator_owner_set(allocator, pool);
    timer = apr_pcalloc(pool, sizeof(*timer));
    timer->server = s;
    timer->one_process = mod_stek_one_process();
    timer->pool = pool;
    rv = apr_pool_create(&timer->scratch, pool);
    if (rv == APR_SUCCESS) {
        rv = timer_init(timer) ? APR_SUCCESS : APR_EGENERAL;
    }
    if (rv == APR_SUCCESS) {
        rv = apr_thread_create(&timer->thread, NULL, timer_run, timer, pool);
    }
    if (rv != APR_SUCCESS) {
        apr_pool_destroy(pool);
        return rv;
    }
    *ptimer = timer;
    return APR_SUCCESS;
}

void mod_stek_timer_start(apr_pool_t *pchild, server_rec *s)
{
    timer_state_t *timer;
    apr_status_t rv;

    if (!mod_stek_one_process()) {
        mod_stek_live_child_init();
    }
    rv = timer_make(s, &timer);
    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_ERR, rv, s,
                     "STEK4002: cannot start the timer thread: this child keeps to the keys that "
                     "it has, and issues no tickets when they are over");
        return;
    }
    apr_pool_pre_cleanup_register(pchild, timer, timer_stop);
}
