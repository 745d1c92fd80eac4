/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options: how hosts are reached (reach_options.h).
 */
#include "reach_options.h"

#include <apr_strings.h>
#include <getopt.h>
#include <string.h>

#include "report.h"
#include "target.h"

#define ALPN_NAME_MAX 255

/* "1.2,1.3" */
static int set_tls(probe_options_t *options, const char *text, apr_pool_t *pool)
{
    static const char *const names[PROBE_VERSIONS_N] = {"1.0", "1.1", "1.2", "1.3"};
    char *last = NULL, *copy = apr_pstrdup(pool, text), *name;
    int i, n = 0;

    memset(options->has, 0, sizeof(options->has));
    for (name = apr_strtok(copy, ",", &last); name; name = apr_strtok(NULL, ",", &last)) {
        for (i = 0; i < PROBE_VERSIONS_N && strcmp(names[i], name) != 0; i++) {
        }
        if (i == PROBE_VERSIONS_N) {
            return 0;
        }
        options->has[i] = 1;
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

int probe_reach_set(ctl_t *ctl, probe_reach_t *reach, probe_options_t *options, int option)
{
    switch (option) {
    case 't':
        return !set_tls(options, optarg, ctl->pool)
               && report_usage(
                   ctl, "invalid value '%s' for 'tls': must be 1.0, 1.1, 1.2 or 1.3, or several",
                   optarg);
    case 'S':
        return !probe_target_starttls(optarg, &reach->starttls)
               && report_usage(ctl,
                               "invalid value '%s' for 'starttls': must be smtp, imap, pop3, ldap, "
                               "postgres or mysql",
                               optarg);
    case 'a':
        reach->hello.alpn = optarg;
        return !is_alpn(optarg)
               && report_usage(ctl, "invalid value '%s' for 'alpn': must be protocol names",
                               optarg);
    case 'c':
        reach->hello.cert_path = optarg;
        return 0;
    case 'K':
        reach->hello.key_path = optarg;
        return 0;
    case 'p':
        options->proxy = &reach->proxy;
        return !probe_target_proxy(optarg, &reach->proxy, ctl->pool)
               && report_usage(ctl,
                               "invalid proxy '%s': must be socks5://HOST[:PORT] or "
                               "http://HOST[:PORT]",
                               optarg);
    default:
        return 1;
    }
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
    return CTL_DONE;
}
