/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "driver_rig.h"
#include "kvfs.h"
#include <malloc.h>
#include <stdlib.h>

Test(kvfs, keys_and_values)
{
    struct pfs_driver *d = rig_open(kvfs_open, NULL);
    struct pfs_request req = PFS_REQUEST_INIT;
    struct pfs_reply r;

    cr_assert_str_eq(rig_ls(d, "/"), "README keys ");
    rig_put(d, "/keys/b", "two");
    rig_put(d, "/keys/a", "one");
    rig_put(d, "/keys/dir/c", "");
    cr_assert_str_eq(rig_ls(d, "/keys"), "a b c "); /* base names */
    cr_assert_str_eq(rig_cat(d, "/keys/a"), "one");
    cr_assert_str_eq(rig_cat(d, "/keys/dir/c"), "");
    rig_put(d, "/keys/a", "1");
    cr_assert_str_eq(rig_cat(d, "/keys/a"), "1");
    req.op = PFS_OP_WRITE;
    req.path = "/keys/a";
    req.data = "XY";
    req.len = 2;
    req.offset = 3;
    r = rig_run(d, req);
    cr_assert_eq(r.err.cls, PFS_OK);
    pfs_reply_fini(&r);
    r = rig_call(d, PFS_OP_READ, "/keys/a");
    cr_assert(r.len == 5 && memcmp(r.data, "1\0\0XY", 5) == 0);
    pfs_reply_fini(&r);
    req.op = PFS_OP_TRUNCATE;
    req.size = 1;
    r = rig_run(d, req);
    cr_assert_eq(r.err.cls, PFS_OK);
    cr_assert_str_eq(rig_cat(d, "/keys/a"), "1");
    req.op = PFS_OP_RENAME;
    req.path2 = "/keys/z";
    r = rig_run(d, req);
    cr_assert_eq(r.err.cls, PFS_OK, "%s", r.err.text);
    cr_assert_str_eq(rig_cat(d, "/keys/z"), "1");
    req.path = "/keys/b";
    r = rig_run(d, req);
    cr_assert_eq(r.err.cls, PFS_EXISTS);
    rig_ok(d, PFS_OP_REMOVE, "/keys/z");
    cr_assert_str_eq(rig_ls(d, "/keys"), "b c ");
    rig_ok(d, PFS_OP_TOUCH, "/keys/new");
    rig_ok(d, PFS_OP_TOUCH, "/keys/new");
    d->ops->close(d);
}

Test(kvfs, refusals)
{
    const char *const pairs[] = {"max_bytes=200", "max_value_bytes=64", NULL};
    struct pfs_driver *d = rig_open(kvfs_open, pairs);
    static const char big[80];
    struct pfs_reply r;

    rig_fails(d, PFS_OP_READ, "/keys/none", PFS_NOTFOUND, "key not found: none");
    rig_fails(d, PFS_OP_STAT, "/keys/none", PFS_NOTFOUND, "key not found: none");
    rig_fails(d, PFS_OP_REMOVE, "/keys/none", PFS_NOTFOUND, "key not found: none");
    rig_fails(d, PFS_OP_WRITE, "/x", PFS_BADARG, "keys must be under /keys/ directory");
    rig_fails(d, PFS_OP_READ, "/x", PFS_NOTFOUND, "invalid path: /x");
    rig_fails(d, PFS_OP_READ, "/keys", PFS_BADARG, "is a directory");
    rig_fails(d, PFS_OP_WRITE, "/README", PFS_DENIED, "permission denied");
    rig_fails(d, PFS_OP_REMOVE, "/keys", PFS_BADARG, "is a directory");
    rig_fails(d, PFS_OP_MKDIR, "/keys/d", PFS_BADARG, "cannot create directories");
    rig_ok(d, PFS_OP_CREATE, "/keys/a");
    rig_fails(d, PFS_OP_CREATE, "/keys/a", PFS_EXISTS, "already exists: a");
    rig_fails(d, PFS_OP_READDIR, "/keys/a", PFS_BADARG, "not a directory");
    r = rig_write(d, "/keys/a", big, 65);
    cr_assert_eq(r.err.cls, PFS_TOOBIG);
    r = rig_write(d, "/keys/a", big, 64);
    cr_assert_eq(r.err.cls, PFS_OK);
    r = rig_write(d, "/keys/b", big, 64);
    cr_assert_eq(r.err.cls, PFS_NOSPC);
    cr_assert_str_eq(rig_ls(d, "/keys"), "a ");
    /* A new name for what fills more than half of it needs no room, unless it is longer. */
    struct pfs_request req = PFS_REQUEST_INIT;
    char path[200] = "/keys/";

    req.op = PFS_OP_RENAME;
    req.path = "/keys/a";
    req.path2 = "/keys/z";
    r = rig_run(d, req);
    cr_assert_eq(r.err.cls, PFS_OK, "%s", r.err.text);
    cr_assert_str_eq(rig_ls(d, "/keys"), "z ");
    memset(path + 6, 'n', 100);
    req.path = "/keys/z";
    req.path2 = path;
    r = rig_run(d, req);
    cr_assert_eq(r.err.cls, PFS_NOSPC);
    rig_put(d, "/keys/b", "");
    cr_assert_str_eq(rig_ls(d, "/keys"), "b z ");
    d->ops->close(d);
}

