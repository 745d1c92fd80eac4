/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a ticket costs the server: issued (seal), accepted (open), or in whole resumed handshakes
 * (tls1.2, tls1.3; client and server together), with
 *
 *     builtin   the keys that OpenSSL makes for an SSL_CTX
 *     static    a minimal callback with a fixed AES-128 key, as httpd's SSLSessionTicketKeyFile has it
 *     module    this module, with a ring of KEYS keys
 *
 * seal and open do what OpenSSL 3.0 does around the callbacks: contexts, AES and HMAC over a
 * session; the session's encoding, the same for all, is left out.  The length of a ticket decides
 * how many blocks of 64 bytes HMAC hashes, so sessions with names of eight lengths, over a whole
 * block, take turns.  With `module` they hold all that
 * the module does in a handshake: also its record, policy, age, counters.  `open` takes tickets of
 * all keys in turn.  Prints nanoseconds for each; callgrind counts what happens inside `measured`.
 * clocked: and the nanoseconds inside the callbacks (seal and open).
 *
 * Usage: ticket_cost seal|open|tls1.2|tls1.3 builtin|static|module KEYS N [clocked]
 */
#include "play_httpd.h"
#include "stek_key_make.h"

#include <openssl/core_names.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <time.h>

#define TICKETS_N 1024
#define TEXT_MAX 320
#define TEXTS_N 8 /* SNI names of these lengths: 6, 14, ..., 62 */
#define TICKET_MAX (STEK_NAME_LEN + 16 + TEXT_MAX + 16 + 32)
#define CLEAR_EVERY 64
#define BATCH_N 50

typedef int key_cb_t(SSL *, unsigned char *, unsigned char *, EVP_CIPHER_CTX *, EVP_MAC_CTX *, int);

typedef struct ticket_t {
    unsigned char bytes[TICKET_MAX];
    int len;
} ticket_t;

typedef struct bench_t {
    const char *op;
    int is_module;
    int clocked; /* the time inside the callbacks is added up in callback_ns */
    double callback_ns, from_ns;
    SSL *server, *client;
    conn_rec *c; /* of both */
    SSL_SESSION *session;
    unsigned char texts[TEXTS_N][TEXT_MAX]; /* the session, encoded, with each of the names */
    int text_lens[TEXTS_N];
    ticket_t tickets[TICKETS_N];
    stek_key_t *keys; /* that sealed them: those of the ring, or the builtin or static one */
    int key_n;
    apr_pool_t *pool, *connection_pool;
} bench_t;

/* ---- the callbacks, caught as they are installed ---- */

static key_cb_t *key_cb;
static SSL_CTX_generate_session_ticket_fn gen_cb;
static SSL_CTX_decrypt_session_ticket_fn dec_cb;
static int (*not_resumable_cb)(SSL *ssl, int is_forward_secure);

int __real_SSL_CTX_set_tlsext_ticket_key_evp_cb(SSL_CTX *ctx, key_cb_t *cb);
int __wrap_SSL_CTX_set_tlsext_ticket_key_evp_cb(SSL_CTX *ctx, key_cb_t *cb);
int __real_SSL_CTX_set_session_ticket_cb(SSL_CTX *ctx, SSL_CTX_generate_session_ticket_fn gen,
                                         SSL_CTX_decrypt_session_ticket_fn dec, void *arg);
int __wrap_SSL_CTX_set_session_ticket_cb(SSL_CTX *ctx, SSL_CTX_generate_session_ticket_fn gen,
                                         SSL_CTX_decrypt_session_ticket_fn dec, void *arg);
void __real_SSL_CTX_set_not_resumable_session_callback(SSL_CTX *ctx, int (*cb)(SSL *, int));
void __wrap_SSL_CTX_set_not_resumable_session_callback(SSL_CTX *ctx, int (*cb)(SSL *, int));

int __wrap_SSL_CTX_set_tlsext_ticket_key_evp_cb(SSL_CTX *ctx, key_cb_t *cb)
{
    key_cb = cb;
    return __real_SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, cb);
}

