/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* Over loopback: streams whose peer ends them in odd ways, and whose owner does. */
#include "conn/conn.h"
#include "fs/async.h"
#include "world.h"
#include <criterion/criterion.h>
#include <string.h>
#include <time.h>

/* Answers an upload once the first bytes of its body came, and reads no further. */
static void answer_first_bytes(struct h2server *s, struct h2peer *p)
{
    h2peer_hello(p, 0, NULL);
    struct h2req *r = h2peer_head(p);
    struct h2frame f;

    if (r && h2peer_wait(p, H2_DATA, &f)) {
        h2peer_reply(p, r->stream, "200", s->arg);
    }
    h2peer_drain(p);
}

/* What a lying peer answers, and what the caller wrote in two pieces of four bytes. */
Test(stream, A046_an_early_success_is_none)
{
    static char some[] = "{\"message\":\"Written 4 bytes\"}",
                more[] = "{\"message\":\"Written 9 bytes\"}";
    char *const answers[] = {some, more};

    for (size_t i = 0; i < 2; i++) {
        for (int known = 0; known < 2; known++) {
            struct world w = {0};
            struct pfs_stream *s;

            world_open(&w, answer_first_bytes, answers[i], NULL);
            cr_assert_eq(pfs_open_write(w.c, "/f", known ? 8 : -1, 0, &s, &w.err), PFS_OK);
            enum pfs_class cls = pfs_stream_write(s, "four", 4, &w.err);
            if (cls == PFS_OK) {
                cls = pfs_stream_write(s, "more", 4, &w.err);
            }
            if (cls == PFS_OK) {
                cls = pfs_stream_finish(s, &w.err);
            }
            cr_assert_eq(cls, PFS_PROTOCOL, "%s: %s", answers[i], w.err.text);
            assert_err(&w, PFS_PROTOCOL, PFS_OUTCOME_UN, PFS_PHASE_SEND);
            cr_assert_eq(pfs_stream_finish(s, &w.err), PFS_PROTOCOL, "and it stays so");
            pfs_stream_close(s);
            world_close(&w);
        }
    }
}

/* The first connection ends in order when so many bytes of the body have come. */
struct closing {
    size_t after;
    bool gives_credit;
    const char *body; /* that must come, */
    size_t len;
    bool is_whole; /* and did, to the next connection */
};

static void close_under_the_upload(struct h2server *s, struct h2peer *p)
{
    struct closing *plan = s->arg;
    struct h2frame f;

    p->gives_credit = p->index > 0 || plan->gives_credit;
    h2peer_hello(p, 0, NULL);
    if (p->index > 0) {
        struct h2req *r = h2peer_request(p);

        if (r) {
            plan->is_whole = pfs_buf_len(&r->body) == plan->len &&
                             memcmp(pfs_buf_data(&r->body), plan->body, plan->len) == 0;
            world_reply(p, r);
            h2peer_forget(r);
        }
    } else {
        for (size_t n = 0; n < plan->after && h2peer_wait(p, H2_DATA, &f); n += f.len) {
        }
        h2server_signal(s);
        h2peer_goaway(p, 0, H2_NO_ERROR, "");
    }
    h2peer_drain(p);
}

/*
 * What was sent of an upload is kept as long as it is little, and goes to another connection then,
 * however the owner cut it into pieces, and how many of them it got back.
 */
