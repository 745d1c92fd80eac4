/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is ours and what is not.  Core; POSIX, no state, any thread, any phase.  What is read may be
 * someone's private key, so it is wiped, and messages name only its kind.
 */
#include "stek_claim.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_strings.h>

#include "stek_error.h"
#include "stek_mem.h"
#include "stek_owner.h"
#include "stek_seal.h"
#include "stek_secret.h"

#define PEM_BEGIN "-----BEGIN "
#define PEM_LABEL_MAX 40
#define TRIES 16

#define RING_HEAD_LEN (STEK_RING_GENERATION_AT + 8) /* of a header: up to the mark of a floor */

static int match_sealed(const unsigned char *bytes, apr_size_t len, const void *baton)
{
    (void)baton;
    return len >= STEK_RING_MAGIC_LEN && memcmp(bytes, STEK_RING_MAGIC, STEK_RING_MAGIC_LEN) == 0;
}

int stek_claim_is_floor(const unsigned char *sealed, apr_size_t len)
{
    apr_uint64_t generation = 0;
    int i;

    for (i = 0; len >= RING_HEAD_LEN && i < 8; i++) {
        generation = generation << 8 | sealed[STEK_RING_GENERATION_AT + i];
    }
    return generation == STEK_RING_FLOOR;
}

static int match_ring(const unsigned char *bytes, apr_size_t len, const void *baton)
{
    return match_sealed(bytes, len, baton) && !stek_claim_is_floor(bytes, len);
}

static int match_floor(const unsigned char *bytes, apr_size_t len, const void *baton)
{
    return match_sealed(bytes, len, baton) && stek_claim_is_floor(bytes, len);
}

static int has_secret_line(const char *text, apr_size_t len)
{
    apr_size_t word_len = strlen(STEK_SECRET_WORD);

    while (len >= word_len) {
        const char *end = memchr(text, '\n', len);

        if (memcmp(text, STEK_SECRET_WORD, word_len) == 0) {
            return 1;
        }
        if (!end) {
            return 0;
        }
        len -= (apr_size_t)(end + 1 - text);
        text = end + 1;
    }
    return 0;
}

static int match_secret(const unsigned char *bytes, apr_size_t len, const void *baton)
{
    stek_secrets_t *secrets = NULL;
    apr_status_t rv = stek_secrets_parse((const char *)bytes, len, &secrets, NULL);

    (void)baton;
    if (rv == APR_SUCCESS) {
        stek_secrets_destroy(secrets);
    }
    /* Also a file with a mistyped line. */
    return rv == APR_SUCCESS || rv == STEK_EEMPTY || rv == STEK_EWEAK || rv == STEK_EFULL
           || has_secret_line((const char *)bytes, len);
}

const stek_claim_t stek_claim_ring = {"a ring", RING_HEAD_LEN, 0, match_ring, NULL};
const stek_claim_t stek_claim_floor = {"a floor", RING_HEAD_LEN, 0, match_floor, NULL};
const stek_claim_t stek_claim_sealed = {"a floor", RING_HEAD_LEN, 0, match_sealed, NULL};
const stek_claim_t stek_claim_secret = {"a secret file", STEK_SECRET_FILE_MAX, 1, match_secret,
                                        NULL};

/* Judges by kind, owner and number of names alone; NULL if nothing speaks against the file. */
static const char *foreign_by_kind(const struct stat *st, uid_t owner, apr_pool_t *pool)
{
    if (S_ISDIR(st->st_mode)) {
        return "is a directory, not a regular file";
    }
    if (S_ISLNK(st->st_mode)) {
        return "is a symbolic link, not a regular file";
    }
    if (S_ISFIFO(st->st_mode)) {
        return "is a named pipe, not a regular file";
    }
    if (S_ISSOCK(st->st_mode)) {
        return "is a socket, not a regular file";
    }
    if (!S_ISREG(st->st_mode)) {
        return "is a device, not a regular file";
    }
    if (!stek_owner_is_trusted(st->st_uid, owner)) {
        return apr_psprintf(pool, "belongs to another user (uid %ld; if it is yours: chown root)",
                            (long)st->st_uid);
    }
    if (st->st_nlink > 1) {
        return apr_psprintf(pool, "has %ld names (hard links)", (long)st->st_nlink);
    }
    return NULL;
}

/* What a file contains instead of what was expected. Of its content, this names only a PEM
 * label. */
