/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "base/clock.h"
#include "base/window.h"
#include <criterion/criterion.h>

#define KIB 1024u
#define MIB (1024u * KIB)

Test(window, round_trips_are_measured_now_and_then)
{
    struct pfs_rtt r = {0};

    cr_expect(!pfs_rtt_wants(&r, 1000, PFS_SEC), "a small reply needs none");
    cr_expect(pfs_rtt_wants(&r, 200 * KIB, PFS_SEC));
    cr_expect(!pfs_rtt_wants(&r, 10 * MIB, PFS_SEC), "one at a time");
    pfs_rtt_answered(&r, PFS_SEC + 50 * PFS_MS);
    cr_expect_eq(r.ns, 50 * PFS_MS);
    cr_expect(!pfs_rtt_wants(&r, 10 * MIB, PFS_SEC + 60 * PFS_MS), "and not all the time");
    cr_expect(pfs_rtt_wants(&r, 10 * MIB, 2 * PFS_SEC));
    pfs_rtt_answered(&r, 2 * PFS_SEC + 80 * PFS_MS);
    cr_expect(r.ns > 50 * PFS_MS && r.ns < 55 * PFS_MS, "queues are no distance");
    cr_expect(pfs_rtt_wants(&r, 10 * MIB, 3 * PFS_SEC));
    pfs_rtt_answered(&r, 3 * PFS_SEC + 20 * PFS_MS);
    cr_expect_eq(r.ns, 20 * PFS_MS);
    pfs_rtt_answered(&r, 4 * PFS_SEC); /* nobody asked */
    cr_expect_eq(r.ns, 20 * PFS_MS);
}

/* The size after one second in which `step` bytes are taken every millisecond. */
static uint32_t after_a_second(size_t step, int64_t rtt_ns, uint32_t max)
{
    struct pfs_rtt r = {.ns = rtt_ns};
    struct pfs_window w = {.size = 256 * KIB};

    for (int64_t ms = 1; ms <= 1000; ms++) {
        pfs_window_taken(&w, step, &r, ms * PFS_MS, max);
    }
    return w.size;
}

Test(window, it_follows_bandwidth_times_delay)
{
    cr_expect_eq(after_a_second(100 * KIB, 50 * PFS_MS, 16 * MIB), 16 * MIB,
                 "5 MiB in a round trip");
    cr_expect_eq(after_a_second(100 * KIB, 50 * PFS_MS, 3 * MIB), 3 * MIB, "never above the limit");
    cr_expect_eq(after_a_second(10 * KIB, 50 * PFS_MS, 16 * MIB), 1 * MIB, "500 KiB in one");
    cr_expect_eq(after_a_second(2 * KIB, 50 * PFS_MS, 16 * MIB), 256 * KIB, "a slow consumer");
    cr_expect_eq(after_a_second(100 * KIB, PFS_MS / 2, 16 * MIB), 256 * KIB, "a short path");
    cr_expect_eq(after_a_second(100 * KIB, 0, 16 * MIB), 256 * KIB, "an unknown one");
}

Test(window, a_pause_is_no_speed)
{
    struct pfs_rtt r = {.ns = 10 * PFS_MS};
    struct pfs_window w = {.size = 256 * KIB};

    pfs_window_taken(&w, 1, &r, PFS_SEC, MIB);
    cr_expect(!pfs_window_taken(&w, 256 * KIB, &r, 11 * PFS_SEC, MIB),
              "all of it, but in ten seconds");
    cr_expect(pfs_window_taken(&w, 256 * KIB, &r, 11 * PFS_SEC + 10 * PFS_MS, MIB));
    cr_expect_eq(w.size, 512 * KIB);
}
