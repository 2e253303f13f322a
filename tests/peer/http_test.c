/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* Over loopback: what replies mean. Names: rows of the fault table. */
#include "world.h"
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

/* The reply to every request. */
struct canned {
    const char *fields[9];
    const char *body;
};

static void script(struct h2server *s, struct h2peer *p)
{
    const struct canned *c = s->arg;

    h2peer_hello(p, 0, NULL);
    for (struct h2req *r; (r = h2peer_request(p)) != NULL;) {
        h2server_count(s);
        h2peer_headers(p, *c->body ? 0 : H2_END_STREAM, r->stream, c->fields);
        if (*c->body) {
            h2peer_data(p, H2_END_STREAM, r->stream, c->body);
        }
        h2peer_forget(r);
    }
}

#define JSON "content-type", "application/json"
#define BYTES "content-type", "application/octet-stream"

Test(http, A067_A071_A072_A073_statuses_of_a_mutation)
{
    static const struct {
        struct canned reply;
        enum pfs_class cls;
        enum pfs_outcome outcome;
    } rows[] = {
        {{{":status", "404", JSON}, "{\"error\":\"not found\"}"}, PFS_NOTFOUND, PFS_OUTCOME_NA},
        {{{":status", "403", JSON}, "{\"error\":\"no\"}"}, PFS_DENIED, PFS_OUTCOME_NA},
        {{{":status", "401", JSON}, "{\"error\":\"no\"}"}, PFS_DENIED, PFS_OUTCOME_NA},
        {{{":status", "400", JSON}, "{\"error\":\"bad\"}"}, PFS_BADARG, PFS_OUTCOME_NA},
        {{{":status", "409", JSON}, "{\"error\":\"is there\"}"}, PFS_EXISTS, PFS_OUTCOME_NA},
        {{{":status", "413"}, ""}, PFS_TOOBIG, PFS_OUTCOME_NA},
        {{{":status", "501"}, ""}, PFS_UNSUPPORTED, PFS_OUTCOME_NA},
        {{{":status", "507"}, ""}, PFS_NOSPC, PFS_OUTCOME_NA},
        {{{":status", "301", "location", "http://evil/"}, ""}, PFS_REDIRECT, PFS_OUTCOME_NA},
        {{{":status", "307", "location", "http://evil/"}, ""}, PFS_REDIRECT, PFS_OUTCOME_NA},
        {{{":status", "206", JSON}, "{}"}, PFS_PROTOCOL, PFS_OUTCOME_UN},
        {{{":status", "999"}, ""}, PFS_PROTOCOL, PFS_OUTCOME_UN},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct world w = {0};

        world_open(&w, script, (void *)(uintptr_t)&rows[i].reply, NULL);
        cr_assert_eq(world_mkdir(&w), rows[i].cls, "row %zu: %s", i, w.err.text);
        cr_assert_eq(w.err.outcome, rows[i].outcome, "row %zu: %s", i, w.err.text);
        cr_assert_eq(atomic_load(&w.server.n_requests), 1, "row %zu", i);
        world_close(&w);
    }
}

Test(http, A072_A074_A075_contents_of_a_read)
{
    static const struct {
        struct canned reply;
        enum pfs_class cls;
        size_t len;
    } rows[] = {
        {{{":status", "200", BYTES}, "1234"}, PFS_OK, 4},
        {{{":status", "200", BYTES}, "12"}, PFS_OK, 2},
        {{{":status", "200", BYTES}, "123456789"}, PFS_OK, 4}, /* never more than asked for */
        {{{":status", "200", BYTES}, ""}, PFS_OK, 0},
        {{{":status", "200", "content-type", "text/html"}, "<html>"}, PFS_PAYLOAD, 0},
        {{{":status", "200", BYTES, "content-encoding", "gzip"}, "\x1f\x8b"}, PFS_PAYLOAD, 0},
        {{{":status", "200", BYTES, "content-length", "9"}, "1234"}, PFS_PROTOCOL, 0},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct world w = {0};
        struct pfs_data d = {0};

        world_open(&w, script, (void *)(uintptr_t)&rows[i].reply, NULL);
        enum pfs_class cls = pfs_read(w.c, "/f", 0, 4, &d, &w.err);
        cr_assert_eq(cls, rows[i].cls, "row %zu: %s %s", i, pfs_class_name(cls), w.err.text);
        cr_assert_eq(d.len, rows[i].len, "row %zu: %zu bytes", i, d.len);
        cr_assert_eq(atomic_load(&w.server.n_requests), 1, "row %zu: one request a dequeue", i);
        pfs_data_fini(&d);
        world_close(&w);
    }
}

