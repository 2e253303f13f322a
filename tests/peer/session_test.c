/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* In memory: what ends a session or its readiness. Names: rows of the fault table. */
#include "h2/h2_internal.h"
#include "support/h2peer.h"
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static const char *const ok_fields[] = {":status", "200", "content-type", "application/json", NULL};

static void assert_failed(const struct exchange *ex, enum failure_point at, enum pfs_class cls,
                          enum pfs_outcome outcome, enum pfs_phase phase)
{
    cr_assert_eq(ex->failure, at, "failure %d: %s", ex->failure, ex->err.text);
    cr_assert_eq(ex->err.cls, cls, "%s: %s", pfs_class_name(ex->err.cls), ex->err.text);
    cr_assert_eq(ex->err.outcome, outcome, "%s", pfs_outcome_name(ex->err.outcome));
    cr_assert_eq(ex->err.phase, phase, "%s", pfs_phase_name(ex->err.phase));
}

/* Opens, submits and lets the peer see the request. */
static uint32_t start(struct h2mem *m, struct exchange *ex)
{
    h2mem_open(m, 100, 0, NULL);
    cr_assert(h2mem_get(m, ex));
    struct h2req *r = h2peer_request(&m->peer);
    cr_assert_not_null(r);
    cr_assert_str_eq(r->method, "GET");
    cr_assert_str_eq(r->path, "/x");
    return r->stream;
}

static void finish(struct h2mem *m, struct exchange *ex)
{
    exchange_fini(ex);
    h2mem_close(m);
}

Test(session, a_reply_comes_whole_in_any_slices)
{
    static const size_t slices[] = {0, 1, 2, 7, 64};

    for (size_t i = 0; i < sizeof slices / sizeof *slices; i++) {
        struct h2mem m;
        struct exchange ex;
        uint32_t id = start(&m, &ex);

        m.slice = slices[i];
        cr_assert(h2peer_headers(&m.peer, 0, id, ok_fields));
        cr_assert(h2peer_data(&m.peer, 0, id, "hel"));
        cr_assert_not(h2mem_done(&m, &ex));
        cr_assert(h2peer_data(&m.peer, H2_END_STREAM, id, "lo"));
        cr_assert(h2mem_done(&m, &ex));
        cr_assert_eq(ex.failure, FAILURE_NONE);
        cr_assert_eq(ex.head.status, 200);
        cr_assert_eq(pfs_buf_len(&ex.reply), 5);
        cr_assert_eq(memcmp(pfs_buf_data(&ex.reply), "hello", 5), 0);
        cr_assert_eq(m.s->state.n_open, 0);
        finish(&m, &ex);
    }
}

Test(session, is_up_after_the_peers_settings_only)
{
    struct h2_options o = {.scheme = "http", .authority = "a:1", .max_streams = 100};
    struct h2mem m;
    struct session *s;
    struct pfs_error err;

    h2mem_open(&m, 7, 1, (uint32_t[]){H2_SET_MAX_STREAMS, 50});
    cr_assert(m.s->state.is_up);
    cr_assert_eq(m.s->state.max_open, 7); /* ours is lower */
    h2mem_close(&m);
    cr_assert_eq(h2_session_new(&o, &s, &err), PFS_OK);
    cr_assert_not(s->state.is_up);
    s->ops->free(s);
}

Test(session, A004_settings_that_are_wrong_end_it)
{
    static const uint32_t bad[][2] = {{2, 7}, {4, 0x80000000u}, {5, 100}};

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct h2mem m;

        h2mem_open(&m, 100, 0, NULL);
        cr_assert_not(h2peer_settings(&m.peer, 1, bad[i]), "setting %u", bad[i][0]);
        cr_assert_eq(m.fed, PFS_PROTOCOL);
        h2peer_drain(&m.peer);
        cr_assert(m.peer.goaway && m.peer.goaway_code != 0, "the peer is told");
        h2mem_close(&m);
    }
}

