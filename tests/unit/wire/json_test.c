/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "wire/json.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum pfs_class parse_n(const char *s, size_t n, enum json_rules rules,
                              struct json_value *ret)
{
    /* An exact copy, so that a sanitizer sees a read past the end. */
    char *copy = malloc(n ? n : 1);
    struct pfs_error err = {0};

    memcpy(copy, s, n);
    *ret = (struct json_value){0};
    enum pfs_class cls = json_parse(copy, n, rules, ret, &err);

    cr_assert_eq(cls, err.cls);
    cr_assert(cls == PFS_OK || *err.text);
    cr_assert(rules == JSON_REQUEST || json_check(copy, n, NULL) == cls);
    free(copy);
    return cls;
}

static enum pfs_class parse(const char *s, enum json_rules rules, struct json_value *ret)
{
    return parse_n(s, strlen(s), rules, ret);
}

static void expect_all(const char *const *texts, size_t n, enum json_rules rules, bool good)
{
    for (size_t i = 0; i < n; i++) {
        struct json_value v;

        cr_assert_eq(parse(texts[i], rules, &v), good ? PFS_OK : PFS_PAYLOAD, "%s", texts[i]);
        json_fini(&v);
    }
}
#define EXPECT(rules, good, ...)                                                                   \
    do {                                                                                           \
        static const char *const texts[] = {__VA_ARGS__};                                          \
        expect_all(texts, sizeof texts / sizeof *texts, rules, good);                              \
    } while (0)

/* The value of {"v":TEXT} under the rules of replies. */
static enum json_found get_int64(const char *text, int64_t *ret)
{
    char whole[128];
    struct json_value v;

    snprintf(whole, sizeof whole, "{\"v\":%s}", text);
    if (parse(whole, JSON_REPLY, &v) != PFS_OK) {
        return JSON_WRONG;
    }
    enum json_found found = json_get_int64(v, "v", ret);

    json_fini(&v);
    return found;
}

Test(json, A078_malformed)
{
    EXPECT(JSON_REPLY, true, "{}", "[]", "null", " {\"a\":[1,2,{\"b\":null}]}\r\n\t ", "12",
           "\"x\"", "-0", "0.5e-3", "true", "false", "{\"\":1}", "[1E+5]");
    EXPECT(JSON_REPLY, false, "", " ", "{", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,}", "{a:1}",
           "[1,]", "[1 2]", "[,]", "{\"a\":1 \"b\":2}", "\"x", "\"\\", "\"\\x\"", "\"\\u12\"",
           "\"\\u12g4\"", "nul", "tru", "TRUE", "None", "undefined", "\"a\tb\"", "\"a\nb\"", "]",
           "-", "+1", ".5", "1.", "1e", "1e+", "01", "-01", "0x10", "/*c*/{}", "{}//",
           "\xef\xbb\xbf{}");
}

Test(json, A079_junk_after_the_value)
{
    struct json_value v;

    EXPECT(JSON_REPLY, false, "{} x", "{}{}", "1 2", "null,", "{}]");
    cr_assert_eq(parse_n("{}\0", 3, JSON_REPLY, &v), PFS_PAYLOAD);
    cr_assert_eq(parse_n("{}\0junk", 7, JSON_REPLY, &v), PFS_PAYLOAD);
    cr_assert_eq(parse_n("\0{}", 3, JSON_REPLY, &v), PFS_PAYLOAD);
    cr_assert_eq(parse_n("{\"a\":\0}", 7, JSON_REPLY, &v), PFS_PAYLOAD);
    cr_assert_eq(parse_n("{}  \n", 5, JSON_REPLY, &v), PFS_OK);
    json_fini(&v);
}

Test(json, A080_single_quotes_and_nan)
{
    EXPECT(JSON_REPLY, false, "{'a':1}", "['a']", "NaN", "[NaN]", "[-NaN]", "[Infinity]",
           "[-Infinity]", "{\"a\":nan}");
    EXPECT(JSON_REPLY, true, "{\"a\":\"it's NaN, -Infinity\"}");
}

