/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The simulator: a fleet in one process.  The code is production's: stekctl's cycle, secrets, file
 * ring and commands, and the core.  Simulated are clocks, files, random bytes, stores, networks,
 * operators, thieves and crashes.
 *
 * A history is a world and a list of actions.  Each action carries its own seed, so that a history
 * from which actions were taken out is a history, too, and runs to the byte alike.  One thread.
 */
#ifndef SIM_H
#define SIM_H

#include <stdint.h>
#include <stdio.h>

#include "fleet/sync_host.h"
#include "fleet/sync_log.h"
#include "stek_file.h"

#define SIM_HOSTS_MAX 60
#define SIM_STORES_MAX 4
#define SIM_EVENTS_MAX 64
#define SIM_ACTIONS_MAX 4096
#define SIM_SNAPSHOTS_MAX 24
#define SIM_TEXT_LEN 400
#define SIM_AHEAD_S 72000 /* a clock that makes every key of the usual lifetime end */
#define CROWD_AHEAD 100   /* who looks further ahead is in a crowd that fills its ring */

/* ---- random bytes (sim_random.c) ---- */

void sim_seed(uint64_t seed);
uint64_t sim_random(void);
unsigned sim_below(unsigned n);
uint64_t sim_mix(uint64_t a, uint64_t b);

/* ---- what can be switched off (simulate.c) ---- */

typedef enum sim_switch_e {
    SIM_WITH_FLOOD, /* thieves who send tombstones */
    SIM_WITH_FILL,  /* thieves who send keys that never encrypt */
    SIM_WITH_AHEAD, /* clocks 20 hours ahead; no clock that far ahead makes a host forget a revoked key */
    SIM_WITH_SLOW, /* stores that take their time */
    SIM_WITH_N
} sim_switch_e;

int sim_with(sim_switch_e what);

/* ---- histories (sim_history.c) ---- */

/* What can be done to a fleet, and its name in stories; the sentences are in sim_story.c. */
#define SIM_ACTIONS(X)                                                                             \
    X(CYCLE, "cycle")                                                                              \
    X(POLL, "poll")                                                                                \
    X(CRASH, "crash")                                                                              \
    X(RESTART, "restart")                                                                          \
    X(HTTPD, "httpd")                                                                              \
    X(REBOOT, "reboot")                                                                            \
    X(BACKUP, "backup")                                                                            \
    X(RESTORE, "restore")                                                                          \
    X(CLOCK, "clock")                                                                              \
    X(DRIFT, "drift")                                                                              \
    X(CUT, "cut")                                                                                  \
    X(JOIN, "join")                                                                                \
    X(OUTAGE, "outage")                                                                            \
    X(PARTITION, "partition")                                                                      \
    X(HEAL, "heal")                                                                                \
    X(FLUSH, "flush")                                                                              \
    X(SNAPSHOT, "snapshot")                                                                        \
    X(ROLLBACK, "rollback")                                                                        \
    X(LAG, "lag")                                                                                  \
    X(LOSE, "lose")                                                                                \
    X(DELAY, "delay")                                                                              \
    X(DELIVER, "deliver")                                                                          \
    X(READONLY, "readonly")                                                                        \
    X(LIE, "lie")                                                                                  \
    X(ROTATE, "rotate")                                                                            \
    X(REVOKE, "revoke")                                                                            \
    X(REVOKE_ALL, "revoke_all")                                                                    \
    X(ROLL, "roll")                                                                                \
    X(COPY, "copy")                                                                                \
    X(RETIRE, "retire")                                                                            \
    X(SETTINGS, "settings")                                                                        \
    X(STEAL, "steal")                                                                              \
    X(FORGE, "forge")                                                                              \
    X(SPOIL, "spoil")

typedef enum sim_kind_e {
#define SIM_KIND(name, text) SIM_##name,
    SIM_ACTIONS(SIM_KIND)
#undef SIM_KIND
        SIM_KIND_N
} sim_kind_e;

extern const char *const sim_kind_names[SIM_KIND_N];

