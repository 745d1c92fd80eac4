/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Faults in the module: start, reload and rotation in the parent, a child's start and timer thread,
 * callbacks in handshakes, policy digests.  Whatever fails: no crash, no leak, no lost good ring;
 * handshakes go on, and once nothing fails any more the keys are all there and rotate.
 */
#include "wrap.h"

#include "run.h"

#include "httpd_part.h"

#include "mod_stek_config_check.h"
#include "mod_stek_ticket_outcome.h"
#include "mod_stek_iv.h"
#include "mod_stek_live.h"
#include "mod_stek_live_private.h"
#include "mod_stek_monitor.h"
#include "mod_stek_ring_start.h"
#include "mod_stek_ssl_ctx.h"
#include "mod_stek_ticket.h"
#include "mod_stek_timer.h"
#include "mod_stek_trust_watch.h"
#include "mod_stek_vhost_notices.h"
#include "stek_error.h"
#include "stek_ring_merge.h"
#include "stek_secret_file.h"

apr_status_t apr_setup_signal_thread(void);

static apr_pool_t *pconf;
static server_rec *server;
static SSL_CTX *server_ctx, *client_ctx;
static EVP_PKEY *cert_key;
static X509 *cert;
static SSL_SESSION *ticket; /* the client's last */
static stek_ring_t *former;
static int is_set_up; /* the last start found no fault before the rings */

/* ---- a configuration ---- */

static void make_certificate(void)
{
    X509_NAME *name;

    if (cert) {
        return;
    }
    cert_key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    cert = X509_new();
    HOLDS(cert_key && cert);
    /* const since OpenSSL 4.0 */
    name = (X509_NAME *)X509_get_subject_name(cert);
    HOLDS(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"a.test", -1,
                                     -1, 0)
          && X509_set_issuer_name(cert, name) && X509_gmtime_adj(X509_getm_notBefore(cert), -100)
          && X509_gmtime_adj(X509_getm_notAfter(cert), 100000) && X509_set_pubkey(cert, cert_key)
          && X509_sign(cert, cert_key, EVP_sha256()) > 0);
}

static int on_new_session(SSL *ssl, SSL_SESSION *session)
{
    (void)ssl;
    SSL_SESSION_free(ticket);
    ticket = session;
    return 1;
}

static int any_certificate(int good, X509_STORE_CTX *store)
{
    (void)good;
    (void)store;
    return 1;
}

