/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files: what is read and what is refused, whose directories are trusted, replacement on full disks
 * and after killed writers, the lock against a stopped holder.  Cases that need another owner run
 * as root only.
 */
#include "core_util.h"

#include <signal.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/xattr.h>

#include "file_util.h"
#include "stek_file.h"
#include "stek_owner.h"

#define BUF_SIZE 8192

static char buf[BUF_SIZE];
static apr_size_t buf_len;
static stek_stamp_t stamp;
static const char *culprit;

static apr_status_t read_as(const char *path, stek_file_kind_e kind, uid_t owner)
{
    memset(buf, '?', sizeof(buf));
    buf_len = 0;
    culprit = NULL;
    return stek_file_read(path, kind, owner, buf, sizeof(buf), &buf_len, &stamp, &culprit, pool);
}

static apr_status_t read_ring(const char *path)
{
    return read_as(path, STEK_FILE_RING, geteuid());
}

static void assert_refused(const char *path, const char *expected_culprit)
{
    assert_int_equal(read_ring(path), STEK_EPERM);
    assert_non_null(culprit);
    assert_string_equal(culprit, expected_culprit);
}

static void assert_reads(const char *path, const char *text)
{
    assert_int_equal(read_ring(path), APR_SUCCESS);
    assert_int_equal(buf_len, strlen(text));
    assert_memory_equal(buf, text, buf_len);
}

static const stek_stamp_t no_file;

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- reading */

static void test_file_read_plain_file_gives_bytes_and_stamp(void **state)
{
    stek_stamp_t looked;
    const char *path = in_base("ring");

    (void)state;
    make_file(path, "hello", 5, 0640);
    assert_reads(path, "hello");
    assert_null(culprit);
    assert_int_equal(stek_file_stamp(path, &looked), APR_SUCCESS);
    assert_true(stek_stamp_equal(&looked, &stamp));
    assert_false(stek_stamp_equal(&looked, &no_file));
    assert_int_equal(looked.size, 5);
}

static void test_file_read_missing_is_noent(void **state)
{
    (void)state;
    memset(&stamp, 0x55, sizeof(stamp));
    assert_int_equal(stek_file_stamp(in_base("ring"), &stamp), APR_ENOENT);
    assert_true(stek_stamp_equal(&stamp, &no_file));
    assert_int_equal(read_ring(in_base("ring")), APR_ENOENT);
    assert_true(stek_stamp_equal(&stamp, &no_file));
    assert_int_equal(read_ring(in_base("none/ring")), APR_ENOENT);
}

static void test_file_read_sizes_up_to_the_buffer(void **state)
{
    static char bytes[BUF_SIZE + 1];
    const char *path = in_base("ring");

    (void)state;
    make_file(path, bytes, 0, 0600);
    assert_reads(path, "");
    make_file(path, bytes, BUF_SIZE, 0600);
    assert_int_equal(read_ring(path), APR_SUCCESS);
    assert_int_equal(buf_len, BUF_SIZE);
    make_file(path, bytes, BUF_SIZE + 1, 0600);
    assert_int_equal(read_ring(path), STEK_ETOOBIG);
    assert_int_equal(stamp.size, BUF_SIZE + 1);
}

static void test_file_read_sparse2_gi_b_is_too_big_unread(void **state)
{
    const char *path = in_base("ring");
    int64_t start = now_ms();

    (void)state;
    make_file(path, "", 0, 0600);
    assert_int_equal(truncate(path, (off_t)2 << 30), 0);
    assert_int_equal(read_ring(path), STEK_ETOOBIG);
    assert_int_equal(buf[0], '?');
    assert_true(stamp.size == (apr_int64_t)2 << 30);
    assert_true(now_ms() - start < 1000);
}

static void test_file_read_other_kinds_are_refused_at_once(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int64_t start = now_ms();
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    (void)state;
    assert_int_equal(mkfifo(in_base("fifo"), 0600), 0);
    make_dir(in_base("dir"), 0700);
    make_link("fifo", in_base("link"));
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/socket", base);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);

    assert_int_equal(read_ring(in_base("fifo")), STEK_EKIND);
    assert_false(stek_stamp_equal(&stamp, &no_file));
    assert_int_equal(read_ring(in_base("dir")), STEK_EKIND);
    assert_int_equal(read_ring(in_base("link")), STEK_EKIND);
    assert_int_equal(read_ring(in_base("socket")), STEK_EKIND);
    assert_int_equal(read_ring("/dev/null"), STEK_EKIND);
    assert_int_equal(read_ring("/dev/zero"), STEK_EKIND);
    assert_int_equal(read_ring("/dev/tty"), STEK_EKIND);
    assert_true(now_ms() - start < 1000);
    close(fd);
}

static void test_file_read_link_loop_is_refused(void **state)
{
    (void)state;
    make_link("b", in_base("a"));
    make_link("a", in_base("b"));
    make_link("self/x", in_base("self"));
    assert_int_equal(read_ring(in_base("a")), ELOOP);
    assert_int_equal(read_ring(in_base("self")), ELOOP);
    assert_int_equal(stek_file_check_dirs(in_base("a"), geteuid(), &culprit, pool), ELOOP);
    assert_int_equal(stek_file_check_dirs(in_base("self"), geteuid(), &culprit, pool), ELOOP);
}

static void test_file_read_chain_of_links_is_followed(void **state)
{
    char name[16], target[16] = "ring";

    (void)state;
    make_file(in_base("ring"), "x", 1, 0600);
    for (int i = 1; i <= 41; i++) {
        snprintf(name, sizeof(name), "l%d", i);
        make_link(target, in_base(name));
        strcpy(target, name);
    }
    /* Linux follows 40, but counts them again when it repeats a lookup beside a rename: at most twice. */
    assert_reads(in_base("l13"), "x");
    assert_int_equal(read_ring(in_base("l41")), ELOOP);
    assert_int_equal(stek_file_check_dirs(in_base("l40"), geteuid(), NULL, pool), APR_SUCCESS);
    assert_int_equal(stek_file_check_dirs(in_base("l41"), geteuid(), NULL, pool), ELOOP);
}

static int read_as_nobody(void *data)
{
    if (setgid(NOBODY) != 0 || setuid(NOBODY) != 0) {
        return 99;
    }
    return read_as(data, STEK_FILE_RING, 0) == APR_EACCES ? 0 : 1;
}

static void test_file_read_unreadable_is_eacces(void **state)
{
    (void)state;
    need_other_users();
    make_file(in_base("ring"), "x", 1, 0600);
    assert_int_equal(run_in_child(read_as_nobody, (void *)in_base("ring")), 0);
}

/* ---- whose files */

