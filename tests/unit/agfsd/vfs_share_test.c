/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* Content that reads bring counts with the bodies of requests until its response has it. */
#include "meters.h"
#include "vfs_rig.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MIB (1 << 20)
#define N_CALLS 8

TestSuite(vfs_share, .init = vfs_rig_init, .fini = vfs_rig_fini);

/* Eight reads of 2 MiB, none delivered before all are done; returns how many brought something. */
static int read_at_once(enum pfs_op op, const char *path, uint64_t handle)
{
    static struct rig_call calls[N_CALLS];
    struct pfs_request req = PFS_REQUEST_INIT;
    int n = 0;

    memset(calls, 0, sizeof calls);
    req.op = op;
    req.path = path;
    req.handle = handle;
    req.offset = 0;
    req.size = 2 * MIB;
    for (int i = 0; i < N_CALLS; i++) {
        vfs_rig_submit(&calls[i], &req);
    }
    vfs_rig_await_posts(N_CALLS);
    for (int i = 0; i < N_CALLS; i++) {
        struct pfs_reply *r = &calls[i].reply;

        vfs_rig_wait(&calls[i]);
        cr_expect(r->err.cls == PFS_OK
                      ? r->len == 2 * MIB
                      : r->err.cls == PFS_OVERLOAD && r->err.outcome == PFS_OUTCOME_NA,
                  "%s", r->err.text);
        n += r->err.cls == PFS_OK;
        pfs_reply_fini(r);
    }
    cr_expect_eq(gauge_read(GAUGE_BODY_MEMORY), 0);
    return n;
}

static uint64_t prepare(const char *path)
{
    struct pfs_request req = PFS_REQUEST_INIT;
    char *content = calloc(1, 2 * MIB);

    req.op = PFS_OP_WRITE;
    req.path = path;
    req.data = content;
    req.len = 2 * MIB;
    req.flags = PFS_WRITE_CREATE | PFS_WRITE_TRUNCATE;
    struct pfs_reply r = vfs_rig_do(&req);

    cr_assert_eq(r.err.cls, PFS_OK, "%s", r.err.text);
    pfs_reply_fini(&r);
    free(content);
    req.op = PFS_OP_HANDLE_OPEN;
    req.flags = PFS_OPEN_RDONLY;
    r = vfs_rig_do(&req);
    cr_assert_eq(r.err.cls, PFS_OK, "%s", r.err.text);
    uint64_t id = r.handle.id;

    pfs_reply_fini(&r);
    return id;
}

static void check(const char *path)
{
    uint64_t h = prepare(path);

    gauge_set_limit(GAUGE_BODY_MEMORY, 64 * MIB);
    cr_expect_eq(read_at_once(PFS_OP_READ, path, 0), N_CALLS);
    cr_expect_eq(read_at_once(PFS_OP_HANDLE_READ, NULL, h), N_CALLS);
    gauge_set_limit(GAUGE_BODY_MEMORY, 5 * MIB);
    cr_expect_eq(read_at_once(PFS_OP_READ, path, 0), 2);
    cr_expect_eq(read_at_once(PFS_OP_HANDLE_READ, NULL, h), 2);
}

Test(vfs_share, memfs_brings_no_more_than_there_is_room_for)
{
    vfs_rig_memfs("/m");
    check("/m/f");
}

Test(vfs_share, localfs_brings_no_more_than_there_is_room_for)
{
    char dir[] = "/tmp/vfs-share-XXXXXX", path[60];

    cr_assert_not_null(mkdtemp(dir));
    vfs_rig_localfs("/l", dir);
    check("/l/f");
    snprintf(path, sizeof path, "%s/f", dir);
    unlink(path);
    rmdir(dir);
}
