/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* The parts of a read: asked for, read as fast as they come, delivered in order. */
#include "base/alloc.h"
#include "base/err.h"
#include "fs/parallel_internal.h"
#include <string.h>

/* ---- delivering ---- */

/* Lets go of parts that were delivered; true: there is room for others. */
static bool advance_locked(struct parallel *p)
{
    unsigned before = p->n;

    while (p->n > 0) {
        struct part *part = parallel_nth_locked(p, 0);

        if (!part->over || part->err.cls != PFS_OK || p->taken < part->len || part->n_pumping) {
            break;
        }
        p->first = (p->first + 1) % p->n_streams;
        p->n--;
        p->taken = 0;
    }
    return p->n < before;
}

void parallel_deliver_unlock(struct parallel *p)
{
    struct pfs_error err = {.cls = PFS_OK};
    bool advanced = advance_locked(p), served = p->buf != NULL;
    struct part *part = p->n > 0 ? parallel_nth_locked(p, 0) : NULL;
    size_t n = 0;

    if (served && part && part->have > p->taken) {
        n = part->have - p->taken < p->cap ? part->have - p->taken : p->cap;
        memcpy(p->buf, part->buf + p->taken, n);
        p->taken += n;
    } else if (served && part) {
        err = part->err;
        served = err.cls != PFS_OK;
    } else if (served) {
        served = p->next >= p->base.total; /* the end */
    }
    if (served) {
        p->buf = NULL;
    }
    pfs_io_fn *done = p->done;
    void *arg = p->arg;

    if (advanced) { /* once unlocked another thread may serve the read, and its callback close p */
        atomic_fetch_add(&p->refs, 1);
    }
    pthread_mutex_unlock(&p->mu);
    if (advanced) {
        parallel_ask(p);
        parallel_unref(p);
    }
    if (served) {
        done(arg, n, &err);
    }
}

/* ---- reading a part ---- */

static void pump(struct part *part);

/* The part is over, with *err or all of it; the lock is held and given up. */
static void end_part_unlock(struct part *part, const struct pfs_error *err)
{
    struct parallel *p = part->p;
    struct pfs_stream *s = part->s;

    part->s = NULL;
    part->over = true;
    part->err = *err;
    p->failed |= err->cls != PFS_OK;
    parallel_deliver_unlock(p);
    if (s) {
        s->ops->close(s);
    }
}

/* True: there is more to read. */
static bool took(struct part *part, size_t n, const struct pfs_error *err)
{
    struct parallel *p = part->p;
    struct pfs_error why = *err;

    pthread_mutex_lock(&p->mu);
    if (!part->s) { /* closed meanwhile */
        pthread_mutex_unlock(&p->mu);
        return false;
    }
    bool fits = n <= part->len - part->have;

    part->have += fits ? n : 0;
    if (err->cls == PFS_OK && n > 0 && fits) {
        parallel_deliver_unlock(p);
        return true;
    }
    if (!fits) {
        pfs_fail(&why, PFS_PROTOCOL, PFS_OUTCOME_AP, PFS_PHASE_BODY,
                 "%s: a part is longer than was asked for", p->path);
    } else if (err->cls == PFS_OK && part->have < part->len) {
        pfs_fail(&why, PFS_TRUNCATED, PFS_OUTCOME_AP, PFS_PHASE_BODY,
                 "%s: a part ended %zu bytes early", p->path, part->len - part->have);
    }
    end_part_unlock(part, &why);
    return false;
}

static void on_read(void *arg, size_t n, const struct pfs_error *err)
{
    struct part *part = arg;
    struct parallel *p = part->p;

    if (!took(part, n, err)) {
        parallel_unref(p); /* the part's */
    } else if (atomic_exchange(&part->turn, TURN_CAME) == TURN_LEFT) {
        pump(part);
    }
}

/* Hands the stream to the caller to be read from; NULL: it was closed. */
static struct pfs_stream *enter_call(struct part *part, size_t *ret_left)
{
    struct parallel *p = part->p;

    pthread_mutex_lock(&p->mu);
    struct pfs_stream *s = part->s;
    part->in_call = s != NULL;
    *ret_left = part->len - part->have;
    pthread_mutex_unlock(&p->mu);
    return s;
}

