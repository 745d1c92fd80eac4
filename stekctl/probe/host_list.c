/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The list of hosts (host_list.h).
 */
#include "host_list.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wait.h"

#define PATIENCE apr_time_from_sec(365 * 86400) /* with whoever writes into a pipe */

apr_status_t probe_host_list_open(probe_host_list_t *list, const char *path)
{
    struct stat info;

    list->fd = !strcmp(path, "-") ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    list->line_n = 0;
    list->at = list->len = 0;
    if (list->fd < 0 || fstat(list->fd, &info) != 0) {
        return APR_FROM_OS_ERROR(errno);
    }
    list->is_file = S_ISREG(info.st_mode);
    return APR_SUCCESS;
}

/* The next byte; -1: the end, or an error, which is in errno. */
static int next_byte(probe_host_list_t *list)
{
    ssize_t n;

    if (list->at < list->len) {
        return (unsigned char)list->bytes[list->at++];
    }
    if (!list->is_file) {
        (void)probe_wait(list->fd, POLLIN, apr_time_now() + PATIENCE);
    }
    do {
        errno = 0;
        n = read(list->fd, list->bytes, sizeof(list->bytes));
    } while (n < 0 && errno == EINTR);
    list->at = 0;
    list->len = n > 0 ? (apr_size_t)n : 0;
    return n > 0 ? (unsigned char)list->bytes[list->at++] : -1;
}

/* The next line, without its end; size at least 2. */
static apr_status_t next_line(probe_host_list_t *list, char *line, apr_size_t size)
{
    apr_size_t len = 0;
    int byte = next_byte(list);

    if (byte < 0) {
        return errno ? APR_FROM_OS_ERROR(errno) : APR_EOF;
    }
    list->line_n++;
    for (; byte >= 0 && byte != '\n'; byte = next_byte(list)) {
        if (len + 1 == size) {
            return APR_EGENERAL;
        }
        /* A NUL would hide what follows. */
        line[len++] = byte ? (char)byte : '\1';
    }
    line[len] = '\0';
    return APR_SUCCESS;
}

apr_status_t probe_host_list_next(probe_host_list_t *list, char host[PROBE_LINE_SIZE])
{
    for (;;) {
        apr_status_t rv = next_line(list, host, PROBE_LINE_SIZE);
        apr_size_t from, len;

        if (rv != APR_SUCCESS) {
            return rv;
        }
        from = strspn(host, " \t\r");
        len = strlen(host + from);
        memmove(host, host + from, len + 1);
        /* A URL may contain '#', so a comment begins a line, or follows a blank. */
        from = *host == '#' ? 0 : strcspn(host, " \t\r");
        if (host[from] && host[from + strspn(host + from, " \t\r")] != '#'
            && host[from + strspn(host + from, " \t\r")]) {
            return APR_SUCCESS; /* two words: the caller refuses it */
        }
        host[from] = '\0';
        if (*host) {
            return APR_SUCCESS;
        }
    }
}

apr_status_t probe_host_list_rewind(probe_host_list_t *list)
{
    list->line_n = 0;
    list->at = list->len = 0;
    return lseek(list->fd, 0, SEEK_SET) == 0 ? APR_SUCCESS : APR_FROM_OS_ERROR(errno);
}

void probe_host_list_close(probe_host_list_t *list)
{
    if (list->fd > STDIN_FILENO) {
        close(list->fd);
    }
}
