/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "localfs_rig.h"
#include "meters.h"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

TestSuite(localfs, .init = open_localfs, .fini = close_localfs);

Test(localfs, files_and_directories)
{
    rig_ok(d, PFS_OP_MKDIR, "/d");
    rig_ok(d, PFS_OP_CREATE, "/d/f");
    rig_put(d, "/d/f", "one");
    rig_put(d, "/d/a", "two");
    cr_assert_str_eq(host_cat("base/d/f"), "one");
    cr_assert_str_eq(rig_ls(d, "/d"), "a f ");
    cr_assert_str_eq(rig_cat(d, "/d/f"), "one");
    rig_fails(d, PFS_OP_CREATE, "/d/f", PFS_EXISTS, "file already exists: /d/f");
    rig_fails(d, PFS_OP_MKDIR, "/d", PFS_EXISTS, "directory already exists: /d");
    rig_fails(d, PFS_OP_MKDIR, "/x/y", PFS_NOTFOUND, "parent directory does not exist");
    rig_fails(d, PFS_OP_READ, "/d", PFS_BADARG, "is a directory: /d");
    rig_fails(d, PFS_OP_READDIR, "/d/f", PFS_BADARG, "not a directory");
    rig_fails(d, PFS_OP_STAT, "/none", PFS_NOTFOUND, "no such file or directory: /none");
    rig_fails(d, PFS_OP_REMOVE, "/d", PFS_EXISTS, "directory not empty");
    rig_ok(d, PFS_OP_REMOVE, "/d/f");
    rig_ok(d, PFS_OP_REMOVE_ALL, "/d");
    cr_assert_str_eq(rig_ls(d, "/"), "");
    rig_fails(d, PFS_OP_REMOVE_ALL, "/d", PFS_NOTFOUND, "no such file");
    rig_fails(d, PFS_OP_REMOVE_ALL, "/", PFS_DENIED, "permission denied");
    rig_fails(d, PFS_OP_REMOVE, "/", PFS_DENIED, "permission denied");
    cr_assert_eq(access(base, F_OK), 0, "the base directory is never removed");
}

Test(localfs, a_file_is_read_whole_into_memory_only_up_to_a_limit)
{
    host_put("base/big", "");
    cr_assert_eq(truncate(host("base/big"), (int64_t)3 << 30), 0);
    rig_fails(d, PFS_OP_READ, "/big", PFS_TOOBIG, "/big: at most 67108864 bytes are read at once");
    gauge_set_limit(GAUGE_BODY_MEMORY, 10000);
    host_put("base/small", "small");
    cr_assert_str_eq(rig_cat(d, "/small"), "small");
    cr_assert_eq(gauge_read(GAUGE_BODY_MEMORY), 0);
    cr_assert_eq(truncate(host("base/small"), 10001), 0);
    rig_fails(d, PFS_OP_READ, "/small", PFS_OVERLOAD, "too many bodies are in memory");
    cr_assert_eq(gauge_read(GAUGE_BODY_MEMORY), 0);
}

Test(localfs, D14_nothing_outside_the_base_can_be_reached)
{
    host_put("secret", "secret");
    cr_assert_eq(symlink("../secret", host("base/up")), 0);
    cr_assert_eq(symlink("/etc", host("base/etc")), 0);
    cr_assert_eq(symlink("..", host("base/dots")), 0);
    const char *const paths[] = {"/up", "/etc/passwd", "/dots/secret", "/../secret"};

    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        rig_fails(d, PFS_OP_READ, paths[i], PFS_DENIED, "permission denied");
        rig_fails(d, PFS_OP_STAT, paths[i], PFS_DENIED, "permission denied");
        rig_fails(d, PFS_OP_OPEN_READ, paths[i], PFS_DENIED, "permission denied");
        rig_fails(d, PFS_OP_TOUCH, paths[i], PFS_DENIED, "permission denied");
        struct pfs_reply r = rig_write(d, paths[i], "evil", 4);

        cr_assert_eq(r.err.cls, PFS_DENIED, "%s", paths[i]);
    }
    rig_fails(d, PFS_OP_REMOVE, "/dots/secret", PFS_DENIED, "permission denied");
    rig_fails(d, PFS_OP_REMOVE_ALL, "/../secret", PFS_DENIED, "permission denied");
    rig_fails(d, PFS_OP_MKDIR, "/dots/new", PFS_DENIED, "");
    struct pfs_request req = PFS_REQUEST_INIT;

    req.op = PFS_OP_RENAME;
    req.path = "/dots/secret";
    req.path2 = "/stolen";
    struct pfs_reply r = rig_run(d, req);

    cr_assert_eq(r.err.cls, PFS_DENIED);
    rig_ok(d, PFS_OP_REMOVE_ALL, "/dots"); /* the link, not what it leads to */
    cr_assert_str_eq(host_cat("secret"), "secret");
}

