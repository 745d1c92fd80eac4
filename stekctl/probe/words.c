/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of tests and verdicts, and what findings mean (words.h).  The names are an interface: JSON.
 */
#include "words.h"

#include <openssl/ssl.h>

typedef struct words_t {
    const char *name, *meaning, *remedy;
} words_t;

#define NEW_KEYS                                                                                   \
    "httpd: load mod_stek_rotate and drop SSLSessionTicketKeyFile, whose MAC key is lost with "    \
    "OpenSSL 3.  "                                                                                 \
    "nginx: 'openssl rand 80' for ssl_session_ticket_key, or drop the directive.  HAProxy: "       \
    "'openssl rand -base64 80' for each line of tls-ticket-keys, or drop it.  The key is public: " \
    "take recorded traffic for read."

#define UPGRADE                                                                                    \
    "httpd, nginx and HAProxy leave this to OpenSSL, which does it right: look for the device "    \
    "or library in front that ends TLS, update it, and turn its tickets off until then "           \
    "(SSLSessionTickets off, ssl_session_tickets off, no-tls-tickets)."

static const words_t words[PROBE_TEST_N] = {
    [PROBE_TEST_SUPPORT] =
        {"support",
         "A ticket that lives longer than 7 days breaks RFC 8446, 4.6.1, and so long a recording "
         "can be read by who gets its key.",
         "httpd: SSLSessionCacheTimeout, with mod_stek_rotate StekTicketLifetime.  nginx: "
         "ssl_session_timeout.  HAProxy: tune.ssl.lifetime."},
    [PROBE_TEST_FORMAT] = {"format", "", ""},
    [PROBE_TEST_PLAIN] =
        {"plain",
         "Tickets of TLS 1.2 cross the network in clear: whoever records one reads the session, "
         "and can resume it in the client's place.",
         UPGRADE},
    [PROBE_TEST_CIPHER_KEY] =
        {"cipher-key",
         "Tickets are encrypted under a key that everybody can guess: whoever records traffic "
         "reads it, and can resume sessions in the client's place.",
         NEW_KEYS},
    [PROBE_TEST_MAC_KEY] =
        {"mac-key",
         "Tickets are authenticated under a key that everybody can guess: changed tickets are "
         "taken, and the encryption key is likely to be as weak.",
         NEW_KEYS},
    [PROBE_TEST_NONCE] =
        {"nonce",
         "An IV comes again.  Under CTR, GCM or ChaCha20 one known session tells the secrets of "
         "the others; under CBC it tells which tickets begin alike.",
         UPGRADE},
    [PROBE_TEST_MAC] =
        {"mac",
         "The server believes tickets that were changed: sessions can be altered, and with some "
         "work decrypted, or made up.",
         UPGRADE},
    [PROBE_TEST_PADDING] =
        {"padding",
         "The server tells right padding from wrong: a recorded ticket, and with it the session, "
         "can be decrypted by some thousand connections.",
         UPGRADE},
    [PROBE_TEST_CONFUSION] =
        {"confusion",
         "A session from one name is taken under another that asks for more: who may reach the "
         "first passes for somebody who may reach the second.",
         "httpd: load mod_stek_rotate, which ties tickets to what a vhost asks (StekBinding "
         "policy).  nginx: an ssl_session_ticket_key of its own for each server block with "
         "ssl_verify_client, or ssl_session_tickets off there.  HAProxy: tls-ticket-keys of its "
         "own for each bind with verify, or no-tls-tickets."},
    [PROBE_TEST_ROTATION] =
        {"rotation",
         "A ticket outlives what the server promised: its key is kept for longer than need be.",
         "httpd: load mod_stek_rotate.  nginx: replace ssl_session_ticket_key files and reload "
         "('stekctl export --format nginx').  HAProxy: 'set ssl tls-key' on the stats socket "
         "('stekctl export --format haproxy --socket')."},
    [PROBE_TEST_REUSE] = {"reuse", "", ""},
};

const char *probe_test_name(probe_test_e test)
{
    return words[test].name;
}

const char *probe_test_meaning(probe_test_e test)
{
    return words[test].meaning;
}

const char *probe_test_remedy(probe_test_e test)
{
    return words[test].remedy;
}

const char *probe_verdict_name(probe_verdict_e verdict)
{
    static const char *const names[] = {"ok", "note", "not testable", "weak", "broken"};

    return names[verdict];
}

const char *probe_version_name(int version)
{
    return version == TLS1_3_VERSION ? "TLS 1.3" : "TLS 1.2";
}
