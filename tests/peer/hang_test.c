/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* Over loopback: peers that stall. Every call ends in its time, and others are not held up. */
#include "world.h"
#include <criterion/criterion.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Takes requests and answers none, answering PINGs or not. */
static void deaf(struct h2server *s, struct h2peer *p)
{
    p->answers_pings = s->arg == NULL;
    h2peer_hello(p, 0, NULL);
    for (struct h2req *r; (r = h2peer_request(p)) != NULL;) {
        h2server_count(s);
        h2server_signal(s);
        h2peer_forget(r);
    }
    h2peer_drain(p);
}

Test(hang, A090_no_answer_until_the_deadline)
{
    struct world w = {0};

    world_open(&w, deaf, NULL, OPTIONS("timeout", "2s"));
    world_mark(&w);
    cr_assert_eq(world_write(&w, "x"), PFS_TIMEOUT);
    assert_err(&w, PFS_TIMEOUT, PFS_OUTCOME_UN, PFS_PHASE_WAIT);
    cr_assert(world_ms(&w) >= 2000 && world_ms(&w) < 20000, "%d ms", (int)world_ms(&w));
    cr_assert(h2server_await(&w.server, 1));
    cr_assert_eq(atomic_load(&w.server.n_requests), 1);
    world_close(&w);
}

Test(hang, A008_a_dead_peer_is_found_by_ping)
{
    struct world w = {0};

    world_open(&w, deaf, &w,
               OPTIONS("timeout", "30s", "keepalive_interval", "1s", "keepalive_timeout", "500ms"));
    world_mark(&w);
    cr_assert_eq(world_write(&w, "x"), PFS_CONN_LOST);
    assert_err(&w, PFS_CONN_LOST, PFS_OUTCOME_UN, PFS_PHASE_WAIT);
    cr_assert(world_ms(&w) < 20000, "%d ms", (int)world_ms(&w));
    cr_assert_eq(atomic_load(&w.server.n_requests), 1);
    world_close(&w);
}

Test(hang, A008_a_slow_peer_that_answers_pings_is_not_dead)
{
    struct world w = {0};

    world_open(&w, deaf, NULL,
               OPTIONS("timeout", "5s", "keepalive_interval", "1s", "keepalive_timeout", "3s"));
    cr_assert_eq(world_write(&w, "x"), PFS_TIMEOUT, "%s", w.err.text);
    world_close(&w);
}

/* Never reads again after the first request header. */
static void stop_reading(struct h2server *s, struct h2peer *p)
{
    h2peer_hello(p, 1, (uint32_t[]){H2_SET_WINDOW, 0x7fffffff});
    h2peer_head(p);
    h2server_count(s);
    h2peer_window(p, 0, 0x3fffffff);
    h2server_await(s, 1);
}

Test(hang, A009_dead_while_the_send_buffer_is_full)
{
    struct world w = {0};
    size_t n = 40u << 20;
    char *big = calloc(1, n);

    world_open(&w, stop_reading, NULL,
               OPTIONS("timeout", "60s", "keepalive_interval", "1s", "keepalive_timeout", "500ms"));
    world_mark(&w);
    enum pfs_class cls =
        pfs_write(w.c, "/q", big, n, -1, PFS_WRITE_CREATE | PFS_WRITE_TRUNCATE, NULL, &w.err);
    cr_assert_eq(cls, PFS_CONN_LOST, "%s", w.err.text);
    cr_assert_eq(w.err.outcome, PFS_OUTCOME_UN);
    cr_assert(world_ms(&w) < 30000, "%d ms", (int)world_ms(&w));
    h2server_signal(&w.server);
    world_close(&w);
    free(big);
}

static void no_streams(struct h2server *s, struct h2peer *p)
{
    h2peer_hello(p, 1, (uint32_t[]){H2_SET_MAX_STREAMS, 0});
    h2server_signal(s);
    if (s->arg) { /* allows some later, once a call waits */
        h2server_await(s, 100);
        h2peer_settings(p, 1, (uint32_t[]){H2_SET_MAX_STREAMS, 10});
    }
    for (struct h2req *r; (r = h2peer_request(p)) != NULL;) {
        h2server_count(s);
        world_reply(p, r);
        h2peer_forget(r);
    }
}

