/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys to try (candidate_keys.h): keys found in the wild, and keys that people type.
 */
#include "candidate_keys.h"

#include <apr_strings.h>
#include <openssl/evp.h>
#include <string.h>
#include <time.h>

#include "hex.h"
#include "stek_audit.h"

#define FILE_STEP 16 /* where keys begin in files of a name and keys: after 16 bytes, 32 or 48 */
#define FILE_KEYS_MAX 48

static const apr_uint32_t words[] = {
    0xdeadbeef, 0xcafebabe, 0xbaadf00d, 0xbaddcafe, 0xfeedface, 0xfeedfeed, 0xfee1dead,
    0xdeadc0de, 0xdeadf00d, 0xdeadbabe, 0xdeaddead, 0xcafed00d, 0xcafefeed, 0xabadcafe,
    0xabbababe, 0x8badf00d, 0x1badb002, 0x0d15ea5e, 0xc001d00d, 0xdefec8ed, 0xfeeefeee,
    0xd00d2bad, 0x0badf00d, 0x12345678, 0x01234567, 0x00112233, 0x01020304, 0x0badcafe,
    0xaa55aa55, 0x55aa55aa, 0x00ff00ff, 0xff00ff00, 0x00000001, 0x01000000,
};

static const char *const texts[] = {
    "secret",
    "password",
    "changeme",
    "test",
    "key",
    "0123456789",
    "1234567890",
    "abcdefghijklmnopqrstuvwxyz",
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "0123456789abcdef",
    "0123456789ABCDEF",
    "fedcba9876543210",
    "FEDCBA9876543210",
    "1234",
    "12345",
    "123456",
    "12345678",
    "123456789",
    "123",
    "abc",
    "abc123",
    "abcd",
    "abcdef",
    "abcdefgh",
    "ABCDEFGH",
    "a1b2c3d4",
    "qwerty",
    "qwertyuiop",
    "letmein",
    "welcome",
    "passw0rd",
    "Password",
    "Passw0rd",
    "password1",
    "password123",
    "admin",
    "root",
    "user",
    "guest",
    "default",
    "example",
    "sample",
    "demo",
    "dummy",
    "temp",
    "tmp",
    "foo",
    "bar",
    "foobar",
    "baz",
    "hello",
    "helloworld",
    "hello world",
    "Hello World",
    "testing",
    "test123",
    "testkey",
    "test key",
    "mykey",
    "my key",
    "mysecret",
    "mysecretkey",
    "my secret key",
    "secretkey",
    "secret key",
    "secret-key",
    "secret_key",
    "supersecret",
    "super secret",
    "topsecret",
    "top secret",
    "thisisasecret",
    "this is a secret",
    "thisisasecretkey",
    "this is a secret key",
    "notasecret",
    "not secret",
    "insecure",
    "unsafe",
    "changeit",
    "change me",
    "change-me",
    "CHANGEME",
    "replaceme",
    "fixme",
    "todo",
    "TODO",
    "none",
    "null",
    "empty",
    "zero",
    "random",
    "randomkey",
    "random key",
    "notrandom",
    "private",
    "privatekey",
    "public",
    "master",
    "masterkey",
    "master key",
    "ticket",
    "ticketkey",
    "ticket key",
    "ticket_key",
    "ticket-key",
    "ticketkey1234567",
    "tickets",
    "session",
    "sessionkey",
    "session key",
    "session_key",
    "sessionticket",
    "session ticket",
    "session_ticket",
    "session-ticket",
    "sessionticketkey",
    "session ticket key",
    "session_ticket_key",
    "session-ticket-key",
    "SessionTicketKey",
    "ssl_session_ticket_key",
    "SSLSessionTicketKey",
    "tls-ticket-keys",
    "tlsticketkey",
    "tls_ticket_key",
    "tls ticket key",
    "stek",
    "STEK",
    "tls",
    "TLS",
    "ssl",
    "SSL",
    "https",
    "server",
    "serverkey",
    "client",
    "host",
    "localhost",
    "encrypt",
    "encryption",
    "encryptionkey",
    "encryption key",
    "encryption_key",
    "cipher",
    "cipherkey",
    "aes",
    "AES",
    "aeskey",
    "aes key",
    "aes_key",
    "AES128",
    "AES256",
    "aes-128-cbc",
    "aes-256-cbc",
    "aes256key",
    "hmac",
    "HMAC",
    "hmackey",
    "hmac key",
    "hmac_key",
    "mac",
    "mackey",
    "iv",
    "nonce",
    "name",
    "keyname",
    "key name",
    "key1",
    "key2",
    "k",
    "a",
    "x",
    "YELLOW SUBMARINE",
    "openssl",
    "OpenSSL",
    "gnutls",
    "GnuTLS",
    "wolfssl",
    "wolfSSL",
    "mbedtls",
    "mbed TLS",
    "boringssl",
    "botan",
    "s2n",
    "nss",
    "golang",
    "go",
    "java",
    "node",
    "nodejs",
    "python",
    "nginx",
    "apache",
    "httpd",
    "haproxy",
    "envoy",
    "traefik",
    "caddy",
    "lighttpd",
    "varnish",
    "hitch",
    "stunnel",
    "squid",
    "docker",
    "kubernetes",
    "k8s",
    "cluster",
    "prod",
    "production",
    "staging",
    "stage",
    "dev",
    "development",
    "company",
    "internal",
    "www",
    "web",
    "proxy",
    "loadbalancer",
    "load balancer",
    "lb",
    "cdn",
    "edge",
    "gateway",
    "vpn",
};

