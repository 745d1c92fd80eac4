/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenSSL's ticket callbacks: which key seals, which opens, and what a client is told.  Glue.
 *
 * Any thread of a child.  A key is copied out of the live keyring under its read lock and wiped
 * from the stack before the callback returns; OpenSSL wipes its own contexts.  Return values are
 * those of SSL_CTX_set_tlsext_ticket_key_evp_cb(3): 0 no ticket or full handshake, 1 use, 2 use and
 * renew; negative values abort the handshake and are never used.
 */
#include "mod_stek_ticket.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/hmac.h>
#include <openssl/params.h>
#include <stddef.h>
#include <string.h>

#include "mod_stek_ticket_outcome.h"
#include "mod_stek_iv.h"
#include "mod_stek_live.h"
#include "mod_stek_may_resume.h"
#include "mod_stek_ticket_count.h"
#include "stek_error.h"
#include "stek_mem.h"
#include "stek_session.h"

#define HMAC_LEN 32
#define RENEW 2

static EVP_CIPHER *aes_256_cbc, *aes_128_cbc;

static apr_status_t teardown(void *data)
{
    (void)data;
    EVP_CIPHER_free(aes_256_cbc);
    EVP_CIPHER_free(aes_128_cbc);
    aes_256_cbc = aes_128_cbc = NULL;
    return APR_SUCCESS;
}

apr_status_t mod_stek_ticket_setup(apr_pool_t *pconf)
{
    apr_pool_cleanup_register(pconf, NULL, teardown, apr_pool_cleanup_null);
    aes_256_cbc = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
    aes_128_cbc = EVP_CIPHER_fetch(NULL, "AES-128-CBC", NULL);
    if (!aes_256_cbc || !aes_128_cbc) {
        ERR_clear_error();
        return STEK_ECRYPTO;
    }
    return mod_stek_iv_setup(pconf);
}

/* Gives OpenSSL a key; 0 if it fails, and the handshake continues without. */
static int key_apply(const stek_key_t *key, const unsigned char *iv, EVP_CIPHER_CTX *cipher_ctx,
                     EVP_MAC_CTX *mac_ctx, int encrypt)
{
    static char digest[] = "SHA256";
    /* OpenSSL only reads them. */
    const OSSL_PARAM params[] = {
        OSSL_PARAM_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, sizeof(digest) - 1),
        OSSL_PARAM_octet_string(OSSL_MAC_PARAM_KEY, (void *)key->hmac_key, sizeof(key->hmac_key)),
        OSSL_PARAM_END,
    };
    int ok;

    ok = EVP_CipherInit_ex(cipher_ctx, key->flags & STEK_KEY_AES128 ? aes_128_cbc : aes_256_cbc,
                           NULL, key->aes_key, iv, encrypt)
         && EVP_MAC_CTX_set_params(mac_ctx, params);
    stek_mem_wipe_registers();
    if (!ok) {
        ERR_clear_error();
    }
    return ok;
}

/* What is secret of it. */
static void key_wipe(stek_key_t *key)
{
    OPENSSL_cleanse((char *)key + offsetof(stek_key_t, hmac_key),
                    offsetof(stek_key_t, flags) - offsetof(stek_key_t, hmac_key));
}

