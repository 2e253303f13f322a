/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PFS_NET_TLS_H
#define PFS_NET_TLS_H

/*
 * TLS over bytes: no file descriptor, no thread, no clock. The caller moves ciphertext between the
 * socket and the two buffers; the same code serves the client's connections and agfsd's. OpenSSL is
 * known only in this room. One `struct tls` serves one thread at a time; a `struct tls_ctx` any.
 */
#include <proxyfs/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct tls_ctx;
struct tls;

enum tls_client_cert { TLS_CLIENT_CERT_NONE, TLS_CLIENT_CERT_OPTIONAL, TLS_CLIENT_CERT_REQUIRED };

struct tls_options {
    bool server;
    const char *ca_file; /* PEM; NULL: client: the system's; server: needed when certs are asked */
    const char *cert_file; /* PEM chain; required for a server */
    const char *key_file;  /* PEM; required with cert_file */
    const char *crl_file;  /* PEM; a chain with a CA without a valid CRL in it is then refused */
    const char *min_tls;   /* "1.2" (default, NULL) or "1.3" */
    bool insecure_skip_verify;        /* client: accept any certificate */
    enum tls_client_cert client_cert; /* server */
    /* Server: identities (tls_peer_identity) that may connect, up to a NULL, borrowed for the life
     * of the context. NULL: all whose certificate is good. */
    const char *const *clients;
    const char *alpn; /* comma-separated, most wanted first: "h2,http/1.1"; NULL: no ALPN */
};

/* Reads the files, which are regular ones. Errors: CONFIG (names option and file), NOMEM. *ret:
 * tls_ctx_unref. */
enum pfs_class tls_ctx_new(const struct tls_options *o, struct tls_ctx **ret,
                           struct pfs_error *err);
/* Version of OpenSSL in this process. Static string. */
const char *tls_library_version(void);
struct tls_ctx *tls_ctx_ref(struct tls_ctx *ctx);
void tls_ctx_unref(struct tls_ctx *ctx); /* NULL allowed */

/*
 * A client's end; host (name or IP literal, never empty) is what the certificate must be for. A
 * server's end: host NULL. Takes a reference of ctx. Errors: CONFIG, NOMEM. *ret: tls_free.
 */
enum pfs_class tls_new(struct tls_ctx *ctx, const char *host, struct tls **ret,
                       struct pfs_error *err);
void tls_free(struct tls *t); /* NULL allowed */

/* Where ciphertext from the socket goes: at least 16 KiB of room; NULL: out of memory. */
char *tls_in_room(struct tls *t, size_t *ret_cap);
void tls_in_added(struct tls *t, size_t n);
/* The peer closed its side of the socket: no more input will come. */
void tls_in_eof(struct tls *t);
/* Ciphertext for the socket (NULL when none); then how much of it was sent. */
const char *tls_out(struct tls *t, size_t *ret_n);
void tls_out_sent(struct tls *t, size_t n);
/* Gives empty buffers back; for connections that go idle. */
void tls_release_idle(struct tls *t);

/*
 * Goes on with the handshake. Returns 1: done, 0: more input needed (send tls_out first), -1:
 * failed; *err then has TLS_VERIFY (with the X.509 reason), TLS_AUTH, TLS or ALPN, outcome NA;
 * tls_out may hold an alert to send.
 */
int tls_handshake(struct tls *t, struct pfs_error *err);

/*
 * Decrypts up to cap bytes. > 0: bytes; 0: nothing now; TLS_READ_EOF: the peer ended (*ret_clean in
 * order, else cut off); TLS_READ_ERROR: *err has TLS_AUTH (a certificate alert), CONN_LOST or
 * PROTOCOL.
 */
#define TLS_READ_EOF (-1)
#define TLS_READ_ERROR (-2)
ssize_t tls_read(struct tls *t, void *buf, size_t cap, bool *ret_clean, struct pfs_error *err);
/* True when input or its end waits, so that tls_read has more to say. */
bool tls_has_input(const struct tls *t);
/* Encrypts all n bytes (in records of at most 16 KiB) into tls_out. Errors: NOMEM, CONN_LOST. */
enum pfs_class tls_write(struct tls *t, const void *buf, size_t n, struct pfs_error *err);
/* Queues close_notify. */
void tls_shutdown(struct tls *t);

/* Protocol chosen by ALPN ("h2"), "" when none. Owned by t. */
const char *tls_alpn(struct tls *t);
/* "TLSv1.3"; static. */
const char *tls_version(struct tls *t);
/*
 * Who the peer's verified certificate says it is: first URI, DNS or e-mail SAN, else the subject's
 * CN, as "uri:...", "dns:...", "email:...", "cn:..."; false: no certificate was shown.
 */
bool tls_peer_identity(struct tls *t, char *dst, size_t cap);
/* When a certificate of the peer's chain expires first, CLOCK_REALTIME; PFS_NEVER: not verified. */
int64_t tls_peer_expires(struct tls *t);

#endif
