/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The result of a call to a store.  Types only.
 */
#ifndef STEKCTL_STORE_RESULT_H
#define STEKCTL_STORE_RESULT_H

#pragma GCC visibility push(hidden)

#define STORE_WHY_LEN 256
#define STORE_MARK_LEN 48 /* with its NUL */

typedef enum store_result_e {
    STORE_DONE,    /* read or written */
    STORE_ABSENT,  /* read: no object exists */
    STORE_CHANGED, /* write: another host has written since the object was read; wait: it may have */
    STORE_SAME,    /* a worker's: the object is still the one of that mark */
    STORE_REFUSED, /* the server refused it */
    STORE_SILENT,  /* no connection, no answer in time, or an unintelligible one */
    STORE_LOST,    /* a worker's: the server closed a connection on which it had answered before */
    STORE_MOVED /* a worker's: another server has the object; a read tells which, "[ASK ]HOST PORT" */
} store_result_e;

#pragma GCC visibility pop
#endif
