/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* Streams of localfs: a file of any length in constant memory. */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "localfs.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

/*
 * The kernel's times of files advance in ticks of up to 10 ms: of content that has only just been
 * changed, another change may leave the same time.
 */
#define SETTLED_NS (50 * PFS_MS)

struct lstream {
    struct pfs_stream base;
    char *path;           /* for error texts */
    int fd;               /* reading */
    struct lfs_put put;   /* writing */
    int64_t at, end;      /* next byte; reading: one past the last byte, -1: until the end */
    int64_t n;            /* bytes moved */
    bool no_wait_unknown; /* the file system cannot say whether a read would wait */
};

/* The version of content, from the time of its last change, which nobody can set; "": too young. */
static void name_version(const struct stat *st, char dst[PFS_CONTENT_VERSION_MAX])
{
    int64_t changed = (int64_t)st->st_ctim.tv_sec * PFS_SEC + st->st_ctim.tv_nsec;

    dst[0] = '\0';
    if (pfs_wall_now() - changed > SETTLED_NS) {
        snprintf(dst, PFS_CONTENT_VERSION_MAX, "%jx-%jx-%" PRIx64, (uintmax_t)st->st_dev,
                 (uintmax_t)st->st_ino, (uint64_t)changed);
    }
}

/* False: it is not the version any more that was announced. */
static bool is_same_version(const struct lstream *l)
{
    char now[PFS_CONTENT_VERSION_MAX];
    struct stat st;

    if (!l->base.version[0]) {
        return true;
    }
    if (fstat(l->fd, &st) != 0) {
        return false;
    }
    name_version(&st, now);
    return strcmp(now, l->base.version) == 0;
}

/* What is in the page cache is read on the spot: a hand-over to a worker costs more than 64 KiB. */
static bool stream_read_now(struct pfs_stream *s, void *buf, size_t cap, size_t *ret_n)
{
    struct lstream *l = container_of(s, struct lstream, base);
    struct iovec v = {buf, cap};

    if (l->no_wait_unknown || l->end < 0 || l->at >= l->end) {
        return false;
    }
    v.iov_len = (int64_t)cap < l->end - l->at ? cap : (size_t)(l->end - l->at);
    ssize_t got = preadv2(l->fd, &v, 1, l->at, RWF_NOWAIT);

    l->no_wait_unknown = got < 0 && errno == EOPNOTSUPP;
    if (got <= 0 || (l->at + got == l->end && !is_same_version(l))) {
        return false; /* stream_read finds the same, and says why */
    }
    l->at += got;
    *ret_n = (size_t)got;
    return true;
}

static void stream_read(struct pfs_stream *s, void *buf, size_t cap, pfs_io_fn *done, void *arg)
{
    struct lstream *l = container_of(s, struct lstream, base);
    struct pfs_error err = {0};
    ssize_t got = 0;

    if (l->end >= 0 && (int64_t)cap > l->end - l->at) {
        cap = (size_t)(l->end - l->at);
    }
    if (cap > 0) {
        do {
            got = pread(l->fd, buf, cap, l->at);
        } while (got < 0 && errno == EINTR);
    }
    if (got < 0) {
        lfs_fail(&err, errno, l->path);
        got = 0;
    } else if (got == 0 && l->base.size >= 0 && l->at < l->end) {
        /* The length was announced; less of it must not look like all of it. */
        pfs_refuse(&err, PFS_TRUNCATED, "file became shorter while being read: %s", l->path);
    } else if (l->at + got == l->end && !is_same_version(l)) {
        pfs_refuse(&err, PFS_TRUNCATED, "file changed while being read: %s", l->path);
        got = 0;
    }
    l->at += got;
    done(arg, (size_t)got, &err);
}

static void stream_write(struct pfs_stream *s, const void *buf, size_t len, pfs_io_fn *done,
                         void *arg)
{
    struct lstream *l = container_of(s, struct lstream, base);
    struct pfs_error err = {0};

    if (!lfs_pwrite_all(l->put.fd, buf, len, l->at)) {
        lfs_fail(&err, errno, l->path);
        len = 0;
    }
    l->at += (int64_t)len;
    l->n += (int64_t)len;
    done(arg, len, &err);
}

static void stream_finish(struct pfs_stream *s, pfs_io_fn *done, void *arg)
{
    struct lstream *l = container_of(s, struct lstream, base);
    struct pfs_error err = {0};
    enum pfs_class cls = lfs_put_commit(&l->put, l->path, &err);

    done(arg, cls == PFS_OK ? (size_t)l->n : 0, &err);
}

static void stream_close(struct pfs_stream *s)
{
    struct lstream *l = container_of(s, struct lstream, base);

    lfs_put_abort(&l->put);
    if (l->fd >= 0) {
        close(l->fd);
    }
    pfs_free(l->path);
    pfs_free(l);
}

static const struct pfs_stream_ops stream_ops = {
    .blocking = true,
    .read = stream_read,
    .read_now = stream_read_now,
    .write = stream_write,
    .finish = stream_finish,
    .close = stream_close,
};

static struct lstream *stream_new(const char *path, struct pfs_reply *reply)
{
    struct lstream *l = pfs_calloc(1, sizeof *l);
    char *copy = pfs_strdup(path);

    if (!l || !copy) {
        pfs_free(l);
        pfs_free(copy);
        pfs_nomem(&reply->err, "a stream");
        return NULL;
    }
    *l = (struct lstream){.base = {&stream_ops, -1}, .path = copy, .fd = -1, .end = -1};
    l->put = (struct lfs_put){.dir = -1, .fd = -1};
    return l;
}

void lfs_openread(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct lstream *l = stream_new(req->path, reply);
    int64_t offset = req->offset, size = req->size;
    struct stat st;

    if (!l) {
        return;
    }
    l->fd = lfs_open_file(lfs_of(d), req->path, O_RDONLY, &st, &reply->err);
    if (l->fd < 0) {
        stream_close(&l->base);
        return;
    }
    if (req->flags & PFS_READ_RANGE) {
        name_version(&st, l->base.version);
        l->base.total = st.st_size;
        if (!l->base.version[0]) {
            offset = size = -1;
        }
    }
    l->at = offset > 0 ? offset : 0;
    if (st.st_size > 0) { /* 0 may be a file of /proc: read until it ends */
        int64_t left = l->at < st.st_size ? st.st_size - l->at : 0;

        l->base.size = size >= 0 && size < left ? size : left;
        l->end = l->at + l->base.size;
    } else if (size >= 0 && __builtin_add_overflow(l->at, size, &l->end)) {
        l->end = -1;
    }
    reply->stream = &l->base;
}

void lfs_openwrite(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct write_plan plan;

    if (write_plan_of(req, &plan, &reply->err) != PFS_OK) {
        return;
    }
    if (!plan.replace) {
        pfs_refuse(&reply->err, PFS_UNSUPPORTED,
                   "openwrite: %s: not supported: a stream replaces the whole file", req->path);
        return;
    }
    struct lstream *l = stream_new(req->path, reply);

    if (!l) {
        return;
    }
    if (lfs_put_begin(lfs_of(d), req->path, &plan, &l->put, &reply->err) != PFS_OK) {
        stream_close(&l->base);
        return;
    }
    l->at = plan.at;
    reply->stream = &l->base;
}
