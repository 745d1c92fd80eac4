/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file ring on a path and in anonymous memory, and the secret file: what is saved is what is
 * loaded, in whoever's process; what a child can and cannot do with what it inherits.
 */
#include "core_util.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "file_util.h"
#include "stek_ring_file.h"
#include "stek_secret_file.h"

static stek_secrets_t *secrets;
static const char *culprit;

static int setup(void **state)
{
    return base_setup(state) == 0 && stek_secrets_make(0, stek_rng_system, &secrets) == APR_SUCCESS
               ? 0
               : -1;
}

static int teardown(void **state)
{
    stek_secrets_destroy(secrets);
    return base_teardown(state);
}

static apr_status_t save(const stek_ring_file_t *file, unsigned generation, unsigned key_n,
                         stek_stamp_t *stamp)
{
    stek_ring_t *ring = ring_of(generation, key_n);
    apr_status_t rv = stek_ring_file_save(file, ring, secrets, 0, stek_rng_system, stamp, pool);

    stek_ring_destroy(ring);
    return rv;
}

/* Generation that the file holds, complete; 0 and *prv otherwise. */
static unsigned load(const stek_ring_file_t *file, unsigned key_n, apr_status_t *prv)
{
    stek_ring_t *ring = NULL, *expected;
    stek_stamp_t stamp;
    unsigned generation;

    *prv = stek_ring_file_load(file, secrets, &ring, &stamp, &culprit, pool);
    if (*prv != APR_SUCCESS) {
        return 0;
    }
    generation = (unsigned)ring->generation;
    expected = ring_of(generation, key_n);
    if (!stek_ring_equal(ring, expected) || ring->written_at != expected->written_at) {
        *prv = APR_EGENERAL;
        generation = 0;
    }
    stek_ring_destroy(ring);
    stek_ring_destroy(expected);
    return generation;
}

static void assert_holds(const stek_ring_file_t *file, unsigned generation, unsigned key_n)
{
    apr_status_t rv;

    assert_int_equal(load(file, key_n, &rv), generation);
    assert_int_equal(rv, APR_SUCCESS);
}

static apr_status_t load_status(const stek_ring_file_t *file)
{
    apr_status_t rv;

    load(file, 1, &rv);
    return rv;
}

static void each_kind(void (*check)(const stek_ring_file_t *file))
{
    stek_ring_file_t file;

    stek_ring_file_init(&file, in_base("ring"), geteuid(), (gid_t)-1);
    check(&file);
    stek_ring_file_close(&file);
    assert_int_equal(stek_ring_file_init_memory(&file, geteuid()), APR_SUCCESS);
    check(&file);
    stek_ring_file_close(&file);
}

static void check_save_load(const stek_ring_file_t *file)
{
    static const stek_stamp_t none;
    stek_stamp_t first, second, looked;

    memset(&looked, 0x55, sizeof(looked));
    assert_int_equal(stek_ring_file_stamp(file, &looked), APR_ENOENT);
    assert_true(stek_stamp_equal(&looked, &none));
    assert_int_equal(load_status(file), APR_ENOENT);

    assert_int_equal(save(file, 1, 5, &first), APR_SUCCESS);
    assert_holds(file, 1, 5);
    assert_int_equal(stek_ring_file_stamp(file, &looked), APR_SUCCESS);
    assert_true(stek_stamp_equal(&looked, &first));
    assert_int_equal(save(file, 2, 5, &second), APR_SUCCESS);
    assert_false(stek_stamp_equal(&first, &second));
    assert_holds(file, 2, 5);
    /* longer, shorter, with nobody who wants the stamp */
    assert_int_equal(save(file, 3, 500, NULL), APR_SUCCESS);
    assert_holds(file, 3, 500);
    assert_int_equal(save(file, 4, 0, NULL), APR_SUCCESS);
    assert_holds(file, 4, 0);
}

static void test_ring_file_save_then_load_is_the_same(void **state)
{
    (void)state;
    each_kind(check_save_load);
}

