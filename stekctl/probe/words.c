/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of tests and verdicts, and what findings mean (words.h).  The names are an interface: JSON.
 */
#include "words.h"

typedef struct words_t {
    const char *name, *meaning, *remedy;
} words_t;

#define NEW_KEYS                                                                                   \
    "httpd: load mod_stek_rotate and remove SSLSessionTicketKeyFile, whose MAC key is lost with "  \
    "OpenSSL 3.  nginx: write a new ssl_session_ticket_key with 'openssl rand 80', or remove the " \
    "directive.  HAProxy: write every line of tls-ticket-keys with 'openssl rand -base64 80', or " \
    "remove it.  The key is public: assume that recorded traffic has been read."

#define UPGRADE                                                                                    \
    "httpd, nginx and HAProxy leave this to OpenSSL, which does it correctly.  Find the device "   \
    "or library in front of them that terminates TLS, update it, and turn its tickets off until "  \
    "then (SSLSessionTickets off, ssl_session_tickets off, no-tls-tickets)."

static const words_t words[PROBE_TEST_N] = {
    [PROBE_TEST_SUPPORT] =
        {"support",
         "A ticket that lives longer than 7 days violates RFC 9846, 4.7.1.  For that long, anyone "
         "who gets its key can decrypt recorded traffic.",
         "httpd: lower SSLSessionCacheTimeout, with mod_stek_rotate StekTicketLifetime.  nginx: "
         "lower ssl_session_timeout.  HAProxy: lower tune.ssl.lifetime."},
    [PROBE_TEST_FORMAT] = {"format", "", ""},
    [PROBE_TEST_PLAIN] =
        {"plain",
         "TLS 1.2 tickets cross the network in the clear: anyone who records one can read the "
         "session, and can resume it in the client's place.",
         UPGRADE},
    [PROBE_TEST_CIPHER_KEY] =
        {"cipher-key",
         "Tickets are encrypted with a key that anyone can guess: anyone who records traffic can "
         "read it, and can resume sessions in the client's place.",
         NEW_KEYS},
    [PROBE_TEST_MAC_KEY] =
        {"mac-key",
         "Tickets are authenticated with a key that anyone can guess: the server accepts altered "
         "tickets, and the encryption key is probably as weak.",
         NEW_KEYS},
    [PROBE_TEST_NONCE] =
        {"nonce",
         "An IV is reused, or there is none.  With CTR, GCM or ChaCha20, one known session reveals the secrets of "
         "the others; with CBC and "
         "ECB, it reveals which tickets contain the same data.",
         UPGRADE},
    [PROBE_TEST_MAC] =
        {"mac",
         "The server trusts altered tickets: an attacker can change sessions and, with some work, "
         "decrypt or forge them.",
         UPGRADE},
    [PROBE_TEST_PADDING] =
        {"padding",
         "The server reveals whether padding is correct: with a few thousand connections, an "
         "attacker can decrypt a recorded ticket, and with it the session.",
         UPGRADE},
    [PROBE_TEST_CONFUSION] =
        {"confusion",
         "A session for one name is accepted under another that demands more: anyone who may use "
         "the first can pass as someone who may use the second.",
         "httpd: load mod_stek_rotate, which ties tickets to what a virtual host demands "
         "(StekBinding policy).  nginx: give every server block with ssl_verify_client its own "
         "ssl_session_ticket_key, or set ssl_session_tickets off there.  HAProxy: give every bind "
         "with verify its own tls-ticket-keys, or set no-tls-tickets."},
    [PROBE_TEST_ROTATION] =
        {"rotation",
         "Tickets resume longer than the lifetime hint says: the server keeps their key longer "
         "than necessary.",
         "httpd: load mod_stek_rotate.  nginx: replace ssl_session_ticket_key files and reload "
         "('stekctl export --format nginx').  HAProxy: use 'set ssl tls-key' on the stats socket "
         "('stekctl export --format haproxy --socket')."},
    [PROBE_TEST_REUSE] = {"reuse", "", ""},
    [PROBE_TEST_CHANGE] =
        {"change",
         "A session goes on under conditions that its client has not agreed to: a ticket may be "
         "used to fall back to weaker cryptography, or to mix up two versions of TLS.",
         UPGRADE},
    [PROBE_TEST_EXPIRY] =
        {"expiry",
         "Tickets resume longer than the lifetime hint says: the server keeps their key longer "
         "than necessary, or does not check their age.",
         "httpd: load mod_stek_rotate.  Others: find out which server or library issues the "
         "tickets, and update it."},
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

const char *probe_forged_word(probe_forged_e forged)
{
    static const char *const names[] = {"none", "not-tried", "refused", "accepted"};

    return names[forged];
}

const char *probe_version_name(int version)
{
    static const char *const names[] = {"TLS 1.0", "TLS 1.1", "TLS 1.2", "TLS 1.3"};

    return names[PROBE_VERSION_AT(version)];
}
