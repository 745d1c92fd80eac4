/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tickets show (examine.h).
 */
#include "examine.h"

#include <apr_strings.h>
#include <openssl/crypto.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

#include "analysis.h"
#include "checksum.h"
#include "faces.h"
#include "report.h"
#include "stek_time.h"
#include "search.h"
#include "search_clock.h"
#include "shown_keys.h"
#include "text_ticket.h"
#include "wait.h"
#include "words.h"

#define EACH_MIN 4      /* key names, each of one connection */
#define DISTINCT_MAX 64 /* tickets with different key names whose keys are searched for */
#define NAMELESS_MAX 24 /* the same, if it is not known what of a ticket is its name */
#define NAMELESS_LEN 16 /* then names may be that long */
#define WHOLE_MAX 3     /* with all keys of the level; the others with the most common ones */
#define AGAIN_MAX 6 /* tickets that have their key's name from another, but perhaps not their key */
#define NEAR_N 2    /* connections after the first: others of up to three backends answered */
#define NAME_MIN 4  /* a shorter common prefix is not a name */

static const probe_ticket_t *ticket_n(const probe_version_t *version, int n)
{
    return &APR_ARRAY_IDX(version->tickets, n, probe_ticket_t);
}

static const char *span_text(const probe_run_t *run, apr_uint32_t s)
{
    return s ? report_span(apr_time_from_sec(s), run->pool) : "none";
}

/* No tickets: is that known, or could it not be found out? */
static void tell_no_tickets(probe_run_t *run, const char *by_id)
{
    const probe_version_t *version = run->version;

    if (version->own->asked_cert && version->own->alert >= 0) {
        probe_tell(run, PROBE_TEST_SUPPORT, PROBE_UNTESTED,
                   "gave no ticket: refuses clients without a certificate%s", by_id);
    }
    else {
        probe_tell(run, PROBE_TEST_SUPPORT, PROBE_OK, "gives no tickets, on %d connection%s%s%s",
                   version->full_n, version->full_n == 1 ? "" : "s", by_id,
                   version->own->asked_cert ? "; asks for a client certificate" : "");
    }
}

/* How many backends brought a ticket on one connection only: there may be others that brought none. */
static int rare_n(const probe_version_t *version)
{
    int i, n = 0;

    for (i = 0; version->backends->nelts > 1 && i < version->backends->nelts; i++) {
        n += APR_ARRAY_IDX(version->backends, i, probe_backend_t).tickets->nelts
             <= version->per_connection;
    }
    return n;
}

/* Several backends are known, and by the connections that there were, another one as busy as these
 * may have been missed by chance. */
static int may_be_more(const probe_version_t *version)
{
    int n = version->backends->nelts;

    return n > 1 && version->full_n < probe_faces_repeats_for(1.0 / (n + 1), 1);
}

static const char *some_text(const probe_run_t *run)
{
    const probe_version_t *version = run->version;
    int rare = rare_n(version);
    const char *text = "";

    if (version->empty_n) {
        text = apr_psprintf(run->pool, "; %d of %d connections gave none, perhaps other backends",
                            version->empty_n, version->full_n);
    }
    if (version->backends->nelts > 1) {
        text = apr_psprintf(run->pool, "%s; %d backends or keys", text, version->backends->nelts);
    }
    if (version->faces_n > version->backends->nelts) {
        text = apr_psprintf(run->pool, "%s; servers of %d kinds, by certificate and hello", text,
                            version->faces_n);
    }
    if (rare >= EACH_MIN && rare == version->backends->nelts && !version->is_accepted) {
        text = apr_pstrcat(run->pool, text,
                           ", each seen once: perhaps the server makes a key for every connection",
                           NULL);
    }
    else if (rare) {
        text = apr_psprintf(run->pool,
                            "%s, %d seen once: there may be more, which more --tickets would show",
                            text, rare);
    }
    else if (may_be_more(version)) {
        text = apr_pstrcat(run->pool, text, ": there may be more, which more --tickets would show",
                           NULL);
    }
    return run->host->stalled_n
               ? apr_psprintf(run->pool, "%s; the first connection failed and was repeated", text)
               : text;
}

