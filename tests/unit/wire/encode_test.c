/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "wire/route.h"
#include <criterion/criterion.h>
#include <string.h>

#define REQ(offset_, size_, ...)                                                                   \
    {                                                                                              \
        .offset = offset_, .size = size_, __VA_ARGS__                                              \
    }

static const struct row {
    struct pfs_request req;
    const char *method, *target;
    const char *body; /* NULL: none */
    bool extended;
} rows[] = {
    {REQ(-1, -1, .op = PFS_OP_CREATE, .path = "/a", .mode = 0644), "POST", "/files?path=/a"},
    {REQ(-1, -1, .op = PFS_OP_MKDIR, .path = "/d", .mode = 0755), "POST",
     "/directories?path=/d&mode=755"},
    {REQ(-1, -1, .op = PFS_OP_REMOVE, .path = "/a"), "DELETE", "/files?path=/a&recursive=false"},
    {REQ(-1, -1, .op = PFS_OP_REMOVE_ALL, .path = "/a"), "DELETE", "/files?path=/a&recursive=true"},
    {REQ(-1, -1, .op = PFS_OP_READ, .path = "/a"), "GET", "/files?path=/a"},
    {REQ(0, 0, .op = PFS_OP_READ, .path = "/a"), "GET", "/files?path=/a&size=0"},
    {REQ(5, 9, .op = PFS_OP_READ, .path = "/a"), "GET", "/files?path=/a&offset=5&size=9"},
    {REQ(-1, -1, .op = PFS_OP_WRITE, .path = "/a", .data = "xyz", .len = 3, .flags = 10), "PUT",
     "/files?path=/a", "xyz"},
    {REQ(0, -1, .op = PFS_OP_WRITE, .path = "/a", .data = "", .flags = 8), "PUT", "/files?path=/a",
     ""},
    {REQ(7, -1, .op = PFS_OP_WRITE, .path = "/a", .data = "x", .len = 1, .flags = 2), "PUT",
     "/files?path=/a&offset=7&flags=2", "x", true},
    {REQ(-1, -1, .op = PFS_OP_WRITE, .path = "/a", .data = "x", .len = 1, .flags = 1), "PUT",
     "/files?path=/a&flags=1", "x", true},
    {REQ(-1, -1, .op = PFS_OP_READDIR, .path = "/"), "GET", "/directories?path=/"},
    {REQ(-1, -1, .op = PFS_OP_STAT, .path = "/a b"), "GET", "/stat?path=/a%20b"},
    {REQ(-1, -1, .op = PFS_OP_RENAME, .path = "/a", .path2 = "/b\"<"), "POST", "/rename?path=/a",
     "{\"newPath\":\"/b\\\"\\u003c\"}"},
    {REQ(-1, -1, .op = PFS_OP_COPY, .path = "/a", .path2 = "/b"), "POST", "/copy?path=/a",
     "{\"newPath\":\"/b\"}"},
    {REQ(-1, -1, .op = PFS_OP_CHMOD, .path = "/a", .mode = 0644), "POST", "/chmod?path=/a",
     "{\"mode\":420}"},
    {REQ(-1, 0, .op = PFS_OP_TRUNCATE, .path = "/a"), "POST", "/truncate?path=/a&size=0"},
    {REQ(-1, -1, .op = PFS_OP_TOUCH, .path = "/a"), "POST", "/touch?path=/a"},
    {REQ(-1, -1, .op = PFS_OP_SYMLINK, .path = "/l", .path2 = "../t"), "POST", "/symlink?path=/l",
     "{\"target\":\"../t\"}"},
    {REQ(-1, -1, .op = PFS_OP_READLINK, .path = "/l"), "GET", "/readlink?path=/l"},
    {REQ(-1, -1, .op = PFS_OP_DIGEST, .path = "/a", .text = "md5"), "POST", "/digest",
     "{\"algorithm\":\"md5\",\"path\":\"/a\"}"},
    {REQ(-1, -1, .op = PFS_OP_GREP, .path = "/a", .text = "x+", .flags = PFS_GREP_ICASE), "POST",
     "/grep",
     "{\"path\":\"/a\",\"pattern\":\"x+\",\"recursive\":false,\"case_insensitive\":true,"
     "\"stream\":false}"},
    {REQ(-1, -1, .op = PFS_OP_CAPABILITIES), "GET", "/capabilities"},
    {REQ(-1, -1, .op = PFS_OP_HEALTH), "GET", "/health"},
    {REQ(3, -1, .op = PFS_OP_OPEN_READ, .path = "/a"), "GET", "/files?path=/a&offset=3"},
    {REQ(3, 9, .op = PFS_OP_OPEN_READ, .path = "/a", .flags = PFS_READ_STREAM), "GET",
     "/files?path=/a&stream=true"},
    {REQ(-1, 100, .op = PFS_OP_OPEN_WRITE, .path = "/a", .flags = 10), "PUT", "/files?path=/a"},
    {REQ(-1, -1, .op = PFS_OP_HANDLE_OPEN, .path = "/a", .flags = 18, .mode = 0600), "POST",
     "/handles/open?path=/a&flags=18&mode=600"},
    {REQ(-1, 10, .op = PFS_OP_HANDLE_READ, .handle = 7), "GET", "/handles/7/read?size=10"},
    {REQ(0, -1, .op = PFS_OP_HANDLE_READ, .handle = 7), "GET", "/handles/7/read?offset=0&size=-1"},
    {REQ(4, -1, .op = PFS_OP_HANDLE_WRITE, .handle = UINT64_MAX, .data = "q", .len = 1), "PUT",
     "/handles/18446744073709551615/write?offset=4", "q"},
    {REQ(-5, -1, .op = PFS_OP_HANDLE_SEEK, .handle = 1, .whence = 2), "POST",
     "/handles/1/seek?offset=-5&whence=2"},
    {REQ(-1, -1, .op = PFS_OP_HANDLE_SYNC, .handle = 1), "POST", "/handles/1/sync"},
    {REQ(-1, -1, .op = PFS_OP_HANDLE_STAT, .handle = 1), "GET", "/handles/1/stat"},
    {REQ(-1, -1, .op = PFS_OP_HANDLE_INFO, .handle = 1), "GET", "/handles/1"},
    {REQ(-1, 60, .op = PFS_OP_HANDLE_RENEW, .handle = 1), "POST", "/handles/1/renew?lease=60"},
    {REQ(-1, 6, .op = PFS_OP_HANDLE_TRUNCATE, .handle = 1), "POST", "/handles/1/truncate?size=6"},
    {REQ(-1, -1, .op = PFS_OP_HANDLE_REPLACE, .path = "/a b", .flags = 10), "POST",
     "/handles/replace?path=/a%20b&flags=10"},
    {REQ(-1, 6, .op = PFS_OP_HANDLE_COMMIT, .handle = 1, .path = "/a"), "POST",
     "/handles/1/commit?size=6"},
    {REQ(-1, -1, .op = PFS_OP_HANDLE_STREAM, .handle = 1), "GET", "/handles/1/stream"},
    {REQ(-1, -1, .op = PFS_OP_HANDLE_CLOSE, .handle = 1), "DELETE", "/handles/1"},
    {REQ(-1, -1, .op = PFS_OP_MOUNTS), "GET", "/mounts"},
    {REQ(-1, -1, .op = PFS_OP_MOUNT, .path = "/m", .text = "memfs", .data = " {\"a\":1}", .len = 8),
     "POST", "/mount", "{\"fstype\":\"memfs\",\"path\":\"/m\",\"config\": {\"a\":1}}"},
    {REQ(-1, -1, .op = PFS_OP_MOUNT, .path = "/m", .text = "memfs"), "POST", "/mount",
     "{\"fstype\":\"memfs\",\"path\":\"/m\",\"config\":{}}"},
    {REQ(-1, -1, .op = PFS_OP_UNMOUNT, .path = "/m"), "POST", "/unmount", "{\"path\":\"/m\"}"},
    {REQ(-1, -1, .op = PFS_OP_PLUGINS), "GET", "/plugins"},
    {REQ(-1, -1, .op = PFS_OP_PLUGIN_LOAD, .path = "./x.so"), "POST", "/plugins/load",
     "{\"library_path\":\"./x.so\"}"},
    {REQ(-1, -1, .op = PFS_OP_PLUGIN_UNLOAD, .path = "/x.so"), "POST", "/plugins/unload",
     "{\"library_path\":\"/x.so\"}"},
};

