/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Initialisation vectors: none comes twice although the generator is constant or fails, whatever
 * the threads, processes, reloads and new keys; and with a good one they show no relation.
 */
#include "core_util.h"

#include <pthread.h>
#include <sys/wait.h>

#include "stek_iv.h"

typedef struct vector_t {
    unsigned char bytes[STEK_IV_LEN];
} vector_t;

static unsigned rng_calls_n;

static apr_status_t constant_rng(unsigned char *bytes, apr_size_t len)
{
    rng_calls_n++;
    memset(bytes, 0x11, len);
    return APR_SUCCESS;
}

/* Fails, and leaves something else each time: what it leaves must not count. */
static apr_status_t failing_rng(unsigned char *bytes, apr_size_t len)
{
    rng_calls_n++;
    memset(bytes, 0x5a, len / 2);
    return STEK_ERNG;
}

static stek_rng_t *const bad_rngs[] = {constant_rng, failing_rng};
#define BAD_RNGS_N (sizeof(bad_rngs) / sizeof(bad_rngs[0]))

static stek_iv_t *make(const char *unique, apr_time_t now, stek_rng_t *rng)
{
    stek_iv_t *iv = NULL;

    assert_int_equal(stek_iv_create(unique, strlen(unique), now, rng, &iv), APR_SUCCESS);
    assert_non_null(iv);
    return iv;
}

static vector_t *take(stek_iv_t *iv, apr_time_t now, vector_t *to, unsigned n)
{
    for (; n > 0; n--) {
        assert_int_equal(stek_iv_next(iv, now, (to++)->bytes), APR_SUCCESS);
    }
    return to;
}

static vector_t *room(size_t n)
{
    vector_t *vectors = calloc(n, sizeof(*vectors));

    assert_non_null(vectors);
    return vectors;
}

static int compare(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(vector_t));
}

/* Sorts the vectors, and frees them. */
static void assert_all_differ(vector_t *vectors, size_t n)
{
    size_t i, same_n = 0;

    qsort(vectors, n, sizeof(*vectors), compare);
    for (i = 1; i < n; i++) {
        same_n += compare(&vectors[i - 1], &vectors[i]) == 0;
    }
    free(vectors);
    assert_int_equal(same_n, 0);
}

#define THREADS_N 16
#define EACH_N 50000u

typedef struct work_t {
    stek_iv_t *iv;
    vector_t *to;
    unsigned failed_n;
} work_t;

static void *draw(void *data)
{
    work_t *work = data;
    unsigned i;

    for (i = 0; i < EACH_N; i++) {
        /* Time passes, differently for each thread: keys are renewed while others draw. */
        apr_time_t now = T0 + SEC(i % 8000);

        work->failed_n += stek_iv_next(work->iv, now, work->to[i].bytes) != APR_SUCCESS;
    }
    return NULL;
}

static void test_iv_threads_bad_generator_no_repeat(void **state)
{
    size_t r, i;

    (void)state;
    for (r = 0; r < BAD_RNGS_N; r++) {
        stek_iv_t *iv = make("host 1", T0, bad_rngs[r]);
        vector_t *vectors = room((size_t)THREADS_N * EACH_N);
        pthread_t threads[THREADS_N];
        work_t work[THREADS_N];

        for (i = 0; i < THREADS_N; i++) {
            work[i] = (work_t){iv, vectors + i * EACH_N, 0};
            assert_int_equal(pthread_create(&threads[i], NULL, draw, &work[i]), 0);
        }
        for (i = 0; i < THREADS_N; i++) {
            assert_int_equal(pthread_join(threads[i], NULL), 0);
            assert_int_equal(work[i].failed_n, 0);
        }
        stek_iv_destroy(iv);
        assert_all_differ(vectors, (size_t)THREADS_N * EACH_N);
    }
}

static int write_all(int fd, const void *bytes, size_t len)
{
    const char *at = bytes;
    ssize_t done = 1;

    for (; len > 0 && done > 0; at += done, len -= (size_t)done) {
        done = write(fd, at, len);
    }
    return len == 0;
}

