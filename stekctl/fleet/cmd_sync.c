/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Command sync: keeps file ring and stores in step, shows their state, or checks the
 * settings.  stekctl; main thread.
 */
#include <string.h>

#include "confine.h"
#include "fleet.h"
#include "sync_loop.h"
#include "sync_settings_check.h"
#include "sync_status.h"
#include "store_worker.h"

ctl_exit_e cmd_sync(ctl_t *ctl, int argc, char **argv)
{
    sync_settings_t settings;
    ctl_exit_e code;

    /* Internal: store.c starts its workers like this. */
    if (argc == 2 && !strcmp(argv[1], "--worker")) {
        return store_worker() == 0 ? CTL_DONE : CTL_IO;
    }
    confine_self();
    sync_settings_init(&settings);
    code = sync_settings_parse(ctl, argc, argv, &settings);
    if (code == CTL_DONE) {
        code = sync_settings_check(ctl, &settings);
    }
    if (code != CTL_DONE) {
        return code;
    }
    if (settings.check) {
        return sync_settings_show(ctl, &settings);
    }
    return settings.status ? sync_status_show(ctl, &settings.options)
                           : sync_loop_run(ctl, &settings.options);
}
