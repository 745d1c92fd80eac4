/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a call to a store went.  Types only.
 */
#ifndef STEKCTL_STORE_RESULT_H
#define STEKCTL_STORE_RESULT_H

#pragma GCC visibility push(hidden)

#define STORE_WHY_LEN 160

typedef enum store_result_e {
    STORE_DONE,    /* read or written */
    STORE_ABSENT,  /* read: there is no object */
    STORE_CHANGED, /* write: another has written since the object was read */
    STORE_REFUSED, /* the server says no */
    STORE_SILENT   /* no connection, no answer in time, or none that makes sense */
} store_result_e;

#pragma GCC visibility pop
#endif
