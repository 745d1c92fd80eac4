/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Examination without the host (offline.h).
 */
#include "offline.h"

#include "backends.h"
#include "by_backend.h"
#include "examine.h"

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

void probe_offline(probe_host_t *host, const probe_options_t *options, apr_pool_t *pool)
{
    probe_run_t run = {
        .host = host, .options = options, .backend = -1, .repeats_n = 1, .cost_n = 1, .pool = pool};
    apr_array_header_t *recorded = host->findings;
    int i, j;

    host->redacts = options->redacts;
    host->findings = apr_array_make(pool, 2 * PROBE_TEST_N, sizeof(probe_finding_t));
    apr_pool_create(&run.scratch, pool);
    for (i = 0; i < PROBE_VERSIONS_N && !host->failure; i++) {
        if (!host->versions[i].is_offered) {
            continue;
        }
        run.version = &host->versions[i];
        examine(&run);
        for (j = 0; j < recorded->nelts; j++) {
            const probe_finding_t *finding = &APR_ARRAY_IDX(recorded, j, probe_finding_t);

            if (finding->version == run.version->version && finding->forged) {
                add_forged(host, finding, pool);
            }
            else if (finding->version == run.version->version) {
                APR_ARRAY_PUSH(host->findings, probe_finding_t) = *finding;
            }
        }
    }
    apr_pool_destroy(run.scratch);
}
