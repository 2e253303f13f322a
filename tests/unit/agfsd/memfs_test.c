/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "driver_rig.h"
#include "memfs.h"

static struct pfs_driver *d;

static void open_memfs(void)
{
    d = rig_open(memfs_open, NULL);
}

static void close_memfs(void)
{
    d->ops->close(d);
}

TestSuite(memfs, .init = open_memfs, .fini = close_memfs);

static enum pfs_class write_at(const char *path, const char *text, int64_t offset, uint32_t flags)
{
    struct pfs_request req = {.op = PFS_OP_WRITE,
                              .path = path,
                              .data = text,
                              .len = strlen(text),
                              .offset = offset,
                              .size = -1,
                              .flags = flags};
    struct pfs_reply r = rig_run(d, req);
    enum pfs_class cls = r.err.cls;

    cr_assert(cls != PFS_OK || r.count == (int64_t)strlen(text));
    pfs_reply_fini(&r);
    return cls;
}

static struct pfs_reply two_paths(enum pfs_op op, const char *path, const char *path2)
{
    struct pfs_request req = PFS_REQUEST_INIT;

    req.op = op;
    req.path = path;
    req.path2 = path2;
    return rig_run(d, req);
}

Test(memfs, files_and_directories)
{
    cr_assert_str_eq(rig_ls(d, "/"), "README ");
    rig_ok(d, PFS_OP_MKDIR, "/d");
    rig_ok(d, PFS_OP_CREATE, "/d/f");
    rig_put(d, "/d/f", "one");
    rig_put(d, "/d/a", "two");
    cr_assert_str_eq(rig_ls(d, "/d"), "a f ");
    cr_assert_str_eq(rig_cat(d, "/d/f"), "one");
    rig_fails(d, PFS_OP_CREATE, "/d/f", PFS_EXISTS, "file already exists: /d/f");
    rig_fails(d, PFS_OP_MKDIR, "/d", PFS_EXISTS, "already exists: /d");
    rig_fails(d, PFS_OP_MKDIR, "/", PFS_EXISTS, "directory already exists: /");
    rig_fails(d, PFS_OP_CREATE, "/", PFS_EXISTS, "file already exists: /");
    rig_fails(d, PFS_OP_MKDIR, "/x/y", PFS_NOTFOUND, "no such file or directory: /x");
    rig_fails(d, PFS_OP_CREATE, "/d/f/g", PFS_BADARG, "not a directory");
    rig_fails(d, PFS_OP_READ, "/d", PFS_BADARG, "is a directory");
    rig_fails(d, PFS_OP_READDIR, "/d/f", PFS_BADARG, "not a directory");
    rig_fails(d, PFS_OP_STAT, "/d/none", PFS_NOTFOUND, "no such file or directory");
    rig_fails(d, PFS_OP_REMOVE, "/d", PFS_EXISTS, "directory not empty");
    rig_fails(d, PFS_OP_REMOVE, "/", PFS_DENIED, "cannot remove root");
    rig_ok(d, PFS_OP_REMOVE, "/d/f");
    rig_ok(d, PFS_OP_REMOVE_ALL, "/d");
    cr_assert_str_eq(rig_ls(d, "/"), "README ");
    rig_ok(d, PFS_OP_REMOVE_ALL, "/");
    cr_assert_str_eq(rig_ls(d, "/"), "");
}

