/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* In memory: the ways in which one stream ends. Names: rows of the fault table. */
#include "support/h2peer.h"
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static const char *const ok_fields[] = {":status", "200", NULL};

static void assert_failed(const struct exchange *ex, enum failure_point at, enum pfs_class cls,
                          enum pfs_outcome outcome, enum pfs_phase phase)
{
    cr_assert_eq(ex->failure, at, "failure %d: %s", ex->failure, ex->err.text);
    cr_assert_eq(ex->err.cls, cls, "%s: %s", pfs_class_name(ex->err.cls), ex->err.text);
    cr_assert_eq(ex->err.outcome, outcome, "%s", pfs_outcome_name(ex->err.outcome));
    cr_assert_eq(ex->err.phase, phase, "%s", pfs_phase_name(ex->err.phase));
}

/* Submits a PUT of n bytes (0: a GET) and reads what the peer gets of it at once. */
static uint32_t start(struct h2mem *m, struct exchange *ex, const char *body, size_t n)
{
    struct pfs_error err;

    exchange_init(ex);
    ex->method = n ? "PUT" : "GET";
    ex->target = "/x";
    ex->body = body;
    ex->body_len = n;
    ex->reply_max = 1000;
    cr_assert_eq(m->s->ops->submit(m->s, ex, &err), PFS_OK);
    struct h2req *r = h2peer_head(&m->peer);
    cr_assert_not_null(r);
    return r->stream;
}

static void open_and_start(struct h2mem *m, struct exchange *ex, uint32_t *ret_id)
{
    h2mem_open(m, 100, 0, NULL);
    *ret_id = start(m, ex, NULL, 0);
}

static void finish(struct h2mem *m, struct exchange *ex)
{
    cr_assert_eq(m->s->state.n_open, 0);
    exchange_fini(ex);
    h2mem_close(m);
}

Test(stream_end, A043_refused_stream_is_proof)
{
    struct h2mem m;
    struct exchange ex;
    uint32_t id;

    open_and_start(&m, &ex, &id);
    h2peer_rst(&m.peer, id, H2_REFUSED_STREAM);
    cr_assert(h2mem_done(&m, &ex));
    assert_failed(&ex, FAILURE_REFUSED, PFS_REFUSED, PFS_OUTCOME_NA, PFS_PHASE_WAIT);
    cr_assert_eq(ex.err.h2_code, H2_REFUSED_STREAM);
    finish(&m, &ex);
}

Test(stream_end, A043_refused_after_a_header_is_no_proof)
{
    struct h2mem m;
    struct exchange ex;
    uint32_t id;

    open_and_start(&m, &ex, &id);
    h2peer_headers(&m.peer, 0, id, ok_fields);
    h2peer_rst(&m.peer, id, H2_REFUSED_STREAM);
    cr_assert(h2mem_done(&m, &ex));
    assert_failed(&ex, FAILURE_BODY, PFS_TRUNCATED, PFS_OUTCOME_AP, PFS_PHASE_BODY);
    finish(&m, &ex);
}

/* Who sends a reply has seen the request; 2xx: and done what it says. */
Test(stream_end, A039_goaway_below_after_a_header_is_no_proof)
{
    struct h2mem m;
    struct exchange ex;
    uint32_t id;

    open_and_start(&m, &ex, &id);
    h2peer_headers(&m.peer, 0, id, ok_fields);
    h2peer_goaway(&m.peer, 0, H2_NO_ERROR, "");
    cr_assert(h2mem_done(&m, &ex));
    assert_failed(&ex, FAILURE_BODY, PFS_TRUNCATED, PFS_OUTCOME_AP, PFS_PHASE_BODY);
    finish(&m, &ex);
}

