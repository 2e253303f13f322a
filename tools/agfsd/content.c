/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "content.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include <pthread.h>

#define PIECE (256u << 10)

/* A read under way; a stream may answer from another thread. */
struct waiter {
    pthread_mutex_t mu;
    pthread_cond_t cond;
    bool done;
    size_t n;
    struct pfs_error err;
};

static void waiter_init(struct waiter *w)
{
    pthread_condattr_t attr;

    *w = (struct waiter){0};
    pthread_mutex_init(&w->mu, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&w->cond, &attr);
    pthread_condattr_destroy(&attr);
}

static void waiter_fini(struct waiter *w)
{
    pthread_cond_destroy(&w->cond);
    pthread_mutex_destroy(&w->mu);
}

static void read_done(void *arg, size_t n, const struct pfs_error *err)
{
    struct waiter *w = arg;

    pthread_mutex_lock(&w->mu);
    w->n = n;
    w->err = *err;
    w->done = true;
    pthread_cond_signal(&w->cond);
    pthread_mutex_unlock(&w->mu);
}

/* One read; false: the deadline passed and the stream is still at it. */
static bool wait_read(struct waiter *w, struct pfs_stream *s, char *buf, int64_t deadline)
{
    struct timespec until = {.tv_sec = deadline / PFS_SEC, .tv_nsec = deadline % PFS_SEC};
    int rc = 0;

    w->done = false;
    s->ops->read(s, buf, PIECE, read_done, w);
    pthread_mutex_lock(&w->mu);
    while (!w->done && rc == 0) {
        rc = pthread_cond_timedwait(&w->cond, &w->mu, &until);
    }
    bool done = w->done;

    pthread_mutex_unlock(&w->mu);
    return done;
}

/* Takes the stream. */
static enum pfs_class read_stream(struct pfs_stream *s, int64_t deadline, content_fn *fn, void *arg,
                                  struct pfs_error *err)
{
    char *buf = pfs_malloc(PIECE);
    enum pfs_class cls = buf ? PFS_OK : pfs_nomem(err, "a file's content");
    struct waiter w;

    waiter_init(&w);
    while (cls == PFS_OK) {
        if (!wait_read(&w, s, buf, deadline)) {
            cls = pfs_fail(err, PFS_TIMEOUT, PFS_OUTCOME_UN, PFS_PHASE_BODY, "the deadline passed");
        } else if (w.err.cls != PFS_OK) {
            cls = w.err.cls;
            *err = w.err;
        } else if (w.n == 0 || !fn(arg, buf, w.n)) {
            break;
        }
    }
    s->ops->close(s); /* ends a read still in flight, so that w and buf are free */
    waiter_fini(&w);
    pfs_free(buf);
    return cls;
}

enum pfs_class content_read(struct vfs *v, const struct pfs_request *req, content_fn *fn, void *arg,
                            struct pfs_error *err)
{
    struct pfs_request open = *req;
    struct pfs_reply reply = {0};
    enum pfs_class cls;

    open.op = PFS_OP_OPEN_READ;
    open.offset = open.size = -1;
    vfs_run(v, &open, &reply);
    cls = reply.err.cls;
    if (cls != PFS_OK) {
        *err = reply.err;
    } else if (reply.stream) {
        struct pfs_stream *s = reply.stream;

        reply.stream = NULL;
        cls = read_stream(s, req->deadline_ns, fn, arg, err);
    } else if (reply.len > 0) {
        fn(arg, reply.data, reply.len);
    }
    pfs_reply_fini(&reply);
    return cls;
}
