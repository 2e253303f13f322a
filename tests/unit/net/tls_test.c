/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* Two ends in memory, over certificates made here: rows A020 to A035 of the fault table. */
#include "base/clock.h"
#include "net/tls.h"
#include "support/pki.h"
#include <criterion/criterion.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ends {
    struct tls *client, *server;
    struct pfs_error client_err, server_err;
    int client_rc, server_rc; /* of the handshakes */
};

/* Moves everything from one end to the other; true: something moved. */
static bool move(struct tls *from, struct tls *to)
{
    size_t n, cap;
    const char *p = tls_out(from, &n);

    if (!p) {
        return false;
    }
    char *room = tls_in_room(to, &cap);
    n = n < cap ? n : cap;
    memcpy(room, p, n);
    tls_in_added(to, n);
    tls_out_sent(from, n);
    return true;
}

static struct tls_ctx *make(const struct tls_options *o)
{
    struct tls_ctx *ctx;
    struct pfs_error err;

    cr_assert_eq(tls_ctx_new(o, &ctx, &err), PFS_OK, "%s", err.text);
    return ctx;
}

static void shake(struct ends *e, const struct tls_options *client,
                  const struct tls_options *server, const char *host)
{
    struct tls_ctx *c = make(client), *s = make(server);
    bool moved = true;

    *e = (struct ends){0};
    cr_assert_eq(tls_new(c, host, &e->client, &e->client_err), PFS_OK, "%s", e->client_err.text);
    cr_assert_eq(tls_new(s, NULL, &e->server, &e->server_err), PFS_OK);
    tls_ctx_unref(c);
    tls_ctx_unref(s);
    while (moved && e->client_rc >= 0 && e->server_rc >= 0) {
        if (!e->client_rc) {
            e->client_rc = tls_handshake(e->client, &e->client_err);
        }
        moved = move(e->client, e->server);
        if (!e->server_rc) {
            e->server_rc = tls_handshake(e->server, &e->server_err);
        }
        moved |= move(e->server, e->client);
    }
    move(e->client, e->server); /* an alert */
    move(e->server, e->client);
}

static void end(struct ends *e)
{
    tls_free(e->client);
    tls_free(e->server);
}

/* The names of files of certificate `name`. */
static struct tls_options identity(const struct pki *p, const char *name, bool server)
{
    static char paths[4][2][128];
    static unsigned next;
    char(*path)[128] = paths[next++ % 4];

    snprintf(path[0], 128, "%s/%s.crt", p->dir, name);
    snprintf(path[1], 128, "%s/%s.key", p->dir, name);
    return (struct tls_options){.server = server, .cert_file = path[0], .key_file = path[1]};
}

Test(tls, a_good_pair_talks)
{
    struct pki p;
    struct ends e;
    char buf[64], who[64];
    bool clean = false;

    pki_open(&p);
    pki_make(&p, &(struct pki_cert){
                     .name = "s", .issuer = "ca", .san = "DNS:files.test", .eku = "serverAuth"});
    pki_make(&p, &(struct pki_cert){
                     .name = "c", .issuer = "ca", .san = "URI:spiffe://x/y", .eku = "clientAuth"});
    struct tls_options server = identity(&p, "s", true), client = identity(&p, "c", false);
    char ca[128];
    strcpy(ca, pki_path(&p, "ca.crt"));
    server.ca_file = client.ca_file = ca;
    server.client_cert = TLS_CLIENT_CERT_REQUIRED;
    server.alpn = "h2,http/1.1";
    client.alpn = "http/1.1,h2";
    shake(&e, &client, &server, "files.test");
    cr_assert(e.client_rc == 1 && e.server_rc == 1, "%s %s", e.client_err.text, e.server_err.text);
    cr_assert_str_eq(tls_alpn(e.client), "h2", "the server's wish counts");
    cr_assert_str_eq(tls_alpn(e.server), "h2");
    cr_assert_str_eq(tls_version(e.client), "TLSv1.3");
    cr_assert(tls_peer_identity(e.server, who, sizeof who));
    cr_assert_str_eq(who, "uri:spiffe://x/y");
    cr_assert_eq(tls_write(e.client, "hello", 5, &e.client_err), PFS_OK);
    move(e.client, e.server);
    cr_assert_eq(tls_read(e.server, buf, sizeof buf, &clean, &e.server_err), 5);
    cr_assert_eq(memcmp(buf, "hello", 5), 0);
    cr_assert_eq(tls_read(e.server, buf, sizeof buf, &clean, &e.server_err), 0);
    tls_shutdown(e.client);
    move(e.client, e.server);
    cr_assert_eq(tls_read(e.server, buf, sizeof buf, &clean, &e.server_err), TLS_READ_EOF);
    cr_assert(clean);
    /* A032: an end without close_notify is no end in order. */
    tls_in_eof(e.client);
    clean = true;
    cr_assert_eq(tls_read(e.client, buf, sizeof buf, &clean, &e.client_err), TLS_READ_EOF);
    cr_assert_not(clean);
    end(&e);
    pki_close(&p);
}

