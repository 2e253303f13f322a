/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "wire/wire.h"
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define DATA "application/octet-stream"
#define JSON "application/json"

/* The outcome of one decoding; freed by the next and at the end of a test. */
static struct pfs_reply reply;

static enum pfs_class decode_head(const struct pfs_request *req, const struct wire_head *head,
                                  const char *body, size_t len)
{
    char *copy = len ? malloc(len) : NULL; /* exact, for the sanitizer */

    if (len) {
        memcpy(copy, body, len);
    }
    pfs_reply_fini(&reply);
    enum pfs_class cls = wire_decode(req, head, copy, len, "h:1", &reply);

    cr_assert_eq(cls, reply.err.cls);
    cr_assert(cls == PFS_OK || *reply.err.text);
    cr_assert(cls == PFS_OK || (!reply.data && !reply.text && !reply.list && !reply.matches));
    return cls;
}

static enum pfs_class decode_status(enum pfs_op op, int status, const char *body)
{
    struct pfs_request req = {.op = op, .offset = -1, .size = -1, .len = 100, .handle = 9};
    struct wire_head head = {.status = status};

    return decode_head(&req, &head, body, strlen(body));
}

static enum pfs_class decode(enum pfs_op op, const char *body)
{
    return decode_status(op, 200, body);
}

static void finish(void)
{
    pfs_reply_fini(&reply);
}

static void expect_payload(enum pfs_op op, const char *body, enum pfs_outcome outcome)
{
    cr_assert_eq(decode(op, body), PFS_PAYLOAD, "%s %s", pfs_op_name(op), body);
    cr_assert_eq(reply.err.outcome, outcome, "%s %s", pfs_op_name(op), body);
    cr_assert_eq(reply.err.phase, PFS_PHASE_REPLY);
    cr_assert_eq(reply.err.http_status, 200);
}

Test(decode, reads, .fini = finish)
{
    struct pfs_request req = {.op = PFS_OP_READ, .offset = -1, .size = -1};
    struct wire_head head = {.status = 200, .content_type = DATA};

    cr_assert_eq(decode_head(&req, &head, "a\0b", 3), PFS_OK);
    cr_assert(reply.len == 3 && memcmp(reply.data, "a\0b", 3) == 0);
    cr_assert_eq(decode_head(&req, &head, "", 0), PFS_OK);
    cr_assert(reply.len == 0 && !reply.data);
    req.op = PFS_OP_HANDLE_READ;
    cr_assert_eq(decode_head(&req, &head, "xy", 2), PFS_OK);
    cr_assert_eq(reply.len, 2);
}

Test(decode, A074_more_than_asked_for, .fini = finish)
{
    struct pfs_request req = {.op = PFS_OP_READ, .offset = -1, .size = 2};
    struct wire_head head = {.status = 200};

    cr_assert_eq(decode_head(&req, &head, "abc", 3), PFS_OK);
    cr_assert_eq(reply.len, 2);
    req.size = 0;
    cr_assert_eq(decode_head(&req, &head, "abc", 3), PFS_OK);
    cr_assert(reply.len == 0 && !reply.data);
}

Test(decode, A072_pages_and_encodings, .fini = finish)
{
    static const struct {
        enum pfs_op op;
        struct wire_head head;
        enum pfs_class cls;
    } rows[] = {
        {PFS_OP_READ, {200, "text/html", NULL, NULL}, PFS_PAYLOAD},
        {PFS_OP_READ, {200, DATA "x", NULL, NULL}, PFS_PAYLOAD},
        {PFS_OP_READ, {200, JSON, NULL, NULL}, PFS_PAYLOAD},
        {PFS_OP_READ, {200, DATA, "gzip", NULL}, PFS_PAYLOAD},
        {PFS_OP_READ, {200, DATA, "identity", NULL}, PFS_OK},
        {PFS_OP_READ, {200, "Application/Octet-Stream; x=y", "", NULL}, PFS_OK},
        {PFS_OP_OPEN_READ, {200, "text/html", NULL, NULL}, PFS_PAYLOAD},
        {PFS_OP_OPEN_READ, {206, "text/html", NULL, NULL, true}, PFS_PAYLOAD},
        {PFS_OP_OPEN_READ, {206, DATA, NULL, NULL, true}, PFS_OK},
        {PFS_OP_OPEN_READ, {206, DATA, NULL, NULL}, PFS_PROTOCOL},
        {PFS_OP_MKDIR, {200, "text/html; charset=utf-8", NULL, NULL}, PFS_PAYLOAD},
        {PFS_OP_MKDIR, {200, JSON, "br", NULL}, PFS_PAYLOAD},
        {PFS_OP_MKDIR, {200, DATA, NULL, NULL}, PFS_PAYLOAD},
        {PFS_OP_MKDIR, {200, JSON "; charset=utf-8", NULL, NULL}, PFS_OK},
        {PFS_OP_MKDIR, {200, NULL, NULL, NULL}, PFS_OK},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct pfs_request req = {.op = rows[i].op, .offset = -1, .size = -1};
        struct pfs_error err = {0};

        cr_assert_eq(decode_head(&req, &rows[i].head, "{}", 2), rows[i].cls, "row %zu", i);
        cr_assert_eq(reply.err.outcome, PFS_OUTCOME_UN);
        cr_assert_eq(wire_check_head(&req, &rows[i].head, &err), rows[i].cls);
        cr_assert_eq(err.cls, rows[i].cls);
    }
}

