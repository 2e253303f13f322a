/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* The session's behaviour: what it sends, when it takes exchanges, how they end. */
#include "base/alloc.h"
#include "rig.h"
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define GET_TEXT "GET /x HTTP/1.1\r\nHost: files.test:8080\r\n\r\n"

static const struct pfs_error too_late = {.cls = PFS_TIMEOUT, .text = "the deadline passed"};

Test(session, requests)
{
    for (size_t i = 0; i < N_CAPS; i++) {
        size_t cap = caps[i];
        struct rig r;

        rig_init(&r);
        rig_submit(&r);
        cr_assert_not(r.ex.header_sent);
        cr_assert(r.s->ops->wants_drain(r.s));
        cr_assert_str_eq(rig_drain(&r, cap), GET_TEXT);
        cr_assert(r.ex.header_sent && r.ex.request_sent);
        cr_assert_eq(rig_feed(&r, OK_REPLY), PFS_OK);

        rig_renew(&r);
        r.ex.method = "PUT";
        r.ex.content_type = "application/octet-stream";
        r.ex.body = "hello";
        r.ex.body_len = 5;
        cr_assert(exchange_add_field(&r.ex, "authorization", "Bearer t", HPACK_NOTHING));
        rig_submit(&r);
        cr_assert_str_eq(rig_drain(&r, cap),
                         "PUT /x HTTP/1.1\r\nHost: files.test:8080\r\n"
                         "Content-Type: application/octet-stream\r\n"
                         "authorization: Bearer t\r\nContent-Length: 5\r\n\r\nhello");
        cr_assert(r.ex.request_sent);
        cr_assert_eq(rig_feed(&r, OK_REPLY), PFS_OK);

        rig_renew(&r);
        r.ex.method = "POST";
        rig_submit(&r);
        cr_assert_str_eq(rig_drain(&r, cap), "POST /x HTTP/1.1\r\nHost: files.test:8080\r\n"
                                             "Content-Length: 0\r\n\r\n");
        rig_fini(&r);
    }
}

Test(session, header_is_sent_when_its_first_byte_is)
{
    struct rig r;
    char piece[64];
    size_t n;

    rig_init(&r);
    r.ex.body = "hello";
    r.ex.body_len = 5;
    rig_submit(&r);
    r.s->ops->drain(r.s, piece, 1, &n, &r.err);
    cr_assert(n == 1 && r.ex.header_sent && !r.ex.request_sent);
    rig_end(&r, RIG_CUT);
    cr_assert_eq(r.ex.failure, FAILURE_SENDING);
    cr_assert_eq(r.ex.err.outcome, PFS_OUTCOME_UN);
    rig_fini(&r);
}

Test(session, what_would_break_a_line_is_refused)
{
    static const struct {
        const char *method, *target, *type, *name, *value;
    } rows[] = {
        {"GET", "/x\r\nEvil: 1", NULL, "a", "b"},
        {"GET", "/a b", NULL, "a", "b"},
        {"GET", "/\xc3\xa9", NULL, "a", "b"},
        {"GET", "", NULL, "a", "b"},
        {"GET", "http://h/", NULL, "a", "b"},
        {"G T", "/", NULL, "a", "b"},
        {"", "/", NULL, "a", "b"},
        {"GET", "/", "t\r\nEvil: 1", "a", "b"},
        {"GET", "/", "t", "a", "b\nEvil: 1"},
        {"GET", "/", "t", "a", "b\r"},
        {"GET", "/", "t", "a\r\nEvil", "1"},
        {"GET", "/", "t", "", "1"},
        {"GET", "/", "t", "a", "\x7f"},
        {"GET", "/", "t", "a:", "b"},
    };
    struct rig r;

    rig_init(&r);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        r.ex.method = rows[i].method;
        r.ex.target = rows[i].target;
        r.ex.content_type = rows[i].type;
        exchange_add_field(&r.ex, rows[i].name, rows[i].value, HPACK_NOTHING);
        rig_submit(&r);
        cr_assert_eq(r.n_done, 1, "row %zu", i);
        cr_assert_eq(r.ex.err.cls, PFS_INVALID);
        cr_assert_eq(r.ex.failure, FAILURE_LOCAL);
        cr_assert_eq(r.ex.err.outcome, PFS_OUTCOME_NA);
        cr_assert_str_empty(rig_drain(&r, 100));
        cr_assert_not(r.s->state.is_closing);
        rig_renew(&r);
    }
    cr_assert(exchange_add_field(&r.ex, "x-name", "tab\tand \xc3\xa9", HPACK_NOTHING));
    rig_submit(&r);
    cr_assert_not_null(strstr(rig_drain(&r, 100), "x-name: tab\tand \xc3\xa9\r\n"));
    rig_fini(&r);

    struct h1_options evil = {.authority = "h\r\nEvil: 1"};
    struct session *none = NULL;
    struct pfs_error err;

    cr_assert_eq(h1_session_new(&evil, &none, &err), PFS_CONFIG);
    cr_assert_null(none);
}

