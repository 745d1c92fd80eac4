/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The clock (monotonic.h).
 */
#include "monotonic.h"

#include <time.h>

apr_int64_t monotonic_ms(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (apr_int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}
