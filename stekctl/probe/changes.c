/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes of keys (changes.h).
 *
 * A key that has changed shows as a name that comes up while another one is seen no more.  Where a
 * name comes up beside all others, a backend may have been met for the first time.  So names whose
 * spans of time overlap tell how many backends there are at least, and a name counts as gone only if,
 * with as many backends as there are, it would have been seen again.
 */
#include "changes.h"

#include <string.h>

#include "faces.h"

int probe_changes_see(probe_changes_t *changes, const unsigned char *name)
{
    probe_seen_t *seen;
    int i, is_new;

    for (i = 0;
         i < changes->names_n && memcmp(changes->names[i].name, name, changes->name_len) != 0;
         i++) {
    }
    if (i == PROBE_CHANGES_MAX) {
        changes->is_too_many = 1;
        return 0;
    }
    seen = &changes->names[i];
    is_new = i == changes->names_n;
    if (is_new) {
        memcpy(seen->name, name, changes->name_len);
        seen->first = changes->looks_n;
        changes->names_n++;
        changes->begun_n += changes->looks_n == 0;
    }
    seen->last = changes->looks_n;
    return is_new;
}

/* How many names were there at that look, because they were seen before and after it, or at it. */
static int depth_at(const probe_changes_t *changes, int look_n)
{
    int i, n = 0;

    for (i = 0; i < changes->names_n; i++) {
        n += changes->names[i].first <= look_n && changes->names[i].last >= look_n;
    }
    return n;
}

int probe_changes_count(const probe_changes_t *changes)
{
    int new_n = changes->names_n - changes->begun_n, gone_n = 0, repeats_n, i;

    if (changes->is_too_many || changes->begun_n == 0) {
        return -1;
    }
    repeats_n = probe_faces_repeats_for(1.0 / changes->begun_n, changes->begun_n);
    for (i = 0; i < changes->names_n; i++) {
        gone_n += changes->looks_n - changes->names[i].last >= repeats_n;
        if (i >= changes->begun_n
            && depth_at(changes, changes->names[i].first) > changes->begun_n) {
            return -1;
        }
    }
    /* Among several, one that is not seen again may just not have been met. */
    return new_n == 0 || gone_n == new_n ? new_n : -1;
}
