/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A padding oracle: does the server answer wrong CBC padding differently from correct padding, in
 * its message or in its response time?  The last byte of the text's next-to-last block goes through
 * all values; one of them makes the padding 01.  An earlier block is corrupted, so that no such
 * ticket is valid as a whole.
 *
 *     ... | C[n-3] corrupted | C[n-2]: last byte ^ v | C[n-1] | MAC
 *
 * A difference counts as an oracle only if the next byte confirms it: with the padding's last byte
 * set to 02, one value of the byte before it must stand out again.  Times need fewer offers,
 * because padding is correct if the block is not altered.  Altering the last byte must then make a
 * difference, altering the byte before it, too, and altering the block's first byte must make none.
 * If the padding has 1 or 16 bytes, that shows nothing, so all values are tried.
 */
#include "tests.h"

#include <apr_strings.h>
#include <openssl/rand.h>
#include <string.h>

#include "analysis.h"
#include "stats.h"
#include "text_ticket.h"

#define BLOCK 16
#define BLOCK_DES 8
#define VALUES_N 256
#define STANDOUT_MAX 3 /* values that may stand out: 01, and by chance longer paddings */
#define ROUNDS_N 6     /* over all values, to find candidates by time */
#define CANDIDATES_N 4 /* examined more closely */
#define ROUGH_N 2      /* offers with wrong padding, before all values are tried */
#define GUESSES_MAX 26
#define GUESSES_MIN 2
#define MISSED ((int)PROBE_FULL * 1000) /* the answer of one that does not know the ticket */
#define SAMPLE_N 100                    /* times of a candidate, and of others */

typedef struct oracle_t {
    const probe_ticket_t *given;  /* as the server gave it */
    const probe_ticket_t *ticket; /* the bytes that it stands for */
    unsigned char *bytes;         /* the altered ones */
    apr_size_t text_end;          /* where the MAC begins */
    int block_len;
    int kinds[VALUES_N]; /* the answers: outcome and alert in one number */
    apr_int64_t times[VALUES_N * ROUNDS_N];
    apr_uint64_t chance; /* state of the random generator for the order */
    int is_timed;
    apr_int64_t detectable_us; /* a difference in time that would have been seen; 0: none */
} oracle_t;

/* A random number below n, by SplitMix64 (Steele et al. 2014) with a seed from OpenSSL.  With a
 * random order, no pattern in the network's delays can look like a finding. */
static int draw(oracle_t *oracle, int n)
{
    apr_uint64_t z = oracle->chance += APR_UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * APR_UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * APR_UINT64_C(0x94d049bb133111eb);
    return (int)((z ^ (z >> 31)) % (apr_uint64_t)n);
}

static int kind_of(const probe_reply_t *reply)
{
    /* How a connection ends after a full handshake says nothing about the ticket. */
    return (int)reply->outcome * 1000 + (reply->outcome == PROBE_FULL ? 0 : reply->alert + 1);
}

/* Makes one offer, with the block's byte index altered by value and its last byte by last.  When
 * times are measured, the earlier block is corrupted differently every time, so that no two offers
 * are equal.  -1: no answer. */
static int ask(probe_run_t *run, oracle_t *oracle, int index, int value, int last, apr_int64_t *pus)
{
    int block_len = oracle->block_len;
    unsigned char *block = oracle->bytes + oracle->text_end - (apr_size_t)2 * block_len;
    probe_reply_t reply;

    memcpy(oracle->bytes, oracle->ticket->bytes, oracle->ticket->len);
    if (oracle->is_timed) {
        block[draw(oracle, block_len) - block_len] ^= (unsigned char)(1 + draw(oracle, 255));
    }
    else {
        block[-block_len] ^= 0x40;
    }
    block[index] ^= (unsigned char)value;
    block[block_len - 1] ^= (unsigned char)last;
    probe_offer_raw(run, oracle->given, oracle->ticket, oracle->bytes, &reply);
    if (pus) {
        *pus = reply.first_us;
    }
    return probe_is_answer(run, &reply) ? kind_of(&reply) : -1;
}

