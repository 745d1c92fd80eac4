/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `SetHandler stek-status`, and a section in mod_status.  Any thread of a child.
 */
#ifndef MOD_STEK_STATUS_H
#define MOD_STEK_STATUS_H

#include "mod_stek_report.h"

#pragma GCC visibility push(hidden)

/* handler hook: answers GET with the page, ?format=json or ?format=prometheus. */
int mod_stek_status_handler(request_rec *r);

/* mod_status's hook: flags are AP_STATUS_*. */
int mod_stek_status_section(request_rec *r, int flags);

/* The forms: each writes the report to r. */
void mod_stek_status_html(request_rec *r, const mod_stek_report_t *report);
void mod_stek_status_json(request_rec *r, const mod_stek_report_t *report);
void mod_stek_status_prometheus(request_rec *r, const mod_stek_report_t *report);

/* Value of the page's Content-Security-Policy; NULL if OpenSSL cannot digest. */
const char *mod_stek_status_csp(apr_pool_t *pool);

#pragma GCC visibility pop
#endif
