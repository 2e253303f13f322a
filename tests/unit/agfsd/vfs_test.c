/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "drivers.h"
#include "vfs_rig.h"
#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>

TestSuite(vfs, .init = vfs_rig_init, .fini = vfs_rig_fini);

Test(vfs, the_longest_mount_serves_and_shorter_ones_catch_the_rest)
{
    vfs_rig_memfs("/");
    vfs_rig_memfs("/memfs");
    vfs_rig_memfs("/memfs/inner");
    vfs_rig_put("/memfs-x", "root"); /* shares the bytes of /memfs, not the component */
    vfs_rig_put("/memfs/f", "outer");
    vfs_rig_put("/memfs/inner/f", "inner");
    vfs_rig_put("/memfs/./inner/../g", "g");
    cr_assert_str_eq(vfs_rig_cat("/memfs-x"), "root");
    cr_assert_str_eq(vfs_rig_cat("/memfs/f"), "outer");
    cr_assert_str_eq(vfs_rig_cat("//memfs/inner//f"), "inner");
    cr_assert_str_eq(vfs_rig_cat("memfs/g"), "g");
    cr_assert_str_eq(vfs_rig_ls("/"), "README memfs-x memfs ");
    cr_assert_str_eq(vfs_rig_ls("/memfs"), "README f g inner ");
    struct pfs_reply r = vfs_rig_path(PFS_OP_STAT, "/memfs/inner");

    cr_assert_str_eq(r.stat.name, "inner");
    pfs_reply_fini(&r);
    r = vfs_rig_path(PFS_OP_STAT, "/");
    cr_assert_str_eq(r.stat.meta_type, "root");
    pfs_reply_fini(&r);
}

Test(vfs, a_mount_is_found_among_those_with_names_like_it)
{
    static const char *const mounts[] = {"/m", "/m-x", "/m/a", "/m/a/b", "/m/a.b"};
    static const char *const files[] = {
        "/m-y",  "/mm",  "/l",    "/z",      "/m-x/of-m-x", "/m/aa",       "/m/a-q",
        "/m/a.", "/m/b", "/m/a0", "/m/a/bb", "/m/a/b!",     "/m/a/b/of-b", "/m/a.b/of-a.b"};

    vfs_rig_memfs("/");
    for (size_t i = 0; i < sizeof mounts / sizeof *mounts; i++) {
        vfs_rig_memfs(mounts[i]);
    }
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        vfs_rig_put(files[i], files[i]);
        cr_assert_str_eq(vfs_rig_cat(files[i]), files[i]);
    }
    cr_assert_str_eq(vfs_rig_ls("/"), "README l m-y mm z m m-x ");
    cr_assert_str_eq(vfs_rig_ls("/m"), "README a-q a. a0 aa b a a.b ");
    cr_assert_str_eq(vfs_rig_ls("/m/a"), "README b! bb b ");
    cr_assert_str_eq(vfs_rig_ls("/m/a/b"), "README of-b ");
    cr_assert_str_eq(vfs_rig_ls("/m/a.b"), "README of-a.b ");
    cr_assert_str_eq(vfs_rig_ls("/m-x"), "README of-m-x ");
}

Test(vfs, directories_above_mounts_are_virtual)
{
    vfs_rig_memfs("/a/b/c");
    vfs_rig_memfs("/a-z");
    vfs_rig_memfs("/a/x");
    cr_assert_str_eq(vfs_rig_ls("/"), "a a-z ");
    cr_assert_str_eq(vfs_rig_ls("/a"), "b x ");
    cr_assert_str_eq(vfs_rig_ls("/a/b"), "c ");
    cr_assert_str_eq(vfs_rig_ls("/nothing"), "notfound");
    struct pfs_reply r = vfs_rig_path(PFS_OP_STAT, "/a/b");

    cr_assert_eq(r.err.cls, PFS_OK);
    cr_assert(r.stat.is_dir);
    cr_assert_str_eq(r.stat.meta_type, "mount-point");
    pfs_reply_fini(&r);
    cr_assert_eq(vfs_rig_try(PFS_OP_STAT, "/a/q", NULL), PFS_NOTFOUND);
    cr_assert_eq(vfs_rig_try(PFS_OP_CREATE, "/a/q", NULL), PFS_DENIED);
    cr_assert_eq(vfs_rig_try(PFS_OP_MKDIR, "/q", NULL), PFS_DENIED);
    cr_assert_eq(vfs_rig_try(PFS_OP_READ, "/a", NULL), PFS_NOTFOUND);
    vfs_rig_memfs("/"); /* a mount at the root does not hide them */
    cr_assert_str_eq(vfs_rig_ls("/a/b"), "c ");
}

