/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file ring: where one host keeps its sealed ring.  A path, or anonymous memory that looks the
 * same (file=memory, one-process mode).  Reading changes nothing; writing replaces the whole file.
 * Parent and stekctl read and write; children only read.  All state is in the handle.
 */
#ifndef STEK_RING_FILE_H
#define STEK_RING_FILE_H

#include "stek_file.h"
#include "stek_seal.h"

#pragma GCC visibility push(hidden)

typedef struct stek_ring_file_t {
    const char *path; /* NULL: anonymous memory; the caller's */
    uid_t owner;      /* besides root: whose files are trusted */
    gid_t gid;        /* group of written files; (gid_t)-1: as stek_ring_file_save_under says */
    int memory_fd;    /* anonymous memory: open for reading (inherited by children); else -1 */
    int writer_fd;    /* the same, open for writing: children give it up (drop_writer) */
    int dir_fd;       /* the path's directory, for processes in a chroot (stek_jail.h); else -1 */
    int in_jail;      /* this process is: it has dir_fd, or a copy in memory, instead of the path */
} stek_ring_file_t;

void stek_ring_file_init(stek_ring_file_t *file, const char *path, uid_t owner, gid_t gid);

/* A handle on new anonymous memory, in which there is no ring yet (load: APR_ENOENT). */
apr_status_t stek_ring_file_init_memory(stek_ring_file_t *file, uid_t owner);

/* Gives up the means to write anonymous memory: in a child, and in the parent while other modules may
 * fork. */
void stek_ring_file_drop_writer(stek_ring_file_t *file);

/* Parent: gets it back.  Any failure: it cannot be written any more; take new memory. */
apr_status_t stek_ring_file_open_writer(stek_ring_file_t *file);

/* Call it before processes enter a chroot, once for a path.  Prepares what they will follow there: the
 * path's directory, or a copy in memory that stek_ring_file_publish updates.  *pwhy: APR_SUCCESS, or
 * why it is the copy (STEK_EFOREIGN: the directory holds other things too).  Any other result: neither
 * is possible. */
apr_status_t stek_ring_file_prepare_jail(stek_ring_file_t *file, apr_status_t *pwhy,
                                         apr_pool_t *pool);

/* Nonzero if there is a copy to publish. */
int stek_ring_file_has_copy(const stek_ring_file_t *file);

/* Seals ring and puts it into the copy.  Codes of stek_ring_file_save. */
apr_status_t stek_ring_file_publish(const stek_ring_file_t *file, const stek_ring_t *ring,
                                    const stek_secrets_t *secrets, stek_rng_t *rng);

/* Nonzero if the directory that processes in the chroot follow is no longer the path's. */
int stek_ring_file_jail_is_left(const stek_ring_file_t *file, apr_pool_t *pool);

/* Call it after the chroot, in the process that has entered it. */
void stek_ring_file_enter_jail(stek_ring_file_t *file);

/* Closes descriptors. */
void stek_ring_file_close(stek_ring_file_t *file);

/* Name for messages: the path, or "memory". */
const char *stek_ring_file_name(const stek_ring_file_t *file);

/* Current stamp, as stek_file_stamp. */
apr_status_t stek_ring_file_stamp(const stek_ring_file_t *file, stek_stamp_t *stamp);

/* Reads the ring of a path, still sealed: *psealed (malloc'd, the caller frees) of *plen bytes.  Codes of
 * stek_file_read and stek_header_read: no secret is needed to find out that the file is bad.
 * *stamp and *pculprit as below. */
apr_status_t stek_ring_file_read(const stek_ring_file_t *file, unsigned char **psealed,
                                 apr_size_t *plen, stek_stamp_t *stamp, const char **pculprit,
                                 apr_pool_t *pool);

/* Reads, opens and audits the ring.  Codes of stek_file_read and stek_ring_unseal; APR_ENOENT if
 * there is none.  *stamp as stek_file_read sets it.  *pculprit (may be NULL): path at fault, on
 * STEK_EPERM. */
apr_status_t stek_ring_file_load(const stek_ring_file_t *file, const stek_secrets_t *secrets,
                                 stek_ring_t **pring, stek_stamp_t *stamp, const char **pculprit,
                                 apr_pool_t *pool);

/* Seals ring under secret and writes it as it is (generation and written_at are the caller's to set);
 * *stamp (may be NULL) is the file's after the write.  flags: STEK_FILE_EXCLUSIVE | STEK_FILE_FSYNC.
 * The caller holds the lock.  Codes of stek_ring_seal and stek_file_replace; STEK_EFOREIGN also for
 * a file that is no ring.
 *
 * The file's group, if the handle does not demand one, is that of the ring it replaces: anyone who
 * could read that one can read this one.  A new ring gets the group of its directory; a process that may not give
 * files to that group writes with its own.  A group that must be kept or is demanded, but may not be
 * given, is EPERM. */
apr_status_t stek_ring_file_save_under(const stek_ring_file_t *file, const stek_ring_t *ring,
                                       const stek_secret_t *secret, int flags, stek_rng_t *rng,
                                       stek_stamp_t *stamp, apr_pool_t *pool);

/* The same under the first of the secrets. */
apr_status_t stek_ring_file_save(const stek_ring_file_t *file, const stek_ring_t *ring,
                                 const stek_secrets_t *secrets, int flags, stek_rng_t *rng,
                                 stek_stamp_t *stamp, apr_pool_t *pool);

/* The same without the lock: *preplaced is the good ring that was there in the moment of the replacement,
 * which may be another than at the caller's last look; NULL: none, or the system cannot tell.  The caller
 * destroys it, also after a failure. */
apr_status_t stek_ring_file_save_unlocked(const stek_ring_file_t *file, const stek_ring_t *ring,
                                          const stek_secrets_t *secrets, int flags, stek_rng_t *rng,
                                          stek_stamp_t *stamp, stek_ring_t **preplaced,
                                          apr_pool_t *pool);

/* Nonzero if this result of stek_ring_file_load means that this process could not look at the ring for
 * want of memory, descriptors or OpenSSL's help: that says nothing about the file, which may revoke keys. */
int stek_ring_file_is_own_trouble(apr_status_t rv);

/* Call it before anything is made or written at the path.  APR_SUCCESS if only root and the owner may
 * write there (as stek_path_check_written), and the path holds nothing, or a ring of ours, good or bad
 * (as stek_claim_check).  APR_ENOENT: the directory is missing.  *pdetail, in pool: for STEK_EPERM and
 * STEK_ESHARED the path at fault, for STEK_EFOREIGN what was found. */
apr_status_t stek_ring_file_check(const stek_ring_file_t *file, const char **pdetail,
                                  apr_pool_t *pool);

#pragma GCC visibility pop
#endif
