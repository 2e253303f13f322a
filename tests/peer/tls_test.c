/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* Over loopback with TLS: whole calls, and that no request goes to the wrong peer. */
#include "support/pki.h"
#include "world.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

struct secured {
    struct pki pki;
    struct world w;
    char ca[128], cert[128], key[128];
};

/* A server with certificate `server` (made here) that asks for client certificates or not. */
static void open_tls(struct secured *s, const struct pki_cert *server, bool asks, const char *alpn)
{
    struct tls_options o = {.server = true, .alpn = alpn};
    struct pfs_error err;
    char cert[128], key[128];

    memset(s, 0, sizeof *s);
    s->w.before = leaks_now();
    pki_open(&s->pki);
    pki_make(&s->pki, server);
    pki_make(&s->pki, &(struct pki_cert){.name = "c", .issuer = "ca", .eku = "clientAuth"});
    strcpy(s->ca, pki_path(&s->pki, "ca.crt"));
    strcpy(s->cert, pki_path(&s->pki, "c.crt"));
    strcpy(s->key, pki_path(&s->pki, "c.key"));
    snprintf(cert, sizeof cert, "%s/%s.crt", s->pki.dir, server->name);
    snprintf(key, sizeof key, "%s/%s.key", s->pki.dir, server->name);
    o.cert_file = cert;
    o.key_file = key;
    o.ca_file = asks ? s->ca : NULL;
    o.client_cert = asks ? TLS_CLIENT_CERT_REQUIRED : TLS_CLIENT_CERT_NONE;
    cr_assert_eq(tls_ctx_new(&o, &s->w.server.tls, &err), PFS_OK, "%s", err.text);
    s->w.server.script = world_serve;
    h2server_start(&s->w.server);
}

static void close_tls(struct secured *s)
{
    world_close(&s->w);
    tls_ctx_unref(s->w.server.tls);
    pki_close(&s->pki);
}

static const struct pki_cert good = {.name = "s", .issuer = "ca", .san = "IP:127.0.0.1"};

Test(tls, mutual_tls_and_a_reload)
{
    struct secured s;

    open_tls(&s, &good, true, "h2");
    world_client(&s.w, (const char *const[]){"ca_file", s.ca, "client_cert", s.cert, "client_key",
                                             s.key, NULL});
    for (unsigned i = 0; i < 5; i++) {
        cr_assert_eq(world_read(&s.w), PFS_OK, "%s", s.w.err.text);
        cr_assert_eq(pfs_reload(s.w.c, &s.w.err), PFS_OK, "%s", s.w.err.text);
    }
    close_tls(&s);
}

Test(tls, A031_A106_a_bad_key_at_reload_keeps_the_old_identity)
{
    struct secured s;
    FILE *f;

    open_tls(&s, &good, true, "h2");
    world_client(&s.w, (const char *const[]){"ca_file", s.ca, "client_cert", s.cert, "client_key",
                                             s.key, NULL});
    cr_assert_eq(world_read(&s.w), PFS_OK, "%s", s.w.err.text);
    f = fopen(s.key, "w"); /* half-written */
    fputs("-----BEGIN PRIVATE KEY-----\nMC4C", f);
    fclose(f);
    cr_assert_eq(pfs_reload(s.w.c, &s.w.err), PFS_CONFIG);
    cr_assert_not_null(strstr(s.w.err.text, "client_key"), "%s", s.w.err.text);
    cr_assert_eq(world_read(&s.w), PFS_OK, "%s", s.w.err.text);
    close_tls(&s);
}

static void stay_until(int64_t until)
{
    for (int64_t left; (left = until - pfs_now()) > 0;) {
        const struct timespec t = {.tv_sec = left / PFS_SEC, .tv_nsec = left % PFS_SEC};

        nanosleep(&t, NULL);
    }
}

/* When a certificate that has been made, with so many seconds to last, has surely ended. */
static int64_t end_of(const struct pki_cert *cert)
{
    return pfs_now() + (cert->to_seconds + 1) * PFS_SEC;
}

Test(tls, A107_a_connection_does_not_outlive_the_certificate)
{
    static const struct pki_cert brief = {
        .name = "s", .issuer = "ca", .san = "IP:127.0.0.1", .from_days = -1, .to_seconds = 4};
    struct secured s;

    open_tls(&s, &brief, false, "h2");
    int64_t end = end_of(&brief);
    world_client(&s.w, (const char *const[]){"ca_file", s.ca, NULL});
    cr_assert_eq(world_read(&s.w), PFS_OK, "%s", s.w.err.text);
    cr_assert_eq(world_read(&s.w), PFS_OK, "%s", s.w.err.text);
    cr_assert_eq(atomic_load(&s.w.server.n_conns), 1);
    stay_until(end);
    cr_assert_eq(world_read(&s.w), PFS_TLS_VERIFY, "%s", s.w.err.text);
    cr_assert_eq(s.w.err.outcome, PFS_OUTCOME_NA);
    cr_assert_eq(atomic_load(&s.w.server.n_requests), 2);
    close_tls(&s);
}

