/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When a session may be resumed (mod_stek_may_resume.h).  Glue; any thread of a child.
 */
#include "mod_stek_may_resume.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <string.h>

#include "http_ssl.h"
#include "mod_stek_counters.h"
#include "mod_stek_ticket_outcome.h"
#include "mod_stek_trust_watch.h"
#include "stek_appdata.h"
#include "stek_x509_time.h"

/* What mod_ssl would tell an application of the client.  Only it knows: a certificate that
 * optional_no_ca lets through may have left no error in OpenSSL. */
static int is_verified(const SSL *ssl)
{
    conn_rec *c = mod_stek_ticket_outcome_conn(ssl);
    const char *verdict = c ? ap_ssl_var_lookup(c->pool, c->base_server, c, NULL,
                                                "SSL_CLIENT_VERIFY")
                            : NULL;

    return verdict && strcmp(verdict, "SUCCESS") == 0;
}

/* For a section that asks for a certificate, mod_ssl changes the mode of the connection. */
static int is_asked_late(const SSL *ssl)
{
    return SSL_get_verify_mode(ssl) != SSL_CTX_get_verify_mode(SSL_get_SSL_CTX(ssl));
}

/* The cipher suite proves the client's name (SRP). */
static int names_user(const SSL_CIPHER *cipher)
{
    return cipher && SSL_CIPHER_get_kx_nid(cipher) == NID_kx_srp;
}

/* In TLS 1.2, a resumed session keeps its cipher suite.  OpenSSL asks whether the client still has it,
 * but not whether the server does: a reload would not end what SSLCipherSuite no longer names. */
static int has_lost_cipher(const SSL *ssl, const SSL_SESSION *session)
{
    const STACK_OF(SSL_CIPHER) *ciphers = SSL_get_ciphers(ssl);
    const SSL_CIPHER *cipher = SSL_SESSION_get0_cipher(session);
    int i, n = sk_SSL_CIPHER_num(ciphers);

    for (i = 0; cipher && i < n; i++) {
        if (SSL_CIPHER_get_id(sk_SSL_CIPHER_value(ciphers, i)) == SSL_CIPHER_get_id(cipher)) {
            return 0;
        }
    }
    return 1;
}

/* Authorities and lists that OpenSSL looks up in handshakes are not those of the digest any more. */
static int is_outdated(const mod_stek_vhost_t *vhost)
{
    return vhost && mod_stek_trust_watch_changed(vhost->watched);
}

static int is_unbindable(const mod_stek_vhost_t *vhost)
{
    return vhost && vhost->unbindable;
}

int mod_stek_may_resume_lasts(const SSL *ssl)
{
    const SSL_SESSION *session = SSL_get_session(ssl);

    if (session && names_user(SSL_SESSION_get0_cipher(session))) {
        return 0;
    }
    return !session || !SSL_SESSION_get0_peer((SSL_SESSION *)session)
           || (!is_asked_late(ssl) && is_verified(ssl) && !is_unbindable(mod_stek_vhost_of(ssl))
               && !is_outdated(mod_stek_vhost_of(ssl)));
}

static const mod_stek_limits_t *limits_of(const mod_stek_vhost_t *vhost, SSL_SESSION *session)
{
    return SSL_SESSION_get0_peer(session) ? &vhost->cert_limits : &vhost->limits;
}

static int appdata_of(SSL_SESSION *session, stek_appdata_t *appdata)
{
    void *bytes = NULL;
    size_t len = 0;

    return SSL_SESSION_get0_ticket_appdata(session, &bytes, &len) == 1
           && stek_appdata_unpack(bytes, len, appdata) == APR_SUCCESS;
}

/* The policy that counts in this connection: the vhost's, and that of the groups that OpenSSL takes
 * from the vhost with which the connection began.  0 if these are not known. */
static int policy_of(const SSL *ssl, const mod_stek_vhost_t *vhost,
                     unsigned char policy[STEK_POLICY_LEN])
{
    const mod_stek_vhost_t *first;
    int i;

    memcpy(policy, vhost->policy, STEK_POLICY_LEN);
    if (!vhost->asks_clients) {
        return 1;
    }
    first = mod_stek_ticket_outcome_first(ssl);
    for (i = 0; first && i < STEK_POLICY_LEN; i++) {
        policy[i] ^= first->groups[i];
    }
    return first && first->has_groups;
}

