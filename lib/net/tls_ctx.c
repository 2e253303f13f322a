/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* SSL_CTX from options: trust, identity, versions. For conn (client) and agfsd (server). */
#include "base/alloc.h"
#include "base/err.h"
#include "net/tls_internal.h"
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdatomic.h>
#include <string.h>

/* Reliability bar A2: deeper chains are refused, and by default those of more than 100 KiB. */
#define MAX_CHAIN_DEPTH 8

/* OpenSSL says so where it finds nothing of the kind it looks for. */
static bool is_nothing_found(unsigned long code)
{
    int lib = ERR_GET_LIB(code), reason = ERR_GET_REASON(code);

    return (lib == ERR_LIB_PEM && reason == PEM_R_NO_START_LINE) ||
           (lib == ERR_LIB_X509 &&
            (reason == X509_R_NO_CERTIFICATE_OR_CRL_FOUND || reason == X509_R_NO_CRL_FOUND)) ||
           reason == ERR_R_UNSUPPORTED;
}

enum pfs_class tls_refuse_config(struct pfs_error *err, const char *option, const char *value,
                                 const char *content)
{
    unsigned long code = ERR_peek_error(); /* all others only name who had called whom */
    const char *reason = code ? ERR_reason_error_string(code) : NULL;

    ERR_clear_error();
    if (code && content && is_nothing_found(code)) {
        return pfs_refuse(err, PFS_CONFIG, "%s '%s': there is no %s in it", option, value, content);
    }
    return pfs_refuse(err, PFS_CONFIG, "%s '%s': %s", option, value,
                      reason ? reason : "cannot be used");
}

static enum pfs_class load_trust(SSL_CTX *ssl, const struct tls_options *o, struct pfs_error *err)
{
    const char *option = o->server ? "client_ca" : "ca_file";

    if (o->ca_file) {
        /* Only what the file holds: a pinned CA must not be widened by the system's. */
        return tls_read_trust(ssl, option, o->ca_file, o->server, err);
    } else if (!o->server && SSL_CTX_set_default_verify_paths(ssl) != 1) {
        return tls_refuse_config(err, option, "system certificates", NULL);
    } else if (o->server && o->client_cert != TLS_CLIENT_CERT_NONE) {
        return pfs_refuse(err, PFS_CONFIG,
                          "client_ca is needed when client certificates are asked for");
    }
    return PFS_OK;
}

static enum pfs_class load_crl(SSL_CTX *ssl, const struct tls_options *o, struct pfs_error *err)
{
    if (!o->crl_file) {
        return PFS_OK;
    }
    enum pfs_class cls = tls_read_crl(ssl, o->server ? "tls crl" : "crl_file", o->crl_file, err);
    if (cls != PFS_OK) {
        return cls;
    }
    /*
     * Of the whole chain: who holds the key of a revoked CA makes good certificates below it. No
     * CRL of an issuer = refused.
     */
    X509_STORE_set_flags(SSL_CTX_get_cert_store(ssl),
                         X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
    return PFS_OK;
}

static enum pfs_class load_identity(SSL_CTX *ssl, const struct tls_options *o,
                                    struct pfs_error *err)
{
    const char *cert_option = o->server ? "tls cert" : "client_cert";
    const char *key_option = o->server ? "tls key" : "client_key";

    if (!o->cert_file && !o->key_file && !o->server) {
        return PFS_OK;
    }
    if (!o->cert_file || !o->key_file) {
        return pfs_refuse(err, PFS_CONFIG, "%s and %s belong together: %s is missing", cert_option,
                          key_option, o->cert_file ? key_option : cert_option);
    }
    enum pfs_class cls = tls_read_chain(ssl, cert_option, o->cert_file, err);
    if (cls == PFS_OK) {
        cls = tls_read_key(ssl, key_option, o->key_file, err);
    }
    if (cls == PFS_OK && SSL_CTX_check_private_key(ssl) != 1) {
        cls = tls_refuse_config(err, key_option, o->key_file, "private key");
    }
    return cls;
}

/* ALPN's wire form of "h2,http/1.1": each name after its length. */
static enum pfs_class set_alpn(struct tls_ctx *ctx, const char *names, struct pfs_error *err)
{
    size_t n = names ? strlen(names) : 0;

