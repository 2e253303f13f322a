/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "extents.h"
#include <criterion/criterion.h>

Test(extents, parts_in_any_order_become_one)
{
    struct extents e = {0};

    cr_assert(extents_are_whole(&e, 0));
    cr_assert_not(extents_are_whole(&e, 1));
    cr_assert(extents_add(&e, 20, 30));
    cr_assert(extents_add(&e, 40, 50));
    cr_assert(extents_add(&e, 0, 10));
    cr_assert_eq(e.n, 3);
    cr_assert(extents_add(&e, 10, 20));
    cr_assert_eq(e.n, 2);
    cr_assert_not(extents_are_whole(&e, 50), "there is a gap");
    cr_assert(extents_add(&e, 30, 40));
    cr_assert_eq(e.n, 1);
    cr_assert(extents_are_whole(&e, 50));
    cr_assert_not(extents_are_whole(&e, 49));
    cr_assert_not(extents_are_whole(&e, 51));
    cr_assert_not(extents_are_whole(&e, 0));
}

Test(extents, what_comes_twice_counts_once)
{
    struct extents e = {0};

    cr_assert(extents_add(&e, 10, 20));
    cr_assert(extents_add(&e, 10, 20));
    cr_assert(extents_add(&e, 5, 12));
    cr_assert(extents_add(&e, 18, 25));
    cr_assert(extents_add(&e, 7, 7));
    cr_assert_eq(e.n, 1);
    cr_assert_eq(e.at[0].from, 5);
    cr_assert_eq(e.at[0].to, 25);
    cr_assert_not(extents_are_whole(&e, 25), "it does not begin at 0");
    cr_assert(extents_add(&e, 0, 100));
    cr_assert(extents_are_whole(&e, 100));
}

Test(extents, gaps_are_limited_and_can_be_closed)
{
    struct extents e = {0};

    for (int i = 0; i < EXTENTS_MAX; i++) {
        cr_assert(extents_add(&e, 10 * i, 10 * i + 5));
    }
    cr_assert_not(extents_add(&e, 10 * EXTENTS_MAX, 10 * EXTENTS_MAX + 5));
    cr_assert_eq(e.n, EXTENTS_MAX);
    cr_assert(extents_add(&e, 5, 10));
    cr_assert(extents_add(&e, 10 * EXTENTS_MAX, 10 * EXTENTS_MAX + 5));
    cr_assert(extents_add(&e, 0, 10 * EXTENTS_MAX + 5));
    cr_assert(extents_are_whole(&e, 10 * EXTENTS_MAX + 5));
}
