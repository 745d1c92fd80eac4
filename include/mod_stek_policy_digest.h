/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a virtual host demands of a client, and its digest.  A ticket opens only where the digest is
 * the one under which it was issued (RFC 9846, 4.7.1; CVE-2025-23048: a session carried to another
 * vhost).
 *
 * In the digest, each part with a tag and its length, SHA-256:
 *
 *     server name, lower case | sorted set of the vhost's ports
 *     where a client can be asked who it is, moreover
 *       SSLVerifyClient, SSLVerifyDepth
 *       all that OpenSSL takes from SSLCACertificateFile, -Path, SSLCARevocationFile and -Path into
 *         the one store that it verifies with: certificates, their trust attributes, and unless
 *         SSLCARevocationCheck is `none`, CRLs (mod_stek_trust_digest.h)
 *       SSLOCSP*: what decides whether an answer is good
 *       SSLCipherSuite, but for TLS 1.3, whose suites decide nothing here; SSLSRPVerifierFile
 *       what the SSL_CTX ends up with, also by openssl.cnf: the security level, the signature
 *         algorithms; its groups count by connection (mod_stek_may_resume.c)
 *       SSLOpenSSLConfCmd Verify*, CipherString, SignatureAlgorithms, ClientSignatureAlgorithms
 *       the same directives in sections, in order, with the sections around them
 *
 * Not in it: addresses, names of CA and CRL files, server certificates and keys,
 * SSLCADNRequestFile and -Path, which are only hints, and .htaccess files, which httpd reads after
 * the handshake: a certificate that these ask for goes into no ticket (mod_stek_may_resume.h).  The
 * SSL_CTX does not hold all this, so the directives are recorded as httpd reads them.  Records are
 * written in the configuration phase, digests in init_server; read-only afterwards.
 */
#ifndef MOD_STEK_POLICY_DIGEST_H
#define MOD_STEK_POLICY_DIGEST_H

#include "httpd.h"
#include "http_config.h"
#include <openssl/ssl.h>
#include "stek_appdata.h"

#pragma GCC visibility push(hidden)

enum {
    MOD_STEK_KIND_TEXT,
    MOD_STEK_KIND_URL,
    MOD_STEK_KIND_TOGETHER, /* a file or directory that counts with others */
    MOD_STEK_KIND_FILE,
    MOD_STEK_KIND_DIRECTORY,
    MOD_STEK_KIND_STORE,
    MOD_STEK_KIND_CONF_CMD
};

/* mod_ssl's directives that decide which client certificate is good: name, kind of the value,
 * and where mod_ssl allows it. */
#define MOD_STEK_CLIENT_DIRECTIVES(X)                                                              \
    X(SSLVerifyClient, MOD_STEK_KIND_TEXT, RSRC_CONF | OR_AUTHCFG)                                 \
    X(SSLVerifyDepth, MOD_STEK_KIND_TEXT, RSRC_CONF | OR_AUTHCFG)                                  \
    X(SSLCACertificateFile, MOD_STEK_KIND_TOGETHER, RSRC_CONF | OR_AUTHCFG)                        \
    X(SSLCACertificatePath, MOD_STEK_KIND_TOGETHER, RSRC_CONF | OR_AUTHCFG)                        \
    X(SSLCARevocationCheck, MOD_STEK_KIND_TEXT, RSRC_CONF)                                         \
    X(SSLCARevocationFile, MOD_STEK_KIND_TOGETHER, RSRC_CONF)                                      \
    X(SSLCARevocationPath, MOD_STEK_KIND_TOGETHER, RSRC_CONF)                                      \
    X(SSLOCSPEnable, MOD_STEK_KIND_TEXT, RSRC_CONF)                                                \
    X(SSLOCSPDefaultResponder, MOD_STEK_KIND_URL, RSRC_CONF)                                       \
    X(SSLOCSPOverrideResponder, MOD_STEK_KIND_TEXT, RSRC_CONF)                                     \
    X(SSLOCSPResponseTimeSkew, MOD_STEK_KIND_TEXT, RSRC_CONF)                                      \
    X(SSLOCSPResponseMaxAge, MOD_STEK_KIND_TEXT, RSRC_CONF)                                        \
    X(SSLOCSPUseRequestNonce, MOD_STEK_KIND_TEXT, RSRC_CONF)                                       \
    X(SSLOCSPNoVerify, MOD_STEK_KIND_TEXT, RSRC_CONF)                                              \
    X(SSLOCSPResponderCertificateFile, MOD_STEK_KIND_FILE, RSRC_CONF)                              \
    X(SSLCipherSuite, MOD_STEK_KIND_TEXT, RSRC_CONF | OR_AUTHCFG)                                  \
    X(SSLSRPVerifierFile, MOD_STEK_KIND_TEXT, RSRC_CONF)                                           \
    X(SSLVHostSNIPolicy, MOD_STEK_KIND_TEXT, RSRC_CONF)                                            \
    X(SSLOpenSSLConfCmd, MOD_STEK_KIND_CONF_CMD, RSRC_CONF)

