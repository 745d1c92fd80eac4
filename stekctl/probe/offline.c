/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Examination without the host (offline.h).
 */
#include "offline.h"

#include "backends.h"
#include "by_backend.h"
#include "examine.h"
#include "spare_keys.h"

static void examine(probe_run_t *run)
{
    probe_version_t *version = run->version;

    if (version->tickets->nelts == 0) {
        probe_examine_support(run);
        return;
    }
    probe_backends_sort(version, run->pool);
    probe_examine_support(run);
    probe_by_backend_examine(run);
}

/* What became of a ticket that was forged under the key that is found again. */
static void add_forged(probe_host_t *host, const probe_finding_t *recorded, apr_pool_t *pool)
{
    int i;

    for (i = 0; i < host->findings->nelts; i++) {
        probe_finding_t *finding = &APR_ARRAY_IDX(host->findings, i, probe_finding_t);

        if (finding->version == recorded->version && finding->test == recorded->test
            && finding->backends == recorded->backends && finding->hit && !finding->forged) {
            probe_tell_forged(finding, recorded->forged, recorded->text, pool);
            return;
        }
    }
}

/* A key that was not known then: nobody has forged a ticket under it. */
static void tell_unforged(probe_run_t *run, int first)
{
    int i;

    for (i = first; i < run->host->findings->nelts; i++) {
        probe_finding_t *finding = &APR_ARRAY_IDX(run->host->findings, i, probe_finding_t);

        if (finding->searched && !finding->forged && !finding->hit->is_inside) {
            probe_tell_forged(finding, PROBE_FORGED_UNTRIED,
                              "no ticket was forged: not testable offline", run->pool);
        }
    }
}

/* Does one version's tests again, and takes over what only the server could tell. */
static void examine_version(probe_run_t *run, const apr_array_header_t *recorded)
{
    apr_array_header_t *findings = run->host->findings;
    int first = findings->nelts, i;

    if (run->version->is_offered) {
        examine(run);
    }
    for (i = 0; i < recorded->nelts; i++) {
        const probe_finding_t *finding = &APR_ARRAY_IDX(recorded, i, probe_finding_t);

        if (finding->version != run->version->version) {
            continue;
        }
        if (finding->spare) {
            probe_spare_keys_tell(run, finding->spare);
        }
        else if (finding->forged) {
            add_forged(run->host, finding, run->pool);
        }
        else {
            APR_ARRAY_PUSH(findings, probe_finding_t) = *finding;
        }
    }
    tell_unforged(run, first);
}

void probe_offline(probe_host_t *host, const probe_options_t *options, apr_pool_t *pool)
{
    probe_run_t run = {
        .host = host, .options = options, .backend = -1, .repeats_n = 1, .cost_n = 1, .pool = pool};
    apr_array_header_t *recorded = host->findings;
    int i;

    host->redacts = options->redacts;
    host->findings = apr_array_make(pool, 2 * PROBE_TEST_N, sizeof(probe_finding_t));
    apr_pool_create(&run.scratch, pool);
    for (i = 0; i < PROBE_VERSIONS_N && !host->failure; i++) {
        run.version = &host->versions[i];
        examine_version(&run, recorded);
    }
    apr_pool_destroy(run.scratch);
}
