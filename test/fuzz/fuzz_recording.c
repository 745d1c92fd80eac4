/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file that stekctl probe --analyse reads: what is taken from it is written and read again, and
 * must be the same.
 */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>

#include "probe/recording.h"

/* Writes the hosts in data[size] to a recording; *plen is its length. */
static char *again(const char *data, size_t size, size_t *plen, int *pended, apr_pool_t *pool)
{
    FILE *in = fmemopen((void *)(uintptr_t)data, size, "r"), *out;
    char *bytes = NULL;
    probe_reader_t reader;
    probe_host_t host;
    apr_status_t rv;
    const char *why = NULL;

    HOLDS(in != NULL);
    out = open_memstream(&bytes, plen);
    HOLDS(out != NULL);
    fputs("stek-probe 1\n", out);
    rv = probe_reader_begin(&reader, in, &why, pool);
    HOLDS(rv == APR_SUCCESS || why);
    while (rv == APR_SUCCESS) {
        rv = probe_reader_next(&reader, &host, &why, pool);
        HOLDS(rv == APR_SUCCESS || rv == APR_EOF || why);
        if (rv == APR_SUCCESS) {
            HOLDS(probe_recording_add(out, &host) == APR_SUCCESS);
        }
    }
    *pended = rv == APR_EOF;
    fclose(in);
    fclose(out);
    return bytes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *pool = fuzz_pool();
    char *first, *second;
    size_t first_len, second_len;
    int is_ended;

    if (size == 0) {
        return 0;
    }
    first = again((const char *)data, size, &first_len, &is_ended, pool);
    second = again(first, first_len, &second_len, &is_ended, pool);
    HOLDS(is_ended && first_len == second_len && memcmp(first, second, first_len) == 0);
    free(first);
    free(second);
    apr_pool_clear(pool);
    return 0;
}
