/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* The steps of an operation: begin, encode. */
#include "fs/op.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "fs/parallel.h"
#include "fs/req_id.h"
#include "fs/secret.h"
#include <stdio.h>
#include <string.h>

#define DEADLINE_CAP_NS (3600 * PFS_SEC)
/* Data takes time: so much more for each MiB of the request (reliability bar C). */
#define NS_PER_MIB PFS_SEC
/* A part of a large write: better not in the way of others. */
#define BULK_WRITE (1u << 20)
/* What most small replies fit in. */
#define REPLY_ROOM 256

static void set_deadline(struct op *op, const struct pfs_request *req)
{
    int64_t now = pfs_now();
    int64_t own = op->client->options.timeout_ns + (int64_t)(req->len >> 20) * NS_PER_MIB;

    op->began_ns = now;
    if (req->op ==
        PFS_OP_COPY) { /* as long as it takes there; a dead peer is found by its silence */
        own = DEADLINE_CAP_NS;
    }
    op->deadline_ns = pfs_after(now, own);
    if (req->deadline_ns > 0) {
        op->deadline_ns = pfs_earlier(req->deadline_ns, now + DEADLINE_CAP_NS);
    }
}

/* A write that is more than "replace the whole file" (which is all that a stock server can do). */
static bool is_extended_write(const struct pfs_request *r)
{
    if (r->op != PFS_OP_WRITE && r->op != PFS_OP_OPEN_WRITE) {
        return false;
    }
    bool replaces = r->offset == -1 || (r->offset == 0 && (r->flags & PFS_WRITE_TRUNCATE));

    return !replaces || (r->flags & (PFS_WRITE_APPEND | PFS_WRITE_EXCLUSIVE | PFS_WRITE_SYNC)) ||
           (r->offset == 0 && !(r->flags & PFS_WRITE_CREATE));
}

enum pfs_class op_init(struct op *op, struct pfs_client *c, const struct pfs_request *req,
                       struct pfs_reply *reply)
{
    struct pfs_error *err = &reply->err;
    enum pfs_class cls = PFS_OK;

    memset(op, 0, offsetof(struct op, ex)); /* op_prepare makes the exchange */
    op->req_id[0] = op->first_boot[0] = '\0';
    op->client = c;
    op->req = *req;
    op->reply = reply;
    list_init(&op->node);
    cls = op_check(c, req, err);
    if (cls == PFS_OK && op_needs_path(req->op)) {
        cls = op_set_paths(op, req, err);
    }
    if (cls != PFS_OK) {
        return cls;
    }
    set_deadline(op, req);
    if (op_safety_of(req) != SAFETY_R) {
        if (req->req_id) {
            size_t n = strnlen(req->req_id, sizeof op->req_id - 1);

            *(char *)mempcpy(op->req_id, req->req_id, n) = '\0';
        } else if (!remote_is_stranger(c->remote)) { /* others would not remember it */
            req_id_make(op->req_id);
        }
    }
    op->hops[0] = req->hops ? (char)('0' + req->hops) : '\0'; /* HOPS_MAX keeps it a digit */
    op->hops[1] = '\0';
    if (remote_has_authorization(c->remote)) {
        op->authorization = remote_authorization(c->remote);
        if (!op->authorization) {
            return pfs_nomem(err, "a request");
        }
    }
    op->boot_serial = remote_boot_serial(c->remote);
    if (is_extended_write(&op->req)) {
        struct remote_knowledge k = remote_knows(c->remote);
        op->extended = k.features & FEATURE_OFFSET;
        op->step = op->extended ? STEP_MAIN : STEP_PROBE;
    }
    atomic_fetch_add_explicit(&remote_counters(c->remote)->calls, 1, memory_order_relaxed);
    return PFS_OK;
}

void op_release_exchange(struct op *op)
{
    if (op->ex_live) {
        exchange_release(&op->ex);
        wire_message_fini(&op->msg);
        op->ex_live = false;
    }
}

void op_fini(struct op *op)
{
    op_release_exchange(op);
    secret_free(op->authorization);
    if (op->paths != op->small_paths) {
        pfs_free(op->paths);
    }
}

