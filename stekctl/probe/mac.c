/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does the server check the MAC?  It must not accept any ticket that was altered in one place.  A
 * server that decrypts without checking either resumes or, if the alteration hit the secret,
 * answers as it does to a client with a wrong secret.  So that answer is fetched first, for
 * comparison.
 *
 * All places are tried, also after one that was accepted: the map shows whether the session itself
 * can be altered, or only bytes that nothing depends on.
 */
#include "tests.h"

#include <apr_strings.h>
#include <stdlib.h>
#include <string.h>

#include "analysis.h"
#include "budget.h"
#include "checksum.h"
#include "faces.h"
#include "text_ticket.h"

#define AGAIN_MAX 4  /* accepted alterations that are offered once more */
#define COUNT_MIN 10 /* bytes of a MAC that have to count, as RFC 2104, 5 has it */
#define COMMON_MIN 4 /* tickets: bytes of a session or a MAC are not alike in so many by chance */
#define CHECKSUM_MIN 64
#define CHECKSUM_N 6 /* three places, in two byte orders */
#define BIG_LEN 4096 /* longer tickets, which every offer sends, get few alterations */
#define BIG_N 256
#define AFTER_N 90    /* connections for the tests after this one, where there is one backend */
#define ANSWERS_MIN 8 /* of each backend that is sampled */
#define REST_MIN 16   /* places outside the MAC, if those of the MAC come first */
#define STEP 37       /* between places that are altered again */
#define AGAIN_N 8     /* at level quick, where an earlier version's tickets had the same key */

typedef enum place_e { PLACE_UNTRIED, PLACE_REFUSED, PLACE_TAKEN } place_e;

typedef struct change_t {
    const probe_ticket_t *ticket;
    unsigned char *bytes;
    probe_reply_t wrong; /* to an unaltered ticket with a wrong secret */
    int by_bit;          /* the places are bits; otherwise bytes */
    int is_again;        /* an earlier version refused its tickets, which had the same key */
    apr_size_t places_n; /* that the level asks for */
    apr_size_t tried_n, taken_n, ignored_n, like_wrong_n;
    apr_size_t like_wrong_at; /* one of them */
    const char *taken_how;    /* the first one that was accepted; NULL: none was */
    apr_size_t taken_at;
    int is_bent; /* one of them was accepted with another secret: the session itself was altered */
    int mac_n;   /* so many places at the end are altered first */
    int answers_n[PROBE_FACES_MAX]; /* of each face, where they are counted */
    unsigned char *map;             /* for every byte: place_e */
} change_t;

/* Nonzero: the altered ticket stands for the same bytes, as hex in capitals does. */
static int means_the_same(const change_t *change)
{
    probe_ticket_t ticket = *change->ticket, one, two;
    int is_same = 0;

    if (!probe_text_ticket_decode(&ticket, &one)) {
        return 0;
    }
    ticket.bytes = change->bytes;
    if (probe_text_ticket_decode(&ticket, &two)) {
        is_same = one.len == two.len && memcmp(one.bytes, two.bytes, one.len) == 0;
        free((void *)two.bytes);
    }
    free((void *)one.bytes);
    return is_same;
}

static void offer_changed(probe_run_t *run, change_t *change, apr_size_t unit, probe_reply_t *reply)
{
    apr_size_t at = change->by_bit ? unit / 8 : unit;
    unsigned char mask = (unsigned char)(1 << (change->by_bit ? unit % 8 : unit * 5 % 8));
    int i;

    change->bytes[at] ^= mask;
    for (i = 0; i < 8 && means_the_same(change); i++) {
        change->bytes[at] ^= mask;
        mask = mask == 1 ? 0x80 : (unsigned char)(mask >> 1);
        change->bytes[at] ^= mask;
    }
    probe_offer(run, change->ticket, change->bytes, reply);
    change->bytes[at] ^= mask;
}

static int is_taken(const probe_reply_t *reply)
{
    return reply->outcome == PROBE_RESUMED || reply->outcome == PROBE_ACCEPTED;
}

static int is_like_wrong(const change_t *change, const probe_reply_t *reply)
{
    return reply->outcome == PROBE_ALERT && change->wrong.outcome == PROBE_ALERT
           && reply->alert == change->wrong.alert;
}

/* Who resumes has opened the ticket; anything else may be a network error, once. */
static int is_surely_taken(probe_run_t *run, change_t *change, apr_size_t unit,
                           const probe_reply_t *first)
{
    probe_reply_t reply;

    if (first->outcome == PROBE_RESUMED || change->taken_n >= AGAIN_MAX) {
        return 1;
    }
    offer_changed(run, change, unit, &reply);
    return is_taken(&reply);
}

