/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* hellofs: /hello, for a first try (agfs-http-api.md 8.7). */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/reply.h"
#include "driver_options.h"
#include "driver_util.h"
#include "drivers.h"
#include <string.h>

static const char content[] = "Hello, World!\n";

static bool is_root(const struct pfs_request *req)
{
    return strcmp(req->path, "/") == 0;
}

static bool is_hello(const struct pfs_request *req, struct pfs_reply *reply)
{
    if (strcmp(req->path, "/hello") != 0) {
        pfs_refuse(&reply->err, PFS_NOTFOUND, "not found: %s", req->path);
        return false;
    }
    return true;
}

static void op_read(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    if (is_root(req)) {
        pfs_refuse(&reply->err, PFS_BADARG, "is a directory: %s", req->path);
    } else if (is_hello(req, reply)) {
        pfs_reply_take_range(reply, pfs_strdup(content), sizeof content - 1, req);
    }
}

static bool fill(struct pfs_stat *st, bool root)
{
    st->mode = root ? 0555 : 0444;
    st->is_dir = root;
    st->size = root ? 0 : sizeof content - 1;
    st->mtime_ns = pfs_wall_now();
    return pfs_stat_fill(st, root ? "/" : "hello", "hellofs", root ? "directory" : "file");
}

static void op_stat(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    bool root = is_root(req);

    if ((root || is_hello(req, reply)) && !fill(&reply->stat, root)) {
        pfs_nomem(&reply->err, "stat");
    }
}

static void op_readdir(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    size_t cap = 0;

    if (!is_root(req)) {
        if (is_hello(req, reply)) {
            pfs_refuse(&reply->err, PFS_BADARG, "not a directory: %s", req->path);
        }
        return;
    }
    struct pfs_stat *st = reply_add_entry(reply, &cap);

    if (!st || !fill(st, false)) {
        pfs_nomem(&reply->err, "a listing");
    }
}

static void op_denied(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    pfs_refuse(&reply->err, PFS_DENIED, "permission denied: read-only filesystem: %s", req->path);
}

static void op_truncate(struct pfs_driver *d, const struct pfs_request *req,
                        struct pfs_reply *reply)
{
    is_hello(req, reply);
}

static const struct pfs_driver_ops hellofs_ops = {
    .name = "hellofs",
    .nonblocking = true,
    .plain_reads = true,
    .op = {[PFS_OP_CREATE] = op_denied,
           [PFS_OP_MKDIR] = op_denied,
           [PFS_OP_REMOVE] = op_denied,
           [PFS_OP_REMOVE_ALL] = op_denied,
           [PFS_OP_RENAME] = op_denied,
           [PFS_OP_CHMOD] = op_denied,
           [PFS_OP_TOUCH] = op_denied,
           [PFS_OP_WRITE] = op_denied,
           [PFS_OP_TRUNCATE] = op_truncate,
           [PFS_OP_READ] = op_read,
           [PFS_OP_STAT] = op_stat,
           [PFS_OP_READDIR] = op_readdir},
    .close = driver_free,
};

enum pfs_class hellofs_open(const struct pfs_option *options, size_t n, struct pfs_driver **ret,
                            struct pfs_error *err)
{
    return driver_open_plain(&hellofs_ops, options, n, ret, err);
}