static const char *foreign_by_content(const stek_claim_t *claim, const unsigned char *bytes,
                                      apr_size_t len, apr_int64_t size, apr_pool_t *pool)
{
    apr_size_t begin_len = strlen(PEM_BEGIN), label_len = 0;

    if (len >= begin_len && memcmp(bytes, PEM_BEGIN, begin_len) == 0) {
        while (begin_len + label_len < len && label_len < PEM_LABEL_MAX
               && ((bytes[begin_len + label_len] >= 'A' && bytes[begin_len + label_len] <= 'Z')
                   || bytes[begin_len + label_len] == ' ')) {
            label_len++;
        }
        return apr_psprintf(pool, "is a PEM file (%s), not %s",
                            apr_pstrmemdup(pool, (const char *)bytes + begin_len, label_len),
                            claim->what);
    }
    if (match_sealed(bytes, len, NULL)) {
        return apr_psprintf(pool, "is a %s, not %s",
                            stek_claim_is_floor(bytes, len) ? "fleet's floor" : "ring",
                            claim->what);
    }
    return apr_psprintf(pool, "is a file of %" APR_INT64_T_FMT " bytes, not %s", size, claim->what);
}

static apr_status_t read_head(int fd, unsigned char *bytes, apr_size_t size, apr_size_t *plen)
{
    apr_size_t len = 0;

    while (len < size) {
        ssize_t n = read(fd, bytes + len, size - len);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return APR_FROM_OS_ERROR(errno);
        }
        if (n == 0) {
            break;
        }
        len += (apr_size_t)n;
    }
    *plen = len;
    return APR_SUCCESS;
}

/* Enough of every file to name its kind. */
static apr_size_t head_size(const stek_claim_t *claim)
{
    apr_size_t least = strlen(PEM_BEGIN) + PEM_LABEL_MAX;

    return claim->head_len < least ? least : claim->head_len;
}

static apr_status_t check_open(const stek_claim_t *claim, int fd, uid_t owner, const char **pfound,
                               apr_pool_t *pool)
{
    unsigned char *bytes;
    apr_size_t len = 0;
    struct stat st;
    apr_status_t rv;
    int matches;

    if (fstat(fd, &st) != 0) {
        return APR_FROM_OS_ERROR(errno);
    }
    *pfound = foreign_by_kind(&st, owner, pool);
    if (*pfound) {
        return STEK_EFOREIGN;
    }
    if (st.st_nlink == 0) {
        return STEK_ECHANGED;
    }
    bytes = stek_mem_alloc(head_size(claim));
    if (!bytes) {
        return APR_ENOMEM;
    }
    rv = read_head(fd, bytes, head_size(claim), &len);
    if (rv == APR_SUCCESS && len > 0) {
        matches = (!claim->whole || st.st_size <= (off_t)claim->head_len)
                  && claim->match(bytes, len < claim->head_len ? len : claim->head_len,
                                  claim->baton);
        if (!matches) {
            *pfound = foreign_by_content(claim, bytes, len, (apr_int64_t)st.st_size, pool);
            rv = STEK_EFOREIGN;
        }
    }
    stek_mem_free(bytes);
    return rv;
}

static apr_status_t check_once(const stek_claim_t *claim, const char *path, uid_t owner,
                               const char **pfound, apr_pool_t *pool)
{
    const char *found;
    struct stat st;
    apr_status_t rv;
    int fd;

    if (lstat(path, &st) != 0) {
        return APR_FROM_OS_ERROR(errno);
    }
    found = foreign_by_kind(&st, owner, pool);
    if (found) {
        *pfound = found;
        return STEK_EFOREIGN;
    }
    do {
        fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0) {
        return APR_FROM_OS_ERROR(errno);
    }
    rv = check_open(claim, fd, owner, &found, pool);
    close(fd);
    if (rv == STEK_EFOREIGN) {
        *pfound = found;
    }
    return rv;
}

apr_status_t stek_claim_check(const stek_claim_t *claim, const char *path, uid_t owner,
                              const char **pfound, apr_pool_t *pool)
{
    int i;
    apr_status_t rv = STEK_ECHANGED;

    /* A writer may replace the file that has just been opened. */
    for (i = 0; i < TRIES && rv == STEK_ECHANGED; i++) {
        rv = check_once(claim, path, owner, pfound, pool);
    }
    return rv;
}

apr_status_t stek_claim_may_replace(const stek_claim_t *claim, const char *path, uid_t owner,
                                    apr_pool_t *pool)
{
    const char *found;
    apr_status_t rv = stek_claim_check(claim, path, owner, &found, pool);

    return APR_STATUS_IS_ENOENT(rv) ? APR_SUCCESS : rv;
}
