/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "base/alloc.h"
#include "base/blocks.h"
#include <criterion/criterion.h>
#include <stdint.h>
#include <string.h>

Test(base_blocks, freed_blocks_are_used_again)
{
    struct blocks m;

    blocks_init(&m, 32);
    m.kept_max = 32; /* under AddressSanitizer it would keep none */
    void *a = blocks_get(&m, 100);
    cr_assert_not_null(a);
    blocks_put(&m, a);
    pfs_alloc_fail_nth(0);
    cr_assert_eq(blocks_get(&m, 128), a, "the same size class");
    cr_assert_eq(pfs_alloc_count(), 0);
    void *b = blocks_get(&m, 129);
    cr_assert_neq(b, a);
    cr_assert_eq(pfs_alloc_count(), 1);
    blocks_put(&m, a);
    blocks_put(&m, b);
    blocks_put(&m, NULL);
    blocks_fini(&m);
}

Test(base_blocks, growing_keeps_the_content)
{
    struct blocks m;

    blocks_init(&m, 32);
    unsigned char *p = blocks_resize(&m, NULL, 10);
    memcpy(p, "0123456789", 10);
    cr_assert_eq((void *)blocks_resize(&m, p, 60), (void *)p, "there was room");
    p = blocks_resize(&m, p, 5000);
    cr_assert_eq(memcmp(p, "0123456789", 10), 0);
    blocks_put(&m, p);
    blocks_fini(&m);
}

Test(base_blocks, what_is_kept_has_a_limit)
{
    struct blocks m;
    void *taken[200];

    blocks_init(&m, 32);
    m.kept_max = 32;
    for (size_t i = 0; i < 200; i++) {
        taken[i] = blocks_get(&m, i % 2 ? 1024 : 100000);
        cr_assert_not_null(taken[i]);
    }
    for (size_t i = 0; i < 200; i++) {
        blocks_put(&m, taken[i]);
    }
    unsigned kept = 0;
    for (unsigned i = 0; i < BLOCKS_CLASSES; i++) {
        kept += m.n_free[i];
    }
    cr_assert_eq(kept, 32);
    blocks_trim(&m);
    cr_assert(list_is_empty(&m.all));
    void *again = blocks_get(&m, 64);
    cr_assert_not_null(again, "it can be used on");
    blocks_put(&m, again);
    blocks_fini(&m);
}

Test(base_blocks, no_memory_is_said)
{
    struct blocks m;

    blocks_init(&m, 32);
    pfs_alloc_fail_nth(1);
    cr_assert_null(blocks_get(&m, 64));
    cr_assert_null(blocks_get(&m, SIZE_MAX));
    unsigned char *p = blocks_get(&m, 64);
    p[0] = 7;
    pfs_alloc_fail_nth(1);
    cr_assert_null(blocks_resize(&m, p, 65));
    cr_assert_eq(p[0], 7, "the old block stays");
    blocks_put(&m, p);
    blocks_fini(&m);
}

/* LeakSanitizer says whether it is so. */
Test(base_blocks, the_end_frees_what_is_in_use)
{
    struct blocks m;

    blocks_init(&m, 1);
    m.kept_max = 1;
    void *kept = blocks_get(&m, 64);
    cr_assert_not_null(kept);
    cr_assert_not_null(blocks_get(&m, 64));
    cr_assert_not_null(blocks_get(&m, 5000));
    blocks_put(&m, kept);
    blocks_trim(&m);
    cr_assert_not(list_is_empty(&m.all));
    blocks_fini(&m);
    cr_assert(list_is_empty(&m.all));
}
