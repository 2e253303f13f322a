/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "base/alloc.h"
#include "jsonout.h"
#include <criterion/criterion.h>

static void is(struct jout *j, const char *want)
{
    size_t n;
    char *text = jo_take(j, &n);

    cr_assert_str_eq(text, want);
    cr_assert_eq(n, strlen(want));
    pfs_free(text);
}

Test(jsonout, punctuation_and_escapes)
{
    struct jout j = {0};

    jo_begin(&j, '{');
    jo_member(&j, "a", "<&>\"\\\n\x01");
    jo_key(&j, "b");
    jo_begin(&j, '[');
    jo_int(&j, INT64_MIN);
    jo_bool(&j, true);
    jo_null(&j);
    jo_begin(&j, '{');
    jo_end(&j, '}');
    jo_raw(&j, "{\"x\":1}");
    jo_end(&j, ']');
    jo_name(&j, "k\"");
    jo_str(&j, "\xe2\x80\xa8\xff\xc3\xa9");
    jo_key(&j, "t");
    jo_time(&j, 1700000000120000000);
    jo_end(&j, '}');
    is(&j, "{\"a\":\"\\u003c\\u0026\\u003e\\\"\\\\\\n\\u0001\",\"b\":[-9223372036854775808,true,"
           "null,{},{\"x\":1}],\"k\\\"\":\"\\u2028\\ufffd\xc3\xa9\","
           "\"t\":\"2023-11-14T22:13:20.12Z\"}\n");
}

Test(jsonout, stat_has_always_a_meta_object)
{
    struct jout j = {0};
    struct pfs_pair pairs[] = {{(char[]){"k"}, (char[]){"v"}}};
    struct pfs_stat st = {.name = (char[]){"f"}, .size = 3, .mode = 0644, .mtime_ns = 0};

    jo_stat(&j, &st);
    is(&j, "{\"name\":\"f\",\"size\":3,\"mode\":420,\"modTime\":\"1970-01-01T00:00:00Z\","
           "\"isDir\":false,\"meta\":{\"Name\":\"\",\"Type\":\"\",\"Content\":null}}\n");
    st.meta = pairs;
    st.n_meta = 1;
    st.mtime_ns = PFS_TIME_UNKNOWN;
    j = (struct jout){0};
    jo_stat(&j, &st);
    is(&j, "{\"name\":\"f\",\"size\":3,\"mode\":420,\"modTime\":\"0001-01-01T00:00:00Z\","
           "\"isDir\":false,\"meta\":{\"Name\":\"\",\"Type\":\"\",\"Content\":{\"k\":\"v\"}}}\n");
}

Test(jsonout, what_goes_on_elsewhere_ends_without_a_line_feed)
{
    struct jout j = {0};
    size_t n;

    jo_str(&j, "a");
    char *text = jo_take_bare(&j, &n);

    cr_assert_str_eq(text, "\"a\"");
    cr_assert_eq(n, 3);
    pfs_free(text);
}

Test(jsonout, no_memory_is_remembered)
{
    struct jout j = {0};
    size_t n;

    jo_begin(&j, '{');
    pfs_alloc_fail_nth(1);
    for (int i = 0; i < 100; i++) {
        jo_member(&j, "key", "some text that needs more room than there is");
    }
    jo_end(&j, '}');
    cr_assert_null(jo_take(&j, &n));
}
