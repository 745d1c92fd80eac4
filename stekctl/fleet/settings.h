/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stekctl sync is told: by its command line, which goes before the configuration file, and by
 * that file.  One thread.
 */
#ifndef STEKCTL_SYNC_SETTINGS_H
#define STEKCTL_SYNC_SETTINGS_H

#include "stekctl.h"
#include "sync_host.h"

#pragma GCC visibility push(hidden)

typedef struct sync_settings_t {
    sync_options_t options;
    const char *config_path;             /* NULL: there is no file */
    const char *ring_path, *secret_path; /* of the configuration file */
    int once, status;
} sync_settings_t;

/* As they are where nothing is said. */
void sync_settings_init(sync_settings_t *settings);

/* Sets what command line and file say, the paths in ctl too.  Reports. */
ctl_exit_e sync_settings_parse(ctl_t *ctl, int argc, char **argv, sync_settings_t *settings);

/* The steps of that: the file at config_path, and whether all of it goes together. */
ctl_exit_e sync_settings_read(ctl_t *ctl, sync_settings_t *settings);
ctl_exit_e sync_settings_check(ctl_t *ctl, sync_settings_t *settings);

#pragma GCC visibility pop
#endif
