/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * Over loopback: a write at an offset to a server that only has handles for that: open, write,
 * sync, close. What is known of it when one of these fails.
 */
#include "world.h"
#include <criterion/criterion.h>
#include <string.h>

#define CUT "the reply is cut after its header"
#define RESET "there is no reply"

/* Which request is answered with what else than success. */
struct step_row {
    const char *at, *status; /* CUT, RESET */
    const char *error;
    uint32_t flags;
    enum pfs_class cls;
    enum pfs_outcome outcome; /* of a failure */
};

static const char *success(const struct h2req *r)
{
    return strstr(r->path, "/capabilities")   ? "{\"version\":\"1\",\"features\":[\"handlefs\"]}"
           : strstr(r->path, "/handles/open") ? "{\"handle_id\":7}"
           : strstr(r->path, "/write")        ? "{\"bytes_written\":5}"
                                              : "{\"message\":\"ok\"}";
}

static void fail_at(struct h2server *s, struct h2peer *p)
{
    const struct step_row *row = s->arg;

    h2peer_hello(p, 0, NULL);
    for (struct h2req *r; (r = h2peer_request(p)) != NULL;) {
        bool fails = strstr(r->path, row->at);

        h2server_count(s);
        if (fails && strcmp(row->status, CUT) == 0) {
            h2peer_headers(p, 0, r->stream, (const char *const[]){":status", "200", NULL});
            h2peer_rst(p, r->stream, H2_INTERNAL_ERROR);
        } else if (fails && strcmp(row->status, RESET) == 0) {
            h2peer_rst(p, r->stream, H2_INTERNAL_ERROR);
        } else {
            h2peer_reply(p, r->stream, fails ? row->status : "200",
                         fails ? row->error : success(r));
        }
        h2peer_forget(r);
    }
}

#define FAILED "{\"error\":\"failed\"}"
#define NO_SUCH_CALL "{\"error\":\"404 page not found\"}"

Test(steps, what_was_done_is_not_forgotten)
{
    enum { NEW = PFS_WRITE_CREATE | PFS_WRITE_EXCLUSIVE, EMPTY = NEW | PFS_WRITE_TRUNCATE };
    static const struct step_row rows[] = {
        {"/sync", "501", FAILED, EMPTY | PFS_WRITE_SYNC, PFS_UNSUPPORTED, PFS_OUTCOME_AP},
        {"/sync", "500", FAILED, EMPTY | PFS_WRITE_SYNC, PFS_IO, PFS_OUTCOME_AP},
        {"/sync", CUT, "", PFS_WRITE_SYNC, PFS_TRUNCATED, PFS_OUTCOME_AP},
        {"/sync", RESET, "", PFS_WRITE_SYNC, PFS_RESET, PFS_OUTCOME_AP},
        {"/write", "200", "{\"message\":\"ok\"}", 0, PFS_PAYLOAD, PFS_OUTCOME_UN}, /* how much? */
        {"/write", "200", "<html>", EMPTY, PFS_PAYLOAD, PFS_OUTCOME_UN},
        {"/write", CUT, "", 0, PFS_TRUNCATED, PFS_OUTCOME_UN},
        {"/write", RESET, "", 0, PFS_RESET, PFS_OUTCOME_UN},
        {"/write", "507", FAILED, EMPTY, PFS_NOSPC, PFS_OUTCOME_UN}, /* it is there, and empty */
        {"/write", "429", FAILED, NEW, PFS_BUSY, PFS_OUTCOME_UN},
        {"/write", "507", FAILED, 0, PFS_NOSPC, PFS_OUTCOME_NA}, /* opening changed nothing */
        {"/handles/open", "409", FAILED, NEW, PFS_EXISTS, PFS_OUTCOME_NA},
        {"/handles/open", "200", "<html>", EMPTY, PFS_PAYLOAD, PFS_OUTCOME_UN},
        {"/handles/open", "200", "<html>", 0, PFS_PAYLOAD, PFS_OUTCOME_NA}, /* only opened */
        {"/handles/open", CUT, "", PFS_WRITE_CREATE, PFS_TRUNCATED, PFS_OUTCOME_UN},
        {"/handles/open", CUT, "", PFS_WRITE_SYNC, PFS_TRUNCATED, PFS_OUTCOME_NA},
        {"/handles/open", RESET, "", NEW, PFS_RESET, PFS_OUTCOME_UN},
        {"/handles/open", RESET, "", 0, PFS_RESET, PFS_OUTCOME_NA},
        {"/capabilities", "500", FAILED, NEW, PFS_IO, PFS_OUTCOME_NA},
        {"/capabilities", "404", NO_SUCH_CALL, NEW, PFS_OK, 0},
        {"/", "404", NO_SUCH_CALL, NEW, PFS_UNSUPPORTED, PFS_OUTCOME_NA},
        {"/none", "", "", EMPTY | PFS_WRITE_SYNC, PFS_OK, 0},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct world w = {0};
        int64_t written = 0;

        world_open(&w, fail_at, (void *)(uintptr_t)&rows[i], OPTIONS("retries", "1"));
        enum pfs_class cls = pfs_write(w.c, "/f", "hello", 5, 0, rows[i].flags, &written, &w.err);
        cr_expect_eq(cls, rows[i].cls, "row %zu: %s %s", i, pfs_class_name(cls), w.err.text);
        if (cls == PFS_OK) {
            cr_expect_eq(written, 5, "row %zu", i);
        } else {
            cr_expect_eq(w.err.outcome, rows[i].outcome, "row %zu: %s %s", i,
                         pfs_outcome_name(w.err.outcome), w.err.text);
        }
        world_close(&w);
    }
}

