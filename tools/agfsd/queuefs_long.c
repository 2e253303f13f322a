/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * Which operations of queuefs take too long for an event loop, where the backend does not block:
 * those that copy and spell long messages, list or free many, and any that would wait for one of
 * those.
 */
#include "driver_util.h"
#include "queuefs.h"

#define SPELLING 8 /* what a byte of a message costs as JSON, in bytes moved */

size_t queuefs_effort(struct queuefs *q, const struct queue_path *p, bool write, size_t len)
{
    struct queue_backend *b = q->backend;
    enum queue_effort what = QUEUE_EFFORT_NONE;

    if (write && p->file == QUEUE_CLEAR) {
        what = QUEUE_EFFORT_ALL;
    } else if (!write && (p->file == QUEUE_DEQUEUE || p->file == QUEUE_PEEK)) {
        what = QUEUE_EFFORT_MESSAGE;
    }
    size_t n = b->ops->effort(b, p->name, what);

    if (what == QUEUE_EFFORT_MESSAGE && n < LONG_BYTES) {
        n *= SPELLING;
    }
    return n == SIZE_MAX ? n : n + (write ? len : 0);
}

static size_t effort(struct queuefs *q, const struct pfs_request *req)
{
    struct queue_path p;

    if (req->op >= PFS_OP_HANDLE_READ && req->op <= PFS_OP_HANDLE_STREAM) {
        return queuefs_handle_effort(q, req);
    }
    if (req->op == PFS_OP_HANDLE_OPEN || req->op == PFS_OP_HANDLE_CLOSE ||
        queuefs_parse(req->path, &p, NULL) != PFS_OK) {
        return 0;
    }
    if (req->op == PFS_OP_READ || req->op == PFS_OP_WRITE) {
        return queuefs_effort(q, &p, req->op == PFS_OP_WRITE, req->len);
    }
    return q->backend->ops->effort(q->backend, p.name,
                                   req->op == PFS_OP_REMOVE_ALL ? QUEUE_EFFORT_ALL
                                   : req->op == PFS_OP_READDIR  ? QUEUE_EFFORT_NAMES
                                                                : QUEUE_EFFORT_NONE);
}

bool queuefs_is_long(struct pfs_driver *d, const struct pfs_request *req)
{
    return effort(queuefs_of(d), req) >= LONG_BYTES;
}