Test(tls, A020_to_A027_which_certificates_are_refused)
{
    static const struct {
        struct pki_cert cert;
        const char *host;
        bool good;
    } rows[] = {
        {{.name = "dns", .issuer = "ca", .san = "DNS:files.test"}, "files.test", true},
        {{.name = "case", .issuer = "ca", .san = "DNS:FILES.test"}, "files.TEST", true},
        {{.name = "second", .issuer = "ca", .san = "DNS:a.test,DNS:files.test"},
         "files.test",
         true},
        {{.name = "wild", .issuer = "ca", .san = "DNS:*.test.org"}, "a.test.org", true},
        {{.name = "wild2", .issuer = "ca", .san = "DNS:*.test.org"}, "a.b.test.org", false},
        {{.name = "part", .issuer = "ca", .san = "DNS:f*.test.org"}, "files.test.org", false},
        {{.name = "tld", .issuer = "ca", .san = "DNS:*"}, "files.test", false},
        {{.name = "other", .issuer = "ca", .san = "DNS:other.test"}, "files.test", false},
        {{.name = "ip", .issuer = "ca", .san = "IP:127.0.0.1"}, "127.0.0.1", true},
        {{.name = "ip6", .issuer = "ca", .san = "IP:::1"}, "::1", true},
        {{.name = "otherip", .issuer = "ca", .san = "IP:127.0.0.2"}, "127.0.0.1", false},
        {{.name = "ipdns", .issuer = "ca", .san = "DNS:127.0.0.1"}, "127.0.0.1", false},
        {{.name = "cn", .issuer = "ca", .cn = "files.test"}, "files.test", false},
        {{.name = "cnip", .issuer = "ca", .cn = "127.0.0.1"}, "127.0.0.1", false},
        {{.name = "old", .issuer = "ca", .san = "DNS:files.test", .from_days = -9, .to_days = -1},
         "files.test",
         false},
        {{.name = "young", .issuer = "ca", .san = "DNS:files.test", .from_days = 1, .to_days = 9},
         "files.test",
         false},
        {{.name = "self", .san = "DNS:files.test"}, "files.test", false},
        {{.name = "eku", .issuer = "ca", .san = "DNS:files.test", .eku = "serverAuth"},
         "files.test",
         true},
        {{.name = "clienteku", .issuer = "ca", .san = "DNS:files.test", .eku = "clientAuth"},
         "files.test",
         false},
        {{.name = "foreign", .issuer = "ca2", .san = "DNS:files.test"}, "files.test", false},
        {{.name = "viamid", .issuer = "mid", .san = "DNS:files.test"}, "files.test", false},
        {{.name = "noca", .issuer = "dns", .san = "DNS:files.test"}, "files.test", false},
    };
    struct pki p;
    char ca[128];

    pki_open(&p);
    strcpy(ca, pki_path(&p, "ca.crt"));
    pki_make(&p, &(struct pki_cert){.name = "ca2", .is_ca = true, .cn = "ca"});
    pki_make(&p, &(struct pki_cert){.name = "mid", .issuer = "ca", .is_ca = true});
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ends e;

        pki_make(&p, &rows[i].cert);
        struct tls_options server = identity(&p, rows[i].cert.name, true);
        struct tls_options client = {.ca_file = ca};
        shake(&e, &client, &server, rows[i].host);
        cr_assert_eq(e.client_rc, rows[i].good ? 1 : -1, "%s: %s", rows[i].cert.name,
                     e.client_err.text);
        if (!rows[i].good) {
            cr_assert_eq(e.client_err.cls, PFS_TLS_VERIFY, "%s: %s", rows[i].cert.name,
                         e.client_err.text);
            cr_assert_eq(e.client_err.outcome, PFS_OUTCOME_NA);
            cr_assert_eq(e.client_err.phase, PFS_PHASE_TLS);
            cr_assert_not_null(strstr(e.client_err.text, "X509 error"), "%s", e.client_err.text);
        }
        end(&e);
        client.insecure_skip_verify = true; /* A127: only this lets them all in */
        shake(&e, &client, &server, rows[i].host);
        cr_assert_eq(e.client_rc, 1, "%s: %s", rows[i].cert.name, e.client_err.text);
        end(&e);
    }
    pki_close(&p);
}

