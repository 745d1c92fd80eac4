/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared by the commands that change a ring (change.h).  stekctl; one thread.
 */
#include "change.h"

#include <stdio.h>
#include <string.h>

#include "report.h"
#include "stek_key_make.h"
#include "stek_ring_merge.h"
#include "stek_schedule.h"

void change_window(const stek_ring_t *ring, apr_time_t start, apr_time_t *pnot_before,
                   apr_time_t *pencrypt_until)
{
    const stek_key_t *current = stek_ring_current(ring, start);

    if (current && current->not_before == start) {
        start += apr_time_from_sec(1);
        current = stek_ring_current(ring, start);
    }
    *pnot_before = start;
    *pencrypt_until = current ? current->encrypt_until
                              : start - start % ring->interval + ring->interval;
}

/* Of two rotations in one second, the later one wins.  Only the first two bytes change, so the part
 * of the name that is shown still distinguishes the keys. */
static void go_before(const stek_key_t *other, stek_key_t *key)
{
    unsigned theirs = (unsigned)other->name[0] << 8 | other->name[1];
    unsigned ours = (unsigned)key->name[0] << 8 | key->name[1];

    if (theirs > 0 && ours >= theirs) {
        ours %= theirs;
        key->name[0] = (unsigned char)(ours >> 8);
        key->name[1] = (unsigned char)ours;
    }
}

static apr_status_t make_key(const stek_ring_t *ring, apr_time_t now, apr_time_t start,
                             stek_key_t *key)
{
    apr_time_t not_before, encrypt_until;
    const stek_key_t *other;
    apr_status_t rv;

    change_window(ring, start, &not_before, &encrypt_until);
    rv = stek_key_make(not_before, encrypt_until, ring->lifetime, ring->epoch, now, stek_rng_system,
                       key);
    other = stek_ring_current(ring, not_before);
    if (rv == APR_SUCCESS && other && other->not_before == not_before) {
        go_before(other, key);
    }
    return rv;
}

apr_status_t change_add_key(const stek_ring_t *ring, apr_time_t now, apr_time_t start,
                            stek_key_t *key, stek_ring_t **pring)
{
    stek_ring_t *patch = NULL;
    apr_status_t rv = make_key(ring, now, start, key);

    if (rv == APR_SUCCESS) {
        rv = stek_ring_create(1, 0, &patch);
    }
    if (rv == APR_SUCCESS) {
        rv = stek_ring_add_key(patch, key);
    }
    if (rv == APR_SUCCESS) {
        rv = stek_ring_merge(ring, patch, now, ring->lifetime, pring);
    }
    stek_ring_destroy(patch);
    return rv;
}

const char *change_state(const stek_ring_t *ring, const stek_key_t *key, apr_time_t now)
{
    return stek_state_text(stek_ring_key_state(ring, key, now, ring->lifetime));
}

void change_json_key(json_t *json, const char *member, const stek_ring_t *ring,
                     const stek_key_t *key, apr_time_t now)
{
    char hex[STEK_HEX_LEN];

    if (!key) {
        json_null(json, member);
        return;
    }
    json_open(json, member, '{');
    json_string(json, "name", stek_key_hex(key->name, hex));
    json_string(json, "state", change_state(ring, key, now));
    json_number(json, "bits", key->flags & STEK_KEY_AES128 ? 128 : 256);
    json_count(json, "epoch", key->epoch);
    json_time(json, "created", key->created);
    json_time(json, "not_before", key->not_before);
    json_time(json, "encrypt_until", key->encrypt_until);
    json_time(json, "decrypt_until", stek_key_end(key, ring->lifetime));
    json_close(json, '}');
}

static void print_json(ctl_t *ctl, const stek_ring_t *ring, const stek_key_t *key, const char *done,
                       apr_time_t now)
{
    json_t json;

    json_begin(&json, stdout);
    json_open(&json, NULL, '{');
    json_string(&json, "done", done);
    json_string(&json, "ring", ctl->ring_path);
    json_count(&json, "epoch", ring->epoch);
    json_count(&json, "generation", ring->generation);
    json_count(&json, "keys", ring->key_n);
    json_count(&json, "tombstones", ring->tombstone_n);
    change_json_key(&json, "key", ring, key, now);
    json_close(&json, '}');
    json_end(&json);
}

void change_print(ctl_t *ctl, const stek_ring_t *ring, const unsigned char *name, const char *done,
                  apr_time_t now)
{
    const stek_key_t *key = name ? stek_ring_find(ring, name) : stek_ring_current(ring, now);
    char hex[STEK_HEX_LEN];

    if (ctl->json) {
        print_json(ctl, ring, key, done, now);
        return;
    }
    printf("%s: %s; ", report_path(ctl->ring_path, ctl->pool), done);
    if (key) {
        printf("key %s encrypts from %s to %s\n", stek_key_hex(key->name, hex),
               report_time(key->not_before, now, ctl->pool),
               report_time(key->encrypt_until, now, ctl->pool));
    }
    else {
        printf("there is no current key\n");
    }
}
