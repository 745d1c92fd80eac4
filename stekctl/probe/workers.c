/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads for long work (workers.h): a list of jobs to do and one of those that are done, under one
 * lock.  A byte in a pipe tells the loop of every job that is done.
 */
#include "workers.h"

#include <fcntl.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#define THREADS_MAX 64
#define BIG (128 * 1024)        /* bytes of a search's tables */
#define SPARE (4 * 1024 * 1024) /* bytes that stay for the next search, which needs as much */

typedef struct workers_t {
    pthread_mutex_t lock;
    pthread_cond_t more;
    probe_job_t *first, **last, *done;
    int waiting_n, is_over;
    int fds[2]; /* the loop reads the first */
    pthread_t threads[THREADS_MAX];
    int threads_n;
} workers_t;

static workers_t all = {.lock = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER};

static probe_job_t *next_job(void)
{
    probe_job_t *job;

    (void)pthread_mutex_lock(&all.lock);
    while (!all.first && !all.is_over) {
        (void)pthread_cond_wait(&all.more, &all.lock);
    }
    job = all.first;
    if (job) {
        all.waiting_n--;
        all.first = job->next;
        all.last = all.first ? all.last : &all.first;
    }
    (void)pthread_mutex_unlock(&all.lock);
    return job;
}

static void *work(void *arg)
{
    probe_job_t *job;

    (void)arg;
    while ((job = next_job()) != NULL) {
        job->run(job->arg);
        (void)pthread_mutex_lock(&all.lock);
        job->next = all.done;
        all.done = job;
        (void)pthread_mutex_unlock(&all.lock);
        /* A full pipe is as good. */
        if (write(all.fds[1], "", 1) < 0) {
            continue;
        }
    }
    return NULL;
}

/* Signals are for the thread that has the connections. */
static void start_threads(int wanted)
{
    sigset_t every, before;

    (void)sigfillset(&every);
    (void)pthread_sigmask(SIG_SETMASK, &every, &before);
    for (all.threads_n = 0; all.threads_n < wanted; all.threads_n++) {
        if (pthread_create(&all.threads[all.threads_n], NULL, work, NULL) != 0) {
            break;
        }
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
}

int probe_workers_begin(void)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    int i;

#ifdef __GLIBC__
    /* An arena for every thread would keep what another one could use; and what a search needs for
     * itself goes back, rather than leave gaps among what hosts need. */
    (void)mallopt(M_ARENA_MAX, 1);
    (void)mallopt(M_MMAP_THRESHOLD, BIG);
    (void)mallopt(M_TRIM_THRESHOLD, SPARE);
#endif
    all.first = all.done = NULL;
    all.last = &all.first;
    all.waiting_n = all.is_over = 0;
    if (pipe(all.fds) != 0) {
        return -1;
    }
    for (i = 0; i < 2; i++) {
        (void)fcntl(all.fds[i], F_SETFL, O_NONBLOCK);
        (void)fcntl(all.fds[i], F_SETFD, FD_CLOEXEC);
    }
    start_threads(processors < 1 ? 1 : processors > THREADS_MAX ? THREADS_MAX : (int)processors);
    if (all.threads_n == 0) {
        probe_workers_end();
        return -1;
    }
    return all.fds[0];
}

void probe_workers_add(probe_job_t *job, int is_first)
{
    probe_job_t **at;

    (void)pthread_mutex_lock(&all.lock);
    at = is_first ? &all.first : all.last;
    job->next = *at;
    *at = job;
    all.last = job->next ? all.last : &job->next;
    all.waiting_n++;
    (void)pthread_cond_signal(&all.more);
    (void)pthread_mutex_unlock(&all.lock);
}

probe_job_t *probe_workers_take(void)
{
    probe_job_t *job;

    (void)pthread_mutex_lock(&all.lock);
    job = all.done;
    all.done = job ? job->next : NULL;
    (void)pthread_mutex_unlock(&all.lock);
    return job;
}

int probe_workers_waiting(void)
{
    int n;

    (void)pthread_mutex_lock(&all.lock);
    n = all.waiting_n;
    (void)pthread_mutex_unlock(&all.lock);
    return n;
}

void probe_workers_end(void)
{
    (void)pthread_mutex_lock(&all.lock);
    all.is_over = 1;
    (void)pthread_cond_broadcast(&all.more);
    (void)pthread_mutex_unlock(&all.lock);
    while (all.threads_n > 0) {
        (void)pthread_join(all.threads[--all.threads_n], NULL);
    }
    (void)close(all.fds[0]);
    (void)close(all.fds[1]);
}