Test(tls, A028_revocation)
{
    struct pki p;
    struct ends e;
    char ca[128], crl[128];

    pki_open(&p);
    strcpy(ca, pki_path(&p, "ca.crt"));
    strcpy(crl, pki_path(&p, "crl.pem"));
    pki_make(&p, &(struct pki_cert){.name = "ca2", .is_ca = true, .cn = "other ca"});
    pki_make(&p, &(struct pki_cert){.name = "s", .issuer = "ca", .san = "DNS:files.test"});
    for (unsigned i = 0; i < 3; i++) { /* nobody revoked, this one, the CRL of another CA */
        struct tls_options server = identity(&p, "s", true);
        struct tls_options client = {.ca_file = ca, .crl_file = crl};

        pki_revoke(&p, i == 2 ? "ca2" : "ca", i == 1 ? "s" : NULL, "crl.pem");
        shake(&e, &client, &server, "files.test");
        cr_assert_eq(e.client_rc, i == 0 ? 1 : -1, "%u: %s", i, e.client_err.text);
        cr_assert(i == 0 || e.client_err.cls == PFS_TLS_VERIFY);
        end(&e);
    }
    pki_close(&p);
}

/* Appends a file of the directory to another. */
static void append(const struct pki *p, const char *from, const char *to)
{
    char text[8192];
    FILE *in = fopen(pki_path(p, from), "r"), *out = fopen(pki_path(p, to), "a");

    cr_assert(in && out);
    size_t n = fread(text, 1, sizeof text, in);
    cr_assert_eq(fwrite(text, 1, n, out), n);
    fclose(in);
    fclose(out);
}

Test(tls, A028_revocation_of_a_ca_between)
{
    static const struct {
        const char *revoked; /* by the root */
        bool has_lower;      /* the lower CA's list is there */
        bool good;
    } rows[] = {{NULL, true, true}, {"mid", true, false}, {NULL, false, false}};
    struct pki p;
    char ca[128], crl[128];

    pki_open(&p);
    strcpy(ca, pki_path(&p, "ca.crt"));
    strcpy(crl, pki_path(&p, "crl.pem"));
    pki_make(&p, &(struct pki_cert){.name = "mid", .issuer = "ca", .is_ca = true});
    pki_make(&p, &(struct pki_cert){.name = "s", .issuer = "mid", .san = "DNS:files.test"});
    append(&p, "mid.crt", "s.crt");
    pki_revoke(&p, "mid", NULL, "lower.pem");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct tls_options server = identity(&p, "s", true);
        struct tls_options client = {.ca_file = ca, .crl_file = crl};
        struct ends e;

        pki_revoke(&p, "ca", rows[i].revoked, "crl.pem");
        if (rows[i].has_lower) {
            append(&p, "lower.pem", "crl.pem");
        }
        shake(&e, &client, &server, "files.test");
        cr_assert_eq(e.client_rc, rows[i].good ? 1 : -1, "%zu: %s", i, e.client_err.text);
        cr_assert(rows[i].good || e.client_err.cls == PFS_TLS_VERIFY);
        end(&e);
    }
    pki_close(&p);
}

Test(tls, A030_the_server_refuses_our_certificate)
{
    static const char *const versions[] = {"1.3", "1.2"};
    struct pki p;
    char ca[128], buf[64];

    pki_open(&p);
    strcpy(ca, pki_path(&p, "ca.crt"));
    pki_make(&p, &(struct pki_cert){.name = "ca2", .is_ca = true, .cn = "other ca"});
    pki_make(&p, &(struct pki_cert){.name = "s", .issuer = "ca", .san = "DNS:files.test"});
    pki_make(&p, &(struct pki_cert){.name = "foreign", .issuer = "ca2", .eku = "clientAuth"});
    pki_make(&p, &(struct pki_cert){.name = "wrongeku", .issuer = "ca", .eku = "serverAuth"});
    pki_make(&p,
             &(struct pki_cert){.name = "expired", .issuer = "ca", .from_days = -9, .to_days = -1});
    for (unsigned i = 0; i < 4; i++) {
        const char *names[] = {NULL, "foreign", "wrongeku", "expired"};
        struct tls_options server = identity(&p, "s", true), client = {0};
        struct ends e;
        bool clean;

        if (names[i]) {
            client = identity(&p, names[i], false);
        }
        client.ca_file = server.ca_file = ca;
        client.min_tls = versions[0];
        server.client_cert = TLS_CLIENT_CERT_REQUIRED;
        shake(&e, &client, &server, "files.test");
        cr_assert_eq(e.server_rc, -1, "case %u", i);
        cr_assert_eq(e.server_err.cls, PFS_TLS_VERIFY, "case %u: %s", i, e.server_err.text);
        cr_assert_eq(e.client_rc, 1, "TLS 1.3 tells the client later");
        cr_assert_eq(tls_read(e.client, buf, sizeof buf, &clean, &e.client_err), TLS_READ_ERROR);
        cr_assert_eq(e.client_err.cls, PFS_TLS_AUTH, "case %u: %s", i, e.client_err.text);
        cr_assert_eq(e.client_err.outcome, PFS_OUTCOME_NA);
        cr_assert_eq(!names[i], strstr(e.client_err.text, "give client_cert") != NULL, "%s",
                     e.client_err.text);
        end(&e);
    }
    pki_close(&p);
}

