/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that export leaves: written in one step, 0600, and removed when their key has ended.  One
 * thread.
 */
#ifndef STEKCTL_OUTPUT_H
#define STEKCTL_OUTPUT_H

#include "selection.h"
#include "stekctl.h"

#pragma GCC visibility push(hidden)

#define OUTPUT_TICKETS_CONF "tickets.conf"

typedef struct output_t {
    format_e format;
    const char *path; /* nginx: a directory */
    uid_t uid;        /* whose the files are to be; (uid_t)-1: the process's */
    gid_t gid;
    int force; /* replaces also what is no export, if it is a regular file */
} output_t;

/* Checks that others cannot change the place, and that nothing of others stands there; makes nginx's
 * directory.  Reports. */
ctl_exit_e output_prepare(ctl_t *ctl, output_t *output);

/* Writes the selection, then takes away what is not in it.  Reports. */
ctl_exit_e output_write(ctl_t *ctl, const output_t *output, const selection_t *selection);

/* Takes all key files away, and nothing else.  Reports. */
ctl_exit_e output_remove(ctl_t *ctl, const output_t *output);

#pragma GCC visibility pop
#endif