static void test_file_read_modes_open_to_others_are_refused(void **state)
{
    const char *path = in_base("ring");

    (void)state;
    make_file(path, "x", 1, 0600);
    for (unsigned mode = 0; mode <= 0777; mode++) {
        apr_status_t ring = (mode & 0022) == 0 ? APR_SUCCESS : STEK_EPERM;
        apr_status_t secret = (mode & 0066) == 0 ? APR_SUCCESS : STEK_EPERM;

        if ((mode & 0400) == 0) {
            continue;
        }
        assert_int_equal(chmod(path, mode), 0);
        assert_int_equal(read_as(path, STEK_FILE_RING, geteuid()), ring);
        assert_int_equal(read_as(path, STEK_FILE_SECRET, geteuid()), secret);
        assert_true((culprit != NULL) == (secret != APR_SUCCESS));
        if (culprit != NULL) {
            assert_string_equal(culprit, path);
        }
        assert_int_equal(stamp.size, 1);
    }
}

static void test_file_read_foreign_file_is_refused(void **state)
{
    const char *path = in_base("ring");

    (void)state;
    need_other_users();
    make_file(path, "x", 1, 0640);
    assert_int_equal(chown(path, NOBODY, NOBODY), 0);
    assert_refused(path, path);
    assert_int_equal(read_as(path, STEK_FILE_RING, NOBODY), APR_SUCCESS);
    assert_int_equal(read_as(path, STEK_FILE_RING, NOBODY - 1), STEK_EPERM);
    assert_int_equal(chown(path, 0, NOBODY), 0);
    assert_int_equal(read_as(path, STEK_FILE_RING, NOBODY), APR_SUCCESS);
}

static void test_file_read_directory_modes_open_ones_are_refused(void **state)
{
    const char *dir = in_base("dir"), *path = in_base("dir/ring");

    (void)state;
    make_dir(dir, 0755);
    make_file(path, "x", 1, 0600);
    for (unsigned mode = 0; mode <= 07777; mode++) {
        int open_dir = (mode & 0022) != 0 && (mode & 01000) == 0;

        if ((mode & 0700) != 0700) {
            continue;
        }
        assert_int_equal(chmod(dir, mode), 0);
        assert_int_equal(read_ring(path), open_dir ? STEK_EPERM : APR_SUCCESS);
        assert_int_equal(stamp.size, 1);
        if (open_dir) {
            assert_string_equal(culprit, dir);
        }
    }
    assert_int_equal(chmod(dir, 0700), 0);
}

static void test_file_read_any_directory_above_counts(void **state)
{
    (void)state;
    make_dir(in_base("a"), 0755);
    make_dir(in_base("a/b"), 0755);
    make_dir(in_base("a/b/c"), 0755);
    make_file(in_base("a/b/c/ring"), "x", 1, 0600);
    assert_reads(in_base("a/b/c/ring"), "x");
    assert_int_equal(chmod(in_base("a/b"), 0775), 0);
    assert_refused(in_base("a/b/c/ring"), in_base("a/b"));
    assert_refused(in_base("a//b/./c///ring"), in_base("a/b"));
    assert_int_equal(chmod(in_base("a"), 0757), 0);
    assert_refused(in_base("a/b/c/ring"), in_base("a"));
}

static void test_file_read_foreign_directory_is_refused(void **state)
{
    const char *path = in_base("dir/ring");

    (void)state;
    need_other_users();
    make_dir(in_base("dir"), 01777);
    make_file(path, "x", 1, 0600);
    assert_reads(path, "x");
    assert_int_equal(chown(in_base("dir"), NOBODY, 0), 0);
    assert_refused(path, in_base("dir"));
    assert_int_equal(chmod(in_base("dir"), 0700), 0);
    assert_refused(path, in_base("dir"));
    assert_int_equal(read_as(path, STEK_FILE_RING, NOBODY), APR_SUCCESS);
}

static void test_file_read_link_through_unsafe_directory_is_refused(void **state)
{
    (void)state;
    make_dir(in_base("safe"), 0755);
    make_dir(in_base("open"), 0777);
    make_dir(in_base("open/in"), 0755);
    make_file(in_base("safe/ring"), "x", 1, 0600);
    make_file(in_base("open/in/ring"), "x", 1, 0600);
    /* file behind; through and back; a link to the directory; an absolute one */
    make_link("../open/in/ring", in_base("safe/l1"));
    make_link("../open/../safe/ring", in_base("safe/l2"));
    make_link("../open/in", in_base("safe/l3"));
    make_link(in_base("open/in/ring"), in_base("safe/l4"));
    make_link("safe/ring", in_base("l5"));
    make_link("../safe/ring", in_base("open/l6"));
    make_link("../open/l6", in_base("safe/l7"));
    assert_refused(in_base("safe/l1"), in_base("open"));
    assert_refused(in_base("safe/l2"), in_base("open"));
    assert_refused(in_base("safe/l3/ring"), in_base("open"));
    assert_refused(in_base("safe/l4"), in_base("open"));
    assert_refused(in_base("safe/l7"), in_base("open"));
    assert_reads(in_base("l5"), "x");
    assert_int_equal(chmod(in_base("open"), 0755), 0);
    assert_reads(in_base("safe/l1"), "x");
    assert_reads(in_base("safe/l2"), "x");
    assert_reads(in_base("safe/l3/ring"), "x");
    assert_reads(in_base("safe/l3/../in/../../safe/ring"), "x");
    assert_reads(in_base("safe/l4"), "x");
    assert_reads(in_base("safe/l7"), "x");
}

/* As Kubernetes mounts a secret: ring -> ..data/ring, ..data -> ..2026_01. */
static void test_file_read_links_of_a_secret_volume_are_followed(void **state)
{
    (void)state;
    make_dir(in_base("volume"), 03777);
    make_dir(in_base("volume/..2026_01"), 02755);
    make_file(in_base("volume/..2026_01/ring"), "x", 1, 0440);
    make_link("..2026_01", in_base("volume/..data"));
    make_link("..data/ring", in_base("volume/ring"));
    assert_reads(in_base("volume/ring"), "x");
}

static void test_file_read_foreign_link_in_sticky_directory_is_refused(void **state)
{
    (void)state;
    need_other_users();
    make_dir(in_base("sticky"), 01777);
    make_dir(in_base("safe"), 0755);
    make_file(in_base("safe/ring"), "x", 1, 0600);
    make_link("../safe", in_base("sticky/link"));
    assert_reads(in_base("sticky/link/ring"), "x");
    assert_int_equal(lchown(in_base("sticky/link"), NOBODY, NOBODY), 0);
    assert_int_equal(stek_file_check_dirs(in_base("sticky/link/ring"), 0, &culprit, pool),
                     STEK_EPERM);
    assert_string_equal(culprit, in_base("sticky/link"));
}

