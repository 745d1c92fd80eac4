/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is kept for --status (state.h).
 */
#include "state.h"

#include <apr_strings.h>
#include <stdlib.h>
#include <string.h>

#include "stek_file.h"

#define STATE_MAX 8192

static const char *state_path(const ctl_t *ctl, apr_pool_t *pool)
{
    return apr_pstrcat(pool, ctl->ring_path, ".sync", NULL);
}

/* Lines "TIME URL": the last success of each store. */
void sync_state_write(const sync_host_t *host)
{
    const char *path = state_path(host->ctl, host->pool), *text = "";
    int i;

    for (i = 0; i < host->options->store_n; i++) {
        text = apr_psprintf(host->pool, "%s%" APR_TIME_T_FMT " %s\n", text,
                            apr_time_sec(host->stores[i].last_success), host->stores[i].url);
    }
    (void)stek_file_replace(path, text, strlen(text), 0640, (gid_t)-1, 0, host->pool);
}

void sync_state_read(sync_host_t *host)
{
    char *text = apr_palloc(host->pool, STATE_MAX + 1), *line, *last = NULL;
    apr_size_t len = 0;
    int i;

    if (stek_file_read(state_path(host->ctl, host->pool), STEK_FILE_RING, host->ctl->owner, text,
                       STATE_MAX, &len, NULL, NULL, host->pool)
        != APR_SUCCESS) {
        return;
    }
    text[len] = '\0';
    for (line = apr_strtok(text, "\n", &last); line; line = apr_strtok(NULL, "\n", &last)) {
        const char *url = strchr(line, ' ');
        apr_int64_t at_s = strtoll(line, NULL, 10);

        /* Whatever stands there: what cannot be a time is none. */
        at_s = at_s >= 0 && at_s <= STEK_SEAL_TIME_MAX_S ? at_s : 0;
        for (i = 0; url && i < host->options->store_n; i++) {
            if (!strcmp(host->stores[i].url, url + 1)) {
                host->stores[i].last_success = apr_time_from_sec(at_s);
            }
        }
    }
}
