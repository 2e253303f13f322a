/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* In memory: replies that are not HTTP. A stream or the whole session ends with PROTOCOL; nothing
 * of them reaches the caller. */
#include "support/h2peer.h"
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

/* Sends the header fields and body; the exchange must end as PROTOCOL (or TRUNCATED, LIMIT). */
static void assert_refused(const char *const *fields, const char *body, const char *what)
{
    struct h2mem m;
    struct exchange ex;

    h2mem_open(&m, 100, 0, NULL);
    cr_assert(h2mem_get(&m, &ex));
    struct h2req *r = h2peer_request(&m.peer);
    cr_assert_not_null(r);
    h2peer_headers(&m.peer, body ? 0 : H2_END_STREAM, r->stream, fields);
    if (body && m.fed == PFS_OK) {
        h2peer_data(&m.peer, H2_END_STREAM, r->stream, body);
    }
    h2peer_drain(&m.peer);
    if (m.fed != PFS_OK) {
        m.s->ops->fail_all(m.s, &m.error);
    }
    cr_assert(h2mem_done(&m, &ex), "%s: nothing came of it", what);
    cr_assert_eq(ex.err.cls, PFS_PROTOCOL, "%s: %s", what, pfs_class_name(ex.err.cls));
    cr_assert_neq(ex.failure, FAILURE_NONE, "%s", what);
    cr_assert_neq(ex.err.outcome, PFS_OUTCOME_NA, "%s", what);
    exchange_fini(&ex);
    h2mem_close(&m);
}

#define FIELDS(...)                                                                                \
    (const char *const[])                                                                          \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }

Test(malformed, A064_header_fields)
{
    static const struct {
        const char *what;
        const char *fields[9];
    } rows[] = {
        {"no :status", {"content-type", "a/b"}},
        {"two :status", {":status", "200", ":status", "200"}},
        {"empty :status", {":status", ""}},
        {"letters in :status", {":status", "2xx"}},
        {"two digits", {":status", "20"}},
        {"four digits", {":status", "2000"}},
        {"below 100", {":status", "099"}},
        {"upper case", {":status", "200", "Content-Type", "a/b"}},
        {"pseudo-header of requests", {":status", "200", ":path", "/"}},
        {"unknown pseudo-header", {":status", "200", ":magic", "1"}},
        {":status after others", {"a", "b", ":status", "200"}},
        {"connection", {":status", "200", "connection", "close"}},
        {"keep-alive", {":status", "200", "keep-alive", "5"}},
        {"transfer-encoding", {":status", "200", "transfer-encoding", "chunked"}},
        {"upgrade", {":status", "200", "upgrade", "h2c"}},
        {"length not a number", {":status", "200", "content-length", "1x"}},
        {"negative length", {":status", "200", "content-length", "-1"}},
        {"two lengths", {":status", "200", "content-length", "2", "content-length", "3"}},
        {"length over 63 bits", {":status", "200", "content-length", "99999999999999999999"}},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_refused(rows[i].fields, "{}", rows[i].what);
    }
}

Test(malformed, A064_control_characters_never_come_through)
{
    static const char *const values[] = {"a\r\nevil: 1", "a\nb", "a\x01z", "a\x7fz"};

    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        struct h2mem m;
        struct exchange ex;

        h2mem_open(&m, 100, 0, NULL);
        cr_assert(h2mem_get(&m, &ex));
        struct h2req *r = h2peer_request(&m.peer);
        h2peer_headers(&m.peer, 0, r->stream, FIELDS(":status", "200", "content-type", values[i]));
        h2peer_data(&m.peer, H2_END_STREAM, r->stream, "{}");
        h2peer_drain(&m.peer);
        if (m.fed != PFS_OK) {
            m.s->ops->fail_all(m.s, &m.error);
        }
        cr_assert(h2mem_done(&m, &ex));
        cr_assert_null(strpbrk(ex.head.content_type, "\r\n\x01\x7f"), "value %zu", i);
        exchange_fini(&ex);
        h2mem_close(&m);
    }
}

