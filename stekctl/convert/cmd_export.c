/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Command export: writes the ring's keys for another program, once or, with --follow, for as long
 * as it runs.  Like httpd, --follow only merges: an old copy of the ring's file brings no revoked
 * key back, and a bad one changes nothing.  stekctl; one thread.
 */
#include <apr_strings.h>
#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "change.h"
#include "convert.h"
#include "haproxy_socket.h"
#include "json.h"
#include "notify.h"
#include "options.h"
#include "output.h"
#include "report.h"
#include "ringio.h"
#include "export_keys.h"
#include "stek_admit.h"
#include "stek_error.h"
#include "stek_ring_merge.h"
#include "suggestion.h"

#define RETRY_AFTER apr_time_from_sec(60)
#define CHECK_AFTER apr_time_from_sec(5) /* HAProxy may have been reloaded */
#define POLL_NS 500000000L               /* so that a change is exported within a second */

typedef struct export_t {
    output_t output;
    haproxy_socket_t haproxy; /* socket_path NULL: none */
    int follow;
    const char *exec; /* NULL: none */

    stek_ring_t *live;
    stek_stamp_t stamp;   /* of the file that live was read from */
    apr_status_t last_rv; /* of the last check; reported once per change */
    const char *last_path;
    export_keys_t *selection;              /* of live */
    unsigned char (*names)[STEK_NAME_LEN]; /* of the keys written last */
    apr_size_t name_n;
    int written;  /* the files exist */
    int push_due; /* HAProxy does not have them yet */
    int push_failed;
    apr_time_t check_at;   /* when to check HAProxy's keys */
    apr_time_t retry_at;   /* no earlier, after a failed write */
    int none_told;         /* reported that no key encrypts */
    apr_size_t left_out_n; /* keys that begin too late; reported */
    unsigned char lead[STEK_NAME_LEN];
    int has_lead;
} export_t;

static volatile sig_atomic_t to_end;

static void on_signal(int number)
{
    (void)number;
    to_end = 1;
}

static void print_done(ctl_t *ctl, const export_t *export, const char *done, apr_time_t now)
{
    const stek_key_t *lead = export->selection->lead;
    char hex[STEK_HEX_LEN];
    json_t json;

    if (!ctl->json) {
        printf("%s: %s", report_path(export->output.path, ctl->pool), done);
        if (lead) {
            printf("; %d key%s, %s encrypts", (int)export->selection->key_n,
                   export->selection->key_n == 1 ? "" : "s", stek_key_hex(lead->name, hex));
        }
        putchar('\n');
        (void)fflush(stdout);
        return;
    }
    json_begin(&json, stdout);
    json_open(&json, NULL, '{');
    json_string(&json, "done", done);
    json_string(&json, "ring", ctl->ring_path);
    json_string(&json, "format", format_name(export->output.format));
    json_string(&json, "out", export->output.path);
    json_count(&json, "epoch", export->live->epoch);
    json_count(&json, "generation", export->live->generation);
    json_count(&json, "keys", export->selection->key_n);
    change_json_key(&json, "key", export->live, lead, now);
    json_close(&json, '}');
    json_end(&json);
}