Test(localfs, no_host_paths_in_errors)
{
    rig_put(d, "/f", "x");
    struct pfs_reply r = rig_call(d, PFS_OP_READDIR, "/f");

    cr_assert_null(strstr(r.err.text, top), "%s", r.err.text);
    pfs_reply_fini(&r);
    r = rig_write(d, "/f/g", "x", 1);
    cr_assert_neq(r.err.cls, PFS_OK);
    cr_assert_null(strstr(r.err.text, top), "%s", r.err.text);
}

Test(localfs, pipes_and_devices_are_refused_without_waiting)
{
    cr_assert_eq(mkfifo(host("base/pipe"), 0600), 0);
    rig_fails(d, PFS_OP_READ, "/pipe", PFS_DENIED, "permission denied");
    struct pfs_reply r = rig_write(d, "/pipe", "x", 1);

    cr_assert_eq(r.err.cls, PFS_DENIED);
}

/* ---- streams ---- */

struct io {
    size_t n;
    struct pfs_error err;
};

static void io_done(void *arg, size_t n, const struct pfs_error *err)
{
    *(struct io *)arg = (struct io){n, *err};
}

static struct pfs_stream *open_stream(enum pfs_op op, const char *path)
{
    struct pfs_request req = PFS_REQUEST_INIT;

    req.op = op;
    req.path = path;
    req.flags = op == PFS_OP_OPEN_WRITE ? PFS_WRITE_CREATE | PFS_WRITE_TRUNCATE : 0;
    struct pfs_reply r = rig_run(d, req);

    cr_assert_eq(r.err.cls, PFS_OK, "%s", r.err.text);
    return r.stream;
}

Test(localfs, an_upload_is_seen_when_finished_and_not_before)
{
    struct io io;

    rig_put(d, "/f", "old");
    struct pfs_stream *s = open_stream(PFS_OP_OPEN_WRITE, "/f");

    s->ops->write(s, "part", 4, io_done, &io);
    cr_assert_eq(io.err.cls, PFS_OK);
    cr_assert_str_eq(rig_cat(d, "/f"), "old");
    s->ops->close(s); /* not finished: cut */
    cr_assert_str_eq(rig_cat(d, "/f"), "old");
    s = open_stream(PFS_OP_OPEN_WRITE, "/f");
    s->ops->write(s, "ne", 2, io_done, &io);
    s->ops->write(s, "w", 1, io_done, &io);
    s->ops->finish(s, io_done, &io);
    cr_assert_eq(io.err.cls, PFS_OK);
    cr_assert_eq(io.n, 3);
    s->ops->close(s);
    cr_assert_str_eq(rig_cat(d, "/f"), "new");
    cr_assert_str_eq(rig_ls(d, "/"), "f ");
}

Test(localfs, a_download_knows_its_length_and_notices_less)
{
    struct io io;
    char buf[16];

    rig_put(d, "/f", "0123456789");
    struct pfs_stream *s = open_stream(PFS_OP_OPEN_READ, "/f");

    cr_assert_eq(s->size, 10);
    s->ops->read(s, buf, 4, io_done, &io);
    cr_assert_eq(io.n, 4);
    cr_assert_arr_eq(buf, "0123", 4);
    cr_assert_eq(truncate(host("base/f"), 6), 0);
    s->ops->read(s, buf, 16, io_done, &io);
    cr_assert_eq(io.n, 2);
    s->ops->read(s, buf, 16, io_done, &io);
    cr_assert_eq(io.err.cls, PFS_TRUNCATED);
    s->ops->close(s);
}

/* Deeper than paths are long, with a file in every directory. */
Test(localfs, a_tree_of_any_depth_is_removed)
{
    enum { PARTS = 3, DEPTH = 500 };
    char path[2 * DEPTH + 10];
    size_t n = 0;

    rig_ok(d, PFS_OP_MKDIR, "/t");
    for (int part = 0; part < PARTS; part++) {
        n = (size_t)snprintf(path, sizeof path, "/p");
        rig_ok(d, PFS_OP_MKDIR, path);
        for (int i = 0; i < DEPTH; i++) {
            n += (size_t)snprintf(path + n, sizeof path - n, "/d");
            rig_ok(d, PFS_OP_MKDIR, path);
        }
        struct pfs_request req = PFS_REQUEST_INIT;

        rig_put(d, "/p/f", "f");
        req.op = PFS_OP_RENAME; /* what there is already goes below it */
        req.path = "/t";
        snprintf(path + n, sizeof path - n, "/t");
        req.path2 = path;
        struct pfs_reply r = rig_run(d, req);

        cr_assert_eq(r.err.cls, PFS_OK, "%s", r.err.text);
        req.path = "/p";
        req.path2 = "/t";
        r = rig_run(d, req);
        cr_assert_eq(r.err.cls, PFS_OK, "%s", r.err.text);
    }
    rig_ok(d, PFS_OP_REMOVE_ALL, "/t");
    cr_assert_str_eq(rig_ls(d, "/"), "");
}