/* The vhost's own built-in keys, as OpenSSL would use them if there were no callback. */
static int stock_key(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher_ctx,
                     EVP_MAC_CTX *mac_ctx, int encrypt)
{
    struct {
        unsigned char name[STEK_NAME_LEN], hmac_key[STEK_HMAC_KEY_LEN], aes_key[STEK_AES_KEY_LEN];
    } stock;
    stek_key_t key;
    int result = 0;

    memset(&key, 0, sizeof(key));
    if (SSL_CTX_get_tlsext_ticket_keys(SSL_get_SSL_CTX(ssl), &stock, sizeof(stock)) != 1) {
        ERR_clear_error();
        goto cleanup;
    }
    memcpy(key.hmac_key, stock.hmac_key, sizeof(key.hmac_key));
    memcpy(key.aes_key, stock.aes_key, sizeof(key.aes_key));
    if (encrypt) {
        memcpy(name, stock.name, sizeof(stock.name));
        result = mod_stek_iv_next(apr_time_now(), iv)
                 && key_apply(&key, iv, cipher_ctx, mac_ctx, 1);
    }
    else if (memcmp(name, stock.name, sizeof(stock.name)) == 0
             && key_apply(&key, iv, cipher_ctx, mac_ctx, 0)) {
        /* As OpenSSL's own code: in TLS 1.3 a ticket is for one use. */
        result = SSL_version(ssl) >= TLS1_3_VERSION ? RENEW : 1;
    }

cleanup:
    OPENSSL_cleanse(&stock, sizeof(stock));
    OPENSSL_cleanse(&key, sizeof(key));
    return result;
}

static int ring_key_encrypt(SSL *ssl, mod_stek_live_t *live, unsigned char *name, unsigned char *iv,
                            EVP_CIPHER_CTX *cipher_ctx, EVP_MAC_CTX *mac_ctx)
{
    apr_time_t now = apr_time_now();
    stek_key_t key;
    int ok;

    if (!mod_stek_may_resume_lasts(ssl)) {
        return 0;
    }
    if (!mod_stek_live_current(live, now, &key)) {
        mod_stek_ticket_outcome_keyless(ssl);
        return 0;
    }
    memcpy(name, key.name, sizeof(key.name));
    ok = mod_stek_iv_next(now, iv) && key_apply(&key, iv, cipher_ctx, mac_ctx, 1);
    key_wipe(&key);
    if (ok) {
        mod_stek_ticket_outcome_issued(ssl, mod_stek_live_tally(live), name);
    }
    else if (mod_stek_ticket_outcome_unsealed(ssl, mod_stek_live_tally(live))) {
        mod_stek_live_count_unsealed(live);
    }
    return ok;
}

static int ring_key_decrypt(SSL *ssl, mod_stek_live_t *live, const unsigned char *name,
                            const unsigned char *iv, EVP_CIPHER_CTX *cipher_ctx,
                            EVP_MAC_CTX *mac_ctx)
{
    stek_key_t key;
    int renewable, ok;
    stek_state_e state = mod_stek_live_lookup(live, name, apr_time_now(), &key, &renewable);

    mod_stek_ticket_outcome_offered(ssl, state, name);
    if (state == STEK_STATE_UNKNOWN || state == STEK_STATE_ENDED) {
        return 0;
    }
    ok = key_apply(&key, iv, cipher_ctx, mac_ctx, 0);
    key_wipe(&key);
    if (!ok) {
        return 0;
    }
    if (!renewable && (state != STEK_STATE_CURRENT || SSL_version(ssl) >= TLS1_3_VERSION)) {
        mod_stek_ticket_outcome_keyless(ssl);
    }
    /* TLS 1.2 has promised the ticket by the time that it would be sealed: promise none that no
     * key can seal.  TLS 1.3: a fresh ticket for each connection (RFC 9846, C.4). */
    if (!renewable || (state == STEK_STATE_CURRENT && SSL_version(ssl) < TLS1_3_VERSION)) {
        return 1;
    }
    return RENEW;
}

static int on_key(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher_ctx,
                  EVP_MAC_CTX *mac_ctx, int encrypt)
{
    const mod_stek_vhost_t *vhost = mod_stek_vhost_of(ssl);

    if (!vhost || !vhost->ring) {
        return stock_key(ssl, name, iv, cipher_ctx, mac_ctx, encrypt);
    }
    if (!vhost->ring->live) {
        return 0; /* There was no memory for its keys (STEK2013). */
    }
    return encrypt ? ring_key_encrypt(ssl, vhost->ring->live, name, iv, cipher_ctx, mac_ctx)
                   : ring_key_decrypt(ssl, vhost->ring->live, name, iv, cipher_ctx, mac_ctx);
}