Test(json, A081_numbers)
{
    int64_t n;

    cr_assert_eq(get_int64("9223372036854775807", &n), JSON_FOUND);
    cr_assert_eq(n, INT64_MAX);
    cr_assert_eq(get_int64("-9223372036854775808", &n), JSON_FOUND);
    cr_assert_eq(n, INT64_MIN);
    cr_assert_eq(get_int64("-0", &n), JSON_FOUND);
    cr_assert_eq(n, 0);
    n = 77;
    static const char *const bad[] = {"9223372036854775808",
                                      "18446744073709551615",
                                      "18446744073709551616",
                                      "-9223372036854775809",
                                      "99999999999999999999",
                                      "1e3",
                                      "1.0",
                                      "\"12abc\"",
                                      "\"12\"",
                                      "true",
                                      "[1]",
                                      "{}"};

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cr_assert_eq(get_int64(bad[i], &n), JSON_WRONG, "%s", bad[i]);
    }
    cr_assert_eq(get_int64("null", &n), JSON_IS_NULL);
    cr_assert_eq(n, 77);

    struct json_value v;
    uint32_t u32;
    uint64_t u64;

    cr_assert_eq(parse("{\"a\":4294967295,\"b\":4294967296,\"c\":-1,\"d\":18446744073709551615}",
                       JSON_REPLY, &v),
                 PFS_OK);
    cr_assert(json_get_uint32(v, "a", &u32) == JSON_FOUND && u32 == UINT32_MAX);
    cr_assert_eq(json_get_uint32(v, "b", &u32), JSON_WRONG);
    cr_assert_eq(json_get_uint32(v, "c", &u32), JSON_WRONG);
    cr_assert_eq(json_get_uint64(v, "c", &u64), JSON_WRONG);
    cr_assert(json_get_uint64(v, "d", &u64) == JSON_FOUND && u64 == UINT64_MAX);
    json_fini(&v);
}

Test(json, A083_surrogates)
{
    struct json_value v;
    const char *s;

    EXPECT(JSON_REPLY, false, "[\"\\ud800\"]", "[\"\\udc00\"]", "[\"\\ud800x\"]",
           "[\"\\ud800\\u0041\"]", "[\"\\udc00\\ud800\"]", "{\"\\ud83d\":1}", "[\"\xed\xa0\x80\"]",
           "[\"\xff\"]", "[\"\xc0\xaf\"]");
    cr_assert_eq(parse("{\"a\":\"\\ud83d\\ude00 \\u00e9\"}", JSON_REPLY, &v), PFS_OK);
    cr_assert_eq(json_get_str(v, "a", &s), JSON_FOUND);
    cr_assert_str_eq(s, "\xf0\x9f\x98\x80 \xc3\xa9");
    json_fini(&v);
    cr_assert_eq(parse("{\"a\":\"x\\ud800y\xffz\"}", JSON_REQUEST, &v), PFS_OK);
    cr_assert_eq(json_get_str(v, "a", &s), JSON_FOUND);
    cr_assert_str_eq(s, "x\xef\xbf\xbdy\xef\xbf\xbdz");
    json_fini(&v);
}

Test(json, A084_duplicate_keys)
{
    EXPECT(JSON_REPLY, false, "{\"a\":1,\"a\":1}", "{\"a\":1,\"\\u0061\":1}",
           "[{\"x\":{\"k\":1,\"l\":2,\"k\":3}}]",
           "{\"longer than eight\":1,\"longer than eight\":2}", "{\"a\\u0000b\":1}");
    EXPECT(JSON_REPLY, true, "{\"a\":{\"a\":{\"a\":1}}}", "[{\"a\":1},{\"a\":1}]",
           "{\"a\":1,\"A\":1,\"\":2}");

    char many[40 * 12 + 32] = "{";

    for (int i = 0; i < 40; i++) {
        sprintf(many + strlen(many), "\"k%d\":0,", i);
    }
    size_t n = strlen(many);
    struct json_value v;

    strcpy(many + n, "\"z\":0}");
    cr_assert_eq(parse(many, JSON_REPLY, &v), PFS_OK);
    json_fini(&v);
    strcpy(many + n, "\"k3\":0}");
    cr_assert_eq(parse(many, JSON_REPLY, &v), PFS_PAYLOAD);
}