/* The most frequent answer. */
static int usual_kind(const oracle_t *oracle)
{
    int v, w, usual = oracle->kinds[0], usual_n = 0;

    for (v = 0; v < VALUES_N; v++) {
        int same_n = 0;

        for (w = 0; w < VALUES_N; w++) {
            same_n += oracle->kinds[w] == oracle->kinds[v];
        }
        if (same_n > usual_n) {
            usual = oracle->kinds[v];
            usual_n = same_n;
        }
    }
    return usual;
}

/* Where answers do not tell who gives them, one value in a hundred may have missed its backend. */
static int ask_missed(probe_run_t *run, oracle_t *oracle, int index, int last)
{
    int usual = usual_kind(oracle), v;

    for (v = 0; v < VALUES_N; v++) {
        if (oracle->kinds[v] == usual || oracle->kinds[v] != MISSED) {
            continue;
        }
        oracle->kinds[v] = ask(run, oracle, index, v, last, NULL);
        if (run->faults_n >= PROBE_FAULTS_MAX) {
            return 0;
        }
    }
    return 1;
}

/* Offers all values of the byte index, in random order.  0: too many connections failed. */
static int ask_all(probe_run_t *run, oracle_t *oracle, int index, int last, int rounds_n)
{
    int order[VALUES_N] = {0}, round, i;
    apr_size_t all = (apr_size_t)rounds_n * VALUES_N, n = 0;

    for (round = 0; round < rounds_n; round++) {
        for (i = 0; i < VALUES_N; i++) {
            int j = draw(oracle, i + 1);

            order[i] = order[j];
            order[j] = i;
        }
        for (i = 0; i < VALUES_N; i++) {
            int v = order[i];

            probe_progress(run, n++, all);
            oracle->kinds[v] = ask(run, oracle, index, v, last,
                                   &oracle->times[v * ROUNDS_N + round]);
            if (run->faults_n >= PROBE_FAULTS_MAX) {
                return 0;
            }
        }
    }
    return run->repeats_n == 1 || ask_missed(run, oracle, index, last);
}

/* Finds the values whose answer differs from the most frequent answer, if they are few.  Returns
 * their number. */
static int find_standouts(const oracle_t *oracle, int *values)
{
    int v, usual = usual_kind(oracle), n = 0;

    for (v = 0; v < VALUES_N; v++) {
        if (oracle->kinds[v] != usual && oracle->kinds[v] != -1) {
            if (n == STANDOUT_MAX) {
                return 0;
            }
            values[n++] = v;
        }
    }
    return n;
}

/* Tries the second byte, with the last byte set to 02: v made it 01, so v ^ 03 makes it 02. */
static int is_confirmed(probe_run_t *run, oracle_t *oracle, int v, int kind)
{
    int values[STANDOUT_MAX], n;

    if (!ask_all(run, oracle, oracle->block_len - 2, v ^ 3, 1)) {
        return 0;
    }
    n = find_standouts(oracle, values);
    return n >= 1 && n <= 2 && oracle->kinds[values[0]] == kind
           && ask(run, oracle, oracle->block_len - 2, values[0], v ^ 3, NULL) == kind;
}

/* 1: found and reported; 0: all answers are the same; -1: too many connections failed. */
static int try_messages(probe_run_t *run, oracle_t *oracle, int *pis_uneven)
{
    int values[STANDOUT_MAX], kinds[STANDOUT_MAX], n, i;

    if (!ask_all(run, oracle, oracle->block_len - 1, 0, 1)) {
        return -1;
    }
    n = find_standouts(oracle, values);
    /* The block as it is comes last: its padding is right, but seldom 01. */
    if (n > 1 && values[0] == 0) {
        values[0] = values[n - 1];
        values[n - 1] = 0;
    }
    for (i = 0; i < n; i++) {
        kinds[i] = oracle->kinds[values[i]];
    }
    for (i = 0; i < n; i++) {
        int kind = kinds[i];

        /* If it does not repeat, it was a network error. */
        if (ask(run, oracle, oracle->block_len - 1, values[i], 0, NULL) != kind) {
            continue;
        }
        *pis_uneven = 1;
        if (is_confirmed(run, oracle, values[i], kind)) {
            probe_tell(run, PROBE_TEST_PADDING, PROBE_BROKEN,
                       "the answer reveals whether padding is correct, confirmed at the second "
                       "byte (MAC of %d bytes)",
                       (int)(oracle->ticket->len - oracle->text_end));
            return 1;
        }
        if (run->faults_n >= PROBE_FAULTS_MAX) {
            return -1;
        }
    }
    return 0;
}

