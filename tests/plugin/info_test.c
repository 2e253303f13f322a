/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "base/alloc.h"
#include "info.h"
#include <criterion/criterion.h>
#include <string.h>

static struct pfs_pair pairs[] = {{(char *)"a", (char *)"1"}, {(char *)"q\"", (char *)"x\ny"}};
static struct pfs_stat file = {.name = (char *)"f",
                               .size = 7,
                               .mode = 0640,
                               .mtime_ns = -1500000000,
                               .meta_name = (char *)"memfs",
                               .meta = pairs,
                               .n_meta = 2};

Test(info, a_stat_in_the_hosts_layout)
{
    const FileInfoC *f = info_of_stat(&file, NULL);

    cr_assert_not_null(f);
    cr_expect_str_eq(f->Name, "f");
    cr_expect_eq(f->Size, 7);
    cr_expect_eq(f->Mode, 0640);
    cr_expect_eq(f->ModTime, -2, "rounded down");
    cr_expect_eq(f->IsDir, 0);
    cr_expect_str_eq(f->MetaName, "memfs");
    cr_expect_null(f->MetaType);
    cr_expect_str_eq(f->MetaContent, "{\"a\":\"1\",\"q\\\"\":\"x\\ny\"}");
    struct pfs_stat root = {.name = (char *)"sub", .is_dir = true, .mtime_ns = PFS_TIME_UNKNOWN};

    f = info_of_stat(&root, "/");
    cr_assert_not_null(f);
    cr_expect_str_eq(f->Name, "/");
    cr_expect_eq(f->IsDir, 1);
    cr_expect_eq(f->ModTime, -62135596800LL);
    cr_expect_null(f->MetaContent);
}

Test(info, a_listing_without_names_that_lead_astray)
{
    const char *names[] = {"a", "", ".", "..", "b/c", NULL, "d"};
    struct pfs_stat list[7];
    int64_t n;

    for (int i = 0; i < 7; i++) {
        list[i] = file;
        list[i].name = (char *)(uintptr_t)names[i];
    }
    const FileInfoArray *a = info_of_list(list, 7, &n);

    cr_assert_not_null(a);
    cr_assert_eq(n, 2);
    cr_expect_eq(a->Count, 2);
    cr_expect_str_eq(a->Items[0].Name, "a");
    cr_expect_str_eq(a->Items[1].Name, "d");
    cr_expect_str_eq(a->Items[1].MetaName, "memfs");
    a = info_of_list(NULL, 0, &n);
    cr_expect(a && n == 0, "an empty directory is no error");
}

Test(info, running_out_of_memory_gives_nothing)
{
    int64_t n = 5;

    for (unsigned long nth = 1;; nth++) {
        pfs_alloc_fail_nth(nth);
        const FileInfoArray *a = info_of_list(&file, 1, &n);
        bool had_enough = pfs_alloc_count() < nth;
        pfs_alloc_fail_nth(0);
        if (a) {
            cr_assert(had_enough);
            break;
        }
        cr_expect_eq(n, 0);
    }
}
