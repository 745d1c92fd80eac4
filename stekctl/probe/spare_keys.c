/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does the server open tickets with a guessable key that makes none?  nginx and HAProxy take
 * several keys, of which one makes tickets, so no ticket shows the others.  The probe makes a
 * ticket of a session of its own under each of the most likely ones (key_files.h), as OpenSSL does
 * it, and offers it.
 *
 * A server resumes only sessions with its own session id context, which the client does not know.
 * But in TLS 1.3, OpenSSL checks the PSK binder first (RFC 9846, 4.3.11): a server that has opened
 * the ticket ends the connection if the client does not know the secret in it, and does not if it
 * does; one that has not opened it makes a full handshake in either case.  Before TLS 1.3, nothing
 * tells them apart unless the session resumes, so contexts that are known are tried.
 */
#include "tests.h"

#include <apr_strings.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <string.h>

#include "key_files.h"
#include "session.h"
#include "spare_keys.h"

#define CERTAIN_N 2 /* files of zeros: the only ones that are tried with several contexts */
#define TEXT_AT 32
#define CONTEXTS 3
#define CONTEXT_MAX 32

typedef struct context_t {
    unsigned char bytes[CONTEXT_MAX];
    apr_size_t len;
} context_t;

/* ---- what is said ---- */

static void tell_none(probe_run_t *run, const probe_spare_t *spare)
{
    if (spare->tried_n == 0) {
        probe_tell(run, PROBE_TEST_CIPHER_KEY, PROBE_NOTE,
                   "whether the server opens tickets with keys that make none was not tested: a "
                   "ticket of its own with a wrong secret does not end the connection every time")
            ->spare = spare;
        return;
    }
    probe_tell(
        run, PROBE_TEST_CIPHER_KEY, PROBE_OK,
        "nor does the server open a ticket that the probe has made under one of %d guessable "
        "keys, as one would that decrypts with a key but encrypts with another",
        spare->tried_n)
        ->spare = spare;
}

static void tell_found(probe_run_t *run, const probe_spare_t *spare)
{
    probe_hit_t *hit = apr_pcalloc(run->pool, sizeof(*hit));
    probe_finding_t *finding;

    hit->algorithm = spare->key_len == 16 ? "AES-128-CBC" : "AES-256-CBC";
    memcpy(hit->key, spare->cipher_key, spare->key_len);
    hit->key_len = spare->key_len;
    hit->iv_at = PROBE_SPARE_NAME;
    hit->iv_len = TEXT_AT - PROBE_SPARE_NAME;
    hit->text_at = TEXT_AT;
    hit->secret_at = spare->secret_at;
    finding = probe_tell(
        run, PROBE_TEST_CIPHER_KEY, PROBE_BROKEN,
        "the server %s under a key that none of its own tickets shows: %s with the key %s, "
        "HMAC-SHA256 with the key %s, key name %s",
        spare->resumes
            ? "resumes a session of a ticket that the probe has made"
            : apr_psprintf(
                run->pool,
                "opens a ticket that the probe has made, and ends the connection only if "
                "the client does not know the secret in it (alert %d),",
                spare->alert),
        hit->algorithm, probe_tell_key(run, spare->cipher_key, spare->key_len),
        probe_tell_key(run, spare->mac_key, spare->key_len),
        probe_tell_key(run, spare->name, PROBE_SPARE_NAME));
    finding->hit = hit;
    finding->forged = PROBE_FORGED_ACCEPTED;
    finding->spare = spare;
}

void probe_spare_keys_tell(probe_run_t *run, const probe_spare_t *spare)
{
    if (spare->key_len) {
        tell_found(run, spare);
    }
    else {
        tell_none(run, spare);
    }
}

/* ---- tickets ---- */

/* The contexts that can be known, most general first: none, HAProxy's, and nginx's of one
 * certificate and no names of CAs. */
static int choose_contexts(const probe_run_t *run, context_t *contexts)
{
    static const char haproxy[] = "haproxy", http[] = "HTTP";
    unsigned char text[sizeof(http) - 1 + sizeof(run->version->own->cert_sha1)];
    unsigned int len = 0;

    memset(contexts, 0, CONTEXTS * sizeof(*contexts));
    contexts[1].len = sizeof(haproxy) - 1;
    memcpy(contexts[1].bytes, haproxy, contexts[1].len);
    memcpy(text, http, sizeof(http) - 1);
    if (!run->version->own || !run->version->own->has_cert) {
        return CONTEXTS - 1;
    }
    memcpy(text + sizeof(http) - 1, run->version->own->cert_sha1,
           sizeof(run->version->own->cert_sha1));
    if (EVP_Digest(text, sizeof(text), contexts[2].bytes, &len, EVP_sha1(), NULL) != 1) {
        ERR_clear_error();
        return CONTEXTS - 1;
    }
    contexts[2].len = len;
    return CONTEXTS;
}

/* As a server would have made it. */
static unsigned char *make_ticket(const probe_run_t *run, const probe_ticket_t *own,
                                  probe_spare_t *spare, const context_t *context, apr_size_t *plen)
{
    apr_size_t len;
    unsigned char *at,
        *text = probe_session_of_server(own->session, own->session_len, context->bytes,
                                        context->len, &len, run->scratch);
    unsigned char *ticket;

    if (!text) {
        return NULL;
    }
    at = memmem(text, len, own->secret, own->secret_len);
    spare->secret_at = at ? TEXT_AT + (apr_size_t)(at - text) : 0;
    ticket = probe_key_files_seal(spare, text, len, plen, run->pool);
    OPENSSL_cleanse(text, len);
    return ticket;
}