Test(stream_end, A044_reset_before_headers_proves_nothing)
{
    static const uint32_t codes[] = {H2_NO_ERROR, H2_PROTOCOL_ERROR,    H2_INTERNAL_ERROR,
                                     H2_CANCEL,   H2_ENHANCE_YOUR_CALM, 0xdeadbeef};

    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        struct h2mem m;
        struct exchange ex;
        uint32_t id;

        open_and_start(&m, &ex, &id);
        h2peer_rst(&m.peer, id, codes[i]);
        cr_assert(h2mem_done(&m, &ex));
        assert_failed(&ex, FAILURE_WAITING, PFS_RESET, PFS_OUTCOME_UN, PFS_PHASE_WAIT);
        cr_assert_eq(ex.err.h2_code, codes[i]);
        cr_assert_eq(m.s->state.n_resets, 1);
        finish(&m, &ex);
    }
}

Test(stream_end, A044_reset_while_sending)
{
    static char body[100000];
    struct h2mem m;
    struct exchange ex;

    h2mem_open(&m, 100, 0, NULL);
    m.peer.gives_credit = false;
    uint32_t id = start(&m, &ex, body, sizeof body);
    h2peer_rst(&m.peer, id, H2_CANCEL);
    cr_assert(h2mem_done(&m, &ex));
    assert_failed(&ex, FAILURE_SENDING, PFS_RESET, PFS_OUTCOME_UN, PFS_PHASE_SEND);
    finish(&m, &ex);
}

Test(stream_end, A045_reset_in_the_body_is_truncation)
{
    static const struct {
        const char *status;
        enum pfs_outcome outcome;
    } rows[] = {{"200", PFS_OUTCOME_AP}, {"201", PFS_OUTCOME_AP}, {"500", PFS_OUTCOME_UN}};

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct h2mem m;
        struct exchange ex;
        uint32_t id;

        open_and_start(&m, &ex, &id);
        h2peer_headers(&m.peer, 0, id, (const char *const[]){":status", rows[i].status, NULL});
        h2peer_data(&m.peer, 0, id, "some");
        h2peer_rst(&m.peer, id, H2_INTERNAL_ERROR);
        cr_assert(h2mem_done(&m, &ex));
        assert_failed(&ex, FAILURE_BODY, PFS_TRUNCATED, rows[i].outcome, PFS_PHASE_BODY);
        cr_assert_eq(pfs_buf_len(&ex.reply), 4, "what came is kept");
        finish(&m, &ex);
    }
}

Test(stream_end, A046_early_reply_and_reset_no_error_counts)
{
    static char body[100000];
    struct h2mem m;
    struct exchange ex;

    h2mem_open(&m, 100, 0, NULL);
    m.peer.gives_credit = false;
    uint32_t id = start(&m, &ex, body, sizeof body);
    h2peer_reply(&m.peer, id, "413", "{\"error\":\"too large\"}");
    h2peer_rst(&m.peer, id, H2_NO_ERROR);
    cr_assert(h2mem_done(&m, &ex));
    cr_assert_eq(ex.failure, FAILURE_NONE, "%s", ex.err.text);
    cr_assert_eq(ex.head.status, 413);
    finish(&m, &ex);
}

Test(stream_end, A047_early_refusal_ends_the_upload)
{
    static char body[100000];
    struct h2mem m;
    struct exchange ex;

    h2mem_open(&m, 100, 0, NULL);
    m.peer.gives_credit = false; /* and no more is ever read */
    uint32_t id = start(&m, &ex, body, sizeof body);
    h2peer_reply(&m.peer, id, "404", "{\"error\":\"not found\"}");
    cr_assert(h2mem_done(&m, &ex), "the caller waits for an upload that nobody wants");
    cr_assert_eq(ex.failure, FAILURE_NONE);
    cr_assert_eq(ex.head.status, 404);
    h2peer_drain(&m.peer);
    cr_assert_eq(m.peer.n_rst, 1, "the peer is told that the rest does not come");
    finish(&m, &ex);
}

