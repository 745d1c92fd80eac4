/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For LeakSanitizer in httpd, preloaded before ASan's library, and in stekctl: what hangs off a
 * pool is not lost.
 *
 * APR takes the memory of its pools by mmap, which LeakSanitizer does not search for pointers, and
 * the parent gives it back before the sanitizer looks.  So each anonymous mapping becomes a root,
 * and the look is made before the pools go.  Test only; any thread, any phase.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <sanitizer/lsan_interface.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/types.h>

#define ROOTS_MAX 65536

void apr_terminate(void);

typedef struct root_t {
    void *address;
    size_t len;
} root_t;

static root_t roots[ROOTS_MAX];
static size_t root_n;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void before_fork(void)
{
    pthread_mutex_lock(&lock);
}

static void after_fork(void)
{
    pthread_mutex_unlock(&lock);
}

__attribute__((constructor)) static void prepare(void)
{
    pthread_atfork(before_fork, after_fork, after_fork);
}

static void root_add(void *address, size_t len)
{
    pthread_mutex_lock(&lock);
    if (root_n < ROOTS_MAX) {
        roots[root_n++] = (root_t){address, len};
    }
    pthread_mutex_unlock(&lock);
}

static void root_drop(void *address, size_t len)
{
    size_t i;

    pthread_mutex_lock(&lock);
    for (i = 0; i < root_n; i++) {
        if (roots[i].address == address && roots[i].len == len) {
            roots[i] = roots[--root_n];
            break;
        }
    }
    pthread_mutex_unlock(&lock);
}

/* A symbol of the library that comes after this one.  ISO C has no cast from data to function. */
static void next_symbol(const char *name, void *pfunction)
{
    *(void **)pfunction = dlsym(RTLD_NEXT, name);
}

void *mmap(void *address, size_t len, int protection, int flags, int fd, off_t offset)
{
    static void *(*next)(void *, size_t, int, int, int, off_t);
    void *mapped;

    if (!next) {
        next_symbol("mmap", &next);
    }
    mapped = next(address, len, protection, flags, fd, offset);
    if (mapped != MAP_FAILED && (flags & MAP_ANONYMOUS) && (protection & PROT_READ)) {
        root_add(mapped, len);
    }
    return mapped;
}

int munmap(void *address, size_t len)
{
    static int (*next)(void *, size_t);

    if (!next) {
        next_symbol("munmap", &next);
    }
    root_drop(address, len);
    return next(address, len);
}

static void look(void)
{
    static int looked;
    size_t i;

    if (looked++) {
        return;
    }
    /* Not earlier: the sanitizer maps memory too, while it holds the lock that this takes. */
    for (i = 0; i < root_n; i++) {
        __lsan_register_root_region(roots[i].address, roots[i].len);
    }
    __lsan_do_leak_check();
}

/* The parent's way out. */
void apr_terminate(void)
{
    static void (*next)(void);

    look();
    next_symbol("apr_terminate", &next);
    next();
}

/* The children's: their pools live until the end. */
void exit(int status)
{
    static void (*next)(int) __attribute__((noreturn));

    look();
    next_symbol("exit", &next);
    next(status);
}

/* stekctl's, which returns from main. */
__attribute__((destructor)) static void end(void)
{
    look();
}
