/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is said on a connection before TLS begins: to a proxy, or to a server that has to be asked
 * for TLS.  Reads not one byte too many, because the next may belong to TLS.  The peer can be
 * anybody: every call ends at the given time.  0: it did, or the peer has closed.  stekctl; one
 * thread.
 */
#ifndef STEKCTL_PROBE_WIRE_H
#define STEKCTL_PROBE_WIRE_H

#include <apr_time.h>

#pragma GCC visibility push(hidden)

int probe_wire_send(int fd, const void *bytes, apr_size_t len, apr_time_t until);

/* Reads exactly len bytes. */
int probe_wire_read(int fd, void *bytes, apr_size_t len, apr_time_t until);

#define PROBE_WIRE_LINE_MAX 16384

/* Reads one line, without its end; what does not fit into line[size] is lost.  Other bytes than
 * printable ASCII become '?'.  -1: the line has more than PROBE_WIRE_LINE_MAX bytes. */
int probe_wire_line(int fd, char *line, apr_size_t size, apr_time_t until);

#pragma GCC visibility pop
#endif
