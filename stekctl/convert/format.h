/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Other programs' key files: converts their bytes to keys and back.  Pure functions without files,
 * clock or output, so tests and fuzzers can call them directly; any thread.  The layouts:
 *
 *     nginx     one file per key: name 16 | aes 16 | hmac 16, or name 16 | hmac 32 | aes 32; the
 *               first ssl_session_ticket_key encrypts
 *     haproxy   one line per key, in base64: name 16 | aes 16 | hmac 16, or name 16 | aes 32 |
 *               hmac 32; all of one length, three or more, of which it keeps the last three; the
 *               last but one encrypts
 *     apache    one key, SSLSessionTicketKeyFile: name 16 | hmac 16 | aes 16
 *     ats       Traffic Server: keys of name 16 | hmac 16 | aes 16 one after the other; the first
 *               encrypts
 *     lighttpd  one key, native int32: 0, activate, expire (s); name 16 | hmac 32 | aes 32
 *     dnsdist   keys of name 16 | aes 32 | hmac 32 one after the other; the last encrypts
 */
#ifndef STEKCTL_FORMAT_H
#define STEKCTL_FORMAT_H

#include "stek_key.h"

#pragma GCC visibility push(hidden)

typedef enum format_e {
    FORMAT_NGINX,
    FORMAT_HAPROXY,
    FORMAT_APACHE,
    FORMAT_ATS,
    FORMAT_LIGHTTPD,
    FORMAT_DNSDIST,
    FORMAT_N, /* of those that are read, too; for export only, a layout of one key: */
    FORMAT_ENVOY = FORMAT_N,
    FORMAT_KUBERNETES,
    FORMAT_EXPORT_N
} format_e;

/* What a program does with a key of its file. */
typedef enum format_use_e {
    FORMAT_ENCRYPTS, /* and decrypts */
    FORMAT_DECRYPTS,
    FORMAT_IGNORED
} format_use_e;

#define FORMAT_KEY_LEN 80       /* of a key with 32-byte halves */
#define FORMAT_KEY_SHORT_LEN 48 /* and with 16-byte halves */
#define FORMAT_LINE_LEN 108     /* base64 of FORMAT_KEY_LEN */
#define FORMAT_LIGHTTPD_LEN 92
#define FORMAT_HAPROXY_KEYS_N 3
#define FORMAT_KEYS_MAX 4096 /* in one file */
#define FORMAT_FILE_MAX (FORMAT_KEYS_MAX * (FORMAT_LINE_LEN + 2))

/* A format that can be read: APR_SUCCESS or APR_NOTFOUND. */
apr_status_t format_find(const char *name, format_e *pformat);

/* The same for all that can be written: format_json.h has the others. */
apr_status_t format_find_export(const char *name, format_e *pformat);
const char *format_name(format_e format);

/* "nginx, haproxy, ...": those that can be read; those that can be written only. */
const char *format_names(void);
const char *format_export_names(void);

/* The layout that bytes[len] can have: APR_SUCCESS, STEK_ELENGTH if none, STEK_ESYNTAX if several
 * with different keys.  Layouts that differ only in the order of the halves count as one: good
 * enough for an audit, not for an import. */
apr_status_t format_guess(const unsigned char *bytes, apr_size_t len, format_e *pformat);

/* The keys of a file in the file's order: name, halves and STEK_KEY_AES128; lighttpd's times as
 * not_before and decrypt_until; everything else is zero.  keys[key_max] must be in locked memory.
 * STEK_ELENGTH, STEK_ESYNTAX (base64), STEK_EVERSION (lighttpd), STEK_EEMPTY, STEK_EFULL; *pline is
 * the line with the error (haproxy), from 1, or 0. */
apr_status_t format_parse(format_e format, const unsigned char *bytes, apr_size_t len,
                          stek_key_t *keys, apr_size_t key_max, apr_size_t *pkey_n, int *pline);

/* What the program does with key i of n, from one or several files in its order. */
format_use_e format_use(format_e format, apr_size_t i, apr_size_t n);

/* Nonzero if the program supports only 16-byte halves.  format_emit then writes keys derived from
 * the ring's, HKDF-SHA256(hmac | aes, info "stek export 48", 32): programs that take their keys
 * from one ring share tickets with each other. */
int format_is_short(format_e format);

/* Writes keys[key_n] in this order into buf[buf_size]: APR_SUCCESS, APR_ENOSPC, STEK_ECRYPTO, or
 * STEK_EMALFORMED if the layout cannot contain that many keys or a key of that kind. */
apr_status_t format_emit(format_e format, const stek_key_t *const *keys, apr_size_t key_n,
                         unsigned char *buf, apr_size_t buf_size, apr_size_t *plen);

#pragma GCC visibility pop
#endif