Test(localfs, what_cannot_even_be_looked_at_is_not_removed)
{
    char path[302] = "/";

    memset(path + 1, 'x', 300); /* longer than the kernel takes */
    rig_fails(d, PFS_OP_REMOVE, path, PFS_BADARG, "File name too long");
    rig_fails(d, PFS_OP_REMOVE_ALL, path, PFS_BADARG, "File name too long");
}

Test(localfs, what_a_killed_server_left_behind_goes)
{
    const struct timespec old[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000}};
    static const char *const names[] = {"base/.agfsd-0123456789abcdef0123456789abcdef",
                                        "base/.agfsd-fedcba98765432100123456789abcdef",
                                        "base/.agfsd-notes"};

    for (int i = 0; i < 3; i++) {
        host_put(names[i], "half");
    }
    cr_assert_eq(mkdir(host("base/.agfsd-0123456789abcdef0123456789abcde0"), 0755), 0);
    cr_assert_eq(utimensat(AT_FDCWD, host(names[0]), old, 0), 0);
    cr_assert_eq(utimensat(AT_FDCWD, host(names[2]), old, 0), 0);
    cr_assert_str_eq(rig_ls(d, "/"), ".agfsd-0123456789abcdef0123456789abcde0 .agfsd-notes ");
    cr_assert_eq(access(host(names[0]), F_OK), -1, "nobody writes it any more");
    cr_assert_eq(access(host(names[1]), F_OK), 0, "this one may be written just now");
    cr_assert_eq(access(host(names[2]), F_OK), 0, "not one of ours");
}

/* Class of an operation with what each may need; what it opens is closed. */
static enum pfs_class tries(enum pfs_op op, const char *path, const char *path2, uint32_t flags)
{
    struct pfs_request req = PFS_REQUEST_INIT;

    req.op = op;
    req.path = path;
    req.path2 = path2;
    req.flags = flags;
    req.mode = 0755;
    struct pfs_reply r = rig_run(d, req);
    enum pfs_class cls = r.err.cls;

    if (cls == PFS_OK && r.handle.id) {
        struct pfs_reply closed = rig_handle(d, PFS_OP_HANDLE_CLOSE, r.handle.id);

        pfs_reply_fini(&closed);
    }
    cr_expect(cls == PFS_OK || r.err.outcome == PFS_OUTCOME_NA);
    cr_expect(cls != PFS_INVALID || strstr(r.err.text, "temporary"), "%s", r.err.text);
    pfs_reply_fini(&r);
    return cls;
}

Test(localfs, names_of_temporary_files_are_not_for_clients)
{
#define DIGITS "0123456789abcdef0123456789abcde"
    static const struct {
        enum pfs_op op;
        uint32_t flags;
    } makes[] = {
        {PFS_OP_CREATE, 0},
        {PFS_OP_TOUCH, 0},
        {PFS_OP_WRITE, PFS_WRITE_CREATE | PFS_WRITE_TRUNCATE},
        {PFS_OP_WRITE, PFS_WRITE_CREATE | PFS_WRITE_APPEND},
        {PFS_OP_OPEN_WRITE, PFS_WRITE_CREATE | PFS_WRITE_TRUNCATE},
        {PFS_OP_HANDLE_REPLACE, PFS_WRITE_CREATE | PFS_WRITE_TRUNCATE},
        {PFS_OP_HANDLE_OPEN, PFS_OPEN_RDWR | PFS_OPEN_CREATE},
        {PFS_OP_MKDIR, 0},
    };

    for (size_t i = 0; i < sizeof makes / sizeof *makes; i++) {
        enum pfs_op op = makes[i].op;
        const char *name = pfs_op_name(op);

        cr_expect_eq(tries(op, "/.agfsd-" DIGITS "f", NULL, makes[i].flags), PFS_INVALID, "%s",
                     name);
        cr_expect_eq(tries(op, "/.agfsd-" DIGITS "g", NULL, makes[i].flags), PFS_OK, "%s", name);
        tries(PFS_OP_REMOVE, "/.agfsd-" DIGITS "g", NULL, 0);
        cr_expect_str_eq(rig_ls(d, "/"), "", "%s", name);
    }
    rig_put(d, "/keep", "kept");
    cr_assert_eq(symlink(".agfsd-" DIGITS "f", host("base/link")), 0);
    cr_expect_eq(tries(PFS_OP_RENAME, "/keep", "/.agfsd-" DIGITS "f", 0), PFS_INVALID);
    cr_assert_str_eq(rig_cat(d, "/keep"), "kept");
    cr_expect_eq(tries(PFS_OP_RENAME, "/keep", "/.agfsd-" DIGITS "g", 0), PFS_OK);
    /* One that is there already can be looked at, and taken away. */
    host_put("base/.agfsd-" DIGITS "f", "left");
    cr_expect_eq(write_at("/link", "lost", -1, PFS_WRITE_TRUNCATE), PFS_INVALID);
    cr_assert_str_eq(rig_cat(d, "/.agfsd-" DIGITS "f"), "left");
    rig_ok(d, PFS_OP_REMOVE, "/.agfsd-" DIGITS "f");
}

