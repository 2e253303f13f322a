/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * One operation on the tree: resolve its paths, hold the mount, have the driver do it in the way
 * that suits the driver, complete the reply with what the mount layer knows, deliver it.
 */
#include "vfs.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/cold.h"
#include "base/err.h"
#include "base/op.h"
#include "base/reply.h"
#include "body_share.h"
#include "vfs_internal.h"
#include <string.h>

/* ---- the end of a call ---- */

static void deliver(struct post *p)
{
    struct vcall *c = container_of(p, struct vcall, post);

    struct loop *loop = c->loop;
    size_t share = c->share;

    c->done(c->arg, &c->reply);
    share_give(share); /* the response counts by itself */
    if (loop) {
        http_free(loop, c);
    } else {
        pfs_free(c);
    }
}

/* A name of its own for the root of a mount: the last component of where it is mounted. */
static void name_mount_root(struct vcall *c)
{
    struct pfs_stat *st = &c->reply.stat;

    if (strcmp(c->req.path, "/") == 0 && c->mount->path[1] && st->name &&
        strcmp(st->name, "/") == 0) {
        char *name = pfs_strdup(pfs_path_base(c->mount->path));

        if (name) {
            pfs_free(st->name);
            st->name = name;
        }
    }
}

/* A driver that searches itself names files as it knows them. */
static void name_matches(struct vcall *c)
{
    struct pfs_reply *r = &c->reply;
    char path[PFS_PATH_MAX + 1];

    for (size_t i = 0; i < r->n_matches; i++) {
        char *name =
            pfs_path_join(path, c->mount->path, r->matches[i].file) ? pfs_strdup(path) : NULL;

        if (name) {
            pfs_free(r->matches[i].file);
            r->matches[i].file = name;
        }
    }
}

/* What the mount layer adds to a driver's reply. */
static void complete_reply(struct vcall *c)
{
    struct pfs_reply *r = &c->reply;

    if (r->err.cls == PFS_NOTFOUND && c->full &&
        (c->req.op == PFS_OP_STAT || c->req.op == PFS_OP_READDIR) &&
        vfs_is_virtual_dir(c->vfs, c->full)) {
        pfs_reply_fini(r);
        vfs_virtual(c->vfs, pfs_op_name(c->req.op), c);
        return;
    }
    if (r->err.cls == PFS_OK && r->stream) {
        r->stream = vfs_stream_wrap(c->vfs, c->mount, c->full ? c->full : "", r->stream);
        if (!r->stream) {
            pfs_nomem(&r->err, "a stream");
        }
    }
    if (r->receipt) {
        r->receipt = vfs_receipt_wrap(c->mount, r->receipt);
    }
    if ((c->req.op == PFS_OP_HANDLE_CLOSE || c->req.op == PFS_OP_HANDLE_COMMIT) &&
        (r->err.cls == PFS_OK || r->err.cls == PFS_NOTFOUND)) {
        vfs_handle_forget(c->vfs, c->handle);
    }
    if (c->slot) {
        vfs_handle_settle(c);
    }
    if (r->err.cls != PFS_OK) {
        return;
    }
    if (c->req.op == PFS_OP_READ || c->req.op == PFS_OP_OPEN_READ) {
        r->plain |= c->mount->driver->ops->plain_reads;
    }
    if (c->req.op == PFS_OP_STAT) {
        name_mount_root(c);
    } else if (c->req.op == PFS_OP_READDIR) {
        vfs_add_children(c->vfs, c->asked, r);
    } else if (c->req.op == PFS_OP_HANDLE_RENEW) {
        vfs_handle_describe(c, c->req.size);
    } else if (c->req.op == PFS_OP_GREP && c->fn) {
        name_matches(c);
    } else if (c->req.op == PFS_OP_READLINK) {
        vfs_name_link_target(c);
    }
}

/* The driver is done with the call. Any thread. */
void vfs_finish(struct vcall *c)
{
    if (!vfs_fate_end(c->vfs, c->req.host)) {
        return;
    }
    if (c->mount) {
        complete_reply(c);
        vfs_release(c->mount);
        c->mount = NULL;
    }
    if (c->loop) {
        http_complete(c->loop, &c->post);
    } else {
        deliver(&c->post);
    }
}