Test(hang, A050_no_streams_for_ever)
{
    struct world w = {0};

    world_open(&w, no_streams, NULL, OPTIONS("timeout", "2s"));
    world_mark(&w);
    cr_assert_eq(world_write(&w, "x"), PFS_TIMEOUT);
    assert_err(&w, PFS_TIMEOUT, PFS_OUTCOME_NA, PFS_PHASE_QUEUE);
    cr_assert(world_ms(&w) < 20000, "%d ms", (int)world_ms(&w));
    cr_assert_eq(atomic_load(&w.server.n_requests), 0);
    cr_assert_leq(atomic_load(&w.server.n_conns), 4);
    world_close(&w);
}

static void *one_write(void *arg)
{
    world_write(arg, "x");
    return NULL;
}

Test(hang, A049_streams_allowed_later_wake_who_waits)
{
    struct world w = {0};
    pthread_t t;

    world_open(&w, no_streams, &w, OPTIONS("timeout", "20s", "max_connections", "1"));
    w.err.cls = PFS_OK;
    pthread_create(&t, NULL, one_write, &w);
    h2server_await(&w.server, 1);
    for (unsigned i = 0; i < 100; i++) {
        h2server_signal(&w.server);
    }
    pthread_join(t, NULL);
    cr_assert_eq(w.err.cls, PFS_OK, "%s", w.err.text);
    cr_assert_eq(atomic_load(&w.server.n_requests), 1);
    world_close(&w);
}

/* One stream at a time, strictly. */
static void one_stream(struct h2server *s, struct h2peer *p)
{
    h2peer_hello(p, 1, (uint32_t[]){H2_SET_MAX_STREAMS, 1});
    for (struct h2req *r; (r = h2peer_request(p)) != NULL;) {
        for (unsigned i = 0, open = 0; i < H2PEER_STREAMS; i++) {
            open += p->streams[i].stream != 0;
            if (open > 1) {
                h2peer_rst(p, r->stream, H2_PROTOCOL_ERROR);
            }
        }
        h2server_count(s);
        world_reply(p, r);
        h2peer_forget(r);
    }
}

struct caller {
    pthread_t thread;
    struct world w; /* shares the client */
    unsigned n, ok;
};

static void *call_often(void *arg)
{
    struct caller *c = arg;

    for (unsigned i = 0; i < c->n; i++) {
        c->ok += world_mkdir(&c->w) == PFS_OK;
    }
    return NULL;
}

static void call_together(struct world *w, struct caller *callers, unsigned n, unsigned each)
{
    for (unsigned i = 0; i < n; i++) {
        callers[i] = (struct caller){.n = each};
        callers[i].w.c = w->c;
        pthread_create(&callers[i].thread, NULL, call_often, &callers[i]);
    }
    for (unsigned i = 0; i < n; i++) {
        pthread_join(callers[i].thread, NULL);
    }
}

Test(hang, A049_one_stream_at_a_time)
{
    struct world w = {0};
    static struct caller callers[8];

    world_open(&w, one_stream, NULL, NULL);
    call_together(&w, callers, 8, 50);
    for (unsigned i = 0; i < 8; i++) {
        cr_assert_eq(callers[i].ok, 50, "%s", callers[i].w.err.text);
    }
    cr_assert_eq(atomic_load(&w.server.n_requests), 400);
    cr_assert_leq(atomic_load(&w.server.n_conns), 4);
    world_close(&w);
}

static void no_window(struct h2server *s, struct h2peer *p)
{
    h2peer_hello(p, 1, (uint32_t[]){H2_SET_WINDOW, 0});
    p->gives_credit = false;
    h2peer_head(p);
    h2server_count(s);
    h2server_signal(s);
    h2peer_drain(p);
}

