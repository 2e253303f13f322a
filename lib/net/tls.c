/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * One TLS session over two byte buffers. A BIO of our own reads from `in` and writes to `out`, so a
 * turn of the connection costs one recv and one send, whatever number of records it holds.
 */
#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "net/tls_internal.h"
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

/* Ciphertext taken from the socket at once: several records, so that bulk needs few calls. */
#define IN_ROOM (64u << 10)
#define RECORD_MAX 16384

struct tls {
    SSL *ssl;
    struct tls_ctx *ctx;
    struct pfs_buf in, out;
    bool eof;
    bool is_retry;    /* the BIO's flag that it can be tried again is set */
    bool has_data;    /* the peer sent content: its handshake was done */
    bool said_end;    /* the peer sent close_notify */
    bool is_up;       /* the handshake is done here */
    unsigned n_steps; /* of the handshake protocol since: tickets, key updates */
    char host[256];   /* for messages */
    char *unwanted;   /* identity that tls_options.clients has not; mostly NULL */
};

/* A ticket or key update takes one to three; who sends hundreds only wants work done. */
#define STEPS_MAX 300

static void on_info(const SSL *ssl, int where, int ret)
{
    struct tls *t = SSL_get_app_data(ssl);

    if (t && t->is_up && (where & SSL_CB_LOOP)) {
        t->n_steps++;
    }
    if (t && (where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT) {
        t->said_end |= (ret & 0xff) == SSL3_AD_CLOSE_NOTIFY;
    }
}

static BIO_METHOD *bio_method;

static void clear_retry(BIO *bio, struct tls *t)
{
    if (t->is_retry) {
        BIO_clear_retry_flags(bio);
        t->is_retry = false;
    }
}

static int bio_read_cb(BIO *bio, char *dst, int n)
{
    struct tls *t = BIO_get_data(bio);
    size_t have = pfs_buf_len(&t->in);

    clear_retry(bio, t);
    if (have == 0) {
        if (!t->eof) {
            BIO_set_retry_read(bio);
            t->is_retry = true;
            return -1;
        }
        return 0;
    }
    size_t take = (size_t)n < have ? (size_t)n : have;
    memcpy(dst, pfs_buf_data(&t->in), take);
    pfs_buf_consume(&t->in, take);
    return (int)take;
}

static int bio_write_cb(BIO *bio, const char *src, int n)
{
    struct tls *t = BIO_get_data(bio);

    clear_retry(bio, t);
    return pfs_buf_add(&t->out, src, (size_t)n) ? n : -1;
}

static long bio_ctrl_cb(BIO *bio, int cmd, long num, void *ptr)
{
    if (cmd == BIO_CTRL_EOF) {
        const struct tls *t = BIO_get_data(bio);

        return t->eof && pfs_buf_len(&t->in) == 0;
    }
    return cmd == BIO_CTRL_FLUSH;
}

static void make_bio_method(void)
{
    bio_method = BIO_meth_new(BIO_TYPE_SOURCE_SINK | BIO_get_new_index(), "proxyfs bytes");
    if (bio_method) {
        BIO_meth_set_read(bio_method, bio_read_cb);
        BIO_meth_set_write(bio_method, bio_write_cb);
        BIO_meth_set_ctrl(bio_method, bio_ctrl_cb);
    }
}

static bool is_ip_literal(const char *host)
{
    unsigned char addr[16];

    return inet_pton(AF_INET, host, addr) == 1 || inet_pton(AF_INET6, host, addr) == 1;
}

/* RFC 6066: no IP literal in SNI. CN is never a host name, and wildcards are whole labels. */
static bool set_expected_host(struct tls *t, const char *host)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(t->ssl);

    SSL_set_hostflags(t->ssl,
                      X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    if (is_ip_literal(host)) {
        return X509_VERIFY_PARAM_set1_ip_asc(param, host) == 1;
    }
    return SSL_set1_host(t->ssl, host) == 1 && SSL_set_tlsext_host_name(t->ssl, host) == 1;
}

static bool attach_bio(struct tls *t)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, make_bio_method);
    BIO *bio = bio_method ? BIO_new(bio_method) : NULL;
    if (!bio) {
        return false;
    }
    BIO_set_data(bio, t);
    BIO_set_init(bio, 1);
    SSL_set_bio(t->ssl, bio, bio);
    return true;
}

enum pfs_class tls_new(struct tls_ctx *ctx, const char *host, struct tls **ret,
                       struct pfs_error *err)
{
    if (!ctx->server && (!host || !*host)) { /* OpenSSL would take it as "any host" */
        return pfs_refuse(err, PFS_CONFIG, "server_name is empty: no host to verify");
    }
    struct tls *t = pfs_calloc(1, sizeof *t);
    if (!t) {
        return pfs_nomem(err, "a TLS session");
    }
    t->ctx = tls_ctx_ref(ctx);
    t->ssl = SSL_new(ctx->ssl);
    if (!t->ssl || !attach_bio(t)) {
        tls_free(t);
        return pfs_nomem(err, "a TLS session");
    }
    SSL_set_app_data(t->ssl, t);
    SSL_set_info_callback(t->ssl, on_info);
    if (ctx->server) {
        SSL_set_accept_state(t->ssl);
    } else {
        snprintf(t->host, sizeof t->host, "%s", host);
        SSL_set_connect_state(t->ssl);
        if (!set_expected_host(t, host)) {
            tls_free(t);
            return pfs_refuse(err, PFS_CONFIG, "server_name '%s' is not a valid host name", host);
        }
    }
    *ret = t;
    return PFS_OK;
}

