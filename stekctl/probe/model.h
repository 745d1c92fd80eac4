/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A probe of one host: its tests and their findings.  Types only; everything is in the command's
 * pool.  stekctl.
 */
#ifndef STEKCTL_PROBE_MODEL_H
#define STEKCTL_PROBE_MODEL_H

#include "exchange.h"
#include "own_keys.h"
#include "reach.h"

#pragma GCC visibility push(hidden)

typedef enum probe_verdict_e {
    PROBE_OK,
    PROBE_NOTE,
    PROBE_UNTESTED,
    PROBE_WEAK,  /* a finding */
    PROBE_BROKEN /* a finding: sessions can be read or taken over */
} probe_verdict_e;

typedef enum probe_test_e {
    PROBE_TEST_SUPPORT,
    PROBE_TEST_FORMAT,
    PROBE_TEST_PLAIN,
    PROBE_TEST_CIPHER_KEY,
    PROBE_TEST_MAC_KEY,
    PROBE_TEST_NONCE,
    PROBE_TEST_MAC,
    PROBE_TEST_PADDING,
    PROBE_TEST_CONFUSION,
    PROBE_TEST_ROTATION,
    PROBE_TEST_REUSE,
    PROBE_TEST_CHANGE,
    PROBE_TEST_EXPIRY,
    PROBE_TEST_N
} probe_test_e;

/* What became of a ticket that the probe made under a key that it had found. */
typedef enum probe_forged_e {
    PROBE_FORGED_NONE, /* no key was found, or there is no server to offer it to */
    PROBE_FORGED_UNTRIED,
    PROBE_FORGED_REFUSED,
    PROBE_FORGED_ACCEPTED
} probe_forged_e;

/* The ticket whose key was found. */
typedef struct probe_searched_t {
    const probe_ticket_t *ticket;
    probe_format_t format;
    int is_decoded;              /* it is what a ticket of the server's stands for */
    const unsigned char *opened; /* by the cipher's key (search.h); NULL: nothing */
    apr_size_t opened_at, opened_len;
} probe_searched_t;

#define PROBE_SPARE_NAME 16

/* Keys of a server on OpenSSL that open tickets and make none. */
typedef struct probe_spare_t {
    unsigned char name[PROBE_SPARE_NAME], cipher_key[32], mac_key[32];
    apr_size_t key_len;   /* of either; 0: none of those that were tried is in use */
    int tried_n;          /* that were tried */
    int resumes;          /* a session of a ticket under them */
    int alert;            /* otherwise: that a client gets who does not know what is in it */
    apr_size_t secret_at; /* in such a ticket */
} probe_spare_t;

typedef struct probe_finding_t {
    probe_test_e test;
    int version; /* TLS1_VERSION to TLS1_3_VERSION */
    probe_verdict_e verdict;
    const char *text;
    int is_moot;                      /* not testable, because there is nothing to test */
    const probe_hit_t *hit;           /* what was found; or NULL */
    const probe_searched_t *searched; /* on which ticket, if it is a key; or NULL */
    const probe_spare_t *spare;       /* it is about keys that make no tickets; or NULL */
    probe_forged_e forged;
    const char *forged_text;               /* the part of text that is about it; NULL: none */
    apr_size_t keys_n, forms_n, tickets_n; /* what was searched; zeros: this is no search */
    const char *const *algorithms;         /* with keys_n: the names of what was tried */
    apr_size_t algorithms_n;
    apr_uint64_t backends;        /* whose tickets: bit n is for backend n; 0: not told apart */
    apr_size_t numbers_n, ways_n; /* times and pids, and what can be made of each; zeros: none */
    int is_cut;                   /* the time for these was over */
    int seen_inside; /* of a MAC: the text was searched, too; -1: its cipher's key is unknown */
    apr_int64_t detectable_us; /* a difference in time that would have been seen; 0: none */
} probe_finding_t;

/* What tells servers behind one address apart: they answer full handshakes with another
 * certificate, another hello, or tickets with another key name. */
typedef struct probe_face_t {
    int backend; /* whose key's name its tickets have, from 0; -1: it gives none */
    int has_cert;
    unsigned char cert_digest[32];
    apr_uint32_t hello;
    int connections_n; /* that met it */
} probe_face_t;

#define PROBE_FACES_MAX 64

