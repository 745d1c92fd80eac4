/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Index of OpenSSL's extra data (mod_stek_exdata.h).  Glue.
 */
#include "mod_stek_exdata.h"

#include <openssl/ssl.h>

#include "mod_stek_retained.h"

#define LAYOUT 2

typedef struct retained_t {
    int has_index;
    int ssl_ctx_index;
} retained_t;

static const retained_t *index_kept(void)
{
    retained_t *retained = mod_stek_retained("exdata", LAYOUT, sizeof(*retained), 0);

    if (!retained->has_index) {
        /* No callbacks: they would outlive the module's code. */
        retained->ssl_ctx_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, NULL);
        /* If memory is short now, the next reload may succeed. */
        retained->has_index = retained->ssl_ctx_index >= 0;
    }
    return retained;
}

int mod_stek_exdata_vhost(void)
{
    return index_kept()->ssl_ctx_index;
}