/* The same on the thread that submitted it. */
void vfs_finish_here(struct vcall *c)
{
    vfs_fate_end(c->vfs, c->req.host);
    if (c->mount) {
        complete_reply(c);
        vfs_release(c->mount);
    }
    deliver(&c->post);
}

/* ---- having it done ---- */

static void run_op(struct vcall *c)
{
    struct pfs_driver *d = c->mount ? c->mount->driver : NULL;
    size_t outer = share_begin();

    if (c->fn) {
        c->fn(d, &c->req, &c->reply);
    } else if (c->req.op == PFS_OP_TOUCH) {
        vfs_local_touch(c);
    } else if (c->req.op == PFS_OP_DIGEST) {
        vfs_local_digest(c);
    } else if (c->req.op == PFS_OP_COPY) {
        vfs_copy(c);
    } else {
        vfs_local_grep(c);
    }
    if (c->req.op == PFS_OP_OPEN_READ && !(c->req.flags & PFS_READ_RANGE)) {
        vfs_stream_inline(&c->reply);
    }
    c->share = share_complete(share_end(outer), &c->reply);
}

static void job(void *arg)
{
    struct vcall *c = arg;

    if (pfs_now() >= c->req.deadline_ns) {
        pfs_fail(&c->reply.err, PFS_TIMEOUT, PFS_OUTCOME_NA, PFS_PHASE_QUEUE,
                 "%s: %s: waited too long for a worker", pfs_op_name(c->req.op),
                 c->full ? c->full : "handle");
    } else if (vfs_fate_begin(c->req.host, &c->reply.err)) {
        run_op(c);
    }
    vfs_finish(c);
}

static void submitted_done(void *arg, struct pfs_reply *reply)
{
    struct vcall *c = arg;

    c->reply = *reply;
    c->share = share_complete(0, reply);
    vfs_finish(c);
}

/* True: the operation is done by the mount layer where the driver does not know it. */
static bool is_local(enum pfs_op op)
{
    return op == PFS_OP_TOUCH || op == PFS_OP_DIGEST || op == PFS_OP_GREP || op == PFS_OP_COPY;
}

static void unsupported(struct vcall *c)
{
    pfs_refuse(&c->reply.err, PFS_UNSUPPORTED, "%s: %s: operation not supported",
               c->req.op == PFS_OP_HANDLE_OPEN ? "openhandle" : pfs_op_name(c->req.op),
               c->full ? c->full : "handle");
}

/* Sets c->fn to the driver's function; a driver without streams is asked to READ instead. */
static void choose_op(struct vcall *c)
{
    const struct pfs_driver_ops *ops = c->mount ? c->mount->driver->ops : NULL;

    if (ops && !ops->ranges && c->req.op == PFS_OP_OPEN_READ && c->req.flags & PFS_READ_RANGE) {
        c->req.flags &= ~PFS_READ_RANGE;
        c->req.offset = c->req.size = -1;
    }
    if (ops && c->req.op == PFS_OP_OPEN_READ && !ops->op[PFS_OP_OPEN_READ]) {
        c->req.op = PFS_OP_READ;
    }
    c->fn = ops && c->req.op != PFS_OP_COPY ? ops->op[c->req.op] : NULL; /* see vfs_copy */
}

/*
 * Has the driver answer later, if it does, and in a time of its own (a mount's option timeout)
 * unless the request names one. A change has begun when the driver has it.
 */
static bool submit(struct vcall *c)
{
    const struct pfs_driver_ops *ops = c->mount ? c->mount->driver->ops : NULL;
    struct pfs_request req = c->req;

    if (!c->fn || !ops->submit) {
        return false;
    }
    if (c->own_deadline) {
        req.deadline_ns = 0;
    }
    if (req.op == PFS_OP_OPEN_READ) {
        req.flags |= PFS_READ_INLINE;
    }
    vfs_fate_submit(c, &req);
    if (ops->submit(c->mount->driver, &req, submitted_done, c)) {
        return true;
    }
    vfs_fate_refused(c);
    return false;
}

