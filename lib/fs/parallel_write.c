/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* A write in parts as its user sees it: a stream. */
#include "base/alloc.h"
#include "base/err.h"
#include "fs/parallel_upload.h"
#include "fs/stream.h"
#include <string.h>

/* ---- its end ---- */

static void ignore(void *arg, struct pfs_reply *reply)
{
    pfs_reply_fini(reply);
}

static void upload_free(struct upload *u)
{
    struct pfs_request req = {
        .op = PFS_OP_HANDLE_CLOSE, .handle = u->handle, .offset = -1, .size = -1, .hops = u->hops};

    if (u->has_handle) {
        parallel_submit(u->client, &req, ignore, NULL);
    }
    if (u->plain) {
        u->plain->ops->close(u->plain);
    }
    for (unsigned i = 0; i < u->n_streams; i++) {
        pfs_free(u->parts[i].buf);
    }
    parallel_release(u->n_streams, u->part_size);
    client_unref(u->client);
    pthread_mutex_destroy(&u->mu);
    pfs_free(u);
}

void upload_unref(struct upload *u)
{
    if (atomic_fetch_sub(&u->refs, 1) == 1) {
        upload_free(u);
    }
}

/* ---- the stream as its user sees it ---- */

/* Begins a call, of data NULL: finish. */
static void call(struct upload *u, const char *data, size_t len, pfs_io_fn *done, void *arg)
{
    struct pfs_error err = {.cls = PFS_OK};

    if (client_is_inherited(u->client)) {
        stream_refuse_inherited(done, arg);
        return;
    }
    atomic_fetch_add(&u->refs, 1);
    pthread_mutex_lock(&u->mu);
    if (u->done) {
        pfs_refuse(&err, PFS_INVALID, "the stream is busy with another call");
    } else if (u->ended) {
        pfs_refuse(&err, PFS_INVALID, "the stream was finished");
    } else if (!data && u->base.size >= 0 && u->total != u->base.size && u->err.cls == PFS_OK) {
        pfs_refuse(&err, PFS_INVALID, "%s: %lld bytes were announced, %lld written", u->path,
                   (long long)u->base.size, (long long)u->total);
    } else {
        u->data = data;
        u->len = u->left = len;
        u->done = done;
        u->arg = arg;
    }
    pthread_mutex_unlock(&u->mu);
    if (err.cls != PFS_OK) {
        done(arg, 0, &err);
    } else {
        upload_go_on(u);
    }
    upload_unref(u);
}

static void upload_read(struct pfs_stream *base, void *buf, size_t cap, pfs_io_fn *done, void *arg)
{
    struct pfs_error err;

    pfs_refuse(&err, PFS_DENIED, "permission denied: the stream is for writing");
    done(arg, 0, &err);
}

static void upload_write(struct pfs_stream *base, const void *buf, size_t len, pfs_io_fn *done,
                         void *arg)
{
    struct pfs_error ok = {.cls = PFS_OK};

    if (len == 0) {
        done(arg, 0, &ok);
    } else {
        call(container_of(base, struct upload, base), buf, len, done, arg);
    }
}

static void upload_finish(struct pfs_stream *base, pfs_io_fn *done, void *arg)
{
    call(container_of(base, struct upload, base), NULL, 0, done, arg);
}

static void upload_close(struct pfs_stream *base)
{
    struct upload *u = container_of(base, struct upload, base);
    struct pfs_error err;

    if (client_is_inherited(u->client)) { /* as that of any stream */
        return;
    }
    pthread_mutex_lock(&u->mu);
    u->closed = true;
    pfs_io_fn *done = u->done;
    void *arg = u->arg;
    bool ending = u->ending;

    u->done = NULL;
    pthread_mutex_unlock(&u->mu);
    if (done) {
        pfs_refuse(&err, PFS_CANCELLED, "the stream was closed");
        err.outcome = ending ? PFS_OUTCOME_UN : PFS_OUTCOME_NA;
        done(arg, 0, &err);
    }
    upload_unref(u); /* the user's */
}

static const struct pfs_stream_ops ops = {
    .read = upload_read, .write = upload_write, .finish = upload_finish, .close = upload_close};

/* ---- beginning ---- */

static bool is_large_write(const struct pfs_client *c, const struct pfs_request *req)
{
    return req->op == PFS_OP_OPEN_WRITE && req->path && req->offset == -1 &&
           !(req->flags & PFS_WRITE_APPEND) && op_check(c, req, NULL) == PFS_OK;
}

static struct upload *upload_new(struct pfs_client *c, const struct pfs_request *req,
                                 unsigned n_streams)
{
    size_t part_size = parallel_reserve(n_streams), n = strlen(req->path) + 1;
    bool small = req->size >= 0 && req->size <= (int64_t)part_size;
    struct upload *u = part_size && !small ? pfs_calloc(1, sizeof *u + n) : NULL;

    if (!u) {
        parallel_release(n_streams, part_size);
        return NULL;
    }
    u->base.ops = &ops;
    u->base.size = req->size;
    u->client = client_ref(c);
    atomic_init(&u->refs, 1);
    u->hops = req->hops;
    u->n_streams = n_streams;
    u->part_size = part_size;
    u->flags = req->flags;
    pthread_mutex_init(&u->mu, NULL);
    for (unsigned i = 0; i < n_streams; i++) {
        u->parts[i].u = u;
    }
    memcpy(u->path, req->path, n);
    return u;
}

bool parallel_write_start(struct pfs_client *c, const struct pfs_request *req, pfs_done_fn *done,
                          void *arg)
{
    unsigned n_streams = is_large_write(c, req) ? parallel_streams(c, FEATURE_PARTS) : 1;
    struct upload *u = n_streams > 1 ? upload_new(c, req, n_streams) : NULL;
    struct pfs_reply reply = {0};

    if (!u) {
        return false;
    }
    atomic_fetch_add(&u->refs, 1);
    reply.stream = &u->base;
    upload_go_on(u);
    done(arg, &reply);
    upload_unref(u);
    return true;
}
