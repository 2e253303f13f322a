/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* The names in a reply: the remote's begin with remote_path, the caller knows them without. */
#include "base/alloc.h"
#include "base/err.h"
#include "base/path.h"
#include "base/reply.h"
#include "fs/op.h"
#include <string.h>

static const char *root_of(const struct op *op)
{
    return op->client->options.remote_path;
}

/* Makes an absolute name local in its place: it gets no longer. False: it is not below. */
static bool make_local(const struct op *op, char *name)
{
    char path[PFS_PATH_MAX + 1];
    const char *rest;

    if (pfs_path_normalize(name, strlen(name), path, NULL) != PFS_OK ||
        !pfs_path_below(path, root_of(op), &rest)) {
        return false;
    }
    memcpy(name, rest, strlen(rest) + 1);
    return true;
}

static enum pfs_class refuse(const struct op *op, struct pfs_reply *reply, enum pfs_class cls,
                             const char *what, const char *name)
{
    enum pfs_outcome outcome = cls == PFS_DENIED ? PFS_OUTCOME_NA : PFS_OUTCOME_UN;
    struct pfs_error err;

    pfs_fail(&err, cls, outcome, PFS_PHASE_REPLY, "%s: %s %.200s, which is not below %.200s",
             pfs_op_name(op->req.op), what, name, root_of(op));
    err.http_status = op->ex.head.status;
    pfs_reply_fini(reply);
    reply->err = err;
    return cls;
}

static enum pfs_class name_matches(const struct op *op, struct pfs_reply *reply)
{
    for (size_t i = 0; i < reply->n_matches; i++) {
        char *file = reply->matches[i].file;

        if (file[0] == '/' && !make_local(op, file)) {
            return refuse(op, reply, PFS_PAYLOAD, "a match in", file);
        }
    }
    return PFS_OK;
}

/* The target of a link that leads out has no name here: as it is, it would name something else. */
static enum pfs_class name_target(const struct op *op, struct pfs_reply *reply)
{
    char *target = reply->text;

    return target[0] != '/' || make_local(op, target)
               ? PFS_OK
               : refuse(op, reply, PFS_DENIED, "permission denied: the link leads to", target);
}

/* Opened through a link that leads out, a handle is as good; but what it is of has no name here. */
static void name_handle(const struct op *op, struct pfs_handle_info *h)
{
    if (h->path && !make_local(op, h->path)) {
        pfs_free(h->path);
        h->path = NULL;
    }
}

enum pfs_class op_name_locally(const struct op *op, struct pfs_reply *reply)
{
    if (strcmp(root_of(op), "/") == 0 || op->step != STEP_MAIN) {
        return PFS_OK;
    }
    if (op->req.op == PFS_OP_GREP) {
        return name_matches(op, reply);
    }
    if (op->req.op == PFS_OP_READLINK) {
        return name_target(op, reply);
    }
    if (op->req.op == PFS_OP_STAT && strcmp(op->req.path, root_of(op)) == 0 &&
        reply->stat.name[0]) {
        memcpy(reply->stat.name, "/", 2); /* a root, not what it is there */
    }
    name_handle(op, &reply->handle);
    return PFS_OK;
}
