/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The terminal: its size, whether it takes colours and block characters, and a full-screen mode
 * that leaves it as it was on every way out, signals among them.  One thread; one full-screen mode
 * at a time.
 */
#ifndef STEKCTL_TERMINAL_H
#define STEKCTL_TERMINAL_H

#include <stdio.h>

#pragma GCC visibility push(hidden)

typedef struct terminal_t {
    int is_tty;  /* standard output */
    int colour;  /* and NO_COLOR is not set */
    int unicode; /* the locale's characters are UTF-8 */
    int columns, rows;
} terminal_t;

void terminal_look(terminal_t *terminal);

/* Alternate screen, no cursor, keys not echoed.  0, or -1 with errno set. */
int terminal_enter(void);

/* As it was.  Harmless if it is so already. */
void terminal_leave(void);

/* Waits up to ms for a key or a signal.  Nonzero: to end (q, Ctrl-C, SIGTERM, SIGHUP). */
int terminal_wait(int ms);

/* Draws text (lines) over the whole screen; no more than fit.  0, or -1 with errno set. */
int terminal_draw(const char *text, int rows);

#pragma GCC visibility pop
#endif
