/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The words (store_words.h).
 */
#include "store_words.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

#define QUOTED_MAX 60
#define ANNOUNCES "it announces an object of "
/* So many bytes of a secret tell it from other words; fewer are none. */
#define SECRET_PART 8
#define SECRET_MIN 4
/* Of STORE_WORDS_SAID. */
#define SAID_BEGIN '\1'
#define SAID_END '\2'

#define NO_PERMISSION                                                                              \
    "no permission: this user needs access to the commands GET, SET and EVAL, and to the key"

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
    {"NOPERM ", NO_PERMISSION},
    {"MOVED", "the object has moved to another node of this cluster, but it is not clear which"},
    {"ASK", "the object is moving to another node of this cluster, but it is not clear which"},
    {"CLUSTERDOWN ", "the cluster is down"},
    {"READONLY ", "this is a read-only replica: name the primary"},
    {"MASTERDOWN ", "this is a replica that has lost its primary"},
    {"LOADING ", "it is still starting"},
    {"BUSY ", "it is busy with a script"},
    {"OOM ", "it is out of memory"},
    {"MISCONF ", "it accepts no writes, because it cannot save to disk"},
    {"DENIED ", "it is in protected mode"},
    {"WRONGTYPE ", "something else is stored under this name"},
    {"ERR max number of clients", "it has too many clients"},
    {"ERR DB index is out of range", "it has no such database"},
    {"ERR SELECT is not allowed", "a cluster has only database 0: leave /DB out of the URL"},
    {"ERR unknown command 'SENTINEL'", "this is a Redis server, not Sentinel"},
    {"ERR unknown command `SENTINEL`", "this is a Redis server, not Sentinel"},
    {"ERR unknown command 'GET'", "it does not know GET: it may be Sentinel (redis+sentinel://)"},
    {"ERR unknown command `GET`", "it does not know GET: it may be Sentinel (redis+sentinel://)"},
    {"ERR unknown command 'HELLO'", "several hosts in one URL require Redis 6 or later"},
    {"ERR unknown command `HELLO`", "several hosts in one URL require Redis 6 or later"},
    {"ERR invalid DB index", "it has no such database"},
    {"CLIENT_ERROR unauthenticated",
     "it checks passwords against a file (-Y), but stekctl supports only SASL (-S)"},
    {"ERROR", "it does not know gets, add or cas: it may be a proxy that lacks them"},
    {"SERVER_ERROR out of memory", "it is out of memory"},
    {"SERVER_ERROR object too large",
     "the ring is too large for it: raise its limit (memcached -I)"},
};

/* What libraries say about TLS, in words that tell what to do. */
#define STRANGER "its certificate is from a CA that is not trusted; name that CA with --store-ca"
static const struct {
    const char *words, *means;
} tls_reasons[] = {
    {"certificate has expired", "its certificate has expired"},
    {"certificate is not yet valid", "its certificate is not valid yet; check the clocks"},
    {"target host name", "its certificate is for another name"},
    {"issuer certificate", STRANGER},
    {"self-signed certificate", STRANGER},
    {"self signed certificate", STRANGER},
    {"unable to verify the first certificate", STRANGER},
    {"wrong version number", "it does not speak TLS: use "},
    {"packet length too long", "it does not speak TLS: use "},
    {"set private key", "the client certificate and the key in --store-key do not match"},
    {"key values mismatch", "the client certificate and the key in --store-key do not match"},
    {"alert certificate expired", "the client certificate has expired"},
    {"alert unknown ca", "it does not trust the CA of the client certificate"},
};

/* How to ask for TLS. */
static const struct {
    const char *name, *scheme;
} secure[] = {{"Redis", "rediss://"}, {"Sentinel", "rediss+sentinel://"}};

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