void probe_examine_support(probe_run_t *run)
{
    const probe_version_t *version = run->version;
    const char *by_id = version->by_session_id == 1    ? "; sessions also resume by session id"
                        : version->by_session_id == -1 ? "; resumption by session id was not tried"
                                                       : "";
    const probe_ticket_t *first;
    probe_verdict_e verdict;
    int is_long;

    if (version->tickets->nelts == 0) {
        tell_no_tickets(run, by_id);
        return;
    }
    first = ticket_n(version, 0);
    is_long = apr_time_from_sec(first->hint_s) > STEK_TIME_MAX;
    verdict = is_long ? PROBE_WEAK
              : first->hint_s == 0 || !version->is_accepted || version->empty_n > 0
                      || rare_n(version) > 0 || may_be_more(version)
                  ? PROBE_NOTE
                  : PROBE_OK;
    probe_tell(run, PROBE_TEST_SUPPORT, verdict,
               "%d ticket%s per connection, %s, lifetime hint %s%s%s%s%s", version->per_connection,
               version->per_connection == 1 ? "" : "s",
               version->format.layout == PROBE_LAYOUT_STATEFUL ? "stateful" : "stateless",
               span_text(run, first->hint_s), is_long ? ", more than 7d" : "",
               version->is_accepted ? "" : ", but a ticket does not resume", by_id, some_text(run));
}

/* What a name says to people, if they made it; or "". */
static const char *name_text(const probe_version_t *version, apr_pool_t *pool)
{
    const unsigned char *name = ticket_n(version, 0)->bytes;
    apr_size_t len = version->format.name_len, text_len, period, i;

    if (len < 2 * NAME_MIN || len > ticket_n(version, 0)->len) {
        return "";
    }
    for (text_len = 0; text_len < len && name[text_len] >= ' ' && name[text_len] < 0x7f;
         text_len++) {
    }
    for (i = text_len; i < len && name[i] == '\0'; i++) {
    }
    if (text_len >= 2 * NAME_MIN && i == len) {
        return apr_psprintf(pool, ", the name is the text '%.*s'", (int)text_len, name);
    }
    for (period = 1; period <= len / 2; period++) {
        for (i = period; i < len && name[i] == name[i - period]; i++) {
        }
        if (i == len) {
            return apr_psprintf(pool, ", the name repeats itself every %d byte%s", (int)period,
                                period == 1 ? "" : "s");
        }
    }
    return "";
}

static const char *sizes_text(const probe_format_t *format, apr_pool_t *pool)
{
    return format->len_min == format->len_max
               ? apr_psprintf(pool, "%d bytes", (int)format->len_min)
               : apr_psprintf(pool, "%d to %d bytes", (int)format->len_min, (int)format->len_max);
}

static const char *describe_layout(const probe_version_t *version, apr_pool_t *pool)
{
    const probe_format_t *format = &version->format;
    const char *sizes = sizes_text(format, pool);

    if (format->layout == PROBE_LAYOUT_UNKNOWN) {
        return apr_psprintf(pool, "%s, common prefix of %d bytes, layout not recognised%s", sizes,
                            (int)format->name_len, name_text(version, pool));
    }
    if (format->layout == PROBE_LAYOUT_STATEFUL) {
        return apr_psprintf(pool, "%s: refers to the server's session cache", sizes);
    }
    return apr_psprintf(pool, "%s, %s layout: name %d, IV %d, text at %d, MAC %d%s", sizes,
                        probe_analysis_layout(format->layout), (int)format->name_len,
                        (int)format->iv_len, (int)format->text_at, (int)format->mac_len,
                        name_text(version, pool));
}

/* If all tickets are text, what is searched is what they stand for. */
static int decode_all(const probe_version_t *version, probe_version_t *decoded, apr_pool_t *pool)
{
    int i;

    *decoded = *version;
    decoded->tickets = apr_array_make(pool, version->tickets->nelts, sizeof(probe_ticket_t));
    for (i = 0; i < version->tickets->nelts; i++) {
        probe_ticket_t *ticket = apr_array_push(decoded->tickets);
        const unsigned char *bytes;

        if (!probe_text_ticket_decode(ticket_n(version, i), ticket)) {
            return 0;
        }
        bytes = ticket->bytes;
        ticket->bytes = apr_pmemdup(pool, bytes, ticket->len);
        free((void *)bytes);
    }
    probe_analysis_format(ticket_n(decoded, 0), (apr_size_t)decoded->tickets->nelts,
                          &decoded->format);
    return 1;
}

/* What the tickets are; decoded: what they stand for, or the same. */
static const char *describe_format(const probe_version_t *version, const probe_version_t *decoded,
                                   apr_pool_t *pool)
{
    return version == decoded || version->format.layout == PROBE_LAYOUT_STATEFUL
               ? describe_layout(version, pool)
               : apr_psprintf(pool, "%s, hex or base64, which stand%s for %s",
                              sizes_text(&version->format, pool),
                              version->tickets->nelts == 1 ? "s" : "",
                              describe_layout(decoded, pool));
}

