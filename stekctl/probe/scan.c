/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A list of hosts (scan.h).  One fiber reads the list and begins hosts, each of which has a fiber
 * and a pool of its own until it is done, so memory depends on how many are probed at a time.
 *
 * A host is begun only while the loop keeps up: if it did not, the time limits of connections would
 * measure this machine rather than the hosts.
 */
#include "scan.h"

#include <apr_strings.h>
#include <string.h>
#include <sys/resource.h>

#include "budget.h"
#include "fiber.h"
#include "host.h"
#include "host_list.h"
#include "loop.h"
#include "pace.h"
#include "report.h"
#include "resume.h"
#include "samples.h"
#include "target.h"
#include "wait.h"

#define FILES_SPARE 64 /* descriptors besides one per host */
#define TICK apr_time_from_msec(4)
#define BURST 16                        /* hosts that are begun per tick */
#define LATE_MAX apr_time_from_msec(50) /* a loop that is later does not keep up */
#define WAITING_MAX 256                 /* searches: a host has to be done within its time */
#define PROGRESS_EVERY apr_time_from_sec(1)

typedef struct scan_t {
    ctl_t *ctl;
    const probe_scan_options_t *how;
    const probe_options_t *options;
    probe_outputs_t *outputs;
    probe_host_list_t list;
    probe_resume_t resume;
    int at_once, running_n, done_n, all_n; /* all_n 0: not known */
    int burst_n;                           /* hosts that were begun since the last tick */
    ctl_exit_e code;
    int shows_progress;
    apr_time_t begun, told_at;
} scan_t;

typedef struct job_t {
    scan_t *scan;
    probe_host_t host;
    int line_n;
    const char *line;
    apr_pool_t *pool;
} job_t;

static void tell_progress(scan_t *scan, int is_last)
{
    apr_time_t now = apr_time_now();
    apr_pool_t *pool;

    if (!scan->shows_progress || (!is_last && now < scan->told_at + PROGRESS_EVERY)) {
        return;
    }
    scan->told_at = now;
    fprintf(stderr, "\r\033[K%d", scan->done_n);
    if (scan->all_n > 0) {
        fprintf(stderr, " of %d", scan->all_n);
    }
    apr_pool_create(&pool, scan->ctl->pool);
    fprintf(stderr, " hosts, %d at once, %d with findings, %d not tested, %s%s", scan->running_n,
            scan->outputs->findings_n, scan->outputs->failed_n,
            report_span(now - scan->begun, pool), is_last ? "\n" : "");
    apr_pool_destroy(pool);
    fflush(stderr);
}

static void run_job(void *data)
{
    job_t *job = data;
    scan_t *scan = job->scan;
    ctl_exit_e code;

    probe_host(&job->host, NULL, 0, scan->options, job->pool);
    if (scan->shows_progress) {
        fputs("\r\033[K", stderr);
    }
    code = probe_outputs_add(scan->ctl, scan->outputs, &job->host, job->pool);
    if (code == CTL_DONE && scan->how->resume_path
        && probe_resume_add(&scan->resume, job->line_n, job->line) != APR_SUCCESS) {
        report_line("%s: cannot be written", scan->how->resume_path);
        code = CTL_IO;
    }
    scan->code = scan->code == CTL_DONE ? code : scan->code;
    scan->done_n++;
    scan->running_n--;
    apr_pool_destroy(job->pool);
    probe_loop_wake();
}

static ctl_exit_e begin_host(scan_t *scan, const char *line)
{
    apr_pool_t *pool;
    job_t *job;

    apr_pool_create(&pool, scan->ctl->pool);
    job = apr_pcalloc(pool, sizeof(*job));
    job->scan = scan;
    job->pool = pool;
    job->line_n = scan->list.line_n;
    job->line = apr_pstrdup(pool, line);
    if (!probe_target_parse(job->line, scan->how->starttls, &job->host, pool)) {
        report_line("%s: line %d: invalid host '%s': must be " PROBE_TARGET_FORMS,
                    scan->how->list_path, scan->list.line_n, line);
        apr_pool_destroy(pool);
        return CTL_USAGE;
    }
    job->host.planned_n = probe_budget_all(scan->options, 0);
    scan->running_n++;
    if (!probe_fiber_start(run_job, job)) {
        scan->running_n--;
        apr_pool_destroy(pool);
        report_line("out of memory: try a smaller --at-once");
        return CTL_IO;
    }
    return CTL_DONE;
}

/* Waits until another host can be begun. */
static void wait_for_room(scan_t *scan)
{
    apr_interval_time_t late;

    if (++scan->burst_n < BURST && scan->running_n < scan->at_once) {
        return;
    }
    scan->burst_n = 0;
    do {
        apr_time_t until = apr_time_now() + TICK;

        probe_wait_until(until);
        late = apr_time_now() - until;
        if (scan->running_n >= scan->at_once) {
            probe_loop_sleep(apr_time_now() + PROGRESS_EVERY);
        }
        tell_progress(scan, 0);
    } while (scan->running_n > 0
             && (scan->running_n >= scan->at_once || late > LATE_MAX
                 || probe_loop_waiting() > WAITING_MAX));
}