static int read_relative(void *data)
{
    (void)data;
    return chdir(in_base("a/b")) == 0 && read_ring("ring") == APR_SUCCESS
                   && read_ring("./../b/ring") == APR_SUCCESS
                   && read_ring("../../a/b/ring") == APR_SUCCESS && chmod("../../a", 0777) == 0
                   && read_ring("ring") == STEK_EPERM && strcmp(culprit, in_base("a")) == 0
               ? 0
               : 1;
}

static void test_file_read_relative_path_counts_from_the_root(void **state)
{
    (void)state;
    make_dir(in_base("a"), 0755);
    make_dir(in_base("a/b"), 0755);
    make_file(in_base("a/b/ring"), "x", 1, 0600);
    assert_int_equal(run_in_child(read_relative, NULL), 0);
}

static void test_file_check_dirs_odd_paths_are_answered(void **state)
{
    (void)state;
    make_dir(in_base("dir"), 0755);
    make_file(in_base("file"), "x", 1, 0600);
    make_link("gone/ring", in_base("dangling"));
    assert_int_equal(stek_file_check_dirs(in_base("new"), geteuid(), NULL, pool), APR_SUCCESS);
    assert_int_equal(stek_file_check_dirs("/", geteuid(), NULL, pool), APR_SUCCESS);
    assert_int_equal(stek_file_check_dirs("/../..", geteuid(), NULL, pool), APR_SUCCESS);
    assert_int_equal(stek_file_check_dirs(in_base("none/new"), geteuid(), NULL, pool), APR_ENOENT);
    assert_int_equal(stek_file_check_dirs(in_base("file/x"), geteuid(), NULL, pool), ENOTDIR);
    assert_int_equal(stek_file_check_dirs(in_base("dangling"), geteuid(), NULL, pool), APR_ENOENT);
    assert_int_equal(read_ring(in_base("file/")), ENOTDIR);
    /* no culprit wanted */
    assert_int_equal(chmod(in_base("dir"), 0777), 0);
    assert_int_equal(stek_file_check_dirs(in_base("dir/x"), geteuid(), NULL, pool), STEK_EPERM);
}

/* ---- replacing */

static apr_status_t replace(const char *path, const char *text, int flags)
{
    const stek_file_how_t how = {geteuid(), (uid_t)-1, (gid_t)-1, 0640, flags};

    return stek_file_replace(path, text, strlen(text), &how, pool);
}

static void test_file_replace_new_and_old_in_one_step(void **state)
{
    const char *path = in_base("ring");
    mode_t old_mask = umask(0077);
    struct stat st, later;

    (void)state;
    assert_int_equal(replace(path, "one", 0), APR_SUCCESS);
    assert_string_equal(file_text(path), "one");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    assert_int_equal(replace(path, "three", STEK_FILE_FSYNC), APR_SUCCESS);
    umask(old_mask);
    assert_string_equal(file_text(path), "three");
    assert_int_equal(stat(path, &later), 0);
    assert_true(st.st_mtim.tv_sec != later.st_mtim.tv_sec
                || st.st_mtim.tv_nsec != later.st_mtim.tv_nsec);
    assert_int_equal(count_names(base, "ring"), 1);
}

static void test_file_replace_group_is_set(void **state)
{
    const stek_file_how_t how = {0, (uid_t)-1, NOBODY, 0640, 0};
    const char *path = in_base("ring");
    struct stat st;

    (void)state;
    need_other_users();
    assert_int_equal(stek_file_replace(path, "x", 1, &how, pool), APR_SUCCESS);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_gid, NOBODY);
    assert_int_equal(st.st_uid, 0);
    assert_int_equal(st.st_mode & 07777, 0640);
}

static void test_file_replace_exclusive_keeps_the_old(void **state)
{
    const char *path = in_base("ring");

    (void)state;
    assert_int_equal(replace(path, "one", STEK_FILE_EXCLUSIVE | STEK_FILE_FSYNC), APR_SUCCESS);
    assert_int_equal(replace(path, "two", STEK_FILE_EXCLUSIVE), APR_EEXIST);
    assert_string_equal(file_text(path), "one");
    assert_int_equal(count_names(base, "ring"), 1);
    assert_int_equal(unlink(path), 0);
    make_link("nowhere", path);
    assert_int_equal(replace(path, "two", STEK_FILE_EXCLUSIVE), APR_EEXIST);
    assert_int_equal(count_names(base, ""), 3);
}

static void test_file_replace_open_reader_keeps_the_old(void **state)
{
    const char *path = in_base("ring");
    char text[8] = "";
    int fd;

    (void)state;
    assert_int_equal(replace(path, "one", 0), APR_SUCCESS);
    fd = open(path, O_RDONLY);
    assert_int_equal(replace(path, "two", 0), APR_SUCCESS);
    assert_int_equal(read(fd, text, sizeof(text)), 3);
    assert_string_equal(text, "one");
    close(fd);
}

/* Many writes within one tick of the clock, of one size, inodes freed and taken again. */
static void test_file_replace_quickly_every_stamp_is_new(void **state)
{
    enum { N = 300 };
    static stek_stamp_t stamps[N];
    const char *path = in_base("ring");

    (void)state;
    for (int i = 0; i < N; i++) {
        assert_int_equal(replace(path, "same", 0), APR_SUCCESS);
        assert_int_equal(stek_file_stamp(path, &stamps[i]), APR_SUCCESS);
        for (int j = 0; j < i; j++) {
            assert_true(stamps[i].ino != stamps[j].ino || stamps[i].mtime_ns != stamps[j].mtime_ns);
        }
        assert_true(i == 0 || stamps[i].mtime_ns > stamps[i - 1].mtime_ns);
    }
}

static void test_file_replace_no_directory_fails(void **state)
{
    (void)state;
    assert_int_equal(replace(in_base("none/ring"), "x", 0), APR_ENOENT);
    assert_int_equal(replace(in_base("none/ring"), "x", STEK_FILE_FSYNC), APR_ENOENT);
    make_dir(in_base("ring"), 0700);
    assert_int_equal(replace(in_base("ring"), "x", 0), EISDIR);
    assert_int_equal(count_names(base, ".tmp-"), 0);
}