static void check_exclusive(const stek_ring_file_t *file)
{
    stek_ring_t *one = ring_of(1, 1), *two = ring_of(2, 1);

    assert_int_equal(
        stek_ring_file_save(file, one, secrets, STEK_FILE_EXCLUSIVE, stek_rng_system, NULL, pool),
        APR_SUCCESS);
    assert_int_equal(
        stek_ring_file_save(file, two, secrets, STEK_FILE_EXCLUSIVE, stek_rng_system, NULL, pool),
        APR_EEXIST);
    assert_holds(file, 1, 1);
    stek_ring_destroy(one);
    stek_ring_destroy(two);
}

static void test_ring_file_save_exclusive_keeps_the_old(void **state)
{
    (void)state;
    each_kind(check_exclusive);
}

static void check_refused_saves(const stek_ring_file_t *file)
{
    stek_ring_t *ring = ring_of(2, 1);
    stek_stamp_t before, after;

    assert_int_equal(save(file, 1, 1, &before), APR_SUCCESS);
    assert_int_equal(stek_ring_file_save(file, ring, secrets, 0, broken_rng, NULL, pool),
                     STEK_ERNG);
    ring->interval = 0;
    assert_int_equal(stek_ring_file_save(file, ring, secrets, 0, stek_rng_system, NULL, pool),
                     STEK_EMALFORMED);
    assert_int_equal(stek_ring_file_stamp(file, &after), APR_SUCCESS);
    assert_true(stek_stamp_equal(&before, &after));
    assert_holds(file, 1, 1);
    stek_ring_destroy(ring);
}

static void test_ring_file_save_that_fails_keeps_the_old(void **state)
{
    (void)state;
    each_kind(check_refused_saves);
}

static void check_other_secret(const stek_ring_file_t *file)
{
    stek_secrets_t *mine = secrets, *others = NULL, *rolled = NULL;

    assert_int_equal(save(file, 1, 1, NULL), APR_SUCCESS);
    assert_int_equal(stek_secrets_make(0, stek_rng_system, &others), APR_SUCCESS);
    assert_int_equal(stek_secrets_roll(mine, stek_rng_system, &rolled), APR_SUCCESS);
    secrets = others;
    assert_int_equal(load_status(file), STEK_ESECRET);
    secrets = rolled;
    assert_holds(file, 1, 1);
    secrets = mine;
    stek_secrets_destroy(others);
    stek_secrets_destroy(rolled);
}

static void test_ring_file_load_with_other_secret_is_refused(void **state)
{
    (void)state;
    each_kind(check_other_secret);
}

static void test_ring_file_save_under_is_read_under_that_secret(void **state)
{
    stek_secrets_t *rolled = NULL;
    unsigned char *sealed = NULL;
    stek_ring_t *ring = ring_of(1, 3), *opened = NULL;
    stek_stamp_t written, stamp;
    stek_ring_file_t file;
    apr_size_t len = 0, secret_i = 9;

    (void)state;
    assert_int_equal(stek_secrets_roll(secrets, stek_rng_system, &rolled), APR_SUCCESS);
    stek_ring_file_init(&file, in_base("ring"), geteuid(), (gid_t)-1);
    assert_int_equal(stek_ring_file_read(&file, &sealed, &len, NULL, &culprit, pool), APR_ENOENT);
    for (apr_size_t i = 0; i < 2; i++) {
        assert_int_equal(stek_ring_file_save_under(&file, ring, &rolled->secrets[i], 0,
                                                   stek_rng_system, &written, pool),
                         APR_SUCCESS);
        assert_int_equal(stek_ring_file_read(&file, &sealed, &len, &stamp, &culprit, pool),
                         APR_SUCCESS);
        assert_true(stek_stamp_equal(&stamp, &written));
        assert_int_equal(stek_ring_unseal(sealed, len, rolled, 1, &opened, &secret_i), APR_SUCCESS);
        assert_int_equal(secret_i, i);
        assert_true(stek_ring_equal(opened, ring));
        stek_ring_destroy(opened);
        free(sealed);
    }
    sealed = NULL;
    make_file(file.path, "garbage garbage", 15, 0640);
    assert_int_equal(stek_ring_file_read(&file, &sealed, &len, NULL, &culprit, pool), STEK_EMAGIC);
    assert_null(sealed);
    stek_ring_destroy(ring);
    stek_secrets_destroy(rolled);
}