/* Tells when the write by handle has begun, and asks to come again later. */
static void write_later(struct h2server *s, struct h2peer *p)
{
    h2peer_hello(p, 0, NULL);
    for (struct h2req *r; (r = h2peer_request(p)) != NULL;) {
        if (strstr(r->path, "/write")) {
            h2peer_reply_with(p, r->stream, "429", "retry-after", "30", FAILED);
            h2server_signal(s);
        } else {
            h2peer_reply(p, r->stream, "200", success(r));
        }
        h2peer_forget(r);
    }
}

struct writer {
    pthread_t thread;
    struct world w; /* shares the client */
    enum pfs_class cls;
};

static void *write_truncating(void *arg)
{
    struct writer *a = arg;

    a->cls = pfs_write(a->w.c, "/f", "hello", 5, 0, PFS_WRITE_EXCLUSIVE | PFS_WRITE_TRUNCATE, NULL,
                       &a->w.err);
    return NULL;
}

Test(steps, the_end_between_two_attempts_is_not_the_beginning)
{
    struct world w = {0};
    static struct writer a;

    world_open(&w, write_later, NULL, OPTIONS("timeout", "60s"));
    a.w.c = w.c;
    pthread_create(&a.thread, NULL, write_truncating, &a);
    cr_assert(h2server_await(&w.server, 1));
    pfs_client_free(w.c); /* while it waits for its next attempt, or just before */
    w.c = NULL;
    pthread_join(a.thread, NULL);
    cr_assert_eq(a.cls, PFS_SHUTDOWN, "%s: %s", pfs_class_name(a.cls), a.w.err.text);
    cr_assert_eq(a.w.err.outcome, PFS_OUTCOME_UN, "the file is empty: %s", a.w.err.text);
    world_close(&w);
}

/* A server of the stock kind, which knows no offset and no flags, or ours. */
static void serve_stream(struct h2server *s, struct h2peer *p)
{
    bool is_ours = s->arg != NULL;

    h2peer_hello(p, 0, NULL);
    for (struct h2req *r; (r = h2peer_request(p)) != NULL;) {
        bool is_probe = strstr(r->path, "/capabilities");

        if (!is_probe) {
            h2server_count(s);
        }
        if (is_ours) {
            world_reply_attested(p, r);
        } else {
            h2peer_reply(p, r->stream, is_probe ? "404" : "200",
                         is_probe ? NO_SUCH_CALL : success(r));
        }
        h2peer_forget(r);
    }
}

Test(steps, a_stream_is_not_made_by_handle)
{
    static const uint32_t flags[] = {PFS_WRITE_APPEND, PFS_WRITE_EXCLUSIVE,
                                     PFS_WRITE_CREATE | PFS_WRITE_TRUNCATE | PFS_WRITE_SYNC};

    for (size_t i = 0; i < 2 * sizeof flags / sizeof *flags; i++) {
        bool is_ours = i % 2;
        struct world w = {0};
        struct pfs_stream *s = NULL;

        world_open(&w, serve_stream, is_ours ? &w : NULL, NULL);
        enum pfs_class cls = pfs_open_write(w.c, "/f", -1, flags[i / 2], &s, &w.err);
        if (is_ours) {
            cr_assert_eq(cls, PFS_OK, "row %zu: %s", i, w.err.text);
            cr_assert_eq(pfs_stream_write(s, "hello", 5, &w.err), PFS_OK, "%s", w.err.text);
            cr_assert_eq(pfs_stream_finish(s, &w.err), PFS_OK, "%s", w.err.text);
            pfs_stream_close(s);
            cr_expect_eq(atomic_load(&w.server.n_requests), 1, "row %zu", i);
        } else {
            cr_assert_eq(cls, PFS_UNSUPPORTED, "row %zu: %s", i, pfs_class_name(cls));
            assert_err(&w, PFS_UNSUPPORTED, PFS_OUTCOME_NA, PFS_PHASE_REPLY);
            cr_assert(strstr(w.err.text, "nothing was changed"), "%s", w.err.text);
            cr_expect_null(s, "it was touched");
            cr_expect_eq(atomic_load(&w.server.n_requests), 0, "row %zu: something was sent", i);
        }
        world_close(&w);
    }
}