/* An object with n keys, the last of which is that of the member `same`; between them stands
 * another object. */
static enum pfs_class parse_keys(unsigned n, unsigned same)
{
    struct pfs_buf b = {0};
    struct json_value v = {0};

    pfs_buf_add_str(&b, "{");
    for (unsigned i = 0; i < n; i++) {
        const char *value = i == n / 2 ? "{\"k0\":{},\"k1\":[{\"k0\":1}],\"k2\":0}" : "0";

        pfs_buf_printf(&b, "%s\"k%u\":%s", i ? "," : "", i == n - 1 ? same : i, value);
    }
    pfs_buf_add_str(&b, "}");
    enum pfs_class cls = parse_n(pfs_buf_data(&b), pfs_buf_len(&b), JSON_REPLY, &v);

    json_fini(&v);
    pfs_buf_fini(&b);
    return cls;
}

Test(json, duplicate_keys_among_few_and_many)
{
    for (unsigned n = 1; n <= 40; n++) {
        cr_assert_eq(parse_keys(n, n), PFS_OK, "%u keys", n);
        for (unsigned same = 0; same + 1 < n; same++) {
            cr_assert_eq(parse_keys(n, same), PFS_PAYLOAD, "key %u of %u again", same, n);
        }
    }
}

Test(json, every_byte_at_every_place_of_a_string)
{
    for (unsigned len = 1; len <= 20; len++) {
        for (unsigned at = 0; at < len; at++) {
            for (unsigned c = 0; c < 256; c++) {
                char text[40] = "{\"a\":\"", want[21];
                struct json_value v = {0};
                const char *got;
                bool stands_for_itself = c >= 0x20 && c < 0x80 && c != '"' && c != '\\';

                memset(want, 'x', len);
                want[at] = (char)c;
                want[len] = '\0';
                memcpy(text + 6, want, len);
                memcpy(text + 6 + len, "\"}", 2);
                enum pfs_class cls = parse_n(text, 8 + len, JSON_REPLY, &v);

                cr_assert_eq(cls, stands_for_itself ? PFS_OK : PFS_PAYLOAD, "byte %u at %u of %u",
                             c, at, len);
                if (cls == PFS_OK) {
                    cr_assert_eq(json_get_str(v, "a", &got), JSON_FOUND);
                    cr_assert_str_eq(got, want);
                }
                json_fini(&v);
            }
        }
    }
}

/* `n` nested arrays. */
static enum pfs_class parse_nested(size_t n)
{
    char *s = malloc(2 * n);
    struct json_value v;

    memset(s, '[', n);
    memset(s + n, ']', n);
    enum pfs_class cls = parse_n(s, 2 * n, JSON_REPLY, &v);

    json_fini(&v);
    free(s);
    return cls;
}

Test(json, A085_nesting)
{
    cr_assert_eq(parse_nested(JSON_DEPTH_MAX), PFS_OK);
    cr_assert_eq(parse_nested(JSON_DEPTH_MAX + 1), PFS_PAYLOAD);
    cr_assert_eq(parse_nested(100000), PFS_PAYLOAD);
}

Test(json, A086_values_and_length)
{
    size_t n = 2 * (JSON_VALUES_MAX + 1);
    char *s = malloc(n);
    struct json_value v = {0};
    struct pfs_error err;

    for (size_t i = 0; i < n; i++) {
        s[i] = i % 2 ? '0' : ',';
    }
    s[0] = '[';
    s[n - 1] = ']';
    cr_assert_eq(json_parse(s, n, JSON_REPLY, &v, &err), PFS_LIMIT);
    cr_assert_eq(json_parse(s, (size_t)JSON_TEXT_MAX + 1, JSON_REQUEST, &v, &err), PFS_LIMIT);
    free(s);
}

