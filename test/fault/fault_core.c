/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Faults in the core: rings and secrets on their way to files and back, rings in memory, vectors.
 * Whatever fails: no crash, no leak, nothing secret in memory that is given back, and on disk the
 * old ring or the new one, that a later run takes up.
 */
#include "wrap.h"

#include "run.h"

#include "fleet/ratchet.h"
#include "stek_audit.h"
#include "stek_iv.h"
#include "stek_ring_file.h"
#include "stek_schedule.h"
#include "stek_secret_file.h"

static apr_pool_t *work;
static const char *ring_path, *secret_path;
static const stek_params_t hourly = STEK_PARAMS_DEFAULT;
static stek_ring_t *former; /* what lay in the file before */
static stek_secrets_t *former_secrets;

/* ---- a file ring with its secret, and what a dead writer left ---- */

static void prepare_files(void)
{
    const char *left = in_base("a.ring.tmp-0000000099999999");
    const struct timespec old[2] = {{1, 0}, {1, 0}};
    struct timespec ahead[2];
    stek_ring_file_t file;
    stek_ring_t *empty;
    apr_size_t made;

    HOLDS(apr_pool_create(&work, NULL) == APR_SUCCESS);
    ring_path = in_base("a.ring");
    secret_path = in_base("a.secret");
    HOLDS(stek_ring_create(0, 0, &empty) == APR_SUCCESS);
    HOLDS(stek_schedule_extend(empty, &hourly, T0, stek_rng_system, &former, &made) == APR_SUCCESS);
    stek_ring_destroy(empty);
    former->written_at = T0;
    former->interval = hourly.interval;
    former->lifetime = hourly.lifetime;
    HOLDS(stek_secrets_make(1, stek_rng_system, &former_secrets) == APR_SUCCESS);
    HOLDS(stek_secret_file_save(secret_path, former_secrets, 0, work) == APR_SUCCESS);
    stek_ring_file_init(&file, ring_path, geteuid(), (gid_t)-1);
    HOLDS(stek_ring_file_save(&file, former, former_secrets, 0, stek_rng_system, NULL, work)
          == APR_SUCCESS);
    /* Its time is ahead: what follows must be later still. */
    HOLDS(clock_gettime(CLOCK_REALTIME, &ahead[1]) == 0);
    ahead[0] = ahead[1];
    ahead[1].tv_sec++;
    HOLDS(utimensat(AT_FDCWD, ring_path, ahead, 0) == 0);
    make_file(left, "", 0, 0600);
    HOLDS(utimensat(AT_FDCWD, left, old, 0) == 0);
}

/* What one run has left is not the next one's. */
static void remove_temporary(void)
{
    DIR *dir = opendir(base);
    struct dirent *entry;

    HOLDS(dir != NULL);
    while ((entry = readdir(dir)) != NULL) {
        HOLDS(strstr(entry->d_name, ".tmp-") == NULL
              || unlinkat(dirfd(dir), entry->d_name, 0) == 0);
    }
    closedir(dir);
}

static void release_files(void)
{
    remove_temporary();
    stek_ring_destroy(former);
    stek_secrets_destroy(former_secrets);
    former = NULL;
    former_secrets = NULL;
    apr_pool_destroy(work);
}

/* Loads what lies on disk: it must be good, and know the former keys. */
static void judge_files(void)
{
    stek_secrets_t *secrets = NULL;
    stek_ring_t *ring = NULL;
    stek_ring_file_t file;

    HOLDS(stek_secret_file_load(secret_path, geteuid(), &secrets, NULL, work) == APR_SUCCESS);
    stek_ring_file_init(&file, ring_path, geteuid(), (gid_t)-1);
    HOLDS(stek_ring_file_load(&file, secrets, &ring, NULL, NULL, work) == APR_SUCCESS);
    HOLDS(holds_keys(ring, former));
    /* What a failed writer cannot remove a later one does. */
    HOLDS(count_names(base, ".tmp-") <= 1 || fault->function == FAULT_unlink
          || fault->function == FAULT_unlinkat || fault->function == FAULT_opendir
          || fault->function == FAULT_readdir);
    stek_ring_destroy(ring);
    stek_secrets_destroy(secrets);
}

