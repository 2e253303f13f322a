/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * Which operations of memfs take too long for an event loop: those that move, clear or free much
 * memory, and any that would wait for one of those to give the lock back.
 */
#include "base/op.h"
#include "driver_util.h"
#include "memfs.h"

static size_t distance(size_t a, size_t b)
{
    return a > b ? a - b : b - a;
}

static size_t read_effort(const struct mnode *n, int64_t at, int64_t size)
{
    size_t left = (uint64_t)at < n->len ? n->len - (size_t)at : 0;

    return size < 0 || (uint64_t)size > left ? left : (size_t)size;
}

/* Bytes to write, to clear before them, and of the old content. */
static size_t write_effort(const struct mnode *n, const struct pfs_request *req)
{
    bool replaces =
        req->op == PFS_OP_WRITE &&
        ((req->offset < 0 && !(req->flags & PFS_WRITE_APPEND)) || req->flags & PFS_WRITE_TRUNCATE);
    size_t at = req->offset > 0 ? (size_t)req->offset : 0, have = n ? n->len : 0;

    return req->len + (at > have ? at - have : 0) + (n && replaces ? n->cap : 0);
}

/* Bytes that the operation on n, or on nothing yet, will touch. */
static size_t effort(const struct mnode *n, int64_t pos, const struct pfs_request *req)
{
    if (req->op == PFS_OP_WRITE || req->op == PFS_OP_HANDLE_WRITE) {
        return write_effort(n, req);
    }
    if (!n) {
        return 0;
    }
    if (req->op == PFS_OP_READ || req->op == PFS_OP_HANDLE_READ) {
        return read_effort(n, req->offset >= 0 ? req->offset : pos, req->size);
    }
    if (req->op == PFS_OP_TRUNCATE || req->op == PFS_OP_HANDLE_TRUNCATE) {
        return req->size >= 0 ? distance((size_t)req->size, n->len) : 0;
    }
    if (req->op == PFS_OP_READDIR) {
        return n->n_kids * ENTRY_BYTES;
    }
    if (req->op == PFS_OP_REMOVE_ALL && n->n_kids > 0) {
        return LONG_BYTES; /* whatever is in there */
    }
    return req->op == PFS_OP_REMOVE || req->op == PFS_OP_REMOVE_ALL ||
                   (req->op == PFS_OP_HANDLE_OPEN && req->flags & PFS_OPEN_TRUNC) ||
                   (req->op == PFS_OP_HANDLE_CLOSE && !n->parent)
               ? n->cap
               : 0;
}

/* Has the operation a cost that depends on what is there? */
static bool has_effort(enum pfs_op op)
{
    return op == PFS_OP_READ || op == PFS_OP_WRITE || op == PFS_OP_TRUNCATE ||
           op == PFS_OP_READDIR || op == PFS_OP_REMOVE || op == PFS_OP_REMOVE_ALL ||
           op == PFS_OP_HANDLE_OPEN || op == PFS_OP_HANDLE_READ || op == PFS_OP_HANDLE_WRITE ||
           op == PFS_OP_HANDLE_TRUNCATE || op == PFS_OP_HANDLE_CLOSE;
}

static size_t effort_locked(struct memfs *m, const struct pfs_request *req)
{
    bool by_handle = op_is_by_handle(req->op);
    const struct mhandle *h = by_handle ? mhandle_find_locked(m, req->handle) : NULL;
    const struct mnode *n = !by_handle ? mnode_find_locked(m, req->path) : h ? h->node : NULL;

    return effort(n, h ? h->pos : 0, req);
}

bool memfs_is_long(struct pfs_driver *d, const struct pfs_request *req)
{
    struct memfs *m = memfs_of(d);
    bool changes = req->op != PFS_OP_READ && req->op != PFS_OP_READDIR && req->op != PFS_OP_STAT;

    if (!lock_soon(&m->lock, changes)) {
        return true;
    }
    size_t bytes = has_effort(req->op) ? effort_locked(m, req) : 0;

    pthread_rwlock_unlock(&m->lock);
    return bytes >= LONG_BYTES;
}