Test(session, A038_goaway_leaves_accepted_streams_alone)
{
    struct h2mem m;
    struct exchange ex, late;
    uint32_t id = start(&m, &ex);

    cr_assert(h2peer_goaway(&m.peer, id, H2_NO_ERROR, ""));
    cr_assert(m.s->state.is_closing);
    cr_assert_not(h2mem_get(&m, &late));
    cr_assert_not(h2mem_done(&m, &ex));
    cr_assert(h2peer_reply(&m.peer, id, "200", "{}"));
    cr_assert(h2mem_done(&m, &ex));
    cr_assert_eq(ex.failure, FAILURE_NONE);
    exchange_fini(&late);
    finish(&m, &ex);
}

Test(session, A039_goaway_below_proves_not_applied)
{
    static const uint32_t codes[] = {H2_NO_ERROR, H2_INTERNAL_ERROR, H2_ENHANCE_YOUR_CALM};

    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        struct h2mem m;
        struct exchange ex;

        start(&m, &ex);
        h2peer_goaway(&m.peer, 0, codes[i], "too_many\npings");
        cr_assert(h2mem_done(&m, &ex));
        assert_failed(&ex, FAILURE_GOAWAY, PFS_REFUSED, PFS_OUTCOME_NA, PFS_PHASE_WAIT);
        cr_assert_eq(ex.err.h2_code, codes[i]);
        cr_assert_not_null(strstr(ex.err.text, "too_many\\x0apings"), "%s", ex.err.text);
        cr_assert_eq(m.s->state.calm_down, codes[i] == H2_ENHANCE_YOUR_CALM);
        finish(&m, &ex);
    }
}

Test(session, A040_two_steps_lose_nothing)
{
    struct h2mem m;
    struct exchange ex;
    uint32_t id = start(&m, &ex);

    cr_assert(h2peer_goaway(&m.peer, 0x7fffffff, H2_NO_ERROR, ""));
    cr_assert(m.s->state.is_closing);
    cr_assert(h2peer_goaway(&m.peer, id, H2_NO_ERROR, ""));
    cr_assert(h2peer_reply(&m.peer, id, "200", "{}"));
    cr_assert(h2mem_done(&m, &ex));
    cr_assert_eq(ex.failure, FAILURE_NONE);
    finish(&m, &ex);
}

/* One that waited to be sent when GOAWAY came ends once, however nghttp2 tells of it. */
Test(session, A040_what_is_unsent_then_stays_unsent)
{
    struct h2mem m;
    struct exchange ex, unsent;
    uint32_t id = start(&m, &ex);

    cr_assert(h2mem_get(&m, &unsent));
    cr_assert(h2peer_goaway(&m.peer, 0x7fffffff, H2_NO_ERROR, ""));
    for (struct h2frame f; h2peer_next(&m.peer, &f);) {
        cr_assert_neq(f.type, H2_HEADERS);
    }
    cr_assert(h2mem_done(&m, &unsent));
    assert_failed(&unsent, FAILURE_NOT_SENT, PFS_REFUSED, PFS_OUTCOME_NA, PFS_PHASE_QUEUE);
    cr_assert_eq(m.s->state.n_open, 1);
    cr_assert_not(h2mem_done(&m, &unsent), "DONE twice");
    cr_assert(h2peer_reply(&m.peer, id, "200", "{}"));
    cr_assert(h2mem_done(&m, &ex));
    cr_assert_eq(m.s->state.n_open, 0);
    exchange_fini(&unsent);
    finish(&m, &ex);
}

Test(session, A041_goaway_that_grows_or_names_a_stream_ends_it)
{
    for (unsigned i = 0; i < 2; i++) {
        struct h2mem m;
        struct exchange ex;
        uint32_t id = start(&m, &ex);
        unsigned char payload[8] = {0};

        if (i == 0) {
            h2peer_goaway(&m.peer, id, H2_NO_ERROR, "");
            h2peer_goaway(&m.peer, id + 2, H2_NO_ERROR, "");
        } else {
            h2peer_frame(&m.peer, H2_GOAWAY, 0, id, payload, sizeof payload);
        }
        h2peer_drain(&m.peer);
        cr_assert_eq(m.fed, PFS_PROTOCOL, "case %u", i);
        m.s->ops->fail_all(m.s, &m.error);
        cr_assert(h2mem_done(&m, &ex));
        assert_failed(&ex, FAILURE_WAITING, PFS_PROTOCOL, PFS_OUTCOME_UN, PFS_PHASE_WAIT);
        finish(&m, &ex);
    }
}

