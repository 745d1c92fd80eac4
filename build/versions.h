/* SPDX-License-Identifier: Apache-2.0 */
/* Never compiled: config.mk has the preprocessor read it, so that a build follows the versions of what it
 * is built with and over. */
#include <ap_release.h>
#include <apr_version.h>
#include <openssl/opensslv.h>
versions: __VERSION__ AP_SERVER_BASEREVISION APR_VERSION_STRING OPENSSL_VERSION_TEXT
