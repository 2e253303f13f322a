/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* Open handles of memfs (agfs-http-api.md section 6): a handle keeps its file alive. */
#include "base/alloc.h"
#include "base/err.h"
#include "memfs.h"
#include <string.h>

/* One stream chunk, so that a large file does not hold the lock for long. */
#define STREAM_CHUNK (64u << 10)

struct mhandle *mhandle_find_locked(struct memfs *m, uint64_t id)
{
    list_for_each (it, &m->handles[id % MEMFS_BUCKETS]) {
        struct mhandle *h = list_entry(it, struct mhandle, link);

        if (h->id == id) {
            return h;
        }
    }
    return NULL;
}

static struct mhandle *find_locked(struct memfs *m, uint64_t id, struct pfs_error *err)
{
    struct mhandle *h = mhandle_find_locked(m, id);

    if (!h) {
        pfs_refuse(err, PFS_NOTFOUND, "handle not found: %llu", (unsigned long long)id);
    }
    return h;
}

static bool may_read(const struct mhandle *h)
{
    return (h->flags & 3) == PFS_OPEN_RDONLY || (h->flags & 3) == PFS_OPEN_RDWR;
}

static bool may_write(const struct mhandle *h)
{
    return (h->flags & 3) == PFS_OPEN_WRONLY || (h->flags & 3) == PFS_OPEN_RDWR;
}

/* The handle, when it may be read or (write) written, else NULL and *err. */
static struct mhandle *find_for(struct memfs *m, uint64_t id, bool write, struct pfs_error *err)
{
    struct mhandle *h = find_locked(m, id, err);

    if (h && !(write ? may_write(h) : may_read(h))) {
        pfs_refuse(err, PFS_DENIED, "permission denied: handle not opened for %s",
                   write ? "writing" : "reading");
        return NULL;
    }
    return h;
}

/* Finds or makes the file that HANDLE_OPEN names. */
static struct mnode *node_for_open(struct memfs *m, const struct pfs_request *req,
                                   struct pfs_error *err)
{
    struct mnode *n = mnode_find_locked(m, req->path);

    if (n && (req->flags & PFS_OPEN_EXCL)) {
        pfs_refuse(err, PFS_EXISTS, "file already exists: %s", req->path);
        return NULL;
    }
    if (n && n->is_dir) {
        pfs_refuse(err, PFS_BADARG, "is a directory: %s", req->path);
        return NULL;
    }
    if (!n && !(req->flags & PFS_OPEN_CREATE)) {
        pfs_refuse(err, PFS_NOTFOUND, "file not found: %s", req->path);
        return NULL;
    }
    return n ? n : mnode_make_locked(m, req->path, false, req->mode ? req->mode : 0644, err);
}

void memfs_hopen(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct memfs *m = memfs_of(d);
    struct mhandle *h = pfs_calloc(1, sizeof *h);

    if (!h) {
        pfs_nomem(&reply->err, "a handle");
        return;
    }
    pthread_rwlock_wrlock(&m->lock);
    struct mnode *n = node_for_open(m, req, &reply->err);

    if (n && (req->flags & PFS_OPEN_TRUNC) && mnode_resize_locked(m, n, 0, &reply->err) != PFS_OK) {
        n = NULL;
    }
    if (n) {
        n->n_handles++;
        h->node = n;
        h->id = ++m->last_handle;
        h->flags = req->flags;
        reply->handle.id = h->id;
        reply->handle.flags = req->flags;
        list_append(&m->handles[h->id % MEMFS_BUCKETS], &h->link);
        h = NULL;
    }
    pthread_rwlock_unlock(&m->lock);
    pfs_free(h);
}

void memfs_hread(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct memfs *m = memfs_of(d);

    pthread_rwlock_wrlock(&m->lock);
    struct mhandle *h = find_for(m, req->handle, false, &reply->err);

    if (h) {
        mnode_read_locked(h->node, req->offset >= 0 ? req->offset : h->pos, req->size, reply);
        h->pos += req->offset >= 0 ? 0 : (int64_t)reply->len;
    }
    pthread_rwlock_unlock(&m->lock);
}

void memfs_hwrite(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct memfs *m = memfs_of(d);

    pthread_rwlock_wrlock(&m->lock);
    struct mhandle *h = find_for(m, req->handle, true, &reply->err);

    if (h) {
        int64_t at = req->offset >= 0               ? req->offset
                     : (h->flags & PFS_OPEN_APPEND) ? (int64_t)h->node->len
                                                    : h->pos;

        if (mnode_write_locked(m, h->node, at, req->data, req->len, &reply->err) == PFS_OK) {
            h->pos = req->offset >= 0 ? h->pos : at + (int64_t)req->len;
            reply->count = (int64_t)req->len;
        }
    }
    pthread_rwlock_unlock(&m->lock);
}

