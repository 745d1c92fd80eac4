/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The options of stekctl probe that say how hosts are reached.  stekctl; one thread.
 */
#ifndef STEKCTL_PROBE_REACH_OPTIONS_H
#define STEKCTL_PROBE_REACH_OPTIONS_H

#include "contexts.h"
#include "stekctl.h"

#pragma GCC visibility push(hidden)

typedef struct probe_reach_t {
    probe_starttls_e starttls; /* for hosts that are not URLs */
    probe_client_hello_t hello;
    probe_proxy_t proxy;
} probe_reach_t;

/* For the table of options. */
#define PROBE_REACH_OPTIONS                                                                        \
    {"starttls", required_argument, NULL, 'S'}, {"alpn", required_argument, NULL, 'a'},            \
        {"cert", required_argument, NULL, 'c'}, {"key", required_argument, NULL, 'K'},             \
        {"proxy", required_argument, NULL, 'p'},                                                   \
    {                                                                                              \
        "tls", required_argument, NULL, 't'                                                        \
    }

/* One of these options, with its value in optarg.  Nonzero: reported an invalid value. */
int probe_reach_set(ctl_t *ctl, probe_reach_t *reach, probe_options_t *options, int option);

/* After the last option: makes the contexts. */
ctl_exit_e probe_reach_prepare(ctl_t *ctl, const probe_reach_t *reach, probe_options_t *options);

#pragma GCC visibility pop
#endif
