/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands that look at a whole fleet: what all its stores say of all hosts.  Reads no ring and writes no
 * file.  An announcement that was seen once is not replaced by an earlier one.  One thread.
 */
#ifndef STEKCTL_FLEET_READER_H
#define STEKCTL_FLEET_READER_H

#include "announce_stores.h"
#include "store_addresses.h"
#include "sync_settings.h"

#pragma GCC visibility push(hidden)

typedef struct fleet_server_t {
    store_address_t address;
    int of; /* which of the options' stores leads to it */
} fleet_server_t;

typedef struct fleet_reader_t {
    sync_options_t options;
    sync_host_t host;
    announce_store_t *stores; /* each server that the options' stores may lead to */
    fleet_server_t *servers;  /* the same */
    int store_n;
    announce_set_t parts[ANNOUNCE_PARTS];
    announce_set_t all;      /* in the order of parts */
    announce_set_t said;     /* the same with the marks of hosts that are to be forgotten */
    apr_pool_t *pool;        /* of the sets; NULL: nothing was read */
    const char *config_path; /* where the options come from; NULL: from the command line alone */
    const char *ring_path;   /* what config_path does not say; NULL: it does */
} fleet_reader_t;

/* Reads the fleet secret and prepares the stores.  The paths in settings must outlive the reader.  Codes of what was
 * reported.  Close it in any case. */
ctl_exit_e fleet_reader_open(ctl_t *ctl, const sync_settings_t *settings, fleet_reader_t *reader);
void fleet_reader_close(fleet_reader_t *reader);

/* Who looks once waits for the answers of a store for so long. */
#define FLEET_READER_MOST apr_time_from_sec(30)

/* Reads all parts, or those of which wanted[part] is not 0 (NULL: all), into reader->all.  A store that
 * fails, or whose answers take longer than most together, is skipped, with its reason.  Returns how many
 * stores answered throughout. */
int fleet_reader_read(fleet_reader_t *reader, const int *wanted, apr_interval_time_t most,
                      apr_time_t now);

/* The first server that did not answer throughout the last read, and is missed; NULL: none. */
const announce_store_t *fleet_reader_silent(const fleet_reader_t *reader);

/* Nonzero: that store, which was silent, is not missed: another server of the same store has answered, and
 * either nothing listens at this address of a name, or its URL names several, of which one is enough. */
int fleet_reader_is_spare(const fleet_reader_t *reader, int i);

/* The first store with an object of announcements that does not open; NULL: none has. */
const announce_store_t *fleet_reader_refused(const fleet_reader_t *reader);

/* What is wrong with it, in words, in pool. */
const char *fleet_reader_refusal(const announce_store_t *store, apr_pool_t *pool);

/* Replaces the host's announcement by a mark, in all stores.  CTL_DONE, CTL_REFUSED if none has it and it is not known
 * otherwise, CTL_STORE if one could not be asked or written; the last two are reported. */
ctl_exit_e fleet_reader_forget(fleet_reader_t *reader, const char *name, int known);

/* What to run for it, as the end of a sentence that begins with "run", in pool. */
const char *fleet_reader_forget_words(const fleet_reader_t *reader, const char *name,
                                      apr_pool_t *pool);

#pragma GCC visibility pop
#endif
