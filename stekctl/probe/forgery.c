/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does the server accept a ticket that it has not made?  Where a key was found, the probe makes one
 * (forge.h) and offers it: of its own session, with another secret, or at least altered under the
 * MAC's key.  The finding about the key then says what became of it.
 *
 * Under the MAC's key alone nobody knows what an altered byte means, so several places are tried.
 * The ticket was taken if its session resumes, if it resumes with another secret, or if the answer is
 * that to a wrong secret, while the same bytes without their MAC are ignored.
 */
#include "tests.h"

#include <apr_strings.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "forge.h"
#include "text_ticket.h"

#define PLACES_NEAR 12 /* a block apart; most secrets are in front */
#define PLACES_FAR 4   /* over the rest */
#define BLOCK 16

typedef struct forgery_t {
    probe_run_t *run;
    probe_finding_t *finding;
    const probe_ticket_t *raw; /* as the server gave it */
    probe_ticket_t decoded;
    probe_hit_t mac;
    probe_forge_t known;
} forgery_t;

static probe_finding_t *finding_n(const probe_run_t *run, int n)
{
    return &APR_ARRAY_IDX(run->host->findings, n, probe_finding_t);
}

static void tell(probe_finding_t *finding, probe_forged_e forged, const char *what,
                 apr_pool_t *pool)
{
    static const char *const words[] = {
        [PROBE_FORGED_UNTRIED] = "no ticket was forged",
        [PROBE_FORGED_REFUSED] = "a forged ticket is refused",
        [PROBE_FORGED_ACCEPTED] = "a forged ticket is accepted",
    };

    probe_tell_forged(finding, forged,
                      apr_pstrcat(pool, words[forged], what ? ": " : "", what, NULL), pool);
}

/* ---- which ticket ---- */

/* Tickets that were searched are those of the version, or what they stand for. */
static const probe_ticket_t *find_raw(const probe_run_t *run, const probe_ticket_t *searched)
{
    const apr_array_header_t *tickets = run->version->tickets;
    int i;

    for (i = 0; i < tickets->nelts; i++) {
        if (APR_ARRAY_IDX(tickets, i, probe_ticket_t).session == searched->session) {
            return &APR_ARRAY_IDX(tickets, i, probe_ticket_t);
        }
    }
    return NULL;
}

static int begin(forgery_t *forgery, probe_run_t *run, probe_finding_t *finding)
{
    const probe_searched_t *searched = finding->searched;
    const unsigned char *bytes;

    memset(forgery, 0, sizeof(*forgery));
    forgery->run = run;
    forgery->finding = finding;
    forgery->raw = find_raw(run, searched->ticket);
    forgery->decoded = *searched->ticket;
    if (!forgery->raw || !forgery->raw->session) {
        return 0;
    }
    if (finding->hit->is_decoded && !searched->is_decoded) {
        if (!probe_text_ticket_decode(searched->ticket, &forgery->decoded)) {
            return 0;
        }
        bytes = forgery->decoded.bytes;
        forgery->decoded.bytes = apr_pmemdup(run->pool, bytes, forgery->decoded.len);
        free((void *)bytes);
    }
    forgery->known.ticket = &forgery->decoded;
    forgery->known.format = &searched->format;
    forgery->known.opened = searched->opened;
    forgery->known.opened_at = searched->opened_at;
    forgery->known.opened_len = searched->opened_len;
    return 1;
}

/* A MAC at the end is there in a ticket of another length, too. */
static void take_mac(forgery_t *forgery, const probe_finding_t *finding)
{
    forgery->mac = *finding->hit;
    if (!forgery->mac.is_inside
        && forgery->mac.mac_at + forgery->mac.mac_len == finding->searched->ticket->len
        && forgery->decoded.len >= forgery->mac.mac_len) {
        forgery->mac.mac_at = forgery->decoded.len - forgery->mac.mac_len;
    }
    forgery->known.mac = &forgery->mac;
}

/* How often an offer has to be repeated to meet the backend; 0: it is never met. */
static int repeats_of(const probe_run_t *run, const probe_finding_t *finding)
{
    const probe_version_t *version = run->version;
    int i, n = 0;

    if (version->is_shared || !version->is_accepted) {
        return version->is_accepted;
    }
    for (i = 0; i < version->backends->nelts; i++) {
        if (version->backends->nelts == 1 || (finding->backends >> i & 1)) {
            int repeats_n = APR_ARRAY_IDX(version->backends, i, probe_backend_t).repeats_n;

            n = repeats_n > n ? repeats_n : n;
        }
    }
    return n;
}