Test(session, keep_alive_and_one_at_a_time)
{
    struct rig r;
    struct exchange other;

    rig_init(&r);
    cr_assert(r.s->state.is_up);
    cr_assert_eq(r.s->state.max_open, 1);
    cr_assert_null(r.s->ops->ping);
    exchange_init(&other);
    other.method = "GET";
    other.target = "/y";
    for (int i = 0; i < 3; i++) {
        rig_submit(&r);
        cr_assert_eq(r.s->ops->submit(r.s, &other, &r.err), PFS_OVERLOAD);
        cr_assert_not(other.in_session);
        cr_assert_str_eq(rig_drain(&r, 16384), GET_TEXT);
        cr_assert_eq(rig_feed(&r, OK_REPLY), PFS_OK);
        cr_assert_eq(r.ex.err.cls, PFS_OK);
        rig_renew(&r);
    }
    r.s->ops->shutdown(r.s);
    cr_assert_eq(r.s->ops->submit(r.s, &other, &r.err), PFS_SHUTDOWN);
    exchange_fini(&other);
    rig_fini(&r);
}

Test(session, shutdown_lets_the_exchange_finish)
{
    struct rig r;

    rig_init(&r);
    rig_submit(&r);
    r.s->ops->shutdown(r.s);
    cr_assert_str_eq(rig_drain(&r, 100), GET_TEXT);
    cr_assert_eq(rig_feed(&r, OK_REPLY), PFS_OK);
    cr_assert_eq(r.ex.err.cls, PFS_OK);
    cr_assert_eq(r.n_done, 1);
    rig_fini(&r);
}

Test(session, bytes_that_answer_nothing)
{
    struct rig r;

    rig_init(&r); /* no exchange */
    cr_assert_eq(rig_feed(&r, "HTTP/1.1 408 Request Timeout\r\n\r\n"), PFS_PROTOCOL);
    cr_assert(r.s->state.is_closing);
    rig_fini(&r);

    rig_init(&r); /* not sent yet: proof that nothing was applied, and nothing goes out any more */
    rig_submit(&r);
    cr_assert_eq(rig_feed(&r, OK_REPLY), PFS_PROTOCOL);
    cr_assert_str_empty(rig_drain(&r, 100));
    r.s->ops->fail_all(r.s, &r.err);
    rig_collect(&r);
    cr_assert_eq(r.n_done, 1);
    cr_assert_eq(r.ex.failure, FAILURE_NOT_SENT);
    cr_assert_eq(r.ex.err.outcome, PFS_OUTCOME_NA);
    rig_fini(&r);

    rig_init(&r); /* the SETTINGS frame of an HTTP/2 server */
    cr_assert_eq(rig_feed_n(&r, "\0\0\0\4\0\0\0\0\0", 9, 9), PFS_PROTOCOL);
    cr_assert_not_null(strstr(r.err.text, "HTTP/2"));
    rig_fini(&r);
}

Test(session, lost_connection_by_progress)
{
    struct rig r;

    rig_init(&r);
    rig_submit(&r);
    rig_end(&r, RIG_EOF);
    cr_assert_eq(r.ex.failure, FAILURE_NOT_SENT);
    cr_assert_eq(r.ex.err.outcome, PFS_OUTCOME_NA);
    rig_fini(&r);

    rig_init(&r);
    rig_submit(&r);
    rig_drain(&r, 100);
    rig_end(&r, RIG_EOF);
    cr_assert_eq(r.ex.failure, FAILURE_WAITING);
    cr_assert_eq(r.ex.err.cls, PFS_CONN_LOST);
    cr_assert_eq(r.ex.err.outcome, PFS_OUTCOME_UN);
    rig_fini(&r);

    rig_init(&r); /* nothing open: nothing to tell */
    rig_end(&r, RIG_EOF);
    cr_assert_eq(r.n_done, 0);
    rig_fini(&r);
}