static const char *place_text(const probe_run_t *run, probe_test_e test, const probe_hit_t *hit)
{
    const char *iv = hit->no_iv    ? "all-zero IV, "
                     : hit->iv_len ? apr_psprintf(run->pool, "IV at %d, ", (int)hit->iv_at)
                                   : "";
    const char *text = hit->is_text_unknown
                           ? ""
                           : apr_psprintf(run->pool, "text at %d, ", (int)hit->text_at);

    if (test == PROBE_TEST_CIPHER_KEY) {
        return apr_psprintf(run->pool, "%s%sthe secret at %d%s%s%s", iv, text, (int)hit->secret_at,
                            hit->form ? " " : "", hit->form ? hit->form : "",
                            hit->is_decoded ? " of the decoded ticket" : "");
    }
    return apr_psprintf(run->pool, "at %d, over the bytes from offset %d%s%s", (int)hit->mac_at,
                        (int)hit->text_at,
                        hit->mac_len < hit->mac_full_len
                            ? apr_psprintf(run->pool, ", truncated to %d bytes", (int)hit->mac_len)
                            : "",
                        hit->is_inside    ? ", inside the encryption"
                        : hit->is_decoded ? " of the decoded ticket"
                                          : "");
}

/* How many of the names, if there is more than one. */
static const char *names_text(const probe_run_t *run, const char *format, int n)
{
    return n > 1 ? apr_psprintf(run->pool, format, n) : "";
}

static const char *describe_key(const probe_run_t *run, probe_test_e test, const probe_hit_t *hit,
                                int names_n)
{
    const char *place = place_text(run, test, hit);
    const char *names = names_text(run, "; one of %d key names", names_n), *made = "";

    if (hit->key_len == 0) {
        return apr_psprintf(run->pool, "%s without a key (%s)%s", hit->algorithm, place, names);
    }
    if (hit->made_by) {
        made = apr_psprintf(run->pool, ": %s, from %" APR_UINT64_T_FMT, hit->made_by, hit->made_of);
    }
    else if (hit->scheme) {
        made = apr_psprintf(run->pool, ", which %s makes of %s", hit->scheme,
                            probe_tell_key(run, hit->configured, hit->configured_len));
    }
    return apr_psprintf(run->pool, "%s with the key %s%s (%s)%s", hit->algorithm,
                        probe_tell_key(run, hit->key, hit->key_len), made, place, names);
}

static probe_finding_t *tell_key(probe_run_t *run, probe_test_e test, const probe_hit_t *hit,
                                 int names_n)
{
    probe_finding_t *finding = probe_tell(run, test, PROBE_BROKEN, "%s",
                                          describe_key(run, test, hit, names_n));

    finding->hit = apr_pmemdup(run->pool, hit, sizeof(*hit));
    return finding;
}

/* Names that begin alike look like a shorter one, so a short prefix is not taken for a name. */
static int has_names(const probe_version_t *version)
{
    return version->format.layout != PROBE_LAYOUT_UNKNOWN
           || version->format.name_len >= NAMELESS_LEN;
}

/* Chooses one ticket for every key name; without names, every ticket.  Returns how many were chosen,
 * and in *pmore_n how many there are besides. */
static int choose_distinct(const probe_version_t *version, const probe_ticket_t **chosen,
                           int *pmore_n)
{
    apr_size_t name_len = version->format.name_len;
    int is_known = has_names(version), most = is_known ? DISTINCT_MAX : NAMELESS_MAX, i, j, n = 0;

    name_len = is_known ? name_len : NAMELESS_LEN;
    *pmore_n = 0;

    for (i = 0; i < version->tickets->nelts; i++) {
        const probe_ticket_t *ticket = ticket_n(version, i);
        int is_new = 1;

        for (j = 0; j < n; j++) {
            is_new = is_new
                     && (ticket->len < name_len || chosen[j]->len < name_len
                         || memcmp(ticket->bytes, chosen[j]->bytes, name_len) != 0);
        }
        if (is_new && n < most) {
            chosen[n++] = ticket;
        }
        else {
            *pmore_n += is_new;
        }
    }
    return n;
}

