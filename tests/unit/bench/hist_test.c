/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "hist.h"
#include <criterion/criterion.h>
#include <math.h>

/* Every value lies in its counter, and the counter is no wider than the digits promise. */
Test(bench_hist, precision)
{
    for (int digits = 1; digits <= 3; digits++) {
        struct hist *h = hist_new(digits);
        for (double v = 1; v < HIST_MAX_NS; v = v * 1.37 + 1) {
            int64_t value = (int64_t)v;
            size_t i = hist_index(h, value);
            cr_assert_lt(i, h->n_counts);
            cr_assert_leq(hist_lowest(h, i), value);
            cr_assert_geq(hist_highest(h, i), value);
            double width = (double)(hist_highest(h, i) - hist_lowest(h, i));
            cr_assert_leq(width / (double)value, pow(10, -digits), "%d digits, %g", digits, v);
        }
        hist_free(h);
    }
}

Test(bench_hist, neighbours_share_no_counter_where_values_are_exact)
{
    struct hist *h = hist_new(3);
    for (int64_t v = 0; v < 2047; v++)
        cr_assert_eq(hist_index(h, v) + 1, hist_index(h, v + 1));
    hist_free(h);
}

Test(bench_hist, percentiles_mean_and_deviation)
{
    struct hist *h = hist_new(3);
    for (int64_t v = 1; v <= 1000; v++)
        hist_record(h, v);
    cr_assert_eq(hist_percentile(h, 50), 500);
    cr_assert_eq(hist_percentile(h, 99), 990);
    cr_assert_eq(hist_percentile(h, 99.9), 999);
    cr_assert_eq(hist_percentile(h, 100), 1000);
    cr_assert_eq(h->min, 1);
    cr_assert_eq(h->max, 1000);
    cr_assert_float_eq(hist_mean(h), 500.5, 1e-9);
    cr_assert_float_eq(hist_sd(h), 288.675, 0.001);
    hist_free(h);
}

Test(bench_hist, values_out_of_range_are_kept_at_the_edge)
{
    struct hist *h = hist_new(3);
    hist_record(h, -5);
    hist_record(h, HIST_MAX_NS * 2);
    cr_assert_eq(h->total, 2);
    cr_assert_eq(h->min, 0);
    cr_assert_eq(h->max, HIST_MAX_NS * 2);
    cr_assert_eq(h->counts[0], 1);
    cr_assert_eq(h->counts[h->n_counts - 1], 1);
    hist_free(h);
}

Test(bench_hist, adding_is_as_recording_in_one)
{
    struct hist *a = hist_new(3), *b = hist_new(3), *both = hist_new(3);
    for (int64_t v = 7; v < 50000000; v += v / 3 + 11) {
        hist_record(v % 2 ? a : b, v);
        hist_record(both, v);
    }
    hist_add(a, b);
    cr_assert_eq(a->total, both->total);
    cr_assert_eq(a->min, both->min);
    cr_assert_eq(a->max, both->max);
    cr_assert_arr_eq(a->counts, both->counts, a->n_counts * sizeof a->counts[0]);
    hist_free(a);
    hist_free(b);
    hist_free(both);
}

Test(bench_hist, an_empty_one_says_zero)
{
    struct hist *h = hist_new(2);
    cr_assert_eq(hist_percentile(h, 50), 0);
    cr_assert_eq(hist_mean(h), 0);
    cr_assert_eq(hist_sd(h), 0);
    hist_free(h);
    hist_free(NULL);
}

Test(bench_hist, a_percentile_needs_samples)
{
    cr_assert_eq(hist_needed(50), 20);
    cr_assert_eq(hist_needed(99), 1000);
    cr_assert_eq(hist_needed(99.9), 10000);
    cr_assert_eq(hist_needed(99.99), 100000);
    cr_assert(hist_enough(20, 50));
    cr_assert_not(hist_enough(19, 50));
    cr_assert(hist_enough(100000, 99.99));
    cr_assert_not(hist_enough(99999, 99.99));
    cr_assert_not(hist_enough(UINT64_MAX - 1, 100));
}