Test(encode, every_operation)
{
    bool seen[PFS_N_OPS] = {false};

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *r = &rows[i];
        struct wire_message m;
        struct pfs_error err = {0};

        cr_assert_eq(wire_encode(&r->req, "/p/api/v1", r->extended, &m, &err), PFS_OK, "%s: %s",
                     r->target, err.text);
        cr_assert_str_eq(m.method, r->method);
        cr_assert(strncmp(m.target, "/p/api/v1", 9) == 0);
        cr_assert_str_eq(m.target + 9, r->target);
        cr_assert_eq(m.body_len, r->body ? strlen(r->body) : 0, "%s", r->target);
        cr_assert(!r->body || memcmp(m.body, r->body, m.body_len) == 0, "%s: %.*s", r->target,
                  (int)m.body_len, (const char *)m.body);
        if (r->body) {
            cr_assert_str_eq(m.content_type,
                             m.owned_body ? "application/json" : "application/octet-stream");
        }
        cr_assert_gt(m.reply_max, 0);
        unsigned query = wire_route_of(r->req.op)->query;

        cr_assert_leq(__builtin_popcount(query) + !!(query & QUERY_EXTENDED), QUERY_MEMBERS_MAX);
        seen[r->req.op] = true;
        wire_message_fini(&m);
        wire_message_fini(&m); /* zeroed: harmless */
    }
    for (int op = 0; op < PFS_N_OPS; op++) {
        cr_assert(seen[op], "%s has no row", pfs_op_name((enum pfs_op)op));
    }
}