static void read_all(int fd, void *bytes, size_t len)
{
    char *at = bytes;
    ssize_t done;

    for (; len > 0; at += done, len -= (size_t)done) {
        done = read(fd, at, len);
        assert_true(done > 0);
    }
}

#define CHILD_N 2000u

/* A child's part: 0 if the inherited state gave an error and its own gave vectors.  No asserts:
 * cmocka must not go on in a child. */
static int child(stek_iv_t *inherited, stek_rng_t *rng, int fd)
{
    static vector_t vectors[CHILD_N], untouched;
    vector_t out;
    stek_iv_t *iv;
    pid_t pid = getpid();
    unsigned i;

    memset(&out, 0xee, sizeof(out));
    untouched = out;
    if (stek_iv_next(inherited, T0, out.bytes) != STEK_ECRYPTO || compare(&out, &untouched) != 0) {
        return 1;
    }
    stek_iv_destroy(inherited);
    /* As the module does: the process id tells them apart, the time may be the same. */
    if (stek_iv_create(&pid, sizeof(pid), T0, rng, &iv) != APR_SUCCESS) {
        return 2;
    }
    for (i = 0; i < CHILD_N; i++) {
        if (stek_iv_next(iv, T0, vectors[i].bytes) != APR_SUCCESS) {
            return 3;
        }
    }
    stek_iv_destroy(iv);
    return write_all(fd, vectors, sizeof(vectors)) ? 0 : 4;
}

#define FORKS_N 8u

static void test_iv_forks_inherited_refused_own_no_repeat(void **state)
{
    size_t r;
    unsigned i;

    (void)state;
    for (r = 0; r < BAD_RNGS_N; r++) {
        stek_iv_t *iv = make("parent", T0, bad_rngs[r]);
        vector_t *vectors = room((FORKS_N + 1) * CHILD_N);
        /* Half a batch is drawn before the fork, and the rest after. */
        vector_t *to = take(iv, T0, vectors, CHILD_N / 2);

        for (i = 0; i < FORKS_N; i++) {
            int ends[2], status = -1;
            pid_t pid;

            assert_int_equal(pipe(ends), 0);
            pid = fork();
            assert_true(pid >= 0);
            if (pid == 0) {
                _exit(child(iv, bad_rngs[r], ends[1]));
            }
            close(ends[1]);
            read_all(ends[0], to, CHILD_N * sizeof(*to));
            to += CHILD_N;
            close(ends[0]);
            assert_int_equal(waitpid(pid, &status, 0), pid);
            assert_true(WIFEXITED(status));
            assert_int_equal(WEXITSTATUS(status), 0);
        }
        take(iv, T0, to, CHILD_N - CHILD_N / 2);
        stek_iv_destroy(iv);
        assert_all_differ(vectors, (FORKS_N + 1) * CHILD_N);
    }
}

#define RELOADS_N 200u
#define RELOAD_N 130u /* more than two batches */

static void test_iv_reloads_same_time_no_repeat(void **state)
{
    size_t r;
    unsigned i;

    (void)state;
    for (r = 0; r < BAD_RNGS_N; r++) {
        vector_t *vectors = room(RELOADS_N * RELOAD_N), *to = vectors;

        for (i = 0; i < RELOADS_N; i++) {
            char unique[32];
            stek_iv_t *iv;

            snprintf(unique, sizeof(unique), "pid 1, tick %u", i);
            iv = make(unique, T0, bad_rngs[r]);
            to = take(iv, T0, to, RELOAD_N);
            stek_iv_destroy(iv);
        }
        assert_all_differ(vectors, RELOADS_N * RELOAD_N);
    }
}

static void test_iv_reloads_later_no_repeat(void **state)
{
    size_t r;
    unsigned i;

    (void)state;
    for (r = 0; r < BAD_RNGS_N; r++) {
        vector_t *vectors = room(RELOADS_N * RELOAD_N), *to = vectors;

        for (i = 0; i < RELOADS_N; i++) {
            /* A microsecond is enough, and so is a clock that was set back. */
            apr_time_t now = i % 2 ? T0 + i : T0 - SEC(i);
            stek_iv_t *iv = make("pid 1", now, bad_rngs[r]);

            to = take(iv, now, to, RELOAD_N);
            stek_iv_destroy(iv);
        }
        assert_all_differ(vectors, RELOADS_N * RELOAD_N);
    }
}

