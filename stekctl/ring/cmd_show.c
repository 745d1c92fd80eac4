/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Command show: prints a ring's keys as a table with a timeline, or as JSON; --watch redraws it.
 * It shows the first four bytes of names, and never a key.  stekctl; one thread.
 */
#include <apr_strings.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "change.h"
#include "health_words.h"
#include "options.h"
#include "report.h"
#include "ring.h"
#include "stek_error.h"
#include "stek_schedule.h"
#include "stek_swappable.h"
#include "stek_time.h"
#include "terminal.h"

#define REDRAW_MS 1000
#define COLUMNS_MAX 100 /* longer bars show nothing more */

/* One picture of a ring. */
typedef struct view_t {
    ctl_t *ctl;
    const ringio_t *io;
    const terminal_t *terminal;
    const health_words_t *judgement;
    apr_time_t now;
    apr_time_t from, to; /* the timeline's ends */
    int bar_columns;
    int seconds; /* slots are so short that their seconds matter */
    apr_pool_t *pool;
} view_t;

#define COLOUR_OFF "\033[0m"

static const char *colour_of(const view_t *view, const char *state)
{
    if (!view->terminal->colour) {
        return "";
    }
    switch (*state) {
    case 'c':
        return "\033[1;32m";
    case 'f':
        return "\033[36m";
    default:
        return "\033[2m";
    }
}

static const stek_key_t *row_key(const stek_ring_t *ring, apr_size_t i)
{
    return &ring->keys[ring->by_start[i]];
}

/* The timeline contains all windows and now. */
static void measure(view_t *view)
{
    const stek_ring_t *ring = view->io->ring;
    int columns = view->terminal->columns < COLUMNS_MAX ? view->terminal->columns : COLUMNS_MAX;
    apr_size_t i;

    view->from = view->to = view->now;
    for (i = 0; i < ring->key_n; i++) {
        const stek_key_t *key = &ring->keys[i];

        view->from = key->not_before < view->from ? key->not_before : view->from;
        view->to = stek_key_end(key, ring->lifetime) > view->to ? stek_key_end(key, ring->lifetime)
                                                                : view->to;
    }
    view->seconds = ring->interval % apr_time_from_sec(60) != 0;
    view->bar_columns = columns - (view->seconds ? 61 : 59);
    if (view->bar_columns < 10) {
        view->bar_columns = 10;
    }
}

static apr_time_t column_time(const view_t *view, int column)
{
    apr_time_t span = view->to - view->from;

    return view->from + span / view->bar_columns * column;
}

static int now_column(const view_t *view)
{
    int column = 0;

    while (column + 1 < view->bar_columns && column_time(view, column + 1) <= view->now) {
        column++;
    }
    return column;
}

/* One row of the timeline; key NULL: only the line for now. */
static void put_bar(FILE *out, const view_t *view, const stek_key_t *key, const char *colour)
{
    const char *off = *colour ? COLOUR_OFF : "";
    int at_now = now_column(view), unicode = view->terminal->unicode, column;

    fputs(colour, out);
    for (column = 0; column < view->bar_columns; column++) {
        apr_time_t begin = column_time(view, column), end = column_time(view, column + 1);

        if (column == at_now) {
            fprintf(out, "%s%s%s", off, unicode ? "\u2502" : "|", colour);
        }
        else if (key && key->not_before < end && key->encrypt_until > begin) {
            fputs(unicode ? "\u2588" : "#", out);
        }
        else if (key && key->not_before < end
                 && stek_key_end(key, view->io->ring->lifetime) > begin) {
            fputs(unicode ? "\u2500" : "-", out);
        }
        else {
            putc(' ', out);
        }
    }
    fputs(off, out);
}

static const char *slot_text(const view_t *view, const stek_key_t *key)
{
    const char *begin = view->seconds ? "%H:%M:%S" : "%b %d %H:%M";
    const char *end = view->seconds ? "%H:%M:%S" : "%H:%M";

    if (key->not_before == key->encrypt_until) {
        return "only decrypts";
    }
    return apr_psprintf(view->pool, "%s-%s", report_strftime(key->not_before, begin, view->pool),
                        report_strftime(key->encrypt_until, end, view->pool));
}

static void put_row(FILE *out, const view_t *view, const stek_key_t *key)
{
    const char *state = change_state(view->io->ring, key, view->now);
    const char *colour = colour_of(view, state), *off = *colour ? COLOUR_OFF : "";
    apr_time_t end = stek_key_end(key, view->io->ring->lifetime);
    char hex[STEK_HEX_LEN];

    fprintf(out, "%s%-7s%s %s %-*s %-*s %-9s ", colour, state, off, stek_key_hex(key->name, hex),
            view->seconds ? 17 : 18, slot_text(view, key), view->seconds ? 15 : 12,
            report_strftime(end, view->seconds ? "%b %d %H:%M:%S" : "%b %d %H:%M", view->pool),
            report_span(end - view->now, view->pool));
    put_bar(out, view, key, colour);
    putc('\n', out);
}

