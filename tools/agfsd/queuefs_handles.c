/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * Handles of queuefs (agfs-http-api.md 8.3): the first read of a handle fetches, further ones serve
 * the same text, which is kept until it has been read to its end or the handle is closed; each
 * write enqueues. A handle is used by one call at a time: it is taken out of
 * the table while the backend works, so that no lock is held then.
 */
#include "base/alloc.h"
#include "base/err.h"
#include "body_share.h"
#include "queuefs.h"
#include <string.h>

struct qhandle {
    struct list link;
    uint64_t id; /* fixed after open, as are: */
    char *path;
    struct queue_path at;
    unsigned refs;      /* under queuefs.mu: the table's, and one per call */
    pthread_mutex_t mu; /* of everything below; held while the backend works */
    bool fetched;
    char *text;
    size_t len, pos;
};

static void drop_text_locked(struct queuefs *q, struct qhandle *h)
{
    q->held -= h->len;
    pfs_free(h->text);
    h->text = NULL;
    h->len = h->pos = 0;
}

static void unref_locked(struct queuefs *q, struct qhandle *h)
{
    if (--h->refs == 0) {
        drop_text_locked(q, h);
        pthread_mutex_destroy(&h->mu);
        pfs_free(h->path);
        pfs_free(h);
    }
}

static struct qhandle *find_locked(struct queuefs *q, uint64_t id)
{
    list_for_each (it, &q->handles[id % QUEUEFS_BUCKETS]) {
        struct qhandle *h = list_entry(it, struct qhandle, link);

        if (h->id == id) {
            return h;
        }
    }
    return NULL;
}

/* The handle for one call, NULL and *err NOTFOUND. Give it back with let_go. */
static struct qhandle *take(struct pfs_driver *d, uint64_t id, struct pfs_error *err)
{
    struct queuefs *q = queuefs_of(d);

    pthread_mutex_lock(&q->mu);
    struct qhandle *h = find_locked(q, id);

    if (h) {
        h->refs++;
    }
    pthread_mutex_unlock(&q->mu);
    if (!h) {
        pfs_refuse(err, PFS_NOTFOUND, "handle not found: %llu", (unsigned long long)id);
    }
    return h;
}

static void let_go(struct pfs_driver *d, struct qhandle *h)
{
    struct queuefs *q = queuefs_of(d);

    pthread_mutex_lock(&q->mu);
    unref_locked(q, h);
    pthread_mutex_unlock(&q->mu);
}

void queuefs_hopen(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct queuefs *q = queuefs_of(d);
    struct qhandle *h = pfs_calloc(1, sizeof *h);
    char *path = pfs_strdup(req->path);

    if (!h || !path) {
        pfs_nomem(&reply->err, "a handle");
    } else if (queuefs_parse(req->path, &h->at, &reply->err) == PFS_OK &&
               h->at.file <= QUEUE_README) {
        pfs_refuse(&reply->err, PFS_BADARG, "cannot open directory as file: %s", req->path);
    }
    if (reply->err.cls != PFS_OK) {
        pfs_free(h);
        pfs_free(path);
        return;
    }
    h->at.file_name = pfs_path_base(path);
    h->path = path;
    h->refs = 1;
    pthread_mutex_init(&h->mu, NULL);
    pthread_mutex_lock(&q->mu);
    h->id = ++q->last_handle;
    reply->handle.id = h->id;
    reply->handle.flags = req->flags;
    list_append(&q->handles[h->id % QUEUEFS_BUCKETS], &h->link);
    pthread_mutex_unlock(&q->mu);
}

static bool is_readable(const struct qhandle *h)
{
    return h->at.file != QUEUE_ENQUEUE && h->at.file != QUEUE_CLEAR;
}

/* Gives it a text that it keeps. False: there are too many. */
static bool hold(struct queuefs *q, struct qhandle *h, char *text, size_t len)
{
    pthread_mutex_lock(&q->mu);
    bool fits = q->held == 0 || (q->held < q->max_held && len <= q->max_held - q->held);

    if (fits) {
        h->text = text;
        h->len = len;
        q->held += len;
    }
    pthread_mutex_unlock(&q->mu);
    return fits;
}

/* The text of the handle, once. A message for which there is no room goes back. */
static enum pfs_class fetch(struct queuefs *q, struct qhandle *h, struct pfs_error *err)
{
    struct pfs_receipt *receipt = NULL;
    char *text = NULL;
    size_t len = 0;
    enum pfs_class cls = queuefs_fetch(q, &h->at, &text, &len, &receipt, err);