/* ---- offers ---- */

/* secret NULL: the ticket's own. */
static void offer(const forgery_t *forgery, const unsigned char *bytes, const unsigned char *secret,
                  probe_reply_t *reply)
{
    probe_run_t *run = forgery->run;
    probe_offer_t made = {
        .version = run->version->version,
        .sni = run->name,
        .session = forgery->raw->session,
        .session_len = forgery->raw->session_len,
        .ticket = bytes,
        .ticket_len = forgery->raw->len,
        .secret = secret,
        .secret_len = secret ? forgery->raw->secret_len : 0,
    };
    unsigned char *text;

    apr_pool_clear(run->scratch);
    if (bytes && forgery->finding->hit->is_decoded) {
        text = apr_palloc(run->pool, forgery->raw->len);
        made.ticket = text;
        if (!probe_text_ticket_encode(forgery->raw, bytes, text)) {
            memset(reply, 0, sizeof(*reply));
            reply->outcome = PROBE_CLIENT;
            return;
        }
    }
    probe_offer_as(run, &made, reply, run->scratch);
}

static int is_taken(const probe_reply_t *reply)
{
    return reply->outcome == PROBE_RESUMED || reply->outcome == PROBE_ACCEPTED;
}

/* ---- with the cipher's key ---- */

static void try_secret(forgery_t *forgery)
{
    probe_run_t *run = forgery->run;
    const probe_hit_t *mac = forgery->known.mac;
    int variant = 0, answers_n = 0;
    probe_forged_t forged;
    probe_reply_t reply;
    const char *why;

    do {
        why = probe_forge_secret(&forgery->known, variant, &forged, run->pool);
        if (why) {
            break;
        }
        offer(forgery, forged.bytes, forged.secret, &reply);
        if (is_taken(&reply)) {
            OPENSSL_cleanse(forged.secret, sizeof(forged.secret));
            tell(forgery->finding, PROBE_FORGED_ACCEPTED,
                 "it resumes a session whose secret the probe has chosen", run->pool);
            return;
        }
        answers_n += probe_is_answer(run, &reply);
    } while (++variant < forged.variants_n);
    OPENSSL_cleanse(forged.secret, sizeof(forged.secret));
    if (answers_n == 0) {
        tell(forgery->finding, PROBE_FORGED_UNTRIED, why ? why : probe_why_ended(run), run->pool);
    }
    else {
        tell(forgery->finding, PROBE_FORGED_REFUSED,
             forged.is_sealed ? "although its MAC is right"
             : mac            ? "the key of this ticket's MAC is not known"
                              : "the key of its MAC is not known",
             run->pool);
    }
}

/* ---- with the MAC's key alone ---- */

/* The answer to an altered place; nonzero: the ticket was taken. */
static int try_place(forgery_t *forgery, apr_size_t at, const probe_reply_t *wrong)
{
    probe_forged_t forged = {.is_sealed = 1};
    probe_reply_t reply;
    int i;

    if (!probe_forge_altered(&forgery->known, at, &forged, forgery->run->pool)) {
        return 0;
    }
    for (i = 0; i < 2; i++) {
        offer(forgery, forged.bytes, NULL, &reply);
        if (is_taken(&reply)) {
            return 1;
        }
        if (!probe_is_answer(forgery->run, &reply) || reply.outcome != PROBE_ALERT
            || wrong->outcome != PROBE_ALERT || reply.alert != wrong->alert) {
            return 0;
        }
    }
    forged.is_sealed = 0;
    probe_forge_altered(&forgery->known, at, &forged, forgery->run->pool);
    offer(forgery, forged.bytes, NULL, &reply);
    return reply.outcome == PROBE_FULL;
}

/* Place i of what the MAC covers; at least as far as the ticket's end: there is none. */
static apr_size_t place_n(const forgery_t *forgery, int i)
{
    const probe_format_t *format = forgery->known.format;
    const probe_hit_t *mac = &forgery->mac;
    apr_size_t len = forgery->decoded.len, end = mac->mac_at, from = format->text_at, at;

    if (mac->text_at > end || end < len / 2) {
        end = len; /* the MAC is in front */
        from = mac->mac_at + mac->mac_len;
    }
    else if (format->layout == PROBE_LAYOUT_UNKNOWN) {
        from = format->name_len > mac->text_at ? format->name_len : mac->text_at;
    }
    at = from + (apr_size_t)i * BLOCK + BLOCK / 2;
    if (i >= PLACES_NEAR) {
        at = from + PLACES_NEAR * BLOCK;
        at = at < end ? at + (end - at) / PLACES_FAR * (apr_size_t)(i - PLACES_NEAR) : len;
    }
    return at < end ? at : len;
}

