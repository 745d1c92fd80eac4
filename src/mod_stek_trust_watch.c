/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What OpenSSL reads in handshakes (mod_stek_trust_watch.h).  Glue; any thread, no state.
 */
#include "mod_stek_trust_watch.h"

#include <string.h>

int mod_stek_trust_watch_changed(const mod_stek_trust_watch_t *watch)
{
    stek_stamp_t stamp;

    if (stek_file_stamp(watch->path, &stamp) != APR_SUCCESS) {
        memset(&stamp, 0, sizeof(stamp));
    }
    return !stek_stamp_equal(&stamp, &watch->stamp);
}
