/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The timer thread of a child.  Glue; the only thread of a child that changes live keyrings.
 *
 * A separate thread, because mod_watchdog would wake every child every 100 ms and stops as soon as
 * a child drains.  It sleeps in poll, for a span and not until a time, because a wall clock set
 * back by a day must not put off the end of keys by a day; to stop it, write to a pipe, which a
 * signal handler may.  About rings it logs at debug only: the parent reads the same files and logs
 * what is wrong.  What is wrong with this process alone it logs itself.
 */
#include "mod_stek_timer.h"

#include "ap_mpm.h"
#include "http_log.h"
#include "mpm_common.h"
#include "unixd.h"
#include "apr_thread_proc.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "mod_stek_counters.h"
#include "mod_stek_live_follow.h"
#include "mod_stek_words.h"
#include "mod_stek_monitor.h"
#include "mod_stek_phase.h"

APLOG_USE_MODULE(stek_rotate);

#define STOP_WAIT apr_time_from_sec(3)
#define EXIT_WITHIN 10 /* seconds: what httpd gives a child before it sends SIGKILL */
#define POLL_FAILED_WAIT apr_time_from_sec(1)
#define REMIND_AFTER apr_time_from_sec(60)

typedef struct timer_state_t {
    int stop[2]; /* pipe: a byte in it ends the thread */
    int done[2]; /* pipe: a byte in it says that the thread has ended */
    apr_thread_t *thread;
    apr_pool_t *pool;    /* this record's */
    apr_pool_t *scratch; /* of one look at the rings */
    server_rec *server;
    pid_t pid; /* whose thread it is: a fork copies this record, not the thread */
    int one_process;
} timer_state_t;

static pid_t own_pid;            /* of the process that has begun a timer last; a fork copies it */
static timer_state_t *own_timer; /* of this process; a fork copies it, and closes its pipes */
static int is_follower; /* this process serves one connection, which a child has forked it for */

/* Held while the thread works: a process forked in the middle would inherit locks that nobody
 * releases, the keyring's and OpenSSL's. */
static pthread_mutex_t working = PTHREAD_MUTEX_INITIALIZER;
static sigset_t mask_before_fork; /* of the thread that forks; guarded by working */

/* What a handshake may not log. */
static void log_unsealed(server_rec *s, const mod_stek_ring_config_t *ring, apr_time_t now,
                         int last)
{
    mod_stek_logged_t *logged = mod_stek_live_logged(ring->live);
    unsigned n;

    if (!last && now >= logged->unsealed_at && now - logged->unsealed_at < REMIND_AFTER) {
        return;
    }
    n = mod_stek_live_take_unsealed(ring->live);
    if (n != 0) {
        logged->unsealed_at = now;
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, s,
                     "STEK2033: ring '%s': this child has a key but failed to seal %u more "
                     "tickets, so clients got none; check memory limits, and OpenSSL's "
                     "configuration and providers",
                     ring->name, n);
    }
}

static void log_last_unsealed(server_rec *s)
{
    apr_time_t now = apr_time_now();
    int i, n;
    mod_stek_ring_config_t *const *rings = mod_stek_rings(&n);

    for (i = 0; i < n; i++) {
        if (rings[i]->live) {
            log_unsealed(s, rings[i], now, 1);
        }
    }
}

/* A child that cannot read what changed may hold revoked keys. */
static void stop_using_keys(const timer_state_t *timer, const mod_stek_ring_config_t *ring,
                            apr_status_t rv, apr_pool_t *pool)
{
    mod_stek_live_t *live = ring->live;

    if (timer->one_process || !mod_stek_live_is_blind(live) || mod_stek_live_ring(live)->key_n == 0
        || mod_stek_live_drop_keys(live) != APR_SUCCESS) {
        return;
    }
    ap_log_error(
        APLOG_MARK, APLOG_ERR, 0, timer->server,
        "STEK4004: ring '%s' has changed, but this child cannot read it: %s; until it can, it uses "
        "no keys and issues no tickets; check the child's limits on memory and open files",
        ring->name, mod_stek_error_text(rv, pool));
}

