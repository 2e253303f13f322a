/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef BENCH_COMPARE_H
#define BENCH_COMPARE_H

/* Two reports: which is better, and is the difference more than noise? */
#include <stddef.h>
#include <stdio.h>

enum verdict { VERDICT_SAME, VERDICT_BETTER, VERDICT_WORSE, VERDICT_TOO_FEW };

struct comparison {
    enum verdict verdict; /* of b against a */
    double a, b;          /* medians */
    double change;        /* b / a - 1 */
    double range;         /* how far the rounds of one run are apart, at most */
    double p;             /* of the rank sum test */
};

/*
 * Compares the rounds of two runs. A difference counts when the rank sum test finds it (p <= 0.05)
 * and it is greater than `floor`, the change that two runs of the same thing may show, and than the
 * rounds of either run are apart: what disturbs one round may as well last for a run.
 */
struct comparison compare_rounds(const double *a, size_t n_a, const double *b, size_t n_b,
                                 int more_is_better, double floor);

/*
 * Compares two JSON reports figure by figure. Returns 0 when b is nowhere worse than a beyond
 * noise, 1 when it is, another exit code after an error line on stderr when they cannot be
 * compared.
 */
int compare_files(const char *a, const char *b, FILE *out);

#endif
