/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "base/clock.h"
#include "wire/wire.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct pfs_error decode_head(const struct wire_head *head, const char *body, size_t len)
{
    struct pfs_error err;

    cr_assert_eq(wire_decode_error(head, body, len, "h:1", &err), err.cls);
    cr_assert_eq(err.phase, PFS_PHASE_REPLY);
    cr_assert_neq(err.cls, PFS_OK);
    return err;
}

static struct pfs_error decode(int status, const char *body)
{
    struct wire_head head = {.status = status};

    return decode_head(&head, body, strlen(body));
}

struct expect {
    int status;
    enum pfs_class cls;
    enum pfs_outcome outcome;
};

static void expect_all(const struct expect *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct pfs_error err = decode(rows[i].status, "{\"error\":\"some text\"}\n");
        char text[64];

        snprintf(text, sizeof text, "HTTP %d: some text", rows[i].status);
        cr_assert_eq(err.cls, rows[i].cls, "%d: %s", rows[i].status, pfs_class_name(err.cls));
        cr_assert_eq(err.outcome, rows[i].outcome, "%d", rows[i].status);
        cr_assert_eq(err.http_status, rows[i].status);
        cr_assert(rows[i].status < 400 || strcmp(err.text, text) == 0, "%s", err.text);
        cr_assert_str_eq(err.origin, "h:1");
        cr_assert_eq(err.hop, 1);
        cr_assert_eq(decode(rows[i].status, "").cls, rows[i].cls);
    }
}
#define EXPECT(...)                                                                                \
    do {                                                                                           \
        static const struct expect rows[] = {__VA_ARGS__};                                         \
        expect_all(rows, sizeof rows / sizeof *rows);                                              \
    } while (0)

Test(status, A067_final_answers)
{
    EXPECT({404, PFS_NOTFOUND, PFS_OUTCOME_NA}, {403, PFS_DENIED, PFS_OUTCOME_NA},
           {401, PFS_DENIED, PFS_OUTCOME_NA}, {400, PFS_BADARG, PFS_OUTCOME_NA},
           {409, PFS_EXISTS, PFS_OUTCOME_NA}, {413, PFS_TOOBIG, PFS_OUTCOME_NA},
           {501, PFS_UNSUPPORTED, PFS_OUTCOME_NA}, {507, PFS_NOSPC, PFS_OUTCOME_NA},
           {405, PFS_UNSUPPORTED, PFS_OUTCOME_NA}, {410, PFS_NOTFOUND, PFS_OUTCOME_NA},
           {414, PFS_BADARG, PFS_OUTCOME_NA});
}

static unsigned retry_after(int status, const char *value)
{
    struct wire_head head = {.status = status, .retry_after = value};

    return decode_head(&head, "", 0).retry_after_ms;
}

Test(status, A068_busy_and_retry_after)
{
    EXPECT({429, PFS_BUSY, PFS_OUTCOME_NA}, {503, PFS_BUSY, PFS_OUTCOME_UN});
    cr_assert_eq(retry_after(429, "2"), 2000);
    cr_assert_eq(retry_after(503, "60"), 60000);
    cr_assert_eq(retry_after(503, "61"), 60000);
    cr_assert_eq(retry_after(503, "99999999999999999999999999"), 60000);
    cr_assert_eq(retry_after(503, NULL), 0);
    cr_assert_eq(retry_after(503, ""), 0);
    cr_assert_eq(retry_after(503, "0"), 0);
    cr_assert_eq(retry_after(503, "-1"), 0);
    cr_assert_eq(retry_after(503, "soon"), 0);
    cr_assert_eq(retry_after(500, "5"), 0);
    cr_assert_eq(retry_after(503, "Sun, 06 Nov 1994 08:49:37 GMT"), 0);

    char date[64];
    time_t later = (time_t)(pfs_wall_now() / PFS_SEC) + 3600;
    struct tm tm;

    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&later, &tm));
    cr_assert_eq(retry_after(503, date), 60000);
    cr_assert_eq(
        decode(503, "{\"error\":\"full\",\"class\":\"overload\",\"outcome\":\"NA\"}").outcome,
        PFS_OUTCOME_NA);
}

