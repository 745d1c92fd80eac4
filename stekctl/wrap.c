/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Wraps text between words (wrap.h).  Columns are characters of UTF-8.  stekctl; one thread.
 */
#include "wrap.h"

#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define COLUMNS_MIN 20
#define COLUMNS_MAX 100
#define INDENT_NARROW 4 /* where there is no room for more */

int wrap_columns(int fd)
{
    struct winsize size;

    if (!isatty(fd) || ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) {
        return WRAP_COLUMNS;
    }
    if (size.ws_col < COLUMNS_MIN) {
        return COLUMNS_MIN;
    }
    return size.ws_col < COLUMNS_MAX ? size.ws_col : COLUMNS_MAX;
}

/* Characters that begin in so many bytes. */
static int width_of(const char *text, size_t len)
{
    int width = 0;

    while (len-- > 0) {
        width += ((unsigned char)*text++ & 0xc0) != 0x80;
    }
    return width;
}

static void put_spaces(FILE *out, int n)
{
    fprintf(out, "%*s", n, "");
}

int wrap_words(FILE *out, const char *text, int at, int indent, int columns)
{
    if (indent > columns / 2) {
        indent = INDENT_NARROW;
    }
    while (*text) {
        size_t gap = strspn(text, " \n"), len = strcspn(text + gap, " \n");
        int width = width_of(text + gap, len);
        int spaces = gap == 2 && text[0] == ' ' ? 2 : gap > 0;

        if (len == 0) {
            break;
        }
        if (at > indent && at + spaces + width > columns) {
            putc('\n', out);
            put_spaces(out, indent);
            at = indent;
            spaces = 0;
        }
        put_spaces(out, spaces);
        fwrite(text + gap, 1, len, out);
        at += spaces + width;
        text += gap + len;
    }
    return at;
}

/* Where an item's explanation begins; 0: the line is none, or has none. */
static int explained_at(const char *line, size_t len)
{
    size_t i = strspn(line, " ");

    if (i == 0) {
        return 0;
    }
    for (; i + 2 < len; i++) {
        if (line[i] == ' ' && line[i + 1] == ' ') {
            return (int)(i + strspn(line + i, " "));
        }
    }
    return 0;
}

void wrap_help(FILE *out, const char *text, int columns)
{
    int indent = -1, at = 0; /* of the item that goes on; -1: none */

    while (*text) {
        char line[512] = " "; /* a gap, for where the line goes on */
        size_t len = strcspn(text, "\n"), kept = len < sizeof(line) - 2 ? len : sizeof(line) - 2;
        int lead;

        memcpy(line + 1, text, kept);
        line[kept + 1] = '\0';
        lead = (int)strspn(line + 1, " ");
        if (kept > 0 && lead == indent) {
            at = wrap_words(out, line + lead, at, indent, columns);
        }
        else {
            fputs(at > 0 ? "\n" : "", out);
            at = explained_at(line + 1, kept);
            at = at ? at : lead;
            fwrite(line + 1, 1, (size_t)at, out);
            indent = kept ? at : -1;
            at = wrap_words(out, line + 1 + at, at, indent, columns);
            fputs(kept ? "" : "\n", out);
        }
        text += len + (text[len] == '\n');
    }
    fputs(at > 0 ? "\n" : "", out);
}
