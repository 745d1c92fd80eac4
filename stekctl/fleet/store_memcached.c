/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memcached, with libmemcached: gets, then cas, or add if there was no object.  One server per
 * handle, because a list of servers would spread objects over them, not mirror them.  Runs in the
 * store's worker.
 */
#include "store_driver.h"

#ifdef STEK_WITH_MEMCACHED

#include <libmemcached/memcached.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stek_seal.h"

typedef struct conn_t {
    const store_target_t *target;
    memcached_st *mc;           /* NULL: not connected */
    memcached_result_st result; /* of the last read */
    int has_result;
    int absent;
    uint64_t cas;
} conn_t;

static void drop(conn_t *conn)
{
    if (conn->has_result) {
        memcached_result_free(&conn->result);
        conn->has_result = 0;
    }
    memcached_free(conn->mc);
    conn->mc = NULL;
}

static int connect_to(conn_t *conn)
{
    uint64_t ms = (uint64_t)conn->target->timeout_ms;

    conn->mc = memcached_create(NULL);
    if (!conn->mc) {
        return 0;
    }
    (void)memcached_behavior_set(conn->mc, MEMCACHED_BEHAVIOR_SUPPORT_CAS, 1);
    (void)memcached_behavior_set(conn->mc, MEMCACHED_BEHAVIOR_TCP_NODELAY, 1);
    (void)memcached_behavior_set(conn->mc, MEMCACHED_BEHAVIOR_CONNECT_TIMEOUT, ms);
    (void)memcached_behavior_set(conn->mc, MEMCACHED_BEHAVIOR_POLL_TIMEOUT, ms);
    (void)memcached_behavior_set(conn->mc, MEMCACHED_BEHAVIOR_SND_TIMEOUT, ms * 1000);
    (void)memcached_behavior_set(conn->mc, MEMCACHED_BEHAVIOR_RCV_TIMEOUT, ms * 1000);
    return memcached_server_add(conn->mc, conn->target->host, (in_port_t)conn->target->port)
           == MEMCACHED_SUCCESS;
}

static void *mc_open(const store_target_t *target)
{
    conn_t *conn = calloc(1, sizeof(*conn));

    if (conn) {
        conn->target = target;
    }
    return conn;
}

static void mc_close(void *data)
{
    conn_t *conn = data;

    drop(conn);
    free(conn);
}

static store_result_e failed(conn_t *conn, memcached_return_t rc, char *why)
{
    store_result_e result = STORE_SILENT;

    switch (rc) {
    case MEMCACHED_SERVER_ERROR:
    case MEMCACHED_SERVER_MEMORY_ALLOCATION_FAILURE:
    case MEMCACHED_CLIENT_ERROR:
    case MEMCACHED_ERROR:
    case MEMCACHED_E2BIG:
    case MEMCACHED_NOTSTORED:
        result = STORE_REFUSED;
        break;
    default:
        break;
    }
    snprintf(why, STORE_WHY_LEN, "%s", memcached_strerror(conn->mc, rc));
    drop(conn);
    return result;
}

/* Sends one gets.  MEMCACHED_SUCCESS, MEMCACHED_NOTFOUND or a failure. */
static memcached_return_t gets(conn_t *conn)
{
    const char *keys[1] = {conn->target->object};
    size_t lens[1] = {strlen(conn->target->object)};
    memcached_return_t rc = memcached_mget(conn->mc, keys, lens, 1);
    memcached_result_st *more;

    if (rc != MEMCACHED_SUCCESS) {
        return rc;
    }
    if (conn->has_result) {
        memcached_result_free(&conn->result);
        conn->has_result = 0;
    }
    if (!memcached_result_create(conn->mc, &conn->result)) {
        return MEMCACHED_MEMORY_ALLOCATION_FAILURE;
    }
    conn->has_result = 1;
    if (!memcached_fetch_result(conn->mc, &conn->result, &rc)) {
        return rc == MEMCACHED_END || rc == MEMCACHED_NOTFOUND ? MEMCACHED_NOTFOUND
               : rc == MEMCACHED_SUCCESS                       ? MEMCACHED_PROTOCOL_ERROR
                                                               : rc;
    }
    /* Read up to END, or the rest would be taken for the next answer. */
    more = memcached_fetch_result(conn->mc, NULL, &rc);
    if (more) {
        memcached_result_free(more);
        return MEMCACHED_PROTOCOL_ERROR;
    }
    return rc == MEMCACHED_END || rc == MEMCACHED_NOTFOUND || rc == MEMCACHED_SUCCESS
               ? MEMCACHED_SUCCESS
               : rc;
}

static store_result_e mc_read(void *data, const unsigned char **pbytes, apr_size_t *plen,
                              char why[STORE_WHY_LEN])
{
    conn_t *conn = data;
    int reused = conn->mc != NULL;
    memcached_return_t rc;

    if (!reused && !connect_to(conn)) {
        return failed(conn, MEMCACHED_MEMORY_ALLOCATION_FAILURE, why);
    }
    rc = gets(conn);
    if (rc != MEMCACHED_SUCCESS && rc != MEMCACHED_NOTFOUND && rc != MEMCACHED_TIMEOUT && reused) {
        /* The connection may be from before the store restarted: try a new one. */
        drop(conn);
        if (!connect_to(conn)) {
            return failed(conn, MEMCACHED_MEMORY_ALLOCATION_FAILURE, why);
        }
        rc = gets(conn);
    }
    conn->absent = rc == MEMCACHED_NOTFOUND;
    if (conn->absent) {
        return STORE_ABSENT;
    }
    if (rc != MEMCACHED_SUCCESS) {
        return failed(conn, rc, why);
    }
    if (strcmp(memcached_result_key_value(&conn->result), conn->target->object) != 0) {
        return failed(conn, MEMCACHED_PROTOCOL_ERROR, why);
    }
    conn->cas = memcached_result_cas(&conn->result);
    *plen = memcached_result_length(&conn->result);
    *pbytes = *plen <= STEK_RING_BYTES_MAX
                  ? (const unsigned char *)memcached_result_value(&conn->result)
                  : NULL;
    return STORE_DONE;
}

static store_result_e mc_write(void *data, const unsigned char *bytes, apr_size_t len,
                               char why[STORE_WHY_LEN])
{
    conn_t *conn = data;
    const char *object = conn->target->object;
    memcached_return_t rc;

    if (!conn->mc) {
        snprintf(why, STORE_WHY_LEN, "connection lost");
        return STORE_SILENT;
    }
    rc = conn->absent
             ? memcached_add(conn->mc, object, strlen(object), (const char *)bytes, len, 0, 0)
             : memcached_cas(conn->mc, object, strlen(object), (const char *)bytes, len, 0, 0,
                             conn->cas);
    switch (rc) {
    case MEMCACHED_SUCCESS:
    case MEMCACHED_STORED:
        return STORE_DONE;
    case MEMCACHED_DATA_EXISTS:
    case MEMCACHED_NOTFOUND:
        return STORE_CHANGED;
    case MEMCACHED_NOTSTORED:
        return conn->absent ? STORE_CHANGED : failed(conn, rc, why);
    default:
        return failed(conn, rc, why);
    }
}

const store_driver_t store_memcached = {"memcached", 11211,    0,       mc_open,
                                        mc_read,     mc_write, mc_close};

#endif
