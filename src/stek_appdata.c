/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The application data of tickets.  Core; pure functions.
 */
#include "stek_appdata.h"

#include <string.h>

#include "stek_error.h"

#define VERSION 1

void stek_appdata_pack(const stek_appdata_t *appdata, unsigned char out[STEK_APPDATA_LEN])
{
    apr_uint64_t full_at_s = (apr_uint64_t)apr_time_sec(appdata->full_at);
    int i;

    out[0] = VERSION;
    for (i = 0; i < 8; i++) {
        out[1 + i] = (unsigned char)(full_at_s >> (56 - 8 * i));
    }
    memcpy(out + 9, appdata->policy, STEK_DIGEST_LEN);
}

apr_status_t stek_appdata_unpack(const void *bytes, apr_size_t len, stek_appdata_t *appdata)
{
    const unsigned char *in = bytes;
    apr_uint64_t full_at_s = 0;
    int i;

    if (len != STEK_APPDATA_LEN || in[0] != VERSION) {
        return STEK_EMALFORMED;
    }
    for (i = 0; i < 8; i++) {
        full_at_s = full_at_s << 8 | in[1 + i];
    }
    if (full_at_s > (apr_uint64_t)APR_INT64_MAX / APR_USEC_PER_SEC) {
        return STEK_EMALFORMED;
    }
    appdata->full_at = apr_time_from_sec((apr_int64_t)full_at_s);
    memcpy(appdata->policy, in + 9, STEK_DIGEST_LEN);
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
