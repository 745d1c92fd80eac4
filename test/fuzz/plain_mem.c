/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locked memory for fuzzers: the heap instead, so that AddressSanitizer sees each byte beyond a
 * block and a run costs no system call.  Linked into each of them, by --wrap.
 */
#include "stek_mem.h"

#include <openssl/crypto.h>
#include <stdlib.h>

#define HEAD_LEN 16

void *__wrap_stek_mem_alloc(apr_size_t len);
void __wrap_stek_mem_free(void *block);

void *__wrap_stek_mem_alloc(apr_size_t len)
{
    apr_size_t *head = calloc(1, HEAD_LEN + len);

    if (!head) {
        return NULL;
    }
    *head = len;
    return (char *)head + HEAD_LEN;
}

void __wrap_stek_mem_free(void *block)
{
    if (block) {
        apr_size_t *head = (apr_size_t *)(void *)((char *)block - HEAD_LEN);

        OPENSSL_cleanse(head, HEAD_LEN + *head);
        free(head);
    }
}
