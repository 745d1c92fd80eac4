/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When certificates and CRLs begin and end, compared as OpenSSL compares them when it verifies a
 * chain: X509_cmp_time(3), which OpenSSL 4.0 deprecates.  Core, pure, any thread and phase.
 */
#ifndef STEK_X509_TIME_H
#define STEK_X509_TIME_H

#include <apr_time.h>
#include <openssl/asn1.h>

#pragma GCC visibility push(hidden)

/* -1: t is not later than now; 1: it is; both to the second.  0: t is no time in one of the two
 * forms that RFC 5280 (4.1.2.5) allows, of which OpenSSL accepts no other in a chain. */
int stek_x509_time_compare(const ASN1_TIME *t, apr_time_t now);

#pragma GCC visibility pop
#endif
