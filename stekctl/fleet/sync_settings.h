/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The settings of stekctl sync, from its command line and its configuration file; the command line
 * takes precedence.  One thread.
 */
#ifndef STEKCTL_SYNC_SETTINGS_H
#define STEKCTL_SYNC_SETTINGS_H

#include "stekctl.h"
#include "sync_host.h"

#pragma GCC visibility push(hidden)

typedef struct sync_settings_t {
    sync_options_t options;
    const char *config_path;             /* NULL: no file */
    const char *ring_path, *secret_path; /* from the configuration file */
    int status, check;
    int viewer;     /* of the command fleet: takes only the options that it needs */
    int silent;     /* announces no host */
    int has_stores; /* from the command line */
} sync_settings_t;

/* Sets the defaults. */
void sync_settings_init(sync_settings_t *settings);

/* Reads the command line and the file.  Reports errors.  sync_settings_check comes next. */
ctl_exit_e sync_settings_parse(ctl_t *ctl, int argc, char **argv, sync_settings_t *settings);

/* Its first step: reads the file at config_path. */
ctl_exit_e sync_settings_read(ctl_t *ctl, sync_settings_t *settings);

#pragma GCC visibility pop
#endif
