/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes a ticket that the server has not, as anyone could who has found the keys: with another
 * secret for the same session under the cipher's key, or altered at random under the MAC's key
 * alone.  Pure; stekctl.
 */
#ifndef STEKCTL_PROBE_FORGE_H
#define STEKCTL_PROBE_FORGE_H

#include <apr_pools.h>

#include "ticket.h"

#pragma GCC visibility push(hidden)

#define PROBE_FORGE_VARIANTS 4 /* the most places where a text may end */

/* A ticket, decoded if it is text, and what was found of its keys. */
typedef struct probe_forge_t {
    const probe_ticket_t *ticket;
    const probe_format_t *format;
    const probe_hit_t *cipher, *mac; /* NULL: not found */
    const unsigned char *opened;     /* what the cipher's key opened (search.h) */
    apr_size_t opened_at, opened_len;
} probe_forge_t;

typedef struct probe_forged_t {
    unsigned char *bytes; /* as many as the ticket has */
    unsigned char secret[PROBE_SECRET_MAX];
    apr_size_t secret_len;
    int is_sealed;  /* with a MAC or a tag that belongs to it */
    int variants_n; /* where the text ends is not certain: so many can be made */
} probe_forged_t;

/* With the cipher's key: the session goes on with forged->secret.  variant is from 0.  Returns NULL;
 * or why that is not possible. */
const char *probe_forge_secret(const probe_forge_t *known, int variant, probe_forged_t *forged,
                               apr_pool_t *pool);

/* With the MAC's key: the byte at `at` is altered, and the MAC fits (is_sealed) or not.  0: the MAC
 * is not of this ticket. */
int probe_forge_altered(const probe_forge_t *known, apr_size_t at, probe_forged_t *forged,
                        apr_pool_t *pool);

#pragma GCC visibility pop
#endif