/* Why "no key was found" says nothing about this ticket; or NULL. */
static const char *why_unknown(const probe_run_t *run, probe_test_e test,
                               const probe_search_t *search)
{
    const probe_ticket_t *ticket = search->ticket;

    if (search->missing) {
        return apr_psprintf(run->pool, "%s is missing on this machine", search->missing);
    }
    /* Java writes secrets before names and certificates. */
    if (ticket->len > PROBE_STREAM_MAX && run->version->format.layout != PROBE_LAYOUT_JAVA) {
        return apr_psprintf(run->pool, "only part of its %d bytes was searched", (int)ticket->len);
    }
    if (test == PROBE_TEST_CIPHER_KEY && ticket->is_tls13 && ticket->more_n == 0) {
        return "the resumption master secret could not be computed";
    }
    return run->version->format.layout == PROBE_LAYOUT_UNKNOWN ? "layout not recognised" : NULL;
}

static void tell_none(probe_run_t *run, probe_test_e test, const probe_search_t *search,
                      const char *why, int searched_n, int more_n)
{
    int whole_n = has_names(run->version) ? WHOLE_MAX : 1;
    const char *whole =
        run->backend >= WHOLE_MAX ? ", only the most common keys"
        : search->again == PROBE_AGAIN_SAME
            ? "; an earlier TLS version showed the same key name, and all were tried there"
        : searched_n > whole_n ? apr_psprintf(
              run->pool, ", only the most common keys on all but the first %d", whole_n)
                               : "";
    const char *left = more_n ? apr_psprintf(run->pool, "; %d more were not searched", more_n) : "";
    probe_finding_t *finding;

    if (more_n && !why && has_names(run->version)) {
        why = apr_psprintf(run->pool, "%d key names are too many", searched_n + more_n);
    }
    finding = probe_tell(run, test, why ? PROBE_UNTESTED : PROBE_OK,
                         "%s%sno weak key opens %s: %d keys in %d forms on %d ticket%s%s%s",
                         why ? why : "", why ? "; " : "",
                         searched_n > 1 ? "the tickets" : "the ticket", (int)search->keys_n,
                         (int)search->forms_n, searched_n, searched_n == 1 ? "" : "s", whole, left);
    finding->keys_n = search->keys_n;
    finding->forms_n = search->forms_n;
    finding->algorithms = apr_pmemdup(run->pool, search->algorithms, sizeof(search->algorithms));
    finding->algorithms_n = search->algorithms_n;
    finding->tickets_n = (apr_size_t)searched_n;
}

/* What a search for keys led to. */
typedef struct found_t {
    const probe_version_t *whole; /* with the tickets as the server gives them */
    int is_decoded;        /* tickets are text, and what was searched is what they stand for */
    probe_opened_t opened; /* the text that the cipher's key opened; len 0: none */
    const probe_ticket_t *ticket;  /* with opened: whose text; */
    int cipher_at;                 /* that key's finding, among those of the host; */
    int names_n;                   /* and names of keys that there are */
    const probe_own_keys_t *shown; /* the user's keys, and what the server shows */
    const probe_own_keys_t *own;   /* bytes that a generator made, and with them the key; or NULL */
    probe_hit_t clock;             /* with own: which generator */
    apr_size_t numbers_n;          /* tried for generators */
    int is_cut;                    /* the time for them was over */
} found_t;

/* Adds to the latest finding what was tried besides. */
static void tell_clock(probe_run_t *run, const found_t *found)
{
    probe_finding_t *finding = &APR_ARRAY_IDX(run->host->findings, run->host->findings->nelts - 1,
                                              probe_finding_t);

    finding->text = apr_psprintf(run->pool, "%s; nor one made from %d times and pids in %d ways%s",
                                 finding->text, (int)found->numbers_n, PROBE_RANDOM_FORMS,
                                 found->is_cut ? ", until a minute was over" : "");
    finding->numbers_n = found->numbers_n;
    finding->ways_n = PROBE_RANDOM_FORMS;
    finding->is_cut = found->is_cut;
}

/* Of a layout that does not say where its MAC is. */
static void tell_inside(probe_run_t *run, const found_t *found)
{
    probe_finding_t *finding = &APR_ARRAY_IDX(run->host->findings, run->host->findings->nelts - 1,
                                              probe_finding_t);

    finding->seen_inside = found->opened.len ? 1 : -1;
    finding->text = apr_pstrcat(run->pool, finding->text,
                                found->opened.len
                                    ? "; nor does one make a MAC inside the encryption"
                                    : "; a MAC or checksum inside the encryption cannot be seen "
                                      "without the cipher's key",
                                NULL);
}

/* Called often; other hosts of a list have their turn meanwhile. */
static void show_clock_progress(void *arg, apr_size_t done, apr_size_t all)
{
    probe_progress(arg, done, all);
    probe_wait_turn();
}

