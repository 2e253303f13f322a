/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* Every allocation of encoding and decoding fails once: NOMEM, nothing leaks, nothing crashes. */
#include "base/alloc.h"
#include "wire/json.h"
#include "wire/wire.h"
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

/* Runs fn(arg) with the first, second ... allocation failing, until it needs no more. */
static void sweep(enum pfs_class (*fn)(const void *arg, struct pfs_error *err), const void *arg,
                  unsigned long at_least)
{
    for (unsigned long nth = 1;; nth++) {
        struct pfs_error err = {0};

        pfs_alloc_fail_nth(nth);
        enum pfs_class cls = fn(arg, &err);
        bool reached = pfs_alloc_count() >= nth;

        pfs_alloc_fail_nth(0);
        if (!reached) {
            cr_assert_eq(cls, PFS_OK, "%s", err.text);
            cr_assert_gt(nth, at_least, "only %lu allocations", nth - 1);
            return;
        }
        cr_assert_eq(cls, PFS_NOMEM, "allocation %lu: %s", nth, pfs_class_name(cls));
        cr_assert_eq(err.cls, PFS_NOMEM);
    }
}

/* With it no target fits in the message. */
static char base_path[WIRE_TARGET_ROOM + 1];

static enum pfs_class encode(const void *arg, struct pfs_error *err)
{
    struct wire_message m;
    enum pfs_class cls = wire_encode(arg, base_path, true, &m, err);

    if (cls == PFS_OK) {
        wire_message_fini(&m);
    }
    return cls;
}

Test(alloc, encoding)
{
    static char path[600];

    memset(base_path, '/', sizeof base_path - 1);
    memset(path, '/', 1);
    memset(path + 1, ' ', sizeof path - 2); /* the target outgrows its first buffer */
    for (int op = 0; op < PFS_N_OPS; op++) {
        struct pfs_request req = {.op = (enum pfs_op)op,
                                  .path = path,
                                  .path2 = path,
                                  .text = "text",
                                  .data = "{}",
                                  .len = 2};

        sweep(encode, &req, 1);
    }
}

struct sample {
    enum pfs_op op;
    const char *body;
    unsigned long at_least; /* allocations */
};

static enum pfs_class decode(const void *arg, struct pfs_error *err)
{
    const struct sample *s = arg;
    struct pfs_request req = {.op = s->op, .size = -1, .len = 100};
    struct wire_head head = {.status = 200};
    struct pfs_reply reply = {0};
    size_t len = strlen(s->body);
    char *body = malloc(len);

    memcpy(body, s->body, len);
    enum pfs_class cls = wire_decode(&req, &head, body, len, "h:1", &reply);

    *err = reply.err;
    pfs_reply_fini(&reply);
    return cls;
}

Test(alloc, decoding)
{
    static const struct sample samples[] = {
        {PFS_OP_READ, "data", 0},
        {PFS_OP_MKDIR, "{\"message\":\"m\"}", 1},
        {PFS_OP_WRITE, "{\"message\":\"Written 5 bytes\"}", 1},
        {PFS_OP_MOUNTS, "{\"mounts\":[{\"path\":\"/\\u0041\"}]}", 1},
        {PFS_OP_STAT,
         "{\"name\":\"\\u0041\",\"size\":1,\"mode\":1,\"isDir\":true,\"meta\":{\"Name\":\"a\","
         "\"Type\":\"b\",\"Content\":{\"a\":\"b\",\"c\":\"d\"}}}",
         9},
        {PFS_OP_READDIR,
         "{\"files\":[{\"name\":\"a\",\"size\":1,\"mode\":1,\"isDir\":true,\"meta\":{\"Name\":"
         "\"a\","
         "\"Type\":\"b\",\"Content\":{\"a\":\"1\",\"b\":\"2\",\"c\":\"3\",\"d\":\"4\",\"e\":\"5\","
         "\"f\":\"6\",\"g\":\"7\",\"h\":\"8\",\"i\":\"9\"}}"
         "},"
         "{\"name\":\"b\",\"size\":1,\"mode\":1,\"isDir\":true}]}",
         26},
        {PFS_OP_READLINK, "{\"target\":\"t\"}", 1},
        {PFS_OP_DIGEST, "{\"digest\":\"t\"}", 1},
        {PFS_OP_GREP,
         "{\"matches\":[{\"file\":\"a\",\"line\":1,\"content\":\"x\\u0000y\"},"
         "{\"file\":\"b\",\"line\":1,\"content\":\"\"}]}",
         6},
        {PFS_OP_CAPABILITIES, "{\"version\":\"1\",\"features\":[\"a\",\"b\"]}", 4},
        {PFS_OP_HANDLE_OPEN, "{\"handle_id\":1,\"path\":\"/a\"}", 1},
        {PFS_OP_HANDLE_WRITE, "{\"bytes_written\":1}", 0},
        {PFS_OP_HANDLE_SEEK, "{\"position\":1}", 0},
    };

    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        sweep(decode, &samples[i], samples[i].at_least);
    }
}

static enum pfs_class request(const void *arg, struct pfs_error *err)
{
    const char *text = arg;
    struct json_value v = {0};
    enum pfs_class cls = json_parse(text, strlen(text), JSON_REQUEST, &v, err);

    json_fini(&v);
    return cls;
}

Test(alloc, requests)
{
    sweep(request, "{\"a\\u0041\":\"x\xff\"}", 2);
}

/* An error reply stays an error reply when memory is short; only its details may be lost. */
Test(alloc, errors)
{
    static const char body[] = "{\"error\":\"a\\u0041\",\"class\":\"denied\",\"outcome\":\"NA\"}";
    struct wire_head head = {.status = 404};

    for (unsigned long nth = 1; nth < 10; nth++) {
        struct pfs_error err;

        pfs_alloc_fail_nth(nth);
        enum pfs_class cls = wire_decode_error(&head, body, sizeof body - 1, "h:1", &err);

        pfs_alloc_fail_nth(0);
        cr_assert(cls == PFS_NOTFOUND || cls == PFS_DENIED);
        cr_assert_eq(err.outcome, PFS_OUTCOME_NA);
    }
    for (unsigned long nth = 1; nth < 5; nth++) {
        struct pfs_error err = {.cls = PFS_IO};

        memset(err.text, 'x', sizeof err.text - 1);
        size_t len;

        pfs_alloc_fail_nth(nth);
        char *text = wire_error_json(&err, &len);
        bool reached = pfs_alloc_count() >= nth;

        pfs_alloc_fail_nth(0);
        cr_assert_eq(!text, reached);
        free(text);
    }
}