static void leave_call(struct part *part)
{
    struct parallel *p = part->p;

    pthread_mutex_lock(&p->mu);
    struct pfs_stream *s = p->closed ? part->s : NULL; /* parallel_close left it to us */
    part->s = s ? NULL : part->s;
    part->in_call = false;
    pthread_mutex_unlock(&p->mu);
    if (s) {
        s->ops->close(s);
    }
}

/* Reads until there is nothing more now. */
static void pump(struct part *part)
{
    struct parallel *p = part->p;
    static char probe;
    struct pfs_stream *s;
    bool again = true;
    size_t left;

    atomic_fetch_add(&p->refs, 1);
    pthread_mutex_lock(&p->mu);
    part->n_pumping++;
    pthread_mutex_unlock(&p->mu);
    while (again && (s = enter_call(part, &left)) != NULL) {
        atomic_store(&part->turn, TURN_OPEN);
        /* After the last byte comes the end, which proves that it was the last. */
        s->ops->read(s, left ? part->buf + part->len - left : &probe, left ? left : 1, on_read,
                     part);
        leave_call(part);
        again = atomic_exchange(&part->turn, TURN_LEFT) == TURN_CAME;
    }
    if (again) {
        parallel_unref(p); /* the part's: it was closed with nothing in flight */
    }
    pthread_mutex_lock(&p->mu);
    part->n_pumping--;
    parallel_deliver_unlock(p);
    parallel_unref(p);
}

/* ---- opening parts ---- */

static void fail_part(struct part *part, const struct pfs_error *err)
{
    struct parallel *p = part->p;

    pthread_mutex_lock(&p->mu);
    end_part_unlock(part, err);
    parallel_unref(p); /* the part's */
}

static void on_open(void *arg, struct pfs_reply *reply)
{
    struct part *part = arg;
    struct parallel *p = part->p;
    struct pfs_stream *s = reply->stream;

    if (reply->err.cls == PFS_OK &&
        (strcmp(s->version, p->base.version) != 0 || s->size != (int64_t)part->len)) {
        pfs_fail(&reply->err, PFS_TRUNCATED, PFS_OUTCOME_AP, PFS_PHASE_BODY,
                 "%s: the content changed while being read", p->path);
    }
    if (reply->err.cls != PFS_OK) {
        fail_part(part, &reply->err);
        pfs_reply_fini(reply);
        return;
    }
    pthread_mutex_lock(&p->mu);
    bool closed = p->closed;
    if (!closed) {
        part->s = s;
        reply->stream = NULL;
    }
    pthread_mutex_unlock(&p->mu);
    pfs_reply_fini(reply);
    if (closed) {
        parallel_unref(p); /* the part's */
    } else {
        pump(part);
    }
}

/* False: there is no memory, and the part has failed. */
static bool make_room(struct part *part)
{
    struct pfs_error err;

    if (!part->buf && !(part->buf = pfs_malloc(part->p->part_size))) {
        pfs_nomem(&err, "a part of a file");
        fail_part(part, &err);
    }
    return part->buf != NULL;
}

static void open_part(struct part *part)
{
    struct parallel *p = part->p;
    struct pfs_client *c = p->client;
    struct pfs_request req = {.op = PFS_OP_OPEN_READ,
                              .path = p->path,
                              .offset = part->at,
                              .size = (int64_t)part->len,
                              .flags = PFS_READ_RANGE | READ_HAS_ROOM,
                              .hops = p->hops};

    if (make_room(part)) {
        parallel_submit(c, &req, on_open, part);
    }
}

struct part *parallel_add_locked(struct parallel *p, size_t len)
{
    if (p->closed || p->failed || p->n == p->n_streams || p->next >= p->base.total) {
        return NULL;
    }
    struct part *part = parallel_nth_locked(p, p->n++);

    part->p = p;
    part->s = NULL;
    part->over = false;
    part->at = p->next;
    part->len = len;
    part->have = 0;
    part->err.cls = PFS_OK;
    p->next += (int64_t)len;
    atomic_fetch_add(&p->refs, 1);
    return part;
}

void parallel_ask(struct parallel *p)
{
    struct part *part;

    do {
        pthread_mutex_lock(&p->mu);
        int64_t left = p->base.total - p->next;
        part = parallel_add_locked(p, left < (int64_t)p->part_size ? (size_t)left : p->part_size);
        pthread_mutex_unlock(&p->mu);
        if (part) {
            open_part(part);
        }
    } while (part);
}

void parallel_begin_part(struct part *part)
{
    if (make_room(part)) {
        pump(part);
    }
}