static void test_file_replace_unlocked_keeps_what_it_replaces(void **state)
{
    const stek_file_how_t how = {geteuid(), (uid_t)-1, (gid_t)-1, 0600, 0};
    const char *replaced = "set";
    char text[8];
    int fd;

    (void)state;
    assert_int_equal(stek_file_replace_unlocked(in_base("ring"), "first", 5, &how, &replaced, pool),
                     APR_SUCCESS);
    assert_null(replaced);
    assert_int_equal(
        stek_file_replace_unlocked(in_base("ring"), "second", 6, &how, &replaced, pool),
        APR_SUCCESS);
    assert_non_null(replaced);
    fd = open(replaced, O_RDONLY);
    assert_int_equal(read(fd, text, sizeof(text)), 5);
    assert_memory_equal(text, "first", 5);
    close(fd);
    fd = open(in_base("ring"), O_RDONLY);
    assert_int_equal(read(fd, text, sizeof(text)), 6);
    assert_memory_equal(text, "second", 6);
    close(fd);
    assert_int_equal(count_names(base, ".tmp-"), 1);
    unlink(replaced);
    assert_int_equal(
        stek_file_replace_unlocked(in_base("none/ring"), "x", 1, &how, &replaced, pool),
        APR_ENOENT);
    assert_null(replaced);
}

static void make_aged(const char *path, int age_s)
{
    struct timespec times[2] = {{0, UTIME_OMIT}, {time(NULL) - age_s, 0}};

    make_file(path, "x", 1, 0600);
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void test_file_replace_leftovers_are_swept_after_a_minute(void **state)
{
    /* Too young; then names of others: a date is the name of a copy. */
    static const char *const kept[] = {
        "ring.tmp-0000000000000003",  "ring.tmp-",   "ring.tmp-7",   "ring.tmp-20261120",
        "ring.tmp-2026112010150",     "ring.tmp-7x", "ring.tmp-7-8", "xring.tmp-0000000000000007",
        "other.tmp-0000000000000007", "ring.old"};

    (void)state;
    make_aged(in_base("ring.tmp-0000000000000001"), 100);
    make_aged(in_base("ring.tmp-9999999999999999"), 100000);
    make_aged(in_base("ring.tmp-1111111111111111"), -72000); /* the clock was ahead */
    make_aged(in_base(kept[0]), 30);
    for (size_t i = 1; i < sizeof(kept) / sizeof(kept[0]); i++) {
        make_aged(in_base(kept[i]), 100000);
    }
    make_dir(in_base("ring.tmp-0000000000000005"), 0700);
    make_link("ring.old", in_base("ring.tmp-0000000000000006"));
    assert_int_equal(replace(in_base("ring"), "new", 0), APR_SUCCESS);
    assert_int_equal(access(in_base("ring.tmp-0000000000000001"), F_OK), -1);
    assert_int_equal(access(in_base("ring.tmp-9999999999999999"), F_OK), -1);
    assert_int_equal(access(in_base("ring.tmp-1111111111111111"), F_OK), -1);
    for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
        assert_int_equal(access(in_base(kept[i]), F_OK), 0);
    }
    assert_int_equal(access(in_base("ring.tmp-0000000000000005"), F_OK), 0);
    assert_int_equal(access(in_base("ring.tmp-0000000000000006"), F_OK), 0);
}

/* Whoever guesses a name of temporary files keeps nobody from writing, and loses nothing. */
static void test_file_replace_taken_names_block_nothing(void **state)
{
    const char *own = apr_psprintf(pool, "%s/ring.tmp-%ld", base, (long)getpid());

    (void)state;
    make_file(in_base("victim"), "untouched", 9, 0600);
    make_dir(own, 0700);
    assert_int_equal(replace(in_base("ring"), "new", 0), APR_SUCCESS);
    assert_string_equal(file_text(in_base("ring")), "new");
    assert_int_equal(rmdir(own), 0);
    make_link("victim", own);
    assert_int_equal(replace(in_base("ring"), "newer", 0), APR_SUCCESS);
    assert_string_equal(file_text(in_base("ring")), "newer");
    assert_string_equal(file_text(in_base("victim")), "untouched");
    assert_int_equal(count_names(base, ".tmp-"), 1);
}

/* What has the name of a leftover, but is not what a writer leaves. */
static void test_file_replace_foreign_leftovers_are_kept(void **state)
{
    static const char hex[] = "ring.tmp-0123456789abcdef";

    (void)state;
    make_aged(in_base(hex), 100);
    make_aged(in_base("ring.tmp-0123456789abcdeg"), 100);
    make_aged(in_base("ring.tmp-123456789abcdef"), 100);
    make_aged(in_base("ring.tmp-0123456789ABCDEF"), 100);
    assert_int_equal(replace(in_base("ring"), "new", 0), APR_SUCCESS);
    assert_int_equal(access(in_base(hex), F_OK), -1);
    assert_int_equal(count_names(base, ".tmp-"), 3);
    /* a second name of a file of ours; a file of somebody else's */
    make_aged(in_base("precious"), 100);
    assert_int_equal(link(in_base("precious"), in_base("ring.tmp-0000000000000001")), 0);
    if (geteuid() == 0) {
        make_aged(in_base(hex), 100);
        assert_int_equal(chown(in_base(hex), NOBODY, NOBODY), 0);
    }
    assert_int_equal(replace(in_base("ring"), "new", 0), APR_SUCCESS);
    assert_int_equal(count_names(base, ".tmp-"), geteuid() == 0 ? 5 : 4);
}

static void assert_kept(const char *path, apr_status_t why)
{
    struct stat before, after;

    assert_int_equal(lstat(path, &before), 0);
    assert_int_equal(replace(path, "new", 0), why);
    assert_int_equal(lstat(path, &after), 0);
    assert_int_equal(after.st_ino, before.st_ino);
    assert_int_equal(after.st_ctim.tv_nsec, before.st_ctim.tv_nsec);
    assert_int_equal(after.st_ctim.tv_sec, before.st_ctim.tv_sec);
}

static void test_file_replace_what_is_no_file_of_ours_is_kept(void **state)
{
    (void)state;
    make_file(in_base("victim"), "x", 1, 0600);
    make_link("victim", in_base("link"));
    make_link("nowhere", in_base("dangling"));
    make_dir(in_base("dir"), 0700);
    assert_int_equal(mkfifo(in_base("fifo"), 0600), 0);
    make_file(in_base("two"), "x", 1, 0600);
    assert_int_equal(link(in_base("two"), in_base("names")), 0);
    assert_kept(in_base("link"), STEK_EKIND);
    assert_kept(in_base("dangling"), STEK_EKIND);
    assert_kept(in_base("dir"), EISDIR);
    assert_kept(in_base("fifo"), STEK_EKIND);
    assert_kept(in_base("two"), STEK_EFOREIGN);
    if (geteuid() == 0) {
        make_file(in_base("theirs"), "x", 1, 0600);
        assert_int_equal(chown(in_base("theirs"), NOBODY, NOBODY), 0);
        assert_kept(in_base("theirs"), STEK_EFOREIGN);
    }
    assert_int_equal(count_names(base, ".tmp-"), 0);
}

