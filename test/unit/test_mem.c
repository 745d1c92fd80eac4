/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locked memory, against the kernel's own account of it (/proc/self/smaps) and real forks.
 */
#include "core_util.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "need.h"
#include "stek_mem.h"

static apr_size_t page_len;

/* The program's own munmap goes before libc's: what is still in a block when it is released. */
static void *watched;
static int watched_seen, watched_dirty;

int munmap(void *addr, size_t len)
{
    char *start = addr;

    if (watched && start <= (char *)watched && (char *)watched < start + len) {
        size_t i;

        watched_seen = 1;
        for (i = 0; i < len; i++) {
            watched_dirty |= start[i] != 0;
        }
        watched = NULL;
    }
    return (int)syscall(SYS_munmap, addr, len);
}

/* Sanitizers turn mlock into nothing; here it is the system's. */
int mlock(const void *addr, size_t len)
{
    return (int)syscall(SYS_mlock, addr, len);
}

/* The VmFlags of the mapping that holds addr: " rd wr mr ... ", or "" if there is none. */
static const char *vm_flags(const void *addr)
{
    static char line[512];
    FILE *smaps = fopen("/proc/self/smaps", "r");
    int inside = 0;

    assert_non_null(smaps);
    while (fgets(line, sizeof(line), smaps)) {
        unsigned long start, end;

        if (sscanf(line, "%lx-%lx ", &start, &end) == 2) {
            inside = (unsigned long)(uintptr_t)addr >= start
                     && (unsigned long)(uintptr_t)addr < end;
        }
        else if (inside && strncmp(line, "VmFlags:", 8) == 0) {
            fclose(smaps);
            line[strcspn(line, "\n")] = ' ';
            return line + 8;
        }
    }
    fclose(smaps);
    return "";
}

static int all_bytes_are(const void *block, apr_size_t len, unsigned char value)
{
    const unsigned char *bytes = block;
    apr_size_t i;

    for (i = 0; i < len && bytes[i] == value; i++) {
    }
    return i == len;
}

/* Runs check(block) in a child; its result. */
static int in_child(int (*check)(void *block), void *block)
{
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        _exit(check(block));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_mem_alloc_sizes_zeroed_whole_pages(void **state)
{
    const apr_size_t lens[] = {
        1, 64, page_len - 65, page_len - 64, page_len - 63, page_len, 10 * page_len + 1, 600000};
    apr_size_t i;

    (void)state;
    for (i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        void *block = stek_mem_alloc(lens[i]);

        assert_non_null(block);
        assert_true((uintptr_t)block % 64 == 0);
        assert_true(all_bytes_are(block, lens[i], 0));
        memset(block, 0xa5, lens[i]);
        assert_true(stek_mem_size(block) > lens[i]);
        assert_true(stek_mem_size(block) < lens[i] + 64 + page_len);
        assert_true(stek_mem_size(block) % page_len == 0);
        stek_mem_free(block);
    }
}

static void test_mem_alloc_impossible_null(void **state)
{
    (void)state;
    errno = 0;
    assert_null(stek_mem_alloc(0));
    assert_int_equal(errno, EINVAL);
    errno = 0;
    assert_null(stek_mem_alloc(APR_SIZE_MAX));
    assert_int_equal(errno, ENOMEM);
    errno = 0;
    assert_null(stek_mem_alloc(APR_SIZE_MAX / 2));
    assert_int_equal(errno, ENOMEM);
}

static void test_mem_alloc_flags_locked_not_dumped(void **state)
{
    char *block = stek_mem_alloc(3 * page_len);
    const char *flags;

    (void)state;
    assert_non_null(block);
    flags = vm_flags(block);
    assert_non_null(strstr(flags, " lo "));
    assert_non_null(strstr(flags, " dd "));
    flags = vm_flags(block + 3 * page_len - 1);
    assert_non_null(strstr(flags, " lo "));
    assert_non_null(strstr(flags, " dd "));
    stek_mem_free(block);
}

static void test_mem_free_content_wiped(void **state)
{
    char *block = stek_mem_alloc(2 * page_len);

    (void)state;
    assert_non_null(block);
    memset(block, 0x77, 2 * page_len);
    watched = block;
    watched_seen = watched_dirty = 0;
    stek_mem_free(block);
    assert_true(watched_seen);
    assert_false(watched_dirty);
    assert_string_equal(vm_flags(block), "");
}

static void test_mem_free_null_ignored(void **state)
{
    (void)state;
    stek_mem_free(NULL);
}

static int check_lock_again(void *block)
{
    if (strstr(vm_flags(block), " lo ")) {
        return 1;
    }
    if (stek_mem_lock(block) != APR_SUCCESS) {
        return 2;
    }
    return strstr(vm_flags(block), " lo ") && strstr(vm_flags(block), " dd ") ? 0 : 3;
}

static void test_mem_lock_child_locks_again(void **state)
{
    void *block = stek_mem_alloc(page_len);

    (void)state;
    assert_non_null(block);
    assert_int_equal(in_child(check_lock_again, block), 0);
    stek_mem_free(block);
}

static int check_without_limit(void *block)
{
    const struct rlimit none = {0, 0};

    (void)block;
    if (setrlimit(RLIMIT_MEMLOCK, &none) != 0 || (geteuid() == 0 && setuid(65534) != 0)) {
        return 1;
    }
    block = stek_mem_alloc(100);
    if (!block) {
        return 2;
    }
    if (stek_mem_lock(block) == APR_SUCCESS) {
        return 3;
    }
    stek_mem_free(block);
    return stek_mem_lock_limit() == 0 ? 0 : 4;
}

static void test_mem_alloc_lock_refused_still_usable(void **state)
{
    (void)state;
    if (geteuid() == 0) {
        need_other_users();
    }
    assert_int_equal(in_child(check_without_limit, NULL), 0);
}

static int check_limit_values(void *block)
{
    struct rlimit limit;

    (void)block;
    if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0) {
        return 1;
    }
    if (limit.rlim_cur == RLIM_INFINITY && stek_mem_lock_limit() != APR_SIZE_MAX) {
        return 2;
    }
    limit.rlim_cur = 12288;
    if (setrlimit(RLIMIT_MEMLOCK, &limit) != 0) {
        return 3;
    }
    return stek_mem_lock_limit() == 12288 ? 0 : 4;
}

