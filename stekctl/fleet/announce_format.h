/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Announcements: what each host of a fleet says of itself in the stores, beside the ring.  They are for
 * people and for metrics only: nothing in them ever decides about a key.
 *
 * Hosts are spread over ANNOUNCE_PARTS objects by their names, so that whoever looks finds all of them
 * without a list, and hosts hardly ever write the same object.  A part, version 1, big-endian:
 *
 *     offset  len  header, in clear, authenticated
 *          0    8  magic "STEKHOST"
 *          8    2  version = 1
 *         10    2  part
 *         12    8  secret id
 *         20   32  salt
 *         52    4  body length: all that follows, the tag included
 *         56    .  body: as a ring's (stek_box.h), infos "stek hosts v1 salt" and "stek hosts v1 seal"
 *
 *     plaintext: host_n u16 | hosts by name
 *     host: name_len u8 | name | version_len u8 | version | process 8 | digest 8 | flags u16 |
 *           epoch u64 | generation u64 | clock u64 | since u64 | agreed u64 | behind u32 | every u32 |
 *           period u32 | httpd_epoch u64 | httpd_generation u64              times in seconds since 1970
 *
 * Sets of them: announce_set.h.  Pure functions; no clock, no store.  Any thread.
 */
#ifndef STEKCTL_ANNOUNCE_FORMAT_H
#define STEKCTL_ANNOUNCE_FORMAT_H

#include <apr_pools.h>
#include <apr_time.h>

#include "stek_box.h"

#pragma GCC visibility push(hidden)

#define ANNOUNCE_PARTS 64
#define ANNOUNCE_PART_HOSTS_MAX 256 /* in one part */
#define ANNOUNCE_NAME_MAX 64
#define ANNOUNCE_VERSION_MAX 15
#define ANNOUNCE_DIGEST_LEN 8
#define ANNOUNCE_PROCESS_LEN 8
#define ANNOUNCE_HEADER_LEN 56
#define ANNOUNCE_HOST_MAX (2 + ANNOUNCE_NAME_MAX + ANNOUNCE_VERSION_MAX + 8 + 8 + 2 + 7 * 8 + 3 * 4)

#define ANNOUNCE_GENERATES 0x1u  /* makes keys */
#define ANNOUNCE_HTTPD 0x2u      /* knows what its httpd has loaded */
#define ANNOUNCE_MUTE 0x4u       /* its httpd should say that, but does not answer */
#define ANNOUNCE_TWIN 0x8u       /* another host announces itself under the same name */
#define ANNOUNCE_FORGOTTEN 0x10u /* not by the host: somebody has said to forget it */

typedef struct announce_t {
    char name[ANNOUNCE_NAME_MAX + 1];
    char version[ANNOUNCE_VERSION_MAX + 1];      /* of stekctl */
    unsigned char process[ANNOUNCE_PROCESS_LEN]; /* random: tells two hosts of one name apart */
    unsigned char digest[ANNOUNCE_DIGEST_LEN];   /* of its ring */
    apr_uint32_t flags;                          /* ANNOUNCE_* */
    apr_uint64_t epoch, generation;              /* of its ring */
    apr_time_t clock;                            /* when it said so, by its clock */
    apr_time_t since;                            /* since when its ring has that digest */
    apr_time_t agreed;          /* when ring and stores last were the same; 0: never */
    apr_interval_time_t behind; /* how far at least other clocks are ahead of its own */
    apr_interval_time_t every;  /* length of its cycles */
    apr_interval_time_t period; /* the longest that it stays silent */
    apr_uint64_t httpd_epoch, httpd_generation; /* ANNOUNCE_HTTPD: what its httpd has loaded */
} announce_t;

/* Sorted by name, each name once; the array is a pool's. */
typedef struct announce_set_t {
    announce_t *hosts;
    apr_size_t n;
} announce_set_t;

/* Nonzero if text can be a host's name: 1 to 64 letters, digits, '.', '-' and '_'. */
int announce_is_name(const char *text);

/* The part of a host. */
int announce_part(const char *name);

/* Writes the host in the format above; returns the length. */
apr_size_t announce_encode(const announce_t *host, unsigned char bytes[ANNOUNCE_HOST_MAX]);

/* Seals a part: *psealed[*plen] in pool.  STEK_ETOOBIG, STEK_EMALFORMED (what could not be opened again),
 * STEK_ECRYPTO, APR_ENOMEM. */
apr_status_t announce_seal(const announce_set_t *set, int part, const stek_secret_t *secret,
                           const unsigned char random[STEK_BOX_RANDOM_LEN], unsigned char **psealed,
                           apr_size_t *plen, apr_pool_t *pool);

/* Opens it with whichever secret has its id.  STEK_EMAGIC, STEK_EVERSION, STEK_ELENGTH, STEK_ETOOBIG,
 * STEK_ESECRET, STEK_ESEAL, STEK_EMALFORMED (another part, too), APR_ENOMEM. */
apr_status_t announce_open(const unsigned char *sealed, apr_size_t len, int part,
                           const stek_secrets_t *secrets, announce_set_t *set, apr_pool_t *pool);

/* Its plaintext: for announce_seal and announce_open.  STEK_EMALFORMED. */
apr_status_t announce_decode(const unsigned char *plain, apr_size_t len, int part,
                             announce_set_t *set, apr_pool_t *pool);

#pragma GCC visibility pop
#endif
