/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands that change a ring's keys: new, rotate, revoke.  Each change is a merge of the ring with
 * a patch of what is new, made and written under the lock.  stekctl; one thread.
 */
#include <apr_strings.h>
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "change.h"
#include "json.h"
#include "report.h"
#include "ringio.h"
#include "stek_error.h"
#include "stek_mem.h"
#include "stek_ring_file.h"
#include "stek_schedule.h"
#include "stek_time.h"
#include "stekctl.h"

#define HEX_MIN 8 /* digits of a key's name */
#define HEX_MAX (2 * STEK_NAME_LEN)

static ctl_exit_e parse_params(ctl_t *ctl, int argc, char **argv, stek_params_t *params)
{
    static const struct option options[] = {
        {"interval", required_argument, NULL, 'i'},
        {"lifetime", required_argument, NULL, 'l'},
        {"ahead", required_argument, NULL, 'a'},
        CTL_OPTION_HELP,
        CTL_OPTION_END,
    };
    const char *wrong;
    char *end;
    int option;

    while ((option = ctl_option(ctl, argc, argv, options)) != -1) {
        if (option == '?') {
            return CTL_USAGE;
        }
        if (option == 'a') {
            long n = strtol(optarg, &end, 10);

            if (!isdigit((unsigned char)*optarg) || *end || n > STEK_KEYS_MAX) {
                return report_usage(ctl, "ahead '%s': must be between 0 and %d", optarg,
                                    STEK_KEYS_MAX);
            }
            params->ahead = (int)n;
        }
        else if (stek_time_parse(optarg, option == 'i' ? &params->interval : &params->lifetime)
                 != APR_SUCCESS) {
            return report_usage(ctl, "%s '%s': must be a number and s, min, h or d",
                                option == 'i' ? "interval" : "lifetime", optarg);
        }
    }
    if (optind < argc) {
        return report_usage(ctl, "'%s' is too much", argv[optind]);
    }
    wrong = stek_schedule_check(params, ctl->pool);
    return wrong ? report_usage(ctl, "%s", wrong) : CTL_DONE;
}

/* Not made here: which group has to enter it is for httpd, or its administrator, to say. */
static ctl_exit_e check_directory(ctl_t *ctl)
{
    const char *slash = strrchr(ctl->ring_path, '/');
    const char *directory;
    struct stat st;

    if (!slash || slash == ctl->ring_path) {
        return CTL_DONE;
    }
    directory = apr_pstrmemdup(ctl->pool, ctl->ring_path, (apr_size_t)(slash - ctl->ring_path));
    if (stat(directory, &st) == 0) {
        return CTL_DONE;
    }
    if (errno != ENOENT) {
        return report_status(ctl, directory, errno, NULL);
    }
    report_line("%s: does not exist; make it, mode 0750 with httpd's group, or start httpd",
                directory);
    return CTL_IO;
}

/* The secrets at --secret, made if there are none. */
static ctl_exit_e need_secrets(ctl_t *ctl, stek_secrets_t **psecrets, int *pmade)
{
    stek_stamp_t stamp;
    apr_status_t rv;

    *pmade = 0;
    if (!APR_STATUS_IS_ENOENT(stek_file_stamp(ctl->secret_path, &stamp))) {
        return ringio_secrets(ctl, psecrets);
    }
    rv = stek_secrets_make(0, stek_rng_system, psecrets);
    if (rv == APR_SUCCESS) {
        rv = stek_secret_file_save(ctl->secret_path, *psecrets,
                                   STEK_FILE_EXCLUSIVE | ringio_fsync_flag(ctl, ctl->secret_path),
                                   ctl->pool);
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
                                 STEK_FILE_EXCLUSIVE | ringio_fsync_flag(ctl, ctl->ring_path),
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
        code = ringio_claim_ring(ctl);
    }
    if (code == CTL_DONE) {
        code = ringio_lock(ctl, ctl->ring_path, &lock);
    }
    if (code != CTL_DONE) {
        return code;
    }
    code = new_locked(ctl, &params, &made, &ring);
    stek_file_unlock(&lock);
    if (code == CTL_DONE) {
        if (!ctl->json && made) {
            printf("%s: made\n", report_path(ctl->secret_path, ctl->pool));
        }
        change_print(ctl, ring, NULL, "made", ringio_now());
    }
    stek_ring_destroy(ring);
    return code;
}

typedef struct rotate_t {
    apr_interval_time_t in;
    stek_key_t *made; /* locked memory */
} rotate_t;

static ctl_exit_e rotate_ring(ctl_t *ctl, const ringio_t *io, apr_time_t now, void *baton,
                              stek_ring_t **pring)
{
    rotate_t *rotate = baton;
    stek_ring_t *patch = NULL;
    apr_status_t rv;

    rv = change_make_key(io->ring, now, now + rotate->in, rotate->made);
    if (rv == APR_SUCCESS) {
        rv = stek_ring_create(1, 0, &patch);
    }
    if (rv == APR_SUCCESS) {
        rv = stek_ring_add_key(patch, rotate->made);
    }
    if (rv == APR_SUCCESS) {
        rv = stek_ring_merge(io->ring, patch, now, io->ring->lifetime, pring);
    }
    stek_ring_destroy(patch);
    return rv == APR_SUCCESS ? CTL_DONE : report_status(ctl, ctl->ring_path, rv, NULL);
}

