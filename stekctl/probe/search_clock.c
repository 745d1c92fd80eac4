/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys of clocks (search_clock.h).  Millions of them are tried, so first comes what is cheap: the
 * padding of the last CBC block, for every length of the MAC, and a key stream that reveals the
 * secret.  What passes goes through the whole search.
 *
 *     block   last cipher block of every candidate | ...      before   the block in front of it
 */
#include "search_clock.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "needles.h"

#define BLOCK 16
#define ENDS_MAX 7
#define STREAMS_MAX 8
#define STREAM_LEN (PROBE_STREAM_MAX + 4 * BLOCK)
#define NAME_MIN 8 /* bytes of a name that match: not by chance */
#define EVERY 4096 /* numbers between looks at the clock */
#define DAY_S 86400
#define FIRST_MS_MIN 3 /* minutes */
#define PIDS 32768     /* the time and a process id, added or by XOR */

typedef struct work_t {
    probe_clock_t *clock;
    const probe_ticket_t *ticket;
    probe_random_t random;
    probe_needles_t needles;
    probe_scan_t *texts, *streams; /* for CBC; for CTR and GCM */
    EVP_CIPHER *ciphers[2];
    EVP_CIPHER_CTX *decrypt[2], *encrypt[2]; /* with keys of 16 and 32 bytes */
    apr_size_t ends[ENDS_MAX], ends_n;       /* where the encrypted text may end */
    unsigned char block[ENDS_MAX * BLOCK], before[ENDS_MAX * BLOCK];
    unsigned char counters[STREAMS_MAX * STREAM_LEN];
    apr_size_t counters_len;
    int is_stream_unlikely; /* tried with the latest numbers only */
    apr_size_t done, all;
    clock_t began, spent; /* CPU time: the latest stretch; those before */
} work_t;

static const apr_size_t key_lens[2] = {16, 32};

/* ---- what every key is tried on ---- */

static void choose_ends(work_t *work)
{
    static const apr_size_t lens[] = {0, 16, 20, 28, 32, 48, 64};
    const probe_format_t *format = work->clock->search->format;
    apr_size_t i;

    for (i = 0; i < ENDS_MAX; i++) {
        apr_size_t end = work->ticket->len - lens[i];

        if (work->ticket->len < lens[i] + 4 * BLOCK || work->ticket->len > PROBE_TEXT_MAX
            || (format->layout != PROBE_LAYOUT_UNKNOWN && format->layout != PROBE_LAYOUT_OPENSSL
                && format->mac_len != lens[i])) {
            continue;
        }
        memcpy(work->block + work->ends_n * BLOCK, work->ticket->bytes + end - BLOCK, BLOCK);
        memcpy(work->before + work->ends_n * BLOCK, work->ticket->bytes + end - 2 * BLOCK, BLOCK);
        work->ends[work->ends_n++] = end;
    }
}

/* The counter blocks of a nonce at a place, with a counter of 4 bytes from 0, or all 16. */
static void add_stream(work_t *work, apr_size_t place, apr_size_t nonce_len)
{
    apr_size_t len = work->ticket->len < PROBE_STREAM_MAX ? work->ticket->len : PROBE_STREAM_MAX;
    unsigned char *out = work->counters + work->counters_len;
    unsigned char block[BLOCK] = {0};
    apr_size_t i, j;

    if (place + nonce_len > work->ticket->len
        || work->counters_len + STREAM_LEN > sizeof(work->counters)) {
        return;
    }
    memcpy(block, work->ticket->bytes + place, nonce_len);
    for (i = 0; i < len + 2 * BLOCK; i += BLOCK) {
        memcpy(out + i, block, BLOCK);
        for (j = BLOCK; j-- > 0 && ++block[j] == 0;) {
        }
    }
    work->counters_len += i;
}

static void choose_streams(work_t *work)
{
    const probe_format_t *format = work->clock->search->format;
    apr_size_t name_len = format->name_len;

    if (format->layout == PROBE_LAYOUT_MBEDTLS || format->layout == PROBE_LAYOUT_BOTAN) {
        add_stream(work, format->iv_at, 12);
    }
    else if (format->layout == PROBE_LAYOUT_WOLFSSL) {
        add_stream(work, 16, 12);
        add_stream(work, 16, 16);
    }
    else if (format->layout == PROBE_LAYOUT_UNKNOWN || format->layout == PROBE_LAYOUT_OPENSSL) {
        /* Nothing but its length shows OpenSSL's layout. */
        work->is_stream_unlikely = format->layout == PROBE_LAYOUT_OPENSSL;
        add_stream(work, name_len, 12);
        add_stream(work, name_len, 16);
    }
}