Test(session, A049_a_limit_lowered_gives_back_what_is_unsent)
{
    static const uint32_t one[] = {H2_SET_MAX_STREAMS, 1};
    struct h2mem m;
    struct exchange ex[3];
    unsigned n_headers = 0;

    h2mem_open(&m, 100, 0, NULL);
    for (unsigned i = 0; i < 3; i++) {
        cr_assert(h2mem_get(&m, &ex[i]));
    }
    cr_assert(h2peer_settings(&m.peer, 1, one)); /* before anything was drained */
    cr_assert_not(h2mem_done(&m, &ex[0]));
    for (unsigned i = 1; i < 3; i++) {
        cr_assert(h2mem_done(&m, &ex[i]));
        assert_failed(&ex[i], FAILURE_NOT_SENT, PFS_REFUSED, PFS_OUTCOME_NA, PFS_PHASE_QUEUE);
    }
    cr_assert_eq(m.s->state.n_open, 1);
    for (struct h2frame f; h2peer_next(&m.peer, &f);) {
        n_headers += f.type == H2_HEADERS;
        if (f.type == H2_HEADERS) { /* room again: the others must not come after all */
            cr_assert(h2peer_reply(&m.peer, f.stream, "200", "{}"));
        }
    }
    cr_assert_eq(n_headers, 1);
    cr_assert(h2mem_done(&m, &ex[0]));
    cr_assert_eq(m.s->state.n_open, 0);
    for (unsigned i = 1; i < 3; i++) {
        exchange_fini(&ex[i]);
    }
    finish(&m, &ex[0]);
}

Test(session, A049_never_more_streams_than_the_peer_allows)
{
    struct h2mem m;
    struct exchange ex[3];

    h2mem_open(&m, 100, 1, (uint32_t[]){H2_SET_MAX_STREAMS, 2});
    cr_assert_eq(m.s->state.max_open, 2);
    cr_assert(h2mem_get(&m, &ex[0]));
    cr_assert(h2mem_get(&m, &ex[1]));
    cr_assert_not(h2mem_get(&m, &ex[2]));
    cr_assert(h2peer_settings(&m.peer, 1, (uint32_t[]){H2_SET_MAX_STREAMS, 3}));
    cr_assert(h2mem_get(&m, &ex[2]));
    h2peer_drain(&m.peer); /* all three are on their way */
    cr_assert(h2peer_settings(&m.peer, 1, (uint32_t[]){H2_SET_MAX_STREAMS, 0}));
    cr_assert_eq(m.s->state.max_open, 0);
    for (unsigned i = 0; i < 3; i++) { /* and go on */
        cr_assert_eq(m.peer.streams[i].stream, (uint32_t)ex[i].stream_id);
        h2peer_reply(&m.peer, m.peer.streams[i].stream, "200", "{}");
        cr_assert(h2mem_done(&m, &ex[i]));
        cr_assert_eq(ex[i].failure, FAILURE_NONE);
        exchange_fini(&ex[i]);
    }
    h2mem_close(&m);
}

Test(session, A063_end_of_input_fails_every_stream_as_far_as_it_came)
{
    const struct pfs_error lost = {.cls = PFS_CONN_LOST, .text = "lost"};
    struct exchange ex[4];
    struct h2mem m;
    uint32_t id[4];

    h2mem_open(&m, 100, 0, NULL);
    for (unsigned i = 0; i < 3; i++) {
        cr_assert(h2mem_get(&m, &ex[i]));
        id[i] = h2peer_request(&m.peer)->stream;
    }
    cr_assert(h2mem_get(&m, &ex[3])); /* never drained: not sent */
    h2peer_headers(&m.peer, 0, id[1], ok_fields);
    h2peer_data(&m.peer, 0, id[1], "part");
    h2peer_headers(&m.peer, 0, id[2], (const char *const[]){":status", "404", NULL});
    m.s->ops->fail_all(m.s, &lost);
    for (unsigned i = 0; i < 4; i++) {
        cr_assert(h2mem_done(&m, &ex[i]));
    }
    assert_failed(&ex[0], FAILURE_WAITING, PFS_CONN_LOST, PFS_OUTCOME_UN, PFS_PHASE_WAIT);
    assert_failed(&ex[1], FAILURE_BODY, PFS_TRUNCATED, PFS_OUTCOME_AP, PFS_PHASE_BODY);
    assert_failed(&ex[2], FAILURE_BODY, PFS_TRUNCATED, PFS_OUTCOME_UN, PFS_PHASE_BODY);
    assert_failed(&ex[3], FAILURE_NOT_SENT, PFS_CONN_LOST, PFS_OUTCOME_NA, PFS_PHASE_QUEUE);
    for (unsigned i = 0; i < 4; i++) {
        exchange_fini(&ex[i]);
    }
    h2mem_close(&m);
}

