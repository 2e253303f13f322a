/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* The texts that handles of queuefs keep. */
#include "driver_rig.h"
#include "queuefs.h"
#include <stdlib.h>
#include <unistd.h>

static struct pfs_reply read_some(struct pfs_driver *d, uint64_t h, int64_t offset, int64_t size)
{
    struct pfs_request req = PFS_REQUEST_INIT;

    req.op = PFS_OP_HANDLE_READ;
    req.handle = h;
    req.offset = offset;
    req.size = size;
    return rig_run(d, req);
}

/* One byte of it. */
static enum pfs_class begin(struct pfs_driver *d, uint64_t h)
{
    struct pfs_reply r = read_some(d, h, -1, 1);
    enum pfs_class cls = r.err.cls;

    cr_expect(cls == PFS_OK ? r.len == 1 : r.err.outcome == PFS_OUTCOME_NA);
    pfs_reply_fini(&r);
    return cls;
}

static void read_to_the_end(struct pfs_driver *d, uint64_t h)
{
    size_t n;

    do {
        struct pfs_reply r = read_some(d, h, -1, 100);

        cr_assert_eq(r.err.cls, PFS_OK, "%s", r.err.text);
        n = r.len;
        pfs_reply_fini(&r);
    } while (n > 0);
}

/* For two texts of 400 bytes and more. */
static void check(struct pfs_driver *d)
{
    const struct queuefs *q = (struct queuefs *)d;
    char message[301] = "", control[301] = "";
    uint64_t h[5];

    memset(message, 'x', 300);
    memset(control, 1, 300);
    rig_ok(d, PFS_OP_MKDIR, "/q");
    rig_ok(d, PFS_OP_MKDIR, "/c");
    rig_put(d, "/q/enqueue", message);
    for (int i = 0; i < 4; i++) {
        h[i] = rig_hopen(d, "/q/peek", PFS_OPEN_RDONLY);
    }
    h[4] = rig_hopen(d, "/q/dequeue", PFS_OPEN_RDONLY);
    cr_expect_eq(begin(d, h[0]), PFS_OK);
    cr_expect_eq(begin(d, h[1]), PFS_OK);
    cr_expect_eq(begin(d, h[2]), PFS_OVERLOAD);
    cr_expect_eq(begin(d, h[4]), PFS_OVERLOAD);
    cr_expect_str_eq(rig_cat(d, "/q/size"), "1", "the message went back");
    rig_handle(d, PFS_OP_HANDLE_CLOSE, h[0]);
    cr_expect_eq(begin(d, h[2]), PFS_OK);
    cr_expect_eq(begin(d, h[4]), PFS_OVERLOAD);
    struct pfs_reply r = read_some(d, h[1], 0, 1000); /* may have to be repeated */
    size_t len = r.len;

    pfs_reply_fini(&r);
    r = read_some(d, h[1], (int64_t)len - 9, 1000);
    cr_expect_eq(r.len, 9);
    pfs_reply_fini(&r);
    read_to_the_end(d, h[1]);
    r = read_some(d, h[1], -1, 1);
    cr_expect(r.err.cls == PFS_OK && r.len == 0);
    cr_expect_eq(begin(d, h[4]), PFS_OK);
    cr_expect_str_eq(rig_cat(d, "/q/size"), "0");
    rig_handle(d, PFS_OP_HANDLE_CLOSE, h[2]);
    rig_handle(d, PFS_OP_HANDLE_CLOSE, h[4]);
    cr_expect_eq(q->held, 0);
    rig_put(d, "/c/enqueue", control); /* spelled in six bytes each: more than all there is */
    uint64_t large = rig_hopen(d, "/c/peek", PFS_OPEN_RDONLY);

    cr_expect_eq(begin(d, large), PFS_OK, "one is always served");
    cr_expect_eq(begin(d, h[3]), PFS_OVERLOAD);
    d->ops->close(d);
}

Test(queuefs_handles, texts_that_are_kept_are_bounded)
{
    char dir[] = "/tmp/queue-handles.XXXXXX", file[64], option[80];
    static const char *const ends[] = {"", "-wal", "-shm"};
    const char *const memory[] = {"max_bytes=1000", NULL};
    const char *const sqlite[] = {"backend=sqlite", option, "max_bytes=1000", NULL};

    cr_assert_not_null(mkdtemp(dir));
    snprintf(option, sizeof option, "db_path=%s/q.db", dir);
    check(rig_open(queuefs_open, memory));
    check(rig_open(queuefs_open, sqlite));
    for (int i = 0; i < 3; i++) {
        snprintf(file, sizeof file, "%s/q.db%s", dir, ends[i]);
        unlink(file);
    }
    rmdir(dir);
}