Test(decode, A073_unexpected_success, .fini = finish)
{
    static const int statuses[] = {202, 203, 204, 205, 206, 299};

    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        cr_assert_eq(decode_status(PFS_OP_READ, statuses[i], "x"), PFS_PROTOCOL);
        cr_assert_eq(decode_status(PFS_OP_MKDIR, statuses[i], "{}"), PFS_PROTOCOL);
        cr_assert_eq(reply.err.outcome, PFS_OUTCOME_UN);
        cr_assert_eq(reply.err.http_status, statuses[i]);
    }
    cr_assert_eq(decode_status(PFS_OP_READ, 201, "x"), PFS_PROTOCOL);
    cr_assert_eq(decode_status(PFS_OP_STAT, 201, "{}"), PFS_PROTOCOL);
    cr_assert_eq(decode_status(PFS_OP_MKDIR, 201, "{\"message\":\"directory created\"}\n"), PFS_OK);
    cr_assert_str_eq(reply.text, "directory created");
    cr_assert_eq(decode_status(PFS_OP_MKDIR, 404, "{\"error\":\"not found\"}"), PFS_NOTFOUND);
    cr_assert_eq(decode_status(PFS_OP_READ, 304, ""), PFS_PROTOCOL);
}

Test(decode, A075_bytes_written, .fini = finish)
{
    cr_assert_eq(decode(PFS_OP_WRITE, "{\"message\":\"Written 7 bytes\"}\n"), PFS_OK);
    cr_assert(reply.count == 7 && strcmp(reply.text, "Written 7 bytes") == 0);
    cr_assert_eq(decode(PFS_OP_WRITE, "{\"message\":\"Written 0 bytes\"}"), PFS_OK);
    cr_assert_eq(decode(PFS_OP_OPEN_WRITE, "{\"message\":\"Written 70000 bytes\"}"), PFS_OK);
    cr_assert_eq(reply.count, 70000);
    /* A control file answers in its own words. */
    cr_assert_eq(decode(PFS_OP_WRITE, "{\"message\":\"ProxyFS reloaded successfully\"}"), PFS_OK);
    cr_assert_eq(reply.count, 100);
    cr_assert_eq(decode(PFS_OP_HANDLE_WRITE, "{\"bytes_written\":100,\"position\":0}"), PFS_OK);
    cr_assert_eq(reply.count, 100);
    static const char *const bad[] = {"{}",
                                      "{\"message\":null}",
                                      "{\"message\":\"Written bytes\"}",
                                      "{\"message\":\"Written 7 bytes!\"}",
                                      "{\"message\":\"Written -7 bytes\"}",
                                      "{\"message\":\"Written 101 bytes\"}",
                                      "{\"message\":\"Written 99999999999999999999 bytes\"}"};

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        expect_payload(PFS_OP_WRITE, bad[i], PFS_OUTCOME_AP);
    }
    expect_payload(PFS_OP_HANDLE_WRITE, "{\"bytes_written\":-1}", PFS_OUTCOME_AP);
    expect_payload(PFS_OP_HANDLE_WRITE, "{\"bytes_written\":101}", PFS_OUTCOME_AP);
    expect_payload(PFS_OP_HANDLE_WRITE, "{\"bytes_written\":\"1\"}", PFS_OUTCOME_AP);
}