/* Is the value v of the byte index answered sooner or later than the others?  Measures in random
 * order. */
static int differs_in_time(probe_run_t *run, oracle_t *oracle, int index, int last, int v)
{
    apr_int64_t candidate[SAMPLE_N], others[SAMPLE_N];
    apr_size_t a = 0, b = 0;
    apr_int64_t us;

    while ((a < SAMPLE_N || b < SAMPLE_N) && run->faults_n < PROBE_FAULTS_MAX) {
        int is_other = b < SAMPLE_N && (a == SAMPLE_N || draw(oracle, 2));
        int w = is_other ? (v + 1 + draw(oracle, VALUES_N - 1)) % VALUES_N : v;

        us = 0;
        probe_progress(run, a + b, 2 * SAMPLE_N);
        if (ask(run, oracle, index, w, last, &us) == -1) {
            continue;
        }
        if (is_other) {
            others[b++] = us;
        }
        else {
            candidate[a++] = us;
        }
    }
    us = probe_stats_detectable(others, b);
    oracle->detectable_us = us > oracle->detectable_us ? us : oracle->detectable_us;
    return probe_stats_compare(candidate, a, others, b) == PROBE_STATS_DIFFERENT;
}

/* Returns the value whose times stand out most, and replaces them with the median. */
static int next_candidate(apr_int64_t *times)
{
    apr_int64_t sorted[VALUES_N * ROUNDS_N], median;
    int v = (int)probe_stats_outlier(times, VALUES_N, ROUNDS_N), i;

    memcpy(sorted, times, sizeof(sorted));
    median = probe_stats_median(sorted, (apr_size_t)VALUES_N * ROUNDS_N);
    for (i = 0; i < ROUNDS_N; i++) {
        times[v * ROUNDS_N + i] = median;
    }
    return v;
}

/* Tries all values of the second byte, with the last byte 02.  One of them must stand out; others
 * may stand out by chance because of delays, so several candidates are examined. */
static int is_confirmed_in_time(probe_run_t *run, oracle_t *oracle, int last)
{
    int i;

    if (!ask_all(run, oracle, oracle->block_len - 2, last, ROUNDS_N)) {
        return 0;
    }
    for (i = 0; i < CANDIDATES_N && run->faults_n < PROBE_FAULTS_MAX; i++) {
        if (differs_in_time(run, oracle, oracle->block_len - 2, last,
                            next_candidate(oracle->times))) {
            return 1;
        }
    }
    return 0;
}

/* As try_messages. */
static int try_times(probe_run_t *run, oracle_t *oracle, int *pis_uneven)
{
    int by_second, by_first, is_found;

    oracle->is_timed = 1;
    if (!differs_in_time(run, oracle, oracle->block_len - 1, 0, 0)) {
        return run->faults_n < PROBE_FAULTS_MAX ? 0 : -1;
    }
    *pis_uneven = 1;
    by_second = differs_in_time(run, oracle, oracle->block_len - 2, 0, 0);
    by_first = differs_in_time(run, oracle, 0, 0, 0);
    is_found = (by_second && !by_first)
               || (by_second == by_first
                   && is_confirmed_in_time(run, oracle, (by_second ? oracle->block_len : 1) ^ 2));
    if (run->faults_n >= PROBE_FAULTS_MAX) {
        return -1;
    }
    if (is_found) {
        probe_tell(run, PROBE_TEST_PADDING, PROBE_BROKEN,
                   "the response time reveals whether padding is correct (chance below one in a "
                   "million), confirmed at the second byte (MAC of %d bytes)",
                   (int)(oracle->ticket->len - oracle->text_end));
    }
    return is_found;
}

/* With the block as it is, padding is correct; with another last byte it is wrong, but for one value
 * in 255.  Nonzero: the answers differ, so it is worth while to try all values. */