const struct pfs_request *op_step_request(const struct op *op, struct pfs_request *room)
{
    const struct pfs_request *r = &op->req;

    if (op->step == STEP_MAIN) {
        return r;
    }
    struct pfs_request out = PFS_REQUEST_INIT;
    out.handle = op->handle;
    switch (op->step) {
    case STEP_MAIN:
        break;
    case STEP_PROBE:
        out.op = PFS_OP_CAPABILITIES;
        break;
    case STEP_OPEN:
        out.op = PFS_OP_HANDLE_OPEN;
        out.path = r->path;
        out.mode = r->mode ? r->mode : 0644;
        out.flags = PFS_OPEN_WRONLY | (r->flags & PFS_WRITE_APPEND ? PFS_OPEN_APPEND : 0) |
                    (r->flags & (PFS_WRITE_CREATE | PFS_WRITE_EXCLUSIVE) ? PFS_OPEN_CREATE : 0) |
                    (r->flags & PFS_WRITE_EXCLUSIVE ? PFS_OPEN_EXCL : 0) |
                    (r->flags & PFS_WRITE_TRUNCATE ? PFS_OPEN_TRUNC : 0);
        break;
    case STEP_WRITE:
        out.op = PFS_OP_HANDLE_WRITE;
        out.data = r->data;
        out.len = r->len;
        out.offset = r->offset;
        break;
    case STEP_SYNC:
        out.op = PFS_OP_HANDLE_SYNC;
        break;
    case STEP_CLOSE:
        out.op = PFS_OP_HANDLE_CLOSE;
        break;
    }
    *room = out;
    return room;
}

static void add_fields(struct op *op)
{
    struct exchange *ex = &op->ex;

    if (op->authorization && op->authorization[0]) {
        exchange_add_field(ex, "authorization", op->authorization, HPACK_NOTHING);
    }
    if (op->hops[0]) {
        exchange_add_field(ex, "agfs-hops", op->hops, HPACK_FIELD);
    }
    if (op->req_id[0] && op->step == STEP_MAIN) {
        exchange_add_field(ex, "x-req-id", op->req_id, HPACK_NAME);
    }
    if (op->req.op == PFS_OP_OPEN_READ && op->req.flags & PFS_READ_RANGE) {
        int64_t first = op->req.offset > 0 ? op->req.offset : 0, size = op->req.size;
        int64_t last = size > 0 && size <= INT64_MAX - first ? first + size - 1 : INT64_MAX;

        snprintf(op->range, sizeof op->range, "bytes=%lld-", (long long)first);
        if (last < INT64_MAX) {
            size_t n = strlen(op->range);
            snprintf(op->range + n, sizeof op->range - n, "%lld", (long long)last);
        }
        ex->range_first = first;
        ex->range_last = last;
        ex->room = op->req.flags & READ_HAS_ROOM ? (size_t)op->req.size : 0;
        ex->is_bulk = true;
        exchange_add_field(ex, "range", op->range, HPACK_NAME);
    }
    ex->is_bulk |= op->req.op == PFS_OP_HANDLE_WRITE && op->req.len >= BULK_WRITE;
    if (op->attempts > 0) {
        snprintf(op->attempt_text, sizeof op->attempt_text, "%u", op->attempts + 1);
        exchange_add_field(ex, "x-attempt", op->attempt_text, HPACK_NOTHING);
    }
    if (op->first_boot[0] && op->step == STEP_MAIN) { /* only that process may answer for it */
        snprintf(
            op->first_attempt, sizeof op->first_attempt, "%s;age=%lld", op->first_boot,
            (long long)((op->deadline_ns - op->began_ns) / PFS_MS)); /* it may wait on its way */
        exchange_add_field(ex, "x-first-attempt", op->first_attempt, HPACK_NOTHING);
    }
}

enum pfs_class op_prepare(struct op *op)
{
    struct pfs_request room;
    struct pfs_error err;
    struct exchange *ex = &op->ex;
    enum pfs_class cls = wire_encode(op_step_request(op, &room), op->client->options.base_path,
                                     op->extended, &op->msg, &err);

    if (cls != PFS_OK) {
        op_end_unsent(op, &err);
        return cls;
    }
    exchange_init(ex);
    op->ex_live = true;
    ex->method = op->msg.method;
    ex->target = op->msg.target;
    ex->content_type = op->msg.content_type;
    ex->body = op->msg.body;
    ex->body_len = op->msg.body_len;
    ex->reply_max = op->msg.reply_max;
    ex->deadline_ns = op->deadline_ns;
    ex->ready_ns = op->has_waited ? pfs_now() : op->began_ns;
    op->has_waited = true; /* before the next one */
    add_fields(op);
    if (!op_is_stream(op->req.op)) {
        /* Here, by the thread that frees it: the I/O thread would take it from an arena that is not
         * the caller's, which costs ten times as much. Without memory it is tried again there. */
        pfs_buf_room(&ex->reply, REPLY_ROOM);
    }
    atomic_fetch_add_explicit(&remote_counters(op->client->remote)->attempts, 1,
                              memory_order_relaxed);
    return PFS_OK;
}
