/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded into httpd: another writer of the ring is quicker, in the moment in which a file is about to
 * take the ring's place.  What lies at RING.next goes there first, as if a stekctl that hung with the
 * ring's lock had gone on just then.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

typedef int rename_t(const char *from, const char *to);
typedef int renameat2_t(int from_fd, const char *from, int to_fd, const char *to, unsigned flags);

static void overtake(const char *ring)
{
    rename_t *real = (rename_t *)dlsym(RTLD_NEXT, "rename");
    const char *end = strrchr(ring, '.');
    char next[4096];

    if (end && strcmp(end, ".ring") == 0
        && snprintf(next, sizeof(next), "%s.next", ring) < (int)sizeof(next)) {
        (void)real(next, ring);
    }
}

int rename(const char *from, const char *to)
{
    rename_t *real = (rename_t *)dlsym(RTLD_NEXT, "rename");

    overtake(to);
    return real(from, to);
}

int renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
{
    renameat2_t *real = (renameat2_t *)dlsym(RTLD_NEXT, "renameat2");

    overtake(to);
    return real(from_fd, from, to_fd, to, flags);
}