Test(decode, A078_unreadable_bodies, .fini = finish)
{
    static const char *const bodies[] = {"", "null", "[]", "{", "{}x", "{'a':1}", "\"x\"", "17"};
    static const enum pfs_op mutations[] = {
        PFS_OP_CREATE,  PFS_OP_WRITE,        PFS_OP_RENAME,  PFS_OP_HANDLE_OPEN, PFS_OP_CHMOD,
        PFS_OP_UNMOUNT, PFS_OP_HANDLE_CLOSE, PFS_OP_SYMLINK, PFS_OP_PLUGIN_LOAD};
    static const enum pfs_op reads[] = {PFS_OP_STAT,   PFS_OP_READDIR,     PFS_OP_READLINK,
                                        PFS_OP_GREP,   PFS_OP_HEALTH,      PFS_OP_CAPABILITIES,
                                        PFS_OP_DIGEST, PFS_OP_HANDLE_INFO, PFS_OP_MOUNTS};

    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        for (size_t k = 0; k < 9; k++) {
            expect_payload(mutations[k], bodies[i], PFS_OUTCOME_AP);
            expect_payload(reads[k], bodies[i], PFS_OUTCOME_UN);
        }
    }
    expect_payload(PFS_OP_MKDIR, "{\"message\":1}", PFS_OUTCOME_AP);
    cr_assert_eq(strncmp(reply.err.text, "reply to mkdir: JSON: ", 22), 0, "%s", reply.err.text);
}

Test(decode, stat, .fini = finish)
{
    cr_assert_eq(decode(PFS_OP_STAT, "{\"name\":\"a.txt\",\"size\":11,\"mode\":2147484141,"
                                     "\"modTime\":\"1970-01-01T00:00:01+00:00\",\"isDir\":true,"
                                     "\"meta\":{\"Name\":\"memfs\",\"Type\":\"dir\",\"Content\":"
                                     "{\"k\":\"v\",\"\":\"\"}}}\n"),
                 PFS_OK);
    struct pfs_stat *st = &reply.stat;

    cr_assert_str_eq(st->name, "a.txt");
    cr_assert(st->size == 11 && st->mode == 2147484141u && st->is_dir);
    cr_assert_eq(st->mtime_ns, 1000000000);
    cr_assert(strcmp(st->meta_name, "memfs") == 0 && strcmp(st->meta_type, "dir") == 0);
    cr_assert(st->n_meta == 2 && strcmp(st->meta[0].key, "k") == 0);
    cr_assert(strcmp(st->meta[0].value, "v") == 0 && strcmp(st->meta[1].key, "") == 0);
    cr_assert_eq(decode(PFS_OP_HANDLE_STAT,
                        "{\"name\":\"/\",\"size\":0,\"mode\":0,\"isDir\":false,\"meta\":null}"),
                 PFS_OK);
    cr_assert(reply.stat.mtime_ns == PFS_TIME_UNKNOWN && !reply.stat.meta_name);
    expect_payload(PFS_OP_STAT, "{\"name\":\"a/b\",\"size\":0,\"mode\":0,\"isDir\":false}",
                   PFS_OUTCOME_UN);
    expect_payload(PFS_OP_STAT, "{\"error\":\"x\"}", PFS_OUTCOME_UN);
}

Test(decode, texts_and_json, .fini = finish)
{
    cr_assert_eq(decode(PFS_OP_READLINK, "{\"target\":\"../x\"}"), PFS_OK);
    cr_assert_str_eq(reply.text, "../x");
    cr_assert_eq(
        decode(PFS_OP_DIGEST, "{\"algorithm\":\"md5\",\"path\":\"/\",\"digest\":\"00ff\"}"),
        PFS_OK);
    cr_assert_str_eq(reply.text, "00ff");
    cr_assert_eq(decode(PFS_OP_HEALTH, "{\"status\":\"healthy\"}\n"), PFS_OK);
    cr_assert(reply.len == 21 && memcmp(reply.data, "{\"status\"", 9) == 0);
    cr_assert_eq(decode(PFS_OP_PLUGIN_LOAD, " {}"), PFS_OK);
    cr_assert_eq(decode(PFS_OP_RENAME, "{\"message\":\"renamed\",\"x\":{}}"), PFS_OK);
    cr_assert_eq(decode(PFS_OP_HANDLE_SYNC, "{}"), PFS_OK);
    cr_assert_null(reply.text);
    expect_payload(PFS_OP_READLINK, "{\"target\":\"a\\u0000b\"}", PFS_OUTCOME_UN);
    expect_payload(PFS_OP_READLINK, "{\"target\":null}", PFS_OUTCOME_UN);
    expect_payload(PFS_OP_DIGEST, "{\"digest\":5}", PFS_OUTCOME_UN);
}

