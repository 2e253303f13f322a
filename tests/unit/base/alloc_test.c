/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "base/alloc.h"
#include <criterion/criterion.h>

Test(base_alloc, an_array_grows_by_doubling)
{
    int *items = NULL;
    size_t cap = 0;

    pfs_alloc_fail_nth(0);
    for (size_t i = 0; i < 1000; i++) {
        items = pfs_grown(items, i, &cap, sizeof *items);
        cr_assert_not_null(items);
        cr_assert_gt(cap, i);
        items[i] = (int)i;
    }
    cr_expect_eq(cap, 1024);
    cr_expect_eq(pfs_alloc_count(), 7, "16, 32, ... 1024");
    for (size_t i = 0; i < 1000; i++) {
        cr_assert_eq(items[i], (int)i);
    }
    pfs_alloc_fail_nth(1);
    cr_assert_null(pfs_grown(items, 1024, &cap, sizeof *items));
    cr_expect_eq(cap, 1024, "it stays");
    cr_expect_eq(items[999], 999);
    pfs_free(items);
}
