/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading other programs' key files (keyfile.h).  stekctl; one thread.
 */
#include "keyfile.h"

#include <apr_strings.h>
#include <openssl/crypto.h>
#include <string.h>

#include "report.h"
#include "stek_error.h"
#include "stek_file.h"
#include "stek_mem.h"

static apr_size_t half_len(const stek_key_t *key)
{
    return key->flags & STEK_KEY_AES128 ? STEK_AES_KEY_LEN / 2 : STEK_AES_KEY_LEN;
}

ctl_exit_e keyfile_parse(ctl_t *ctl, const char *path, format_e format, const unsigned char *bytes,
                         apr_size_t len, keyfile_t *file)
{
    apr_size_t key_max = len / FORMAT_KEY_SHORT_LEN + 1;
    apr_status_t rv;
    int line = 0;

    if (key_max > FORMAT_KEYS_MAX) {
        key_max = FORMAT_KEYS_MAX;
    }
    file->path = path;
    file->format = format;
    file->keys = stek_mem_alloc(key_max * sizeof(*file->keys));
    if (!file->keys) {
        return report_status(ctl, path, APR_ENOMEM, NULL);
    }
    rv = format_parse(format, bytes, len, file->keys, key_max, &file->key_n, &line);
    if (rv == APR_SUCCESS) {
        return CTL_DONE;
    }
    keyfile_release(file);
    if (rv == STEK_EEMPTY) {
        report_line("%s: is empty; give a file that contains keys", path);
    }
    else if (rv == STEK_EFULL) {
        report_line("%s: contains more than %d keys; check the path", path, FORMAT_KEYS_MAX);
    }
    else if (line > 0) {
        report_line("%s: is not a key file for %s, line %d; see stekctl(8) for the layouts", path,
                    format_name(format), line);
    }
    else {
        report_line("%s: is not a key file for %s; see stekctl(8) for the layouts", path,
                    format_name(format));
    }
    return CTL_REFUSED;
}

ctl_exit_e keyfile_read(ctl_t *ctl, const char *path, format_e format, keyfile_t *file)
{
    unsigned char *bytes = stek_mem_alloc(FORMAT_FILE_MAX);
    const char *culprit = NULL;
    ctl_exit_e code;
    apr_size_t len;
    apr_status_t rv;

    if (!bytes) {
        return report_status(ctl, path, APR_ENOMEM, NULL);
    }
    rv = stek_file_read(path, STEK_FILE_SECRET, ctl->owner, bytes, FORMAT_FILE_MAX, &len, NULL,
                        &culprit, ctl->pool);
    code = rv == APR_SUCCESS ? keyfile_parse(ctl, path, format, bytes, len, file)
                             : report_status(ctl, path, rv, culprit);
    stek_mem_free(bytes);
    return code;
}

void keyfile_release(keyfile_t *file)
{
    stek_mem_free(file->keys);
    file->keys = NULL;
    file->key_n = 0;
}

int keyfile_keys_equal(const stek_key_t *a, const stek_key_t *b)
{
    return !memcmp(a->name, b->name, STEK_NAME_LEN)
           && !CRYPTO_memcmp(a->hmac_key, b->hmac_key, STEK_HMAC_KEY_LEN)
           && !CRYPTO_memcmp(a->aes_key, b->aes_key, STEK_AES_KEY_LEN);
}

/* The same key except for the order of its halves, which the file does not show. */
static int is_mirrored(const stek_key_t *a, const stek_key_t *b)
{
    return !memcmp(a->name, b->name, STEK_NAME_LEN)
           && !CRYPTO_memcmp(a->hmac_key, b->aes_key, STEK_AES_KEY_LEN)
           && !CRYPTO_memcmp(a->aes_key, b->hmac_key, STEK_AES_KEY_LEN);
}

const char *keyfile_clash(const stek_key_t *a, const stek_key_t *b)
{
    apr_size_t len = half_len(a) < half_len(b) ? half_len(a) : half_len(b);

    if (keyfile_keys_equal(a, b) || is_mirrored(a, b)) {
        return NULL;
    }
    if (!memcmp(a->name, b->name, STEK_NAME_LEN)) {
        return "key has the same name as another key";
    }
    if (!CRYPTO_memcmp(a->hmac_key, b->hmac_key, len) || !CRYPTO_memcmp(a->aes_key, b->aes_key, len)
        || !CRYPTO_memcmp(a->hmac_key, b->aes_key, len)
        || !CRYPTO_memcmp(a->aes_key, b->hmac_key, len)) {
        return "key shares bytes with another key";
    }
    return NULL;
}

const char *keyfile_weakness(const stek_key_t *key, apr_pool_t *pool)
{
    apr_size_t len = half_len(key);
    stek_weakness_e hmac = stek_audit_bytes(key->hmac_key, len);
    stek_weakness_e aes = stek_audit_bytes(key->aes_key, len);
    stek_weakness_e both = stek_audit_key(key);

    if (hmac != STEK_WEAK_NONE && hmac == aes) {
        return apr_psprintf(pool, "each of the HMAC and AES keys %s", stek_weakness_text(aes));
    }
    if (hmac != STEK_WEAK_NONE && aes != STEK_WEAK_NONE) {
        return apr_psprintf(pool, "AES key %s, HMAC key %s", stek_weakness_text(aes),
                            stek_weakness_text(hmac));
    }
    if (aes != STEK_WEAK_NONE) {
        return apr_psprintf(pool, "AES key %s", stek_weakness_text(aes));
    }
    if (hmac != STEK_WEAK_NONE) {
        return apr_psprintf(pool, "HMAC key %s", stek_weakness_text(hmac));
    }
    return both != STEK_WEAK_NONE ? apr_psprintf(pool, "key %s", stek_weakness_text(both)) : NULL;
}