/* agfs-http-api.md 1.10 */
Test(json, requests_as_go_reads_them)
{
    struct json_value v;
    const char *s = NULL;
    uint32_t n = 0;
    bool b = false;

    cr_assert_eq(
        parse("{\"PATH\":\"/a\",\"x\":1,\"Path\":\"/b\",\"mode\":1,\"mode\":420,\"B\":true}"
              " junk'NaN",
              JSON_REQUEST, &v),
        PFS_OK);
    cr_assert(json_get_str(v, "path", &s) == JSON_FOUND && strcmp(s, "/b") == 0);
    cr_assert(json_get_uint32(v, "mode", &n) == JSON_FOUND && n == 420);
    cr_assert(json_get_bool(v, "b", &b) == JSON_FOUND && b);
    cr_assert_eq(json_get_bool(v, "mode", &b), JSON_WRONG);
    cr_assert_eq(json_get_str(v, "absent", &s), JSON_MISSING);
    json_fini(&v);
    cr_assert_eq(parse("null", JSON_REQUEST, &v), PFS_OK);
    cr_assert_eq(json_get_str(v, "path", &s), JSON_MISSING);
    json_fini(&v);
    cr_assert_eq(parse("[1]", JSON_REQUEST, &v), PFS_OK);
    cr_assert_eq(json_get_str(v, "path", &s), JSON_WRONG);
    json_fini(&v);
    EXPECT(JSON_REQUEST, true, "{}x", "{}\n{", "\"s\"x", "1 x", "true]", "{\"a\":1}\0");
    EXPECT(JSON_REQUEST, false, "", "x", "{'a':1}", "{\"a\":NaN}", "{\"a\":01}", "{\"a\":1");
}

Test(json, config_as_options_and_text)
{
    struct json_value v, config;
    struct json_member m = {0};
    struct pfs_buf b = {0};

    cr_assert_eq(parse("{\"path\":\"/m\",\"config\":{\"base_url\":\"http://h/\\u0026<\",\"n\": 5,"
                       "\"r\":1.50,\"t\":true,\"z\":null,\"l\":[1,\"a/b\"]}}",
                       JSON_REQUEST, &v),
                 PFS_OK);
    cr_assert_eq(json_get_object(v, "config", &config), JSON_FOUND);
    cr_assert_eq(json_length(config), 6);
    while (json_next(config, &m)) {
        cr_assert(pfs_buf_printf(&b, "%s=", m.key));
        cr_assert(json_option_text(m.value, &b));
        cr_assert(pfs_buf_add_str(&b, ";"));
    }
    cr_assert(json_to_text(config, &b) && pfs_buf_add(&b, "", 1));
    cr_assert_str_eq(pfs_buf_data(&b),
                     "base_url=http://h/&<;n=5;r=1.50;t=true;z=;l=[1,\"a/b\"];"
                     "{\"base_url\":\"http://h/&<\",\"n\":5,\"r\":1.50,\"t\":true,\"z\":null,"
                     "\"l\":[1,\"a/b\"]}");
    pfs_buf_fini(&b);
    json_fini(&v);
}

Test(json, elements_and_kinds)
{
    struct json_value v, a;
    const char *s;
    size_t n;

    cr_assert_eq(parse("{\"a\":[\"x\",1,1.5,true,null,{},\"n\\u0000l\"]}", JSON_REPLY, &v), PFS_OK);
    cr_assert_eq(json_get_array(v, "a", &a), JSON_FOUND);
    cr_assert_eq(json_get_object(v, "a", &a), JSON_WRONG);
    cr_assert_eq(json_length(a), 7);
    static const enum json_kind kinds[] = {JSON_STRING, JSON_INT,    JSON_REAL,  JSON_BOOL,
                                           JSON_NULL,   JSON_OBJECT, JSON_STRING};

    for (size_t i = 0; i < 7; i++) {
        cr_assert_eq(json_kind(json_at(a, i)), kinds[i]);
    }
    cr_assert_str_eq(json_str(json_at(a, 0)), "x");
    cr_assert_null(json_str(json_at(a, 1)));
    cr_assert_null(json_str(json_at(a, 6)), "a NUL would cut it");
    json_fini(&v);
    cr_assert_eq(parse("{\"s\":\"n\\u0000l\"}", JSON_REPLY, &v), PFS_OK);
    cr_assert_eq(json_get_str(v, "s", &s), JSON_WRONG);
    cr_assert(json_get_bytes(v, "s", &s, &n) == JSON_FOUND && n == 3);
    json_fini(&v);
    json_fini(&v); /* zeroed: harmless */
}
