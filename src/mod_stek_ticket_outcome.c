/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What became of each connection's ticket (mod_stek_ticket_outcome.h).  Glue; any thread of a child.
 */
#include "mod_stek_ticket_outcome.h"

#include "http_config.h"
#include <string.h>

#include "mod_stek_live.h"
#include "mod_stek_ticket_size.h"
#include "stek_session.h"

/* mod_ssl keeps the connection as the SSL's application data, from before the handshake on.  Data of
 * our own there would cost more than all else that is done here. */
mod_stek_ticket_outcome_t *mod_stek_ticket_outcome_of(const SSL *ssl)
{
    conn_rec *c = SSL_get_app_data(ssl);

    return c ? ap_get_module_config(c->conn_config, &stek_rotate_module) : NULL;
}

/* Another vhost's connection, perhaps; mod_ssl adds the options of the one that SNI names. */
static void forbid_no_kex(SSL *ssl)
{
    const mod_stek_vhost_t *first = mod_stek_vhost_of(ssl);

    if (first && first->no_kex_by_name) {
        SSL_clear_options(ssl, SSL_OP_ALLOW_NO_DHE_KEX);
    }
}

int mod_stek_ticket_outcome_begin(conn_rec *c, SSL *ssl, int is_proxy)
{
    mod_stek_ticket_outcome_t *record;

    if (is_proxy) {
        return DECLINED;
    }
    record = apr_pcalloc(c->pool, sizeof(*record));
    record->c = c;
    record->first = SSL_get_SSL_CTX(ssl);
    record->outcome = MOD_STEK_NOT_OFFERED;
    if (SSL_get_options(ssl) & SSL_OP_ALLOW_NO_DHE_KEX) {
        forbid_no_kex(ssl);
    }
    ap_set_module_config(c->conn_config, &stek_rotate_module, record);
    return OK;
}

conn_rec *mod_stek_ticket_outcome_conn(const SSL *ssl)
{
    const mod_stek_ticket_outcome_t *record = mod_stek_ticket_outcome_of(ssl);

    return record ? record->c : NULL;
}

const mod_stek_vhost_t *mod_stek_ticket_outcome_first(const SSL *ssl)
{
    const mod_stek_ticket_outcome_t *record = mod_stek_ticket_outcome_of(ssl);

    return record ? mod_stek_vhost_of_ctx(record->first) : NULL;
}

const mod_stek_ticket_outcome_t *mod_stek_ticket_outcome_get(conn_rec *c)
{
    return ap_get_module_config((c->master ? c->master : c)->conn_config, &stek_rotate_module);
}

/* OpenSSL asks for each of several tickets, and again after a HelloRetryRequest: the first time it
 * stands at the first of them. */
static void note_size(mod_stek_ticket_outcome_t *record, SSL *ssl, const unsigned char *ticket)
{
    if (!record->offered_len) {
        record->offered_len = (apr_uint32_t)mod_stek_ticket_size_offered(ssl, ticket);
    }
}

static void note_name(mod_stek_ticket_outcome_t *record, const unsigned char *name)
{
    stek_key_hex(name, record->key_hex);
}

void mod_stek_ticket_outcome_offered(SSL *ssl, stek_state_e state, const unsigned char *name)
{
    static const int outcomes[] = {
        [STEK_STATE_UNKNOWN] = MOD_STEK_REFUSED_UNKNOWN,
        [STEK_STATE_ENDED] = MOD_STEK_REFUSED_EXPIRED,
        [STEK_STATE_CURRENT] = MOD_STEK_RESUMED_CURRENT,
        [STEK_STATE_OLD] = MOD_STEK_RESUMED_OLD,
        [STEK_STATE_FUTURE] = MOD_STEK_RESUMED_FUTURE,
    };
    mod_stek_ticket_outcome_t *record = mod_stek_ticket_outcome_of(ssl);

    if (record && !record->done) {
        record->outcome = outcomes[state];
        note_size(record, ssl, name);
        note_name(record, name);
    }
}

static int is_resumed(int outcome)
{
    return outcome >= MOD_STEK_RESUMED_CURRENT && outcome <= MOD_STEK_RESUMED_FUTURE;
}

void mod_stek_ticket_outcome_damaged(SSL *ssl, const unsigned char *ticket)
{
    mod_stek_ticket_outcome_t *record = mod_stek_ticket_outcome_of(ssl);

    /* OpenSSL says the same of a ticket whose key is not there, and of one too short to name
     * any. */
    if (record && !record->done
        && (is_resumed(record->outcome) || record->outcome == MOD_STEK_NOT_OFFERED)) {
        record->outcome = MOD_STEK_REFUSED_DAMAGED;
        note_size(record, ssl, ticket);
    }
}

void mod_stek_ticket_outcome_judged(mod_stek_ticket_outcome_t *record, const SSL_SESSION *session,
                                    int refused, apr_time_t now)
{
    apr_int64_t age_s = apr_time_sec(now) - apr_time_sec(stek_session_time(session));

    if (!record || record->done) {
        return;
    }
    if (refused) {
        record->outcome = refused;
        return;
    }
    record->late = age_s > (apr_int64_t)SSL_SESSION_get_timeout(session);
    /* Another host's clock may be ahead. */
    record->age_s = age_s < 0 ? 0 : age_s > APR_UINT32_MAX ? APR_UINT32_MAX : (apr_uint32_t)age_s;
}

