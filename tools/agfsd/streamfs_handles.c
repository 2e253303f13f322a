/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * Handles of streamfs (agfs-http-api.md 8.5). Reading one waits for data, on a worker and for a
 * bounded time: the reply has to come. Who wants to follow a stream opens it as a stream.
 */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/mutex.h"
#include "streamfs.h"
#include <string.h>

#define READ_WAIT (30 * PFS_SEC)
#define READ_MARGIN (PFS_SEC / 2) /* before the deadline, so that the reply is still in time */
#define READ_DEFAULT (1u << 20)

struct shandle {
    struct list link;
    uint64_t id;
    uint32_t flags;
    unsigned refs;        /* the table's, and that of a read that waits */
    bool reading, closed; /* a read waits; the handle was closed meanwhile */
    char *path;
    struct pfs_stream *reader; /* NULL: opened for writing only */
    int64_t pos;               /* bytes read */
};

static struct shandle *find_locked(struct streamfs *f, uint64_t id, struct pfs_error *err)
{
    list_for_each (it, &f->handles) {
        struct shandle *h = list_entry(it, struct shandle, link);

        if (h->id == id) {
            return h;
        }
    }
    pfs_refuse(err, PFS_NOTFOUND, "handle not found: %llu", (unsigned long long)id);
    return NULL;
}

/* The last one out; the lock is held, and given up for a moment. */
static void unref_locked(struct streamfs *f, struct shandle *h)
{
    if (--h->refs > 0) {
        return;
    }
    if (h->reader) {
        pthread_mutex_unlock(&f->mu);
        h->reader->ops->close(h->reader);
        pthread_mutex_lock(&f->mu);
    }
    pfs_free(h->path);
    pfs_free(h);
}

static void open_locked(struct streamfs *f, struct shandle *h, const struct pfs_request *req,
                        struct pfs_error *err)
{
    struct live *l = live_find_locked(f, req->path);

    if (l && (req->flags & PFS_OPEN_EXCL)) {
        pfs_refuse(err, PFS_EXISTS, "stream already exists: %s", req->path);
    } else if (!l && !(req->flags & PFS_OPEN_CREATE)) {
        pfs_refuse(err, PFS_NOTFOUND, "stream not found: %s", req->path);
    } else if (l || live_need_locked(f, req->path, &l, err) == PFS_OK) {
        if (!(req->flags & PFS_OPEN_WRONLY)) {
            h->reader = live_open_locked(f, l, err);
        }
    }
}

void streamfs_hopen(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct streamfs *f = streamfs_of(d);
    struct shandle *h = pfs_calloc(1, sizeof *h);
    char *path = pfs_strdup(req->path);

    if (!h || !path) {
        pfs_nomem(&reply->err, "a handle");
    } else if (!streamfs_is_name(req->path)) {
        pfs_refuse(&reply->err, PFS_BADARG, "cannot open this as a stream: %s", req->path);
    } else {
        pthread_mutex_lock(&f->mu);
        open_locked(f, h, req, &reply->err);
        if (reply->err.cls == PFS_OK) {
            h->id = ++f->last_handle;
            h->flags = req->flags;
            h->path = path;
            h->refs = 1;
            list_append(&f->handles, &h->link);
            reply->handle.id = h->id;
            reply->handle.flags = h->flags;
            h = NULL;
            path = NULL;
        }
        pthread_mutex_unlock(&f->mu);
    }
    pfs_free(h);
    pfs_free(path);
}

/* The handle, when it can be read as asked. */
static struct shandle *find_for_read_locked(struct streamfs *f, const struct pfs_request *req,
                                            struct pfs_error *err)
{
    struct shandle *h = find_locked(f, req->handle, err);

    if (h && !h->reader) {
        pfs_refuse(err, PFS_DENIED, "permission denied: handle not opened for reading");
        return NULL;
    }
    if (h && h->reading) {
        pfs_refuse(err, PFS_BUSY, "the handle is being read already");
        return NULL;
    }
    if (h && req->offset >= 0 && req->offset != h->pos) {
        pfs_refuse(err, PFS_BADARG, "invalid offset: streams are read in order, now at %lld",
                   (long long)h->pos);
        return NULL;
    }
    return h;
}

bool streamfs_would_wait(struct streamfs *f, const struct pfs_request *req)
{
    pthread_mutex_lock(&f->mu);
    struct shandle *h = find_for_read_locked(f, req, NULL);
    bool wait = h && !live_has_news_locked(h->reader);

    pthread_mutex_unlock(&f->mu);
    return wait;
}

