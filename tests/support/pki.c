/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "support/pki.h"
#include <dirent.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MUST(x)                                                                                    \
    do {                                                                                           \
        if (!(x)) {                                                                                \
            fprintf(stderr, "pki: %s failed\n", #x);                                               \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

const char *pki_path(const struct pki *p, const char *file)
{
    static char paths[8][sizeof p->dir + 260];
    static atomic_uint next;
    char *path = paths[atomic_fetch_add(&next, 1) % 8];

    snprintf(path, sizeof paths[0], "%s/%s", p->dir, file);
    return path;
}

static const char *path_of(const struct pki *p, const char *name, const char *suffix)
{
    char file[64];

    snprintf(file, sizeof file, "%s.%s", name, suffix);
    return pki_path(p, file);
}

static X509 *load_cert(const struct pki *p, const char *name)
{
    FILE *f = fopen(path_of(p, name, "crt"), "r");

    MUST(f);
    X509 *x = PEM_read_X509(f, NULL, NULL, NULL);
    fclose(f);
    MUST(x);
    return x;
}

static EVP_PKEY *load_key(const struct pki *p, const char *name)
{
    FILE *f = fopen(path_of(p, name, "key"), "r");

    MUST(f);
    EVP_PKEY *key = PEM_read_PrivateKey(f, NULL, NULL, NULL);
    fclose(f);
    MUST(key);
    return key;
}

static void add_extension(X509 *x, int nid, const char *value)
{
    X509V3_CTX ctx;

    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    MUST(e && X509_add_ext(x, e, -1));
    X509_EXTENSION_free(e);
}

static void save(const struct pki *p, const char *name, X509 *x, EVP_PKEY *key)
{
    FILE *f = fopen(path_of(p, name, "crt"), "w");

    MUST(f && PEM_write_X509(f, x));
    fclose(f);
    mode_t before = umask(077);
    f = fopen(path_of(p, name, "key"), "w");
    umask(before);
    MUST(f && PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL));
    fclose(f);
}

void pki_make(const struct pki *p, const struct pki_cert *c)
{
    static atomic_int serial = 1;
    bool any_time = c->from_days == 0 && c->to_days == 0;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = X509_new(), *issuer = c->issuer ? load_cert(p, c->issuer) : NULL;
    EVP_PKEY *issuer_key = c->issuer ? load_key(p, c->issuer) : NULL;
    X509_NAME *subject = X509_NAME_new();

    MUST(key && x && subject);
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), atomic_fetch_add(&serial, 1));
    X509_gmtime_adj(X509_getm_notBefore(x), (any_time ? -1 : c->from_days) * 86400L);
    X509_gmtime_adj(X509_getm_notAfter(x), (any_time ? 1 : c->to_days) * 86400L + c->to_seconds);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                               (const unsigned char *)(c->cn ? c->cn : c->name), -1, -1, 0);
    X509_set_subject_name(x, subject);
    X509_set_issuer_name(x, issuer ? X509_get_subject_name(issuer) : subject);
    X509_set_pubkey(x, key);
    add_extension(x, NID_basic_constraints, c->is_ca ? "critical,CA:TRUE" : "critical,CA:FALSE");
    if (c->is_ca) {
        add_extension(x, NID_key_usage, "critical,keyCertSign,cRLSign");
    }
    if (c->eku) {
        add_extension(x, NID_ext_key_usage, c->eku);
    }
    if (c->san) {
        add_extension(x, NID_subject_alt_name, c->san);
    }
    MUST(X509_sign(x, issuer_key ? issuer_key : key, EVP_sha256()));
    save(p, c->name, x, key);
    X509_NAME_free(subject);
    X509_free(x);
    X509_free(issuer);
    EVP_PKEY_free(key);
    EVP_PKEY_free(issuer_key);
}

void pki_encrypt_key(const struct pki *p, const char *name, bool traditional, const char *file)
{
    static unsigned char password[] = "password";
    EVP_PKEY *key = load_key(p, name);
    mode_t before = umask(077);
    BIO *out = BIO_new_file(pki_path(p, file), "w");

    umask(before);
    MUST(out);
    MUST((traditional ? PEM_write_bio_PrivateKey_traditional : PEM_write_bio_PrivateKey)(
             out, key, EVP_aes_128_cbc(), password, sizeof password - 1, NULL, NULL) == 1);
    BIO_free(out);
    EVP_PKEY_free(key);
}

void pki_revoke(const struct pki *p, const char *issuer, const char *revoked, const char *file)
{
    X509 *ca = load_cert(p, issuer);
    EVP_PKEY *key = load_key(p, issuer);
    X509_CRL *crl = X509_CRL_new();
    ASN1_TIME *now = X509_gmtime_adj(NULL, -60), *later = X509_gmtime_adj(NULL, 86400);

    MUST(crl && now && later);
    X509_CRL_set_version(crl, 1);
    X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca));
    X509_CRL_set1_lastUpdate(crl, now);
    X509_CRL_set1_nextUpdate(crl, later);
    if (revoked) {
        X509 *x = load_cert(p, revoked);
        X509_REVOKED *r = X509_REVOKED_new();

        MUST(r && X509_REVOKED_set_serialNumber(r, X509_get_serialNumber(x)) &&
             X509_REVOKED_set_revocationDate(r, now) && X509_CRL_add0_revoked(crl, r));
        X509_free(x);
    }
    MUST(X509_CRL_sign(crl, key, EVP_sha256()));
    FILE *f = fopen(pki_path(p, file), "w");
    MUST(f && PEM_write_X509_CRL(f, crl));
    fclose(f);
    ASN1_TIME_free(now);
    ASN1_TIME_free(later);
    X509_CRL_free(crl);
    EVP_PKEY_free(key);
    X509_free(ca);
}

void pki_open(struct pki *p)
{
    strcpy(p->dir, "/tmp/pfs-pki-XXXXXX");
    MUST(mkdtemp(p->dir));
    pki_make(p, &(struct pki_cert){.name = "ca", .is_ca = true});
}

void pki_close(struct pki *p)
{
    DIR *d = opendir(p->dir);

    MUST(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        if (e->d_name[0] != '.') {
            unlink(pki_path(p, e->d_name));
        }
    }
    closedir(d);
    rmdir(p->dir);
}