static void test_file_replace_shared_directory_is_refused(void **state)
{
    static const struct {
        int mode;
        apr_status_t rv;
    } cases[] = {{01777, STEK_ESHARED}, {01770, STEK_ESHARED}, {01702, STEK_ESHARED},
                 {0777, STEK_EPERM},    {0770, STEK_EPERM},    {01755, APR_SUCCESS},
                 {0755, APR_SUCCESS}};
    stek_lock_t lock;

    (void)state;
    make_dir(in_base("sticky"), 01777);
    make_dir(in_base("sticky/dir"), 0700);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *path = in_base("sticky/dir/ring");
        apr_status_t rv;

        assert_int_equal(chmod(in_base("sticky/dir"), (mode_t)cases[i].mode), 0);
        culprit = NULL;
        rv = stek_path_check_written(path, geteuid(), &culprit, pool);
        assert_int_equal(rv, cases[i].rv);
        assert_true(rv == APR_SUCCESS || strcmp(culprit, in_base("sticky/dir")) == 0);
        assert_int_equal(replace(path, "x", 0), cases[i].rv);
        rv = stek_lock_take(path, 0, &lock, NULL, pool);
        assert_int_equal(rv == APR_SUCCESS, cases[i].rv == APR_SUCCESS);
        if (rv == APR_SUCCESS) {
            stek_lock_release(&lock);
            assert_int_equal(unlink(path), 0);
            assert_int_equal(unlink(in_base("sticky/dir/ring.lock")), 0);
        }
        assert_int_equal(count_names(in_base("sticky/dir"), "ring"), 0);
    }
    /* a directory that is a link, and one that is not there */
    make_link("sticky", in_base("link"));
    assert_int_equal(replace(in_base("link/ring"), "x", 0), STEK_ESHARED);
    assert_int_equal(stek_path_check_written(in_base("link/dir/ring"), geteuid(), NULL, pool),
                     APR_SUCCESS);
    assert_int_equal(stek_path_check_written(in_base("none/ring"), geteuid(), NULL, pool),
                     APR_ENOENT);
}

static apr_status_t placed(const char *name, uid_t owner)
{
    culprit = NULL;
    return stek_path_check_placed(in_base(name), owner, &culprit, pool);
}

/* Whoever may trust a user's file must not take a place that he has made for himself. */
static void test_path_check_placed_what_is_in_a_sticky_directory_is_roots(void **state)
{
    (void)state;
    need_other_users();
    make_dir(in_base("sticky"), 01777);
    make_dir(in_base("sticky/his"), 0755);
    make_dir(in_base("sticky/roots"), 0755);
    make_dir(in_base("sticky/roots/his"), 0755);
    assert_int_equal(chown(in_base("sticky/his"), NOBODY, NOBODY), 0);
    assert_int_equal(chown(in_base("sticky/roots/his"), NOBODY, NOBODY), 0);
    assert_int_equal(stek_path_check_written(in_base("sticky/his/s"), NOBODY, NULL, pool),
                     APR_SUCCESS);
    assert_int_equal(placed("sticky/his/s", NOBODY), STEK_EPERM);
    assert_string_equal(culprit, in_base("sticky/his"));
    assert_int_equal(placed("sticky/roots/../his/s", NOBODY), STEK_EPERM);
    assert_int_equal(placed("sticky/roots/his/s", NOBODY), APR_SUCCESS);
    assert_int_equal(placed("sticky/roots/his/s", 0), STEK_EPERM);
    assert_int_equal(placed("sticky/s", NOBODY), STEK_ESHARED);
    /* a link of his in a sticky directory, and one of root's */
    make_link("sticky/his", in_base("link"));
    make_link("roots/his", in_base("sticky/link"));
    assert_int_equal(placed("link/s", NOBODY), STEK_EPERM);
    assert_int_equal(placed("sticky/link/s", NOBODY), APR_SUCCESS);
    assert_int_equal(lchown(in_base("sticky/link"), NOBODY, NOBODY), 0);
    assert_int_equal(placed("sticky/link/s", NOBODY), STEK_EPERM);
    assert_int_equal(chmod(in_base("sticky/roots"), 0775), 0);
    assert_int_equal(placed("sticky/roots/his/s", NOBODY), STEK_EPERM);
    assert_string_equal(stek_owner_describe(culprit, 0, pool),
                        apr_pstrcat(pool, culprit,
                                    " (owner root, mode 0775; wanted: owner root, not writable by "
                                    "group or others: chmod go-w)",
                                    NULL));
    assert_string_equal(stek_owner_describe(in_base("sticky"), 0, pool),
                        apr_pstrcat(pool, in_base("sticky"), " (owner root, mode 1777)", NULL));
    assert_string_equal(stek_owner_describe(in_base("sticky/his"), 0, pool),
                        apr_pstrcat(pool, in_base("sticky/his"),
                                    " (owner uid 65534, mode 0755; wanted: owner root: chown root)",
                                    NULL));
}

/* Whatever refuses a file says what is wanted: once that is done, it is accepted. */
static void test_owner_describe_what_it_wants_is_enough(void **state)
{
    static const mode_t modes[] = {0600, 0640, 0644, 0660, 0666, 0622, 0700, 0755, 0604};
    const char *path = in_base("described"), *words;
    struct stat st;
    size_t i;

    (void)state;
    make_file(path, "1", 1, 0600);
    for (i = 0; i < 2 * sizeof(modes) / sizeof(modes[0]); i++) {
        mode_t mode = modes[i / 2];
        uid_t owner = i % 2 ? NOBODY : 0;
        /* Only root can give a file away; others look at their own. */
        int given = lchown(path, owner, 0) == 0;

        assert_int_equal(chmod(path, mode), 0);
        assert_int_equal(lstat(path, &st), 0);
        assert_true(!given || st.st_uid == owner);
        words = stek_owner_describe(path, 0, pool);
        assert_non_null(strstr(
            words, apr_psprintf(pool, "(owner %s, mode %04o; wanted: owner root",
                                st.st_uid == 0 ? "root" : apr_psprintf(pool, "uid %u", st.st_uid),
                                (unsigned)mode)));
        assert_int_equal(strstr(words, "chown root") != NULL, st.st_uid != 0);
        assert_int_equal(strstr(words, "chmod go-w") != NULL, (mode & 022) != 0);
        assert_int_equal(strstr(words, "chmod 600") != NULL, st.st_uid == 0 && (mode & 022) == 0);
    }
    assert_string_equal(stek_owner_describe(in_base("nothing"), 0, pool), in_base("nothing"));
}

