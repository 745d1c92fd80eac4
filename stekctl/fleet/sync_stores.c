/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host's stores (sync_stores.h).  stekctl; one thread.
 */
#include "sync_stores.h"

#include <apr_strings.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ratchet.h"
#include "report.h"
#include "stek_error.h"
#include "stek_file.h"
#include "stek_mem.h"
#include "store_url.h"
#include "sync_watch.h"

#define PASSWORD_MAX 1024
#define PEM_MAX 65536

/* Besides root: whose file it may be.  Root who looks at a fleet takes the files that the user of
 * 'stekctl sync' has for it, since root's configuration names them. */
static uid_t login_owner(const sync_host_t *host, const char *path)
{
    struct stat st;

    return host->reader && geteuid() == 0 && stat(path, &st) == 0 ? st.st_uid : host->ctl->owner;
}

/* The first line of the password's file, in locked memory. */
static ctl_exit_e load_password(sync_host_t *host, char **ppassword)
{
    const char *path = host->options->password_path, *culprit = NULL;
    apr_size_t len = 0;
    apr_status_t rv;

    *ppassword = NULL;
    if (!path) {
        return CTL_DONE;
    }
    *ppassword = stek_mem_alloc(PASSWORD_MAX + 1);
    if (!*ppassword) {
        return report_status(host->ctl, path, APR_ENOMEM, NULL);
    }
    rv = stek_file_read(path, STEK_FILE_SECRET, login_owner(host, path), *ppassword, PASSWORD_MAX,
                        &len, NULL, &culprit, host->pool);
    if (rv == APR_SUCCESS) {
        (*ppassword)[len] = '\0';
        (*ppassword)[strcspn(*ppassword, "\r\n")] = '\0';
        rv = **ppassword ? APR_SUCCESS : STEK_EEMPTY;
    }
    if (rv != APR_SUCCESS) {
        stek_mem_free(*ppassword);
        *ppassword = NULL;
        return report_status(host->ctl, path, rv, culprit);
    }
    return CTL_DONE;
}

/* Whether the stores' workers will be able to read it, and nobody can change it, or read a key. */
static ctl_exit_e check_pem(sync_host_t *host, const char *path, stek_file_kind_e kind)
{
    const char *culprit = NULL;
    apr_size_t len = 0;
    apr_status_t rv = APR_ENOMEM;
    char *text;

    if (!path) {
        return CTL_DONE;
    }
    text = stek_mem_alloc(PEM_MAX);
    if (text) {
        rv = stek_file_read(path, kind, login_owner(host, path), text, PEM_MAX, &len, NULL,
                            &culprit, host->pool);
    }
    if (rv == APR_SUCCESS) {
        rv = len > 0 ? APR_SUCCESS : STEK_EEMPTY;
    }
    stek_mem_free(text);
    return rv == APR_SUCCESS ? CTL_DONE : report_status(host->ctl, path, rv, culprit);
}

/* *ppassword is in locked memory, also after a failure. */
static ctl_exit_e load_login(sync_host_t *host, char **ppassword, store_login_t *login)
{
    const sync_options_t *options = host->options;
    ctl_exit_e code = load_password(host, ppassword);

    if (code == CTL_DONE) {
        code = check_pem(host, options->ca_path, STEK_FILE_RING);
    }
    if (code == CTL_DONE) {
        code = check_pem(host, options->cert_path,
                         options->key_path ? STEK_FILE_RING : STEK_FILE_SECRET);
    }
    if (code == CTL_DONE) {
        code = check_pem(host, options->key_path, STEK_FILE_SECRET);
    }
    login->password = *ppassword;
    login->ca = options->ca_path;
    login->cert = options->cert_path;
    login->key = options->key_path;
    return code;
}

/* The key under which stores know this fleet's object. */
static const char *object_name(const stek_secrets_t *fleet, apr_pool_t *pool)
{
    char *name = apr_palloc(pool, 5 + 2 * STEK_FLEET_ID_LEN + 1);
    int i;

    memcpy(name, "stek:", 5);
    for (i = 0; i < STEK_FLEET_ID_LEN; i++) {
        snprintf(name + 5 + (apr_size_t)2 * i, 3, "%02x", fleet->fleet_id[i]);
    }
    return name;
}

