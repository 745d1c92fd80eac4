/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which part of its life httpd is in.  Glue; any thread.
 */
#include "mod_stek_phase.h"

#include "httpd.h"
#include "ap_mpm.h"
#include "http_core.h"

int mod_stek_trial_run(void)
{
    return ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG;
}

int mod_stek_one_process(void)
{
    return ap_exists_config_define("DEBUG") || ap_exists_config_define("ONE_PROCESS");
}