typedef struct sim_action_t {
    sim_kind_e kind;
    int host, store;
    int other;      /* another host: races, is copied to; -1: none */
    int64_t value;  /* what it means depends on the kind */
    unsigned after; /* seconds that pass before it */
    uint64_t seed;
} sim_action_t;

/* How a store lies. */
typedef enum sim_lie_e {
    SIM_HONEST,
    SIM_LIE_CONFLICT, /* nothing is there, and somebody else wrote first */
    SIM_LIE_DROP,     /* says that it wrote */
    SIM_LIE_REPLAY,   /* answers an older object */
    SIM_LIE_SWAP,     /* answers another fleet's object */
    SIM_LIE_GARBAGE,  /* answers bytes, or a part of the object */
    SIM_LIE_HUGE,     /* says that there is more than fits */
    SIM_LIE_SLOW,     /* as with a conflict, and every answer comes at the last moment */
    SIM_LIE_LATE,     /* honest, but every answer comes at the last moment */
    SIM_LIE_FORK,     /* every host has an object of its own */
    SIM_LIE_BLIND,    /* writes without comparing */
    SIM_LIE_FICKLE,   /* does something else in every call */
    SIM_LIE_N
} sim_lie_e;

/* What a thief with the fleet secret writes. */
typedef enum sim_forgery_e {
    SIM_FORGE_KEY,    /* a key of its own for now */
    SIM_FORGE_EPOCH,  /* the last epoch, and such a key */
    SIM_FORGE_FUTURE, /* keys for slots in ten years */
    SIM_FORGE_AHEAD,  /* an epoch that is some hours ahead */
    SIM_FORGE_FLOOD,  /* as many tombstones as a sealed ring holds, for ten years */
    SIM_FORGE_FILL,   /* thousands of keys that never encrypt, with small names */
    SIM_FORGE_REVOKE, /* tombstones of all keys that are there */
    SIM_FORGE_N
} sim_forgery_e;

/* What somebody else writes at the object's name, who has no secret. */
typedef enum sim_spoil_e {
    SIM_SPOIL_TEXT,    /* data of another program */
    SIM_SPOIL_FOREIGN, /* another fleet's object */
    SIM_SPOIL_FUTURE,  /* the object as a later version might write it */
    SIM_SPOIL_PART,    /* the object without its end */
    SIM_SPOIL_N
} sim_spoil_e;

typedef struct sim_history_t {
    uint64_t seed;
    int host_n, store_n;
    int64_t interval_s, lifetime_s;
    int ahead;
    int ratchet, floor;
    int passive; /* so many of the last hosts make no keys */
    int action_n;
    sim_action_t actions[SIM_ACTIONS_MAX];
} sim_history_t;

/* A forgery that is not switched off. */
sim_forgery_e sim_forgery(unsigned what);

/* The history of a seed. */
void sim_generate(uint64_t seed, sim_history_t *history);

/* As text, one action a line; with sentences as comments if those of a run are given. */
void sim_history_write(const sim_history_t *history, FILE *file);
int sim_history_read(sim_history_t *history, FILE *file); /* 0, or the line at fault */

/* ---- what was done before (sim_memo.c) ---- */

/* Of all that a result depends on: 128 bits, so that no two are taken for one. */
typedef struct sim_hash_t {
    uint64_t a, b;
} sim_hash_t;

sim_hash_t sim_hash(const stek_ring_t *ring, uint64_t more);

/* ---- the truth (sim_truth.c): what a god knows of keys and revocations ---- */

typedef struct sim_key_t {
    unsigned char name[STEK_NAME_LEN];
    int64_t seq; /* when it was first seen */
    apr_uint64_t epoch;
    apr_time_t created, not_before, encrypt_until, decrypt_until;
    int forged;  /* a thief made it */
    int stolen;  /* a thief has it */
    int revoked; /* 1 + number of the event that revoked this key alone */
    int issued;  /* httpd on some host has sealed tickets with it */
} sim_key_t;

typedef struct sim_event_t {
    int all;
    int is_void; /* by a clock that is too far ahead */
    int64_t seq;
    apr_time_t clock; /* of the host that revoked */
    apr_uint64_t epoch;
    unsigned char name[STEK_NAME_LEN];
    int host;
} sim_event_t;

