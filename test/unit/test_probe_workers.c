/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In which order the threads of stekctl probe take jobs: as from a list with two ends, over random
 * additions at either.
 */
#include "core_util.h"

#include <poll.h>
#include <semaphore.h>
#include <unistd.h>

#include "probe/workers.h"

#define JOBS_MAX 20
#define THREADS_MAX 64
#define RUNS_N 300

static sem_t started, go_on;
static int done[JOBS_MAX], done_n;

static void block(void *arg)
{
    (void)arg;
    (void)sem_post(&started);
    (void)sem_wait(&go_on);
}

/* By one thread, because the others are blocked. */
static void note(void *arg)
{
    done[done_n++] = *(const int *)arg;
}

static void wait_for(int fd, int n)
{
    struct pollfd one = {fd, POLLIN, 0};
    char bytes[256];

    while (n > 0) {
        assert_int_equal(poll(&one, 1, 60000), 1);
        while (read(fd, bytes, sizeof(bytes)) > 0) {
        }
        while (probe_workers_take()) {
            n--;
        }
    }
}

static void run(rnd_t *rnd, int fd, int threads_n)
{
    probe_job_t blockers[THREADS_MAX], jobs[JOBS_MAX];
    int numbers[JOBS_MAX], expected[2 * JOBS_MAX], first = JOBS_MAX, end = JOBS_MAX, i;
    int n = 1 + (int)rnd_below(rnd, JOBS_MAX);

    for (i = 0; i < threads_n; i++) {
        blockers[i] = (probe_job_t){.run = block};
        probe_workers_add(&blockers[i], 0);
    }
    for (i = 0; i < threads_n; i++) {
        (void)sem_wait(&started);
    }
    for (i = 0; i < n; i++) {
        int is_first = (int)rnd_below(rnd, 2);

        numbers[i] = i;
        jobs[i] = (probe_job_t){.run = note, .arg = &numbers[i]};
        probe_workers_add(&jobs[i], is_first);
        expected[is_first ? --first : end++] = i;
    }
    assert_int_equal(probe_workers_waiting(), n);
    done_n = 0;
    (void)sem_post(&go_on);
    wait_for(fd, n + 1);
    assert_int_equal(done_n, n);
    assert_memory_equal(done, expected + first, sizeof(done[0]) * (size_t)n);
    for (i = 1; i < threads_n; i++) {
        (void)sem_post(&go_on);
    }
    wait_for(fd, threads_n - 1);
}

static void test_workers_take_what_is_first(void **state)
{
    rnd_t rnd = {0x5eed};
    int threads_n = (int)sysconf(_SC_NPROCESSORS_ONLN), fd = probe_workers_begin(), i;

    (void)state;
    assert_true(fd >= 0);
    (void)sem_init(&started, 0, 0);
    (void)sem_init(&go_on, 0, 0);
    for (i = 0; i < RUNS_N; i++) {
        run(&rnd, fd, threads_n < THREADS_MAX ? threads_n : THREADS_MAX);
    }
    probe_workers_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_workers_take_what_is_first),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