Test(stream_end, a_trailer_after_nothing_is_no_second_header)
{
    static const char *const trailer[] = {"grpc-status", "0", NULL};
    struct h2mem m;
    struct exchange ex;
    uint32_t id;

    open_and_start(&m, &ex, &id);
    ex.reply_stream = true;
    h2peer_headers(&m.peer, 0, id, ok_fields);
    cr_assert_eq(ex.events, EXCHANGE_HEAD);
    cr_assert_not(h2mem_done(&m, &ex));
    h2peer_headers(&m.peer, H2_END_STREAM, id, trailer);
    cr_assert_eq(ex.events, EXCHANGE_DONE, "HEAD came twice");
    cr_assert_eq(ex.failure, FAILURE_NONE);
    cr_assert_eq(ex.head.content_length, -1);
    list_remove(&ex.ready);
    finish(&m, &ex);
}

Test(stream_end, trailers_after_a_body_are_dropped)
{
    static const char *const trailer[] = {"content-type", "text/evil", NULL};
    struct h2mem m;
    struct exchange ex;
    uint32_t id;

    open_and_start(&m, &ex, &id);
    h2peer_headers(&m.peer, 0, id, ok_fields);
    h2peer_data(&m.peer, 0, id, "x");
    h2peer_headers(&m.peer, H2_END_STREAM, id, trailer);
    cr_assert(h2mem_done(&m, &ex));
    cr_assert_eq(ex.failure, FAILURE_NONE);
    cr_assert_str_eq(ex.head.content_type, "");
    finish(&m, &ex);
}

Test(stream_end, informational_replies_are_passed_over)
{
    static const char *const hints[] = {":status", "103", "link", "</a>", NULL};
    struct h2mem m;
    struct exchange ex;
    uint32_t id;

    open_and_start(&m, &ex, &id);
    for (unsigned i = 0; i < 16; i++) {
        cr_assert(h2peer_headers(&m.peer, 0, id, hints));
    }
    cr_assert(h2peer_reply(&m.peer, id, "200", "{}"));
    cr_assert(h2mem_done(&m, &ex));
    cr_assert_eq(ex.failure, FAILURE_NONE);
    cr_assert_eq(ex.head.status, 200);
    finish(&m, &ex);
}

Test(stream_end, A006_cancel_tells_the_peer_and_late_bytes_are_dropped)
{
    const struct pfs_error late = {.cls = PFS_TIMEOUT, .text = "late"};
    struct h2mem m;
    struct exchange ex, next;
    uint32_t id;

    open_and_start(&m, &ex, &id);
    m.s->ops->cancel(m.s, &ex, &late);
    cr_assert(h2mem_done(&m, &ex));
    assert_failed(&ex, FAILURE_DEADLINE, PFS_TIMEOUT, PFS_OUTCOME_UN, PFS_PHASE_WAIT);
    h2peer_drain(&m.peer);
    cr_assert_eq(m.peer.n_rst, 1);
    cr_assert_eq(m.peer.rst_code, H2_CANCEL);
    cr_assert(h2peer_reply(&m.peer, id, "200", "{}")); /* A091: too late */
    cr_assert(h2mem_get(&m, &next));
    struct h2req *r = h2peer_request(&m.peer);
    cr_assert_not_null(r);
    h2peer_reply(&m.peer, r->stream, "200", "{}");
    cr_assert(h2mem_done(&m, &next));
    cr_assert_eq(next.failure, FAILURE_NONE);
    exchange_fini(&next);
    finish(&m, &ex);
}

Test(stream_end, A050_cancel_before_anything_was_sent_is_not_applied)
{
    const struct pfs_error late = {.cls = PFS_TIMEOUT, .text = "late"};
    struct h2mem m;
    struct exchange ex;

    h2mem_open(&m, 100, 0, NULL);
    cr_assert(h2mem_get(&m, &ex));
    m.s->ops->cancel(m.s, &ex, &late);
    cr_assert(h2mem_done(&m, &ex));
    assert_failed(&ex, FAILURE_DEADLINE, PFS_TIMEOUT, PFS_OUTCOME_NA, PFS_PHASE_QUEUE);
    h2peer_drain(&m.peer);
    cr_assert_eq(m.peer.streams[0].stream, 0, "the request went out after all");
    finish(&m, &ex);
}

