/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* In memory: peers that send without end. Each must be stopped after a bounded number of frames. */
#include "base/err.h"
#include "support/h2peer.h"
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static const char *const ok_fields[] = {":status", "200", NULL};

static uint32_t start(struct h2mem *m, struct exchange *ex)
{
    h2mem_open(m, 100, 0, NULL);
    cr_assert(h2mem_get(m, ex));
    struct h2req *r = h2peer_request(&m->peer);
    cr_assert_not_null(r);
    return r->stream;
}

/* The session ended with cls; so does the exchange. */
static void assert_ended(struct h2mem *m, struct exchange *ex, enum pfs_class cls)
{
    h2peer_drain(&m->peer);
    cr_assert_eq(m->fed, cls, "%s: %s", pfs_class_name(m->fed), m->error.text);
    m->s->ops->fail_all(m->s, &m->error);
    cr_assert(h2mem_done(m, ex));
    cr_assert_eq(ex->err.cls, cls);
    exchange_fini(ex);
    h2mem_close(m);
}

Test(flood, A055_hpack_bomb)
{
    struct h2mem m;
    struct exchange ex;
    uint32_t id = start(&m, &ex);
    struct pfs_buf b = {0};
    static char value[3000], refs[16000];

    /* One field of 3 KB into the table (index 62), then references of one byte to it. */
    memset(value, 'v', sizeof value - 1);
    h2peer_encode(&b, (const char *const[]){":status", "200", "bomb", value, NULL});
    size_t second = 1 + 1 + 7 + 1 + 3;
    pfs_buf_data(&b)[second] = 0x40; /* with indexing */
    memset(refs, 0x80 | 62, sizeof refs);
    h2peer_frame(&m.peer, H2_HEADERS, 0, id, pfs_buf_data(&b), pfs_buf_len(&b));
    for (unsigned i = 0; i < 8 && m.fed == PFS_OK; i++) {
        h2peer_frame(&m.peer, H2_CONTINUATION, 0, id, refs, sizeof refs);
    }
    cr_assert_leq(ex.n_header_bytes, 80u << 10);
    pfs_buf_fini(&b);
    assert_ended(&m, &ex, PFS_LIMIT);
}

Test(flood, A055_many_fields_and_large_ones)
{
    for (unsigned k = 0; k < 2; k++) {
        struct h2mem m;
        struct exchange ex;
        uint32_t id = start(&m, &ex);
        static char value[20001];
        const char *fields[2 * 140 + 1];
        unsigned n = k == 0 ? 130 : 4;

        memset(value, 'v', sizeof value - 1);
        fields[0] = ":status";
        fields[1] = "200";
        for (unsigned i = 1; i < n; i++) {
            fields[2 * i] = "a";
            fields[2 * i + 1] = k == 0 ? "b" : value;
        }
        fields[2 * n] = NULL;
        if (k == 0) {
            h2peer_headers(&m.peer, 0, id, fields);
        } else { /* frames of 16 KiB */
            struct pfs_buf b = {0};
            unsigned type = H2_HEADERS;

            fields[2 * n] = "c";
            fields[2 * n + 1] = value;
            fields[2 * n + 2] = NULL;
            h2peer_encode(&b, fields);
            while (pfs_buf_len(&b) && m.fed == PFS_OK) {
                size_t len = pfs_buf_len(&b) < 16384 ? pfs_buf_len(&b) : 16384;

                h2peer_frame(&m.peer, type, len == pfs_buf_len(&b) ? H2_END_HEADERS : 0, id,
                             pfs_buf_data(&b), len);
                pfs_buf_consume(&b, len);
                type = H2_CONTINUATION;
            }
            pfs_buf_fini(&b);
        }
        assert_ended(&m, &ex, PFS_LIMIT);
    }
}

Test(flood, A056_continuation_without_end)
{
    struct h2mem m;
    struct exchange ex;
    uint32_t id = start(&m, &ex);
    unsigned n = 0;

    h2peer_frame(&m.peer, H2_HEADERS, 0, id, NULL, 0);
    while (n < 1000 && h2peer_frame(&m.peer, H2_CONTINUATION, 0, id, NULL, 0)) {
        n++;
    }
    cr_assert_leq(n, 10);
    assert_ended(&m, &ex, PFS_PROTOCOL);
}

Test(flood, A057_informational_replies_without_end)
{
    struct h2mem m;
    struct exchange ex;
    uint32_t id = start(&m, &ex);
    unsigned n = 0;

    while (n < 1000 &&
           h2peer_headers(&m.peer, 0, id, (const char *const[]){":status", "102", NULL})) {
        n++;
    }
    cr_assert_leq(n, 17);
    assert_ended(&m, &ex, PFS_LIMIT);
}