/* ---- one key ---- */

/* Through the whole search: does one of these bytes' parts open the ticket? */
static int is_right(work_t *work, const unsigned char *bytes, apr_size_t len)
{
    probe_own_key_t key = {.bytes = bytes, .len = len};
    probe_own_keys_t own = {.keys = &key, .n = 1};
    probe_search_t *given = work->clock->search, search = *given;

    search.own = &own;
    search.level = PROBE_ONE_KEY;
    search.missing = NULL;
    if (!probe_search_cipher(&search)) {
        return 0;
    }
    given->hit = search.hit;
    return 1;
}

static int has_padding(const unsigned char *text, const unsigned char *before)
{
    unsigned char pad = text[BLOCK - 1] ^ before[BLOCK - 1];
    int i;

    if (pad < 1 || pad > BLOCK) {
        return 0;
    }
    for (i = BLOCK - pad; i < BLOCK; i++) {
        if ((text[i] ^ before[i]) != pad) {
            return 0;
        }
    }
    return 1;
}

/* Nonzero: all that ends there, decrypted, contains the secret. */
static int opens(work_t *work, EVP_CIPHER_CTX *ctx, apr_size_t end)
{
    unsigned char text[PROBE_TEXT_MAX];
    apr_size_t from = end % BLOCK, len = end - from, i;
    probe_find_t find;
    int out_len = 0;

    if (EVP_DecryptUpdate(ctx, text, &out_len, work->ticket->bytes + from, (int)len) != 1) {
        return 0;
    }
    for (i = BLOCK; i < len; i++) {
        text[i] ^= work->ticket->bytes[from + i - BLOCK];
    }
    return probe_scan_text(work->texts, text, len, &find);
}

static int opens_blocks(work_t *work, EVP_CIPHER_CTX *ctx, const unsigned char *key)
{
    unsigned char text[ENDS_MAX * BLOCK];
    apr_size_t i;
    int out_len = 0;

    if (EVP_DecryptInit_ex(ctx, NULL, NULL, key, NULL) != 1
        || EVP_CIPHER_CTX_set_padding(ctx, 0) != 1
        || EVP_DecryptUpdate(ctx, text, &out_len, work->block, (int)(work->ends_n * BLOCK)) != 1) {
        return 0;
    }
    for (i = 0; i < work->ends_n; i++) {
        if (has_padding(text + i * BLOCK, work->before + i * BLOCK)
            && opens(work, ctx, work->ends[i])) {
            return 1;
        }
    }
    return 0;
}

static int opens_streams(work_t *work, EVP_CIPHER_CTX *ctx, const unsigned char *key)
{
    unsigned char text[STREAMS_MAX * STREAM_LEN];
    probe_find_t find;
    int out_len = 0;

    return EVP_EncryptInit_ex(ctx, NULL, NULL, key, NULL) == 1
           && EVP_EncryptUpdate(ctx, text, &out_len, work->counters, (int)work->counters_len) == 1
           && probe_scan_text(work->streams, text, work->counters_len, &find);
}

static int try_number(work_t *work, int form, apr_uint64_t number)
{
    unsigned char *bytes = work->clock->bytes;
    probe_hit_t *hit = &work->clock->search->hit;
    int i, found;

    if (!probe_random_make(&work->random, form, number, bytes, key_lens[1])) {
        return 0;
    }
    found = memcmp(bytes, work->ticket->bytes, NAME_MIN) == 0;
    for (i = 0; i < 2 && !found; i++) {
        found = (work->ends_n && opens_blocks(work, work->decrypt[i], bytes))
                || (work->counters_len && opens_streams(work, work->encrypt[i], bytes));
    }
    if (!found || !probe_random_make(&work->random, form, number, bytes, PROBE_RANDOM_MAX)
        || !is_right(work, bytes, PROBE_RANDOM_MAX)) {
        return 0;
    }
    hit->made_by = probe_random_name(form);
    hit->made_of = number;
    return 1;
}

/* ---- all numbers ---- */