/* Says more than is kept in memory of an error, or of a small result, and never ends. */
static void no_end(struct h2server *s, struct h2peer *p)
{
    static char piece[16384];
    const char *status = s->arg;

    h2peer_hello(p, 0, NULL);
    for (struct h2req *r; (r = h2peer_request(p)) != NULL;) {
        h2server_count(s);
        h2peer_headers(p, 0, r->stream, (const char *const[]){":status", status, JSON, NULL});
        for (unsigned i = 0; i < 80; i++) { /* 1.25 MiB */
            h2peer_frame(p, H2_DATA, 0, r->stream, piece, sizeof piece);
        }
        h2peer_forget(r);
    }
}

Test(http, A088_an_error_body_without_end_hides_no_status)
{
    char status[] = "404";
    struct world w = {0};
    struct pfs_stream *s;

    world_open(&w, no_end, status, NULL);
    cr_assert_eq(world_mkdir(&w), PFS_NOTFOUND, "%s", w.err.text);
    assert_err(&w, PFS_NOTFOUND, PFS_OUTCOME_NA, PFS_PHASE_REPLY);
    cr_assert_eq(world_stat(&w), PFS_NOTFOUND, "%s", w.err.text);
    cr_assert_eq(pfs_open_read(w.c, "/f", 0, -1, &s, &w.err), PFS_NOTFOUND, "%s", w.err.text);
    cr_assert_eq(atomic_load(&w.server.n_requests), 3);
    cr_assert_eq(atomic_load(&w.server.n_conns), 1);
    world_close(&w);
}

Test(http, a_result_over_the_limit_is_asked_for_once)
{
    char status[] = "200";
    struct world w = {0};

    world_open(&w, no_end, status, NULL);
    cr_assert_eq(world_stat(&w), PFS_LIMIT, "%s", w.err.text);
    cr_assert_eq(atomic_load(&w.server.n_requests), 1);
    world_close(&w);
}

Test(http, A075_a_short_write_is_never_taken_for_a_whole_one)
{
    struct canned reply = {{":status", "200", JSON}, "{\"message\":\"Written 3 bytes\"}"};
    struct world w = {0};
    int64_t written = 0;

    world_open(&w, script, &reply, NULL);
    cr_assert_eq(pfs_write(w.c, "/q", "12345", 5, -1, 0, &written, &w.err), PFS_OK, "%s",
                 w.err.text);
    cr_assert_eq(written, 3);
    cr_assert_eq(pfs_write(w.c, "/q", "123", 3, -1, 0, NULL, &w.err), PFS_OK, "%s", w.err.text);
    cr_assert_eq(pfs_write(w.c, "/q", "12345", 5, -1, 0, NULL, &w.err), PFS_TRUNCATED);
    assert_err(&w, PFS_TRUNCATED, PFS_OUTCOME_AP, PFS_PHASE_REPLY);
    world_close(&w);
}

Test(http, an_offset_is_not_negative)
{
    static const int64_t bad[] = {-1, -2, INT64_MIN};
    struct canned reply = {{":status", "200", BYTES}, "content"};
    struct pfs_data d = {0};
    struct world w = {0};

    world_open(&w, script, &reply, NULL);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cr_expect_eq(pfs_read(w.c, "/f", bad[i], -1, &d, &w.err), PFS_INVALID, "row %zu", i);
        assert_err(&w, PFS_INVALID, PFS_OUTCOME_NA, PFS_PHASE_LOCAL);
        cr_expect_null(d.bytes);
    }
    cr_assert_eq(atomic_load(&w.server.n_requests), 0, "something was sent");
    cr_assert_eq(pfs_read(w.c, "/f", 0, -1, &d, &w.err), PFS_OK, "%s", w.err.text);
    cr_expect_eq(d.len, 7);
    pfs_data_fini(&d);
    world_close(&w);
}