#define BIG (2u << 20)

static void put_big(struct pfs_driver *d, const char *path)
{
    char *big = calloc(1, BIG);
    struct pfs_reply r = rig_write(d, path, big, BIG);

    cr_assert_eq(r.count, BIG);
    free(big);
}

Test(kvfs, a_part_of_a_value_is_all_that_is_copied)
{
    struct pfs_driver *d = rig_open(kvfs_open, NULL);
    struct pfs_request req = {.op = PFS_OP_READ, .path = "/keys/big", .offset = 5, .size = 3};

    put_big(d, "/keys/big");
    struct pfs_reply r = rig_run(d, req);

    cr_assert_eq(r.len, 3);
    cr_assert_lt(malloc_usable_size(r.data), 1000);
    pfs_reply_fini(&r);
    req.offset = BIG - 1;
    r = rig_run(d, req);
    cr_assert_eq(r.len, 1);
    pfs_reply_fini(&r);
    req.offset = INT64_MAX;
    r = rig_run(d, req);
    cr_assert(r.err.cls == PFS_OK && r.len == 0 && !r.data);
    d->ops->close(d);
}

static bool is_long(struct pfs_driver *d, enum pfs_op op, const char *path, size_t len,
                    int64_t offset, int64_t size)
{
    const struct pfs_request req = {
        .op = op, .path = path, .path2 = path, .len = len, .offset = offset, .size = size};

    return d->ops->is_long(d, &req);
}

static void *ask_while_locked(void *arg)
{
    struct pfs_driver *d = arg;

    cr_expect(is_long(d, PFS_OP_STAT, "/keys/a", 0, -1, -1));
    cr_expect(is_long(d, PFS_OP_WRITE, "/keys/a", 1, -1, -1));
    cr_expect_not(is_long(d, PFS_OP_STAT, "/", 0, -1, -1));
    return NULL;
}

Test(kvfs, says_what_takes_long)
{
    struct pfs_driver *d = rig_open(kvfs_open, NULL);
    char path[40];
    pthread_t t;

    cr_assert_not_null(d->ops->is_long);
    put_big(d, "/keys/big");
    rig_put(d, "/keys/a", "a");
    cr_assert(is_long(d, PFS_OP_READ, "/keys/big", 0, -1, -1));
    cr_assert_not(is_long(d, PFS_OP_READ, "/keys/big", 0, 0, 1));
    cr_assert_not(is_long(d, PFS_OP_READ, "/keys/a", 0, -1, -1));
    cr_assert_not(is_long(d, PFS_OP_READ, "/keys/none", 0, -1, -1));
    cr_assert_not(is_long(d, PFS_OP_STAT, "/keys/big", 0, -1, -1));
    cr_assert_not(is_long(d, PFS_OP_WRITE, "/keys/a", 100, -1, -1));
    cr_assert(is_long(d, PFS_OP_WRITE, "/keys/a", BIG, -1, -1));
    cr_assert(is_long(d, PFS_OP_WRITE, "/keys/a", 1, BIG, -1), "the gap is cleared");
    cr_assert(is_long(d, PFS_OP_WRITE, "/keys/big", 1, 0, -1), "the rest is copied");
    cr_assert(is_long(d, PFS_OP_TRUNCATE, "/keys/a", 0, -1, BIG));
    cr_assert(is_long(d, PFS_OP_REMOVE, "/keys/big", 0, -1, -1));
    cr_assert_not(is_long(d, PFS_OP_READDIR, "/keys", 0, -1, -1));
    for (int i = 0; i < 40000; i++) {
        snprintf(path, sizeof path, "/keys/k%05d", i);
        rig_ok(d, PFS_OP_CREATE, path);
    }
    cr_assert(is_long(d, PFS_OP_READDIR, "/keys", 0, -1, -1));
    cr_assert_not(is_long(d, PFS_OP_READDIR, "/", 0, -1, -1));
    cr_assert(is_long(d, PFS_OP_CREATE, "/keys/b", 0, -1, -1), "all others move");
    cr_assert_not(is_long(d, PFS_OP_CREATE, "/keys/z", 0, -1, -1));
    cr_assert_not(is_long(d, PFS_OP_WRITE, "/keys/a", 1, -1, -1));
    cr_assert_eq(pthread_rwlock_wrlock(&((struct kvfs *)d)->lock), 0);
    cr_assert_eq(pthread_create(&t, NULL, ask_while_locked, d), 0);
    pthread_join(t, NULL);
    pthread_rwlock_unlock(&((struct kvfs *)d)->lock);
    d->ops->close(d);
}

Test(hellofs, says_hello)
{
    struct pfs_driver *d = rig_open(hellofs_open, NULL);

    cr_assert_str_eq(rig_cat(d, "/hello"), "Hello, World!\n");
    cr_assert_str_eq(rig_ls(d, "/"), "hello ");
    rig_ok(d, PFS_OP_TRUNCATE, "/hello");
    rig_fails(d, PFS_OP_WRITE, "/hello", PFS_DENIED, "read-only filesystem");
    rig_fails(d, PFS_OP_STAT, "/none", PFS_NOTFOUND, "not found");
    d->ops->close(d);
}
