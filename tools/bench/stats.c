/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "stats.h"
#include "util.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ENUMERATED_MAX 16 /* values: at most 12,870 ways to choose one half */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

/* To be freed. */
static double *sorted_copy(const double *v, size_t n)
{
    double *sorted = xcalloc(n, sizeof *sorted);

    memcpy(sorted, v, n * sizeof *v);
    qsort(sorted, n, sizeof *sorted, by_value);
    return sorted;
}

double stats_range(const double *v, size_t n)
{
    double *sorted = sorted_copy(v, n), range = sorted[n - 1 - n / 10] - sorted[n / 10];

    free(sorted);
    return range;
}

double stats_found_p(const double *p, size_t n)
{
    double *sorted = sorted_copy(p, n), found = 0;

    for (size_t i = 0; i < n; i++) {
        if (sorted[i] <= STATS_SIGNIFICANT * (double)(i + 1) / (double)n)
            found = sorted[i];
    }
    free(sorted);
    return found;
}

double stats_median(const double *v, size_t n)
{
    double *sorted = sorted_copy(v, n), median = (sorted[(n - 1) / 2] + sorted[n / 2]) / 2;
    free(sorted);
    return median;
}

/* Rank of v among all, the mean rank when several are equal. */
static double rank_of(double v, const double *all, size_t n)
{
    size_t less = 0, equal = 0;

    for (size_t i = 0; i < n; i++) {
        less += all[i] < v;
        equal += all[i] == v;
    }
    return (double)less + ((double)equal + 1) / 2;
}

/* Of all ways to choose n_a of the n ranks: the part whose sum is as far from the mean. */
static double enumerate(const double *ranks, size_t n, size_t n_a, double distance)
{
    double mean = (double)n_a * ((double)n + 1) / 2;
    size_t ways = 0, as_far = 0;

    for (unsigned chosen = 0; chosen < 1u << n; chosen++) {
        double sum = 0;
        if ((size_t)__builtin_popcount(chosen) != n_a)
            continue;
        for (size_t i = 0; i < n; i++)
            sum += chosen & 1u << i ? ranks[i] : 0;
        ways++;
        as_far += fabs(sum - mean) >= distance - 1e-9;
    }
    return (double)as_far / (double)ways;
}

static double normal_p(const double *ranks, size_t n, size_t n_a, double distance)
{
    double squares = 0, mean = ((double)n + 1) / 2;

    for (size_t i = 0; i < n; i++)
        squares += (ranks[i] - mean) * (ranks[i] - mean);
    double sd = sqrt(squares * (double)n_a * (double)(n - n_a) / ((double)n * (double)(n - 1)));
    return sd > 0 ? erfc((distance - 0.5) / sd / sqrt(2)) : 1;
}

double stats_rank_sum_p(const double *a, size_t n_a, const double *b, size_t n_b)
{
    size_t n = n_a + n_b;
    double sum = 0;

    if (n_a == 0 || n_b == 0)
        return 1;
    double *all = xcalloc(n, sizeof *all), *ranks = xcalloc(n, sizeof *ranks);
    memcpy(all, a, n_a * sizeof *a);
    memcpy(all + n_a, b, n_b * sizeof *b);
    for (size_t i = 0; i < n; i++) {
        ranks[i] = rank_of(all[i], all, n);
        sum += i < n_a ? ranks[i] : 0;
    }
    double distance = fabs(sum - (double)n_a * ((double)n + 1) / 2);
    double p = n <= ENUMERATED_MAX ? enumerate(ranks, n, n_a, distance)
                                   : normal_p(ranks, n, n_a, distance);
    free(all);
    free(ranks);
    return p > 1 ? 1 : p;
}

double stats_least_p(size_t n_a, size_t n_b)
{
    double ways = 1;

    for (size_t i = 1; i <= n_a; i++)
        ways *= (double)(n_b + i) / (double)i;
    return n_a && n_b ? 2 / ways : 1;
}
