/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The padding test of stekctl probe against servers that are played here: their tickets are right
 * or wrong, their answers tell so or do not, and their times are recorded ones (probe_times.c), in
 * the order of the recording or drawn from it.  1,000 runs of the whole test, from one seed.
 */
#include "core_util.h"

#include <limits.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <apr_general.h>
#include <apr_strings.h>

#include "probe/stats.h"
#include "probe/tests.h"

#define RUNS_N 1000
#define SAMPLE_N 100
#define TICKET_LEN 224
#define MAC_LEN 32
#define BLOCK 16
#define BLOCK_DES 8
#define TIMES_MAX 4096
#define FOLDER "test/data/probe-times/"

/* In the order of the recording. */
typedef struct recording_t {
    apr_int64_t us[TIMES_MAX];
    char kind[TIMES_MAX]; /* 'r' right padding, 'w' wrong */
    apr_size_t n;
} recording_t;

/* How the server under test answers: an alert for wrong padding (0: none), times of recording. */
typedef struct server_t {
    const recording_t *recording;
    int alert, padding, is_drawn, only_last, accepts_altered;
    int mac_len, block_len; /* 0: MAC_LEN, BLOCK, and the layout is known */
    int is_text;            /* its tickets are hex */
    apr_size_t at;          /* in the recording */
} server_t;

static rnd_t rnd;
static server_t server;
static unsigned char ticket_bytes[TICKET_LEN];
static apr_pool_t *pool;
static probe_verdict_e verdict;
static int offers_n;

int __wrap_RAND_bytes(unsigned char *bytes, int len);
int __wrap_RAND_bytes(unsigned char *bytes, int len)
{
    rnd_fill(&rnd, bytes, (size_t)len);
    return 1;
}

/* ---- what the test calls ---- */

probe_finding_t *probe_tell(probe_run_t *run, probe_test_e test, probe_verdict_e found,
                            const char *format, ...)
{
    static probe_finding_t finding;

    (void)run;
    (void)format;
    assert_int_equal(test, PROBE_TEST_PADDING);
    verdict = found;
    return &finding;
}

void probe_tell_moot(probe_run_t *run, probe_test_e test, const char *why)
{
    (void)probe_tell(run, test, PROBE_UNTESTED, "%s", why);
}

void probe_progress(probe_run_t *run, apr_size_t done, apr_size_t all)
{
    (void)run;
    (void)done;
    (void)all;
}

const char *probe_why_ended(const probe_run_t *run)
{
    (void)run;
    return "";
}

int probe_clean_left(const probe_run_t *run)
{
    return run->clean_end;
}

const char *probe_deeper_text(const probe_run_t *run)
{
    (void)run;
    return "";
}

void probe_want_each(probe_run_t *run, int is_on)
{
    (void)is_on;
    assert_false(run->version->is_sampled);
}

int probe_is_answer(probe_run_t *run, const probe_reply_t *reply)
{
    (void)run;
    (void)reply;
    return 1;
}

/* The text's last block, as it comes out: each byte is changed as that of the block before it. */
static int is_padding_right(const unsigned char *bytes)
{
    int block_len = server.block_len ? server.block_len : BLOCK, i;
    int at = TICKET_LEN - (server.block_len ? server.mac_len : MAC_LEN) - 2 * block_len;
    unsigned char text[BLOCK] = {0}, last;

    for (i = 0; i < block_len; i++) {
        text[i] = (unsigned char)((i >= block_len - server.padding ? server.padding : 0x80 + i)
                                  ^ bytes[at + i] ^ ticket_bytes[at + i]);
    }
    last = text[block_len - 1];
    for (i = 1; !server.only_last && last >= 1 && last <= block_len && i <= last; i++) {
        if (text[block_len - i] != last) {
            return 0;
        }
    }
    return server.only_last ? last == server.padding : last >= 1 && last <= block_len;
}

/* A time of that kind: the next one, or any. */
static apr_int64_t next_time(const recording_t *recording, char kind)
{
    do {
        server.at = (server.is_drawn ? rnd_below(&rnd, (unsigned)recording->n) : server.at + 1)
                    % recording->n;
    } while (recording->kind[server.at] != kind);
    return recording->us[server.at];
}

void probe_offer(probe_run_t *run, const probe_ticket_t *ticket, const unsigned char *bytes,
                 probe_reply_t *reply)
{
    int is_right = is_padding_right(bytes);

    offers_n++;
    (void)run;
    (void)ticket;
    memset(reply, 0, sizeof(*reply));
    reply->alert = !is_right && server.alert ? server.alert : -1;
    reply->outcome = reply->alert < 0 ? PROBE_FULL : PROBE_ALERT;
    if (server.recording) {
        reply->first_us = next_time(server.recording, is_right ? 'r' : 'w');
    }
}

