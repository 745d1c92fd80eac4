/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An mbedTLS server.  The library makes its ticket keys itself and takes none, so that only its
 * random generator decides what they are: that of this server answers with a key of its own when 32
 * bytes are asked for, and is good otherwise.  Loopback only, a thread for each connection, until it
 * is killed.  Usage: mbedtls_key PORT CERT KEY CIPHER:KEY, KEY being hex or "random"
 */
#include <arpa/inet.h>
#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/net_sockets.h>
#include <mbedtls/ssl.h>
#include <mbedtls/ssl_ticket.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define KEY_LEN 32
#define LIFETIME_S 7200

static mbedtls_ctr_drbg_context drbg;
static mbedtls_ssl_config config;
static unsigned char key[KEY_LEN];
static int has_key;

static const struct {
    const char *name;
    mbedtls_cipher_type_t type;
} ciphers[] = {
    {"aes-256-gcm", MBEDTLS_CIPHER_AES_256_GCM},
    {"aes-128-gcm", MBEDTLS_CIPHER_AES_128_GCM},
    {"aes-256-ccm", MBEDTLS_CIPHER_AES_256_CCM},
    {"chacha20-poly1305", MBEDTLS_CIPHER_CHACHA20_POLY1305},
};

static int random_of_tickets(void *unused, unsigned char *out, size_t len)
{
    (void)unused;
    if (has_key && len == KEY_LEN) {
        memcpy(out, key, len);
        return 0;
    }
    return mbedtls_ctr_drbg_random(&drbg, out, len);
}

static void *serve(void *data)
{
    int fd = (int)(intptr_t)data;
    struct timeval limit = {.tv_sec = 5};
    mbedtls_net_context net = {.fd = fd};
    mbedtls_ssl_context ssl;
    unsigned char bytes[4096];

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    mbedtls_ssl_init(&ssl);
    if (mbedtls_ssl_setup(&ssl, &config) == 0) {
        mbedtls_ssl_set_bio(&ssl, &net, mbedtls_net_send, mbedtls_net_recv, NULL);
        if (mbedtls_ssl_handshake(&ssl) == 0) {
            (void)mbedtls_ssl_read(&ssl, bytes, sizeof(bytes));
            (void)mbedtls_ssl_close_notify(&ssl);
        }
    }
    mbedtls_ssl_free(&ssl);
    close(fd);
    return NULL;
}

/* "aes-256-gcm:0000..." */
static int read_kind(const char *text, mbedtls_cipher_type_t *type)
{
    const char *hex = strchr(text, ':');
    size_t i;

    *type = MBEDTLS_CIPHER_NONE;
    for (i = 0; hex && i < sizeof(ciphers) / sizeof(ciphers[0]); i++) {
        if (strlen(ciphers[i].name) == (size_t)(hex - text)
            && memcmp(ciphers[i].name, text, (size_t)(hex - text)) == 0) {
            *type = ciphers[i].type;
        }
    }
    has_key = hex && strcmp(hex, ":random") != 0;
    for (i = 0; has_key && i < KEY_LEN; i++) {
        unsigned byte;

        if (sscanf(hex + 1 + 2 * i, "%2x", &byte) != 1) {
            return 0;
        }
        key[i] = (unsigned char)byte;
    }
    return *type != MBEDTLS_CIPHER_NONE;
}

static int prepare(char **argv, mbedtls_cipher_type_t type)
{
    static mbedtls_ssl_ticket_context tickets;
    static mbedtls_entropy_context entropy;
    static mbedtls_x509_crt cert;
    static mbedtls_pk_context private;

    mbedtls_entropy_init(&entropy);
    mbedtls_ctr_drbg_init(&drbg);
    mbedtls_x509_crt_init(&cert);
    mbedtls_pk_init(&private);
    mbedtls_ssl_config_init(&config);
    mbedtls_ssl_ticket_init(&tickets);
    if (mbedtls_ctr_drbg_seed(&drbg, mbedtls_entropy_func, &entropy, NULL, 0) != 0
        || mbedtls_x509_crt_parse_file(&cert, argv[2]) != 0
        || mbedtls_pk_parse_keyfile(&private, argv[3], NULL) != 0
        || mbedtls_ssl_config_defaults(&config, MBEDTLS_SSL_IS_SERVER, MBEDTLS_SSL_TRANSPORT_STREAM,
                                       MBEDTLS_SSL_PRESET_DEFAULT)
               != 0
        || mbedtls_ssl_ticket_setup(&tickets, random_of_tickets, NULL, type, LIFETIME_S) != 0
        || mbedtls_ssl_conf_own_cert(&config, &cert, &private) != 0) {
        return 0;
    }
    mbedtls_ssl_conf_rng(&config, mbedtls_ctr_drbg_random, &drbg);
    mbedtls_ssl_conf_session_tickets_cb(&config, mbedtls_ssl_ticket_write, mbedtls_ssl_ticket_parse,
                                        &tickets);
    return 1;
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    int server = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    mbedtls_cipher_type_t type;
    pthread_t thread;

    if (argc != 5 || !read_kind(argv[4], &type)) {
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    address.sin_port = htons((unsigned short)atoi(argv[1]));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (!prepare(argv, type) || bind(server, (struct sockaddr *)&address, sizeof(address)) != 0
        || listen(server, 128) != 0) {
        return 1;
    }
    for (;;) {
        int fd = accept(server, NULL, NULL);

        if (fd >= 0 && pthread_create(&thread, NULL, serve, (void *)(intptr_t)fd) == 0) {
            pthread_detach(thread);
        }
    }
}
