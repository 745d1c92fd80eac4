/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Confinement (confine.h).
 */
#include "confine.h"

#include "fleet.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#if __has_include(<linux/landlock.h>) && defined(SYS_landlock_create_ruleset)
#include <linux/landlock.h>
#define HAVE_LANDLOCK 1
#endif

#ifdef STEK_WITH_SECCOMP
#include <seccomp.h>
#endif

/* Sanitizers map terabytes, and look around at exit. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)                            \
    || __has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif

/* Nothing above the worker's end of the pipe, but poll() of a few descriptors still works. */
#define DESCRIPTORS_MAX 4

#define UNKNOWN_MEMORY ((rlim_t)256 * 1024 * 1024)

void confine_self(void)
{
    const struct rlimit none = {0, 0};

    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    (void)setrlimit(RLIMIT_CORE, &none);
}

#ifndef SANITIZED

/* No capability, even if it runs as root.  Where there is none, nobody need allow capset. */
static int drop_capabilities(void)
{
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct none[2], mine[2];

    memset(none, 0, sizeof(none));
    return (syscall(SYS_capget, &head, mine) == 0 && memcmp(mine, none, sizeof(none)) == 0)
           || syscall(SYS_capset, &head, none) == 0;
}

/* The address space in use; without /proc, more than any worker has. */
static rlim_t memory_in_use(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    unsigned long pages = 0;
    char text[64];

    if (file) {
        if (fgets(text, sizeof(text), file)) {
            pages = strtoul(text, NULL, 10);
        }
        fclose(file);
    }
    return pages > 0 ? (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE) : UNKNOWN_MEMORY;
}

static int limit_memory(void)
{
    rlim_t limit = memory_in_use() + (rlim_t)CONFINE_MEMORY_MIB * 1024 * 1024;
    struct rlimit memory;

    if (getrlimit(RLIMIT_AS, &memory) != 0) {
        return 0;
    }
    memory.rlim_cur = memory.rlim_max = limit < memory.rlim_max ? limit : memory.rlim_max;
    return setrlimit(RLIMIT_AS, &memory) == 0;
}

/* No new ones, because these numbers are taken. */
static int limit_descriptors(void)
{
    const struct rlimit few = {DESCRIPTORS_MAX, DESCRIPTORS_MAX};

    return setrlimit(RLIMIT_NOFILE, &few) == 0;
}

/* Nothing of the file system; success without Landlock in the build. */
static int restrict_files(void)
{
#ifdef HAVE_LANDLOCK
    const struct landlock_ruleset_attr all = {
        .handled_access_fs = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1};
    long fd = syscall(SYS_landlock_create_ruleset, &all, sizeof(all.handled_access_fs), 0);
    int ok;

    if (fd < 0) {
        return 0;
    }
    ok = syscall(SYS_landlock_restrict_self, fd, 0) == 0;
    close((int)fd);
    return ok;
#else
    return 1;
#endif
}

#ifdef STEK_WITH_SECCOMP
/* What a worker still calls, and what its C library calls for it. */
static const int allowed[] = {
    SCMP_SYS(read),
    SCMP_SYS(write),
    SCMP_SYS(recvfrom),
    SCMP_SYS(sendto),
    SCMP_SYS(getsockopt),
    SCMP_SYS(getpeername),
    SCMP_SYS(getsockname),
    SCMP_SYS(shutdown),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(ppoll_time64),
    SCMP_SYS(close),
    SCMP_SYS(brk),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(madvise),
    SCMP_SYS(futex),
    SCMP_SYS(futex_time64),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(clock_gettime64),
    SCMP_SYS(getrandom),
    SCMP_SYS(getpid),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    /* 32-bit x86 may send and receive by this one only. */
    SCMP_SYS(recv),
    SCMP_SYS(send),
};
static const int mappings[] = {SCMP_SYS(mmap), SCMP_SYS(mmap2)};
#endif

/* Success without libseccomp in the build. */
static int restrict_calls(void)
{
#ifdef STEK_WITH_SECCOMP
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    int rc = filter ? 0 : -1;
    size_t i;

    for (i = 0; rc == 0 && i < sizeof(allowed) / sizeof(allowed[0]); i++) {
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
        /* A negative number: this machine may have no such call. */
        rc = allowed[i] < 0 ? 0 : rc;
    }
    /* Memory, but none that can be executed. */
    for (i = 0; rc == 0 && i < sizeof(mappings) / sizeof(mappings[0]); i++) {
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, mappings[i], 1,
                              SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
        rc = mappings[i] < 0 ? 0 : rc;
    }
    if (rc == 0) {
        rc = seccomp_load(filter);
    }
    seccomp_release(filter);
    return rc == 0;
#else
    return 1;
#endif
}

const char *confine_worker(void)
{
    int limited = prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0
                  && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
    int files, calls;

    limited = drop_capabilities() && limited;
    limited = limit_memory() && limited; /* reads a file */
    files = restrict_files();            /* needs a descriptor */
    limited = limit_descriptors() && limited;
    calls = restrict_calls();
#ifdef STEK_WITH_SECCOMP
    /* It is enough without Landlock, which old kernels lack. */
    files = files || calls;
#endif
    return !calls     ? (files ? "seccomp" : "seccomp and Landlock")
           : !files   ? "Landlock"
           : !limited ? "limits"
                      : NULL;
}

#else

const char *confine_worker(void)
{
    return NULL;
}

#endif

const char *fleet_confinement_names(void)
{
#if defined(STEK_WITH_SECCOMP) && defined(HAVE_LANDLOCK)
    return "seccomp, Landlock";
#elif defined(STEK_WITH_SECCOMP)
    return "seccomp (built without Landlock's header)";
#elif defined(HAVE_LANDLOCK)
    return "Landlock (built without libseccomp)";
#else
    return "limits only (built without libseccomp and Landlock's header)";
#endif
}