static void put_table(FILE *out, const view_t *view)
{
    const stek_ring_t *ring = view->io->ring;
    apr_size_t i;

    if (ring->key_n == 0) {
        return;
    }
    fprintf(out, "%-7s %-8s %-*s %-*s %-9s ", "STATE", "KEY", view->seconds ? 17 : 18, "SLOT (UTC)",
            view->seconds ? 15 : 12, "ENDS (UTC)", "LEFT");
    put_bar(out, view, NULL, "");
    putc('\n', out);
    for (i = 0; i < ring->key_n; i++) {
        put_row(out, view, row_key(ring, i));
    }
}

/* A sentence after its label, wrapped at 80 columns. */
static void put_sentence(FILE *out, const char *label, const char *colour, const char *text)
{
    size_t column = strlen(label);

    fprintf(out, "%s%s%s", colour, label, *colour ? COLOUR_OFF : "");
    while (*text) {
        size_t len = strcspn(text, " ");

        if (column + 1 + len > 80) {
            fputs("\n ", out);
            column = 1;
        }
        fprintf(out, " %.*s", (int)len, text);
        column += 1 + len;
        text += len + (text[len] ? 1 : 0);
    }
    putc('\n', out);
}

static void put_header(FILE *out, const view_t *view)
{
    const stek_ring_t *ring = view->io->ring;
    const stek_health_t *health = &view->judgement->health;
    char hex[STEK_HEX_LEN];
    int i;

    fprintf(out, "%s\n", report_path(view->ctl->ring_path, view->pool));
    fprintf(out, "epoch %" APR_UINT64_T_FMT ", generation %" APR_UINT64_T_FMT ", written %s ago\n",
            ring->epoch, ring->generation, report_span(view->now - ring->written_at, view->pool));
    fprintf(out, "interval %s, lifetime %s; %d key%s, %d revoked\n",
            stek_time_text(ring->interval, view->pool), stek_time_text(ring->lifetime, view->pool),
            (int)ring->key_n, ring->key_n == 1 ? "" : "s", (int)ring->tombstone_n);
    if (health->rotates_at) {
        fprintf(out, "rotates in %s, at %s, to %s\n",
                report_span(health->rotates_at - view->now, view->pool),
                report_time(health->rotates_at, view->now, view->pool),
                stek_key_hex(health->next->name, hex));
    }
    else {
        fputs("no next key is prepared\n", out);
    }
    for (i = 0; i < view->judgement->problem_n; i++) {
        put_sentence(out, "WRONG:", view->terminal->colour ? "\033[1;31m" : "",
                     view->judgement->problems[i]);
    }
    if (view->judgement->problem_n == 0) {
        fputs("healthy\n", out);
    }
    for (i = 0; i < view->judgement->note_n; i++) {
        put_sentence(out, "note:", "", view->judgement->notes[i]);
    }
}

static void put_json(FILE *out, const view_t *view)
{
    const stek_ring_t *ring = view->io->ring;
    char hex[STEK_HEX_LEN];
    apr_size_t i;
    json_t json;
    int n;

    json_begin(&json, out);
    json_open(&json, NULL, '{');
    json_string(&json, "ring", view->ctl->ring_path);
    json_bool(&json, "healthy", view->judgement->problem_n == 0);
    json_open(&json, "problems", '[');
    for (n = 0; n < view->judgement->problem_n; n++) {
        json_string(&json, NULL, view->judgement->problems[n]);
    }
    json_close(&json, ']');
    json_open(&json, "notes", '[');
    for (n = 0; n < view->judgement->note_n; n++) {
        json_string(&json, NULL, view->judgement->notes[n]);
    }
    json_close(&json, ']');
    json_time(&json, "now", view->now);
    json_count(&json, "epoch", ring->epoch);
    json_count(&json, "generation", ring->generation);
    json_time(&json, "written_at", ring->written_at);
    json_span(&json, "interval", ring->interval);
    json_span(&json, "lifetime", ring->lifetime);
    json_count(&json, "sealed_by", view->io->secret_i + 1);
    json_count(&json, "secrets", view->io->secrets->n);
    json_bool(&json, "rotation_valid", view->judgement->health.rotation_valid);
    json_bool(&json, "next_key_ready", view->judgement->health.next_ready);
    json_time(&json, "next_rotation", view->judgement->health.rotates_at);
    json_time(&json, "covered_until", view->judgement->health.covered_until);
    json_open(&json, "keys", '[');
    for (i = 0; i < ring->key_n; i++) {
        change_json_key(&json, NULL, ring, row_key(ring, i), view->now);
    }
    json_close(&json, ']');
    json_open(&json, "tombstones", '[');
    for (i = 0; i < ring->tombstone_n; i++) {
        json_open(&json, NULL, '{');
        json_string(&json, "name", stek_key_hex(ring->tombstones[i].name, hex));
        json_time(&json, "until", ring->tombstones[i].until);
        json_close(&json, '}');
    }
    json_close(&json, ']');
    json_close(&json, '}');
    json_end(&json);
}