/* How files begin that are at hand where a key is asked for: private keys and DH parameters. */
static const char *const files[] = {
    "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg",
    "-----BEGIN PRIVATE KEY-----\nMIG2AgEAMBAGByqGSM49AgEGBSuBBAAiBIGeMIGbAgEBBDA",
    "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIE",
    "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n",
    "-----BEGIN DH PARAMETERS-----\nMIIBCAKCAQEA//////////+t+FRYortKmq",
    "-----BEGIN DH PARAMETERS-----\nMIICCAKCAgEA//////////+t+FRYortKmq",
};

/* Files of RSA keys of 2048, 3072 and 4096 bits: their third and fourth byte are the length of what
 * follows, which is the longest one or, where numbers begin with zeros, a few bytes less. */
#define RSA_SHORTER 7
static const struct {
    const char *head, *rest;
    unsigned longest;
} rsa_files[] = {
    {"-----BEGIN PRIVATE KEY-----\n", "ADANBgkqhkiG9w0BAQEFAASC", 0x4c0},
    {"-----BEGIN PRIVATE KEY-----\n", "ADANBgkqhkiG9w0BAQEFAASC", 0x700},
    {"-----BEGIN PRIVATE KEY-----\n", "ADANBgkqhkiG9w0BAQEFAASC", 0x945},
    {"-----BEGIN RSA PRIVATE KEY-----\n", "AAKCAQEA", 0x4a6},
    {"-----BEGIN RSA PRIVATE KEY-----\n", "AAKCAYEA", 0x6e6},
    {"-----BEGIN RSA PRIVATE KEY-----\n", "AAKCAgEA", 0x92b},
};

static void add_count(probe_keys_t *keys, int start, int step)
{
    unsigned char key[PROBE_KEY_MAX];
    apr_size_t i;

    for (i = 0; i < keys->len; i++) {
        key[i] = (unsigned char)(start + (int)i * step);
    }
    probe_keys_add(keys, key, keys->len);
}

static void add_known(probe_keys_t *keys, probe_level_e level)
{
    unsigned char both[32] = {0};
    apr_size_t i, j;

    for (i = 0; stek_audit_known(i, both); i++) {
        probe_keys_repeat(keys, both, 16);
        probe_keys_add(keys, both, 8);
        if (keys->len <= 16) {
            continue;
        }
        probe_keys_add(keys, both, 16);
        /* Neighbours in the list are often the two halves of one key. */
        for (j = 0; stek_audit_known(j, both + 16); j++) {
            if (level == PROBE_DEEP || j == i + 1) {
                probe_keys_add(keys, both, sizeof(both));
            }
        }
    }
}

