/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* Bodies that come and go in pieces: framing, lengths, back-pressure. */
#include "rig.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

/* Gives a chunk and drains it in pieces of cap bytes. */
static const char *give(struct rig *r, const char *chunk, bool last, size_t cap)
{
    r->events &= ~(unsigned)EXCHANGE_WRITABLE;
    r->ex.chunk.at = chunk;
    r->ex.chunk.n = strlen(chunk);
    r->ex.chunk.last = last;
    r->s->ops->resume(r->s, &r->ex);
    const char *sent = rig_drain(r, cap);

    cr_assert_eq((r->events & EXCHANGE_WRITABLE) != 0, *chunk != '\0');
    return sent;
}

static void start_upload(struct rig *r, int64_t length, size_t cap, const char *framing)
{
    char expected[200];

    rig_init(r);
    r->ex.method = "PUT";
    r->ex.body_stream = true;
    r->ex.body_stream_len = length;
    rig_submit(r);
    snprintf(expected, sizeof expected, "PUT /x HTTP/1.1\r\nHost: files.test:8080\r\n%s\r\n\r\n",
             framing);
    cr_assert_str_eq(rig_drain(r, cap), expected);
    cr_assert_eq(r->ex.request_sent, length == 0);
}

Test(stream, streamed_body_of_unknown_length)
{
    for (size_t i = 0; i < N_CAPS; i++) {
        size_t cap = caps[i];
        struct rig r;

        start_upload(&r, -1, cap, "Transfer-Encoding: chunked");
        cr_assert_str_eq(give(&r, "hello", false, cap), "5\r\nhello\r\n");
        cr_assert_str_eq(give(&r, "0123456789abcdef", false, cap), "10\r\n0123456789abcdef\r\n");
        cr_assert_not(r.ex.request_sent);
        if (cap % 2) { /* the end with a chunk, or by itself */
            cr_assert_str_eq(give(&r, "x", true, cap), "1\r\nx\r\n0\r\n\r\n");
        } else {
            cr_assert_str_eq(give(&r, "", true, cap), "0\r\n\r\n");
        }
        cr_assert(r.ex.request_sent);
        cr_assert_eq(rig_feed(&r, OK_REPLY), PFS_OK);
        cr_assert_eq(r.ex.err.cls, PFS_OK);
        cr_assert_not(r.s->state.is_closing);
        rig_fini(&r);
    }
}

/* The next chunk comes while the framing of the one before waits for room. */
Test(stream, chunks_do_not_run_together)
{
    struct rig r;
    char piece[8];
    size_t n;

    start_upload(&r, -1, 100, "Transfer-Encoding: chunked");
    r.ex.chunk.at = "hello";
    r.ex.chunk.n = 5;
    r.s->ops->drain(r.s, piece, 8, &n, &r.err);
    cr_assert(n == 8 && memcmp(piece, "5\r\nhello", 8) == 0 && r.ex.chunk.n == 0);
    rig_collect(&r);
    cr_assert(r.events & EXCHANGE_WRITABLE);
    cr_assert_str_eq(give(&r, "abc", true, 100), "\r\n3\r\nabc\r\n0\r\n\r\n");
    rig_fini(&r);
}

Test(stream, streamed_body_of_known_length)
{
    for (size_t i = 0; i < N_CAPS; i++) {
        size_t cap = caps[i];
        struct rig r;

        start_upload(&r, 8, cap, "Content-Length: 8");
        cr_assert_str_eq(give(&r, "hello", false, cap), "hello");
        cr_assert_str_eq(give(&r, "abc", cap % 2, cap), "abc");
        cr_assert(r.ex.request_sent);
        cr_assert_str_empty(give(&r, "", true, cap));
        cr_assert_eq(rig_feed(&r, OK_REPLY), PFS_OK);
        cr_assert_eq(r.ex.err.cls, PFS_OK);
        cr_assert_not(r.s->state.is_closing);
        rig_fini(&r);
        start_upload(&r, 0, cap, "Content-Length: 0");
        rig_fini(&r);
    }
}

