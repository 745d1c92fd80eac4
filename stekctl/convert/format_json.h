/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exports that are documents: Envoy's file for its secret discovery service (SDS), and a Secret for
 * Kubernetes.  Both are JSON, which every YAML parser reads, too: Envoy goes by the file's name.
 *
 *     envoy              a DiscoveryResponse with one Secret, "stek"; in its session_ticket_keys
 *                        keys of name 16 | hmac 32 | aes 32, in base64; the first encrypts
 *     kubernetes-secret  the Secret "stek-tickets": envoy.json; haproxy.keys; current.key, next.key
 *                        and previous.key, each as nginx's
 *
 * Pure functions, any thread.
 */
#ifndef STEKCTL_FORMAT_JSON_H
#define STEKCTL_FORMAT_JSON_H

#include "format.h"

#pragma GCC visibility push(hidden)

#define FORMAT_JSON_HEAD_MAX 160 /* no document's head is longer */

/* Nonzero for the formats of this file. */
int format_json_is(format_e format);

/* Nonzero if bytes[len], at most FORMAT_JSON_HEAD_MAX, begin as format_json_emit's do. */
int format_json_is_head(format_e format, const unsigned char *bytes, apr_size_t len);

/* A buffer of this size is large enough for key_n keys. */
apr_size_t format_json_size(apr_size_t key_n);

/* Writes keys[key_n], the first of which encrypts, the others the latest slot first, into
 * buf[buf_size], in locked memory.  APR_SUCCESS, APR_ENOSPC, APR_ENOMEM, or STEK_EMALFORMED for a
 * key of 48 bytes. */
apr_status_t format_json_emit(format_e format, const stek_key_t *const *keys, apr_size_t key_n,
                              unsigned char *buf, apr_size_t buf_size, apr_size_t *plen);

#pragma GCC visibility pop
#endif
