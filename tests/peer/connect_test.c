/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* Over loopback: getting a connection. Names: rows of the fault table. */
#include "world.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

Test(connect, A001_port_closed)
{
    struct world w = {0};

    w.before = leaks_now();
    h2server_hold_port(&w.server);
    world_client(&w, OPTIONS("timeout", "60s"));
    world_mark(&w);
    cr_assert_eq(world_write(&w, "x"), PFS_CONN);
    assert_err(&w, PFS_CONN, PFS_OUTCOME_NA, PFS_PHASE_CONNECT);
    cr_assert(world_ms(&w) < 30000, "after the grace, not at the deadline: %d ms",
              (int)world_ms(&w));
    struct pfs_stats before, after;
    pfs_client_stats(w.c, &before);
    world_mark(&w);
    for (unsigned i = 0; i < 200; i++) { /* in the outage: at once, without new attempts for each */
        cr_assert_eq(world_stat(&w), PFS_CONN);
        cr_assert_eq(w.err.outcome, PFS_OUTCOME_NA);
    }
    cr_assert(world_ms(&w) < 20000, "%d ms", (int)world_ms(&w));
    pfs_client_stats(w.c, &after);
    unsigned n_ms = (unsigned)world_ms(&w); /* the attempts of an outage begin 250 ms apart */
    cr_assert_leq(after.connects - before.connects, 4 + n_ms / 200);
    pfs_client_free(w.c);
    h2server_let_go(&w.server);
    cr_assert(leaks_none(&w.before));
}

Test(connect, A001_found_again_when_it_returns)
{
    struct world w = {0};

    w.before = leaks_now();
    h2server_hold_port(&w.server);
    world_client(&w, OPTIONS("timeout", "10s"));
    cr_assert_eq(world_stat(&w), PFS_CONN);
    w.server.script = world_serve;
    h2server_start(&w.server);
    world_mark(&w);
    enum pfs_class cls;
    do {
        cls = world_stat(&w);
    } while (cls == PFS_CONN && world_ms(&w) < 20000);
    cr_assert_eq(cls, PFS_OK, "%s", w.err.text);
    world_close(&w);
}

struct given_up {
    atomic_bool done;
    struct pfs_error err;
};

static void on_given_up(void *arg, struct pfs_reply *reply)
{
    struct given_up *g = arg;

    g->err = reply->err;
    pfs_reply_fini(reply);
    atomic_store(&g->done, true);
}

Test(connect, A001_given_up_while_it_waits_for_the_remote)
{
    struct world w = {0};
    struct given_up g = {0};
    struct pfs_request req = PFS_REQUEST_INIT;
    struct pfs_stats stats;

    w.before = leaks_now();
    h2server_hold_port(&w.server);
    world_client(&w, OPTIONS("timeout", "60s"));
    req.op = PFS_OP_WRITE;
    req.path = "/f";
    req.ticket = &g;
    pfs_submit(w.c, &req, on_given_up, &g);
    world_mark(&w);
    do {
        pfs_client_stats(w.c, &stats);
    } while (stats.connects < 2 && !atomic_load(&g.done) && world_ms(&w) < 20000);
    pfs_cancel(w.c, &w); /* another one's ticket */
    cr_assert_not(atomic_load(&g.done), "%s", g.err.text);
    pfs_cancel(w.c, &g);
    cr_assert(atomic_load(&g.done));
    cr_assert_eq(g.err.cls, PFS_CANCELLED, "%s", g.err.text);
    cr_assert_eq(g.err.outcome, PFS_OUTCOME_NA);
    cr_assert_not_null(strstr(g.err.text, "; last: "), "%s", g.err.text);
    cr_assert_null(strstr(g.err.text, "deadline"), "%s", g.err.text);
    pfs_client_free(w.c);
    h2server_let_go(&w.server);
    cr_assert(leaks_none(&w.before));
}

/* Accepts and says nothing, until the client gives up. */
static void mute(struct h2server *s, struct h2peer *p)
{
    h2peer_drain(p);
}

