/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options: how hosts are reached (reach_options.h).
 */
#include "reach_options.h"

#include <apr_strings.h>
#include <string.h>

#include "report.h"
#include "target.h"

#define ALPN_NAME_MAX 255

/* "1.2,1.3" */
static int take_versions(unsigned char has[PROBE_VERSIONS_N], const char *text, apr_pool_t *pool)
{
    static const char *const names[PROBE_VERSIONS_N] = {"1.0", "1.1", "1.2", "1.3"};
    char *last = NULL, *copy = apr_pstrdup(pool, text), *name;
    int i, n = 0;

    memset(has, 0, PROBE_VERSIONS_N);
    for (name = apr_strtok(copy, ",", &last); name; name = apr_strtok(NULL, ",", &last)) {
        for (i = 0; i < PROBE_VERSIONS_N && strcmp(names[i], name) != 0; i++) {
        }
        if (i == PROBE_VERSIONS_N) {
            return 0;
        }
        has[i] = 1;
        n++;
    }
    return n > 0;
}

/* Names of 1 to 255 bytes, separated by commas. */
static int is_alpn(const char *text)
{
    apr_size_t len;

    if (!probe_target_is_printable(text)) {
        return 0;
    }
    for (;; text += len + 1) {
        len = strcspn(text, ",");
        if (len == 0 || len > ALPN_NAME_MAX) {
            return 0;
        }
        if (!text[len]) {
            return 1;
        }
    }
}

ctl_exit_e probe_reach_set_tls(ctl_t *ctl, void *settings, const option_row_t *row,
                               const char *value)
{
    return take_versions(options_member(settings, row), value, ctl->pool)
               ? CTL_DONE
               : report_usage(
                   ctl, "invalid value '%s' for '--tls': must be 1.0, 1.1, 1.2 or 1.3, or several",
                   value);
}

ctl_exit_e probe_reach_set_starttls(ctl_t *ctl, void *settings, const option_row_t *row,
                                    const char *value)
{
    return probe_target_starttls(value, options_member(settings, row))
               ? CTL_DONE
               : report_usage(
                   ctl,
                   "invalid value '%s' for '--starttls': must be smtp, imap, pop3, ldap, "
                   "postgres or mysql",
                   value);
}

ctl_exit_e probe_reach_set_alpn(ctl_t *ctl, void *settings, const option_row_t *row,
                                const char *value)
{
    return is_alpn(value)
               ? options_set_text(ctl, settings, row, value)
               : report_usage(ctl, "invalid value '%s' for '--alpn': must be protocol names",
                              value);
}

/* A password is shown to nobody: neither in a message, nor in the list of processes from now on. */
static const char *hide_password(const char *value, apr_pool_t *pool)
{
    const char *end = strrchr(value, '@'), *from = strstr(value, "://");
    char *text = apr_pstrdup(pool, value);

    from = from && end > from ? from + 3 : value;
    if (end) {
        memset(text + (from - value), '*', (apr_size_t)(end - from));
        if (value == optarg) {
            memset(optarg + (from - value), '*', (apr_size_t)(end - from));
        }
    }
    return text;
}

ctl_exit_e probe_reach_set_proxy(ctl_t *ctl, void *settings, const option_row_t *row,
                                 const char *value)
{
    int is_good = probe_target_proxy(value, options_member(settings, row), ctl->pool);
    const char *shown = hide_password(value, ctl->pool);

    return is_good
               ? CTL_DONE
               : report_usage(ctl,
                              "invalid proxy '%s': must be socks5://[USER:PASSWORD@]HOST[:PORT] or "
                              "http://[USER:PASSWORD@]HOST[:PORT]",
                              shown);
}

ctl_exit_e probe_reach_prepare(ctl_t *ctl, const probe_reach_t *reach, probe_options_t *options)
{
    probe_contexts_t *contexts;
    const char *why;

    if (reach->hello.key_path && !reach->hello.cert_path) {
        return report_usage(ctl, "'key' requires 'cert'");
    }
    if (probe_contexts_create(&contexts, options->has, &reach->hello, &why, ctl->pool)
        != APR_SUCCESS) {
        report_line("%s", why);
        return CTL_IO;
    }
    options->contexts = contexts;
    options->proxy = reach->proxy.name ? &reach->proxy : NULL;
    return CTL_DONE;
}
