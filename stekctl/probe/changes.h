/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How often keys have changed, by the key names that were seen over some time.  Pure; stekctl.
 */
#ifndef STEKCTL_PROBE_CHANGES_H
#define STEKCTL_PROBE_CHANGES_H

#include <apr.h>

#pragma GCC visibility push(hidden)

#define PROBE_CHANGES_LEN 16 /* bytes of a name that are compared */
#define PROBE_CHANGES_MAX 256

typedef struct probe_seen_t {
    unsigned char name[PROBE_CHANGES_LEN];
    int first, last; /* looks; 0: before the first one */
} probe_seen_t;

/* Begins with zeros and name_len.  What is seen while looks_n is 0 is there at the beginning. */
typedef struct probe_changes_t {
    apr_size_t name_len; /* at most PROBE_CHANGES_LEN */
    int looks_n;         /* the latest look; the caller counts */
    probe_seen_t names[PROBE_CHANGES_MAX];
    int names_n, begun_n; /* begun_n: there at the beginning */
    int is_too_many;
} probe_changes_t;

/* A look has brought a ticket with this name.  Nonzero: it is a new one. */
int probe_changes_see(probe_changes_t *changes, const unsigned char *name);

/* -1: that cannot be told. */
int probe_changes_count(const probe_changes_t *changes);

#pragma GCC visibility pop
#endif
