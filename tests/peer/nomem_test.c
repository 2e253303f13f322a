/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "base/alloc.h"
#include "base/err.h"
#include "support/h2peer.h"
#include <criterion/criterion.h>
#include <string.h>

/* Memory that runs out here is no word of the peer, to whom nothing was sent. */
static void check(const struct exchange *ex, unsigned long nth)
{
    if (ex->failure == FAILURE_NONE) {
        return;
    }
    cr_assert_neq(ex->failure, FAILURE_REFUSED, "allocation %lu: %s", nth, ex->err.text);
    cr_assert_eq(ex->err.outcome, PFS_OUTCOME_NA, "allocation %lu: %s", nth, ex->err.text);
    /* HPACK's lack of memory is one of its errors; nghttp2 does not tell them apart. */
    cr_assert(ex->err.cls == PFS_NOMEM || ex->failure == FAILURE_NOT_SENT, "allocation %lu: %s",
              nth, ex->err.text);
}

/* True: the allocation was one of those that were made. */
static bool try_nth(unsigned long nth)
{
    struct exchange ex;
    struct h2mem m;
    char out[4096];
    size_t n = 0;
    struct pfs_error err;

    h2mem_open(&m, 100, 0, NULL);
    m.s->ops->rest(m.s); /* no block is kept: all come from the allocator */
    pfs_alloc_fail_nth(nth);
    bool taken = h2mem_get(&m, &ex);
    enum pfs_class cls = taken ? m.s->ops->drain(m.s, out, sizeof out, &n, &err) : PFS_OK;
    bool reached = pfs_alloc_count() >= nth;

    pfs_alloc_fail_nth(0);
    if (taken && cls != PFS_OK) { /* as the connection does */
        m.s->ops->fail_all(m.s, &err);
    }
    if (taken) {
        check(&ex, nth);
        h2mem_done(&m, &ex);
        if (ex.in_session) {
            pfs_nomem(&err, "the test");
            m.s->ops->fail_all(m.s, &err);
            h2mem_done(&m, &ex);
        }
    }
    exchange_fini(&ex);
    h2mem_close(&m);
    return reached;
}

Test(nomem, no_memory_for_a_request_is_said_as_such)
{
    unsigned long nth = 1;

    while (try_nth(nth)) {
        nth++;
    }
    cr_assert_gt(nth, 4, "only %lu allocations", nth);
}

/* ---- uploads, longer than the peer's window ---- */

#define UPLOADS 10 /* nghttp2's queue of bodies gets new memory with the first and the ninth */
#define BODY 20000u

/* What a connection does with a session, up to the first error. */
struct uploads {
    struct h2mem m;
    bool one_by_one; /* each has sent what it can before the next is submitted; all are streamed */
    struct exchange ex[UPLOADS];
    unsigned n; /* taken */
    enum pfs_class cls;
    struct pfs_error err;
};

static enum pfs_class drain_once(struct uploads *u, size_t *ret_n, struct pfs_error *err)
{
    char out[4096];

    return u->m.s->ops->drain(u->m.s, out, sizeof out, ret_n, err);
}

/* An allocation fails once: a session that went on with nghttp2 would find memory again. */
static void check_over(struct uploads *u)
{
    struct pfs_error err;
    size_t n;

    cr_assert(u->cls != PFS_NOMEM || drain_once(u, &n, &err) == PFS_NOMEM);
    cr_assert(u->cls != PFS_NOMEM || u->m.s->ops->feed(u->m.s, "", 1, 0, &err) == PFS_NOMEM);
}

static void drain(struct uploads *u)
{
    for (size_t n = 1; u->cls == PFS_OK && n > 0;) {
        u->cls = drain_once(u, &n, &u->err);
        check_over(u);
    }
}

static void submit(struct uploads *u, const char *body)
{
    for (unsigned i = 0; i < UPLOADS && u->cls == PFS_OK; i++) {
        struct exchange *ex = &u->ex[i];

        ex->method = "PUT";
        ex->target = "/x";
        ex->reply_max = 1000;
        ex->body_stream_len = -1;
        ex->body_stream = u->one_by_one || i % 2;
        if (ex->body_stream) {
            ex->chunk.at = body;
            ex->chunk.n = BODY / 2;
        } else {
            ex->body = body;
            ex->body_len = BODY;
        }
        u->cls = u->m.s->ops->submit(u->m.s, ex, &u->err);
        u->n += u->cls == PFS_OK;
        if (u->one_by_one) {
            drain(u);
        }
    }
}

/* Straight into the session: the peer's own memory is none of what fails. */
static void feed(struct uploads *u, unsigned type, int32_t stream, uint32_t value)
{
    const unsigned char frame[] = {
        0,
        0,
        4,
        (unsigned char)type,
        0,
        0,
        0,
        0,
        (unsigned char)stream,
        (unsigned char)(value >> 24),
        (unsigned char)(value >> 16),
        (unsigned char)(value >> 8),
        (unsigned char)value,
    };

    if (u->cls == PFS_OK) {
        u->cls = u->m.s->ops->feed(u->m.s, frame, sizeof frame, 0, &u->err);
        check_over(u);
    }
}

