/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* What is wrong with a request before anything is sent: INVALID, DENIED or SHUTDOWN, not applied;
 * and its paths as the remote knows them. */
#include "base/alloc.h"
#include "base/err.h"
#include "base/path.h"
#include "fs/op.h"
#include <string.h>

/* Whatever flag it is that a handle is opened with: only to read has none. */
static bool is_modification(const struct pfs_request *req)
{
    enum pfs_op op = req->op;

    return op_safety(op) != SAFETY_R && op != PFS_OP_READ && op != PFS_OP_OPEN_READ &&
           op != PFS_OP_HANDLE_READ && op != PFS_OP_HANDLE_SEEK && op != PFS_OP_HANDLE_STREAM &&
           op != PFS_OP_HANDLE_CLOSE && (op != PFS_OP_HANDLE_OPEN || req->flags != PFS_OPEN_RDONLY);
}

static enum pfs_class check_numbers(const struct pfs_request *r, struct pfs_error *err)
{
    bool write = r->op == PFS_OP_WRITE || r->op == PFS_OP_OPEN_WRITE;

    if (r->len > 0 && !r->data) {
        return pfs_refuse(err, PFS_INVALID, "%s: no data given for %zu bytes", pfs_op_name(r->op),
                          r->len);
    }
    if (r->deadline_ns < 0) {
        return pfs_refuse(err, PFS_INVALID, "%s: the deadline is negative", pfs_op_name(r->op));
    }
    if (r->op == PFS_OP_HANDLE_SEEK) {
        return PFS_OK; /* backwards is a direction */
    }
    if (r->offset < -1 || r->size < -1 || (r->offset > 0 && r->size > INT64_MAX - r->offset)) {
        return pfs_refuse(err, PFS_INVALID, "%s: offset %lld or size %lld is out of range",
                          pfs_op_name(r->op), (long long)r->offset, (long long)r->size);
    }
    if (write && (r->flags & ~PFS_WRITE_ALL_FLAGS)) {
        return pfs_refuse(err, PFS_INVALID, "%s: unknown flags %#x", pfs_op_name(r->op), r->flags);
    }
    if (write && (r->flags & PFS_WRITE_APPEND) && r->offset >= 0) {
        return pfs_refuse(err, PFS_INVALID, "%s: append and an offset exclude each other",
                          pfs_op_name(r->op));
    }
    if (r->op == PFS_OP_TRUNCATE && r->size < 0) {
        return pfs_refuse(err, PFS_INVALID, "truncate: size must be non-negative");
    }
    if (r->mode > 07777) {
        return pfs_refuse(err, PFS_INVALID, "%s: mode %#o is out of range", pfs_op_name(r->op),
                          r->mode);
    }
    if ((r->op == PFS_OP_DIGEST || r->op == PFS_OP_GREP || r->op == PFS_OP_MOUNT) && !r->text) {
        return pfs_refuse(err, PFS_INVALID, "%s: %s is required", pfs_op_name(r->op),
                          r->op == PFS_OP_DIGEST ? "algorithm"
                          : r->op == PFS_OP_GREP ? "pattern"
                                                 : "fstype");
    }
    return PFS_OK;
}

enum pfs_class op_check(const struct pfs_client *c, const struct pfs_request *req,
                        struct pfs_error *err)
{
    if (client_is_inherited(c)) {
        return pfs_refuse(err, PFS_SHUTDOWN,
                          "the process was forked: the child must make a client of its own");
    }
    if ((unsigned)req->op >= PFS_N_OPS) {
        return pfs_refuse(err, PFS_INVALID, "unknown operation %u", (unsigned)req->op);
    }
    if (c->options.read_only && is_modification(req)) {
        return pfs_refuse(err, PFS_DENIED, "%s: permission denied (the mount is read-only)",
                          pfs_op_name(req->op));
    }
    if (req->hops >= HOPS_MAX) {
        return pfs_refuse(err, PFS_INVALID,
                          "too many servers in a row (%u): the mounts form a loop", req->hops);
    }
    if (req->op == PFS_OP_HANDLE_REPLACE && !(remote_knows(c->remote).features & FEATURE_PARTS)) {
        return pfs_refuse(err, PFS_UNSUPPORTED, "%s: not supported by the remote",
                          pfs_op_name(req->op));
    }
    return check_numbers(req, err);
}

