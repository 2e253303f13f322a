/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef BENCH_HIST_H
#define BENCH_HIST_H

/*
 * Histogram of times with a fixed relative error, laid out as HdrHistogram's: values up to
 * 2^bits are counted one by one, each further octave in 2^(bits-1) equal parts. Recording is an
 * index and an increment, without lock: one histogram per thread, added together afterwards. Pages
 * of counters that were never touched cost no memory.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HIST_MAX_NS (3600 * 1000000000LL) /* longer times count as this; min and max stay true */

struct hist {
    int digits;         /* significant decimal digits: 1 to 3 */
    int half_magnitude; /* an octave has 2^half_magnitude counters */
    size_t n_counts;
    uint64_t total;
    int64_t min, max; /* as recorded; INT64_MAX and 0 when empty */
    uint64_t counts[];
};

struct hist *hist_new(int digits);
void hist_free(struct hist *h); /* NULL is allowed */

static inline size_t hist_index(const struct hist *h, int64_t value)
{
    uint64_t v = (uint64_t)value, below = (1ull << (h->half_magnitude + 1)) - 1;
    int octave = 63 - h->half_magnitude - __builtin_clzll(v | below);

    return ((size_t)octave << h->half_magnitude) + (size_t)(v >> octave);
}

static inline void hist_record_n(struct hist *h, int64_t ns, uint64_t n)
{
    ns = ns < 0 ? 0 : ns;
    h->min = ns < h->min ? ns : h->min;
    h->max = ns > h->max ? ns : h->max;
    h->counts[hist_index(h, ns < HIST_MAX_NS ? ns : HIST_MAX_NS)] += n;
    h->total += n;
}

static inline void hist_record(struct hist *h, int64_t ns)
{
    hist_record_n(h, ns, 1);
}

/* The least and the greatest value that counter i stands for. */
int64_t hist_lowest(const struct hist *h, size_t i);
int64_t hist_highest(const struct hist *h, size_t i);

/* Adds what `from` holds; both have the same number of digits. */
void hist_add(struct hist *to, const struct hist *from);

/* The greatest value equivalent to that below which `percent` of the values lie; 0 when empty. */
int64_t hist_percentile(const struct hist *h, double percent);
double hist_mean(const struct hist *h);
double hist_sd(const struct hist *h);

/*
 * Whether a percentile of n samples says something: at least 10 lie beyond it (the median needs 20,
 * p99.9 needs 10,000). hist_needed: how many samples that takes.
 */
bool hist_enough(uint64_t n, double percent);
uint64_t hist_needed(double percent);

#endif