/* Before a ticket is sealed: sets the hint and the timeout that is enforced at resumption, and
 * what the ticket says of its origin.  Always 1: 0 would abort the handshake. */
static int on_generate(SSL *ssl, void *arg)
{
    const mod_stek_vhost_t *vhost = mod_stek_vhost_of(ssl);
    SSL_SESSION *session = SSL_get_session(ssl);
    apr_time_t now = apr_time_now();

    (void)arg;
    if (!vhost || !vhost->ring || !session || !mod_stek_may_resume_bind(ssl, session, now)) {
        return 1;
    }
    SSL_SESSION_set_timeout(
        session, (long)apr_time_sec(mod_stek_may_resume_ticket_life(vhost, session, now)));
    /* A renewed TLS 1.2 ticket lives from now on; TLS 1.3 does so by itself. */
    stek_session_set_time(session, now);
    return 1;
}

/* After a ticket was opened, or not. */
static SSL_TICKET_RETURN on_decrypted(SSL *ssl, SSL_SESSION *session, const unsigned char *name,
                                      size_t name_len, SSL_TICKET_STATUS status, void *arg)
{
    const mod_stek_vhost_t *vhost = mod_stek_vhost_of(ssl);
    mod_stek_ticket_outcome_t *record = mod_stek_ticket_outcome_of(ssl);
    int ours = vhost && vhost->ring, refused = 0;
    apr_time_t now = apr_time_now();

    (void)name_len;
    (void)arg;
    if (status == SSL_TICKET_SUCCESS || status == SSL_TICKET_SUCCESS_RENEW) {
        refused = vhost ? mod_stek_may_resume_refused(ssl, vhost, session, now) : 0;
        if (ours) {
            mod_stek_ticket_outcome_judged(record, session, refused, now);
        }
        if (!refused) {
            mod_stek_ticket_count_choose(ssl, vhost, record,
                                         status == SSL_TICKET_SUCCESS_RENEW
                                             ? MOD_STEK_TICKETS_RESUMED
                                             : MOD_STEK_TICKETS_NONE);
            return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE
                                                : SSL_TICKET_RETURN_USE_RENEW;
        }
    }
    else if (ours && status == SSL_TICKET_NO_DECRYPT) {
        mod_stek_ticket_outcome_damaged(ssl, name);
    }
    /* Plain IGNORE would leave a TLS 1.2 client without a ticket for good. */
    return SSL_TICKET_RETURN_IGNORE_RENEW;
}

/* Whether the session of a full handshake must not be resumed.  Without a key, no ticket may be promised. */
static int is_not_resumable(SSL *ssl, const mod_stek_vhost_t *vhost)
{
    if (!mod_stek_may_resume_possible(ssl, vhost)) {
        return 1;
    }
    if (vhost->ring
        && (!vhost->ring->live || !mod_stek_live_can_issue(vhost->ring->live, apr_time_now()))) {
        mod_stek_ticket_outcome_keyless(ssl);
        return 1;
    }
    return 0;
}

static int on_not_resumable(SSL *ssl, int is_forward_secure)
{
    const mod_stek_vhost_t *vhost = mod_stek_vhost_of(ssl);
    int none = vhost && is_not_resumable(ssl, vhost);

    (void)is_forward_secure;
    if (none && SSL_version(ssl) < TLS1_3_VERSION) {
        /* OpenSSL would tell the client an id that it keeps no session under. */
        SSL_SESSION_set1_id(SSL_get_session(ssl), (const unsigned char *)"", 0);
    }
    mod_stek_ticket_count_choose(ssl, vhost, mod_stek_ticket_outcome_of(ssl),
                                 none ? MOD_STEK_TICKETS_NONE : MOD_STEK_TICKETS_FULL);
    return none;
}

int mod_stek_ticket_install(SSL_CTX *ctx, int keys)
{
    SSL_CTX_set_not_resumable_session_callback(ctx, on_not_resumable);
    return (!keys || SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_key))
           && SSL_CTX_set_session_ticket_cb(ctx, on_generate, on_decrypted, NULL);
}

