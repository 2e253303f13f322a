/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* Handles of HANDLE_REPLACE. */
#include "base/clock.h"
#include "clients.h"
#include "vfs_rig.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

TestSuite(vfs_uploads, .init = vfs_rig_init, .fini = vfs_rig_fini);

/* Each operation comes from an address of its own. */
static struct pfs_reply upload(enum pfs_op op, uint64_t h, const char *client, int64_t size)
{
    struct client_key from = {{[10] = 0xff, [11] = 0xff, [15] = (unsigned char)op}};
    struct vfs_fate fate = {.from = &from};
    struct pfs_request req = PFS_REQUEST_INIT;

    req.op = op;
    req.handle = h;
    req.path = "/l/f";
    req.client = client;
    req.host = &fate;
    req.flags = op == PFS_OP_HANDLE_REPLACE ? PFS_WRITE_CREATE : 0;
    req.size = size;
    req.offset = op == PFS_OP_HANDLE_WRITE ? 0 : -1;
    req.data = "abc";
    req.len = op == PFS_OP_HANDLE_WRITE ? 3 : 0;
    return vfs_rig_do(&req);
}

static enum pfs_class try_upload(enum pfs_op op, uint64_t h, const char *client, int64_t size)
{
    struct pfs_reply r = upload(op, h, client, size);
    enum pfs_class cls = r.err.cls;

    pfs_reply_fini(&r);
    return cls;
}

static uint64_t hreplace(const char *client, int64_t lease)
{
    struct pfs_reply r = upload(PFS_OP_HANDLE_REPLACE, 0, client, lease);
    uint64_t id = r.handle.id;

    cr_assert_eq(r.err.cls, PFS_OK, "%s", r.err.text);
    cr_assert_eq(r.handle.lease_s, lease > 0 && lease < UPLOAD_LEASE_S ? lease : UPLOAD_LEASE_S);
    pfs_reply_fini(&r);
    return id;
}

Test(vfs_uploads, a_replacement_belongs_to_its_client_and_ends_with_its_lease)
{
    char dir[] = "/tmp/vfs_test.XXXXXX", command[100];

    cr_assert_not_null(mkdtemp(dir));
    vfs_rig_localfs("/l", dir);
    uint64_t mine = hreplace("me", LEASE_MAX_S), late = hreplace(NULL, 1),
             open = hreplace("me", -1);

    cr_assert_eq(vfs_n_uploads(vfs_rig), 3);
    cr_assert_eq(try_upload(PFS_OP_HANDLE_WRITE, mine, "you", -1), PFS_NOTFOUND);
    cr_assert_eq(try_upload(PFS_OP_HANDLE_WRITE, mine, NULL, -1), PFS_NOTFOUND);
    cr_assert_eq(try_upload(PFS_OP_HANDLE_WRITE, mine, "me", -1), PFS_OK);
    cr_assert_eq(try_upload(PFS_OP_HANDLE_WRITE, late, "me", -1), PFS_NOTFOUND);
    cr_assert_eq(try_upload(PFS_OP_HANDLE_WRITE, late, NULL, -1), PFS_OK, "addresses change");
    cr_assert_eq(try_upload(PFS_OP_HANDLE_COMMIT, mine, "you", 3), PFS_NOTFOUND);
    cr_assert_eq(try_upload(PFS_OP_STAT, 0, NULL, -1), PFS_NOTFOUND);
    cr_assert_eq(try_upload(PFS_OP_HANDLE_COMMIT, mine, "me", 4), PFS_BADARG);
    cr_assert_eq(try_upload(PFS_OP_HANDLE_COMMIT, mine, "me", 3), PFS_OK);
    struct pfs_reply r = vfs_rig_path(PFS_OP_OPEN_READ, "/l/f");
    cr_assert(r.len == 3 && memcmp(r.data, "abc", 3) == 0);
    pfs_reply_fini(&r);
    cr_assert_eq(vfs_n_uploads(vfs_rig), 2);

    int64_t deadline = pfs_now() + 20 * PFS_SEC;
    while (vfs_n_uploads(vfs_rig) > 1 && pfs_now() < deadline) {
        vfs_sweep_handles(vfs_rig);
        usleep(10000);
    }
    cr_assert_eq(vfs_n_uploads(vfs_rig), 1, "one that is idle is dropped");
    cr_assert_eq(try_upload(PFS_OP_HANDLE_WRITE, late, NULL, -1), PFS_NOTFOUND);
    cr_assert_eq(vfs_unmount(vfs_rig, "/l", NULL), PFS_OK);
    cr_assert_eq(vfs_n_uploads(vfs_rig), 0);
    cr_assert_eq(try_upload(PFS_OP_HANDLE_COMMIT, open, "me", 0), PFS_NOTFOUND);
    vfs_rig_memfs("/l");
    cr_assert_eq(try_upload(PFS_OP_HANDLE_REPLACE, 0, "me", -1), PFS_UNSUPPORTED);
    snprintf(command, sizeof command, "test \"$(ls -A %s)\" = f && rm -r %s", dir, dir);
    cr_assert_eq(system(command), 0, "nothing is left behind");
}

Test(vfs_uploads, a_client_leaves_some_for_others)
{
    char dir[] = "/tmp/vfs_test.XXXXXX";

    cr_assert_not_null(mkdtemp(dir));
    vfs_rig_localfs("/l", dir);
    uint64_t one = hreplace("greedy", -1);

    for (int i = 1; i < UPLOADS_PER_CLIENT; i++) {
        hreplace("greedy", -1);
    }
    cr_assert_eq(try_upload(PFS_OP_HANDLE_REPLACE, 0, "greedy", -1), PFS_OVERLOAD);
    hreplace("modest", -1);
    hreplace(NULL, -1);
    cr_assert_eq(try_upload(PFS_OP_HANDLE_CLOSE, one, "greedy", -1), PFS_OK);
    hreplace("greedy", -1);
    cr_assert_eq(try_upload(PFS_OP_HANDLE_REPLACE, 0, "greedy", -1), PFS_OVERLOAD);
    cr_assert_eq(vfs_unmount(vfs_rig, "/l", NULL), PFS_OK);
    cr_assert_eq(rmdir(dir), 0, "nothing is left behind");
}
