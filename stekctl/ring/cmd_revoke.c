/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Command revoke: adds tombstones for keys, or raises the epoch to end all keys.  It merges a patch
 * into the ring and writes the result, all under the lock.  stekctl; one thread.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "change.h"
#include "fleet/fleet.h"
#include "options.h"
#include "report.h"
#include "ring.h"
#include "ringio.h"
#include "stek_error.h"
#include "stek_admit.h"
#include "stek_mem.h"
#include "stek_ring_merge.h"
#include "stek_schedule.h"

#define HEX_MIN 8 /* digits of a key's name */
#define HEX_MAX (2 * STEK_NAME_LEN)

typedef struct revoke_t {
    int all;
    int name_n;
    char **names;     /* hex, lower case, checked */
    stek_key_t *made; /* locked memory; replaces a revoked current key */
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

/* The key whose name begins with digits.  *pkey NULL: it is already revoked. */
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
        report_line("%s: '%s' matches %d keys; give more digits, up to %d", ctl->ring_path, digits,
                    (int)found_n, HEX_MAX);
        return CTL_REFUSED;
    }
    for (i = 0; found_n == 0 && i < ring->tombstone_n; i++) {
        found_n += has_prefix(ring->tombstones[i].name, digits);
    }
    if (found_n == 0) {
        report_line("%s: no key's name begins with '%s'; list the keys with 'stekctl show', or end "
                    "keys that are not in this file with 'stekctl revoke --all'",
                    ctl->ring_path, digits);
        return CTL_REFUSED;
    }
    return CTL_DONE;
}

/* The patch for the ring: tombstones, or the next epoch.  *plive: it ends a key that could still
 * encrypt. */
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
    patch->epoch = ring->epoch;
    if (revoke->all) {
        rv = stek_admit_next_epoch(ring->epoch, now, &patch->epoch);
        code = rv == APR_SUCCESS ? CTL_DONE : report_status(ctl, ctl->ring_path, rv, NULL);
    }
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

/* When the current key is revoked, a new key replaces it.  The one before it must not come back,
 * even if its slot has not ended. */
static apr_status_t replace_current(const stek_ring_t *before, stek_ring_t **pring, apr_time_t now,
                                    stek_key_t *made)
{
    const stek_key_t *current = stek_ring_current(before, now);
    stek_ring_t *merged = NULL;
    apr_status_t rv;

    if (!current || stek_ring_find(*pring, current->name)) {
        return APR_SUCCESS;
    }
    rv = change_add_key(*pring, now, now, made, &merged);
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

    code = make_revocation(ctl, io->ring, revoke, now, &patch, &live);
    if (code != CTL_DONE || !patch) {
        return code;
    }
    if (revoke->all) {
        /* The epoch ends all keys, so their tombstones can go as well: they may be what fills the ring. */
        patch->interval = io->ring->interval;
        patch->lifetime = io->ring->lifetime;
        merged = patch;
        rv = APR_SUCCESS;
    }
    else {
        rv = stek_ring_merge(io->ring, patch, now, params.lifetime, &merged);
        stek_ring_destroy(patch);
    }
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

/* Converts the command line's names to lower case.  CTL_USAGE if one cannot be a name. */
static ctl_exit_e check_names(ctl_t *ctl, int argc, char **argv, revoke_t *revoke)
{
    int i;

    revoke->name_n = argc - optind;
    revoke->names = argv + optind;
    if (revoke->all != (revoke->name_n == 0)) {
        return report_usage(ctl, revoke->all ? "give key names or --all, not both"
                                             : "missing key name; give key names, or --all");
    }
    for (i = 0; i < revoke->name_n; i++) {
        char *name = revoke->names[i], *at;
        apr_size_t len = strlen(name);

        for (at = name; *at; at++) {
            *at = (char)tolower((unsigned char)*at);
        }
        if (len < HEX_MIN || len > HEX_MAX || strspn(name, "0123456789abcdef") != len) {
            return report_usage(ctl, "invalid name '%s': must be %d to %d hex digits", name,
                                HEX_MIN, HEX_MAX);
        }
    }
    return CTL_DONE;
}

ctl_exit_e cmd_revoke(ctl_t *ctl, int argc, char **argv)
{
    static const struct option options[] = {
        {"all", no_argument, NULL, 'a'},
        FLEET_WAIT_OPTIONS,
        CTL_OPTION_HELP,
        CTL_OPTION_END,
    };
    revoke_t revoke = {0};
    fleet_wait_t wait = {0};
    stek_ring_t *ring = NULL;
    ctl_exit_e code;
    int option;

    while ((option = ctl_option(ctl, argc, argv, options)) != -1) {
        if (option == '?') {
            return CTL_USAGE;
        }
        revoke.all |= option == 'a';
        code = option == 'a' ? CTL_DONE : fleet_wait_option(ctl, option, optarg, &wait);
        if (code != CTL_DONE) {
            return code;
        }
    }
    code = check_names(ctl, argc, argv, &revoke);
    if (code == CTL_DONE) {
        code = fleet_wait_check(ctl, &wait);
    }
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
        fleet_report_kept(ctl);
        code = wait.wanted ? fleet_wait_run(ctl, &wait, ring, revoke.all ? ring->epoch : 0)
                           : CTL_DONE;
    }
    stek_mem_free(revoke.made);
    stek_ring_destroy(ring);
    return code;
}