Test(stream_end, A051_a_window_of_one_byte_still_works)
{
    static char body[300];
    struct h2mem m;
    struct exchange ex;

    memset(body, 'b', sizeof body);
    h2mem_open(&m, 100, 1, (uint32_t[]){H2_SET_WINDOW, 1});
    uint32_t id = start(&m, &ex, body, sizeof body);
    struct h2req *r = h2peer_request(&m.peer); /* a byte, credit for a byte, ... */
    cr_assert_not_null(r);
    cr_assert_eq(pfs_buf_len(&r->body), sizeof body);
    h2peer_reply(&m.peer, id, "200", "{}");
    cr_assert(h2mem_done(&m, &ex));
    cr_assert_eq(ex.failure, FAILURE_NONE);
    finish(&m, &ex);
}

Test(stream_end, A052_a_window_that_shrinks_below_zero)
{
    static char body[100000];
    struct h2mem m;
    struct exchange ex;

    memset(body, 'b', sizeof body);
    h2mem_open(&m, 100, 0, NULL);
    m.peer.gives_credit = false;
    uint32_t id = start(&m, &ex, body, sizeof body);
    h2peer_drain(&m.peer); /* 65535 bytes are on their way */
    cr_assert(h2peer_settings(&m.peer, 1, (uint32_t[]){H2_SET_WINDOW, 10}));
    h2peer_drain(&m.peer);
    cr_assert(h2peer_window(&m.peer, 0, sizeof body));
    cr_assert(h2peer_window(&m.peer, id, 65525)); /* back to zero: still nothing may come */
    size_t before = pfs_buf_len(&m.peer.streams[0].body);
    h2peer_drain(&m.peer);
    cr_assert_eq(pfs_buf_len(&m.peer.streams[0].body), before);
    cr_assert(h2peer_window(&m.peer, id, sizeof body));
    h2peer_drain(&m.peer);
    cr_assert_eq(pfs_buf_len(&m.peer.streams[0].body), sizeof body);
    h2peer_reply(&m.peer, id, "200", "{}");
    cr_assert(h2mem_done(&m, &ex));
    cr_assert_eq(ex.failure, FAILURE_NONE);
    finish(&m, &ex);
}

Test(stream_end, a_reply_too_long_is_limit_and_the_stream_is_given_up)
{
    static char big[2000];
    struct h2mem m;
    struct exchange ex;
    uint32_t id;

    memset(big, 'a', sizeof big - 1);
    open_and_start(&m, &ex, &id);
    h2peer_headers(&m.peer, 0, id, ok_fields);
    h2peer_data(&m.peer, 0, id, big);
    h2peer_drain(&m.peer);
    cr_assert_eq(m.peer.n_rst, 1);
    cr_assert(h2mem_done(&m, &ex));
    assert_failed(&ex, FAILURE_BODY, PFS_LIMIT, PFS_OUTCOME_AP, PFS_PHASE_BODY);
    cr_assert_leq(pfs_buf_len(&ex.reply), 1000);
    finish(&m, &ex);
}

Test(stream_end, A088_an_error_body_without_end_is_given_up_and_its_status_counts)
{
    static char piece[1000];
    struct h2mem m;
    struct exchange ex;
    uint32_t id;

    open_and_start(&m, &ex, &id);
    h2peer_headers(&m.peer, 0, id, (const char *const[]){":status", "404", NULL});
    for (unsigned k = 0; k < 100; k++) { /* more than is taken, as frames under way are */
        h2peer_frame(&m.peer, H2_DATA, 0, id, piece, sizeof piece);
    }
    h2peer_drain(&m.peer);
    cr_assert_eq(m.peer.n_rst, 1);
    cr_assert_eq(m.peer.rst_code, H2_CANCEL);
    cr_assert(h2mem_done(&m, &ex));
    cr_assert_eq(ex.failure, FAILURE_NONE, "%s", ex.err.text);
    cr_assert_eq(ex.head.status, 404);
    cr_assert_eq(pfs_buf_len(&ex.reply), EXCHANGE_ERROR_BODY_MAX);
    cr_assert_eq(m.fed, PFS_OK, "the connection stays");
    finish(&m, &ex);
}
