/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locked memory.  A block is a mapping of its own, since locks and advice count in whole pages and
 * do not nest:
 *
 *     page boundary                                       page boundary
 *     | size of the mapping | the caller's bytes ... zeros |
 *     0                     64
 *
 * Core; no state, so any thread and any phase.
 */
#include "stek_mem.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#ifndef MAP_ANONYMOUS
#define MAP_ANONYMOUS MAP_ANON
#endif

#define HEAD_LEN 64 /* a cache line: the caller's bytes are aligned for anything */

typedef struct mem_head_t {
    apr_size_t size; /* of the mapping; 0 in a child whose copy was wiped on fork */
} mem_head_t;

_Static_assert(sizeof(mem_head_t) <= HEAD_LEN, "header outgrew its room");

static mem_head_t *head_of(const void *block)
{
    return (mem_head_t *)(void *)((char *)(apr_uintptr_t)block - HEAD_LEN);
}

void *stek_mem_alloc(apr_size_t len)
{
    long page = sysconf(_SC_PAGESIZE);
    apr_size_t page_len = page > 0 ? (apr_size_t)page : 4096;
    apr_size_t size;
    mem_head_t *head;

    if (len == 0 || len > APR_SIZE_MAX - HEAD_LEN - page_len) {
        errno = len == 0 ? EINVAL : ENOMEM;
        return NULL;
    }
    size = (len + HEAD_LEN + page_len - 1) / page_len * page_len;
    head = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (head == MAP_FAILED) {
        return NULL;
    }
#if defined(MADV_DONTDUMP)
    (void)madvise(head, size, MADV_DONTDUMP);
#elif defined(MADV_NOCORE)
    (void)madvise(head, size, MADV_NOCORE);
#endif
    (void)mlock(head, size);
    head->size = size;
    return (char *)head + HEAD_LEN;
}

void stek_mem_free(void *block)
{
    mem_head_t *head;
    apr_size_t size;

    if (!block) {
        return;
    }
    head = head_of(block);
    size = head->size;
    /* Wiped on fork: it contains nothing secret any more, and its size is lost too. */
    if (size == 0) {
        return;
    }
    OPENSSL_cleanse(head, size);
    (void)munmap(head, size);
    stek_mem_wipe_registers();
}

apr_status_t stek_mem_lock(void *block)
{
    mem_head_t *head = head_of(block);

    if (head->size == 0) {
        return APR_EINVAL;
    }
    return mlock(head, head->size) == 0 ? APR_SUCCESS : APR_FROM_OS_ERROR(errno);
}

apr_status_t stek_mem_wipe_on_fork(void *block, int on)
{
    mem_head_t *head = head_of(block);

#if defined(MADV_WIPEONFORK) && defined(MADV_KEEPONFORK)
    if (madvise(head, head->size, on ? MADV_WIPEONFORK : MADV_KEEPONFORK) == 0) {
        return APR_SUCCESS;
    }
    /* Kernels before 4.14 do not know this advice. */
    return errno == EINVAL ? APR_ENOTIMPL : errno;
#elif defined(INHERIT_ZERO)
    return minherit(head, head->size, on ? INHERIT_ZERO : INHERIT_COPY) == 0
               ? APR_SUCCESS
               : APR_FROM_OS_ERROR(errno);
#else
    (void)head;
    (void)on;
    return APR_ENOTIMPL;
#endif
}

apr_size_t stek_mem_size(const void *block)
{
    return head_of(block)->size;
}

void *stek_mem_mapping(void *block)
{
    return head_of(block);
}

apr_size_t stek_mem_lock_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY
        || limit.rlim_cur > APR_SIZE_MAX) {
        return APR_SIZE_MAX;
    }
    return (apr_size_t)limit.rlim_cur;
}

#ifdef __x86_64__

/* vzeroall clears the first 16 registers in whatever width they have, AVX-512 has 16 more. */
void stek_mem_wipe_registers(void)
{
    if (__builtin_cpu_supports("avx512f")) {
        __asm__ volatile("vpxord %zmm16, %zmm16, %zmm16; vpxord %zmm17, %zmm17, %zmm17;"
                         "vpxord %zmm18, %zmm18, %zmm18; vpxord %zmm19, %zmm19, %zmm19;"
                         "vpxord %zmm20, %zmm20, %zmm20; vpxord %zmm21, %zmm21, %zmm21;"
                         "vpxord %zmm22, %zmm22, %zmm22; vpxord %zmm23, %zmm23, %zmm23;"
                         "vpxord %zmm24, %zmm24, %zmm24; vpxord %zmm25, %zmm25, %zmm25;"
                         "vpxord %zmm26, %zmm26, %zmm26; vpxord %zmm27, %zmm27, %zmm27;"
                         "vpxord %zmm28, %zmm28, %zmm28; vpxord %zmm29, %zmm29, %zmm29;"
                         "vpxord %zmm30, %zmm30, %zmm30; vpxord %zmm31, %zmm31, %zmm31");
    }
    if (__builtin_cpu_supports("avx")) {
        __asm__ volatile("vzeroall" ::
                             : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
                               "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14",
                               "xmm15");
        return;
    }
    __asm__ volatile("pxor %%xmm0, %%xmm0; pxor %%xmm1, %%xmm1; pxor %%xmm2, %%xmm2;"
                     "pxor %%xmm3, %%xmm3; pxor %%xmm4, %%xmm4; pxor %%xmm5, %%xmm5;"
                     "pxor %%xmm6, %%xmm6; pxor %%xmm7, %%xmm7; pxor %%xmm8, %%xmm8;"
                     "pxor %%xmm9, %%xmm9; pxor %%xmm10, %%xmm10; pxor %%xmm11, %%xmm11;"
                     "pxor %%xmm12, %%xmm12; pxor %%xmm13, %%xmm13; pxor %%xmm14, %%xmm14;"
                     "pxor %%xmm15, %%xmm15"
                     :
                     :
                     : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",
                       "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
}

#else

/* Other processors' registers are overwritten by libc's own copying. It uses different ones for
 * different lengths; together these use all. */
void stek_mem_wipe_registers(void)
{
    static void *(*volatile const copy)(void *, const void *, size_t) = memcpy;
    static const unsigned char zeros[1024];
    unsigned char sink[sizeof(zeros)];

    copy(sink, zeros, sizeof(sink));
    copy(sink, zeros, sizeof(sink) / 2);
    copy(sink, zeros, sizeof(sink) / 4);
}

#endif