Test(memfs, writes_do_what_offset_and_flags_say)
{
    const uint32_t create = PFS_WRITE_CREATE;

    cr_assert_eq(write_at("/f", "x", -1, 0), PFS_NOTFOUND);
    cr_assert_eq(write_at("/f", "hello", -1, create), PFS_OK);
    cr_assert_eq(write_at("/f", "XX", 3, 0), PFS_OK);
    cr_assert_str_eq(rig_cat(d, "/f"), "helXX");
    cr_assert_eq(write_at("/f", "++", -1, PFS_WRITE_APPEND), PFS_OK);
    cr_assert_str_eq(rig_cat(d, "/f"), "helXX++");
    cr_assert_eq(write_at("/f", "no", 0, PFS_WRITE_APPEND), PFS_BADARG);
    cr_assert_eq(write_at("/f", "no", -1, PFS_WRITE_EXCLUSIVE), PFS_EXISTS);
    cr_assert_eq(write_at("/f", "no", -1, 64), PFS_BADARG);
    cr_assert_eq(write_at("/f", "no", -2, 0), PFS_BADARG);
    cr_assert_str_eq(rig_cat(d, "/f"), "helXX++");
    cr_assert_eq(write_at("/f", "ab", 2, PFS_WRITE_TRUNCATE), PFS_OK);
    struct pfs_reply r = rig_call(d, PFS_OP_READ, "/f");

    cr_assert_eq(r.len, 4);
    cr_assert_arr_eq(r.data, "\0\0ab", 4);
    pfs_reply_fini(&r);
    cr_assert_eq(write_at("/f", "s", -1, 0), PFS_OK); /* replaced by something shorter */
    cr_assert_str_eq(rig_cat(d, "/f"), "s");
    cr_assert_eq(write_at("/f", "", -1, create), PFS_OK);
    cr_assert_str_eq(rig_cat(d, "/f"), "");
    cr_assert_eq(write_at("/new", "n", -1, PFS_WRITE_EXCLUSIVE), PFS_OK);
    cr_assert_eq(write_at("/", "n", -1, create), PFS_BADARG);
}

static bool is_long(enum pfs_op op, const char *path, size_t len, int64_t offset, int64_t size)
{
    const struct pfs_request req = {
        .op = op, .path = path, .len = len, .offset = offset, .size = size};

    return d->ops->is_long(d, &req);
}

static void *ask_while_locked(void *arg)
{
    bool *seen = arg;

    seen[0] = is_long(PFS_OP_STAT, "/f", 0, -1, -1);
    seen[1] = is_long(PFS_OP_CHMOD, "/f", 0, -1, -1);
    return NULL;
}

Test(memfs, says_what_takes_long)
{
    struct memfs *m = (struct memfs *)d;
    const int64_t big = 2 << 20;
    bool seen[2];
    pthread_t t;

    rig_put(d, "/f", "f");
    rig_ok(d, PFS_OP_MKDIR, "/d");
    rig_ok(d, PFS_OP_CREATE, "/d/x");
    cr_assert_not(is_long(PFS_OP_READ, "/f", 0, -1, -1));
    cr_assert_not(is_long(PFS_OP_READ, "/none", 0, -1, -1));
    cr_assert_not(is_long(PFS_OP_READDIR, "/d", 0, -1, -1));
    cr_assert_not(is_long(PFS_OP_WRITE, "/f", 100, 0, -1));
    cr_assert(is_long(PFS_OP_WRITE, "/f", (size_t)big, 0, -1));
    cr_assert(is_long(PFS_OP_WRITE, "/f", 1, big, -1), "the gap is cleared");
    cr_assert(is_long(PFS_OP_TRUNCATE, "/f", 0, -1, big));
    cr_assert(is_long(PFS_OP_REMOVE_ALL, "/d", 0, -1, -1));
    cr_assert_eq(write_at("/f", "x", big, 0), PFS_OK);
    cr_assert(is_long(PFS_OP_READ, "/f", 0, -1, -1));
    cr_assert_not(is_long(PFS_OP_READ, "/f", 0, 0, 65536));
    cr_assert_not(is_long(PFS_OP_READ, "/f", 0, big - 1, -1));
    cr_assert_not(is_long(PFS_OP_WRITE, "/f", 1, big, -1));
    cr_assert(is_long(PFS_OP_WRITE, "/f", 1, -1, -1), "the old content is freed");
    cr_assert(is_long(PFS_OP_REMOVE, "/f", 0, -1, -1));
    for (int i = 0; i < 2; i++) { /* nor does anybody wait for whom it takes long */
        cr_assert_eq(i == 0 ? pthread_rwlock_rdlock(&m->lock) : pthread_rwlock_wrlock(&m->lock), 0);
        cr_assert_eq(pthread_create(&t, NULL, ask_while_locked, seen), 0);
        pthread_join(t, NULL);
        pthread_rwlock_unlock(&m->lock);
        cr_assert_eq(seen[0], i == 1);
        cr_assert(seen[1]);
    }
}

Test(memfs, parts_are_read)
{
    struct pfs_request req = {.op = PFS_OP_READ, .path = "/f", .offset = 1, .size = 2};

    rig_put(d, "/f", "abcd");
    struct pfs_reply r = rig_run(d, req);

    cr_assert_eq(r.len, 2);
    cr_assert_arr_eq(r.data, "bc", 2);
    pfs_reply_fini(&r);
    req.offset = 9;
    r = rig_run(d, req);
    cr_assert_eq(r.err.cls, PFS_OK);
    cr_assert_eq(r.len, 0);
    pfs_reply_fini(&r);
}

