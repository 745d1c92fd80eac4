/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a probe has seen, in a file, to be examined again without the server.  Text, one host after
 * the other:
 *
 *   stek-probe 1                      the format's version; only at the beginning of the file
 *   host NAME PORT                    begins a host
 *   time SECONDS                      when it was probed, since 1970
 *   planned N, connections N, took SECONDS, stalled N
 *   address TEXT                      that was connected to
 *   sni NAME                          with which tickets were collected
 *   opens HOST:PORT                   a ticket of that host resumed here; any number
 *   failure TEXT                      nothing was tested; no versions follow
 *   version TLS per_connection=N session_ids=-1|0|1 resumes=0|1 asked_cert=0|1 alert=N full=N
 *       empty=N faces=N steady=0|1 cert=HEX
 *   ticket hint=SECONDS at=MICROSECONDS connection=N secret=HEX more=HEX nonce=HEX bytes=HEX
 *                                     of the version above it; any number
 *   finding TEST[@BACKENDS] VERDICT TEXT
 *                                     of a test that needs the server; backends as bits, in hex
 *   detectable MICROSECONDS           of the finding above it
 *   spare tried=N resumes=0|1 alert=N secret_at=N name=HEX cipher=HEX mac=HEX
 *                                     keys that open tickets and make none; empty: not found
 *   lost TLS TEXT                     the server no longer answered in that version
 *   end                               the host is complete
 *
 * The secrets are those of the probe's own sessions, so the file is readable by its owner only.  A
 * host that is not complete, as the last one after a crash, does not count.  stekctl; one thread.
 */
#ifndef STEKCTL_PROBE_RECORDING_H
#define STEKCTL_PROBE_RECORDING_H

#include <stdio.h>

#include "model.h"

#pragma GCC visibility push(hidden)

/* Creates the file, or goes on after its last complete host if is_resumed. */
apr_status_t probe_recording_create(FILE **pfile, const char *path, int is_resumed);

/* Adds a host that has been probed. */
apr_status_t probe_recording_add(FILE *file, const probe_host_t *host);

typedef struct probe_reader_t {
    FILE *file;
    int line_n; /* the latest line, from 1 */
    char *line;
    apr_pool_t *pool;
} probe_reader_t;

/* Begins to read file, up to its first host.  APR_EGENERAL, and *pwhy: it is not a recording. */
apr_status_t probe_reader_begin(probe_reader_t *reader, FILE *file, const char **pwhy,
                                apr_pool_t *pool);

/* The next host, whose findings are only those in the file.  APR_EOF: there is none.  APR_EGENERAL,
 * and *pwhy: line_n is malformed. */
apr_status_t probe_reader_next(probe_reader_t *reader, probe_host_t *host, const char **pwhy,
                               apr_pool_t *pool);

#pragma GCC visibility pop
#endif