Test(vfs, rename_stays_in_its_mount)
{
    vfs_rig_memfs("/m");
    vfs_rig_memfs("/n");
    vfs_rig_put("/m/f", "f");
    cr_assert_eq(vfs_rig_try(PFS_OP_RENAME, "/m/f", "/n/f"), PFS_BADARG);
    cr_assert_eq(vfs_rig_try(PFS_OP_RENAME, "/m/f", "/none/f"), PFS_BADARG);
    cr_assert_eq(vfs_rig_try(PFS_OP_RENAME, "/m/f", "/m/g"), PFS_OK);
    cr_assert_str_eq(vfs_rig_cat("/m/g"), "f");
}

Test(vfs, a_slow_driver_holds_up_nobody_else)
{
    static struct rig_call calls[MOUNT_WORKERS + MOUNT_QUEUE + 1];
    struct pfs_request req = PFS_REQUEST_INIT;

    vfs_rig_gate("/slow", false);
    vfs_rig_gate("/other", false);
    vfs_rig_memfs("/fast");
    req.op = PFS_OP_READ;
    req.path = "/slow/f";
    for (size_t i = 0; i < MOUNT_WORKERS; i++) {
        vfs_rig_submit(&calls[i], &req);
    }
    gate_await(MOUNT_WORKERS);
    for (size_t i = MOUNT_WORKERS; i < MOUNT_WORKERS + MOUNT_QUEUE; i++) {
        vfs_rig_submit(&calls[i], &req);
    }
    struct rig_call *over = &calls[MOUNT_WORKERS + MOUNT_QUEUE];

    vfs_rig_submit(over, &req);
    cr_assert(over->done, "refused at once");
    cr_assert_eq(over->reply.err.cls, PFS_OVERLOAD);
    vfs_rig_put("/fast/f", "fast");
    cr_assert_str_eq(vfs_rig_cat("/fast/f"), "fast");
    struct rig_call other;

    req.path = "/other/f"; /* a blocking one, too, has workers of its own */
    vfs_rig_submit(&other, &req);
    gate_await(MOUNT_WORKERS + 1);
    gate_open();
    for (size_t i = 0; i < MOUNT_WORKERS + MOUNT_QUEUE; i++) {
        vfs_rig_wait(&calls[i]);
        cr_assert_eq(calls[i].reply.err.cls, PFS_OK);
        pfs_reply_fini(&calls[i].reply);
    }
    vfs_rig_wait(&other);
    pfs_reply_fini(&other.reply);
}

static void *unmount_slow(void *arg)
{
    struct pfs_error err;

    *(enum pfs_class *)arg = vfs_unmount(vfs_rig, "/slow", &err);
    return NULL;
}

Test(vfs, unmounting_waits_for_calls_in_flight)
{
    struct pfs_request req = PFS_REQUEST_INIT;
    struct rig_call call;
    enum pfs_class cls = PFS_IO;
    pthread_t t;

    vfs_rig_gate("/slow", false);
    req.op = PFS_OP_READ;
    req.path = "/slow/f";
    vfs_rig_submit(&call, &req);
    gate_await(1);
    cr_assert_eq(pthread_create(&t, NULL, unmount_slow, &cls), 0);
    while (vfs_has_op(vfs_rig, "/slow", PFS_OP_READ)) {
        sched_yield(); /* until new calls are refused */
    }
    cr_assert_str_eq(vfs_rig_cat("/slow/f"), "busy");
    cr_assert_eq(gate_closed, 0);
    gate_open();
    vfs_rig_wait(&call);
    cr_assert_eq(call.reply.err.cls, PFS_OK);
    pfs_reply_fini(&call.reply);
    pthread_join(t, NULL);
    cr_assert_eq(cls, PFS_OK);
    cr_assert_eq(gate_closed, 1);
    cr_assert_eq(vfs_unmount(vfs_rig, "/slow", NULL), PFS_NOTFOUND);
    vfs_rig_gate("/slow", false); /* the path is free again */
}

