/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The secret file (stek_secret_file.h).  Core; parent and stekctl, no state.
 */
#include "stek_secret_file.h"

#include <string.h>
#include <unistd.h>

#include <apr_strings.h>

#include "stek_claim.h"
#include "stek_error.h"
#include "stek_file.h"
#include "stek_mem.h"

#define SECRET_MODE 0600

const char *stek_secret_path_beside(const char *ring_path, apr_pool_t *pool)
{
    apr_size_t len = strlen(ring_path);

    if (len > 5 && strcmp(ring_path + len - 5, ".ring") == 0) {
        len -= 5;
    }
    return apr_pstrcat(pool, apr_pstrmemdup(pool, ring_path, len), ".secret", NULL);
}

apr_status_t stek_secret_file_load(const char *path, uid_t owner, stek_secrets_t **psecrets,
                                   const char **pculprit, apr_pool_t *pool)
{
    char *text = stek_mem_alloc(STEK_SECRET_FILE_MAX);
    apr_size_t len = 0;
    apr_status_t rv;

    if (!text) {
        return APR_ENOMEM;
    }
    rv = stek_file_read(path, STEK_FILE_SECRET, owner, text, STEK_SECRET_FILE_MAX, &len, NULL,
                        pculprit, pool);
    if (rv == APR_SUCCESS) {
        rv = stek_secrets_parse(text, len, psecrets, NULL);
    }
    stek_mem_free(text);
    return rv;
}

apr_status_t stek_secret_file_load_local(const char *path, uid_t owner, stek_secrets_t **psecrets,
                                         const char **pculprit, apr_pool_t *pool)
{
    stek_secrets_t *secrets = NULL;
    apr_status_t rv = stek_secret_file_load(path, owner, &secrets, pculprit, pool);

    if (rv == APR_SUCCESS && secrets->has_fleet_id) {
        stek_secrets_destroy(secrets);
        return STEK_EFLEET;
    }
    if (rv == APR_SUCCESS) {
        *psecrets = secrets;
    }
    return rv;
}

/* Copies the lines of old that are comments to text, as far as there is room; the length of all. */
static apr_size_t copy_comments(const char *old, apr_size_t old_len, char *text, apr_size_t room)
{
    apr_size_t used = 0;

    while (old_len > 0) {
        const char *end = memchr(old, '\n', old_len);
        apr_size_t len = end ? (apr_size_t)(end - old) : old_len, blanks = 0;

        while (blanks < len && (old[blanks] == ' ' || old[blanks] == '\t')) {
            blanks++;
        }
        if (blanks < len && old[blanks] == '#' && used + len + 1 <= room) {
            memcpy(text + used, old, len);
            text[used + len] = '\n';
            used += len + 1;
        }
        old_len -= end ? len + 1 : len;
        old += end ? len + 1 : len;
    }
    return used;
}

/* Puts the comments of the file that is to be replaced in front of text[*plen]. */
static apr_status_t keep_comments(const char *path, uid_t owner, char *text, apr_size_t *plen,
                                  apr_pool_t *pool)
{
    char *old = stek_mem_alloc(STEK_SECRET_FILE_MAX), *all = stek_mem_alloc(STEK_SECRET_FILE_MAX);
    apr_size_t old_len = 0, used;
    apr_status_t rv = old && all ? APR_SUCCESS : APR_ENOMEM;

    /* A file that cannot be read has none to keep. */
    if (rv == APR_SUCCESS
        && stek_file_read(path, STEK_FILE_RING, owner, old, STEK_SECRET_FILE_MAX, &old_len, NULL,
                          NULL, pool)
               == APR_SUCCESS) {
        used = copy_comments(old, old_len, all, STEK_SECRET_FILE_MAX - *plen);
        memcpy(all + used, text, *plen);
        memcpy(text, all, used + *plen);
        *plen += used;
    }
    stek_mem_free(old);
    stek_mem_free(all);
    return rv;
}

apr_status_t stek_secret_file_save(const char *path, const stek_secrets_t *secrets, int flags,
                                   apr_pool_t *pool)
{
    stek_file_how_t how = {geteuid(), (uid_t)-1, (gid_t)-1, SECRET_MODE, flags};
    char *text = stek_mem_alloc(STEK_SECRET_FILE_MAX);
    apr_size_t len = 0;
    apr_status_t rv;

    if (!text) {
        return APR_ENOMEM;
    }
    rv = (flags & STEK_FILE_EXCLUSIVE) != 0
             ? APR_SUCCESS
             : stek_claim_may_replace(&stek_claim_secret, path, how.owner, pool);
    if (rv == APR_SUCCESS) {
        rv = stek_secrets_text(secrets, text, STEK_SECRET_FILE_MAX, &len);
    }
    if (rv == APR_SUCCESS && (flags & STEK_FILE_EXCLUSIVE) == 0) {
        rv = keep_comments(path, how.owner, text, &len, pool);
    }
    if (rv == APR_SUCCESS) {
        rv = stek_file_replace(path, text, len, &how, pool);
    }
    stek_mem_free(text);
    return rv;
}
