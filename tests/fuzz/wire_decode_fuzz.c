/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * Replies of a hostile remote: byte 0 is the operation, bytes 1 and 2 choose status and header, the
 * rest is the body. A listing that is accepted must also be JSON for the tree's parser, and bodies
 * are read by the rules of requests too.
 */
#include "wire/json.h"
#include "wire/wire.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decode_reply(enum pfs_op op, const struct wire_head *head, const char *body, size_t len)
{
    struct pfs_request req = {.op = op, .offset = -1, .size = -1, .len = 100};
    struct pfs_reply reply = {0};
    char *copy = len ? malloc(len) : NULL;

    if (len && !copy) {
        return;
    }
    if (len) {
        memcpy(copy, body, len);
    }
    enum pfs_class cls = wire_decode(&req, head, copy, len, "host:1", &reply);

    if ((cls == PFS_OK) != (head->status >= 200 && head->status < 300) && cls == PFS_OK) {
        abort();
    }
    if (cls == PFS_OK && (op == PFS_OP_READDIR || op == PFS_OP_STAT) &&
        json_check(body, len, NULL) == PFS_PAYLOAD) {
        abort();
    }
    pfs_reply_fini(&reply);
}

static void parse(const char *body, size_t len, enum json_rules rules)
{
    struct json_value v = {0};
    struct pfs_buf b = {0};
    const char *s;

    if (json_parse(body, len, rules, &v, NULL) != PFS_OK) {
        return;
    }
    json_get_str(v, "path", &s);
    if (!json_to_text(v, &b) || json_check(pfs_buf_data(&b), pfs_buf_len(&b), NULL) == PFS_NOMEM) {
        abort();
    }
    pfs_buf_fini(&b);
    json_fini(&v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int statuses[] = {200, 200, 200, 201, 204, 304, 307, 404, 425, 429, 500, 503, 999};
    static const char *const types[] = {NULL, "application/json", "application/octet-stream",
                                        "text/html"};
    static const char *const waits[] = {NULL, "5", "Sun, 06 Nov 1994 08:49:37 GMT", "x"};

    if (size < 3) {
        return 0;
    }
    struct wire_head head = {.status = statuses[data[1] % (sizeof statuses / sizeof *statuses)],
                             .content_type = types[data[2] % 4],
                             .content_encoding = data[2] & 16 ? "gzip" : NULL,
                             .retry_after = waits[(data[2] >> 2) % 4]};
    const char *body = (const char *)data + 3;

    decode_reply((enum pfs_op)(data[0] % (PFS_N_OPS + 1)), &head, body, size - 3);
    parse(body, size - 3, JSON_REPLY);
    parse(body, size - 3, JSON_REQUEST);
    return 0;
}
