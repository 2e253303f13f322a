/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "stats.h"
#include "units.h"
#include <criterion/criterion.h>
#include <math.h>

Test(bench_stats, median)
{
    cr_assert_eq(stats_median((double[]){3, 1, 2}, 3), 2);
    cr_assert_eq(stats_median((double[]){4, 1, 3, 2}, 4), 2.5);
    cr_assert_eq(stats_median((double[]){7}, 1), 7);
}

Test(bench_stats, range)
{
    const double many[] = {500, 3, 4, 5, 6, 7, 8, 9, 10, 1}; /* a tenth at each end is left out */

    cr_assert_eq(stats_range((double[]){3, 1, 2}, 3), 2);
    cr_assert_eq(stats_range((double[]){7}, 1), 0);
    cr_assert_eq(stats_range(many, 10), 7);
}

Test(bench_stats, of_many_p_values_some_are_small_by_chance)
{
    cr_assert_eq(stats_found_p((double[]){0.04}, 1), 0.04);
    cr_assert_eq(stats_found_p((double[]){0.06}, 1), 0);
    cr_assert_eq(stats_found_p((double[]){0.5, 0.04, 0.6}, 3), 0);
    cr_assert_eq(stats_found_p((double[]){0.5, 0.01, 0.6}, 3), 0.01);
    cr_assert_eq(stats_found_p((double[]){0.05, 0.04, 0.04}, 3), 0.05);
}

/* The exact values of the test's tables. */
Test(bench_stats, rank_sum_of_few)
{
    const double low[] = {1, 2, 3, 4, 5}, high[] = {6, 7, 8, 9, 10},
                 mixed[] = {1.5, 2.5, 3.5, 4.5, 5.5};

    cr_assert_float_eq(stats_rank_sum_p(low, 5, high, 5), 2.0 / 252, 1e-12);
    cr_assert_float_eq(stats_rank_sum_p(high, 5, low, 5), 2.0 / 252, 1e-12);
    cr_assert_float_eq(stats_rank_sum_p(low, 3, high, 3), 0.1, 1e-12);
    cr_assert_gt(stats_rank_sum_p(low, 5, mixed, 5), 0.5);
    cr_assert_float_eq(stats_rank_sum_p(low, 5, low, 5), 1, 1e-12);
    cr_assert_eq(stats_rank_sum_p(low, 0, high, 5), 1);
}

Test(bench_stats, rank_sum_of_many)
{
    double a[40], b[40];

    for (int i = 0; i < 40; i++) {
        a[i] = 100 + i % 13;
        b[i] = 100 + i % 13 + (i % 2 ? 0.01 : -0.01);
    }
    cr_assert_gt(stats_rank_sum_p(a, 40, b, 40), 0.05);
    for (int i = 0; i < 40; i++)
        b[i] = a[i] + 5;
    cr_assert_lt(stats_rank_sum_p(a, 40, b, 40), 0.001);
    for (int i = 0; i < 40; i++)
        a[i] = b[i] = 1;
    cr_assert_eq(stats_rank_sum_p(a, 40, b, 40), 1);
}

Test(bench_stats, three_rounds_can_say_nothing)
{
    cr_assert_gt(stats_least_p(3, 3), STATS_SIGNIFICANT);
    cr_assert_leq(stats_least_p(4, 4), STATS_SIGNIFICANT);
    cr_assert_eq(stats_least_p(0, 9), 1);
}

Test(bench_units, what_people_write)
{
    int64_t v;
    double d;

    cr_assert(parse_duration("250ms", &v) && v == 250000000);
    cr_assert(parse_duration("5", &v) && v == 5000000000);
    cr_assert(parse_duration("1.5m", &v) && v == 90000000000);
    cr_assert(parse_duration("0", &v) && v == 0);
    cr_assert(parse_size("64KiB", &v) && v == 65536);
    cr_assert(parse_size("1M", &v) && v == 1 << 20);
    cr_assert(parse_size("0.5k", &v) && v == 512);
    cr_assert(parse_number("2.5k", &d) && d == 2500);
    static const char *const bad[] = {"",     "-1",  "+1",  "x",     "5 s", "5ss",
                                      "0x10", "inf", "nan", "1e999", " 1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cr_assert_not(parse_duration(bad[i], &v), "%s", bad[i]);
        cr_assert_not(parse_size(bad[i], &v), "%s", bad[i]);
        cr_assert_not(parse_number(bad[i], &d), "%s", bad[i]);
    }
    cr_assert_not(parse_duration("25h", &v));
    cr_assert_not(parse_size("2TiB", &v));
    cr_assert_not(parse_size("0.3", &v));
}

Test(bench_units, what_people_read)
{
    char buf[UNIT_TEXT_MAX];

    cr_assert_str_eq(format_us(buf, 19.24), "19.2 us");
    cr_assert_str_eq(format_us(buf, 1250), "1.25 ms");
    cr_assert_str_eq(format_us(buf, 3.4e6), "3.40 s");
    cr_assert_str_eq(format_us(buf, 123.4), "123 us");
    cr_assert_str_eq(format_us(buf, 99.97), "100 us");
    cr_assert_str_eq(format_bytes(buf, 0), "0 B");
    cr_assert_str_eq(format_bytes(buf, 4096), "4 KiB");
    cr_assert_str_eq(format_bytes(buf, 1.5 * 1048576), "1.5 MiB");
}