Test(encode, nasty_paths)
{
    static const struct {
        const char *path, *encoded;
    } paths[] = {
        {"/a+b c", "/a%2Bb%20c"},
        {"/100%", "/100%25"},
        {"/%2e%2E", "/%252e%252E"},
        {"/q?x=1&path=/etc#f;g", "/q%3Fx%3D1%26path%3D/etc%23f%3Bg"},
        {"/a\r\nHost: evil\t\x7f", "/a%0D%0AHost%3A%20evil%09%7F"},
        {"/\xc3\xa9\xe2\x82\xac", "/%C3%A9%E2%82%AC"},
        {"/-._~AZaz09", "/-._~AZaz09"},
        {"/!\"$'()*,:<>@[\\]^`{|}",
         "/%21%22%24%27%28%29%2A%2C%3A%3C%3E%40%5B%5C%5D%5E%60%7B%7C%7D"},
    };

    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        struct pfs_request req = REQ(-1, -1, .op = PFS_OP_STAT, .path = paths[i].path);
        struct wire_message m;

        cr_assert_eq(wire_encode(&req, "", false, &m, NULL), PFS_OK);
        cr_assert(strncmp(m.target, "/stat?path=", 11) == 0);
        cr_assert_str_eq(m.target + 11, paths[i].encoded);
        wire_message_fini(&m);
    }
}

static void expect_refused(struct pfs_request req, enum pfs_class cls)
{
    struct wire_message m;
    struct pfs_error err;

    cr_assert_eq(wire_encode(&req, "", false, &m, &err), cls, "%s", pfs_op_name(req.op));
    cr_assert(err.cls == cls && err.outcome == PFS_OUTCOME_NA && err.phase == PFS_PHASE_LOCAL);
    cr_assert(*err.text);
}
#define REFUSED(cls, offset_, size_, ...)                                                          \
    expect_refused((struct pfs_request)REQ(offset_, size_, __VA_ARGS__), cls)

