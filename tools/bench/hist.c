/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "hist.h"
#include "util.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define BEYOND 10 /* samples that must lie beyond a percentile */

struct hist *hist_new(int digits)
{
    /* 2 * 10^digits values that are counted one by one, rounded up to a power of two. */
    static const int half_magnitudes[] = {0, 4, 7, 10};
    struct hist form = {.digits = digits, .half_magnitude = half_magnitudes[digits]};

    form.n_counts = hist_index(&form, HIST_MAX_NS) + 1;
    struct hist *h = xcalloc(1, sizeof *h + form.n_counts * sizeof h->counts[0]);
    memcpy(h, &form, sizeof form);
    h->min = INT64_MAX;
    return h;
}

void hist_free(struct hist *h)
{
    free(h);
}

/* Counters outside of min..max are zero: most of them, so they are left alone. */
static size_t first_used(const struct hist *h)
{
    return h->total ? hist_index(h, h->min < HIST_MAX_NS ? h->min : HIST_MAX_NS) : 0;
}

static size_t end_used(const struct hist *h)
{
    return h->total ? hist_index(h, h->max < HIST_MAX_NS ? h->max : HIST_MAX_NS) + 1 : 0;
}

int64_t hist_lowest(const struct hist *h, size_t i)
{
    size_t half = (size_t)1 << h->half_magnitude, octave = i >> h->half_magnitude;

    return octave < 2 ? (int64_t)i : (int64_t)((i & (half - 1)) + half) << (octave - 1);
}

int64_t hist_highest(const struct hist *h, size_t i)
{
    return hist_lowest(h, i + 1) - 1;
}

void hist_add(struct hist *to, const struct hist *from)
{
    for (size_t i = first_used(from), end = end_used(from); i < end; i++)
        to->counts[i] += from->counts[i];
    to->total += from->total;
    to->min = from->min < to->min ? from->min : to->min;
    to->max = from->max > to->max ? from->max : to->max;
}

int64_t hist_percentile(const struct hist *h, double percent)
{
    /* 99.9 / 100 * 1000 is a little more than 999, which is what is meant. */
    uint64_t wanted = (uint64_t)ceil(nextafter(percent, 0) / 100 * (double)h->total), seen = 0;
    size_t end = end_used(h);

    wanted = wanted < 1 ? 1 : wanted;
    for (size_t i = first_used(h); i < end; i++) {
        seen += h->counts[i];
        if (seen >= wanted) {
            int64_t v = hist_highest(h, i);
            return v < h->max ? v : h->max;
        }
    }
    return h->max;
}

/* The sum of (value - from)^power over all values, each taken as the middle of its counter. */
static double moment(const struct hist *h, double from, int power)
{
    double sum = 0;

    for (size_t i = first_used(h), end = end_used(h); i < end; i++) {
        if (h->counts[i]) {
            double d = (double)(hist_lowest(h, i) + hist_highest(h, i)) / 2 - from;
            sum += (double)h->counts[i] * (power == 1 ? d : d * d);
        }
    }
    return sum;
}

double hist_mean(const struct hist *h)
{
    return h->total ? moment(h, 0, 1) / (double)h->total : 0;
}

double hist_sd(const struct hist *h)
{
    return h->total ? sqrt(moment(h, hist_mean(h), 2) / (double)h->total) : 0;
}

uint64_t hist_needed(double percent)
{
    double beyond = percent < 50 ? percent : 100 - percent;

    return beyond <= 0 ? UINT64_MAX : (uint64_t)ceil(BEYOND * 100 / beyond - 1e-6);
}

bool hist_enough(uint64_t n, double percent)
{
    return n >= hist_needed(percent);
}
