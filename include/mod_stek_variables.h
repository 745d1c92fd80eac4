/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Variables of a request on a TLS connection whose tickets are ours, as notes (LogFormat
 * %{STEK_TICKET}n) and in the environment (%{STEK_TICKET}e, reqenv('STEK_TICKET'), CGI):
 *
 *     STEK_TICKET   new, resumed-current, resumed-old, resumed-future, full-unknown,
 *                   full-expired, full-damaged, full-policy, full-age, full-secrecy, none
 *     STEK_KEY      first four bytes of the key's name, in hex: of the ticket that came, else of
 *                   the one that was issued; not set if there was neither
 *     STEK_RING     name of the ring
 *
 * Every thread has its own requests.
 */
#ifndef MOD_STEK_VARIABLES_H
#define MOD_STEK_VARIABLES_H

#include "httpd.h"

#pragma GCC visibility push(hidden)

/* create_request hook: for whatever reads them while the request is processed. */
int mod_stek_variables_create_request(request_rec *r);

/* translate_name hook: an internal redirect begins with new tables. */
int mod_stek_variables_translate_name(request_rec *r);

/* log_transaction hook, before those that log: also for requests that did not get so far. */
int mod_stek_variables_log(request_rec *r);

#pragma GCC visibility pop
#endif