Test(tls, a_client_that_is_not_named)
{
    static const char *const names[] = {"uri:x", "dns:wanted", NULL};
    struct pki p;
    char ca[128], buf[64];

    pki_open(&p);
    strcpy(ca, pki_path(&p, "ca.crt"));
    pki_make(&p, &(struct pki_cert){.name = "s", .issuer = "ca", .san = "DNS:files.test"});
    pki_make(&p, &(struct pki_cert){.name = "wanted", .issuer = "ca", .san = "DNS:wanted"});
    pki_make(&p, &(struct pki_cert){.name = "other", .issuer = "ca", .san = "DNS:other"});
    for (unsigned i = 0; i < 2; i++) {
        bool named = i == 0, clean;
        struct tls_options server = identity(&p, "s", true);
        struct tls_options client = identity(&p, named ? "wanted" : "other", false);
        struct ends e;

        client.ca_file = server.ca_file = ca;
        server.client_cert = TLS_CLIENT_CERT_REQUIRED;
        server.clients = names;
        shake(&e, &client, &server, "files.test");
        if (named) {
            cr_assert(e.server_rc == 1 && e.client_rc == 1, "%s", e.server_err.text);
        } else {
            cr_assert_eq(e.server_rc, -1);
            cr_assert_eq(e.server_err.cls, PFS_TLS_VERIFY);
            cr_assert_not_null(strstr(e.server_err.text, "client dns:other is not in tls.clients"),
                               "%s", e.server_err.text);
            cr_assert_eq(tls_read(e.client, buf, sizeof buf, &clean, &e.client_err),
                         TLS_READ_ERROR);
            cr_assert_eq(e.client_err.cls, PFS_TLS_AUTH, "%s", e.client_err.text);
            cr_assert_not_null(strstr(e.client_err.text, "refuses our client certificate: "), "%s",
                               e.client_err.text);
        }
        end(&e);
    }
    pki_close(&p);
}

/* RFC 5280 4.1.2.5: 99991231235959Z means that there is no end. */
Test(tls, a_certificate_without_an_end_does_not_expire)
{
    static const int days[] = {100, 36500, 2900000};
    struct pki p;
    char ca[128];

    pki_open(&p);
    pki_make(&p, &(struct pki_cert){.name = "root", .is_ca = true, .to_days = 2900000});
    strcpy(ca, pki_path(&p, "root.crt"));
    for (unsigned i = 0; i < 3; i++) {
        struct ends e;

        pki_make(&p, &(struct pki_cert){.name = "s",
                                        .issuer = "root",
                                        .san = "DNS:files.test",
                                        .from_days = -1,
                                        .to_days = days[i]});
        struct tls_options server = identity(&p, "s", true), client = {.ca_file = ca};
        shake(&e, &client, &server, "files.test");
        cr_assert_eq(e.client_rc, 1, "%s", e.client_err.text);
        int64_t left = tls_peer_expires(e.client) - pfs_wall_now();
        cr_expect_gt(left, 99 * 86400 * PFS_SEC, "%d days: %lld", days[i], (long long)left);
        cr_expect_eq(days[i] == 100, left < 101 * 86400 * PFS_SEC, "%d days", days[i]);
        end(&e);
    }
    pki_close(&p);
}

