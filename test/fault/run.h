/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs scenarios: once as they are, and then with each of their calls failing in turn, in each way,
 * once and from then on.  FAULT_STEP=n takes each n-th call only, and the first of each function.
 * Included once by each program, behind wrap.h.
 */
#ifndef RUN_H
#define RUN_H

#include <signal.h>
#include <stdio.h>

#include "../unit/core_util.h"
#include "../unit/file_util.h"

#define LIMIT_S 60

typedef struct scenario_t {
    const char *name;
    void (*prepare)(void); /* without faults */
    int (*run)(void);      /* with them; nonzero if all went well */
    void (*judge)(void);   /* without faults: what must hold, whatever failed */
    void (*release)(void);
} scenario_t;

static const char *fault_told = ""; /* what the code under test said last */
static char fault_now[256];         /* what fails, for whoever reads of a crash */
static char seen[FAULT_CALL_N];

static void on_death(void)
{
    if (__real_write(2, fault_now, strlen(fault_now)) < 0
        || __real_write(2, fault_told, strlen(fault_told)) < 0) {
        return;
    }
}

static void on_signal(int number)
{
    on_death();
    (void)signal(number, SIG_DFL);
    (void)raise(number);
}

void __real_apr_sleep(apr_interval_time_t span);
void __wrap_apr_sleep(apr_interval_time_t span);

/* Nobody here is worth waiting for. */
void __wrap_apr_sleep(apr_interval_time_t span)
{
    __real_apr_sleep(span / 100);
}

/* What must hold. */
#define HOLDS(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* Nonzero if all keys of a are in b. */
static int holds_keys(const stek_ring_t *b, const stek_ring_t *a)
{
    apr_size_t i;

    for (i = 0; i < a->key_n; i++) {
        if (!stek_ring_find(b, a->keys[i].name)) {
            return 0;
        }
    }
    return 1;
}

static int descriptors_n(void)
{
    return count_names("/proc/self/fd", "");
}

/* One run with the plan that stands; what it says of itself. */
static int run_once(const scenario_t *scenario, int first)
{
    int well, blocks = blocks_n, descriptors = descriptors_n();

    scenario->prepare();
    fault->n = 0;
    fault->hits = 0;
    fault->function = -1;
    ERR_clear_error();
    (void)alarm(LIMIT_S);
    fault->on = 1;
    well = scenario->run();
    fault->on = 0;
    (void)alarm(0);
    if (ERR_peek_error() != 0) {
        fprintf(stderr, "an error of OpenSSL is left in its queue\n");
        ERR_print_errors_fp(stderr);
        abort();
    }
    scenario->judge();
    scenario->release();
    /* The first run makes what stays. */
    HOLDS(first || blocks == blocks_n);
    HOLDS(first || descriptors == descriptors_n());
    return well;
}

static const char *way_text(int way)
{
    return way == QUEUED ? "an OpenSSL error" : way == FAULT_SHORT ? "half" : strerrorname_np(way);
}

static int run_scenario(const scenario_t *scenario, int step)
{
    short trace[FAULT_TRACE_MAX];
    int n, total, way, runs = 0, sites = 0;
    time_t start = time(NULL);

    snprintf(fault_now, sizeof(fault_now), "%s: no fault\n", scenario->name);
    fault_at = 0;
    HOLDS(run_once(scenario, 1));
    HOLDS(run_once(scenario, 0));
    total = fault->n < FAULT_TRACE_MAX ? fault->n : FAULT_TRACE_MAX;
    memcpy(trace, fault->trace, sizeof(trace));
    for (n = 1; n <= total; n++) {
        int call = trace[n - 1];

        if (n % step != 0 && seen[call]) {
            continue;
        }
        seen[call] = 1;
        sites++;
        for (way = 0; way < ways_n(call); way++) {
            /* Who is interrupted each time may try for ever. */
            int may_stay = fault_calls[call].ways[way] != EINTR;

            for (fault_stays = 0; fault_stays <= may_stay; fault_stays++) {
                snprintf(fault_now, sizeof(fault_now), "%s: call %d, %s: %s%s\n", scenario->name, n,
                         fault_calls[call].name, way_text(fault_calls[call].ways[way]),
                         fault_stays ? ", from then on" : "");
                fault_at = n;
                fault_way = way;
                (void)run_once(scenario, 0);
                runs++;
            }
        }
        fault_at = 0;
    }
    printf("%s: %d of %d calls, %d runs, %ld s\n", scenario->name, sites, total, runs,
           (long)(time(NULL) - start));
    return runs;
}

void __asan_set_death_callback(void (*callback)(void)) __attribute__((weak));
int __lsan_do_recoverable_leak_check(void) __attribute__((weak));

static int run_all(const scenario_t *scenarios, int n, int argc, char **argv)
{
    int i, runs = 0, functions = 0, step = getenv("FAULT_STEP") ? atoi(getenv("FAULT_STEP")) : 1;

    if (__asan_set_death_callback) {
        __asan_set_death_callback(on_death);
    }
    (void)signal(SIGABRT, on_signal);
    (void)signal(SIGALRM, on_signal);
    fault_begin();
    HOLDS(base_setup(NULL) == 0);
    for (i = 0; i < n; i++) {
        if (argc < 2 || strcmp(argv[1], scenarios[i].name) == 0) {
            runs += run_scenario(&scenarios[i], step > 0 ? step : 1);
        }
    }
    for (i = 0; i < FAULT_CALL_N; i++) {
        functions += seen[i];
        if (!seen[i]) {
            printf("not called: %s\n", fault_calls[i].name);
        }
    }
    HOLDS(base_teardown(NULL) == 0);
    if (__lsan_do_recoverable_leak_check && __lsan_do_recoverable_leak_check()) {
        return 1;
    }
    printf("%d runs, %d functions\n", runs, functions);
    return 0;
}

#endif