Test(memfs, rename_never_overwrites_nor_makes_rings)
{
    struct pfs_reply r;

    rig_ok(d, PFS_OP_MKDIR, "/d");
    rig_ok(d, PFS_OP_MKDIR, "/d/e");
    rig_put(d, "/f", "f");
    r = two_paths(PFS_OP_RENAME, "/f", "/d");
    cr_assert_eq(r.err.cls, PFS_EXISTS);
    r = two_paths(PFS_OP_RENAME, "/d", "/d/e/x");
    cr_assert_eq(r.err.cls, PFS_BADARG);
    r = two_paths(PFS_OP_RENAME, "/f", "/none/x");
    cr_assert_eq(r.err.cls, PFS_NOTFOUND);
    r = two_paths(PFS_OP_RENAME, "/none", "/x");
    cr_assert_eq(r.err.cls, PFS_NOTFOUND);
    cr_assert_str_eq(rig_cat(d, "/f"), "f");
    r = two_paths(PFS_OP_RENAME, "/f", "/d/e/g");
    cr_assert_eq(r.err.cls, PFS_OK);
    cr_assert_str_eq(rig_cat(d, "/d/e/g"), "f");
    r = two_paths(PFS_OP_RENAME, "/d", "/z");
    cr_assert_eq(r.err.cls, PFS_OK);
    cr_assert_str_eq(rig_cat(d, "/z/e/g"), "f");
}

Test(memfs, truncate_touch_chmod)
{
    struct pfs_request req = PFS_REQUEST_INIT;

    rig_ok(d, PFS_OP_TOUCH, "/f");
    req.op = PFS_OP_TRUNCATE;
    req.path = "/f";
    req.size = 3;
    struct pfs_reply r = rig_run(d, req);

    cr_assert_eq(r.err.cls, PFS_OK);
    req.op = PFS_OP_CHMOD;
    req.mode = 0600;
    r = rig_run(d, req);
    cr_assert_eq(r.err.cls, PFS_OK);
    r = rig_call(d, PFS_OP_STAT, "/f");
    cr_assert_eq(r.stat.size, 3);
    cr_assert_eq(r.stat.mode, 0600);
    cr_assert_str_eq(r.stat.name, "f");
    cr_assert_str_eq(r.stat.meta_name, "memfs");
    cr_assert_str_eq(r.stat.meta_type, "file");
    pfs_reply_fini(&r);
    rig_fails(d, PFS_OP_TOUCH, "/", PFS_BADARG, "is a directory");
}

static struct pfs_reply handle(enum pfs_op op, uint64_t h, const char *text, int64_t offset)
{
    struct pfs_request req = {.op = op,
                              .handle = h,
                              .data = text,
                              .len = text ? strlen(text) : 0,
                              .offset = offset,
                              .size = 100};

    return rig_run(d, req);
}

Test(memfs, handles)
{
    uint64_t h = rig_hopen(d, "/f", PFS_OPEN_RDWR | PFS_OPEN_CREATE);
    struct pfs_reply r = handle(PFS_OP_HANDLE_WRITE, h, "abcdef", -1);

    cr_assert_eq(r.count, 6);
    r = handle(PFS_OP_HANDLE_WRITE, h, "X", 1);
    cr_assert_eq(r.err.cls, PFS_OK);
    r = handle(PFS_OP_HANDLE_SEEK, h, NULL, 2);
    cr_assert_eq(r.count, 2);
    r = handle(PFS_OP_HANDLE_SEEK, h, NULL, -1);
    cr_assert_eq(r.err.cls, PFS_BADARG);
    r = handle(PFS_OP_HANDLE_READ, h, NULL, 0);
    cr_assert_eq(r.len, 6);
    cr_assert_arr_eq(r.data, "aXcdef", 6);
    pfs_reply_fini(&r);
    r = handle(PFS_OP_HANDLE_READ, h, NULL, -1); /* the position has not moved */
    cr_assert_eq(r.len, 4);
    pfs_reply_fini(&r);
    rig_ok(d, PFS_OP_REMOVE, "/f"); /* the file lives on for the handle */
    r = handle(PFS_OP_HANDLE_READ, h, NULL, 0);
    cr_assert_eq(r.len, 6);
    pfs_reply_fini(&r);
    r = handle(PFS_OP_HANDLE_CLOSE, h, NULL, -1);
    cr_assert_eq(r.err.cls, PFS_OK);
    r = handle(PFS_OP_HANDLE_READ, h, NULL, 0);
    cr_assert_eq(r.err.cls, PFS_NOTFOUND);
    h = rig_hopen(d, "/README", PFS_OPEN_RDONLY); /* left open: closing the driver frees it */
    r = handle(PFS_OP_HANDLE_WRITE, h, "no", -1);
    cr_assert_eq(r.err.cls, PFS_DENIED);
    cr_assert_not_null(strstr(r.err.text, "handle not opened for writing"));
}