/* A name without its begin is a mistake: "" must not be the root. */
static enum pfs_class check_path(const char *path, struct pfs_error *err)
{
    if (!path) {
        return pfs_refuse(err, PFS_INVALID, "path is required");
    }
    return path[0] == '/' ? PFS_OK : pfs_refuse(err, PFS_INVALID, "a path begins with '/'");
}

static enum pfs_class check_paths(const struct pfs_request *req, struct pfs_error *err)
{
    enum pfs_class cls = check_path(req->path, err);

    if (cls == PFS_OK && op_has_two_paths(req->op)) {
        cls = check_path(req->path2, err);
    }
    if (cls == PFS_OK && req->op == PFS_OP_SYMLINK && !req->path2) {
        cls = pfs_refuse(err, PFS_INVALID, "target is required");
    }
    return cls;
}

/* The remote's name of `path`: normalised, below remote_path. dst has PFS_PATH_MAX + 1 bytes. */
static enum pfs_class remote_name(const struct pfs_client *c, const char *path, char *dst,
                                  struct pfs_error *err)
{
    char local[PFS_PATH_MAX + 1];

    if (strcmp(c->options.remote_path, "/") == 0) {
        return pfs_path_normalize(path, strlen(path), dst, err);
    }
    enum pfs_class cls = pfs_path_normalize(path, strlen(path), local, err);
    if (cls == PFS_OK && !pfs_path_join(dst, c->options.remote_path, local)) {
        cls = pfs_refuse(err, PFS_INVALID, "path with remote_path before it: file name too long");
    }
    return cls;
}

/* The usual path: normalised in its place, where it takes at most a '/' more than it did. */
static bool stays_small(const struct op *op, const struct pfs_request *req)
{
    return !op_has_two_paths(req->op) && req->op != PFS_OP_SYMLINK &&
           strcmp(op->client->options.remote_path, "/") == 0 &&
           strnlen(req->path, sizeof op->small_paths) + 2 <= sizeof op->small_paths;
}

/* A link's absolute target is a name as the caller knows it, as much as the link's own. */
static bool has_target_below(const struct op *op, const struct pfs_request *req)
{
    return req->op == PFS_OP_SYMLINK && req->path2 && req->path2[0] == '/' &&
           strcmp(op->client->options.remote_path, "/") != 0;
}

static PFS_APART enum pfs_class set_large_paths(struct op *op, const struct pfs_request *req,
                                                struct pfs_error *err)
{
    char first[PFS_PATH_MAX + 1], second[PFS_PATH_MAX + 1];
    bool two = op_has_two_paths(req->op) || has_target_below(op, req);

    second[0] = '\0';
    enum pfs_class cls = remote_name(op->client, req->path, first, err);
    if (cls == PFS_OK && two) {
        cls = remote_name(op->client, req->path2, second, err);
    }
    if (cls != PFS_OK) {
        return cls;
    }
    size_t n = strlen(first) + 1, m = strlen(second) + 1;
    op->paths = n + m <= sizeof op->small_paths ? op->small_paths : pfs_malloc(n + m);
    if (!op->paths) {
        return pfs_nomem(err, "a path");
    }
    memcpy(op->paths, first, n);
    memcpy(op->paths + n, second, m);
    op->req.path = op->paths;
    op->req.path2 = two ? op->paths + n : req->path2;
    return PFS_OK;
}

enum pfs_class op_set_paths(struct op *op, const struct pfs_request *req, struct pfs_error *err)
{
    enum pfs_class cls = check_paths(req, err);

    if (cls != PFS_OK || !stays_small(op, req)) {
        return cls == PFS_OK ? set_large_paths(op, req, err) : cls;
    }
    op->req.path = op->paths = op->small_paths;
    return pfs_path_normalize(req->path, strlen(req->path), op->small_paths, err);
}
