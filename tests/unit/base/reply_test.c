/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "base/alloc.h"
#include "base/reply.h"
#include <criterion/criterion.h>
#include <string.h>

static const struct {
    int64_t offset, size;
    const char *want;
} ranges[] = {
    {0, -1, "0123456789"}, {-1, -1, "0123456789"}, {3, 4, "3456"}, {8, 100, "89"}, {0, 0, ""},
    {10, -1, ""},          {INT64_MAX, 5, ""},     {-5, 2, "01"},
};

Test(base_reply, a_read_gets_its_part_of_a_text)
{
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        struct pfs_request req = PFS_REQUEST_INIT;
        struct pfs_reply reply = {0};

        req.offset = ranges[i].offset;
        req.size = ranges[i].size;
        pfs_reply_take_range(&reply, pfs_strdup("0123456789"), 10, &req);
        cr_assert_eq(reply.err.cls, PFS_OK);
        cr_assert_eq(reply.len, strlen(ranges[i].want), "row %zu", i);
        cr_assert(reply.len == 0 || memcmp(reply.data, ranges[i].want, reply.len) == 0);
        pfs_reply_fini(&reply);
    }
}

Test(base_reply, no_text_is_out_of_memory)
{
    struct pfs_request req = PFS_REQUEST_INIT;
    struct pfs_reply reply = {0};

    pfs_reply_take_range(&reply, NULL, 0, &req);
    cr_assert_eq(reply.err.cls, PFS_NOMEM);
    pfs_reply_fini(&reply);
}

Test(base_reply, a_key_of_the_metadata_is_there_once)
{
    struct pfs_stat st = {.size = 7};

    cr_assert(pfs_stat_fill(&st, "name", "driver", "file"));
    cr_assert_eq(st.size, 7);
    cr_assert(pfs_stat_add_meta(&st, "a", "1"));
    cr_assert(pfs_stat_add_meta(&st, "b", "2"));
    cr_assert(pfs_stat_add_meta(&st, "a", "3"));
    cr_assert_eq(st.n_meta, 2);
    cr_assert_str_eq(st.meta[0].value, "3");
    cr_assert_str_eq(st.meta[1].key, "b");
    pfs_stat_fini(&st);
}

Test(base_reply, a_stat_that_has_no_memory_is_empty_or_as_before)
{
    for (unsigned nth = 1; nth <= 3; nth++) {
        struct pfs_stat st = {.size = 7};

        pfs_alloc_fail_nth(nth);
        cr_assert_not(pfs_stat_fill(&st, "name", "driver", "file"));
        cr_assert_null(st.name);
        cr_assert_eq(st.size, 0);
        pfs_alloc_fail_nth(0);
        cr_assert(pfs_stat_fill(&st, "name", "driver", "file"));
        pfs_alloc_fail_nth(nth);
        cr_assert_not(pfs_stat_add_meta(&st, "a", "1"));
        cr_assert_eq(st.n_meta, 0);
        pfs_alloc_fail_nth(0);
        pfs_stat_fini(&st);
    }
}