static void count(const probe_run_t *run, change_t *change, const probe_reply_t *reply,
                  apr_size_t unit)
{
    int face = run->asks_who && reply->outcome == PROBE_FULL ? probe_faces_of(run->version, reply)
                                                             : -1;

    if (face >= 0) {
        change->answers_n[face]++;
    }
    change->tried_n++;
    if (reply->outcome == PROBE_FULL) {
        change->ignored_n++;
    }
    else if (is_like_wrong(change, reply)) {
        change->like_wrong_n++;
        change->like_wrong_at = unit;
    }
}

/* Some places were answered like a wrong secret, so they were decrypted and trusted, others like an
 * unknown ticket.  A server that checks the MAC gives nearly all the same answer. */
static int is_believed(probe_run_t *run, change_t *change)
{
    probe_reply_t reply;
    int i;

    if (change->like_wrong_n == 0 || change->like_wrong_n > change->tried_n / 2
        || change->ignored_n == 0) {
        return 0;
    }
    for (i = 0; i < 2; i++) {
        offer_changed(run, change, change->like_wrong_at, &reply);
        if (!is_like_wrong(change, &reply)) {
            return 0;
        }
    }
    return 1;
}

/* The bytes that did not count, as ranges: "0, 17 to 40".  Untried ones between belong to them. */
static const char *ranges_text(const probe_run_t *run, const change_t *change)
{
    apr_size_t i, first = 0, last = 0, n = 0;
    const char *text = "";

    for (i = 0; i <= change->ticket->len; i++) {
        int is_end = i == change->ticket->len || change->map[i] == PLACE_REFUSED;

        if (!is_end && change->map[i] == PLACE_TAKEN) {
            first = n++ ? first : i;
            last = i;
        }
        if (is_end && n) {
            text = apr_psprintf(run->pool, n > 1 ? "%s%s%d to %d" : "%s%s%d", text,
                                *text ? ", " : "", (int)first, (int)last);
            n = 0;
        }
    }
    return text;
}

/* How many places from begin on, up to end, are as said. */
static int count_places(const change_t *change, apr_size_t begin, apr_size_t end, place_e place)
{
    apr_size_t i;
    int n = 0;

    for (i = begin; i < end; i++) {
        n += change->map[i] == place;
    }
    return n;
}

/* How many bytes at its end the ticket has in common with all others. */
static apr_size_t common_end(const probe_run_t *run, const probe_ticket_t *ticket)
{
    const apr_array_header_t *tickets = run->version->tickets;
    apr_size_t n = ticket->len;
    int i;

    for (i = 0; i < tickets->nelts; i++) {
        const probe_ticket_t *other = &APR_ARRAY_IDX(tickets, i, probe_ticket_t);
        apr_size_t same = 0;

        while (same < n && same < other->len
               && other->bytes[other->len - 1 - same] == ticket->bytes[ticket->len - 1 - same]) {
            same++;
        }
        n = same;
    }
    return n;
}

/* Where a session can be, and what protects it: from begin up to end.  A known layout tells; in
 * others, what sessions do not differ in is none of them. */
static void find_session(const probe_run_t *run, const change_t *change, apr_size_t *pbegin,
                         apr_size_t *pend)
{
    const probe_format_t *format = &run->version->format;
    apr_size_t len = change->ticket->len;

    *pbegin = 0;
    *pend = len;
    if (format->layout != PROBE_LAYOUT_UNKNOWN && len >= format->text_at + format->mac_len) {
        *pbegin = format->iv_at;
        *pend = len - format->mac_len;
    }
    else if (format->layout == PROBE_LAYOUT_UNKNOWN && run->version->tickets->nelts >= COMMON_MIN) {
        *pbegin = format->name_len;
        *pend = len - common_end(run, change->ticket);
    }
}

/* How many bytes that a session depends on do not count: not those of a length field. */
static int count_session(const probe_run_t *run, const change_t *change, apr_size_t begin,
                         apr_size_t end)
{
    const probe_format_t *format = &run->version->format;
    int n = count_places(change, begin, end, PLACE_TAKEN);

    if (format->layout != PROBE_LAYOUT_UNKNOWN && format->iv_len) {
        n -= count_places(change, format->iv_at + format->iv_len, format->text_at, PLACE_TAKEN);
    }
    return n;
}

/* No value of a key's name or version, of a length field, or of what fills a MAC's field up, alters
 * the session: if the rest of the MAC is checked, and with it IV and text.  An answer like that to a
 * wrong secret says that they may not be. */