int mod_stek_may_resume_bind(SSL *ssl, SSL_SESSION *session, apr_time_t now)
{
    const mod_stek_vhost_t *vhost = mod_stek_vhost_of(ssl);
    unsigned char bytes[STEK_APPDATA_LEN];
    stek_appdata_t appdata;

    if (!appdata_of(session, &appdata)) {
        /* A resumed session without our data was kept by somebody who compared no policies. */
        if (SSL_session_reused(ssl)) {
            return 0;
        }
        appdata.full_at = apr_time_from_sec(apr_time_sec(now));
        if (!policy_of(ssl, vhost, appdata.policy)) {
            return 0;
        }
    }
    stek_appdata_pack(&appdata, bytes);
    if (!SSL_SESSION_set1_ticket_appdata(session, bytes, sizeof(bytes))) {
        ERR_clear_error();
        return 0;
    }
    return 1;
}

apr_interval_time_t mod_stek_may_resume_ticket_life(const mod_stek_vhost_t *vhost,
                                                    SSL_SESSION *session, apr_time_t now)
{
    const mod_stek_limits_t *limits = limits_of(vhost, session);
    stek_appdata_t appdata;

    if (!appdata_of(session, &appdata)) {
        return apr_time_from_sec(1);
    }
    return stek_appdata_ticket_life(&appdata, limits->lifetime, limits->max_age, now);
}

/* Nonzero if a full handshake would refuse the client's certificate by now. */
static int certificate_ended(SSL_SESSION *session, apr_time_t now)
{
    X509 *peer = SSL_SESSION_get0_peer(session);

    /* 0: an error. */
    return peer && stek_x509_time_compare(X509_get0_notAfter(peer), now) <= 0;
}

/* Nonzero if the connection, resumed, could be protected by what is in the session alone: its key
 * would open what was recorded of it.  In TLS 1.3, OpenSSL asks for a key exchange unless it was
 * told otherwise; nobody does so for this connection (mod_stek_ticket_outcome_begin). */
static int lacks_secrecy(const SSL *ssl)
{
    return SSL_version(ssl) < TLS1_3_VERSION
           || (SSL_get_options(ssl) & SSL_OP_ALLOW_NO_DHE_KEX) != 0;
}

int mod_stek_may_resume_refused(const SSL *ssl, const mod_stek_vhost_t *vhost, SSL_SESSION *session,
                                apr_time_t now)
{
    unsigned char policy[STEK_POLICY_LEN];
    stek_appdata_t appdata;

    if (vhost->forward_secret && lacks_secrecy(ssl)) {
        return MOD_STEK_REFUSED_SECRECY;
    }
    if (vhost->no_tickets) {
        return MOD_STEK_REFUSED_POLICY;
    }
    if (!vhost->ring) {
        return 0;
    }
    if (!appdata_of(session, &appdata)
        || (SSL_SESSION_get_protocol_version(session) < TLS1_3_VERSION
            && (names_user(SSL_SESSION_get0_cipher(session)) || has_lost_cipher(ssl, session)))
        || (vhost->unbindable && SSL_SESSION_get0_peer(session))
        || (vhost->asks_twice && SSL_SESSION_get_protocol_version(session) >= TLS1_3_VERSION)
        || (vhost->bound
            && (!policy_of(ssl, vhost, policy)
                || memcmp(appdata.policy, policy, sizeof(policy)) != 0))) {
        return MOD_STEK_REFUSED_POLICY;
    }
    return stek_appdata_over_age(&appdata, limits_of(vhost, session)->max_age, now)
                   || certificate_ended(session, now)
               ? MOD_STEK_REFUSED_AGE
               : 0;
}

int mod_stek_may_resume_possible(const SSL *ssl, const mod_stek_vhost_t *vhost)
{
    int is_tls13 = SSL_version(ssl) >= TLS1_3_VERSION;

    return !vhost->no_tickets && !(vhost->forward_secret && !is_tls13)
           && !(vhost->asks_twice && is_tls13)
           && !(vhost->ring && names_user(SSL_get_pending_cipher(ssl)));
}