/* Adds the keys of the next slots, as a writer does. */
static apr_status_t rotate(const char *path, const stek_secrets_t *secrets, int flags)
{
    stek_ring_t *ring = NULL, *next = NULL;
    stek_stamp_t stamp, again;
    stek_ring_file_t file;
    stek_lock_t lock = {-1};
    apr_size_t made = 0;
    pid_t holder;
    apr_status_t rv;

    stek_ring_file_init(&file, path, geteuid(), getegid());
    rv = stek_lock_take(path, apr_time_from_msec(1), &lock, &holder, work);
    if (rv == APR_SUCCESS) {
        rv = stek_ring_file_load(&file, secrets, &ring, &stamp, NULL, work);
    }
    if (rv == APR_SUCCESS) {
        rv = stek_schedule_extend(ring, &hourly, T0 + HOUR, stek_rng_system, &next, &made);
    }
    if (rv == APR_SUCCESS) {
        HOLDS(stek_audit_ring(next, NULL) == STEK_WEAK_NONE && holds_keys(next, ring));
        rv = stek_ring_file_save(&file, next, secrets, flags, stek_rng_system, &again, work);
    }
    stek_lock_release(&lock);
    stek_ring_destroy(next);
    stek_ring_destroy(ring);
    return rv;
}

static int run_rotate(void)
{
    stek_secrets_t *secrets = NULL;
    apr_status_t rv = stek_secret_file_load(secret_path, geteuid(), &secrets, NULL, work);
    int well = rv == APR_SUCCESS;

    if (well) {
        (void)stek_file_in_memory(ring_path, work);
        well = rotate(ring_path, secrets, STEK_FILE_FSYNC) == APR_SUCCESS;
    }
    stek_secrets_destroy(secrets);
    return well;
}

/* By a relative path, through a link, and with the directory's group. */
static int run_by_link(void)
{
    stek_ring_file_t file;
    stek_ring_t *ring = NULL;
    stek_stamp_t stamp;
    apr_status_t rv;

    stek_ring_file_init(&file, "link/a.ring", geteuid(), (gid_t)-1);
    rv = stek_ring_file_stamp(&file, &stamp);
    if (rv == APR_SUCCESS) {
        rv = stek_ring_file_load(&file, former_secrets, &ring, &stamp, NULL, work);
    }
    if (rv == APR_SUCCESS) {
        rv = stek_ring_file_save(&file, ring, former_secrets, 0, stek_rng_system, NULL, work);
    }
    stek_ring_destroy(ring);
    return rv == APR_SUCCESS;
}

static void prepare_link(void)
{
    prepare_files();
    HOLDS(chdir(base) == 0);
    HOLDS(symlink(base, "link") == 0 || errno == EEXIST);
}

static void release_link(void)
{
    HOLDS(unlink("link") == 0 && chdir("/") == 0);
    release_files();
}

/* ---- secrets ---- */

/* A second secret in front, written; the ring sealed under it. */
static int run_roll(void)
{
    stek_secrets_t *loaded = NULL, *rolled = NULL, *keys = NULL;
    apr_int32_t moved;
    apr_status_t rv = stek_secret_file_load(secret_path, geteuid(), &loaded, NULL, work);

    if (rv == APR_SUCCESS) {
        rv = stek_secrets_roll(loaded, stek_rng_system, &rolled);
    }
    if (rv == APR_SUCCESS) {
        rv = stek_secret_file_save(secret_path, rolled, STEK_FILE_FSYNC, work);
    }
    if (rv == APR_SUCCESS) {
        rv = rotate(ring_path, rolled, 0);
    }
    if (rv == APR_SUCCESS) {
        loaded->day = 20000;
        rv = ratchet_move(loaded, 20001, &moved);
    }
    if (rv == APR_SUCCESS) {
        rv = ratchet_keys(loaded, 20001, &keys);
    }
    stek_secrets_destroy(keys);
    stek_secrets_destroy(rolled);
    stek_secrets_destroy(loaded);
    return rv == APR_SUCCESS;
}

/* Makes what is not there: none is left half made. */
static int run_new(void)
{
    stek_secrets_t *secrets = NULL;
    apr_status_t rv = stek_secrets_make(1, stek_rng_system, &secrets);

    if (rv == APR_SUCCESS) {
        rv = stek_secret_file_save(in_base("new.secret"), secrets,
                                   STEK_FILE_EXCLUSIVE | STEK_FILE_FSYNC, work);
    }
    stek_secrets_destroy(secrets);
    return rv == APR_SUCCESS;
}

