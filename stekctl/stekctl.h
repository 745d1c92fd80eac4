/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stekctl: what a command is.  One process, one thread, one command; the pool lives as long as the
 * process.  Commands report what went wrong and return the exit code.  They are in four folders,
 * each with one header for the others to include: ring/ring.h, convert/convert.h, fleet/fleet.h,
 * probe/probe.h.
 */
#ifndef STEKCTL_STEKCTL_H
#define STEKCTL_STEKCTL_H

#include <apr_pools.h>
#include <sys/types.h>

#pragma GCC visibility push(hidden)

/* Exit codes: an interface, stekctl(8). */
typedef enum ctl_exit_e {
    CTL_DONE = 0,
    CTL_FINDING = 1, /* a weak key, an unhealthy ring, no key to export */
    CTL_USAGE = 2,
    CTL_REFUSED = 3, /* permissions, seal, format, a name that does not exist */
    CTL_IO = 4,
    CTL_STORE = 5, /* sync --once: the ring has a current key, but a store could not be used */
    CTL_BEHIND = 6 /* --wait: done, but not all hosts of the fleet have applied the change */
} ctl_exit_e;

/* Global options, complete before the command runs. */
typedef struct ctl_t {
    const char *ring_path;
    const char *secret_path;
    int secret_given; /* by an option or the environment, not by default */
    int json;
    int from_file; /* options are being read from a configuration file */
    uid_t owner;   /* the user whose files are trusted besides root's */
    apr_pool_t *pool;
    const struct ctl_command_t *command; /* the running one */
} ctl_t;

typedef struct ctl_command_t {
    const char *name;
    ctl_exit_e (*run)(ctl_t *ctl, int argc, char **argv); /* argv[0]: the command's name */
    const char *arguments;                                /* one line */
    const char *help;                                     /* sentences for --help */
} ctl_command_t;

#pragma GCC visibility pop
#endif
