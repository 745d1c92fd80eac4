/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The probe of one host under way: what its steps share, the ways to offer a ticket and to tell a
 * finding.  stekctl; one thread.
 */
#ifndef STEKCTL_PROBE_RUN_H
#define STEKCTL_PROBE_RUN_H

#include "client.h"
#include "model.h"

#pragma GCC visibility push(hidden)

#define PROBE_FAULTS_MAX 5 /* connections in a row that fail before a test gives up */

typedef struct probe_run_t {
    probe_host_t *host;
    const probe_options_t *options;
    probe_client_t *client;
    probe_version_t *version; /* under test */
    const char *name;         /* SNI that tickets are collected with; NULL: none */
    const char *test;         /* for the progress line */
    int asks_http;            /* this host gives no ticket of TLS 1.3 before a request */
    int faults_n;             /* failed connections in a row */
    int is_spent;             /* the last of them: there may be no more connections */
    apr_pool_t *scratch;      /* cleared with each connection */
    apr_pool_t *pool;
} probe_run_t;

/* A finding of a test. */
void probe_tell(probe_run_t *run, probe_test_e test, probe_verdict_e verdict, const char *format,
                ...) __attribute__((format(printf, 4, 5)));

void probe_progress(probe_run_t *run, apr_size_t done, apr_size_t all);

/* An offer of a ticket's session; bytes (NULL: the ticket's own) in its place. */
void probe_offer(probe_run_t *run, const probe_ticket_t *ticket, const unsigned char *bytes,
                 probe_reply_t *reply);

/* Nonzero: the connection said something of the ticket; else it counts as a fault. */
int probe_is_answer(probe_run_t *run, const probe_reply_t *reply);

/* A test begins: no faults, and its own connections. */
void probe_begin(probe_run_t *run, probe_test_e test, int earlier_n);

/* Why a test ended early, a clause. */
const char *probe_why_ended(const probe_run_t *run);

/* What a request names as Host: name, or the host itself for NULL, and the port if it is not
 * 443. */
const char *probe_host_header(const probe_run_t *run, const char *name, apr_pool_t *pool);

#pragma GCC visibility pop
#endif