static probe_verdict_e grade(const probe_run_t *run, const change_t *change)
{
    apr_size_t len = change->ticket->len, mac_len = run->version->format.mac_len, begin, end;
    int is_known = run->version->format.layout != PROBE_LAYOUT_UNKNOWN;

    find_session(run, change, &begin, &end);
    if (change->is_bent || change->like_wrong_n > 0 || begin >= end
        || (!is_known && begin == 0 && end == len) || count_session(run, change, begin, end) > 0
        || count_places(change, begin, end, PLACE_REFUSED) < COUNT_MIN
        || (is_known && count_places(change, end, len, PLACE_REFUSED) == 0)) {
        return PROBE_BROKEN;
    }
    return is_known && count_places(change, end, len, PLACE_TAKEN) + COUNT_MIN > (int)mac_len
               ? PROBE_WEAK
               : PROBE_NOTE;
}

/* Of what those bytes are that do not count, and what does. */
static const char *part_text(const probe_run_t *run, const change_t *change, const char **pothers)
{
    const probe_format_t *format = &run->version->format;

    *pothers = "IV, text and the rest of the MAC do";
    if (format->layout == PROBE_LAYOUT_UNKNOWN) {
        *pothers = "those in which tickets differ do";
        return change->taken_at < format->name_len ? "common beginning of all tickets"
                                                   : "common end of all tickets";
    }
    return change->taken_at < format->iv_at     ? "key's name"
           : change->taken_at < format->text_at ? "length field"
                                                : "MAC";
}

static void tell_taken(probe_run_t *run, const change_t *change)
{
    probe_verdict_e verdict = grade(run, change);
    const char *unit = change->by_bit ? "bit" : "byte", *part, *others;

    if (verdict == PROBE_BROKEN) {
        probe_tell(
            run, PROBE_TEST_MAC, PROBE_BROKEN,
            "%s with %s %d altered; of %d alterations, those of these bytes are accepted: %s",
            change->taken_how, unit, (int)change->taken_at, (int)change->tried_n,
            ranges_text(run, change));
        return;
    }
    part = part_text(run, change, &others);
    probe_tell(run, PROBE_TEST_MAC, verdict, "these bytes of the %s do not count: %s; %s", part,
               ranges_text(run, change), others);
}

/* Where the session has ended meanwhile, or its key, every altered ticket is refused. */
static int still_resumes(probe_run_t *run, const change_t *change)
{
    probe_reply_t reply;

    probe_offer(run, change->ticket, NULL, &reply);
    return reply.outcome == PROBE_RESUMED;
}

/* Nonzero: accepted, or decrypted and trusted. */
static int is_fooled(probe_run_t *run, const change_t *change, const unsigned char *bytes)
{
    probe_reply_t reply;
    int i;

    for (i = 0; i < 2; i++) {
        probe_offer(run, change->ticket, bytes, &reply);
        if (reply.outcome == PROBE_RESUMED) {
            return 1;
        }
        if (!is_taken(&reply) && !(is_like_wrong(change, &reply) && change->like_wrong_n == 0)) {
            return 0;
        }
    }
    return 1;
}

/* If nothing but a checksum protects the text, also where a stream cipher hides both, an alteration
 * can bring the right checksum along: at the end, where the last bytes are that of the others, and
 * in front, because the checksum of such a pair of alterations is zero.  ticket: that of change, or
 * what its text stands for.  Returns the byte that was altered; 0: refused. */
static apr_size_t find_checksum(probe_run_t *run, const change_t *change,
                                const probe_ticket_t *ticket)
{
    apr_size_t len = ticket->len, end = len - PROBE_CRC_LEN;
    unsigned char *bytes = malloc(len);
    int i, is_found = 0;
    apr_size_t at = 0;

    for (i = 0; bytes && i < CHECKSUM_N && !is_found; i++) {
        at = len / 2 + (len / 2 - PROBE_CRC_LEN - 1) * (apr_size_t)(i / 2) / (CHECKSUM_N / 2);
        memcpy(bytes, ticket->bytes, len);
        bytes[at] ^= 1;
        probe_checksum_change(1, end - at - 1, i % 2, bytes + end);
        if (ticket == change->ticket) {
            memcpy(change->bytes, bytes, len);
        }
        else if (!probe_text_ticket_encode(change->ticket, bytes, change->bytes)) {
            break;
        }
        is_found = is_fooled(run, change, change->bytes);
    }
    free(bytes);
    return is_found ? at : 0;
}