Test(vfs, what_is_written_during_an_unmount_is_not_hidden_in_the_outer_mount)
{
    struct pfs_request req = PFS_REQUEST_INIT;
    struct rig_call call;
    enum pfs_class cls = PFS_IO;
    pthread_t t;

    vfs_rig_memfs("/");
    vfs_rig_gate("/slow", false);
    req.op = PFS_OP_READ;
    req.path = "/slow/f";
    vfs_rig_submit(&call, &req);
    gate_await(1);
    cr_assert_eq(pthread_create(&t, NULL, unmount_slow, &cls), 0);
    while (vfs_has_op(vfs_rig, "/slow", PFS_OP_READ) &&
           !vfs_has_op(vfs_rig, "/slow", PFS_OP_STAT)) {
        sched_yield(); /* until it is not the gate's any more, which has no STAT */
    }
    req.op = PFS_OP_WRITE;
    req.path = "/slow";
    req.flags = PFS_WRITE_CREATE;
    struct pfs_reply r = vfs_rig_do(&req);

    cr_assert_eq(r.err.cls, PFS_BUSY, "%s", r.err.text);
    cr_assert_str_eq(r.err.text, "mount /slow is not up: being unmounted");
    pfs_reply_fini(&r);
    gate_open();
    vfs_rig_wait(&call);
    pfs_reply_fini(&call.reply);
    pthread_join(t, NULL);
    cr_assert_eq(cls, PFS_OK);
    cr_assert_str_eq(vfs_rig_cat("/slow"), "notfound");
}

Test(vfs, what_takes_long_in_memory_is_not_done_on_the_loop)
{
    struct pfs_request req = PFS_REQUEST_INIT;
    struct rig_call call;

    vfs_rig_memfs("/m");
    vfs_rig_put("/m/f", "f");
    req.op = PFS_OP_TRUNCATE;
    req.path = "/m/f";
    for (int i = 0; i < 4; i++) { /* grows, is read, shrinks, is read */
        req.op = i % 2 ? PFS_OP_OPEN_READ : PFS_OP_TRUNCATE;
        req.size = i % 2 ? -1 : i == 0 ? 2 << 20 : 1000;
        vfs_rig_submit(&call, &req);
        cr_assert_eq(call.done, i == 3);
        vfs_rig_wait(&call);
        cr_assert_eq(call.reply.err.cls, PFS_OK);
        cr_assert_eq(call.reply.len, i == 1 ? 2 << 20 : i == 3 ? 1000 : 0);
        pfs_reply_fini(&call.reply);
    }
}

Test(vfs, a_path_is_reserved_while_its_driver_starts)
{
    const struct mount_spec http = {.path = "/p", .type = "x"};
    const struct mount_spec configured = {.path = "/q", .type = "x", .instance = "q"};
    struct mount *m = NULL, *again = NULL;
    struct pfs_error err = {.text = "why"};

    cr_assert_eq(vfs_reserve(vfs_rig, &http, &m, NULL), PFS_OK);
    cr_assert_eq(vfs_reserve(vfs_rig, &http, &again, &err), PFS_EXISTS);
    cr_assert_str_eq(err.text, "mount already exists: /p");
    vfs_fail(vfs_rig, m, &err);
    cr_assert_eq(vfs_reserve(vfs_rig, &http, &m, NULL), PFS_OK, "the failed one is gone");
    vfs_fail(vfs_rig, m, &err);
    cr_assert_eq(vfs_reserve(vfs_rig, &configured, &m, NULL), PFS_OK);
    cr_assert_str_eq(vfs_rig_cat("/q/f"), "busy", "not found would be a lie");
    vfs_fail(vfs_rig, m, &err);
    cr_assert_str_eq(vfs_rig_cat("/q/f"), "busy");
    cr_assert(vfs_retry(vfs_rig, "/q", &m));
    cr_assert_not(vfs_retry(vfs_rig, "/q", &m), "it is being tried");
    vfs_fail(vfs_rig, m, &err);
    vfs_rig_memfs("/q"); /* takes the failed one's place */
    cr_assert_not(vfs_retry(vfs_rig, "/q", &m));
}