/* A full handshake that collected tickets. */
typedef struct probe_visit_t {
    apr_size_t connection;
    probe_face_t face; /* its backend is not known yet */
} probe_visit_t;

/* Tickets with one key name, or without any. */
typedef struct probe_backend_t {
    int is_named;
    const unsigned char *name; /* of its key */
    apr_size_t name_len;
    probe_format_t format;
    apr_array_header_t *tickets; /* of probe_ticket_t */
    int connections_n;           /* that brought them; offline: 0 or 1 */
    int repeats_n;               /* offers that miss its backend in less than 1 %; 0: none met it */
    int cost_n;                  /* how many offers it takes on average until it has answered */
    apr_uint64_t faces; /* that answer for it: bit n is for face n; 0: answers do not tell */
    const char *why;    /* repeats_n is 0: why it cannot be tested */
} probe_backend_t;

/* From TLS 1.0 to 1.3; an index is the version less that of TLS 1.0. */
#define PROBE_VERSIONS_N 4
#define PROBE_VERSION_FIRST 0x0301
#define PROBE_VERSION_AT(version) ((version)-PROBE_VERSION_FIRST)

/* One protocol version of a host. */
typedef struct probe_version_t {
    int version;
    int is_offered;
    int is_refused;              /* by an alert, or by this machine's OpenSSL */
    int per_connection;          /* tickets per connection; 0: none */
    int full_n, empty_n;         /* full handshakes that collected; those without a ticket */
    int by_session_id;           /* TLS 1.2: a session resumes by its id; -1: not tried */
    int is_accepted;             /* an unaltered ticket resumes */
    apr_array_header_t *tickets; /* of probe_ticket_t */
    const probe_reply_t *own;    /* to the first full handshake; NULL: there was none */
    probe_format_t format;
    apr_array_header_t *backends; /* of probe_backend_t; NULL: there are no tickets */
    int is_shared;                /* all backends open each other's tickets */
    int is_sampled; /* they are, and only their key names tell them apart: perhaps one server */
    int is_alone;   /* one backend, as far as is known */
    int pool_n;     /* offers that tests by backend have left, all together */
    apr_array_header_t *visits; /* of probe_visit_t; NULL: offline */
    apr_array_header_t *faces;  /* of probe_face_t; NULL: not known */
    int faces_n;                /* how many, also of a recording */
    int is_steady;              /* tickets resume at once, whoever answers */
} probe_version_t;

typedef struct probe_host_t {
    const char *name; /* without brackets */
    int port;
    const char *path; /* of requests; begins with '/' */
    int speaks_http;  /* 0: a request would make no sense */
    probe_starttls_e starttls;
    const char *failure; /* why nothing was tested; NULL: it was tested */
    probe_version_t versions[PROBE_VERSIONS_N];
    const char *sni;              /* with which tickets were collected; NULL: none */
    const char *address;          /* that was connected to; NULL: none */
    apr_time_t at;                /* when the probe began */
    int redacts;                  /* digests of keys are shown, not the keys */
    int stalled_n;                /* first connections that failed, and were tried again */
    apr_array_header_t *findings; /* of probe_finding_t */
    apr_array_header_t *opens;    /* of const char *: hosts whose tickets resume here; or NULL */
    int planned_n;                /* the most connections that may be made */
    apr_size_t connections_n;
    apr_interval_time_t took;
} probe_host_t;

typedef struct probe_options_t {
    apr_array_header_t *names;           /* of const char *: --sni; empty: the host's own */
    unsigned char has[PROBE_VERSIONS_N]; /* the versions to test */
    int tickets_n;                       /* full handshakes per version, except those of watch */
    probe_level_e level;
    apr_interval_time_t watch; /* 0: do not watch */
    apr_interval_time_t timeout;
    int per_second;
    int shows_progress;
    const struct probe_contexts_t *contexts;
    const probe_proxy_t *proxy;  /* NULL: none */
    struct probe_paces_t *paces; /* of hosts that are probed at the same time; NULL: only one is */
    int redacts;                 /* show digests of keys that were found, not the keys */
    const probe_own_keys_t *own; /* --keys; NULL: none */
    struct probe_samples_t *samples; /* tickets of other hosts of a list; NULL: this is no list */
} probe_options_t;

#pragma GCC visibility pop
#endif