int __wrap_SSL_CTX_set_session_ticket_cb(SSL_CTX *ctx, SSL_CTX_generate_session_ticket_fn gen,
                                         SSL_CTX_decrypt_session_ticket_fn dec, void *arg)
{
    gen_cb = gen;
    dec_cb = dec;
    return __real_SSL_CTX_set_session_ticket_cb(ctx, gen, dec, arg);
}

void __wrap_SSL_CTX_set_not_resumable_session_callback(SSL_CTX *ctx, int (*cb)(SSL *, int))
{
    not_resumable_cb = cb;
    __real_SSL_CTX_set_not_resumable_session_callback(ctx, cb);
}

/* ---- one key: builtin, static ---- */

static struct {
    unsigned char name[STEK_NAME_LEN], hmac_key[STEK_HMAC_KEY_LEN], aes_key[STEK_AES_KEY_LEN];
} one;
static OSSL_PARAM one_params[3];
static char sha256[] = "SHA256";

static int static_cb(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher_ctx,
                     EVP_MAC_CTX *mac_ctx, int encrypt)
{
    (void)ssl;
    if (encrypt) {
        memcpy(name, one.name, sizeof(one.name));
        return RAND_bytes(iv, 16) == 1
                       && EVP_EncryptInit_ex(cipher_ctx, EVP_aes_128_cbc(), NULL, one.aes_key, iv)
                       && EVP_MAC_CTX_set_params(mac_ctx, one_params)
                   ? 1
                   : -1;
    }
    if (memcmp(name, one.name, sizeof(one.name)) != 0) {
        return 0;
    }
    return EVP_DecryptInit_ex(cipher_ctx, EVP_aes_128_cbc(), NULL, one.aes_key, iv)
                   && EVP_MAC_CTX_set_params(mac_ctx, one_params)
               ? 1
               : -1;
}

/* What OpenSSL does where there is no callback. */
static int builtin_key(unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher_ctx,
                       EVP_MAC_CTX *mac_ctx, int encrypt)
{
    EVP_CIPHER *aes = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
    OSSL_PARAM params[2] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, sha256, 0),
        OSSL_PARAM_construct_end(),
    };
    int ok = aes != NULL;

    if (encrypt) {
        ok = ok && RAND_bytes(iv, 16) > 0;
        memcpy(name, one.name, sizeof(one.name));
    }
    else {
        ok = ok && memcmp(name, one.name, sizeof(one.name)) == 0;
    }
    ok = ok && EVP_CipherInit_ex(cipher_ctx, aes, NULL, one.aes_key, iv, encrypt)
         && EVP_MAC_init(mac_ctx, one.hmac_key, sizeof(one.hmac_key), params);
    EVP_CIPHER_free(aes);
    return ok;
}

/* ---- OpenSSL's part ---- */

static EVP_MAC_CTX *mac_ctx_new(void)
{
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *ctx = mac ? EVP_MAC_CTX_new(mac) : NULL;

    EVP_MAC_free(mac);
    return ctx;
}

static double wall_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static void clock_in(bench_t *b)
{
    if (b->clocked) {
        b->from_ns = wall_ns();
    }
}

static void clock_out(bench_t *b)
{
    if (b->clocked) {
        b->callback_ns += wall_ns() - b->from_ns;
    }
}

/* Callgrind tells these apart from what OpenSSL does around them. */
#define CALLBACK __attribute__((noinline)) static

CALLBACK int callback_key(bench_t *b, unsigned char *name, unsigned char *iv,
                          EVP_CIPHER_CTX *cipher_ctx, EVP_MAC_CTX *mac_ctx, int encrypt)
{
    return key_cb ? key_cb(b->server, name, iv, cipher_ctx, mac_ctx, encrypt)
                  : builtin_key(name, iv, cipher_ctx, mac_ctx, encrypt);
}

CALLBACK int callback_generate(bench_t *b)
{
    return (!not_resumable_cb || !not_resumable_cb(b->server, 1))
           && (!gen_cb || gen_cb(b->server, NULL));
}