static void test_iv_rekey_by_count_no_repeat(void **state)
{
    const unsigned n = 2 * STEK_IV_REKEY_N + 1000;
    size_t r;

    (void)state;
    for (r = 0; r < BAD_RNGS_N; r++) {
        vector_t *vectors = room(n), *to;
        stek_iv_t *iv;

        rng_calls_n = 0;
        iv = make("host 1", T0, bad_rngs[r]);
        to = take(iv, T0, vectors, STEK_IV_REKEY_N / 2);
        assert_int_equal(rng_calls_n, 1);
        to = take(iv, T0, to, STEK_IV_REKEY_N / 2 + 1);
        assert_int_equal(rng_calls_n, 2);
        take(iv, T0, to, n - STEK_IV_REKEY_N - 1);
        assert_int_equal(rng_calls_n, 3);
        stek_iv_destroy(iv);
        assert_all_differ(vectors, n);
    }
}

static void test_iv_rekey_by_time_at_the_boundary(void **state)
{
    vector_t *vectors = room(4 * 100), *to = vectors;
    stek_iv_t *iv;

    (void)state;
    rng_calls_n = 0;
    iv = make("host 1", T0, constant_rng);
    to = take(iv, T0 + STEK_IV_REKEY_AFTER - 1, to, 100);
    assert_int_equal(rng_calls_n, 1);
    to = take(iv, T0 + STEK_IV_REKEY_AFTER, to, 100);
    assert_int_equal(rng_calls_n, 2);
    to = take(iv, T0 + 2 * STEK_IV_REKEY_AFTER - 1, to, 100);
    assert_int_equal(rng_calls_n, 2);
    take(iv, T0 + 2 * STEK_IV_REKEY_AFTER, to, 100);
    assert_int_equal(rng_calls_n, 3);
    stek_iv_destroy(iv);
    assert_all_differ(vectors, 4 * 100);
}

static void test_iv_clock_set_back_no_repeat(void **state)
{
    vector_t *vectors = room(1000 + 1000), *to = vectors;
    stek_iv_t *iv = make("host 1", T0, constant_rng);

    (void)state;
    to = take(iv, T0, to, 1000);
    take(iv, T0 - DAY, to, 1000);
    stek_iv_destroy(iv);
    assert_all_differ(vectors, 2000);
}

static unsigned bits_n(const vector_t *a, const vector_t *b)
{
    unsigned i, n = 0;

    for (i = 0; i < STEK_IV_LEN; i++) {
        n += (unsigned)__builtin_popcount((unsigned)(a->bytes[i] ^ b->bytes[i]));
    }
    return n;
}

static void xor_of(const vector_t *a, const vector_t *b, vector_t *out)
{
    unsigned i;

    for (i = 0; i < STEK_IV_LEN; i++) {
        out->bytes[i] = a->bytes[i] ^ b->bytes[i];
    }
}

/* a - b, as numbers of 16 bytes. */
static void difference_of(const vector_t *a, const vector_t *b, vector_t *out)
{
    int i, borrow = 0;

    for (i = STEK_IV_LEN - 1; i >= 0; i--) {
        int digit = a->bytes[i] - b->bytes[i] - borrow;

        borrow = digit < 0;
        out->bytes[i] = (unsigned char)(digit & 0xff);
    }
}

#define LOOKS_N 20000u

/* What follows from one vector for the next: nothing.  A counter, whether added or mixed in, would
 * give the same difference or sum again and again. */