/* Time to sleep: until the next poll or key's end, whichever is first. */
static apr_interval_time_t refresh_all(timer_state_t *timer, apr_pool_t *pool)
{
    apr_time_t now = apr_time_now();
    apr_interval_time_t delay = apr_time_from_sec(3600);
    int i, n;
    mod_stek_ring_config_t *const *rings = mod_stek_rings(&n);

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
                         "STEK4001: ring '%s': %s; this child keeps the existing keys",
                         rings[i]->name, mod_stek_error_text(rv, pool));
            stop_using_keys(timer, rings[i], rv, pool);
        }
        log_unsealed(timer->server, rings[i], now, 0);
        mod_stek_counters_remember(mod_stek_live_counters(live), now);
        end = mod_stek_live_next_end(live, now);
        delay = rings[i]->poll < delay ? rings[i]->poll : delay;
        if (end > now && end - now < delay) {
            delay = end - now;
        }
    }
    return delay;
}

/* Waits for a byte in the pipe, at most so long (-1: for ever); nonzero if it came. */
static int wait_byte(const int pipe_fds[2], apr_interval_time_t wait)
{
    struct pollfd fd = {pipe_fds[0], POLLIN, 0};
    int wait_ms = wait < 0 ? -1 : (int)((wait + 999) / 1000);
    int rc;

    do {
        rc = poll(&fd, 1, wait_ms);
    } while (rc < 0 && errno == EINTR);
    if (rc < 0) {
        /* A caller that retries must pause between attempts. */
        apr_sleep(POLL_FAILED_WAIT);
    }
    return rc > 0;
}

static void put_byte(const int pipe_fds[2])
{
    while (write(pipe_fds[1], "", 1) < 0 && errno == EINTR) {
    }
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
            mod_stek_monitor(timer->scratch, timer->server);
        }
        pthread_mutex_lock(&working);
        delay = refresh_all(timer, timer->scratch);
        pthread_mutex_unlock(&working);
        apr_pool_clear(timer->scratch);
    } while (!wait_byte(timer->stop, delay));
    log_last_unsealed(timer->server);
    put_byte(timer->done);
    return NULL;
}

/* Prefork, and mpm-itk with it, ends a child from within the handler of SIGTERM or SIGHUP: the code
 * that it interrupted may hold any lock of libc.  Other MPMs have these signals blocked at times,
 * but end their children outside of handlers. */
static int is_in_signal_handler(void)
{
    int threaded = 0;
    sigset_t blocked;

    return ap_mpm_query(AP_MPMQ_IS_THREADED, &threaded) == APR_SUCCESS
           && threaded == AP_MPMQ_NOT_SUPPORTED && pthread_sigmask(SIG_BLOCK, NULL, &blocked) == 0
           && (sigismember(&blocked, SIGTERM) == 1 || sigismember(&blocked, SIGHUP) == 1);
}

/* Nobody sends SIGKILL to mpm-itk's process of a connection; one that the cleanups of httpd lock up
 * must not stay for ever. */
static void exit_in_time(void)
{
    sigset_t alarms;

    sigemptyset(&alarms);
    sigaddset(&alarms, SIGALRM);
    signal(SIGALRM, SIG_DFL);
    pthread_sigmask(SIG_UNBLOCK, &alarms, NULL);
    alarm(EXIT_WITHIN);
}

/* Waits for the thread, but not for ever: it may want a lock that the code interrupted by a signal
 * holds, as may joining it.  What a thread that is left behind uses stays until the process is
 * gone. */
static apr_status_t timer_stop(void *data)
{
    timer_state_t *timer = data;
    int interrupted = is_in_signal_handler();
    apr_status_t rv;
    int done;

    if (timer->pid != getpid()) {
        return APR_SUCCESS;
    }
    if (interrupted) {
        exit_in_time();
    }
    own_timer = NULL;
    put_byte(timer->stop);
    done = wait_byte(timer->done, timer->one_process ? -1 : STOP_WAIT) && !interrupted;
    if (done) {
        apr_thread_join(&rv, timer->thread);
    }
    /* In one-process mode the "child" ends only to reload: the retained keys stay in use. */
    if (!timer->one_process) {
        mod_stek_live_wipe();
    }
    if (done) {
        apr_pool_destroy(timer->pool);
    }
    return APR_SUCCESS;
}

