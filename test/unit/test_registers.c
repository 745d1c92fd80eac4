/* SPDX-License-Identifier: Apache-2.0 */
/*
 * No key byte stays in the processor's vector registers, as XSAVE shows them, once what worked with
 * it has released its memory.  x86-64 only: elsewhere there is nothing to look with.
 */
#include "core_util.h"

#include "stek_mem.h"
#include "stek_ring_merge.h"
#include "stek_schedule.h"
#include "stek_seal.h"

#ifdef __x86_64__
#include <cpuid.h>

#define HALF_LEN 16

static const stek_params_t params = {HOUR, 18 * HOUR, 20};

/* All registers that the system has enabled; the area holds those with AMX, too. */
static _Alignas(64) unsigned char area[16384];

#define DUMP_REGISTERS()                                                                           \
    __asm__ volatile("xsave64 %0" : "+m"(area) : "a"(0xffffffff), "d"(0xffffffff) : "memory")

static int dump_holds(const unsigned char *secret, size_t len)
{
    return memmem(area, sizeof(area), secret, len) != NULL;
}

/* Whether half a secret of one of the ring's keys is in the dump. */
static int dump_holds_keys(const stek_ring_t *ring)
{
    int holds = 0;

    for (apr_size_t i = 0; i < ring->key_n; i++) {
        const stek_key_t *key = &ring->keys[i];

        holds |= dump_holds(key->hmac_key, HALF_LEN) | dump_holds(key->hmac_key + 16, HALF_LEN)
                 | dump_holds(key->aes_key, HALF_LEN) | dump_holds(key->aes_key + 16, HALF_LEN);
    }
    return holds;
}

static stek_ring_t *empty_ring(void)
{
    stek_ring_t *ring;

    assert_int_equal(stek_ring_create(0, 0, &ring), APR_SUCCESS);
    return ring;
}

static stek_ring_t *prepared_ring(void)
{
    stek_ring_t *none = empty_ring(), *ring;
    apr_size_t made;

    assert_int_equal(stek_schedule_extend(none, &params, T0, stek_rng_system, &ring, &made),
                     APR_SUCCESS);
    stek_ring_destroy(none);
    ring->generation = 1;
    ring->written_at = T0;
    ring->interval = params.interval;
    ring->lifetime = params.lifetime;
    return ring;
}

static void test_registers_wiped_after_copies_of_any_length(void **state)
{
    static void *(*volatile const copy)(void *, const void *, size_t) = memmove;
    static unsigned char pattern[8192], to[sizeof(pattern)];

    (void)state;
    for (size_t i = 0; i < sizeof(pattern); i++) {
        pattern[i] = (unsigned char)(0xa0 + i % HALF_LEN);
    }
    __asm__ volatile("movdqu (%0), %%xmm15" : : "r"(pattern) : "xmm15");
    DUMP_REGISTERS();
    assert_true(dump_holds(pattern, HALF_LEN));
    for (size_t len = HALF_LEN; len <= sizeof(pattern); len += HALF_LEN) {
        copy(to, pattern, len);
        stek_mem_wipe_registers();
        DUMP_REGISTERS();
        assert_false(dump_holds(pattern, HALF_LEN));
    }
}

static void test_registers_wiped_after_keys_are_made(void **state)
{
    stek_ring_t *ring = prepared_ring();

    DUMP_REGISTERS();
    (void)state;
    assert_true(ring->key_n >= 20);
    assert_false(dump_holds_keys(ring));
    stek_ring_destroy(ring);
}

static void test_registers_wiped_after_merge(void **state)
{
    stek_ring_t *ring = prepared_ring(), *other = prepared_ring(), *merged;

    (void)state;
    assert_int_equal(stek_ring_merge(ring, other, T0, params.lifetime, &merged), APR_SUCCESS);
    assert_false(stek_ring_equal(merged, ring));
    stek_ring_destroy(other);
    DUMP_REGISTERS();
    assert_false(dump_holds_keys(merged));
    stek_ring_destroy(merged);
    stek_ring_destroy(ring);
}

static void test_registers_wiped_after_seal_and_open(void **state)
{
    static const unsigned char random[STEK_RING_SALT_RANDOM_LEN];
    unsigned char *sealed;
    stek_ring_t *ring = prepared_ring(), *opened;
    stek_secrets_t *secrets;
    apr_size_t len;

    (void)state;
    assert_int_equal(stek_secrets_make(0, stek_rng_system, &secrets), APR_SUCCESS);
    assert_int_equal(stek_ring_seal(ring, &secrets->secrets[0], random, &sealed, &len),
                     APR_SUCCESS);
    DUMP_REGISTERS();
    assert_false(dump_holds_keys(ring));
    assert_false(dump_holds(secrets->secrets[0].bytes, HALF_LEN));
    assert_int_equal(stek_ring_unseal(sealed, len, secrets, 1, &opened, NULL), APR_SUCCESS);
    DUMP_REGISTERS();
    assert_false(dump_holds_keys(opened));
    assert_false(dump_holds(secrets->secrets[0].bytes, HALF_LEN));
    free(sealed);
    stek_ring_destroy(opened);
    stek_ring_destroy(ring);
    stek_secrets_destroy(secrets);
}

static int has_xsave(void)
{
    unsigned a, b, c = 0, d;

    return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_OSXSAVE) != 0;
}
#endif

int main(void)
{
#ifdef __x86_64__
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_registers_wiped_after_copies_of_any_length),
        cmocka_unit_test(test_registers_wiped_after_keys_are_made),
        cmocka_unit_test(test_registers_wiped_after_merge),
        cmocka_unit_test(test_registers_wiped_after_seal_and_open),
    };

    return has_xsave() ? cmocka_run_group_tests(tests, NULL, NULL) : 0;
#else
    return 0;
#endif
}
