/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What /proc says of swap and of mounts.
 */
#include "core_util.h"

#include <apr_general.h>
#include <apr_pools.h>

#include "stek_swappable.h"

#define HEADING "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"

static int is_on(const char *text)
{
    return stek_swappable_is_on(text, strlen(text));
}

static void test_swappable_is_on_any_line_behind_the_heading(void **state)
{
    (void)state;
    assert_false(is_on(""));
    assert_false(is_on("Filename"));
    assert_false(is_on(HEADING));
    assert_true(
        is_on(HEADING "/dev/sda2                               partition\t999420\t\t0\t\t-2\n"));
    assert_true(is_on(HEADING "/swapfile file 1 0 -2"));
}

static int swaps(const char *line)
{
    return stek_swappable_mount(line, strlen(line), 0, 39);
}

static void test_swappable_mount_is_tmpfs_without_noswap(void **state)
{
    (void)state;
    assert_true(swaps("63 43 0:39 / /mnt rw,relatime - tmpfs x rw,size=1024k,mode=755"));
    assert_true(swaps("63 43 0:39 / /mnt rw shared:7 master:2 - tmpfs tmpfs rw"));
    assert_true(swaps("63 43 0:39 /sub /run/with\\040blank rw,noswap shared:7 - tmpfs noswap rw"));
    assert_false(swaps("63 43 0:39 / /mnt rw,relatime - tmpfs x rw,size=1024k,mode=755,noswap"));
    assert_false(swaps("63 43 0:39 / /mnt rw,relatime shared:1 - tmpfs x noswap,rw"));
    assert_true(swaps("63 43 0:39 / /mnt rw - tmpfs x rw,noswapx,xnoswap"));
    assert_false(swaps("63 43 0:39 / /mnt rw - ramfs x rw"));
    assert_false(swaps("63 43 0:39 / /mnt rw - ext4 tmpfs rw"));
    assert_false(swaps("63 43 0:3 / /mnt rw - tmpfs x rw"));
    assert_false(swaps("63 43 0:399 / /mnt rw - tmpfs x rw"));
    assert_false(swaps("63 43 1:39 / /mnt rw - tmpfs x rw"));
    assert_false(swaps("0:39 0:39 1:1 / /mnt rw - tmpfs x rw"));
}

/* Cut anywhere, it is never more than the line said. */
static void test_swappable_mount_is_cut_lines_are_none(void **state)
{
    static const char line[] = "63 43 0:39 / /mnt rw,relatime shared:7 - tmpfs x rw";

    (void)state;
    for (size_t len = 0; len < sizeof(line) - 3; len++) {
        char *cut = malloc(len + 1);

        memcpy(cut, line, len);
        assert_false(stek_swappable_mount(cut, len, 0, 39));
        free(cut);
    }
}

static void test_swappable_reaches_what_is_no_tmpfs_never(void **state)
{
    apr_pool_t *pool;

    (void)state;
    assert_int_equal(apr_initialize(), APR_SUCCESS);
    assert_int_equal(apr_pool_create(&pool, NULL), APR_SUCCESS);
    assert_false(stek_swappable_file("/proc/version", pool));
    assert_false(stek_swappable_file("/not/there", pool));
    apr_pool_destroy(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_swappable_is_on_any_line_behind_the_heading),
        cmocka_unit_test(test_swappable_mount_is_tmpfs_without_noswap),
        cmocka_unit_test(test_swappable_mount_is_cut_lines_are_none),
        cmocka_unit_test(test_swappable_reaches_what_is_no_tmpfs_never),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
