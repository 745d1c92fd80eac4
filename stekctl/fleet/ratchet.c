/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fleet secret's ratchet and the secrets derived from it (ratchet.h).  Secrets stay in stek_mem
 * memory; every step overwrites the secrets that it replaces.  stekctl; no state, any thread.
 */
#include "ratchet.h"

#include <string.h>

#include "stek_error.h"
#include "stek_mem.h"
#include "stek_seal.h"

#define DAY apr_time_from_sec(86400)
#define SALT_LEN 32

apr_int32_t ratchet_day(apr_time_t now)
{
    apr_int64_t day = now / DAY;

    return day < 1 ? 1 : day > STEK_DAY_MAX ? STEK_DAY_MAX : (apr_int32_t)day;
}

/* Replaces every secret of the set with its HKDF, and its id. */
static apr_status_t derive_all(stek_secrets_t *secrets, const char *info)
{
    unsigned char salt[SALT_LEN] = {0};
    stek_secret_t *fresh = stek_mem_alloc(sizeof(*fresh));
    apr_size_t i;
    apr_status_t rv = fresh ? APR_SUCCESS : APR_ENOMEM;

    /* HMAC pads its key with zeros anyway (RFC 2104), so this is the id as salt. */
    memcpy(salt, secrets->fleet_id, STEK_FLEET_ID_LEN);
    for (i = 0; rv == APR_SUCCESS && i < secrets->n; i++) {
        rv = stek_secret_hkdf(secrets->secrets[i].bytes, salt, info, fresh->bytes, STEK_SECRET_LEN);
        if (rv == APR_SUCCESS) {
            rv = stek_secret_set_id(fresh);
        }
        if (rv == APR_SUCCESS) {
            secrets->secrets[i] = *fresh;
        }
    }
    stek_mem_free(fresh);
    return rv;
}

static apr_status_t copy_of(const stek_secrets_t *secrets, stek_secrets_t **pcopy)
{
    *pcopy = stek_mem_alloc(sizeof(**pcopy));
    if (!*pcopy) {
        return APR_ENOMEM;
    }
    **pcopy = *secrets;
    return APR_SUCCESS;
}

apr_status_t ratchet_move(stek_secrets_t *secrets, apr_int32_t day, apr_int32_t *pmoved)
{
    stek_secrets_t *work = NULL;
    apr_status_t rv = APR_SUCCESS;

    if (secrets->day == 0 || day <= secrets->day) {
        *pmoved = 0;
        return APR_SUCCESS;
    }
    if (day - secrets->day > RATCHET_DAYS_MAX) {
        return APR_EINVAL;
    }
    rv = copy_of(secrets, &work);
    while (rv == APR_SUCCESS && work->day < day) {
        rv = derive_all(work, "stek fleet v1 next");
        work->day++;
    }
    if (rv == APR_SUCCESS) {
        *pmoved = day - secrets->day;
        *secrets = *work;
    }
    stek_secrets_destroy(work);
    return rv;
}

apr_status_t ratchet_keys(const stek_secrets_t *secrets, apr_int32_t day, stek_secrets_t **pkeys)
{
    stek_secrets_t *keys = NULL;
    apr_int32_t moved;
    apr_status_t rv;

    if (secrets->day > day) {
        return STEK_ESECRET;
    }
    rv = copy_of(secrets, &keys);
    if (rv == APR_SUCCESS) {
        rv = ratchet_move(keys, day, &moved);
    }
    if (rv == APR_SUCCESS) {
        rv = derive_all(keys, "stek fleet v1 seal");
    }
    if (rv != APR_SUCCESS) {
        stek_secrets_destroy(keys);
        return rv;
    }
    keys->has_fleet_id = 0;
    memset(keys->fleet_id, 0, STEK_FLEET_ID_LEN);
    keys->day = 0;
    *pkeys = keys;
    return APR_SUCCESS;
}