/* Starts a call whose mount is held (or NULL for a local operation on a virtual directory). */
void vfs_start(struct vcall *c)
{
    const struct pfs_driver_ops *ops = c->mount ? c->mount->driver->ops : NULL;

    choose_op(c);
    if (!c->fn && !is_local(c->req.op)) {
        unsupported(c);
        vfs_finish_here(c);
    } else if (!vfs_handle_reserve(c)) {
        vfs_finish_here(c);
    } else if (c->fn && ops->nonblocking &&
               !(ops->is_long && ops->is_long(c->mount->driver, &c->req))) {
        run_op(c);
        vfs_finish_here(c);
    } else if (!submit(c)) {
        struct pfs_pool *pool = c->mount ? c->mount->pool : c->vfs->pool;

        if (pfs_pool_submit(pool, job, c, &c->reply.err) != PFS_OK) {
            vfs_finish_here(c);
        }
    }
}

/* ---- finding out what it is about ---- */

static void start_by_path(struct vcall *c)
{
    const char *rest = "/";

    if (vfs_fate_wait(c)) {
        return;
    }
    if (!vfs_follows_last(c->req.op) && vfs_serve_links(c)) {
        return;
    }
    c->mount = vfs_take(c->vfs, c->full, &rest, &c->reply.err);
    if (!c->mount && c->reply.err.cls != PFS_NOTFOUND) {
        vfs_finish_here(c);
        return;
    }
    if (!c->mount) {
        c->reply.err = (struct pfs_error){0};
    }
    if (c->req.op == PFS_OP_SYMLINK) {
        vfs_start_symlink(c, rest);
    } else if (c->req.op == PFS_OP_STAT && c->full[1] == '\0' && c->mount) {
        vfs_release(c->mount); /* the root is always the server's own */
        c->mount = NULL;
        vfs_virtual(c->vfs, "stat", c);
        vfs_finish_here(c);
    } else if (!c->mount && !(c->req.op == PFS_OP_GREP && vfs_is_virtual_dir(c->vfs, c->full))) {
        vfs_virtual(c->vfs, pfs_op_name(c->req.op), c);
        vfs_finish_here(c);
    } else if (c->req.op == PFS_OP_RENAME) {
        vfs_start_rename(c, rest);
    } else if (c->req.op == PFS_OP_READLINK && !c->mount->driver->ops->op[PFS_OP_READLINK]) {
        pfs_refuse(&c->reply.err, PFS_NOTFOUND, "readlink: %s: not found", c->full);
        vfs_finish_here(c);
    } else {
        c->req.path = rest;
        vfs_start(c);
    }
}

static void start(struct vcall *c)
{
    if (op_is_by_handle(c->req.op)) {
        vfs_start_by_handle(c);
    } else {
        start_by_path(c);
    }
}

void vfs_restart(struct vcall *c)
{
    struct vfs_fate *f = c->req.host;

    c->post.fn = deliver;
    if (f && atomic_load(&f->state) == FATE_GIVEN_UP) {
        vfs_fate_begin(f, &c->reply.err);
        vfs_finish_here(c);
    } else {
        start(c);
    }
}

/* ---- entering ---- */

/* Normalises and resolves the paths of req. */
static enum pfs_class resolve(struct vfs *v, const struct pfs_request *req, char *asked, char *full,
                              char *second, struct pfs_error *err)
{
    enum pfs_class cls;

    second[0] = '\0';
    cls = pfs_path_normalize(req->path, strlen(req->path), asked, err);
    if (cls == PFS_OK) {
        cls = links_resolve(v->links, asked, vfs_follows_last(req->op), full, err);
    }
    if (cls == PFS_OK && op_has_two_paths(req->op)) {
        char to[PFS_PATH_MAX + 1];

        cls = pfs_path_normalize(req->path2, strlen(req->path2), to, err);
        if (cls == PFS_OK) {
            cls = links_resolve(v->links, to, vfs_follows_last(req->op), second, err);
        }
    }
    return cls;
}

