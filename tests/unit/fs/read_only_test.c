/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* What the option read_only refuses, operation by operation; nothing is sent. */
#include <criterion/criterion.h>
#include <proxyfs/driver.h>
#include <proxyfs/proxyfs.h>
#include <string.h>

/* Operations that change nothing; HANDLE_OPEN is one with some of its flags. */
static bool is_harmless(enum pfs_op op)
{
    static const enum pfs_op rows[] = {
        PFS_OP_READ,          PFS_OP_READDIR,      PFS_OP_STAT,         PFS_OP_READLINK,
        PFS_OP_DIGEST,        PFS_OP_GREP,         PFS_OP_CAPABILITIES, PFS_OP_HEALTH,
        PFS_OP_OPEN_READ,     PFS_OP_HANDLE_OPEN,  PFS_OP_HANDLE_READ,  PFS_OP_HANDLE_SEEK,
        PFS_OP_HANDLE_SYNC,   PFS_OP_HANDLE_STAT,  PFS_OP_HANDLE_INFO,  PFS_OP_HANDLE_RENEW,
        PFS_OP_HANDLE_STREAM, PFS_OP_HANDLE_CLOSE, PFS_OP_MOUNTS,       PFS_OP_PLUGINS};

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (rows[i] == op) {
            return true;
        }
    }
    return false;
}

static enum pfs_class call(struct pfs_client *c, enum pfs_op op, uint32_t flags,
                           struct pfs_error *ret)
{
    struct pfs_request req = PFS_REQUEST_INIT;
    struct pfs_reply reply;

    req.op = op;
    req.path = "/f";
    req.path2 = "/g";
    req.text = "md5";
    req.size = 1;
    req.flags = flags;
    req.deadline_ns = 1; /* long ago: what is not refused ends before it is sent */
    pfs_call(c, &req, &reply);
    *ret = reply.err;
    pfs_reply_fini(&reply);
    return ret->cls;
}

static void expect(struct pfs_client *c, enum pfs_op op, uint32_t flags, enum pfs_class cls)
{
    struct pfs_error err;

    cr_expect_eq(call(c, op, flags, &err), cls, "%s, flags %u: %s", pfs_op_name(op), flags,
                 err.text);
    cr_expect_eq(err.outcome, PFS_OUTCOME_NA);
}

static struct pfs_client *client(const char *read_only)
{
    const struct pfs_option o[] = {{"base_url", "http://127.0.0.1:9"}, {"read_only", read_only}};
    struct pfs_error err;
    struct pfs_client *c;

    cr_assert_eq(pfs_client_new(o, 2, &c, &err), PFS_OK, "%s", err.text);
    return c;
}

Test(read_only, every_operation)
{
    struct pfs_client *c = client("true");

    for (unsigned op = 0; op < PFS_N_OPS; op++) {
        expect(c, (enum pfs_op)op, 0, is_harmless((enum pfs_op)op) ? PFS_TIMEOUT : PFS_DENIED);
    }
    pfs_client_free(c);
}

Test(read_only, a_handle_is_opened_for_nothing_but_reading)
{
    static const uint32_t flags[] = {PFS_OPEN_WRONLY,
                                     PFS_OPEN_RDWR,
                                     PFS_OPEN_APPEND,
                                     PFS_OPEN_CREATE,
                                     PFS_OPEN_EXCL,
                                     PFS_OPEN_TRUNC,
                                     4u,
                                     PFS_OPEN_TRUNC | PFS_OPEN_CREATE | 1u};
    struct pfs_client *ro = client("true"), *rw = client("false");

    expect(ro, PFS_OP_HANDLE_OPEN, PFS_OPEN_RDONLY, PFS_TIMEOUT);
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        expect(ro, PFS_OP_HANDLE_OPEN, flags[i], PFS_DENIED);
        expect(rw, PFS_OP_HANDLE_OPEN, flags[i], PFS_TIMEOUT);
    }
    pfs_client_free(ro);
    pfs_client_free(rw);
}
