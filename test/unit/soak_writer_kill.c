/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kills a writer of rings at a random moment, argv[1] times (1000), while a reader reads all along.
 * Whoever reads finds a whole ring, never an older one than before; the lock of the dead is free at
 * once; what they leave behind does not pile up.  Rings differ in size and each is determined by
 * its generation, so that a mixture of two would show.
 */
#include "core_util.h"

#include <signal.h>

#include "file_util.h"
#include "stek_ring_file.h"

#define SWEEP_EVERY 50

static stek_secrets_t *secrets;
static stek_ring_file_t file;
static volatile sig_atomic_t stop;

static unsigned key_n_of(unsigned generation)
{
    return 1 + generation * 37 % 200;
}

static int failed(const char *what, apr_status_t rv)
{
    char text[120];

    fprintf(stderr, "soak_writer_kill: %s: %s\n", what, stek_strerror(rv, text, sizeof(text)));
    return 1;
}

static apr_status_t save(unsigned generation)
{
    stek_ring_t *ring = ring_of(generation, key_n_of(generation));
    int flags = generation % 2 == 0 ? STEK_FILE_FSYNC : 0; /* kills meet other moments then */
    apr_status_t rv = stek_ring_file_save(&file, ring, secrets, flags, stek_rng_system, NULL, pool);

    stek_ring_destroy(ring);
    apr_pool_clear(pool);
    return rv;
}

/* The generation in the file into *pgeneration; the ring must be all of that generation. */
static int load(unsigned *pgeneration)
{
    stek_ring_t *ring = NULL, *expected;
    stek_stamp_t stamp;
    unsigned before = *pgeneration;
    int equal;
    apr_status_t rv = stek_ring_file_load(&file, secrets, &ring, &stamp, NULL, pool);

    apr_pool_clear(pool);
    if (rv != APR_SUCCESS) {
        return failed("load", rv);
    }
    *pgeneration = (unsigned)ring->generation;
    expected = ring_of(*pgeneration, key_n_of(*pgeneration));
    equal = stek_ring_equal(ring, expected) && ring->written_at == expected->written_at;
    stek_ring_destroy(ring);
    stek_ring_destroy(expected);
    if (!equal || *pgeneration < before) {
        return failed(equal ? "an older ring came back" : "a mixed ring", APR_EGENERAL);
    }
    return 0;
}

static void on_term(int sig)
{
    (void)sig;
    stop = 1;
}

static int reader(void)
{
    unsigned generation = 1;
    unsigned long load_n = 0;

    signal(SIGTERM, on_term);
    while (!stop) {
        if (load(&generation) != 0) {
            return 1;
        }
        load_n++;
    }
    return load_n > 0 ? 0 : failed("the reader read nothing", APR_EGENERAL);
}

/* Writes ring after ring until it is killed. */
static int writer(unsigned generation)
{
    stek_lock_t lock;
    apr_status_t rv = stek_lock_take(file.path, 0, &lock, NULL, pool);

    if (rv != APR_SUCCESS) {
        return failed("lock of a dead writer", rv);
    }
    do {
        rv = save(++generation);
    } while (rv == APR_SUCCESS);
    return failed("save", rv);
}

static int kill_one(rnd_t *rnd, unsigned generation)
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        _exit(writer(generation));
    }
    if (pid < 0) {
        return failed("fork", errno);
    }
    usleep(rnd_below(rnd, 6000));
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    if (!WIFSIGNALED(status)) {
        fprintf(stderr, "soak_writer_kill: the writer ended by itself\n");
        return 1;
    }
    return 0;
}

/* Files of dead writers, made old if age is set. */
static int leftovers(int age)
{
    struct timespec times[2] = {{0, UTIME_OMIT}, {time(NULL) - 120, 0}};
    DIR *dir = opendir(base);
    struct dirent *entry;
    int n = 0;

    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        if (strstr(entry->d_name, ".tmp-") != NULL) {
            n++;
            if (age) {
                utimensat(dirfd(dir), entry->d_name, times, 0);
            }
        }
    }
    if (dir != NULL) {
        closedir(dir);
    }
    return n;
}

/* A minute later, one write: nothing is left. */
static int sweep(unsigned *pgeneration, int *pleft)
{
    apr_status_t rv;

    *pleft += leftovers(1);
    rv = save(++*pgeneration);
    if (rv != APR_SUCCESS) {
        return failed("save after the kills", rv);
    }
    return leftovers(0) == 0 ? 0 : failed("leftovers not swept", APR_EGENERAL);
}

static int run(int count, rnd_t *rnd, unsigned *pgeneration, int *pleft)
{
    for (int i = 1; i <= count; i++) {
        if (kill_one(rnd, *pgeneration) != 0 || load(pgeneration) != 0) {
            return 1;
        }
        if ((i % SWEEP_EVERY == 0 || i == count) && sweep(pgeneration, pleft) != 0) {
            return 1;
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    int count = argc > 1 ? atoi(argv[1]) : 1000, left = 0, status = 0, rc;
    rnd_t rnd = {seed_from_env()};
    uint64_t seed = rnd.state;
    unsigned generation = 1;
    apr_pool_t *top;
    pid_t pid;

    if (count <= 0 || base_setup(NULL) != 0
        || stek_secrets_make(0, stek_rng_system, &secrets) != APR_SUCCESS) {
        fprintf(stderr, "usage: soak_writer_kill [count]\n");
        return 2;
    }
    top = pool;
    stek_ring_file_init(&file, in_base("ring"), geteuid(), (gid_t)-1);
    apr_pool_create(&pool, top);
    if (save(generation) != APR_SUCCESS) {
        return failed("first save", APR_EGENERAL);
    }
    pid = fork();
    if (pid == 0) {
        _exit(reader());
    }
    rc = run(count, &rnd, &generation, &left);
    kill(pid, SIGTERM);
    waitpid(pid, &status, 0);
    rc |= status != 0;
    pool = top;
    rc |= base_teardown(NULL) != 0;
    stek_secrets_destroy(secrets);
    printf("soak_writer_kill: %d kills, %u rings, %d leftovers swept, seed 0x%llx: %s\n", count,
           generation, left, (unsigned long long)seed, rc == 0 ? "ok" : "FAILED");
    return rc;
}