static void make_contexts(void)
{
    static const unsigned char id[] = "a";

    make_certificate();
    server_ctx = SSL_CTX_new(TLS_server_method());
    client_ctx = SSL_CTX_new(TLS_client_method());
    HOLDS(server_ctx && client_ctx && SSL_CTX_use_certificate(server_ctx, cert)
          && SSL_CTX_use_PrivateKey(server_ctx, cert_key)
          && SSL_CTX_set_session_id_context(server_ctx, id, 1));
    HOLDS(SSL_CTX_use_certificate(client_ctx, cert)
          && SSL_CTX_use_PrivateKey(client_ctx, cert_key));
    SSL_CTX_set_verify(server_ctx, SSL_VERIFY_PEER, any_certificate);
    SSL_CTX_set_session_cache_mode(client_ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(client_ctx, on_new_session);
}

/* What httpd does before the last post_config, up to the callbacks. */
static void configure(void)
{
    HOLDS(apr_pool_create(&pconf, NULL) == APR_SUCCESS);
    make_contexts();
    ap_unixd_config.user_name = "root";
    mod_stek_vhosts_reset(pconf);
    mod_stek_ticket_outcome_reset();
    (void)mod_stek_config_reset(pconf, pconf, pconf);
    server = part_server(pconf);
    part_directive(server, apr_psprintf(pconf, "StekRing default file=%s/run/a.ring poll=1s", base),
                   pconf);
    HOLDS(mod_stek_config_check_settings(pconf, pconf, pconf, server) == OK);
}

/* The last post_config, and what comes before it of this module's. */
static void start(void)
{
    int with_faults = fault->on;
    apr_pool_t *ptemp;

    fault->on = 0;
    HOLDS(apr_pool_create(&ptemp, pconf) == APR_SUCCESS);
    fault->on = with_faults;
    is_set_up = mod_stek_ticket_setup(pconf) == APR_SUCCESS;
    (void)mod_stek_ssl_ctx_install(server, pconf, 0, server_ctx);
    is_set_up = is_set_up && !(SSL_CTX_get_options(server_ctx) & SSL_OP_NO_TICKET);
    mod_stek_ring_start_all(pconf, ptemp, server);
    mod_stek_ssl_ctx_note_groups(ptemp);
    mod_stek_vhost_notices_log(ptemp);
    mod_stek_vhost_notices_warn(server, ptemp);
    apr_pool_destroy(ptemp);
}

static void forget_ticket(void)
{
    SSL_SESSION_free(ticket);
    ticket = NULL;
}

static void deconfigure(void)
{
    forget_ticket();
    SSL_CTX_free(server_ctx);
    SSL_CTX_free(client_ctx);
    apr_pool_destroy(pconf);
}

static void reload(void)
{
    deconfigure();
    configure();
    start();
}

static mod_stek_live_t *live(void)
{
    int n;

    return mod_stek_rings(&n)[0]->live;
}

static void tick(apr_interval_time_t later)
{
    part_now += later;
    (void)mod_stek_monitor(pconf, server);
}

/* ---- handshakes ---- */

/* Both sides in turn, as far as they get; faults are for the server's. */
static void shake(SSL *client, SSL *served, int with_faults)
{
    char byte;
    int i;

    for (i = 0; i < 10; i++) {
        (void)SSL_do_handshake(client);
        fault->on = with_faults;
        (void)SSL_do_handshake(served);
        fault->on = 0;
    }
    HOLDS(SSL_is_init_finished(client) && SSL_is_init_finished(served));
    HOLDS(SSL_write(served, "x", 1) == 1 && SSL_read(client, &byte, 1) == 1 && byte == 'x');
    ERR_clear_error();
}

/* One connection that offers the last ticket; nonzero if it was resumed. */
static int connect_once(int version, int with_faults)
{
    SSL *client = SSL_new(client_ctx), *served = SSL_new(server_ctx);
    conn_rec c = {0};
    BIO *a, *b;
    int resumed;

    HOLDS(client && served && BIO_new_bio_pair(&a, 0, &b, 0));
    HOLDS(SSL_set_min_proto_version(client, version) && SSL_set_max_proto_version(client, version));
    SSL_set_bio(client, a, a);
    SSL_set_bio(served, b, b);
    SSL_set_connect_state(client);
    SSL_set_accept_state(served);
    if (ticket) {
        HOLDS(SSL_set_session(client, ticket));
    }
    HOLDS(apr_pool_create(&c.pool, NULL) == APR_SUCCESS);
    c.conn_config = apr_pcalloc(c.pool, 64 * sizeof(void *));
    fault->on = with_faults;
    (void)mod_stek_ticket_outcome_begin(&c, served, 0);
    fault->on = 0;
    HOLDS(SSL_set_app_data(served, &c)); /* mod_ssl does */
    ERR_clear_error();
    shake(client, served, with_faults);
    resumed = SSL_session_reused(client);
    HOLDS(resumed == SSL_session_reused(served));
    (void)SSL_shutdown(client);
    SSL_free(client);
    SSL_free(served);
    apr_pool_destroy(c.pool);
    return resumed;
}

/* Full, then resumed, in both versions. */
static int connect_all(int with_faults)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    int i, well = 1;

    for (i = 0; i < 2; i++) {
        forget_ticket();
        well &= !connect_once(versions[i], with_faults);
        well &= ticket != NULL && connect_once(versions[i], with_faults);
    }
    return well;
}

/* ---- what must hold ---- */

