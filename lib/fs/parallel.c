/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "base/alloc.h"
#include "base/err.h"
#include "fs/async.h"
#include "fs/memory_stream.h"
#include "fs/parallel_internal.h"
#include <string.h>

static atomic_size_t memory; /* promised to transfers */

size_t parallel_reserve(unsigned n_streams)
{
    size_t part_size = PARALLEL_TRANSFER_MEMORY / n_streams;

    part_size = part_size > PARALLEL_PART_MAX ? PARALLEL_PART_MAX : part_size;
    if (atomic_fetch_add(&memory, n_streams * part_size) + n_streams * part_size >
        PARALLEL_MEMORY) {
        parallel_release(n_streams, part_size);
        return 0;
    }
    return part_size;
}

void parallel_release(unsigned n_streams, size_t part_size)
{
    atomic_fetch_sub(&memory, n_streams * part_size);
}

unsigned parallel_streams(struct pfs_client *c, unsigned feature)
{
    unsigned n = c->options.transfer_streams;

    if (n == 1 || client_is_inherited(c)) {
        return 1;
    }
    if (n == 0) {
        n = remote_is_far(c->remote) ? PARALLEL_AUTO_STREAMS : 1;
    }
    return n > 1 && remote_knows(c->remote).features & feature ? n : 1;
}

void parallel_submit(struct pfs_client *c, const struct pfs_request *req, pfs_done_fn *done,
                     void *arg)
{
    struct pfs_reply reply = {0};

    atomic_fetch_add(&c->n_inside, 1); /* first: pfs_client_free waits for it, once it is closing */
    if (atomic_load(&c->closing)) {
        pfs_refuse(&reply.err, PFS_SHUTDOWN, "the client is being freed");
        done(arg, &reply);
    } else {
        async_start(c, req, done, arg);
    }
    atomic_fetch_sub(&c->n_inside, 1);
}

void parallel_unref(struct parallel *p)
{
    if (atomic_fetch_sub(&p->refs, 1) != 1) {
        return;
    }
    for (unsigned i = 0; i < p->n_streams; i++) {
        pfs_free(p->parts[i].buf);
    }
    parallel_release(p->n_streams, p->part_size);
    client_unref(p->client);
    pthread_mutex_destroy(&p->mu);
    pfs_free(p);
}

/* ---- the stream as its user sees it ---- */

static void parallel_read(struct pfs_stream *s, void *buf, size_t cap, pfs_io_fn *done, void *arg)
{
    struct parallel *p = container_of(s, struct parallel, base);
    struct pfs_error err;

    if (client_is_inherited(p->client)) {
        stream_refuse_inherited(done, arg);
        return;
    }
    pthread_mutex_lock(&p->mu);
    if (p->buf) {
        pthread_mutex_unlock(&p->mu);
        pfs_refuse(&err, PFS_INVALID, "the stream is busy with another call");
        done(arg, 0, &err);
        return;
    }
    p->buf = buf;
    p->cap = cap;
    p->done = done;
    p->arg = arg;
    parallel_deliver_unlock(p);
}

static void parallel_close(struct pfs_stream *s)
{
    struct parallel *p = container_of(s, struct parallel, base);
    struct pfs_stream *open[PARALLEL_STREAMS_MAX];
    unsigned n_open = 0;
    struct pfs_error err;

    if (client_is_inherited(p->client)) { /* as that of any stream */
        return;
    }
    pthread_mutex_lock(&p->mu);
    p->closed = true;
    for (unsigned i = 0; i < p->n; i++) {
        struct part *part = parallel_nth_locked(p, i);

        if (part->s && !part->in_call) {
            open[n_open++] = part->s;
            part->s = NULL;
        }
    }
    bool waits = p->buf != NULL;
    p->buf = NULL;
    pthread_mutex_unlock(&p->mu);
    for (unsigned i = 0; i < n_open; i++) {
        open[i]->ops->close(open[i]);
    }
    if (waits) {
        pfs_refuse(&err, PFS_CANCELLED, "the stream was closed");
        p->done(p->arg, 0, &err);
    }
    parallel_unref(p); /* the user's */
}

static const struct pfs_stream_ops ops = {.read = parallel_read,
                                          .write = stream_refuse_write,
                                          .finish = stream_refuse_finish,
                                          .close = parallel_close};

/* ---- beginning ---- */

static void on_first(void *arg, struct pfs_reply *reply)
{
    struct parallel *p = arg;
    struct pfs_stream *s = reply->stream;

    if (reply->err.cls != PFS_OK || !s->version[0] || s->total <= s->size) {
        p->opened(p->opened_arg, reply); /* an error, all there is, or of a kind without parts */
        parallel_unref(p);
        return;
    }
    memcpy(p->base.version, s->version, sizeof s->version);
    p->base.total = p->base.size = s->total;
    pthread_mutex_lock(&p->mu);
    struct part *part = parallel_add_locked(p, (size_t)s->size);
    part->s = s;
    pthread_mutex_unlock(&p->mu);
    parallel_ask(p);
    parallel_begin_part(part);
    *reply = (struct pfs_reply){.stream = &p->base, .plain = reply->plain};
    p->opened(p->opened_arg, reply);
}

static bool is_whole_read(const struct pfs_request *req)
{
    return req->op == PFS_OP_OPEN_READ && !(req->flags & ~PFS_READ_INLINE) && req->offset <= 0 &&
           req->size < 0 && req->path;
}

static struct parallel *parallel_new(struct pfs_client *c, const struct pfs_request *req,
                                     unsigned n_streams)
{
    size_t part_size = parallel_reserve(n_streams), n = strlen(req->path) + 1;
    struct parallel *p = part_size ? pfs_calloc(1, sizeof *p + n) : NULL;

    if (!p) {
        parallel_release(n_streams, part_size);
        return NULL;
    }
    p->base.ops = &ops;
    p->client = client_ref(c);
    atomic_init(&p->refs, 1);
    p->hops = req->hops;
    p->n_streams = n_streams;
    p->part_size = part_size;
    pthread_mutex_init(&p->mu, NULL);
    memcpy(p->path, req->path, n);
    return p;
}

bool parallel_start(struct pfs_client *c, const struct pfs_request *req, pfs_done_fn *done,
                    void *arg)
{
    if (req->op == PFS_OP_OPEN_WRITE) {
        return parallel_write_start(c, req, done, arg);
    }
    unsigned n_streams = is_whole_read(req) ? parallel_streams(c, FEATURE_RANGES) : 1;
    struct parallel *p = n_streams > 1 ? parallel_new(c, req, n_streams) : NULL;

    if (!p) {
        return false;
    }
    p->opened = done;
    p->opened_arg = arg;
    struct pfs_request first = *req;
    first.path = p->path;
    first.offset = 0;
    first.size = (int64_t)p->part_size;
    first.flags = PFS_READ_RANGE;
    pfs_submit(c, &first, on_first, p);
    return true;
}