void probe_offer_raw(probe_run_t *run, const probe_ticket_t *ticket, const probe_ticket_t *raw,
                     const unsigned char *bytes, probe_reply_t *reply)
{
    assert_int_equal(raw->len, TICKET_LEN);
    assert_memory_equal(raw->bytes, ticket_bytes, TICKET_LEN);
    probe_offer(run, ticket, bytes, reply);
}

/* ---- recordings ---- */

static const recording_t *read_recording(const char *name)
{
    static recording_t recording;
    char line[128];
    FILE *file = fopen(name, "r");

    assert_non_null(file);
    memset(&recording, 0, sizeof(recording));
    while (fgets(line, sizeof(line), file)) {
        if (line[0] == 'r' || line[0] == 'w') {
            assert_true(recording.n < TIMES_MAX);
            recording.kind[recording.n] = line[0];
            recording.us[recording.n++] = strtol(line + 1, NULL, 10);
        }
    }
    fclose(file);
    assert_true(recording.n > 1000);
    return &recording;
}

static const unsigned char *in_hex(void)
{
    static char hex[2 * TICKET_LEN + 1];
    int i;

    for (i = 0; i < TICKET_LEN; i++) {
        snprintf(hex + (size_t)2 * i, 3, "%02x", ticket_bytes[i]);
    }
    return (const unsigned char *)hex;
}

/* A ticket's padding differs from run to run, and so does the place in the recording. */
static probe_verdict_e probe_once(probe_level_e level, int i)
{
    probe_options_t options = {.level = level};
    probe_version_t version = {.version = TLS1_3_VERSION};
    probe_host_t host = {.name = "test"};
    probe_run_t run = {.options = &options,
                       .host = &host,
                       .version = &version,
                       .clean_end = INT_MAX,
                       .repeats_n = 1};
    probe_finding_t broken = {
        .test = PROBE_TEST_MAC, .version = TLS1_3_VERSION, .verdict = PROBE_BROKEN};
    probe_ticket_t *ticket;

    apr_pool_clear(pool);
    run.pool = pool;
    host.findings = apr_array_make(pool, 1, sizeof(probe_finding_t));
    if (server.accepts_altered) {
        APR_ARRAY_PUSH(host.findings, probe_finding_t) = broken;
    }
    version.tickets = apr_array_make(pool, 1, sizeof(probe_ticket_t));
    version.format.layout = server.block_len ? PROBE_LAYOUT_UNKNOWN : PROBE_LAYOUT_OPENSSL;
    version.format.mac_len = MAC_LEN;
    rnd_fill(&rnd, ticket_bytes, sizeof(ticket_bytes));
    ticket = apr_array_push(version.tickets);
    memset(ticket, 0, sizeof(*ticket));
    ticket->bytes = ticket_bytes;
    ticket->len = TICKET_LEN;
    if (server.is_text) {
        ticket->bytes = in_hex();
        ticket->len = (apr_size_t)2 * TICKET_LEN;
    }
    server.padding = 1 + i % (server.block_len ? server.block_len : BLOCK);
    server.is_drawn = i & 1;
    server.at = rnd_below(&rnd, TIMES_MAX);
    probe_test_padding(&run);
    return verdict;
}

static int count_broken(const char *name, probe_level_e level)
{
    int i, broken_n = 0;

    rnd.state = 7;
    memset(&server, 0, sizeof(server));
    server.recording = read_recording(name);
    for (i = 0; i < RUNS_N; i++) {
        broken_n += probe_once(level, i) == PROBE_BROKEN;
    }
    printf("%s: %d of %d\n", name, broken_n, RUNS_N);
    return broken_n;
}

/* ---- tests ---- */

static void test_padding_recorded_good_server_never_found(void **state)
{
    (void)state;
    assert_int_equal(count_broken(FOLDER "httpd", PROBE_DEEP), 0);
}

static void test_padding_recorded_busy_server_never_found(void **state)
{
    (void)state;
    assert_int_equal(count_broken(FOLDER "httpd-busy", PROBE_DEEP), 0);
}

static void test_padding_recorded_leak_found(void **state)
{
    (void)state;
    assert_true(count_broken(FOLDER "leak", PROBE_DEEP) >= RUNS_N * 9 / 10);
}