static int differs_at_all(probe_run_t *run, oracle_t *oracle)
{
    int right = ask(run, oracle, 0, 0, 0, NULL), i;

    for (i = 0; i < ROUGH_N && run->faults_n < PROBE_FAULTS_MAX; i++) {
        int wrong = ask(run, oracle, oracle->block_len - 1, 1 + draw(oracle, VALUES_N - 1), 0,
                        NULL);

        if (wrong != right && wrong != -1 && right != -1) {
            return 1;
        }
    }
    return 0;
}

typedef struct guess_t {
    apr_size_t mac_len;
    int block_len;
} guess_t;

/* Nonzero: altered tickets of this version are known to be accepted. */
static int accepts_altered(const probe_run_t *run)
{
    const apr_array_header_t *findings = run->host->findings;
    int i;

    for (i = 0; i < findings->nelts; i++) {
        const probe_finding_t *finding = &APR_ARRAY_IDX(findings, i, probe_finding_t);

        if (finding->test == PROBE_TEST_MAC && finding->version == run->version->version
            && (run->backend < 0 || !finding->backends || (finding->backends >> run->backend & 1))
            && finding->verdict == PROBE_BROKEN) {
            return 1;
        }
    }
    return 0;
}

/* What the MAC's length and the cipher's block may be; if the layout is known, its own come first.
 * Where altered tickets are accepted, a wrong length alters the text alone: what then stands out is
 * the text, not its padding.  Returns their number. */
static int choose_guesses(const probe_run_t *run, guess_t *guesses)
{
    static const apr_size_t lens[] = {32, 20, 48, 64, 16, 28, 0, 12, 10, 8, 24, 4};
    const probe_format_t *format = &run->version->format;
    int is_known = format->layout != PROBE_LAYOUT_UNKNOWN, n = 0, i, block_len;
    int is_altered = accepts_altered(run);

    if (is_known) {
        guesses[n++] = (guess_t){format->mac_len, BLOCK};
    }
    for (block_len = BLOCK; block_len >= BLOCK_DES; block_len -= BLOCK_DES) {
        for (i = 0; i < (int)(sizeof(lens) / sizeof(lens[0])); i++) {
            int is_own = is_known && lens[i] == format->mac_len;

            if ((!is_altered || lens[i] == 0 || is_own) && !(is_own && block_len == BLOCK)) {
                guesses[n++] = (guess_t){lens[i], block_len};
            }
        }
    }
    return n;
}

/* As try_messages. */
static int try_guess(probe_run_t *run, oracle_t *oracle, const guess_t *guess, int is_first,
                     int *pis_uneven)
{
    int is_deep = run->options->level == PROBE_DEEP, result = 0, differs;
    /* A MAC inside the encryption, which lets servers look at the padding first, leaves none. */
    int is_timed = is_deep && (is_first || guess->mac_len == 0);

    oracle->text_end = oracle->ticket->len - guess->mac_len;
    oracle->block_len = guess->block_len;
    oracle->is_timed = 0;
    if (run->version->is_sampled && is_first) {
        probe_want_each(run, 1);
    }
    differs = (is_deep && is_first) || differs_at_all(run, oracle);
    if (run->version->is_sampled) {
        probe_want_each(run, 0);
    }
    if (differs) {
        result = try_messages(run, oracle, pis_uneven);
    }
    /* Perhaps only one of them differs. */
    if (differs && result == 0 && run->version->is_sampled) {
        probe_want_each(run, 1);
        result = try_messages(run, oracle, pis_uneven);
        probe_want_each(run, 0);
    }
    /* Behind several backends, times would be those of all of them. */
    if (result == 0 && !*pis_uneven && is_timed && run->repeats_n == 1) {
        result = try_times(run, oracle, pis_uneven);
    }
    return run->faults_n >= PROBE_FAULTS_MAX ? -1 : result;
}

/* Where its key has ended, too, every offer gets the same answer.  One that is not over, but does not
 * resume, may have been accepted once. */
static int has_ended(probe_run_t *run, const oracle_t *oracle)
{
    const probe_ticket_t *ticket = oracle->given;
    probe_reply_t reply;

    if (ticket->hint_s == 0 || apr_time_now() < ticket->at + apr_time_from_sec(ticket->hint_s)) {
        return 0;
    }
    probe_offer(run, ticket, NULL, &reply);
    return reply.outcome != PROBE_RESUMED;
}

