/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* HABITS32_SO, GOOD_SO: paths of the plugins in tests/plugin. */
#include "native.h"
#include "process.h"
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static struct native *load(const char *path)
{
    struct native *n = NULL;
    struct pfs_error e;

    cr_assert_eq(native_load(path, NULL, NULL, &n, &e), PFS_OK, "%s", e.text);
    return n;
}

static struct pfs_driver *mount(struct native *n)
{
    struct pfs_driver *d = NULL;
    struct pfs_error e;

    cr_assert_eq(native_driver_open(n, "{\"mount_path\":\"/p\"}", &d, &e), PFS_OK, "%s", e.text);
    return d;
}

static void unload(struct native *n)
{
    struct pfs_error e;

    cr_assert_eq(native_unload(n, &e), PFS_OK, "%s", e.text);
}

static struct pfs_reply run(struct pfs_driver *d, struct pfs_request req)
{
    struct pfs_reply r = {0};

    cr_assert_not_null(d->ops->op[req.op]);
    d->ops->op[req.op](d, &req, &r);
    return r;
}

static struct pfs_reply call(struct pfs_driver *d, enum pfs_op op, const char *path)
{
    struct pfs_request req = PFS_REQUEST_INIT;

    req.op = op;
    req.path = path;
    return run(d, req);
}

static bool fails(struct pfs_driver *d, enum pfs_op op, const char *path, enum pfs_class cls,
                  const char *words)
{
    struct pfs_reply r = call(d, op, path);
    bool ok = r.err.cls == cls && strstr(r.err.text, words);

    if (!ok) {
        cr_log_error("%s %s: %s: %s", pfs_op_name(op), path, pfs_class_name(r.err.cls), r.err.text);
    }
    pfs_reply_fini(&r);
    return ok;
}

static bool reads(struct pfs_driver *d, const char *path, const char *want)
{
    struct pfs_reply r = call(d, PFS_OP_READ, path);
    bool ok = r.err.cls == PFS_OK && r.len == strlen(want) &&
              (r.len == 0 || memcmp(r.data, want, r.len) == 0);

    if (!ok) {
        cr_log_error("%s: %s: %.*s", path, r.err.text, (int)r.len, (char *)r.data);
    }
    pfs_reply_fini(&r);
    return ok;
}

Test(native, reads_of_a_plugin_with_32_bit_habits)
{
    struct native *n = load(HABITS32_SO);
    struct pfs_driver *d = mount(n);
    struct pfs_request part = PFS_REQUEST_INIT;

    cr_expect(reads(d, "/hello", "hello"));
    cr_expect(reads(d, "/unset", ""));
    cr_expect(reads(d, "/null", ""));
    cr_expect(fails(d, PFS_OP_READ, "/huge", PFS_LIMIT, "read failed"));
    cr_expect(fails(d, PFS_OP_READ, "/minus2", PFS_IO, "read failed"));
    cr_expect(fails(d, PFS_OP_READ, "/wild", PFS_IO, "read failed"));
    cr_expect(fails(d, PFS_OP_READ, "/gone", PFS_NOTFOUND, "file not found"));
    cr_expect(fails(d, PFS_OP_READ, "/denied", PFS_DENIED, "permission denied"));
    part.op = PFS_OP_READ;
    part.path = "/hello";
    part.size = 2;
    struct pfs_reply r = run(d, part);
    cr_expect_eq(r.len, 2, "never more than asked for");
    pfs_reply_fini(&r);
    d->ops->close(d);
    unload(n);
}

Test(native, D17_an_error_is_read_in_the_sandbox_too)
{
    struct native *n = load(HABITS32_SO);
    struct pfs_driver *d = mount(n);

    process_give_up_rights(true);
    cr_expect_eq(process_vm_readv(getpid(), NULL, 0, NULL, 0, 0), -1, "there is a sandbox");
    cr_expect(fails(d, PFS_OP_READ, "/none", PFS_NOTFOUND, "not found"));
    cr_expect(fails(d, PFS_OP_READ, "/wild", PFS_IO, "read failed"));
    d->ops->close(d);
    unload(n);
}