Test(flood, A058_empty_data_without_end)
{
    struct h2mem m;
    struct exchange ex;
    uint32_t id = start(&m, &ex);
    unsigned n = 0;

    h2peer_headers(&m.peer, 0, id, ok_fields);
    for (unsigned i = 0; i < 300; i++) { /* with content between: allowed */
        cr_assert(h2peer_data(&m.peer, 0, id, i % 3 ? "" : "x"));
    }
    while (n < 1000 && h2peer_data(&m.peer, 0, id, "")) {
        n++;
    }
    cr_assert_leq(n, 101);
    assert_ended(&m, &ex, PFS_PROTOCOL);
}

/* Sends frames of one kind, all in one moment, until the session ends; returns how many. */
static unsigned flood(struct h2mem *m, unsigned type, unsigned flags, uint32_t stream,
                      const char *payload, size_t n)
{
    unsigned sent = 0;

    while (sent < 20000 && h2peer_frame(&m->peer, type, flags, stream, payload, n)) {
        sent++;
    }
    return sent;
}

Test(flood, A059_A060_frames_that_bring_nothing)
{
    static const struct {
        unsigned type, flags;
        const char *payload;
        size_t n;
        bool on_stream;
        const char *what;
    } rows[] = {{H2_PING, 0, "01234567", 8, false, "PING"},
                {H2_PING, H2_ACK, "01234567", 8, false, "PING ACK"},
                {H2_SETTINGS, 0, "", 0, false, "SETTINGS"},
                {H2_WINDOW_UPDATE, 0, "\0\0\0\1", 4, false, "WINDOW_UPDATE"},
                {H2_WINDOW_UPDATE, 0, "\0\0\0\1", 4, true, "WINDOW_UPDATE on a stream"},
                {H2_PRIORITY, 0, "\0\0\0\0\20", 5, true, "PRIORITY"},
                {H2_GOAWAY, 0, "\177\377\377\377\0\0\0\0", 8, false, "GOAWAY"},
                {0xbe, 0, "unknown", 7, false, "unknown type"}};

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct h2mem m;
        struct exchange ex;
        uint32_t id = start(&m, &ex);
        unsigned n = flood(&m, rows[i].type, rows[i].flags, rows[i].on_stream ? id : 0,
                           rows[i].payload, rows[i].n);

        cr_assert_leq(n, 1100, "%s: %u", rows[i].what, n);
        assert_ended(&m, &ex, PFS_PROTOCOL);
    }
}

Test(flood, A059_resets_of_streams_that_have_ended)
{
    struct h2mem m;
    struct exchange ended, open;
    uint32_t id = start(&m, &ended);

    h2peer_reply(&m.peer, id, "200", "{}");
    cr_assert(h2mem_done(&m, &ended));
    exchange_fini(&ended);
    cr_assert(h2mem_get(&m, &open));
    unsigned n = flood(&m, H2_RST_STREAM, 0, id, "\0\0\0\0", 4);
    cr_assert_leq(n, 1100, "%u", n);
    assert_ended(&m, &open, PFS_PROTOCOL);
}

Test(flood, A059_a_reset_for_each_request_is_no_flood)
{
    struct h2mem m;
    struct exchange ex;
    struct pfs_error why;

    h2mem_open(&m, 100, 0, NULL);
    pfs_refuse(&why, PFS_CANCELLED, "given up");
    for (unsigned i = 0; i < 3000; i++) { /* all in one moment */
        cr_assert(h2mem_get(&m, &ex));
        struct h2req *r = h2peer_request(&m.peer);
        uint32_t id = r->stream;
        h2peer_forget(r);
        if (i % 2) { /* crosses with ours */
            m.s->ops->cancel(m.s, &ex, &why);
            h2peer_drain(&m.peer);
        }
        cr_assert(h2peer_rst(&m.peer, id, H2_CANCEL), "%u: %s", i, m.error.text);
        cr_assert(h2mem_done(&m, &ex));
        exchange_fini(&ex);
    }
    h2mem_close(&m);
}

Test(flood, A059_an_end_in_order_has_two_goaways)
{
    struct h2mem m;
    struct exchange ex;
    uint32_t id = start(&m, &ex);

    cr_assert(h2peer_goaway(&m.peer, 0x7fffffff, H2_NO_ERROR, ""));
    cr_assert(h2peer_goaway(&m.peer, id, H2_NO_ERROR, ""));
    h2peer_reply(&m.peer, id, "200", "{}");
    cr_assert(h2mem_done(&m, &ex));
    cr_assert_eq(ex.failure, FAILURE_NONE, "%s", ex.err.text);
    cr_assert_eq(m.fed, PFS_OK);
    exchange_fini(&ex);
    h2mem_close(&m);
}