Test(http, a_version_is_a_text_in_any_case)
{
    static const struct {
        struct canned reply;
        const char *version;
    } rows[] = {{{{":status", "200", JSON}, "{\"version\":\"1.4.0\",\"features\":[]}"}, "1.4.0"},
                {{{":status", "200", JSON}, "{\"features\":[]}"}, ""}};

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct world w = {0};
        char *version = NULL;

        world_open(&w, script, (void *)(uintptr_t)&rows[i].reply, NULL);
        cr_assert_eq(pfs_capabilities(w.c, &version, NULL, &w.err), PFS_OK, "%s", w.err.text);
        cr_assert_not_null(version, "row %zu", i);
        cr_assert_str_eq(version, rows[i].version);
        free(version);
        world_close(&w);
    }
}

/* ---- contents of streams ---- */

struct head_row {
    const char *status, *type, *encoding; /* NULL: not said */
    enum pfs_class cls;                   /* of opening */
};

#define RANGES "0123456789abcdef; features=ranges"

/* Sends a beginning of four bytes, and of what is refused no end. */
static void begin_content(struct h2server *s, struct h2peer *p)
{
    const struct head_row *row = s->arg;
    struct h2frame f;

    h2peer_hello(p, 0, NULL);
    for (struct h2req *r; (r = h2peer_request(p)) != NULL;) {
        bool is_part = strcmp(row->status, "206") == 0;
        const char *fields[16] = {":status", row->status, "agfs-boot", RANGES};
        size_t n = 4;

        if (!strstr(r->path, "/files?") && !strstr(r->path, "/stream")) {
            world_reply(p, r);
            h2peer_forget(r);
            continue;
        }
        if (is_part) {
            memcpy(fields + n,
                   (const char *[]){"etag", "\"v\"", "content-range", "bytes 0-3/9",
                                    "content-length", "4"},
                   6 * sizeof *fields);
            n += 6;
        }
        if (row->type) {
            fields[n++] = "content-type";
            fields[n++] = row->type;
        }
        if (row->encoding) {
            fields[n++] = "content-encoding";
            fields[n++] = row->encoding;
        }
        h2server_count(s);
        h2peer_headers(p, 0, r->stream, fields);
        if (row->cls == PFS_OK) {
            h2peer_data(p, H2_END_STREAM, r->stream, "1234");
        } else if (!is_part) { /* whose reader may have read all of it */
            h2peer_data(p, 0, r->stream, "1234");
            cr_expect(h2peer_wait(p, H2_RST_STREAM, &f), "%s: not given up", row->type);
        }
        h2peer_forget(r);
    }
}

static const struct head_row head_rows[] = {
    {"200", "application/octet-stream", NULL, PFS_OK},
    {"200", NULL, "identity", PFS_OK},
    {"200", "text/html", NULL, PFS_PAYLOAD}, /* the page of a captive portal */
    {"200",
     "text/html; charset=utf-8; profile=\"http://captive.portal.example.com/a/long/name/of/a/"
     "profile/without/end\"",
     NULL, PFS_PAYLOAD},
    {"200", "application/octet-stream", "gzip", PFS_PAYLOAD},
    {"200", "application/octet-stream", "gzip, gzip, gzip, gzip, gzip, gzip, gzip", PFS_PAYLOAD},
    {"206", "application/octet-stream", NULL, PFS_OK},
    {"206", "text/html", NULL, PFS_PAYLOAD},
};