ctl_exit_e cmd_rotate(ctl_t *ctl, int argc, char **argv)
{
    static const struct option options[] = {
        {"in", required_argument, NULL, 'i'},
        CTL_OPTION_HELP,
        CTL_OPTION_END,
    };
    rotate_t rotate = {0, NULL};
    stek_ring_t *ring = NULL;
    ctl_exit_e code;
    int option;

    while ((option = ctl_option(ctl, argc, argv, options)) != -1) {
        if (option == '?') {
            return CTL_USAGE;
        }
        if (stek_time_parse(optarg, &rotate.in) != APR_SUCCESS || rotate.in > STEK_TIME_MAX) {
            return report_usage(ctl, "in '%s': must be a number and s, min, h or d, up to 7d",
                                optarg);
        }
    }
    if (optind < argc) {
        return report_usage(ctl, "'%s' is too much", argv[optind]);
    }
    rotate.made = stek_mem_alloc(sizeof(*rotate.made));
    if (!rotate.made) {
        return report_status(ctl, ctl->ring_path, APR_ENOMEM, NULL);
    }
    code = ringio_change(ctl, rotate_ring, &rotate, 0, &ring);
    if (code == CTL_DONE) {
        change_print(ctl, ring, rotate.made->name, "rotated", ringio_now());
    }
    stek_mem_free(rotate.made);
    stek_ring_destroy(ring);
    return code;
}

typedef struct revoke_t {
    int all;
    int name_n;
    char **names;     /* hex, lower case, checked */
    stek_key_t *made; /* locked memory; the key in place of a revoked current one */
} revoke_t;

/* Nonzero if name begins with the digits. */
static int has_prefix(const unsigned char name[STEK_NAME_LEN], const char *digits)
{
    char hex[HEX_MAX + 1];
    int i;

    for (i = 0; i < STEK_NAME_LEN; i++) {
        snprintf(hex + 2 * i, 3, "%02x", name[i]);
    }
    return !strncmp(hex, digits, strlen(digits));
}

/* The key that digits mean.  *pkey NULL: it is revoked already. */
static ctl_exit_e find_key(ctl_t *ctl, const stek_ring_t *ring, const char *digits,
                           const stek_key_t **pkey)
{
    apr_size_t i, found_n = 0;

    *pkey = NULL;
    for (i = 0; i < ring->key_n; i++) {
        if (has_prefix(ring->keys[i].name, digits)) {
            *pkey = &ring->keys[i];
            found_n++;
        }
    }
    if (found_n > 1) {
        report_line("%s: '%s' begins the names of %d keys; give more digits, up to %d",
                    ctl->ring_path, digits, (int)found_n, HEX_MAX);
        return CTL_REFUSED;
    }
    for (i = 0; found_n == 0 && i < ring->tombstone_n; i++) {
        found_n += has_prefix(ring->tombstones[i].name, digits);
    }
    if (found_n == 0) {
        report_line("%s: no key's name begins with '%s'; see 'stekctl show', or end keys that are "
                    "not in this file by 'stekctl revoke --all'",
                    ctl->ring_path, digits);
        return CTL_REFUSED;
    }
    return CTL_DONE;
}

/* What the revocation adds to the ring: tombstones, or the next epoch.  *plive: a key is among them
 * that still could encrypt. */
static ctl_exit_e make_revocation(ctl_t *ctl, const stek_ring_t *ring, const revoke_t *revoke,
                                  apr_time_t now, stek_ring_t **ppatch, int *plive)
{
    ctl_exit_e code = CTL_DONE;
    stek_ring_t *patch;
    apr_status_t rv;
    int i;

    rv = stek_ring_create(0, (apr_size_t)revoke->name_n, &patch);
    if (rv != APR_SUCCESS) {
        return report_status(ctl, ctl->ring_path, rv, NULL);
    }
    *plive = revoke->all;
    patch->epoch = ring->epoch + (revoke->all ? 1 : 0);
    for (i = 0; code == CTL_DONE && i < revoke->name_n; i++) {
        stek_tombstone_t tombstone;
        const stek_key_t *key;

        code = find_key(ctl, ring, revoke->names[i], &key);
        if (code == CTL_DONE && key) {
            memcpy(tombstone.name, key->name, STEK_NAME_LEN);
            tombstone.until = key->decrypt_until;
            *plive = *plive || key->encrypt_until > now;
            rv = stek_ring_add_tombstone(patch, &tombstone);
            if (rv != APR_SUCCESS && !APR_STATUS_IS_EEXIST(rv)) {
                code = report_status(ctl, ctl->ring_path, rv, NULL);
            }
        }
    }
    if (code == CTL_DONE) {
        *ppatch = patch;
    }
    else {
        stek_ring_destroy(patch);
    }
    return code;
}