static int tell_checksum(probe_run_t *run, change_t *change)
{
    probe_ticket_t decoded = *change->ticket;
    int is_text = probe_text_ticket_decode(change->ticket, &decoded);
    apr_size_t at = 0;

    if (decoded.len >= CHECKSUM_MIN && !change->is_again
        && !probe_analysis_is_aead(run->version->format.layout)) {
        at = find_checksum(run, change, is_text ? &decoded : change->ticket);
    }
    if (is_text) {
        free((void *)decoded.bytes);
    }
    if (at) {
        probe_tell(run, PROBE_TEST_MAC, PROBE_BROKEN,
                   "accepts a ticket with byte %d%s altered and its last %d bytes so that its "
                   "CRC-32 remains right, for which no key is needed",
                   (int)at, is_text ? " of what its text stands for" : "", PROBE_CRC_LEN);
    }
    return at != 0;
}

static void tell(probe_run_t *run, change_t *change)
{
    const char *unit = change->by_bit ? "bit" : "byte";

    if (change->taken_how) {
        tell_taken(run, change);
    }
    else if (is_believed(run, change)) {
        probe_tell(run, PROBE_TEST_MAC, PROBE_BROKEN,
                   "decrypts and trusts a ticket with %s %d altered: it answers with alert %d, as "
                   "for a wrong secret",
                   unit, (int)change->like_wrong_at, change->wrong.alert);
    }
    else if (run->faults_n < PROBE_FAULTS_MAX && tell_checksum(run, change)) {
        return;
    }
    else if ((run->faults_n >= PROBE_FAULTS_MAX && !run->is_spent) || change->tried_n == 0
             || (run->is_spent && run->repeats_n == 1)) {
        probe_tell(run, PROBE_TEST_MAC, PROBE_UNTESTED, "%s, after %d altered tickets",
                   probe_why_ended(run), (int)change->tried_n);
    }
    else if (!run->is_spent && !still_resumes(run, change)) {
        probe_tell(run, PROBE_TEST_MAC, PROBE_UNTESTED,
                   "none of %d altered tickets was accepted, but then the ticket did not resume as "
                   "it is, either",
                   (int)change->tried_n);
    }
    else if (run->repeats_n > 1 && change->tried_n < change->places_n) {
        probe_tell(run, PROBE_TEST_MAC, PROBE_UNTESTED,
                   "none of %d altered tickets was accepted, but %d %ss were not altered: only "
                   "about one answer in %d comes from the ticket's backend, and the level has too "
                   "few connections to wait for it%s",
                   (int)change->tried_n, (int)(change->places_n - change->tried_n), unit,
                   run->cost_n, probe_deeper_text(run));
    }
    else if (change->ignored_n == change->tried_n) {
        probe_tell(run, PROBE_TEST_MAC, PROBE_OK,
                   "none of %d altered tickets was accepted (%s by %s)%s", (int)change->tried_n,
                   unit, unit,
                   change->is_again ? "; an earlier version showed the same key name, and more "
                                      "were altered there"
                                    : "");
    }
    else {
        probe_tell(run, PROBE_TEST_MAC, PROBE_NOTE,
                   "none of %d altered tickets was accepted, but for %d the server sent an alert "
                   "or closed the connection instead of a full handshake",
                   (int)change->tried_n, (int)(change->tried_n - change->ignored_n));
    }
}

static void learn_wrong(probe_run_t *run, change_t *change)
{
    probe_offer_t offer = {
        .version = run->version->version,
        .sni = run->name,
        .session = change->ticket->session,
        .session_len = change->ticket->session_len,
        .wrong_secret = 1,
    };

    probe_offer_as(run, &offer, &change->wrong, run->scratch);
}

static void try_place(probe_run_t *run, change_t *change, apr_size_t unit)
{
    apr_size_t at = change->by_bit ? unit / 8 : unit;
    probe_reply_t reply;

    offer_changed(run, change, unit, &reply);
    if (!probe_is_answer(run, &reply)) {
        return;
    }
    if (is_taken(&reply) && is_surely_taken(run, change, unit, &reply)) {
        if (!change->taken_n++) {
            change->taken_how = reply.outcome == PROBE_RESUMED ? "resumes"
                                                               : "resumes with a different secret";
            change->taken_at = unit;
        }
        change->tried_n++;
        change->is_bent |= reply.outcome == PROBE_ACCEPTED;
        change->map[at] = PLACE_TAKEN;
        return;
    }
    count(run, change, &reply, unit);
    if (change->map[at] == PLACE_UNTRIED) {
        change->map[at] = PLACE_REFUSED;
    }
}

