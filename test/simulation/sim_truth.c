/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is true, whatever hosts believe: every key that ever was in a ring, when it was first seen,
 * who has it; every revocation, and which hosts it has reached.  And the checks.
 *
 * How a revocation of all travels cannot be told from rings (two hosts may have chosen the same
 * epoch).  So everything that is sealed carries a taint, the set of revocations that its writer had
 * opened, remembered here by the seal's salt.  One thread.
 */
#include "sim.h"

#include "stek_admit.h"

#include <stdlib.h>
#include <string.h>

#include "stek_seal.h"

#define SALT_AT 52

typedef struct noted_t {
    uint64_t salt; /* 0: free */
    uint64_t taint;
} noted_t;

static sim_key_t **keys;
static size_t key_n, key_room;
static noted_t *notes;
static size_t note_n, note_room;

static uint64_t head_of(const unsigned char *bytes)
{
    uint64_t head;

    memcpy(&head, bytes, sizeof(head));
    return head | 1;
}

void sim_truth_free(void)
{
    size_t i;

    for (i = 0; i < key_room; i++) {
        free(keys[i]);
    }
    free(keys);
    free(notes);
    keys = NULL;
    notes = NULL;
    key_n = key_room = note_n = note_room = 0;
}

void sim_truth_reset(void)
{
    sim_truth_free();
    key_room = 1 << 10;
    note_room = 1 << 10;
    keys = calloc(key_room, sizeof(*keys));
    notes = calloc(note_room, sizeof(*notes));
}

