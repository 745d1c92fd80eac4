/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a ticket says of its origin: now, lifetime and greatest age stand before it, 8 bytes each.
 */
#include "fuzz.h"

#include "stek_appdata.h"
#include "stek_time.h"

#define YEAR_S (365 * 24 * 3600)

static apr_int64_t number_of(const uint8_t *bytes, apr_int64_t below)
{
    uint64_t n;

    memcpy(&n, bytes, sizeof(n));
    return (apr_int64_t)(n % (uint64_t)below);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned char again[STEK_APPDATA_LEN];
    apr_interval_time_t lifetime, max_age, life;
    stek_appdata_t appdata, same;
    apr_time_t now;

    if (size < 24) {
        return 0;
    }
    now = number_of(data, APR_INT64_C(1) << 52);
    lifetime = apr_time_from_sec(1 + number_of(data + 8, 7 * 24 * 3600));
    max_age = apr_time_from_sec(number_of(data + 16, YEAR_S));
    if (stek_appdata_unpack(data + 24, size - 24, &appdata) != APR_SUCCESS) {
        return 0;
    }
    stek_appdata_pack(&appdata, again);
    /* The older, longer form goes on in the newer one. */
    HOLDS(size - 24 > sizeof(again)
          || (size - 24 == sizeof(again) && memcmp(again, data + 24, sizeof(again)) == 0));
    HOLDS(stek_appdata_unpack(again, sizeof(again), &same) == APR_SUCCESS
          && memcmp(same.policy, appdata.policy, sizeof(same.policy)) == 0);
    life = stek_appdata_ticket_life(&appdata, lifetime, max_age, now);
    HOLDS(life >= apr_time_from_sec(1) && life <= lifetime && life % APR_USEC_PER_SEC == 0);
    if (stek_appdata_over_age(&appdata, max_age, now)) {
        HOLDS(max_age != 0);
    }
    return 0;
}
