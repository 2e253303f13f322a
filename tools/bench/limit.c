/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "limit.h"
#include "util.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define REQUEST 120
#define REPLY 250
#define RECORD 16384

struct limit {
    pid_t child;
    struct sockaddr_in address;
    SSL_CTX *ctx;
};

static enum pfs_class cannot(struct pfs_error *err, const char *what)
{
    char reason[160] = "";
    int eno = errno;
    unsigned long code = ERR_get_error();

    if (code)
        ERR_error_string_n(code, reason, sizeof reason);
    *err = (struct pfs_error){.cls = PFS_IO, .outcome = PFS_OUTCOME_NA};
    snprintf(err->text, sizeof err->text, "bare TLS on loopback: %s: %s", what,
             code ? reason : strerror(eno));
    return err->cls;
}

/* ---- the child ---- */

/* A certificate of its own making: nobody checks it, it only has to be there. */
static bool use_own_certificate(SSL_CTX *ctx)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    bool ok = key && cert && X509_set_version(cert, 2) == 1 &&
              ASN1_INTEGER_set(X509_get_serialNumber(cert), 1) == 1 &&
              X509_gmtime_adj(X509_getm_notBefore(cert), -3600) &&
              X509_gmtime_adj(X509_getm_notAfter(cert), 86400) && X509_set_pubkey(cert, key) == 1 &&
              X509_sign(cert, key, EVP_sha256()) > 0 && SSL_CTX_use_certificate(ctx, cert) == 1 &&
              SSL_CTX_use_PrivateKey(ctx, key) == 1;
    X509_free(cert);
    EVP_PKEY_free(key);
    return ok;
}

/* As lib/net has it: the ratio must not be one between ciphers. */
static SSL_CTX *context(bool server)
{
    SSL_CTX *ctx = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());

    if (ctx == NULL)
        return NULL;
    SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION);
    SSL_CTX_set_read_ahead(ctx, 1);
    SSL_CTX_set_num_tickets(ctx, 0);
    if (SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256") != 1 ||
        (server && !use_own_certificate(ctx))) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    return ctx;
}

static bool read_all(SSL *s, char *buf, int n)
{
    for (int got; n > 0; buf += got, n -= got) {
        if ((got = SSL_read(s, buf, n)) <= 0)
            return false;
    }
    return true;
}

static void *serve(void *arg)
{
    SSL *s = arg;
    char record[RECORD] = {0}, mode;

    if (SSL_accept(s) == 1 && read_all(s, &mode, 1)) {
        if (mode == 'r') {
            while (read_all(s, record, REQUEST) && SSL_write(s, record, REPLY) == REPLY) {
            }
        } else {
            while (SSL_write(s, record, RECORD) == RECORD) {
            }
        }
    }
    close(SSL_get_fd(s));
    SSL_free(s);
    return NULL;
}

static void no_delay(int fd)
{
    int one = 1;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

static void serve_for_ever(int listener, SSL_CTX *ctx)
{
    for (;;) {
        pthread_t thread;
        int fd = accept(listener, NULL, NULL);
        if (fd < 0)
            continue;
        no_delay(fd);
        SSL *s = SSL_new(ctx);
        if (s == NULL || SSL_set_fd(s, fd) != 1 || pthread_create(&thread, NULL, serve, s) != 0)
            _exit(1);
        pthread_detach(thread);
    }
}

/* ---- this end ---- */

enum pfs_class limit_start(struct limit **ret, struct pfs_error *err)
{
    struct limit *l = xcalloc(1, sizeof *l);
    socklen_t n = sizeof l->address;
    SSL_CTX *server = context(true);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    l->address =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    l->ctx = context(false);
    pid_t parent = getpid();
    if (server == NULL || l->ctx == NULL || fd < 0 ||
        bind(fd, (struct sockaddr *)&l->address, n) != 0 || listen(fd, 64) != 0 ||
        getsockname(fd, (struct sockaddr *)&l->address, &n) != 0 || (l->child = fork()) < 0) {
        enum pfs_class cls = cannot(err, "cannot start");
        SSL_CTX_free(server);
        if (fd >= 0)
            close(fd);
        limit_stop(l);
        return cls;
    }
    if (l->child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        signal(SIGINT, SIG_IGN); /* Ctrl-C goes to both; this end stops when the other does */
        signal(SIGHUP, SIG_IGN);
        signal(SIGTERM, SIG_DFL);
        signal(SIGPIPE, SIG_IGN);
        if (getppid() != parent)
            _exit(0);
        serve_for_ever(fd, server);
    }
    close(fd);
    SSL_CTX_free(server);
    *ret = l;
    return PFS_OK;
}

void limit_stop(struct limit *l)
{
    if (l == NULL)
        return;
    if (l->child > 0) {
        kill(l->child, SIGKILL);
        waitpid(l->child, NULL, 0);
    }
    SSL_CTX_free(l->ctx);
    free(l);
}

pid_t limit_pid(const struct limit *l)
{
    return l->child;
}

void *limit_connect(struct limit *l, enum bench_op op, struct pfs_error *err)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    SSL *s = SSL_new(l->ctx);

    if (fd < 0 || s == NULL ||
        connect(fd, (struct sockaddr *)&l->address, sizeof l->address) != 0 ||
        SSL_set_fd(s, fd) != 1 || SSL_connect(s) != 1 ||
        SSL_write(s, op == OP_PING ? "r" : "p", 1) != 1) {
        cannot(err, "cannot connect");
        SSL_free(s);
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    no_delay(fd);
    return s;
}

void limit_disconnect(void *tls)
{
    SSL *s = tls;

    if (s) {
        close(SSL_get_fd(s));
        SSL_free(s);
    }
}

enum pfs_class limit_call(void *tls, enum bench_op op, struct pfs_error *err)
{
    SSL *s = tls;
    static const char request[REQUEST]; /* filling it here would cost what is measured */
    char record[RECORD];
    bool ok = true;

    ERR_clear_error();
    if (op == OP_PING) {
        ok = SSL_write(s, request, REQUEST) == REQUEST && read_all(s, record, REPLY);
    } else {
        for (int left = LIMIT_PIECE, got; ok && left > 0; left -= got) {
            got = SSL_read(s, record, left < RECORD ? left : RECORD);
            ok = got > 0;
        }
    }
    return ok ? PFS_OK : cannot(err, "the connection broke");
}
