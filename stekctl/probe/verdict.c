/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verdict on a host (verdict.h).
 */
#include "verdict.h"

#include <apr_strings.h>

#include "words.h"

static const probe_finding_t *finding_n(const probe_host_t *host, int n)
{
    return &APR_ARRAY_IDX(host->findings, n, probe_finding_t);
}

int probe_verdict_is_untested(const probe_finding_t *finding)
{
    return finding->verdict == PROBE_UNTESTED && !finding->is_moot;
}

/* Without these tests, "ok" would mean nothing. */
static int is_essential(const probe_finding_t *finding)
{
    return finding->test == PROBE_TEST_SUPPORT || finding->test == PROBE_TEST_PLAIN
           || finding->test == PROBE_TEST_CIPHER_KEY || finding->test == PROBE_TEST_MAC_KEY;
}

probe_verdict_e probe_verdict(const probe_host_t *host)
{
    probe_verdict_e worst = host->failure ? PROBE_UNTESTED : PROBE_OK;
    int i;

    for (i = 0; i < host->findings->nelts; i++) {
        const probe_finding_t *finding = finding_n(host, i);

        if (finding->verdict >= PROBE_WEAK
            || (probe_verdict_is_untested(finding) && is_essential(finding))) {
            worst = finding->verdict > worst ? finding->verdict : worst;
        }
    }
    return worst;
}

static int is_meant(const probe_finding_t *finding, probe_verdict_e verdict)
{
    return verdict == PROBE_OK         ? 0
           : verdict == PROBE_UNTESTED ? probe_verdict_is_untested(finding) && is_essential(finding)
                                       : finding->verdict >= PROBE_WEAK;
}

/* Nonzero: an earlier finding has named the test. */
static int is_named(const probe_host_t *host, int n, probe_verdict_e verdict)
{
    int i;

    for (i = 0; i < n; i++) {
        if (finding_n(host, i)->test == finding_n(host, n)->test
            && finding_n(host, i)->version == finding_n(host, n)->version
            && is_meant(finding_n(host, i), verdict)) {
            return 1;
        }
    }
    return 0;
}

static const char *list(const probe_host_t *host, probe_verdict_e verdict, apr_pool_t *pool)
{
    const char *text = "", *why = NULL;
    int i, version = 0;

    for (i = 0; i < host->findings->nelts; i++) {
        const probe_finding_t *finding = finding_n(host, i);

        if (!is_meant(finding, verdict) || is_named(host, i, verdict)) {
            continue;
        }
        text = apr_pstrcat(pool, text, version ? version == finding->version ? ", " : "; " : "",
                           version == finding->version ? "" : probe_version_name(finding->version),
                           version == finding->version ? "" : ": ", probe_test_name(finding->test),
                           NULL);
        version = finding->version;
        why = why ? why : finding->text;
    }
    return verdict == PROBE_UNTESTED && why ? apr_pstrcat(pool, text, " (", why, ")", NULL) : text;
}

const char *probe_verdict_text(const probe_host_t *host, apr_pool_t *pool)
{
    probe_verdict_e verdict = probe_verdict(host);
    int i, untested_n = 0, tickets_n = 0;

    if (host->failure) {
        return host->failure;
    }
    for (i = 0; i < PROBE_VERSIONS_N; i++) {
        tickets_n += host->versions[i].tickets->nelts;
    }
    if (verdict != PROBE_OK) {
        return list(host, verdict, pool);
    }
    if (tickets_n == 0) {
        return "gives no tickets";
    }
    for (i = 0; i < host->findings->nelts; i++) {
        untested_n += probe_verdict_is_untested(finding_n(host, i));
    }
    return apr_psprintf(pool, "no finding in %d ticket%s%s", tickets_n, tickets_n == 1 ? "" : "s",
                        untested_n ? apr_psprintf(pool, "; %d test%s not run, see below",
                                                  untested_n, untested_n == 1 ? " was" : "s were")
                                   : "");
}