Test(memfs_limits, may_be_given_with_a_unit)
{
    const char *const options[] = {"max_bytes=2KiB", NULL};
    char big[2100] = {0};
    struct pfs_option small = {"max_bytes", "1 B"};
    struct pfs_error err;

    d = rig_open(memfs_open, options);
    struct pfs_reply r = rig_write(d, "/f", big, sizeof big);

    cr_assert_eq(r.err.cls, PFS_NOSPC);
    r = rig_write(d, "/f", big, 500);
    cr_assert_eq(r.err.cls, PFS_OK, "%s", r.err.text);
    d->ops->close(d);
    cr_assert_eq(memfs_open(&small, 1, &d, &err), PFS_CONFIG);
    cr_assert_not_null(strstr(err.text, "max_bytes: '1 B'"), "%s", err.text);
}

Test(memfs_limits, a_write_without_room_leaves_the_old_content)
{
    const char *const options[] = {"max_bytes=1500", NULL};
    char big[1700] = {0};
    struct pfs_option bad = {"max_bytes", "x"};
    struct pfs_error err;

    d = rig_open(memfs_open, options);
    rig_put(d, "/f", "old");
    struct pfs_reply r = rig_write(d, "/f", big, sizeof big);

    cr_assert_eq(r.err.cls, PFS_NOSPC);
    cr_assert_str_eq(rig_cat(d, "/f"), "old");
    r = rig_write(d, "/new", big, sizeof big);
    cr_assert_eq(r.err.cls, PFS_NOSPC);
    rig_fails(d, PFS_OP_STAT, "/new", PFS_NOTFOUND, "no such file");
    r = rig_write(d, "/f", big, 500);
    cr_assert_eq(r.err.cls, PFS_OK);
    rig_ok(d, PFS_OP_REMOVE, "/f"); /* gives the room back */
    r = rig_write(d, "/g", big, 500);
    cr_assert_eq(r.err.cls, PFS_OK);
    rig_ok(d, PFS_OP_REMOVE, "/g");
    char path[16];
    int n = 0;

    do { /* neither names nor directories are free */
        snprintf(path, sizeof path, "/n%d", n++);
        r = rig_call(d, n % 2 ? PFS_OP_CREATE : PFS_OP_MKDIR, path);
    } while (r.err.cls == PFS_OK && n < 100);
    cr_assert_eq(r.err.cls, PFS_NOSPC);
    cr_assert_leq(n, 1500 / MNODE_COST);
    struct pfs_request longer = PFS_REQUEST_INIT;
    char name[256] = "/";

    memset(name + 1, 'n', sizeof name - 2);
    longer.op = PFS_OP_RENAME;
    longer.path = "/n0";
    longer.path2 = name;
    r = rig_run(d, longer);
    cr_assert_eq(r.err.cls, PFS_NOSPC);
    longer.path2 = "/m0";
    r = rig_run(d, longer);
    cr_assert_eq(r.err.cls, PFS_OK);
    rig_ok(d, PFS_OP_REMOVE, "/m0");
    rig_ok(d, PFS_OP_MKDIR, "/n0");
    close_memfs();
    cr_assert_eq(memfs_open(&bad, 1, &d, &err), PFS_CONFIG);
    bad.key = "nonsense";
    cr_assert_eq(memfs_open(&bad, 1, &d, &err), PFS_CONFIG);
    cr_assert_not_null(strstr(err.text, "unknown configuration parameter(s) 'nonsense'"));
}
