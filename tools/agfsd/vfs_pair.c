/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* Operations on two paths. */
#include "base/alloc.h"
#include "base/err.h"
#include "content.h"
#include "vfs_internal.h"
#include <string.h>

/* ---- rename ---- */

/* A link at the new path would hide what is renamed. Errors: EXISTS, NOMEM. */
static enum pfs_class check_no_link(struct vcall *c)
{
    char *target = links_target(c->vfs->links, c->req.path2, &c->reply.err);

    if (target) {
        pfs_free(target);
        pfs_refuse(&c->reply.err, PFS_EXISTS, "symlink already exists: %s", c->req.path2);
    }
    return c->reply.err.cls;
}

static void refuse_rename(struct vcall *c, const char *why)
{
    pfs_refuse(&c->reply.err, PFS_BADARG, "cannot rename%s", why);
    vfs_finish_here(c);
}

void vfs_start_rename(struct vcall *c, const char *rest)
{
    const char *to;

    if (check_no_link(c) != PFS_OK) {
        vfs_finish_here(c);
        return;
    }
    struct pfs_error err = {0};
    struct mount *m = vfs_take(c->vfs, c->req.path2, &to, &err);

    if (m) {
        vfs_release(m); /* c holds it when it is the same */
    }
    if (!m && err.cls != PFS_NOTFOUND) { /* it has a mount, which is not up */
        c->reply.err = err;
        vfs_finish_here(c);
    } else if (!m) {
        refuse_rename(c, ": paths not in same mounted filesystem");
    } else if (m != c->mount) {
        refuse_rename(c, " across different mounts");
    } else {
        c->req.path = rest;
        c->req.path2 = to;
        vfs_start(c);
    }
}

/* ---- copy ---- */

/*
 * On a worker: by the driver where both paths are its own and it can (a proxied mount asks its
 * remote), else from one driver into the other, so that the content stays on this server.
 */
struct copy {
    struct content_put *put;
    int64_t n;
    struct pfs_error *err;
};

static bool feed(void *arg, const char *data, size_t n)
{
    struct copy *k = arg;

    if (content_put(k->put, data, n, k->err) != PFS_OK) {
        return false;
    }
    k->n += (int64_t)n;
    return true;
}

/* to: the path in m, which is held. */
static void copy_here(struct vcall *c, struct mount *m, const char *to)
{
    struct pfs_error put_err = {.cls = PFS_OK};
    struct copy k = {.err = &put_err};
    struct pfs_request from_req = c->req, to_req = c->req;
    struct pfs_receipt *receipt = NULL;

    from_req.path = c->full;
    to_req.path = to;
    if (content_put_begin(c->vfs, m->driver, &to_req, &k.put, &c->reply.err) != PFS_OK) {
        return;
    }
    enum pfs_class cls = content_take(c->vfs, &from_req, feed, &k, &receipt, &c->reply.err);

    if (cls == PFS_OK && put_err.cls != PFS_OK) {
        c->reply.err = put_err;
    }
    bool commit = c->reply.err.cls == PFS_OK;

    content_put_end(k.put, commit, &c->reply.err);
    if (receipt) { /* what was taken out goes back, unless it may be at its target */
        bool failed = c->reply.err.cls != PFS_OK;

        receipt->end(receipt, failed && (!commit || c->reply.err.outcome == PFS_OUTCOME_NA));
    }
    c->reply.count = k.n;
}

/* By the driver of both. False: it cannot. */
static bool copy_there(struct vcall *c, const char *to)
{
    pfs_op_fn *fn = c->mount->driver->ops->op[PFS_OP_COPY];
    struct pfs_request req = c->req;

    if (!fn) {
        return false;
    }
    req.path2 = to;
    fn(c->mount->driver, &req, &c->reply);
    if (c->reply.err.cls != PFS_UNSUPPORTED) {
        return true;
    }
    pfs_reply_fini(&c->reply);
    return false;
}

void vfs_copy(struct vcall *c)
{
    const char *to;

    if (strcmp(c->full, c->req.path2) == 0) {
        pfs_refuse(&c->reply.err, PFS_BADARG, "copy: %s: source and target are the same file",
                   c->full);
        return;
    }
    struct mount *m = vfs_take(c->vfs, c->req.path2, &to, &c->reply.err);

    if (!m) {
        return;
    }
    if (m != c->mount || !copy_there(c, to)) {
        copy_here(c, m, to);
    }
    vfs_release(m);
}
