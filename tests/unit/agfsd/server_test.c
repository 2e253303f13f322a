/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "base/clock.h"
#include "net/tls.h"
#include "req.h"
#include "rig.h"
#include <criterion/criterion.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static const bool never;

Test(server, listening)
{
    struct rig r = RIG_INIT, other = RIG_INIT;
    struct pfs_error err;
    unsigned port;

    rig_start(&r, NULL);
    cr_assert_eq(server_new(&other.options, &other.server, &err), PFS_OK);
    cr_expect_eq(server_listen(other.server, "127.0.0.1", r.port, NULL, &port, &err), PFS_CONN);
    cr_expect_not_null(strstr(err.text, "in use"), "%s", err.text);
    cr_expect_eq(server_listen(other.server, "no.such.host.invalid", 0, NULL, &port, &err),
                 PFS_DNS);
    cr_expect_eq(server_listen(other.server, "", 0, NULL, &other.port, &err), PFS_OK, "%s",
                 err.text);
    cr_expect_eq(server_listen(other.server, "localhost", 0, NULL, NULL, &err), PFS_OK);
    cr_expect_gt(other.port, 0);
    cr_expect_neq(other.port, r.port);
    server_free(other.server); /* never started */
    cr_expect(rig_stop(&r));
}

Test(server, many_loops)
{
    struct rig r = RIG_INIT;

    r.options.loops = 4;
    rig_start(&r, NULL);
    for (int i = 0; i < 50; i++) {
        char *text = peer_talk(&r, "GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");

        cr_expect_not_null(strstr(text, "hello"));
        free(text);
    }
    cr_expect(rig_stop(&r));
}

