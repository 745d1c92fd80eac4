/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is ours at a path: rings and secrets, good or bad, and nothing else.  And that a refused
 * ring is moved aside only if it is one.
 */
#include "core_util.h"

#include <signal.h>

#include "file_util.h"
#include "stek_claim.h"
#include "stek_error.h"
#include "stek_ring_aside.h"
#include "stek_ring_file.h"
#include "stek_secret_file.h"

static const char *found;

static apr_status_t claim(const stek_claim_t *of, const char *name)
{
    found = NULL;
    return stek_claim_check(of, in_base(name), geteuid(), &found, pool);
}

static void put(const char *name, const char *text)
{
    make_file(in_base(name), text, strlen(text), 0600);
}

static void assert_foreign(const stek_claim_t *of, const char *name, const char *words)
{
    assert_int_equal(claim(of, name), STEK_EFOREIGN);
    assert_non_null(found);
    assert_non_null(strstr(found, words));
}

static void test_claim_kinds_only_regular_files_are_ours(void **state)
{
    (void)state;
    make_dir(in_base("dir"), 0700);
    put("ring", "STEKRING");
    make_link("ring", in_base("link"));
    assert_int_equal(mkfifo(in_base("fifo"), 0600), 0);
    assert_int_equal(claim(&stek_claim_ring, "none"), APR_ENOENT);
    assert_int_equal(claim(&stek_claim_ring, "ring"), APR_SUCCESS);
    assert_foreign(&stek_claim_ring, "dir", "is a directory");
    assert_foreign(&stek_claim_ring, "link", "is a symbolic link");
    assert_foreign(&stek_claim_ring, "fifo", "is a named pipe");
    assert_int_equal(stek_claim_check(&stek_claim_ring, "/dev/null", geteuid(), &found, pool),
                     STEK_EFOREIGN);
    assert_string_equal(found, "is a device, not a regular file");
    assert_int_equal(link(in_base("ring"), in_base("second")), 0);
    assert_foreign(&stek_claim_ring, "ring", "2 names");
    assert_int_equal(unlink(in_base("second")), 0);
    if (geteuid() == 0) {
        assert_int_equal(chown(in_base("ring"), NOBODY, NOBODY), 0);
        assert_foreign(&stek_claim_ring, "ring",
                       "another user (uid 65534; if it is yours: chown root)");
        assert_int_equal(stek_claim_check(&stek_claim_ring, in_base("ring"), NOBODY, &found, pool),
                         APR_SUCCESS);
    }
}

static void test_claim_ring_by_its_magic(void **state)
{
    (void)state;
    put("a", "STEKRINGwhatever follows");
    put("b", "STEKRIN");
    put("c", "");
    put("d", "-----BEGIN PRIVATE KEY-----\nMIIE\n");
    put("e", "-----BEGIN ");
    put("f", " STEKRING");
    assert_int_equal(claim(&stek_claim_ring, "a"), APR_SUCCESS);
    assert_int_equal(claim(&stek_claim_ring, "c"), APR_SUCCESS);
    assert_foreign(&stek_claim_ring, "b", "is a file of 7 bytes, not a ring");
    assert_foreign(&stek_claim_ring, "d", "is a PEM file (PRIVATE KEY), not a ring");
    assert_foreign(&stek_claim_ring, "e", "is a PEM file");
    assert_foreign(&stek_claim_ring, "f", "not a ring");
    /* as large as may be, unread */
    assert_int_equal(truncate(in_base("a"), (off_t)1 << 31), 0);
    assert_int_equal(claim(&stek_claim_ring, "a"), APR_SUCCESS);
}

static void test_claim_secret_by_its_lines(void **state)
{
    static const char *const ours[] = {
        "", "# a comment\n\n", "stek-secret-v1 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n",
        "# rolled\nstek-secret-v1 mistyped\n",
        "stek-secret-v1 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"};
    static const char *const foreign[] = {"-----BEGIN EC PRIVATE KEY-----\n", "password\n",
                                          "see stek-secret-v1\n", "STEKRING", "stek-secret-v"};
    char *large = calloc(1, STEK_SECRET_FILE_MAX + 2);

    (void)state;
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
        put("x", ours[i]);
        assert_int_equal(claim(&stek_claim_secret, "x"), APR_SUCCESS);
    }
    for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
        put("x", foreign[i]);
        assert_foreign(&stek_claim_secret, "x", "not a secret file");
    }
    memset(large, '#', STEK_SECRET_FILE_MAX + 1);
    put("x", large);
    assert_foreign(&stek_claim_secret, "x", "of 8193 bytes");
    free(large);
}

/* A writer that replaces the file again and again makes nobody take it for somebody else's. */
static void test_claim_beside_a_writer_stays_ours(void **state)
{
    const stek_file_how_t how = {geteuid(), (uid_t)-1, (gid_t)-1, 0600, 0};
    pid_t writer;
    int i, status;

    (void)state;
    put("ring", "STEKRING");
    writer = fork();
    if (writer == 0) {
        for (;;) {
            (void)stek_file_replace(in_base("ring"), "STEKRING", 8, &how, pool);
        }
    }
    for (i = 0; i < 5000 && claim(&stek_claim_ring, "ring") == APR_SUCCESS;) {
        i++;
    }
    kill(writer, SIGKILL);
    waitpid(writer, &status, 0);
    assert_int_equal(i, 5000);
}