static void test_ring_file_check_names_what_is_wrong(void **state)
{
    const char *detail = NULL;
    stek_ring_file_t file;

    (void)state;
    stek_ring_file_init(&file, in_base("dir/ring"), geteuid(), (gid_t)-1);
    assert_int_equal(stek_ring_file_check(&file, &detail, pool), APR_ENOENT);
    make_dir(in_base("dir"), 0755);
    assert_int_equal(stek_ring_file_check(&file, &detail, pool), APR_SUCCESS);
    assert_int_equal(save(&file, 1, 1, NULL), APR_SUCCESS);
    assert_int_equal(stek_ring_file_check(&file, &detail, pool), APR_SUCCESS);
    assert_null(detail);
    make_file(file.path, "garbage garbage", 15, 0640);
    assert_int_equal(stek_ring_file_check(&file, &detail, pool), STEK_EFOREIGN);
    assert_string_equal(detail, "is a file of 15 bytes, not a ring");
    assert_int_equal(chmod(in_base("dir"), 01777), 0);
    assert_int_equal(stek_ring_file_check(&file, &detail, pool), STEK_ESHARED);
    assert_string_equal(detail, in_base("dir"));
}

static void test_ring_file_load_of_hostile_files_says_why(void **state)
{
    const char *path = in_base("ring");
    stek_ring_t *ring = ring_of(1, 2);
    stek_ring_file_t file;
    stek_stamp_t stamp;

    (void)state;
    stek_ring_file_init(&file, path, geteuid(), (gid_t)-1);
    assert_string_equal(stek_ring_file_name(&file), path);
    make_file(path, "", 0, 0640);
    assert_int_equal(load_status(&file), STEK_ELENGTH);
    make_file(path, "garbage garbage", 15, 0640);
    assert_int_equal(load_status(&file), STEK_EMAGIC);
    assert_int_equal(truncate(path, STEK_RING_BYTES_MAX + 1), 0);
    assert_int_equal(load_status(&file), STEK_ETOOBIG);
    assert_int_equal(truncate(path, (off_t)2 << 30), 0);
    assert_int_equal(load_status(&file), STEK_ETOOBIG);
    memset(ring->keys[1].aes_key, 7, STEK_AES_KEY_LEN);
    /* what is no ring is not written over */
    assert_int_equal(stek_ring_file_save(&file, ring, secrets, 0, stek_rng_system, &stamp, pool),
                     STEK_EFOREIGN);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(stek_ring_file_save(&file, ring, secrets, 0, stek_rng_system, &stamp, pool),
                     APR_SUCCESS);
    assert_int_equal(load_status(&file), STEK_EWEAK);
    assert_int_equal(save(&file, 1, 1, NULL), APR_SUCCESS);
    assert_holds(&file, 1, 1);
    assert_int_equal(chmod(path, 0660), 0);
    assert_int_equal(load_status(&file), STEK_EPERM);
    assert_string_equal(culprit, path);
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(chmod(base, 0777), 0);
    assert_int_equal(load_status(&file), STEK_EPERM);
    assert_string_equal(culprit, base);
    assert_int_equal(chmod(base, 0755), 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(load_status(&file), APR_ENOENT);
    stek_ring_destroy(ring);
}

static void test_ring_file_save_on_path_has_mode_and_group(void **state)
{
    stek_ring_file_t file;
    struct stat st;

    (void)state;
    need_other_users();
    make_dir(in_base("dir"), 0755);
    assert_int_equal(chown(in_base("dir"), 0, NOBODY), 0);
    stek_ring_file_init(&file, in_base("dir/ring"), 0, (gid_t)-1);
    assert_int_equal(save(&file, 1, 1, NULL), APR_SUCCESS);
    assert_int_equal(stat(file.path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    assert_int_equal(st.st_gid, NOBODY);
    file.gid = NOBODY - 1;
    assert_int_equal(save(&file, 2, 1, NULL), APR_SUCCESS);
    assert_int_equal(stat(file.path, &st), 0);
    assert_int_equal(st.st_gid, NOBODY - 1);
    assert_holds(&file, 2, 1);
}

static void test_ring_file_save_again_keeps_the_group(void **state)
{
    stek_ring_file_t file;
    struct stat st;

    (void)state;
    need_other_users();
    make_dir(in_base("dir"), 0755);
    stek_ring_file_init(&file, in_base("dir/ring"), 0, (gid_t)-1);
    assert_int_equal(save(&file, 1, 1, NULL), APR_SUCCESS);
    assert_int_equal(chown(file.path, 0, NOBODY), 0);
    assert_int_equal(save(&file, 2, 1, NULL), APR_SUCCESS);
    assert_int_equal(stat(file.path, &st), 0);
    assert_int_equal(st.st_gid, NOBODY);
    assert_holds(&file, 2, 1);
}

/* A ring of a group to which this user may give no files: readers would be shut out. */
static int save_over_other_group(void *data)
{
    const stek_ring_file_t *file = data;

    if (setgid(NOBODY) != 0 || setuid(NOBODY) != 0) {
        return 99;
    }
    return APR_TO_OS_ERROR(save(file, 2, 1, NULL)) == EPERM ? 0 : 1;
}

static void test_ring_file_save_again_outside_the_group_keeps_the_old(void **state)
{
    stek_ring_file_t file;

    (void)state;
    need_other_users();
    make_dir(in_base("dir"), 0755);
    assert_int_equal(chown(in_base("dir"), NOBODY, NOBODY), 0);
    stek_ring_file_init(&file, in_base("dir/ring"), NOBODY, (gid_t)-1);
    assert_int_equal(save(&file, 1, 1, NULL), APR_SUCCESS);
    assert_int_equal(chown(file.path, NOBODY, 1), 0);
    assert_int_equal(run_in_child(save_over_other_group, &file), 0);
    assert_holds(&file, 1, 1);
}

/* As a user who is not in the directory's group. */
static int save_as_other_user(void *data)
{
    stek_ring_file_t *file = data;

    if (setgid(NOBODY) != 0 || setuid(NOBODY) != 0) {
        return 99;
    }
    if (save(file, 1, 1, NULL) != APR_SUCCESS) {
        return 1;
    }
    file->gid = 1; /* demanded, not the directory's */
    return save(file, 2, 1, NULL) == EPERM ? 0 : 2;
}

static void test_ring_file_save_outside_the_group_falls_back_unless_demanded(void **state)
{
    stek_ring_file_t file;
    struct stat st;

    (void)state;
    need_other_users();
    make_dir(in_base("dir"), 0755);
    assert_int_equal(chown(in_base("dir"), NOBODY, 1), 0);
    stek_ring_file_init(&file, in_base("dir/ring"), NOBODY, (gid_t)-1);
    assert_int_equal(run_in_child(save_as_other_user, &file), 0);
    assert_int_equal(stat(file.path, &st), 0);
    assert_int_equal(st.st_gid, NOBODY);
    assert_holds(&file, 1, 1);
    assert_int_equal(count_names(in_base("dir"), ".tmp-"), 0);
}

/* ---- anonymous memory */

static void test_ring_file_memory_quick_saves_every_stamp_is_new(void **state)
{
    enum { N = 200 };
    static stek_stamp_t stamps[N];
    stek_ring_file_t file;

    (void)state;
    assert_int_equal(stek_ring_file_init_memory(&file, geteuid()), APR_SUCCESS);
    assert_string_equal(stek_ring_file_name(&file), "memory");
    for (unsigned i = 0; i < N; i++) {
        assert_int_equal(save(&file, i + 1, 1, &stamps[i]), APR_SUCCESS);
        for (unsigned j = 0; j < i; j++) {
            assert_true(stamps[i].mtime_ns != stamps[j].mtime_ns);
        }
    }
    assert_holds(&file, N, 1);
    stek_ring_file_close(&file);
    assert_int_equal(file.memory_fd, -1);
    assert_int_equal(file.writer_fd, -1);
    stek_ring_file_close(&file);
}

static void test_ring_file_memory_descriptors_are_not_for_programs(void **state)
{
    stek_ring_file_t file;

    (void)state;
    assert_int_equal(stek_ring_file_init_memory(&file, geteuid()), APR_SUCCESS);
    assert_true((fcntl(file.memory_fd, F_GETFD) & FD_CLOEXEC) != 0);
    assert_true((fcntl(file.writer_fd, F_GETFD) & FD_CLOEXEC) != 0);
    assert_int_equal(fcntl(file.memory_fd, F_GETFL) & O_ACCMODE, O_RDONLY);
    stek_ring_file_close(&file);
}

static void test_ring_file_memory_writer_can_seal_nothing(void **state)
{
    static const int seals[] = {F_SEAL_WRITE, F_SEAL_GROW, F_SEAL_SHRINK, F_SEAL_SEAL};
    stek_ring_file_t file;

    (void)state;
    assert_int_equal(stek_ring_file_init_memory(&file, geteuid()), APR_SUCCESS);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(fcntl(file.writer_fd, F_ADD_SEALS, seals[i]), -1);
    }
    assert_int_equal(save(&file, 1, 3, NULL), APR_SUCCESS);
    stek_ring_file_close(&file);
}

static void test_ring_file_memory_open_writer_writes_on_unless_sealed(void **state)
{
    stek_ring_file_t file, sealed;

    (void)state;
    assert_int_equal(stek_ring_file_init_memory(&file, geteuid()), APR_SUCCESS);
    assert_int_equal(save(&file, 1, 3, NULL), APR_SUCCESS);
    stek_ring_file_drop_writer(&file);
    assert_int_equal(save(&file, 2, 3, NULL), APR_EBADF);
    assert_int_equal(stek_ring_file_open_writer(&file), APR_SUCCESS);
    assert_true((fcntl(file.writer_fd, F_GETFD) & FD_CLOEXEC) != 0);
    assert_int_equal(save(&file, 2, 3, NULL), APR_SUCCESS);
    assert_holds(&file, 2, 3);
    stek_ring_file_close(&file);
    assert_int_not_equal(stek_ring_file_open_writer(&file), APR_SUCCESS);
    /* As a former version left it, and somebody else has used it. */
    stek_ring_file_init(&sealed, NULL, geteuid(), (gid_t)-1);
    sealed.memory_fd = memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    assert_int_equal(fcntl(sealed.memory_fd, F_ADD_SEALS, F_SEAL_WRITE), 0);
    assert_int_equal(stek_ring_file_open_writer(&sealed), EPERM);
    stek_ring_file_close(&sealed);
}

/* Whether nothing inherited lets this process change the memory; run as another user. */
static int can_only_read(void *data)
{
    stek_ring_file_t *file = data;
    char path[64];
    apr_status_t rv;
    int fd;

    if (setgid(NOBODY) != 0 || setuid(NOBODY) != 0) {
        return 99;
    }
    stek_ring_file_drop_writer(file);
    if (file->writer_fd != -1 || load(file, 3, &rv) != 1) {
        return 1;
    }
    if (save(file, 2, 3, NULL) != APR_EBADF) {
        return 2;
    }
    /* At first /proc/self/fd is root's, since the uid has changed; later only the mode protects. */
    for (int dumpable = 0; dumpable <= 1; dumpable++) {
        static const int flags[] = {O_RDWR, O_WRONLY, O_RDONLY | O_TRUNC};

        prctl(PR_SET_DUMPABLE, dumpable, 0, 0, 0);
        snprintf(path, sizeof(path), "/proc/self/fd/%d", file->memory_fd);
        for (int i = 0; i < 3; i++) {
            fd = open(path, flags[i]);
            if (fd >= 0) {
                return 3;
            }
        }
    }
    if (pwrite(file->memory_fd, "x", 1, 0) >= 0 || ftruncate(file->memory_fd, 0) == 0
        || fchmod(file->memory_fd, 0666) == 0
        || mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_SHARED, file->memory_fd, 0) != MAP_FAILED) {
        return 4;
    }
    return load(file, 3, &rv) == 1 ? 0 : 5;
}

static void test_ring_file_memory_child_of_other_user_can_only_read(void **state)
{
    stek_ring_file_t file;
    struct stat st;

    (void)state;
    need_other_users();
    assert_int_equal(stek_ring_file_init_memory(&file, 0), APR_SUCCESS);
    assert_int_equal(fstat(file.memory_fd, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(save(&file, 1, 3, NULL), APR_SUCCESS);
    assert_int_equal(run_in_child(can_only_read, &file), 0);
    /* what the parent saves later, children see */
    assert_holds(&file, 1, 3);
    stek_ring_file_close(&file);
}

/* The same for a program that the child runs, whose /proc/self/fd is its own: by the mode alone. */
static int shell_cannot_write(void *data)
{
    stek_ring_file_t *file = data;
    char script[200];

    if (setgid(NOBODY) != 0 || setuid(NOBODY) != 0 || fcntl(file->memory_fd, F_SETFD, 0) != 0) {
        return 99;
    }
    snprintf(script, sizeof(script),
             "ls /proc/self/fd/%d >/dev/null || exit 98; "
             "if (echo x >/proc/self/fd/%d) 2>/dev/null; then exit 1; else exit 0; fi",
             file->memory_fd, file->memory_fd);
    execl("/bin/sh", "sh", "-c", script, (char *)NULL);
    return 97;
}

static void test_ring_file_memory_program_of_other_user_cannot_write(void **state)
{
    stek_ring_file_t file;

    (void)state;
    need_other_users();
    assert_int_equal(stek_ring_file_init_memory(&file, 0), APR_SUCCESS);
    assert_int_equal(save(&file, 1, 3, NULL), APR_SUCCESS);
    assert_int_equal(run_in_child(shell_cannot_write, &file), 0);
    assert_holds(&file, 1, 3);
    stek_ring_file_close(&file);
}

/* Reads until it sees the last generation: only whole rings, never an older one. */
static int read_until(const stek_ring_file_t *file, unsigned last, unsigned key_n)
{
    unsigned seen = 0;

    for (int failed_n = 0; failed_n < 500;) {
        apr_status_t rv;
        unsigned generation = load(file, key_n, &rv);

        if (rv == APR_EGENERAL || (rv == APR_SUCCESS && generation < seen)) {
            return 1;
        }
        if (rv != APR_SUCCESS) {
            failed_n++; /* met a write each time: may happen, may not last */
            continue;
        }
        failed_n = 0;
        seen = generation;
        if (seen == last) {
            return 0;
        }
    }
    return 2;
}

static void test_ring_file_memory_read_while_written_is_whole(void **state)
{
    enum { LAST = 1000, KEY_N = 60 };
    stek_ring_file_t file;
    pid_t reader;
    int status;

    (void)state;
    assert_int_equal(stek_ring_file_init_memory(&file, geteuid()), APR_SUCCESS);
    assert_int_equal(save(&file, 1, KEY_N, NULL), APR_SUCCESS);
    reader = fork();
    if (reader == 0) {
        stek_ring_file_drop_writer(&file);
        _exit(read_until(&file, LAST, KEY_N));
    }
    for (unsigned generation = 2; generation <= LAST; generation++) {
        assert_int_equal(save(&file, generation, KEY_N, NULL), APR_SUCCESS);
    }
    assert_int_equal(waitpid(reader, &status, 0), reader);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    stek_ring_file_close(&file);
}

static void test_ring_file_memory_torn_is_refused_until_written_again(void **state)
{
    stek_ring_file_t file;

    (void)state;
    assert_int_equal(stek_ring_file_init_memory(&file, geteuid()), APR_SUCCESS);
    assert_int_equal(save(&file, 1, 3, NULL), APR_SUCCESS);
    assert_int_equal(pwrite(file.writer_fd, "xyz", 3, 200), 3);
    assert_int_equal(load_status(&file), STEK_ESEAL);
    assert_int_equal(ftruncate(file.writer_fd, 300), 0);
    assert_int_equal(load_status(&file), STEK_ELENGTH);
    assert_int_equal(ftruncate(file.writer_fd, (off_t)2 << 30), 0);
    assert_int_equal(load_status(&file), STEK_ETOOBIG);
    assert_int_equal(save(&file, 2, 3, NULL), APR_SUCCESS);
    assert_holds(&file, 2, 3);
    stek_ring_file_close(&file);
}

static int save_under_limit(void *data)
{
    struct rlimit limit = {600, 600};

    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &limit);
    return save(data, 2, 60, NULL) != APR_SUCCESS ? 0 : 1;
}

static void test_ring_file_memory_no_room_keeps_the_old(void **state)
{
    stek_ring_file_t file;

    (void)state;
    assert_int_equal(stek_ring_file_init_memory(&file, geteuid()), APR_SUCCESS);
    assert_int_equal(save(&file, 1, 3, NULL), APR_SUCCESS);
    assert_int_equal(run_in_child(save_under_limit, &file), 0);
    assert_holds(&file, 1, 3);
    stek_ring_file_close(&file);
}

/* ---- the secret file */

/* What people write into the file is theirs, as long as there is room. */
static void test_secret_file_save_keeps_comments(void **state)
{
    const char *path = in_base("s"), *notes = "# made by alice\n  # escrow: safe 12\n";
    stek_secrets_t *made = NULL, *loaded = NULL;
    char *big = apr_pcalloc(pool, STEK_SECRET_FILE_MAX + 1);
    const char *text;

    (void)state;
    assert_int_equal(stek_secrets_make(0, stek_rng_system, &made), APR_SUCCESS);
    make_file(path, notes, strlen(notes), 0600);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(stek_secret_file_save(path, made, 0, pool), APR_SUCCESS);
        text = file_text(path);
        assert_int_equal(strncmp(text, notes, strlen(notes)), 0);
        assert_int_equal(strncmp(text + strlen(notes), STEK_SECRET_WORD, 14), 0);
    }
    memset(big, '#', STEK_SECRET_FILE_MAX);
    make_file(path, big, STEK_SECRET_FILE_MAX, 0600);
    assert_int_equal(stek_secret_file_save(path, made, 0, pool), APR_SUCCESS);
    assert_int_equal(stek_secret_file_load(path, geteuid(), &loaded, NULL, pool), APR_SUCCESS);
    assert_true(stek_secrets_equal(made, loaded));
    stek_secrets_destroy(made);
    stek_secrets_destroy(loaded);
}

static void test_secret_file_load_local_fleets_secret_is_refused(void **state)
{
    const char *path = in_base("s");
    stek_secrets_t *fleet = NULL, *local = NULL, *loaded = NULL;

    (void)state;
    assert_int_equal(stek_secrets_make(1, stek_rng_system, &fleet), APR_SUCCESS);
    assert_int_equal(stek_secrets_make(0, stek_rng_system, &local), APR_SUCCESS);
    assert_int_equal(stek_secret_file_save(path, fleet, 0, pool), APR_SUCCESS);
    assert_int_equal(stek_secret_file_load_local(path, geteuid(), &loaded, NULL, pool),
                     STEK_EFLEET);
    assert_null(loaded);
    assert_int_equal(stek_secret_file_save(path, local, 0, pool), APR_SUCCESS);
    assert_int_equal(stek_secret_file_load_local(path, geteuid(), &loaded, NULL, pool),
                     APR_SUCCESS);
    assert_true(stek_secrets_equal(local, loaded));
    stek_secrets_destroy(fleet);
    stek_secrets_destroy(local);
    stek_secrets_destroy(loaded);
}

static void test_secret_file_save_then_load_is_the_same(void **state)
{
    const char *path = in_base("secret");
    stek_secrets_t *loaded = NULL, *rolled = NULL;
    struct stat st;

    (void)state;
    assert_int_equal(stek_secret_file_save(path, secrets, STEK_FILE_EXCLUSIVE, pool), APR_SUCCESS);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(stek_secret_file_load(path, geteuid(), &loaded, &culprit, pool), APR_SUCCESS);
    assert_true(stek_secrets_equal(secrets, loaded));
    stek_secrets_destroy(loaded);

    assert_int_equal(stek_secrets_roll(secrets, stek_rng_system, &rolled), APR_SUCCESS);
    assert_int_equal(stek_secret_file_save(path, rolled, STEK_FILE_EXCLUSIVE, pool), APR_EEXIST);
    assert_int_equal(stek_secret_file_save(path, rolled, STEK_FILE_FSYNC, pool), APR_SUCCESS);
    assert_int_equal(stek_secret_file_load(path, geteuid(), &loaded, NULL, pool), APR_SUCCESS);
    assert_true(stek_secrets_equal(rolled, loaded));
    stek_secrets_destroy(loaded);
    stek_secrets_destroy(rolled);
}

static void test_secret_file_load_of_bad_files_says_why(void **state)
{
    static char big[STEK_SECRET_FILE_MAX + 1];
    const char *path = in_base("secret");
    stek_secrets_t *loaded = NULL;

    (void)state;
    assert_int_equal(stek_secret_file_load(path, geteuid(), &loaded, &culprit, pool), APR_ENOENT);
    make_file(path, "", 0, 0600);
    assert_int_equal(stek_secret_file_load(path, geteuid(), &loaded, &culprit, pool), STEK_EEMPTY);
    make_file(path, "secret\n", 7, 0600);
    assert_int_equal(stek_secret_file_load(path, geteuid(), &loaded, &culprit, pool), STEK_ESYNTAX);
    make_file(path, big, sizeof(big), 0600);
    assert_int_equal(stek_secret_file_load(path, geteuid(), &loaded, &culprit, pool), STEK_ETOOBIG);
    assert_int_equal(stek_secret_file_save(path, secrets, 0, pool), STEK_EFOREIGN);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(stek_secret_file_save(path, secrets, 0, pool), APR_SUCCESS);
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(stek_secret_file_load(path, geteuid(), &loaded, &culprit, pool), STEK_EPERM);
    assert_string_equal(culprit, path);
    assert_int_equal(chmod(path, 0604), 0);
    assert_int_equal(stek_secret_file_load(path, geteuid(), &loaded, NULL, pool), STEK_EPERM);
    assert_int_equal(stek_secret_file_load(base, geteuid(), &loaded, NULL, pool), STEK_EKIND);
    assert_null(loaded);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_ring_file_save_then_load_is_the_same),
        TEST(test_ring_file_save_exclusive_keeps_the_old),
        TEST(test_ring_file_save_that_fails_keeps_the_old),
        TEST(test_ring_file_load_with_other_secret_is_refused),
        TEST(test_ring_file_save_under_is_read_under_that_secret),
        TEST(test_ring_file_check_names_what_is_wrong),
        TEST(test_ring_file_load_of_hostile_files_says_why),
        TEST(test_ring_file_save_on_path_has_mode_and_group),
        TEST(test_ring_file_save_again_keeps_the_group),
        TEST(test_ring_file_save_again_outside_the_group_keeps_the_old),
        TEST(test_ring_file_save_outside_the_group_falls_back_unless_demanded),
        TEST(test_ring_file_memory_quick_saves_every_stamp_is_new),
        TEST(test_ring_file_memory_descriptors_are_not_for_programs),
        TEST(test_ring_file_memory_writer_can_seal_nothing),
        TEST(test_ring_file_memory_open_writer_writes_on_unless_sealed),
        TEST(test_ring_file_memory_child_of_other_user_can_only_read),
        TEST(test_ring_file_memory_program_of_other_user_cannot_write),
        TEST(test_ring_file_memory_read_while_written_is_whole),
        TEST(test_ring_file_memory_torn_is_refused_until_written_again),
        TEST(test_ring_file_memory_no_room_keeps_the_old),
        TEST(test_secret_file_save_then_load_is_the_same),
        TEST(test_secret_file_save_keeps_comments),
        TEST(test_secret_file_load_local_fleets_secret_is_refused),
        TEST(test_secret_file_load_of_bad_files_says_why),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
