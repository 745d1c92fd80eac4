/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Command show: prints a ring's keys as a table, and last of all what is wrong, or everything as JSON;
 * --watch redraws it.
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
#include "ring_name.h"
#include "show_table.h"
#include "stek_error.h"
#include "stek_swappable.h"
#include "stek_time.h"
#include "terminal.h"
#include "wrap.h"

#define REDRAW_MS 1000
#define COLUMNS_MAX 100 /* longer bars show nothing more */
#define HEAD_LINES 3

#define BOLD_RED "\033[1;31m"
#define BOLD_GREEN "\033[1;32m"
#define COLOUR_OFF "\033[0m"

/* One picture of a ring. */
typedef struct view_t {
    ctl_t *ctl;
    const ringio_t *io;
    const terminal_t *terminal;
    const health_words_t *judgement;
    apr_time_t now;
    int columns;
    apr_pool_t *pool;
} view_t;

/* A label, coloured, and a sentence after it. */
static void put_sentence(FILE *out, const view_t *view, const char *label, const char *colour,
                         const char *text)
{
    int at = (int)strlen(label);

    if (view->terminal->colour && *colour) {
        fprintf(out, "%s%s%s", colour, label, COLOUR_OFF);
    }
    else {
        fputs(label, out);
    }
    (void)wrap_words(out, text, at, at ? 2 : 0, view->columns);
    putc('\n', out);
}

static void put_head(FILE *out, const view_t *view)
{
    const stek_ring_t *ring = view->io->ring;

    fprintf(out, "%s\n", report_path(view->ctl->ring_path, view->pool));
    put_sentence(out, view, "", "",
                 apr_psprintf(view->pool,
                              "epoch %" APR_UINT64_T_FMT ", generation %" APR_UINT64_T_FMT
                              ", written %s ago",
                              ring->epoch, ring->generation,
                              report_span(view->now - ring->written_at, view->pool)));
    put_sentence(out, view, "", "",
                 apr_psprintf(view->pool, "interval %s, lifetime %s; %d key%s, %d revoked",
                              stek_time_text(ring->interval, view->pool),
                              stek_time_text(ring->lifetime, view->pool), (int)ring->key_n,
                              ring->key_n == 1 ? "" : "s", (int)ring->tombstone_n));
}

/* What is on the screen when the table has scrolled by. */
static void put_verdict(FILE *out, const view_t *view)
{
    const health_words_t *judgement = view->judgement;
    const stek_health_t *health = &judgement->health;
    char hex[STEK_HEX_LEN];
    int i;

    put_sentence(out, view, "", "",
                 health->rotates_at
                     ? apr_psprintf(view->pool, "rotates in %s, at %s, to %s",
                                    report_span(health->rotates_at - view->now, view->pool),
                                    report_time(health->rotates_at, view->now, view->pool),
                                    stek_key_hex(health->next->name, hex))
                     : "no next key is prepared");
    for (i = 0; i < judgement->note_n; i++) {
        put_sentence(out, view, "note:", "",
                     apr_pstrcat(view->pool, " ", judgement->notes[i], NULL));
    }
    for (i = 0; i < judgement->problem_n; i++) {
        put_sentence(out, view, "WRONG:", BOLD_RED,
                     apr_pstrcat(view->pool, " ", judgement->problems[i], NULL));
    }
    if (judgement->problem_n == 0) {
        put_sentence(out, view, "healthy", BOLD_GREEN, "");
    }
}

static int lines_of(const char *text)
{
    int n = 0;

    for (; *text; text++) {
        n += *text == '\n';
    }
    return n;
}

/* rows: lines that there are, for all of it; 0: no limit. */
static void put_picture(FILE *out, const view_t *view, int rows)
{
    show_table_t table = {.ring = view->io->ring, .terminal = view->terminal};
    char *verdict = NULL;
    size_t len;
    FILE *end = open_memstream(&verdict, &len);

    if (end) {
        put_verdict(end, view);
        fclose(end);
    }
    table.columns = view->columns;
    table.now = view->now;
    table.pool = view->pool;
    put_head(out, view);
    if (rows > 0) {
        rows -= HEAD_LINES + (verdict ? lines_of(verdict) : 0);
        rows = rows > 3 ? rows : 3;
    }
    show_table_put(out, &table, rows);
    fputs(verdict ? verdict : "", out);
    free(verdict);
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
        change_json_key(&json, NULL, ring, &ring->keys[ring->by_start[i]], view->now);
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
                           int rows, apr_pool_t *pool)
{
    health_words_t judgement;
    view_t view = {
        .ctl = ctl, .io = io, .terminal = terminal, .judgement = &judgement, .pool = pool};

    view.now = ringio_now();
    view.columns = terminal->columns < COLUMNS_MAX ? terminal->columns : COLUMNS_MAX;
    health_words_make(io, ring_place(ctl, pool), view.now, pool, &judgement);
    if (ctl->json) {
        put_json(out, &view);
    }
    else {
        put_picture(out, &view, rows);
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
        put_view(out, &here, &io, terminal, terminal->rows, pool);
        ringio_release(&io);
    }
    else {
        (void)wrap_words(out,
                         apr_pstrcat(pool, report_path(fault_path, pool), ": ",
                                     stek_strerror(rv, why, sizeof(why)), NULL),
                         0, 2, terminal->columns);
        putc('\n', out);
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
    if (optind + 1 < argc) {
        return report_usage(ctl, "unexpected argument '%s'", argv[optind + 1]);
    }
    if (optind < argc) {
        code = ring_by_name(ctl, argv[optind]);
        if (code != CTL_DONE) {
            return code;
        }
    }
    if (watching) {
        return watch(ctl);
    }
    code = ringio_load(ctl, ctl->ring_path, 1, &io);
    if (code != CTL_DONE) {
        return code;
    }
    terminal_look(&terminal);
    code = put_view(stdout, ctl, &io, &terminal, 0, ctl->pool);
    ringio_release(&io);
    return code;
}