/* ---- the world ---- */

typedef struct sim_object_t {
    unsigned char *bytes; /* NULL: none */
    apr_size_t len;
    uint64_t version;
} sim_object_t;

typedef struct sim_server_t {
    sim_object_t object;
    sim_object_t past[SIM_SNAPSHOTS_MAX]; /* a ring of what was written */
    int past_n;
    sim_object_t saved; /* by SNAPSHOT */
    sim_object_t frozen;
    sim_object_t forks[SIM_HOSTS_MAX]; /* what each host has, of one that forks */
    int lags;                          /* reads come from frozen */
    sim_lie_e lie;
    struct {
        sim_object_t object;
        uint64_t expected;
        int used;
    } late; /* a write under way */
} sim_server_t;

typedef struct sim_host_t {
    int up;     /* stekctl sync runs */
    int frozen; /* it has crashed: nothing that it does has an effect any more */
    int crash_in;
    int crash_power;
    ctl_t ctl;
    sync_options_t options;
    sync_host_t sync;
    sync_port_t port;
    sync_log_t log;
    apr_pool_t *pool, *process;
    const char *dir, *run, *state, *secret;
    int64_t error_ms; /* of its clock */
    int64_t drift_ppm, drift_from_ms;
    int reach; /* bits: stores */
    int readonly;
    int lose_next, delay_next;
    int race;                    /* this host runs a cycle before its next write */
    int edition, backup_edition; /* of its fleet secret */
    /* httpd */
    stek_ring_t *live;
    stek_stamp_t stamp;
    apr_status_t look_rv; /* of the last look */
    apr_time_t looked_at; /* when it was */
    /* for the checks */
    stek_ring_t *file;   /* what the file ring contains */
    uint64_t taint;      /* revocations in what the cycle has opened */
    uint64_t known;      /* that have reached this host */
    uint64_t kept;       /* that a cycle has kept for good */
    uint64_t live_known; /* its httpd */
    int keyless_n;       /* cycles in a row that ended without a current key */
    int64_t dark_ms; /* how long its cycles have been waiting for stores without a current key */
    int stuck;       /* its log told of an epoch that no clock can have come to */
    int behind;      /* its log told what command helps */
    struct {
        int64_t from_ms, error_ms;     /* since then, by its clock, which was wrong by so much */
        int64_t lines[SIM_STORES_MAX]; /* of its log that begin with the store's URL */
    } told;
    sim_hash_t
        checked[2];     /* what held last in its file and in its httpd, and what that depends on */
    int covered;        /* the last cycle ended with a current key; it began at covered_ms */
    int64_t covered_ms; /* of its clock */
    int64_t covered_error_ms;
    apr_time_t clock_max; /* the latest that its clock has shown */
    int busy;             /* a cycle is under way */
} sim_host_t;

typedef struct sim_world_t {
    const sim_history_t *history;
    int64_t now_ms; /* real time */
    int64_t seq;
    int64_t judged_n; /* changes of what checks go by */
    sim_host_t hosts[SIM_HOSTS_MAX];
    sim_server_t servers[SIM_STORES_MAX];
    uint64_t version;
    sim_object_t foreign; /* another fleet's */
    int depth;
    int64_t write_n;
    sim_event_t events[SIM_EVENTS_MAX];
    int event_n;
    int thief;   /* has the fleet secret */
    int stolen;  /* a key */
    int edition; /* of the fleet secret: the newest */
    int rolling; /* the newest is not everywhere yet, the one before is still good */
    int lossy;   /* keys may be lost: disks were, or clocks and settings differed */
    int news;    /* a liar has shown what no host had any more */
    int ended;   /* of the stolen keys, none may be left from here on */
    char failed[32];
    char why[SIM_TEXT_LEN];
    FILE *story; /* NULL: none wanted */
} sim_world_t;

