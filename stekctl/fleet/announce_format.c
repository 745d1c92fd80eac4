/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Announcements in bytes, sealed and opened (announce_format.h).  stekctl; no state.  What is sealed is not secret, but
 * it is wiped all the same with what seals it.
 */
#include "announce_format.h"

#include <string.h>

#include "stek_error.h"
#include "stek_mem.h"
#include "stek_seal.h"

#define MAGIC "STEKHOST"
#define MAGIC_LEN 8
#define VERSION 1
#define VERSION_AT 8
#define PART_AT 10
#define SECRET_ID_AT 12
#define SALT_AT 20
#define BODY_LEN_AT 52
#define COUNT_LEN 2
#define SPAN_MAX_S 0xffffffffu

static const stek_box_t hosts_box = {"stek hosts v1 salt", "stek hosts v1 seal", SALT_AT};

int announce_is_name(const char *text)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
    apr_size_t len = strlen(text);

    return len > 0 && len <= ANNOUNCE_NAME_MAX && strspn(text, allowed) == len;
}

int announce_part(const char *name)
{
    apr_uint32_t hash = 2166136261u; /* FNV-1a: it only spreads */

    for (; *name; name++) {
        hash = (hash ^ (unsigned char)*name) * 16777619u;
    }
    return (int)((hash ^ hash >> 16) % ANNOUNCE_PARTS);
}

typedef struct work_t {
    stek_box_work_t box;
    unsigned char plain[];
} work_t;

/* ---- one host ---- */

static void put_number(unsigned char **pat, apr_uint64_t value, int len)
{
    int i;

    for (i = len - 1; i >= 0; i--) {
        *(*pat)++ = (unsigned char)(value >> (8 * i));
    }
}

static void put_span(unsigned char **pat, apr_interval_time_t span)
{
    apr_int64_t s = apr_time_sec(span);

    put_number(pat, s < 0 ? 0 : s > SPAN_MAX_S ? SPAN_MAX_S : (apr_uint64_t)s, 4);
}

static void put_bytes(unsigned char **pat, const void *bytes, apr_size_t len)
{
    memcpy(*pat, bytes, len);
    *pat += len;
}

static void put_text(unsigned char **pat, const char *text)
{
    apr_size_t len = strlen(text);

    put_number(pat, len, 1);
    put_bytes(pat, text, len);
}

apr_size_t announce_encode(const announce_t *host, unsigned char bytes[ANNOUNCE_HOST_MAX])
{
    unsigned char *at = bytes;

    put_text(&at, host->name);
    put_text(&at, host->version);
    put_bytes(&at, host->process, ANNOUNCE_PROCESS_LEN);
    put_bytes(&at, host->digest, ANNOUNCE_DIGEST_LEN);
    put_number(&at, host->flags, 2);
    put_number(&at, host->epoch, 8);
    put_number(&at, host->generation, 8);
    put_number(&at, (apr_uint64_t)apr_time_sec(host->clock), 8);
    put_number(&at, (apr_uint64_t)apr_time_sec(host->since), 8);
    put_number(&at, (apr_uint64_t)apr_time_sec(host->agreed), 8);
    put_span(&at, host->behind);
    put_span(&at, host->every);
    put_span(&at, host->period);
    put_number(&at, host->httpd_epoch, 8);
    put_number(&at, host->httpd_generation, 8);
    return (apr_size_t)(at - bytes);
}

/* What is left to decode.  A read beyond the end reads zeros and remembers it. */
typedef struct rest_t {
    const unsigned char *at, *end;
    int bad;
} rest_t;

static apr_uint64_t get_number(rest_t *rest, int len)
{
    apr_uint64_t value = 0;

    if (rest->end - rest->at < len) {
        rest->bad = 1;
        return 0;
    }
    for (; len > 0; len--) {
        value = value << 8 | *rest->at++;
    }
    return value;
}

