/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The terminal: its size, whether it supports colours and block characters, and a full-screen mode
 * that restores it however the program ends, even by a signal.  One thread; one full-screen mode at
 * a time.
 */
#ifndef STEKCTL_TERMINAL_H
#define STEKCTL_TERMINAL_H

#include <stdio.h>

#pragma GCC visibility push(hidden)

typedef struct terminal_t {
    int is_tty;  /* standard output */
    int colour;  /* is_tty, and NO_COLOR is not set */
    int unicode; /* the locale's characters are UTF-8 */
    int columns, rows;
} terminal_t;

void terminal_look(terminal_t *terminal);

/* Switches to the alternate screen, without cursor and echo.  0, or -1 with errno set. */
int terminal_enter(void);

/* Restores the terminal.  Does nothing if it is restored already. */
void terminal_leave(void);

/* Waits up to ms for a key or a signal.  Nonzero: quit (q, Ctrl-C, SIGTERM, SIGHUP). */
int terminal_wait(int ms);

/* Draws as many lines of text as fit over the whole screen.  0, or -1 with errno set. */
int terminal_draw(const char *text, int rows);

#pragma GCC visibility pop
#endif