Test(native, listings_and_stats_of_a_plugin_with_32_bit_habits)
{
    struct native *n = load(HABITS32_SO);
    struct pfs_driver *d = mount(n);
    struct pfs_reply r = call(d, PFS_OP_READDIR, "/");

    cr_assert_eq(r.err.cls, PFS_OK);
    cr_assert_eq(r.n_list, 2, "bad names are left out");
    cr_expect_str_eq(r.list[0].name, "a");
    cr_expect_eq(r.list[0].size, 0, "no negative size");
    cr_assert_eq(r.list[0].n_meta, 2);
    cr_expect_str_eq(r.list[0].meta[0].value, "v");
    cr_expect_str_eq(r.list[0].meta[1].value, "", "no string");
    cr_expect_str_eq(r.list[1].name, "d");
    cr_expect(r.list[1].is_dir && r.list[1].n_meta == 0);
    pfs_reply_fini(&r);
    r = call(d, PFS_OP_READDIR, "/empty");
    cr_expect(r.err.cls == PFS_OK && r.n_list == 0);
    pfs_reply_fini(&r);
    cr_expect(fails(d, PFS_OP_READDIR, "/noitems", PFS_PAYLOAD, "at no address"));
    cr_expect(fails(d, PFS_OP_READDIR, "/huge", PFS_LIMIT, "readdir failed"));
    cr_expect(fails(d, PFS_OP_READDIR, "/gone", PFS_IO, "readdir failed"));
    cr_expect(fails(d, PFS_OP_READDIR, "/wild", PFS_IO, "readdir failed"));
    r = call(d, PFS_OP_STAT, "/");
    cr_assert_eq(r.err.cls, PFS_OK);
    cr_expect_str_eq(r.stat.name, "/");
    cr_expect_eq(r.stat.mtime_ns, PFS_TIME_UNKNOWN);
    pfs_reply_fini(&r);
    cr_expect(fails(d, PFS_OP_STAT, "/gone", PFS_IO, "stat failed"));
    d->ops->close(d);
    unload(n);
}

Test(native, changes_of_a_plugin_with_32_bit_habits)
{
    struct native *n = load(HABITS32_SO);
    struct pfs_driver *d = mount(n);
    struct pfs_request write = PFS_REQUEST_INIT;

    write.op = PFS_OP_WRITE;
    write.path = "/hello";
    write.data = "abc";
    write.len = 3;
    struct pfs_reply r = run(d, write);
    cr_expect(r.err.cls == PFS_OK && r.count == 3);
    write.path = "/much";
    r = run(d, write);
    cr_expect(r.err.cls == PFS_OK && r.count == 3, "never more than there was");
    write.path = "/gone";
    r = run(d, write);
    cr_expect_eq(r.err.cls, PFS_IO, "a 32-bit -1");
    cr_expect_str_eq(r.err.text, "write failed");
    cr_expect(fails(d, PFS_OP_REMOVE, "/hello", PFS_EXISTS, "directory not empty"));
    cr_expect(fails(d, PFS_OP_REMOVE, "/gone", PFS_NOTFOUND, "no such file"));
    cr_expect_null(d->ops->op[PFS_OP_MKDIR], "a function the plugin does not have");
    cr_expect_null(d->ops->op[PFS_OP_TRUNCATE]);
    d->ops->close(d);
    unload(n);
}

Test(native, what_a_good_plugin_says_arrives)
{
    struct native *n = load(GOOD_SO);
    struct pfs_driver *d = mount(n);
    struct pfs_request req = PFS_REQUEST_INIT;

    cr_expect_str_eq(d->ops->name, "good");
    cr_expect_not(d->ops->nonblocking);
    req.op = PFS_OP_WRITE;
    req.path = "/written";
    req.flags = PFS_WRITE_CREATE | PFS_WRITE_TRUNCATE;
    struct pfs_reply r = run(d, req);
    cr_expect_eq(r.err.cls, PFS_OK);
    cr_expect(reads(d, "/written", "0 of NULL at -1 with 10"));
    req = (struct pfs_request){.op = PFS_OP_MKDIR, .path = "/d", .mode = 0750};
    cr_expect_eq(run(d, req).err.cls, PFS_OK);
    req = (struct pfs_request){.op = PFS_OP_RENAME, .path = "/a", .path2 = "/to"};
    cr_expect_eq(run(d, req).err.cls, PFS_OK);
    req.path2 = "/dir";
    cr_expect_eq(run(d, req).err.cls, PFS_BADARG);
    cr_expect_eq(call(d, PFS_OP_REMOVE_ALL, "/").err.cls, PFS_OK, "an empty text is success");
    cr_expect(fails(d, PFS_OP_CREATE, "/calls", PFS_EXISTS, "already exists"));
    cr_expect(fails(d, PFS_OP_READ, "/gone", PFS_IO, "read failed"));
    r = call(d, PFS_OP_STAT, "/calls");
    cr_assert_eq(r.err.cls, PFS_OK);
    cr_expect_str_eq(r.stat.meta_type, "file");
    cr_expect_eq(r.stat.mtime_ns, 1700000000000000000);
    cr_assert_eq(r.stat.n_meta, 1);
    cr_expect_str_eq(r.stat.meta[0].key, "k");
    pfs_reply_fini(&r);
    d->ops->close(d);
    unload(n);
}