static void tell_same(probe_run_t *run, const oracle_t *oracle, int asked_n, int all_n)
{
    const char *time_text = "";
    apr_int64_t us = oracle->detectable_us;

    if (has_ended(run, oracle)) {
        probe_tell(run, PROBE_TEST_PADDING, PROBE_UNTESTED,
                   "correct and wrong padding get the same answer, but the ticket has "
                   "expired since, and its key may have");
        return;
    }
    if (asked_n < all_n) {
        probe_tell(run, PROBE_TEST_PADDING, PROBE_UNTESTED,
                   "correct and wrong padding get the same answer for %d lengths of MAC and block; "
                   "the level has too few connections for the other %d%s",
                   asked_n, all_n - asked_n, probe_deeper_text(run));
        return;
    }
    if (run->options->level == PROBE_DEEP && run->repeats_n != 1) {
        probe_tell(run, PROBE_TEST_PADDING, PROBE_UNTESTED,
                   "correct and wrong padding get the same answer, but times were not compared, "
                   "because several backends answer");
        return;
    }
    if (us) {
        time_text = apr_psprintf(
            run->pool,
            ", after the same time (a difference of %d.%03d ms would have been "
            "seen)",
            (int)(us / 1000), (int)(us % 1000));
    }
    probe_tell(run, PROBE_TEST_PADDING, PROBE_OK,
               "correct and wrong padding get the same answer%s, for %d lengths of MAC and block",
               time_text, asked_n)
        ->detectable_us = us;
}

static void look_for_oracle(probe_run_t *run, oracle_t *oracle)
{
    guess_t guesses[GUESSES_MAX];
    int n = choose_guesses(run, guesses), i, is_uneven = 0, result = 0, asked_n = 0, all_n = 0;

    for (i = 0; i < n && result == 0; i++) {
        if (oracle->ticket->len < guesses[i].mac_len + 4 * BLOCK) {
            continue;
        }
        if (all_n++ == asked_n
            && (asked_n < GUESSES_MIN || probe_clean_left(run) >= (1 + ROUGH_N) * run->cost_n)) {
            result = try_guess(run, oracle, &guesses[i], asked_n++ == 0, &is_uneven);
        }
    }
    if (result < 0 || asked_n == 0) {
        probe_tell(run, PROBE_TEST_PADDING, PROBE_UNTESTED, "%s",
                   asked_n ? probe_why_ended(run) : "the ticket is too short");
    }
    else if (result == 0 && is_uneven) {
        probe_tell(run, PROBE_TEST_PADDING, PROBE_NOTE,
                   "single values of an altered byte get a different answer, but not in the "
                   "pattern of a padding check");
    }
    else if (result == 0) {
        tell_same(run, oracle, asked_n, all_n);
    }
}

void probe_test_padding(probe_run_t *run)
{
    probe_version_t *version = run->version;
    oracle_t *oracle;

    if (run->options->level == PROBE_QUICK) {
        probe_tell(run, PROBE_TEST_PADDING, PROBE_UNTESTED, "requires level normal or deep");
        return;
    }
    if (version->format.layout == PROBE_LAYOUT_STATEFUL
        || probe_analysis_is_aead(version->format.layout)) {
        probe_tell_moot(run, PROBE_TEST_PADDING,
                        version->format.layout == PROBE_LAYOUT_STATEFUL ? "stateful: no padding"
                                                                        : "GCM has no padding");
        return;
    }
    oracle = apr_pcalloc(run->pool, sizeof(*oracle));
    oracle->given = &APR_ARRAY_IDX(version->tickets, 0, probe_ticket_t);
    oracle->ticket = probe_text_ticket_raw(oracle->given, run->pool);
    oracle->bytes = apr_palloc(run->pool, oracle->ticket->len);
    if (RAND_bytes((unsigned char *)&oracle->chance, sizeof(oracle->chance)) != 1) {
        probe_tell(run, PROBE_TEST_PADDING, PROBE_UNTESTED, "no random numbers");
        return;
    }
    look_for_oracle(run, oracle);
}
