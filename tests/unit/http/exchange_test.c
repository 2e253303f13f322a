/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "base/alloc.h"
#include "http/exchange.h"
#include <criterion/criterion.h>
#include <string.h>

static enum pfs_class field(struct exchange *ex, const char *name, const char *value)
{
    return exchange_on_field(ex, name, strlen(name), value, strlen(value));
}

Test(exchange, fields_good_and_bad)
{
    static const struct {
        const char *name, *value;
        enum pfs_class cls;
    } rows[] = {{":status", "200", PFS_OK},
                {":status", "20", PFS_PROTOCOL},
                {":status", "0200", PFS_PROTOCOL},
                {":status", "2 0", PFS_PROTOCOL},
                {":status", "099", PFS_PROTOCOL},
                {"content-length", "0", PFS_OK},
                {"content-length", "", PFS_PROTOCOL},
                {"content-length", "+1", PFS_PROTOCOL},
                {"content-length", "999999999999999999", PFS_OK},
                {"content-length", "9999999999999999999", PFS_PROTOCOL},
                {"x-unknown", "anything", PFS_OK}};

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct exchange ex;

        exchange_init(&ex);
        cr_assert_eq(field(&ex, rows[i].name, rows[i].value), rows[i].cls, "%s: '%s'", rows[i].name,
                     rows[i].value);
        exchange_fini(&ex);
    }
}

Test(exchange, a_206_is_content_only_as_it_was_asked_for)
{
    static const struct {
        const char *range, *etag;
        int64_t asked;
        bool streamed;
        const char *length; /* NULL: 10 */
    } rows[] = {{"bytes 10-19/100", "\"v\"", 10, true},
                {"bytes 10-10/11", "\"v\"", 10, true, "1"},
                {"bytes 10-10/11", "\"v\"", 10, false, "0"},
                {"bytes 10-29/100", "\"v\"", 10, true, "20"},
                {"bytes 10-30/100", "\"v\"", 10, false, "21"}, /* more than was asked for */
                {"bytes 10-19/100", "\"v\"", 10, false, "11"},
                {"bytes 10-19/100", "\"v\"", 10, false, ""}, /* of any length */
                {"bytes 10-19/100", "\"v\"", -1, false},     /* nobody asked */
                {"bytes 10-19/100", "\"v\"", 11, false},
                {"bytes 10-19/100", "W/\"v\"", 10, false}, /* weak: no proof */
                {"bytes 10-19/100", "", 10, false},
                {"bytes 10-19/19", "\"v\"", 10, false},
                {"bytes 10-9/100", "\"v\"", 10, false},
                {"bytes 10-19/*", "\"v\"", 10, false},
                {"bytes */100", "\"v\"", 10, false},
                {"bytes 10/19-100", "\"v\"", 10, false},
                {"bytes -19/100", "\"v\"", 0, false, "20"},
                {"bytes", "\"v\"", 0, false},
                {"bytes 0-1/-2", "\"v\"", 0, false, "2"},
                {"items 0-1/2", "\"v\"", 0, false, "2"}};

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct exchange ex;

        exchange_init(&ex);
        ex.reply_stream = true;
        const char *length = rows[i].length ? rows[i].length : "10";

        ex.range_first = rows[i].asked;
        ex.range_last = rows[i].asked + 19;
        cr_assert_eq(field(&ex, ":status", "206"), PFS_OK);
        if (*length) {
            cr_assert_eq(field(&ex, "content-length", length), PFS_OK);
        }
        cr_assert_eq(field(&ex, "content-range", rows[i].range), PFS_OK);
        cr_assert_eq(field(&ex, "etag", rows[i].etag), PFS_OK);
        cr_expect_eq(exchange_is_streamed(&ex), rows[i].streamed, "%s of %s, asked %lld",
                     rows[i].range, rows[i].etag, (long long)rows[i].asked);
        exchange_fini(&ex);
    }
}

