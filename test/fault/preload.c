/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Faults in a running httpd, by LD_PRELOAD: calls of mod_stek_rotate.so, and of nothing else, fail
 * as the file that STEK_FAULT_CONTROL names says.  All of httpd's processes map it, and so does the
 * test, which writes there what is to fail and reads how often it did.
 */
#include <dlfcn.h>

#include "fault.h"

typedef struct control_t {
    _Atomic int armed;
    _Atomic int counting;
    _Atomic int quick; /* the parent's pauses are short: it looks at rings many times a second */
    _Atomic int role;  /* 0: the parent's calls fail, 1: its children's */
    _Atomic int call, way;
    _Atomic int hits;
    _Atomic int parent;
    _Atomic int pauses;                  /* of the parent, that were made short */
    _Atomic int counts[2][FAULT_CALL_N]; /* calls by role while counting */
} control_t;

static control_t *control;

static __attribute__((constructor)) void map_control(void)
{
    const char *path = getenv("STEK_FAULT_CONTROL");
    int fd = path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC) : -1;
    void *at = MAP_FAILED;

    if (fd >= 0) {
        at = (void *)syscall(SYS_mmap, NULL, sizeof(control_t), PROT_READ | PROT_WRITE, MAP_SHARED,
                             fd, 0);
        (void)syscall(SYS_close, fd);
    }
    if (at != MAP_FAILED) {
        control = at;
        control->parent = (int)getpid();
    }
}

/* For the test: what can fail, and how. */
int fault_control_size(void);
const char *fault_call_name(int call);
int fault_call_way(int call, int i);

int fault_control_size(void)
{
    return (int)sizeof(control_t);
}

const char *fault_call_name(int call)
{
    return call < FAULT_CALL_N ? fault_calls[call].name : NULL;
}

int fault_call_way(int call, int i)
{
    return fault_calls[call].ways[i];
}

static int is_ours(const void *caller)
{
    Dl_info info;

    return dladdr(caller, &info) && info.dli_fname && strstr(info.dli_fname, "mod_stek_rotate.so");
}

/* 0: go on; else the way in which the call fails. */
static int check(int call, const void *caller)
{
    int error = errno, role, way;

    if (!control || (!control->counting && !(control->armed && control->call == call))
        || !is_ours(caller)) {
        errno = error;
        return 0;
    }
    errno = error;
    role = control->parent != (int)getpid();
    if (control->counting) {
        control->counts[role][call]++;
    }
    if (!control->armed || control->call != call || control->role != role) {
        return 0;
    }
    control->hits++;
    way = control->way;
    if (way != FAULT_SHORT) {
        fault_set_error(way);
    }
    return way;
}

void *__libc_malloc(size_t len);
void *__libc_calloc(size_t n, size_t len);

/* Looked up when first called: dlsym itself may allocate. */
static void *next_of(const char *name, void **pnext)
{
    if (!*pnext) {
        *pnext = strcmp(name, "malloc") == 0   ? (void *)__libc_malloc
                 : strcmp(name, "calloc") == 0 ? (void *)__libc_calloc
                                               : dlsym(RTLD_NEXT, name);
    }
    return *pnext;
}

#define NEXT(ret, name, params)                                                                    \
    static void *next_##name;                                                                      \
    ret(*next) params = (ret(*) params)next_of(#name, &next_##name)
#define CHECK(name) check(FAULT_##name, __builtin_return_address(0))

#define CALL(ret, name, params, args, failed, ...)                                                 \
    ret name params                                                                                \
    {                                                                                              \
        NEXT(ret, name, params);                                                                   \
        return CHECK(name) != 0 ? (failed) : next args;                                            \
    }
#define CODE(ret, name, params, args, ...)                                                         \
    ret name params                                                                                \
    {                                                                                              \
        NEXT(ret, name, params);                                                                   \
        int way = CHECK(name);                                                                     \
                                                                                                   \
        return way != 0 ? way : next args;                                                         \
    }
#define SHORT(ret, name, params, args, half_args, ...)                                             \
    ret name params                                                                                \
    {                                                                                              \
        NEXT(ret, name, params);                                                                   \
        int way = CHECK(name);                                                                     \
                                                                                                   \
        return way == 0 ? next args : way == FAULT_SHORT ? next half_args : -1;                    \
    }
#define VARIES(name, ...)
#include "calls.h"
#undef CALL
#undef CODE
#undef SHORT
#undef VARIES

int openat(int fd, const char *path, int flags, ...)
{
    NEXT(int, openat, (int, const char *, int, ...));
    va_list args;
    mode_t mode;

    va_start(args, flags);
    mode = (flags & (O_CREAT | __O_TMPFILE)) != 0 ? va_arg(args, mode_t) : 0;
    va_end(args);
    return CHECK(openat) != 0 ? -1 : next(fd, path, flags, mode);
}

int open(const char *path, int flags, ...)
{
    NEXT(int, open, (const char *, int, ...));
    va_list args;
    mode_t mode;

    va_start(args, flags);
    mode = (flags & (O_CREAT | __O_TMPFILE)) != 0 ? va_arg(args, mode_t) : 0;
    va_end(args);
    return CHECK(open) != 0 ? -1 : next(path, flags, mode);
}

int fcntl(int fd, int command, ...)
{
    NEXT(int, fcntl, (int, int, ...));
    va_list args;
    long arg;

    va_start(args, command);
    arg = va_arg(args, long);
    va_end(args);
    return CHECK(fcntl) != 0 ? -1 : next(fd, command, arg);
}

int close(int fd)
{
    NEXT(int, close, (int));
    int rc = next(fd);

    return CHECK(close) != 0 ? -1 : rc;
}

void *mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset)
{
    NEXT(void *, mmap, (void *, size_t, int, int, int, off_t));

    return CHECK(mmap) != 0 ? MAP_FAILED : next(at, len, prot, flags, fd, offset);
}

void apr_sleep(apr_interval_time_t span);

/* The monitor hook runs each tenth time that the MPM wakes. */
void apr_sleep(apr_interval_time_t span)
{
    NEXT(void, apr_sleep, (apr_interval_time_t));

    if (control && control->quick && control->parent == (int)getpid()
        && span == apr_time_from_sec(1)) {
        span = apr_time_from_msec(10);
        control->pauses++;
    }
    next(span);
}