CALLBACK int callback_decrypted(bench_t *b, const unsigned char *name, int result)
{
    SSL_TICKET_STATUS status = result == 2 ? SSL_TICKET_SUCCESS_RENEW : SSL_TICKET_SUCCESS;

    return !dec_cb
           || dec_cb(b->server, b->session, name, STEK_NAME_LEN, status, NULL)
                  != SSL_TICKET_RETURN_IGNORE_RENEW;
}

/* A connection's record begins and ends, as the module's hooks have it. */
CALLBACK void callback_begin(bench_t *b)
{
    if (b->is_module) {
        b->c->pool = b->connection_pool;
        mod_stek_ticket_outcome_begin(b->c, b->server, 0);
    }
}

CALLBACK void callback_done(bench_t *b)
{
    if (b->is_module) {
        SSL_CTX_get_info_callback(server_ctx)(b->server, SSL_CB_HANDSHAKE_DONE, 1);
    }
}

static void seal(bench_t *b, int i, ticket_t *ticket)
{
    unsigned char *at = ticket->bytes, *text = at + STEK_NAME_LEN + 16;
    EVP_CIPHER_CTX *cipher_ctx = EVP_CIPHER_CTX_new();
    EVP_MAC_CTX *mac_ctx;
    int len = 0, rest = 0, ok;
    size_t mac_len = 0;

    clock_in(b);
    ok = callback_generate(b);
    clock_out(b);
    mac_ctx = mac_ctx_new();
    check(ok && cipher_ctx && mac_ctx, "contexts");
    clock_in(b);
    ok = callback_key(b, at, at + STEK_NAME_LEN, cipher_ctx, mac_ctx, 1) == 1;
    clock_out(b);
    ok = ok && EVP_EncryptUpdate(cipher_ctx, text, &len, b->texts[i], b->text_lens[i])
         && EVP_EncryptFinal_ex(cipher_ctx, text + len, &rest);
    check(ok, "sealing");
    len += rest + STEK_NAME_LEN + 16;
    check(EVP_MAC_update(mac_ctx, at, (size_t)len)
              && EVP_MAC_final(mac_ctx, at + len, &mac_len, 32),
          "HMAC");
    ticket->len = len + (int)mac_len;
    EVP_MAC_CTX_free(mac_ctx);
    EVP_CIPHER_CTX_free(cipher_ctx);
}

static void open_ticket(bench_t *b, int i, const ticket_t *ticket)
{
    unsigned char mac[32], text[TICKET_MAX], *at = (unsigned char *)ticket->bytes;
    EVP_MAC_CTX *mac_ctx = mac_ctx_new();
    EVP_CIPHER_CTX *cipher_ctx = EVP_CIPHER_CTX_new();
    int head_len = STEK_NAME_LEN + 16, body_len = ticket->len - 32, len = 0, rest = 0, result;
    size_t mac_len = 0;

    check(mac_ctx && cipher_ctx, "contexts");
    clock_in(b);
    callback_begin(b);
    result = callback_key(b, at, at + STEK_NAME_LEN, cipher_ctx, mac_ctx, 0);
    clock_out(b);
    check(result > 0 && EVP_MAC_update(mac_ctx, at, (size_t)body_len)
              && EVP_MAC_final(mac_ctx, mac, &mac_len, 32)
              && CRYPTO_memcmp(mac, at + body_len, 32) == 0
              && EVP_DecryptUpdate(cipher_ctx, text, &len, at + head_len, body_len - head_len)
              && EVP_DecryptFinal_ex(cipher_ctx, text + len, &rest)
              && len + rest == b->text_lens[i],
          "opening");
    EVP_MAC_CTX_free(mac_ctx);
    EVP_CIPHER_CTX_free(cipher_ctx);
    clock_in(b);
    check(callback_decrypted(b, at, result), "judging");
    callback_done(b);
    clock_out(b);
}

/* ---- what is measured ---- */

static void operate(bench_t *b, int i)
{
    ticket_t ticket;
    SSL *server, *client;

    if (b->op[0] == 's') {
        seal(b, i % TEXTS_N, &ticket);
    }
    else if (b->op[0] == 'o') {
        open_ticket(b, i % TEXTS_N, &b->tickets[i % TICKETS_N]);
    }
    else {
        play_connect(b->is_module, b->connection_pool, &server, &client);
        check(SSL_session_reused(server), "resumption");
        play_free(server, client);
    }
    if (i % CLEAR_EVERY == 0) {
        apr_pool_clear(b->connection_pool);
    }
}