static void give_the_rest(struct uploads *u, const char *body)
{
    for (unsigned i = 0; i < UPLOADS && u->cls == PFS_OK; i++) {
        struct exchange *ex = &u->ex[i];

        if (ex->body_stream) {
            ex->chunk.at = body;
            ex->chunk.n = BODY / 2;
            ex->chunk.last = true;
            u->m.s->ops->resume(u->m.s, ex);
        }
    }
    if (u->cls == PFS_OK && u->m.s->ops->wants_drain(u->m.s)) {
        drain(u);
    }
}

static void run(struct uploads *u)
{
    static const char body[BODY];
    struct pfs_error why;

    submit(u, body);
    drain(u); /* as far as the window goes */
    feed(u, H2_WINDOW_UPDATE, 0, 1 << 20);
    drain(u);
    give_the_rest(u, body);
    for (unsigned i = 0; i < UPLOADS && u->cls == PFS_OK; i++) {
        cr_assert(u->ex[i].request_sent || u->ex[i].failure != FAILURE_NONE,
                  "upload %u stands still", i);
    }
    if (u->cls == PFS_OK && u->ex[0].in_session) {
        pfs_fail(&why, PFS_TIMEOUT, PFS_OUTCOME_UN, PFS_PHASE_WAIT, "the test");
        u->m.s->ops->cancel(u->m.s, &u->ex[0], &why);
    }
    if (u->cls == PFS_OK && u->ex[1].in_session) {
        feed(u, H2_RST_STREAM, u->ex[1].stream_id, H2_CANCEL);
    }
    drain(u);
}

static bool upload_nth(unsigned long nth, bool one_by_one)
{
    struct uploads u = {.one_by_one = one_by_one, .cls = PFS_OK};
    struct pfs_error why;

    for (unsigned i = 0; i < UPLOADS; i++) {
        exchange_init(&u.ex[i]);
    }
    h2mem_open(&u.m, 100, 0, NULL);
    u.m.s->ops->rest(u.m.s);
    pfs_alloc_fail_nth(nth);
    run(&u);
    bool reached = pfs_alloc_count() >= nth;

    pfs_alloc_fail_nth(0);
    /* PROTOCOL: HPACK again; a session that could not pack a header ends as a broken one */
    cr_assert(u.cls == PFS_OK || u.cls == PFS_NOMEM || u.cls == PFS_PROTOCOL, "allocation %lu: %s",
              nth, u.err.text);
    pfs_nomem(&why, "the test");
    u.m.s->ops->fail_all(u.m.s, u.cls == PFS_OK ? &why : &u.err);
    for (unsigned i = 0; i < UPLOADS; i++) {
        cr_assert_eq(h2mem_done(&u.m, &u.ex[i]), i < u.n, "allocation %lu, upload %u", nth, i);
        exchange_fini(&u.ex[i]);
    }
    h2mem_close(&u.m);
    return reached;
}

/* nghttp2 1.52 keeps a body that found no room in its queue, and has freed it. */
Test(nomem, a_session_without_memory_is_not_used_any_more)
{
    for (int one_by_one = 0; one_by_one < 2; one_by_one++) {
        unsigned long nth = 1;

        while (upload_nth(nth, one_by_one)) {
            nth++;
        }
        cr_assert_gt(nth, 4, "only %lu allocations", nth);
    }
}

/* Else the peer would wait for it, and the reader for the peer. */
Test(nomem, credit_that_cannot_be_queued_ends_the_session)
{
    enum { PIECE = 16000, PIECES = 10 };
    static char text[PIECE + 1];

    memset(text, 'x', PIECE);
    for (unsigned long nth = 0; nth < 2; nth++) {
        struct h2mem m;
        struct exchange ex;
        struct pfs_error err;
        char out[4096];
        size_t n = 0;

        h2mem_open(&m, 100, 0, NULL);
        cr_assert(h2mem_get(&m, &ex));
        ex.reply_stream = true;
        struct h2req *r = h2peer_request(&m.peer);
        cr_assert_not_null(r);
        cr_assert(
            h2peer_headers(&m.peer, 0, r->stream, (const char *const[]){":status", "200", NULL}));
        for (int i = 0; i < PIECES; i++) {
            cr_assert(h2peer_data(&m.peer, 0, r->stream, text));
        }
        m.s->ops->rest(m.s);
        pfs_alloc_fail_nth(nth);
        m.s->ops->consumed(m.s, &ex, PIECE * PIECES);
        pfs_alloc_fail_nth(0);
        cr_assert(m.s->ops->wants_drain(m.s));
        cr_assert_eq(m.s->ops->drain(m.s, out, sizeof out, &n, &err), nth ? PFS_NOMEM : PFS_OK);
        cr_assert_eq(n > 0, nth == 0);
        pfs_nomem(&err, "the test");
        m.s->ops->fail_all(m.s, &err);
        cr_assert(h2mem_done(&m, &ex));
        exchange_fini(&ex);
        h2mem_close(&m);
    }
}