/* Loads the file: missing, or good. */
static int file_is_good(void)
{
    const char *path = in_base("run/a.ring");
    stek_secrets_t *secrets = NULL;
    stek_ring_t *ring = NULL;
    stek_ring_file_t file;
    apr_status_t rv;

    stek_ring_file_init(&file, path, geteuid(), (gid_t)-1);
    rv = stek_secret_file_load(in_base("run/a.secret"), geteuid(), &secrets, NULL, pconf);
    if (rv == APR_SUCCESS) {
        rv = stek_ring_file_load(&file, secrets, &ring, NULL, NULL, pconf);
    }
    stek_ring_destroy(ring);
    stek_secrets_destroy(secrets);
    return rv == APR_SUCCESS || APR_STATUS_IS_ENOENT(rv);
}

/* After a reload all is as it should be, whatever has failed before. */
static void judge_reload(void)
{
    /* A seal that never fits is what tells a bad ring: it is moved out of the way, and is lost. */
    int seal_is_bad = fault_stays && fault->function == FAULT_EVP_DecryptFinal_ex;

    HOLDS(file_is_good());
    /* The self-test outlives one failure of its own. */
    HOLDS(!live() || live()->issue || fault_stays || !is_set_up);
    reload();
    HOLDS(live() && live()->file.path && live()->issue);
    HOLDS(!former || holds_keys(live()->ring, former) || seal_is_bad);
    HOLDS(mod_stek_live_can_issue(live(), part_now));
    HOLDS(connect_all(0));
    HOLDS(file_is_good());
    HOLDS(count_names(in_base("run"), ".refused-") == 0 || seal_is_bad);
}

static void remove_files(void)
{
    const char *run = in_base("run");

    if (access(run, F_OK) == 0) {
        HOLDS(nftw(run, remove_entry, 16, FTW_DEPTH | FTW_PHYS) == 0);
    }
}

/* Ends what is retained over reloads. */
static void end(void)
{
    int i, n;
    mod_stek_ring_config_t *const *rings = mod_stek_rings(&n);

    stek_ring_destroy(former);
    former = NULL;
    for (i = 0; i < n; i++) {
        rings[i]->live = NULL;
    }
    mod_stek_live_sweep();
    deconfigure();
    remove_files();
}

/* ---- scenarios ---- */

static void prepare_first(void)
{
    part_now = apr_time_from_sec(time(NULL));
    part_troubles = 0;
    part_log[0] = '\0';
    fault_told = part_log;
    configure();
}

/* A process that knows nothing yet: not even where its records hang. */
static void prepare_process(void)
{
    int i;

    for (i = 0; i < STUB_RETAINED_MAX; i++) {
        if (stub_retained[i].data
            && strncmp(stub_retained[i].key, "mod_stek_rotate claims", 22) != 0) {
            free(stub_retained[i].data);
            stub_retained[i].data = NULL;
        }
    }
    prepare_first();
}

static int run_start(void)
{
    start();
    return part_troubles == 0 && live() && live()->issue;
}

static stek_ring_t *copy_of(const stek_ring_t *ring)
{
    stek_ring_t *copy;

    HOLDS(stek_ring_merge(ring, NULL, part_now, 0, &copy) == APR_SUCCESS);
    return copy;
}

static void start_well(void)
{
    start();
    HOLDS(live() && live()->file.path && part_troubles == 0);
    former = copy_of(live()->ring);
}

static void prepare_started(void)
{
    prepare_first();
    start_well();
}

/* A new process over the files of the former. */
static void prepare_again(void)
{
    int n;

    prepare_started();
    mod_stek_rings(&n)[0]->live = NULL;
    mod_stek_live_sweep();
    deconfigure();
    configure();
}

static void prepare_reload(void)
{
    prepare_started();
    deconfigure();
    configure();
}

/* At the begin of an hour, so that what is prepared lasts for what is to come. */
static void prepare_ticks(void)
{
    prepare_first();
    part_now -= part_now % apr_time_from_sec(3600) - apr_time_from_sec(100);
    start_well();
}

static int run_ticks(void)
{
    int i;

    for (i = 0; i < 3; i++) {
        tick(apr_time_from_sec(1800));
        HOLDS(mod_stek_live_can_issue(live(), part_now));
    }
    return part_troubles == 0;
}

