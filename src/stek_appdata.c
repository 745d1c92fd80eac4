/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The application data of tickets.  Core; pure functions.
 */
#include "stek_appdata.h"

#include <string.h>

#include "stek_error.h"

#define VERSION 2
#define LAST_S APR_INT64_C(0xfffffffff)

#define OLD_VERSION 1
#define OLD_LEN (1 + 8 + STEK_DIGEST_LEN)

void stek_appdata_pack(const stek_appdata_t *appdata, unsigned char out[STEK_APPDATA_LEN])
{
    apr_int64_t full_at_s = apr_time_sec(appdata->full_at);
    apr_uint64_t head;
    int i;

    full_at_s = full_at_s < 0 ? 0 : full_at_s > LAST_S ? LAST_S : full_at_s;
    head = (apr_uint64_t)VERSION << 36 | (apr_uint64_t)full_at_s;
    for (i = 0; i < 5; i++) {
        out[i] = (unsigned char)(head >> (32 - 8 * i));
    }
    memcpy(out + 5, appdata->policy, STEK_POLICY_LEN);
}

static apr_uint64_t number(const unsigned char *in, int len)
{
    apr_uint64_t value = 0;
    int i;

    for (i = 0; i < len; i++) {
        value = value << 8 | in[i];
    }
    return value;
}

apr_status_t stek_appdata_unpack(const void *bytes, apr_size_t len, stek_appdata_t *appdata)
{
    const unsigned char *in = bytes, *policy;
    apr_uint64_t full_at_s;

    if (len == STEK_APPDATA_LEN && in[0] >> 4 == VERSION) {
        full_at_s = number(in, 5) & (apr_uint64_t)LAST_S;
        policy = in + 5;
    }
    else if (len == OLD_LEN && in[0] == OLD_VERSION) {
        full_at_s = number(in + 1, 8);
        policy = in + 9;
    }
    else {
        return STEK_EMALFORMED;
    }
    if (full_at_s > (apr_uint64_t)APR_INT64_MAX / APR_USEC_PER_SEC) {
        return STEK_EMALFORMED;
    }
    appdata->full_at = apr_time_from_sec((apr_int64_t)full_at_s);
    memcpy(appdata->policy, policy, STEK_POLICY_LEN);
    return APR_SUCCESS;
}

int stek_appdata_over_age(const stek_appdata_t *appdata, apr_interval_time_t max_age,
                          apr_time_t now)
{
    apr_interval_time_t age = now - appdata->full_at;

    return max_age != 0 && (age >= max_age || age <= -max_age);
}

apr_interval_time_t stek_appdata_ticket_life(const stek_appdata_t *appdata,
                                             apr_interval_time_t lifetime,
                                             apr_interval_time_t max_age, apr_time_t now)
{
    /* Tickets count in whole seconds, from the second in which they are issued. */
    apr_interval_time_t age = apr_time_from_sec(apr_time_sec(now)) - appdata->full_at;
    /* Compared before it is computed, because full_at may be the greatest possible time. */
    apr_interval_time_t life = max_age != 0 && age > max_age - lifetime ? max_age - age : lifetime;

    return life < apr_time_from_sec(1) ? apr_time_from_sec(1) : life;
}