Test(session, early_reply_counts_and_stops_the_request)
{
    for (int early_success = 0; early_success < 2; early_success++) {
        struct rig r;
        char piece[256];
        size_t n;

        rig_init(&r);
        r.ex.method = "PUT";
        r.ex.body = memset(malloc(4000), 'x', 4000);
        r.ex.body_len = 4000;
        rig_submit(&r);
        r.s->ops->drain(r.s, piece, sizeof piece, &n, &r.err);
        cr_assert_eq(n, sizeof piece);
        rig_feed(&r, early_success ? OK_HEAD "Content-Length: 2\r\n\r\n"
                                   : "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\n");
        cr_assert_eq(r.s->ops->wants_drain(r.s), early_success);
        cr_assert_eq(rig_feed(&r, "no"), PFS_OK);
        cr_assert_eq(r.n_done, 1);
        cr_assert_eq(r.ex.err.cls, PFS_OK);
        cr_assert_eq(r.ex.head.status, early_success ? 200 : 413);
        cr_assert(r.s->state.is_closing);
        cr_assert_str_empty(rig_drain(&r, 100));
        free((void *)(uintptr_t)r.ex.body);
        rig_fini(&r);
    }
}

Test(session, cancel)
{
    struct rig r;

    rig_init(&r); /* before anything was sent the connection stays usable */
    rig_submit(&r);
    r.s->ops->cancel(r.s, &r.ex, &too_late);
    rig_collect(&r);
    cr_assert_eq(r.n_done, 1);
    cr_assert_eq(r.ex.failure, FAILURE_DEADLINE);
    cr_assert_eq(r.ex.err.outcome, PFS_OUTCOME_NA);
    cr_assert_not(r.s->state.is_closing);
    cr_assert_str_empty(rig_drain(&r, 100));
    rig_renew(&r);

    rig_submit(&r);
    rig_drain(&r, 100);
    r.s->ops->cancel(r.s, &r.ex, &too_late);
    rig_collect(&r);
    cr_assert_eq(r.n_done, 1);
    cr_assert_eq(r.ex.err.cls, PFS_TIMEOUT);
    cr_assert_eq(r.ex.err.outcome, PFS_OUTCOME_UN);
    cr_assert(r.s->state.is_closing);
    cr_assert_eq(r.s->state.n_open, 0);
    cr_assert_eq(rig_feed(&r, OK_REPLY), PFS_PROTOCOL); /* the late reply reaches nobody */
    rig_fini(&r);
}

/* Every allocation fails once: the exchange is refused, or fails, or nothing happens. */
Test(session, out_of_memory)
{
    static const struct h1_options options = {.authority = "h"};
    bool failed = true;

    for (unsigned long nth = 1; failed; nth++) {
        struct rig r = {0};

        exchange_init(&r.ex);
        r.ex.method = "PUT";
        r.ex.target = "/x";
        r.ex.reply_max = 100;
        r.ex.body_stream = true;
        r.ex.chunk.at = "hello";
        r.ex.chunk.n = 5;
        r.ex.chunk.last = true;
        pfs_alloc_fail_nth(nth);
        enum pfs_class cls = h1_session_new(&options, &r.s, &r.err);

        if (cls == PFS_OK) {
            char piece[64];
            size_t n = 1;

            cls = r.s->ops->submit(r.s, &r.ex, &r.err);
            while (cls == PFS_OK && n > 0) {
                cls = r.s->ops->drain(r.s, piece, sizeof piece, &n, &r.err);
            }
            if (cls == PFS_OK) {
                cls = rig_feed(&r, OK_REPLY);
            }
            failed = cls != PFS_OK || r.ex.failure != FAILURE_NONE;
            pfs_alloc_fail_nth(0);
            rig_fini(&r);
            cr_assert(failed || (r.n_done == 1 && r.ex.err.cls == PFS_OK));
        }
        pfs_alloc_fail_nth(0);
        cr_assert(cls == PFS_OK || cls == PFS_NOMEM, "allocation %lu: %s", nth,
                  pfs_class_name(cls));
    }
}
