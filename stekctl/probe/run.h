/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The running probe of one host: what its steps share, how they offer a ticket and record a
 * finding. stekctl; one thread.
 */
#ifndef STEKCTL_PROBE_RUN_H
#define STEKCTL_PROBE_RUN_H

#include "client.h"
#include "model.h"

#pragma GCC visibility push(hidden)

#define PROBE_FAULTS_MAX 5 /* failed connections in a row before a test gives up */

typedef struct probe_run_t {
    probe_host_t *host;
    const probe_options_t *options;
    probe_client_t *client;
    probe_version_t *version; /* being tested */
    const char *name;         /* SNI with which tickets are collected; NULL: none */
    const char *test;         /* for the progress line */
    int asks_http;            /* this host sends TLS 1.3 tickets only after a request */
    int clocks_n;             /* tickets that were searched for keys made from the time */
    int servers_n;            /* with keys of their own, each once for every version so far */
    int clean_end;            /* see probe_clean_left */
    int faults_n;             /* failed connections in a row */
    int backend;              /* whose tickets are being tested, from 0; -1: not told apart */
    int repeats_n;            /* offers that miss the ticket's backend in less than 1 % */
    int cost_n;               /* how many offers it takes on average until it has answered */
    apr_uint64_t wanted;      /* faces whose answers count; 0: answers do not tell */
    int asks_who;             /* answers say which face gives them, although none is wanted */
    apr_uint64_t unmet;  /* backends that the test has met too rarely; bit n is for backend n */
    int is_lost;         /* the last one failed because no answer came from the ticket's backend */
    int is_spent;        /* the last one failed because the connection limit was reached */
    apr_pool_t *scratch; /* cleared for every connection */
    apr_pool_t *pool;
} probe_run_t;

/* Records a test's finding, and returns it for details. */
probe_finding_t *probe_tell(probe_run_t *run, probe_test_e test, probe_verdict_e verdict,
                            const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Records that there is nothing to test. */
void probe_tell_moot(probe_run_t *run, probe_test_e test, const char *why);

/* Adds to a finding what became of a forged ticket. */
void probe_tell_forged(probe_finding_t *finding, probe_forged_e forged, const char *text,
                       apr_pool_t *pool);

/* A guessed key as findings name it, or its digest if keys are not to be shown. */
const char *probe_tell_key(const probe_run_t *run, const unsigned char *key, apr_size_t len);

void probe_progress(probe_run_t *run, apr_size_t done, apr_size_t all);

/* Offers a ticket's session, with bytes (NULL: unaltered) as its ticket.  Behind several backends,
 * again and again: until the answer is not just a full handshake, which is all that one gives that
 * does not know the ticket, or until the backends that do know it have answered. */
void probe_offer(probe_run_t *run, const probe_ticket_t *ticket, const unsigned char *bytes,
                 probe_reply_t *reply);

/* The same with the bytes that the ticket stands for; raw is what probe_text_ticket_raw makes of it. */
void probe_offer_raw(probe_run_t *run, const probe_ticket_t *ticket, const probe_ticket_t *raw,
                     const unsigned char *bytes, probe_reply_t *reply);

/* Nonzero: the reply says something about the ticket; otherwise the connection counts as failed. */
int probe_is_answer(probe_run_t *run, const probe_reply_t *reply);

/* Makes an offer, as probe_offer does. */
void probe_offer_as(probe_run_t *run, const probe_offer_t *offer, probe_reply_t *reply,
                    apr_pool_t *pool);

/* How many connections a test may make while it finds nothing, besides its own limit. */
int probe_clean_left(const probe_run_t *run);

/* What to add where they did not suffice. */
const char *probe_deeper_text(const probe_run_t *run);

/* Nonzero: of a version that is sampled, from now on every face that was met more than once has to
 * answer each offer; 0: no longer. */
void probe_want_each(probe_run_t *run, int is_on);

/* A ticket that has not been offered unaltered yet, and now counts as offered; NULL: there is none,
 * and --tickets allows no full handshake to get one. */
const probe_ticket_t *probe_fresh_ticket(probe_run_t *run);

/* Nonzero: an earlier version gave a ticket with this key name, so the key is the same, and the test
 * found nothing in any of that version's tickets. */
int probe_was_clean(const probe_run_t *run, probe_test_e test, const probe_ticket_t *ticket);

/* A new ticket, by a full handshake; NULL: none came. */
const probe_ticket_t *probe_get_ticket(probe_run_t *run, apr_pool_t *pool);

/* Begins a test: resets failures, and allows its connections. */
void probe_begin(probe_run_t *run, probe_test_e test, int earlier_n);

/* Why a test ended early, as a clause. */
const char *probe_why_ended(const probe_run_t *run);

/* A request's Host header: name, or the host itself for NULL, with the port if it is not 443. */
const char *probe_host_header(const probe_run_t *run, const char *name, apr_pool_t *pool);

#pragma GCC visibility pop
#endif
