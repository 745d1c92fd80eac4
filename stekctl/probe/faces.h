/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who answers: the servers behind one address, as far as their full handshakes tell them apart, and
 * how often an offer has to be repeated because of them.  Pure; stekctl.
 */
#ifndef STEKCTL_PROBE_FACES_H
#define STEKCTL_PROBE_FACES_H

#include "model.h"

#pragma GCC visibility push(hidden)

#define PROBE_REPEATS_MAX 100 /* a backend that requires more is met too rarely */

/* Sets the faces of a version from its visits, tickets and backends. */
void probe_faces_find(probe_version_t *version, apr_pool_t *pool);

/* The face that gave this answer; -1: that cannot be told. */
int probe_faces_of(const probe_version_t *version, const probe_reply_t *reply);

/* Those of a backend, as bits. */
apr_uint64_t probe_faces_of_backend(const probe_version_t *version, int backend);

/* All of them, as bits, if there are several; otherwise 0. */
apr_uint64_t probe_faces_all(const probe_version_t *version);

/* Those that were met more than once, as bits. */
apr_uint64_t probe_faces_often(const probe_version_t *version);

/* Nonzero: all faces look alike, but for the key's name in their tickets. */
int probe_faces_are_alike(const probe_version_t *version);

/* How many offers miss one of these faces in less than 1 %, and in *pcost_n how many are needed on
 * average until all have answered; the more of the two, if answers do not tell (faces is 0).  met_n:
 * connections that met the rarest, for that case. */
int probe_faces_repeats(const probe_version_t *version, apr_uint64_t faces, int met_n,
                        int *pcost_n);

/* The same for a backend that answers this share of the connections. */
int probe_faces_repeats_for(double share, int faces_n);

#pragma GCC visibility pop
#endif
