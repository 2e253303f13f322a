/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "sweep.h"
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct sweep parse(const char *text)
{
    struct sweep s;
    char *bad = NULL;

    cr_assert(sweep_parse(text, &s, &bad), "%s: %s", text, bad);
    return s;
}

static void refused(const char *text, const char *words)
{
    struct sweep s;
    char *bad = NULL;

    cr_assert_not(sweep_parse(text, &s, &bad), "%s", text);
    cr_assert(strstr(bad, words), "%s: %s", text, bad);
    free(bad);
}

static void expect(const char *text, enum sweep_kind kind, const double *values, size_t n)
{
    struct sweep s = parse(text);

    cr_assert_eq(s.kind, kind);
    cr_assert_eq(s.n, n, "%s: %zu values", text, s.n);
    for (size_t i = 0; i < n; i++)
        cr_assert_eq(s.values[i], values[i], "%s: %g", text, s.values[i]);
}

#define EXPECT(text, kind, ...)                                                                    \
    expect(text, kind, (const double[]){__VA_ARGS__}, sizeof((const double[]){__VA_ARGS__}) / 8)

Test(bench_sweep, lists)
{
    EXPECT("callers=3,5,9", SWEEP_CALLERS, 3, 5, 9);
    EXPECT("callers=1,2,4,..,32", SWEEP_CALLERS, 1, 2, 4, 8, 16, 32);
    EXPECT("callers=1,..,10", SWEEP_CALLERS, 1, 2, 4, 8, 10);
    EXPECT("rate=1000,1500,..,3000", SWEEP_RATE, 1000, 1500, 2000, 2500, 3000);
    EXPECT("rate=1k,2k,..,5k", SWEEP_RATE, 1000, 2000, 4000, 5000);
    EXPECT("entries=10,..,100000", SWEEP_ENTRIES, 10, 100, 1000, 10000, 100000);
    EXPECT("size=0,1KiB,..,64KiB", SWEEP_SIZE, 0, 1024, 4096, 16384, 65536);
    EXPECT("remotes=64", SWEEP_REMOTES, 64);
    cr_assert_eq(parse("size=1KiB,..,1GiB").n, 11);
}

Test(bench_sweep, bad_ones_are_refused)
{
    refused("colour=1,2", "callers=");
    refused("callers", "callers=");
    refused("callers=", "no values");
    refused("callers=1,x", "'x' is no value of callers");
    refused("callers=1.5", "no value");
    refused("callers=0", "from 1 to 4096");
    refused("remotes=1,..,65", "from 1 to 64");
    refused("callers=4,2", "ascend");
    refused("callers=..,4", "'..' must stand between");
    refused("callers=1,..", "'..' must stand between");
    refused("callers=1,..,..,4", "'..' must stand between");
    refused("size=0,..,4k", "cannot go on from 0");
    refused("callers=1,2,3,..,100", "more than 64");
}

static int knee(enum sweep_kind kind, const struct sweep_point *p, size_t n, const char *words)
{
    char *reason = NULL;
    int at = sweep_knee(kind, p, n, &reason);

    cr_assert_eq(at >= 0, words != NULL);
    if (words)
        cr_assert(strstr(reason, words), "%s", reason);
    free(reason);
    return at;
}

Test(bench_sweep, the_knee_of_callers)
{
    const struct sweep_point p[] = {{1, 1000, 50, 0},
                                    {2, 1900, 60, 0},
                                    {4, 3000, 80, 0},
                                    {8, 3100, 200, 0},
                                    {16, 3050, 500, 0}};

    cr_assert_eq(
        knee(SWEEP_CALLERS, p, 5, "from 4 to 8 callers throughput changed by +3 %, p99 went"), 2);
    knee(SWEEP_CALLERS, p, 3, NULL);
    knee(SWEEP_SIZE, p, 5, NULL);
}

Test(bench_sweep, a_disturbance_is_no_knee)
{
    const struct sweep_point p[] = {{1, 1000, 50, 0}, {2, 900, NAN, 0}, {4, 3500, 80, 0}};

    knee(SWEEP_CALLERS, p, 3, NULL);
    cr_assert_eq(knee(SWEEP_CALLERS, p, 2, "changed by -10 %"), 0);
}

Test(bench_sweep, the_knee_of_rates)
{
    const struct sweep_point slow[] = {
        {1000, 1000, 50, 1000}, {2000, 1990, 55, 2000}, {4000, 3000, 90, 4000}};
    const struct sweep_point poisson[] = {{10, 10, 50, 10, 0.5}, {20, 14, 50, 20, 0.4}};
    const struct sweep_point late[] = {{1000, 1000, 50, 1000}, {2000, 2000, 700, 2000}};

    const struct sweep_point never[] = {{1000, 500, 50, 1000}, {2000, 510, 55, 2000}};

    cr_assert_eq(knee(SWEEP_RATE, never, 2, "too much already: only 500 calls/s"), 0);
    cr_assert_eq(knee(SWEEP_RATE, slow, 3, "of 4000 planned calls/s only 3000 were reached"), 1);
    cr_assert_eq(knee(SWEEP_RATE, late, 2, "p99 rose from 50.0 us to 700 us"), 0);
    knee(SWEEP_RATE, slow, 2, NULL);
    knee(SWEEP_RATE, poisson, 2, NULL);
}