/* ---- handles ---- */

static struct pfs_reply handle(enum pfs_op op, uint64_t h, int64_t size)
{
    struct pfs_request req = PFS_REQUEST_INIT;

    req.op = op;
    req.handle = h;
    req.size = size;
    return vfs_rig_do(&req);
}

static uint64_t hopen(const char *path, int64_t lease)
{
    struct pfs_request req = PFS_REQUEST_INIT;

    req.op = PFS_OP_HANDLE_OPEN;
    req.path = path;
    req.flags = PFS_OPEN_RDWR | PFS_OPEN_CREATE;
    req.size = lease;
    struct pfs_reply r = vfs_rig_do(&req);

    cr_assert_eq(r.err.cls, PFS_OK, "%s", r.err.text);
    cr_assert_str_eq(r.handle.path, path);
    uint64_t id = r.handle.id;

    pfs_reply_fini(&r);
    return id;
}

Test(vfs, handles_are_numbered_for_the_whole_server_and_end_with_their_mount)
{
    vfs_rig_memfs("/m");
    vfs_rig_memfs("/n");
    uint64_t a = hopen("/m/f", 5), b = hopen("/n/f", -1);

    cr_assert_neq(a, b);
    struct pfs_reply r = handle(PFS_OP_HANDLE_INFO, a, -1);

    cr_assert_eq(r.handle.lease_s, 5);
    pfs_reply_fini(&r);
    r = handle(PFS_OP_HANDLE_INFO, b, -1);
    cr_assert_eq(r.handle.lease_s, LEASE_DEFAULT_S);
    pfs_reply_fini(&r);
    r = handle(PFS_OP_HANDLE_RENEW, a, 1000000);
    cr_assert_eq(r.handle.lease_s, LEASE_MAX_S);
    pfs_reply_fini(&r);
    vfs_sweep_handles(vfs_rig); /* none has ended */
    cr_assert_eq(vfs_unmount(vfs_rig, "/n", NULL), PFS_OK);
    r = handle(PFS_OP_HANDLE_STAT, b, -1);
    cr_assert_eq(r.err.cls, PFS_NOTFOUND);
    r = handle(PFS_OP_HANDLE_CLOSE, a, -1);
    cr_assert_eq(r.err.cls, PFS_OK);
    r = handle(PFS_OP_HANDLE_CLOSE, a, -1);
    cr_assert_eq(r.err.cls, PFS_NOTFOUND);
    vfs_rig_gate("/g", false);
    cr_assert_eq(vfs_rig_try(PFS_OP_HANDLE_OPEN, "/g/f", NULL), PFS_UNSUPPORTED);
}

static enum pfs_class open_with(const char *path, uint32_t flags)
{
    struct pfs_request req = PFS_REQUEST_INIT;

    req.op = PFS_OP_HANDLE_OPEN;
    req.path = path;
    req.flags = flags;
    struct pfs_reply r = vfs_rig_do(&req);
    enum pfs_class cls = r.err.cls;

    cr_expect(cls == PFS_OK || r.err.outcome == PFS_OUTCOME_NA);
    pfs_reply_fini(&r);
    return cls;
}