/* Follows one ticket from its sealing to the message that carries it, and nothing else: OpenSSL
 * would call it for each message and record of a connection. */
static void on_message(int is_written, int version, int type, const void *bytes, size_t len,
                       SSL *ssl, void *arg)
{
    const mod_stek_vhost_t *vhost = mod_stek_vhost_of(ssl);

    (void)arg;
    if (is_written && type == SSL3_RT_HANDSHAKE) {
        SSL_set_msg_callback(ssl, NULL);
        if (vhost && vhost->ring && vhost->ring->live) {
            mod_stek_count_n(mod_stek_live_tally(vhost->ring->live), MOD_STEK_ISSUED_BYTES,
                             mod_stek_ticket_size_issued(version, bytes, len));
        }
    }
}

void mod_stek_ticket_outcome_issued(SSL *ssl, mod_stek_tally_t *tally, const unsigned char *name)
{
    mod_stek_ticket_outcome_t *record = mod_stek_ticket_outcome_of(ssl);

    /* The self-test's connection has no record. */
    if (record) {
        mod_stek_count(tally, MOD_STEK_ISSUED);
        record->issued = 1;
        SSL_set_msg_callback(ssl, on_message);
        if (!*record->key_hex) {
            note_name(record, name);
        }
    }
}

int mod_stek_ticket_outcome_unsealed(SSL *ssl, mod_stek_tally_t *tally)
{
    /* The self-test's connection has no record. */
    if (!mod_stek_ticket_outcome_of(ssl)) {
        return 0;
    }
    mod_stek_count(tally, MOD_STEK_UNSEALED);
    return 1;
}

void mod_stek_ticket_outcome_keyless(SSL *ssl)
{
    mod_stek_ticket_outcome_t *record = mod_stek_ticket_outcome_of(ssl);

    if (record && !(SSL_get_options(ssl) & SSL_OP_NO_TICKET)) {
        record->keyless = 1;
    }
}

static void count(const SSL *ssl, mod_stek_ticket_outcome_t *record, const mod_stek_vhost_t *vhost)
{
    mod_stek_tally_t *tally = mod_stek_live_tally(vhost->ring->live);

    record->done = 1;
    record->ring = vhost->ring->name;
    if (is_resumed(record->outcome) && !SSL_session_reused(ssl)) {
        /* What OpenSSL itself found wrong: the session's time, its context, version or cipher. */
        record->outcome = record->late ? MOD_STEK_REFUSED_EXPIRED : MOD_STEK_REFUSED_POLICY;
    }
    mod_stek_count(tally, record->outcome);
    mod_stek_count_n(tally, MOD_STEK_OFFERED_BYTES, record->offered_len);
    if (is_resumed(record->outcome)) {
        mod_stek_count_age(tally, record->age_s);
    }
    if (record->keyless && !record->issued) {
        mod_stek_count(tally, MOD_STEK_KEYLESS);
    }
    if (record->asked) {
        mod_stek_count(tally, MOD_STEK_ASKED);
    }
}

/* After a resumption OpenSSL sends one ticket, however many it was told to; others it has to be
 * asked for singly.  Where it is about to send the first. */
static void send_more(SSL *ssl, const mod_stek_ticket_outcome_t *record)
{
    int i;

    if (record->ticket_n > 1 && SSL_session_reused(ssl)
        && SSL_get_state(ssl) == TLS_ST_SW_SESSION_TICKET) {
        for (i = 0; i < record->ticket_n && SSL_new_session_ticket(ssl); i++) {
        }
    }
}

/* Not inline, so that on_info needs no registers of its own. */
__attribute__((noinline)) static void on_done(const SSL *ssl)
{
    const mod_stek_vhost_t *vhost = mod_stek_vhost_of(ssl);
    mod_stek_ticket_outcome_t *record = mod_stek_ticket_outcome_of(ssl);

    if (vhost && vhost->ring && vhost->ring->live && record && !record->done) {
        count(ssl, record, vhost);
        send_more((SSL *)ssl, record);
    }
}

/* Another function has been found on the SSL_CTX of some virtual host: mod_ssl's, by which it keeps
 * clients from renegotiating where OpenSSL cannot, or another module's. */
static int is_followed;

__attribute__((noinline)) static void tell_others(const SSL *ssl, int where, int ret)
{
    const mod_stek_vhost_t *vhost = mod_stek_vhost_of(ssl);

    if (vhost && vhost->info) {
        vhost->info(ssl, where, ret);
    }
}

/* Called some forty times in a handshake. */
static void on_info(const SSL *ssl, int where, int ret)
{
    if (where & SSL_CB_HANDSHAKE_DONE) {
        on_done(ssl);
    }
    if (is_followed) {
        tell_others(ssl, where, ret);
    }
}

void mod_stek_ticket_outcome_reset(void)
{
    is_followed = 0;
}

void mod_stek_ticket_outcome_install(mod_stek_vhost_t *vhost)
{
    vhost->info = SSL_CTX_get_info_callback(vhost->ctx);
    is_followed |= vhost->info != NULL;
    SSL_CTX_set_info_callback(vhost->ctx, on_info);
}
