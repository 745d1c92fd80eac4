/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mod_stek_rotate: TLS session ticket keys that are random, audited, rotate by themselves, survive
 * reloads and restarts, and are destroyed on time.
 *
 * This file is the table of contents: the module's record and its hooks.  docs/ tells what it does
 * for the administrator; include/ has one header per source, with the contract of each.
 *
 *   src/stek_*.c      core: keys, rings, schedule, seal, audit, files (APR and OpenSSL only)
 *   src/mod_stek_*.c  glue: directives, virtual hosts, live keyrings, generator, timer, callbacks,
 *                     status
 */
#include "httpd.h"
#include "http_config.h"
#include "http_core.h"
#include "http_connection.h"
#include "http_log.h"
#include "http_protocol.h"
#include "http_request.h"
#include "ap_mpm.h"
#include "mpm_common.h"
#include "mod_status.h"
#include "apr_optional_hooks.h"
#include "mod_ssl_openssl.h"

#include "mod_stek_config.h"
#include "mod_stek_config_check.h"
#include "mod_stek_config_notices.h"
#include "mod_stek_counters.h"
#include "mod_stek_directives.h"
#include "mod_stek_ticket_outcome.h"
#include "mod_stek_iv.h"
#include "mod_stek_live.h"
#include "mod_stek_words.h"
#include "mod_stek_monitor.h"
#include "mod_stek_phase.h"
#include "mod_stek_ring_start.h"
#include "mod_stek_ssl_ctx.h"
#include "mod_stek_status.h"
#include "mod_stek_ticket.h"
#include "mod_stek_timer.h"
#include "mod_stek_variables.h"
#include "mod_stek_vhost.h"
#include "mod_stek_vhost_notices.h"

APLOG_USE_MODULE(stek_rotate);

static int pre_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp)
{
    mod_stek_vhosts_reset(pconf);
    mod_stek_ticket_outcome_reset();
    return mod_stek_config_reset(pconf, plog, ptemp);
}

/* Before mod_ssl's, which calls mod_stek_ssl_ctx_install for each TLS virtual host. */
static int post_config_first(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    (void)plog;
    (void)ptemp;
    if (!mod_stek_trial_run() && mod_stek_ticket_setup(pconf) != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, s,
                     "STEK3004: OpenSSL cannot set up AES-CBC, so httpd issues no tickets; check "
                     "OpenSSL's configuration and providers");
    }
    return OK;
}

/* After all that other modules do: what it reads is not inherited by processes that they fork. */
static int post_config_last(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    (void)plog;
    if (mod_stek_trial_run()) {
        return OK;
    }
    if (!mod_stek_have_ssl()) {
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s,
                     "STEK3005: mod_stek_rotate is idle, because mod_ssl is not loaded; load "
                     "mod_ssl, or unload this module");
        mod_stek_live_sweep();
        return OK;
    }
    mod_stek_ring_start_all(pconf, ptemp, s);
    mod_stek_ssl_ctx_note_neighbours(ptemp);
    mod_stek_ssl_ctx_note_groups(ptemp);
    mod_stek_vhost_notices_log(ptemp);
    mod_stek_vhost_notices_warn(s, ptemp);
    mod_stek_config_notices(s, ptemp);
    return OK;
}

static void register_hooks(apr_pool_t *p)
{
    (void)p;
    ap_hook_pre_config(pre_config, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_check_config(mod_stek_config_check_settings, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_check_config(mod_stek_config_check_files, NULL, NULL, APR_HOOK_LAST);
    ap_hook_post_config(post_config_first, NULL, NULL, APR_HOOK_FIRST);
    APR_OPTIONAL_HOOK(ssl, init_server, mod_stek_ssl_ctx_install, NULL, NULL, APR_HOOK_LAST);
    ap_hook_post_config(post_config_last, NULL, NULL, APR_HOOK_REALLY_LAST);
    ap_hook_monitor(mod_stek_monitor, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_child_init(mod_stek_iv_child_init, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_child_init(mod_stek_timer_start, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_process_connection(mod_stek_timer_follow_fork, NULL, NULL, APR_HOOK_FIRST);
    APR_OPTIONAL_HOOK(ssl, pre_handshake, mod_stek_ticket_outcome_begin, NULL, NULL,
                      APR_HOOK_MIDDLE);
    ap_hook_create_request(mod_stek_variables_create_request, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_translate_name(mod_stek_variables_translate_name, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_log_transaction(mod_stek_variables_log, NULL, NULL, APR_HOOK_FIRST);
    ap_hook_log_transaction(mod_stek_timer_log_follower, NULL, NULL, APR_HOOK_LAST);
    ap_hook_handler(mod_stek_status_handler, NULL, NULL, APR_HOOK_MIDDLE);
    APR_OPTIONAL_HOOK(ap, status_hook, mod_stek_status_section, NULL, NULL, APR_HOOK_MIDDLE);
}

module AP_MODULE_DECLARE_DATA stek_rotate_module = {STANDARD20_MODULE_STUFF,
                                                    NULL, /* per-directory records */
                                                    NULL,
                                                    mod_stek_server_create,
                                                    mod_stek_server_merge,
                                                    mod_stek_commands,
                                                    register_hooks,
#ifdef AP_MODULE_FLAGS_MMN_MAJOR
                                                    AP_MODULE_FLAG_NONE
#endif
};