/* A connection at rest, whose use sets the timer anew, and that far away. */
Test(tls, A107_nor_does_one_that_was_at_rest)
{
    static const struct pki_cert brief = {
        .name = "s", .issuer = "ca", .san = "IP:127.0.0.1", .from_days = -1, .to_seconds = 7};
    struct secured s;

    open_tls(&s, &brief, false, "h2");
    int64_t end = end_of(&brief);
    world_client(&s.w, (const char *const[]){"ca_file", s.ca, "keepalive_interval", "60s", NULL});
    cr_assert_eq(world_read(&s.w), PFS_OK, "%s", s.w.err.text);
    stay_until(pfs_now() + 3 * PFS_SEC); /* longer than a connection is looked after */
    cr_assert_eq(world_read(&s.w), PFS_OK, "%s", s.w.err.text);
    stay_until(end);
    cr_assert_eq(world_read(&s.w), PFS_TLS_VERIFY, "%s", s.w.err.text);
    cr_assert_eq(atomic_load(&s.w.server.n_requests), 2);
    close_tls(&s);
}

Test(tls, A020_A022_no_request_to_a_peer_that_is_not_verified)
{
    static const struct pki_cert certs[] = {
        {.name = "self", .san = "IP:127.0.0.1"},
        {.name = "host", .issuer = "ca", .san = "IP:127.0.0.2"},
        {.name = "old", .issuer = "ca", .san = "IP:127.0.0.1", .from_days = -9, .to_days = -1},
    };

    for (size_t i = 0; i < sizeof certs / sizeof *certs; i++) {
        struct secured s;

        open_tls(&s, &certs[i], false, "h2");
        world_client(&s.w, (const char *const[]){"ca_file", s.ca, NULL});
        world_mark(&s.w);
        cr_assert_eq(world_write(&s.w, "x"), PFS_TLS_VERIFY, "%s", s.w.err.text);
        assert_err(&s.w, PFS_TLS_VERIFY, PFS_OUTCOME_NA, PFS_PHASE_TLS);
        cr_assert_eq(atomic_load(&s.w.server.n_conns), 1, "no wait: it would be refused again");
        cr_assert_eq(atomic_load(&s.w.server.n_requests), 0);
        close_tls(&s);
    }
}

Test(tls, A030_the_server_wants_a_certificate)
{
    struct secured s;

    open_tls(&s, &good, true, "h2");
    world_client(&s.w, (const char *const[]){"ca_file", s.ca, NULL});
    cr_assert_eq(world_write(&s.w, "x"), PFS_TLS_AUTH, "%s", s.w.err.text);
    assert_err(&s.w, PFS_TLS_AUTH, PFS_OUTCOME_NA, PFS_PHASE_TLS);
    cr_assert_eq(atomic_load(&s.w.server.n_requests), 0);
    close_tls(&s);
}

Test(tls, A029_no_http_2)
{
    static const char *const alpn[] = {"http/1.1", NULL};

    for (size_t i = 0; i < 2; i++) {
        struct secured s;

        open_tls(&s, &good, false, alpn[i]);
        world_client(&s.w, (const char *const[]){"ca_file", s.ca, NULL});
        cr_assert_eq(world_write(&s.w, "x"), PFS_ALPN, "%s", s.w.err.text);
        assert_err(&s.w, PFS_ALPN, PFS_OUTCOME_NA, PFS_PHASE_TLS);
        close_tls(&s);
    }
}

Test(tls, A014_segments_of_one_byte)
{
    struct secured s;

    open_tls(&s, &good, false, "h2");
    s.w.server.slice = 1;
    world_client(&s.w, (const char *const[]){"ca_file", s.ca, NULL});
    for (unsigned i = 0; i < 5; i++) {
        cr_assert_eq(world_read(&s.w), PFS_OK, "%s", s.w.err.text);
    }
    close_tls(&s);
}

/* Answers PINGs, in bytes that the client cannot decrypt. */
static void begin_record(struct h2server *s, struct h2peer *p)
{
    h2peer_hello(p, 0, NULL);
    h2peer_head(p);
    h2server_count(s);
    h2server_begin_record(p);
    h2peer_drain(p);
}

/* A flipped bit in the length of a record: bytes come for hours, and nothing is said by them. */
Test(tls, A008_bytes_alone_are_no_sign_of_life)
{
    struct secured s;

    open_tls(&s, &good, false, "h2");
    s.w.server.script = begin_record;
    world_client(&s.w,
                 (const char *const[]){"ca_file", s.ca, "timeout", "30s", "keepalive_interval",
                                       "1s", "keepalive_timeout", "500ms", NULL});
    world_mark(&s.w);
    cr_assert_eq(world_write(&s.w, "x"), PFS_CONN_LOST, "%s", s.w.err.text);
    assert_err(&s.w, PFS_CONN_LOST, PFS_OUTCOME_UN, PFS_PHASE_WAIT);
    cr_assert(world_ms(&s.w) < 20000, "%d ms", (int)world_ms(&s.w));
    close_tls(&s);
}
