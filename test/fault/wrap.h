/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Faults by --wrap, for a program that links the objects under test.  Calls count, and fail, while
 * fault_on is set.  Included once.
 */
#ifndef WRAP_H
#define WRAP_H

#include "fault.h"

#define FAULT_TRACE_MAX 8192

static int fault_at;    /* the call that fails, from 1; 0: none */
static int fault_way;   /* index into its ways */
static int fault_stays; /* so do all later ones of the same function */

/* Shared with processes that a scenario forks. */
static struct {
    _Atomic int on;
    _Atomic int n;                /* calls so far */
    _Atomic int function;         /* the one that failed, -1: none yet */
    _Atomic int hits;             /* how often */
    short trace[FAULT_TRACE_MAX]; /* of a run without a fault: the function of each call */
} * fault;

static int ways_n(int call)
{
    int n = 0;

    while (n < FAULT_WAYS_MAX && fault_calls[call].ways[n] != 0) {
        n++;
    }
    return n;
}

/* 0: go on; else the way in which the call fails. */
static int fault_check(int call)
{
    int n, way;

    if (!fault || !fault->on) {
        return 0;
    }
    n = ++fault->n;
    if (fault_at == 0 && n <= FAULT_TRACE_MAX) {
        fault->trace[n - 1] = (short)call;
    }
    if (fault_at == 0 || (n != fault_at && !(fault_stays && fault->function == call))) {
        return 0;
    }
    fault->function = call;
    fault->hits++;
    way = fault_calls[call].ways[fault_way < ways_n(call) ? fault_way : 0];
    if (way != FAULT_SHORT) {
        fault_set_error(way);
    }
    return way;
}

#define CALL(ret, name, params, args, failed, ...)                                                 \
    ret __real_##name params;                                                                      \
    ret __wrap_##name params;                                                                      \
    ret __wrap_##name params                                                                       \
    {                                                                                              \
        return fault_check(FAULT_##name) != 0 ? (failed) : __real_##name args;                     \
    }
#define CODE(ret, name, params, args, ...)                                                         \
    ret __real_##name params;                                                                      \
    ret __wrap_##name params;                                                                      \
    ret __wrap_##name params                                                                       \
    {                                                                                              \
        int way = fault_check(FAULT_##name);                                                       \
                                                                                                   \
        return way != 0 ? way : __real_##name args;                                                \
    }
#define SHORT(ret, name, params, args, half_args, ...)                                             \
    ret __real_##name params;                                                                      \
    ret __wrap_##name params;                                                                      \
    ret __wrap_##name params                                                                       \
    {                                                                                              \
        int way = fault_check(FAULT_##name);                                                       \
                                                                                                   \
        return way == 0 ? __real_##name args : way == FAULT_SHORT ? __real_##name half_args : -1;  \
    }
#define VARIES(name, ...)
#include "calls.h"
#undef CALL
#undef CODE
#undef SHORT
#undef VARIES

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __real_openat(int fd, const char *path, int flags, ...);
int __wrap_openat(int fd, const char *path, int flags, ...);
int __real_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...);
int __real_close(int fd);
int __wrap_close(int fd);
int __real_munmap(void *at, size_t len);
int __wrap_munmap(void *at, size_t len);

void *__real_mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset);

static void fault_begin(void)
{
    fault = __real_mmap(NULL, sizeof(*fault), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                        -1, 0);
    if (fault == MAP_FAILED) {
        abort();
    }
}

static _Atomic int blocks_n; /* mappings that were not given back */

void *__wrap_mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset)
{
    void *block = fault_check(FAULT_mmap) != 0 ? MAP_FAILED
                                               : __real_mmap(at, len, prot, flags, fd, offset);

    if (block != MAP_FAILED) {
        blocks_n++;
    }
    return block;
}

/* Nothing secret may be left in a block; its first bytes are counters' where it is shared. */
int __wrap_munmap(void *at, size_t len)
{
    const unsigned char *bytes = at;
    size_t i;

    blocks_n--;
    for (i = 0; len % 4096 == 0 && i < len; i++) {
        if (bytes[i] != 0) {
            abort();
        }
    }
    return __real_munmap(at, len);
}

int __wrap_open(const char *path, int flags, ...)
{
    va_list args;
    mode_t mode;

    va_start(args, flags);
    mode = (flags & O_CREAT) != 0 ? va_arg(args, mode_t) : 0;
    va_end(args);
    return fault_check(FAULT_open) != 0 ? -1 : __real_open(path, flags, mode);
}

/* Never to create: no mode. */
int __wrap_openat(int fd, const char *path, int flags, ...)
{
    return fault_check(FAULT_openat) != 0 ? -1 : __real_openat(fd, path, flags);
}

int __wrap_fcntl(int fd, int command, ...)
{
    va_list args;
    long arg;

    va_start(args, command);
    arg = va_arg(args, long);
    va_end(args);
    return fault_check(FAULT_fcntl) != 0 ? -1 : __real_fcntl(fd, command, arg);
}

int __wrap_close(int fd)
{
    int rc = __real_close(fd);

    return fault_check(FAULT_close) != 0 ? -1 : rc;
}

#endif
