/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Texts of the core's status codes.  Each is a clause to follow a file name and a colon:
 * "/run/x.ring: changed since it was sealed".  Core; no state, so any thread and any phase.
 */
#include "stek_error.h"

#include <apr_strings.h>

static const char *const texts[STEK_STATUS_END - STEK_STATUS_START] = {
    [STEK_EMAGIC - STEK_STATUS_START] = "is not a ring",
    [STEK_EVERSION - STEK_STATUS_START] = "written by a later version",
    [STEK_ELENGTH - STEK_STATUS_START] = "shorter or longer than its header says",
    [STEK_ESEAL - STEK_STATUS_START] = "changed since it was sealed",
    [STEK_ESECRET - STEK_STATUS_START] = "sealed with a secret that is not in the secret file",
    [STEK_EMALFORMED - STEK_STATUS_START] = "has invalid contents",
    [STEK_EWEAK - STEK_STATUS_START] = "contains a key that is not random",
    [STEK_EPERM - STEK_STATUS_START] = "others can access the file or change a directory above it",
    [STEK_EKIND - STEK_STATUS_START] = "not a regular file",
    [STEK_ETOOBIG - STEK_STATUS_START] = "too large",
    [STEK_EFULL - STEK_STATUS_START] = "is full",
    [STEK_ELOCKED - STEK_STATUS_START] = "another process holds the lock",
    [STEK_ERNG - STEK_STATUS_START] = "the random number generator failed",
    [STEK_ECRYPTO - STEK_STATUS_START] = "a cryptographic call failed",
    [STEK_ESYNTAX - STEK_STATUS_START] = "not well formed",
    [STEK_EEMPTY - STEK_STATUS_START] = "contains no secret",
    [STEK_ECHANGED - STEK_STATUS_START] = "changed while it was being read",
    [STEK_EFOREIGN - STEK_STATUS_START] = "not one of this module's files; left unchanged",
    [STEK_ESHARED - STEK_STATUS_START] = "others can create files in this directory",
    [STEK_EFLEET - STEK_STATUS_START] = "a fleet secret, which cannot seal a host's ring",
    [STEK_EEPOCH - STEK_STATUS_START] = "its epoch is more than a day ahead of this host's clock",
};

char *stek_strerror(apr_status_t rv, char *buf, apr_size_t buf_len)
{
    if (buf_len == 0) {
        return buf;
    }
    if (rv >= STEK_STATUS_START && rv < STEK_STATUS_END) {
        apr_cpystrn(buf, texts[rv - STEK_STATUS_START], buf_len);
        return buf;
    }
    return apr_strerror(rv, buf, buf_len);
}
