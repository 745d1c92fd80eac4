/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is wrong with a store, in words for its administrator: a name for the fault where it has one, and
 * the server's own words.  Pure.
 */
#ifndef STEKCTL_STORE_WORDS_H
#define STEKCTL_STORE_WORDS_H

#include "store_driver.h"
#include "store_peek.h"

#pragma GCC visibility push(hidden)

/* How a call came to nothing. */
typedef enum store_fault_e {
    STORE_FAULT_LATE,
    STORE_FAULT_CLOSED,
    STORE_FAULT_NONSENSE
} store_fault_e;

/* Nonzero if text begins with that. */
int store_words_begin(const char *text, const char *with);

/* Hides secret in said, and all that follows: a server may have repeated only a part, and with '\' in it.  NULL: there
 * is none. */
void store_words_hide(char *said, const char *secret);

/* Around a server's own words in a reason.  A worker forgets its password after the login, but servers repeat it later,
 * too: so whoever has it still hides it, there only, with store_words_finish, which takes the marks out. */
#define STORE_WORDS_SAID(format) "\1" format "\2"
void store_words_finish(char why[STORE_WHY_LEN], const char *secret);

/* All others return the call's result and set why.  name: the kind of store that was expected.  said: a line of
 * the server's, NUL-terminated; it may be anything. */

/* The server answered a call with an error. */
store_result_e store_words_error(const char *name, const char *said, char why[STORE_WHY_LEN]);

/* It answered with something that is no answer to it. */
store_result_e store_words_strange(const char *name, const char *said, char why[STORE_WHY_LEN]);

/* What a library said about TLS that failed; sets why and returns nonzero if it means something that is known.
 * plain: "etcd:// instead of etcds://".  has_cert: this host has a certificate. */
int store_words_tls(const char *said, const char *plain, int has_cert, char why[STORE_WHY_LEN]);

/* Its answer is longer than STORE_READ_MAX, so that it was not read to the end; or it announces an object of
 * so many bytes. */
store_result_e store_words_too_long(char why[STORE_WHY_LEN]);
store_result_e store_words_announced(unsigned long long len, char why[STORE_WHY_LEN]);
int store_words_is_announced(const char *why);

/* A call ended without an answer.  answered: the server has answered before on this connection. */
store_result_e store_words_failed(const char *name, const store_peek_t *peek, store_fault_e fault,
                                  int answered, char why[STORE_WHY_LEN]);

#pragma GCC visibility pop
#endif