static void test_path_missing_dir_is_the_first_that_is_missing(void **state)
{
    (void)state;
    assert_int_equal(mkdir(in_base("there"), 0755), 0);
    assert_null(stek_path_missing_dir(in_base("there/x"), pool));
    assert_null(stek_path_missing_dir("x", pool));
    assert_null(stek_path_missing_dir("/x", pool));
    assert_string_equal(stek_path_missing_dir(in_base("there/a/x"), pool), in_base("there/a"));
    assert_string_equal(stek_path_missing_dir(in_base("there/a/b/c/x"), pool), in_base("there/a"));
    assert_string_equal(stek_path_missing_dir("no/such/x", pool), "no");
    make_file(in_base("there/file"), "1", 1, 0600);
    assert_null(stek_path_missing_dir(in_base("there/file/x"), pool));
}

/* Somebody swaps names between opening a file and checking where it lies. */
static void test_path_check_opened_what_the_path_leads_to_is_what_was_opened(void **state)
{
    struct stat one, other;

    (void)state;
    make_file(in_base("one"), "1", 1, 0600);
    make_file(in_base("other"), "2", 1, 0600);
    make_link("one", in_base("link"));
    assert_int_equal(stat(in_base("one"), &one), 0);
    assert_int_equal(stat(in_base("other"), &other), 0);
    assert_int_equal(stek_path_check_opened(in_base("one"), geteuid(), &one, NULL, pool),
                     APR_SUCCESS);
    assert_int_equal(stek_path_check_opened(in_base("link"), geteuid(), &one, NULL, pool),
                     APR_SUCCESS);
    assert_int_equal(stek_path_check_opened(in_base("one"), geteuid(), &other, NULL, pool),
                     STEK_ECHANGED);
    assert_int_equal(stek_path_check_opened(in_base("link"), geteuid(), &other, NULL, pool),
                     STEK_ECHANGED);
    assert_int_equal(stek_path_check_opened(in_base("none"), geteuid(), &other, NULL, pool),
                     STEK_ECHANGED);
}

static int replace_under_limit(void *data)
{
    struct rlimit limit = {4096, 4096};
    const stek_file_how_t how = {geteuid(), (uid_t)-1, (gid_t)-1, 0640, 0};
    char *big = calloc(1, 100000);
    int rc;

    (void)data;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &limit);
    rc = stek_file_replace(in_base("ring"), big, 100000, &how, pool) != EFBIG;
    free(big);
    return rc;
}

static void test_file_replace_cut_short_keeps_the_old(void **state)
{
    (void)state;
    assert_int_equal(replace(in_base("ring"), "old", 0), APR_SUCCESS);
    assert_int_equal(run_in_child(replace_under_limit, NULL), 0);
    assert_string_equal(file_text(in_base("ring")), "old");
    assert_int_equal(count_names(base, "ring"), 1);
}

/* On a file system of 64 KiB in a mount namespace of the child's: gone with it.  Returns what went
 * wrong; an assertion would go on with the parent's tests. */
static int replace_on_full_disk(void *data)
{
    const char *dir = in_base("small"), *path = in_base("small/ring");
    const stek_file_how_t how = {geteuid(), (uid_t)-1, (gid_t)-1, 0640, 0};
    static char big[65536];
    stek_lock_t lock;
    struct timespec times[2] = {{0, UTIME_OMIT}, {time(NULL) - 100, 0}};
    int fd;

    (void)data;
    if (!need_own_mounts() || mount("tmpfs", dir, "tmpfs", 0, "size=64k,mode=755") != 0) {
        return 77;
    }
    /* In a user namespace, what is root's outside belongs to nobody. */
    if (stek_path_check_written(path, geteuid(), NULL, pool) != APR_SUCCESS) {
        return 77;
    }
    if (replace(path, "old", 0) != APR_SUCCESS || !stek_file_in_memory(path, pool)) {
        return 1;
    }
    if (stek_file_replace(path, big, sizeof(big), &how, pool) != APR_ENOSPC) {
        return 2;
    }
    if (strcmp(file_text(path), "old") != 0 || count_names(dir, "ring") != 1) {
        return 3;
    }
    /* not a byte left: even then the lock can be had, and nothing breaks */
    fd = open(in_base("small/filler"), O_WRONLY | O_CREAT, 0600);
    while (write(fd, big, 4096) > 0) {
    }
    close(fd);
    if (stek_lock_take(path, 0, &lock, NULL, pool) != APR_SUCCESS) {
        return 4;
    }
    stek_lock_release(&lock);
    if (replace(path, "new", 0) != APR_ENOSPC || strcmp(file_text(path), "old") != 0
        || count_names(dir, ".tmp-") != 0) {
        return 5;
    }
    /* a killed writer's leftover that fills the disk is swept before writing */
    if (rename(in_base("small/filler"), in_base("small/ring.tmp-0000000000000001")) != 0
        || utimensat(AT_FDCWD, in_base("small/ring.tmp-0000000000000001"), times, 0) != 0) {
        return 6;
    }
    return replace(path, "new", 0) == APR_SUCCESS && strcmp(file_text(path), "new") == 0 ? 0 : 7;
}

static void test_file_replace_full_disk_keeps_the_old(void **state)
{
    int rc;

    (void)state;
    make_dir(in_base("small"), 0755);
    rc = run_in_child(replace_on_full_disk, NULL);
    /* the limit above says the same of EFBIG */
    need_or_skip(rc != 77, "the right to mount, as root or in a user namespace");
    assert_int_equal(rc, 0);
}

/* ---- the lock */

static void test_file_lock_free_is_taken_signed_and_freed(void **state)
{
    const char *path = in_base("ring");
    char pid[32];
    stek_lock_t lock;
    struct stat st;
    mode_t old_mask = umask(0);

    (void)state;
    assert_int_equal(stek_lock_take(path, 0, &lock, NULL, pool), APR_SUCCESS);
    umask(old_mask);
    assert_true(lock.fd >= 0);
    snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());
    assert_string_equal(file_text(in_base("ring.lock")), pid);
    assert_int_equal(stat(in_base("ring.lock"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    stek_lock_release(&lock);
    assert_int_equal(lock.fd, -1);
    stek_lock_release(&lock);
    assert_string_equal(file_text(in_base("ring.lock")), "");
    assert_int_equal(stek_lock_take(path, 0, &lock, NULL, pool), APR_SUCCESS);
    stek_lock_release(&lock);
}

/* A child that takes the lock and stops. */
static pid_t stopped_holder(const char *path)
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        stek_lock_t lock;

        if (stek_lock_take(path, 0, &lock, NULL, pool) == APR_SUCCESS) {
            raise(SIGSTOP);
        }
        _exit(1);
    }
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    assert_true(WIFSTOPPED(status));
    return pid;
}

