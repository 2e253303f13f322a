/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "fs/memory_stream.h"
#include "base/alloc.h"
#include "base/container.h"
#include "base/err.h"
#include <string.h>

struct memory_stream {
    struct pfs_stream base;
    char *data;
    size_t len, at;
};

static void memory_read(struct pfs_stream *base, void *buf, size_t cap, pfs_io_fn *done, void *arg)
{
    static const struct pfs_error ok = {.cls = PFS_OK};
    struct memory_stream *s = container_of(base, struct memory_stream, base);
    size_t n = s->len - s->at < cap ? s->len - s->at : cap;

    if (n) {
        memcpy(buf, s->data + s->at, n);
        s->at += n;
    }
    done(arg, n, &ok);
}

static void refuse(pfs_io_fn *done, void *arg)
{
    struct pfs_error err;

    pfs_refuse(&err, PFS_DENIED, "permission denied: the stream is for reading");
    done(arg, 0, &err);
}

void stream_refuse_write(struct pfs_stream *s, const void *buf, size_t len, pfs_io_fn *done,
                         void *arg)
{
    refuse(done, arg);
}

void stream_refuse_finish(struct pfs_stream *s, pfs_io_fn *done, void *arg)
{
    refuse(done, arg);
}

static void memory_close(struct pfs_stream *base)
{
    struct memory_stream *s = container_of(base, struct memory_stream, base);

    pfs_free(s->data);
    pfs_free(s);
}

static const struct pfs_stream_ops ops = {.read = memory_read,
                                          .write = stream_refuse_write,
                                          .finish = stream_refuse_finish,
                                          .close = memory_close};

struct pfs_stream *memory_stream_new(void *data, size_t len)
{
    struct memory_stream *s = pfs_calloc(1, sizeof *s);

    if (!s) {
        pfs_free(data);
        return NULL;
    }
    s->base.ops = &ops;
    s->base.size = (int64_t)len;
    s->data = data;
    s->len = len;
    return &s->base;
}