/* A ticket as on_key makes it: name, IV, text of two blocks, MAC. */
typedef struct sealed_t {
    unsigned char name[STEK_NAME_LEN], iv[STEK_IV_LEN], text[32], mac[HMAC_LEN];
} sealed_t;

static const unsigned char selftest_text[16] = "mod_stek_rotate";

static int selftest_seal(SSL *ssl, sealed_t *sealed)
{
    EVP_CIPHER_CTX *cipher_ctx = EVP_CIPHER_CTX_new();
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *mac_ctx = mac ? EVP_MAC_CTX_new(mac) : NULL;
    int len, rest, ok;
    size_t mac_len;

    ok = cipher_ctx && mac_ctx && on_key(ssl, sealed->name, sealed->iv, cipher_ctx, mac_ctx, 1) == 1
         && EVP_EncryptUpdate(cipher_ctx, sealed->text, &len, selftest_text,
                              (int)sizeof(selftest_text))
         && EVP_EncryptFinal_ex(cipher_ctx, sealed->text + len, &rest)
         && len + rest == (int)sizeof(sealed->text)
         && EVP_MAC_update(mac_ctx, (unsigned char *)sealed, sizeof(*sealed) - sizeof(sealed->mac))
         && EVP_MAC_final(mac_ctx, sealed->mac, &mac_len, sizeof(sealed->mac));
    EVP_MAC_CTX_free(mac_ctx);
    EVP_MAC_free(mac);
    EVP_CIPHER_CTX_free(cipher_ctx);
    return ok;
}

static int selftest_open(const stek_key_t *key, const sealed_t *sealed)
{
    EVP_CIPHER_CTX *cipher_ctx = EVP_CIPHER_CTX_new();
    unsigned char mac[EVP_MAX_MD_SIZE], text[sizeof(sealed->text)];
    unsigned int mac_len;
    int len, rest, ok;

    ok = cipher_ctx && memcmp(key->name, sealed->name, sizeof(key->name)) == 0
         && HMAC(EVP_sha256(), key->hmac_key, sizeof(key->hmac_key), (const unsigned char *)sealed,
                 sizeof(*sealed) - sizeof(sealed->mac), mac, &mac_len)
         && mac_len == sizeof(sealed->mac) && memcmp(mac, sealed->mac, mac_len) == 0
         && EVP_DecryptInit_ex(cipher_ctx, EVP_aes_256_cbc(), NULL, key->aes_key, sealed->iv)
         && EVP_DecryptUpdate(cipher_ctx, text, &len, sealed->text, (int)sizeof(sealed->text))
         && EVP_DecryptFinal_ex(cipher_ctx, text + len, &rest)
         && len + rest == (int)sizeof(selftest_text)
         && memcmp(text, selftest_text, sizeof(selftest_text)) == 0;
    EVP_CIPHER_CTX_free(cipher_ctx);
    return ok;
}

static int selftest_passes(void *data)
{
    const mod_stek_vhost_t *vhost = data;
    SSL *ssl = SSL_new(vhost->ctx);
    stek_key_t key;
    sealed_t sealed;
    stek_state_e state = STEK_STATE_UNKNOWN;
    int renewable, passes = 0;

    if (ssl && selftest_seal(ssl, &sealed)) {
        state = mod_stek_live_lookup(vhost->ring->live, sealed.name, apr_time_now(), &key,
                                     &renewable);
    }
    if (state != STEK_STATE_UNKNOWN && state != STEK_STATE_ENDED) {
        passes = selftest_open(&key, &sealed);
        OPENSSL_cleanse(&key, sizeof(key));
    }
    SSL_free(ssl);
    ERR_clear_error();
    return passes;
}

apr_status_t mod_stek_ticket_selftest(mod_stek_vhost_t *vhost)
{
    return mod_stek_live_selftest(vhost->ring->live, apr_time_now(), selftest_passes, vhost)
               ? APR_SUCCESS
               : STEK_ECRYPTO;
}
