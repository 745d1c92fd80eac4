/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Status codes of the core.  Core functions return apr_status_t: APR_SUCCESS, an APR or system
 * code, or one of these.  Outputs are set only on APR_SUCCESS.  No state; any thread, any phase.
 */
#ifndef STEK_ERROR_H
#define STEK_ERROR_H

#include <apr_errno.h>

#pragma GCC visibility push(hidden)

#define STEK_STATUS_START (APR_OS_START_USERERR + 5100)

#define STEK_EMAGIC (STEK_STATUS_START + 0)   /* does not begin like a ring */
#define STEK_EVERSION (STEK_STATUS_START + 1) /* written by a later version */
#define STEK_ELENGTH (STEK_STATUS_START + 2)  /* shorter or longer than its header says */
#define STEK_ESEAL (STEK_STATUS_START + 3)    /* changed since it was sealed */
#define STEK_ESECRET                                                                               \
    (STEK_STATUS_START + 4)                     /* sealed under a secret that this process does
                                                   not have */
#define STEK_EMALFORMED (STEK_STATUS_START + 5) /* opened, but its content is not well formed */
#define STEK_EWEAK (STEK_STATUS_START + 6)      /* contains a weak key */
#define STEK_EPERM                                                                                 \
    (STEK_STATUS_START + 7)                    /* others can change the file or a directory
                                                   above it */
#define STEK_EKIND (STEK_STATUS_START + 8)     /* not a regular file */
#define STEK_ETOOBIG (STEK_STATUS_START + 9)   /* larger than STEK_RING_BYTES_MAX or the buffer */
#define STEK_EFULL (STEK_STATUS_START + 10)    /* no room for another key or tombstone */
#define STEK_ELOCKED (STEK_STATUS_START + 11)  /* another process holds the lock */
#define STEK_ERNG (STEK_STATUS_START + 12)     /* the random number generator failed */
#define STEK_ECRYPTO (STEK_STATUS_START + 13)  /* a cryptographic call failed */
#define STEK_ESYNTAX (STEK_STATUS_START + 14)  /* a secret file or a time is not well formed */
#define STEK_EEMPTY (STEK_STATUS_START + 15)   /* a secret file without a secret */
#define STEK_ECHANGED (STEK_STATUS_START + 16) /* changed while it was being read */
#define STEK_EFOREIGN (STEK_STATUS_START + 17) /* not a file of ours; left as it is */
#define STEK_ESHARED (STEK_STATUS_START + 18)  /* others can create files in that directory */
#define STEK_EFLEET (STEK_STATUS_START + 19)   /* a fleet secret where a local one belongs */
#define STEK_EEPOCH (STEK_STATUS_START + 20)   /* an epoch that no clock can have come to */
#define STEK_STATUS_END (STEK_STATUS_START + 21)

/* Text for any apr_status_t, ours or APR's, in buf (buf_len bytes, always terminated); returns
 * buf. */
char *stek_strerror(apr_status_t rv, char *buf, apr_size_t buf_len);

#pragma GCC visibility pop
#endif
