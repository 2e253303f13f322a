/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* Over loopback: pfs_cancel_all, from a thread that waits for nothing itself; pthread_cancel. */
#include "world.h"
#include <criterion/criterion.h>
#include <string.h>

#define N_CALLERS 4
/* After so many single calls the next one drives its connection itself (conn.h). */
#define N_UNTIL_CALM 20

/* Every request but those for /d, which it answers, waits for ever; each is signalled. */
static void deaf(struct h2server *s, struct h2peer *p)
{
    h2peer_hello(p, 0, NULL);
    for (struct h2req *r; (r = h2peer_request(p)) != NULL;) {
        if (strstr(r->path, "/directories")) {
            world_reply(p, r);
        }
        h2server_count(s);
        h2server_signal(s);
        h2peer_forget(r);
    }
}

static enum pfs_class write_x(struct world *w)
{
    return world_write(w, "x");
}

static enum pfs_class reload(struct world *w)
{
    return pfs_reload(w->c, &w->err);
}

static void assert_ended(struct world_call *c)
{
    world_call_join(c);
    cr_assert_eq(c->cls, PFS_CANCELLED, "%s: %s", pfs_class_name(c->cls), c->w.err.text);
}

static void assert_cancelled(struct world_call *c, enum pfs_outcome outcome)
{
    assert_ended(c);
    cr_assert_eq(c->w.err.outcome, outcome, "%s: %s", pfs_outcome_name(c->w.err.outcome),
                 c->w.err.text);
}

Test(cancel, all_calls_in_flight_end_and_the_next_are_served)
{
    static struct world_call callers[N_CALLERS];
    struct world w = {0};

    world_open(&w, deaf, NULL, OPTIONS("timeout", "60s"));
    for (unsigned n = 0; n < 3 * (N_CALLERS + 1); n += N_CALLERS + 1) {
        for (unsigned i = 0; i < N_CALLERS; i++) {
            world_call_begin(&callers[i], &w, i % 2 ? write_x : world_read);
        }
        cr_assert(h2server_await(&w.server, n + N_CALLERS));
        world_mark(&w);
        pfs_cancel_all(w.c);
        for (unsigned i = 0; i < N_CALLERS; i++) {
            assert_cancelled(&callers[i], PFS_OUTCOME_UN);
        }
        cr_assert(world_ms(&w) < 20000, "%d ms", (int)world_ms(&w));
        cr_assert_eq(world_mkdir(&w), PFS_OK, "%s", w.err.text);
        cr_assert(h2server_await(&w.server, n + N_CALLERS + 1));
    }
    world_close(&w);
}

Test(cancel, a_call_between_two_attempts_ends)
{
    static struct world_call c;
    struct world w = {0};

    world_open(&w, world_try_later, NULL, OPTIONS("timeout", "60s"));
    world_call_begin(&c, &w, world_stat);
    cr_assert(h2server_await(&w.server, 1));
    world_mark(&w);
    pfs_cancel_all(w.c); /* while it waits for its next attempt, or just before */
    assert_ended(&c);
    cr_assert(world_ms(&w) < 20000, "%d ms", (int)world_ms(&w));
    cr_assert_eq(atomic_load(&w.server.n_requests), 1);
    world_close(&w);
}

Test(cancel, a_reload_ends_and_the_old_connections_serve)
{
    static struct world_call c;
    struct world w = {0};

    world_open(&w, deaf, NULL, OPTIONS("timeout", "60s"));
    cr_assert_eq(world_mkdir(&w), PFS_OK, "%s", w.err.text);
    cr_assert(h2server_await(&w.server, 1));
    world_call_begin(&c, &w, reload);
    cr_assert(h2server_await(&w.server, 2));
    pfs_cancel_all(w.c);
    assert_cancelled(&c, PFS_OUTCOME_NA);
    cr_assert_eq(world_mkdir(&w), PFS_OK, "%s", w.err.text);
    world_close(&w);
}

static void on_done(void *arg, struct pfs_reply *reply)
{
    struct h2server *told = arg;

    cr_assert_eq(reply->err.cls, PFS_CANCELLED, "%s", reply->err.text);
    pfs_reply_fini(reply);
    h2server_signal(told);
}

Test(cancel, requests_that_nobody_waits_for_end)
{
    struct pfs_request req = PFS_REQUEST_INIT;
    struct world w = {0};

    req.op = PFS_OP_READ;
    req.path = "/f";
    world_open(&w, deaf, NULL, OPTIONS("timeout", "60s"));
    pfs_submit(w.c, &req, on_done, &w.server);
    cr_assert(h2server_await(&w.server, 1));
    pfs_cancel_all(w.c);
    cr_assert(h2server_await(&w.server, 2)); /* on_done */
    world_close(&w);
}

#define AGAIN_MAX 20

/* Who does not give up: begins the same request anew. */
struct again {
    struct pfs_client *c;
    atomic_uint n_begun, n_cancelled, n_shut_down;
};

static void begin_again(struct again *a);

static void on_again(void *arg, struct pfs_reply *reply)
{
    struct again *a = arg;
    enum pfs_class cls = reply->err.cls;

    cr_assert(cls == PFS_CANCELLED || cls == PFS_SHUTDOWN, "%s", reply->err.text);
    pfs_reply_fini(reply);
    if (cls == PFS_SHUTDOWN) {
        atomic_fetch_add(&a->n_shut_down, 1);
    } else if (atomic_fetch_add(&a->n_cancelled, 1) < AGAIN_MAX) {
        begin_again(a);
    }
}

