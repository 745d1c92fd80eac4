/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A wolfSSL server whose ticket keys are set by the library's API  Loopback only, a thread for each connection, until it is
 * killed.  Usage: wolfssl_key PORT CERT KEY HEX|random
 */
#include <wolfssl/options.h>

#include <wolfssl/ssl.h>

#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define NAME_LEN 16
#define KEYS_LEN 64

static WOLFSSL_CTX *context;

static void *serve(void *data)
{
    int fd = (int)(intptr_t)data;
    struct timeval limit = {.tv_sec = 5};
    WOLFSSL *ssl = wolfSSL_new(context);
    char bytes[4096];

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    if (ssl && wolfSSL_set_fd(ssl, fd) == WOLFSSL_SUCCESS
        && wolfSSL_accept(ssl) == WOLFSSL_SUCCESS) {
        (void)wolfSSL_read(ssl, bytes, sizeof(bytes));
        (void)wolfSSL_shutdown(ssl);
    }
    wolfSSL_free(ssl);
    close(fd);
    return NULL;
}

/* Connects to itself once: wolfSSL 5.5 prepares the generator of IVs with its first ticket, which also
 * replaces the keys. */
static void warm_up(void)
{
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0) {
        return;
    }
    if (fork() == 0) {
        WOLFSSL_CTX *client = wolfSSL_CTX_new(wolfSSLv23_client_method());
        WOLFSSL *ssl;
        char byte;

        wolfSSL_CTX_set_verify(client, WOLFSSL_VERIFY_NONE, NULL);
        ssl = wolfSSL_new(client);
        wolfSSL_set_fd(ssl, fds[1]);
        wolfSSL_UseSessionTicket(ssl);
        if (wolfSSL_connect(ssl) == WOLFSSL_SUCCESS) {
            (void)wolfSSL_write(ssl, "", 1);
            (void)wolfSSL_read(ssl, &byte, 1);
        }
        _exit(0);
    }
    close(fds[1]);
    serve((void *)(intptr_t)fds[0]);
}

/* The names of keys and their ends stay the library's. */
static int set_keys(const char *hex)
{
    unsigned char keys[NAME_LEN + KEYS_LEN + 8];
    unsigned byte;
    size_t i;

    if (strcmp(hex, "random") == 0) {
        return 1;
    }
    if (wolfSSL_CTX_get_tlsext_ticket_keys(context, keys, (int)sizeof(keys)) != WOLFSSL_SUCCESS) {
        return 0;
    }
    for (i = 0; i < KEYS_LEN; i++) {
        if (sscanf(hex + 2 * i, "%2x", &byte) != 1) {
            return 0;
        }
        keys[NAME_LEN + i] = (unsigned char)byte;
    }
    return wolfSSL_CTX_set_tlsext_ticket_keys(context, keys, (int)sizeof(keys)) == WOLFSSL_SUCCESS;
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    int server = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    pthread_t thread;

    if (argc != 5) {
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    address.sin_port = htons((unsigned short)atoi(argv[1]));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    wolfSSL_Init();
    context = wolfSSL_CTX_new(wolfSSLv23_server_method());
    if (!context
        || wolfSSL_CTX_use_certificate_file(context, argv[2], WOLFSSL_FILETYPE_PEM)
               != WOLFSSL_SUCCESS
        || wolfSSL_CTX_use_PrivateKey_file(context, argv[3], WOLFSSL_FILETYPE_PEM)
               != WOLFSSL_SUCCESS) {
        return 1;
    }
    warm_up();
    if (!set_keys(argv[4]) || bind(server, (struct sockaddr *)&address, sizeof(address)) != 0
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
