/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Command secret: creates, rolls and retires secrets.  It replaces the secret file in one step
 * under its own lock; only --reseal changes the ring.  stekctl; one thread.
 */
#include <stdio.h>
#include <string.h>

#include "fleet/fleet.h"
#include "json.h"
#include "options.h"
#include "report.h"
#include "ring.h"
#include "ringio.h"
#include "stek_claim.h"
#include "stek_error.h"
#include "stek_ring_merge.h"
#include "stek_secret_file.h"
#include "suggestion.h"

static ctl_exit_e save(ctl_t *ctl, const stek_secrets_t *secrets, int flags)
{
    ctl_exit_e code = ringio_check_place(ctl, ctl->secret_path);
    apr_status_t rv;

    if (code != CTL_DONE) {
        return code;
    }
    rv = stek_secret_file_save(ctl->secret_path, secrets,
                               flags | stek_file_fsync_flag(ctl->secret_path, ctl->pool),
                               ctl->pool);
    return rv == APR_SUCCESS ? CTL_DONE : report_status(ctl, ctl->secret_path, rv, NULL);
}

static void tell(ctl_t *ctl, const char *done, apr_size_t secret_n, int resealed, const char *hint)
{
    json_t json;

    if (ctl->json) {
        json_begin(&json, stdout);
        json_open(&json, NULL, '{');
        json_string(&json, "done", done);
        json_string(&json, "secret", ctl->secret_path);
        json_count(&json, "secrets", secret_n);
        json_bool(&json, "resealed", resealed);
        json_close(&json, '}');
        json_end(&json);
        return;
    }
    printf("%s: %s; contains %d secret%s%s\n", report_path(ctl->secret_path, ctl->pool), done,
           (int)secret_n, secret_n == 1 ? "" : "s", resealed ? "; resealed the ring" : "");
    if (hint) {
        puts(hint);
    }
}

static ctl_exit_e secret_new(ctl_t *ctl, int fleet, int ratchet)
{
    stek_secrets_t *secrets = NULL;
    ctl_exit_e code;
    apr_status_t rv = stek_secrets_make(fleet, stek_rng_system, &secrets);

    if (rv != APR_SUCCESS) {
        return report_status(ctl, ctl->secret_path, rv, NULL);
    }
    if (ratchet) {
        secrets->day = ratchet_day(ringio_now()) - 1;
    }
    code = save(ctl, secrets, STEK_FILE_EXCLUSIVE);
    if (code == CTL_DONE) {
        tell(ctl, "made", secrets->n, 0, NULL);
    }
    stek_secrets_destroy(secrets);
    return code;
}

/* It is enough to write the ring again, because ringio_change seals it with the first secret. */
static ctl_exit_e same_ring(ctl_t *ctl, const ringio_t *io, apr_time_t now, void *baton,
                            stek_ring_t **pring)
{
    apr_status_t rv = stek_ring_merge(io->ring, NULL, now, io->ring->lifetime, pring);

    (void)baton;
    return rv == APR_SUCCESS ? CTL_DONE : report_status(ctl, ctl->ring_path, rv, NULL);
}

static ctl_exit_e roll_locked(ctl_t *ctl, int reseal)
{
    stek_secrets_t *secrets = NULL, *rolled = NULL;
    ringio_t io = {0};
    ctl_exit_e code;
    apr_status_t rv;

    code = ringio_secrets(ctl, &secrets);
    if (code != CTL_DONE) {
        return code;
    }
    if (reseal) {
        /* Check that the ring can be resealed before rolling the secret. */
        code = ringio_load(ctl, ctl->ring_path, 1, &io);
        if (code == CTL_DONE) {
            code = ringio_check_epoch(ctl, io.ring->epoch, ringio_now());
        }
        ringio_release(&io);
    }
    if (code == CTL_DONE) {
        rv = stek_secrets_roll(secrets, stek_rng_system, &rolled);
        if (rv == STEK_EFULL) {
            report_line(
                "%s: already contains %d secrets; remove the old ones: stekctl secret retire",
                ctl->secret_path, (int)secrets->n);
            code = CTL_REFUSED;
        }
        else if (rv != APR_SUCCESS) {
            code = report_status(ctl, ctl->secret_path, rv, NULL);
        }
    }
    if (code == CTL_DONE) {
        code = save(ctl, rolled, 0);
    }
    if (code == CTL_DONE && reseal) {
        code = ringio_change(ctl, same_ring, NULL, 1, NULL);
    }
    if (code == CTL_DONE) {
        tell(ctl, "rolled", rolled->n, reseal,
             reseal ? "reload httpd now: until then its running children cannot open the ring"
                    : "reload httpd to seal the ring with the new secret; then run 'stekctl secret "
                      "retire'");
    }
    stek_secrets_destroy(secrets);
    stek_secrets_destroy(rolled);
    return code;
}