static void add_bits(probe_keys_t *keys)
{
    unsigned char key[PROBE_KEY_MAX] = {0};
    apr_size_t i;

    for (i = 0; i < 8 * keys->len; i++) {
        key[i / 8] = (unsigned char)(1 << i % 8);
        probe_keys_add(keys, key, keys->len);
        key[i / 8] = 0;
    }
}

/* Text that fills a file of name and keys, over and over: keys begin in the middle of it. */
static void add_shifted(probe_keys_t *keys, const unsigned char *text, apr_size_t len)
{
    unsigned char shifted[2 * EVP_MAX_MD_SIZE];
    apr_size_t at, i;

    for (at = FILE_STEP; at <= FILE_KEYS_MAX; at += FILE_STEP) {
        for (i = 0; i < len; i++) {
            shifted[i] = text[(at + i) % len];
        }
        if (at % len) {
            probe_keys_repeat(keys, shifted, len);
        }
    }
}

/* Adds a hash of the text and its hex digits, cut into keys.  in_files: also as what a file of keys
 * was filled with. */
static void add_hash(probe_keys_t *keys, const EVP_MD *md, const unsigned char *text,
                     apr_size_t len, int in_files)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    char hex[2 * EVP_MAX_MD_SIZE + 1];
    unsigned int digest_len = 0;
    apr_size_t at;

    /* A FIPS provider has no MD5, and so no server there made a key with it. */
    if (EVP_Digest(text, len, digest, &digest_len, md, NULL) != 1) {
        return;
    }
    probe_hex(digest, digest_len, hex);
    probe_keys_add(keys, digest, digest_len);
    probe_keys_add(keys, (unsigned char *)hex, (apr_size_t)2 * digest_len);
    for (at = keys->len; !in_files && at + keys->len <= digest_len; at += keys->len) {
        probe_keys_add(keys, digest + at, keys->len);
    }
    if (in_files) {
        add_shifted(keys, digest, digest_len);
        add_shifted(keys, (unsigned char *)hex, (apr_size_t)2 * digest_len);
    }
    if (in_files && digest_len < keys->len) {
        probe_keys_repeat(keys, digest, digest_len);
    }
}

/* As programs make keys of a password with EVP_BytesToKey(), and "openssl enc" did: each digest is of
 * the one before it and the password.  An IV, a name or another key may come before the key. */
static void add_password(probe_keys_t *keys, const EVP_MD *md, const unsigned char *text,
                         apr_size_t len)
{
    unsigned char made[FILE_KEYS_MAX + PROBE_KEY_MAX + EVP_MAX_MD_SIZE];
    unsigned char block[EVP_MAX_MD_SIZE + 64];
    unsigned int digest_len = 0;
    apr_size_t n = 0, at;

    if (len > 64) {
        return;
    }
    while (n < FILE_KEYS_MAX + keys->len) {
        memcpy(block + digest_len, text, len);
        if (EVP_Digest(block, digest_len + len, made + n, &digest_len, md, NULL) != 1) {
            return;
        }
        memcpy(block, made + n, digest_len);
        n += digest_len;
    }
    for (at = 0; at <= FILE_KEYS_MAX; at += FILE_STEP) {
        probe_keys_add(keys, made + at, keys->len);
    }
}

static void add_hashes(probe_keys_t *keys, const unsigned char *text, apr_size_t len, int in_files)
{
    add_hash(keys, EVP_md5(), text, len, in_files);
    add_hash(keys, EVP_sha1(), text, len, in_files);
    add_hash(keys, EVP_sha256(), text, len, in_files);
    add_hash(keys, EVP_sha512(), text, len, in_files);
}

#define BASE64_LEN ((PROBE_KEY_MAX + 2) / 3 * 4)