Test(native, mounts_share_the_instance_and_loads_do_not)
{
    struct native *a = load(GOOD_SO), *b = load(GOOD_SO);
    struct pfs_driver *one = mount(a), *two = mount(a), *other = mount(b);
    struct pfs_error e;

    cr_expect_str_eq(native_name(a), "good");
    cr_expect_str_eq(native_name(b), "good-1");
    cr_expect_str_eq(native_original_name(b), "good");
    cr_expect_str_eq(native_path(a), GOOD_SO);
    cr_expect_str_neq(native_path(b), GOOD_SO);
    cr_expect(reads(one, "/calls", "new 1 init 2 shutdown 0 free 0"));
    cr_expect(reads(other, "/calls", "new 1 init 1 shutdown 0 free 0"));
    cr_expect_eq(native_unload(a, &e), PFS_EXISTS, "waiting and trying again would not help");
    cr_expect_not_null(strstr(e.text, "plugin good is mounted (2): unmount it first"), "%s",
                       e.text);
    one->ops->close(one);
    cr_expect(reads(two, "/calls", "new 1 init 2 shutdown 1 free 0"));
    two->ops->close(two);
    other->ops->close(other);

    char *copy = strdup(native_path(b));
    cr_expect_eq(access(copy, F_OK), 0);
    unload(b);
    cr_expect_neq(access(copy, F_OK), 0, "the copy is removed");
    free(copy);
    unload(a);
    a = load(GOOD_SO);
    one = mount(a);
    cr_expect_str_eq(native_name(a), "good");
    cr_expect(reads(one, "/calls", "new 2 init 3 shutdown 3 free 0"), "the mapping stays");
    one->ops->close(one);
    unload(a);
}

static bool is_good(void *arg, const char *name)
{
    ++*(unsigned *)arg;
    return strcmp(name, "good") == 0 || strcmp(name, "good-1") == 0;
}

Test(native, names_of_others_are_not_taken)
{
    struct native *n;
    unsigned asked = 0;

    cr_assert_eq(native_load(GOOD_SO, is_good, &asked, &n, NULL), PFS_OK);
    cr_expect_str_eq(native_name(n), "good-2");
    cr_expect_eq(asked, 3);
    unload(n);
}

Test(native, refused_mounts_count_for_nothing)
{
    struct native *n = load(HABITS32_SO);
    struct pfs_driver *d;
    struct pfs_error e;

    cr_expect_eq(native_driver_open(n, "{\"x\":\"bad\"}", &d, &e), PFS_CONFIG);
    cr_expect_str_eq(e.text, "failed to validate plugin: bad is not found here");
    cr_expect_eq(e.cls, PFS_CONFIG);
    cr_expect_eq(native_driver_open(n, "{\"x\":\"denied\"}", &d, &e), PFS_DENIED);
    cr_expect_str_eq(e.text, "failed to initialize plugin: permission denied");
    unload(n);
}

static void write_file(const char *path, const void *data, size_t len)
{
    FILE *f = fopen(path, "w");

    cr_assert(f && fwrite(data, 1, len, f) == len && fclose(f) == 0);
}

static bool cannot_load(const char *path, enum pfs_class cls, const char *words)
{
    struct native *n;
    struct pfs_error e = {0};
    enum pfs_class got = native_load(path, NULL, NULL, &n, &e);

    if (got != cls || !strstr(e.text, words)) {
        cr_log_error("%s: %s: %s", path, pfs_class_name(got), e.text);
        return false;
    }
    return true;
}

Test(native, what_is_no_plugin_is_refused_before_it_is_opened)
{
    char dir[] = "/tmp/native_test.XXXXXX", path[64];
    unsigned char elf[64] = "\177ELF\1\1\1";

    cr_assert_not_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/x.so", dir);
    cr_expect(cannot_load("", PFS_INVALID, "required"));
    cr_expect(cannot_load(path, PFS_NOTFOUND, "plugin file not found"));
    cr_expect(cannot_load(dir, PFS_CONFIG, "unsupported plugin type"));
    write_file(path, "#!/bin/sh\n", 10);
    cr_expect(cannot_load(path, PFS_CONFIG, "too short"));
    write_file(path, "\0asm0000000000000000000000000000000000000000000000000000000000000000", 65);
    cr_expect(cannot_load(path, PFS_CONFIG, "not an ELF file"));
    write_file(path, elf, sizeof elf);
    cr_expect(cannot_load(path, PFS_CONFIG, "another machine"));
    static char good[4000]; /* its begin, as an upload that was cut leaves it */
    FILE *f = fopen(GOOD_SO, "r");
    cr_assert(f && fread(good, 1, sizeof good, f) == sizeof good && fclose(f) == 0);
    write_file(path, good, sizeof good);
    cr_expect(cannot_load(path, PFS_CONFIG, "is cut short"));
    write_file(path, good, 100);
    cr_expect(cannot_load(path, PFS_CONFIG, "is cut short"));
    unlink(path);
    cr_assert_eq(mkfifo(path, 0600), 0);
    cr_expect(cannot_load(path, PFS_CONFIG, "not a file"));
    unlink(path);
    cr_expect(cannot_load("/proc/self/exe", PFS_CONFIG, ""));
    cr_assert_eq(rmdir(dir), 0);
}