/* By path and by handle; and the connection stays. */
Test(http, A074_a_stream_is_content_or_an_error)
{
    for (size_t i = 0; i < 2 * sizeof head_rows / sizeof *head_rows; i++) {
        const struct head_row *row = &head_rows[i / 2];
        bool is_part = strcmp(row->status, "206") == 0;
        struct pfs_request req = {.op = i % 2 ? PFS_OP_HANDLE_STREAM : PFS_OP_OPEN_READ,
                                  .path = "/f",
                                  .offset = is_part ? 0 : -1,
                                  .size = is_part ? 4 : -1,
                                  .flags = is_part ? PFS_READ_RANGE : 0};
        struct world w = {0};
        struct pfs_reply reply;
        char buf[8];
        size_t n = 0;

        if (is_part && i % 2) {
            continue; /* handles have no parts */
        }
        world_open(&w, begin_content, (void *)(uintptr_t)row, OPTIONS("max_connections", "1"));
        enum pfs_class cls = pfs_call(w.c, &req, &reply);
        w.err = reply.err;
        cr_expect_eq(cls, row->cls, "row %zu: %s %s", i, pfs_class_name(cls), w.err.text);
        if (cls == PFS_OK && row->cls == PFS_OK) {
            cr_expect_eq(pfs_stream_read(reply.stream, buf, sizeof buf, &n, &w.err), PFS_OK);
            cr_expect(n == 4 && memcmp(buf, "1234", 4) == 0, "row %zu", i);
        } else if (row->cls != PFS_OK) {
            cr_expect_null(reply.stream, "row %zu", i);
            cr_expect(w.err.outcome == PFS_OUTCOME_UN && w.err.phase == PFS_PHASE_REPLY, "row %zu",
                      i);
            cr_expect(strstr(w.err.text, "unexpected content"), "row %zu: %s", i, w.err.text);
        }
        pfs_reply_fini(&reply);
        cr_expect_eq(world_stat(&w), PFS_OK, "row %zu: %s", i, w.err.text);
        cr_expect_eq(atomic_load(&w.server.n_requests), 1, "row %zu: asked again", i);
        cr_expect_eq(atomic_load(&w.server.n_conns), 1, "row %zu", i);
        world_close(&w);
    }
}

/* A stream of 60 pieces; then it ends in order, with a reset, or with the connection. */
enum how { IN_ORDER, RESET, CUT };

static void pour(struct h2server *s, struct h2peer *p)
{
    static char piece[4096];
    enum how how = *(enum how *)s->arg;

    memset(piece, 'p', sizeof piece);
    h2peer_hello(p, 0, NULL);
    struct h2req *r = h2peer_request(p);
    if (!r) {
        return;
    }
    h2server_count(s);
    h2peer_headers(p, 0, r->stream, (const char *const[]){":status", "200", BYTES, NULL});
    for (unsigned i = 0; i < 60; i++) { /* 240 KiB: within the stream's window */
        h2peer_frame(p, H2_DATA, 0, r->stream, piece, sizeof piece);
    }
    if (how == IN_ORDER) {
        h2peer_data(p, H2_END_STREAM, r->stream, "");
    } else if (how == RESET) {
        h2peer_rst(p, r->stream, H2_INTERNAL_ERROR);
    }
    if (how != CUT) {
        h2peer_drain(p);
    }
}

Test(http, A045_A063_A077_streams_that_end_and_streams_that_break)
{
    for (enum how how = IN_ORDER; how <= CUT; how++) {
        struct world w = {0};
        struct pfs_stream *s;
        char buf[5000];
        size_t n, total = 0;
        enum pfs_class cls;

        world_open(&w, pour, &how, NULL);
        cr_assert_eq(pfs_open_read(w.c, "/f", 0, -1, &s, &w.err), PFS_OK, "%s", w.err.text);
        do {
            cls = pfs_stream_read(s, buf, sizeof buf, &n, &w.err);
            total += cls == PFS_OK ? n : 0;
        } while (cls == PFS_OK && n > 0);
        if (how == IN_ORDER) {
            cr_assert_eq(cls, PFS_OK, "%s", w.err.text);
            cr_assert_eq(total, 60 * 4096);
        } else {
            cr_assert_eq(cls, PFS_TRUNCATED, "%s: %s", pfs_class_name(cls), w.err.text);
            cr_assert_eq(w.err.outcome, PFS_OUTCOME_AP);
            cr_assert_leq(total, 60 * 4096);
        }
        cr_assert_eq(pfs_stream_read(s, buf, sizeof buf, &n, &w.err), cls, "the end stays the end");
        pfs_stream_close(s);
        cr_assert_eq(atomic_load(&w.server.n_requests), 1);
        world_close(&w);
    }
}

