/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owners of files and directories (stek_owner.h).  Core; POSIX, no state, any thread, any phase.
 */
#include "stek_owner.h"

#include <apr_strings.h>

int stek_owner_is_trusted(uid_t uid, uid_t owner)
{
    return uid == 0 || uid == owner;
}

int stek_owner_others_write(const struct stat *st)
{
    return (st->st_mode & (S_IWGRP | S_IWOTH)) != 0;
}

static const char *owner_text(uid_t uid, apr_pool_t *pool)
{
    return uid == 0 ? "root" : apr_psprintf(pool, "uid %ld", (long)uid);
}

const char *stek_owner_describe(const char *path, uid_t owner, apr_pool_t *pool)
{
    const char *wanted_owner = "root", *wanted_mode = "", *todo = "";
    struct stat st;

    if (lstat(path, &st) != 0
        || (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)
            && stek_owner_is_trusted(st.st_uid, owner))) {
        return path;
    }
    /* /tmp is meant to be everyone's: somewhere else is the remedy. */
    if (S_ISDIR(st.st_mode) && (st.st_mode & S_ISVTX)) {
        return apr_psprintf(pool, "%s (owner %s, mode %04o)", path, owner_text(st.st_uid, pool),
                            (unsigned)(st.st_mode & 07777));
    }
    if (owner != 0) {
        wanted_owner = apr_pstrcat(pool, "root or ", owner_text(owner, pool), NULL);
    }
    if (!stek_owner_is_trusted(st.st_uid, owner)) {
        todo = "chown root";
    }
    if (stek_owner_others_write(&st) && !S_ISLNK(st.st_mode)) {
        wanted_mode = ", not writable by group or others";
        todo = *todo ? "chown root and chmod go-w" : "chmod go-w";
    }
    else if (!*todo) {
        /* What only its owner can write to is refused where it is a secret that others can read. */
        wanted_mode = S_ISDIR(st.st_mode) ? ", not writable by group or others" : ", mode 0600";
        todo = S_ISDIR(st.st_mode) ? "chmod go-w" : "chmod 600";
    }
    return apr_psprintf(pool, "%s (owner %s, mode %04o; wanted: owner %s%s: %s)", path,
                        owner_text(st.st_uid, pool), (unsigned)(st.st_mode & 07777), wanted_owner,
                        wanted_mode, todo);
}
