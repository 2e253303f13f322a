/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "wire/json_out.h"
#include "wire/time.h"
#include <criterion/criterion.h>
#include <proxyfs/driver.h>
#include <string.h>
#include <time.h>

static void expect_string(const char *s, size_t n, const char *json)
{
    struct pfs_buf b = {0};

    cr_assert(json_out_bytes(&b, s, n) && pfs_buf_add(&b, "", 1));
    cr_assert_str_eq(pfs_buf_data(&b), json);
    pfs_buf_fini(&b);
}

Test(json_out, strings_as_go_writes_them)
{
    expect_string("", 0, "\"\"");
    expect_string("plain /a~", 9, "\"plain /a~\"");
    expect_string("<a>&'\"\\", 7, "\"\\u003ca\\u003e\\u0026'\\\"\\\\\"");
    expect_string("\b\f\n\r\t\0\x1f\x7f", 8, "\"\\b\\f\\n\\r\\t\\u0000\\u001f\x7f\"");
    expect_string("\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa", 9, "\"\\u2028\\u2029\xe2\x80\xaa\"");
    expect_string("\xc3\xa9\xff\xed\xa0\x80\xc3", 7,
                  "\"\xc3\xa9\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\"");
}

Test(json_out, objects)
{
    struct pfs_buf b = {0};

    cr_assert(pfs_buf_add_str(&b, "{") && json_out_key(&b, "a") && json_out_int(&b, INT64_MIN));
    cr_assert(json_out_key(&b, "b") && json_out_uint(&b, UINT64_MAX));
    cr_assert(json_out_key(&b, "c") && json_out_bool(&b, true) && json_out_key(&b, "d"));
    cr_assert(json_out_str(&b, NULL) && json_out_key(&b, "t") && json_out_time(&b, 1500000000));
    cr_assert(pfs_buf_add(&b, "}", 2));
    cr_assert_str_eq(pfs_buf_data(&b),
                     "{\"a\":-9223372036854775808,\"b\":18446744073709551615,\"c\":true,\"d\":\"\","
                     "\"t\":\"1970-01-01T00:00:01.5Z\"}");
    pfs_buf_fini(&b);
}

static int64_t parse(const char *s)
{
    return wire_time_parse(s, strlen(s));
}

Test(time, A089_times_in_and_out)
{
    static const struct {
        const char *in;
        int64_t ns;
        const char *out; /* NULL: as in */
    } good[] = {
        {"1970-01-01T00:00:00Z", 0, NULL},
        {"2026-11-23T23:34:09.184704693Z", 1795476849184704693, NULL},
        {"2026-11-23T23:34:09.5+05:30", 1795457049500000000, "2026-11-23T18:04:09.5Z"},
        {"2024-02-29T12:00:00-08:00", 1709236800000000000, "2024-02-29T20:00:00Z"},
        {"1969-12-31T23:59:59.999999999Z", -1, NULL},
        {"2026-01-01T00:00:00.1234567899Z", 1767225600123456789, "2026-01-01T00:00:00.123456789Z"},
        {"1900-03-01T00:00:00Z", -2203891200000000000, NULL},
    };
    static const char *const bad[] = {"",
                                      "garbled",
                                      "2026-11-23",
                                      "2026-11-23T23:34:09",
                                      "2016-12-31T23:59:60Z",
                                      "10000-01-01T00:00:00Z",
                                      "9999-12-31T23:59:59Z",
                                      "0001-01-01T00:00:00Z",
                                      "2026-02-29T00:00:00Z",
                                      "2026-13-01T00:00:00Z",
                                      "2026-00-01T00:00:00Z",
                                      "2026-01-00T00:00:00Z",
                                      "2026-01-01T24:00:00Z",
                                      "2026-01-01T00:60:00Z",
                                      "2026-01-01T00:00:00.Z",
                                      "2026-01-01T00:00:00+0530",
                                      "2026-01-01T00:00:00+25:00",
                                      "2026-01-01T00:00:00Zx",
                                      "2026-01-01 00:00:00Z",
                                      "-026-01-01T00:00:00Z"};
    char text[WIRE_TIME_MAX];

    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        cr_assert_eq(parse(good[i].in), good[i].ns, "%s", good[i].in);
        cr_assert_eq(wire_time_format(good[i].ns, text), strlen(text));
        cr_assert_str_eq(text, good[i].out ? good[i].out : good[i].in);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cr_assert_eq(parse(bad[i]), PFS_TIME_UNKNOWN, "%s", bad[i]);
    }
    wire_time_format(PFS_TIME_UNKNOWN, text);
    cr_assert_str_eq(text, "0001-01-01T00:00:00Z");
    for (int64_t ns = INT64_MIN + 1; ns < INT64_MAX - 98765432109876543; ns += 98765432109876543) {
        size_t n = wire_time_format(ns, text);
        time_t sec = (time_t)(ns / 1000000000 - (ns % 1000000000 < 0));
        struct tm tm;
        char second[WIRE_TIME_MAX];

        strftime(second, sizeof second, "%Y-%m-%dT%H:%M:%S", gmtime_r(&sec, &tm));
        cr_assert_eq(strncmp(text, second, 19), 0, "%s is not %s", text, second);
        if (ns > INT64_MIN + 1000000000) { /* the first second is cut by whole seconds */
            cr_assert_eq(wire_time_parse(text, n), ns, "%s", text);
        }
    }
}

Test(time, http_dates)
{
    int64_t s = 0;

    cr_assert(wire_http_date_parse("Sun, 06 Nov 1994 08:49:37 GMT", &s));
    cr_assert_eq(s, 784111777);
    cr_assert_not(wire_http_date_parse("Sun, 06 Nov 1994 08:49:37 CET", &s));
    cr_assert_not(wire_http_date_parse("Sun, 31 Feb 1994 08:49:37 GMT", &s));
    cr_assert_not(wire_http_date_parse("Sunday, 06-Nov-94 08:49:37 GMT", &s));
    cr_assert_not(wire_http_date_parse("", &s));
}
