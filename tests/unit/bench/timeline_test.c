/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "timeline.h"
#include "util.h"
#include <criterion/criterion.h>

#define MS NS_PER_MS

static struct timeline t;

static void call_at(int64_t since_ns)
{
    struct timeline_point *p = timeline_at(&t, since_ns);

    p->calls++;
    if (p->hist == NULL)
        p->hist = hist_new(2);
    hist_record(p->hist, 1000);
}

/* All calls are in it, wherever. */
static uint64_t calls(void)
{
    uint64_t n = 0, in_hists = 0;

    for (unsigned i = 0; i < t.n; i++) {
        n += t.points[i].calls;
        in_hists += t.points[i].hist ? t.points[i].hist->total : 0;
    }
    cr_assert_eq(in_hists, n);
    return n;
}

static void finish(void)
{
    timeline_fini(&t);
    t = (struct timeline){.n = 0};
}

Test(bench_timeline, rounds_follow_each_other, .fini = finish)
{
    for (int round = 0; round < 3; round++) {
        timeline_begin(&t, 1000 * MS, 200);
        call_at(0);
        call_at(999 * MS);
        call_at(1003 * MS); /* it began late, and is no slot of its own */
        timeline_end(&t, 1000 * MS);
    }
    cr_assert_eq(t.n, 30);
    cr_assert_float_eq(timeline_interval_s(&t), 0.1, 1e-9);
    for (unsigned i = 0; i < 30; i++)
        cr_assert_eq(t.points[i].calls, i % 10 == 0 ? 1 : i % 10 == 9 ? 2 : 0, "slot %u", i);
}

Test(bench_timeline, slots_are_whole, .fini = finish)
{
    timeline_begin(&t, 250 * MS, 600);
    timeline_end(&t, 250 * MS);
    cr_assert_eq(t.n, 2);
    cr_assert_float_eq(timeline_interval_s(&t), 0.125, 1e-9);
    finish();
    timeline_begin(&t, 50 * MS, 600);
    timeline_end(&t, 50 * MS);
    cr_assert_eq(t.n, 1);
    cr_assert_float_eq(timeline_interval_s(&t), 0.05, 1e-9);
}

Test(bench_timeline, an_outage_to_the_end_stays, .fini = finish)
{
    timeline_begin(&t, 1000 * MS, 600);
    call_at(10 * MS);
    timeline_end(&t, 1000 * MS);
    cr_assert_eq(t.n, 10);
    timeline_begin(&t, 1000 * MS, 600);
    call_at(10 * MS);
    timeline_end(&t, 330 * MS); /* Ctrl-C */
    cr_assert_eq(t.n, 14);
    cr_assert_eq(t.points[10].calls, 1);
}

Test(bench_timeline, a_run_without_an_end_is_compressed, .fini = finish)
{
    timeline_begin(&t, 0, 120);
    for (int i = 0; i < 4000; i++)
        call_at(i * 20 * MS);
    timeline_end(&t, 80000 * MS);
    cr_assert_eq(calls(), 4000);
    cr_assert_eq(t.n, 400);
    cr_assert_float_eq(timeline_interval_s(&t), 0.2, 1e-9);
    for (unsigned i = 0; i < t.n; i++)
        cr_assert_eq(t.points[i].calls, 10, "the rate is the same at %u", i);
    timeline_begin(&t, 0, 120);
    call_at(50 * MS);
    timeline_end(&t, 60 * MS);
    cr_assert_eq(t.n, 401);
    cr_assert_eq(t.points[400].calls, 1);
}

Test(bench_timeline, more_rounds_than_points, .fini = finish)
{
    for (int round = 0; round < 2000; round++) {
        timeline_begin(&t, 10 * MS, 1);
        call_at(MS);
        timeline_end(&t, 10 * MS);
    }
    cr_assert_eq(calls(), 2000);
    cr_assert_eq(t.n, 500);
    cr_assert_float_eq(timeline_interval_s(&t), 0.04, 1e-9);
}