/* Keeps the ticket whose key was found, to forge others like it. */
static void keep_searched(const probe_run_t *run, probe_finding_t *finding,
                          const probe_ticket_t *ticket, const found_t *found)
{
    probe_searched_t *searched = apr_pcalloc(run->pool, sizeof(*searched));

    searched->ticket = ticket;
    searched->is_decoded = found->is_decoded;
    if (found->is_decoded || !finding->hit->is_decoded) {
        searched->format = run->version->format;
    }
    if (finding->test == PROBE_TEST_CIPHER_KEY) {
        searched->opened_at = found->opened.at;
        searched->opened_len = found->opened.len;
        searched->opened = apr_pmemdup(run->pool, found->opened.bytes, found->opened.len);
    }
    finding->searched = searched;
}

/* A generator that made the cipher's key made others, too: of the MAC. */
static void keep_clock(probe_run_t *run, const probe_clock_t *clock, found_t *found)
{
    probe_own_keys_t *own = apr_palloc(run->pool, sizeof(*own));
    probe_own_key_t *key = apr_palloc(run->pool, sizeof(*key));

    key->bytes = apr_pmemdup(run->pool, clock->bytes, sizeof(clock->bytes));
    key->len = sizeof(clock->bytes);
    own->keys = key;
    own->n = 1;
    found->own = own;
    found->clock = clock->search->hit;
}

/* For the first few keys of a host, if they have names: it takes a minute.  Nonzero: found. */
static int search_clock(probe_run_t *run, probe_search_t *search, found_t *found)
{
    probe_clock_t clock = {.search = search, .progress = show_clock_progress, .arg = run};
    int is_found;

    if (search->level != PROBE_DEEP || run->clocks_n >= (has_names(run->version) ? WHOLE_MAX : 1)) {
        return 0;
    }
    run->clocks_n++;
    is_found = probe_search_clock(&clock);
    if (is_found) {
        keep_clock(run, &clock, found);
    }
    found->is_cut |= !clock.is_complete;
    found->numbers_n = clock.numbers_n;
    return is_found;
}

/* What made the cipher's key may have made that of the MAC. */
static void tell_origin(const found_t *found, probe_hit_t *hit)
{
    if (found->own && hit->key_len
        && memmem(found->own->keys[0].bytes, found->own->keys[0].len, hit->key, hit->key_len)) {
        hit->made_by = found->clock.made_by;
        hit->made_of = found->clock.made_of;
    }
}

typedef struct long_search_t {
    probe_search_t *search;
    int (*run)(probe_search_t *search);
    int is_found;
} long_search_t;

static void run_search(void *arg)
{
    long_search_t *one = arg;

    one->is_found = one->run(one->search);
}

/* Beside other hosts of a list. */
static int search_long(probe_search_t *search, int (*run)(probe_search_t *search))
{
    long_search_t one = {search, run, 0};

    probe_wait_work(run_search, &one);
    return one.is_found;
}

/* A MAC inside has shown where the text begins, so what was said about the cipher's key is more now.
 */
static void tell_beginning(probe_run_t *run, const found_t *found)
{
    const probe_opened_t *opened = &found->opened;
    probe_finding_t *finding = &APR_ARRAY_IDX(run->host->findings, found->cipher_at,
                                              probe_finding_t);
    probe_hit_t hit = *finding->hit;

    hit.text_at = opened->at;
    hit.is_text_unknown = 0;
    if (opened->has_iv || opened->is_zero_iv) {
        hit.iv_at = opened->iv_at;
        hit.iv_len = opened->has_iv ? opened->block_len : 0;
        hit.no_iv = opened->is_zero_iv;
    }
    finding->hit = apr_pmemdup(run->pool, &hit, sizeof(hit));
    finding->text = describe_key(run, finding->test, &hit, found->names_n);
    keep_searched(run, finding, found->ticket, found);
}

/* With the most common keys: whoever can decrypt needs no more.  Nonzero: found, and reported. */
static int search_inside(probe_run_t *run, found_t *found)
{
    probe_search_t search = {.ticket = found->ticket,
                             .format = &run->version->format,
                             .own = found->own ? found->own : found->shown,
                             .level = PROBE_QUICK,
                             .opened = &found->opened};

    if (found->opened.len == 0 || !search_long(&search, probe_search_inside)) {
        return 0;
    }
    tell_origin(found, &search.hit);
    tell_beginning(run, found);
    keep_searched(run, tell_key(run, PROBE_TEST_MAC_KEY, &search.hit, 1), found->ticket, found);
    return 1;
}