static ctl_exit_e push(ctl_t *ctl, export_t *export, apr_time_t now)
{
    const char *answer = NULL, *culprit = NULL;
    apr_pool_t *pool;
    apr_status_t rv;

    if (!export->haproxy.socket_path) {
        return CTL_DONE;
    }
    rv = apr_pool_create(&pool, ctl->pool);
    if (rv != APR_SUCCESS) {
        return CTL_IO;
    }
    rv = haproxy_socket_check(&export->haproxy,
                              export->output.uid != (uid_t)-1 ? export->output.uid : ctl->owner,
                              &culprit, pool);
    if (rv == APR_SUCCESS) {
        rv = haproxy_socket_push(&export->haproxy, export->selection->keys, &answer, pool);
    }
    export->push_due = rv != APR_SUCCESS;
    export->check_at = now + CHECK_AFTER;
    if (culprit) {
        if (!export->push_failed) {
            report_line(
                "%s: not sending keys, because other users could listen there: %s; put HAProxy's "
                "socket in a directory that belongs to root, or name its user with --owner",
                export->haproxy.socket_path, culprit);
        }
    }
    else if (!export->push_failed && (APR_STATUS_IS_ENOENT(rv) || APR_STATUS_IS_ECONNREFUSED(rv))) {
        report_line("%s: no HAProxy listens here; it will read the keys from %s when it starts",
                    export->haproxy.socket_path, export->haproxy.file);
    }
    else if (rv != APR_SUCCESS && !export->push_failed) {
        char why[256];

        report_line("%s: %s; check that this is HAProxy's stats socket with level admin, and that "
                    "its tls-ticket-keys names %s",
                    export->haproxy.socket_path,
                    answer ? answer : stek_strerror(rv, why, sizeof(why)), export->haproxy.file);
    }
    export->push_failed = rv != APR_SUCCESS;
    apr_pool_destroy(pool);
    return rv == APR_SUCCESS ? CTL_DONE : CTL_IO;
}

static void remember(export_t *export)
{
    apr_size_t i;

    export->name_n = export->selection->key_n;
    for (i = 0; i < export->name_n; i++) {
        memcpy(export->names[i], export->selection->keys[i]->name, STEK_NAME_LEN);
    }
    if (export->selection->lead) {
        memcpy(export->lead, export->selection->lead->name, STEK_NAME_LEN);
        export->has_lead = 1;
    }
}

static int is_same(const export_t *export)
{
    apr_size_t i;

    if (!export->written || export->name_n != export->selection->key_n) {
        return 0;
    }
    for (i = 0; i < export->name_n; i++) {
        if (memcmp(export->names[i], export->selection->keys[i]->name, STEK_NAME_LEN) != 0) {
            return 0;
        }
    }
    return 1;
}

static void run_exec(const export_t *export)
{
    int status;
    pid_t pid;

    if (!export->exec) {
        return;
    }
    pid = fork();
    if (pid == 0) {
        (void)signal(SIGPIPE, SIG_DFL);
        execl("/bin/sh", "sh", "-c", export->exec, (char *)NULL);
        _exit(127);
    }
    while (pid > 0 && waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR) {
            pid = -1;
        }
    }
    if (pid < 0) {
        report_line("--exec: the command could not be run: %s; try again",
                    strerror(errno)); /* NOLINT(concurrency-mt-unsafe) */
    }
    else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        report_line("--exec: the command ended with %s %d; check its output",
                    WIFEXITED(status) ? "status" : "signal",
                    WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
    }
}

/* For --follow: the program continues with the previous key, or without one. */
static void tell_none(ctl_t *ctl, export_t *export, apr_time_t now)
{
    int none = !stek_ring_current(export->live, now);

    if (none && !export->none_told) {
        report_line("%s: there is no current key; check that httpd or stekctl sync is running",
                    ctl->ring_path);
    }
    export->none_told = none;
}

/* Updates the files to live at the time now. */
static ctl_exit_e bring_up(ctl_t *ctl, export_t *export, apr_time_t now)
{
    ctl_exit_e code, pushed;
    apr_status_t rv = export_keys_make(export->live, export->output.format, now,
                                       export->has_lead ? export->lead : NULL, export->selection);

    if (rv != APR_SUCCESS) {
        if (!export->follow) {
            report_line("%s: there is no current key, so there is nothing to export; create one: "
                        "stekctl rotate",
                        ctl->ring_path);
            return CTL_FINDING;
        }
        if (!export->written) {
            return CTL_DONE;
        }
        code = output_remove(ctl, &export->output);
        export->written = export->has_lead = export->push_due = 0;
        print_done(ctl, export, "removed", now);
        run_exec(export);
        return code;
    }
    if (is_same(export)) {
        return export->push_due || now >= export->check_at ? push(ctl, export, now) : CTL_DONE;
    }
    code = output_write(ctl, &export->output, export->selection);
    if (code != CTL_DONE) {
        return code;
    }
    /* --force is meant for the file that was there at the start. */
    export->output.force = 0;
    pushed = push(ctl, export, now);
    remember(export);
    export->written = 1;
    print_done(ctl, export, "written", now);
    run_exec(export);
    return pushed;
}

