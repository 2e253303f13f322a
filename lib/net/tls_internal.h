/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PFS_NET_TLS_INTERNAL_H
#define PFS_NET_TLS_INTERNAL_H

/* What tls_ctx.c and tls.c share. */
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

/* As tls_peer_identity. */
void tls_cert_identity(X509 *cert, char *dst, size_t cap);
/* CONFIG error "OPTION 'FILE': REASON" with OpenSSL's last reason, whose queue is emptied. */
enum pfs_class tls_refuse_config(struct pfs_error *err, const char *option, const char *file);

#endif
