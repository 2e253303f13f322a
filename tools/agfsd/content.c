/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "content.h"
#include "base/alloc.h"
#include "base/buf.h"
#include "base/err.h"
#include "meters.h"
#include "vfs_internal.h"
#include "waiter.h"

#define PIECE (256u << 10)

/* Takes the stream. */
static enum pfs_class read_stream(struct vfs *v, struct pfs_stream *s,
                                  const struct pfs_request *req, content_fn *fn, void *arg,
                                  struct pfs_error *err)
{
    char *buf = pfs_malloc(PIECE);
    enum pfs_class cls = buf ? PFS_OK : pfs_nomem(err, "a file's content");
    bool given_up = false;
    struct waiter w;

    waiter_init(&w);
    while (cls == PFS_OK) {
        if (vfs_is_over(v, req, err)) {
            cls = err->cls;
            break;
        }
        s->ops->read(s, buf, PIECE, waiter_io, &w);
        given_up = !vfs_await(v, &w, req, err);
        if (given_up) {
            cls = err->cls;
        } else if (w.err.cls != PFS_OK) {
            cls = w.err.cls;
            *err = w.err;
        } else if (w.n == 0 || !fn(arg, buf, w.n)) {
            break;
        }
    }
    s->ops->close(s);
    if (given_up) { /* the read in flight ends now: then w and buf are free */
        waiter_await(&w);
    }
    waiter_fini(&w);
    pfs_free(buf);
    return cls;
}

enum pfs_class content_take(struct vfs *v, const struct pfs_request *req, content_fn *fn, void *arg,
                            struct pfs_receipt **ret_receipt, struct pfs_error *err)
{
    struct pfs_request open = *req;
    struct pfs_reply reply = {0};
    enum pfs_class cls;

    open.op = PFS_OP_OPEN_READ;
    open.offset = open.size = -1;
    open.flags = 0; /* those of req are another operation's */
    vfs_run(v, &open, &reply);
    cls = reply.err.cls;
    if (cls != PFS_OK) {
        *err = reply.err;
    } else if (reply.stream) {
        struct pfs_stream *s = reply.stream;

        reply.stream = NULL;
        cls = read_stream(v, s, req, fn, arg, err);
    } else if (reply.len > 0) {
        fn(arg, reply.data, reply.len);
    }
    *ret_receipt = reply.receipt;
    reply.receipt = NULL;
    pfs_reply_fini(&reply);
    return cls;
}

enum pfs_class content_read(struct vfs *v, const struct pfs_request *req, content_fn *fn, void *arg,
                            struct pfs_error *err)
{
    struct pfs_receipt *receipt;
    enum pfs_class cls = content_take(v, req, fn, arg, &receipt, err);

    if (receipt) {
        receipt->end(receipt, false); /* somebody has seen it */
    }
    return cls;
}

/* ---- writing ---- */

struct content_put {
    struct vfs *vfs;
    struct pfs_driver *driver;
    const struct pfs_request *req;
    struct pfs_stream *stream; /* NULL: gathered */
    struct pfs_buf gathered;
    struct waiter w;
};

enum pfs_class content_put_begin(struct vfs *v, struct pfs_driver *d, const struct pfs_request *req,
                                 struct content_put **ret, struct pfs_error *err)
{
    struct content_put *p = pfs_calloc(1, sizeof *p);
    struct pfs_request open = *req;
    struct pfs_reply reply = {0};
    pfs_op_fn *fn = d->ops->op[PFS_OP_OPEN_WRITE];

    if (!p) {
        return pfs_nomem(err, "a file's content");
    }
    p->vfs = v;
    p->driver = d;
    p->req = req;
    waiter_init(&p->w);
    open.op = PFS_OP_OPEN_WRITE;
    open.offset = open.size = -1;
    open.flags = PFS_WRITE_CREATE | PFS_WRITE_TRUNCATE;
    if (fn) {
        fn(d, &open, &reply);
    }
    if (reply.err.cls != PFS_OK && reply.err.cls != PFS_UNSUPPORTED) {
        *err = reply.err;
        content_put_end(p, false, NULL);
        return err->cls;
    }
    p->stream = reply.stream;
    *ret = p;
    return PFS_OK;
}