Test(exchange, A055_A057_limits)
{
    static char value[30000];
    struct exchange ex;
    unsigned n = 0;

    exchange_init(&ex);
    while (n < 1000 && field(&ex, "a", "b") == PFS_OK) {
        n++;
    }
    cr_assert_eq(n, 128);
    exchange_init(&ex);
    memset(value, 'v', sizeof value - 1);
    for (n = 0; n < 1000 && field(&ex, "a", value) == PFS_OK; n++) {
    }
    cr_assert_eq(n, 2);
    exchange_init(&ex);
    for (n = 0; n < 1000 && field(&ex, ":status", "103") == PFS_OK; n++) {
        cr_assert_not(exchange_on_header_end(&ex));
        cr_assert_eq(ex.head.status, 0, "forgotten");
    }
    cr_assert_eq(n, 17);
}

Test(exchange, other_values_too_long_to_keep_are_absent)
{
    char value[REPLY_FIELD_MAX + 1];
    struct exchange ex;

    exchange_init(&ex);
    memset(value, 'v', sizeof value);
    value[REPLY_FIELD_MAX - 1] = '\0';
    cr_assert_eq(field(&ex, "content-type", value), PFS_OK);
    cr_assert_str_eq(ex.head.content_type, value);
    exchange_init(&ex);
    value[REPLY_FIELD_MAX - 1] = 'v';
    value[REPLY_FIELD_MAX] = '\0';
    cr_assert_eq(field(&ex, "etag", value), PFS_OK);
    cr_assert_str_eq(ex.head.etag, "");
    cr_assert_eq(field(&ex, "retry-after", value), PFS_OK);
    cr_assert_str_eq(ex.head.retry_after, "");
}

/* Else a page with a long type, or bytes in many encodings, would pass for plain content. */
Test(exchange, of_what_the_content_is_a_beginning_is_kept)
{
    char value[REPLY_FIELD_MAX + 9] = "text/html; ";
    struct exchange ex;

    exchange_init(&ex);
    memset(value + strlen(value), 'v', sizeof value - 1 - strlen(value));
    cr_assert_eq(field(&ex, "content-type", value), PFS_OK);
    cr_assert_eq(strlen(ex.head.content_type), sizeof ex.head.content_type - 1);
    cr_assert_eq(strncmp(ex.head.content_type, value, sizeof ex.head.content_type - 1), 0);
    cr_assert_eq(field(&ex, "content-encoding", value), PFS_OK);
    cr_assert_eq(strlen(ex.head.content_encoding), sizeof ex.head.content_encoding - 1);
}

Test(exchange, body_limit_and_memory)
{
    struct exchange ex;

    exchange_init(&ex);
    ex.reply_max = 10;
    ex.head.status = 200;
    cr_assert_eq(exchange_on_body(&ex, "0123456789", 10), PFS_OK);
    cr_assert_eq(exchange_on_body(&ex, "0", 1), PFS_LIMIT);
    cr_assert_eq(pfs_buf_len(&ex.reply), 10);
    cr_assert_eq(ex.failure, FAILURE_BODY);
    cr_assert_eq(ex.err.cls, PFS_LIMIT);
    cr_assert_eq(ex.err.outcome, PFS_OUTCOME_AP);
    exchange_fini(&ex);
    exchange_init(&ex);
    ex.reply_max = 10;
    pfs_alloc_fail_nth(1);
    cr_assert_eq(exchange_on_body(&ex, "0", 1), PFS_NOMEM);
    pfs_alloc_fail_nth(0);
    cr_assert_eq(ex.err.cls, PFS_NOMEM);
    exchange_fini(&ex);
}

/* What a status explains, and what a stream was opened for and is not it. */
Test(exchange, A088_of_a_body_that_is_no_result_a_beginning_is_kept)
{
    static const struct {
        const char *status;
        bool stream;
    } rows[] = {{"404", false}, {"404", true}, {"503", false}, {"201", true}, {"206", true}};
    static char piece[1000];

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct exchange ex;

        exchange_init(&ex);
        ex.reply_max = rows[i].stream ? SIZE_MAX : 10;
        ex.reply_stream = rows[i].stream;
        cr_assert_eq(field(&ex, ":status", rows[i].status), PFS_OK);
        for (size_t left = EXCHANGE_ERROR_BODY_MAX, n; left > 0; left -= n) {
            n = left < sizeof piece ? left : sizeof piece;
            cr_assert_eq(exchange_on_body(&ex, piece, n), PFS_OK);
            cr_assert_not(ex.reply_cut, "row %zu", i);
        }
        cr_assert_eq(exchange_on_body(&ex, piece, 1), PFS_OK);
        cr_assert(ex.reply_cut, "row %zu", i);
        cr_assert_eq(pfs_buf_len(&ex.reply), EXCHANGE_ERROR_BODY_MAX);
        exchange_fini(&ex);
    }
}

