/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "base/alloc.h"
#include "results.h"
#include <criterion/criterion.h>
#include <string.h>

Test(results, blocks_stay_until_their_time_is_over)
{
    char *a = results_alloc(5);

    memcpy(a, "hello", 5);
    results_publish(a, 5);
    cr_expect_geq(results_waiting(), 5 + RESULTS_SLACK);
    results_reap();
    cr_expect(memcmp(a, "hello", 5) == 0 && a[5] == 0 && a[5 + RESULTS_SLACK - 1] == 0);
    results_limit(0, RESULTS_MAX_BYTES);
    results_reap();
    cr_expect_eq(results_waiting(), 0);
}

Test(results, an_adopted_block_keeps_its_content)
{
    char *a = results_adopt(pfs_strndup("hello", 5), 5);

    cr_assert_not_null(a);
    results_publish(a, 5);
    cr_expect(memcmp(a, "hello", 5) == 0 && a[5] == 0 && a[5 + RESULTS_SLACK - 1] == 0);
    a = pfs_strdup("lost");
    pfs_alloc_fail_nth(1);
    cr_expect_null(results_adopt(a, 4));
    pfs_alloc_fail_nth(0);
}

Test(results, when_full_new_calls_fail_and_nothing_is_freed)
{
    char *first = results_alloc(1000);

    results_limit(RESULTS_GRACE_MS, 100000);
    strcpy(first, "first");
    results_publish(first, 1000);
    unsigned n = 1;

    for (; results_have_room(1000); n++) {
        results_publish(results_alloc(1000), 1000);
        cr_assert_lt(n, 1000);
    }
    cr_expect_geq(n, 50);
    cr_expect_leq(results_waiting(), 100000u + 2000);
    cr_expect_str_eq(first, "first");
    cr_expect_not(results_have_room(1000));
    cr_expect_not(results_have_room(SIZE_MAX));
    results_limit(0, 100000);
    while (results_waiting() > 0) {
        cr_assert(results_have_room(1), "each call frees some first");
    }
    results_limit(RESULTS_GRACE_MS, 100000);
    cr_expect(results_have_room(1000));
}
