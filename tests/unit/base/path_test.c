/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* Rows A116, A121 to A123 of the fault table. */
#include "base/path.h"
#include <criterion/criterion.h>
#include <stdio.h>
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

Test(path, A121_A122_odd_places_anywhere)
{
    static const struct {
        const char *odd, *normal; /* NULL: no path */
    } rows[] = {
        {"//", "/"},       {"/./", "/"},       {"/././/", "/"},          {"/.", "/."},
        {"/...", "/..."},  {"/..x/", "/..x/"}, {"x/x", "x/x"},           {"\x7f\x01", "\x7f\x01"},
        {"0", NULL},       {"\xff", NULL},     {"\xc3\xbc", "\xc3\xbc"}, {"/\x80", NULL},
        {"x/y/../", "x/"}, {"\xaf/", NULL},    {"\xaf", NULL},
    };
    char dst[PFS_PATH_MAX + 1], in[64], out[64];

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (int before = 1; before < 20; before++) {
            for (int after = 1; after < 20; after++) {
                int n = snprintf(in, sizeof in, "/%.*s%s%.*s", before, "pppppppppppppppppppp",
                                 rows[i].odd, after, "qqqqqqqqqqqqqqqqqqqq");

                snprintf(out, sizeof out, "/%.*s%s%.*s", before, "pppppppppppppppppppp",
                         rows[i].normal ? rows[i].normal : "", after, "qqqqqqqqqqqqqqqqqqqq");
                if (rows[i].odd[0] == '0') {
                    in[1 + before] = '\0';
                }
                cr_assert_eq(pfs_path_normalize(in, (size_t)n, dst, NULL),
                             rows[i].normal ? PFS_OK : PFS_INVALID, "%s", in);
                cr_assert(!rows[i].normal || strcmp(dst, out) == 0, "%s: %s", in, dst);
                in[n++] = '/';
                in[n] = '\0';
                cr_assert(!rows[i].normal ||
                          (pfs_path_normalize(in, (size_t)n, dst, NULL) == PFS_OK &&
                           strcmp(dst, out) == 0));
            }
        }
    }
}

Test(path, A121_A122_odd_ends)
{
    static const char odd[] = {'\0', '\xff', '\xaf', '\x80'};
    char dst[PFS_PATH_MAX + 1], s[32];

    for (size_t n = 3; n < sizeof s; n++) {
        memset(s, 'x', sizeof s);
        s[0] = '/';
        for (size_t i = 0; i < sizeof odd; i++) {
            s[n - 1] = odd[i];
            cr_assert_eq(pfs_path_normalize(s, n, dst, NULL), PFS_INVALID, "%zu, %zu", n, i);
        }
        s[n - 1] = '.';
        cr_assert_eq(pfs_path_normalize(s, n, dst, NULL), PFS_OK);
        cr_assert(strlen(dst) == n && memcmp(dst, s, n) == 0);
        s[n - 2] = '/';
        cr_assert_eq(pfs_path_normalize(s, n, dst, NULL), PFS_OK);
        cr_assert(strlen(dst) == (n > 3 ? n - 2 : 1) && memcmp(dst, s, strlen(dst)) == 0);
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