Test(stream, A039_an_upload_survives_an_orderly_close)
{
    static const struct {
        size_t len, piece, after;
        bool declared;
    } rows[] = {
        {100000, 100000, 65535, true}, /* in the first piece */
        {100000, 1000, 65535, true},   /* in one of many */
        {100000, 1000, 65535, false},
        {10, 5, 5, true}, /* between two */
        {10, 10, 10, true},
        {60000, 20000, 60000, false}, /* after the last */
    };
    static char body[100000];

    for (size_t i = 0; i < sizeof body; i++) {
        body[i] = (char)(i * 7 / 3);
    }
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct closing plan = {.after = rows[i].after, .body = body, .len = rows[i].len};
        struct world w = {0};
        struct pfs_stream *s;

        world_open(&w, close_under_the_upload, &plan, OPTIONS("max_connections", "1"));
        int64_t length = rows[i].declared ? (int64_t)rows[i].len : -1;
        cr_assert_eq(pfs_open_write(w.c, "/f", length, 0, &s, &w.err), PFS_OK);
        for (size_t n = 0; n < rows[i].len; n += rows[i].piece) {
            cr_assert_eq(pfs_stream_write(s, body + n, rows[i].piece, &w.err), PFS_OK,
                         "row %zu at %zu: %s", i, n, w.err.text);
            if (n + rows[i].piece == rows[i].after) {
                cr_assert(h2server_await(&w.server, 1));
            }
        }
        cr_assert_eq(pfs_stream_finish(s, &w.err), PFS_OK, "row %zu: %s", i, w.err.text);
        pfs_stream_close(s);
        world_close(&w);
        cr_assert(plan.is_whole, "row %zu", i);
    }
}

Test(stream, A039_an_upload_of_which_too_much_was_sent_is_refused)
{
    static char body[1 << 20];
    struct closing plan = {.after = 300000, .gives_credit = true};
    struct world w = {0};
    struct pfs_stream *s;

    world_open(&w, close_under_the_upload, &plan, OPTIONS("max_connections", "1"));
    cr_assert_eq(pfs_open_write(w.c, "/f", sizeof body, 0, &s, &w.err), PFS_OK);
    enum pfs_class cls = pfs_stream_write(s, body, 400000, &w.err);

    cr_assert(h2server_await(&w.server, 1));
    if (cls == PFS_OK) { /* taken before the news came */
        cls = pfs_stream_write(s, body, sizeof body - 400000, &w.err);
    }
    if (cls == PFS_OK) {
        cls = pfs_stream_finish(s, &w.err);
    }
    cr_assert_eq(cls, PFS_REFUSED, "%s", w.err.text);
    cr_assert_eq(w.err.outcome, PFS_OUTCOME_NA);
    pfs_stream_close(s);
    world_close(&w);
}

/* Ends a download in its middle when told to. */
static void cut_download(struct h2server *s, struct h2peer *p)
{
    h2peer_hello(p, 0, NULL);
    struct h2req *r = h2peer_head(p);

    if (r) {
        h2peer_headers(p, 0, r->stream, (const char *const[]){":status", "200", NULL});
        h2server_await(s, 1);
        h2peer_rst(p, r->stream, H2_INTERNAL_ERROR);
    }
    h2peer_drain(p);
}

struct last_call {
    atomic_bool began, ended;
    enum pfs_class cls;
};

static void slow_end(void *arg, size_t n, const struct pfs_error *err)
{
    struct last_call *l = arg;

    l->cls = err->cls;
    atomic_store(&l->began, true);
    nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL); /* as a busy machine may make it */
    atomic_store(&l->ended, true);
}

