/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which call fails, and how.  A plan says: the n-th call, or each of one function from then on, in
 * one of the ways that calls.h lists for it.  Fault injection of the tests; any thread.
 */
#ifndef FAULT_H
#define FAULT_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include <apr_file_info.h>
#include <apr_network_io.h>
#include <apr_pools.h>
#include <apr_thread_proc.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <openssl/pem.h>
#include <openssl/provider.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#define FAULT_WAYS_MAX 8
#define FAULT_SHORT (-2) /* half of what was asked is done */

typedef STACK_OF(X509_INFO) info_stack_t;
typedef int provider_each_t(OSSL_PROVIDER *provider, void *data);
typedef __rlimit_resource_t rlimit_what_t;
typedef int ticket_key_cb_t(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *ctx,
                            EVP_MAC_CTX *mac_ctx, int encrypt);

#define CALLS_MEMORY
enum {
#define CALL(ret, name, params, args, failed, ...) FAULT_##name,
#define CODE(ret, name, params, args, ...) FAULT_##name,
#define SHORT(ret, name, params, args, half_args, ...) FAULT_##name,
#define VARIES(name, ...) FAULT_##name,
#include "calls.h"
#undef CALL
#undef CODE
#undef SHORT
#undef VARIES
    FAULT_CALL_N
};

typedef struct fault_call_t {
    const char *name;
    int ways[FAULT_WAYS_MAX]; /* errno, QUEUED or FAULT_SHORT; 0 behind the last */
} fault_call_t;

static const fault_call_t fault_calls[FAULT_CALL_N] = {
#define CALL(ret, name, params, args, failed, ...) {#name, {__VA_ARGS__}},
#define CODE(ret, name, params, args, ...) {#name, {__VA_ARGS__}},
#define SHORT(ret, name, params, args, half_args, ...) {#name, {__VA_ARGS__, FAULT_SHORT}},
#define VARIES(name, ...) {#name, {__VA_ARGS__}},
#include "calls.h"
#undef CALL
#undef CODE
#undef SHORT
#undef VARIES
};

/* What follows from a way, where a call is to fail. */
static inline void fault_set_error(int way)
{
    if (way == QUEUED) {
        ERR_raise(ERR_LIB_USER, ERR_R_MALLOC_FAILURE);
    }
    else {
        errno = way;
    }
}

static inline size_t half(size_t len)
{
    return len > 1 ? len / 2 : len;
}

#endif
