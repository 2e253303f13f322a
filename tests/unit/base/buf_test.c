/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/list.h"
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

Test(buf, appends_and_consumes_in_any_pieces)
{
    static const size_t steps[] = {1, 3, 7, 64, 1000};
    char model[5000];

    for (size_t i = 0; i < sizeof model; i++) {
        model[i] = (char)(i * 31);
    }
    for (size_t k = 0; k < sizeof steps / sizeof *steps; k++) {
        struct pfs_buf b = {0};
        size_t in = 0, out = 0;

        while (out < sizeof model) {
            for (unsigned i = 0; i < 3 && in < sizeof model; i++) {
                size_t n = sizeof model - in < steps[k] ? sizeof model - in : steps[k];

                cr_assert(pfs_buf_add(&b, model + in, n));
                in += n;
            }
            size_t n = pfs_buf_len(&b) < steps[k] ? pfs_buf_len(&b) : steps[k];

            cr_assert_eq(memcmp(pfs_buf_data(&b), model + out, n), 0);
            pfs_buf_consume(&b, n);
            out += n;
            cr_assert_eq(pfs_buf_len(&b), in - out);
        }
        pfs_buf_fini(&b);
        cr_assert_eq(pfs_buf_len(&b), 0);
    }
}

Test(buf, take_hands_over_with_a_nul)
{
    struct pfs_buf b = {0};
    size_t len;

    cr_assert(pfs_buf_printf(&b, "%s-%d", "x", 42));
    cr_assert(pfs_buf_add_str(&b, "!"));
    pfs_buf_consume(&b, 1);
    char *s = pfs_buf_take(&b, &len);
    cr_assert_str_eq(s, "-42!");
    cr_assert_eq(len, 4);
    cr_assert_eq(pfs_buf_len(&b), 0);
    free(s);
    s = pfs_buf_take(&b, &len); /* empty */
    cr_assert_not_null(s);
    cr_assert_eq(len, 0);
    free(s);
    pfs_buf_fini(&b);
}

Test(buf, without_memory_it_stays_as_it_was)
{
    static char big[100000];
    struct pfs_buf b = {0};

    cr_assert(pfs_buf_add_str(&b, "kept"));
    pfs_alloc_fail_nth(1);
    cr_assert_not(pfs_buf_add(&b, big, sizeof big));
    cr_assert_eq(pfs_buf_len(&b), 4);
    cr_assert_eq(memcmp(pfs_buf_data(&b), "kept", 4), 0);
    cr_assert(pfs_buf_add(&b, big, sizeof big), "only the first fails");
    cr_assert_eq(pfs_alloc_count() >= 2, true);
    pfs_alloc_fail_nth(0);
    pfs_buf_fini(&b);
}

struct item {
    struct list node;
    int v;
};

Test(list, keeps_order_and_survives_removal_in_a_walk)
{
    struct item items[5];
    struct list a, b;
    int sum = 0;

    list_init(&a);
    list_init(&b);
    for (int i = 0; i < 5; i++) {
        items[i].v = i;
        list_append(i < 3 ? &a : &b, &items[i].node);
    }
    list_move_all(&a, &b);
    cr_assert(list_is_empty(&b));
    list_for_each (n, &a) {
        struct item *it = list_entry(n, struct item, node);

        sum = sum * 10 + it->v;
        if (it->v % 2) {
            list_remove(n);
            list_remove(n); /* harmless */
        }
    }
    cr_assert_eq(sum, 1234);
    for (int i = 0; i < 5; i += 2) {
        cr_assert_eq(list_entry(list_take_first(&a), struct item, node)->v, i);
    }
    cr_assert_null(list_take_first(&a));
}

Test(clock, deadlines_do_not_overflow)
{
    cr_assert_eq(pfs_after(5, 10), 15);
    cr_assert_eq(pfs_after(5, PFS_NEVER), PFS_NEVER);
    cr_assert_eq(pfs_after(PFS_NEVER - 3, 3), PFS_NEVER);
    cr_assert_eq(pfs_after(PFS_NEVER - 3, 2), PFS_NEVER - 1);
    cr_assert_eq(pfs_ms_until(10, 10, 50), 0);
    cr_assert_eq(pfs_ms_until(11, 10, 50), 0);
    cr_assert_eq(pfs_ms_until(0, 1, 50), 1); /* rounded up: never a busy loop */
    cr_assert_eq(pfs_ms_until(0, PFS_MS + 1, 50), 2);
    cr_assert_eq(pfs_ms_until(0, PFS_NEVER, 50), 50);
    int64_t a = pfs_now();
    cr_assert_leq(a, pfs_now());
}