static apr_status_t close_pipes(void *data)
{
    timer_state_t *timer = data;
    int i;

    for (i = 0; i < 2; i++) {
        close(timer->stop[i]);
        close(timer->done[i]);
        timer->stop[i] = timer->done[i] = -1;
    }
    return APR_SUCCESS;
}

static apr_status_t open_pipe(int pipe_fds[2])
{
    if (pipe(pipe_fds) != 0) {
        return APR_FROM_OS_ERROR(errno);
    }
    fcntl(pipe_fds[0], F_SETFD, FD_CLOEXEC);
    fcntl(pipe_fds[1], F_SETFD, FD_CLOEXEC);
    return APR_SUCCESS;
}

static apr_status_t open_pipes(timer_state_t *timer)
{
    apr_status_t rv;

    timer->stop[0] = timer->stop[1] = timer->done[0] = timer->done[1] = -1;
    apr_pool_cleanup_register(timer->pool, timer, close_pipes, apr_pool_cleanup_null);
    rv = open_pipe(timer->stop);
    return rv == APR_SUCCESS ? open_pipe(timer->done) : rv;
}

/* The thread and all that it uses are in their own pool: pchild is not for two threads, and may be
 * destroyed before the thread ends. */
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
    timer->pid = getpid();
    timer->one_process = mod_stek_one_process();
    timer->pool = pool;
    rv = apr_pool_create(&timer->scratch, pool);
    if (rv == APR_SUCCESS) {
        rv = open_pipes(timer);
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

/* Signals wait meanwhile: a handler that ends the process would wait for locks that fork() holds. */
static void before_fork(void)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    pthread_mutex_lock(&working);
    mask_before_fork = before;
}

static void after_fork(void)
{
    sigset_t before = mask_before_fork;

    pthread_mutex_unlock(&working);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* Whoever has the pipes can end the thread of the process that has forked. */
static void after_fork_in_child(void)
{
    if (own_timer) {
        close_pipes(own_timer);
        own_timer = NULL;
    }
    after_fork();
}

/* The timer of this process, until the pool goes. */
static void start(apr_pool_t *pool, server_rec *s)
{
    timer_state_t *timer;
    apr_status_t rv = timer_make(s, &timer);

    own_pid = getpid();
    if (rv != APR_SUCCESS) {
        /* It would not learn which keys are revoked. */
        if (!mod_stek_one_process()) {
            mod_stek_live_wipe();
        }
        ap_log_error(APLOG_MARK, APLOG_ERR, rv, s,
                     "STEK4002: cannot start the timer thread, so this child uses no keys and "
                     "issues no tickets; check the limits on threads and memory, then reload");
        return;
    }
    own_timer = timer;
    apr_pool_pre_cleanup_register(pool, timer, timer_stop);
}

void mod_stek_timer_start(apr_pool_t *pchild, server_rec *s)
{
    if (!mod_stek_one_process()) {
        mod_stek_counters_claim(pchild);
        mod_stek_live_child_init(ap_unixd_config.chroot_dir != NULL);
    }
    /* Without memory for it, forks may meet a working thread, as they would without this. */
    (void)pthread_atfork(before_fork, after_fork, after_fork_in_child);
    start(pchild, s);
}

int mod_stek_timer_follow_fork(conn_rec *c)
{
    if (own_pid != 0 && own_pid != getpid()) {
        timer_state_t first = {.server = c->base_server};

        mod_stek_live_lock();
        /* Before the handshake: the child that forked this process may be slow to follow. */
        (void)refresh_all(&first, c->pool);
        start(c->pool, c->base_server);
        is_follower = 1;
    }
    return DECLINED;
}

int mod_stek_timer_log_follower(request_rec *r)
{
    if (is_follower) {
        pthread_mutex_lock(&working);
        log_last_unsealed(r->server);
        pthread_mutex_unlock(&working);
    }
    return DECLINED;
}
