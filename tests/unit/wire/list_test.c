/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * The decoder of listings against tables, and against a second one written here on the tree of
 * json.h: on a corpus and on mutations of it both must say the same.
 */
#include "wire/json.h"
#include "wire/time.h"
#include "wire/wire.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct listing {
    enum pfs_class cls;
    struct pfs_stat *all;
    size_t n;
};

static char last_error[PFS_ERROR_TEXT_MAX];

static void listing_fini(struct listing *l)
{
    for (size_t i = 0; i < l->n; i++) {
        pfs_stat_fini(&l->all[i]);
    }
    free(l->all);
}

static struct listing decode(const char *body, size_t len)
{
    struct listing l = {0};
    struct pfs_error err = {0};

    l.cls = wire_list_decode(body, len, &l.all, &l.n, &err);
    cr_assert_eq(l.cls, err.cls);
    strcpy(last_error, err.text);
    cr_assert(l.cls == PFS_OK || (!l.all && l.n == 0 && *err.text));
    return l;
}

/* ---- the second decoder: for tests only, so it may be slow and plain ---- */

static char *copy(const char *s)
{
    return s && *s ? strdup(s) : NULL;
}

static bool ref_meta(struct json_value meta, struct pfs_stat *st)
{
    struct json_value content = {0};
    struct json_member m = {0};
    const char *name = NULL, *type = NULL;

    if (json_get_str(meta, "Name", &name) == JSON_WRONG ||
        json_get_str(meta, "Type", &type) == JSON_WRONG ||
        json_get_object(meta, "Content", &content) == JSON_WRONG) {
        return false;
    }
    st->meta_name = copy(name);
    st->meta_type = copy(type);
    st->meta = calloc(json_length(content) + 1, sizeof *st->meta);
    while (json_next(content, &m)) {
        if (!json_str(m.value)) {
            return false;
        }
        st->meta[st->n_meta++] = (struct pfs_pair){strdup(m.key), strdup(json_str(m.value))};
    }
    return true;
}

static bool ref_entry(struct json_value v, struct pfs_stat *st)
{
    struct json_value meta = {0};
    const char *name, *time;

    st->mtime_ns = PFS_TIME_UNKNOWN;
    if (json_get_str(v, "name", &name) != JSON_FOUND || !*name || strchr(name, '/') ||
        strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strlen(name) > 255 ||
        json_get_int64(v, "size", &st->size) != JSON_FOUND || st->size < 0 ||
        json_get_uint32(v, "mode", &st->mode) != JSON_FOUND ||
        json_get_bool(v, "isDir", &st->is_dir) != JSON_FOUND ||
        json_get_object(v, "meta", &meta) == JSON_WRONG) {
        return false;
    }
    st->name = strdup(name);
    if (json_get_str(v, "modTime", &time) == JSON_FOUND) {
        st->mtime_ns = wire_time_parse(time, strlen(time));
    }
    return ref_meta(meta, st);
}

static struct listing ref_decode(const char *body, size_t len)
{
    struct listing l = {.cls = PFS_PAYLOAD};
    struct json_value root, files = {0};

    if (json_parse(body, len, JSON_REPLY, &root, NULL) != PFS_OK) {
        return l;
    }
    if (json_kind(root) == JSON_OBJECT && json_get_array(root, "files", &files) != JSON_WRONG) {
        size_t n = json_length(files);

        l.cls = PFS_OK;
        l.all = calloc(n + 1, sizeof *l.all);
        for (size_t i = 0; i < n && l.cls == PFS_OK; i++) {
            l.n++;
            l.cls = ref_entry(json_at(files, i), &l.all[i]) ? PFS_OK : PFS_PAYLOAD;
        }
    }
    json_fini(&root);
    return l;
}

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_stat(const struct pfs_stat *a, const struct pfs_stat *b)
{
    if (!same_text(a->name, b->name) || a->size != b->size || a->mode != b->mode ||
        a->is_dir != b->is_dir || a->mtime_ns != b->mtime_ns ||
        !same_text(a->meta_name, b->meta_name) || !same_text(a->meta_type, b->meta_type) ||
        a->n_meta != b->n_meta) {
        return false;
    }
    for (size_t i = 0; i < a->n_meta; i++) {
        if (!same_text(a->meta[i].key, b->meta[i].key) ||
            !same_text(a->meta[i].value, b->meta[i].value)) {
            return false;
        }
    }
    return true;
}

