/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A GnuTLS server whose master key for tickets is 64 bytes of one value.  Loopback only, one
 * connection at a time, until it is killed.  Usage: gnutls_key PORT CERT KEY BYTE
 */
#include <arpa/inet.h>
#include <gnutls/gnutls.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MASTER_LEN 64

static void serve(gnutls_certificate_credentials_t credentials, const gnutls_datum_t *master,
                  int fd)
{
    gnutls_session_t session;
    char bytes[4096];
    int result;

    gnutls_init(&session, GNUTLS_SERVER);
    gnutls_set_default_priority(session);
    gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, credentials);
    gnutls_session_ticket_enable_server(session, master);
    gnutls_transport_set_int(session, fd);
    gnutls_handshake_set_timeout(session, 5000);
    do {
        result = gnutls_handshake(session);
    } while (result < 0 && !gnutls_error_is_fatal(result));
    if (result == 0) {
        (void)gnutls_record_recv(session, bytes, sizeof(bytes));
        gnutls_bye(session, GNUTLS_SHUT_WR);
    }
    gnutls_deinit(session);
    close(fd);
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    int server = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    gnutls_certificate_credentials_t credentials;
    unsigned char bytes[MASTER_LEN];
    gnutls_datum_t master = {bytes, sizeof(bytes)};

    if (argc != 5) {
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    memset(bytes, atoi(argv[4]), sizeof(bytes));
    address.sin_port = htons((unsigned short)atoi(argv[1]));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (gnutls_certificate_allocate_credentials(&credentials) != 0
        || gnutls_certificate_set_x509_key_file(credentials, argv[2], argv[3], GNUTLS_X509_FMT_PEM)
               < 0
        || bind(server, (struct sockaddr *)&address, sizeof(address)) != 0
        || listen(server, 128) != 0) {
        return 1;
    }
    for (;;) {
        int fd = accept(server, NULL, NULL);

        if (fd >= 0) {
            serve(credentials, &master, fd);
        }
    }
}