/* Within its life, a lost key would show. */
static void judge_ticks(void)
{
    HOLDS(part_troubles > 0 || holds_keys(live()->ring, former));
    tick(apr_time_from_sec(1800));
    tick(apr_time_from_sec(1800));
    HOLDS(mod_stek_live_can_issue(live(), part_now) && holds_keys(live()->ring, former));
    HOLDS(live()->load_status == APR_SUCCESS && file_is_good());
    judge_reload();
}

/* The file is gone, or in memory from the start. */
static int run_memory(void)
{
    int n;

    mod_stek_rings(&n)[0]->path = NULL;
    mod_stek_rings(&n)[0]->secret_path = NULL;
    start();
    tick(apr_time_from_sec(3600));
    return part_troubles == 0 && mod_stek_live_can_issue(live(), part_now);
}

static void judge_memory(void)
{
    if (live()) {
        tick(apr_time_from_sec(60));
    }
    reload();
    HOLDS(mod_stek_live_can_issue(live(), part_now));
    tick(apr_time_from_sec(3600));
    HOLDS(mod_stek_live_can_issue(live(), part_now) && connect_all(0));
}

/* Another writer's ring lies in the file by the time that a child looks. */
static void prepare_child(void)
{
    stek_ring_t *next;
    apr_size_t made;

    prepare_started();
    part_now += apr_time_from_sec(3600);
    HOLDS(stek_schedule_extend(live()->ring, &(stek_params_t)STEK_PARAMS_DEFAULT, part_now,
                               stek_rng_system, &next, &made)
          == APR_SUCCESS);
    next->generation = live()->ring->generation + 1;
    HOLDS(stek_ring_file_save(&live()->file, next, live()->secrets, 0, stek_rng_system, NULL, pconf)
          == APR_SUCCESS);
    stek_ring_destroy(next);
}

static apr_uint64_t generation(void)
{
    apr_uint64_t n;

    pthread_rwlock_rdlock(&live()->lock);
    n = live()->ring->generation;
    pthread_rwlock_unlock(&live()->lock);
    return n;
}

/* A child's life, until its thread has looked; where it cannot, no wait helps. */
static int child(void *data)
{
    apr_uint64_t before = generation();
    apr_pool_t *pchild = data;
    int i, well;

    mod_stek_iv_child_init(pchild, server);
    mod_stek_timer_start(pchild, server);
    for (i = 0; i < (fault_at ? 20 : 10000) && generation() == before; i++) {
        struct timespec ms = {0, 1000000};

        nanosleep(&ms, NULL);
    }
    well = generation() != before;
    apr_pool_destroy(pchild);
    /* At its end it wipes what it has, unless it was left without a thread to do so. */
    HOLDS(live()->ring->key_n == 0 || fault->hits > 0);
    ERR_clear_error();
    return well ? 0 : 1;
}

static int run_child(void)
{
    int on = fault->on, code;
    apr_pool_t *pchild;

    fault->on = 0;
    HOLDS(apr_pool_create(&pchild, pconf) == APR_SUCCESS);
    (void)fflush(stdout);
    fault->on = on;
    code = run_in_child(child, pchild);
    HOLDS(code < 256);
    return code == 0;
}

static int run_handshakes(void)
{
    int well;

    fault->on = 0;
    well = connect_all(1);
    fault->on = 1;
    return well;
}

/* An hour later vectors get a new key. */
static void prepare_hour(void)
{
    prepare_started();
    tick(apr_time_from_sec(3600));
}

/* StekRotate off: the virtual host's own keys, as if there were no module. */
static void prepare_stock(void)
{
    prepare_first();
    part_directive(server, "StekRotate off", pconf);
    start();
}

static void judge_stock(void)
{
    HOLDS(connect_all(0));
}

static void judge_handshakes(void)
{
    HOLDS(connect_all(0));
    judge_reload();
}

/* ---- policy digests ---- */

static unsigned char true_digest[STEK_DIGEST_LEN];
static int has_true_digest;

