/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "stream_io.h"
#include "base/alloc.h"
#include "base/err.h"
#include "base/pool.h"
#include "loop.h"
#include "meters.h"
#include <string.h>

enum io_op { IO_READ, IO_WRITE };

struct stream_io {
    struct loop *loop;
    struct pfs_stream *s;
    enum io_op op;
    bool blocking;  /* of s, which may be closed before the end of an operation is reported */
    bool busy;      /* an operation has been started and its end not been reported */
    bool abandoned; /* to be closed and freed once nothing is in flight */
    bool inside;    /* the loop is inside a call of the stream ... */
    bool finished;  /* ... which has reported its end already */
    char *buf;      /* `cap` bytes for reads (counted),  what is being written for writes */
    size_t cap, at, len;
    pfs_io_fn *done;
    void *arg;
    struct post post;
    size_t n;             /* the result, on its way to the loop */
    struct pfs_error err; /* the rest is set only with a class other than OK */
};

struct stream_io *stream_io_new(struct loop *l, struct pfs_stream *s)
{
    struct stream_io *io = pfs_malloc(sizeof(*io));

    if (io) {
        memset(io, 0, offsetof(struct stream_io, err));
        io->loop = l;
        io->s = s;
        io->blocking = s->ops->blocking;
        l->n_ios++;
    }
    return io;
}

const char *stream_io_data(const struct stream_io *io)
{
    return io->buf;
}

/* While the stream waits, or the bytes are used up. */
static void drop_data(struct stream_io *io)
{
    pfs_free(io->buf);
    http_body_freed(io->cap);
    io->buf = NULL;
    io->cap = 0;
}

void stream_io_free(struct stream_io *io)
{
    io->loop->n_ios--;
    drop_data(io);
    pfs_free(io);
}

static void io_reap(struct stream_io *io)
{
    struct loop *l = io->loop;

    stream_io_free(io);
    loop_check_end(l);
}

static void on_closed_posted(struct post *p)
{
    io_reap(container_of(p, struct stream_io, post));
}

static void io_close_job(void *arg)
{
    struct stream_io *io = arg;

    io->s->ops->close(io->s);
    io->post.fn = on_closed_posted;
    http_post(io->loop, &io->post);
}

/* Nothing is in flight. A full pool does not keep the stream open: then the loop closes it. */
static void io_close_blocking(struct stream_io *io)
{
    struct pfs_error err;

    if (pfs_pool_submit(io->loop->workers, io_close_job, io, &err) != PFS_OK) {
        io->s->ops->close(io->s);
        io_reap(io);
    }
}

/* On the loop: an operation has ended. */
static void io_end(struct stream_io *io, size_t n, const struct pfs_error *err)
{
    io->busy = false;
    if (io->abandoned) {
        if (io->blocking) {
            io_close_blocking(io);
        } else { /* it is closed already */
            io_reap(io);
        }
        return;
    }
    if (io->op == IO_WRITE) {
        drop_data(io);
    }
    io->done(io->arg, n, err);
}

static void on_end_posted(struct post *p)
{
    struct stream_io *io = container_of(p, struct stream_io, post);

    io_end(io, io->n, &io->err);
}

/*
 * The stream's callback: any thread. The end is always reported outside of the stream's own code,
 * so that the stream may be closed from there.
 */
static void on_stream_done(void *arg, size_t n, const struct pfs_error *err)
{
    struct stream_io *io = arg;

    io->n = n;
    io->err.cls = PFS_OK;
    if (err->cls != PFS_OK) {
        io->err = *err;
    }
    if (loop_is_here(io->loop) && io->inside) {
        io->finished = true;
    } else {
        io->post.fn = on_end_posted;
        http_complete(io->loop, &io->post);
    }
}

static void io_call(void *arg)
{
    struct stream_io *io = arg;

    switch (io->op) {
    case IO_READ:
        io->s->ops->read(io->s, io->buf, io->cap, on_stream_done, io);
        break;
    case IO_WRITE:
        io->s->ops->write(io->s, io->buf + io->at, io->len, on_stream_done, io);
        break;
    }
}

static void io_start(struct stream_io *io, enum io_op op, pfs_io_fn *done, void *arg)
{
    struct pfs_error err = {0};

    io->op = op;
    io->done = done;
    io->arg = arg;
    io->busy = true;
    if (!io->buf) {
        pfs_nomem(&err, "buffer of a stream");
    } else if (!io->blocking) {
        io->finished = false;
        io->inside = true;
        io_call(io);
        io->inside = false;
        if (io->finished) {
            io_end(io, io->n, &io->err);
        }
        return;
    } else if (pfs_pool_submit(io->loop->workers, io_call, io, &err) == PFS_OK) {
        return;
    }
    io_end(io, 0, &err);
}

void stream_io_read(struct stream_io *io, size_t cap, pfs_io_fn *done, void *arg)
{
    if (io->cap < cap) {
        drop_data(io);
        io->buf = pfs_malloc(cap);
        io->cap = io->buf ? cap : 0;
        gauge_add(GAUGE_BODY_MEMORY, (int64_t)io->cap);
    }
    if (io->buf && io->blocking && io->s->ops->read_now &&
        io->s->ops->read_now(io->s, io->buf, io->cap, &io->n)) {
        io->err.cls = PFS_OK;
        done(arg, io->n, &io->err);
        return;
    }
    io_start(io, IO_READ, done, arg);
}

void stream_io_write(struct stream_io *io, char *buf, size_t at, size_t len, pfs_io_fn *done,
                     void *arg)
{
    drop_data(io);
    io->buf = buf;
    io->at = at;
    io->len = len;
    io_start(io, IO_WRITE, done, arg);
}

void stream_io_close(struct stream_io *io)
{
    io->abandoned = true;
    if (!io->blocking) {
        io->s->ops->close(io->s);
        if (!io->busy) { /* else its end has been posted, or is about to be */
            io_reap(io);
        }
    } else if (!io->busy) {
        io_close_blocking(io);
    } /* else: closed when the call on the worker has returned */
}
