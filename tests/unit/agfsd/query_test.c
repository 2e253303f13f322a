/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "base/alloc.h"
#include "query.h"
#include <criterion/criterion.h>

static void is(const char *raw, const char *key, const char *want)
{
    size_t n = 99;
    char *v = query_get(raw, key, &n);

    if (!want) {
        cr_assert_null(v, "%s", raw);
        return;
    }
    cr_assert_not_null(v, "%s", raw);
    cr_assert_str_eq(v, want);
    cr_assert_eq(n, strlen(want));
    pfs_free(v);
}

Test(query, values_as_go_reads_them)
{
    is("path=/a&x=1", "path", "/a");
    is("x=1&path=%2Fa%20b+c", "path", "/a b c");
    is("%70ath=/a", "path", "/a");
    is("path=/a&path=/b", "path", "/a");
    is("path=/a;b&path=/c", "path", "/c"); /* the pair with ';' does not exist */
    is("path=/a%zz&path=/c", "path", "/c");
    is("path=%41", "path", "A");
    is("path=a=b", "path", "a=b");
    is("path=&path=/b", "path", NULL); /* the first one counts, and empty is none */
    is("path", "path", NULL);
    is("", "path", NULL);
    is("paths=/a", "path", NULL);
    is("path=/a%4", "path", NULL);
    is("path=/a%", "path", NULL);
    cr_assert(query_is("recursive=true", "recursive", "true"));
    cr_assert_not(query_is("recursive=1", "recursive", "true"));
}

Test(query, a_decoded_nul_is_kept)
{
    size_t n;
    char *v = query_get("path=/a%00b", "path", &n);

    cr_assert_eq(n, 4);
    cr_assert_arr_eq(v, "/a\0b", 5);
    pfs_free(v);
}

Test(query, numbers)
{
    int64_t v = 7;

    cr_assert_eq(query_int("n=12", "n", 10, &v), QUERY_OK);
    cr_assert_eq(v, 12);
    cr_assert_eq(query_int("n=-9223372036854775808", "n", 10, &v), QUERY_OK);
    cr_assert_eq(v, INT64_MIN);
    cr_assert_eq(query_int("n=%2B5", "n", 10, &v), QUERY_OK);
    cr_assert_eq(v, 5);
    cr_assert_eq(query_int("n=0755", "n", 8, &v), QUERY_OK);
    cr_assert_eq(v, 0755);
    v = 7;
    cr_assert_eq(query_int("m=1", "n", 10, &v), QUERY_ABSENT);
    const char *const bad[] = {"n=x",   "n=1x",  "n=0x1", "n=-", "n=9223372036854775808",
                               "n=1.0", "n=%001"};

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cr_assert_eq(query_int(bad[i], "n", 10, &v), QUERY_BAD, "%s", bad[i]);
    }
    cr_assert_eq(query_int("n=8", "n", 8, &v), QUERY_BAD);
    cr_assert_eq(v, 7, "untouched");
}
