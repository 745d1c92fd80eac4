/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs histories:
 *
 *     simulate [--seed N] [--steps N] [--histories N] [--from N] [--jobs N] [--only KINDS]
 *              [--save DIR] [--keep-going] [--no-shrink] [--with NAMES] [--without NAMES] [--digest]
 *     simulate --story FILE...
 *
 * Names, with commas between them: flood, fill, ahead, slow (sim_switch_e); all but those in ASLEEP
 * are on.  --from: the number of the first history, of those that the seed gives.  --jobs: so many
 * processes, each with its part of the steps, and with the seed, the next one, and so on.  Ends with 1 and
 * the story of the first history that failed, shrunk; --keep-going counts them, and tells the first of a
 * kind, or with --save all.  --digest prints one of all their stories, which two builds can be compared by.
 * SIGTERM ends it after a history, with 3 if all held until then.
 */
#include "sim.h"

#include <apr_general.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define KINDS_MAX 16
#define JOBS_MAX 64

/* What the product does not stand up to yet: names, with commas between them. */
#define ASLEEP ""

static const char *const switch_names[SIM_WITH_N] = {"flood", "fill", "ahead", "slow"};
static int switched_off[SIM_WITH_N];

typedef struct counted_t {
    char kind[32];
    int64_t n;
    uint64_t first; /* histories until the first */
} counted_t;

static FILE *out;
static volatile sig_atomic_t stopped; /* by SIGTERM: after this history */
static const char *save_dir;
static uint64_t first = 1;
static int no_shrink;
static FILE *digested; /* NULL: no digest is wanted */
static uint64_t digest;
static sim_history_t history;
static counted_t counted[KINDS_MAX];

/* The sentences go before the actions, as comments. */
static void save(const char *kind, uint64_t seed)
{
    char path[512], failed[32], why[SIM_TEXT_LEN], line[1024];
    FILE *file, *story = tmpfile();

    snprintf(path, sizeof(path), "%s/%s-%" PRIu64 ".story", save_dir, kind, seed);
    file = fopen(path, "w");
    if (file && story) {
        sim_run(&history, story, failed, why);
        rewind(story);
        fprintf(file, "# %s: %s\n#\n", kind, why);
        while (fgets(line, sizeof(line), story)) {
            fprintf(file, "# %s", line);
        }
        sim_history_write(&history, file);
        fprintf(out, "kept as %s\n", path);
    }
    if (file) {
        fclose(file);
    }
    if (story) {
        fclose(story);
    }
}

static void tell_failure(const char *kind, int shrinks)
{
    char failed[32], why[SIM_TEXT_LEN];
    uint64_t seed = history.seed;

    if (shrinks) {
        fprintf(out, "history %" PRIu64 " fails (%s); shrinking %d actions\n", seed, kind,
                history.action_n);
        fflush(out);
        sim_shrink(&history, kind);
        fprintf(out, "%d actions are left, %d hosts, %d stores:\n", history.action_n,
                history.host_n, history.store_n);
    }
    sim_run(&history, out, failed, why);
    sim_history_write(&history, out);
    if (save_dir) {
        save(kind, seed);
    }
}

int sim_with(sim_switch_e what)
{
    return !switched_off[what];
}

/* Nonzero: one of the names is not known. */
static int set_switches(const char *names, int off)
{
    while (*names) {
        size_t len = strcspn(names, ",");
        int i;

        for (i = 0;
             i < SIM_WITH_N
             && (strlen(switch_names[i]) != len || strncmp(names, switch_names[i], len) != 0);
             i++) {
        }
        if (i == SIM_WITH_N) {
            return 1;
        }
        switched_off[i] = off;
        names += len + (names[len] == ',');
    }
    return 0;
}

static void stop(int number)
{
    (void)number;
    stopped = 1;
}

static counted_t *count(const char *kind, uint64_t history_n)
{
    int i;

    for (i = 0; i < KINDS_MAX - 1 && counted[i].n > 0 && strcmp(counted[i].kind, kind) != 0; i++) {
    }
    if (counted[i].n++ == 0) {
        snprintf(counted[i].kind, sizeof(counted[i].kind), "%s", kind);
        counted[i].first = history_n;
    }
    return &counted[i];
}

static int run_stories(int argc, char **argv, int tell)
{
    char failed[32], why[SIM_TEXT_LEN];
    int i, failed_n = 0;

    for (i = 0; i < argc; i++) {
        FILE *file = fopen(argv[i], "r");
        int line = file ? sim_history_read(&history, file) : -1;

        if (file) {
            fclose(file);
        }
        if (line) {
            fprintf(stderr, "simulate: %s: line %d cannot be read\n", argv[i], line);
            return 2;
        }
        if (sim_run(&history, tell ? out : NULL, failed, why)) {
            fprintf(out, "%s fails:\n", argv[i]);
            if (!tell) {
                sim_run(&history, out, failed, why);
            }
            failed_n++;
        }
    }
    fprintf(out, "%d passed, %d failed\n", argc - failed_n, failed_n);
    return failed_n > 0;
}

static ssize_t digest_more(void *cookie, const char *bytes, size_t len)
{
    size_t i;

    (void)cookie;
    for (i = 0; i < len; i++) {
        digest = (digest ^ (unsigned char)bytes[i]) * UINT64_C(0x100000001b3);
    }
    return (ssize_t)len;
}

