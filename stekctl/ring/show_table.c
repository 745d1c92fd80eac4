/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of a ring's keys with a timeline (show_table.h).  What does not fit a narrow terminal is
 * left out, the timeline first.  stekctl; one thread.
 */
#include "show_table.h"

#include <apr_strings.h>

#include "change.h"
#include "report.h"

#define BAR_MIN 10
#define LEFT_COLUMNS 10 /* of the column LEFT, and of ENDS without and with seconds */
#define ENDS_COLUMNS 13
#define ENDS_COLUMNS_S 16
#define ROW_COLUMNS 59 /* of all columns but the timeline, without and with seconds */
#define ROW_COLUMNS_S 61

#define COLOUR_OFF "\033[0m"

static const char *colour_of(const show_table_t *view, const char *state)
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
static void measure(show_table_t *view)
{
    const stek_ring_t *ring = view->ring;
    int row_columns;
    apr_size_t i;

    view->from = view->to = view->now;
    for (i = 0; i < ring->key_n; i++) {
        const stek_key_t *key = &ring->keys[i];

        view->from = key->not_before < view->from ? key->not_before : view->from;
        view->to = stek_key_end(key, ring->lifetime) > view->to ? stek_key_end(key, ring->lifetime)
                                                                : view->to;
    }
    view->seconds = ring->interval % apr_time_from_sec(60) != 0;
    row_columns = view->seconds ? ROW_COLUMNS_S : ROW_COLUMNS;
    view->bar_columns = view->columns - row_columns >= BAR_MIN ? view->columns - row_columns : 0;
    view->has_left = view->columns >= row_columns;
    view->has_ends = view->columns >= row_columns - LEFT_COLUMNS;
}

static apr_time_t column_time(const show_table_t *view, int column)
{
    apr_time_t span = view->to - view->from;

    return view->from + span / view->bar_columns * column;
}

static int now_column(const show_table_t *view)
{
    int column = 0;

    while (column + 1 < view->bar_columns && column_time(view, column + 1) <= view->now) {
        column++;
    }
    return column;
}

/* One row of the timeline; key NULL: only the line for now. */
static void put_bar(FILE *out, const show_table_t *view, const stek_key_t *key, const char *colour)
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
        else if (key && key->not_before < end && stek_key_end(key, view->ring->lifetime) > begin) {
            fputs(unicode ? "\u2500" : "-", out);
        }
        else {
            putc(' ', out);
        }
    }
    fputs(off, out);
}

static const char *slot_text(const show_table_t *view, const stek_key_t *key)
{
    const char *begin = view->seconds ? "%H:%M:%S" : "%b %d %H:%M";
    const char *end = view->seconds ? "%H:%M:%S" : "%H:%M";

    if (key->not_before == key->encrypt_until) {
        return "only decrypts";
    }
    return apr_psprintf(view->pool, "%s-%s", report_strftime(key->not_before, begin, view->pool),
                        report_strftime(key->encrypt_until, end, view->pool));
}

static void put_cells(FILE *out, const show_table_t *view, const char *slot, const char *ends,
                      const char *left)
{
    fprintf(out, " %-*s", view->seconds ? 17 : 18, slot);
    if (view->has_ends) {
        fprintf(out, " %-*s", (view->seconds ? ENDS_COLUMNS_S : ENDS_COLUMNS) - 1, ends);
    }
    if (view->has_left) {
        fprintf(out, " %-*s", LEFT_COLUMNS - 1, left);
    }
    if (view->bar_columns) {
        putc(' ', out);
    }
}

static void put_row(FILE *out, const show_table_t *view, const stek_key_t *key)
{
    const char *state = change_state(view->ring, key, view->now);
    const char *colour = colour_of(view, state), *off = *colour ? COLOUR_OFF : "";
    apr_time_t end = stek_key_end(key, view->ring->lifetime);
    char hex[STEK_HEX_LEN];

    fprintf(out, "%s%-7s %s", colour, state, stek_key_hex(key->name, hex));
    put_cells(out, view, slot_text(view, key),
              report_strftime(end, view->seconds ? "%b %d %H:%M:%S" : "%b %d %H:%M", view->pool),
              report_span(end - view->now, view->pool));
    fputs(off, out);
    put_bar(out, view, key, colour);
    putc('\n', out);
}

/* The first of n rows, so that the current key is among them: a third is for what comes after it. */
static apr_size_t first_row(const show_table_t *view, apr_size_t n)
{
    const stek_ring_t *ring = view->ring;
    apr_size_t first = 0;

    while (first < ring->key_n && row_key(ring, first)->not_before > view->now) {
        first++;
    }
    first = first > n / 3 ? first - n / 3 : 0;
    return first + n > ring->key_n ? ring->key_n - n : first;
}

void show_table_put(FILE *out, show_table_t *view, int rows_max)
{
    const stek_ring_t *ring = view->ring;
    apr_size_t n = ring->key_n, first = 0, i;

    if (n == 0) {
        return;
    }
    measure(view);
    if (rows_max > 0 && n + 1 > (apr_size_t)rows_max) {
        n = rows_max > 3 ? (apr_size_t)rows_max - 2 : 1;
        first = first_row(view, n);
    }
    fputs("STATE   KEY     ", out);
    put_cells(out, view, "SLOT (UTC)", "ENDS (UTC)", "LEFT");
    put_bar(out, view, NULL, "");
    putc('\n', out);
    for (i = first; i < first + n; i++) {
        put_row(out, view, row_key(ring, i));
    }
    if (n < ring->key_n) {
        fprintf(out, "%d more key%s\n", (int)(ring->key_n - n), ring->key_n - n == 1 ? "" : "s");
    }
}
