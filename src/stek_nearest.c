/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The known word nearest to another (stek_nearest.h): optimal string alignment, three rows at a
 * time.  Words longer than any option or key are near to nothing.  Core; no state.
 */
#include "stek_nearest.h"

#include <apr_lib.h>
#include <string.h>
#include <strings.h>

#define WORD_MAX 40
#define PREFIX_MIN 3

static int least(int a, int b)
{
    return a < b ? a : b;
}

static int same(char a, char b)
{
    return apr_tolower(a) == apr_tolower(b);
}

/* One row: what it costs to make the first i letters of a into each beginning of b. */
static void fill_row(const char *a, int i, const char *b, int b_len, const int *before,
                     const int *last, int *row)
{
    int j;

    row[0] = i;
    for (j = 1; j <= b_len; j++) {
        int is_same = same(a[i - 1], b[j - 1]);

        row[j] = least(least(last[j], row[j - 1]) + 1, last[j - 1] + !is_same);
        if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1])) {
            row[j] = least(row[j], before[j - 2] + 1);
        }
    }
}

static int distance(const char *a, int a_len, const char *b, int b_len)
{
    int rows[3][WORD_MAX + 1];
    int i;

    for (i = 0; i <= b_len; i++) {
        rows[0][i] = i;
    }
    for (i = 1; i <= a_len; i++) {
        fill_row(a, i, b, b_len, rows[(i + 1) % 3], rows[(i + 2) % 3], rows[i % 3]);
    }
    return rows[a_len % 3][b_len];
}

const char *stek_nearest(const char *word, const char *const *words, apr_size_t n)
{
    apr_size_t len = strlen(word), i;
    const char *best = NULL;
    int best_distance;

    if (len == 0 || len > WORD_MAX) {
        return NULL;
    }
    for (i = 0; i < n && len >= PREFIX_MIN; i++) {
        if (strncasecmp(words[i], word, len) == 0) {
            return words[i];
        }
    }
    best_distance = least(((int)len + 2) / 3, (int)len - 1) + 1;
    for (i = 0; i < n; i++) {
        apr_size_t other_len = strlen(words[i]);
        int d = other_len > WORD_MAX ? WORD_MAX
                                     : distance(word, (int)len, words[i], (int)other_len);

        if (d < best_distance && d < (int)other_len) {
            best_distance = d;
            best = words[i];
        }
    }
    return best;
}