    if (cls != PFS_OK) {
        return cls;
    }
    h->fetched = hold(q, h, text, len);
    if (receipt) {
        receipt->end(receipt, !h->fetched);
    }
    if (!h->fetched) {
        pfs_free(text);
        cls =
            pfs_refuse(err, PFS_OVERLOAD, "%s: too much is held by handles that are open", h->path);
        if (!receipt && h->at.file == QUEUE_DEQUEUE) {
            err->outcome = PFS_OUTCOME_AP; /* it cannot go back */
        }
    }
    return cls;
}

void queuefs_hread(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct queuefs *q = queuefs_of(d);
    struct qhandle *h = take(d, req->handle, &reply->err);
    enum pfs_class cls = PFS_OK;

    if (!h) {
        return;
    }
    pthread_mutex_lock(&h->mu);
    if (!h->fetched && is_readable(h)) {
        cls = fetch(q, h, &reply->err);
    } else if (req->offset < 0 && h->pos == h->len) { /* who asks again has got all of it */
        pthread_mutex_lock(&q->mu);
        drop_text_locked(q, h);
        pthread_mutex_unlock(&q->mu);
    }
    size_t at = req->offset < 0                  ? h->pos
                : (uint64_t)req->offset < h->len ? (size_t)req->offset
                                                 : h->len;
    size_t n = h->len - at;

    n = req->size >= 0 && (uint64_t)req->size < n ? (size_t)req->size : n;
    if (cls == PFS_OK && n > 0 && share_take(h->path, n, &reply->err)) {
        reply->data = pfs_strndup(h->text + at, n);
        if (reply->data) {
            reply->len = n;
            h->pos += req->offset < 0 ? n : 0;
        } else {
            pfs_nomem(&reply->err, "a read"); /* the text stays for the next one */
        }
    }
    pthread_mutex_unlock(&h->mu);
    let_go(d, h);
}

void queuefs_hwrite(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct queue_backend *b = queuefs_of(d)->backend;
    struct qhandle *h = take(d, req->handle, &reply->err);
    enum pfs_class cls = PFS_OK;

    if (!h) {
        return;
    }
    if (is_readable(h)) {
        cls = pfs_refuse(&reply->err, PFS_DENIED, "cannot write to %s", h->at.file_name);
    } else if (h->at.file == QUEUE_ENQUEUE) {
        cls = b->ops->push(b, h->at.name, req->data, req->len, &reply->err);
    } else {
        cls = b->ops->clear(b, h->at.name, &reply->err);
    }
    if (cls == PFS_OK) {
        reply->count = (int64_t)req->len;
    }
    let_go(d, h);
}

/* Nothing to seek in and nothing to wait for: only whether there is such a handle matters. */
static void do_nothing(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct qhandle *h = take(d, req->handle, &reply->err);

    if (h) {
        let_go(d, h);
    }
}

void queuefs_hseek(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    do_nothing(d, req, reply);
}

void queuefs_hsync(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    do_nothing(d, req, reply);
}

void queuefs_hstat(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct qhandle *h = take(d, req->handle, &reply->err);

    if (h) {
        struct pfs_request stat = *req;

        stat.op = PFS_OP_STAT;
        stat.path = h->path;
        queuefs_stat(d, &stat, reply);
        let_go(d, h);
    }
}

size_t queuefs_handle_effort(struct queuefs *q, const struct pfs_request *req)
{
    struct pfs_error err;
    struct qhandle *h = take(&q->base, req->handle, &err);
    size_t n = 0;

    if (h && pthread_mutex_trylock(&h->mu) != 0) {
        n = SIZE_MAX; /* another call fetches */
    } else if (h) {
        bool read = req->op == PFS_OP_HANDLE_READ;

        if (read && h->fetched) {
            n = req->size >= 0 && (uint64_t)req->size < h->len ? (size_t)req->size : h->len;
        } else if (read || req->op == PFS_OP_HANDLE_WRITE) {
            n = queuefs_effort(q, &h->at, !read, req->len);
        }
        pthread_mutex_unlock(&h->mu);
    }
    if (h) {
        let_go(&q->base, h);
    }
    return n;
}

static void drop_locked(struct queuefs *q, struct qhandle *h)
{
    list_remove(&h->link);
    unref_locked(q, h);
}

void queuefs_hclose(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct queuefs *q = queuefs_of(d);

    pthread_mutex_lock(&q->mu);
    struct qhandle *h = find_locked(q, req->handle);

    if (h) {
        drop_locked(q, h);
    }
    pthread_mutex_unlock(&q->mu);
    if (!h) {
        pfs_refuse(&reply->err, PFS_NOTFOUND, "handle not found: %llu",
                   (unsigned long long)req->handle);
    }
}

void queuefs_handles_fini(struct queuefs *q)
{
    for (size_t i = 0; i < QUEUEFS_BUCKETS; i++) {
        list_for_each (it, &q->handles[i]) {
            drop_locked(q, list_entry(it, struct qhandle, link));
        }
    }
}
