/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "base/alloc.h"
#include "h2/mem.h"
#include <criterion/criterion.h>
#include <stdint.h>
#include <string.h>

Test(h2_mem, freed_blocks_are_used_again)
{
    struct h2_mem m;

    h2_mem_init(&m);
    m.kept_max = 32; /* under AddressSanitizer it would keep none */
    void *a = m.face.malloc(100, &m);
    cr_assert_not_null(a);
    m.face.free(a, &m);
    pfs_alloc_fail_nth(0);
    cr_assert_eq(m.face.malloc(128, &m), a, "the same size class");
    cr_assert_eq(pfs_alloc_count(), 0);
    void *b = m.face.malloc(129, &m);
    cr_assert_neq(b, a);
    cr_assert_eq(pfs_alloc_count(), 1);
    memset(a, 0xff, 128);
    m.face.free(a, &m);
    unsigned char *zeroed = m.face.calloc(4, 32, &m);
    cr_assert_eq((void *)zeroed, a);
    for (int i = 0; i < 128; i++) {
        cr_assert_eq(zeroed[i], 0);
    }
    m.face.free(zeroed, &m);
    m.face.free(b, &m);
    m.face.free(NULL, &m);
    h2_mem_fini(&m);
}

Test(h2_mem, growing_keeps_the_content)
{
    struct h2_mem m;

    h2_mem_init(&m);
    unsigned char *p = m.face.realloc(NULL, 10, &m);
    memcpy(p, "0123456789", 10);
    cr_assert_eq((void *)m.face.realloc(p, 60, &m), (void *)p, "there was room");
    p = m.face.realloc(p, 5000, &m);
    cr_assert_eq(memcmp(p, "0123456789", 10), 0);
    m.face.free(p, &m);
    h2_mem_fini(&m);
}

Test(h2_mem, what_is_kept_has_a_limit)
{
    struct h2_mem m;
    void *blocks[200];

    h2_mem_init(&m);
    m.kept_max = 32;
    for (size_t i = 0; i < 200; i++) {
        blocks[i] = m.face.malloc(i % 2 ? 1024 : 100000, &m);
        cr_assert_not_null(blocks[i]);
    }
    for (size_t i = 0; i < 200; i++) {
        m.face.free(blocks[i], &m);
    }
    unsigned kept = 0;
    for (unsigned i = 0; i < H2_MEM_CLASSES; i++) {
        kept += m.n_free[i];
    }
    cr_assert_eq(kept, 32);
    h2_mem_trim(&m);
    cr_assert(list_is_empty(&m.all));
    void *again = m.face.malloc(64, &m);
    cr_assert_not_null(again, "a session that rested goes on");
    m.face.free(again, &m);
    h2_mem_fini(&m);
}

Test(h2_mem, no_memory_is_said)
{
    struct h2_mem m;

    h2_mem_init(&m);
    pfs_alloc_fail_nth(1);
    cr_assert_null(m.face.malloc(64, &m));
    cr_assert_null(m.face.malloc(SIZE_MAX, &m));
    cr_assert_null(m.face.calloc(SIZE_MAX / 2, 3, &m));
    unsigned char *p = m.face.malloc(64, &m);
    p[0] = 7;
    pfs_alloc_fail_nth(1);
    cr_assert_null(m.face.realloc(p, 65, &m));
    cr_assert_eq(p[0], 7, "the old block stays");
    m.face.free(p, &m);
    h2_mem_fini(&m);
}

/* LeakSanitizer says whether it is so. */
Test(h2_mem, the_end_frees_what_is_in_use)
{
    struct h2_mem m;

    h2_mem_init(&m);
    m.kept_max = 1;
    void *kept = m.face.malloc(64, &m);
    cr_assert_not_null(kept);
    cr_assert_not_null(m.face.malloc(64, &m));
    cr_assert_not_null(m.face.malloc(5000, &m));
    m.face.free(kept, &m);
    h2_mem_trim(&m);
    cr_assert_not(list_is_empty(&m.all));
    h2_mem_fini(&m);
    cr_assert(list_is_empty(&m.all));
}
