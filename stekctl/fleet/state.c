/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state file for --status (state.h).
 */
#include "state.h"

#include <apr_strings.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"
#include "stek_claim.h"
#include "stek_file.h"

#define STATE_MAX 8192

static const char *state_path(const ctl_t *ctl, apr_pool_t *pool)
{
    return apr_pstrcat(pool, ctl->ring_path, ".sync", NULL);
}

/* Nonzero if every line looks like those of sync_state_write. */
static int is_state(const unsigned char *bytes, apr_size_t len, const void *baton)
{
    const char *line = (const char *)bytes, *end;
    apr_size_t digits, scheme;

    (void)baton;
    while ((end = memchr(line, '\n', len))) {
        digits = strspn(line, "0123456789");
        scheme = line[digits] == ' ' ? strspn(line + digits + 1, "abcdefghijklmnopqrstuvwxyz+") : 0;
        if (digits == 0 || scheme == 0 || strncmp(line + digits + 1 + scheme, "://", 3) != 0) {
            return 0;
        }
        len -= (apr_size_t)(end + 1 - line);
        line = end + 1;
    }
    return len == 0;
}

static const stek_claim_t state_claim = {"a state of stekctl sync", STATE_MAX, 1, is_state, NULL};

/* Lines "TIME URL CYCLES": the last success of each store, and for how many cycles it took no write. */
void sync_state_write(const sync_host_t *host)
{
    const stek_file_how_t how = {host->ctl->owner, (uid_t)-1, (gid_t)-1, 0640, 0};
    const char *path = state_path(host->ctl, host->pool), *text = "", *found;
    apr_status_t rv;
    int i;

    for (i = 0; i < host->options->store_n; i++) {
        text = apr_psprintf(host->pool, "%s%" APR_TIME_T_FMT " %s %u\n", text,
                            apr_time_sec(host->stores[i].last_success), host->stores[i].url,
                            host->stores[i].overtaken_n);
    }
    rv = stek_claim_check(&state_claim, path, host->ctl->owner, &found, host->pool);
    if (rv == APR_SUCCESS || APR_STATUS_IS_ENOENT(rv)) {
        (void)stek_file_replace(path, text, strlen(text), &how, host->pool);
    }
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
        char *url = strchr(line, ' '), *cycles = url ? strchr(url + 1, ' ') : NULL;
        int overtaken_n = cycles ? options_number(cycles + 1, 0, 1000000) : 0;
        apr_int64_t at_s = strtoll(line, NULL, 10);

        /* Anything that cannot be a time counts as never. */
        at_s = at_s >= 0 && at_s <= STEK_SEAL_TIME_MAX_S ? at_s : 0;
        if (cycles) {
            *cycles = '\0';
        }
        for (i = 0; url && i < host->options->store_n; i++) {
            if (!strcmp(host->stores[i].url, url + 1)) {
                host->stores[i].last_success = apr_time_from_sec(at_s);
                host->stores[i].overtaken_n = overtaken_n > 0 ? (unsigned)overtaken_n : 0;
            }
        }
    }
}
