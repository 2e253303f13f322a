/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "doc.h"
#include <criterion/criterion.h>
#include <stdlib.h>

static char *round_trip(const char *s)
{
    char *out = NULL;
    size_t len;
    struct doc *j = doc_read(s, strlen(s));
    if (j == NULL)
        return strdup("refused");
    FILE *f = open_memstream(&out, &len);
    doc_put(f, j);
    fclose(f);
    doc_free(j);
    return out;
}

static void expect(const char *in, const char *out)
{
    char *got = round_trip(in);
    cr_assert_str_eq(got, out, "%s: %s", in, got);
    free(got);
}

Test(doc, reads_what_servers_send)
{
    expect(" { \"a\" : [ 1 , -2.5e3, true, false, null, {} , [] ] , \"b\":\"x\" }\n",
           "{\"a\":[1,-2.5e3,true,false,null,{},[]],\"b\":\"x\"}");
    expect("\"\\u00e9\\ud83d\\ude00\\n\\t\\\"\\\\\\/\"", "\"é😀\\n\\t\\\"\\\\/\"");
    expect("\"\\ud83d\"", "\"\xef\xbf\xbd\"");
    expect("\"\\u0001\"", "\"\\u0001\"");
}

Test(doc, refuses_the_rest)
{
    static const char *const bad[] = {
        "",    "{",     "[1",         "[1,]",     "{\"a\"}", "{\"a\":}",    "{a:1}", "nul",
        "tru", "1 2",   "\"abc",      "\"\\x\"",  "\"\\u12", "\"\\u0000\"", "-",     "+1",
        "1e",  "[1 2]", "{\"a\":1,}", "\"\x01\"", "]",       "abc",         "\"\\",
    };
    char deep[101];
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        expect(bad[i], "refused");
    memset(deep, '[', 100);
    deep[100] = '\0';
    expect(deep, "refused");
}

Test(doc, members)
{
    const char *s = "{\"a\":\"x\",\"n\":1,\"z\":null,\"o\":{\"b\":true}}";
    struct doc *j = doc_read(s, strlen(s));
    cr_assert_str_eq(doc_text(j, "a", "-"), "x");
    cr_assert_str_eq(doc_text(j, "n", "-"), "1");
    cr_assert_str_eq(doc_text(j, "z", "-"), "-");
    cr_assert_str_eq(doc_text(j, "o", "-"), "-");
    cr_assert_str_eq(doc_text(j, "missing", "-"), "-");
    cr_assert_str_eq(doc_text(doc_get(j, "o"), "b", "-"), "true");
    cr_assert_null(doc_get(doc_get(j, "a"), "b"));
    cr_assert_null(doc_get(NULL, "a"));
    doc_free(j);
}

Test(doc, prints_any_bytes_as_valid_text)
{
    char *out = NULL;
    size_t len;
    FILE *f = open_memstream(&out, &len);
    doc_put_string(f, "a\"\\\n\x7f\xff\xc3z\xe2\x82\xac");
    fclose(f);
    cr_assert_str_eq(out, "\"a\\\"\\\\\\n\\u007f\xef\xbf\xbd\xef\xbf\xbdz€\"");
    free(out);
}
