/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * PEM files of a TLS context. They are opened here and not by OpenSSL, which would wait for ever at
 * a pipe, and with it everybody who makes a client meanwhile: what has been opened is looked at, so
 * nothing else can take its place in between.
 */
#include "base/err.h"
#include "net/tls_internal.h"
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* NULL: *err says why not. A key that others can read is no identity. */
static BIO *open_pem(const char *option, const char *file, bool is_secret, struct pfs_error *err)
{
    struct stat st;

    ERR_clear_error();
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

    if (fd < 0 || fstat(fd, &st) != 0) {
        int eno = errno;

        pfs_refuse(err, PFS_CONFIG, "%s '%s': %s", option, file, strerror(eno));
        err->sys_errno = eno;
    } else if (!S_ISREG(st.st_mode)) {
        pfs_refuse(err, PFS_CONFIG, "%s '%s' is not a regular file", option, file);
    } else if (is_secret && st.st_mode & 077) {
        pfs_refuse(err, PFS_CONFIG, "%s '%s' can be read by others (mode %03o): chmod 600 it",
                   option, file, (unsigned)(st.st_mode & 0777));
    } else {
        FILE *f = fdopen(fd, "r");
        BIO *in = f ? BIO_new_fp(f, BIO_CLOSE) : NULL;

        if (in) {
            return in;
        }
        pfs_nomem(err, "a certificate file");
        if (f) {
            fclose(f);
            return NULL;
        }
    }
    if (fd >= 0) {
        close(fd);
    }
    return NULL;
}

/* For whatever in a file is encrypted: OpenSSL would ask for the password on the terminal, and
 * wait. */
static int no_password_cb(char *buf, int size, int writing, void *asked)
{
    *(bool *)asked = true;
    return -1;
}

/* What came of a file whose content should be `content`; asked: for a password. */
static enum pfs_class result(bool ok, bool asked, const char *option, const char *file,
                             const char *content, struct pfs_error *err)
{
    if (ok) {
        return PFS_OK;
    }
    if (asked) {
        ERR_clear_error();
        return pfs_refuse(
            err, PFS_CONFIG,
            "%s '%s' is encrypted, and nobody is asked for its password: decrypt it "
            "into a file that only its owner can read (openssl pkey -in OLD -out NEW)",
            option, file);
    }
    return tls_refuse_config(err, option, file, content);
}

/* Nothing more could be read: the end of the file is the reason, and no fault. */
static bool is_end(void)
{
    unsigned long code = ERR_peek_last_error();

    if (ERR_GET_LIB(code) != ERR_LIB_PEM || ERR_GET_REASON(code) != PEM_R_NO_START_LINE) {
        return false;
    }
    ERR_clear_error();
    return true;
}

/* n were found; a file without any is a mistake. */
static bool has_some(int n, int reason)
{
    if (n == 0) {
        ERR_raise(ERR_LIB_X509, reason);
    }
    return n > 0;
}

/* Certificates and revocations, as many as there are; a server also names the CAs to its clients.
 */
static bool read_trust(SSL_CTX *ssl, BIO *in, bool names, bool *ret_asked)
{
    X509_STORE *store = SSL_CTX_get_cert_store(ssl);
    STACK_OF(X509_INFO) *all = PEM_X509_INFO_read_bio(in, NULL, no_password_cb, ret_asked);
    bool ok = all != NULL;
    int n = 0;

    for (int i = 0; ok && i < sk_X509_INFO_num(all); i++) {
        const X509_INFO *one = sk_X509_INFO_value(all, i);

        ok = (!one->x509 || X509_STORE_add_cert(store, one->x509) == 1) &&
             (!one->crl || X509_STORE_add_crl(store, one->crl) == 1) &&
             (!one->x509 || !names || SSL_CTX_add_client_CA(ssl, one->x509) == 1);
        n += one->x509 || one->crl; /* and not a key */
    }
    sk_X509_INFO_pop_free(all, X509_INFO_free);
    return ok && has_some(n, X509_R_NO_CERTIFICATE_OR_CRL_FOUND);
}

enum pfs_class tls_read_trust(SSL_CTX *ssl, const char *option, const char *file, bool names,
                              struct pfs_error *err)
{
    BIO *in = open_pem(option, file, false, err);

    if (!in) {
        return err->cls;
    }
    bool asked = false, ok = read_trust(ssl, in, names, &asked);
    BIO_free(in);
    return result(ok, asked, option, file, "certificate", err);
}

enum pfs_class tls_read_crl(SSL_CTX *ssl, const char *option, const char *file,
                            struct pfs_error *err)
{
    BIO *in = open_pem(option, file, false, err);
    X509_CRL *crl;
    bool ok = true, asked = false;
    int n = 0;

    if (!in) {
        return err->cls;
    }
    for (; ok && (crl = PEM_read_bio_X509_CRL(in, NULL, no_password_cb, &asked)) != NULL; n++) {
        ok = X509_STORE_add_crl(SSL_CTX_get_cert_store(ssl), crl) == 1;
        X509_CRL_free(crl);
    }
    ok = ok && is_end() && has_some(n, X509_R_NO_CRL_FOUND);
    BIO_free(in);
    return result(ok, asked, option, file, "list of revoked certificates", err);
}

/* The certificate, and those of the CAs above it as far as the file has them. */
static bool read_chain(SSL_CTX *ssl, BIO *in, bool *ret_asked)
{
    X509 *cert = PEM_read_bio_X509_AUX(in, NULL, no_password_cb, ret_asked);
    bool ok = cert && SSL_CTX_use_certificate(ssl, cert) == 1 && SSL_CTX_clear_chain_certs(ssl);

    X509_free(cert);
    while (ok && (cert = PEM_read_bio_X509(in, NULL, no_password_cb, ret_asked)) != NULL) {
        ok = SSL_CTX_add0_chain_cert(ssl, cert) == 1;
        if (!ok) {
            X509_free(cert);
        }
    }
    return ok && is_end();
}

enum pfs_class tls_read_chain(SSL_CTX *ssl, const char *option, const char *file,
                              struct pfs_error *err)
{
    BIO *in = open_pem(option, file, false, err);

    if (!in) {
        return err->cls;
    }
    bool asked = false, ok = read_chain(ssl, in, &asked);
    BIO_free(in);
    return result(ok, asked, option, file, "certificate", err);
}

enum pfs_class tls_read_key(SSL_CTX *ssl, const char *option, const char *file,
                            struct pfs_error *err)
{
    BIO *in = open_pem(option, file, true, err);

    if (!in) {
        return err->cls;
    }
    bool asked = false;
    EVP_PKEY *key = PEM_read_bio_PrivateKey(in, NULL, no_password_cb, &asked);
    bool ok = key && SSL_CTX_use_PrivateKey(ssl, key) == 1;
    EVP_PKEY_free(key);
    BIO_free(in);
    return result(ok, asked, option, file, "private key", err);
}