static void tell_once(ctl_t *ctl, export_t *export, apr_status_t rv, const char *path,
                      const char *culprit)
{
    if (rv != export->last_rv || (export->last_path && strcmp(path, export->last_path) != 0)) {
        (void)report_status(ctl, path, rv, culprit);
    }
    export->last_rv = rv;
    export->last_path = path;
}

/* Merges what is new in the file. */
static void look(ctl_t *ctl, export_t *export, apr_time_t now)
{
    const char *culprit, *fault_path;
    stek_stamp_t stamp;
    apr_pool_t *pool;
    ctl_t here = *ctl;
    apr_status_t rv;
    ringio_t io;

    rv = stek_file_stamp(ctl->ring_path, &stamp);
    if (rv != APR_SUCCESS) {
        tell_once(ctl, export, rv, ctl->ring_path, NULL);
        return;
    }
    if (stek_stamp_equal(&stamp, &export->stamp)
        || apr_pool_create(&pool, ctl->pool) != APR_SUCCESS) {
        return;
    }
    here.pool = pool;
    rv = ringio_try(&here, ctl->ring_path, 1, &io, &culprit, &fault_path);
    if (rv == APR_SUCCESS) {
        rv = stek_admit_epoch(io.ring->epoch, export->live->epoch, now);
        if (rv == APR_SUCCESS) {
            ringio_leave_out(ctl, io.ring, now, &export->left_out_n);
            rv = stek_ring_merge_into(&export->live, io.ring, now, io.ring->lifetime);
        }
        if (rv == APR_SUCCESS) {
            export->stamp = io.stamp;
            export->last_rv = APR_SUCCESS;
        }
        ringio_release(&io);
        fault_path = ctl->ring_path;
    }
    if (rv != APR_SUCCESS) {
        tell_once(&here, export, rv, fault_path, culprit);
    }
    apr_pool_destroy(pool);
}

/* Drops keys that have ended, so that no copy of them remains. */
static void tidy(export_t *export, apr_time_t now)
{
    apr_time_t lifetime = export->live->lifetime;
    apr_size_t i;

    for (i = 0; i < export->live->key_n; i++) {
        if (stek_key_end(&export->live->keys[i], lifetime) <= now) {
            break;
        }
    }
    if (i < export->live->key_n) {
        (void)stek_ring_merge_into(&export->live, NULL, now, lifetime);
    }
}

static ctl_exit_e follow(ctl_t *ctl, export_t *export)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    struct timespec pause = {0, POLL_NS};
    struct sigaction action;
    apr_size_t i;

    memset(&action, 0, sizeof(action));
    action.sa_handler = on_signal;
    for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        (void)sigaction(numbers[i], &action, NULL);
    }
    notify_send("READY=1");
    while (!to_end) {
        apr_time_t now = ringio_now();

        notify_send("WATCHDOG=1");
        tidy(export, now);
        look(ctl, export, now);
        tell_none(ctl, export, now);
        if (now >= export->retry_at && bring_up(ctl, export, now) != CTL_DONE
            && !export->push_due) {
            export->retry_at = now + RETRY_AFTER;
        }
        (void)nanosleep(&pause, NULL);
    }
    return CTL_DONE;
}

static ctl_exit_e parse_owner(ctl_t *ctl, const char *name, output_t *output)
{
    struct passwd *entry = getpwnam(name); /* NOLINT(concurrency-mt-unsafe): one thread */

    if (!entry) {
        return report_usage(ctl, "no such user '%s'", name);
    }
    output->uid = entry->pw_uid;
    output->gid = entry->pw_gid;
    return CTL_DONE;
}

