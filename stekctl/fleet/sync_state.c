/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state file for --status (sync_state.h).
 */
#include "sync_state.h"

#include <apr_strings.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fleet.h"
#include "floor.h"
#include "options.h"
#include "report.h"
#include "stek_claim.h"
#include "stek_file.h"

/* KNOWN_HOSTS_MAX of the longest lines, and more than stores and floor need. */
#define STATE_MAX 262144
#define FLOOR_SCHEME "floor://"
#define HOST_SCHEME "host://"

/* A running sync sees a change of the ring within a second. */
#define KEPT_PAUSE apr_time_from_msec(50)
#define KEPT_TRIES 100

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

static const char *known_lines(const sync_host_t *host)
{
    apr_array_header_t *lines = apr_array_make(host->pool, 8, sizeof(const char *));
    int i;

    for (i = 0; host->known && i < host->known->nelts; i++) {
        const known_host_t *known = &APR_ARRAY_IDX(host->known, i, known_host_t);

        APR_ARRAY_PUSH(lines, const char *) = apr_psprintf(
            host->pool, "%" APR_TIME_T_FMT " " HOST_SCHEME "%s\n", apr_time_sec(known->seen),
            known->name);
    }
    return apr_array_pstrcat(host->pool, lines, 0);
}

/* Lines "TIME URL CYCLES AHEAD": the last success of each store, for how many cycles in a row it took no write, and
 * for how many its object was ahead of the clock; runs of sync --once count on.
 * "MTIME floor://PATH": the floor has the revocations of a file ring of that modification time, in ns.
 * "TIME host://NAME": that host has been seen, and last spoke at that time. */
void sync_state_write(sync_host_t *host)
{
    const stek_file_how_t how = {host->ctl->owner, (uid_t)-1, (gid_t)-1, 0640, 0};
    const char *path = state_path(host->ctl, host->pool), *text = "", *found = NULL;
    apr_status_t rv;
    int i;

    for (i = 0; i < host->options->store_n; i++) {
        text = apr_psprintf(host->pool, "%s%" APR_TIME_T_FMT " %s %u %u\n", text,
                            apr_time_sec(host->stores[i].last_success), host->stores[i].url,
                            host->stores[i].overtaken_n, host->stores[i].ahead_n);
    }
    if (host->kept_ns > 0 && !strchr(host->options->floor_path, '\n')) {
        text = apr_psprintf(host->pool, "%s%" APR_INT64_T_FMT " " FLOOR_SCHEME "%s\n", text,
                            host->kept_ns, host->options->floor_path);
    }
    text = apr_pstrcat(host->pool, text, known_lines(host), NULL);
    rv = stek_claim_check(&state_claim, path, host->ctl->owner, &found, host->pool);
    if (rv == APR_SUCCESS || APR_STATUS_IS_ENOENT(rv)) {
        rv = APR_SUCCESS;
        (void)stek_file_replace(path, text, strlen(text), &how, host->pool);
    }
    if (rv != APR_SUCCESS && rv != host->state_rv) {
        (void)report_status(host->ctl, path, rv, found); /* --wait does without what it has seen */
    }
    host->state_rv = rv;
}

/* The file's text, in pool; NULL if it cannot be read. */
static char *read_text(const ctl_t *ctl, apr_pool_t *pool)
{
    char *text = apr_palloc(pool, STATE_MAX + 1);
    apr_size_t len = 0;

    if (stek_file_read(state_path(ctl, pool), STEK_FILE_RING, ctl->owner, text, STATE_MAX, &len,
                       NULL, NULL, pool)
        != APR_SUCCESS) {
        return NULL;
    }
    text[len] = '\0';
    return text;
}

/* Anything that cannot be a time counts as never. */
static apr_time_t time_of(const char *line)
{
    apr_int64_t at_s = strtoll(line, NULL, 10);

    return apr_time_from_sec(at_s >= 0 && at_s <= STEK_SEAL_TIME_MAX_S ? at_s : 0);
}

