/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files that export writes: in one step, with mode 0600.  It removes them when their keys have
 * ended.  One thread.
 */
#ifndef STEKCTL_OUTPUT_H
#define STEKCTL_OUTPUT_H

#include "export_keys.h"
#include "stekctl.h"

#pragma GCC visibility push(hidden)

#define OUTPUT_TICKETS_CONF "tickets.conf"

typedef struct output_t {
    format_e format;
    const char *path; /* nginx: a directory */
    uid_t uid;        /* the files' owner; (uid_t)-1: the process's user */
    gid_t gid;
    int force; /* replaces even a file that is not an export, if it is regular */
} output_t;

/* Checks that others cannot change the directory, and that the path contains no one else's file;
 * creates nginx's directory.  Reports errors. */
ctl_exit_e output_prepare(ctl_t *ctl, output_t *output);

/* Writes the selection, then removes keys that are not in it.  Reports errors. */
ctl_exit_e output_write(ctl_t *ctl, const output_t *output, const export_keys_t *selection);

/* Removes all key files, and nothing else.  Reports errors. */
ctl_exit_e output_remove(ctl_t *ctl, const output_t *output);

#pragma GCC visibility pop
#endif