/* What base64 or hex digits of key material look like that is itself taken as a key. */
static void add_encoded(probe_keys_t *keys, const unsigned char *text, apr_size_t len)
{
    unsigned char material[PROBE_KEY_MAX], base64[2 * PROBE_KEY_MAX + 4];
    char hex[2 * PROBE_KEY_MAX + 1];
    apr_size_t i;

    for (i = 0; i < sizeof(material); i++) {
        material[i] = text[i % len];
    }
    EVP_EncodeBlock(base64, material, (int)sizeof(material));
    probe_keys_add(keys, base64, keys->len);
    add_shifted(keys, base64, BASE64_LEN);
    probe_keys_add(keys, (unsigned char *)probe_hex(material, sizeof(material), hex), keys->len);
}

static void add_text(probe_keys_t *keys, const char *word, int has_hashes)
{
    unsigned char text[64], out[64];
    apr_size_t len = strlen(word), out_len;

    memcpy(text, word, len);
    probe_keys_repeat(keys, text, len);
    probe_keys_add(keys, text, len);
    add_shifted(keys, text, len);
    out_len = probe_decode_base64(text, len, out);
    if (out_len) {
        probe_keys_repeat(keys, out, out_len);
    }
    text[len] = '\n';
    probe_keys_repeat(keys, text, len + 1);
    if (has_hashes) {
        probe_keys_add(keys, text, len + 1);
        memset(text + len, ' ', sizeof(text) - len);
        probe_keys_add(keys, text, sizeof(text));
        add_encoded(keys, text, len);
        add_hashes(keys, text, len, 1);
        add_password(keys, EVP_md5(), text, len);
        add_password(keys, EVP_sha1(), text, len);
        add_password(keys, EVP_sha256(), text, len);
    }
}

static void add_words(probe_keys_t *keys)
{
    apr_size_t i;

    for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        unsigned char word[4] = {(unsigned char)(words[i] >> 24), (unsigned char)(words[i] >> 16),
                                 (unsigned char)(words[i] >> 8), (unsigned char)words[i]};
        unsigned char back[4] = {word[3], word[2], word[1], word[0]};

        probe_keys_repeat(keys, word, sizeof(word));
        probe_keys_repeat(keys, back, sizeof(back));
        probe_keys_add(keys, word, sizeof(word));
        add_encoded(keys, word, sizeof(word));
    }
    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        add_text(keys, texts[i], 1);
    }
}

/* Configured bytes that are longer than the key are cut somewhere. */
static void add_cut(probe_keys_t *keys, const unsigned char *bytes, apr_size_t len)
{
    apr_size_t at;

    for (at = 0; at == 0 || at + keys->len <= len; at += FILE_STEP) {
        probe_keys_add(keys, bytes + at, len - at);
    }
}

static void add_parts(probe_keys_t *keys, const probe_own_keys_t *own)
{
    apr_size_t i;

    for (i = 0; i < own->n; i++) {
        add_cut(keys, own->keys[i].bytes, own->keys[i].len);
    }
}

static void add_files(probe_keys_t *keys)
{
    apr_size_t i;

    for (i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        add_cut(keys, (const unsigned char *)files[i], strlen(files[i]));
    }
    for (i = 0; i < sizeof(rsa_files) / sizeof(rsa_files[0]); i++) {
        unsigned len;

        for (len = rsa_files[i].longest - RSA_SHORTER; len <= rsa_files[i].longest; len++) {
            const unsigned char der[6] = {0x30, 0x82, len >> 8 & 0xff, len & 0xff, 2, 1};
            char text[80], base64[9];

            EVP_EncodeBlock((unsigned char *)base64, der, sizeof(der));
            apr_snprintf(text, sizeof(text), "%s%s%s", rsa_files[i].head, base64,
                         rsa_files[i].rest);
            add_cut(keys, (const unsigned char *)text, strlen(text));
        }
    }
}

#define DAYS 366 /* before the ticket */
#define DAYS_HASHED 31
#define DAY_S 86400

