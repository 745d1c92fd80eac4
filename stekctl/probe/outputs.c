/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Results go out (outputs.h).
 */
#include "outputs.h"

#include <errno.h>
#include <string.h>

#include "across_print.h"
#include "print.h"
#include "recording.h"
#include "report.h"
#include "words.h"

static ctl_exit_e tell_failure(const char *path, apr_status_t rv)
{
    char text[128];

    if (APR_STATUS_IS_EEXIST(rv)) {
        report_line("%s: exists; name another file, or remove it", path);
    }
    else if (rv == APR_EINVAL) {
        report_line("%s: not written by stekctl probe; name another file, or remove it", path);
    }
    else {
        report_line("%s: %s", path, apr_strerror(rv, text, sizeof(text)));
    }
    return CTL_IO;
}

/* ---- CSV (RFC 4180) ---- */

static const char *csv_verdict(const probe_host_t *host, int version, int test)
{
    int i, worst = -1;

    for (i = 0; i < host->findings->nelts; i++) {
        const probe_finding_t *finding = &APR_ARRAY_IDX(host->findings, i, probe_finding_t);

        if (finding->version == version && (test < 0 || (int)finding->test == test)
            && (int)finding->verdict > worst) {
            worst = (int)finding->verdict;
        }
    }
    return worst < 0 ? "" : probe_verdict_name((probe_verdict_e)worst);
}

/* What a recording of somebody else's says must not become a formula of a spreadsheet. */
static void csv_text(FILE *csv, const char *text)
{
    int is_formula = *text && strchr("=+-@", *text);

    if (!is_formula && !text[strcspn(text, ",\"\r\n")]) {
        fputs(text, csv);
        return;
    }
    fputs(is_formula ? "\"'" : "\"", csv);
    for (; *text; text++) {
        fputs(*text == '"' ? "\"" : "", csv);
        putc(*text == '\r' || *text == '\n' ? ' ' : *text, csv);
    }
    putc('"', csv);
}

static void csv_head(FILE *csv)
{
    int test;

    fputs("host,port,version,verdict", csv);
    for (test = 0; test < PROBE_TEST_N; test++) {
        fprintf(csv, ",%s", probe_test_name((probe_test_e)test));
    }
    fputs(",failure\r\n", csv);
}

/* version NULL: nothing was tested. */
static void csv_row(FILE *csv, const probe_host_t *host, const probe_version_t *version)
{
    int test;

    csv_text(csv, host->name);
    fprintf(csv, ",%d,", host->port);
    if (version) {
        fprintf(csv, "%s,%s", probe_version_name(version->version),
                csv_verdict(host, version->version, -1));
    }
    else {
        putc(',', csv);
    }
    for (test = 0; test < PROBE_TEST_N; test++) {
        fprintf(csv, ",%s", version ? csv_verdict(host, version->version, test) : "");
    }
    putc(',', csv);
    csv_text(csv, version ? "" : host->failure);
    fputs("\r\n", csv);
}

static ctl_exit_e add_csv(probe_outputs_t *outputs, const probe_host_t *host)
{
    int i;

    if (host->failure) {
        csv_row(outputs->csv, host, NULL);
    }
    for (i = 0; i < PROBE_VERSIONS_N && !host->failure; i++) {
        if (host->versions[i].is_offered) {
            csv_row(outputs->csv, host, &host->versions[i]);
        }
    }
    return fflush(outputs->csv) == 0 ? CTL_DONE
                                     : tell_failure(outputs->csv_path, APR_FROM_OS_ERROR(errno));
}

ctl_exit_e probe_outputs_open(probe_outputs_t *outputs)
{
    apr_status_t rv;

    if (outputs->collect_path) {
        rv = probe_recording_create(&outputs->collected, outputs->collect_path,
                                    outputs->is_resumed);
        if (rv != APR_SUCCESS) {
            return tell_failure(outputs->collect_path, rv);
        }
    }
    if (outputs->csv_path) {
        outputs->csv = fopen(outputs->csv_path, outputs->is_resumed ? "ae" : "we");
        if (!outputs->csv) {
            return tell_failure(outputs->csv_path, APR_FROM_OS_ERROR(errno));
        }
        if (fseeko(outputs->csv, 0, SEEK_END) == 0 && ftello(outputs->csv) <= 0) {
            csv_head(outputs->csv);
        }
    }
    return CTL_DONE;
}

ctl_exit_e probe_outputs_add(ctl_t *ctl, probe_outputs_t *outputs, const probe_host_t *host,
                             apr_pool_t *pool)
{
    ctl_exit_e code = CTL_DONE;
    apr_status_t rv;

    if (host->failure) {
        outputs->failed_n++;
        if (!outputs->prints_lines) {
            report_line("%s:%d: %s; nothing was tested", host->name, host->port, host->failure);
        }
    }
    else {
        outputs->findings_n += probe_print_findings_n(host) > 0;
        if (!ctl->json) {
            if (outputs->names_hosts) {
                printf("%s:%d: probed %s\n", host->name, host->port,
                       report_strftime(host->at, "%Y-%m-%d %H:%M:%S UTC", pool));
            }
            probe_print_host(host, pool);
        }
    }
    if (outputs->prints_lines) {
        probe_print_json_line(host, pool);
    }
    probe_across_add(outputs->across, host);
    if (outputs->csv) {
        code = add_csv(outputs, host);
    }
    if (outputs->collected && code == CTL_DONE) {
        rv = probe_recording_add(outputs->collected, host);
        code = rv == APR_SUCCESS ? CTL_DONE : tell_failure(outputs->collect_path, rv);
    }
    return code;
}

void probe_outputs_close(probe_outputs_t *outputs)
{
    if (outputs->csv) {
        fclose(outputs->csv);
    }
    if (outputs->collected) {
        fclose(outputs->collected);
    }
}

void probe_outputs_end(const ctl_t *ctl, probe_outputs_t *outputs, int redacts)
{
    if (outputs->prints_lines) {
        probe_across_print_json_line(outputs->across, redacts, ctl->pool);
    }
    else if (!ctl->json) {
        probe_across_print(outputs->across, redacts, ctl->pool);
    }
}

ctl_exit_e probe_outputs_code(const probe_outputs_t *outputs)
{
    return outputs->findings_n ? CTL_FINDING : outputs->failed_n ? CTL_IO : CTL_DONE;
}
