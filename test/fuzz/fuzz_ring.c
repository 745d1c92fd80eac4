/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ring as it lies in a file or a store.  The first byte chooses how far the rest is on its way:
 *
 *     0  the file, as it is read
 *     1  header fields (HEAD_LEN) and plaintext, sealed under a secret that the target knows
 *     2  the same behind the seal, without its cost; then all that is done with a good ring
 *     3  two such, by halves: how they merge
 *
 * What is decoded must encode to the same bytes: two forms of one ring would be two rings.
 */
#include "fuzz.h"

#include "convert/format.h"
#include "convert/export_keys.h"
#include "stek_health.h"
#include "stek_ring_merge.h"
#include "stek_schedule.h"

/* For what lies behind the seal. */
#include "../../src/stek_seal.c"

#define HEAD_LEN (SECRET_ID_AT - INTERVAL_AT)
#define PLAIN_MAX (64 * 1024)
#define T0 apr_time_from_sec(APR_INT64_C(1767225600))

static stek_secrets_t secrets;

static void make_secrets(void)
{
    if (secrets.n == 0) {
        secrets.n = 2;
        fuzz_rng_state = 1;
        fuzz_rng(secrets.secrets[0].bytes, STEK_SECRET_LEN);
        fuzz_rng(secrets.secrets[1].bytes, STEK_SECRET_LEN);
        HOLDS(stek_secret_set_id(&secrets.secrets[0]) == APR_SUCCESS
              && stek_secret_set_id(&secrets.secrets[1]) == APR_SUCCESS);
    }
}

/* The header that would stand before such a plaintext. */
static void make_header(const uint8_t *head, size_t plain_len, unsigned char *header)
{
    unsigned char *at = header;

    put_bytes(&at, (const unsigned char *)STEK_RING_MAGIC, STEK_RING_MAGIC_LEN);
    put_number(&at, STEK_RING_VERSION, 2);
    put_number(&at, 0, 2);
    put_bytes(&at, head, HEAD_LEN);
    put_bytes(&at, secrets.secrets[0].id, STEK_SECRET_ID_LEN);
    memset(at, 0, SALT_LEN);
    at += SALT_LEN;
    put_number(&at, plain_len + TAG_LEN, 4);
}

/* The ring encodes to header and plaintext as they were. */
static void check_canonical(const stek_ring_t *ring, const unsigned char *header,
                            const uint8_t *plain, size_t plain_len)
{
    static unsigned char again[PLAIN_MAX], again_header[STEK_RING_HEADER_LEN];

    HOLDS(is_sealable(ring));
    encode_header(ring, &secrets.secrets[0], plain_len, again_header);
    HOLDS(memcmp(again_header, header, SALT_AT) == 0);
    encode_plain(ring, again);
    HOLDS(memcmp(again, plain, plain_len) == 0);
}

/* HEAD_LEN bytes of header and a plaintext, as decode sees them; NULL if refused. */
static stek_ring_t *ring_of(const uint8_t *data, size_t size)
{
    unsigned char header[STEK_RING_HEADER_LEN];
    stek_ring_t *ring = NULL;
    size_t plain_len;
    work_t *work;

    if (size < HEAD_LEN + COUNTS_LEN || size - HEAD_LEN > PLAIN_MAX) {
        return NULL;
    }
    plain_len = size - HEAD_LEN;
    make_header(data, plain_len, header);
    work = stek_mem_alloc(sizeof(*work) + plain_len);
    HOLDS(work);
    memcpy(work->plain, data + HEAD_LEN, plain_len);
    if (decode(header, work, plain_len, &ring) == APR_SUCCESS) {
        check_canonical(ring, header, data + HEAD_LEN, plain_len);
    }
    stek_mem_free(work);
    return ring;
}

static void open_file(const uint8_t *data, size_t size)
{
    stek_ring_t *ring = NULL;

    if (stek_ring_unseal(data, size, &secrets, 1, &ring, NULL) == APR_SUCCESS) {
        HOLDS(is_sealable(ring) && stek_audit_ring(ring, NULL) == STEK_WEAK_NONE);
        stek_ring_destroy(ring);
    }
}