/* Nonzero: a key was found, and reported. */
static int search_ticket(probe_run_t *run, probe_test_e test, probe_search_t *search, int names_n,
                         found_t *found)
{
    probe_finding_t *finding;
    int is_cipher = test == PROBE_TEST_CIPHER_KEY;

    search->format = &run->version->format;
    search->opened = is_cipher ? &found->opened : NULL;
    if (is_cipher ? !search_long(search, probe_search_cipher) && !search_clock(run, search, found)
                  : !search_long(search, probe_search_mac)) {
        return 0;
    }
    search->hit.is_decoded |= found->is_decoded;
    tell_origin(found, &search->hit);
    finding = tell_key(run, test, &search->hit, names_n);
    if (is_cipher) {
        found->ticket = search->ticket;
        found->cipher_at = run->host->findings->nelts - 1;
        found->names_n = names_n;
    }
    keep_searched(run, finding, search->ticket, found);
    return 1;
}

/* Searches more of the tickets with a name, from the last one on: backends may have equal names for
 * different keys.  Where tickets resume at once, that is unlikely: then level quick only searches for
 * zeros, in the first version that shows the name; and for the most common keys on the second and the
 * third connection, which met other backends if these take turns, unless many hosts wait.  Returns as
 * search_keys(). */
static const char *search_again(probe_run_t *run, probe_test_e test, const probe_ticket_t **chosen,
                                int n, found_t *found)
{
    const probe_version_t *version = run->version;
    int is_hasty = version->is_steady && run->options->level == PROBE_QUICK;
    int i, connection = -1, left = AGAIN_MAX;

    if (n == 0 || !has_names(version)) {
        return NULL;
    }
    for (i = version->tickets->nelts - 1; i > 0; i--) {
        const probe_ticket_t *ticket = ticket_n(version, i);
        int is_near = ticket->connection > chosen[0]->connection
                      && ticket->connection <= chosen[0]->connection + NEAR_N;
        int is_zero_only = is_hasty && (run->options->paces || !is_near);
        probe_search_t search = {.ticket = ticket,
                                 .own = is_zero_only ? NULL : found->shown,
                                 .level = is_zero_only ? PROBE_ONE_KEY : PROBE_QUICK};

        if ((left <= 0 && !is_near)
            || (ticket->connection
                && ((int)ticket->connection == connection
                    || ticket->connection == chosen[0]->connection))) {
            continue;
        }
        if (is_hasty && !found->is_decoded && probe_was_clean(run, test, ticket)) {
            continue;
        }
        connection = ticket->connection;
        left--;
        if (search_ticket(run, test, &search, n, found)) {
            return search.hit.algorithm;
        }
    }
    return NULL;
}

/* What else was tried, or cannot be known, where no key was found. */
static void tell_besides(probe_run_t *run, probe_test_e test, const found_t *found)
{
    if (test == PROBE_TEST_CIPHER_KEY && found->numbers_n) {
        tell_clock(run, found);
    }
    if (test == PROBE_TEST_MAC_KEY && run->version->format.layout == PROBE_LAYOUT_UNKNOWN) {
        tell_inside(run, found);
    }
}

/* Returns the algorithm whose key was found; or NULL.  What the cipher key's search finds besides,
 * that of the MAC key uses. */
static const char *search_keys(probe_run_t *run, probe_test_e test, found_t *found)
{
    const probe_ticket_t *chosen[DISTINCT_MAX];
    probe_version_t *version = run->version;
    int whole_n = run->backend >= WHOLE_MAX ? 0 : has_names(version) ? WHOLE_MAX : 1;
    int more_n, n = choose_distinct(version, chosen, &more_n), i;
    int names_n = has_names(version) ? n + more_n : n > 0;
    const char *why = NULL, *more;
    probe_search_t first = {.keys_n = 0};

    run->test = probe_test_name(test);
    for (i = 0; i < n; i++) {
        probe_search_t search = {.ticket = chosen[i],
                                 .own = found->own ? found->own : found->shown,
                                 .level = run->options->level};

        /* Without names, the tickets are most likely all of one key. */
        if (i >= whole_n) {
            search.level = PROBE_QUICK;
            search.again = PROBE_AGAIN_OTHER;
        }
        if (!found->is_decoded && probe_was_clean(run, test, chosen[i])) {
            search.level = PROBE_QUICK;
            search.again = PROBE_AGAIN_SAME;
        }
        probe_progress(run, (apr_size_t)i, (apr_size_t)n);
        if (search_ticket(run, test, &search, names_n, found)) {
            return search.hit.algorithm;
        }
        why = why ? why : why_unknown(run, test, &search);
        if (i == 0) {
            first = search;
        }
    }
    if (test == PROBE_TEST_MAC_KEY && n > 0 && search_inside(run, found)) {
        return NULL;
    }
    more = search_again(run, test, chosen, names_n, found);
    if (!more) {
        tell_none(run, test, &first, why, n, more_n);
        tell_besides(run, test, found);
    }
    return more;
}