Test(stream, A096_the_client_ends_after_the_last_callback)
{
    struct world w = {0};
    struct pfs_stream *s;
    struct last_call last = {0};
    struct pfs_client *other;
    char buf[10];

    world_open(&w, cut_download, NULL, NULL);
    other = w.c; /* keeps the connections, whose end would be waited for */
    world_client(&w, NULL);
    cr_assert_eq(pfs_open_read(w.c, "/f", 0, -1, &s, &w.err), PFS_OK, "%s", w.err.text);
    s->ops->read(s, buf, sizeof buf, slow_end, &last);
    h2server_signal(&w.server);
    while (!atomic_load(&last.began)) {
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    pfs_client_free(w.c);
    w.c = NULL;
    cr_assert(atomic_load(&last.ended), "the client is gone while a callback of its runs");
    cr_assert_eq(last.cls, PFS_TRUNCATED);
    pfs_stream_close(s);
    pfs_client_free(other);
    world_close(&w);
}

/* Where calls arrived: on a connection that had a stream, or on one that had none. */
struct arrivals {
    atomic_uint streams_first, streams_shared, calls_beside, calls_alone;
};

/* Begins a large reply to each read and leaves it at that; answers everything else. */
static void begin_reads(struct h2server *s, struct h2peer *p)
{
    static const char *const large[] = {":status", "200", "content-length", "1000000", NULL};
    struct arrivals *a = s->arg;
    bool has_stream = false;

    h2peer_hello(p, 0, NULL);
    for (struct h2req *r; (r = h2peer_request(p)) != NULL;) {
        if (strstr(r->path, "/files?")) {
            atomic_fetch_add(has_stream ? &a->streams_shared : &a->streams_first, 1);
            h2peer_headers(p, 0, r->stream, large); /* counted before: the client reads it then */
            has_stream = true;
        } else {
            atomic_fetch_add(has_stream ? &a->calls_beside : &a->calls_alone, 1);
            world_reply(p, r);
        }
        h2peer_forget(r);
    }
}

Test(stream, small_calls_have_a_connection_without_streams)
{
    for (int n = 1; n <= 2; n++) {
        struct world w = {0};
        struct arrivals a = {0};
        struct pfs_stream *s[4];

        world_open(&w, begin_reads, &a,
                   (const char *const[]){"max_connections", n == 1 ? "1" : "2", NULL});
        cr_assert_eq(pfs_open_read(w.c, "/f", 0, -1, &s[0], &w.err), PFS_OK, "%s", w.err.text);
        world_mark(&w);
        do {
            cr_assert_eq(world_stat(&w), PFS_OK, "%s", w.err.text);
        } while (n == 2 && atomic_load(&a.calls_alone) == 0 && world_ms(&w) < 10000);
        unsigned beside = atomic_load(&a.calls_beside);
        for (int i = 1; i < 4; i++) {
            cr_assert_eq(pfs_open_read(w.c, "/f", 0, -1, &s[i], &w.err), PFS_OK, "%s", w.err.text);
            cr_assert_eq(world_stat(&w), PFS_OK, "%s", w.err.text);
        }
        cr_expect_eq(atomic_load(&a.calls_beside) - beside, n == 1 ? 3 : 0);
        cr_expect_eq(atomic_load(&a.streams_first), 1, "one connection has all streams");
        cr_expect_eq(atomic_load(&a.streams_shared), 3);
        cr_expect_eq(atomic_load(&w.server.n_conns), (unsigned)n);
        for (int i = 0; i < 4; i++) {
            pfs_stream_close(s[i]);
        }
        world_close(&w);
    }
}

/* Four bytes at once, and one more when told to. */
static void send_four_and_one(struct h2server *s, struct h2peer *p)
{
    h2peer_hello(p, 0, NULL);
    struct h2req *r = h2peer_head(p);

    if (r) {
        h2peer_headers(p, 0, r->stream, (const char *const[]){":status", "200", NULL});
        h2peer_data(p, 0, r->stream, "four");
        h2server_await(s, 1);
        h2peer_data(p, H2_END_STREAM, r->stream, "1");
    }
    h2peer_drain(p);
}

struct piece {
    char buf[10];
    size_t n;
    atomic_bool came;
};

static void on_piece(void *arg, size_t n, const struct pfs_error *err)
{
    struct piece *p = arg;

    cr_assert_eq(err->cls, PFS_OK, "%s", err->text);
    p->n = n;
    atomic_store(&p->came, true);
}

static void await_piece(const struct world *w, struct piece *p)
{
    while (!atomic_load(&p->came)) {
        cr_assert_lt(world_ms(w), 20000, "nobody looked again");
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    atomic_store(&p->came, false);
}

static struct pfs_stream *open_four_and_one(struct world *w)
{
    struct pfs_stream *s;

    world_open(w, send_four_and_one, NULL, NULL);
    world_mark(w);
    cr_assert_eq(pfs_open_read(w->c, "/f", 0, -1, &s, &w->err), PFS_OK, "%s", w->err.text);
    return s;
}

/* With the connection's lock taken, a read that waited for it would never return. */
Test(stream, a_read_waits_for_no_one_at_the_connection, .timeout = 60)
{
    struct world w = {0};
    struct piece p = {.n = 0};
    struct pfs_stream *s = open_four_and_one(&w);
    struct conn *c = exchange_conn(&((struct stream *)s)->a->op.ex);
    s->ops->read(s, p.buf, 2, on_piece, &p);
    await_piece(&w, &p);
    cr_assert(p.n == 2 && memcmp(p.buf, "fo", 2) == 0);

    pthread_mutex_lock(&c->mu);
    s->ops->read(s, p.buf, sizeof p.buf, on_piece, &p);
    cr_assert(atomic_load(&c->has_lookers), "more has come: it is looked for, later");
    cr_assert_not(atomic_load(&p.came));
    pthread_mutex_unlock(&c->mu);
    await_piece(&w, &p);
    cr_assert(p.n == 2 && memcmp(p.buf, "ur", 2) == 0);

    s->ops->read(s, p.buf, sizeof p.buf, on_piece, &p); /* nothing has come: it waits */
    h2server_signal(&w.server);
    await_piece(&w, &p);
    cr_assert(p.n == 1 && p.buf[0] == '1');
    conn_unref(c);
    pfs_stream_close(s);
    world_close(&w);
}

/* The timer was on its way already when the read that it stood for ended. */
Test(stream, a_read_does_not_suffer_from_the_deadline_of_the_one_before)
{
    struct world w = {0};
    struct piece p = {.n = 0};
    struct pfs_stream *s = open_four_and_one(&w);
    struct async_op *a = ((struct stream *)s)->a;
    s->ops->read(s, p.buf, 4, on_piece, &p);
    await_piece(&w, &p);
    async_ref(a); /* the timer's */
    a->timer.on_time(&a->timer);
    s->ops->read(s, p.buf, sizeof p.buf, on_piece, &p);
    async_ref(a);
    a->timer.on_time(&a->timer);
    h2server_signal(&w.server);
    await_piece(&w, &p);
    cr_assert(p.n == 1 && p.buf[0] == '1');
    pfs_stream_close(s);
    world_close(&w);
}

/* ---- parts that are not what was asked for ---- */

struct part_reply {
    const char *range, *length; /* NULL: not said */
    enum pfs_class cls;         /* of opening: TRUNCATED, when it is not taken for the part */
};

/* Answers reads of 1 MiB with the header at hand, and with no content. */
static void answer_part(struct h2server *s, struct h2peer *p)
{
    const struct part_reply *a = s->arg;
    const char *fields[] = {
        ":status", "206",           "agfs-boot", "0123456789abcdef; features=ranges", "etag",
        "\"v\"",   "content-range", a->range,    a->length ? "content-length" : NULL, a->length,
        NULL};

    h2peer_hello(p, 0, NULL);
    for (struct h2req *r; (r = h2peer_request(p)) != NULL;) {
        if (strstr(r->path, "/files?")) {
            h2peer_headers(p, 0, r->stream, fields);
            h2peer_rst(p, r->stream, H2_INTERNAL_ERROR);
        } else {
            h2peer_headers(p, 0, r->stream,
                           (const char *const[]){":status", "200", "content-type",
                                                 "application/json", fields[2], fields[3], NULL});
            h2peer_data(p, H2_END_STREAM, r->stream, "{\"status\":\"healthy\"}");
        }
        h2peer_forget(r);
    }
}

Test(stream, a_part_of_another_length_than_asked_for_is_refused)
{
    static const struct part_reply replies[] = {
        {"bytes 0-1048575/9000000", "1048576", PFS_OK},
        {"bytes 0-99/100", "100", PFS_OK},
        {"bytes 0-1048575/9000000", NULL, PFS_TRUNCATED}, /* of any length: more than room for */
        {"bytes 0-1048575/9000000", "2097152", PFS_TRUNCATED}, /* says two things */
        {"bytes 0-1048575/9000000", "1000", PFS_TRUNCATED},
        {"bytes 0-2097151/9000000", "2097152", PFS_TRUNCATED}, /* too much */
    };

    for (size_t i = 0; i < sizeof replies / sizeof *replies; i++) {
        struct world w = {0};
        struct pfs_stream *s;

        world_open(&w, answer_part, (void *)(uintptr_t)&replies[i],
                   (const char *const[]){"transfer_streams", "16", "retries", "1", NULL});
        cr_assert_eq(pfs_health(w.c, &w.err), PFS_OK); /* that there are parts, it says */
        enum pfs_class cls = pfs_open_read(w.c, "/f", 0, -1, &s, &w.err);
        cr_expect_eq(cls, replies[i].cls, "row %zu: %s", i, cls == PFS_OK ? "" : w.err.text);
        if (cls == PFS_OK) {
            pfs_stream_close(s);
        }
        world_close(&w);
    }
}

/* ---- streams used the wrong way round ---- */

Test(stream, a_stream_has_one_direction)
{
    struct world w = {0};
    struct pfs_stream *s;
    char buf[10];
    size_t n;

    world_open(&w, world_serve, NULL, NULL);
    cr_assert_eq(pfs_open_write(w.c, "/f", -1, 0, &s, &w.err), PFS_OK, "%s", w.err.text);
    cr_expect_eq(pfs_stream_read(s, buf, sizeof buf, &n, &w.err), PFS_DENIED);
    assert_err(&w, PFS_DENIED, PFS_OUTCOME_NA, PFS_PHASE_LOCAL);
    cr_expect_eq(pfs_stream_finish(s, &w.err), PFS_OK, "the upload goes on: %s", w.err.text);
    cr_expect_eq(pfs_stream_read(s, buf, sizeof buf, &n, &w.err), PFS_DENIED);
    pfs_stream_close(s);

    cr_assert_eq(pfs_open_read(w.c, "/f", 0, -1, &s, &w.err), PFS_OK, "%s", w.err.text);
    cr_expect_eq(pfs_stream_write(s, "x", 1, &w.err), PFS_DENIED);
    cr_expect_eq(pfs_stream_write(s, "", 0, &w.err), PFS_DENIED);
    cr_expect_eq(pfs_stream_finish(s, &w.err), PFS_DENIED);
    cr_expect_eq(pfs_stream_read(s, buf, sizeof buf, &n, &w.err), PFS_OK,
                 "the download goes on: %s", w.err.text);
    cr_expect_eq(n, 7);
    pfs_stream_close(s);
    world_close(&w);
}

Test(stream, no_room_is_not_the_end)
{
    struct world w = {0};
    struct pfs_stream *s;
    char buf[10];
    size_t n = 99;

    world_open(&w, world_serve, NULL, NULL);
    cr_assert_eq(pfs_open_read(w.c, "/f", 0, -1, &s, &w.err), PFS_OK, "%s", w.err.text);
    cr_expect_eq(pfs_stream_read(s, buf, 0, &n, &w.err), PFS_INVALID);
    assert_err(&w, PFS_INVALID, PFS_OUTCOME_NA, PFS_PHASE_LOCAL);
    cr_expect_eq(n, 99, "it was touched");
    cr_expect_eq(pfs_stream_read(s, buf, sizeof buf, &n, &w.err), PFS_OK, "%s", w.err.text);
    cr_expect_eq(n, 7);
    cr_expect_eq(pfs_stream_read(s, buf, sizeof buf, &n, &w.err), PFS_OK, "%s", w.err.text);
    cr_expect_eq(n, 0, "the end");
    pfs_stream_close(s);
    world_close(&w);
}

Test(stream, a_stream_for_writing_without_a_connection_cannot_be_read)
{
    struct world w = {0};
    struct pfs_stream *s;
    char buf[10];
    size_t n;

    h2server_hold_port(&w.server);
    world_client(&w, NULL);
    cr_assert_eq(pfs_open_write(w.c, "/f", -1, 0, &s, &w.err), PFS_OK, "%s", w.err.text);
    cr_assert_eq(pfs_stream_read(s, buf, sizeof buf, &n, &w.err), PFS_DENIED);
    pfs_stream_close(s);
    pfs_client_free(w.c);
    h2server_let_go(&w.server);
}