Test(vfs, a_handle_that_has_no_place_changes_nothing)
{
    const uint32_t truncates = PFS_OPEN_RDWR | PFS_OPEN_TRUNC;
    const uint32_t creates = PFS_OPEN_RDWR | PFS_OPEN_CREATE;

    vfs_rig_memfs("/m");
    vfs_rig_put("/m/old", "precious");
    uint64_t one = hopen("/m/f", -1);

    for (int i = 1; i < HANDLES_MAX - 1; i++) {
        cr_assert_eq(open_with("/m/f", 0), PFS_OK);
    }
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(open_with("/m/none", 0), PFS_NOTFOUND, "its place is free again");
    }
    cr_assert_eq(open_with("/m/f", 0), PFS_OK);
    cr_assert_eq(open_with("/m/old", truncates), PFS_OVERLOAD);
    cr_assert_str_eq(vfs_rig_cat("/m/old"), "precious");
    cr_assert_eq(open_with("/m/new", creates), PFS_OVERLOAD);
    cr_assert_str_eq(vfs_rig_cat("/m/new"), "notfound");
    struct pfs_reply r = handle(PFS_OP_HANDLE_CLOSE, one, -1);

    cr_assert_eq(r.err.cls, PFS_OK);
    cr_assert_eq(open_with("/m/new", creates), PFS_OK);
    cr_assert_str_eq(vfs_rig_cat("/m/new"), "");
}

static struct pfs_reply open_under(const char *req_id, uint32_t flags)
{
    struct pfs_request req = PFS_REQUEST_INIT;

    req.op = PFS_OP_HANDLE_OPEN;
    req.path = "/m/f";
    req.flags = flags;
    req.req_id = req_id;
    struct pfs_reply r = vfs_rig_do(&req);

    cr_assert_eq(r.err.cls, PFS_OK, "%s", r.err.text);
    return r;
}

Test(vfs, a_handle_whose_number_reached_nobody_is_closed)
{
    static const char id[] = "0123456789abcdef0123456789abcdef";

    vfs_rig_memfs("/m");
    vfs_rig_put("/m/f", "");
    for (int lost = 0; lost <= 1; lost++) {
        struct pfs_reply r = open_under(lost ? id : NULL, PFS_OPEN_RDWR);
        uint64_t h = r.handle.id;

        cr_assert_not_null(r.receipt);
        r.receipt->end(r.receipt, lost);
        r.receipt = NULL;
        pfs_reply_fini(&r);
        r = handle(PFS_OP_HANDLE_INFO, h, -1);
        cr_assert_eq(r.err.cls, lost ? PFS_NOTFOUND : PFS_OK);
        pfs_reply_fini(&r);
    }
    struct pfs_reply r = open_under(NULL, PFS_OPEN_RDWR | PFS_OPEN_CREATE);

    cr_assert_not_null(r.receipt);
    pfs_reply_fini(&r);
    r = open_under(id, PFS_OPEN_RDWR | PFS_OPEN_TRUNC); /* who asks again must not empty it again */
    cr_assert_null(r.receipt);
    pfs_reply_fini(&r);
}

/* ---- what drivers lack ---- */

static struct pfs_reply search(const char *path, const char *pattern, uint32_t flags)
{
    struct pfs_request req = PFS_REQUEST_INIT;

    req.op = PFS_OP_GREP;
    req.path = path;
    req.text = pattern;
    req.flags = flags;
    return vfs_rig_do(&req);
}