static void begin_again(struct again *a)
{
    struct pfs_request req = PFS_REQUEST_INIT;

    req.op = PFS_OP_TOUCH;
    req.path = "/f";
    atomic_fetch_add(&a->n_begun, 1);
    pfs_submit(a->c, &req, on_again, a);
}

Test(cancel, what_a_callback_begins_is_not_touched)
{
    struct world w = {0};
    struct again a = {0};

    world_open(&w, deaf, NULL, OPTIONS("timeout", "60s"));
    a.c = w.c;
    for (unsigned i = 1; i <= 2; i++) {
        begin_again(&a);
        cr_assert(h2server_await(&w.server, i));
    }
    pfs_cancel_all(w.c);
    cr_assert(h2server_await(&w.server, 4));
    cr_assert_eq(atomic_load(&a.n_cancelled), 2);
    world_close(&w);
    cr_assert_eq(atomic_load(&a.n_begun), 4);
    cr_assert_eq(atomic_load(&a.n_shut_down), 2);
}

static enum pfs_class open_stream(struct world *w)
{
    struct pfs_stream *s;

    return pfs_open_read(w->c, "/f", 0, -1, &s, &w->err);
}

/* The host cancels a thread that waits inside a call: it returns, and others are none the worse. */
static void end_threads_in(world_call_fn *fn, unsigned n)
{
    static struct world_call callers[N_CALLERS];
    struct world w = {0};

    world_open(&w, deaf, NULL, OPTIONS("timeout", "60s"));
    for (unsigned i = 0; i < N_UNTIL_CALM; i++) {
        cr_assert_eq(world_mkdir(&w), PFS_OK, "%s", w.err.text);
    }
    for (unsigned i = 0; i < n; i++) {
        world_call_begin(&callers[i], &w, fn);
    }
    cr_assert(h2server_await(&w.server, N_UNTIL_CALM + n));
    world_mark(&w);
    for (unsigned i = 0; i < n; i++) {
        cr_assert_eq(pthread_cancel(callers[i].thread), 0);
    }
    cr_assert_eq(world_mkdir(&w), PFS_OK, "%s", w.err.text);
    pfs_cancel_all(w.c);
    for (unsigned i = 0; i < n; i++) {
        assert_ended(&callers[i]);
    }
    cr_assert(world_ms(&w) < 20000, "%d ms", (int)world_ms(&w));
    world_close(&w);
}

Test(cancel, a_thread_that_is_cancelled_while_it_drives_returns_first)
{
    end_threads_in(world_read, 1);
}

Test(cancel, threads_that_are_cancelled_while_they_sleep_return_first)
{
    end_threads_in(world_read, N_CALLERS);
}

Test(cancel, a_thread_that_is_cancelled_while_it_opens_a_stream_returns_first)
{
    end_threads_in(open_stream, 1);
}

Test(cancel, a_thread_that_is_cancelled_between_two_attempts_returns_first)
{
    static struct world_call c;
    struct world w = {0};

    world_open(&w, world_try_later, NULL, OPTIONS("timeout", "60s"));
    world_call_begin(&c, &w, world_stat);
    cr_assert(h2server_await(&w.server, 1));
    cr_assert_eq(pthread_cancel(c.thread), 0);
    pfs_cancel_all(w.c);
    assert_ended(&c);
    world_close(&w);
}

static enum pfs_class read_stream(struct world *w)
{
    struct pfs_stream *s;
    char buf[64];
    size_t n;
    enum pfs_class cls = pfs_open_read(w->c, "/f", 0, -1, &s, &w->err);

    if (cls == PFS_OK) {
        do {
            cls = pfs_stream_read(s, buf, sizeof buf, &n, &w->err);
        } while (cls == PFS_OK && n > 0);
        pfs_stream_close(s);
    }
    return cls;
}

/* On a thread that would end at the first cancellation point. */
static enum pfs_class call_all(struct world *w)
{
    static world_call_fn *const calls[] = {world_stat,  world_read,  write_x,    world_mkdir,
                                           read_stream, reload,      world_stat, world_read,
                                           write_x,     world_mkdir, read_stream};
    enum pfs_class cls = PFS_OK;

    pthread_cancel(pthread_self());
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        for (unsigned n = 0; n < N_UNTIL_CALM && cls == PFS_OK; n++) {
            cls = calls[i](w);
        }
    }
    return cls;
}

Test(cancel, no_call_is_a_cancellation_point)
{
    static struct world_call callers[N_CALLERS];
    struct world w = {0};

    world_open(&w, world_serve, NULL, OPTIONS("timeout", "60s"));
    for (unsigned n = 1; n <= N_CALLERS; n += N_CALLERS - 1) {
        for (unsigned i = 0; i < n; i++) {
            callers[i].cls = PFS_CANCELLED; /* it stays so if the thread ends inside */
            world_call_begin(&callers[i], &w, call_all);
        }
        for (unsigned i = 0; i < n; i++) {
            world_call_join(&callers[i]);
            cr_assert_eq(callers[i].cls, PFS_OK, "%s: %s", pfs_class_name(callers[i].cls),
                         callers[i].w.err.text);
        }
    }
    world_close(&w);
}

Test(cancel, nothing_in_flight)
{
    struct world w = {0};

    world_open(&w, world_serve, NULL, NULL);
    pfs_cancel_all(w.c);
    cr_assert_eq(world_mkdir(&w), PFS_OK, "%s", w.err.text);
    pfs_cancel_all(w.c);
    cr_assert_eq(world_mkdir(&w), PFS_OK, "%s", w.err.text);
    world_close(&w);
}