static health_words_place_e ring_place(const ctl_t *ctl, apr_pool_t *pool)
{
    if (!stek_file_in_memory(ctl->ring_path, pool)) {
        return HEALTH_WORDS_ON_DISK;
    }
    return stek_swappable_file(ctl->ring_path, pool) ? HEALTH_WORDS_SWAPPABLE
                                                     : HEALTH_WORDS_IN_MEMORY;
}

static ctl_exit_e put_view(FILE *out, ctl_t *ctl, const ringio_t *io, const terminal_t *terminal,
                           apr_pool_t *pool)
{
    health_words_t judgement;
    view_t view = {
        .ctl = ctl, .io = io, .terminal = terminal, .judgement = &judgement, .pool = pool};

    view.now = ringio_now();
    health_words_make(io, ring_place(ctl, pool), view.now, pool, &judgement);
    if (ctl->json) {
        put_json(out, &view);
    }
    else {
        measure(&view);
        put_header(out, &view);
        put_table(out, &view);
    }
    return judgement.problem_n > 0 ? CTL_FINDING : CTL_DONE;
}

/* One picture for --watch, or what is wrong with the ring in place of the table.  The caller frees
 * it. */
static char *watch_text(ctl_t *ctl, const terminal_t *terminal, apr_pool_t *pool)
{
    const char *culprit, *fault_path;
    char why[256], *text = NULL;
    ctl_t here = *ctl;
    apr_status_t rv;
    ringio_t io;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    if (!out) {
        return NULL;
    }
    here.pool = pool;
    rv = ringio_try(&here, ctl->ring_path, 1, &io, &culprit, &fault_path);
    if (rv == APR_SUCCESS) {
        put_view(out, &here, &io, terminal, pool);
        ringio_release(&io);
    }
    else {
        fprintf(out, "%s: %s\n", report_path(fault_path, pool),
                stek_strerror(rv, why, sizeof(why)));
    }
    return fclose(out) == 0 ? text : NULL;
}

static ctl_exit_e watch(ctl_t *ctl)
{
    terminal_t terminal;
    apr_pool_t *pool;
    ringio_t io;
    ctl_exit_e code;
    int failed = 0, ends = 0;

    terminal_look(&terminal);
    if (ctl->json || !terminal.is_tty) {
        return report_usage(ctl, ctl->json ? "--watch and --json cannot be combined"
                                           : "--watch requires a terminal");
    }
    code = ringio_load(ctl, ctl->ring_path, 1, &io);
    if (code != CTL_DONE) {
        return code;
    }
    ringio_release(&io);
    if (apr_pool_create(&pool, ctl->pool) != APR_SUCCESS) {
        return report_status(ctl, ctl->ring_path, APR_ENOMEM, NULL);
    }
    failed = terminal_enter();
    while (!failed && !ends) {
        char *text;

        apr_pool_clear(pool);
        terminal_look(&terminal);
        text = watch_text(ctl, &terminal, pool);
        failed = !text || terminal_draw(text, terminal.rows);
        free(text);
        ends = terminal_wait(REDRAW_MS);
    }
    terminal_leave();
    return failed ? CTL_IO : CTL_DONE;
}

ctl_exit_e cmd_show(ctl_t *ctl, int argc, char **argv)
{
    static const struct option options[] = {
        {"watch", no_argument, NULL, 'w'},
        CTL_OPTION_HELP,
        CTL_OPTION_END,
    };
    terminal_t terminal;
    ctl_exit_e code;
    ringio_t io;
    int option, watching = 0;

    while ((option = ctl_option(ctl, argc, argv, options)) != -1) {
        if (option == '?') {
            return CTL_USAGE;
        }
        watching = 1;
    }
    if (optind < argc) {
        return report_usage(ctl, "unexpected argument '%s'", argv[optind]);
    }
    if (watching) {
        return watch(ctl);
    }
    code = ringio_load(ctl, ctl->ring_path, 1, &io);
    if (code != CTL_DONE) {
        return code;
    }
    terminal_look(&terminal);
    code = put_view(stdout, ctl, &io, &terminal, ctl->pool);
    ringio_release(&io);
    return code;
}