Test(connect, A003_A004_no_settings)
{
    struct world w = {0};

    world_open(&w, mute, NULL, OPTIONS("connect_timeout", "1s", "timeout", "60s"));
    world_mark(&w);
    cr_assert_eq(world_stat(&w), PFS_TIMEOUT);
    assert_err(&w, PFS_TIMEOUT, PFS_OUTCOME_NA, PFS_PHASE_SETTINGS);
    cr_assert(world_ms(&w) < 30000, "%d ms", (int)world_ms(&w));
    world_close(&w);
}

Test(connect, A003_no_tls_bytes)
{
    struct world w = {0};
    struct pfs_error err;
    char url[80];

    w.before = leaks_now();
    w.server.script = mute;
    h2server_start(&w.server);
    snprintf(url, sizeof url, "https://127.0.0.1:%u", w.server.port);
    struct pfs_option o[] = {{"base_url", url},
                             {"connect_timeout", "1s"},
                             {"timeout", "60s"},
                             {"insecure_skip_verify", "true"}};
    cr_assert_eq(pfs_client_new(o, 4, &w.c, &err), PFS_OK);
    cr_assert_eq(world_write(&w, "x"), PFS_TIMEOUT);
    assert_err(&w, PFS_TIMEOUT, PFS_OUTCOME_NA, PFS_PHASE_TLS);
    world_close(&w);
}

static void bad_settings(struct h2server *s, struct h2peer *p)
{
    h2peer_hello(p, 1, (uint32_t[]){H2_SET_WINDOW, 0xffffffffu});
    h2peer_drain(p);
}

Test(connect, A004_bad_settings)
{
    struct world w = {0};

    world_open(&w, bad_settings, NULL, NULL);
    cr_assert_eq(world_write(&w, "x"), PFS_PROTOCOL);
    assert_err(&w, PFS_PROTOCOL, PFS_OUTCOME_NA, PFS_PHASE_WAIT);
    cr_assert_leq(atomic_load(&w.server.n_conns), 12);
    world_close(&w);
}

static void hang_up(struct h2server *s, struct h2peer *p)
{
}

Test(connect, A005_accept_then_close)
{
    struct world w = {0};

    world_open(&w, hang_up, NULL, OPTIONS("timeout", "60s"));
    world_mark(&w);
    cr_assert_eq(world_write(&w, "x"), PFS_CONN);
    cr_assert_eq(w.err.outcome, PFS_OUTCOME_NA);
    cr_assert(world_ms(&w) < 30000, "%d ms", (int)world_ms(&w));
    for (unsigned i = 0; i < 100; i++) {
        cr_assert_eq(world_stat(&w), PFS_CONN);
    }
    cr_assert_leq(atomic_load(&w.server.n_conns), 12, "a tight loop of connects: %u",
                  atomic_load(&w.server.n_conns));
    world_close(&w);
}

/* The first connection has its only stream taken, the second fails, the third serves. */
static void one_stream_then_fail(struct h2server *s, struct h2peer *p)
{
    static const uint32_t one[] = {H2_SET_MAX_STREAMS, 1};

    if (p->index == 0) {
        h2peer_hello(p, 1, one);
        h2peer_forget(h2peer_request(p));
        h2server_signal(s);
        h2peer_drain(p);
    } else if (p->index > 1) {
        world_serve(s, p);
    }
}

Test(connect, A005_beside_a_connection_that_is_full_it_is_tried_again)
{
    struct world w = {0};
    struct world_call held;

    world_open(&w, one_stream_then_fail, NULL, OPTIONS("timeout", "10s"));
    world_call_begin(&held, &w, world_mkdir);
    cr_assert(h2server_await(&w.server, 1));
    world_mark(&w);
    cr_assert_eq(world_stat(&w), PFS_OK, "%s", w.err.text);
    cr_assert(world_ms(&w) < 8000);
    pfs_cancel_all(w.c);
    world_call_join(&held);
    cr_assert_eq(held.cls, PFS_CANCELLED);
    world_close(&w);
}

static void answer_in_http_1(struct h2server *s, struct h2peer *p)
{
    const char *text = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";

    h2peer_raw(p, text, strlen(text));
    h2peer_drain(p);
}