/* cipher: whose key was found; or NULL. */
static void search_macs(probe_run_t *run, found_t *found, const char *cipher)
{
    static const char no_key[] = "the cipher makes the tag: no key of its own";
    const probe_version_t *version = run->version;
    apr_array_header_t *findings = run->host->findings;
    probe_hit_t hit;
    int first = findings->nelts;

    if (probe_analysis_is_aead(version->format.layout)) {
        probe_tell_moot(run, PROBE_TEST_MAC_KEY, no_key);
    }
    else if (probe_checksum_find(ticket_n(version, 0), (apr_size_t)version->tickets->nelts,
                                 &version->format, &hit)) {
        hit.is_decoded = found->is_decoded;
        keep_searched(run, tell_key(run, PROBE_TEST_MAC_KEY, &hit, 1), ticket_n(version, 0), found);
    }
    else {
        search_keys(run, PROBE_TEST_MAC_KEY, found);
        if (cipher && probe_analysis_makes_tag(cipher) && findings->nelts == first + 1
            && !APR_ARRAY_IDX(findings, first, probe_finding_t).hit) {
            findings->nelts = first;
            probe_tell_moot(run, PROBE_TEST_MAC_KEY, no_key);
        }
    }
}

/* A weak key of DES makes equal blocks in CBC, too. */
static int repeats_blocks(const probe_run_t *run, const char *cipher, probe_hit_t *hit)
{
    const probe_ticket_t *tickets = ticket_n(run->version, 0);
    apr_size_t n = (apr_size_t)run->version->tickets->nelts;

    return (!cipher || strstr(cipher, "ECB"))
           && (probe_analysis_repeats(tickets, n, &run->version->format, 16, hit)
               || probe_analysis_repeats(tickets, n, &run->version->format, 8, hit));
}

static void tell_nonce(probe_run_t *run, const probe_hit_t *hit)
{
    if (hit->shift) {
        probe_tell(run, PROBE_TEST_NONCE, PROBE_BROKEN,
                   "tickets %d and %d share a key stream, moved by %d bytes: their XOR contains "
                   "the XOR of the secrets",
                   (int)hit->first + 1, (int)hit->second + 1, (int)hit->shift);
    }
    else if (hit->proven) {
        probe_tell(
            run, PROBE_TEST_NONCE, PROBE_BROKEN,
            "tickets %d and %d share a key stream: their XOR contains the XOR of the secrets",
            (int)hit->first + 1, (int)hit->second + 1);
    }
    else {
        probe_tell(run, PROBE_TEST_NONCE, PROBE_WEAK, "tickets %d and %d have the same IV",
                   (int)hit->first + 1, (int)hit->second + 1);
    }
}

/* cipher: whose key was found; or NULL. */
static void search_nonces(probe_run_t *run, int is_plain, const char *cipher)
{
    const probe_ticket_t *tickets = ticket_n(run->version, 0);
    apr_size_t n = (apr_size_t)run->version->tickets->nelts;
    probe_hit_t hit, repeated;
    int is_reused = n > 1 && !is_plain
                    && probe_analysis_nonce(tickets, n, &run->version->format, &hit);

    if (n < 2 || is_plain) {
        probe_tell(run, PROBE_TEST_NONCE, PROBE_UNTESTED, "%s",
                   is_plain ? "nothing is encrypted" : "requires two tickets");
    }
    else if (!(is_reused && hit.proven) && repeats_blocks(run, cipher, &repeated)) {
        probe_tell(
            run, PROBE_TEST_NONCE, PROBE_WEAK,
            "ticket %d contains equal blocks, at %d and %d: nothing but the key decides how a "
            "block looks (ECB)",
            (int)repeated.iv_at + 1, (int)repeated.first, (int)repeated.second);
    }
    else if (is_reused) {
        tell_nonce(run, &hit);
    }
    else if (run->version->format.iv_len == 0) {
        probe_tell(run, PROBE_TEST_NONCE, PROBE_UNTESTED,
                   "no key stream is reused in %d tickets, but their layout does not show "
                   "where the IV is",
                   (int)n);
    }
    else {
        probe_tell(run, PROBE_TEST_NONCE, PROBE_OK, "no IV or key stream is reused in %d tickets",
                   (int)n);
    }
}