ctl_exit_e sync_stores_open_beside(sync_host_t *host, const char *const *urls, int n,
                                   const char *object, store_t **opened)
{
    const sync_options_t *options = host->options;
    store_login_t login = {0};
    char *password = NULL;
    ctl_exit_e code = load_login(host, &password, &login);
    int i, opened_n = 0;

    for (i = 0; code == CTL_DONE && i < n; i++) {
        const char *wrong = store_open(urls[i], object, &login,
                                       (int)apr_time_as_msec(options->timeout), host->ctl->pool,
                                       &opened[i]);

        if (wrong) {
            code = report_usage(host->ctl, "store '%s': %s", store_url_shown(urls[i], host->pool),
                                wrong);
        }
        opened_n += !wrong;
    }
    while (code != CTL_DONE && opened_n > 0) {
        store_close(opened[--opened_n]);
    }
    stek_mem_free(password);
    return code;
}

/* A second worker for each store that says what changes. */
static ctl_exit_e open_watches(sync_host_t *host)
{
    const sync_options_t *options = host->options;
    store_t *opened[SYNC_STORES_MAX] = {NULL};
    ctl_exit_e code = sync_stores_open_beside(host, options->urls, options->store_n,
                                              object_name(host->fleet, host->ctl->pool), opened);
    int i;

    sync_watch_close(host);
    for (i = 0; code == CTL_DONE && i < options->store_n; i++) {
        if (store_can_watch(opened[i]) == STORE_WATCH_NONE) {
            store_close(opened[i]);
        }
        else {
            host->stores[i].watch.store = opened[i];
        }
    }
    return code;
}

ctl_exit_e sync_stores_open(sync_host_t *host)
{
    const sync_options_t *options = host->options;
    store_t *opened[SYNC_STORES_MAX] = {NULL};
    ctl_exit_e code = sync_stores_open_beside(host, options->urls, options->store_n,
                                              object_name(host->fleet, host->ctl->pool), opened);
    int i;

    for (i = 0; code == CTL_DONE && i < options->store_n; i++) {
        store_close(host->stores[i].store);
        host->stores[i].store = opened[i];
        host->stores[i].url = options->urls[i];
        host->stores[i].reseal = 1;
    }
    return code == CTL_DONE && !host->once && !host->reader ? open_watches(host) : code;
}

void sync_stores_close(sync_host_t *host)
{
    int i;

    sync_watch_close(host);
    for (i = 0; i < SYNC_STORES_MAX; i++) {
        store_close(host->stores[i].store);
        host->stores[i].store = NULL;
    }
}

apr_status_t sync_stores_secret(const sync_host_t *host, stek_secrets_t **pmade,
                                const stek_secret_t **psecret)
{
    apr_status_t rv = APR_SUCCESS;

    *pmade = NULL;
    if (host->fleet_day > 0 && !host->day_confirmed) {
        rv = ratchet_keys(host->fleet, host->fleet_day, pmade);
    }
    if (rv == APR_SUCCESS) {
        *psecret = &(*pmade ? *pmade : host->keys[1])->secrets[0];
    }
    return rv;
}

void sync_stores_note_views(sync_host_t *host, const sync_view_t *views)
{
    int i;

    for (i = 0; i < host->options->store_n; i++) {
        sync_store_t *store = &host->stores[i];

        if (views[i].why == STEK_EFULL && views[i].answer == SYNC_REFUSED) {
            store->answer = SYNC_REFUSED;
            apr_cpystrn(
                store->why,
                "its ring holds more revocations than fit, so somebody who has the fleet secret made "
                "them up; roll that secret, then run 'stekctl revoke --all'",
                sizeof(store->why));
        }
    }
}

void sync_stores_note(sync_host_t *host, const sync_view_t *views, const sync_result_t *result)
{
    int i;

    sync_stores_note_views(host, views);
    for (i = 0; i < host->options->store_n; i++) {
        sync_store_t *store = &host->stores[i];

        store->overtaken_n = result->overtaken[i] ? store->overtaken_n + 1 : 0;
        store->ahead_n = store->is_ahead ? store->ahead_n + 1 : 0;
    }
}

int sync_stores_agree(const sync_host_t *host, apr_status_t rv, const sync_result_t *result)
{
    int i;

    for (i = 0; rv == APR_SUCCESS && i < host->options->store_n; i++) {
        if (host->stores[i].answer == SYNC_SILENT || host->stores[i].write_failed
            || result->overtaken[i] || host->stores[i].lost_n > 0) {
            return 0;
        }
    }
    return rv == APR_SUCCESS;
}