static uint64_t hreplace(const char *path, uint32_t flags)
{
    struct pfs_request req = {
        .op = PFS_OP_HANDLE_REPLACE, .path = path, .offset = -1, .size = -1, .flags = flags};
    struct pfs_reply r = rig_run(d, req);

    cr_assert_eq(r.err.cls, PFS_OK, "%s", r.err.text);
    return r.handle.id;
}

static enum pfs_class write_part(uint64_t h, int64_t at, const char *text)
{
    struct pfs_request req = {
        .op = PFS_OP_HANDLE_WRITE, .handle = h, .data = text, .len = strlen(text), .offset = at};

    return rig_run(d, req).err.cls;
}

static struct pfs_error commit(uint64_t h, int64_t size)
{
    struct pfs_request req = {
        .op = PFS_OP_HANDLE_COMMIT, .handle = h, .path = "/f", .offset = -1, .size = size};

    return rig_run(d, req).err;
}

Test(localfs, a_replacement_is_seen_once_all_of_it_is_there)
{
    rig_put(d, "/f", "old");
    cr_assert_eq(chmod(host("base/f"), 0600), 0);
    uint64_t h = hreplace("/f", PFS_WRITE_CREATE), other = hreplace("/f", PFS_WRITE_CREATE);

    cr_assert_eq(write_part(h, 3, "def"), PFS_OK);
    cr_assert_eq(write_part(h, -1, "x"), PFS_BADARG, "at the position");
    cr_assert_eq(commit(h, 6).cls, PFS_BADARG, "a gap");
    cr_assert_eq(write_part(h, 0, "abc"), PFS_OK);
    cr_assert_eq(write_part(h, 0, "abc"), PFS_OK, "again");
    cr_assert_eq(commit(h, 5).cls, PFS_BADARG, "more than that");
    struct pfs_error err = commit(h, 7);
    cr_assert_eq(err.cls, PFS_BADARG, "less than that");
    cr_assert_eq(err.outcome, PFS_OUTCOME_NA);
    cr_assert(strstr(err.text, "/f"), "%s", err.text);
    cr_assert_str_eq(rig_cat(d, "/f"), "old");
    cr_assert_str_eq(rig_ls(d, "/"), "f ");
    cr_assert_eq(commit(h, 6).cls, PFS_OK);
    cr_assert_str_eq(rig_cat(d, "/f"), "abcdef");
    cr_assert_eq(commit(h, 6).cls, PFS_NOTFOUND, "it is over");
    cr_assert_eq(write_part(h, 0, "x"), PFS_NOTFOUND);
    struct stat st;
    cr_assert_eq(stat(host("base/f"), &st), 0);
    cr_assert_eq(st.st_mode & 0777, 0600, "it looks like the old one");

    cr_assert_eq(commit(other, 0).cls, PFS_OK, "the last commit wins");
    cr_assert_str_eq(rig_cat(d, "/f"), "");
}