static int run_histories(uint64_t seed, int64_t steps, int64_t histories, int keep_going)
{
    char failed[32], why[SIM_TEXT_LEN];
    int64_t n = 0, failed_n = 0;
    int i;

    fprintf(out, "SEED=%" PRIu64 "\n", seed);
    for (; !stopped && sim_step_count < steps && n < histories; n++) {
        sim_generate(sim_mix(seed, (uint64_t)n + first - 1) >> 1, &history);
        if (sim_run(&history, digested, failed, why)) {
            counted_t *kind = count(failed, (uint64_t)n + first);

            failed_n++;
            if (kind->n == 1 || save_dir) {
                int64_t before = sim_step_count;

                tell_failure(failed, !no_shrink);
                sim_step_count = before;
            }
            if (!keep_going) {
                n++;
                break;
            }
        }
    }
    for (i = 0; i < KINDS_MAX && counted[i].n > 0; i++) {
        fprintf(out, "%s: %" PRId64 " histories, the first after %" PRIu64 "\n", counted[i].kind,
                counted[i].n, counted[i].first);
    }
    if (digested) {
        fflush(digested);
        fprintf(out, "digest %016" PRIx64 "\n", digest);
    }
    fprintf(out,
            "%" PRId64 " histories of %" PRId64 " steps; what must hold was broken in %" PRId64
            "\n",
            n, sim_step_count, failed_n);
    return failed_n > 0 ? 1 : stopped ? 3 : 0;
}

typedef struct asked_t {
    uint64_t seed;
    int64_t steps, histories;
    int stories, keep_going, jobs;
} asked_t;

/* Nonzero: what was asked for is not known. */
static int parse(int argc, char **argv, asked_t *asked)
{
    static const struct option options[] = {
        {"seed", required_argument, NULL, 's'},      {"steps", required_argument, NULL, 'n'},
        {"histories", required_argument, NULL, 'h'}, {"from", required_argument, NULL, 'f'},
        {"jobs", required_argument, NULL, 'j'},      {"only", required_argument, NULL, 'o'},
        {"save", required_argument, NULL, 'd'},      {"keep-going", no_argument, NULL, 'k'},
        {"no-shrink", no_argument, NULL, 'q'},       {"with", required_argument, NULL, 'w'},
        {"without", required_argument, NULL, 'W'},   {"digest", no_argument, NULL, 'g'},
        {"story", no_argument, NULL, 't'},           {NULL, 0, NULL, 0}};
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 's':
            asked->seed = strtoull(optarg, NULL, 0);
            break;
        case 'n':
            asked->steps = strtoll(optarg, NULL, 0);
            break;
        case 'h':
            asked->histories = strtoll(optarg, NULL, 0);
            break;
        case 'f':
            first = strtoull(optarg, NULL, 0);
            break;
        case 'j':
            asked->jobs = atoi(optarg);
            break;
        case 'o':
            sim_only = optarg;
            break;
        case 'd':
            save_dir = optarg;
            break;
        case 'k':
            asked->keep_going = 1;
            break;
        case 'q':
            no_shrink = 1;
            break;
        case 'w':
        case 'W':
            if (set_switches(optarg, option == 'W')) {
                return 1;
            }
            break;
        case 'g':
            digested = fopencookie(NULL, "w", (cookie_io_functions_t){.write = digest_more});
            break;
        case 't':
            asked->stories = 1;
            break;
        default:
            return 1;
        }
    }
    return asked->jobs < 1 || asked->jobs > JOBS_MAX;
}

/* The exit code that says most: something broke, a process failed, it was stopped. */
static int worse_of(int one, int other)
{
    static const int order[] = {0, 3, 2, 1};
    int a = 3, b = 3;

    while (a > 0 && order[a] != one) {
        a--;
    }
    while (b > 0 && order[b] != other) {
        b--;
    }
    return order[a > b ? a : b];
}

/* One process for each job: histories are the seed's alone. */
static int run_jobs(const asked_t *asked)
{
    pid_t pids[JOBS_MAX];
    int i, status, code = 0;

    for (i = 0; i < asked->jobs; i++) {
        pids[i] = asked->jobs > 1 ? fork() : 0;
        if (pids[i] == 0) {
            code = run_histories(asked->seed + (uint64_t)i, asked->steps / asked->jobs,
                                 asked->histories, asked->keep_going);
            if (asked->jobs > 1) {
                fclose(out);
                _exit(code);
            }
        }
    }
    for (i = 0; asked->jobs > 1 && i < asked->jobs; i++) {
        if (pids[i] < 0) {
            code = worse_of(code, 2);
            continue;
        }
        while (waitpid(pids[i], &status, 0) < 0 && errno == EINTR) {
            kill(pids[i], SIGTERM);
        }
        code = worse_of(code, WIFEXITED(status) ? WEXITSTATUS(status) : 2);
    }
    return code;
}

int main(int argc, char **argv)
{
    asked_t asked = {
        (uint64_t)time(NULL) * 1000003u + (uint64_t)getpid(), 100000, INT64_MAX, 0, 0, 1};
    int code;

    if (set_switches(ASLEEP, 1) || parse(argc, argv, &asked)) {
        return 2;
    }
    argc -= optind;
    argv += optind;
    apr_initialize();
    mallopt(M_MMAP_THRESHOLD, 8 << 20);
    mallopt(M_TRIM_THRESHOLD, 64 << 20);
    /* Commands print to standard output. */
    out = fdopen(dup(1), "w");
    if (!out || !freopen("/dev/null", "w", stdout)) {
        perror("simulate");
        return 2;
    }
    setvbuf(out, NULL, _IOLBF, 0);
    (void)sigaction(SIGTERM, &(struct sigaction){.sa_handler = stop}, NULL);
    code = asked.stories ? run_stories(argc, argv, argc == 1) : run_jobs(&asked);
    fclose(out);
    return code;
}