/* A body of a length that was said, in pieces of 1000 bytes; in how many allocations. */
static unsigned long collect(const char *said, size_t len)
{
    char piece[1000] = {0};
    struct exchange ex;
    size_t got;

    exchange_init(&ex);
    ex.reply_max = SIZE_MAX;
    cr_assert_eq(field(&ex, ":status", "200"), PFS_OK);
    if (said) {
        cr_assert_eq(field(&ex, "content-length", said), PFS_OK);
    }
    pfs_alloc_fail_nth(0xffffffff); /* counts */
    for (size_t left = len; left > 0; left -= got) {
        got = left < sizeof piece ? left : sizeof piece;
        cr_assert_eq(exchange_on_body(&ex, piece, got), PFS_OK);
    }
    char *body = pfs_buf_take(&ex.reply, &got);
    unsigned long n = pfs_alloc_count();

    pfs_alloc_fail_nth(0);
    cr_assert(body && got == len && body[len] == '\0');
    pfs_free(body);
    exchange_fini(&ex);
    return n;
}

Test(exchange, a_body_whose_length_is_known_gets_its_room_once)
{
    cr_expect_eq(collect("1048576", 1 << 20), 1);
    cr_expect_gt(collect(NULL, 1 << 20), 5);
    cr_expect_gt(collect("99999999999999", 1 << 20), 5, "nobody believes that");
    cr_expect_gt(collect("10", 100000), 5, "a lie that the session ends");
}

Test(exchange, how_far_it_had_come_decides)
{
    static const struct {
        bool header_sent, request_sent;
        int status;
        enum pfs_class why, cls;
        enum failure_point at;
        enum pfs_outcome outcome;
        enum pfs_phase phase;
    } rows[] = {
        {false, false, 0, PFS_CONN_LOST, PFS_CONN_LOST, FAILURE_NOT_SENT, PFS_OUTCOME_NA,
         PFS_PHASE_QUEUE},
        {true, false, 0, PFS_CONN_LOST, PFS_CONN_LOST, FAILURE_SENDING, PFS_OUTCOME_UN,
         PFS_PHASE_SEND},
        {true, true, 0, PFS_CONN_LOST, PFS_CONN_LOST, FAILURE_WAITING, PFS_OUTCOME_UN,
         PFS_PHASE_WAIT},
        {true, true, 200, PFS_CONN_LOST, PFS_TRUNCATED, FAILURE_BODY, PFS_OUTCOME_AP,
         PFS_PHASE_BODY},
        {true, true, 500, PFS_RESET, PFS_TRUNCATED, FAILURE_BODY, PFS_OUTCOME_UN, PFS_PHASE_BODY},
        {true, true, 200, PFS_PROTOCOL, PFS_PROTOCOL, FAILURE_BODY, PFS_OUTCOME_AP, PFS_PHASE_BODY},
        {true, true, 0, PFS_TLS_AUTH, PFS_TLS_AUTH, FAILURE_TLS_ALERT, PFS_OUTCOME_NA,
         PFS_PHASE_TLS},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct pfs_error why = {.cls = rows[i].why, .text = "why"};
        struct exchange ex;

        exchange_init(&ex);
        ex.header_sent = rows[i].header_sent;
        ex.request_sent = rows[i].request_sent;
        ex.head.status = rows[i].status;
        exchange_fail(&ex, &why);
        cr_assert_eq(ex.failure, rows[i].at, "row %zu", i);
        cr_assert_eq(ex.err.cls, rows[i].cls, "row %zu", i);
        cr_assert_eq(ex.err.outcome, rows[i].outcome, "row %zu", i);
        cr_assert_eq(ex.err.phase, rows[i].phase, "row %zu", i);
        why.cls = PFS_IO; /* the first reason stays */
        exchange_fail_at(&ex, FAILURE_DEADLINE, &why);
        cr_assert_eq(ex.failure, rows[i].at, "row %zu", i);
    }
}
