/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Swap space, as Linux shows it below /proc.  Core; no state, any thread; not for the monitor hook,
 * because the list of mounts can be long.
 */
#include "stek_swappable.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/sysmacros.h>
#endif

#include "stek_path.h"

#define BLOCK_LEN 16384 /* longer lines of mountinfo are ignored */

int stek_swappable_is_on(const char *text, apr_size_t len)
{
    const char *end = memchr(text, '\n', len);

    /* The first line is a heading. */
    return end && (apr_size_t)(end - text) + 1 < len;
}

/* Takes a word off a line; its length is 0 at the end of the line. */
static apr_size_t next_word(const char **pline, apr_size_t *plen, const char **pword)
{
    apr_size_t n = 0;

    while (*plen > 0 && **pline == ' ') {
        ++*pline;
        --*plen;
    }
    *pword = *pline;
    while (n < *plen && (*pline)[n] != ' ') {
        n++;
    }
    *pline += n;
    *plen -= n;
    return n;
}

static int is_word(const char *word, apr_size_t len, const char *wanted)
{
    return len == strlen(wanted) && memcmp(word, wanted, len) == 0;
}

static int has_option(const char *options, apr_size_t len, const char *wanted)
{
    while (len > 0) {
        const char *comma = memchr(options, ',', len);
        apr_size_t n = comma ? (apr_size_t)(comma - options) : len;

        if (is_word(options, n, wanted)) {
            return 1;
        }
        n += comma != NULL;
        options += n;
        len -= n;
    }
    return 0;
}

/* proc(5): id, parent, device, root, mount point, options, any number of tags, "-", type, source,
 * options of the file system. */
int stek_swappable_mount(const char *line, apr_size_t len, unsigned int dev_major,
                         unsigned int dev_minor)
{
    const char *word;
    char device[32];
    apr_size_t n;

    snprintf(device, sizeof(device), "%u:%u", dev_major, dev_minor);
    next_word(&line, &len, &word);
    next_word(&line, &len, &word);
    n = next_word(&line, &len, &word);
    if (!is_word(word, n, device)) {
        return 0;
    }
    do {
        n = next_word(&line, &len, &word);
    } while (n > 0 && !is_word(word, n, "-"));
    n = next_word(&line, &len, &word);
    if (!is_word(word, n, "tmpfs")) {
        return 0;
    }
    next_word(&line, &len, &word);
    n = next_word(&line, &len, &word);
    return n > 0 && !has_option(word, n, "noswap");
}

#ifdef __linux__
/* Appends the file's next bytes to buf[*plen]; returns their number, 0 at the end or on an
 * error. */
static apr_size_t read_more(int fd, char *buf, apr_size_t *plen)
{
    ssize_t n;

    do {
        n = read(fd, buf + *plen, BLOCK_LEN - *plen);
    } while (n < 0 && errno == EINTR);
    if (n <= 0) {
        return 0;
    }
    *plen += (apr_size_t)n;
    return (apr_size_t)n;
}

static int swap_is_on(char *buf)
{
    int fd = open("/proc/swaps", O_RDONLY | O_CLOEXEC), on;
    apr_size_t len = 0;

    if (fd < 0) {
        return 0;
    }
    while (len < BLOCK_LEN && read_more(fd, buf, &len) > 0) {
    }
    on = stek_swappable_is_on(buf, len);
    close(fd);
    return on;
}

/* Examines the complete lines of buf[*plen] and keeps the rest. */
static int scan_lines(char *buf, apr_size_t *plen, dev_t dev)
{
    const char *line = buf, *end;
    apr_size_t left = *plen;
    int swaps = 0;

    while (!swaps && (end = memchr(line, '\n', left)) != NULL) {
        apr_size_t len = (apr_size_t)(end - line);

        swaps = stek_swappable_mount(line, len, major(dev), minor(dev));
        line += len + 1;
        left -= len + 1;
    }
    *plen = left < BLOCK_LEN ? left : 0;
    memmove(buf, line, *plen);
    return swaps;
}

static int mount_swaps(char *buf, dev_t dev)
{
    int fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC), swaps = 0;
    apr_size_t len = 0;

    if (fd < 0) {
        return 0;
    }
    while (!swaps && read_more(fd, buf, &len) > 0) {
        swaps = scan_lines(buf, &len, dev);
    }
    close(fd);
    return swaps;
}

int stek_swappable_file(const char *path, apr_pool_t *pool)
{
    char *buf = apr_palloc(pool, BLOCK_LEN);
    struct stat st;

    if (stat(path, &st) != 0 && stat(stek_file_dir(path, pool), &st) != 0) {
        return 0;
    }
    return swap_is_on(buf) && mount_swaps(buf, st.st_dev);
}
#else
int stek_swappable_file(const char *path, apr_pool_t *pool)
{
    (void)path;
    (void)pool;
    return 0;
}
#endif
