/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The steps of a probe (host.h): collect tickets, examine them, then offer altered ones.
 */
#include "host.h"

#include <apr_strings.h>
#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>

#include "backends.h"
#include "budget.h"
#include "by_backend.h"
#include "collect.h"
#include "examine.h"
#include "tests.h"
#include "words.h"

#define LIST_TIMES 5

/* Skips the tests from first to the one before end.  Without tickets there is nothing to test. */
static void skip(probe_run_t *run, probe_test_e first, probe_test_e end, const char *why)
{
    int test;

    for (test = (int)first; test < (int)end; test++) {
        if (run->version->tickets->nelts == 0) {
            probe_tell_moot(run, (probe_test_e)test, why);
        }
        else {
            probe_tell(run, (probe_test_e)test, PROBE_UNTESTED, "%s", why);
        }
    }
}

/* For tickets that cannot be offered here: skips the tests from first on, except confusion, because
 * other names may still accept them. */
static void confusion_only(probe_run_t *run, probe_test_e first, const char *why,
                           const probe_host_t *earlier, int earlier_n)
{
    skip(run, first, PROBE_TEST_CONFUSION, why);
    probe_begin(run, PROBE_TEST_CONFUSION, earlier_n);
    probe_test_confusion(run, earlier, earlier_n);
    skip(run, PROBE_TEST_ROTATION, PROBE_TEST_N, why);
}

/* Of one backend, as far as is known. */
static void test_alone(probe_run_t *run, const probe_host_t *earlier, int earlier_n)
{
    probe_begin(run, PROBE_TEST_MAC, earlier_n);
    probe_test_mac(run);
    probe_begin(run, PROBE_TEST_PADDING, earlier_n);
    probe_test_padding(run);
    probe_begin(run, PROBE_TEST_CONFUSION, earlier_n);
    probe_test_confusion(run, earlier, earlier_n);
    probe_begin(run, PROBE_TEST_ROTATION, earlier_n);
    probe_test_rotation(run);
    probe_begin(run, PROBE_TEST_REUSE, earlier_n);
    probe_test_reuse(run);
    probe_begin(run, PROBE_TEST_CHANGE, earlier_n);
    probe_test_change(run);
    probe_begin(run, PROBE_TEST_EXPIRY, earlier_n);
    probe_test_expiry(run);
}

static void test_version(probe_run_t *run, const probe_host_t *earlier, int earlier_n)
{
    probe_version_t *version = run->version;

    probe_begin(run, PROBE_TEST_SUPPORT, earlier_n);
    probe_collect_session_id(run);
    if (version->tickets->nelts == 0) {
        probe_examine_support(run);
        confusion_only(run, PROBE_TEST_FORMAT, "no tickets", earlier, earlier_n);
        return;
    }
    probe_backends_sort(version, run->pool);
    probe_by_backend_try(run, earlier_n);
    probe_examine_support(run);
    probe_by_backend_examine(run);
    probe_test_forgery(run, earlier_n);
    probe_test_spare_keys(run, earlier_n);
    if (!version->is_accepted) {
        confusion_only(run, PROBE_TEST_MAC, probe_by_backend_why(version), earlier, earlier_n);
        return;
    }
    if (version->is_alone) {
        test_alone(run, earlier, earlier_n);
    }
    else {
        probe_by_backend_test(run, earlier, earlier_n);
    }
}

/* An IPv6 address may name an interface: "fe80::1%eth0". */
static int is_address(const char *name)
{
    unsigned char address[4];

    return strchr(name, ':') || inet_pton(AF_INET, name, address) == 1;
}

/* A version without a handshake, after one that had some: some servers close the connection where
 * they do not know a version.  Unless they no longer answer at all, as if they had enough of it. */
static void tell_lost(probe_run_t *run, probe_version_t *offered)
{
    probe_version_t *lost = run->version;
    int answers;

    run->version = offered;
    answers = !lost->is_refused && probe_collect_answers(run);
    run->version = lost;
    if (!lost->is_refused && !answers) {
        probe_tell(run, PROBE_TEST_SUPPORT, PROBE_UNTESTED, "the server no longer answers: %s",
                   run->host->failure ? run->host->failure : "no handshake succeeded");
    }
}

static void test_versions(probe_run_t *run, const probe_host_t *earlier, int earlier_n)
{
    probe_host_t *host = run->host;
    probe_version_t *offered = NULL;
    int i;

    for (i = 0; i < PROBE_VERSIONS_N; i++) {
        probe_version_t *version = &host->versions[i];

        version->version = TLS1_VERSION + i;
        run->version = version;
        if (!run->options->has[i]) {
            continue;
        }
        run->clean_end = probe_budget_clean(run->options, earlier_n, ++run->servers_n);
        if (!probe_collect(run) && !offered) {
            return;
        }
        if (version->is_offered) {
            offered = version;
            test_version(run, earlier, earlier_n);
        }
        else if (offered) {
            tell_lost(run, offered);
        }
    }
    if (offered) {
        host->failure = NULL;
    }
    else {
        host->failure = apr_psprintf(run->pool, "supports none of the requested TLS versions: %s",
                                     host->failure ? host->failure : "no handshake succeeded");
    }
}

/* More than any server needs that answers promptly, and a limit for those that do not.  Hosts of a
 * list share this machine's time. */
static apr_interval_time_t time_limit(const probe_options_t *options, int planned_n)
{
    static const int base_s[] = {30, 300, 900};

    int times = options->paces ? LIST_TIMES : 1;

    return apr_time_from_sec(times * (base_s[options->level] + planned_n / options->per_second))
           + 2 * options->watch;
}

void probe_host(probe_host_t *host, const probe_host_t *earlier, int earlier_n,
                const probe_options_t *options, apr_pool_t *pool)
{
    probe_run_t run = {
        .host = host, .options = options, .backend = -1, .repeats_n = 1, .cost_n = 1, .pool = pool};
    int i;

    for (i = 0; i < PROBE_VERSIONS_N; i++) {
        host->versions[i].tickets = apr_array_make(pool, 32, sizeof(probe_ticket_t));
    }
    host->at = apr_time_now();
    host->redacts = options->redacts;
    host->findings = apr_array_make(pool, 2 * PROBE_TEST_N, sizeof(probe_finding_t));
    if (options->names->nelts > 0) {
        run.name = APR_ARRAY_IDX(options->names, 0, const char *);
    }
    else if (!is_address(host->name)) {
        run.name = host->name;
    }
    host->sni = run.name;
    apr_pool_create(&run.scratch, pool);
    if (probe_client_create(&run.client, host, options, &host->failure, pool) != APR_SUCCESS) {
        return;
    }
    probe_client_end_at(run.client, host->at + time_limit(options, host->planned_n));
    test_versions(&run, earlier, earlier_n);
    host->connections_n = probe_client_count(run.client);
    host->address = probe_client_address(run.client, pool);
    host->took = apr_time_now() - host->at;
    if (options->shows_progress) {
        fputs("\r\033[K", stderr);
    }
    apr_pool_destroy(run.scratch);
}
