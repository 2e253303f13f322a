/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * Handles of streamfs (agfs-http-api.md 8.5). Reading one waits for data, without a thread and for
 * a bounded time: the reply has to come. Who wants to follow a stream opens it as a stream.
 *
 * A wait is ended by news, by its alarm, by who closes the handle, or by who gives the read up:
 * whichever has taken it from the reader under the lock (live_unawait_locked, or news itself) then
 * calls end_read.
 */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "streamfs.h"
#include "waiter.h"
#include <string.h>

#define READ_WAIT (30 * PFS_SEC)
#define READ_MARGIN (PFS_SEC / 2) /* before the deadline, so that the reply is still in time */
#define READ_DEFAULT (1u << 20)

struct shandle {
    struct list link;
    uint64_t id;
    uint32_t flags;
    unsigned refs;      /* the table's, and that of a read that waits */
    struct hread *read; /* that; NULL: none */
    bool closed;        /* meanwhile */
    char *path;
    struct pfs_stream *reader; /* NULL: opened for writing only */
    int64_t pos;               /* bytes read */
};

/* A read that waits. */
struct hread {
    struct alarm alarm; /* of streamfs.deadlines */
    struct streamfs *fs;
    struct shandle *handle;
    size_t cap;
    const void *ticket;
    bool given_up;
    pfs_done_fn *done;
    void *arg;
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
    if (h && h->read) {
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

static void read_locked(struct shandle *h, size_t cap, struct pfs_reply *reply)
{
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

/* The wait of r is over, r the caller's; no lock is held. */
static void end_read(struct hread *r)
{
    struct streamfs *f = r->fs;
    struct pfs_reply reply = {0};

    pthread_mutex_lock(&f->mu);
    alarm_stop_locked(&r->alarm);
    if (r->given_up) {
        pfs_refuse(&reply.err, PFS_CANCELLED, "the read was given up");
    } else {
        read_locked(r->handle, r->cap, &reply);
    }
    r->handle->read = NULL;
    unref_locked(f, r->handle);
    pthread_mutex_unlock(&f->mu);
    r->done(r->arg, &reply);
    pfs_free(r);
}

static void on_news(void *arg, size_t n, const struct pfs_error *err)
{
    end_read(arg);
}

static bool take_late_locked(void *fs, struct alarm *a)
{
    return live_unawait_locked(container_of(a, struct hread, alarm)->handle->reader);
}

static void end_late(void *fs, struct alarm *a)
{
    end_read(container_of(a, struct hread, alarm));
}

static void wait_locked(struct hread *r, struct shandle *h, int64_t deadline_ns)
{
    int64_t until = pfs_after(pfs_now(), READ_WAIT);

    if (deadline_ns > 0) {
        until = pfs_earlier(until, deadline_ns - READ_MARGIN);
    }
    h->refs++;
    h->read = r;
    r->handle = h;
    live_await_locked(h->reader, on_news, r);
    alarm_set_locked(&r->fs->deadlines, &r->alarm, until);
}

void streamfs_hread_later(struct streamfs *f, const struct pfs_request *req, pfs_done_fn *done,
                          void *arg)
{
    size_t cap = req->size >= 0 ? (size_t)req->size : READ_DEFAULT;
    struct hread *r = pfs_malloc(sizeof *r);
    struct pfs_reply reply = {0};

    if (!r) {
        pfs_nomem(&reply.err, "a read");
    } else if (alarms_start(&f->deadlines, &reply.err) == PFS_OK) {
        *r = (struct hread){.fs = f, .cap = cap, .ticket = req->ticket, .done = done, .arg = arg};
        pthread_mutex_lock(&f->mu);
        struct shandle *h = find_for_read_locked(f, req, &reply.err);

        if (h && !live_has_news_locked(h->reader)) {
            wait_locked(r, h, req->deadline_ns);
            pthread_mutex_unlock(&f->mu);
            return;
        }
        if (h) {
            read_locked(h, cap, &reply);
        }
        pthread_mutex_unlock(&f->mu);
    }
    pfs_free(r);
    done(arg, &reply);
}

void streamfs_hread_cancel(struct pfs_driver *d, const void *ticket)
{
    struct streamfs *f = streamfs_of(d);
    struct hread *r = NULL;

    pthread_mutex_lock(&f->mu);
    list_for_each (it, &f->handles) {
        struct shandle *h = list_entry(it, struct shandle, link);

        if (h->read && h->read->ticket == ticket && live_unawait_locked(h->reader)) {
            r = h->read;
            r->given_up = true;
            break;
        }
    }
    pthread_mutex_unlock(&f->mu);
    if (r) {
        end_read(r);
    }
}

/* On a thread that may block. */
struct blocking_read {
    struct waiter w;
    struct pfs_reply *reply;
};

static void blocking_done(void *arg, struct pfs_reply *reply)
{
    struct blocking_read *b = arg;

    *b->reply = *reply;
    waiter_signal(&b->w);
}

void streamfs_hread(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct blocking_read b = {.reply = reply};

    waiter_init(&b.w);
    streamfs_hread_later(streamfs_of(d), req, blocking_done, &b);
    while (!waiter_until(&b.w, pfs_after(pfs_now(), READ_WAIT))) {
        /* the alarm ends it */
    }
    waiter_fini(&b.w);
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

/* Returns the read that has waited until now, to be ended; NULL: none. */
static struct hread *drop_locked(struct streamfs *f, struct shandle *h)
{
    struct hread *r = h->read && live_unawait_locked(h->reader) ? h->read : NULL;

    list_remove(&h->link);
    h->closed = true;
    unref_locked(f, h);
    return r;
}

void streamfs_hclose(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct streamfs *f = streamfs_of(d);
    struct hread *r = NULL;

    pthread_mutex_lock(&f->mu);
    struct shandle *h = find_locked(f, req->handle, &reply->err);

    if (h) {
        r = drop_locked(f, h);
    }
    pthread_mutex_unlock(&f->mu);
    if (r) {
        end_read(r);
    }
}

void streamfs_handles_init(struct streamfs *f)
{
    list_init(&f->handles);
    f->deadlines = (struct alarms){
        .mu = &f->mu, .owner = f, .take_locked = take_late_locked, .ring = end_late};
    alarms_init(&f->deadlines);
}

void streamfs_handles_fini(struct streamfs *f)
{
    pthread_mutex_lock(&f->mu);
    while (!list_is_empty(&f->handles)) {
        drop_locked(f,
                    list_entry(f->handles.next, struct shandle, link)); /* no call is in flight */
    }
    pthread_mutex_unlock(&f->mu);
    alarms_fini(&f->deadlines);
}