static struct vcall *call_new(struct vfs *v, struct loop *loop, const struct pfs_request *req,
                              const char *asked, const char *full, const char *second)
{
    size_t n_asked = strlen(asked) + 1, n_full = strlen(full) + 1, n_second = strlen(second) + 1;
    size_t size = sizeof(struct vcall) + n_asked + n_full + n_second;
    struct vcall *c = loop ? http_alloc(loop, size) : pfs_malloc(size);

    if (!c) {
        return NULL;
    }
    memset(c, 0, offsetof(struct vcall, reply));
    pfs_reply_init(&c->reply);
    c->post.fn = deliver;
    c->vfs = v;
    c->loop = loop;
    c->req = *req;
    c->own_deadline = c->req.deadline_ns == 0;
    if (c->own_deadline) {
        int64_t ms = req->op == PFS_OP_COPY ? COPY_DEADLINE_MS : OP_DEADLINE_MS;

        c->req.deadline_ns = pfs_after(pfs_now(), ms * PFS_MS);
    }
    if (full[0]) {
        c->asked = memcpy((char *)(c + 1), asked, n_asked);
        c->full = memcpy((char *)(c + 1) + n_asked, full, n_full);
        c->req.path = c->full;
    }
    if (second[0]) {
        c->full2 = memcpy((char *)(c + 1) + n_asked + n_full, second, n_second);
        c->req.path2 = c->full2;
    }
    return c;
}

/* NULL: *err says why not. */
static PFS_APART struct vcall *call_of(struct vfs *v, struct loop *loop,
                                       const struct pfs_request *req, struct pfs_error *err)
{
    char asked[PFS_PATH_MAX + 1], full[PFS_PATH_MAX + 1], second[PFS_PATH_MAX + 1];
    struct vcall *c = NULL;

    asked[0] = full[0] = second[0] = '\0'; /* not zeroed: 12 KiB a call */
    if (req->op == PFS_OP_HANDLE_COMMIT || req->op == PFS_OP_HANDLE_WRITE ||
        req->op == PFS_OP_HANDLE_TRUNCATE) {
        vfs_handle_path(v, req->handle, full);
    }
    if (op_is_by_handle(req->op) || resolve(v, req, asked, full, second, err) == PFS_OK) {
        c = call_new(v, loop, req, asked, full, second);
        if (!c) {
            pfs_nomem(err, "a request");
        }
    }
    return c;
}

void vfs_submit(struct vfs *v, struct loop *loop, const struct pfs_request *req, pfs_done_fn *done,
                void *arg)
{
    struct pfs_error err;
    struct vcall *c = call_of(v, loop, req, &err);

    if (!c) {
        struct pfs_reply failed = {.err = err};

        done(arg, &failed);
        return;
    }
    c->done = done;
    c->arg = arg;
    c->handle = req->handle;
    start(c);
}

/* ---- on the calling thread ---- */

void vfs_run(struct vfs *v, const struct pfs_request *req, struct pfs_reply *reply)
{
    char asked[PFS_PATH_MAX + 1], full[PFS_PATH_MAX + 1], second[PFS_PATH_MAX + 1];
    const char *rest;

    if (resolve(v, req, asked, full, second, &reply->err) != PFS_OK ||
        links_resolve(v->links, full, true, full, &reply->err) != PFS_OK) {
        return;
    }
    struct vcall *c = call_new(v, NULL, req, asked, full, second);

    if (!c) {
        pfs_nomem(&reply->err, "a request");
        return;
    }
    c->mount = vfs_take(v, full, &rest, &c->reply.err);
    if (!c->mount && c->reply.err.cls == PFS_NOTFOUND) {
        c->reply.err = (struct pfs_error){0};
        vfs_virtual(v, pfs_op_name(req->op), c);
    } else if (c->mount) {
        c->req.path = rest;
        choose_op(c);
        if (!c->fn) {
            unsupported(c);
        } else if (!vfs_run_later(c)) {
            run_op(c);
        }
        complete_reply(c);
        vfs_release(c->mount);
    }
    *reply = c->reply;
    share_give(c->share);
    pfs_free(c);
}