/* Both decoders; *ret_good counts what is accepted. */
static void compare(const char *body, size_t len, unsigned *ret_good)
{
    char *exact = malloc(len ? len : 1);

    memcpy(exact, body, len);
    struct listing a = decode(exact, len), b = ref_decode(exact, len);

    cr_assert_eq(a.cls, b.cls, "%s, json-c says %s: %.*s", pfs_class_name(a.cls),
                 pfs_class_name(b.cls), (int)len, body);
    for (size_t i = 0; a.cls == PFS_OK && i < a.n; i++) {
        cr_assert(a.n == b.n && same_stat(&a.all[i], &b.all[i]), "%.*s", (int)len, body);
    }
    *ret_good += a.cls == PFS_OK;
    listing_fini(&a);
    listing_fini(&b);
    free(exact);
}

#define REST "\"size\":1,\"mode\":420,\"isDir\":false"

static const char *const corpus[] = {
    "{\"files\":null}\n",
    "{}",
    " { \"files\" : [ ] , \"more\" : [1, 2.5e3, {\"a\":[null,true]}] } ",
    "{\"files\":[{\"name\":\"a.txt\",\"size\":11,\"mode\":420,\"modTime\":"
    "\"2026-11-23T23:34:09.184704693Z\",\"isDir\":false,\"meta\":{\"Name\":\"memfs\",\"Type\":"
    "\"file\",\"Content\":null}},{\"name\":\"d\",\"size\":0,\"mode\":2147484141,\"modTime\":"
    "\"2026-11-23T23:34:09+05:30\",\"isDir\":true,\"meta\":{\"Name\":\"localfs\",\"Type\":"
    "\"local\","
    "\"Content\":{\"local_path\":\"/x/\\u00e9\",\"k\":\"v\"}}}]}\n",
    "{\"files\":[{\"name\":\"\\ud83d\\ude00\\\"\\\\\\n\",\"extra\":{\"deep\":[[[]]]}," REST
    ",\"modTime\":17,\"meta\":null}]}",
    "{\"files\":[{" REST ",\"name\":\"\xc3\xa9\xe2\x82\xac\",\"meta\":{},\"modTime\":\"x\"}]}",
};

Test(list, A081_sizes_and_modes)
{
    static const struct {
        const char *size, *mode;
        enum pfs_class cls;
    } rows[] = {
        {"0", "0", PFS_OK},
        {"9223372036854775807", "4294967295", PFS_OK},
        {"-0", "-0", PFS_OK},
        {"99999999999999999999", "0", PFS_PAYLOAD},
        {"9223372036854775808", "0", PFS_PAYLOAD},
        {"-5", "0", PFS_PAYLOAD},
        {"1e3", "0", PFS_PAYLOAD},
        {"1.0", "0", PFS_PAYLOAD},
        {"\"12abc\"", "0", PFS_PAYLOAD},
        {"\"12\"", "0", PFS_PAYLOAD},
        {"null", "0", PFS_PAYLOAD},
        {"0", "4294967296", PFS_PAYLOAD},
        {"0", "-1", PFS_PAYLOAD},
        {"0", "null", PFS_PAYLOAD},
        {"0", "01", PFS_PAYLOAD},
    };
    unsigned good = 0;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char body[256];

        snprintf(body, sizeof body,
                 "{\"files\":[{\"name\":\"a\",\"isDir\":true,\"size\":%s,\"mode\":%s}]}",
                 rows[i].size, rows[i].mode);
        struct listing l = decode(body, strlen(body));

        cr_assert_eq(l.cls, rows[i].cls, "%s", body);
        listing_fini(&l);
        compare(body, strlen(body), &good);
    }
    cr_assert_eq(good, 3);
}

static enum pfs_class decode_name(const char *json)
{
    char body[2048];
    unsigned good = 0;

    snprintf(body, sizeof body, "{\"files\":[{\"name\":\"ok\"," REST "},{\"name\":%s," REST "}]}",
             json);
    struct listing l = decode(body, strlen(body));

    listing_fini(&l);
    compare(body, strlen(body), &good);
    cr_assert_eq(good == 1, l.cls == PFS_OK);
    return l.cls;
}

