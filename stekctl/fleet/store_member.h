/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a server is: "host[:port]", with an IPv6 address in brackets, and lists of those with commas between
 * them.  Pure.
 */
#ifndef STEKCTL_STORE_MEMBER_H
#define STEKCTL_STORE_MEMBER_H

#pragma GCC visibility push(hidden)

/* Splits text, which it changes, and sets *phost.  Returns the port (default_port if there is none), or 0 if
 * text is malformed. */
int store_member_split(char *text, int default_port, char **phost);

/* The same with the first of a list, which is taken off it: *plist is NULL after the last one. */
int store_member_next(char **plist, int default_port, char **phost);

#pragma GCC visibility pop
#endif