/* Sets how many places there are, how many of them the level asks for, and returns how many can be
 * tried; if a ticket has more, they are spread evenly.  Where answers are costly, those of the MAC come
 * first: one that does not count shows nowhere else. */
static apr_size_t choose_places(const probe_run_t *run, change_t *change, apr_size_t *pall_n)
{
    const probe_format_t *format = &run->version->format;
    int offers = probe_client_offers_left(run->client);
    int clean = probe_clean_left(run) - (run->version->is_alone ? AFTER_N : 0);
    int allowed = (clean < offers ? clean : offers) / run->cost_n - PROBE_MAC_MORE;
    apr_size_t most = allowed > 0 ? (apr_size_t)allowed : 0, n;
    int level_n = change->is_again
                      ? AGAIN_N
                      : probe_budget_offers(run->options, 0, PROBE_TEST_MAC) - PROBE_MAC_MORE;

    /* Behind several backends, bits would take too many connections. */
    change->by_bit = run->options->level == PROBE_DEEP && run->repeats_n == 1;
    *pall_n = change->ticket->len * (change->by_bit ? 8 : 1);
    n = *pall_n < (apr_size_t)level_n ? *pall_n : (apr_size_t)level_n;
    change->places_n = change->ticket->len > BIG_LEN && n > BIG_N ? BIG_N : n;
    n = change->places_n < most ? change->places_n : most;
    if (run->repeats_n > 1 && n < *pall_n && n >= format->mac_len + REST_MIN) {
        change->mac_n = (int)format->mac_len;
    }
    return n;
}

/* The i-th of n places; always includes the first and the last. */
static apr_size_t place_n(const change_t *change, apr_size_t i, apr_size_t n, apr_size_t all_n)
{
    apr_size_t mac_n = (apr_size_t)change->mac_n;

    if (i < mac_n) {
        return all_n - 1 - i;
    }
    i -= mac_n;
    n -= mac_n;
    return n > 1 ? i * (all_n - mac_n - 1) / (n - 1) : 0;
}

/* The faces, as bits, that have not answered often enough. */
static apr_uint64_t still_wanted(const probe_run_t *run, const change_t *change)
{
    apr_uint64_t faces = probe_faces_often(run->version);
    int i;

    for (i = 0; i < PROBE_FACES_MAX; i++) {
        if (change->answers_n[i] >= ANSWERS_MIN) {
            faces &= ~(APR_UINT64_C(1) << i);
        }
    }
    return faces;
}

/* Where any backend may answer: alters places again until each has answered some. */
static void meet_each(probe_run_t *run, change_t *change, apr_size_t all_n)
{
    apr_uint64_t faces;
    apr_size_t i;

    for (i = 0; still_wanted(run, change) && probe_clean_left(run) > PROBE_MAC_MORE
                && probe_client_offers_left(run->client) > PROBE_MAC_MORE
                && run->faults_n < PROBE_FAULTS_MAX;
         i++) {
        try_place(run, change, i * STEP % all_n);
    }
    for (i = 0, faces = still_wanted(run, change); faces; i++, faces >>= 1) {
        if (faces & 1) {
            run->unmet |= APR_UINT64_C(1)
                          << APR_ARRAY_IDX(run->version->faces, (int)i, probe_face_t).backend;
        }
    }
}

void probe_test_mac(probe_run_t *run)
{
    probe_version_t *version = run->version;
    probe_ticket_t *ticket = &APR_ARRAY_IDX(version->tickets, 0, probe_ticket_t);
    change_t change = {.ticket = ticket};
    apr_size_t i, n, unit_n; /* the ticket's places: bytes, or bits at level deep */

    if (version->format.layout == PROBE_LAYOUT_STATEFUL) {
        probe_tell_moot(run, PROBE_TEST_MAC, "stateful: no MAC");
        return;
    }
    change.map = apr_pcalloc(run->pool, change.ticket->len);
    change.bytes = apr_pmemdup(run->pool, change.ticket->bytes, change.ticket->len);
    change.is_again = run->options->level == PROBE_QUICK
                      && probe_was_clean(run, PROBE_TEST_MAC, ticket);
    n = choose_places(run, &change, &unit_n);
    ticket->is_offered = 1;
    learn_wrong(run, &change);
    run->asks_who = version->is_sampled;
    for (i = 0; i < n && run->faults_n < PROBE_FAULTS_MAX; i++) {
        probe_progress(run, i, n);
        try_place(run, &change, place_n(&change, i, n, unit_n));
    }
    if (run->asks_who) {
        meet_each(run, &change, unit_n);
        run->asks_who = 0;
    }
    tell(run, &change);
}