/* What was said about a layout that does not go with the cipher. */
static void correct_format(probe_run_t *run, found_t *found)
{
    probe_finding_t *all = &APR_ARRAY_IDX(run->host->findings, 0, probe_finding_t);
    int i = found->cipher_at;

    if (!probe_analysis_doubt(&run->version->format, all[i].hit)) {
        return;
    }
    keep_searched(run, &all[i], found->ticket, found);
    while (i > 0 && all[i].test != PROBE_TEST_FORMAT) {
        i--;
    }
    if (all[i].test == PROBE_TEST_FORMAT) {
        all[i].text = describe_format(found->whole, run->version, run->pool);
    }
}

/* The found key's cipher shows where an unknown layout has its IV. */
static void learn_iv(probe_format_t *format, const probe_hit_t *hit)
{
    if (format->layout == PROBE_LAYOUT_UNKNOWN && hit->iv_len && !hit->no_iv) {
        format->iv_at = hit->iv_at;
        format->iv_len = hit->iv_len;
    }
}

static void search_tickets(probe_run_t *run, const probe_version_t *searched, int is_plain)
{
    probe_version_t *version = run->version, own = *searched;
    found_t found = {
        .whole = version, .is_decoded = searched != version, .shown = probe_shown_keys(run)};
    const char *cipher;

    run->version = &own;
    cipher = search_keys(run, PROBE_TEST_CIPHER_KEY, &found);
    if (cipher) {
        correct_format(run, &found);
    }
    if (searched == version) {
        version->format = own.format;
    }
    search_macs(run, &found, cipher);
    if (cipher) {
        learn_iv(&own.format,
                 APR_ARRAY_IDX(run->host->findings, found.cipher_at, probe_finding_t).hit);
    }
    search_nonces(run, is_plain, cipher);
    OPENSSL_cleanse(&found, sizeof(found));
    run->version = version;
}

void probe_examine_tickets(probe_run_t *run)
{
    probe_version_t *version = run->version, decoded;
    const probe_version_t *searched = decode_all(version, &decoded, run->pool) ? &decoded : version;
    const probe_ticket_t *tickets = ticket_n(version, 0);
    apr_size_t n = (apr_size_t)version->tickets->nelts;
    probe_hit_t hit;
    int is_plain;

    probe_tell(run, PROBE_TEST_FORMAT, PROBE_OK, "%s",
               describe_format(version, searched, run->pool));
    is_plain = probe_analysis_plain(tickets, n, &hit);
    if (is_plain) {
        probe_tell(run, PROBE_TEST_PLAIN, PROBE_BROKEN,
                   "contains the session's secret%s%s, at offset %d%s", hit.form ? " " : "",
                   hit.form ? hit.form : "", (int)hit.text_at,
                   hit.is_decoded ? " of the decoded ticket" : "")
            ->hit = apr_pmemdup(run->pool, &hit, sizeof(hit));
    }
    else {
        probe_tell(run, PROBE_TEST_PLAIN, PROBE_OK, "does not contain the secret");
    }
    if (version->format.layout == PROBE_LAYOUT_STATEFUL) {
        probe_tell_moot(run, PROBE_TEST_CIPHER_KEY, "stateful: nothing is encrypted");
        probe_tell_moot(run, PROBE_TEST_MAC_KEY, "stateful: no MAC");
        probe_tell_moot(run, PROBE_TEST_NONCE, "stateful: no IV");
        return;
    }
    search_tickets(run, searched, is_plain);
}

/* The backend that has this ticket. */
static int backend_of(const probe_version_t *version, const probe_ticket_t *ticket)
{
    int i, j;

    for (i = 0; i < version->backends->nelts; i++) {
        const apr_array_header_t *tickets =
            APR_ARRAY_IDX(version->backends, i, probe_backend_t).tickets;

        for (j = 0; j < tickets->nelts; j++) {
            if (APR_ARRAY_IDX(tickets, j, probe_ticket_t).bytes == ticket->bytes) {
                return i;
            }
        }
    }
    return -1;
}

void probe_examine_across(probe_run_t *run)
{
    const probe_version_t *version = run->version, *searched = version;
    apr_size_t n = (apr_size_t)version->tickets->nelts;
    probe_version_t decoded;
    probe_hit_t hit;

    if (probe_analysis_plain(ticket_n(version, 0), n, &hit)) {
        return;
    }
    if (decode_all(version, &decoded, run->pool)) {
        searched = &decoded;
    }
    if (probe_analysis_nonce(ticket_n(searched, 0), n, &searched->format, &hit)
        && backend_of(version, ticket_n(version, (int)hit.first))
               != backend_of(version, ticket_n(version, (int)hit.second))) {
        tell_nonce(run, &hit);
    }
}