Test(vfs, grep_looks_into_nested_mounts)
{
    vfs_rig_memfs("/m");
    vfs_rig_memfs("/m/inner");
    vfs_rig_put("/m/f", "one\r\nerror: two\nthree");
    vfs_rig_put("/m/inner/g", "last ERROR");
    struct pfs_reply r = search("/m", "^.*error", PFS_GREP_RECURSIVE | PFS_GREP_ICASE);

    cr_assert_eq(r.n_matches, 2, "%s", r.err.text);
    cr_assert_str_eq(r.matches[0].file, "/m/f");
    cr_assert_eq(r.matches[0].line, 2);
    cr_assert_str_eq(r.matches[0].content, "error: two");
    cr_assert_str_eq(r.matches[1].file, "/m/inner/g");
    pfs_reply_fini(&r);
    r = search("/m/f", "one$", 0);
    cr_assert_eq(r.n_matches, 1, "the CR is not part of the line");
    pfs_reply_fini(&r);
    r = search("/", "last", PFS_GREP_RECURSIVE);
    cr_assert_eq(r.n_matches, 1);
    pfs_reply_fini(&r);
    r = search("/m", "x", 0);
    cr_assert_eq(r.err.cls, PFS_BADARG);
    cr_assert_not_null(strstr(r.err.text, "use recursive=true"));
    r = search("/m/f", "(", 0);
    cr_assert_not_null(strstr(r.err.text, "invalid regex pattern: error parsing regexp"));
    r = search("/m/none", "x", 0);
    cr_assert_eq(r.err.cls, PFS_NOTFOUND);
}

Test(vfs, grep_is_bounded)
{
    static char line[70001];

    vfs_rig_memfs("/m");
    memset(line, 'a', sizeof line - 1);
    vfs_rig_put("/m/long", line);
    struct pfs_reply r = search("/m/long", "b", 0);

    cr_assert_not_null(strstr(r.err.text, "token too long"), "%s", r.err.text);
    line[30] = '\0';
    vfs_rig_put("/m/evil", line);
    r = search("/m/evil", "(a+)+$b|(a|aa)+c", 0);
    cr_assert_not_null(strstr(r.err.text, "too expensive"), "%s", r.err.text);
}

Test(vfs, touch_works_where_the_driver_has_none)
{
    static struct pfs_driver_ops ops; /* memfs without TOUCH */
    const struct mount_spec spec = {.path = "/m", .type = "memfs"};
    struct pfs_driver *d = NULL;
    struct mount *m = NULL;

    cr_assert_eq(memfs_open(NULL, 0, &d, NULL), PFS_OK);
    ops = *d->ops;
    ops.op[PFS_OP_TOUCH] = NULL;
    d->ops = &ops;
    cr_assert_eq(vfs_reserve(vfs_rig, &spec, &m, NULL), PFS_OK);
    cr_assert_eq(vfs_publish(vfs_rig, m, d, NULL), PFS_OK);
    cr_assert_eq(vfs_rig_try(PFS_OP_TOUCH, "/m/f", NULL), PFS_OK);
    cr_assert_str_eq(vfs_rig_cat("/m/f"), "");
    vfs_rig_put("/m/f", "content");
    cr_assert_eq(vfs_rig_try(PFS_OP_TOUCH, "/m/f", NULL), PFS_OK);
    cr_assert_str_eq(vfs_rig_cat("/m/f"), "content");
    cr_assert_eq(vfs_rig_try(PFS_OP_TOUCH, "/m", NULL), PFS_BADARG);
    cr_assert_eq(vfs_rig_try(PFS_OP_TOUCH, "/m/x/y", NULL), PFS_NOTFOUND);
}

Test(vfs, digests_are_those_of_the_stock_server)
{
    static const char *const rows[][3] = {
        {"xxh3", "", "6001c324468d497f"},
        {"xxh3", "abc", "78af5f94892f3950"},
        {"xxh3", "hello world", "a99b8775cc15b6c7"},
        {"md5", "abc", "900150983cd24fb0d6963f7d28e17f72"},
    };
    struct pfs_request req = PFS_REQUEST_INIT;

    vfs_rig_memfs("/m");
    req.op = PFS_OP_DIGEST;
    req.path = "/m/f";
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        vfs_rig_put("/m/f", rows[i][1]);
        req.text = rows[i][0];
        struct pfs_reply r = vfs_rig_do(&req);

        cr_assert_eq(r.err.cls, PFS_OK, "%s", r.err.text);
        cr_assert_str_eq(r.text, rows[i][2]);
        pfs_reply_fini(&r);
    }
    req.path = "/m/none";
    struct pfs_reply r = vfs_rig_do(&req);

    cr_assert_eq(r.err.cls, PFS_NOTFOUND);
}