void memfs_hseek(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct memfs *m = memfs_of(d);

    pthread_rwlock_wrlock(&m->lock);
    struct mhandle *h = find_locked(m, req->handle, &reply->err);

    if (h) {
        int64_t from = req->whence == 1 ? h->pos : req->whence == 2 ? (int64_t)h->node->len : 0;
        int64_t to;

        if (__builtin_add_overflow(from, req->offset, &to) || to < 0) {
            pfs_refuse(&reply->err, PFS_BADARG, "negative position");
        } else {
            h->pos = to;
            reply->count = to;
        }
    }
    pthread_rwlock_unlock(&m->lock);
}

void memfs_hsync(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct memfs *m = memfs_of(d);

    pthread_rwlock_rdlock(&m->lock);
    find_locked(m, req->handle, &reply->err);
    pthread_rwlock_unlock(&m->lock);
}

void memfs_hstat(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct memfs *m = memfs_of(d);

    pthread_rwlock_rdlock(&m->lock);
    struct mhandle *h = find_locked(m, req->handle, &reply->err);

    if (h && !mnode_stat_locked(h->node, &reply->stat)) {
        pfs_nomem(&reply->err, "stat");
    }
    pthread_rwlock_unlock(&m->lock);
}

void memfs_htruncate(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct memfs *m = memfs_of(d);

    pthread_rwlock_wrlock(&m->lock);
    struct mhandle *h = find_for(m, req->handle, true, &reply->err);

    if (h && req->size < 0) {
        pfs_refuse(&reply->err, PFS_BADARG, "size must be non-negative");
    } else if (h) {
        mnode_resize_locked(m, h->node, req->size, &reply->err);
    }
    pthread_rwlock_unlock(&m->lock);
}

static void handle_free_locked(struct memfs *m, struct mhandle *h)
{
    struct mnode *n = h->node;

    list_remove(&h->link);
    pfs_free(h);
    if (--n->n_handles == 0 && !n->parent) {
        mnode_free_locked(m, n);
    }
}

void memfs_hclose(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct memfs *m = memfs_of(d);

    pthread_rwlock_wrlock(&m->lock);
    struct mhandle *h = find_locked(m, req->handle, &reply->err);

    if (h) {
        handle_free_locked(m, h);
    }
    pthread_rwlock_unlock(&m->lock);
}

void memfs_handles_fini(struct memfs *m)
{
    for (size_t i = 0; i < MEMFS_BUCKETS; i++) {
        list_for_each (it, &m->handles[i]) {
            handle_free_locked(m, list_entry(it, struct mhandle, link));
        }
    }
}

/* ---- reading on as a stream ---- */

struct mstream {
    struct pfs_stream base;
    struct memfs *m;
    uint64_t handle; /* looked up for each chunk: it may be closed meanwhile */
};

static size_t read_locked(struct mstream *ms, void *buf, size_t cap, struct pfs_error *err)
{
    struct mhandle *h = find_for(ms->m, ms->handle, false, err);
    size_t n = 0;

    if (h && (size_t)h->pos < h->node->len) {
        n = h->node->len - (size_t)h->pos;
        n = n < cap ? n : cap;
        n = n < STREAM_CHUNK ? n : STREAM_CHUNK;
        memcpy(buf, h->node->data + h->pos, n);
        h->pos += (int64_t)n;
    }
    return n;
}

static void stream_read(struct pfs_stream *s, void *buf, size_t cap, pfs_io_fn *done, void *arg)
{
    struct mstream *ms = container_of(s, struct mstream, base);
    struct pfs_error err = {0};

    pthread_rwlock_wrlock(&ms->m->lock);
    size_t n = read_locked(ms, buf, cap, &err);

    pthread_rwlock_unlock(&ms->m->lock);
    done(arg, n, &err);
}

/* False: somebody is long at it, or stream_read will say what is wrong. */
static bool stream_read_now(struct pfs_stream *s, void *buf, size_t cap, size_t *ret_n)
{
    struct mstream *ms = container_of(s, struct mstream, base);
    struct pfs_error err = {0};

    if (pthread_rwlock_trywrlock(&ms->m->lock) != 0) {
        return false;
    }
    *ret_n = read_locked(ms, buf, cap, &err);
    pthread_rwlock_unlock(&ms->m->lock);
    return err.cls == PFS_OK;
}

static void stream_close(struct pfs_stream *s)
{
    pfs_free(s);
}

static const struct pfs_stream_ops stream_ops = {
    .blocking = true, .read = stream_read, .read_now = stream_read_now, .close = stream_close};

void memfs_hstream(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct memfs *m = memfs_of(d);
    struct mstream *s = pfs_calloc(1, sizeof *s);

    if (!s) {
        pfs_nomem(&reply->err, "a stream");
        return;
    }
    pthread_rwlock_rdlock(&m->lock);
    struct mhandle *h = find_for(m, req->handle, false, &reply->err);

    pthread_rwlock_unlock(&m->lock);
    if (!h) {
        pfs_free(s);
        return;
    }
    *s = (struct mstream){.base = {&stream_ops, -1}, .m = m, .handle = req->handle};
    reply->stream = &s->base;
}