Test(encode, what_is_wrong_with_a_configuration)
{
    static const struct {
        const char *config, *words;
    } wrong[] = {
        {"[]", "the configuration is no JSON object"},
        {"{\"timeout\":\"5\",\"lazy\":true,\"timeout\":\"6\"}", "timeout is given twice"},
        {"{\"a\":{\"b\":1,\"b\":2}}", "the configuration: JSON: duplicate key at byte "},
        {"{\"a\":tru}", "the configuration: JSON: "},
        {"{\"\\u0061\":1,\"a\":2}", "a is given twice"},
    };

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct pfs_request req = REQ(-1, -1, .op = PFS_OP_MOUNT, .path = "/m", .text = "memfs",
                                     .data = wrong[i].config, .len = strlen(wrong[i].config));
        struct wire_message m;
        struct pfs_error err;

        cr_assert_eq(wire_encode(&req, "", false, &m, &err), PFS_INVALID);
        cr_assert(err.outcome == PFS_OUTCOME_NA && err.phase == PFS_PHASE_LOCAL);
        cr_assert_eq(strncmp(err.text, wrong[i].words, strlen(wrong[i].words)), 0, "%s", err.text);
    }
}

Test(encode, A076_writes_that_a_stock_server_cannot_do)
{
    REFUSED(PFS_UNSUPPORTED, 5, -1, .op = PFS_OP_WRITE, .path = "/a");
    REFUSED(PFS_UNSUPPORTED, 0, -1, .op = PFS_OP_WRITE, .path = "/a");
    REFUSED(PFS_UNSUPPORTED, -1, -1, .op = PFS_OP_WRITE, .path = "/a", .flags = PFS_WRITE_APPEND);
    REFUSED(PFS_UNSUPPORTED, -1, -1, .op = PFS_OP_WRITE, .path = "/a",
            .flags = PFS_WRITE_EXCLUSIVE);
    REFUSED(PFS_UNSUPPORTED, -1, -1, .op = PFS_OP_WRITE, .path = "/a", .flags = PFS_WRITE_SYNC);
    REFUSED(PFS_UNSUPPORTED, 5, -1, .op = PFS_OP_OPEN_WRITE, .path = "/a");
    REFUSED(PFS_UNSUPPORTED, -1, -1, .op = PFS_N_OPS, .path = "/a");
}

Test(encode, wrong_arguments)
{
    static char long_path[5000];

    memset(long_path, 'a', sizeof long_path - 1);
    long_path[0] = '/';
    struct pfs_request fits = REQ(-1, -1, .op = PFS_OP_STAT, .path = long_path);
    struct wire_message m;

    cr_assert_eq(wire_encode(&fits, "", false, &m, NULL), PFS_OK);
    wire_message_fini(&m);
    memset(long_path + 1, ' ', sizeof long_path - 2);
    REFUSED(PFS_INVALID, -1, -1, .op = PFS_OP_STAT, .path = long_path);
    REFUSED(PFS_INVALID, -1, -1, .op = PFS_OP_STAT);
    REFUSED(PFS_INVALID, -1, -1, .op = PFS_OP_STAT, .path = "a");
    REFUSED(PFS_INVALID, -1, -1, .op = PFS_OP_TRUNCATE, .path = "/a");
    REFUSED(PFS_INVALID, -1, -1, .op = PFS_OP_RENAME, .path = "/a");
    REFUSED(PFS_INVALID, -1, -1, .op = PFS_OP_RENAME, .path = "/a", .path2 = "/\xff");
    REFUSED(PFS_INVALID, -1, -1, .op = PFS_OP_SYMLINK, .path = "/a", .path2 = "");
    REFUSED(PFS_INVALID, -1, -1, .op = PFS_OP_DIGEST, .path = "/a");
    REFUSED(PFS_INVALID, -1, -1, .op = PFS_OP_GREP, .text = "x");
    REFUSED(PFS_INVALID, -1, -1, .op = PFS_OP_PLUGIN_LOAD);
    REFUSED(PFS_INVALID, -1, -1, .op = PFS_OP_MOUNT, .path = "/m", .text = "t", .data = "[1]",
            .len = 3);
    REFUSED(PFS_INVALID, -1, -1, .op = PFS_OP_MOUNT, .path = "/m", .text = "t", .data = "{},",
            .len = 3);
    REFUSED(PFS_INVALID, -1, -1, .op = PFS_OP_MOUNT, .path = "/m", .data = "{}", .len = 2);
}
