/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading other programs' key files: the keys are in locked memory, together with the path of their
 * file.  One thread.
 */
#ifndef STEKCTL_KEYFILE_H
#define STEKCTL_KEYFILE_H

#include "format.h"
#include "stek_audit.h"
#include "stekctl.h"

#pragma GCC visibility push(hidden)

typedef struct keyfile_t {
    const char *path;
    format_e format;
    stek_key_t *keys; /* locked memory */
    apr_size_t key_n;
} keyfile_t;

/* Reads a file in the format, with the checks for a secret file: not accessible to group or others,
 * in safe directories.  CTL_DONE, or the code of what was reported.  Release with keyfile_release.
 * */
ctl_exit_e keyfile_read(ctl_t *ctl, const char *path, format_e format, keyfile_t *file);

/* Parses bytes[len] that were read elsewhere. */
ctl_exit_e keyfile_parse(ctl_t *ctl, const char *path, format_e format, const unsigned char *bytes,
                         apr_size_t len, keyfile_t *file);

void keyfile_release(keyfile_t *file);

/* What two different keys have in common, as a weakness; NULL: nothing.  Keys that differ only in
 * the order of their halves count as equal, because the file does not show it. */
const char *keyfile_clash(const stek_key_t *a, const stek_key_t *b);

/* Nonzero if names and halves are equal. */
int keyfile_keys_equal(const stek_key_t *a, const stek_key_t *b);

/* What is wrong with a key by itself, such as "AES key is one byte repeated", in pool; NULL:
 * nothing. */
const char *keyfile_weakness(const stek_key_t *key, apr_pool_t *pool);

#pragma GCC visibility pop
#endif