Test(connect, A065_http_1_answer)
{
    struct world w = {0};

    world_open(&w, answer_in_http_1, NULL, OPTIONS("timeout", "60s"));
    world_mark(&w);
    cr_assert_eq(world_write(&w, "x"), PFS_PROTOCOL);
    cr_assert_eq(w.err.outcome, PFS_OUTCOME_NA);
    cr_assert(world_ms(&w) < 30000, "when the grace is over, long before the deadline: %d ms",
              (int)world_ms(&w));
    cr_assert_leq(atomic_load(&w.server.n_conns), 12);
    world_close(&w);
}

static void goaway_at_once(struct h2server *s, struct h2peer *p)
{
    static const char both[] = "\0\0\0\4\0\0\0\0\0"                    /* SETTINGS */
                               "\0\0\10\7\0\0\0\0\0\0\0\0\0\0\0\0\13"; /* GOAWAY(0, 11) */

    h2peer_raw(p, both, sizeof both - 1);
    h2peer_drain(p);
}

Test(connect, A042_goaway_together_with_settings)
{
    struct world w = {0};

    world_open(&w, goaway_at_once, NULL, OPTIONS("timeout", "60s"));
    world_mark(&w);
    enum pfs_class cls = world_write(&w, "x");
    cr_assert_eq(cls, PFS_REFUSED, "%s: %s", pfs_class_name(cls), w.err.text);
    cr_assert_eq(w.err.outcome, PFS_OUTCOME_NA);
    cr_assert_eq(w.err.h2_code, H2_ENHANCE_YOUR_CALM);
    cr_assert(world_ms(&w) < 30000, "%d ms", (int)world_ms(&w));
    cr_assert_leq(atomic_load(&w.server.n_conns), 10);
    world_close(&w);
}

Test(connect, A015_the_next_address_when_one_fails)
{
    struct world w = {0};
    struct pfs_error err;
    char url[80];

    w.before = leaks_now();
    w.server.script = world_serve;
    h2server_start(&w.server); /* listens on 127.0.0.1 only: ::1, if tried, refuses */
    snprintf(url, sizeof url, "http://localhost:%u", w.server.port);
    struct pfs_option o[] = {{"base_url", url}, {"protocol", "h2"}, {"timeout", "5s"}};
    cr_assert_eq(pfs_client_new(o, 3, &w.c, &err), PFS_OK);
    cr_assert_eq(world_stat(&w), PFS_OK, "%s", w.err.text);
    world_close(&w);
}

Test(connect, A016_a_name_that_does_not_exist)
{
    struct world w = {0};
    struct pfs_option o[] = {
        {"base_url", "http://no-such-host.invalid:80"}, {"protocol", "h2"}, {"timeout", "60s"}};

    w.before = leaks_now();
    cr_assert_eq(pfs_client_new(o, 3, &w.c, &w.err), PFS_OK);
    world_mark(&w);
    cr_assert_eq(world_write(&w, "x"), PFS_DNS);
    assert_err(&w, PFS_DNS, PFS_OUTCOME_NA, PFS_PHASE_DNS);
    cr_assert(world_ms(&w) < 30000, "%d ms", (int)world_ms(&w));
    pfs_client_free(w.c);
}

Test(connect, A095_deadlines_at_the_edges)
{
    static const struct {
        int64_t deadline_ns;
        enum pfs_class cls;
    } rows[] = {{0, PFS_OK},
                {INT64_MAX, PFS_OK},
                {1, PFS_TIMEOUT},
                {-1, PFS_INVALID},
                {INT64_MIN, PFS_INVALID}};
    struct world w = {0};

    world_open(&w, world_serve, NULL, NULL);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct pfs_request req = PFS_REQUEST_INIT;
        struct pfs_reply reply;
        unsigned before = atomic_load(&w.server.n_requests);

        req.op = PFS_OP_MKDIR;
        req.path = "/d";
        req.deadline_ns = rows[i].deadline_ns;
        pfs_call(w.c, &req, &reply);
        cr_assert_eq(reply.err.cls, rows[i].cls, "row %zu: %s", i, reply.err.text);
        if (rows[i].cls != PFS_OK) {
            cr_assert_eq(reply.err.outcome, PFS_OUTCOME_NA, "row %zu", i);
            cr_assert_eq(atomic_load(&w.server.n_requests), before, "row %zu was sent", i);
        }
        pfs_reply_fini(&reply);
    }
    world_close(&w);
}