/* What is gathered counts with the bodies of requests. */
static enum pfs_class gather(struct content_put *p, const char *data, size_t n,
                             struct pfs_error *err)
{
    if (!gauge_take(GAUGE_BODY_MEMORY, (int64_t)n)) {
        meter_hit(METER_BODY_MEMORY, NULL, NULL);
        return pfs_refuse(err, PFS_OVERLOAD,
                          "%s: too many bodies are in memory; nothing has changed", p->req->path);
    }
    if (!pfs_buf_add(&p->gathered, data, n)) {
        gauge_add(GAUGE_BODY_MEMORY, -(int64_t)n);
        return pfs_nomem(err, "a file's content");
    }
    return PFS_OK;
}

/* Waits for the call in flight, *err: its end. False: given up, with the stream. */
static bool await_call(struct content_put *p, const struct pfs_request *req, struct pfs_error *err)
{
    bool ended = vfs_await(p->vfs, &p->w, req, err);

    if (ended) {
        *err = p->w.err;
    } else { /* what was to be written is the caller's again, and p->w ours, when it has ended */
        p->stream->ops->close(p->stream);
        p->stream = NULL;
        waiter_await(&p->w);
    }
    return ended;
}

enum pfs_class content_put(struct content_put *p, const char *data, size_t n, struct pfs_error *err)
{
    if (!p->stream && pfs_buf_len(&p->gathered) + n > CONTENT_GATHER_MAX) {
        return pfs_refuse(err, PFS_TOOBIG, "%s: a file there has at most %u bytes", p->req->path,
                          CONTENT_GATHER_MAX);
    }
    if (!p->stream) {
        return gather(p, data, n, err);
    }
    p->stream->ops->write(p->stream, data, n, waiter_io, &p->w);
    await_call(p, p->req, err);
    return err->cls;
}

static enum pfs_class commit_gathered(struct content_put *p, struct pfs_error *err)
{
    struct pfs_request req = *p->req;
    struct pfs_reply reply = {0};
    pfs_op_fn *fn = p->driver->ops->op[PFS_OP_WRITE];

    req.op = PFS_OP_WRITE;
    req.offset = req.size = -1;
    req.flags = PFS_WRITE_CREATE | PFS_WRITE_TRUNCATE;
    req.data = pfs_buf_data(&p->gathered);
    req.len = pfs_buf_len(&p->gathered);
    if (fn) {
        fn(p->driver, &req, &reply);
    } else {
        pfs_refuse(&reply.err, PFS_UNSUPPORTED, "write: %s: operation not supported", req.path);
    }
    *err = reply.err;
    pfs_reply_fini(&reply);
    return err->cls;
}

static enum pfs_class commit_stream(struct content_put *p, struct pfs_error *err)
{
    struct pfs_request req = *p->req;

    req.host = NULL; /* what has begun now is carried out, whoever goes */
    p->stream->ops->finish(p->stream, waiter_io, &p->w);
    if (!await_call(p, &req, err)) {
        err->outcome = PFS_OUTCOME_UN;
    }
    return err->cls;
}

enum pfs_class content_put_end(struct content_put *p, bool commit, struct pfs_error *err)
{
    enum pfs_class cls = PFS_OK;

    if (commit) {
        cls = p->stream ? commit_stream(p, err) : commit_gathered(p, err);
    }
    if (p->stream) {
        p->stream->ops->close(p->stream);
    }
    gauge_add(GAUGE_BODY_MEMORY, -(int64_t)pfs_buf_len(&p->gathered));
    pfs_buf_fini(&p->gathered);
    waiter_fini(&p->w);
    pfs_free(p);
    return cls;
}
