/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "h1_parse.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int parse(const char *text, struct h1_head *head)
{
    size_t scan = 0;
    size_t n = strlen(text);
    int len = h1_find_head(text, n, &scan);

    cr_assert_eq(len, (int)n, "no complete header: %s", text);
    return h1_parse_head(text, n, head);
}

#define HOST "Host: a\r\n"

Test(h1_parse, good_headers)
{
    static const struct {
        const char *text, *target;
        int64_t length;
        bool chunked, keep_alive, expect;
    } good[] = {
        {"GET /x?y HTTP/1.1\r\n" HOST "\r\n", "/x?y", -1, false, true, false},
        {"GET /x HTTP/1.0\r\n\r\n", "/x", -1, false, false, false},
        {"GET /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "/x", -1, false, false, false},
        {"GET /x HTTP/1.1\r\n" HOST "Connection: x , Close\r\n\r\n", "/x", -1, false, false, false},
        {"PUT /x HTTP/1.1\r\n" HOST "Content-Length:  12 \r\nExpect: 100-Continue\r\n\r\n", "/x",
         12, false, true, true},
        {"PUT /x HTTP/1.1\r\n" HOST "Transfer-Encoding: Chunked\r\n\r\n", "/x", -1, true, true,
         false},
        {"GET http://a/x/y HTTP/1.1\r\n" HOST "\r\n", "/x/y", -1, false, true, false},
        {"OPTIONS * HTTP/1.1\r\n" HOST "\r\n", "*", -1, false, true, false},
        {"GET /\xc3\xa4 HTTP/1.1\r\n" HOST "X:\r\nY: \xff\tz\r\n\r\n", "/\xc3\xa4", -1, false, true,
         false},
    };
    struct h1_head head;

    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        cr_expect_eq(parse(good[i].text, &head), 0, "%s: %s", good[i].text, head.reason);
        cr_expect(head.target.n == strlen(good[i].target) &&
                      memcmp(head.target.p, good[i].target, head.target.n) == 0,
                  "%s", good[i].text);
        cr_expect_eq(head.content_length, good[i].length, "%s", good[i].text);
        cr_expect_eq(head.chunked, good[i].chunked, "%s", good[i].text);
        cr_expect_eq(head.keep_alive, good[i].keep_alive, "%s", good[i].text);
        cr_expect_eq(head.expect_continue, good[i].expect, "%s", good[i].text);
    }
    parse(good[8].text, &head);
    cr_expect_eq(head.n_fields, 3);
    cr_expect_eq(head.fields[1].value.n, 0);
    cr_expect_eq(memcmp(head.fields[2].value.p, "\xff\tz", head.fields[2].value.n), 0);
}

