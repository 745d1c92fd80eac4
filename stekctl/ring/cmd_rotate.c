/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Command rotate: adds a key that encrypts from now, or from a later time, to the end of that slot.
 * It merges a patch into the ring and writes the result, all under the lock.  stekctl; one thread.
 */
#include "change.h"
#include "fleet/fleet.h"
#include "options.h"
#include "report.h"
#include "ring.h"
#include "ringio.h"
#include "stek_mem.h"
#include "stek_time.h"

typedef struct rotate_t {
    apr_interval_time_t in;
    stek_key_t *made; /* locked memory */
} rotate_t;

static ctl_exit_e rotate_ring(ctl_t *ctl, const ringio_t *io, apr_time_t now, void *baton,
                              stek_ring_t **pring)
{
    rotate_t *rotate = baton;
    apr_status_t rv = change_add_key(io->ring, now, now + rotate->in, rotate->made, pring);

    return rv == APR_SUCCESS ? CTL_DONE : report_status(ctl, ctl->ring_path, rv, NULL);
}

ctl_exit_e cmd_rotate(ctl_t *ctl, int argc, char **argv)
{
    static const struct option options[] = {
        {"in", required_argument, NULL, 'i'},
        FLEET_WAIT_OPTIONS,
        CTL_OPTION_HELP,
        CTL_OPTION_END,
    };
    rotate_t rotate = {0, NULL};
    fleet_wait_t wait = {0};
    stek_ring_t *ring = NULL;
    ctl_exit_e code;
    int option;

    while ((option = ctl_option(ctl, argc, argv, options)) != -1) {
        if (option == '?') {
            return CTL_USAGE;
        }
        code = option == 'i' ? options_span(ctl, "in", optarg, 0, STEK_TIME_MAX, &rotate.in)
                             : fleet_wait_option(ctl, option, optarg, &wait);
        if (code != CTL_DONE) {
            return code;
        }
    }
    if (optind < argc) {
        return report_usage(ctl, "unexpected argument '%s'", argv[optind]);
    }
    code = fleet_wait_check(ctl, &wait);
    if (code != CTL_DONE) {
        return code;
    }
    rotate.made = stek_mem_alloc(sizeof(*rotate.made));
    if (!rotate.made) {
        return report_status(ctl, ctl->ring_path, APR_ENOMEM, NULL);
    }
    code = ringio_change(ctl, rotate_ring, &rotate, 0, &ring);
    if (code == CTL_DONE) {
        change_print(ctl, ring, rotate.made->name, "rotated", ringio_now());
        code = wait.wanted ? fleet_wait_run(ctl, &wait, ring, 0) : CTL_DONE;
    }
    stek_mem_free(rotate.made);
    stek_ring_destroy(ring);
    return code;
}
