/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How live keyrings follow their files (mod_stek_live_follow.h).  Glue; the writing thread of a
 * process.
 */
#include "mod_stek_live_follow.h"

#include <string.h>
#include <unistd.h>

#include "mod_stek_live_private.h"
#include "stek_admit.h"
#include "stek_error.h"
#include "stek_ring_merge.h"
#include "stek_ring_digest.h"

/* After so many looks at a changed file that failed for want of this process's own means, its keys
 * may be revoked ones. */
#define BLIND_MAX 3

/* While keys are left out because they begin too late, the file is read again whenever the clock has
 * advanced by this much. */
#define CLOCK_STEP apr_time_from_sec(60)

const stek_ring_file_t *mod_stek_live_file(const mod_stek_live_t *live)
{
    return &live->file;
}

void mod_stek_live_open_path(mod_stek_live_t *live, uid_t owner, gid_t gid)
{
    stek_ring_file_close(&live->file);
    stek_ring_file_init(&live->file, live->path, owner, gid);
}

apr_status_t mod_stek_live_open_memory(mod_stek_live_t *live)
{
    apr_status_t rv = APR_SUCCESS;

    if (live->file.path || live->file.memory_fd < 0
        || stek_ring_file_open_writer(&live->file) != APR_SUCCESS) {
        stek_ring_file_close(&live->file);
        rv = stek_ring_file_init_memory(&live->file, geteuid());
    }
    return rv == APR_SUCCESS ? mod_stek_live_make_secrets(live) : rv;
}

void mod_stek_live_set_owner(mod_stek_live_t *live, uid_t owner)
{
    live->file.owner = owner;
}

const stek_secrets_t *mod_stek_live_secrets(const mod_stek_live_t *live)
{
    return live->secrets;
}

apr_status_t mod_stek_live_make_secrets(mod_stek_live_t *live)
{
    return live->secrets ? APR_SUCCESS : stek_secrets_make(0, stek_rng_system, &live->secrets);
}

/* Empties the live keyring if the file is another ring: one that opens only under the new
 * secrets. */
static apr_status_t compare_secrets(mod_stek_live_t *live, const stek_secrets_t *secrets,
                                    apr_pool_t *pool)
{
    stek_ring_t *there, *empty;
    apr_status_t rv;

    if (!live->secrets || stek_secrets_share(live->secrets, secrets)
        || stek_ring_file_load(&live->file, secrets, &there, NULL, NULL, pool) != APR_SUCCESS) {
        return APR_SUCCESS;
    }
    stek_ring_destroy(there);
    live->number = 0;
    rv = stek_ring_create(1, 0, &empty);
    return rv == APR_SUCCESS ? mod_stek_live_swap(live, empty) : rv;
}

apr_status_t mod_stek_live_take_secrets(mod_stek_live_t *live, stek_secrets_t *secrets,
                                        apr_pool_t *pool)
{
    apr_status_t rv = compare_secrets(live, secrets, pool);

    if (rv != APR_SUCCESS) {
        stek_secrets_destroy(secrets);
        return rv;
    }
    live->dirty |= !live->secrets || !stek_secrets_equal(live->secrets, secrets);
    stek_secrets_destroy(live->secrets);
    live->secrets = secrets;
    return APR_SUCCESS;
}

/* live = merge(live, loaded), without what begins too late: also what this process has made itself,
 * while its clock was ahead.  stored: what the file has. */
static apr_status_t merge_in(mod_stek_live_t *live, const stek_ring_t *loaded,
                             const stek_ring_t *stored, apr_time_t now)
{
    stek_ring_t *merged;
    apr_status_t rv = stek_ring_merge(live->ring, loaded, now, live->lifetime, &merged);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    (void)stek_admit_keys(merged, NULL, now);
    /* The greatest would be that of a writer whose clock was ahead, long after it was corrected. */
    if (loaded->epoch > live->ring->epoch
        || (loaded->epoch == live->ring->epoch && loaded->generation >= live->ring->generation)) {
        merged->written_at = loaded->written_at;
    }
    if (!stek_ring_equal(merged, stored)) {
        live->dirty = 1;
    }
    return mod_stek_live_swap(live, merged);
}

/* Takes in what was loaded, if that may enter. */
static apr_status_t take_in(mod_stek_live_t *live, stek_ring_t *loaded, const stek_ring_t *stored,
                            apr_time_t now)
{
    apr_status_t rv = stek_admit_epoch(loaded->epoch, live->ring->epoch, now);

    if (rv == APR_SUCCESS) {
        apr_size_t later_n = stek_admit_keys(loaded, NULL, now);

        live->dirty |= later_n > 0;
        live->late_at = later_n > 0 ? now : 0;
        rv = merge_in(live, loaded, stored, now);
        live->left_out_n = later_n + live->ring->left_out_n;
    }
    return rv;
}