static void run(bench_t *b, int n)
{
    int i;

    for (i = 0; i < n; i++) {
        operate(b, i);
    }
}

/* Callgrind collects what happens in here. */
__attribute__((noinline)) static void measured(bench_t *b, int n)
{
    run(b, n);
    __asm__ volatile("");
}

/* One key for now, the others older, a minute each. */
static stek_ring_t *make_ring(bench_t *b)
{
    apr_time_t now = apr_time_from_sec(apr_time_sec(apr_time_now()));
    const apr_interval_time_t slot = apr_time_from_sec(60), lifetime = apr_time_from_sec(7 * 86400);
    stek_ring_t *keys = NULL;
    int i;

    check(stek_ring_create((apr_size_t)b->key_n, 0, &keys) == APR_SUCCESS, "ring");
    ring.params.lifetime = lifetime;
    for (i = 0; i < b->key_n; i++) {
        apr_time_t from = now - slot * i, until = i ? from + slot : now + 60 * slot;

        check(stek_key_make(from, until, lifetime, 0, from, stek_rng_system, &b->keys[i])
                      == APR_SUCCESS
                  && stek_ring_add_key(keys, &b->keys[i]) == APR_SUCCESS,
              "key");
    }
    return keys;
}

static void make_one(bench_t *b, int is_static)
{
    check(SSL_CTX_get_tlsext_ticket_keys(server_ctx, &one, sizeof(one)) == 1, "built-in keys");
    memcpy(b->keys[0].name, one.name, sizeof(one.name));
    memcpy(b->keys[0].hmac_key, one.hmac_key, sizeof(one.hmac_key));
    memcpy(b->keys[0].aes_key, one.aes_key, sizeof(one.aes_key));
    if (is_static) {
        b->keys[0].flags = STEK_KEY_AES128;
        one_params[0] = OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, one.hmac_key, 16);
        one_params[1] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, sha256, 0);
        one_params[2] = OSSL_PARAM_construct_end();
        check(SSL_CTX_set_tlsext_ticket_key_evp_cb(server_ctx, static_cb), "callback");
    }
}

/* A ticket under any key, made without the callbacks. */
static void forge(const bench_t *b, int i, const stek_key_t *key, ticket_t *ticket)
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    unsigned char *at = ticket->bytes, *text = at + STEK_NAME_LEN + 16;
    int len = 0, rest = 0, is_128 = key->flags & STEK_KEY_AES128;

    memcpy(at, key->name, STEK_NAME_LEN);
    check(ctx && RAND_bytes(at + STEK_NAME_LEN, 16) == 1
              && EVP_EncryptInit_ex(ctx, is_128 ? EVP_aes_128_cbc() : EVP_aes_256_cbc(), NULL,
                                    key->aes_key, at + STEK_NAME_LEN)
              && EVP_EncryptUpdate(ctx, text, &len, b->texts[i], b->text_lens[i])
              && EVP_EncryptFinal_ex(ctx, text + len, &rest),
          "ticket");
    len += rest + STEK_NAME_LEN + 16;
    check(HMAC(EVP_sha256(), key->hmac_key, is_128 ? 16 : 32, at, (size_t)len, at + len, NULL)
              != NULL,
          "ticket");
    ticket->len = len + 32;
    EVP_CIPHER_CTX_free(ctx);
}

/* As OpenSSL encodes a session for a ticket: without its id. */
static void encode(bench_t *b, int i)
{
    char name[64] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    SSL_SESSION *session = SSL_SESSION_dup(b->session);
    unsigned char *at = b->texts[i];
    int len;

    name[6 + 8 * i] = '\0';
    check(session && SSL_SESSION_set1_id(session, (const unsigned char *)"", 0)
              && SSL_SESSION_set1_hostname(session, name),
          "session");
    len = b->text_lens[i] = i2d_SSL_SESSION(session, NULL);
    check(len > 0 && len <= TEXT_MAX && i2d_SSL_SESSION(session, &at) == len, "session");
    SSL_SESSION_free(session);
}

