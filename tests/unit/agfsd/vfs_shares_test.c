/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* Shares of the handles that may be open. */
#include "clients.h"
#include "vfs_rig.h"
#include <criterion/criterion.h>
#include <string.h>

TestSuite(vfs_shares, .init = vfs_rig_init, .fini = vfs_rig_fini);

/* from: the last byte of its address; 0: it has none. */
static struct pfs_reply open_from(const char *client, unsigned char from, enum pfs_class cls)
{
    struct client_key key = {{[10] = 0xff, [11] = 0xff, [15] = from}};
    struct vfs_fate fate = {.from = from ? &key : NULL};
    struct pfs_request req = PFS_REQUEST_INIT;

    req.op = PFS_OP_HANDLE_OPEN;
    req.path = "/m/f";
    req.flags = PFS_OPEN_RDWR | PFS_OPEN_CREATE;
    req.client = client;
    req.host = &fate;
    struct pfs_reply r = vfs_rig_do(&req);

    cr_assert_eq(r.err.cls, cls, "%s", r.err.text);
    return r;
}

static struct pfs_reply open_as(const char *client, enum pfs_class cls)
{
    return open_from(client, 0, cls);
}

static void close_handle(uint64_t h)
{
    struct pfs_request req = PFS_REQUEST_INIT;

    req.op = PFS_OP_HANDLE_CLOSE;
    req.handle = h;
    struct pfs_reply r = vfs_rig_do(&req);

    cr_assert_eq(r.err.cls, PFS_OK, "%s", r.err.text);
}

Test(vfs_shares, a_client_leaves_handles_for_others)
{
    vfs_rig_memfs("/m");
    struct pfs_reply r = open_as("greedy", PFS_OK), one = r;

    for (int i = 1; i < HANDLES_PER_CLIENT; i++) {
        r = open_as("greedy", PFS_OK);
        pfs_reply_fini(&r);
    }
    r = open_as("greedy", PFS_OVERLOAD);
    cr_assert_eq(r.err.outcome, PFS_OUTCOME_NA);
    r = open_as("modest", PFS_OK);
    pfs_reply_fini(&r);
    close_handle(one.handle.id);
    pfs_reply_fini(&one);
    r = open_as("greedy", PFS_OK);
    pfs_reply_fini(&r);
    for (int i = 0; i < HANDLES_MAX - HANDLES_PER_CLIENT - 1;
         i++) { /* together no limit but that */
        r = open_as(NULL, PFS_OK);
        pfs_reply_fini(&r);
    }
    open_as("modest", PFS_OVERLOAD);
    cr_assert_eq(vfs_unmount(vfs_rig, "/m", NULL), PFS_OK);
    vfs_rig_memfs("/m");
    r = open_as("greedy", PFS_OK);
    pfs_reply_fini(&r);
}

Test(vfs_shares, an_address_leaves_handles_for_others)
{
    vfs_rig_memfs("/m");
    struct pfs_reply r, one = open_from(NULL, 1, PFS_OK);

    for (int i = 1; i < HANDLES_PER_CLIENT; i++) {
        r = open_from(NULL, 1, PFS_OK);
        pfs_reply_fini(&r);
    }
    r = open_from(NULL, 1, PFS_OVERLOAD);
    cr_assert_eq(r.err.outcome, PFS_OUTCOME_NA);
    cr_assert_not_null(strstr(r.err.text, "of one address"), "%s", r.err.text);
    r = open_from(NULL, 2, PFS_OK);
    pfs_reply_fini(&r);
    r = open_from("named", 1, PFS_OK); /* has a share of its own, wherever it comes from */
    pfs_reply_fini(&r);
    close_handle(one.handle.id);
    pfs_reply_fini(&one);
    r = open_from(NULL, 1, PFS_OK);
    pfs_reply_fini(&r);
    open_from(NULL, 1, PFS_OVERLOAD);
}