/* The next host of the list that is not done.  0: none, or an error, which is reported. */
static int next_host(scan_t *scan, char line[PROBE_LINE_SIZE])
{
    const char *path = scan->how->list_path;

    for (;;) {
        apr_status_t rv = probe_host_list_next(&scan->list, line);
        int is_done = rv == APR_SUCCESS
                          ? probe_resume_is_done(&scan->resume, scan->list.line_n, line)
                          : 0;
        char text[128];

        if (APR_STATUS_IS_EOF(rv)) {
            return 0;
        }
        if (rv != APR_SUCCESS) {
            report_line("%s: line %d: %s", path, scan->list.line_n,
                        rv == APR_EGENERAL ? "too long" : apr_strerror(rv, text, sizeof(text)));
            scan->code = rv == APR_EGENERAL ? CTL_USAGE : CTL_IO;
            return 0;
        }
        if (is_done < 0) {
            report_line("%s: line %d was another host: name the list that %s belongs to", path,
                        scan->list.line_n, scan->how->resume_path);
            scan->code = CTL_USAGE;
            return 0;
        }
        if (!is_done) {
            return 1;
        }
    }
}

static void feed(void *data)
{
    scan_t *scan = data;
    char *line = apr_palloc(scan->ctl->pool, PROBE_LINE_SIZE);

    while (scan->code == CTL_DONE && next_host(scan, line)) {
        wait_for_room(scan);
        if (scan->code == CTL_DONE) {
            scan->code = begin_host(scan, line);
        }
    }
    while (scan->running_n > 0) {
        probe_loop_sleep(apr_time_now() + PROGRESS_EVERY);
        tell_progress(scan, 0);
    }
}

/* Before the first connection: the whole list, if it is a file. */
static ctl_exit_e check_list(scan_t *scan)
{
    char *line = apr_palloc(scan->ctl->pool, PROBE_LINE_SIZE);
    apr_pool_t *pool;

    if (!scan->list.is_file) {
        return CTL_DONE;
    }
    apr_pool_create(&pool, scan->ctl->pool);
    while (scan->code == CTL_DONE && next_host(scan, line)) {
        probe_host_t host;

        apr_pool_clear(pool);
        scan->all_n++;
        if (!probe_target_parse(line, scan->how->starttls, &host, pool)) {
            report_line("%s: line %d: invalid host '%s': must be " PROBE_TARGET_FORMS,
                        scan->how->list_path, scan->list.line_n, line);
            scan->code = CTL_USAGE;
        }
    }
    apr_pool_destroy(pool);
    if (scan->code == CTL_DONE && probe_host_list_rewind(&scan->list) != APR_SUCCESS) {
        report_line("%s: cannot be read again", scan->how->list_path);
        scan->code = CTL_IO;
    }
    return scan->code;
}

/* One descriptor per host: as many as this process may have. */
static int limit_at_once(int wanted)
{
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) != 0) {
        return wanted;
    }
    if (files.rlim_cur < (rlim_t)wanted + FILES_SPARE) {
        files.rlim_cur = files.rlim_max < (rlim_t)wanted + FILES_SPARE
                             ? files.rlim_max
                             : (rlim_t)wanted + FILES_SPARE;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    if (files.rlim_cur < (rlim_t)wanted + FILES_SPARE) {
        wanted = files.rlim_cur > 2 * FILES_SPARE ? (int)files.rlim_cur - FILES_SPARE
                                                  : FILES_SPARE / 2;
    }
    return wanted;
}

static ctl_exit_e open_all(scan_t *scan)
{
    apr_status_t rv = probe_host_list_open(&scan->list, scan->how->list_path);
    char text[128];

    if (rv != APR_SUCCESS) {
        report_line("%s: %s", scan->how->list_path, apr_strerror(rv, text, sizeof(text)));
        return CTL_IO;
    }
    if (scan->how->resume_path) {
        rv = probe_resume_open(&scan->resume, scan->how->resume_path);
        if (rv != APR_SUCCESS) {
            report_line("%s: %s", scan->how->resume_path,
                        rv == APR_EINVAL ? "not written by --resume; name another file"
                                         : apr_strerror(rv, text, sizeof(text)));
            return CTL_IO;
        }
        scan->outputs->is_resumed = scan->resume.done_n > 0;
    }
    return check_list(scan);
}

static ctl_exit_e scan_all(scan_t *scan)
{
    const char *why;

    scan->code = open_all(scan);
    if (scan->code == CTL_DONE) {
        scan->code = probe_outputs_open(scan->outputs);
    }
    if (scan->code != CTL_DONE) {
        return scan->code;
    }
    why = probe_loop_begin();
    if (why) {
        report_line("'hosts': %s", why);
        return CTL_IO;
    }
    scan->begun = apr_time_now();
    if (!probe_loop_run(feed, scan)) {
        report_line("'hosts': the event loop failed");
        scan->code = CTL_IO;
    }
    probe_loop_end();
    tell_progress(scan, 1);
    probe_outputs_end(scan->ctl, scan->outputs, scan->options->redacts);
    return scan->code == CTL_DONE ? probe_outputs_code(scan->outputs) : scan->code;
}

ctl_exit_e probe_scan(ctl_t *ctl, const probe_scan_options_t *scan_options,
                      probe_options_t *options, probe_outputs_t *outputs)
{
    scan_t *scan = apr_pcalloc(ctl->pool, sizeof(*scan));
    ctl_exit_e code;

    scan->ctl = ctl;
    scan->how = scan_options;
    scan->options = options;
    scan->outputs = outputs;
    scan->at_once = limit_at_once(scan_options->at_once);
    outputs->prints_lines = ctl->json;
    outputs->names_hosts = !ctl->json;
    scan->shows_progress = options->shows_progress;
    options->shows_progress = 0; /* of single hosts */
    options->samples = probe_samples_create(ctl->pool);
    options->paces = probe_paces_create(options->per_second, scan_options->per_second, ctl->pool);
    code = scan_all(scan);
    probe_host_list_close(&scan->list);
    probe_resume_close(&scan->resume);
    return code;
}