Test(status, A069_failures_of_unknown_effect)
{
    EXPECT({500, PFS_IO, PFS_OUTCOME_UN}, {502, PFS_IO, PFS_OUTCOME_UN},
           {504, PFS_IO, PFS_OUTCOME_UN}, {408, PFS_IO, PFS_OUTCOME_UN},
           {599, PFS_IO, PFS_OUTCOME_UN});
}

Test(status, A070_too_early_and_misdirected)
{
    EXPECT({425, PFS_REFUSED, PFS_OUTCOME_NA}, {421, PFS_REFUSED, PFS_OUTCOME_NA});
}

Test(status, A071_redirects)
{
    EXPECT({301, PFS_REDIRECT, PFS_OUTCOME_NA}, {302, PFS_REDIRECT, PFS_OUTCOME_NA},
           {307, PFS_REDIRECT, PFS_OUTCOME_NA}, {308, PFS_REDIRECT, PFS_OUTCOME_NA},
           {300, PFS_REDIRECT, PFS_OUTCOME_NA});
    cr_assert_str_eq(decode(307, "<a href=x>").text,
                     "HTTP 307: the peer points elsewhere; we do not follow");
}

Test(status, A073_statuses_that_make_no_sense)
{
    EXPECT({304, PFS_PROTOCOL, PFS_OUTCOME_UN}, {999, PFS_PROTOCOL, PFS_OUTCOME_UN},
           {103, PFS_PROTOCOL, PFS_OUTCOME_UN}, {0, PFS_PROTOCOL, PFS_OUTCOME_UN},
           {-5, PFS_PROTOCOL, PFS_OUTCOME_UN});
}

Test(status, text_of_a_stock_500)
{
    static const struct {
        const char *text;
        enum pfs_class cls;
    } rows[] = {
        {"no such file or directory: /x", PFS_NOTFOUND},
        {"No Such File: /x", PFS_NOTFOUND},
        {"file not found: /x", PFS_NOTFOUND},
        {"file already exists: /x", PFS_EXISTS},
        {"directory not empty: /d", PFS_EXISTS},
        {"permission denied: /q/enqueue is write-only", PFS_DENIED},
        {"operation not permitted: serverinfofs is read-only", PFS_DENIED},
        {"is a directory: /x", PFS_BADARG},
        {"not a directory: /x", PFS_BADARG},
        {"filesystem does not support truncate: /x", PFS_UNSUPPORTED},
        {"operation not supported", PFS_UNSUPPORTED},
        {"EOF", PFS_IO},
        {"", PFS_IO},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char body[128];

        cr_assert_eq(wire_class_of_text(rows[i].text), rows[i].cls, "%s", rows[i].text);
        snprintf(body, sizeof body, "{\"error\":\"%s\"}\n", rows[i].text);
        struct pfs_error err = decode(500, body);

        cr_assert_eq(err.cls, rows[i].cls, "%s", rows[i].text);
        cr_assert_eq(err.http_status, 500);
        cr_assert_eq(err.outcome, PFS_OUTCOME_UN);
        cr_assert_eq(decode(502, body).cls, PFS_IO, "only 500 is spoken by stock servers");
    }
    cr_assert_eq(decode(500, "{\"error\":\"HTTP 503: try later\"}").cls, PFS_BUSY);
    cr_assert_eq(decode(500, "{\"error\":\"HTTP 200: hm\"}").cls, PFS_IO);
}