int store_words_begin(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

/* What the script may not do; servers say it behind words of their own about the script. */
static int is_denied_in_script(const char *said)
{
    return strstr(said, "executing the script can't run this command")
           || strstr(said, "ACL failure in script");
}

/* With how many bytes of secret said begins, apart from '\'.  *pcut: it ends with them. */
static apr_size_t alike(const char *said, const char *secret, int *pcut)
{
    apr_size_t n = 0;

    for (; *said && secret[n]; said++) {
        if (*said == secret[n]) {
            n++;
        }
        else if (*said != '\\') {
            break;
        }
    }
    *pcut = !*said;
    return n;
}

/* Where it begins to repeat the secret; NULL: it does not. */
static char *find_secret(char *said, const char *secret)
{
    apr_size_t len = strlen(secret), part = len < SECRET_PART ? len : SECRET_PART, i, n;
    int cut;

    for (; len >= SECRET_MIN && *said; said++) {
        for (i = 0; i <= len - part; i++) {
            n = alike(said, secret + i, &cut);
            if (n >= part || (cut && i == 0 && n >= SECRET_MIN)) {
                return said;
            }
        }
    }
    return NULL;
}

void store_words_hide(char *said, const char *secret)
{
    char *at = secret ? find_secret(said, secret) : NULL;

    if (at) {
        apr_size_t room = strlen(at) + 1;

        OPENSSL_cleanse(at, room);
        snprintf(at, room, "***");
    }
}

void store_words_finish(char why[STORE_WHY_LEN], const char *secret)
{
    char *begin = strchr(why, SAID_BEGIN), *end = begin ? strrchr(begin, SAID_END) : NULL;
    char said[STORE_WHY_LEN], behind[STORE_WHY_LEN];

    if (!begin) {
        return;
    }
    snprintf(behind, sizeof(behind), "%s", end ? end + 1 : "");
    if (end) {
        *end = '\0';
    }
    snprintf(said, sizeof(said), "%s", begin + 1);
    OPENSSL_cleanse(begin, strlen(begin));
    store_words_hide(said, secret);
    /* A server's words may hold the mark of their end, and the real one may have been cut off. */
    store_words_hide(behind, secret);
    snprintf(begin, STORE_WHY_LEN - (apr_size_t)(begin - why), "%s%s", said, behind);
}

store_result_e store_words_error(const char *name, const char *said, char why[STORE_WHY_LEN])
{
    apr_size_t i;

    for (i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        if (store_words_begin(said, errors[i].begins)) {
            snprintf(why, STORE_WHY_LEN, "%s (" STORE_WORDS_SAID("%s") ")", errors[i].means, said);
            return STORE_REFUSED;
        }
    }
    if (is_denied_in_script(said)) {
        snprintf(why, STORE_WHY_LEN, "%s (" STORE_WORDS_SAID("%s") ")", NO_PERMISSION, said);
    }
    else if (*said) {
        snprintf(why, STORE_WHY_LEN, STORE_WORDS_SAID("%s"), said);
    }
    else {
        snprintf(why, STORE_WHY_LEN, "%s answered with an error, but gave no reason", name);
    }
    return STORE_REFUSED;
}

store_result_e store_words_strange(const char *name, const char *said, char why[STORE_WHY_LEN])
{
    apr_size_t i;

    if (said[0] == 0x15 && said[1] == 0x03) {
        snprintf(
            why, STORE_WHY_LEN,
            "it expects TLS, which stekctl does not speak to %s: use its plain port, or stunnel",
            name);
        for (i = 0; i < sizeof(secure) / sizeof(secure[0]); i++) {
            if (!strcmp(name, secure[i].name)) {
                snprintf(why, STORE_WHY_LEN, "it expects TLS, so use %s", secure[i].scheme);
            }
        }
        return STORE_SILENT;
    }
    for (i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        if (store_words_begin(said, others[i].begins) && !strstr(others[i].what, name)) {
            snprintf(why, STORE_WHY_LEN, "this is %s, not %s (" STORE_WORDS_SAID("%.*s") ")",
                     others[i].what, name, QUOTED_MAX, said);
            return STORE_SILENT;
        }
    }
    snprintf(why, STORE_WHY_LEN,
             "unintelligible answer, so this may not be %s (" STORE_WORDS_SAID("%.*s") ")", name,
             QUOTED_MAX, *said ? said : "an empty line");
    return STORE_SILENT;
}

int store_words_tls(const char *said, const char *plain, int has_cert, char why[STORE_WHY_LEN])
{
    apr_size_t i;

    if (strstr(said, "alert bad certificate") || strstr(said, "alert certificate required")) {
        snprintf(why, STORE_WHY_LEN, "%s",
                 has_cert ? "it does not accept the client certificate: has it expired, or is "
                            "it from another CA?"
                          : "it requires a client certificate: use --store-cert and "
                            "--store-key");
        return 1;
    }
    for (i = 0; i < sizeof(tls_reasons) / sizeof(tls_reasons[0]); i++) {
        if (strstr(said, tls_reasons[i].words)) {
            const char *means = tls_reasons[i].means;

            snprintf(why, STORE_WHY_LEN, "%s%s", means,
                     means[strlen(means) - 1] == ' ' ? plain : "");
            return 1;
        }
    }
    return 0;
}

store_result_e store_words_too_long(char why[STORE_WHY_LEN])
{
    snprintf(why, STORE_WHY_LEN, "its answer is longer than %d MiB, so it is not a ring",
             STORE_READ_MAX_MIB);
    return STORE_SILENT;
}

store_result_e store_words_announced(unsigned long long len, char why[STORE_WHY_LEN])
{
    snprintf(why, STORE_WHY_LEN, ANNOUNCES "%llu bytes, which is too large to be a ring; delete it",
             len);
    return STORE_SILENT;
}

int store_words_is_announced(const char *why)
{
    return store_words_begin(why, ANNOUNCES);
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
             "it closed the connection without answering: it may expect TLS, or it may not be %s",
             name);
    return STORE_SILENT;
}