static void test_mem_lock_limit_set_reported(void **state)
{
    (void)state;
    assert_int_equal(in_child(check_limit_values, NULL), 0);
}

static int check_has_content(void *block)
{
    if (!all_bytes_are(block, page_len, 0x33)) {
        return 1;
    }
    stek_mem_free(block);
    return 0;
}

static int check_is_wiped(void *block)
{
    if (!all_bytes_are(block, page_len, 0)) {
        return 1;
    }
    if (stek_mem_size(block) != 0 || stek_mem_lock(block) != APR_EINVAL) {
        return 2;
    }
    stek_mem_free(block);
    return 0;
}

static void test_mem_wipe_on_fork_switched_zeros_or_content(void **state)
{
    void *block = stek_mem_alloc(page_len);

    (void)state;
    assert_non_null(block);
    memset(block, 0x33, page_len);
    assert_int_equal(in_child(check_has_content, block), 0);
    assert_int_equal(stek_mem_wipe_on_fork(block, 1), APR_SUCCESS);
    assert_int_equal(in_child(check_is_wiped, block), 0);
    assert_true(all_bytes_are(block, page_len, 0x33));
    assert_int_equal(stek_mem_wipe_on_fork(block, 0), APR_SUCCESS);
    assert_int_equal(in_child(check_has_content, block), 0);
    stek_mem_free(block);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mem_alloc_sizes_zeroed_whole_pages),
        cmocka_unit_test(test_mem_alloc_impossible_null),
        cmocka_unit_test(test_mem_alloc_flags_locked_not_dumped),
        cmocka_unit_test(test_mem_free_content_wiped),
        cmocka_unit_test(test_mem_free_null_ignored),
        cmocka_unit_test(test_mem_lock_child_locks_again),
        cmocka_unit_test(test_mem_alloc_lock_refused_still_usable),
        cmocka_unit_test(test_mem_lock_limit_set_reported),
        cmocka_unit_test(test_mem_wipe_on_fork_switched_zeros_or_content),
    };

    page_len = (apr_size_t)sysconf(_SC_PAGESIZE);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
