/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "base/alloc.h"
#include "conn/timers.h"
#include <criterion/criterion.h>

/* Against the plainest model: look at all. */
Test(timers, the_first_is_the_earliest_whatever_moves)
{
    enum { N = 60 };
    struct timers h = {0};
    struct io_timer t[N] = {0};
    unsigned seed = 7;

    for (unsigned step = 0; step < 20000; step++) {
        seed = seed * 1664525u + 1013904223u;
        struct io_timer *one = &t[(seed >> 8) % N];
        bool was = one->index != 0;

        if ((seed >> 24) % 3 == 0) {
            cr_assert_eq(timers_remove(&h, one), was);
            cr_assert_eq(one->index, 0);
        } else {
            cr_assert(timers_set(&h, one, (int64_t)((seed >> 4) % 1000)));
            cr_assert_neq(one->index, 0);
        }
        int64_t earliest = INT64_MAX;
        unsigned n = 0;
        for (unsigned i = 0; i < N; i++) {
            if (t[i].index) {
                n++;
                earliest = t[i].when_ns < earliest ? t[i].when_ns : earliest;
                cr_assert_eq(h.slot[t[i].index], &t[i]);
            }
        }
        cr_assert_eq(h.n, n);
        cr_assert(n ? timers_first(&h)->when_ns == earliest : timers_first(&h) == NULL);
    }
    timers_fini(&h);
}

Test(timers, without_memory_nothing_is_armed)
{
    struct timers h = {0};
    struct io_timer a = {0};

    pfs_alloc_fail_nth(1);
    cr_assert_not(timers_set(&h, &a, 5));
    cr_assert_eq(a.index, 0);
    cr_assert_null(timers_first(&h));
    pfs_alloc_fail_nth(0);
    cr_assert(timers_set(&h, &a, 5));
    cr_assert_eq(timers_first(&h), &a);
    cr_assert(timers_remove(&h, &a));
    cr_assert_not(timers_remove(&h, &a));
    timers_fini(&h);
}