Test(hang, A051_no_window)
{
    struct world w = {0};

    world_open(&w, no_window, NULL, OPTIONS("timeout", "2s"));
    world_mark(&w);
    cr_assert_eq(world_write(&w, "some bytes"), PFS_TIMEOUT);
    assert_err(&w, PFS_TIMEOUT, PFS_OUTCOME_UN, PFS_PHASE_SEND);
    cr_assert(world_ms(&w) < 20000, "%d ms", (int)world_ms(&w));
    cr_assert(h2server_await(&w.server, 1));
    cr_assert_eq(atomic_load(&w.server.n_requests), 1);
    world_close(&w);
}

/* The first request is answered late, the others at once. */
static void first_is_late(struct h2server *s, struct h2peer *p)
{
    uint32_t first = 0;

    h2peer_hello(p, 0, NULL);
    for (struct h2req *r; (r = h2peer_request(p)) != NULL;) {
        h2server_count(s);
        if (!first && p->index == 0) {
            first = r->stream;
        } else {
            if (first) { /* after its caller gave it up */
                h2peer_reply(p, first, "200", "{\"message\":\"late\"}");
            }
            world_reply(p, r);
        }
        h2peer_forget(r);
    }
}

Test(hang, A091_a_late_answer_harms_nobody)
{
    struct world w = {0};

    world_open(&w, first_is_late, NULL, OPTIONS("timeout", "3s", "max_connections", "1"));
    cr_assert_eq(world_mkdir(&w), PFS_TIMEOUT);
    for (unsigned i = 0; i < 20; i++) {
        cr_assert_eq(world_stat(&w), PFS_OK, "%s", w.err.text);
    }
    cr_assert_eq(atomic_load(&w.server.n_conns), 1);
    world_close(&w);
}

Test(hang, A014_segments_of_one_byte)
{
    struct world w = {.server.slice = 1};

    world_open(&w, world_serve, NULL, NULL);
    for (unsigned i = 0; i < 20; i++) {
        cr_assert_eq(world_read(&w), PFS_OK, "%s", w.err.text);
        cr_assert_eq(world_write(&w, "hello"), PFS_OK, "%s", w.err.text);
    }
    cr_assert_eq(atomic_load(&w.server.n_requests), 40);
    world_close(&w);
}

/* PINGs and SETTINGS come while nothing is asked. */
static void chatty(struct h2server *s, struct h2peer *p)
{
    struct h2frame f;

    h2peer_hello(p, 0, NULL);
    for (unsigned i = 0; i < 3; i++) {
        struct h2req *r = h2peer_request(p);

        if (!r) {
            return;
        }
        h2server_count(s);
        world_reply(p, r);
        h2peer_forget(r);
        h2peer_ping(p);
        h2peer_settings(p, 0, NULL);
        while (h2peer_next(p, &f) && !(f.type == H2_PING && (f.flags & H2_ACK))) {
        }
        h2server_signal(s);
    }
    h2peer_drain(p);
}

Test(hang, A019_frames_on_an_idle_connection)
{
    struct world w = {0};

    world_open(&w, chatty, NULL, NULL);
    for (unsigned i = 1; i <= 3; i++) {
        cr_assert_eq(world_stat(&w), PFS_OK, "%s", w.err.text);
        cr_assert(h2server_await(&w.server, i), "the PING was not answered");
    }
    cr_assert_eq(atomic_load(&w.server.n_conns), 1);
    world_close(&w);
}

/* Answers one request on the first connection; `arg`: then nothing more, like one that a NAT
 * forgot. */
static void forgotten(struct h2server *s, struct h2peer *p)
{
    h2peer_hello(p, 0, NULL);
    for (struct h2req *r; (r = h2peer_request(p)) != NULL;) {
        h2server_count(s);
        world_reply(p, r);
        h2peer_forget(r);
        p->answers_pings = p->index > 0 || !s->arg;
    }
}

/* Longer than keepalive_interval: after that a call asks for a sign of life before it is sent. */
static void stay_silent(void)
{
    const struct timespec t = {.tv_sec = 1, .tv_nsec = 100000000};

    nanosleep(&t, NULL);
}