static void test_claim_floor_is_no_ring_nor_the_reverse(void **state)
{
    static const char ring[] = "STEKRINGvvffiiiilllleeeeeeee gggggg and so on";
    static const char floor[] = "STEKRINGvvffiiiilllleeeeeeeeSTKFLOOR and so on";
    const char *detail = NULL;
    stek_ring_file_t file;

    (void)state;
    put("ring", ring);
    put("floor", floor);
    assert_int_equal(claim(&stek_claim_ring, "ring"), APR_SUCCESS);
    assert_int_equal(claim(&stek_claim_floor, "floor"), APR_SUCCESS);
    assert_foreign(&stek_claim_ring, "floor", "is a fleet's floor, not a ring");
    assert_foreign(&stek_claim_floor, "ring", "is a ring, not a floor");
    assert_int_equal(claim(&stek_claim_sealed, "ring"), APR_SUCCESS);
    assert_int_equal(claim(&stek_claim_sealed, "floor"), APR_SUCCESS);
    assert_true(stek_claim_is_floor((const unsigned char *)floor, 36));
    assert_false(stek_claim_is_floor((const unsigned char *)floor, 35));
    stek_ring_file_init(&file, in_base("floor"), geteuid(), (gid_t)-1);
    assert_int_equal(stek_ring_set_aside(&file, SEC(1000), &detail, pool), STEK_EFOREIGN);
    assert_int_equal(stek_ring_set_aside_as(&stek_claim_floor, &file, SEC(1000), &detail, pool),
                     APR_SUCCESS);
    assert_int_equal(access(detail, F_OK), 0);
}

/* ---- set aside */

static apr_status_t aside(const char *name, const char **pdetail)
{
    stek_ring_file_t file;

    stek_ring_file_init(&file, in_base(name), geteuid(), (gid_t)-1);
    *pdetail = NULL;
    return stek_ring_set_aside(&file, SEC(1000), pdetail, pool);
}

static void test_claim_set_aside_a_ring_gets_a_free_name(void **state)
{
    const char *detail;

    (void)state;
    put("ring.refused-1000", "somebody's");
    put("ring", "STEKRING of before");
    assert_int_equal(aside("ring", &detail), APR_SUCCESS);
    assert_string_equal(detail, in_base("ring.refused-1000-2"));
    put("ring", "");
    assert_int_equal(aside("ring", &detail), APR_SUCCESS);
    assert_string_equal(detail, in_base("ring.refused-1000-3"));
    assert_int_equal(aside("ring", &detail), APR_ENOENT);
    assert_int_equal(count_names(base, "ring"), 3);
}

static void test_claim_set_aside_what_is_no_ring_stays(void **state)
{
    const char *detail;

    (void)state;
    put("key", "-----BEGIN PRIVATE KEY-----\n");
    make_dir(in_base("dir"), 0700);
    assert_int_equal(aside("key", &detail), STEK_EFOREIGN);
    assert_non_null(strstr(detail, "PEM"));
    assert_int_equal(aside("dir", &detail), STEK_EFOREIGN);
    assert_int_equal(access(in_base("key"), F_OK), 0);
    assert_int_equal(access(in_base("dir"), F_OK), 0);
    assert_int_equal(count_names(base, "refused"), 0);
}

/* Nothing is saved over what is no ring or secret. */
static void test_claim_save_over_another_file_is_refused(void **state)
{
    stek_secrets_t *secrets = NULL;
    stek_ring_t *ring = NULL;
    stek_ring_file_t file;

    (void)state;
    assert_int_equal(stek_secrets_make(0, stek_rng_system, &secrets), APR_SUCCESS);
    assert_int_equal(stek_ring_create(0, 0, &ring), APR_SUCCESS);
    ring->interval = SEC(60);
    ring->lifetime = SEC(60);
    put("key", "-----BEGIN PRIVATE KEY-----\n");
    stek_ring_file_init(&file, in_base("key"), geteuid(), (gid_t)-1);
    assert_int_equal(stek_ring_file_save(&file, ring, secrets, 0, stek_rng_system, NULL, pool),
                     STEK_EFOREIGN);
    assert_int_equal(stek_secret_file_save(in_base("key"), secrets, 0, pool), STEK_EFOREIGN);
    assert_string_equal(file_text(in_base("key")), "-----BEGIN PRIVATE KEY-----\n");
    put("key", "");
    assert_int_equal(stek_ring_file_save(&file, ring, secrets, 0, stek_rng_system, NULL, pool),
                     APR_SUCCESS);
    assert_int_equal(stek_secret_file_save(in_base("key"), secrets, 0, pool), STEK_EFOREIGN);
    stek_ring_destroy(ring);
    stek_secrets_destroy(secrets);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, base_setup, base_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_claim_kinds_only_regular_files_are_ours),
        TEST(test_claim_ring_by_its_magic),
        TEST(test_claim_secret_by_its_lines),
        TEST(test_claim_beside_a_writer_stays_ours),
        TEST(test_claim_floor_is_no_ring_nor_the_reverse),
        TEST(test_claim_set_aside_a_ring_gets_a_free_name),
        TEST(test_claim_set_aside_what_is_no_ring_stays),
        TEST(test_claim_save_over_another_file_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