apr_array_header_t *sync_state_known(const ctl_t *ctl, apr_pool_t *pool)
{
    char *text = read_text(ctl, pool), *line, *last = NULL;
    apr_array_header_t *known = known_hosts_make(pool);

    for (line = text ? apr_strtok(text, "\n", &last) : NULL; line;
         line = apr_strtok(NULL, "\n", &last)) {
        const char *url = strchr(line, ' ');

        if (url && !strncmp(url + 1, HOST_SCHEME, strlen(HOST_SCHEME))) {
            known_hosts_add(known, url + 1 + strlen(HOST_SCHEME), time_of(line));
        }
    }
    return known;
}

/* A number of cycles; 0 if there is none. */
static unsigned cycles_of(const char *word)
{
    int n = word ? options_number(word, 0, 1000000) : 0;

    return n > 0 ? (unsigned)n : 0;
}

void sync_state_read(sync_host_t *host)
{
    char *text = read_text(host->ctl, host->pool), *line, *last = NULL;
    int i;

    host->known = sync_state_known(host->ctl, host->ctl->pool);
    for (line = text ? apr_strtok(text, "\n", &last) : NULL; line;
         line = apr_strtok(NULL, "\n", &last)) {
        char *rest = line;
        const char *at = apr_strtok(NULL, " ", &rest), *url = apr_strtok(NULL, " ", &rest);
        unsigned overtaken_n = cycles_of(apr_strtok(NULL, " ", &rest));
        unsigned ahead_n = cycles_of(apr_strtok(NULL, " ", &rest));

        for (i = 0; url && i < host->options->store_n; i++) {
            if (!strcmp(host->stores[i].url, url)) {
                host->stores[i].last_success = time_of(at);
                host->stores[i].overtaken_n = overtaken_n;
                host->stores[i].ahead_n = ahead_n;
            }
        }
    }
}

/* The floor that sync keeps for the ring, and the modification time of the ring whose revocations are in it;
 * NULL: none. */
static const char *floor_path(const ctl_t *ctl, apr_int64_t *pkept_ns, apr_pool_t *pool)
{
    char *text = read_text(ctl, pool), *line, *last = NULL;

    for (line = text ? apr_strtok(text, "\n", &last) : NULL; line;
         line = apr_strtok(NULL, "\n", &last)) {
        char *url = strchr(line, ' ');

        if (url && !strncmp(url + 1, FLOOR_SCHEME, strlen(FLOOR_SCHEME))) {
            *pkept_ns = strtoll(line, NULL, 10);
            return url + 1 + strlen(FLOOR_SCHEME);
        }
    }
    return NULL;
}

/* Whether the floor has the revocations of the ring as the command has left it, or as it is now: sync may
 * have written it again.  Later times say nothing: the clock may have been ahead. */
static int is_kept(const ctl_t *ctl, apr_int64_t left_ns, apr_int64_t kept_ns)
{
    stek_stamp_t stamp;

    return kept_ns == left_ns
           || (stek_file_stamp(ctl->ring_path, &stamp) == APR_SUCCESS && kept_ns == stamp.mtime_ns);
}

void fleet_report_kept(ctl_t *ctl)
{
    stek_stamp_t left;
    apr_int64_t kept_ns = 0;
    const char *path = floor_path(ctl, &kept_ns, ctl->pool);
    int i, kept;

    if (!path || stek_file_stamp(ctl->ring_path, &left) != APR_SUCCESS) {
        return;
    }
    kept = is_kept(ctl, left.mtime_ns, kept_ns);
    for (i = 0; i < KEPT_TRIES && !kept && floor_is_held(path); i++) {
        apr_sleep(KEPT_PAUSE);
        path = floor_path(ctl, &kept_ns, ctl->pool);
        if (!path) {
            return;
        }
        kept = is_kept(ctl, left.mtime_ns, kept_ns);
    }
    if (!kept) {
        report_line("%s: sync has not picked up the revocation yet, so a reboot of this host would "
                    "forget it; start sync, or run 'stekctl sync --once' with its settings",
                    path);
    }
    else if (!ctl->json) {
        printf(
            "%s: has the revocation, so it outlives a reboot; sync writes it to the stores next\n",
            report_path(path, ctl->pool));
    }
}
