/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A list of hosts: one per line, blanks around it and comments after '#' do not count.  It is read
 * as it is needed, so it can be longer than memory, and be written meanwhile.  stekctl; one thread.
 */
#ifndef STEKCTL_PROBE_HOST_LIST_H
#define STEKCTL_PROBE_HOST_LIST_H

#include <apr_errno.h>

#pragma GCC visibility push(hidden)

#define PROBE_LINE_SIZE 4096

typedef struct probe_host_list_t {
    int fd, is_file, line_n; /* line_n: of the latest line, from 1 */
    char bytes[65536];
    apr_size_t at, len;
} probe_host_list_t;

/* path "-": standard input. */
apr_status_t probe_host_list_open(probe_host_list_t *list, const char *path);

/* The next host, as it is written.  APR_EOF: there is none.  APR_EGENERAL: the line is too long. */
apr_status_t probe_host_list_next(probe_host_list_t *list, char host[PROBE_LINE_SIZE]);

/* From the beginning again; only if is_file. */
apr_status_t probe_host_list_rewind(probe_host_list_t *list);

void probe_host_list_close(probe_host_list_t *list);

#pragma GCC visibility pop
#endif