/* Dates as people write them, for the days before the ticket, and that of tomorrow. */
static void add_dates(probe_keys_t *keys, const probe_ticket_t *ticket)
{
    static const char *const ways[] = {"%Y-%m-%d", "%Y%m%d",   "%d.%m.%Y", "%d%m%Y",
                                       "%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d", "%m%d%Y"};
    apr_size_t i, j;

    for (i = 0; i <= DAYS; i++) {
        time_t at = (time_t)(apr_time_sec(ticket->at) + DAY_S) - (time_t)(i * DAY_S);
        struct tm day;

        for (j = 0; j < sizeof(ways) / sizeof(ways[0]) && gmtime_r(&at, &day); j++) {
            char text[16];
            apr_size_t len = strftime(text, sizeof(text), ways[j], &day);

            probe_keys_add(keys, (unsigned char *)text, len);
            probe_keys_repeat(keys, (unsigned char *)text, len);
            if (i <= DAYS_HASHED) {
                add_hashes(keys, (unsigned char *)text, len, 0);
            }
        }
    }
}

static void add_own(probe_keys_t *keys, const probe_own_keys_t *own, int in_files)
{
    apr_size_t i;

    if (own) {
        add_parts(keys, own);
    }
    for (i = 0; own && i < own->n; i++) {
        const unsigned char *bytes = own->keys[i].bytes;
        apr_size_t len = own->keys[i].len;

        if (len < keys->len) {
            probe_keys_repeat(keys, bytes, len);
        }
        if (in_files && len <= PROBE_KEY_MAX) {
            add_shifted(keys, bytes, len);
        }
        add_hashes(keys, bytes, len, in_files);
    }
}

/* A key that the ticket shows: its name, or the name's beginning, also as text. */
static void add_shown(probe_keys_t *keys, const probe_ticket_t *ticket)
{
    unsigned char out[PROBE_KEY_MAX];
    apr_size_t i, len;

    for (i = 0; i <= 16 && i + PROBE_KEY_MAX <= ticket->len; i += 4) {
        probe_keys_add(keys, ticket->bytes + i, keys->len);
    }
    for (i = 4; i <= 16 && i <= ticket->len; i += 4) {
        probe_keys_repeat(keys, ticket->bytes, i);
        probe_keys_add(keys, ticket->bytes, i);
    }
    if (ticket->len >= 16) {
        len = probe_decode_hex(ticket->bytes, 16, out);
        if (len) {
            probe_keys_repeat(keys, out, len);
        }
        add_hashes(keys, ticket->bytes, 16, 0);
    }
}

static void add_series(probe_keys_t *keys)
{
    int start;

    for (start = 0; start < 256; start++) {
        unsigned char byte = (unsigned char)start;

        probe_keys_repeat(keys, &byte, 1);
        add_count(keys, start, 1);
        add_count(keys, start, -1);
        if (keys->len > 16) {
            unsigned char half[16];

            memset(half, start, sizeof(half));
            probe_keys_add(keys, half, sizeof(half));
        }
        probe_keys_add(keys, &byte, 1);
    }
    add_count(keys, 0x00, 0x11);
    add_count(keys, 0x11, 0x11);
    add_bits(keys);
}

void probe_candidate_keys(probe_keys_t *keys, apr_size_t key_len, const probe_keys_for_t *what)
{
    static const unsigned char zero;
    unsigned char ones[16];
    apr_size_t i;

    memset(ones, '1', sizeof(ones));
    memset(keys, 0, sizeof(*keys));
    keys->len = key_len;
    if (what->level < PROBE_QUICK && what->own) {
        add_parts(keys, what->own);
        return;
    }
    /* The most frequent in the wild first. */
    probe_keys_repeat(keys, &zero, 1);
    if (what->level < PROBE_QUICK) {
        return;
    }
    probe_keys_add(keys, ones, key_len > 16 ? 16 : 8);
    probe_keys_add(keys, ones, 16);
    add_known(keys, what->level);
    add_own(keys, what->own, what->level > PROBE_QUICK);
    if (what->ticket) {
        add_shown(keys, what->ticket);
    }
    if (what->level == PROBE_QUICK) {
        for (i = 0; i < 9; i++) {
            add_text(keys, texts[i], 0);
        }
        return;
    }
    add_series(keys);
    add_words(keys);
    add_files(keys);
    if (what->level == PROBE_DEEP && what->ticket) {
        add_dates(keys, what->ticket);
    }
}
