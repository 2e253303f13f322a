/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PFS_NET_TLS_INTERNAL_H
#define PFS_NET_TLS_INTERNAL_H

/* What tls.c, tls_cert.c, tls_ctx.c and tls_pem.c share. */
#include "net/tls.h"
#include <openssl/ssl.h>
#include <stdatomic.h>

struct tls_ctx {
    SSL_CTX *ssl;
    atomic_uint refs;
    bool server, verify;
    const char *const *clients;
    unsigned char alpn[64]; /* wire form */
    size_t alpn_len;
};

/* The verification of this server's session refuses the client, whose certificate is good, for its
 * name (copied). */
void tls_unwanted(SSL *ssl, const char *identity);

/* ---- tls_cert.c: as tls_peer_identity and tls_peer_expires, of one certificate ---- */

void tls_cert_identity(X509 *cert, char *dst, size_t cap);
int64_t tls_cert_expires(const X509 *cert);

/*
 * CONFIG error "OPTION 'VALUE': REASON" with the first reason in OpenSSL's queue, which is emptied.
 * content: what a file should have in it; NULL: value names none.
 */
enum pfs_class tls_refuse_config(struct pfs_error *err, const char *option, const char *value,
                                 const char *content);

/*
 * tls_pem.c: put what a file holds into a context. It must be a regular file, or a symlink to one;
 * a key's nobody else may read. Errors: CONFIG, names option and file; NOMEM.
 */
/* names: tell clients these CAs. */
enum pfs_class tls_read_trust(SSL_CTX *ssl, const char *option, const char *file, bool names,
                              struct pfs_error *err);
enum pfs_class tls_read_crl(SSL_CTX *ssl, const char *option, const char *file,
                            struct pfs_error *err);
enum pfs_class tls_read_chain(SSL_CTX *ssl, const char *option, const char *file,
                              struct pfs_error *err);
enum pfs_class tls_read_key(SSL_CTX *ssl, const char *option, const char *file,
                            struct pfs_error *err);

#endif