/* Whoever revokes the current key does not want the one before it back, even if that one's slot
 * goes on. */
static apr_status_t replace_current(const stek_ring_t *before, stek_ring_t **pring, apr_time_t now,
                                    stek_key_t *made)
{
    const stek_key_t *current = stek_ring_current(before, now);
    stek_ring_t *patch = NULL, *merged = NULL;
    apr_status_t rv;

    if (!current || stek_ring_find(*pring, current->name)) {
        return APR_SUCCESS;
    }
    rv = change_make_key(*pring, now, now, made);
    if (rv == APR_SUCCESS) {
        rv = stek_ring_create(1, 0, &patch);
    }
    if (rv == APR_SUCCESS) {
        rv = stek_ring_add_key(patch, made);
    }
    if (rv == APR_SUCCESS) {
        rv = stek_ring_merge(*pring, patch, now, before->lifetime, &merged);
    }
    stek_ring_destroy(patch);
    if (rv == APR_SUCCESS) {
        stek_ring_destroy(*pring);
        *pring = merged;
    }
    return rv;
}

static ctl_exit_e revoke_ring(ctl_t *ctl, const ringio_t *io, apr_time_t now, void *baton,
                              stek_ring_t **pring)
{
    stek_params_t params = {io->ring->interval, io->ring->lifetime, 1};
    stek_ring_t *patch = NULL, *merged = NULL, *extended = NULL;
    revoke_t *revoke = baton;
    apr_size_t made;
    ctl_exit_e code;
    apr_status_t rv;
    int live = 0;

    if (revoke->all && io->ring->epoch == APR_UINT64_MAX) {
        report_line("%s: its epoch can rise no more; remove it and make a new one", ctl->ring_path);
        return CTL_REFUSED;
    }
    code = make_revocation(ctl, io->ring, revoke, now, &patch, &live);
    if (code != CTL_DONE) {
        return code;
    }
    rv = stek_ring_merge(io->ring, patch, now, params.lifetime, &merged);
    stek_ring_destroy(patch);
    if (rv == APR_SUCCESS && live) {
        rv = replace_current(io->ring, &merged, now, revoke->made);
    }
    if (rv == APR_SUCCESS && live) {
        rv = stek_schedule_extend(merged, &params, now, stek_rng_system, &extended, &made);
    }
    if (rv == APR_SUCCESS) {
        *pring = extended ? extended : merged;
        merged = extended ? merged : NULL;
    }
    stek_ring_destroy(merged);
    return rv == APR_SUCCESS ? CTL_DONE : report_status(ctl, ctl->ring_path, rv, NULL);
}

/* The names of the command line in lower case: CTL_USAGE if one cannot be a name. */
static ctl_exit_e check_names(ctl_t *ctl, int argc, char **argv, revoke_t *revoke)
{
    int i;

    revoke->name_n = argc - optind;
    revoke->names = argv + optind;
    if (revoke->all != (revoke->name_n == 0)) {
        return report_usage(ctl,
                            revoke->all ? "either names or --all" : "names are wanted, or --all");
    }
    for (i = 0; i < revoke->name_n; i++) {
        char *name = revoke->names[i], *at;
        apr_size_t len = strlen(name);

        for (at = name; *at; at++) {
            *at = (char)tolower((unsigned char)*at);
        }
        if (len < HEX_MIN || len > HEX_MAX || strspn(name, "0123456789abcdef") != len) {
            return report_usage(ctl, "name '%s': must be %d to %d hex digits", name, HEX_MIN,
                                HEX_MAX);
        }
    }
    return CTL_DONE;
}

ctl_exit_e cmd_revoke(ctl_t *ctl, int argc, char **argv)
{
    static const struct option options[] = {
        {"all", no_argument, NULL, 'a'},
        CTL_OPTION_HELP,
        CTL_OPTION_END,
    };
    revoke_t revoke = {0};
    stek_ring_t *ring = NULL;
    ctl_exit_e code;
    int option;

    while ((option = ctl_option(ctl, argc, argv, options)) != -1) {
        if (option == '?') {
            return CTL_USAGE;
        }
        revoke.all = 1;
    }
    code = check_names(ctl, argc, argv, &revoke);
    if (code != CTL_DONE) {
        return code;
    }
    revoke.made = stek_mem_alloc(sizeof(*revoke.made));
    if (!revoke.made) {
        return report_status(ctl, ctl->ring_path, APR_ENOMEM, NULL);
    }
    code = ringio_change(ctl, revoke_ring, &revoke, 0, &ring);
    if (code == CTL_DONE) {
        change_print(ctl, ring, NULL, "revoked", ringio_now());
    }
    stek_mem_free(revoke.made);
    stek_ring_destroy(ring);
    return code;
}