static void test_file_lock_held_by_stopped_process_is_reported_at_once(void **state)
{
    const char *path = in_base("ring");
    pid_t child = stopped_holder(path), holder = -1;
    stek_lock_t lock = {.fd = 7};
    int64_t start = now_ms(), took;

    (void)state;
    assert_int_equal(stek_lock_take(path, 0, &lock, &holder, pool), STEK_ELOCKED);
    assert_true(now_ms() - start < 500);
    assert_int_equal(holder, child);
    assert_int_equal(lock.fd, -1);
    assert_int_equal(stek_lock_take(path, 0, &lock, NULL, pool), STEK_ELOCKED);

    start = now_ms();
    assert_int_equal(stek_lock_take(path, apr_time_from_msec(55), &lock, &holder, pool),
                     STEK_ELOCKED);
    took = now_ms() - start;
    assert_true(took >= 50 && took <= 3000);
    assert_int_equal(holder, child);

    /* killed, it holds no longer, whatever its file says */
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    holder = -1;
    assert_int_equal(stek_lock_take(path, 0, &lock, &holder, pool), APR_SUCCESS);
    assert_int_equal(holder, -1);
    stek_lock_release(&lock);
}

static void test_file_lock_waiting_gets_it_when_freed(void **state)
{
    const char *path = in_base("ring");
    pid_t child = stopped_holder(path), killer;
    stek_lock_t lock;

    (void)state;
    killer = fork();
    if (killer == 0) {
        apr_sleep(apr_time_from_msec(60));
        kill(child, SIGKILL);
        _exit(0);
    }
    assert_int_equal(stek_lock_take(path, SEC(30), &lock, NULL, pool), APR_SUCCESS);
    stek_lock_release(&lock);
    waitpid(child, NULL, 0);
    waitpid(killer, NULL, 0);
}

