/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "base/clock.h"
#include "base/cores.h"
#include "base/spin.h"
#include <criterion/criterion.h>

/* n waits on a machine where polling takes spun_ns and sleeping asleep_ns; how often it polled. */
static unsigned run(struct spin *s, unsigned n, int64_t spun_ns, int64_t asleep_ns)
{
    unsigned spun = 0;

    for (unsigned i = 0; i < n; i++) {
        bool spins = spin_begin(s, 1);

        if (spins) {
            spin_stop();
        }
        spin_end(s, 1 + (spins ? spun_ns : asleep_ns));
        spun += spins;
    }
    return spun;
}

Test(base_spin, the_faster_way_is_taken_and_the_other_tried_now_and_then)
{
    struct spin s = {0};

    cr_assert_not(spin_begin(&s, 1), "the first wait sleeps");
    s = (struct spin){0};
    unsigned spun = run(&s, 1280, 40000, 100000);
    cr_assert_geq(spun, 1260, "%u", spun);
    cr_assert_lt(spun, 1280, "sleeping is tried again");
    s = (struct spin){0};
    spun = run(&s, 1280, 30000, 29000);
    cr_assert_leq(spun, 12, "%u", spun);
    cr_assert_geq(spun, 9, "polling is tried again: %u", spun);
}

Test(base_spin, few_poll_at_a_time)
{
    unsigned cores = pfs_n_cores(), max = cores > 2 ? cores - 1 : 1;

    struct spin s = {0};

    run(&s, 10, 40000, 100000); /* from now on it would poll */
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < max; i++) {
            cr_assert(spin_begin(&s, 1));
        }
        cr_assert_not(spin_begin(&s, 1));
        cr_assert_not(spin_begin(&s, 1), "and who was refused takes no place");
        spin_end(&s, 100001);
        cr_assert_eq(s.asleep_ns, 100000, "it slept");
        for (unsigned i = 0; i < max; i++) {
            spin_stop();
        }
    }
}

Test(base_spin, a_small_gain_is_not_worth_a_core)
{
    struct spin s = {0};

    cr_assert_leq(run(&s, 1280, 95000, 100000), 12);
}

Test(base_spin, it_follows_a_change)
{
    struct spin s = {0};

    run(&s, 1000, 40000, 100000);
    unsigned spun = run(&s, 2000, 40000, 20000); /* the peer moved to this core */
    cr_assert_lt(spun, 1000, "%u", spun);
    spun = run(&s, 2000, 40000, 100000);
    cr_assert_gt(spun, 1000, "%u", spun);
}

Test(base_spin, a_wait_that_was_interrupted_changes_nothing)
{
    struct spin sleeps = {0}, polls = {0};

    run(&sleeps, 1280, 30000, 29000);
    run(&sleeps, 1, 30000, PFS_MS);
    unsigned spun = run(&sleeps, 1280, 30000, 29000);
    cr_assert_leq(spun, 12, "%u", spun);
    run(&polls, 1280, 40000, 100000);
    run(&polls, 1, PFS_MS, 100000);
    spun = run(&polls, 1280, 40000, 100000);
    cr_assert_geq(spun, 1260, "%u", spun);
}

Test(base_spin, a_reply_that_was_there_at_once_tells_nothing)
{
    struct spin s = {0};

    run(&s, 1280, 30000, 29000);
    unsigned spun = run(&s, 1280, 1000, 29000);
    cr_assert_leq(spun, 12, "%u", spun);
}

Test(base_spin, slow_replies_tell_nothing)
{
    struct spin s = {0};

    cr_assert_leq(run(&s, 1280, 5 * PFS_SEC, 6 * PFS_SEC), 12, "polling did not help");
}
