/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes that programs make of a number, such as the time or a process id, and take for random: of
 * generators that are not meant for keys, and of the number itself.  Pure; stekctl.
 */
#ifndef STEKCTL_PROBE_WEAK_RANDOM_H
#define STEKCTL_PROBE_WEAK_RANDOM_H

#include <apr.h>
#include <openssl/evp.h>

#pragma GCC visibility push(hidden)

#define PROBE_RANDOM_MAX 160 /* bytes: a name and some keys */
#define PROBE_RANDOM_FORMS 28

/* What can be made of one number. */
typedef struct probe_random_t {
    EVP_MD_CTX *ctx;
    EVP_MD *md5, *sha1, *sha256; /* NULL: this machine does not have it */
} probe_random_t;

/* 0: out of memory. */
int probe_random_begin(probe_random_t *random);
void probe_random_end(probe_random_t *random);

/* "rand() of glibc, a byte each"; what it is, for people. */
const char *probe_random_name(int form);

/* Nonzero: used with milliseconds, too. */
int probe_random_takes_ms(int form);

/* Makes len bytes in the given form, at most PROBE_RANDOM_MAX.  0: this machine cannot. */
int probe_random_make(const probe_random_t *random, int form, apr_uint64_t seed, unsigned char *out,
                      apr_size_t len);

#pragma GCC visibility pop
#endif