Test(http, closing_an_unread_stream_leaves_nothing_behind)
{
    enum how how = IN_ORDER;
    struct world w = {0};
    struct pfs_stream *s;

    world_open(&w, pour, &how, (const char *const[]){"timeout", "20s", NULL});
    cr_assert_eq(pfs_open_read(w.c, "/f", 0, -1, &s, &w.err), PFS_OK);
    pfs_stream_close(s); /* unread: the rest is thrown away, the stream is reset */
    world_close(&w);
}

/* Takes an upload and says how long it was. */
static void gather(struct h2server *s, struct h2peer *p)
{
    h2peer_hello(p, 0, NULL);
    for (struct h2req *r; (r = h2peer_request(p)) != NULL;) {
        h2server_count(s);
        *(size_t *)s->arg = pfs_buf_len(&r->body);
        h2peer_reply(p, r->stream, "200", "{\"message\":\"ok\"}");
        h2peer_forget(r);
    }
}

Test(http, an_upload_in_pieces_commits_only_when_finished)
{
    for (unsigned finish = 0; finish < 2; finish++) {
        static char piece[30000];
        struct world w = {0};
        struct pfs_stream *s;
        size_t got = 0;

        world_open(&w, gather, &got, NULL);
        cr_assert_eq(pfs_open_write(w.c, "/f", -1, 0, &s, &w.err), PFS_OK, "%s", w.err.text);
        for (unsigned i = 0; i < 20; i++) {
            cr_assert_eq(pfs_stream_write(s, piece, sizeof piece, &w.err), PFS_OK, "%s",
                         w.err.text);
        }
        if (finish) {
            cr_assert_eq(pfs_stream_finish(s, &w.err), PFS_OK, "%s", w.err.text);
            cr_assert_eq(got, 20 * sizeof piece);
        }
        pfs_stream_close(s);
        cr_assert_eq(world_mkdir(&w), PFS_OK, "%s", w.err.text);
        cr_assert_eq(atomic_load(&w.server.n_requests), finish ? 2 : 1, "no half content");
        world_close(&w);
    }
}

/* Else an empty name, as scripts make them, is the root of the mount, or what a remote_path names.
 */
Test(http, a_path_begins_with_a_slash)
{
    static const char *const bad[] = {"", "f", "./f", "../f"};

    for (int below = 0; below < 2; below++) {
        struct world w = {0};

        world_open(&w, world_serve, NULL, OPTIONS("remote_path", below ? "/sub" : "/"));
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
            struct pfs_stat st;
            struct pfs_stream *s;

            cr_expect_eq(pfs_remove_all(w.c, bad[i], &w.err), PFS_INVALID, "%s", bad[i]);
            assert_err(&w, PFS_INVALID, PFS_OUTCOME_NA, PFS_PHASE_LOCAL);
            cr_expect_eq(pfs_stat(w.c, bad[i], &st, &w.err), PFS_INVALID, "%s", bad[i]);
            cr_expect_eq(pfs_rename(w.c, "/f", bad[i], &w.err), PFS_INVALID, "%s", bad[i]);
            cr_expect_eq(pfs_rename(w.c, bad[i], "/f", &w.err), PFS_INVALID, "%s", bad[i]);
            cr_expect_eq(pfs_copy(w.c, "/f", bad[i], NULL, &w.err), PFS_INVALID, "%s", bad[i]);
            cr_expect_eq(pfs_symlink(w.c, "/f", bad[i], &w.err), PFS_INVALID, "%s", bad[i]);
            cr_expect_eq(pfs_open_read(w.c, bad[i], 0, -1, &s, &w.err), PFS_INVALID, "%s", bad[i]);
        }
        cr_assert_eq(atomic_load(&w.server.n_requests), 0, "something was sent");
        cr_assert_eq(pfs_symlink(w.c, "f", "/link", &w.err), PFS_OK, "a target may be relative: %s",
                     w.err.text);
        world_close(&w);
    }
}