Test(h1_parse, D10_smuggling_is_refused)
{
#define GET "GET /x HTTP/1.1\r\n"
    static const struct {
        const char *text;
        int status;
    } bad[] = {
        {GET HOST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
        {GET HOST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", 400},
        {GET HOST "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", 400},
        {GET HOST "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", 400},
        {GET HOST "Content-Length: 5, 5\r\n\r\n", 400},
        {GET HOST "Content-Length: +5\r\n\r\n", 400},
        {GET HOST "Content-Length: -5\r\n\r\n", 400},
        {GET HOST "Content-Length: 0x5\r\n\r\n", 400},
        {GET HOST "Content-Length: 5 5\r\n\r\n", 400},
        {GET HOST "Content-Length:\r\n\r\n", 400},
        {GET HOST "Content-Length: 99999999999999999999\r\n\r\n", 400},
        {GET HOST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
        {GET HOST "Transfer-Encoding: chunked, identity\r\n\r\n", 501},
        {GET HOST "Transfer-Encoding: gzip, chunked\r\n\r\n", 501},
        {GET HOST "Transfer-Encoding: xchunked\r\n\r\n", 501},
        {GET HOST "Transfer-Encoding : chunked\r\n\r\n", 400},
        {GET HOST "Transfer-Encoding\t: chunked\r\n\r\n", 400},
        {"GET /x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
        {GET HOST "X: a\r\n b\r\n\r\n", 400},
        {GET HOST "X: a\r\n\tb\r\n\r\n", 400},
        {GET " X: a\r\n" HOST "\r\n", 400},
        {GET HOST "X: a\nContent-Length: 3\r\n\r\n", 400},
        {GET HOST "X: a\rb\r\n\r\n", 400},
        {GET HOST "X: a\x01\r\n\r\n", 400},
        {GET HOST "X\x80: a\r\n\r\n", 400},
        {GET HOST ": a\r\n\r\n", 400},
        {GET HOST "novalue\r\n\r\n", 400},
        {GET "\r\n", 400},
        {GET HOST HOST "\r\n", 400},
        {"GET /x HTTP/2.0\r\n" HOST "\r\n", 505},
        {"GET /x HTTP/1.2\r\n" HOST "\r\n", 505},
        {"GET /x HTTX/1.1\r\n" HOST "\r\n", 400},
        {"GET /x\r\n" HOST "\r\n", 505}, /* HTTP/0.9 */
        {"GET  /x HTTP/1.1\r\n" HOST "\r\n", 400},
        {"GET /x  HTTP/1.1\r\n" HOST "\r\n", 400},
        {"GET /x y HTTP/1.1\r\n" HOST "\r\n", 400},
        {"GET /x\ty HTTP/1.1\r\n" HOST "\r\n", 400},
        {"GET /x#f HTTP/1.1\r\n" HOST "\r\n", 400},
        {"GET x HTTP/1.1\r\n" HOST "\r\n", 400},
        {"GET * HTTP/1.1\r\n" HOST "\r\n", 400},
        {"GET http://b/x HTTP/1.1\r\n" HOST "\r\n", 400},
        {"GET http://a HTTP/1.1\r\n" HOST "\r\n", 400},
        {"CONNECT a:1 HTTP/1.1\r\n" HOST "\r\n", 400},
        {"G@T /x HTTP/1.1\r\n" HOST "\r\n", 400},
        {"GETT /x HTTP/1.1\r\n" HOST "\r\n", 501},
    };
    struct h1_head head;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int status = parse(bad[i].text, &head);

        cr_expect_eq(status, bad[i].status, "%d for %s", status, bad[i].text);
        cr_expect(status == 0 || head.reason, "%s", bad[i].text);
    }
}

Test(h1_parse, D10_limits_of_the_header)
{
    char *text = malloc(REQ_BLOCK_MAX + 1000);
    size_t scan = 0;
    struct h1_head head;

    memset(text, 'a', REQ_BLOCK_MAX + 1000);
    memcpy(text, "GET /", 5);
    cr_expect_eq(h1_find_head(text, 1000, &scan), 0);
    cr_expect_eq(h1_find_head(text, REQ_LINE_MAX + 1, &scan), -414);
    memcpy(text, "GET / HTTP/1.1\r\nX: ", 19);
    cr_expect_eq(h1_find_head(text, REQ_BLOCK_MAX, &scan), 0);
    cr_expect_eq(h1_find_head(text, REQ_BLOCK_MAX + 1, &scan), -431);

    for (unsigned n = REQ_FIELDS_MAX; n <= REQ_FIELDS_MAX + 1; n++) {
        strcpy(text, "GET / HTTP/1.1\r\nHost: a\r\n");
        for (unsigned i = 1; i < n; i++) {
            strcat(text, "x: y\r\n");
        }
        strcat(text, "\r\n");
        cr_expect_eq(parse(text, &head), n > REQ_FIELDS_MAX ? 431 : 0);
    }
    int n = sprintf(text, "GET / HTTP/1.1\r\nHost: a\r\nX: ");
    memset(text + n, 'a', REQ_HEADER_MAX);
    strcpy(text + n + REQ_HEADER_MAX, "\r\n\r\n");
    cr_expect_eq(parse(text, &head), 431);
    free(text);
}

/* Feeds text in pieces of `step`; returns the data, NULL when refused. *ret_used: bytes used. */
static char *unchunk(const char *text, size_t step, bool *ret_done, size_t *ret_used)
{
    struct h1_chunks c = {0};
    size_t n = strlen(text), at = 0, out = 0;
    char *data = calloc(1, n + 1);

    while (at < n && !h1_chunks_done(&c)) {
        size_t piece = n - at < step ? n - at : step;
        const char *run;
        size_t len;
        int64_t used = h1_chunks_next(&c, text + at, piece, &run, &len);

        if (used < 0) {
            free(data);
            return NULL;
        }
        if (len) {
            memcpy(data + out, run, len);
            out += len;
        }
        at += (size_t)used;
    }
    *ret_done = h1_chunks_done(&c);
    *ret_used = at;
    return data;
}

Test(h1_parse, chunks)
{
    static const char good[] = "5\r\nhello\r\n1;ext=\"x\"\r\n,\r\n00A\r\n0123456789\r\n0\r\n"
                               "Trailer: x\r\nMore: y\r\n\r\nGET /next";

    for (size_t step = 1; step < sizeof good; step++) {
        bool done;
        size_t used;
        char *data = unchunk(good, step, &done, &used);

        cr_assert_not_null(data);
        cr_expect_str_eq(data, "hello,0123456789");
        cr_expect(done);
        cr_expect_str_eq(good + used, "GET /next");
        free(data);
    }
}

Test(h1_parse, D10_bad_chunks)
{
    static const char *const bad[] = {
        "\r\n",
        "x\r\n",
        "-1\r\n",
        " 5\r\nhello",
        "5 \r\nhello",
        "5\nhello\r\n",
        "5\rhello\r\n",
        "5\r\nhelloX\r\n",
        "5\r\nhello\rX",
        "5\r\nhello\n0",
        "0x5\r\nhello",
        "5;a\nb\r\n",
        "5;a\x01\r\n",
        "0\r\nTrailer\n",
        "0\r\n: x\x01y\r\n",
        "fffffffffffffffff\r\n",
        "0\r\n folded\r\n",
        "0\r\n\rX",
    };
    char ext[H1_CHUNK_EXT_MAX + 16] = "5;";
    bool done;
    size_t used;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        for (size_t step = 1; step < 20; step += 18) {
            char *data = unchunk(bad[i], step, &done, &used);

            cr_expect_null(data, "accepted: %s", bad[i]);
            free(data);
        }
    }
    memset(ext + 2, 'e', H1_CHUNK_EXT_MAX);
    char *data = unchunk(ext, 1, &done, &used);
    cr_expect_not_null(data);
    free(data);
    ext[2 + H1_CHUNK_EXT_MAX] = 'e';
    cr_expect_null(unchunk(ext, 1, &done, &used));
}

/* Is a last chunk with n bytes of trailer, in fields of `field`, taken? */
static bool takes_trailer(const char *field, size_t n)
{
    size_t len = strlen(field), used;
    char *text = calloc(1, n + 8);
    bool done = false;

    memcpy(text, "0\r\n", 3);
    for (size_t i = 0; i < n; i++) {
        text[3 + i] = field[i % len];
    }
    memcpy(text + 3 + n, "\r\n", 3);
    free(unchunk(text, n, &done, &used));
    free(text);
    return done;
}

Test(h1_parse, D10_trailers_and_sizes_are_bounded_however_they_are_cut)
{
    static const char *const fields[] = {"a\r\n", "a: bc\r\n"};
    static const struct {
        const char *text;
        bool good;
    } sizes[] = {{"0000000000000005\r\nhello", true}, {"00000000000000005\r\nhello", false}};
    bool done;
    size_t used;

    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        size_t len = strlen(fields[i]), fits = H1_CHUNK_TRAILER_MAX / len * len;

        cr_expect(takes_trailer(fields[i], fits), "%s", fields[i]);
        cr_expect_not(takes_trailer(fields[i], fits + len), "%s", fields[i]);
    }
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (size_t step = 1; step < 40; step += 38) {
            char *data = unchunk(sizes[i].text, step, &done, &used);

            cr_expect_eq(data != NULL, sizes[i].good, "%s", sizes[i].text);
            free(data);
        }
    }
}
