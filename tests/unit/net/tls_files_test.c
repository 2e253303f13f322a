/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* Files and names of a TLS configuration: rows A024 and A031 of the fault table. */
#include "net/tls.h"
#include "support/pki.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Makes a context; the class, with what the text must name. */
static void expect(const struct tls_options *o, enum pfs_class cls, const char *word)
{
    struct tls_ctx *ctx;
    struct pfs_error err = {.cls = PFS_OK};
    enum pfs_class got = tls_ctx_new(o, &ctx, &err);

    cr_assert_eq(got, cls, "%s: %s", word, err.text);
    if (got == PFS_OK) {
        tls_ctx_unref(ctx);
    } else {
        cr_assert_not_null(strstr(err.text, word), "'%s' is not in '%s'", word, err.text);
        cr_assert_eq(err.outcome, PFS_OUTCOME_NA);
        cr_assert_eq(err.sys_errno, strstr(err.text, "No such file") ? ENOENT
                                    : strstr(err.text, "Is a dir")   ? EISDIR
                                                                     : 0);
    }
}

Test(tls_files, A031_keys_and_certificates)
{
    struct pki p;
    char ca[128], cert[128], key[128], other[128], junk[128];

    pki_open(&p);
    pki_make(&p, &(struct pki_cert){.name = "c", .issuer = "ca"});
    pki_make(&p, &(struct pki_cert){.name = "d", .issuer = "ca"});
    strcpy(ca, pki_path(&p, "ca.crt"));
    strcpy(cert, pki_path(&p, "c.crt"));
    strcpy(key, pki_path(&p, "c.key"));
    strcpy(other, pki_path(&p, "d.key"));
    strcpy(junk, pki_path(&p, "junk"));
    FILE *f = fopen(junk, "w");
    fputs("-----BEGIN CERTIFICATE-----\nhalf", f);
    fclose(f);
    chmod(junk, 0600);

    expect(&(struct tls_options){.ca_file = ca, .cert_file = cert, .key_file = key}, PFS_OK, "");
    expect(&(struct tls_options){.ca_file = "/nonexistent"}, PFS_CONFIG, "ca_file");
    expect(&(struct tls_options){.ca_file = junk}, PFS_CONFIG, "ca_file");
    expect(&(struct tls_options){.ca_file = key}, PFS_CONFIG, "ca_file");
    expect(&(struct tls_options){.ca_file = ca, .crl_file = ca}, PFS_CONFIG, "crl_file");
    expect(&(struct tls_options){.ca_file = ca, .crl_file = junk}, PFS_CONFIG, "crl_file");
    expect(&(struct tls_options){.ca_file = ca, .crl_file = "/nonexistent"}, PFS_CONFIG,
           "crl_file");
    expect(&(struct tls_options){.ca_file = ca, .cert_file = cert}, PFS_CONFIG, "client_key");
    expect(&(struct tls_options){.ca_file = ca, .key_file = key}, PFS_CONFIG, "client_cert");
    expect(&(struct tls_options){.ca_file = ca, .cert_file = junk, .key_file = key}, PFS_CONFIG,
           "client_cert");
    expect(&(struct tls_options){.ca_file = ca, .cert_file = cert, .key_file = junk}, PFS_CONFIG,
           "client_key");
    expect(&(struct tls_options){.ca_file = ca, .cert_file = cert, .key_file = other}, PFS_CONFIG,
           "d.key': key values mismatch");
    expect(&(struct tls_options){.ca_file = ca, .cert_file = cert, .key_file = p.dir}, PFS_CONFIG,
           "not a regular file");
    expect(&(struct tls_options){.min_tls = "1.1"}, PFS_CONFIG, "min_tls");
    expect(&(struct tls_options){.server = true}, PFS_CONFIG, "cert");
    static const mode_t modes[] = {0640, 0604, 0660, 0644};
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        chmod(key, modes[i]);
        expect(&(struct tls_options){.ca_file = ca, .cert_file = cert, .key_file = key}, PFS_CONFIG,
               "chmod 600");
    }
    chmod(key, 0400);
    expect(&(struct tls_options){.ca_file = ca, .cert_file = cert, .key_file = key}, PFS_OK, "");
    pki_close(&p);
}

/* A pipe keeps its reader waiting, and with it everybody who makes a client meanwhile. */
Test(tls_files, A031_what_is_no_regular_file_is_not_waited_for, .timeout = 20)
{
    struct pki p;
    char ca[128], cert[128], key[128], crl[128], fifo[128], link_to_fifo[128], link_to_ca[128];

    pki_open(&p);
    pki_make(&p, &(struct pki_cert){.name = "c", .issuer = "ca"});
    strcpy(ca, pki_path(&p, "ca.crt"));
    strcpy(cert, pki_path(&p, "c.crt"));
    strcpy(key, pki_path(&p, "c.key"));
    strcpy(crl, pki_path(&p, "crl.pem"));
    strcpy(fifo, pki_path(&p, "fifo"));
    strcpy(link_to_fifo, pki_path(&p, "link_to_fifo"));
    strcpy(link_to_ca, pki_path(&p, "link_to_ca"));
    pki_revoke(&p, "ca", NULL, "crl.pem");
    cr_assert_eq(mkfifo(fifo, 0600), 0);
    cr_assert_eq(symlink(fifo, link_to_fifo), 0);
    cr_assert_eq(symlink(ca, link_to_ca), 0);
    const struct tls_options good = {
        .ca_file = link_to_ca, .cert_file = cert, .key_file = key, .crl_file = crl};
    const char *const bad[] = {fifo, link_to_fifo, p.dir, "/dev/null"};

    expect(&good, PFS_OK, "");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct tls_options o[4] = {good, good, good, good};

        o[0].ca_file = o[1].cert_file = o[2].key_file = o[3].crl_file = bad[i];
        for (size_t k = 0; k < 4; k++) {
            expect(&o[k], PFS_CONFIG, "not a regular file");
            o[k].server = true;
            expect(&o[k], PFS_CONFIG, "not a regular file");
        }
    }
    pki_close(&p);
}

