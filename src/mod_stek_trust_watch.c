/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What OpenSSL reads in handshakes (mod_stek_trust_watch.h).  Glue; any thread, no state.
 */
#include "mod_stek_trust_watch.h"

#include <string.h>

#include <apr_strings.h>

void mod_stek_trust_watch_add(apr_array_header_t *watched, const char *path, const struct stat *st)
{
    mod_stek_trust_watch_t *added = apr_array_push(watched);

    added->path = apr_pstrdup(watched->pool, path);
    memset(&added->stamp, 0, sizeof(added->stamp));
    if (st) {
        stek_stamp_set(&added->stamp, st);
    }
}

static int has_changed(const mod_stek_trust_watch_t *watch)
{
    stek_stamp_t stamp;

    if (stek_file_stamp(watch->path, &stamp) != APR_SUCCESS) {
        memset(&stamp, 0, sizeof(stamp));
    }
    return !stek_stamp_equal(&stamp, &watch->stamp);
}

int mod_stek_trust_watch_changed(const apr_array_header_t *watched)
{
    int i, changed = 0;

    for (i = 0; watched && i < watched->nelts && !changed; i++) {
        changed = has_changed(&APR_ARRAY_IDX(watched, i, mod_stek_trust_watch_t));
    }
    return changed;
}
