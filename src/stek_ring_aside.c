/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rings that were refused (stek_ring_aside.h).  Core; parent and stekctl, no state.
 */
#include "stek_ring_aside.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include <apr_strings.h>

#include "stek_error.h"

#define ASIDE_TRIES 100

int stek_ring_is_refused(apr_status_t rv)
{
    return rv == STEK_EMAGIC || rv == STEK_EVERSION || rv == STEK_ELENGTH || rv == STEK_ESEAL
           || rv == STEK_ESECRET || rv == STEK_EMALFORMED || rv == STEK_EWEAK || rv == STEK_EEPOCH
           || rv == STEK_EPERM || rv == STEK_EKIND || rv == STEK_ETOOBIG || APR_STATUS_IS_EACCES(rv)
           || APR_TO_OS_ERROR(rv) == ELOOP;
}

/* An unused name beside path. */
static const char *aside_name(const char *path, apr_time_t now, apr_pool_t *pool)
{
    int i;
    const char *name = apr_psprintf(pool, "%s.refused-%" APR_TIME_T_FMT, path, apr_time_sec(now));
    const char *aside = name;
    struct stat st;

    for (i = 2; i < ASIDE_TRIES && lstat(aside, &st) == 0; i++) {
        aside = apr_psprintf(pool, "%s-%d", name, i);
    }
    return aside;
}

apr_status_t stek_ring_set_aside(const stek_ring_file_t *file, apr_time_t now, const char **pdetail,
                                 apr_pool_t *pool)
{
    return stek_ring_set_aside_as(&stek_claim_ring, file, now, pdetail, pool);
}

apr_status_t stek_ring_set_aside_as(const stek_claim_t *claim, const stek_ring_file_t *file,
                                    apr_time_t now, const char **pdetail, apr_pool_t *pool)
{
    apr_status_t rv = stek_claim_check(claim, file->path, file->owner, pdetail, pool);
    struct stat st;

    if (rv != APR_SUCCESS) {
        return rv;
    }
    *pdetail = aside_name(file->path, now, pool);
    if (lstat(*pdetail, &st) == 0) {
        return APR_EEXIST;
    }
    return rename(file->path, *pdetail) == 0 ? APR_SUCCESS : APR_FROM_OS_ERROR(errno);
}
