/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "hist.h"
#include "schedule.h"
#include <criterion/criterion.h>

#define MS 1000000LL
#define SECOND (1000 * MS)

Test(bench_schedule, constant_arrivals_are_a_period_apart)
{
    struct schedule s;

    schedule_init(&s, ARRIVAL_CONSTANT, 1000, 5000, 1);
    for (int64_t i = 0; i < 100; i++)
        cr_assert_eq(schedule_take(&s), 5000 + i * MS);
    schedule_fini(&s);
}

Test(bench_schedule, poisson_arrivals_have_the_rate_and_no_memory)
{
    struct schedule s;
    int64_t last = 0, at = 0;
    double longer = 0;
    int n = 100000;

    schedule_init(&s, ARRIVAL_POISSON, 1000, 0, 42);
    for (int i = 0; i < n; i++, last = at) {
        at = schedule_take(&s);
        cr_assert_geq(at, last);
        longer += at - last > MS;
    }
    cr_assert_float_eq((double)at / n, MS, 0.02 * MS);
    /* Of exponential gaps 1/e are longer than the mean. */
    cr_assert_float_eq(longer / n, 0.3679, 0.01);
    schedule_fini(&s);
}

/*
 * One caller, a thousand calls a second planned, each takes 0.1 ms, but once the server stalls for
 * one second. A clock of our own: the loop is the caller's (caller.c).
 */
static struct hist *stall(bool from_plan)
{
    struct schedule s;
    struct hist *h = hist_new(3);
    int64_t now = 0, due;

    schedule_init(&s, ARRIVAL_CONSTANT, 1000, 0, 1);
    while ((due = schedule_take(&s)) < 10 * SECOND) {
        now = due > now ? due : now;
        int64_t start = now;
        now += due == 5 * SECOND ? SECOND : MS / 10;
        hist_record(h, now - (from_plan ? due : start));
    }
    schedule_fini(&s);
    return h;
}

Test(bench_schedule, a_stall_is_seen_by_every_call_that_it_held_up)
{
    struct hist *planned = stall(true), *started = stall(false);

    cr_assert_eq(planned->total, 10000);
    /* Counted from the start one call of ten thousand was slow: the stall hides from p99. */
    cr_assert_lt(hist_percentile(started, 99.9), MS);
    /* Counted from the plan a tenth of them waited, up to the whole second. */
    cr_assert_lt(hist_percentile(planned, 80), MS);
    cr_assert_gt(hist_percentile(planned, 95), SECOND / 4);
    cr_assert_gt(hist_percentile(planned, 99), 8 * SECOND / 10);
    cr_assert_eq(planned->max, SECOND);
    hist_free(planned);
    hist_free(started);
}

Test(bench_schedule, what_nobody_took_is_counted)
{
    struct schedule s;

    schedule_init(&s, ARRIVAL_CONSTANT, 1000, 0, 1);
    cr_assert_eq(schedule_left(&s, 0), 0);
    cr_assert_eq(schedule_left(&s, SECOND), 1000);
    schedule_take(&s);
    cr_assert_eq(schedule_left(&s, SECOND), 999);
    schedule_skip(&s, SECOND / 2);
    cr_assert_eq(schedule_take(&s), SECOND / 2);
    schedule_skip(&s, 0); /* never back */
    cr_assert_eq(schedule_left(&s, SECOND), 499);
    cr_assert_eq(schedule_left(&s, SECOND / 4), 0);
    schedule_fini(&s);
}

Test(bench_schedule, poisson_arrivals_can_be_skipped)
{
    struct schedule s;

    schedule_init(&s, ARRIVAL_POISSON, 1e9, 100, 1);
    schedule_skip(&s, 100 + SECOND);
    cr_assert_geq(schedule_take(&s), 100 + SECOND);
    cr_assert_leq(schedule_take(&s), 100 + SECOND + MS);
    schedule_fini(&s);
}
