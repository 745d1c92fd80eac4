/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes as hex digits.  Pure; stekctl.
 */
#ifndef STEKCTL_PROBE_HEX_H
#define STEKCTL_PROBE_HEX_H

#include <apr.h>

#pragma GCC visibility push(hidden)

/* Writes 2 * len digits, in small letters, and a NUL.  Returns text. */
char *probe_hex(const unsigned char *bytes, apr_size_t len, char *text);

/* 0 to 15; -1: no digit. */
int probe_hex_value(char digit);

#pragma GCC visibility pop
#endif
