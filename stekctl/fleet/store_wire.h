/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The protocol on the socket pair between sync and a store's worker, in the machine's byte order:
 *
 *     call:    op u8 | mark | length u32 | bytes    'o' the target, or 'O' to wait for changes only,
 *                                                   'r' nothing, 'w' what to write, 'n' nothing,
 *                                                   's' another object's name, which gets no answer
 *     answer:  result u8 | why, STORE_WHY_LEN bytes | mark | length u32 | bytes
 *
 * A mark is text of STORE_MARK_LEN bytes, and says which state of an object it was; empty: not known.  Of 'r': what
 * sync has.  Of 'w': what the write is to replace, if this worker has read nothing.  The worker answers 'o' and
 * 'O' when it is connected and confined (why: without what), 'n' when it waits (done), or when the object has changed.
 * The target is "SCHEME HOST PORT USER PASSWORD DB OBJECT TIMEOUT CA CERT KEY MASTER ORIGIN ASKING PERIOD
 * ADDRESS LISTED", each ended by NUL.  The worker's answers are trusted as little as the store.  One thread on either side.
 */
#ifndef STEKCTL_STORE_WIRE_H
#define STEKCTL_STORE_WIRE_H

#include <apr.h>

#include "store_result.h"

#pragma GCC visibility push(hidden)

#define WIRE_OPEN 'o'
#define WIRE_OPEN_WATCH 'O'
#define WIRE_READ 'r'
#define WIRE_WRITE 'w'
#define WIRE_SELECT 's'
#define WIRE_WAIT 'n'
#define WIRE_OBJECT_MAX 1024      /* bytes of an object's name, its NUL included */
#define WIRE_TOO_LONG 0xffffffffu /* length of an answer whose bytes are not sent */
#define WIRE_TARGET_MAX 16384
#define WIRE_TARGET_FIELDS 17
#define WIRE_FD 3 /* the worker's end */

typedef struct wire_call_t {
    unsigned char op;
    char mark[STORE_MARK_LEN];
    apr_uint32_t len;
} wire_call_t;

typedef struct wire_answer_t {
    unsigned char result;
    char why[STORE_WHY_LEN];
    char mark[STORE_MARK_LEN];
    apr_uint32_t len;
} wire_answer_t;

/* Transfers len bytes, in or out, until the monotonic time deadline_ms.  0 if the other end is gone
 * or too late. */
int wire_transfer(int fd, int out, void *data, apr_size_t len, apr_int64_t deadline_ms);

#pragma GCC visibility pop
#endif
