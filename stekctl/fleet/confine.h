/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What sync's processes may do.  All have the same user, so the kernel must keep them apart: sync has
 * secrets in its memory; its workers talk to servers that are not trusted.  One thread.
 */
#ifndef STEKCTL_CONFINE_H
#define STEKCTL_CONFINE_H

#pragma GCC visibility push(hidden)

/* What a confined worker may use beyond what it has when it is connected. */
#define CONFINE_MEMORY_MIB 16

/* No process of the same user can trace this one or read its memory; it leaves no core, and what it
 * executes gains no rights. */
void confine_self(void);

/* The worker, once it is connected: it may use the descriptors that it has, get and return memory up to
 * a limit, and read the clock.  It can open, execute, signal and trace nothing.  The mechanisms are
 * independent of each other: what a kernel or a container does not allow is left out.  Returns NULL, or
 * what was left out. */
const char *confine_worker(void);

#pragma GCC visibility pop
#endif