/* The rank test alone: any two samples of one class are alike, those of a leak are not. */
static void test_padding_recorded_samples_compared(void **state)
{
    static const char *const names[] = {FOLDER "httpd", FOLDER "httpd-busy", FOLDER "leak"};
    apr_int64_t a[SAMPLE_N], b[SAMPLE_N];
    int i, j, k, found_n;

    (void)state;
    rnd.state = 11;
    for (i = 0; i < 3; i++) {
        memset(&server, 0, sizeof(server));
        server.recording = read_recording(names[i]);
        for (found_n = 0, j = 0; j < RUNS_N; j++) {
            server.is_drawn = j & 1;
            server.at = rnd_below(&rnd, TIMES_MAX);
            for (k = 0; k < SAMPLE_N; k++) {
                a[k] = next_time(server.recording, i < 2 && j & 2 ? 'w' : 'r');
                b[k] = next_time(server.recording, 'w');
            }
            found_n += probe_stats_compare(a, SAMPLE_N, b, SAMPLE_N) == PROBE_STATS_DIFFERENT;
        }
        if (i < 2) {
            assert_int_equal(found_n, 0);
        }
        else {
            assert_true(found_n >= RUNS_N * 9 / 10);
        }
    }
}

static void test_padding_alert_found(void **state)
{
    int i;

    (void)state;
    rnd.state = 13;
    memset(&server, 0, sizeof(server));
    server.alert = 51;
    for (i = 0; i < BLOCK; i++) {
        assert_int_equal(probe_once(PROBE_NORMAL, i), PROBE_BROKEN);
    }
    server.alert = 0;
    assert_int_equal(probe_once(PROBE_NORMAL, 0), PROBE_OK);
}

/* What the text stands for is altered, not the text. */
static void test_padding_alert_to_ticket_of_text_found(void **state)
{
    (void)state;
    rnd.state = 17;
    memset(&server, 0, sizeof(server));
    server.is_text = 1;
    server.alert = 51;
    assert_int_equal(probe_once(PROBE_NORMAL, 3), PROBE_BROKEN);
}

/* Whatever the length of the MAC, and of the cipher's block; each with few connections if there is
 * no oracle. */
static void test_padding_alert_any_mac_and_block_found(void **state)
{
    static const int mac_lens[] = {0, 16, 20, 28, 32, 48, 64};
    size_t i;
    int block_len, padding;

    (void)state;
    for (i = 0; i < sizeof(mac_lens) / sizeof(mac_lens[0]); i++) {
        for (block_len = BLOCK_DES; block_len <= BLOCK; block_len += BLOCK_DES) {
            for (padding = 0; padding < block_len; padding++) {
                rnd.state = 19 + (uint64_t)padding;
                memset(&server, 0, sizeof(server));
                server.alert = 51;
                server.mac_len = mac_lens[i];
                server.block_len = block_len;
                assert_int_equal(probe_once(PROBE_NORMAL, padding), PROBE_BROKEN);
            }
        }
    }
    server.alert = 0;
    offers_n = 0;
    assert_int_equal(probe_once(PROBE_NORMAL, 0), PROBE_OK);
    assert_true(offers_n < 100);
}

/* Where altered tickets are accepted, only the MAC's own length, or none, shows padding: with any
 * other, it is the text that gets another answer. */
static void test_padding_altered_accepted_only_own_lengths_tried(void **state)
{
    static const int mac_lens[] = {0, 20, 64};
    int i;

    (void)state;
    for (i = 0; i < 3; i++) {
        rnd.state = 23;
        memset(&server, 0, sizeof(server));
        server.accepts_altered = 1;
        server.alert = 51;
        server.mac_len = mac_lens[i];
        server.block_len = BLOCK;
        assert_int_equal(probe_once(PROBE_NORMAL, 4), i ? PROBE_OK : PROBE_BROKEN);
    }
    server.mac_len = server.block_len = 0;
    assert_int_equal(probe_once(PROBE_NORMAL, 4), PROBE_BROKEN);
}

/* One value of the last byte is told apart, but the byte before it does not matter: no padding. */
static void test_padding_last_byte_alone_noted(void **state)
{
    (void)state;
    rnd.state = 17;
    memset(&server, 0, sizeof(server));
    server.alert = 51;
    server.only_last = 1;
    assert_int_equal(probe_once(PROBE_NORMAL, 4), PROBE_NOTE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_padding_recorded_good_server_never_found),
        cmocka_unit_test(test_padding_recorded_busy_server_never_found),
        cmocka_unit_test(test_padding_recorded_leak_found),
        cmocka_unit_test(test_padding_recorded_samples_compared),
        cmocka_unit_test(test_padding_alert_found),
        cmocka_unit_test(test_padding_alert_to_ticket_of_text_found),
        cmocka_unit_test(test_padding_alert_any_mac_and_block_found),
        cmocka_unit_test(test_padding_altered_accepted_only_own_lengths_tried),
        cmocka_unit_test(test_padding_last_byte_alone_noted),
    };

    if (apr_initialize() != APR_SUCCESS || apr_pool_create(&pool, NULL) != APR_SUCCESS) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