/* Who has a terminal must not be asked on it: nobody looks at a server's, and a mount waits. */
Test(tls_files, A031_nobody_is_asked_for_a_password, .timeout = 20)
{
    struct pki p;
    char ca[128], cert[128], key[128];

    pki_open(&p);
    pki_make(&p, &(struct pki_cert){.name = "c", .issuer = "ca"});
    strcpy(ca, pki_path(&p, "ca.crt"));
    strcpy(cert, pki_path(&p, "c.crt"));
    strcpy(key, pki_path(&p, "c.key"));
    for (int traditional = 0; traditional <= 1; traditional++) {
        const char *locked = pki_path(&p, "locked");

        pki_encrypt_key(&p, "c", traditional, "locked");
        for (int server = 0; server <= 1; server++) {
            struct tls_options o = {
                .server = server, .ca_file = ca, .cert_file = cert, .key_file = locked};

            expect(&o, PFS_CONFIG, server ? "tls key '" : "client_key '");
            expect(&o, PFS_CONFIG, "locked' is encrypted");
            expect(&o, PFS_CONFIG, "openssl pkey -in");
            o.key_file = key;
            expect(&o, PFS_OK, "");
            o.crl_file = locked;
            expect(&o, PFS_CONFIG, "locked'");
            o.crl_file = NULL;
            o.cert_file = locked;
            expect(&o, PFS_CONFIG, "locked'");
            o.cert_file = cert;
            o.ca_file = locked;
            expect(&o, PFS_CONFIG, "locked'");
        }
    }
    pki_close(&p);
}

/* What OpenSSL says last is only which of its parts had called the one that failed. */
Test(tls_files, the_reason_is_the_first_one)
{
    static const char none[] = "/nonexistent", missing[] = "'/nonexistent': No such file or";
    struct pki p;
    char ca[128], cert[128], key[128], junk[128], empty[128];

    pki_open(&p);
    pki_make(&p, &(struct pki_cert){.name = "c", .issuer = "ca"});
    strcpy(ca, pki_path(&p, "ca.crt"));
    strcpy(cert, pki_path(&p, "c.crt"));
    strcpy(key, pki_path(&p, "c.key"));
    strcpy(junk, pki_path(&p, "junk"));
    strcpy(empty, pki_path(&p, "empty"));
    FILE *f = fopen(junk, "w");
    fputs("no PEM\n", f);
    fclose(f);
    fclose(fopen(empty, "w"));
    chmod(junk, 0600);
    for (int server = 0; server <= 1; server++) {
        struct tls_options good = {.server = server,
                                   .ca_file = ca,
                                   .cert_file = cert,
                                   .key_file = key,
                                   .client_cert = TLS_CLIENT_CERT_REQUIRED};
        const char *files[] = {none, junk, empty, p.dir};
        const char *reasons[] = {missing, "junk': there is no certificate in it",
                                 "empty': there is no certificate in it", "is not a regular file"};

        for (size_t i = 0; i < 4; i++) {
            struct tls_options o = good;

            o.ca_file = files[i];
            expect(&o, PFS_CONFIG, reasons[i]);
            o = good;
            o.cert_file = files[i];
            expect(&o, PFS_CONFIG, reasons[i]);
        }
        struct tls_options o = good;

        o.crl_file = none;
        expect(&o, PFS_CONFIG, missing);
        o.crl_file = junk;
        expect(&o, PFS_CONFIG, "junk': there is no list of revoked certificates in it");
        o.crl_file = cert;
        expect(&o, PFS_CONFIG, "c.crt': there is no list of revoked certificates in it");
        o = good;
        o.key_file = junk;
        expect(&o, PFS_CONFIG, "junk': there is no private key in it");
        o = good;
        o.ca_file = key;
        expect(&o, PFS_CONFIG, "c.key': there is no certificate in it");
        expect(&good, PFS_OK, "");
    }
    pki_close(&p);
}

Test(tls_files, A024_an_empty_name_is_refused)
{
    static const char *const names[] = {NULL, ""};
    struct tls_options o = {.insecure_skip_verify = true};
    struct pfs_error err;
    struct tls_ctx *ctx;
    struct tls *t;

    cr_assert_eq(tls_ctx_new(&o, &ctx, &err), PFS_OK);
    for (size_t i = 0; i < 2; i++) {
        cr_assert_eq(tls_new(ctx, names[i], &t, &err), PFS_CONFIG);
    }
    cr_assert_eq(tls_new(ctx, "a", &t, &err), PFS_OK);
    tls_free(t);
    tls_free(NULL);
    tls_ctx_unref(ctx);
    tls_ctx_unref(NULL);
}