void tls_free(struct tls *t)
{
    if (t) {
        SSL_free(t->ssl);
        tls_ctx_unref(t->ctx);
        pfs_free(t->unwanted);
        pfs_buf_fini(&t->in);
        pfs_buf_fini(&t->out);
        pfs_free(t);
    }
}

char *tls_in_room(struct tls *t, size_t *ret_cap)
{
    char *room = pfs_buf_room(&t->in, IN_ROOM);

    *ret_cap = room ? IN_ROOM : 0;
    return room;
}

void tls_in_added(struct tls *t, size_t n)
{
    pfs_buf_added(&t->in, n);
}

void tls_in_eof(struct tls *t)
{
    t->eof = true;
}

const char *tls_out(struct tls *t, size_t *ret_n)
{
    *ret_n = pfs_buf_len(&t->out);
    return *ret_n ? pfs_buf_data(&t->out) : NULL;
}

void tls_out_sent(struct tls *t, size_t n)
{
    pfs_buf_consume(&t->out, n);
}

void tls_release_idle(struct tls *t)
{
    SSL_free_buffers(t->ssl); /* its two of 17 KiB, unless something is in them */
    if (pfs_buf_len(&t->in) == 0) {
        pfs_buf_fini(&t->in);
    }
    if (pfs_buf_len(&t->out) == 0) {
        pfs_buf_fini(&t->out);
    }
}

/* Alerts with which a peer refuses our certificate (RFC 8446 section 6.2). */
static bool is_certificate_alert(int reason)
{
    switch (reason) {
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
    case SSL_R_SSLV3_ALERT_NO_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
    case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
        return true;
    default:
        return false;
    }
}

void tls_unwanted(SSL *ssl, const char *identity)
{
    struct tls *t = SSL_get_app_data(ssl);

    pfs_free(t->unwanted);
    t->unwanted = pfs_strdup(identity);
}

/* What a certificate alert means to a client. */
static enum pfs_class refused_by_peer(struct tls *t, const char *why, struct pfs_error *err)
{
    bool given = SSL_get_certificate(t->ssl) != NULL;

    return pfs_fail(err, PFS_TLS_AUTH, PFS_OUTCOME_NA, PFS_PHASE_TLS, "%s refuses %s: %s%s",
                    t->host, given ? "our client certificate" : "us", why ? why : "alert",
                    given ? "" : " (give client_cert and client_key)");
}

static enum pfs_class handshake_failed(struct tls *t, struct pfs_error *err)
{
    unsigned long code = ERR_peek_error();
    int reason = ERR_GET_REASON(code), last = ERR_GET_REASON(ERR_peek_last_error());
    long verify = SSL_get_verify_result(t->ssl);
    const char *why = ERR_reason_error_string(code);
    const char *who = t->ctx->server ? "client" : t->host;
    enum pfs_class cls = PFS_TLS;

    ERR_clear_error();
    if (t->unwanted) {
        return pfs_fail(err, PFS_TLS_VERIFY, PFS_OUTCOME_NA, PFS_PHASE_TLS,
                        "client %s is not in tls.clients", t->unwanted);
    }
    if (verify != X509_V_OK && last == SSL_R_CERTIFICATE_VERIFY_FAILED) {
        return pfs_fail(err, PFS_TLS_VERIFY, PFS_OUTCOME_NA, PFS_PHASE_TLS,
                        "certificate of %s refused: %s (X509 error %ld)", who,
                        X509_verify_cert_error_string(verify), verify);
    }
    if (is_certificate_alert(reason) && !t->ctx->server) {
        return refused_by_peer(t, why, err);
    }
    if (is_certificate_alert(reason)) {
        return pfs_fail(err, PFS_TLS_AUTH, PFS_OUTCOME_NA, PFS_PHASE_TLS,
                        "client refuses the certificate shown: %s", why ? why : "alert");
    }
    if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE) {
        return pfs_fail(err, PFS_TLS_VERIFY, PFS_OUTCOME_NA, PFS_PHASE_TLS,
                        "client shows no certificate, and one is required");
    }
    if (reason == SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL) {
        return pfs_fail(err, PFS_ALPN, PFS_OUTCOME_NA, PFS_PHASE_TLS,
                        "%s speaks none of the protocols offered (ALPN)", who);
    }
    if (reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_HTTP_REQUEST) {
        return pfs_fail(err, cls, PFS_OUTCOME_NA, PFS_PHASE_TLS,
                        "%s does not speak TLS on this port (%s); is it plain http?", who, why);
    }
    if (t->eof || reason == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
        return pfs_fail(
            err, PFS_CONN, PFS_OUTCOME_NA, PFS_PHASE_TLS,
            "%s closed the connection during the TLS handshake; does this port speak TLS?", who);
    }
    return pfs_fail(err, cls, PFS_OUTCOME_NA, PFS_PHASE_TLS, "TLS handshake with %s failed: %s",
                    who, why ? why : "unknown reason");
}