Test(localfs, a_replacement_that_is_not_committed_leaves_nothing)
{
    uint64_t h = hreplace("/f", PFS_WRITE_CREATE);

    hreplace("/f", PFS_WRITE_CREATE); /* left open for the driver to close */
    cr_assert_eq(write_part(h, 0, "abc"), PFS_OK);
    cr_assert_eq(rig_handle(d, PFS_OP_HANDLE_CLOSE, h).err.cls, PFS_OK);
    cr_assert_eq(commit(h, 3).cls, PFS_NOTFOUND);
    rig_fails(d, PFS_OP_STAT, "/f", PFS_NOTFOUND, "no such file");
    rig_fails(d, PFS_OP_HANDLE_REPLACE, "/none", PFS_NOTFOUND, "no such file"); /* no CREATE */

    h = hreplace("/f", PFS_WRITE_EXCLUSIVE);
    rig_put(d, "/f", "first");
    cr_assert_eq(write_part(h, 0, "abc"), PFS_OK);
    cr_assert_eq(commit(h, 3).cls, PFS_EXISTS);
    cr_assert_eq(commit(h, 3).cls, PFS_NOTFOUND, "it is over");
    cr_assert_str_eq(rig_cat(d, "/f"), "first");
    h = rig_hopen(d, "/f", PFS_OPEN_RDWR);
    cr_assert_eq(commit(h, 5).cls, PFS_BADARG, "of a file that is there");
}

Test(localfs, a_replacement_that_cannot_be_written_gives_its_room_back)
{
    static char big[100001];
    struct rlimit small = {4096, RLIM_INFINITY}, old;
    uint64_t h = hreplace("/f", PFS_WRITE_CREATE);

    memset(big, 'x', sizeof big - 1);
    cr_assert_eq(write_part(h, 0, "abc"), PFS_OK);
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &old), 0);
    signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
    enum pfs_class cls = write_part(h, 3, big);

    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &old), 0);
    cr_assert_eq(cls, PFS_TOOBIG);
    struct pfs_reply r = rig_handle(d, PFS_OP_HANDLE_STAT, h);
    cr_assert_eq(r.stat.size, 0);
    pfs_reply_fini(&r);
    cr_assert_eq(write_part(h, 0, "abc"), PFS_TOOBIG, "whoever comes later hears the same");
    struct pfs_error err = commit(h, 3);
    cr_assert_eq(err.cls, PFS_TOOBIG);
    cr_assert_eq(err.outcome, PFS_OUTCOME_NA);
    cr_assert_eq(rig_handle(d, PFS_OP_HANDLE_CLOSE, h).err.cls, PFS_OK);
    rig_fails(d, PFS_OP_STAT, "/f", PFS_NOTFOUND, "no such file");
}

Test(localfs, handles)
{
    uint64_t h = rig_hopen(d, "/f", PFS_OPEN_RDWR | PFS_OPEN_CREATE | PFS_OPEN_APPEND);
    struct pfs_request req = {
        .op = PFS_OP_HANDLE_WRITE, .handle = h, .data = "abc", .len = 3, .offset = -1, .size = 100};
    struct pfs_reply r = rig_run(d, req);

    cr_assert_eq(r.count, 3);
    req.data = "X";
    req.len = 1;
    req.offset = 0; /* an offset wins over append */
    r = rig_run(d, req);
    cr_assert_eq(r.err.cls, PFS_OK);
    req.offset = -1;
    r = rig_run(d, req);
    cr_assert_str_eq(rig_cat(d, "/f"), "XbcX");
    req.op = PFS_OP_HANDLE_READ;
    req.offset = 1;
    r = rig_run(d, req);
    cr_assert_eq(r.len, 3);
    pfs_reply_fini(&r);
    r = rig_handle(d, PFS_OP_HANDLE_STAT, h);
    cr_assert_eq(r.stat.size, 4);
    pfs_reply_fini(&r);
    r = rig_handle(d, PFS_OP_HANDLE_CLOSE, h);
    cr_assert_eq(r.err.cls, PFS_OK);
    r = rig_handle(d, PFS_OP_HANDLE_STAT, h);
    cr_assert_eq(r.err.cls, PFS_NOTFOUND);
    rig_hopen(d, "/f", PFS_OPEN_RDONLY); /* left open for the driver to close */
}

Test(localfs_options, what_is_no_directory_is_refused)
{
    struct pfs_driver *none = NULL;
    struct pfs_error err;
    struct pfs_option o = {"local_dir", "/no/such/dir"};

    cr_assert_eq(localfs_open(NULL, 0, &none, &err), PFS_CONFIG);
    cr_assert_str_eq(err.text, "local_dir is required in configuration");
    cr_assert_eq(localfs_open(&o, 1, &none, &err), PFS_CONFIG);
    cr_assert_not_null(strstr(err.text, "base path does not exist"));
    o.value = "/dev/null";
    cr_assert_eq(localfs_open(&o, 1, &none, &err), PFS_CONFIG);
    cr_assert_not_null(strstr(err.text, "base path is not a directory"));
    cr_assert_null(none);
}