static void prepare(bench_t *b, const char *who)
{
    SSL *server, *client;
    int i;

    play_contexts();
    if (strcmp(b->op, "tls1.2") == 0) {
        SSL_CTX_set_max_proto_version(server_ctx, TLS1_2_VERSION);
    }
    b->keys = calloc((size_t)b->key_n, sizeof(*b->keys));
    check(b->keys != NULL, "memory");
    if (b->is_module) {
        play_module(make_ring(b), b->pool);
        mod_stek_ticket_outcome_install(&vhost);
    }
    else {
        make_one(b, strcmp(who, "static") == 0);
    }
    play_connect(b->is_module, b->pool, &server, &client); /* a full one */
    b->server = server;
    b->client = client;
    b->c = SSL_get_app_data(server);
    b->session = SSL_get_session(server);
    if (gen_cb) {
        gen_cb(server, NULL);
    }
    for (i = 0; i < TEXTS_N; i++) {
        encode(b, i);
    }
    for (i = 0; i < TICKETS_N; i++) {
        forge(b, i % TEXTS_N, &b->keys[(long)i * b->key_n / TICKETS_N], &b->tickets[i]);
    }
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static double cpu_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static double median(double *values, int n)
{
    qsort(values, (size_t)n, sizeof(*values), compare);
    return values[n / 2];
}

/* CPU nanoseconds of one operation: the median of many short runs, since what else the machine
 * does meets only some of them. */
static double time_all(bench_t *b, int n)
{
    double ns[BATCH_N];
    int i, batch_n = n < BATCH_N ? 1 : BATCH_N;

    for (i = 0; i < batch_n; i++) {
        double from = cpu_ns();

        measured(b, n / batch_n);
        ns[i] = (cpu_ns() - from) / (n / batch_n);
    }
    return median(ns, batch_n);
}

/* Nanoseconds inside the callbacks of one operation: the median of all, without the clock's own. */
static double time_callbacks(bench_t *b, int n)
{
    double *ns = calloc((size_t)n, sizeof(*ns)), clock_ns, result;
    int i;

    check(ns != NULL, "memory");
    b->clocked = 1;
    for (i = 0; i < n; i++) {
        b->callback_ns = 0;
        /* Callbacks stand in two places of both operations. */
        clock_in(b);
        clock_out(b);
        clock_in(b);
        clock_out(b);
        ns[i] = b->callback_ns;
    }
    clock_ns = median(ns, n);
    for (i = 0; i < n; i++) {
        b->callback_ns = 0;
        operate(b, i);
        ns[i] = b->callback_ns;
    }
    result = median(ns, n) - clock_ns;
    free(ns);
    return result;
}

int main(int argc, char **argv)
{
    static bench_t b;
    int n = argc > 4 ? (int)strtol(argv[4], NULL, 10) : 0, clocked = argc > 5;

    b.op = argc > 1 ? argv[1] : "";
    b.key_n = argc > 4 ? (int)strtol(argv[3], NULL, 10) : 0;
    if (n < 1 || b.key_n < 1 || b.key_n > STEK_KEYS_MAX || !strchr("sot", b.op[0])) {
        fputs("usage: ticket_cost seal|open|tls1.2|tls1.3 builtin|static|module KEYS N [clocked]\n",
              stderr);
        return 2;
    }
    b.is_module = strcmp(argv[2], "module") == 0;
    apr_initialize();
    apr_pool_create(&b.pool, NULL);
    apr_pool_create(&b.connection_pool, b.pool);
    prepare(&b, argv[2]);
    run(&b, n < 200 ? 2 : n / 10); /* what is done once, and caches */
    printf("{\"ns\": %.1f, \"text_len\": %d", time_all(&b, n), b.text_lens[0]);
    if (clocked) {
        printf(", \"callback_ns\": %.1f", time_callbacks(&b, n));
    }
    printf("}\n");
    play_free(b.server, b.client);
    return 0;
}
