/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tickets where they must not resume, although nobody has altered them: in another version of TLS,
 * with another cipher suite, as the ticket of another server, after their lifetime hint.  A server
 * makes a full handshake then, and sends no alert (RFC 5077, 3.4; RFC 9846, 4.3.11 and 4.7.1).
 */
#include "tests.h"

#include <apr_strings.h>
#include <limits.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <string.h>

#include "report.h"
#include "wait.h"
#include "words.h"

#define NONE_FRESH "every ticket has been offered before; allow more with --tickets"
#define SLACK apr_time_from_sec(3) /* servers count whole seconds */

/* The longest hint whose end is waited for, by level. */
static const apr_uint32_t hint_max_s[] = {2, 5, 60};

typedef struct changing_t {
    const char *good;     /* with what a full handshake followed; "": with nothing yet */
    const char *untested; /* the first reason; NULL: nothing is */
    int is_told;          /* something is */
} changing_t;

static void skip_one(changing_t *changing, const char *why)
{
    changing->untested = changing->untested ? changing->untested : why;
}

/* RFC 5246, 7.4.1.2 has the client offer the session's suite, so that a server may insist on it. */
static int is_allowed_alert(const probe_offer_t *offer, const probe_reply_t *reply)
{
    return offer->change == PROBE_CHANGE_SUITE && offer->version != TLS1_3_VERSION
           && reply->alert == SSL_AD_ILLEGAL_PARAMETER;
}

/* An alert means something only if a full handshake with the same ClientHello gets none. */
static probe_outcome_e shake_afresh(probe_run_t *run, const probe_offer_t *offer)
{
    probe_offer_t fresh = *offer;
    probe_reply_t reply;

    fresh.drops_session = 1;
    fresh.ticket = NULL;
    probe_client_connect(run->client, &fresh, &reply, run->scratch);
    return reply.outcome;
}

/* Neither resumed nor a full handshake. */
static void judge_refusal(probe_run_t *run, changing_t *changing, const probe_offer_t *offer,
                          const probe_reply_t *reply, const char *what)
{
    const char *how = reply->alert >= 0 ? apr_psprintf(run->pool, "alert %d", reply->alert)
                                        : "the end of the connection";
    probe_outcome_e outcome = shake_afresh(run, offer);

    if (outcome == PROBE_FULL) {
        changing->is_told = 1;
        probe_tell(run, PROBE_TEST_CHANGE, PROBE_NOTE,
                   "does not resume with %s, but gets %s instead of a full handshake", what, how);
    }
    else if (outcome == PROBE_SPENT) {
        skip_one(changing, apr_psprintf(run->pool,
                                        "%s: --tickets allows no full handshake to "
                                        "compare with",
                                        what));
    }
    else if (outcome != PROBE_ALERT && outcome != PROBE_CLOSED) {
        skip_one(changing, apr_psprintf(run->pool, "%s: no full handshake to compare with", what));
    }
    /* Otherwise the server has no other version or suite: there is nothing to test. */
}

/* A suite that the client offers is one that it agrees to, whatever the session's was. */
static void tell_resumed(probe_run_t *run, const probe_offer_t *offer, const char *what)
{
    if (offer->change == PROBE_CHANGE_SUITE && offer->version != TLS1_3_VERSION) {
        probe_tell(run, PROBE_TEST_CHANGE, PROBE_NOTE,
                   "resumes with %s, which the client offers; RFC 5246 (7.4.1.3) asks for the "
                   "session's own",
                   what);
    }
    else {
        probe_tell(run, PROBE_TEST_CHANGE, PROBE_WEAK, "resumes with %s", what);
    }
}

static void try_one(probe_run_t *run, changing_t *changing, const probe_offer_t *offer,
                    const char *what)
{
    probe_reply_t reply;

    apr_pool_clear(run->scratch);
    probe_offer_as(run, offer, &reply, run->scratch);
    if (!probe_is_answer(run, &reply)) {
        skip_one(changing, apr_psprintf(run->pool, "%s: %s", what, reply.why));
    }
    else if (reply.outcome == PROBE_RESUMED || reply.outcome == PROBE_ACCEPTED) {
        changing->is_told = 1;
        tell_resumed(run, offer, what);
    }
    else if (reply.outcome == PROBE_FULL || is_allowed_alert(offer, &reply)) {
        changing->good = apr_pstrcat(run->pool, changing->good, *changing->good ? ", " : "", what,
                                     NULL);
    }
    else if (reply.is_unoffered && offer->change == PROBE_CHANGE_SUITE) {
        changing->is_told = 1;
        probe_tell(run, PROBE_TEST_CHANGE, PROBE_NOTE,
                   "resumes with the session's cipher suite although the client does not offer it, "
                   "so the client ends the connection");
    }
    else {
        judge_refusal(run, changing, offer, &reply, what);
    }
}

/* A server that takes a ticket once would refuse one that has been offered. */
static const probe_ticket_t *take_fresh(probe_run_t *run, changing_t *changing, const char *what)
{
    const probe_ticket_t *ticket = probe_fresh_ticket(run);

    if (!ticket) {
        skip_one(changing, apr_psprintf(run->pool, "%s: " NONE_FRESH, what));
    }
    return ticket;
}

