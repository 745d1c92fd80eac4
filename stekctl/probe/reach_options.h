/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The options of stekctl probe that say how hosts are reached.  stekctl; one thread.
 */
#ifndef STEKCTL_PROBE_REACH_OPTIONS_H
#define STEKCTL_PROBE_REACH_OPTIONS_H

#include "contexts.h"
#include "options.h"

#pragma GCC visibility push(hidden)

typedef struct probe_reach_t {
    probe_starttls_e starttls; /* for hosts that are not URLs */
    probe_client_hello_t hello;
    probe_proxy_t proxy;
} probe_reach_t;

/* For rows of the table of options: of probe_options_t.has, and of the reach's starttls, hello.alpn and proxy. */
option_set_t probe_reach_set_tls;
option_set_t probe_reach_set_starttls;
option_set_t probe_reach_set_alpn;
option_set_t probe_reach_set_proxy;

/* After the last option: makes the contexts. */
ctl_exit_e probe_reach_prepare(ctl_t *ctl, const probe_reach_t *reach, probe_options_t *options);

#pragma GCC visibility pop
#endif
