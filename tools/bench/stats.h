/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef BENCH_STATS_H
#define BENCH_STATS_H

/* What a few rounds say: medians, and whether two sets of them differ by more than chance. */
#include <stddef.h>

#define STATS_SIGNIFICANT 0.05

/* The median; n > 0. */
double stats_median(const double *v, size_t n);
/* How far the values are apart, without a tenth at each end where there are ten; n > 0. */
double stats_range(const double *v, size_t n);
/*
 * The two-sided p value of Wilcoxon's rank sum test (Mann-Whitney): how often two samples of one
 * population would differ as much as these. Makes no assumption about the distribution. Exact by
 * enumeration for few values, by the normal approximation (ties corrected) for many. 1 when there
 * are none.
 */
double stats_rank_sum_p(const double *a, size_t n_a, const double *b, size_t n_b);
/*
 * The greatest of these p values that counts when so many things were looked at, 0: none does.
 * By Benjamini and Hochberg: among what is found, STATS_SIGNIFICANT is expected to be chance; where
 * nothing differs anything is found that often. They may depend on each other, as times and rates.
 */
double stats_found_p(const double *p, size_t n);
/* The least p value that so many rounds could give: above STATS_SIGNIFICANT nothing can be said. */
double stats_least_p(size_t n_a, size_t n_b);

#endif