/* The ring must be sealed with the first secret before the others are removed.  A fleet's secret
 * seals no file ring. */
static ctl_exit_e check_resealed(ctl_t *ctl, const stek_secrets_t *secrets)
{
    ctl_exit_e code;
    ringio_t io;

    if (secrets->has_fleet_id || secrets->n == 1) {
        return CTL_DONE;
    }
    code = ringio_load(ctl, ctl->ring_path, 0, &io);
    if (code != CTL_DONE) {
        return code;
    }
    if (io.secret_i > 0) {
        report_line("%s: is still sealed with a secret that would be removed; reload httpd, and "
                    "try again once it has written the ring",
                    ctl->ring_path);
        code = CTL_REFUSED;
    }
    ringio_release(&io);
    return code;
}

static ctl_exit_e retire_locked(ctl_t *ctl)
{
    stek_secrets_t *secrets = NULL;
    ctl_exit_e code;
    apr_size_t n;

    code = ringio_secrets(ctl, &secrets);
    if (code != CTL_DONE) {
        return code;
    }
    n = secrets->n;
    code = check_resealed(ctl, secrets);
    if (code == CTL_DONE) {
        secrets->n = 1;
        code = n > 1 ? save(ctl, secrets, 0) : CTL_DONE;
        secrets->n = n;
    }
    if (code == CTL_DONE) {
        tell(ctl, n > 1 ? "retired" : "nothing to retire", 1, 0, NULL);
    }
    stek_secrets_destroy(secrets);
    return code;
}

/* Checks that --secret names a secret file, before a lock is created beside it. */
static ctl_exit_e check_claim(ctl_t *ctl)
{
    const char *found = NULL;
    apr_status_t rv = stek_claim_check(&stek_claim_secret, ctl->secret_path, ctl->owner, &found,
                                       ctl->pool);

    return rv == STEK_EFOREIGN ? report_status(ctl, ctl->secret_path, rv, found) : CTL_DONE;
}

static ctl_exit_e parse(ctl_t *ctl, int argc, char **argv, int *pfleet, int *pratchet, int *preseal)
{
    static const struct option options[] = {
        {"fleet", no_argument, NULL, 'f'},
        {"ratchet", no_argument, NULL, 'R'},
        {"reseal", no_argument, NULL, 'r'},
        CTL_OPTION_HELP,
        CTL_OPTION_END,
    };
    int option;

    while ((option = ctl_option(ctl, argc, argv, options)) != -1) {
        if (option == '?') {
            return CTL_USAGE;
        }
        *(option == 'f' ? pfleet : option == 'R' ? pratchet : preseal) = 1;
    }
    if (optind == argc) {
        return report_usage(ctl, "missing subcommand: must be new, roll or retire");
    }
    if (optind + 1 < argc) {
        return report_usage(ctl, "unexpected argument '%s'", argv[optind + 1]);
    }
    return CTL_DONE;
}

ctl_exit_e cmd_secret(ctl_t *ctl, int argc, char **argv)
{
    int fleet = 0, ratchet = 0, reseal = 0, is_new, is_roll, is_retire;
    stek_stamp_t stamp;
    stek_lock_t lock;
    ctl_exit_e code;

    code = parse(ctl, argc, argv, &fleet, &ratchet, &reseal);
    if (code != CTL_DONE) {
        return code;
    }
    is_new = !strcmp(argv[optind], "new");
    is_roll = !strcmp(argv[optind], "roll");
    is_retire = !strcmp(argv[optind], "retire");
    if (!is_new && !is_roll && !is_retire) {
        return report_usage(ctl, "unknown subcommand '%s'%s: must be new, roll or retire",
                            argv[optind],
                            suggestion_of(argv[optind], "new, roll, retire", ctl->pool));
    }
    if ((fleet && !is_new) || (reseal && !is_roll)) {
        return report_usage(ctl, "%s and %s cannot be combined",
                            fleet && !is_new ? "--fleet" : "--reseal", argv[optind]);
    }
    if (ratchet && !fleet) {
        return report_usage(ctl, "--ratchet requires 'new --fleet'");
    }
    if (is_new) {
        return secret_new(ctl, fleet, ratchet);
    }
    /* Create no lock file beside a missing secret. */
    if (APR_STATUS_IS_ENOENT(stek_file_stamp(ctl->secret_path, &stamp))) {
        stek_secrets_t *none = NULL;

        return ringio_secrets(ctl, &none);
    }
    code = check_claim(ctl);
    if (code == CTL_DONE) {
        code = ringio_lock(ctl, ctl->secret_path, &lock);
    }
    if (code == CTL_DONE) {
        code = is_roll ? roll_locked(ctl, reseal) : retire_locked(ctl);
        stek_lock_release(&lock);
    }
    return code;
}