Test(status, A088_bodies_of_all_kinds)
{
    struct pfs_error err = decode(404, "404 page not found\n");

    cr_assert(err.cls == PFS_NOTFOUND && strcmp(err.text, "HTTP 404: 404 page not found") == 0);
    cr_assert_str_eq(decode(404, "{\"error\":\"HTTP 403: no\"}").text, "HTTP 403: no");
    cr_assert_str_eq(decode(404, "{\"error\":\"HTTP 40x: no\"}").text, "HTTP 404: HTTP 40x: no");
    cr_assert_str_eq(decode(404, "{\"error\":\"a\\r\\nb\\u0000c\\u001b[31m\"}").text,
                     "HTTP 404: a\\x0d\\x0ab\\x00c\\x1b[31m");
    cr_assert_str_eq(decode(404, "{\"error\":5}").text, "HTTP 404: {\"error\":5}");
    cr_assert_str_eq(decode(404, "[]").text, "HTTP 404: []");
    cr_assert_str_eq(decode(502, "").text, "HTTP 502: the remote failed");
    cr_assert_str_eq(decode(502, " \r\n").text, "HTTP 502: the remote failed");
    cr_assert_str_eq(decode(400, "\xff\xfe{").text, "HTTP 400: \\xff\\xfe{");

    struct wire_head html = {.status = 502, .content_type = "text/html; charset=utf-8"};
    struct wire_head gzip = {.status = 404, .content_encoding = "gzip"};

    cr_assert_str_eq(decode_head(&html, "<html>", 6).text, "HTTP 502: the remote failed");
    cr_assert_str_eq(decode_head(&gzip, "\x1f\x8b", 2).text, "HTTP 404: no such file or directory");

    size_t n = 1 << 20;
    char *big = malloc(n);
    struct wire_head head = {.status = 409};

    memset(big, '\n', n);
    big[0] = 'x';
    err = decode_head(&head, big, n);
    cr_assert_eq(err.cls, PFS_EXISTS);
    cr_assert_lt(strlen(err.text), PFS_ERROR_TEXT_MAX);
    cr_assert_null(strchr(err.text, '\n'));
    memset(big, 'a', n);
    cr_assert_eq(strlen(decode_head(&head, big, n).text), PFS_ERROR_TEXT_MAX - 1);
    free(big);
}

Test(status, our_own_error_bodies_travel)
{
    struct pfs_error made = {.cls = PFS_NOTFOUND,
                             .outcome = PFS_OUTCOME_AP,
                             .phase = PFS_PHASE_CONNECT,
                             .text = "/a\"<b>: no such file"},
                     err;
    size_t n;
    char *body = wire_error_json(&made, &n);

    cr_assert_str_eq(body,
                     "{\"error\":\"/a\\\"\\u003cb\\u003e: no such file\",\"class\":\"notfound\","
                     "\"outcome\":\"AP\",\"phase\":\"connect\",\"status\":404,\"origin\":\"\","
                     "\"hop\":0}\n");
    cr_assert_eq(n, strlen(body));
    err = decode(404, body);
    free(body);
    cr_assert(err.cls == PFS_NOTFOUND && err.outcome == PFS_OUTCOME_AP && err.hop == 1);
    cr_assert_eq(err.phase, PFS_PHASE_REPLY);
    cr_assert_str_eq(err.text, "HTTP 404: /a\"<b>: no such file");
    cr_assert_str_eq(err.origin, "h:1");

    /* One server further the origin, its status and the text stay, the hop grows. */
    strcpy(err.origin, "far:8443");
    err.http_status = 500;
    body = wire_error_json(&err, &n);
    err = decode(404, body);
    free(body);
    cr_assert(err.cls == PFS_NOTFOUND && err.hop == 2 && err.http_status == 500);
    cr_assert_str_eq(err.origin, "far:8443");
    cr_assert_str_eq(err.text, "HTTP 404: /a\"<b>: no such file");
    cr_assert_eq(decode(502, "{\"error\":\"t\",\"class\":\"timeout\",\"outcome\":\"UN\"}").cls,
                 PFS_TIMEOUT);
}

Test(status, claims_that_are_not_believed)
{
    static const char *const bodies[] = {
        "{\"error\":\"t\",\"class\":\"ok\",\"outcome\":\"NA\"}",
        "{\"error\":\"t\",\"class\":\"nonsense\",\"outcome\":\"NA\"}",
        "{\"error\":\"t\",\"class\":\"notfound\",\"outcome\":\"XX\"}",
        "{\"error\":\"t\",\"class\":\"notfound\"}",
        "{\"error\":\"t\",\"class\":7,\"outcome\":\"NA\"}",
        "{\"class\":\"notfound\",\"outcome\":\"NA\"}",
        "{\"error\":\"t\",\"class\":\"notfound\",\"class\":\"ok\",\"outcome\":\"NA\"}",
    };

    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct pfs_error err = decode(502, bodies[i]);

        cr_assert(err.cls == PFS_IO && err.outcome == PFS_OUTCOME_UN, "%s", bodies[i]);
    }
    struct pfs_error err = decode(502, "{\"error\":\"t\",\"class\":\"io\",\"outcome\":\"UN\","
                                       "\"hop\":4294967295,\"status\":7,\"origin\":\"a\\nb\"}");

    cr_assert(err.hop == UINT32_MAX && err.http_status == 502);
    cr_assert_str_eq(err.origin, "a\\x0ab");
}