Test(flood, A060_as_many_over_time_are_no_flood)
{
    struct h2mem m;
    struct exchange ex;
    uint32_t id = start(&m, &ex);
    struct h2frame f;

    for (unsigned i = 0; i < 5000; i++) {
        m.now_ns += 20 * PFS_MS;
        cr_assert(h2peer_ping(&m.peer), "ping %u", i);
        cr_assert(h2peer_next(&m.peer, &f));
    }
    h2peer_reply(&m.peer, id, "200", "{}");
    cr_assert(h2mem_done(&m, &ex));
    cr_assert_eq(ex.failure, FAILURE_NONE);
    exchange_fini(&ex);
    h2mem_close(&m);
}

Test(flood, A061_push_promise)
{
    struct h2mem m;
    struct exchange ex;
    uint32_t id = start(&m, &ex);
    struct pfs_buf b = {0};

    cr_assert(pfs_buf_add(&b, "\0\0\0\2", 4));
    h2peer_encode(&b, (const char *const[]){":method", "GET", ":scheme", "http", ":path", "/p",
                                            ":authority", "a", NULL});
    h2peer_frame(&m.peer, H2_PUSH_PROMISE, H2_END_HEADERS, id, pfs_buf_data(&b), pfs_buf_len(&b));
    pfs_buf_fini(&b);
    assert_ended(&m, &ex, PFS_PROTOCOL);
}

#define WINDOW (256u << 10) /* of a stream whose consumer has taken nothing yet */

Test(flood, A054_more_than_our_window)
{
    struct h2mem m;
    struct exchange ex;
    uint32_t id = start(&m, &ex);
    static char piece[16384];
    unsigned n = 0;

    ex.reply_stream = true; /* and nobody reads */
    h2peer_headers(&m.peer, 0, id, ok_fields);
    while (n < 1000 && m.fed == PFS_OK && m.peer.n_rst == 0 &&
           h2peer_frame(&m.peer, H2_DATA, 0, id, piece, sizeof piece)) {
        h2peer_drain(&m.peer);
        n++;
    }
    cr_assert_leq(n, WINDOW / 16384 + 1, "%u pieces were taken", n);
    cr_assert_leq(pfs_buf_len(&ex.reply),
                  WINDOW + sizeof piece); /* and the one that was too much */
    if (m.fed == PFS_OK) {
        cr_assert(h2mem_done(&m, &ex));
        cr_assert_eq(ex.err.cls, PFS_PROTOCOL, "%s", pfs_class_name(ex.err.cls));
        exchange_fini(&ex);
        h2mem_close(&m);
    } else {
        assert_ended(&m, &ex, PFS_PROTOCOL);
    }
}

Test(flood, A053_an_unread_reply_leaves_room_for_others)
{
    struct h2mem m;
    struct exchange slow, other;
    static char piece[16384];
    uint32_t id = start(&m, &slow);

    slow.reply_stream = true;
    h2peer_headers(&m.peer, 0, id, ok_fields);
    for (unsigned i = 0; i < WINDOW / sizeof piece; i++) { /* its window is full */
        cr_assert(h2peer_frame(&m.peer, H2_DATA, 0, id, piece, sizeof piece));
    }
    for (unsigned i = 0; i < 80; i++) { /* 20 MB for others: more than the connection's window */
        cr_assert(h2mem_get(&m, &other));
        other.reply_max = WINDOW;
        struct h2req *r = h2peer_request(&m.peer);
        cr_assert_not_null(r);
        h2peer_headers(&m.peer, 0, r->stream, ok_fields);
        for (unsigned k = 0; k < WINDOW / sizeof piece; k++) {
            cr_assert(h2peer_frame(&m.peer, H2_DATA, 0, r->stream, piece, sizeof piece));
        }
        cr_assert(h2peer_data(&m.peer, H2_END_STREAM, r->stream, ""));
        cr_assert(h2mem_done(&m, &other));
        cr_assert_eq(other.failure, FAILURE_NONE, "%s", other.err.text);
        h2peer_forget(r);
        exchange_fini(&other);
    }
    cr_assert_eq(m.fed, PFS_OK);
    h2mem_done(&m, &slow);
    exchange_fini(&slow);
    h2mem_close(&m);
}