static sim_key_t **key_place(sim_key_t **table, size_t room, const unsigned char *name)
{
    size_t at = (size_t)(head_of(name) * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (room - 1);

    while (table[at] && memcmp(table[at]->name, name, STEK_NAME_LEN) != 0) {
        at = (at + 1) & (room - 1);
    }
    return &table[at];
}

static noted_t *note_place(noted_t *table, size_t room, uint64_t salt)
{
    size_t at = (size_t)(salt * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (room - 1);

    while (table[at].salt && table[at].salt != salt) {
        at = (at + 1) & (room - 1);
    }
    return &table[at];
}

static void grow_keys(void)
{
    sim_key_t **more = calloc(key_room * 2, sizeof(*more));
    size_t i;

    for (i = 0; i < key_room; i++) {
        if (keys[i]) {
            *key_place(more, key_room * 2, keys[i]->name) = keys[i];
        }
    }
    free(keys);
    keys = more;
    key_room *= 2;
}

static void grow_notes(void)
{
    noted_t *more = calloc(note_room * 2, sizeof(*more));
    size_t i;

    for (i = 0; i < note_room; i++) {
        if (notes[i].salt) {
            *note_place(more, note_room * 2, notes[i].salt) = notes[i];
        }
    }
    free(notes);
    notes = more;
    note_room *= 2;
}

sim_key_t *sim_truth_find(const unsigned char name[STEK_NAME_LEN])
{
    return *key_place(keys, key_room, name);
}

sim_key_t *sim_truth_see(const stek_key_t *key)
{
    sim_key_t **place = key_place(keys, key_room, key->name);

    if (*place) {
        return *place;
    }
    if (key_n * 2 > key_room) {
        grow_keys();
        place = key_place(keys, key_room, key->name);
    }
    *place = calloc(1, sizeof(**place));
    memcpy((*place)->name, key->name, STEK_NAME_LEN);
    (*place)->seq = ++sim->seq;
    (*place)->epoch = key->epoch;
    (*place)->created = key->created;
    (*place)->not_before = key->not_before;
    (*place)->encrypt_until = key->encrypt_until;
    (*place)->decrypt_until = key->decrypt_until;
    key_n++;
    return *place;
}

void sim_truth_see_ring(const stek_ring_t *ring)
{
    apr_size_t i;

    for (i = 0; i < ring->key_n; i++) {
        (void)sim_truth_see(&ring->keys[i]);
    }
}

void sim_truth_note(const unsigned char *sealed, apr_size_t len, uint64_t taint)
{
    noted_t *note;

    if (len < STEK_RING_HEADER_LEN) {
        return;
    }
    if (note_n * 2 > note_room) {
        grow_notes();
    }
    note = note_place(notes, note_room, head_of(sealed + SALT_AT));
    note_n += !note->salt;
    note->salt = head_of(sealed + SALT_AT);
    note->taint = taint;
}

uint64_t sim_truth_taint(const unsigned char *sealed, apr_size_t len)
{
    return len < STEK_RING_HEADER_LEN
               ? 0
               : note_place(notes, note_room, head_of(sealed + SALT_AT))->taint;
}

int sim_truth_event(sim_host_t *host, const unsigned char *name)
{
    sim_event_t *event = &sim->events[sim->event_n];

    if (sim->event_n == SIM_EVENTS_MAX) {
        return -1;
    }
    sim->judged_n++;
    memset(event, 0, sizeof(*event));
    event->all = name == NULL;
    event->seq = ++sim->seq;
    event->clock = sim_clock(host);
    event->is_void = !name && event->clock > (sim->now_ms + INT64_C(86000000)) * 1000;
    event->host = sim_number(host);
    if (name) {
        memcpy(event->name, name, STEK_NAME_LEN);
        sim_truth_find(name)->revoked = sim->event_n + 1;
    }
    return sim->event_n++;
}

static int has_tombstone(const stek_ring_t *ring, const unsigned char *name)
{
    apr_size_t low = 0, high = ring->tombstone_n;

    while (low < high) {
        apr_size_t mid = low + (high - low) / 2;
        int c = memcmp(ring->tombstones[mid].name, name, STEK_NAME_LEN);

        if (c == 0) {
            return 1;
        }
        low = c < 0 ? mid + 1 : low;
        high = c < 0 ? high : mid;
    }
    return 0;
}

void sim_learn(sim_host_t *host, const stek_ring_t *ring, uint64_t taint, uint64_t *pknown)
{
    int i;

    (void)host;
    for (i = 0; i < sim->event_n; i++) {
        const sim_event_t *event = &sim->events[i];

        if (*pknown >> i & 1) {
            continue;
        }
        /* Others refuse an epoch that is more than a day ahead, and say so. */
        if (event->is_void) {
            continue;
        }
        if (event->all ? (taint >> i & 1) && ring->epoch >= event->epoch
                       : has_tombstone(ring, event->name)) {
            *pknown |= UINT64_C(1) << i;
        }
    }
}

static const char *hex_of(const unsigned char *name)
{
    static char hex[STEK_HEX_LEN];

    return stek_key_hex(name, hex);
}

/* Whether the host may have forgotten that this key was revoked, because its clock has been far ahead.
 * Without that switch: because it has been ahead. */
static int may_forget(const sim_host_t *host, const sim_key_t *key)
{
    apr_time_t margin = sim_with(SIM_WITH_AHEAD) ? apr_time_from_sec(SIM_AHEAD_S + 60) : 0;

    return host->clock_max - margin >= key->decrypt_until;
}

/* The number of a known revocation that ended this key; -1: none. */
static int ended_by(const sim_host_t *host, const sim_key_t *key, uint64_t known)
{
    int i;

    if (key->revoked && (known >> (key->revoked - 1) & 1) && !may_forget(host, key)) {
        return key->revoked - 1;
    }
    for (i = 0; i < sim->event_n; i++) {
        const sim_event_t *event = &sim->events[i];

        /* Clocks decide between revocations, so a key from a clock that was ahead of the revoking
         * host's is not asked for; a thief's is, after the emergency procedure. */
        if (event->all && (known >> i & 1) && key->seq < event->seq && !key->forged
            && key->created < event->clock
            && key->epoch < (apr_uint64_t)apr_time_sec(event->clock)) {
            return i;
        }
    }
    return -1;
}

/* 0: a key of the ring may not be in it. */
static int check_keys(const sim_host_t *host, const stek_ring_t *ring, uint64_t known,
                      const stek_key_t *current, const char *where)
{
    apr_size_t i;

    for (i = 0; i < ring->key_n; i++) {
        const stek_key_t *key = &ring->keys[i];
        const sim_key_t *truth = sim_truth_see(key);
        int event = ended_by(host, truth, known);

        if (event >= 0) {
            /* A key that is as good as the revocation itself, or one that came back. */
            sim_fail(sim->events[event].all && key->epoch >= sim->events[event].epoch
                         ? "two-revocations"
                         : "revoked-returns",
                     "key %s, which host %d's revocation ended, is in the %s of host %d%s",
                     hex_of(key->name), sim->events[event].host, where, sim_number(host),
                     key == current ? " and encrypts" : "");
            return 0;
        }
        if (sim->ended && (truth->forged || truth->stolen)) {
            sim_fail("stolen", "%s key %s is in the %s of host %d after the emergency procedure",
                     truth->forged ? "the thief's" : "stolen", hex_of(key->name), where,
                     sim_number(host));
            return 0;
        }
        if (!sim->thief
            && (key->not_before != truth->not_before || key->encrypt_until != truth->encrypt_until
                || key->decrypt_until != truth->decrypt_until)) {
            sim_fail("window", "the window of key %s has changed in the %s of host %d",
                     hex_of(key->name), where, sim_number(host));
            return 0;
        }
    }
    return 1;
}

/* The same ring under the same circumstances is checked once: as time passes, less is asked for. */
static int is_checked(const stek_ring_t *ring, uint64_t known, sim_hash_t *checked)
{
    sim_hash_t hash = sim_hash(ring, sim_mix(known, (uint64_t)sim->judged_n));
    int same = hash.a == checked->a && hash.b == checked->b;

    *checked = hash;
    return same;
}

void sim_check_ring(sim_host_t *host, const stek_ring_t *ring, uint64_t known, const char *where)
{
    apr_time_t now = sim_clock(host);
    const stek_key_t *current = stek_ring_current(ring, now);

    if (!is_checked(ring, known, &host->checked[ring == host->live])
        && !check_keys(host, ring, known, current, where)) {
        return;
    }
    if (current && (now < current->not_before || now >= current->encrypt_until)) {
        sim_fail("window", "key %s encrypts outside its slot on host %d", hex_of(current->name),
                 sim_number(host));
    }
    if (ring->key_n > STEK_KEYS_MAX
        || ring->key_n * STEK_SEALED_KEY_LEN + ring->tombstone_n * STEK_SEALED_TOMBSTONE_LEN
                   + STEK_SEALED_REST_LEN
               > STEK_RING_BYTES_MAX) {
        sim_fail("size", "the %s of host %d holds %d keys and %d tombstones", where,
                 sim_number(host), (int)ring->key_n, (int)ring->tombstone_n);
    }
}

/* Whether the host's file ring has something that neither it nor another host had before, and that is not
 * younger than seq: it must have come from a store. */
int sim_truth_is_news(const sim_host_t *host, const stek_ring_t *before, int64_t seq)
{
    const stek_ring_t *ring = host->file, *others[SIM_HOSTS_MAX];
    apr_uint64_t epoch = 0;
    apr_size_t i;
    int other_n = 0, n;

    for (n = 0; n < sim->history->host_n; n++) {
        const stek_ring_t *other = &sim->hosts[n] == host ? before : sim->hosts[n].file;

        if (other) {
            others[other_n++] = other;
            epoch = other->epoch > epoch ? other->epoch : epoch;
        }
    }
    if (!ring || ring->epoch > epoch) {
        return ring != NULL;
    }
    for (i = 0; i < ring->key_n; i++) {
        const unsigned char *name = ring->keys[i].name;

        for (n = 0; n < other_n && !stek_ring_find(others[n], name); n++) {
        }
        if (n == other_n && sim_truth_see(&ring->keys[i])->seq <= seq) {
            return 1;
        }
    }
    for (i = 0; i < ring->tombstone_n; i++) {
        for (n = 0; n < other_n && !has_tombstone(others[n], ring->tombstones[i].name); n++) {
        }
        if (n == other_n) {
            return 1;
        }
    }
    return 0;
}

/* What all hosts have to hold: keys that have not ended for any of them, and that none of them
 * leaves out because they begin too late. */
typedef struct common_t {
    apr_time_t now;
    apr_time_t begin_max;
    apr_interval_time_t lifetime;
    apr_size_t late_n; /* how many keys of a full ring another host leaves out, at most */
} common_t;

static int is_full(const stek_ring_t *ring)
{
    return ring->key_n + ring->tombstone_n >= STEK_KEYS_MAX;
}

/* How many keys of another host's full ring begin too late for this host, because their settings differ. */
static apr_size_t late_n_for(const sim_host_t *host)
{
    const stek_params_t *params = sim_host_generates(host) ? &host->options.rules.params : NULL;
    apr_size_t most = 0;
    int i;

    for (i = 0; i < sim->history->host_n; i++) {
        const stek_ring_t *ring = sim->hosts[i].file;

        if (ring && &sim->hosts[i] != host && is_full(ring)) {
            apr_size_t n = stek_admit_late_n(ring, params, sim_clock(host));

            most = n > most ? n : most;
        }
    }
    return most;
}

static common_t common_of(void)
{
    common_t common = {0, APR_INT64_MAX, 0, 0};
    int i;

    for (i = 0; i < sim->history->host_n; i++) {
        const sim_host_t *host = &sim->hosts[i];
        const stek_params_t *params = &host->options.rules.params;
        apr_time_t now = sim_clock(host);
        apr_time_t begin_max = now + stek_schedule_horizon(params) + params->interval;
        apr_size_t late_n = late_n_for(host);

        common.late_n = late_n > common.late_n ? late_n : common.late_n;
        common.now = now > common.now ? now : common.now;
        common.begin_max = begin_max < common.begin_max ? begin_max : common.begin_max;
        if (!common.lifetime || params->lifetime < common.lifetime) {
            common.lifetime = params->lifetime;
        }
    }
    return common;
}

/* Whether this key of another ring gives way when a ring is full: it only decrypts, or it does not encrypt
 * yet, and the ring holds a better one of its group. */
static int gives_way(const stek_ring_t *ring, const stek_key_t *key, apr_time_t now)
{
    apr_size_t i;

    if (key->not_before <= now || key->encrypt_until == key->not_before) {
        return !stek_key_can_encrypt(key, now);
    }
    for (i = 0; i < ring->key_n; i++) {
        if (ring->keys[i].decrypt_until == key->decrypt_until
            && stek_name_compare(ring->keys[i].name, key->name) < 0) {
            return 1;
        }
    }
    return 0;
}

/* A key of a that b has to hold and does not.  Late keys that only some hosts take in fill their rings, and
 * the stores, as others do; so there is room for that many fewer of those that all take in. */
static const stek_key_t *lacks(const stek_ring_t *a, const stek_ring_t *b, const common_t *common)
{
    apr_size_t i, late_n = common->late_n;

    for (i = 0; i < a->key_n; i++) {
        if (stek_key_can_decrypt(&a->keys[i], common->now, common->lifetime)
            && a->keys[i].not_before <= common->begin_max && !stek_ring_find(b, a->keys[i].name)) {
            if (late_n > 0 && gives_way(b, &a->keys[i], common->now)) {
                late_n--;
                continue;
            }
            return &a->keys[i];
        }
    }
    return NULL;
}

static void check_far(const sim_host_t *host)
{
    const stek_params_t *params = &host->options.rules.params;
    /* Who makes none takes in what any settings can mean. */
    apr_interval_time_t ahead = sim_host_generates(host)
                                    ? stek_schedule_horizon(params) + 2 * params->interval
                                    : apr_time_from_sec(15 * 86400);
    apr_time_t last = sim_clock(host) + ahead + STEK_ADMIT_KEY_MARGIN + apr_time_from_sec(600);
    apr_size_t i;

    for (i = 0; i < host->file->key_n; i++) {
        if (host->file->keys[i].not_before > last) {
            sim_fail("far-key", "the file ring of host %d holds key %s, whose slot is %lld h away",
                     sim_number(host), hex_of(host->file->keys[i].name),
                     (long long)((host->file->keys[i].not_before - sim_clock(host)) / 3600000000));
            return;
        }
    }
}

/* What sealed a ticket that is not too old opens it, wherever the client comes back. */
static void check_tickets(const stek_ring_t *ring)
{
    apr_time_t latest = 0;
    size_t i;

    for (i = 0; i < (size_t)sim->history->host_n; i++) {
        latest = sim->hosts[i].clock_max > latest ? sim->hosts[i].clock_max : latest;
    }

    for (i = 0; i < key_room && !sim->lossy; i++) {
        const sim_key_t *key = keys[i];

        if (key && key->issued && !key->revoked && key->epoch >= ring->epoch
            && key->decrypt_until > latest && !stek_ring_find(ring, key->name)) {
            sim_fail("lost", "key %s, which has sealed tickets, is lost", hex_of(key->name));
            return;
        }
    }
}

void sim_check_agreement(void)
{
    const sim_host_t *first = &sim->hosts[0];
    common_t common = common_of();
    int i;

    for (i = 0; i < sim->history->host_n && !sim->failed[0]; i++) {
        const sim_host_t *host = &sim->hosts[i];
        const stek_key_t *key;

        if (!first->file || !host->file) {
            sim_fail("disagree", "host %d has no file ring", host->file ? 0 : i);
            return;
        }
        if (host->file->epoch != first->file->epoch) {
            sim_fail("disagree", "hosts 0 and %d have the epochs %llu and %llu", i,
                     (unsigned long long)first->file->epoch, (unsigned long long)host->file->epoch);
            return;
        }
        key = lacks(first->file, host->file, &common);
        if (key || (key = lacks(host->file, first->file, &common)) != NULL) {
            sim_fail("disagree", "one of the hosts 0 and %d lacks key %s", i, hex_of(key->name));
            return;
        }
        check_far(host);
    }
    if (!sim->failed[0]) {
        check_tickets(first->file);
    }
}
