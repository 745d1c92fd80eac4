/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Examines a recording (analyse.h).
 */
#include "analyse.h"

#include <apr_strings.h>
#include <errno.h>
#include <string.h>

#include "offline.h"
#include "recording.h"
#include "report.h"

static ctl_exit_e examine_all(ctl_t *ctl, const char *path, probe_reader_t *reader,
                              const probe_options_t *options, probe_outputs_t *outputs)
{
    ctl_exit_e code = CTL_DONE;
    apr_pool_t *pool;
    const char *why;

    apr_pool_create(&pool, ctl->pool);
    while (code == CTL_DONE) {
        probe_host_t host;
        apr_status_t rv;

        apr_pool_clear(pool);
        rv = probe_reader_next(reader, &host, &why, pool);
        if (APR_STATUS_IS_EOF(rv)) {
            break;
        }
        if (rv != APR_SUCCESS) {
            report_line("%s: line %d: %s", path, reader->line_n, why);
            code = CTL_IO;
            break;
        }
        probe_offline(&host, options, pool);
        code = probe_outputs_add(ctl, outputs, &host, pool);
    }
    apr_pool_destroy(pool);
    if (code == CTL_DONE) {
        probe_outputs_end(ctl, outputs, options->redacts);
    }
    return code;
}

ctl_exit_e probe_analyse(ctl_t *ctl, const char *path, const probe_options_t *options,
                         probe_outputs_t *outputs)
{
    FILE *file = !strcmp(path, "-") ? stdin : fopen(path, "re");
    probe_reader_t reader;
    ctl_exit_e code;
    const char *why;

    if (!file) {
        report_line("%s: %s", path, strerror(errno));
        return CTL_IO;
    }
    if (probe_reader_begin(&reader, file, &why, ctl->pool) != APR_SUCCESS) {
        report_line("%s: %s", path, why);
        code = CTL_IO;
    }
    else {
        code = examine_all(ctl, path, &reader, options, outputs);
    }
    if (file != stdin) {
        fclose(file);
    }
    return code == CTL_DONE ? probe_outputs_code(outputs) : code;
}
