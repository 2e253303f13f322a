/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* Streams that hold their mount until they are closed. */
#include "base/alloc.h"
#include "base/err.h"
#include "vfs_internal.h"
#include <string.h>

struct vstream {
    struct pfs_stream base;
    struct vfs *vfs;
    struct mount *mount;
    struct pfs_stream *inner;
    char path[];
};

static struct pfs_stream *inner(struct pfs_stream *s)
{
    return container_of(s, struct vstream, base)->inner;
}

static void stream_read(struct pfs_stream *s, void *buf, size_t cap, pfs_io_fn *done, void *arg)
{
    inner(s)->ops->read(inner(s), buf, cap, done, arg);
}

static bool stream_read_now(struct pfs_stream *s, void *buf, size_t cap, size_t *ret_n)
{
    return inner(s)->ops->read_now && inner(s)->ops->read_now(inner(s), buf, cap, ret_n);
}

static void stream_write(struct pfs_stream *s, const void *buf, size_t len, pfs_io_fn *done,
                         void *arg)
{
    inner(s)->ops->write(inner(s), buf, len, done, arg);
}

static void stream_finish(struct pfs_stream *s, pfs_io_fn *done, void *arg)
{
    inner(s)->ops->finish(inner(s), done, arg);
}

static void stream_close(struct pfs_stream *s)
{
    struct mount *m = container_of(s, struct vstream, base)->mount;

    inner(s)->ops->close(inner(s));
    pfs_free(s);
    vfs_release(m);
}

static const struct pfs_stream_ops ops_waiting = {.blocking = true,
                                                  .read = stream_read,
                                                  .read_now = stream_read_now,
                                                  .write = stream_write,
                                                  .finish = stream_finish,
                                                  .close = stream_close};
static const struct pfs_stream_ops ops_plain = {.blocking = false,
                                                .read = stream_read,
                                                .write = stream_write,
                                                .finish = stream_finish,
                                                .close = stream_close};

struct pfs_stream *vfs_stream_wrap(struct vfs *v, struct mount *m, const char *path,
                                   struct pfs_stream *s)
{
    size_t n = strlen(path) + 1;
    struct vstream *vs = pfs_malloc(sizeof *vs + n);

    if (!vs) {
        s->ops->close(s);
        return NULL;
    }
    vs->base = *s;
    vs->base.ops = s->ops->blocking ? &ops_waiting : &ops_plain;
    vs->vfs = v;
    vs->mount = m;
    vs->inner = s;
    memcpy(vs->path, path, n);
    atomic_fetch_add(&m->in_flight, 1); /* the caller holds it */
    return &vs->base;
}

/* ---- reading a small file at once ---- */

struct one_read {
    size_t n;
    struct pfs_error err;
};

static void read_done(void *arg, size_t n, const struct pfs_error *err)
{
    struct one_read *o = arg;

    o->n = n;
    o->err = *err;
}

void vfs_stream_inline(struct pfs_reply *reply)
{
    struct pfs_stream *s = reply->stream;
    size_t have = 0;

    if (!s || !s->ops->blocking || s->size < 0 || s->size > INLINE_READ_MAX) {
        return;
    }
    char *buf = pfs_malloc((size_t)s->size + 1);

    while (buf && have < (size_t)s->size) {
        struct one_read o = {0};

        s->ops->read(s, buf + have, (size_t)s->size - have, read_done, &o);
        if (o.err.cls != PFS_OK || o.n == 0) {
            reply->err = o.err;
            break;
        }
        have += o.n;
    }
    if (buf) {
        reply->stream = NULL;
        s->ops->close(s);
        reply->data = buf;
        reply->len = have;
    }
}

/* ---- ending a stream ---- */

struct ending {
    struct post post;
    struct pfs_stream *stream;
    struct loop *loop;
    struct vfs_fate *fate; /* NULL: it is only closed */
    pfs_io_fn *done;
    void *arg;
    size_t n;
    struct pfs_error err;
};

static void ending_deliver(struct post *p)
{
    struct ending *e = container_of(p, struct ending, post);

    e->done(e->arg, e->n, &e->err);
    pfs_free(e);
}

/* The stream is finished, or need not be: closes it and goes back to the loop. */
static void ending_closed(void *arg, size_t n, const struct pfs_error *err)
{
    struct ending *e = arg;
    struct vstream *vs = container_of(e->stream, struct vstream, base);

    e->n = n;
    e->err = *err;
    vfs_fate_end(vs->vfs, e->fate);
    e->stream->ops->close(e->stream);
    http_post(e->loop, &e->post);
}

static void ending_work(void *arg)
{
    struct ending *e = arg;
    struct pfs_error err = {0};

    if (e->fate && vfs_fate_begin(e->fate, &err)) {
        e->stream->ops->finish(e->stream, ending_closed, e);
    } else {
        ending_closed(e, 0, &err);
    }
}

void vfs_stream_end(struct pfs_stream *s, struct loop *loop, struct vfs_fate *fate, pfs_io_fn *done,
                    void *arg)
{
    struct vstream *vs = container_of(s, struct vstream, base);
    struct mount *m = vs->mount;
    struct ending *e = pfs_calloc(1, sizeof *e);
    struct pfs_error err;

    if (!e) {
        pfs_nomem(&err, "the end of a write");
        s->ops->close(s);
        done(arg, 0, &err);
        return;
    }
    *e = (struct ending){.post = {NULL, ending_deliver},
                         .stream = s,
                         .loop = loop,
                         .fate = fate,
                         .done = done,
                         .arg = arg};
    if (fate) {
        vfs_fate_name(vs->vfs, fate, vs->path, NULL, false);
    }
    if (!s->ops->blocking) {
        ending_work(e);
    } else if (pfs_pool_submit(m->pool, ending_work, e, &err) != PFS_OK) {
        vfs_fate_end(vs->vfs, fate);
        s->ops->close(s);
        pfs_free(e);
        done(arg, 0, &err);
    }
}
