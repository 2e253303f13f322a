/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* What replies mean: each whole, one byte at a time, and cut at every byte. */
#include "rig.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

struct good {
    const char *reply;
    int status;
    const char *body;
    bool is_closing; /* the connection is not used again */
    bool needs_eof;  /* the reply ends with the connection */
    const char *method;
};

static const struct good goods[] = {
    {OK_HEAD "Content-Length: 5\r\n\r\nhello", 200, "hello"},
    {OK_HEAD "CONTENT-LENGTH:5  \r\n\r\nhello", 200, "hello"},
    {"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", 200, ""},
    {"HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nno\n", 404, "no\n"},
    {"HTTP/1.1 999 Odd\r\nContent-Length: 1\r\n\r\nx", 999, "x"},
    {OK_HEAD "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 200, "hello"},
    {OK_HEAD "transfer-encoding: Chunked\r\n\r\n2\r\nhe\r\n3;ext=\"v\"\r\nllo\r\n0\r\n\r\n", 200,
     "hello"},
    {OK_HEAD "Transfer-Encoding: chunked\r\n\r\nA\r\n0123456789\r\n0\r\nX-Sum: 1\r\n"
             "Content-Type: forged\r\nContent-Length: 3\r\n\r\n",
     200, "0123456789"},
    {OK_HEAD "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 200, ""},
    {"HTTP/1.1 204 No Content\r\n\r\n", 204, ""},
    {"HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n", 304, ""},
    {"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", 204, "", .is_closing = true},
    {OK_HEAD "Content-Length: 10\r\n\r\n", 200, "", .method = "HEAD"},
    {"HTTP/1.1 100 Continue\r\n\r\n" OK_HEAD "Content-Length: 2\r\n\r\nok", 200, "ok"},
    {"HTTP/1.1 103 Early Hints\r\nContent-Type: text/x\r\nContent-Length: 7\r\n\r\n"
     "HTTP/1.1 102 P\r\n\r\n" OK_HEAD "Content-Length: 2\r\n\r\nok",
     200, "ok"},
    {OK_HEAD "Connection: close\r\nContent-Length: 2\r\n\r\nok", 200, "ok", .is_closing = true},
    {OK_HEAD "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 200,
     "ok", .is_closing = true},
    {"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", 200, "ok",
     .is_closing = true},
    {OK_HEAD "\r\nuntil the end", 200, "until the end", .is_closing = true, .needs_eof = true},
    {"HTTP/1.0 200 OK\r\n\r\n", 200, "", .is_closing = true, .needs_eof = true},
    {"\r\n" OK_HEAD "Content-Length: 2\r\n\r\nok", 200, "ok"},
    {OK_HEAD "Upgrade: h2c\r\nConnection: upgrade\r\nContent-Length: 2\r\n\r\nok", 200, "ok"},
};

static void start(struct rig *r, const char *method)
{
    rig_init(r);
    r->ex.method = method ? method : "GET";
    rig_submit(r);
    rig_drain(r, 16384);
    cr_assert(r->ex.request_sent);
}

static void check_good(const struct good *g, size_t step)
{
    struct rig r;

    start(&r, g->method);
    cr_assert_eq(rig_feed_n(&r, g->reply, strlen(g->reply), step), PFS_OK, "%s: %s", g->reply,
                 r.err.text);
    cr_assert_eq(r.n_done, g->needs_eof ? 0 : 1, "%s", g->reply);
    if (g->needs_eof) {
        rig_end(&r, RIG_EOF);
    }
    cr_assert_eq(r.n_done, 1, "%s", g->reply);
    cr_assert_eq(r.ex.err.cls, PFS_OK, "%s: %s", g->reply, r.ex.err.text);
    cr_assert_eq(r.ex.head.status, g->status, "%s", g->reply);
    cr_assert_eq(pfs_buf_len(&r.ex.reply), strlen(g->body), "%s", g->reply);
    cr_assert(!*g->body || memcmp(pfs_buf_data(&r.ex.reply), g->body, strlen(g->body)) == 0);
    cr_assert_str_empty(r.ex.head.content_type, "%s", g->reply);
    cr_assert_eq(r.s->state.is_closing, g->is_closing, "%s", g->reply);
    rig_fini(&r);
}

/* The first n bytes and then the end: never success, and as much proof as the bytes gave. */
static void check_cut(const struct good *g, size_t n, enum rig_end end)
{
    struct rig r;

    start(&r, g->method);
    cr_assert_eq(rig_feed_n(&r, g->reply, n, n + 1), PFS_OK);
    cr_assert_eq(r.n_done, 0, "%s at %zu", g->reply, n);
    rig_end(&r, end);
    cr_assert_eq(r.n_done, 1);
    if (r.ex.failure == FAILURE_BODY) {
        cr_assert_eq(r.ex.err.cls, PFS_TRUNCATED);
        cr_assert_eq(r.ex.err.outcome, g->status == 200 ? PFS_OUTCOME_AP : PFS_OUTCOME_UN);
        cr_assert_eq(r.ex.head.status, g->status);
    } else {
        cr_assert_eq(r.ex.failure, FAILURE_WAITING, "%s at %zu", g->reply, n);
        cr_assert_eq(r.ex.err.cls, PFS_CONN_LOST);
        cr_assert_eq(r.ex.err.outcome, PFS_OUTCOME_UN);
        cr_assert_eq(r.ex.head.status, 0);
    }
    rig_fini(&r);
}

Test(reply, good_ones)
{
    for (size_t i = 0; i < sizeof goods / sizeof *goods; i++) {
        check_good(&goods[i], SIZE_MAX / 2);
        check_good(&goods[i], 1);
        check_good(&goods[i], 3);
    }
}

Test(reply, cut_at_every_byte_never_counts)
{
    for (size_t i = 0; i < sizeof goods / sizeof *goods; i++) {
        size_t len = strlen(goods[i].reply);

        for (size_t n = 0; n < len; n++) {
            check_cut(&goods[i], n, RIG_CUT);
            if (!goods[i].needs_eof) {
                check_cut(&goods[i], n, RIG_EOF);
            }
        }
        if (goods[i].needs_eof) {
            check_cut(&goods[i], len, RIG_CUT);
        }
    }
}

static const char *const bads[] = {
    "HTTP/1.1 20 OK\r\n\r\n",
    "HTTP/1.1 2000 OK\r\n\r\n",
    "HTTP/1.1 abc OK\r\n\r\n",
    "HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/0.9 200 OK\r\nContent-Length: 0\r\n\r\n",
    "QTTP/1.1 200 OK\r\n\r\n",
    OK_HEAD "A: b\rC: d\r\n\r\n",
    "HTTP/1.1 200 OK\rXContent-Length: 0\r\n\r\n",
    OK_HEAD "Content-Length: 0\r\n\rX",
    "SSH-2.0-OpenSSH_9.2\r\n",
    "\x15\x03\x01\x00\x02\x02\x28",
    "<html></html>",
    OK_HEAD "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    OK_HEAD "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    OK_HEAD "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    OK_HEAD "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    OK_HEAD "Content-Length: 5, 5\r\n\r\nhello",
    OK_HEAD "Content-Length: -1\r\n\r\n",
    OK_HEAD "Content-Length: +5\r\n\r\nhello",
    OK_HEAD "Content-Length: 5x\r\n\r\nhello",
    OK_HEAD "Content-Length: 0x5\r\n\r\nhello",
    OK_HEAD "Content-Length:\r\n\r\nhello",
    OK_HEAD "Content-Length: 99999999999999999999\r\n\r\n",
    OK_HEAD "Content-Length : 5\r\n\r\nhello",
    OK_HEAD "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    OK_HEAD "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    OK_HEAD "Transfer-Encoding: gzip\r\n\r\nx",
    OK_HEAD "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    OK_HEAD "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    OK_HEAD "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    OK_HEAD "Transfer-Encoding:\r\n\r\n0\r\n\r\n",
    "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    OK_HEAD "No colon here\r\n\r\n",
    OK_HEAD ": empty name\r\n\r\n",
    OK_HEAD "X: a\x01z\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\n\r\n",
    OK_HEAD "Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
    OK_HEAD "Transfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n",
    OK_HEAD "Transfer-Encoding: chunked\r\n\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    OK_HEAD "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
    OK_HEAD "Transfer-Encoding: chunked\r\n\r\n5\r\nhelloworld\r\n0\r\n\r\n",
    OK_HEAD "Transfer-Encoding: chunked\r\n\r\n5\r\nhelloXX0\r\n\r\n",
    OK_HEAD "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\rX0\r\n\r\n",
    OK_HEAD "Transfer-Encoding: chunked\r\n\r\n5\rXhello\r\n0\r\n\r\n",
    OK_HEAD "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\rX\r\n",
    OK_HEAD "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\rX",
    OK_HEAD "Transfer-Encoding: chunked\r\n\r\n3\r\nhello\r\n0\r\n\r\n",
};

Test(reply, bad_ones)
{
    for (size_t i = 0; i < 2 * (sizeof bads / sizeof *bads); i++) {
        const char *reply = bads[i / 2];
        struct rig r;

        start(&r, NULL);
        enum pfs_class cls = rig_feed_n(&r, reply, strlen(reply), i % 2 ? 1 : 1000);

        cr_assert_eq(cls, PFS_PROTOCOL, "%s: %s", reply, pfs_class_name(cls));
        cr_assert_eq(r.n_done, 0, "%s", reply);
        r.s->ops->fail_all(r.s, &r.err);
        rig_collect(&r);
        cr_assert_eq(r.n_done, 1);
        cr_assert_eq(r.ex.err.cls, PFS_PROTOCOL);
        cr_assert_eq(r.ex.failure, r.ex.head.status ? FAILURE_BODY : FAILURE_WAITING, "%s", reply);
        cr_assert(r.s->state.is_closing);
        rig_fini(&r);
    }
}

/* `unit` n times between two ends. */
static void check_bomb(const char *before, const char *unit, unsigned n, size_t step)
{
    struct rig r;
    enum pfs_class cls;

    start(&r, NULL);
    cls = rig_feed_n(&r, before, strlen(before), step);
    for (unsigned i = 0; i < n && cls == PFS_OK; i++) {
        cls = rig_feed_n(&r, unit, strlen(unit), step);
    }
    cr_assert_eq(cls, PFS_LIMIT, "%s%s...: %s", before, unit, pfs_class_name(cls));
    rig_fini(&r);
    cr_assert_eq(r.n_done, 1);
}

Test(reply, header_bombs)
{
    for (size_t step = 1; step <= 1000; step += 999) {
        check_bomb(OK_HEAD, "a: b\r\n", 130, step);
        check_bomb(OK_HEAD "a: ", "0123456789abcdef", 90 << 6, step);
        check_bomb(OK_HEAD, "0123456789abcdef", 90 << 6, step);
        check_bomb("HTTP/1.1 200 ", "0123456789abcdef", 90 << 6, step);
        check_bomb("", "HTTP/1.1 102 Wait\r\n\r\n", 20, step);
        check_bomb(OK_HEAD "Transfer-Encoding: chunked\r\n\r\n0\r\n", "a: b\r\n", 130, step);
        check_bomb(OK_HEAD "Transfer-Encoding: chunked\r\n\r\n5;", "0123456789abcdef", 90 << 6,
                   step);
    }
}

Test(reply, fields_are_kept_and_names_folded)
{
    const char *reply = OK_HEAD "CONTENT-TYPE: text/plain \r\nRetry-After:3\r\nAGFS-Boot: b1\r\n"
                                "Content-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx";
    struct rig r;

    start(&r, NULL);
    cr_assert_eq(rig_feed_n(&r, reply, strlen(reply), 1), PFS_OK);
    cr_assert_eq(r.n_done, 1);
    cr_assert_str_eq(r.ex.head.content_type, "text/plain");
    cr_assert_str_eq(r.ex.head.retry_after, "3");
    cr_assert_str_eq(r.ex.head.boot, "b1");
    cr_assert_str_eq(r.ex.head.content_encoding, "gzip");
    cr_assert_eq(r.ex.head.content_length, 1);
    rig_fini(&r);
}

Test(reply, longer_than_allowed_ends_the_exchange)
{
    char big[1200];
    struct rig r;

    memset(big, 'x', sizeof big);
    for (size_t n = 1000; n <= 1001; n++) {
        char head[64];

        start(&r, NULL);
        snprintf(head, sizeof head, OK_HEAD "Content-Length: %zu\r\n\r\n", n);
        rig_feed(&r, head);
        cr_assert_eq(rig_feed_n(&r, big, n, 7), PFS_OK);
        cr_assert_eq(r.n_done, 1);
        cr_assert_eq(r.ex.err.cls, n > 1000 ? PFS_LIMIT : PFS_OK);
        cr_assert_eq(r.ex.failure, n > 1000 ? FAILURE_BODY : FAILURE_NONE);
        cr_assert_eq(r.s->state.is_closing, n > 1000);
        rig_fini(&r);
    }
}

Test(reply, A088_an_error_body_without_end_ends_the_connection_not_the_answer)
{
    static const char *const heads[] = {
        "HTTP/1.1 404 Not Found\r\nContent-Length: 1000000000\r\n\r\n",
        "HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n5000000\r\n",
        "HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n"};
    static char piece[1000];

    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        struct rig r;

        start(&r, NULL);
        cr_assert_eq(rig_feed(&r, heads[i]), PFS_OK);
        for (unsigned k = 0; k <= EXCHANGE_ERROR_BODY_MAX / sizeof piece && r.n_done == 0; k++) {
            cr_assert_eq(rig_feed_n(&r, piece, sizeof piece, sizeof piece), PFS_OK);
        }
        cr_assert_eq(r.n_done, 1, "head %zu", i);
        cr_assert_eq(r.ex.failure, FAILURE_NONE);
        cr_assert_eq(r.ex.head.status, 404);
        cr_assert_eq(pfs_buf_len(&r.ex.reply), EXCHANGE_ERROR_BODY_MAX);
        cr_assert(r.s->state.is_closing);
        rig_fini(&r);
    }
}

Test(reply, two_in_one_feed)
{
    struct rig r;

    start(&r, NULL);
    cr_assert_eq(
        rig_feed(&r, OK_HEAD "Content-Length: 1\r\n\r\na" OK_HEAD "Content-Length: 1\r\n\r\nb"),
        PFS_OK);
    cr_assert_eq(r.n_done, 1);
    cr_assert_eq(r.ex.err.cls, PFS_OK);
    cr_assert_eq(pfs_buf_len(&r.ex.reply), 1);
    cr_assert_eq(*pfs_buf_data(&r.ex.reply), 'a');
    cr_assert(r.s->state.is_closing);
    rig_fini(&r);
    start(&r, NULL); /* one byte at a time: the next answers no request */
    cr_assert_eq(rig_feed_n(&r, "HTTP/1.1 204 N\r\n\r\nHTTP", 22, 1), PFS_PROTOCOL);
    cr_assert_eq(r.n_done, 1);
    cr_assert_eq(r.ex.err.cls, PFS_OK);
    cr_assert(r.s->state.is_closing);
    rig_fini(&r);
}