static void seal_and_open(const uint8_t *data, size_t size)
{
    static unsigned char sealed[STEK_RING_HEADER_LEN + PLAIN_MAX + TAG_LEN];
    size_t plain_len = size - HEAD_LEN;
    stek_ring_t *ring = NULL;
    work_t *work;

    if (size < HEAD_LEN + COUNTS_LEN || plain_len > PLAIN_MAX) {
        return;
    }
    make_header(data, plain_len, sealed);
    work = stek_mem_alloc(sizeof(*work) + plain_len);
    HOLDS(work);
    memcpy(work->plain, data + HEAD_LEN, plain_len);
    HOLDS(stek_box_seal(&ring_box, &secrets.secrets[0], data, sealed, STEK_RING_HEADER_LEN,
                        work->plain, plain_len, &work->box, sealed + STEK_RING_HEADER_LEN)
          == APR_SUCCESS);
    stek_mem_free(work);
    if (stek_ring_unseal(sealed, STEK_RING_HEADER_LEN + plain_len + TAG_LEN, &secrets, 1, &ring,
                         NULL)
        == APR_SUCCESS) {
        unsigned char random[STEK_RING_SALT_RANDOM_LEN] = {0}, *again;
        stek_ring_t *other;
        apr_size_t len;

        HOLDS(stek_ring_seal(ring, &secrets.secrets[0], random, &again, &len) == APR_SUCCESS);
        HOLDS(stek_ring_unseal(again, len, &secrets, 1, &other, NULL) == APR_SUCCESS);
        HOLDS(stek_ring_equal(ring, other));
        stek_ring_destroy(other);
        stek_ring_destroy(ring);
        free(again);
    }
}

static void export_as(const stek_ring_t *ring, format_e format, apr_time_t now)
{
    static unsigned char buf[PLAIN_MAX];
    static export_keys_t selection;
    apr_size_t len, i;

    if (export_keys_make(ring, format, now, NULL, &selection) != APR_SUCCESS) {
        return;
    }
    HOLDS(selection.lead && selection.key_n > 0 && selection.key_n <= STEK_KEYS_MAX);
    for (i = 0; i < selection.key_n; i++) {
        HOLDS(now < stek_key_end(selection.keys[i], ring->lifetime));
    }
    (void)format_emit(format, selection.keys, selection.key_n, buf, sizeof(buf), &len);
}

/* All that is done with a ring that was opened. */
static void use(const stek_ring_t *ring, apr_time_t now, const stek_params_t *params, int exports)
{
    const stek_key_t *current = stek_ring_current(ring, now);
    stek_ring_t *next = NULL;
    stek_health_t health;
    apr_size_t made;

    HOLDS(
        !current
        || (stek_key_can_encrypt(current, now) && stek_ring_find(ring, current->name) == current));
    HOLDS(stek_schedule_covered_until(ring, now) >= now);
    stek_health_judge(ring, params->interval, NULL, now, &health);
    HOLDS(!(health.problems & STEK_HEALTH_NO_KEY) == (current != NULL));
    if (stek_audit_ring(ring, NULL) != STEK_WEAK_NONE) {
        return;
    }
    for (int format = 0; exports && format < FORMAT_N; format++) {
        export_as(ring, (format_e)format, now);
    }
    fuzz_rng_state = 2;
    if (stek_schedule_extend(ring, params, now, fuzz_rng, &next, &made) == APR_SUCCESS) {
        HOLDS(stek_ring_current(next, now));
        stek_ring_destroy(next);
    }
}

static apr_time_t now_of(const stek_ring_t *ring)
{
    return ring->key_n > 0 ? ring->keys[0].not_before : ring->written_at;
}

static void merge_two(const stek_ring_t *a, const stek_ring_t *b)
{
    apr_time_t now = now_of(a);
    stek_ring_t *ab, *ba, *again;

    if (stek_ring_merge(a, b, now, a->lifetime, &ab) != APR_SUCCESS) {
        return;
    }
    HOLDS(stek_ring_merge(b, a, now, a->lifetime, &ba) == APR_SUCCESS && stek_ring_equal(ab, ba)
          && ab->generation == ba->generation && ab->written_at == ba->written_at);
    HOLDS(stek_ring_merge(ab, b, now, a->lifetime, &again) == APR_SUCCESS
          && stek_ring_equal(ab, again));
    HOLDS(ab->epoch >= a->epoch && ab->epoch >= b->epoch);
    stek_ring_destroy(again);
    stek_ring_destroy(ba);
    stek_ring_destroy(ab);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const stek_params_t hourly = STEK_PARAMS_DEFAULT;
    const stek_params_t quick = {apr_time_from_sec(1), apr_time_from_sec(60), 1};
    stek_ring_t *a = NULL, *b = NULL;
    size_t half;

    make_secrets();
    if (size < 1 + HEAD_LEN) {
        return 0;
    }
    switch (data[0] & 3) {
    case 0:
        open_file(data + 1, size - 1);
        break;
    case 1:
        seal_and_open(data + 1, size - 1);
        break;
    case 2:
        a = ring_of(data + 1, size - 1);
        if (a) {
            use(a, data[0] & 4 ? T0 : now_of(a), data[0] & 8 ? &quick : &hourly, data[0] & 16);
            merge_two(a, a);
        }
        break;
    default:
        half = (size - 1) / 2;
        a = ring_of(data + 1, half);
        b = ring_of(data + 1 + half, size - 1 - half);
        if (a && b) {
            merge_two(a, b);
        }
        break;
    }
    stek_ring_destroy(b);
    stek_ring_destroy(a);
    return 0;
}