Test(list, A082_names)
{
    static const char *const good[] = {"\"...\"",     "\".a\"",       "\" \"",    "\"a\\\\b\"",
                                       "\"\\u00e9\"", "\"\xc3\xa9\"", "\"a\\nb\""};
    static const char *const bad[] = {"\"\"",
                                      "\".\"",
                                      "\"..\"",
                                      "\"/\"",
                                      "\"a/b\"",
                                      "\"\\u002e\\u002e\"",
                                      "\"a\\/b\"",
                                      "\"a\\u0000\"",
                                      "\"\xff\"",
                                      "\"\xc0\xaf\"",
                                      "\"\xed\xa0\x80\"",
                                      "\"\\ud800\"",
                                      "null",
                                      "1",
                                      "[]"};
    char name[300];

    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        cr_assert_eq(decode_name(good[i]), PFS_OK, "%s", good[i]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cr_assert_eq(decode_name(bad[i]), PFS_PAYLOAD, "%s", bad[i]);
    }
    snprintf(name, sizeof name, "\"%0255d\"", 0);
    cr_assert_eq(decode_name(name), PFS_OK);
    snprintf(name, sizeof name, "\"%0256d\"", 0);
    cr_assert_eq(decode_name(name), PFS_PAYLOAD);
}

static enum pfs_class decode_body(const char *body)
{
    unsigned good = 0;
    struct listing l = decode(body, strlen(body));

    listing_fini(&l);
    compare(body, strlen(body), &good);
    return l.cls;
}

Test(list, A084_duplicate_keys)
{
    cr_assert_eq(decode_body("{\"files\":[],\"files\":[]}"), PFS_PAYLOAD);
    cr_assert_eq(decode_body("{\"files\":[{\"name\":\"a\",\"name\":\"b\"," REST "}]}"),
                 PFS_PAYLOAD);
    cr_assert_eq(decode_body("{\"files\":[{\"name\":\"a\",\"n\\u0061me\":\"b\"," REST "}]}"),
                 PFS_PAYLOAD);
    cr_assert_eq(decode_body("{\"files\":[{\"name\":\"a\",\"meta\":{\"Content\":{\"k\":\"1\",\"k\":"
                             "\"2\"}}," REST "}]}"),
                 PFS_PAYLOAD);
    cr_assert_eq(decode_body("{\"x\":{\"k\":1,\"k\":2},\"files\":[]}"), PFS_PAYLOAD);
    cr_assert_eq(decode_body("{\"files\":[{\"name\":\"a\"," REST "},{\"name\":\"a\"," REST "}]}"),
                 PFS_OK, "the same name twice is no duplicate key");
}

Test(list, A087_shapes)
{
    static const char *const empty[] = {"{\"files\":null}", "{\"files\":[]}", "{}", "{\"a\":1}"};
    static const char *const bad[] = {
        "",
        "null",
        "[]",
        "{\"files\":{}}",
        "{\"files\":\"\"}",
        "{\"files\":0}",
        "{\"files\":[null]}",
        "{\"files\":[1]}",
        "{\"files\":[[]]}",
        "{\"files\":[{}]}",
        "{\"files\":[{\"name\":\"a\"}]}",
        "{\"files\":[{\"name\":\"a\"," REST ",\"meta\":1}]}",
        "{\"files\":[{\"name\":\"a\"," REST ",\"meta\":{\"Name\":1}}]}",
        "{\"files\":[{\"name\":\"a\"," REST ",\"meta\":{\"Name\":\"\\u0000\"}}]}",
        "{\"files\":[{\"name\":\"a\"," REST ",\"meta\":{\"Content\":[]}}]}",
        "{\"files\":[{\"name\":\"a\"," REST ",\"meta\":{\"Content\":{\"k\":1}}}]}",
        "{\"files\":[{\"name\":\"a\"," REST ",\"meta\":{\"Content\":{\"k\":null}}}]}",
        "{\"files\":[{\"name\":\"a\"," REST ",\"isdir\":nul}]}",
        "{\"files\":[]",
        "{\"files\":[]} {",
    };

    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++) {
        struct listing l = decode(empty[i], strlen(empty[i]));

        cr_assert(l.cls == PFS_OK && l.n == 0 && !l.all, "%s", empty[i]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cr_assert_eq(decode_body(bad[i]), PFS_PAYLOAD, "%s", bad[i]);
    }
}