static ctl_exit_e parse_option(ctl_t *ctl, int option, export_t *export, int *phas_format)
{
    switch (option) {
    case 'f':
        if (format_find_export(optarg, &export->output.format) != APR_SUCCESS) {
            const char *names = apr_pstrcat(ctl->pool, format_names(), ", ", format_export_names(),
                                            NULL);

            return report_usage(ctl, "invalid format '%s'%s: must be one of %s", optarg,
                                suggestion_of(optarg, names, ctl->pool), names);
        }
        *phas_format = 1;
        return CTL_DONE;
    case 'o':
        export->output.path = optarg;
        return CTL_DONE;
    case 'u':
        return parse_owner(ctl, optarg, &export->output);
    case 's':
        export->haproxy.socket_path = optarg;
        return CTL_DONE;
    case 'w':
        export->follow = 1;
        return CTL_DONE;
    case 'e':
        export->exec = optarg;
        return CTL_DONE;
    case 'F':
        export->output.force = 1;
        return CTL_DONE;
    default:
        return CTL_USAGE;
    }
}

static ctl_exit_e parse(ctl_t *ctl, int argc, char **argv, export_t *export)
{
    static const struct option options[] = {
        {"format", required_argument, NULL, 'f'},
        {"out", required_argument, NULL, 'o'},
        {"owner", required_argument, NULL, 'u'},
        {"socket", required_argument, NULL, 's'},
        {"follow", no_argument, NULL, 'w'},
        {"exec", required_argument, NULL, 'e'},
        {"force", no_argument, NULL, 'F'},
        CTL_OPTION_HELP,
        CTL_OPTION_END,
    };
    ctl_exit_e code = CTL_DONE;
    int option, has_format = 0;

    while (code == CTL_DONE && (option = ctl_option(ctl, argc, argv, options)) != -1) {
        code = parse_option(ctl, option, export, &has_format);
    }
    if (code != CTL_DONE) {
        return code;
    }
    if (optind < argc) {
        return report_usage(ctl, "unexpected argument '%s'", argv[optind]);
    }
    if (!has_format || !export->output.path || !*export->output.path) {
        return report_usage(ctl, "--format and --out are required");
    }
    if (export->haproxy.socket_path && export->output.format != FORMAT_HAPROXY) {
        return report_usage(ctl, "--socket requires --format haproxy");
    }
    if (export->exec && !export->follow) {
        return report_usage(ctl, "--exec requires --follow");
    }
    export->haproxy.file = export->output.path;
    return CTL_DONE;
}

static ctl_exit_e load(ctl_t *ctl, export_t *export)
{
    apr_time_t now = ringio_now();
    ringio_t io;
    ctl_exit_e code = ringio_load(ctl, ctl->ring_path, 1, &io);

    if (code != CTL_DONE) {
        return code;
    }
    code = ringio_check_epoch(ctl, io.ring->epoch, now);
    if (code == CTL_DONE) {
        ringio_leave_out(ctl, io.ring, now, &export->left_out_n);
        export->live = io.ring;
        export->stamp = io.stamp;
        io.ring = NULL;
    }
    ringio_release(&io);
    return code;
}

ctl_exit_e cmd_export(ctl_t *ctl, int argc, char **argv)
{
    export_t export = {.output = {.uid = (uid_t)-1, .gid = (gid_t)-1}};
    ctl_exit_e code;

    code = parse(ctl, argc, argv, &export);
    if (code == CTL_DONE) {
        code = load(ctl, &export);
    }
    if (code != CTL_DONE) {
        return code;
    }
    export.selection = calloc(1, sizeof(*export.selection));
    export.names = calloc(STEK_KEYS_MAX, sizeof(*export.names));
    if (!export.selection || !export.names) {
        code = report_status(ctl, export.output.path, APR_ENOMEM, NULL);
    }
    if (code == CTL_DONE) {
        code = output_prepare(ctl, &export.output);
    }
    if (code == CTL_DONE) {
        code = bring_up(ctl, &export, ringio_now());
    }
    if (export.follow && (code == CTL_DONE || export.push_due)) {
        code = follow(ctl, &export);
    }
    free(export.selection);
    free(export.names);
    stek_ring_destroy(export.live);
    return code;
}