    if (n + 1 > sizeof ctx->alpn) {
        return pfs_refuse(err, PFS_CONFIG, "too many protocol names: %s", names);
    }
    if (n == 0) {
        return PFS_OK;
    }
    for (size_t i = 0, start = 0; i <= n; i++) {
        if (i == n || names[i] == ',') {
            ctx->alpn[start] = (unsigned char)(i - start);
            start = i + 1;
        } else {
            ctx->alpn[i + 1] = (unsigned char)names[i];
        }
    }
    ctx->alpn_len = n + 1;
    return PFS_OK;
}

/* The server's choice: our most wanted of the client's; none in common ends the handshake. */
static int select_alpn_cb(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                          const unsigned char *in, unsigned in_len, void *arg)
{
    const struct tls_ctx *ctx = arg;
    int rc = SSL_select_next_proto((unsigned char **)out, out_len, ctx->alpn,
                                   (unsigned)ctx->alpn_len, in, in_len);

    return rc == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

static enum pfs_class set_protocol(struct tls_ctx *ctx, const struct tls_options *o,
                                   struct pfs_error *err)
{
    const char *min = o->min_tls ? o->min_tls : "1.2";
    int version = strcmp(min, "1.2") == 0   ? TLS1_2_VERSION
                  : strcmp(min, "1.3") == 0 ? TLS1_3_VERSION
                                            : 0;

    if (!version) {
        return pfs_refuse(err, PFS_CONFIG, "min_tls '%s' is not one of 1.2, 1.3", min);
    }
    SSL_CTX_set_security_level(ctx->ssl, 2); /* 112 bits: no RSA-1024, no SHA-1 */
    /* AES-128 first: the fastest that is safe; TLS 1.2 only as RFC 9113 section 9.2.2 allows. */
    if (SSL_CTX_set_min_proto_version(ctx->ssl, version) != 1 ||
        SSL_CTX_set_ciphersuites(ctx->ssl, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"
                                           "TLS_CHACHA20_POLY1305_SHA256") != 1 ||
        SSL_CTX_set_cipher_list(ctx->ssl, "ECDHE+AESGCM:ECDHE+CHACHA20") != 1) {
        return tls_refuse_config(err, "min_tls", min, NULL);
    }
    /* No tickets, no session cache: a resumed session would bypass a trust that was reloaded. */
    SSL_CTX_set_options(ctx->ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                      SSL_OP_NO_TICKET | SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_session_cache_mode(ctx->ssl, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(ctx->ssl, 0);
    SSL_CTX_set_read_ahead(ctx->ssl, 1); /* a record by one call of our BIO, not by two */
    SSL_CTX_set_mode(ctx->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    return set_alpn(ctx, o->alpn, err);
}

/* A good certificate may still be that of somebody who is not wanted here. */
static int on_verify(int ok, X509_STORE_CTX *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    const struct tls_ctx *ctx = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    const char *const *who = ctx->clients;
    char identity[512];

    if (!ok || !who || X509_STORE_CTX_get_error_depth(store) > 0) {
        return ok;
    }
    tls_cert_identity(X509_STORE_CTX_get_current_cert(store), identity, sizeof identity);
    while (*who && strcmp(*who, identity) != 0) {
        who++;
    }
    if (!*who) {
        tls_unwanted(ssl, identity);
        X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
    }
    return *who != NULL;
}

static void set_verification(struct tls_ctx *ctx, const struct tls_options *o)
{
    SSL_CTX *ssl = ctx->ssl;
    int mode = SSL_VERIFY_PEER;

    if (o->server) {
        mode = o->client_cert == TLS_CLIENT_CERT_NONE ? SSL_VERIFY_NONE
               : o->client_cert == TLS_CLIENT_CERT_OPTIONAL
                   ? SSL_VERIFY_PEER
                   : SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    } else if (o->insecure_skip_verify) {
        mode = SSL_VERIFY_NONE;
    }
    ctx->clients = o->clients;
    SSL_CTX_set_app_data(ssl, ctx);
    SSL_CTX_set_verify(ssl, mode, o->clients ? on_verify : NULL);
    SSL_CTX_set_verify_depth(ssl, MAX_CHAIN_DEPTH);
}

enum pfs_class tls_ctx_new(const struct tls_options *o, struct tls_ctx **ret, struct pfs_error *err)
{
    struct tls_ctx *ctx = pfs_calloc(1, sizeof *ctx);

    if (!ctx) {
        return pfs_nomem(err, "a TLS context");
    }
    atomic_init(&ctx->refs, 1);
    ctx->server = o->server;
    ctx->verify = !o->insecure_skip_verify;
    ctx->ssl = SSL_CTX_new(o->server ? TLS_server_method() : TLS_client_method());
    enum pfs_class cls = ctx->ssl ? set_protocol(ctx, o, err) : pfs_nomem(err, "a TLS context");
    if (cls == PFS_OK) {
        cls = load_trust(ctx->ssl, o, err);
    }
    if (cls == PFS_OK) {
        cls = load_crl(ctx->ssl, o, err);
    }
    if (cls == PFS_OK) {
        cls = load_identity(ctx->ssl, o, err);
    }
    if (cls != PFS_OK) {
        tls_ctx_unref(ctx);
        return cls;
    }
    set_verification(ctx, o);
    if (ctx->alpn_len && o->server) {
        SSL_CTX_set_alpn_select_cb(ctx->ssl, select_alpn_cb, ctx);
    } else if (ctx->alpn_len) {
        SSL_CTX_set_alpn_protos(ctx->ssl, ctx->alpn, (unsigned)ctx->alpn_len);
    }
    *ret = ctx;
    return PFS_OK;
}

struct tls_ctx *tls_ctx_ref(struct tls_ctx *ctx)
{
    atomic_fetch_add(&ctx->refs, 1);
    return ctx;
}

void tls_ctx_unref(struct tls_ctx *ctx)
{
    if (ctx && atomic_fetch_sub(&ctx->refs, 1) == 1) {
        SSL_CTX_free(ctx->ssl);
        pfs_free(ctx);
    }
}

const char *tls_library_version(void)
{
    return OpenSSL_version(OPENSSL_VERSION_STRING);
}