static void get_bytes(rest_t *rest, void *bytes, apr_size_t len)
{
    if ((apr_size_t)(rest->end - rest->at) < len) {
        rest->bad = 1;
        memset(bytes, 0, len);
        return;
    }
    memcpy(bytes, rest->at, len);
    rest->at += len;
}

static apr_time_t get_time(rest_t *rest)
{
    apr_uint64_t s = get_number(rest, 8);

    rest->bad |= s > STEK_SEAL_TIME_MAX_S;
    return rest->bad ? 0 : apr_time_from_sec((apr_time_t)s);
}

static apr_interval_time_t get_span(rest_t *rest)
{
    return apr_time_from_sec((apr_interval_time_t)get_number(rest, 4));
}

static void get_text(rest_t *rest, char *text, apr_size_t max)
{
    apr_size_t len = (apr_size_t)get_number(rest, 1);

    if (len > max) {
        rest->bad = 1;
        len = 0;
    }
    get_bytes(rest, text, len);
    text[len] = '\0';
    rest->bad |= strlen(text) != len;
}

static void decode_host(rest_t *rest, announce_t *host)
{
    memset(host, 0, sizeof(*host));
    get_text(rest, host->name, ANNOUNCE_NAME_MAX);
    get_text(rest, host->version, ANNOUNCE_VERSION_MAX);
    get_bytes(rest, host->process, ANNOUNCE_PROCESS_LEN);
    get_bytes(rest, host->digest, ANNOUNCE_DIGEST_LEN);
    host->flags = (apr_uint32_t)get_number(rest, 2);
    host->epoch = get_number(rest, 8);
    host->generation = get_number(rest, 8);
    host->clock = get_time(rest);
    host->since = get_time(rest);
    host->agreed = get_time(rest);
    host->behind = get_span(rest);
    host->every = get_span(rest);
    host->period = get_span(rest);
    host->httpd_epoch = get_number(rest, 8);
    host->httpd_generation = get_number(rest, 8);
    /* A version is shown like a name. */
    rest->bad |= !announce_is_name(host->name) || !announce_is_name(host->version);
}

apr_status_t announce_decode(const unsigned char *plain, apr_size_t len, int part,
                             announce_set_t *set, apr_pool_t *pool)
{
    rest_t rest = {plain, plain + len, 0};
    apr_size_t i, n = (apr_size_t)get_number(&rest, COUNT_LEN);
    announce_set_t read = {NULL, 0};

    if (rest.bad || n > ANNOUNCE_PART_HOSTS_MAX) {
        return STEK_EMALFORMED;
    }
    read.hosts = apr_palloc(pool, (n + 1) * sizeof(announce_t));
    for (i = 0; i < n && !rest.bad; i++) {
        announce_t *host = &read.hosts[read.n++];

        decode_host(&rest, host);
        rest.bad |= announce_part(host->name) != part
                    || (i > 0 && strcmp(host[-1].name, host->name) >= 0);
    }
    if (rest.bad || rest.at != rest.end) {
        return STEK_EMALFORMED;
    }
    *set = read;
    return APR_SUCCESS;
}

/* ---- a part ---- */

static void encode_header(int part, const stek_secret_t *secret, apr_size_t plain_len,
                          unsigned char header[ANNOUNCE_HEADER_LEN])
{
    unsigned char *at = header;

    put_bytes(&at, MAGIC, MAGIC_LEN);
    put_number(&at, VERSION, 2);
    put_number(&at, (apr_uint64_t)part, 2);
    put_bytes(&at, secret->id, STEK_SECRET_ID_LEN);
    memset(at, 0, STEK_SECRET_SALT_LEN);
    at += STEK_SECRET_SALT_LEN;
    put_number(&at, plain_len + STEK_BOX_TAG_LEN, 4);
}