static void test_iv_neighbours_no_relation(void **state)
{
    stek_iv_t *iv = make("host 1", T0, stek_rng_system);
    vector_t *vectors = room(LOOKS_N);
    unsigned lag, i;

    (void)state;
    take(iv, T0, vectors, LOOKS_N);
    stek_iv_destroy(iv);
    for (lag = 1; lag <= 2; lag++) {
        unsigned n = LOOKS_N - lag;
        vector_t *sums = room(n), *differences = room(n);
        unsigned long bits = 0;

        for (i = 0; i < n; i++) {
            xor_of(&vectors[i], &vectors[i + lag], &sums[i]);
            difference_of(&vectors[i], &vectors[i + lag], &differences[i]);
            bits += bits_n(&vectors[i], &vectors[i + lag]);
        }
        assert_all_differ(sums, n);
        assert_all_differ(differences, n);
        /* 64 of 128 bits, give or take; the mean of 20,000 lies within 0.4 in practice. */
        assert_true(bits * 10 / n >= 636 && bits * 10 / n <= 644);
    }
    free(vectors);
}

static void test_iv_each_bit_set_half_the_time(void **state)
{
    stek_iv_t *iv = make("host 1", T0, stek_rng_system);
    vector_t vector;
    unsigned set_n[8 * STEK_IV_LEN] = {0};
    unsigned i, bit;

    (void)state;
    for (i = 0; i < LOOKS_N; i++) {
        take(iv, T0, &vector, 1);
        for (bit = 0; bit < 8 * STEK_IV_LEN; bit++) {
            set_n[bit] += vector.bytes[bit / 8] >> bit % 8 & 1;
        }
    }
    stek_iv_destroy(iv);
    for (bit = 0; bit < 8 * STEK_IV_LEN; bit++) {
        /* Eight standard deviations of 71. */
        assert_true(set_n[bit] >= LOOKS_N / 2 - 570 && set_n[bit] <= LOOKS_N / 2 + 570);
    }
}

/* All that is not secret is the same: the generator alone must make the streams differ. */
static void test_iv_good_generator_not_foreseen_from_public_input(void **state)
{
    vector_t *vectors = room(2 * LOOKS_N), *to = vectors;
    stek_iv_t *one = make("host 1", T0, stek_rng_system);
    stek_iv_t *two = make("host 1", T0, stek_rng_system);

    (void)state;
    to = take(one, T0, to, LOOKS_N);
    take(two, T0, to, LOOKS_N);
    stek_iv_destroy(one);
    stek_iv_destroy(two);
    assert_all_differ(vectors, 2 * LOOKS_N);
}

/* After the key is renewed, who knew the state but not the new random bytes knows nothing. */
static void test_iv_rekey_takes_fresh_random_bytes(void **state)
{
    vector_t *vectors = room(2000), *to = vectors;
    stek_iv_t *one, *two;

    (void)state;
    fake_rng_reset(1);
    one = make("host 1", T0, fake_rng);
    fake_rng_reset(1);
    two = make("host 1", T0, fake_rng);
    take(one, T0, vectors, 1);
    take(two, T0, vectors + 1, 1);
    assert_memory_equal(&vectors[0], &vectors[1], sizeof(vector_t));
    fake_rng_reset(2);
    to = take(one, T0 + STEK_IV_REKEY_AFTER, to, 1000);
    fake_rng_reset(3);
    take(two, T0 + STEK_IV_REKEY_AFTER, to, 1000);
    stek_iv_destroy(one);
    stek_iv_destroy(two);
    assert_all_differ(vectors, 2000);
}

static void test_iv_destroy_null_ignored(void **state)
{
    (void)state;
    stek_iv_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_iv_threads_bad_generator_no_repeat),
        cmocka_unit_test(test_iv_forks_inherited_refused_own_no_repeat),
        cmocka_unit_test(test_iv_reloads_same_time_no_repeat),
        cmocka_unit_test(test_iv_reloads_later_no_repeat),
        cmocka_unit_test(test_iv_rekey_by_count_no_repeat),
        cmocka_unit_test(test_iv_rekey_by_time_at_the_boundary),
        cmocka_unit_test(test_iv_clock_set_back_no_repeat),
        cmocka_unit_test(test_iv_neighbours_no_relation),
        cmocka_unit_test(test_iv_each_bit_set_half_the_time),
        cmocka_unit_test(test_iv_good_generator_not_foreseen_from_public_input),
        cmocka_unit_test(test_iv_rekey_takes_fresh_random_bytes),
        cmocka_unit_test(test_iv_destroy_null_ignored),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