static probe_offer_t make_offer(const probe_run_t *run, const probe_ticket_t *ticket)
{
    return (probe_offer_t){.version = run->version->version,
                           .sni = run->name,
                           .session = ticket->session,
                           .session_len = ticket->session_len};
}

/* TLS 1.2 in 1.3 and the other way, if the server has both. */
static void try_version(probe_run_t *run, changing_t *changing)
{
    int version = run->version->version == TLS1_3_VERSION ? TLS1_2_VERSION : TLS1_3_VERSION;
    const probe_ticket_t *ticket;
    probe_offer_t offer;

    if (!run->options->has[PROBE_VERSION_AT(version)]) {
        skip_one(changing, "another version: requires --tls 1.2,1.3");
        return;
    }
    ticket = take_fresh(run, changing, "another version");
    if (!ticket) {
        return;
    }
    offer = make_offer(run, ticket);
    offer.version = version;
    offer.change = PROBE_CHANGE_VERSION;
    try_one(run, changing, &offer, probe_version_name(version));
}

static void try_suite(probe_run_t *run, changing_t *changing)
{
    const probe_ticket_t *ticket = take_fresh(run, changing, "another cipher suite");
    probe_offer_t offer;

    if (!ticket) {
        return;
    }
    offer = make_offer(run, ticket);
    offer.change = PROBE_CHANGE_SUITE;
    try_one(run, changing, &offer, "another cipher suite");
}

/* As long as the server's own, and with nothing in common. */
static void try_foreign(probe_run_t *run, changing_t *changing)
{
    const probe_ticket_t *own = &APR_ARRAY_IDX(run->version->tickets, 0, probe_ticket_t);
    probe_offer_t offer = make_offer(run, own);
    apr_size_t len = own->len;
    unsigned char *bytes = apr_palloc(run->pool, len);

    if (len > INT_MAX || RAND_bytes(bytes, (int)len) != 1) {
        skip_one(changing, "a ticket of another server: no random numbers");
        return;
    }
    offer.ticket = bytes;
    offer.ticket_len = len;
    try_one(run, changing, &offer, "a ticket of another server");
}

void probe_test_change(probe_run_t *run)
{
    changing_t changing = {.good = ""};

    probe_progress(run, 0, 0);
    /* Before TLS 1.2 all suites have one hash. */
    if (run->version->version >= TLS1_2_VERSION) {
        try_version(run, &changing);
        try_suite(run, &changing);
    }
    try_foreign(run, &changing);
    if (changing.untested) {
        probe_tell(run, PROBE_TEST_CHANGE, PROBE_UNTESTED, "%s%s%s", changing.untested,
                   *changing.good ? "; no resumption with " : "", changing.good);
    }
    else if (*changing.good && !changing.is_told) {
        probe_tell(run, PROBE_TEST_CHANGE, PROBE_OK, "no resumption with %s", changing.good);
    }
    else if (!changing.is_told) {
        probe_tell_moot(run, PROBE_TEST_CHANGE, "the server has no other version or cipher suite");
    }
}

static void expire(probe_run_t *run, const probe_ticket_t *ticket)
{
    const char *hint = report_span(apr_time_from_sec(ticket->hint_s), run->pool);
    probe_reply_t reply;

    probe_progress(run, 0, 0);
    probe_wait_until(ticket->at + apr_time_from_sec(ticket->hint_s) + SLACK);
    probe_offer(run, ticket, NULL, &reply);
    if (!probe_is_answer(run, &reply)) {
        probe_tell(run, PROBE_TEST_EXPIRY, PROBE_UNTESTED, "a connection failed: %s", reply.why);
    }
    else if (reply.outcome == PROBE_RESUMED) {
        probe_tell(run, PROBE_TEST_EXPIRY, PROBE_WEAK, "a ticket resumes after its hint of %s",
                   hint);
    }
    else if (reply.outcome == PROBE_FULL) {
        probe_tell(run, PROBE_TEST_EXPIRY, PROBE_OK,
                   "after its hint of %s, a ticket gets a full handshake", hint);
    }
    else {
        probe_tell(run, PROBE_TEST_EXPIRY, PROBE_NOTE,
                   "a ticket does not resume after its hint of %s, but there is no full handshake: "
                   "%s",
                   hint, reply.why);
    }
}

void probe_test_expiry(probe_run_t *run)
{
    const probe_ticket_t *ticket = &APR_ARRAY_IDX(run->version->tickets, 0, probe_ticket_t);
    const char *hint = report_span(apr_time_from_sec(ticket->hint_s), run->pool);

    if (ticket->hint_s == 0 || ticket->hint_s > hint_max_s[run->options->level]) {
        probe_tell(run, PROBE_TEST_EXPIRY, PROBE_UNTESTED,
                   ticket->hint_s ? "a hint of %s is too long for this level: use --watch"
                                  : "there is no lifetime hint",
                   hint);
        return;
    }
    ticket = probe_fresh_ticket(run);
    if (!ticket) {
        probe_tell(run, PROBE_TEST_EXPIRY, PROBE_UNTESTED, "%s", NONE_FRESH);
        return;
    }
    expire(run, ticket);
}
