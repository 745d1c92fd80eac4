/* SPDX-License-Identifier: Apache-2.0 */
/*
 * httpd's part for tests of glue that lives in retained data: data by key, and the MPM's limit.
 * Included once by a test program.
 */
#ifndef HTTPD_STUB_H
#define HTTPD_STUB_H

#include "httpd.h"
#include "ap_mpm.h"
#include <stdlib.h>
#include <string.h>

#define STUB_RETAINED_MAX 12

static struct {
    char key[64];
    void *data;
} stub_retained[STUB_RETAINED_MAX];

static int stub_children_n = 2;

AP_DECLARE(void *) ap_retained_data_get(const char *key)
{
    int i;

    for (i = 0; i < STUB_RETAINED_MAX; i++) {
        if (stub_retained[i].data && strcmp(stub_retained[i].key, key) == 0) {
            return stub_retained[i].data;
        }
    }
    return NULL;
}

AP_DECLARE(void *) ap_retained_data_create(const char *key, apr_size_t size)
{
    int i = 0;

    while (i < STUB_RETAINED_MAX && stub_retained[i].data) {
        i++;
    }
    if (i == STUB_RETAINED_MAX || strlen(key) >= sizeof(stub_retained[i].key)) {
        abort();
    }
    strcpy(stub_retained[i].key, key);
    stub_retained[i].data = calloc(1, size);
    return stub_retained[i].data;
}

AP_DECLARE(apr_status_t) ap_mpm_query(int query_code, int *result)
{
    if (query_code != AP_MPMQ_HARD_LIMIT_DAEMONS) {
        return APR_ENOTIMPL;
    }
    *result = stub_children_n;
    return APR_SUCCESS;
}

#endif