/* Of two lists of one issuer the later counts: they are not of the same second. */
static void write_pem(const char *path, int later_s)
{
    X509_CRL *crl = X509_CRL_new();
    X509_REVOKED *revoked = X509_REVOKED_new();
    ASN1_INTEGER *serial = ASN1_INTEGER_new();
    ASN1_TIME *t = ASN1_TIME_set(NULL, 1767225600 + later_s);
    BIO *bio = BIO_new_file(path, "w");

    HOLDS(crl && revoked && serial && t && bio && ASN1_INTEGER_set(serial, 5)
          && X509_REVOKED_set_serialNumber(revoked, serial)
          && X509_REVOKED_set_revocationDate(revoked, t) && X509_CRL_add0_revoked(crl, revoked)
          && X509_CRL_set_version(crl, 1)
          && X509_CRL_set_issuer_name(crl, X509_get_subject_name(cert))
          && X509_CRL_set1_lastUpdate(crl, t) && X509_CRL_set1_nextUpdate(crl, t)
          && X509_CRL_sign(crl, cert_key, EVP_sha256()) > 0);
    HOLDS(PEM_write_bio_X509(bio, cert) && PEM_write_bio_X509_CRL(bio, crl));
    X509_CRL_free(crl);
    ASN1_INTEGER_free(serial);
    ASN1_TIME_free(t);
    BIO_free(bio);
}

static void prepare_policy(void)
{
    static const char *const lines[] = {
        "SSLVerifyClient require",    "SSLCACertificateFile %s/ca",
        "SSLCARevocationCheck chain", "SSLCARevocationPath %s/crls",
        "SSLOCSPEnable on",           "SSLOCSPResponderCertificateFile %s/ca"};
    apr_size_t i;

    prepare_first();
    HOLDS(mkdir(in_base("run"), 0755) == 0 && mkdir(in_base("run/crls"), 0755) == 0);
    write_pem(in_base("run/ca"), 0);
    HOLDS(X509_STORE_load_file(SSL_CTX_get_cert_store(server_ctx), in_base("run/ca")));
    write_pem(in_base("run/crls/0a1b2c3d.r0"), 1);
    for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        part_directive(server, apr_psprintf(pconf, lines[i], in_base("run")), pconf);
    }
    /* As mod_ssl does. */
    HOLDS(X509_STORE_load_file(SSL_CTX_get_cert_store(server_ctx), in_base("run/ca")));
}

/* A digest that is not the true one would open tickets elsewhere, or none. */
static int run_policy(void)
{
    unsigned char digest[STEK_DIGEST_LEN];
    apr_array_header_t *watched = apr_array_make(pconf, 1, sizeof(mod_stek_trust_watch_t));
    apr_status_t rv = mod_stek_policy_digest(server, mod_stek_server_get(server)->policy,
                                             server_ctx, watched, digest, pconf);

    if (rv != APR_SUCCESS) {
        return 0;
    }
    if (!has_true_digest) {
        memcpy(true_digest, digest, sizeof(digest));
        has_true_digest = 1;
    }
    HOLDS(memcmp(true_digest, digest, sizeof(digest)) == 0);
    /* The directory, its list, and the number after it. */
    HOLDS(watched->nelts == 3);
    return 1;
}

static void judge_policy(void)
{
    HOLDS(run_policy());
}

int main(int argc, char **argv)
{
    static const scenario_t scenarios[] = {
        {"start", prepare_process, run_start, judge_reload, end},
        {"again", prepare_again, run_start, judge_reload, end},
        {"reload", prepare_reload, run_start, judge_reload, end},
        {"ticks", prepare_ticks, run_ticks, judge_ticks, end},
        {"in-memory", prepare_first, run_memory, judge_memory, end},
        {"child", prepare_child, run_child, judge_reload, end},
        {"handshakes", prepare_started, run_handshakes, judge_handshakes, end},
        {"handshakes-hour", prepare_hour, run_handshakes, judge_handshakes, end},
        {"handshakes-stock", prepare_stock, run_handshakes, judge_stock, end},
        {"policy", prepare_policy, run_policy, judge_policy, end},
    };

    return run_all(scenarios, (int)(sizeof(scenarios) / sizeof(scenarios[0])), argc, argv);
}