static int is_over(work_t *work)
{
    if (work->done % EVERY == 0) {
        work->spent += clock() - work->began;
        if (work->clock->progress) {
            work->clock->progress(work->clock->arg, work->done, work->all);
        }
        work->began = clock();
        return work->spent / CLOCKS_PER_SEC >= PROBE_CLOCK_CPU_S;
    }
    return 0;
}

/* From the latest back, in all forms. */
static int try_numbers(work_t *work, apr_uint64_t last, apr_size_t n, int is_ms)
{
    apr_size_t i;
    int form;

    for (i = 0; i < n && i <= last; i++) {
        if (is_over(work)) {
            work->clock->is_complete = 0;
            return 0;
        }
        for (form = 0; form < PROBE_RANDOM_FORMS; form++) {
            if ((!is_ms || probe_random_takes_ms(form)) && try_number(work, form, last - i)) {
                return 1;
            }
        }
        work->done++;
    }
    return 0;
}

/* The latest day of seconds, the latest minutes of milliseconds, and all that is short, come before the
 * rest. */
static int try_all(work_t *work)
{
    apr_uint64_t now_ms = (apr_uint64_t)work->ticket->at / 1000, now_s = now_ms / 1000;
    apr_size_t first_n = DAY_S + PIDS, month_n = PROBE_CLOCK_DAYS * DAY_S + PIDS;
    apr_size_t hour_n = PROBE_CLOCK_MS_MIN * 60 * 1000, minutes_n = FIRST_MS_MIN * 60 * 1000;

    work->all = PROBE_CLOCK_SMALL + month_n + hour_n;
    if (try_numbers(work, PROBE_CLOCK_SMALL - 1, PROBE_CLOCK_SMALL, 0)
        || try_numbers(work, now_s + PIDS, first_n, 0)
        || try_numbers(work, now_ms + 1000, minutes_n, 1)) {
        return 1;
    }
    work->counters_len = work->is_stream_unlikely ? 0 : work->counters_len;
    return try_numbers(work, now_ms + 1000 - minutes_n, hour_n - minutes_n, 1)
           || try_numbers(work, now_s + PIDS - first_n, month_n - first_n, 0);
}

static int make_contexts(work_t *work)
{
    static const char *const names[2] = {"AES-128-ECB", "AES-256-ECB"};
    int i, is_good = probe_random_begin(&work->random);

    for (i = 0; i < 2 && is_good; i++) {
        work->ciphers[i] = EVP_CIPHER_fetch(NULL, names[i], NULL);
        work->decrypt[i] = EVP_CIPHER_CTX_new();
        work->encrypt[i] = EVP_CIPHER_CTX_new();
        is_good = work->ciphers[i] && work->decrypt[i] && work->encrypt[i]
                  && EVP_DecryptInit_ex(work->decrypt[i], work->ciphers[i], NULL, NULL, NULL) == 1
                  && EVP_EncryptInit_ex(work->encrypt[i], work->ciphers[i], NULL, NULL, NULL) == 1;
    }
    probe_needles_make(&work->needles, work->ticket);
    work->texts = probe_scan_create(&work->needles, NULL, 0, 0);
    work->streams = probe_scan_create(
        &work->needles, work->ticket->bytes,
        work->ticket->len < PROBE_STREAM_MAX ? work->ticket->len : PROBE_STREAM_MAX, 0);
    return is_good && work->texts && work->streams && work->needles.n > 0;
}

int probe_search_clock(probe_clock_t *clock_search)
{
    work_t *work = calloc(1, sizeof(*work));
    int found = 0, i;

    if (!work) {
        return 0;
    }
    work->clock = clock_search;
    work->ticket = clock_search->search->ticket;
    work->began = clock();
    clock_search->is_complete = 1;
    if (work->ticket->len >= 4 * BLOCK && make_contexts(work)) {
        choose_ends(work);
        choose_streams(work);
        found = try_all(work);
    }
    clock_search->numbers_n = work->done;
    for (i = 0; i < 2; i++) {
        EVP_CIPHER_CTX_free(work->decrypt[i]);
        EVP_CIPHER_CTX_free(work->encrypt[i]);
        EVP_CIPHER_free(work->ciphers[i]);
    }
    probe_random_end(&work->random);
    probe_scan_free(work->texts);
    probe_scan_free(work->streams);
    OPENSSL_cleanse(work, sizeof(*work));
    free(work);
    return found;
}