Test(decode, matches_and_capabilities, .fini = finish)
{
    cr_assert_eq(decode(PFS_OP_GREP, "{\"matches\":[{\"file\":\"/g\",\"line\":1,\"content\":\"x\"},"
                                     "{\"file\":\"/h\",\"line\":2,\"content\":\"\\u0000b\\u0000\","
                                     "\"metadata\":{}}],\"count\":2}"),
                 PFS_OK);
    cr_assert(reply.n_matches == 2 && reply.matches[1].line == 2);
    cr_assert_str_eq(reply.matches[0].file, "/g");
    cr_assert_str_eq(reply.matches[0].content, "x");
    cr_assert_str_eq(reply.matches[1].content, "\xef\xbf\xbd"
                                               "b\xef\xbf\xbd");
    cr_assert_eq(decode(PFS_OP_GREP, "{\"matches\":null,\"count\":0}"), PFS_OK);
    cr_assert_eq(reply.n_matches, 0);
    expect_payload(PFS_OP_GREP, "{\"matches\":{}}", PFS_OUTCOME_UN);
    expect_payload(PFS_OP_GREP, "{\"matches\":[1]}", PFS_OUTCOME_UN);
    expect_payload(PFS_OP_GREP, "{\"matches\":[{\"file\":\"/g\",\"content\":\"\"}]}",
                   PFS_OUTCOME_UN);
    expect_payload(PFS_OP_GREP, "{\"matches\":[{\"file\":\"/g\",\"line\":1}]}", PFS_OUTCOME_UN);
    cr_assert_eq(
        decode(PFS_OP_CAPABILITIES, "{\"version\":\"1.4.0\",\"features\":[\"handlefs\",\"grep\"]}"),
        PFS_OK);
    cr_assert_str_eq(reply.text, "1.4.0");
    cr_assert(reply.n_matches == 2 && strcmp(reply.matches[1].file, "grep") == 0);
    cr_assert_eq(decode(PFS_OP_CAPABILITIES, "{}"), PFS_OK);
    cr_assert_not_null(reply.text);
    cr_assert_str_empty(reply.text);
    cr_assert_eq(decode(PFS_OP_CAPABILITIES, "{\"version\":null}"), PFS_OK);
    cr_assert_not_null(reply.text);
    expect_payload(PFS_OP_CAPABILITIES, "{\"features\":[1]}", PFS_OUTCOME_UN);
}

Test(decode, handles, .fini = finish)
{
    cr_assert_eq(decode(PFS_OP_HANDLE_OPEN,
                        "{\"handle_id\":3,\"path\":\"/g\",\"flags\":2,\"lease\":60,"
                        "\"expires_at\":\"1970-01-01T00:00:02Z\"}"),
                 PFS_OK);
    cr_assert(reply.handle.id == 3 && reply.handle.flags == 2 && reply.handle.lease_s == 60);
    cr_assert_str_eq(reply.handle.path, "/g");
    cr_assert_eq(reply.handle.expires_ns, 2000000000);
    cr_assert_eq(reply.handle.created_ns, PFS_TIME_UNKNOWN);
    cr_assert_eq(decode_status(PFS_OP_HANDLE_OPEN, 201, "{\"id\":4}"), PFS_OK);
    cr_assert_eq(reply.handle.id, 4);
    cr_assert_eq(decode(PFS_OP_HANDLE_RENEW, "{\"lease\":30}"), PFS_OK);
    cr_assert(reply.handle.id == 9 && reply.handle.lease_s == 30);
    cr_assert_eq(decode(PFS_OP_HANDLE_SEEK, "{\"position\":5,\"offset\":5}"), PFS_OK);
    cr_assert_eq(reply.count, 5);
    cr_assert_eq(decode(PFS_OP_HANDLE_REPLACE, "{\"handle_id\":5}"), PFS_OK);
    cr_assert_eq(reply.handle.id, 5);
    expect_payload(PFS_OP_HANDLE_OPEN, "{\"path\":\"/g\"}", PFS_OUTCOME_AP);
    expect_payload(PFS_OP_HANDLE_REPLACE, "{\"path\":\"/g\"}", PFS_OUTCOME_AP);
    expect_payload(PFS_OP_HANDLE_OPEN, "{\"handle_id\":\"h_abc\"}", PFS_OUTCOME_AP);
    expect_payload(PFS_OP_HANDLE_OPEN, "{\"handle_id\":-1}", PFS_OUTCOME_AP);
    expect_payload(PFS_OP_HANDLE_INFO, "{\"handle_id\":1,\"flags\":\"x\"}", PFS_OUTCOME_UN);
    expect_payload(PFS_OP_HANDLE_INFO, "{\"handle_id\":1,\"lease\":-1}", PFS_OUTCOME_UN);
    expect_payload(PFS_OP_HANDLE_SEEK, "{\"position\":-1}", PFS_OUTCOME_AP);
}

Test(decode, A086_oversized, .fini = finish)
{
    size_t n = (size_t)WIRE_JSON_MAX + 1;
    char *body = malloc(n);
    struct pfs_request req = {.op = PFS_OP_MOUNTS};
    struct wire_head head = {.status = 200};

    memset(body, ' ', n);
    memcpy(body, "{}", 2);
    cr_assert_eq(decode_head(&req, &head, body, n), PFS_LIMIT);
    cr_assert_eq(decode_head(&req, &head, body, n - 1), PFS_OK);
    free(body);
}
