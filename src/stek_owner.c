/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owners of files and directories (stek_owner.h).  Core; POSIX, no state, any thread, any phase.
 */
#include "stek_owner.h"

#include <apr_strings.h>
#ifdef __linux__
#include <sys/xattr.h>
#endif

int stek_owner_is_trusted(uid_t uid, uid_t owner)
{
    return uid == 0 || uid == owner;
}

int stek_owner_others_write(const struct stat *st)
{
    return (st->st_mode & (S_IWGRP | S_IWOTH)) != 0;
}

#ifdef __linux__
/* A file's ACL as Linux shows it, little-endian: a version, then of each entry 16 bits tag, 16 bits
 * rights and 32 bits user or group (linux/posix_acl_xattr.h). */
#define ACL_NAME "system.posix_acl_access"
#define ACL_VERSION 2
#define ACL_HEAD_LEN 4
#define ACL_ENTRY_LEN 8
#define ACL_LEN_MAX (ACL_HEAD_LEN + 32 * ACL_ENTRY_LEN)
#define ACL_READ 4u

enum acl_tag_e { ACL_OWNER = 1, ACL_USER = 2, ACL_OWNERS_GROUP = 4, ACL_GROUP = 8, ACL_MASK = 16 };

static unsigned number_at(const unsigned char *bytes, int len)
{
    unsigned value = 0;

    while (len-- > 0) {
        value = value << 8 | bytes[len];
    }
    return value;
}

/* Whether an entry lets somebody read whom the file's owner and mode do not already name. */
static int entry_is_trusted(const unsigned char *entry, uid_t owner)
{
    unsigned tag = number_at(entry, 2), id = number_at(entry + 4, 4);

    return (number_at(entry + 2, 2) & ACL_READ) == 0 || tag == ACL_OWNER || tag == ACL_MASK
           || (tag == ACL_USER && stek_owner_is_trusted((uid_t)id, owner));
}

/* With an ACL, the group's bits of the mode are the most that any entry grants, and no group's. */
static int acl_names_only_trusted(int fd, uid_t owner)
{
    unsigned char acl[ACL_LEN_MAX];
    ssize_t len = fgetxattr(fd, ACL_NAME, acl, sizeof(acl)), at;

    if (len <= ACL_HEAD_LEN || (len - ACL_HEAD_LEN) % ACL_ENTRY_LEN != 0
        || number_at(acl, ACL_HEAD_LEN) != ACL_VERSION) {
        return 0;
    }
    for (at = ACL_HEAD_LEN; at < len; at += ACL_ENTRY_LEN) {
        if (!entry_is_trusted(acl + at, owner)) {
            return 0;
        }
    }
    return 1;
}
#else
static int acl_names_only_trusted(int fd, uid_t owner)
{
    (void)fd;
    (void)owner;
    return 0;
}
#endif

int stek_owner_others_read(int fd, const struct stat *st, uid_t owner)
{
    return (st->st_mode & S_IROTH) != 0
           || ((st->st_mode & S_IRGRP) != 0 && !acl_names_only_trusted(fd, owner));
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