static apr_status_t load(mod_stek_live_t *live, apr_time_t now, const char **pculprit,
                         apr_pool_t *pool)
{
    stek_ring_t *loaded;
    apr_uint64_t number;
    apr_status_t rv;

    if (!live->secrets) {
        return STEK_ESECRET;
    }
    rv = stek_ring_file_load(&live->file, live->secrets, &loaded, &live->stamp, pculprit, pool);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    /* Before what begins too late is left out; and before the generation, which is looked at first. */
    number = live->number;
    live->number = stek_ring_digest48(loaded);
    rv = take_in(live, loaded, loaded, now);
    if (rv != APR_SUCCESS) {
        live->number = number;
    }
    stek_ring_destroy(loaded);
    return rv;
}

/* The file is as it was, but with the clock corrected, keys may now be good that had ended or began too
 * late: a clock that was ahead comes back, one that was behind advances. */
static int clock_has_moved(const mod_stek_live_t *live, apr_time_t now)
{
    return now < live->looked_at || (live->late_at != 0 && now - live->late_at >= CLOCK_STEP);
}

apr_status_t mod_stek_live_refresh(mod_stek_live_t *live, apr_time_t now, int reload,
                                   const char **pculprit, apr_pool_t *pool)
{
    stek_stamp_t stamp;
    apr_status_t rv = stek_ring_file_stamp(&live->file, &stamp);

    *pculprit = NULL;
    if (rv != APR_SUCCESS) {
        live->load_status = rv;
        live->stamp = stamp;
        mod_stek_count_load(live->counters, rv, now);
    }
    else if (reload || live->load_status != APR_SUCCESS || clock_has_moved(live, now)
             || !stek_stamp_equal(&stamp, &live->stamp)) {
        live->stamp = stamp;
        live->load_status = load(live, now, pculprit, pool);
        mod_stek_count_load(live->counters, live->load_status, now);
    }
    live->looked_at = now;
    mod_stek_count_look(live->counters, live->load_status, now);
    live->blind_n = stek_ring_file_is_own_trouble(live->load_status) ? live->blind_n + 1 : 0;
    rv = mod_stek_live_drop_ended(live, now);
    return rv == APR_SUCCESS ? live->load_status : rv;
}

apr_size_t mod_stek_live_left_out(const mod_stek_live_t *live)
{
    return live->left_out_n;
}

int mod_stek_live_is_blind(const mod_stek_live_t *live)
{
    return live->blind_n >= BLIND_MAX;
}

apr_status_t mod_stek_live_save(mod_stek_live_t *live, stek_ring_t *next, int flags,
                                apr_pool_t *pool)
{
    apr_status_t rv;

    live->dirty = 1;
    rv = stek_ring_file_save(&live->file, next, live->secrets, flags, stek_rng_system, &live->stamp,
                             pool);
    if (rv != APR_SUCCESS) {
        stek_ring_destroy(next);
        return rv;
    }
    live->dirty = 0;
    live->load_status = APR_SUCCESS;
    live->number = stek_ring_digest48(next);
    return mod_stek_live_swap(live, next);
}

apr_status_t mod_stek_live_save_unlocked(mod_stek_live_t *live, stek_ring_t *next, int flags,
                                         apr_time_t now, apr_pool_t *pool)
{
    stek_ring_t *replaced;
    apr_status_t rv;

    live->dirty = 1;
    rv = stek_ring_file_save_unlocked(&live->file, next, live->secrets, flags, stek_rng_system,
                                      NULL, &replaced, pool);
    if (rv != APR_SUCCESS) {
        stek_ring_destroy(replaced);
        stek_ring_destroy(next);
        return rv;
    }
    /* Somebody may already have overwritten it: the next look reads what is there. */
    memset(&live->stamp, 0, sizeof(live->stamp));
    live->dirty = 0;
    live->load_status = APR_SUCCESS;
    live->number = stek_ring_digest48(next);
    rv = mod_stek_live_swap(live, next);
    if (rv == APR_SUCCESS && replaced) {
        rv = take_in(live, replaced, live->ring, now);
    }
    stek_ring_destroy(replaced);
    return rv;
}

int mod_stek_live_is_dirty(const mod_stek_live_t *live)
{
    return live->dirty;
}

apr_status_t mod_stek_live_prepare_jail(mod_stek_live_t *live, apr_status_t *pwhy, apr_pool_t *pool)
{
    live->unpublished = 1;
    return stek_ring_file_prepare_jail(&live->file, pwhy, pool);
}

apr_status_t mod_stek_live_publish(mod_stek_live_t *live)
{
    apr_status_t rv;

    if (!live->unpublished || !live->secrets || !stek_ring_file_has_copy(&live->file)) {
        return APR_SUCCESS;
    }
    rv = stek_ring_file_publish(&live->file, live->ring, live->secrets, stek_rng_system);
    live->unpublished = rv != APR_SUCCESS;
    return rv;
}
