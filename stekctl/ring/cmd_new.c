/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Command new: creates a ring with its first keys, and the secret file if there is none. stekctl;
 * one thread.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "change.h"
#include "options.h"
#include "report.h"
#include "ring.h"
#include "ringio.h"
#include "stek_schedule.h"
#include "stek_secret_file.h"
#include "stek_time.h"

static ctl_exit_e parse_params(ctl_t *ctl, int argc, char **argv, stek_params_t *params)
{
    static const struct option options[] = {
        {"interval", required_argument, NULL, 'i'},
        {"lifetime", required_argument, NULL, 'l'},
        {"ahead", required_argument, NULL, 'a'},
        CTL_OPTION_HELP,
        CTL_OPTION_END,
    };
    ctl_exit_e code = CTL_DONE;
    const char *wrong;
    int option;

    while (code == CTL_DONE && (option = ctl_option(ctl, argc, argv, options)) != -1) {
        switch (option) {
        case 'i':
            code = options_span(ctl, "interval", optarg, apr_time_from_sec(1), STEK_TIME_MAX,
                                &params->interval);
            break;
        case 'l':
            code = options_span(ctl, "lifetime", optarg, apr_time_from_sec(1), STEK_TIME_MAX,
                                &params->lifetime);
            break;
        case 'a':
            code = options_ahead(ctl, optarg, &params->ahead);
            break;
        default:
            code = CTL_USAGE;
        }
    }
    if (code != CTL_DONE) {
        return code;
    }
    if (optind < argc) {
        return report_usage(ctl, "unexpected argument '%s'", argv[optind]);
    }
    wrong = stek_schedule_check(params, ctl->pool);
    return wrong ? report_usage(ctl, "%s", wrong) : CTL_DONE;
}

/* Does not create it: only httpd or its administrator knows which group needs access. */
static ctl_exit_e check_directory(ctl_t *ctl)
{
    const char *directory = stek_file_dir(ctl->ring_path, ctl->pool);
    struct stat st;

    if (stat(directory, &st) == 0) {
        return CTL_DONE;
    }
    if (errno != ENOENT) {
        return report_status(ctl, directory, APR_FROM_OS_ERROR(errno), NULL);
    }
    report_line(
        "%s: does not exist; create it with httpd's group (install -d -m 750 -g GROUP %s), or "
        "start httpd",
        directory, directory);
    return CTL_IO;
}

/* The secrets at --secret, created if there are none. */
static ctl_exit_e need_secrets(ctl_t *ctl, stek_secrets_t **psecrets, int *pmade)
{
    stek_stamp_t stamp;
    apr_status_t rv;

    *pmade = 0;
    if (!APR_STATUS_IS_ENOENT(stek_file_stamp(ctl->secret_path, &stamp))) {
        return ringio_local_secrets(ctl, psecrets);
    }
    rv = stek_secrets_make(0, stek_rng_system, psecrets);
    if (rv == APR_SUCCESS) {
        rv = stek_secret_file_save(
            ctl->secret_path, *psecrets,
            STEK_FILE_EXCLUSIVE | stek_file_fsync_flag(ctl->secret_path, ctl->pool), ctl->pool);
        if (rv != APR_SUCCESS) {
            stek_secrets_destroy(*psecrets);
        }
    }
    if (rv != APR_SUCCESS) {
        return report_status(ctl, ctl->secret_path, rv, NULL);
    }
    *pmade = 1;
    return CTL_DONE;
}

static apr_status_t make_ring(ctl_t *ctl, const stek_params_t *params,
                              const stek_secrets_t *secrets, stek_ring_t **pring)
{
    stek_ring_t *empty = NULL, *ring = NULL;
    apr_time_t now = ringio_now();
    stek_ring_file_t file;
    apr_size_t made;
    apr_status_t rv;

    rv = stek_ring_create(0, 0, &empty);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    empty->interval = params->interval;
    empty->lifetime = params->lifetime;
    rv = stek_schedule_extend(empty, params, now, stek_rng_system, &ring, &made);
    if (rv == APR_SUCCESS) {
        ring->generation = 1;
        ring->written_at = now;
        stek_ring_file_init(&file, ctl->ring_path, ctl->owner, (gid_t)-1);
        rv = stek_ring_file_save(&file, ring, secrets,
                                 STEK_FILE_EXCLUSIVE
                                     | stek_file_fsync_flag(ctl->ring_path, ctl->pool),
                                 stek_rng_system, NULL, ctl->pool);
    }
    stek_ring_destroy(empty);
    if (rv == APR_SUCCESS) {
        *pring = ring;
    }
    else {
        stek_ring_destroy(ring);
    }
    return rv;
}

static ctl_exit_e new_locked(ctl_t *ctl, const stek_params_t *params, int *pmade,
                             stek_ring_t **pring)
{
    stek_secrets_t *secrets = NULL;
    stek_stamp_t stamp;
    ctl_exit_e code;
    apr_status_t rv = stek_file_stamp(ctl->ring_path, &stamp);

    if (!APR_STATUS_IS_ENOENT(rv)) {
        return report_status(ctl, ctl->ring_path, rv == APR_SUCCESS ? APR_EEXIST : rv, NULL);
    }
    code = need_secrets(ctl, &secrets, pmade);
    if (code != CTL_DONE) {
        return code;
    }
    rv = make_ring(ctl, params, secrets, pring);
    stek_secrets_destroy(secrets);
    if (rv != APR_SUCCESS) {
        if (*pmade) {
            unlink(ctl->secret_path);
        }
        return report_status(ctl, ctl->ring_path, rv, NULL);
    }
    return CTL_DONE;
}

ctl_exit_e cmd_new(ctl_t *ctl, int argc, char **argv)
{
    stek_params_t params = STEK_PARAMS_DEFAULT;
    stek_ring_t *ring = NULL;
    stek_stamp_t stamp;
    stek_lock_t lock;
    ctl_exit_e code;
    int made = 0;

    code = parse_params(ctl, argc, argv, &params);
    if (code == CTL_DONE && stek_file_stamp(ctl->ring_path, &stamp) == APR_SUCCESS) {
        code = report_status(ctl, ctl->ring_path, APR_EEXIST, NULL);
    }
    if (code == CTL_DONE) {
        code = check_directory(ctl);
    }
    if (code == CTL_DONE) {
        code = ringio_check_ring(ctl);
    }
    if (code == CTL_DONE) {
        code = ringio_lock(ctl, ctl->ring_path, &lock);
    }
    if (code != CTL_DONE) {
        return code;
    }
    code = new_locked(ctl, &params, &made, &ring);
    stek_lock_release(&lock);
    if (code == CTL_DONE) {
        if (!ctl->json && made) {
            printf("%s: made\n", report_path(ctl->secret_path, ctl->pool));
        }
        change_print(ctl, ring, NULL, "made", ringio_now());
    }
    stek_ring_destroy(ring);
    return code;
}
