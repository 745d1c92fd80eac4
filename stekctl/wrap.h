/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text for people, wrapped between words: a terminal would break in the middle of one.  stekctl; one
 * thread.
 */
#ifndef STEKCTL_WRAP_H
#define STEKCTL_WRAP_H

#include <stdio.h>

#pragma GCC visibility push(hidden)

/* What is not written to a terminal. */
#define WRAP_COLUMNS 80

/* Columns that text for this descriptor may have: those of its terminal, but at least 20 and at most
 * 100; 80 if it is none. */
int wrap_columns(int fd);

/* Writes the words of text, with line breaks so that no line has more than columns, except one that
 * is a single word.  at: columns that are already taken; further lines begin with indent spaces.
 * Spaces between words become one, but two that end a sentence stay two.  Returns the columns taken in
 * the last line. */
int wrap_words(FILE *out, const char *text, int at, int indent, int columns);

/* Writes lines of help: paragraphs, and items "  --option TEXT  what it does" with further lines
 * below what it does, each wrapped anew. */
void wrap_help(FILE *out, const char *text, int columns);

#pragma GCC visibility pop
#endif
