/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* Rows A116, A121 to A123 of the fault table. */
#include "base/path.h"
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

Test(path, A121_normal_form)
{
    static const struct {
        const char *in, *out;
    } rows[] = {{"/", "/"},
                {"", "/"},
                {"a", "/a"},
                {"/a/", "/a"},
                {"//a///b//", "/a/b"},
                {"/./a/.", "/a"},
                {"/a/../b", "/b"},
                {"/..", "/"},
                {"/../../etc", "/etc"},
                {"/a/b/../..", "/"},
                {"/...", "/..."},
                {"/.a", "/.a"},
                {"/a/..b", "/a/..b"},
                {"..", "/"},
                {"/a%2fb", "/a%2fb"},
                {"/a b?&=#+", "/a b?&=#+"},
                {"/\xc3\xbc", "/\xc3\xbc"},
                {"/a\nb", "/a\nb"},
                {"/a\\b", "/a\\b"}};
    char dst[PFS_PATH_MAX + 1];
    struct pfs_error err;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        cr_assert_eq(pfs_path_normalize(rows[i].in, strlen(rows[i].in), dst, &err), PFS_OK,
                     "'%s': %s", rows[i].in, err.text);
        cr_assert_str_eq(dst, rows[i].out, "'%s': %s", rows[i].in, dst);
    }
}

Test(path, A122_A123_what_is_no_path)
{
    static char s[3 * PFS_PATH_MAX];
    char dst[PFS_PATH_MAX + 1];
    struct pfs_error err;

    cr_assert_eq(pfs_path_normalize("/a\0b", 4, dst, &err), PFS_INVALID);
    cr_assert_eq(pfs_path_normalize("/\xff", 2, dst, &err), PFS_INVALID);
    cr_assert_eq(pfs_path_normalize("/\xed\xa0\x80", 4, dst, &err), PFS_INVALID);
    memset(s, 'x', sizeof s);
    s[0] = '/';
    cr_assert_eq(pfs_path_normalize(s, 1 + PFS_COMPONENT_MAX, dst, &err), PFS_OK);
    cr_assert_eq(pfs_path_normalize(s, 2 + PFS_COMPONENT_MAX, dst, &err), PFS_INVALID);
    cr_assert_not_null(strstr(err.text, "too long"), "%s", err.text);
    cr_assert_eq(err.outcome, PFS_OUTCOME_NA);
    for (size_t i = 0; i < sizeof s; i += 2) { /* "/x/x/x..." */
        s[i] = '/';
    }
    cr_assert_eq(pfs_path_normalize(s, PFS_PATH_MAX, dst, &err), PFS_OK);
    cr_assert_eq(pfs_path_normalize(s, PFS_PATH_MAX + 2, dst, &err), PFS_INVALID);
    cr_assert_eq(pfs_path_normalize(s, sizeof s, dst, &err), PFS_INVALID);
}

Test(path, base_below_join)
{
    const char *rest;
    char dst[PFS_PATH_MAX + 1];
    static char deep[PFS_PATH_MAX + 1];

    cr_assert_str_eq(pfs_path_base("/"), "/");
    cr_assert_str_eq(pfs_path_base("/a/bc"), "bc");
    cr_assert(pfs_path_below("/a/b", "/a", &rest));
    cr_assert_str_eq(rest, "/b");
    cr_assert(pfs_path_below("/a", "/a", &rest));
    cr_assert_str_eq(rest, "/");
    cr_assert(pfs_path_below("/a", "/", &rest));
    cr_assert_str_eq(rest, "/a");
    cr_assert_not(pfs_path_below("/ab", "/a", &rest));
    cr_assert_not(pfs_path_below("/", "/a", &rest));
    cr_assert(pfs_path_join(dst, "/", "a"));
    cr_assert_str_eq(dst, "/a");
    cr_assert(pfs_path_join(dst, "/a", "/b/c"));
    cr_assert_str_eq(dst, "/a/b/c");
    memset(deep, 'x', PFS_PATH_MAX);
    deep[0] = '/';
    cr_assert_not(pfs_path_join(dst, deep, "a"));
}