apr_status_t announce_seal(const announce_set_t *set, int part, const stek_secret_t *secret,
                           const unsigned char random[STEK_BOX_RANDOM_LEN], unsigned char **psealed,
                           apr_size_t *plen, apr_pool_t *pool)
{
    apr_size_t i, plain_len, room = COUNT_LEN + set->n * ANNOUNCE_HOST_MAX;
    announce_set_t again;
    unsigned char *at, *sealed;
    apr_status_t rv;
    work_t *work;

    if (set->n > ANNOUNCE_PART_HOSTS_MAX) {
        return STEK_ETOOBIG;
    }
    work = stek_mem_alloc(sizeof(*work) + room);
    if (!work) {
        return APR_ENOMEM;
    }
    at = work->plain;
    put_number(&at, set->n, COUNT_LEN);
    for (i = 0; i < set->n; i++) {
        at += announce_encode(&set->hosts[i], at);
    }
    plain_len = (apr_size_t)(at - work->plain);
    sealed = apr_palloc(pool, ANNOUNCE_HEADER_LEN + plain_len + STEK_BOX_TAG_LEN);
    rv = announce_decode(work->plain, plain_len, part, &again, pool);
    if (rv == APR_SUCCESS) {
        encode_header(part, secret, plain_len, sealed);
        rv = stek_box_seal(&hosts_box, secret, random, sealed, ANNOUNCE_HEADER_LEN, work->plain,
                           plain_len, &work->box, sealed + ANNOUNCE_HEADER_LEN);
    }
    stek_mem_free(work);
    if (rv == APR_SUCCESS) {
        *psealed = sealed;
        *plen = ANNOUNCE_HEADER_LEN + plain_len + STEK_BOX_TAG_LEN;
    }
    return rv;
}

static apr_uint64_t number_at(const unsigned char *bytes, apr_size_t offset, int len)
{
    rest_t rest = {bytes + offset, bytes + offset + len, 0};

    return get_number(&rest, len);
}

static apr_status_t check_header(const unsigned char *sealed, apr_size_t len, int part)
{
    if (len > STEK_RING_BYTES_MAX) {
        return STEK_ETOOBIG;
    }
    if (memcmp(sealed, MAGIC, len < MAGIC_LEN ? len : MAGIC_LEN) != 0) {
        return STEK_EMAGIC;
    }
    if (len < ANNOUNCE_HEADER_LEN) {
        return STEK_ELENGTH;
    }
    if (number_at(sealed, VERSION_AT, 2) != VERSION) {
        return STEK_EVERSION;
    }
    if (len < ANNOUNCE_HEADER_LEN + COUNT_LEN + STEK_BOX_TAG_LEN
        || number_at(sealed, BODY_LEN_AT, 4) != len - ANNOUNCE_HEADER_LEN) {
        return STEK_ELENGTH;
    }
    return number_at(sealed, PART_AT, 2) == (apr_uint64_t)part ? APR_SUCCESS : STEK_EMALFORMED;
}

apr_status_t announce_open(const unsigned char *sealed, apr_size_t len, int part,
                           const stek_secrets_t *secrets, announce_set_t *set, apr_pool_t *pool)
{
    apr_size_t i, plain_len;
    apr_status_t rv = check_header(sealed, len, part);
    work_t *work;

    if (rv != APR_SUCCESS) {
        return rv;
    }
    plain_len = len - ANNOUNCE_HEADER_LEN - STEK_BOX_TAG_LEN;
    work = stek_mem_alloc(sizeof(*work) + plain_len);
    if (!work) {
        return APR_ENOMEM;
    }
    rv = STEK_ESECRET;
    for (i = 0; i < secrets->n && (rv == STEK_ESECRET || rv == STEK_ESEAL); i++) {
        const stek_secret_t *secret = &secrets->secrets[i];

        if (!memcmp(secret->id, sealed + SECRET_ID_AT, STEK_SECRET_ID_LEN)) {
            rv = stek_box_open(&hosts_box, secret, sealed, ANNOUNCE_HEADER_LEN,
                               sealed + ANNOUNCE_HEADER_LEN, plain_len, &work->box, work->plain);
        }
    }
    if (rv == APR_SUCCESS) {
        rv = announce_decode(work->plain, plain_len, part, set, pool);
    }
    stek_mem_free(work);
    return rv;
}
