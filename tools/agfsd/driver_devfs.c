/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* devfs: /null (agfs-http-api.md 8.7), so that the root of a server is never empty. */
#include "base/clock.h"
#include "base/err.h"
#include "base/reply.h"
#include "driver_options.h"
#include "driver_util.h"
#include "drivers.h"
#include <string.h>

static bool is_null(const struct pfs_request *req, struct pfs_reply *reply)
{
    if (strcmp(req->path, "/null") == 0) {
        return true;
    }
    pfs_refuse(&reply->err, strcmp(req->path, "/") == 0 ? PFS_BADARG : PFS_NOTFOUND, "%s: %s",
               strcmp(req->path, "/") == 0 ? "is a directory" : "no such file or directory",
               req->path);
    return false;
}

static void op_null(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    is_null(req, reply);
}

static void op_write(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    if (is_null(req, reply)) {
        reply->count = (int64_t)req->len;
    }
}

static bool fill(struct pfs_stat *st, bool root)
{
    st->mode = root ? 0755 : 0666;
    st->is_dir = root;
    st->mtime_ns = pfs_wall_now();
    return pfs_stat_fill(st, root ? "/" : "null", "devfs", root ? "directory" : "device");
}

static void op_stat(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    bool root = strcmp(req->path, "/") == 0;

    if ((root || is_null(req, reply)) && !fill(&reply->stat, root)) {
        pfs_nomem(&reply->err, "stat");
    }
}

static void op_readdir(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    size_t cap = 0;

    if (strcmp(req->path, "/") != 0) {
        if (is_null(req, reply)) {
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
    pfs_refuse(&reply->err, PFS_DENIED, "permission denied: devfs cannot be changed: %s",
               req->path);
}

static const struct pfs_driver_ops devfs_ops = {
    .name = "devfs",
    .nonblocking = true,
    .plain_reads = true,
    .op = {[PFS_OP_CREATE] = op_denied,
           [PFS_OP_MKDIR] = op_denied,
           [PFS_OP_REMOVE] = op_denied,
           [PFS_OP_REMOVE_ALL] = op_denied,
           [PFS_OP_RENAME] = op_denied,
           [PFS_OP_CHMOD] = op_denied,
           [PFS_OP_READ] = op_null,
           [PFS_OP_WRITE] = op_write,
           [PFS_OP_TRUNCATE] = op_null,
           [PFS_OP_TOUCH] = op_null,
           [PFS_OP_STAT] = op_stat,
           [PFS_OP_READDIR] = op_readdir},
    .close = driver_free,
};

enum pfs_class devfs_open(const struct pfs_option *options, size_t n, struct pfs_driver **ret,
                          struct pfs_error *err)
{
    return driver_open_plain(&devfs_ops, options, n, ret, err);
}