Test(session, A065_an_answer_in_http_1)
{
    static const size_t slices[] = {0, 1, 3};

    for (size_t i = 0; i < sizeof slices / sizeof *slices; i++) {
        struct h2_options o = {.scheme = "http", .authority = "a:1", .max_streams = 100};
        const char *text = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n";
        size_t step = slices[i] ? slices[i] : strlen(text);
        enum pfs_class cls = PFS_OK;
        struct pfs_error err;
        struct session *s;

        cr_assert_eq(h2_session_new(&o, &s, &err), PFS_OK);
        for (size_t at = 0; at < strlen(text) && cls == PFS_OK; at += step) {
            size_t n = strlen(text) - at < step ? strlen(text) - at : step;

            cls = s->ops->feed(s, text + at, n, 1, &err);
        }
        cr_assert_eq(cls, PFS_PROTOCOL, "slices of %zu", slices[i]);
        cr_assert_not(s->state.is_up);
        s->ops->free(s);
    }
}

Test(session, A066_stream_ids_that_run_out_end_it_in_time)
{
    struct h2mem m;
    struct exchange a, b, c;

    h2mem_open(&m, 100, 0, NULL);
    cr_assert_eq(nghttp2_session_set_next_stream_id(h2_of(m.s)->ng, H2_LAST_STREAM_ID - 1), 0);
    cr_assert(h2mem_get(&m, &a));
    cr_assert_not(m.s->state.is_closing);
    cr_assert(h2mem_get(&m, &b));
    cr_assert(m.s->state.is_closing, "stream %d", b.stream_id);
    cr_assert_not(h2mem_get(&m, &c));
    for (unsigned i = 0; i < 2; i++) {
        struct h2req *r = h2peer_request(&m.peer);

        cr_assert_not_null(r);
        h2peer_reply(&m.peer, r->stream, "200", "{}");
    }
    cr_assert(h2mem_done(&m, &a) && h2mem_done(&m, &b));
    cr_assert_eq(b.failure, FAILURE_NONE);
    exchange_fini(&a);
    exchange_fini(&b);
    exchange_fini(&c);
    h2mem_close(&m);
}

Test(session, pings_are_sent_counted_and_answered)
{
    struct h2mem m;
    struct h2frame f;

    h2mem_open(&m, 100, 0, NULL);
    m.s->ops->ping(m.s);
    cr_assert(h2peer_wait(&m.peer, H2_PING, &f));
    cr_assert_eq(m.s->state.pings_acked, 1);
    cr_assert(h2peer_ping(&m.peer));
    while (h2peer_next(&m.peer, &f) && f.type != H2_PING) {
    }
    cr_assert_eq(f.type, H2_PING);
    cr_assert(f.flags & H2_ACK);
    cr_assert_eq(memcmp(f.payload, "01234567", 8), 0);
    h2mem_close(&m);
}

Test(session, shutdown_says_goaway_and_lets_streams_end)
{
    struct h2mem m;
    struct exchange ex;
    uint32_t id = start(&m, &ex);

    m.s->ops->shutdown(m.s);
    h2peer_drain(&m.peer);
    cr_assert(m.peer.goaway);
    cr_assert_eq(m.peer.goaway_code, H2_NO_ERROR);
    cr_assert_eq(m.fed, PFS_OK);
    h2peer_reply(&m.peer, id, "200", "{}");
    cr_assert(h2mem_done(&m, &ex));
    cr_assert_eq(ex.failure, FAILURE_NONE);
    finish(&m, &ex);
}