static void try_altered(forgery_t *forgery)
{
    probe_run_t *run = forgery->run;
    probe_forged_t forged = {.is_sealed = 1};
    probe_reply_t wrong;
    int i, tried_n = 0;

    if (!probe_forge_altered(&forgery->known, 0, &forged, run->pool)) {
        tell(forgery->finding, PROBE_FORGED_UNTRIED, "what its MAC covers is not known", run->pool);
        return;
    }
    memcpy(forged.secret, forgery->raw->secret, sizeof(forged.secret));
    forged.secret[0] ^= 1;
    offer(forgery, NULL, forged.secret, &wrong);
    OPENSSL_cleanse(forged.secret, sizeof(forged.secret));
    for (i = 0; i < PLACES_NEAR + PLACES_FAR && run->faults_n < PROBE_FAULTS_MAX; i++) {
        apr_size_t at = place_n(forgery, i);

        if (at < forgery->decoded.len) {
            tried_n++;
            if (try_place(forgery, at, &wrong)) {
                tell(forgery->finding, PROBE_FORGED_ACCEPTED,
                     apr_psprintf(run->pool, "byte %d altered, and its MAC made to fit", (int)at),
                     run->pool);
                return;
            }
        }
    }
    if (tried_n == 0 || run->faults_n >= PROBE_FAULTS_MAX) {
        tell(forgery->finding, PROBE_FORGED_UNTRIED,
             tried_n ? probe_why_ended(run) : "the ticket is too short", run->pool);
        return;
    }
    tell(forgery->finding, PROBE_FORGED_REFUSED,
         apr_psprintf(run->pool, "none of %d altered tickets with a matching MAC was accepted",
                      tried_n),
         run->pool);
}

/* ---- all ---- */

static int is_of(const probe_run_t *run, const probe_finding_t *finding, probe_test_e test)
{
    return finding->test == test && finding->version == run->version->version && finding->searched
           && finding->forged == PROBE_FORGED_NONE;
}

/* The MAC's key that was found for the same tickets. */
static probe_finding_t *find_mac(const probe_run_t *run, const probe_finding_t *cipher)
{
    int i;

    for (i = 0; i < run->host->findings->nelts; i++) {
        probe_finding_t *finding = finding_n(run, i);

        if (is_of(run, finding, PROBE_TEST_MAC_KEY) && finding->backends == cipher->backends) {
            return finding;
        }
    }
    return NULL;
}

static void try_finding(probe_run_t *run, probe_finding_t *finding)
{
    probe_finding_t *mac = finding->test == PROBE_TEST_CIPHER_KEY ? find_mac(run, finding) : NULL;
    int repeats_n = repeats_of(run, finding);
    forgery_t forgery;

    if (repeats_n == 0 || !begin(&forgery, run, finding)) {
        tell(finding, PROBE_FORGED_UNTRIED, "its tickets do not resume", run->pool);
        return;
    }
    run->faults_n = 0;
    run->repeats_n = repeats_n;
    if (finding->test == PROBE_TEST_CIPHER_KEY) {
        forgery.known.cipher = finding->hit;
        if (mac) {
            take_mac(&forgery, mac);
        }
        try_secret(&forgery);
    }
    else {
        take_mac(&forgery, finding);
        try_altered(&forgery);
    }
    if (mac && finding->forged == PROBE_FORGED_ACCEPTED) {
        tell(mac, PROBE_FORGED_ACCEPTED, NULL, run->pool);
    }
    run->repeats_n = 1;
}

void probe_test_forgery(probe_run_t *run, int earlier_n)
{
    static const probe_test_e tests[] = {PROBE_TEST_CIPHER_KEY, PROBE_TEST_MAC_KEY};
    apr_size_t j;
    int i;

    for (j = 0; j < sizeof(tests) / sizeof(tests[0]); j++) {
        probe_begin(run, tests[j], earlier_n);
        for (i = 0; i < run->host->findings->nelts; i++) {
            if (is_of(run, finding_n(run, i), tests[j]) && !finding_n(run, i)->hit->is_inside) {
                try_finding(run, finding_n(run, i));
            }
        }
    }
}
