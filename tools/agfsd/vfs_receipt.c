/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * Receipts that hold their mount until their end, and those of handles that were opened. What may
 * block in that end is done by a worker.
 */
#include "base/alloc.h"
#include "vfs_internal.h"

struct vreceipt {
    struct pfs_receipt base;
    struct mount *mount;
    struct pfs_receipt *inner;
};

static void end_it(struct vreceipt *vr, bool lost)
{
    struct mount *m = vr->mount;

    vr->inner->end(vr->inner, lost);
    pfs_free(vr);
    vfs_release(m);
}

static void take_back(void *arg)
{
    end_it(arg, true);
}

static void receipt_end(struct pfs_receipt *r, bool lost)
{
    struct vreceipt *vr = container_of(r, struct vreceipt, base);

    if (!lost || vr->mount->driver->ops->nonblocking ||
        pfs_pool_submit(vr->mount->pool, take_back, vr, NULL) != PFS_OK) {
        end_it(vr, lost);
    }
}

struct pfs_receipt *vfs_receipt_wrap(struct mount *m, struct pfs_receipt *r)
{
    struct vreceipt *vr = pfs_calloc(1, sizeof *vr);

    if (!vr) {
        r->end(r, false);
        return NULL;
    }
    *vr = (struct vreceipt){.base = {receipt_end}, .mount = m, .inner = r};
    atomic_fetch_add(&m->in_flight, 1); /* the caller holds it */
    return &vr->base;
}

/* ---- of a handle ---- */

struct hreceipt {
    struct pfs_receipt base;
    struct vfs *vfs;
    uint64_t handle;
};

static void handle_end(struct pfs_receipt *r, bool lost)
{
    struct hreceipt *hr = container_of(r, struct hreceipt, base);

    if (lost) {
        vfs_handle_abandon(hr->vfs, hr->handle);
    }
    pfs_free(hr);
}

struct pfs_receipt *vfs_receipt_of_handle(struct vfs *v, uint64_t id)
{
    struct hreceipt *hr = pfs_malloc(sizeof *hr);

    if (!hr) {
        return NULL;
    }
    *hr = (struct hreceipt){{handle_end}, v, id};
    return &hr->base;
}