static void got_through(void *arg, struct pfs_reply *reply)
{
    cr_expect_eq(reply->err.cls, PFS_OK, "%s", reply->err.text);
    pfs_reply_fini(reply);
    sem_post(arg);
}

Test(hang, A010_a_call_after_a_long_silence_leaves_with_the_answer_to_the_ping)
{
    struct world w = {0};
    struct pfs_request req = PFS_REQUEST_INIT;
    sem_t through;

    sem_init(&through, 0, 0);
    world_open(&w, forgotten, NULL,
               OPTIONS("keepalive_interval", "1s", "keepalive_timeout", "30s"));
    cr_assert_eq(world_stat(&w), PFS_OK, "%s", w.err.text);
    stay_silent();
    req.op = PFS_OP_STAT;
    req.path = "/f";
    pfs_submit(w.c, &req, got_through, &through); /* the I/O thread reads that answer */
    sem_wait(&through);
    stay_silent();
    cr_assert_eq(world_stat(&w), PFS_OK, "%s", w.err.text); /* the caller does */
    cr_assert_eq(atomic_load(&w.server.n_conns), 1);
    world_close(&w);
    sem_destroy(&through);
}

Test(hang, A010_a_forgotten_connection_is_replaced_before_anything_is_sent)
{
    struct world w = {0};

    world_open(&w, forgotten, &w,
               OPTIONS("keepalive_interval", "1s", "keepalive_timeout", "200ms"));
    cr_assert_eq(world_stat(&w), PFS_OK, "%s", w.err.text);
    stay_silent();
    cr_assert_eq(world_write(&w, "x"), PFS_OK, "%s", w.err.text);
    cr_assert_eq(atomic_load(&w.server.n_conns), 2);
    cr_assert_eq(atomic_load(&w.server.n_requests), 2, "sent twice");
    world_close(&w);
}

/* 100 requests in flight, then the connection breaks. */
static void break_with_many(struct h2server *s, struct h2peer *p)
{
    h2peer_hello(p, 0, NULL);
    while (h2peer_request(p)) {
        if (atomic_fetch_add(&s->n_requests, 1) + 1 == 100) {
            if (s->arg) {
                h2server_reset(p);
            }
            return;
        }
    }
}

struct flight {
    pthread_mutex_t mu;
    pthread_cond_t cond;
    unsigned done, lost, unknown;
};

static void landed(void *arg, struct pfs_reply *reply)
{
    struct flight *f = arg;

    pthread_mutex_lock(&f->mu);
    f->lost += reply->err.cls == PFS_CONN_LOST;
    f->unknown += reply->err.outcome == PFS_OUTCOME_UN;
    f->done++;
    pthread_cond_signal(&f->cond);
    pthread_mutex_unlock(&f->mu);
    pfs_reply_fini(reply);
}

Test(hang, A006_A007_all_in_flight_wake)
{
    for (unsigned k = 0; k < 2; k++) {
        struct flight f = {.mu = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER};
        struct world w = {0};

        world_open(&w, break_with_many, k ? &w : NULL,
                   OPTIONS("timeout", "20s", "max_connections", "1"));
        world_mark(&w);
        for (unsigned i = 0; i < 100; i++) {
            struct pfs_request req = PFS_REQUEST_INIT;

            req.op = PFS_OP_MKDIR;
            req.path = "/d";
            pfs_submit(w.c, &req, landed, &f);
        }
        pthread_mutex_lock(&f.mu);
        while (f.done < 100) {
            pthread_cond_wait(&f.cond, &f.mu);
        }
        pthread_mutex_unlock(&f.mu);
        cr_assert_eq(f.lost, 100);
        cr_assert_eq(f.unknown, 100);
        cr_assert(world_ms(&w) < 15000, "long before the deadline: %d ms", (int)world_ms(&w));
        cr_assert_eq(atomic_load(&w.server.n_requests), 100);
        world_close(&w);
    }
}
