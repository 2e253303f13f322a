/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * Operations within operations, for a thread that waits: it looks now and then whether anybody
 * still wants what it waits for.
 */
#include "base/clock.h"
#include "vfs_internal.h"
#include "waiter.h"

struct later {
    struct waiter w;
    struct pfs_reply *reply;
};

bool vfs_await(struct vfs *v, struct waiter *w, const struct pfs_request *req,
               struct pfs_error *err)
{
    while (!waiter_until(w, pfs_after(pfs_now(), LOOK_MS * PFS_MS))) {
        if (vfs_is_over(v, req, err)) {
            return false;
        }
    }
    return true;
}

static void later_done(void *arg, struct pfs_reply *reply)
{
    struct later *l = arg;

    *l->reply = *reply;
    waiter_signal(&l->w);
}

enum pfs_class vfs_work(struct vfs *v, void (*fn)(void *arg), void *arg, struct pfs_error *err)
{
    return pfs_pool_submit(v->pool, fn, arg, err);
}

bool vfs_run_later(struct vcall *c)
{
    struct pfs_driver *d = c->mount->driver;
    struct pfs_request req = c->req;
    struct later l = {.reply = &c->reply};

    if (!d->ops->submit || !d->ops->cancel || vfs_changes(req.op)) {
        return false;
    }
    req.ticket = &l;
    waiter_init(&l.w);
    bool taken = d->ops->submit(d, &req, later_done, &l);

    if (taken && !vfs_await(c->vfs, &l.w, &c->req, NULL)) {
        d->ops->cancel(d, &l);
        waiter_await(&l.w);
        if (c->reply.err.cls == PFS_CANCELLED) {
            vfs_is_over(c->vfs, &c->req, &c->reply.err);
        }
    }
    waiter_fini(&l.w);
    return taken;
}
