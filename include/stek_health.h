/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Judges a ring at a time: is it healthy, and if not, why.  One judgement for the status page,
 * metrics and stekctl.  Pure functions; any thread, any phase.
 */
#ifndef STEK_HEALTH_H
#define STEK_HEALTH_H

#include "stek_schedule.h"

#pragma GCC visibility push(hidden)

/* What can be wrong; bits of stek_health_t.problems. */
#define STEK_HEALTH_NO_KEY 0x01u   /* no key encrypts now: no tickets are issued */
#define STEK_HEALTH_LATE 0x02u     /* a key encrypts now, but none is prepared for soon */
#define STEK_HEALTH_CLOCK 0x04u    /* written in the future: a clock is wrong */
#define STEK_HEALTH_SOURCE 0x08u   /* the ring's file was refused at the last look */
#define STEK_HEALTH_STALE 0x10u    /* the ring's file has not been looked at for too long */
#define STEK_HEALTH_NO_ISSUE 0x20u /* the self-test failed: no tickets are issued */

/* Hosts that keep time by NTP differ by less. */
#define STEK_HEALTH_CLOCK_SLACK apr_time_from_sec(60)

/* Whoever makes keys prepares STEK_PREPARE_MIN ahead at the least: with half of it left it is
 * late. */
#define STEK_HEALTH_LATE_SPAN (STEK_PREPARE_MIN / 2)

/* How a process follows a ring's file. */
typedef struct stek_source_t {
    apr_status_t status;         /* of the last look */
    apr_interval_time_t age;     /* time since a look that ended well */
    apr_interval_time_t age_max; /* from here on the process does not follow any more */
    int issues;                  /* the self-test passed */
} stek_source_t;

typedef struct stek_health_t {
    unsigned problems;        /* 0: healthy; else STEK_HEALTH_* */
    apr_time_t covered_until; /* stek_schedule_covered_until */
    apr_time_t rotates_at;    /* when another key will encrypt; 0: none is prepared */
    const stek_key_t *next;   /* that key, NULL: none; the ring's */
    int rotation_valid;       /* a key encrypts now, in a slot no longer than the interval */
    int next_ready;           /* the slot after the current one has its key */
} stek_health_t;

/* interval: as configured; 0: the ring's own.  source NULL: the ring was read just now. */
void stek_health_judge(const stek_ring_t *ring, apr_interval_time_t interval,
                       const stek_source_t *source, apr_time_t now, stek_health_t *health);

/* A word for one problem: "no-key", "late", "clock", "source", "stale", "self-test"; constant. */
const char *stek_health_code(unsigned problem);

#pragma GCC visibility pop
#endif