static void offer(probe_run_t *run, const probe_ticket_t *own, const unsigned char *ticket,
                  apr_size_t len, int is_wrong, probe_reply_t *reply)
{
    probe_offer_t made = {
        .version = run->version->version,
        .sni = run->name,
        .session = own->session,
        .session_len = own->session_len,
        .ticket = ticket,
        .ticket_len = len,
        .wrong_secret = is_wrong,
    };

    apr_pool_clear(run->scratch);
    probe_offer_as(run, &made, reply, run->scratch);
}

/* Nonzero: the server knows what is in the ticket.  That holds only if the same ticket with a wrong
 * MAC is nothing to it. */
static int is_opened(probe_run_t *run, const probe_ticket_t *own, unsigned char *ticket,
                     apr_size_t len, probe_spare_t *spare, const probe_reply_t *first)
{
    probe_reply_t right, broken, again;

    offer(run, own, ticket, len, 0, &right);
    ticket[len - 1] ^= 1;
    offer(run, own, ticket, len, 1, &broken);
    ticket[len - 1] ^= 1;
    offer(run, own, ticket, len, 1, &again);
    spare->resumes = right.outcome == PROBE_RESUMED;
    spare->alert = first->alert;
    return (right.outcome == PROBE_RESUMED || right.outcome == PROBE_FULL)
           && broken.outcome == PROBE_FULL && again.outcome == first->outcome
           && again.alert == first->alert;
}

/* Nonzero: opened. */
static int try_one(probe_run_t *run, const probe_ticket_t *own, probe_spare_t *spare,
                   const context_t *context)
{
    int is_13 = run->version->version == TLS1_3_VERSION;
    probe_reply_t reply;
    apr_size_t len;
    unsigned char *ticket = make_ticket(run, own, spare, context, &len);

    if (!ticket) {
        return 0;
    }
    offer(run, own, ticket, len, is_13, &reply);
    if (!probe_is_answer(run, &reply)) {
        return 0;
    }
    spare->tried_n++;
    if (is_13) {
        return reply.outcome == PROBE_ALERT && is_opened(run, own, ticket, len, spare, &reply);
    }
    spare->resumes = 1;
    spare->alert = -1;
    if (reply.outcome != PROBE_RESUMED) {
        return 0;
    }
    ticket[len - 1] ^= 1;
    offer(run, own, ticket, len, 0, &reply);
    return reply.outcome == PROBE_FULL;
}

/* ---- all ---- */

/* What shows that a ticket was opened: nonzero if the server's own tickets show it, also the second
 * time.  With early data, OpenSSL opens a ticket only once, and none that it has not made. */
static int shows_opened(probe_run_t *run, const probe_ticket_t *own)
{
    probe_reply_t reply;
    int i;

    for (i = 0; i < 2; i++) {
        offer(run, own, NULL, 0, 1, &reply);
        if (reply.outcome != PROBE_ALERT) {
            return 0;
        }
    }
    return 1;
}

/* Nonzero, and said: one of the keys opens tickets.  Adds to *ptried_n how many were tried. */
static int try_all(probe_run_t *run, const probe_ticket_t *own, const context_t *contexts,
                   int contexts_n, int *ptried_n)
{
    int is_13 = run->version->version == TLS1_3_VERSION, i, j;
    probe_spare_t spare;

    for (i = 0; (is_13 || i < CERTAIN_N) && probe_key_files_get(run->options->own, i, &spare);
         i++) {
        for (j = 0; j < contexts_n && run->faults_n < PROBE_FAULTS_MAX; j++) {
            spare.tried_n = *ptried_n;
            if (try_one(run, own, &spare, &contexts[j])) {
                probe_spare_keys_tell(run, apr_pmemdup(run->pool, &spare, sizeof(spare)));
                return 1;
            }
            *ptried_n = spare.tried_n;
        }
    }
    return 0;
}

/* A key of its own tickets that everybody knows needs no second one. */
static int is_needed(const probe_run_t *run)
{
    int i;

    for (i = 0; i < run->host->findings->nelts; i++) {
        const probe_finding_t *finding = &APR_ARRAY_IDX(run->host->findings, i, probe_finding_t);

        if (finding->version == run->version->version && finding->verdict >= PROBE_WEAK
            && (finding->test == PROBE_TEST_CIPHER_KEY || finding->test == PROBE_TEST_PLAIN)) {
            return 0;
        }
    }
    return run->options->level > PROBE_QUICK && run->version->is_accepted
           && run->version->format.layout == PROBE_LAYOUT_OPENSSL;
}

/* Among several backends, every one has to answer. */
static int repeats_of(const probe_version_t *version)
{
    int i, n = 1;

    for (i = 0; i < version->backends->nelts; i++) {
        int repeats_n = APR_ARRAY_IDX(version->backends, i, probe_backend_t).repeats_n;

        n = repeats_n > n ? repeats_n : n;
    }
    return n;
}

void probe_test_spare_keys(probe_run_t *run, int earlier_n)
{
    const probe_ticket_t *own = &APR_ARRAY_IDX(run->version->tickets, 0, probe_ticket_t);
    int is_13 = run->version->version == TLS1_3_VERSION, tried_n = 0, is_found = 0;
    context_t contexts[CONTEXTS] = {{.len = 0}};

    if (!is_needed(run) || !own->session) {
        return;
    }
    probe_begin(run, PROBE_TEST_CIPHER_KEY, earlier_n);
    run->repeats_n = repeats_of(run->version);
    if (!is_13 || shows_opened(run, own)) {
        is_found = try_all(run, own, contexts, is_13 ? 1 : choose_contexts(run, contexts),
                           &tried_n);
    }
    run->repeats_n = 1;
    if (is_13 && !is_found) {
        probe_spare_t *none = apr_pcalloc(run->pool, sizeof(*none));

        none->tried_n = tried_n;
        probe_spare_keys_tell(run, none);
    }
}