enum {
#define MOD_STEK_DIRECTIVE(directive, kind, where) MOD_STEK_DIRECTIVE_##directive,
    MOD_STEK_CLIENT_DIRECTIVES(MOD_STEK_DIRECTIVE)
#undef MOD_STEK_DIRECTIVE
        MOD_STEK_CLIENT_DIRECTIVE_N
};

typedef struct mod_stek_client_directive_t {
    const char *directive;
    int kind;
} mod_stek_client_directive_t;

extern const mod_stek_client_directive_t mod_stek_client_directives[MOD_STEK_CLIENT_DIRECTIVE_N];

/* What the directives say of a server or virtual host. */
typedef struct mod_stek_policy_t mod_stek_policy_t;

mod_stek_policy_t *mod_stek_policy_create(apr_pool_t *p);
mod_stek_policy_t *mod_stek_policy_merge(apr_pool_t *p, const mod_stek_policy_t *base,
                                         const mod_stek_policy_t *add);

/* pre_config: forgets the files that were digested for the previous configuration. */
void mod_stek_policy_reset(apr_pool_t *pconf);

/* Records one directive; cmd->info is its element of mod_stek_client_directives.  args: as httpd
 * hands RAW_ARGS. */
void mod_stek_policy_add(mod_stek_policy_t *policy, cmd_parms *cmd, const char *args);

/* Nonzero if a client can be asked for a certificate (or an SRP identity), in the vhost or in
 * one of its sections. */
int mod_stek_policy_asks_clients(const mod_stek_policy_t *policy);

/* Nonzero if the vhost asks for a certificate and one of its sections has its own rules: in TLS
 * 1.3 httpd can ask a client twice only if the connection was resumed. */
int mod_stek_policy_asks_twice(const mod_stek_policy_t *policy);

/* Nonzero if the vhost itself asks for a certificate... */
int mod_stek_policy_server_asks(const mod_stek_policy_t *policy);

/* ...or one of its sections has rules of its own. */
int mod_stek_policy_has_section_rules(const mod_stek_policy_t *policy);

/* Nonzero if SSLVHostSNIPolicy lets a request go to a vhost with other rules for clients than the
 * connection's; after a reload, also if a former configuration said so and this one says nothing:
 * mod_ssl goes on with it... */
int mod_stek_policy_mixes_hosts(void);

/* ...or to any vhost on the connection's address. */
int mod_stek_policy_ignores_hosts(void);

/* Nonzero if what decides about certificates is where the parent cannot read it as children do: in
 * SSLOpenSSLConfCmd VerifyCAStore, or in directories together with ChrootDir. */
int mod_stek_policy_unbindable(const mod_stek_policy_t *policy);

/* The digest of s, and of ctx, which mod_ssl has set up for it.  What OpenSSL will look up in
 * handshakes is appended to watched (mod_stek_trust_watch_t).  A file that cannot be read counts as empty:
 * mod_ssl has refused it before.  STEK_ECRYPTO if OpenSSL cannot digest. */
apr_status_t mod_stek_policy_digest(const server_rec *s, const mod_stek_policy_t *policy,
                                    SSL_CTX *ctx, apr_array_header_t *watched,
                                    unsigned char digest[STEK_DIGEST_LEN], apr_pool_t *pool);

#pragma GCC visibility pop
#endif
