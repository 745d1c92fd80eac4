/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many tickets a client gets (mod_stek_ticket_count.h).  Glue; any thread of a child.
 */
#include "mod_stek_ticket_count.h"

#include <openssl/err.h>

#include "mod_stek_ticket_outcome.h"

#define EXTENSION_TICKET_REQUEST 58
#define REQUEST_LEN 2

/* The vhost whose numbers count; NULL: it behaves as in stock httpd. */
static const mod_stek_vhost_t *counting_vhost(const SSL *ssl)
{
    const mod_stek_vhost_t *vhost = mod_stek_vhost_of(ssl);

    return vhost && vhost->ring ? vhost : NULL;
}

static void set_number(SSL *ssl, mod_stek_ticket_outcome_t *record, int number)
{
    record->ticket_n = (unsigned char)number;
    if (SSL_get_num_tickets(ssl) != (size_t)number) {
        SSL_set_num_tickets(ssl, (size_t)number);
    }
}

void mod_stek_ticket_count_choose(SSL *ssl, const mod_stek_vhost_t *vhost,
                                  mod_stek_ticket_outcome_t *record, int chosen)
{
    if (!vhost || !vhost->ring || !record || SSL_version(ssl) < TLS1_3_VERSION) {
        return;
    }
    record->chosen = (unsigned char)chosen;
    set_number(ssl, record,
               chosen == MOD_STEK_TICKETS_FULL      ? vhost->count.full
               : chosen == MOD_STEK_TICKETS_RESUMED ? vhost->count.resumed
                                                    : 0);
}

/* A ClientHello has the extension; of TLS 1.3 only.  Comes before it is decided whether the
 * handshake is a full one, and twice if there is a HelloRetryRequest. */
static int on_request(SSL *ssl, unsigned type, unsigned context, const unsigned char *in,
                      size_t len, X509 *cert, size_t chain_at, int *alert, void *arg)
{
    const mod_stek_vhost_t *vhost = counting_vhost(ssl);
    mod_stek_ticket_outcome_t *record = mod_stek_ticket_outcome_of(ssl);

    (void)type;
    (void)cert;
    (void)chain_at;
    (void)arg;
    if (!record || !vhost || vhost->count.max == 0 || context != SSL_EXT_CLIENT_HELLO) {
        return 1;
    }
    if (len != REQUEST_LEN) {
        *alert = SSL_AD_DECODE_ERROR;
        return 0;
    }
    if (record->asked && (record->asked_full != in[0] || record->asked_resumed != in[1])) {
        *alert = SSL_AD_ILLEGAL_PARAMETER;
        return 0;
    }
    record->asked = 1;
    record->asked_full = in[0];
    record->asked_resumed = in[1];
    return 1;
}

/* EncryptedExtensions are being written: the client is told what it gets. */
static int on_answer(SSL *ssl, unsigned type, unsigned context, const unsigned char **out,
                     /* NOLINTNEXTLINE(readability-non-const-parameter): the type is OpenSSL's */
                     size_t *len, X509 *cert, size_t chain_at, int *alert, void *arg)
{
    const mod_stek_vhost_t *vhost = counting_vhost(ssl);
    mod_stek_ticket_outcome_t *record = mod_stek_ticket_outcome_of(ssl);
    int asked;

    (void)type;
    (void)cert;
    (void)chain_at;
    (void)alert;
    (void)arg;
    if (!record || !vhost || context != SSL_EXT_TLS1_3_ENCRYPTED_EXTENSIONS || !record->asked
        || record->chosen == MOD_STEK_TICKETS_UNDECIDED) {
        return 0;
    }
    asked = SSL_session_reused(ssl) ? record->asked_resumed : record->asked_full;
    if (record->chosen != MOD_STEK_TICKETS_NONE) {
        set_number(ssl, record, asked < vhost->count.max ? asked : vhost->count.max);
    }
    *out = &record->ticket_n;
    *len = sizeof(record->ticket_n);
    return 1;
}

int mod_stek_ticket_count_install(SSL_CTX *ctx)
{
    if (!SSL_CTX_add_custom_ext(ctx, EXTENSION_TICKET_REQUEST,
                                SSL_EXT_CLIENT_HELLO | SSL_EXT_TLS1_3_ENCRYPTED_EXTENSIONS
                                    | SSL_EXT_TLS1_3_ONLY,
                                on_answer, NULL, NULL, on_request, NULL)) {
        ERR_clear_error();
        return 0;
    }
    return 1;
}