Test(stream, streamed_body_must_keep_its_length)
{
    static const struct {
        const char *first, *second;
    } rows[] = {{"hello", "abcd"}, {"hello", "ab"}, {"hello", ""}, {"helloabc", "!"}};

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct rig r;

        start_upload(&r, 8, 100, "Content-Length: 8");
        cr_assert_str_eq(give(&r, rows[i].first, false, 100), rows[i].first);
        r.ex.chunk.at = rows[i].second;
        r.ex.chunk.n = strlen(rows[i].second);
        r.ex.chunk.last = true;
        cr_assert_str_empty(rig_drain(&r, 100), "row %zu", i);
        cr_assert_eq(r.n_done, 1);
        cr_assert_eq(r.ex.err.cls, PFS_INVALID);
        cr_assert_eq(r.ex.err.outcome, PFS_OUTCOME_UN);
        cr_assert(r.s->state.is_closing);
        rig_fini(&r);
    }
}

static void start_download(struct rig *r)
{
    rig_init(r);
    r->ex.reply_stream = true;
    rig_submit(r);
    rig_drain(r, 16384);
}

Test(stream, streamed_reply_and_back_pressure)
{
    static char piece[65536];
    struct rig r;

    start_download(&r);
    cr_assert_eq(rig_feed(&r, OK_HEAD "Transfer-Encoding: chunked\r\n\r\n"), PFS_OK);
    cr_assert_eq(r.events, EXCHANGE_HEAD);
    for (int i = 0; i < 17; i++) {
        cr_assert_not(r.s->state.hold_reading, "after %d", i);
        cr_assert_eq(rig_feed(&r, "10000\r\n"), PFS_OK);
        cr_assert_eq(rig_feed_n(&r, piece, sizeof piece, sizeof piece), PFS_OK);
        cr_assert_eq(rig_feed(&r, "\r\n"), PFS_OK);
    }
    cr_assert_eq(r.events, EXCHANGE_HEAD | EXCHANGE_DATA);
    cr_assert_eq(r.ex.n_unconsumed, 17u << 16);
    cr_assert(r.s->state.hold_reading);
    pfs_buf_consume(&r.ex.reply, 65536);
    r.s->ops->consumed(r.s, &r.ex, 65536);
    cr_assert_not(r.s->state.hold_reading);
    cr_assert_eq(rig_feed(&r, "5\r\nhello\r\n"), PFS_OK);
    cr_assert(r.s->state.hold_reading);
    cr_assert_eq(rig_feed(&r, "0\r\n\r\n"), PFS_OK);
    cr_assert_eq(r.n_done, 1);
    cr_assert_eq(r.ex.err.cls, PFS_OK);
    cr_assert_not(r.s->state.hold_reading); /* what is left to consume holds nobody up */
    r.s->ops->consumed(r.s, &r.ex, 1);
    cr_assert_not(r.s->state.hold_reading);
    rig_fini(&r);
}

Test(stream, streamed_reply_other_ends)
{
    struct rig r;

    start_download(&r); /* an error is no stream */
    cr_assert_eq(rig_feed(&r, "HTTP/1.1 404 N\r\nContent-Length: 2\r\n\r\nno"), PFS_OK);
    cr_assert_eq(r.events, EXCHANGE_DONE);
    cr_assert_eq(pfs_buf_len(&r.ex.reply), 2);
    rig_fini(&r);

    start_download(&r); /* cut: what came is there, and the end is no end */
    cr_assert_eq(rig_feed(&r, OK_HEAD "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"), PFS_OK);
    rig_end(&r, RIG_EOF);
    cr_assert_eq(r.ex.err.cls, PFS_TRUNCATED);
    cr_assert_eq(pfs_buf_len(&r.ex.reply), 5);
    rig_fini(&r);

    start_download(&r); /* nobody reads on */
    cr_assert_eq(rig_feed(&r, OK_HEAD "Content-Length: 10\r\n\r\nhello"), PFS_OK);
    r.ex.lost_interest = true;
    cr_assert_eq(rig_feed(&r, "world"), PFS_OK);
    cr_assert_eq(r.n_done, 1);
    cr_assert_eq(pfs_buf_len(&r.ex.reply), 5);
    rig_fini(&r);
}