static void judge_new(void)
{
    const char *path = in_base("new.secret");
    stek_secrets_t *secrets = NULL;
    apr_status_t rv = stek_secret_file_load(path, geteuid(), &secrets, NULL, work);

    HOLDS(rv == APR_SUCCESS || APR_STATUS_IS_ENOENT(rv));
    stek_secrets_destroy(secrets);
    HOLDS(unlink(path) == 0 || errno == ENOENT);
    HOLDS(run_new());
    HOLDS(unlink(path) == 0);
    judge_files();
}

/* ---- a ring in memory ---- */

static int run_memory(void)
{
    stek_ring_t *loaded = NULL, *next = NULL;
    stek_ring_file_t file;
    apr_size_t made;
    apr_status_t rv = stek_ring_file_init_memory(&file, geteuid());

    if (rv != APR_SUCCESS) {
        return 0;
    }
    rv = stek_ring_file_save(&file, former, former_secrets, 0, stek_rng_system, NULL, work);
    if (rv == APR_SUCCESS) {
        rv = stek_ring_file_load(&file, former_secrets, &loaded, NULL, NULL, work);
    }
    if (rv == APR_SUCCESS) {
        rv = stek_schedule_extend(loaded, &hourly, T0 + HOUR, stek_rng_system, &next, &made);
    }
    if (rv == APR_SUCCESS) {
        rv = stek_ring_file_save(&file, next, former_secrets, 0, stek_rng_system, NULL, work);
    }
    if (rv != APR_SUCCESS) {
        /* What was half written is written anew. */
        fault->on = 0;
        HOLDS(stek_ring_file_save(&file, former, former_secrets, 0, stek_rng_system, NULL, work)
              == APR_SUCCESS);
        stek_ring_destroy(loaded);
        loaded = NULL;
        HOLDS(stek_ring_file_load(&file, former_secrets, &loaded, NULL, NULL, work) == APR_SUCCESS);
        HOLDS(stek_ring_equal(loaded, former));
        fault->on = 1;
    }
    stek_ring_destroy(next);
    stek_ring_destroy(loaded);
    stek_ring_file_drop_writer(&file);
    stek_ring_file_close(&file);
    return rv == APR_SUCCESS;
}

/* ---- vectors ---- */

static int run_iv(void)
{
    unsigned char one[STEK_IV_LEN] = {0}, two[STEK_IV_LEN] = {0};
    stek_iv_t *iv = NULL;
    apr_status_t rv = stek_iv_create("unique", 6, T0, stek_rng_system, &iv);

    if (rv != APR_SUCCESS) {
        return 0;
    }
    rv = stek_iv_next(iv, T0, one);
    if (rv == APR_SUCCESS) {
        rv = stek_iv_next(iv, T0 + 2 * STEK_IV_REKEY_AFTER, two);
        HOLDS(rv != APR_SUCCESS || memcmp(one, two, sizeof(one)) != 0);
    }
    fault->on = 0;
    HOLDS(stek_iv_next(iv, T0 + 2 * STEK_IV_REKEY_AFTER, two) == APR_SUCCESS);
    HOLDS(memcmp(one, two, sizeof(one)) != 0);
    fault->on = 1;
    stek_iv_destroy(iv);
    return rv == APR_SUCCESS;
}

/* A later run finds its way. */
static void judge_rotated(void)
{
    judge_files();
    HOLDS(run_rotate());
    judge_files();
}

int main(int argc, char **argv)
{
    static const scenario_t scenarios[] = {
        {"rotate", prepare_files, run_rotate, judge_rotated, release_files},
        {"link", prepare_link, run_by_link, judge_rotated, release_link},
        {"roll", prepare_files, run_roll, judge_rotated, release_files},
        {"new", prepare_files, run_new, judge_new, release_files},
        {"memory", prepare_files, run_memory, judge_files, release_files},
        {"iv", prepare_files, run_iv, judge_files, release_files},
    };

    return run_all(scenarios, (int)(sizeof(scenarios) / sizeof(scenarios[0])), argc, argv);
}
