/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys that the server shows (shown_keys.h).  People hash a host's name to make a key, or name the
 * certificate's file where one of keys is asked for: httpd and dnsdist read the beginning of any.
 */
#include "shown_keys.h"

#include <apr_strings.h>
#include <openssl/evp.h>
#include <string.h>

#define PEM_BEGIN "-----BEGIN CERTIFICATE-----\n"
#define PEM_LINE 64 /* characters */

static void add(apr_array_header_t *keys, const char *text)
{
    probe_own_key_t *key = apr_array_push(keys);

    key->bytes = (const unsigned char *)text;
    key->len = strlen(text);
}

/* hostname(1) ends it with a newline. */
static void add_name(apr_array_header_t *keys, const char *name, probe_level_e level)
{
    if (strlen(name) < PROBE_OWN_KEY_MAX) {
        add(keys, name);
        if (level > PROBE_QUICK) {
            add(keys, apr_pstrcat(keys->pool, name, "\n", NULL));
        }
    }
}

/* As it is in a file of its own. */
static void add_cert(apr_array_header_t *keys, const probe_reply_t *reply)
{
    unsigned char text[2 * PROBE_CERT_HEAD + 4];
    int len = EVP_EncodeBlock(text, reply->cert_head, (int)sizeof(reply->cert_head));

    add(keys, apr_psprintf(keys->pool, PEM_BEGIN "%.*s\n%.*s", PEM_LINE, (char *)text,
                           len - PEM_LINE, (char *)text + PEM_LINE));
}

const probe_own_keys_t *probe_shown_keys(const probe_run_t *run)
{
    const probe_own_keys_t *own = run->options->own;
    apr_array_header_t *keys = apr_array_make(run->pool, 8, sizeof(probe_own_key_t));
    probe_own_keys_t *all = apr_palloc(run->pool, sizeof(*all));
    apr_size_t i;

    for (i = 0; own && i < own->n; i++) {
        APR_ARRAY_PUSH(keys, probe_own_key_t) = own->keys[i];
    }
    add_name(keys, run->host->name, run->options->level);
    if (run->host->sni && strcmp(run->host->sni, run->host->name) != 0) {
        add_name(keys, run->host->sni, run->options->level);
    }
    if (run->version->own && run->version->own->has_cert) {
        add_cert(keys, run->version->own);
    }
    all->keys = (const probe_own_key_t *)keys->elts;
    all->n = (apr_size_t)keys->nelts;
    return all;
}