Test(list, A089_garbled_times_do_not_matter)
{
    static const char *const times[] = {"\"x\"",
                                        "\"\"",
                                        "null",
                                        "5",
                                        "{}",
                                        "[\"\"]",
                                        "\"10000-01-01T00:00:00Z\"",
                                        "\"2016-12-31T23:59:60Z\""};

    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        char body[256];

        snprintf(body, sizeof body, "{\"files\":[{\"name\":\"a\"," REST ",\"modTime\":%s}]}",
                 times[i]);
        struct listing l = decode(body, strlen(body));

        cr_assert(l.cls == PFS_OK && l.all[0].mtime_ns == PFS_TIME_UNKNOWN, "%s", body);
        listing_fini(&l);
        cr_assert_eq(decode_body(body), PFS_OK);
    }
}

/* A listing of n entries, each with `pairs` pairs of content. */
static char *make(size_t n, size_t pairs, size_t *ret_len)
{
    char *body = malloc(64 + n * (96 + 16 * pairs)), *p = body;

    p += sprintf(p, "{\"files\":[");
    for (size_t i = 0; i < n; i++) {
        p += sprintf(p, "%s{\"name\":\"f%zu\"," REST ",\"meta\":{\"Content\":{", i ? "," : "", i);
        for (size_t k = 0; k < pairs; k++) {
            p += sprintf(p, "%s\"k%zu\":\"v\"", k ? "," : "", k);
        }
        p += sprintf(p, "}}}");
    }
    p += sprintf(p, "]}");
    *ret_len = (size_t)(p - body);
    return body;
}

static enum pfs_class decode_made(size_t n, size_t pairs)
{
    size_t len;
    char *body = make(n, pairs, &len);
    struct listing l = decode(body, len);

    cr_assert_eq(l.n, l.cls == PFS_OK ? n : 0);
    listing_fini(&l);
    free(body);
    return l.cls;
}

Test(list, A086_limits)
{
    cr_assert_eq(decode_made(WIRE_ENTRIES_MAX, 0), PFS_OK);
    cr_assert_eq(decode_made(WIRE_ENTRIES_MAX + 1, 0), PFS_LIMIT);
    cr_assert_not_null(strstr(last_error, "more than 100,000 entries"), "%s", last_error);
    cr_assert_eq(decode_made(10, 1000), PFS_OK);
    cr_assert_eq(decode_made(1000, WIRE_META_MAX / 1000 + 1), PFS_LIMIT);

    size_t len = (size_t)WIRE_JSON_MAX + 1;
    char *body = malloc(len);

    memset(body, ' ', len);
    memcpy(body, "{}", 2);
    struct listing l = decode(body, len);

    cr_assert_eq(l.cls, PFS_LIMIT);
    l = decode(body, len - 1);
    cr_assert_eq(l.cls, PFS_OK);
    free(body);
}

Test(list, corpus_and_mutations_as_json_c_sees_them)
{
    static const char bytes[] = "{}[]\",:\\/un0-1e.+'tf a\x01\xff\xc3\x80\xed";
    unsigned good = 0, mutated = 0;
    uint64_t seed = 42;

    for (size_t i = 0; i < sizeof corpus / sizeof *corpus; i++) {
        size_t len = strlen(corpus[i]);
        char text[1024];

        compare(corpus[i], len, &good);
        for (size_t cut = 0; cut < len; cut++) {
            compare(corpus[i], cut, &mutated);
        }
        for (int round = 0; round < 5000; round++) {
            size_t n = len;

            memcpy(text, corpus[i], len);
            for (int k = 0; k <= round % 3; k++) { /* change, delete or insert one byte */
                seed = seed * 6364136223846793005u + 1442695040888963407u;
                size_t at = (size_t)(seed >> 40) % n;
                char c = bytes[(seed >> 20) % (sizeof bytes)]; /* NUL too */
                unsigned what = (unsigned)(seed >> 33) % 3;

                if (what == 1 && n > 1) {
                    memmove(text + at, text + at + 1, --n - at);
                } else if (what == 2) {
                    memmove(text + at + 1, text + at, n++ - at);
                    text[at] = c;
                } else {
                    text[at] = c;
                }
            }
            compare(text, n, &mutated);
        }
    }
    cr_assert_eq(good, sizeof corpus / sizeof *corpus);
    cr_assert_gt(mutated, 500, "most mutations of strings stay good, got %u", mutated);
}