Test(malformed, A062_content_length_that_does_not_match)
{
    assert_refused(FIELDS(":status", "200", "content-length", "1"), "{}", "too short");
    assert_refused(FIELDS(":status", "200", "content-length", "3"), "{}", "too long");
    assert_refused(FIELDS(":status", "200", "content-length", "3"), NULL, "none came");
}

Test(malformed, data_before_headers_and_on_idle_streams)
{
    for (unsigned i = 0; i < 5; i++) {
        struct h2mem m;
        struct exchange ex;

        h2mem_open(&m, 100, 0, NULL);
        cr_assert(h2mem_get(&m, &ex));
        uint32_t id = h2peer_request(&m.peer)->stream;
        switch (i) {
        case 0:
            h2peer_data(&m.peer, H2_END_STREAM, id, "{}");
            break;
        case 1: /* an idle stream */
            h2peer_data(&m.peer, 0, id + 100, "{}");
            break;
        case 2: /* stream 0 */
            h2peer_data(&m.peer, 0, 0, "{}");
            break;
        case 3: /* a stream that only a server may open */
            h2peer_headers(&m.peer, 0, 2, FIELDS(":status", "200"));
            break;
        default: /* longer than SETTINGS_MAX_FRAME_SIZE */
            h2peer_raw(&m.peer, "\x00\x80\x00\x00\x00\x00\x00\x00\x01", 9);
            break;
        }
        h2peer_drain(&m.peer);
        if (m.fed != PFS_OK) {
            m.s->ops->fail_all(m.s, &m.error);
        }
        cr_assert(h2mem_done(&m, &ex), "case %u: nothing came of it", i);
        cr_assert_eq(ex.err.cls, PFS_PROTOCOL, "case %u", i);
        cr_assert_eq(ex.err.outcome, PFS_OUTCOME_UN);
        exchange_fini(&ex);
        h2mem_close(&m);
    }
}

Test(malformed, a_broken_header_block_ends_the_session)
{
    struct h2mem m;
    struct exchange ex;

    h2mem_open(&m, 100, 0, NULL);
    cr_assert(h2mem_get(&m, &ex));
    uint32_t id = h2peer_request(&m.peer)->stream;
    h2peer_frame(&m.peer, H2_HEADERS, H2_END_HEADERS, id, "\xff\xff\xff\xff\xff\xff", 6);
    h2peer_drain(&m.peer);
    cr_assert_eq(m.fed, PFS_PROTOCOL);
    m.s->ops->fail_all(m.s, &m.error);
    cr_assert(h2mem_done(&m, &ex));
    exchange_fini(&ex);
    h2mem_close(&m);
}

/* Random bytes after a good start: any class, but an end, and no crash. */
Test(malformed, noise)
{
    unsigned seed = 1;

    for (unsigned round = 0; round < 300; round++) {
        struct h2mem m;
        struct exchange ex;
        char noise[200];

        h2mem_open(&m, 100, 0, NULL);
        cr_assert(h2mem_get(&m, &ex));
        uint32_t id = h2peer_request(&m.peer)->stream;
        for (size_t i = 0; i < sizeof noise; i++) {
            seed = seed * 1103515245 + 12345;
            noise[i] = (char)(seed >> 16);
        }
        h2peer_frame(&m.peer, round % 10, (unsigned char)noise[0], round % 3 ? id : 0, noise + 1,
                     (unsigned char)noise[1] % 190);
        h2peer_raw(&m.peer, noise, sizeof noise);
        h2peer_drain(&m.peer);
        m.s->ops->fail_all(m.s, &(struct pfs_error){.cls = PFS_CONN_LOST});
        cr_assert(h2mem_done(&m, &ex));
        exchange_fini(&ex);
        h2mem_close(&m);
    }
}
