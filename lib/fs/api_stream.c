/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * The client API's blocking streams, over the asynchronous ones: the waiting thread drives the
 * connection where it can, and sleeps otherwise.
 */
#include "base/err.h"
#include "base/thread.h"
#include "fs/stream.h"
#include <proxyfs/proxyfs.h>
#include <pthread.h>

static enum pfs_class open_stream(struct pfs_client *c, const struct pfs_request *req,
                                  struct pfs_stream **ret, struct pfs_error *err)
{
    struct pfs_reply reply;
    enum pfs_class cls = pfs_call(c, req, &reply);

    if (cls == PFS_OK && !reply.stream) {
        cls = pfs_fail(&reply.err, PFS_PROTOCOL, PFS_OUTCOME_UN, PFS_PHASE_REPLY,
                       "%s: the answer is no stream", pfs_op_name(req->op));
    }
    if (cls == PFS_OK) {
        *ret = reply.stream;
        reply.stream = NULL;
    } else if (err) {
        *err = reply.err;
    }
    pfs_reply_fini(&reply);
    return cls;
}

enum pfs_class pfs_open_read(struct pfs_client *c, const char *path, int64_t offset, int64_t size,
                             struct pfs_stream **ret, struct pfs_error *err)
{
    struct pfs_request req = {.op = PFS_OP_OPEN_READ, .path = path, .offset = offset, .size = size};

    return open_stream(c, &req, ret, err);
}

enum pfs_class pfs_open_write(struct pfs_client *c, const char *path, int64_t length,
                              uint32_t flags, struct pfs_stream **ret, struct pfs_error *err)
{
    struct pfs_request req = {
        .op = PFS_OP_OPEN_WRITE, .path = path, .offset = -1, .size = length, .flags = flags};

    return open_stream(c, &req, ret, err);
}

/* A call in flight; the stream's own deadline bounds the wait. */
struct stream_wait {
    pthread_mutex_t mu;
    pthread_cond_t cond;
    atomic_bool done;
    size_t n;
    struct pfs_error err;
    int cancel_state;
};

/* Until wait_for the thread is at no cancellation point. */
static struct stream_wait wait_begin(void)
{
    return (struct stream_wait){.mu = PTHREAD_MUTEX_INITIALIZER,
                                .cond = PTHREAD_COND_INITIALIZER,
                                .cancel_state = pfs_cancel_not()};
}

static void on_io(void *arg, size_t n, const struct pfs_error *err)
{
    struct stream_wait *w = arg;

    pthread_mutex_lock(&w->mu);
    w->n = n;
    w->err = *err;
    atomic_store(&w->done, true);
    pthread_cond_signal(&w->cond);
    pthread_mutex_unlock(&w->mu);
}

static enum pfs_class wait_for(struct pfs_stream *s, struct stream_wait *w, size_t *ret_n,
                               struct pfs_error *err)
{
    stream_drive(s, &w->done);
    pthread_mutex_lock(&w->mu);
    while (!atomic_load(&w->done)) {
        pthread_cond_wait(&w->cond, &w->mu);
    }
    pthread_mutex_unlock(&w->mu);
    if (w->err.cls != PFS_OK) {
        if (err) {
            *err = w->err;
        }
    } else if (ret_n) {
        *ret_n = w->n;
    }
    pfs_cancel_again(w->cancel_state);
    return w->err.cls;
}

enum pfs_class pfs_stream_read(struct pfs_stream *s, void *buf, size_t cap, size_t *ret_n,
                               struct pfs_error *err)
{
    if (cap == 0) { /* 0 bytes read would be the end */
        return pfs_refuse(err, PFS_INVALID, "read: there is no room for any content");
    }
    struct stream_wait w = wait_begin();
    s->ops->read(s, buf, cap, on_io, &w);
    return wait_for(s, &w, ret_n, err);
}

enum pfs_class pfs_stream_write(struct pfs_stream *s, const void *buf, size_t len,
                                struct pfs_error *err)
{
    struct stream_wait w = wait_begin();

    s->ops->write(s, buf, len, on_io, &w);
    return wait_for(s, &w, NULL, err);
}

enum pfs_class pfs_stream_finish(struct pfs_stream *s, struct pfs_error *err)
{
    struct stream_wait w = wait_begin();

    s->ops->finish(s, on_io, &w);
    return wait_for(s, &w, NULL, err);
}

void pfs_stream_close(struct pfs_stream *s)
{
    if (s) {
        int before = pfs_cancel_not();

        s->ops->close(s);
        pfs_cancel_again(before);
    }
}
