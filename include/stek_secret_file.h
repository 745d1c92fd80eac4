/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The secret file, a host's or a fleet's: where it is, reading and writing it.  Parent and stekctl.
 */
#ifndef STEK_SECRET_FILE_H
#define STEK_SECRET_FILE_H

#include "stek_secret.h"

#pragma GCC visibility push(hidden)

/* The default path of the local secret: the ring's, with ".secret" in place of ".ring", or at the end;
 * in pool. */
const char *stek_secret_path_beside(const char *ring_path, apr_pool_t *pool);

/* Reads the secret file.  Codes of stek_file_read and stek_secrets_parse. */
apr_status_t stek_secret_file_load(const char *path, uid_t owner, stek_secrets_t **psecrets,
                                   const char **pculprit, apr_pool_t *pool);

/* The same for a secret that seals file rings.  STEK_EFLEET: it is a fleet's. */
apr_status_t stek_secret_file_load_local(const char *path, uid_t owner, stek_secrets_t **psecrets,
                                         const char **pculprit, apr_pool_t *pool);

/* Writes it, 0600, and keeps the comments of the file that it replaces.  flags as above.
 * STEK_EFOREIGN if the file there is not a secret file. */
apr_status_t stek_secret_file_save(const char *path, const stek_secrets_t *secrets, int flags,
                                   apr_pool_t *pool);

#pragma GCC visibility pop
#endif
