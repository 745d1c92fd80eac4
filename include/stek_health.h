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
#define STEK_HEALTH_NO_KEY 0x01u /* no current key: no tickets are issued */
#define STEK_HEALTH_LATE                                                                           \
    0x02u                          /* there is a current key, but no key is prepared for what
                                      follows */
#define STEK_HEALTH_CLOCK 0x04u    /* written in the future: a clock is wrong */
#define STEK_HEALTH_SOURCE 0x08u   /* the ring's file was refused when it was last read */
#define STEK_HEALTH_STALE 0x10u    /* the ring's file has not been read for too long */
#define STEK_HEALTH_NO_ISSUE 0x20u /* the self-test failed: no tickets are issued */

/* Hosts that keep time by NTP differ by less. */
#define STEK_HEALTH_CLOCK_SLACK apr_time_from_sec(60)

/* Whoever makes keys prepares at least STEK_PREPARE_MIN ahead; once only half of that is left, new
 * keys are late. */
#define STEK_HEALTH_LATE_SPAN (STEK_PREPARE_MIN / 2)

/* How a process follows a ring's file. */
typedef struct stek_source_t {
    apr_status_t status;         /* when the file was last read */
    apr_interval_time_t age;     /* time since it was last read without an error */
    apr_interval_time_t age_max; /* from this on, the process no longer follows the file */
    int issues;                  /* the self-test passed */
} stek_source_t;

typedef struct stek_health_t {
    unsigned problems;        /* 0: healthy; else STEK_HEALTH_* */
    apr_time_t covered_until; /* stek_schedule_covered_until */
    apr_time_t rotates_at;    /* when the next key takes over; 0: none is prepared */
    const stek_key_t *next;   /* that key; NULL: none; owned by the ring */
    int rotation_valid;       /* there is a current key, in a slot no longer than the interval */
    int next_ready;           /* the slot after the current one has a key */
} stek_health_t;

/* interval: as configured; 0: the ring's own. source NULL: the ring was read just now. */
void stek_health_judge(const stek_ring_t *ring, apr_interval_time_t interval,
                       const stek_source_t *source, apr_time_t now, stek_health_t *health);

/* A word for one problem: "no-key", "late", "clock", "source", "stale", "self-test"; constant. */
const char *stek_health_code(unsigned problem);

#pragma GCC visibility pop
#endif