/* Waits until there is something for the handle, it is closed, or it takes too long. */
static void wait_locked(struct streamfs *f, struct shandle *h, int64_t deadline_ns)
{
    int64_t until = pfs_after(pfs_now(), READ_WAIT);

    if (deadline_ns > 0) {
        until = pfs_earlier(until, deadline_ns - READ_MARGIN);
    }
    while (!h->closed && !live_has_news_locked(h->reader) &&
           pfs_cond_wait_until(&f->news, &f->mu, until)) {
    }
}

static void read_locked(struct streamfs *f, struct shandle *h, const struct pfs_request *req,
                        struct pfs_reply *reply)
{
    size_t cap = req->size >= 0 ? (size_t)req->size : READ_DEFAULT;

    wait_locked(f, h, req->deadline_ns);
    reply->data = h->closed || cap == 0 ? NULL : pfs_malloc(cap);
    if (h->closed) {
        pfs_refuse(&reply->err, PFS_NOTFOUND, "handle not found: it was closed");
    } else if (cap > 0 && !reply->data) {
        pfs_nomem(&reply->err, "a read");
    } else if (cap > 0) {
        reply->len = live_take_locked(h->reader, reply->data, cap);
        h->pos += (int64_t)reply->len;
        char *smaller = pfs_realloc(reply->data, reply->len + 1);

        reply->data = smaller ? smaller : reply->data;
    }
}

void streamfs_hread(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct streamfs *f = streamfs_of(d);

    pthread_mutex_lock(&f->mu);
    struct shandle *h = find_for_read_locked(f, req, &reply->err);

    if (h) {
        h->refs++;
        h->reading = true;
        read_locked(f, h, req, reply);
        h->reading = false;
        unref_locked(f, h);
    }
    pthread_mutex_unlock(&f->mu);
}

void streamfs_hwrite(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct streamfs *f = streamfs_of(d);
    struct list ready;

    list_init(&ready);
    pthread_mutex_lock(&f->mu);
    struct shandle *h = find_locked(f, req->handle, &reply->err);
    struct live *l = h ? live_find_locked(f, h->path) : NULL;

    if (h && !(h->flags & (PFS_OPEN_WRONLY | PFS_OPEN_RDWR))) {
        pfs_refuse(&reply->err, PFS_DENIED, "permission denied: handle not opened for writing");
    } else if (h && !l) {
        pfs_refuse(&reply->err, PFS_NOTFOUND, "stream not found: %s", h->path);
    } else if (h && live_write_locked(f, l, req->data, req->len, &ready, &reply->err) == PFS_OK) {
        reply->count = (int64_t)req->len;
    }
    pthread_mutex_unlock(&f->mu);
    live_deliver(f, &ready);
}

void streamfs_hseek(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct streamfs *f = streamfs_of(d);

    pthread_mutex_lock(&f->mu);
    if (find_locked(f, req->handle, &reply->err)) {
        pfs_refuse(&reply->err, PFS_UNSUPPORTED, "seek: streams do not support it");
    }
    pthread_mutex_unlock(&f->mu);
}

void streamfs_hsync(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct streamfs *f = streamfs_of(d);

    pthread_mutex_lock(&f->mu);
    find_locked(f, req->handle, &reply->err);
    pthread_mutex_unlock(&f->mu);
}

void streamfs_hstat(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct streamfs *f = streamfs_of(d);

    pthread_mutex_lock(&f->mu);
    struct shandle *h = find_locked(f, req->handle, &reply->err);
    struct live *l = h ? live_find_locked(f, h->path) : NULL;

    if (h && !l) {
        pfs_refuse(&reply->err, PFS_NOTFOUND, "stream not found: %s", h->path);
    } else if (h && !streamfs_fill(&reply->stat, l)) {
        pfs_nomem(&reply->err, "stat");
    }
    pthread_mutex_unlock(&f->mu);
}

void streamfs_hstream(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct streamfs *f = streamfs_of(d);

    pthread_mutex_lock(&f->mu);
    struct shandle *h = find_for_read_locked(f, req, &reply->err);

    if (h) {
        reply->stream = live_clone_locked(f, h->reader, &reply->err);
    }
    pthread_mutex_unlock(&f->mu);
}

static void drop_locked(struct streamfs *f, struct shandle *h)
{
    list_remove(&h->link);
    h->closed = true;
    pthread_cond_broadcast(&f->news);
    unref_locked(f, h);
}

void streamfs_hclose(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct streamfs *f = streamfs_of(d);

    pthread_mutex_lock(&f->mu);
    struct shandle *h = find_locked(f, req->handle, &reply->err);

    if (h) {
        drop_locked(f, h);
    }
    pthread_mutex_unlock(&f->mu);
}

void streamfs_handles_fini(struct streamfs *f)
{
    pthread_mutex_lock(&f->mu);
    while (!list_is_empty(&f->handles)) {
        drop_locked(f, list_entry(f->handles.next, struct shandle, link));
    }
    pthread_mutex_unlock(&f->mu);
}