extern sim_world_t *sim;       /* the world that runs */
extern sim_host_t *sim_host;   /* whose code runs now; NULL: nobody's */
extern char sim_dir[];         /* where hosts believe their files to be */
extern const char *sim_only;   /* kinds of failures to look for; NULL: all */
extern int64_t sim_step_count; /* actions of all histories */

/* Runs a history; 0 if all held, else 1, and failed and why say what did not.  story: where to
 * tell it, or NULL. */
int sim_run(const sim_history_t *history, FILE *story, char failed[32], char why[SIM_TEXT_LEN]);

void sim_tell(const sim_action_t *action);
void sim_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
void sim_fail(const char *kind, const char *format, ...) __attribute__((format(printf, 2, 3)));
int sim_number(const sim_host_t *host);
apr_time_t sim_clock(const sim_host_t *host);

/* ---- hosts (sim_host.c) ---- */

void sim_host_make(sim_host_t *host, int number);
void sim_host_free(sim_host_t *host);
int sim_host_start(sim_host_t *host); /* nonzero: sync runs */
void sim_host_stop(sim_host_t *host);
void sim_host_cycle(sim_host_t *host);
void sim_host_poll(sim_host_t *host);
void sim_host_stop_httpd(sim_host_t *host);
void sim_host_power_off(sim_host_t *host);
int sim_host_command(sim_host_t *host, const char *secret, const char *line, uint64_t extra);
int sim_host_is_ahead(const sim_host_t *host);
void sim_host_forget_floor(const sim_host_t *host);
int sim_host_generates(const sim_host_t *host);
stek_ring_t *sim_ring_copy(const stek_ring_t *ring);
void sim_host_wait(sim_host_t *host, int64_t until_ms);
void sim_host_settings(sim_host_t *host, int64_t interval_s, int64_t lifetime_s, int ahead);

/* ---- stores (sim_store.c) ---- */

void sim_object_copy(sim_object_t *to, const sim_object_t *from);
void sim_object_free(sim_object_t *object);
void sim_server_free(sim_server_t *server);
void sim_server_put(sim_server_t *server, const unsigned char *bytes, apr_size_t len);
void sim_server_deliver(sim_server_t *server);
int sim_server_is_honest(const sim_server_t *server);

/* ---- truth ---- */

void sim_truth_reset(void);
void sim_truth_free(void);
sim_key_t *sim_truth_find(const unsigned char name[STEK_NAME_LEN]);
sim_key_t *sim_truth_see(const stek_key_t *key);
void sim_truth_see_ring(const stek_ring_t *ring);
void sim_truth_note(const unsigned char *sealed, apr_size_t len, uint64_t taint);
uint64_t sim_truth_taint(const unsigned char *sealed, apr_size_t len);
int sim_truth_event(sim_host_t *host, const unsigned char *name);
/* What must hold of a ring on a host: "file ring" or "httpd". */
void sim_check_ring(sim_host_t *host, const stek_ring_t *ring, uint64_t known, const char *where);
void sim_learn(sim_host_t *host, const stek_ring_t *ring, uint64_t taint, uint64_t *pknown);
int sim_truth_is_news(const sim_host_t *host, const stek_ring_t *before, int64_t seq);
void sim_check_agreement(void);

/* ---- actions (sim_action.c) ---- */

void sim_act(const sim_action_t *action);
void sim_finish(void);

/* ---- files (sim_vfs.c) ---- */

int sim_is_below(const char *path);
int sim_rename(const char *from, const char *to);
int sim_link(const char *from, const char *to);
int sim_unlink(const char *path);
ssize_t sim_write(int fd, const void *bytes, size_t len);

/* ---- disks (sim_disk.c) ---- */

int sim_file_read(const char *path, unsigned char **pbytes, size_t *plen);
void sim_file_write(const char *path, const unsigned char *bytes, size_t len, unsigned mode);
void sim_dir_make(const char *path);
void sim_dir_clear(const char *path);
void sim_dir_copy(const char *from, const char *to);
int sim_crash_point(void); /* nonzero: the process is dead */

/* ---- shrinking (sim_shrink.c) ---- */

void sim_shrink(sim_history_t *history, const char *failed);

#endif