Test(server, D03_limits_of_connections)
{
    struct rig r = RIG_INIT;

    r.options.limits.max_conns_per_client = 2;
    rig_start(&r, NULL);
    int a = peer_connect(&r), b = peer_connect(&r);
    peer_say(a, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    free(peer_read_until(a, "hello"));
    peer_say(b, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    free(peer_read_until(b, "hello"));
    char *text = peer_talk(&r, ""); /* turned away */
    cr_expect_str_eq(text, "");
    free(text);
    shutdown(a, SHUT_WR);
    free(peer_read_all(a, NULL)); /* room again, as soon as the server has seen the end */
    text = peer_talk(&r, "GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    cr_expect_not_null(strstr(text, "hello"));
    free(text);
    close(a);
    close(b);
    cr_expect(rig_stop(&r));
}

Test(server, D18_out_of_descriptors)
{
    struct rig r = RIG_INIT;
    struct rlimit lim;
    int fds[256], n = 0;

    rig_start(&r, NULL);
    getrlimit(RLIMIT_NOFILE, &lim);
    lim.rlim_cur = 200;
    setrlimit(RLIMIT_NOFILE, &lim);
    while (n < 256 && (fds[n] = dup(0)) >= 0) {
        n++;
    }
    close(fds[--n]); /* one, for our own end */
    char *text = peer_talk(&r, "");
    cr_expect_str_eq(text, "");
    free(text);
    while (n) {
        close(fds[--n]);
    }
    text = peer_talk(&r, "GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    cr_expect_not_null(strstr(text, "hello"));
    free(text);
    cr_expect(rig_stop(&r));
}

/* The last GOAWAY tells the client what it may repeat elsewhere: nothing that a handler has seen,
 * even when it had to wait long to be sent. */
Test(server, D11_nothing_runs_above_the_last_goaway)
{
    struct rig r = RIG_INIT;
    struct h2_peer p;
    int n = 1;

    r.options.limits.goaway_ms = 50;
    rig_start(&r, NULL);
    h2_peer_open(&p, &r, 1 << 28);
    nghttp2_session_set_local_window_size(p.s, 0, 0, 1 << 28);
    h2_peer_get(&p, "/source?n=30000000"); /* more than the socket takes */
    h2_peer_flush(&p);
    cr_assert(fake_wait(&fake_requests, 1));
    server_stop(r.server, 5000);
    for (bool ran = true; ran && n < 50; n++) {
        int64_t end = pfs_now() + 300 * PFS_MS;

        h2_peer_get(&p, "/hello");
        h2_peer_flush(&p);
        do {
            poll(NULL, 0, 5);
            ran = atomic_load(&fake_requests) == n + 1;
        } while (!ran && pfs_now() < end);
    }
    h2_peer_until(&p, &never);
    int seen = atomic_load(&fake_requests); /* also what a slow machine ran after we looked */
    cr_expect(p.ended);
    cr_expect_eq(p.n_goaway, 2);
    cr_expect_eq(p.goaway_last, 2 * seen - 1, "GOAWAY %d, seen %d", p.goaway_last, seen);
    cr_expect_eq(p.results[seen - 1].status, 200);
    h2_peer_close(&p);
    cr_expect(rig_join(&r));
    cr_expect_eq(atomic_load(&fake_requests), seen);
}

Test(server, a_clients_goaway_is_answered)
{
    struct rig r = RIG_INIT;
    struct h2_peer p;

    rig_start(&r, NULL);
    h2_peer_open(&p, &r, 0);
    cr_assert(h2_peer_finish(&p, h2_peer_get(&p, "/hello")));
    peer_send(p.fd, "\0\0\10\7\0\0\0\0\0\0\0\0\0\0\0\0", 17); /* GOAWAY(0, NO_ERROR) */
    h2_peer_until(&p, &never);
    cr_expect(p.ended);
    cr_expect_eq(p.n_goaway, 1);
    cr_expect_eq(p.goaway, NGHTTP2_NO_ERROR);
    cr_expect_eq(p.goaway_last, 1);
    h2_peer_close(&p);
    cr_expect(rig_stop(&r));
}

Test(server, D11_graceful_stop_drains)
{
    struct rig r = RIG_INIT;
    struct h2_peer p;

    rig_start(&r, NULL);
    int idle = peer_connect(&r), busy = peer_connect(&r);
    peer_say(idle, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    free(peer_read_until(idle, "hello"));
    peer_say(busy, "GET /hang HTTP/1.1\r\nHost: a\r\n\r\n");
    h2_peer_open(&p, &r, 0);
    int hang = h2_peer_get(&p, "/hang");
    h2_peer_flush(&p);
    cr_assert(fake_wait(&fake_hanging, 2));
    server_stop(r.server, 5000);
    char *text = peer_read_all(idle, NULL);
    cr_expect_str_eq(text, ""); /* closed at once */
    free(text);
    while (p.n_goaway == 0 && h2_peer_read(&p, 5000)) {
    }
    cr_expect_eq(p.goaway_last, INT32_MAX);
    int late = h2_peer_get(&p, "/hello"); /* was on its way when the notice came */
    while (p.n_goaway == 1) {
        h2_peer_flush(&p);
        if (!h2_peer_read(&p, 5000)) {
            break;
        }
    }
    cr_expect_eq(p.n_goaway, 2);
    cr_expect_eq(p.goaway, NGHTTP2_NO_ERROR);
    cr_expect_eq(p.goaway_last, late < 0 ? hang * 2 + 1 : p.goaway_last);
    fake_release();
    cr_expect(h2_peer_finish(&p, hang));
    cr_expect_eq(p.results[hang].status, 200);
    h2_peer_until(&p, &never);
    cr_expect(p.ended);
    text = peer_read_all(busy, NULL);
    cr_expect_not_null(strstr(text, "Connection: close\r\n\r\nreleased"), "%s", text);
    free(text);
    h2_peer_close(&p);
    close(idle);
    close(busy);
    cr_expect(rig_join(&r));
}

Test(server, D11_stop_cuts_what_does_not_end)
{
    struct rig r = RIG_INIT;

    rig_start(&r, NULL);
    int fd = peer_connect(&r);
    peer_say(fd, "GET /follow HTTP/1.1\r\nHost: a\r\n\r\n");
    free(peer_read_until(fd, "\r\n\r\n"));
    server_stop(r.server, 50);
    free(peer_read_all(fd, NULL));
    cr_expect_not(rig_join(&r));
    cr_expect_eq(fake_cuts, 1, "handlers are told to end");
    close(fd);
}

/* ---- TLS ---- */

#define MAKE_CERT                                                                                  \
    "cd %s && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout k.pem " \
    "-out c.pem -subj /CN=tester -addext subjectAltName=DNS:localhost,URI:test:me -days 2 "        \
    "2>/dev/null"

/*
 * Sends text over TLS with that ALPN and client certificate; returns what comes to the end. With
 * `leaves` it goes away once its request hangs.
 */
static char *talk_tls(const struct rig *r, const char *dir, bool with_cert, bool leaves,
                      const char *text)
{
    char cert[100], key[100], buf[4096];
    struct tls_options o = {.ca_file = cert, .alpn = "http/1.1"};
    struct tls_ctx *ctx;
    struct tls *t;
    struct pfs_error err;
    int fd = peer_connect(r), rc;
    bool clean = false, sent = false;
    char *all = calloc(1, 65536);
    size_t n, cap;

    snprintf(cert, sizeof cert, "%s/c.pem", dir);
    snprintf(key, sizeof key, "%s/k.pem", dir);
    o.cert_file = with_cert ? cert : NULL;
    o.key_file = with_cert ? key : NULL;
    cr_assert_eq(tls_ctx_new(&o, &ctx, &err), PFS_OK, "%s", err.text);
    cr_assert_eq(tls_new(ctx, "localhost", &t, &err), PFS_OK, "%s", err.text);
    for (;;) {
        rc = tls_handshake(t, &err);
        cr_assert_geq(rc, 0, "%s", err.text);
        if (rc == 1 && !sent) {
            sent = true;
            cr_assert_eq(tls_write(t, text, strlen(text), &err), PFS_OK);
        }
        const char *out = tls_out(t, &n);
        peer_send(fd, out, n);
        tls_out_sent(t, n);
        ssize_t got = rc == 1 ? tls_read(t, buf, sizeof buf, &clean, &err) : 0;
        if (got < 0 || (leaves && sent && fake_wait(&fake_hanging, 1))) {
            break;
        }
        strncat(all, buf, (size_t)got);
        if (got == 0) {
            char *room = tls_in_room(t, &cap);
            ssize_t in = recv(fd, room, cap, 0);

            if (in <= 0) {
                tls_in_eof(t);
            } else {
                tls_in_added(t, (size_t)in);
            }
        }
    }
    cr_expect(clean || leaves, "no close_notify");
    tls_free(t);
    tls_ctx_unref(ctx);
    close(fd);
    return all;
}

Test(server, tls)
{
    struct rig r = RIG_INIT;
    char dir[] = "/tmp/agfsd-tls-XXXXXX", command[600], cert[100], key[100];
    struct tls_options o = {.server = true,
                            .ca_file = cert,
                            .cert_file = cert,
                            .key_file = key,
                            .client_cert = TLS_CLIENT_CERT_OPTIONAL,
                            .alpn = "h2,http/1.1"};
    struct tls_ctx *ctx, *ctx2;
    struct pfs_error err;

    cr_assert_not_null(mkdtemp(dir));
    snprintf(command, sizeof command, MAKE_CERT, dir);
    cr_assert_eq(system(command), 0);
    snprintf(cert, sizeof cert, "%s/c.pem", dir);
    snprintf(key, sizeof key, "%s/k.pem", dir);
    cr_assert_eq(tls_ctx_new(&o, &ctx, &err), PFS_OK, "%s", err.text);
    cr_assert_eq(tls_ctx_new(&o, &ctx2, &err), PFS_OK, "%s", err.text);
    rig_start(&r, ctx);
    tls_ctx_unref(ctx);
    const char *request = "GET /fields HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    char *text = talk_tls(&r, dir, true, false, request);
    cr_expect_not_null(strstr(text, "/fields  a uri:test:me 0"), "%s", text);
    free(text);
    server_set_tls(r.server, ctx2);
    tls_ctx_unref(ctx2);
    text = talk_tls(&r, dir, false, false, request);
    cr_expect_not_null(strstr(text, "/fields  a - 0"), "%s", text);
    free(text);
    text = peer_talk(&r, request);
    cr_expect(strncmp(text, "HTTP/1.0 400 Bad Request", 24) == 0);
    cr_expect_not_null(strstr(text, "Client sent an HTTP request to an HTTPS server"));
    free(text);
    free(talk_tls(&r, dir, true, true, "GET /hang HTTP/1.1\r\nHost: a\r\n\r\n"));
    cr_assert(fake_wait(&fake_gone, 1));
    fake_release();
    cr_assert(fake_wait(&fake_hanging, 0));
    cr_expect_str_eq(fake_hung_client, "uri:test:me", "it is who asked, gone or not");
    snprintf(command, sizeof command, "rm -r %s", dir);
    cr_expect_eq(system(command), 0);
    cr_expect(rig_stop(&r));
}

Test(server, which_header_values_are_sent)
{
    char value[] = "nineteen characters";

    for (size_t i = 0; i < sizeof value - 1; i++) {
        for (int c = 1; c < 256; c++) {
            char was = value[i];

            value[i] = (char)c;
            cr_assert_eq(resp_value_is_safe(value), (c >= ' ' && c != 0x7f) || c == '\t',
                         "byte 0x%02x at %zu", (unsigned)c, i);
            value[i] = was;
        }
    }
    cr_assert(resp_value_is_safe(""));
}