static void test_file_lock_forked_meanwhile_is_freed_all_the_same(void **state)
{
    const char *path = in_base("ring");
    stek_lock_t lock, again;
    pid_t child;

    (void)state;
    assert_int_equal(stek_lock_take(path, 0, &lock, NULL, pool), APR_SUCCESS);
    child = fork();
    if (child == 0) {
        for (;;) {
            pause();
        }
    }
    assert_int_equal(stek_lock_take(path, 0, &again, NULL, pool), STEK_ELOCKED);
    stek_lock_release(&lock);
    assert_int_equal(stek_lock_take(path, 0, &again, NULL, pool), APR_SUCCESS);
    stek_lock_release(&again);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

static void test_file_lock_open_mode_is_closed(void **state)
{
    struct stat st;
    stek_lock_t lock;

    (void)state;
    make_file(in_base("ring.lock"), "", 0, 0666);
    assert_int_equal(stek_lock_take(in_base("ring"), 0, &lock, NULL, pool), APR_SUCCESS);
    stek_lock_release(&lock);
    assert_int_equal(stat(in_base("ring.lock"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
}

static void test_file_lock_other_kinds_are_refused(void **state)
{
    stek_lock_t lock;
    int64_t start = now_ms();

    (void)state;
    make_file(in_base("victim"), "x", 1, 0644);
    make_link("victim", in_base("a.lock"));
    make_link("nowhere", in_base("b.lock"));
    make_dir(in_base("c.lock"), 0700);
    assert_int_equal(mkfifo(in_base("d.lock"), 0600), 0);
    assert_int_equal(stek_lock_take(in_base("a"), SEC(9), &lock, NULL, pool), STEK_EKIND);
    assert_int_equal(stek_lock_take(in_base("b"), SEC(9), &lock, NULL, pool), STEK_EKIND);
    assert_int_equal(stek_lock_take(in_base("c"), SEC(9), &lock, NULL, pool), STEK_EKIND);
    assert_int_equal(stek_lock_take(in_base("d"), SEC(9), &lock, NULL, pool), STEK_EKIND);
    assert_int_equal(stek_lock_take(in_base("no/e"), SEC(9), &lock, NULL, pool), APR_ENOENT);
    assert_true(now_ms() - start < 1000);
    assert_string_equal(file_text(in_base("victim")), "x");
    assert_int_equal(access(in_base("nowhere"), F_OK), -1);
}

/* Puts an ACL there as Linux stores it, with the rights of a user and of a group besides the owner's; 0: the
 * file system has none. */
static int set_acl(const char *path, unsigned user, unsigned user_rights, unsigned group_rights)
{
    const struct {
        unsigned version;
        struct {
            unsigned short tag, rights;
            unsigned id;
        } entries[5];
    } acl = {2,
             {{1, 6, -1U},
              {2, (unsigned short)user_rights, user},
              {4, (unsigned short)group_rights, -1U},
              {16, (unsigned short)(user_rights | group_rights), -1U},
              {32, 0, -1U}}};

    if (setxattr(path, "system.posix_acl_access", &acl, sizeof(acl), 0) != 0) {
        assert_int_equal(errno, ENOTSUP);
        return 0;
    }
    return 1;
}

/* As systemd gives a credential to a unit's user: root's, mode 0440, and the user alone in its ACL. */
static void test_file_secret_with_acl_for_its_reader_is_read(void **state)
{
    struct stat st;

    (void)state;
    need_other_users();
    make_file(in_base("acl"), "secret", 6, 0600);
    need_or_skip(set_acl(in_base("acl"), NOBODY, 4, 0), "a file system with access control lists");
    assert_int_equal(stat(in_base("acl"), &st), 0);
    assert_int_equal(st.st_mode & 0077, 0040);
    assert_int_equal(read_as(in_base("acl"), STEK_FILE_SECRET, NOBODY), APR_SUCCESS);
    /* another user's, a group's, or no ACL but the mode itself */
    assert_int_equal(read_as(in_base("acl"), STEK_FILE_SECRET, NOBODY - 1), STEK_EPERM);
    assert_true(set_acl(in_base("acl"), NOBODY, 4, 4));
    assert_int_equal(read_as(in_base("acl"), STEK_FILE_SECRET, NOBODY), STEK_EPERM);
    assert_true(set_acl(in_base("acl"), NOBODY, 6, 0));
    assert_int_equal(read_as(in_base("acl"), STEK_FILE_SECRET, NOBODY), STEK_EPERM);
    assert_int_equal(removexattr(in_base("acl"), "system.posix_acl_access"), 0);
    assert_int_equal(chmod(in_base("acl"), 0440), 0);
    assert_int_equal(read_as(in_base("acl"), STEK_FILE_SECRET, NOBODY), STEK_EPERM);
}

/* A file that is no lock's is neither cut nor closed, whoever can make it appear there. */
static void test_file_lock_foreign_file_is_kept(void **state)
{
    static const char *const texts[] = {"x",  "12 ",  "-4\n",
                                        "\n", "1\n2", "99999999999999999999999999\n"};
    struct stat before, after;
    stek_lock_t lock;

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        make_file(in_base("ring.lock"), texts[i], strlen(texts[i]), 0644);
        assert_int_equal(stat(in_base("ring.lock"), &before), 0);
        assert_int_equal(stek_lock_take(in_base("ring"), 0, &lock, NULL, pool), STEK_EFOREIGN);
        assert_string_equal(file_text(in_base("ring.lock")), texts[i]);
        assert_int_equal(stat(in_base("ring.lock"), &after), 0);
        assert_int_equal(after.st_mode, before.st_mode);
        assert_int_equal(unlink(in_base("ring.lock")), 0);
    }
    /* a second name of a file that even looks like one */
    make_file(in_base("victim"), "17\n", 3, 0644);
    assert_int_equal(link(in_base("victim"), in_base("ring.lock")), 0);
    assert_int_equal(stek_lock_take(in_base("ring"), 0, &lock, NULL, pool), STEK_EFOREIGN);
    assert_string_equal(file_text(in_base("victim")), "17\n");
    assert_int_equal(stat(in_base("victim"), &after), 0);
    assert_int_equal(after.st_mode & 07777, 0644);
    assert_int_equal(unlink(in_base("victim")), 0);
    if (geteuid() == 0) {
        assert_int_equal(chown(in_base("ring.lock"), NOBODY, NOBODY), 0);
        assert_int_equal(stek_lock_take(in_base("ring"), 0, &lock, NULL, pool), STEK_EPERM);
        /* but what the directory's owner has made there is a lock */
        assert_int_equal(chown(base, NOBODY, NOBODY), 0);
        assert_int_equal(stek_lock_take(in_base("ring"), 0, &lock, NULL, pool), APR_SUCCESS);
        stek_lock_release(&lock);
        assert_int_equal(chown(base, 0, 0), 0);
    }
}

/* A signature that was cut short is one. */
static void test_file_lock_leftover_of_a_dead_holder_is_taken(void **state)
{
    static const char *const texts[] = {"", "1", "12345\n"};
    stek_lock_t lock;

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        make_file(in_base("ring.lock"), texts[i], strlen(texts[i]), 0600);
        assert_int_equal(stek_lock_take(in_base("ring"), 0, &lock, NULL, pool), APR_SUCCESS);
        stek_lock_release(&lock);
        assert_int_equal(unlink(in_base("ring.lock")), 0);
    }
}

static void test_file_lock_holder_unknown_is_zero(void **state)
{
    static const char *const texts[] = {"", "x", "12", "-4\n", "99999999999999999999\n", "0\n"};
    stek_lock_t lock;
    int fd = open(in_base("ring.lock"), O_RDWR | O_CREAT, 0600);

    (void)state;
    assert_int_equal(flock(fd, LOCK_EX), 0);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        pid_t holder = -1;

        assert_int_equal(ftruncate(fd, 0), 0);
        assert_int_equal(pwrite(fd, texts[i], strlen(texts[i]), 0), (ssize_t)strlen(texts[i]));
        assert_int_equal(stek_lock_take(in_base("ring"), 0, &lock, &holder, pool), STEK_ELOCKED);
        assert_int_equal(holder, 0);
    }
    close(fd);
}

static void test_file_in_memory_tells_by_file_system(void **state)
{
    (void)state;
    assert_false(stek_file_in_memory("/proc/version", pool));
    assert_false(stek_file_in_memory("/proc/not-there", pool));
    assert_true(stek_file_in_memory("/not/there", pool));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, base_setup, base_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_file_read_plain_file_gives_bytes_and_stamp),
        TEST(test_file_read_missing_is_noent),
        TEST(test_file_read_sizes_up_to_the_buffer),
        TEST(test_file_read_sparse2_gi_b_is_too_big_unread),
        TEST(test_file_read_other_kinds_are_refused_at_once),
        TEST(test_file_read_link_loop_is_refused),
        TEST(test_file_read_chain_of_links_is_followed),
        TEST(test_file_read_unreadable_is_eacces),
        TEST(test_file_read_modes_open_to_others_are_refused),
        TEST(test_file_read_foreign_file_is_refused),
        TEST(test_file_read_directory_modes_open_ones_are_refused),
        TEST(test_file_read_any_directory_above_counts),
        TEST(test_file_read_foreign_directory_is_refused),
        TEST(test_file_read_link_through_unsafe_directory_is_refused),
        TEST(test_file_read_links_of_a_secret_volume_are_followed),
        TEST(test_file_read_foreign_link_in_sticky_directory_is_refused),
        TEST(test_file_read_relative_path_counts_from_the_root),
        TEST(test_file_check_dirs_odd_paths_are_answered),
        TEST(test_file_replace_new_and_old_in_one_step),
        TEST(test_file_replace_group_is_set),
        TEST(test_file_replace_exclusive_keeps_the_old),
        TEST(test_file_replace_open_reader_keeps_the_old),
        TEST(test_file_replace_quickly_every_stamp_is_new),
        TEST(test_file_replace_no_directory_fails),
        TEST(test_file_replace_unlocked_keeps_what_it_replaces),
        TEST(test_file_replace_leftovers_are_swept_after_a_minute),
        TEST(test_file_replace_taken_names_block_nothing),
        TEST(test_file_replace_foreign_leftovers_are_kept),
        TEST(test_file_replace_what_is_no_file_of_ours_is_kept),
        TEST(test_file_replace_shared_directory_is_refused),
        TEST(test_path_check_placed_what_is_in_a_sticky_directory_is_roots),
        TEST(test_owner_describe_what_it_wants_is_enough),
        TEST(test_path_missing_dir_is_the_first_that_is_missing),
        TEST(test_path_check_opened_what_the_path_leads_to_is_what_was_opened),
        TEST(test_file_replace_cut_short_keeps_the_old),
        TEST(test_file_replace_full_disk_keeps_the_old),
        TEST(test_file_lock_free_is_taken_signed_and_freed),
        TEST(test_file_lock_held_by_stopped_process_is_reported_at_once),
        TEST(test_file_lock_waiting_gets_it_when_freed),
        TEST(test_file_lock_forked_meanwhile_is_freed_all_the_same),
        TEST(test_file_lock_open_mode_is_closed),
        TEST(test_file_lock_other_kinds_are_refused),
        TEST(test_file_secret_with_acl_for_its_reader_is_read),
        TEST(test_file_lock_foreign_file_is_kept),
        TEST(test_file_lock_leftover_of_a_dead_holder_is_taken),
        TEST(test_file_lock_holder_unknown_is_zero),
        TEST(test_file_in_memory_tells_by_file_system),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