int tls_handshake(struct tls *t, struct pfs_error *err)
{
    ERR_clear_error();
    int rc = SSL_do_handshake(t->ssl);
    if (rc == 1) {
        t->is_up = true;
        return 1;
    }
    int e = SSL_get_error(t->ssl, rc);
    if ((e == SSL_ERROR_WANT_READ && !t->eof) || e == SSL_ERROR_WANT_WRITE) {
        return 0;
    }
    handshake_failed(t, err);
    return -1;
}

/* How reading came to its end. In the queue of errors only the newest is sure to be ours. */
static ssize_t read_ended(struct tls *t, bool *ret_clean, struct pfs_error *err)
{
    unsigned long code = ERR_peek_last_error();
    int reason = ERR_GET_REASON(code);
    const char *why = ERR_reason_error_string(code);

    ERR_clear_error();
    if (t->said_end || SSL_want_read(t->ssl) || code == 0 ||
        reason == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
        *ret_clean = t->said_end;
        return TLS_READ_EOF;
    }
    /* TLS 1.3 says so only after the client's handshake is done; once content came, it is late. */
    if (is_certificate_alert(reason) && !t->has_data) {
        refused_by_peer(t, why, err);
    } else {
        pfs_fail(err, PFS_CONN_LOST, PFS_OUTCOME_UN, PFS_PHASE_WAIT,
                 "TLS session with %s broke: %s", t->host, why ? why : "unknown reason");
    }
    return TLS_READ_ERROR;
}

/*
 * The queue of errors is neither cleared before nor asked for what a peer does every day: that
 * costs a thirtieth of a record. SSL_get_error would take for ours what the host has left in it.
 */
ssize_t tls_read(struct tls *t, void *buf, size_t cap, bool *ret_clean, struct pfs_error *err)
{
    int rc = SSL_read(t->ssl, buf, cap > INT32_MAX ? INT32_MAX : (int)cap);

    if (t->n_steps > STEPS_MAX) {
        ERR_clear_error();
        pfs_fail(err, PFS_PROTOCOL, PFS_OUTCOME_UN, PFS_PHASE_WAIT,
                 "TLS session with %s: key updates without end", t->host);
        return TLS_READ_ERROR;
    }
    if (rc > 0) {
        t->has_data = true;
        return rc;
    }
    if ((SSL_want_read(t->ssl) && !t->eof) || SSL_want_write(t->ssl)) {
        return 0;
    }
    return read_ended(t, ret_clean, err);
}

bool tls_has_input(const struct tls *t)
{
    return pfs_buf_len(&t->in) > 0 || t->eof || SSL_has_pending(t->ssl);
}

enum pfs_class tls_write(struct tls *t, const void *buf, size_t n, struct pfs_error *err)
{
    const char *p = buf;

    while (n > 0) {
        int rc = SSL_write(t->ssl, p, n < RECORD_MAX ? (int)n : RECORD_MAX);

        if (rc <= 0) {
            ERR_clear_error();
            return pfs_fail(err, PFS_CONN_LOST, PFS_OUTCOME_UN, PFS_PHASE_SEND,
                            "TLS session with %s can send no more", t->host);
        }
        p += rc;
        n -= (size_t)rc;
    }
    return PFS_OK;
}

void tls_shutdown(struct tls *t)
{
    ERR_clear_error();
    if (SSL_is_init_finished(t->ssl)) {
        SSL_shutdown(t->ssl);
    }
    ERR_clear_error();
}

const char *tls_alpn(struct tls *t)
{
    static const char *const known[] = {"h2", "http/1.1"};
    const unsigned char *name;
    unsigned len;

    SSL_get0_alpn_selected(t->ssl, &name, &len);
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (len == strlen(known[i]) && memcmp(name, known[i], len) == 0) {
            return known[i];
        }
    }
    return "";
}

const char *tls_version(struct tls *t)
{
    return SSL_get_version(t->ssl);
}

bool tls_peer_identity(struct tls *t, char *dst, size_t cap)
{
    X509 *cert = SSL_get0_peer_certificate(t->ssl);

    if (!cert || SSL_get_verify_result(t->ssl) != X509_V_OK) {
        return false;
    }
    tls_cert_identity(cert, dst, cap);
    return true;
}

int64_t tls_peer_expires(struct tls *t)
{
    STACK_OF(X509) *chain = SSL_get0_verified_chain(t->ssl);
    int64_t first = PFS_NEVER;

    for (int i = 0; t->ctx->verify && i < sk_X509_num(chain); i++) {
        first = pfs_earlier(first, tls_cert_expires(sk_X509_value(chain, i)));
    }
    return first;
}
