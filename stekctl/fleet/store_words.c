/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The words (store_words.h).
 */
#include "store_words.h"

#include <stdio.h>
#include <string.h>

#define QUOTED_MAX 60

/* What errors mean.  The server's words follow, so that nothing is lost. */
static const struct {
    const char *begins; /* the error, as the server says it */
    const char *means;
} errors[] = {
    {"WRONGPASS ", "wrong user or password"},
    {"ERR invalid password", "wrong user or password"},
    {"ERR invalid username-password", "wrong user or password"},
    {"NOAUTH ", "it requires a password: use --password"},
    {"ERR AUTH ", "it has no password set, but --password gives one"},
    {"ERR Client sent AUTH", "it has no password set, but --password gives one"},
    {"NOPERM ", "no permission: this user needs the commands GET, SET and EVAL, and the key"},
    {"MOVED ", "the object has moved: this is one node of a cluster, and another one has it"},
    {"ASK ", "the object is moving to another node of a cluster"},
    {"CLUSTERDOWN ", "the cluster is down"},
    {"READONLY ", "this is a read-only replica: name the primary"},
    {"MASTERDOWN ", "this is a replica without its primary"},
    {"LOADING ", "it is still starting"},
    {"BUSY ", "it is busy with a script"},
    {"OOM ", "it is out of memory"},
    {"MISCONF ", "it takes no writes, because it cannot save"},
    {"DENIED ", "it is in protected mode"},
    {"WRONGTYPE ", "somebody else's object has this name"},
    {"ERR max number of clients", "it has too many clients"},
    {"ERR DB index is out of range", "it has no such database"},
    {"ERR invalid DB index", "it has no such database"},
    {"CLIENT_ERROR unauthenticated", "it requires a password, and stekctl sends none to memcached"},
    {"ERROR", "it does not know gets, add or cas: it may be a proxy that lacks them"},
    {"SERVER_ERROR out of memory", "it is out of memory"},
    {"SERVER_ERROR object too large",
     "the ring is too long for it: raise its limit (memcached -I)"},
};

/* Who else may listen at that port. */
static const struct {
    const char *begins;
    const char *what; /* must not be the name of the kind that was expected */
} others[] = {
    {"HTTP/", "an HTTP server"},
    {"<!DOCTYPE", "an HTTP server"},
    {"<html", "an HTTP server"},
    {"SSH-", "an SSH server"},
    {"-ERR ", "a Redis server"},
    {"-NOAUTH ", "a Redis server"},
    {"-DENIED ", "a Redis server"},
    {"ERROR", "a memcached server"},
    {"CLIENT_ERROR", "a memcached server"},
};

static int begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

store_result_e store_words_error(const char *name, const char *said, char why[STORE_WHY_LEN])
{
    apr_size_t i;

    for (i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        if (begins(said, errors[i].begins)) {
            snprintf(why, STORE_WHY_LEN, "%s (%s)", errors[i].means, said);
            return STORE_REFUSED;
        }
    }
    if (*said) {
        snprintf(why, STORE_WHY_LEN, "%s", said);
    }
    else {
        snprintf(why, STORE_WHY_LEN, "%s answered with an error, but no reason", name);
    }
    return STORE_REFUSED;
}

store_result_e store_words_strange(const char *name, const char *said, char why[STORE_WHY_LEN])
{
    apr_size_t i;

    if (said[0] == 0x15 && said[1] == 0x03) {
        snprintf(why, STORE_WHY_LEN,
                 "it expects TLS, which stekctl does not speak to stores: use its plain port, or "
                 "stunnel");
        return STORE_SILENT;
    }
    for (i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        if (begins(said, others[i].begins) && !strstr(others[i].what, name)) {
            snprintf(why, STORE_WHY_LEN, "this is %s, not %s (%.*s)", others[i].what, name,
                     QUOTED_MAX, said);
            return STORE_SILENT;
        }
    }
    snprintf(why, STORE_WHY_LEN, "unintelligible answer, so this may not be %s (%.*s)", name,
             QUOTED_MAX, *said ? said : "an empty line");
    return STORE_SILENT;
}

store_result_e store_words_too_long(char why[STORE_WHY_LEN])
{
    snprintf(why, STORE_WHY_LEN, "its answer is longer than %d MiB, so it is no ring",
             STORE_READ_MAX_MIB);
    return STORE_SILENT;
}

store_result_e store_words_announced(unsigned long long len, char why[STORE_WHY_LEN])
{
    snprintf(why, STORE_WHY_LEN,
             "it announces an object of %llu bytes, which is too long to be a ring; delete it",
             len);
    return STORE_SILENT;
}

store_result_e store_words_failed(const char *name, const store_peek_t *peek, store_fault_e fault,
                                  int answered, char why[STORE_WHY_LEN])
{
    if (peek->how == STORE_PEEK_SAID && !answered) {
        return store_words_strange(name, peek->said, why);
    }
    if (fault == STORE_FAULT_LATE) {
        snprintf(why, STORE_WHY_LEN, "connected, but no answer in time");
        return STORE_SILENT;
    }
    if (fault == STORE_FAULT_NONSENSE) {
        snprintf(why, STORE_WHY_LEN, "unintelligible answer");
        return STORE_SILENT;
    }
    if (answered) {
        snprintf(why, STORE_WHY_LEN, "connection lost");
        return STORE_LOST;
    }
    snprintf(why, STORE_WHY_LEN,
             "it closed the connection without an answer: it may expect TLS, or be no %s", name);
    return STORE_SILENT;
}
