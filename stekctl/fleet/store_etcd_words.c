/* SPDX-License-Identifier: Apache-2.0 */
/*
 * etcd's errors (store_etcd_words.h), as api/v3rpc/rpctypes in its sources has them.
 */
#include "store_etcd_words.h"

#include <stdio.h>
#include <string.h>

#include "store_words.h"

#define GATEWAY                                                                                    \
    "its JSON gateway cannot reach it: with --client-cert-auth, the server's certificate must be " \
    "for clients as well"

static const struct {
    const char *words;
    store_result_e result;
    const char *why;
} errors[] = {
    {"user name is empty", STORE_REFUSED,
     "it requires a user: put USER@ into the URL and use --password"},
    {"authentication is not enabled", STORE_REFUSED,
     "it has no users, but the URL names one: run 'etcdctl auth enable', or leave out USER@"},
    {"authentication failed", STORE_REFUSED, "wrong user or password"},
    {"CommonName of client", STORE_REFUSED,
     "with users, its JSON gateway accepts no client certificate that has a common name (CN)"},
    {"invalid auth token", STORE_LOST, "its login has expired"},
    {"revision of auth store is old", STORE_LOST, "its login has expired"},
    {"database space exceeded", STORE_REFUSED,
     "its space is full (alarm NOSPACE): compact, defragment, then run 'etcdctl alarm disarm'"},
    {"corrupt cluster", STORE_REFUSED, "its members disagree (alarm CORRUPT): repair the cluster"},
    {"request is too large", STORE_REFUSED,
     "the ring is too large for it: raise its --max-request-bytes"},
    {"no leader", STORE_SILENT, "it has no leader: does the cluster have a quorum?"},
    {"request timed out", STORE_SILENT, "does the cluster have a quorum?"},
    /* The gateway is a client of its own server, with the server's certificate. */
    {"transport:", STORE_SILENT, GATEWAY},
    {"connection closed", STORE_SILENT, GATEWAY},
};

store_result_e etcd_words(int status, const char *message, int writing, char why[STORE_WHY_LEN])
{
    size_t i;

    if (strstr(message, "permission denied")) {
        snprintf(why, STORE_WHY_LEN,
                 "no permission to %s: grant this user's role readwrite on the URL's prefix "
                 "(" STORE_WORDS_SAID("%s") ")",
                 writing ? "write" : "read", message);
        return STORE_REFUSED;
    }
    for (i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        if (strstr(message, errors[i].words)) {
            snprintf(why, STORE_WHY_LEN, "%s (" STORE_WORDS_SAID("%s") ")", errors[i].why, message);
            return errors[i].result;
        }
    }
    if (status == 404) {
        snprintf(why, STORE_WHY_LEN,
                 "this is not etcd 3.4 or later, or its JSON gateway is off (HTTP status 404)");
    }
    else {
        snprintf(why, STORE_WHY_LEN, "HTTP status %d%s" STORE_WORDS_SAID("%s"), status,
                 *message ? ": " : "", message);
    }
    return STORE_SILENT;
}
