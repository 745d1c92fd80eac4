/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which hosts of a list are done, in a file: after an interruption, the same command goes on with
 * the others.  Text: "stek-hosts 1", then a line "NUMBER HOST" for every one, in the order in which
 * they were done; the number is that of its line in the list.  stekctl; one thread.
 */
#ifndef STEKCTL_PROBE_RESUME_H
#define STEKCTL_PROBE_RESUME_H

#include <apr_pools.h>
#include <stdio.h>

#pragma GCC visibility push(hidden)

typedef struct probe_resume_t {
    FILE *file;
    apr_uint32_t *done; /* by line, from 0: a hash of the host; 0: not done */
    int size, done_n;
} probe_resume_t;

/* Creates the file, or reads it.  APR_EINVAL: it is something else. */
apr_status_t probe_resume_open(probe_resume_t *resume, const char *path);

/* 1: done, 0: not.  -1: that line was another host. */
int probe_resume_is_done(const probe_resume_t *resume, int line_n, const char *host);

apr_status_t probe_resume_add(probe_resume_t *resume, int line_n, const char *host);

void probe_resume_close(probe_resume_t *resume);

#pragma GCC visibility pop
#endif