Test(tls, A029_no_common_protocol)
{
    struct pki p;
    struct ends e;
    char ca[128];

    pki_open(&p);
    strcpy(ca, pki_path(&p, "ca.crt"));
    pki_make(&p, &(struct pki_cert){.name = "s", .issuer = "ca", .san = "DNS:files.test"});
    struct tls_options server = identity(&p, "s", true), client = {.ca_file = ca, .alpn = "h2"};
    server.alpn = "http/1.1";
    shake(&e, &client, &server, "files.test");
    cr_assert_eq(tls_handshake(e.client, &e.client_err), -1);
    cr_assert_eq(e.client_err.cls, PFS_ALPN, "%s", e.client_err.text);
    end(&e);
    server.alpn = NULL; /* the server does not know ALPN: it is the connection that judges */
    shake(&e, &client, &server, "files.test");
    cr_assert_eq(e.client_rc, 1);
    cr_assert_str_eq(tls_alpn(e.client), "");
    end(&e);
    pki_close(&p);
}

Test(tls, A033_a_flipped_bit)
{
    struct pki p;
    struct ends e;
    char ca[128], buf[64];
    size_t n, cap;
    bool clean;

    pki_open(&p);
    strcpy(ca, pki_path(&p, "ca.crt"));
    pki_make(&p, &(struct pki_cert){.name = "s", .issuer = "ca", .san = "DNS:files.test"});
    struct tls_options server = identity(&p, "s", true), client = {.ca_file = ca};
    shake(&e, &client, &server, "files.test");
    cr_assert_eq(tls_write(e.server, "secret", 6, &e.server_err), PFS_OK);
    const char *out = tls_out(e.server, &n);
    char *in = tls_in_room(e.client, &cap);
    memcpy(in, out, n);
    in[n - 3] ^= 1;
    tls_in_added(e.client, n);
    cr_assert_eq(tls_read(e.client, buf, sizeof buf, &clean, &e.client_err), TLS_READ_ERROR);
    cr_assert_eq(e.client_err.cls, PFS_CONN_LOST);
    cr_assert_eq(e.client_err.outcome, PFS_OUTCOME_UN);
    end(&e);
    pki_close(&p);
}

/* Reads with an error of the host's in this thread's queue. */
static ssize_t read_after_host(struct ends *e, bool *clean)
{
    char buf[64];

    ERR_raise(ERR_LIB_EVP, EVP_R_BAD_DECRYPT);
    return tls_read(e->client, buf, sizeof buf, clean, &e->client_err);
}

Test(tls, what_the_host_left_in_the_queue_is_not_ours)
{
    struct pki p;
    struct ends e;
    char ca[128];
    size_t n;
    bool clean = false;

    pki_open(&p);
    strcpy(ca, pki_path(&p, "ca.crt"));
    pki_make(&p, &(struct pki_cert){.name = "s", .issuer = "ca", .san = "DNS:files.test"});
    struct tls_options server = identity(&p, "s", true), client = {.ca_file = ca};
    for (int is_bad = 0; is_bad <= 1; is_bad++) {
        shake(&e, &client, &server, "files.test");
        ERR_raise(ERR_LIB_EVP, EVP_R_BAD_DECRYPT);
        cr_assert_eq(tls_write(e.server, "hello", 5, &e.server_err), PFS_OK);
        move(e.server, e.client);
        cr_assert_eq(read_after_host(&e, &clean), 5);
        cr_assert_eq(read_after_host(&e, &clean), 0, "nothing more yet is no failure");
        if (is_bad) {
            cr_assert_eq(tls_write(e.server, "hello", 5, &e.server_err), PFS_OK);
            ((char *)(uintptr_t)tls_out(e.server, &n))[8] ^= 1;
            move(e.server, e.client);
            cr_assert_eq(read_after_host(&e, &clean), TLS_READ_ERROR);
            cr_assert(strstr(e.client_err.text, "bad record mac"), "%s", e.client_err.text);
        } else {
            tls_shutdown(e.server);
            move(e.server, e.client);
            cr_assert_eq(read_after_host(&e, &clean), TLS_READ_EOF);
            cr_assert(clean);
        }
        end(&e);
    }
    pki_close(&p);
}

Test(tls, not_tls_at_all)
{
    static const char *const answers[] = {"HTTP/1.1 400 Bad Request\r\n\r\n", "SSH-2.0-x\r\n"};

    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        struct tls_options o = {.insecure_skip_verify = true};
        struct tls_ctx *ctx = make(&o);
        struct pfs_error err;
        struct tls *t;
        size_t cap;

        cr_assert_eq(tls_new(ctx, "files.test", &t, &err), PFS_OK);
        cr_assert_eq(tls_handshake(t, &err), 0);
        memcpy(tls_in_room(t, &cap), answers[i], strlen(answers[i]));
        tls_in_added(t, strlen(answers[i]));
        cr_assert_eq(tls_handshake(t, &err), -1);
        cr_assert_eq(err.cls, PFS_TLS, "%s", err.text);
        tls_free(t);
        tls_ctx_unref(ctx);
    }
}
