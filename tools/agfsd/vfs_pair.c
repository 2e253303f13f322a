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

/*
 * The mode of a file that was not there: its source's. Drivers give a mode of their own (0644), so
 * a file that others must not read is made empty first and closed to them. A driver that has no
 * modes, or does not let them be changed, says so, and there it does not matter.
 */
#define USUAL_MODE 0644u
#define SECRET_MODE 0600u

struct fresh {
    struct mount *mount;
    const char *path;
    uint32_t mode; /* 0: there is nothing to do */
    bool is_made;  /* goes again when nothing follows */
};

/* Has the driver of the target do it. False: it did not, *err says why. */
static bool fresh_do(struct vcall *c, const struct fresh *f, enum pfs_op op, uint32_t mode,
                     struct pfs_error *err)
{
    pfs_op_fn *fn = f->mount->driver->ops->op[op];
    struct pfs_request req = c->req;
    struct pfs_reply reply = {0};

    req.op = op;
    req.path = f->path;
    req.mode = mode;
    req.flags = 0;
    req.req_id = NULL; /* of the copy as a whole */
    if (op == PFS_OP_REMOVE) {
        req.host = NULL; /* whoever went, and whatever time is left */
        req.deadline_ns = 0;
    }
    if (fn) {
        fn(f->mount->driver, &req, &reply);
    } else {
        pfs_refuse(&reply.err, PFS_UNSUPPORTED, "copy: %s: operation not supported", f->path);
    }
    *err = reply.err;
    pfs_reply_fini(&reply);
    return err->cls == PFS_OK;
}

/* The mode that a copy of c's source has; 0: any. Errors: those of STAT. */
static enum pfs_class source_mode(struct vcall *c, uint32_t *ret)
{
    struct pfs_request req = c->req;
    struct pfs_reply reply = {0};
    const struct pfs_stat *st = &reply.stat;

    req.op = PFS_OP_STAT;
    req.path = c->full;
    vfs_run(c->vfs, &req, &reply);
    enum pfs_class cls = reply.err.cls == PFS_UNSUPPORTED ? PFS_OK : reply.err.cls;
    /* Of a control file it says what may be done with it, not who may see what it gave. */
    bool any = reply.err.cls != PFS_OK || st->is_dir ||
               (st->meta_type && strcmp(st->meta_type, "control") == 0);

    *ret = any ? 0 : st->mode & 0777;
    if (cls != PFS_OK) {
        c->reply.err = reply.err;
    }
    pfs_reply_fini(&reply);
    return cls;
}

/* Before the content goes to f->path. Errors: any; then nothing is left there. */
static enum pfs_class fresh_begin(struct vcall *c, struct fresh *f)
{
    struct pfs_error err;

    if (source_mode(c, &f->mode) != PFS_OK || f->mode == 0 || f->mode == USUAL_MODE) {
        f->mode = 0;
        return c->reply.err.cls;
    }
    if (fresh_do(c, f, PFS_OP_STAT, 0, &err) || err.cls == PFS_UNSUPPORTED) {
        f->mode = 0; /* what is there keeps its own */
        return PFS_OK;
    }
    if (err.cls != PFS_NOTFOUND) {
        c->reply.err = err;
        return err.cls;
    }
    if (USUAL_MODE & ~f->mode) {
        f->is_made = fresh_do(c, f, PFS_OP_CREATE, USUAL_MODE, &err);
    }
    if (f->is_made && !fresh_do(c, f, PFS_OP_CHMOD, SECRET_MODE, &err) &&
        err.outcome == PFS_OUTCOME_UN) {
        c->reply.err = err;
        fresh_do(c, f, PFS_OP_REMOVE, 0, &err);
    }
    return c->reply.err.cls;
}

/* After the content is there, or failed to come. */
static void fresh_end(struct vcall *c, const struct fresh *f)
{
    bool ok = c->reply.err.cls == PFS_OK;
    struct pfs_error err;

    if (ok && f->mode) {
        if (!fresh_do(c, f, PFS_OP_CHMOD, f->mode, &err) && err.outcome == PFS_OUTCOME_UN) {
            c->reply.err = err;
        }
    } else if (!ok && f->is_made && c->reply.err.outcome == PFS_OUTCOME_NA) {
        fresh_do(c, f, PFS_OP_REMOVE, 0, &err);
    }
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
        struct fresh f = {.mount = m, .path = to};

        if (fresh_begin(c, &f) == PFS_OK) {
            copy_here(c, m, to);
            fresh_end(c, &f);
        }
    }
    vfs_release(m);
}
