/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "fs/stream.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/reply.h"
#include "fs/async.h"
#include <stdio.h>
#include <string.h>

static struct stream *of_base(struct pfs_stream *base)
{
    return container_of(base, struct stream, base);
}

static void disarm_locked(struct stream *s)
{
    if (s->armed) {
        s->armed = false;
        async_disarm(s->a);
    }
}

/* Ends the call in flight, if it is still there; the lock is held and given up. */
static void end_call_unlock(struct stream *s, size_t n, const struct pfs_error *err)
{
    static const struct pfs_error ok = {.cls = PFS_OK};
    struct pfs_error copy = err ? *err : ok;
    pfs_io_fn *done = s->call == STREAM_IDLE ? NULL : s->done;
    void *arg = s->arg;
    bool slow = s->armed && n > 0 && !s->over && pace_is_slow(&s->pace, pfs_now() - s->since_ns, n);

    s->call = STREAM_IDLE;
    s->too_slow |= slow;
    disarm_locked(s); /* the next call brings its own deadline */
    pthread_mutex_unlock(&s->mu);
    if (slow) {
        async_cancel(s->a, PFS_TIMEOUT); /* the next call learns it */
    }
    if (done) {
        done(arg, n, &copy);
    }
}

/* The call in flight must end in time. */
static void arm_locked(struct stream *s)
{
    s->armed = true;
    s->since_ns = pfs_now();
    s->deadline_ns = pfs_after(s->since_ns, s->a->op.client->options.timeout_ns);
    async_set_deadline(s->a, s->deadline_ns);
}

bool stream_is_late(struct stream *s)
{
    pthread_mutex_lock(&s->mu);
    bool late = s->armed && pfs_now() >= s->deadline_ns;
    pthread_mutex_unlock(&s->mu);
    return late;
}

/*
 * True: the lock is held from now on, since once the call is seen another thread may end it, and
 * its callback the stream. False: a call is in flight already, and *this* one fails.
 */
static bool begin_call_lock(struct stream *s, enum stream_call call, void *buf, size_t len,
                            pfs_io_fn *done, void *arg)
{
    struct pfs_error err;

    pthread_mutex_lock(&s->mu);
    if (s->call != STREAM_IDLE) {
        pthread_mutex_unlock(&s->mu);
        pfs_refuse(&err, PFS_INVALID, "the stream is busy with another call");
        done(arg, 0, &err);
        return false;
    }
    s->call = call;
    s->buf = buf;
    s->len = len;
    s->done = done;
    s->arg = arg;
    return true;
}

/*
 * Once nobody looks at the exchange any more, it is let go, and the timer with it, which may be the
 * client's: a read that begins while the end is on its way has armed it. True: the caller must
 * leave the client (leave), after the callback that it owes: pfs_client_free waits for that.
 */
static bool settle_locked(struct stream *s)
{
    bool first = s->over && !s->pumping && !s->n_giving && !s->settled;

    if (first) {
        s->settled = true;
        disarm_locked(s);
        exchange_detach(&s->a->op.ex);
        async_ref(s->a); /* the callback may close the stream */
    }
    return first;
}

static void leave(struct async_op *a)
{
    client_leave(a->op.client, &a->op);
    async_unref(a);
}

/* Hands what came to the read in flight; the lock is held and given up. */
static void look_for_data_unlock(struct stream *s)
{
    struct async_op *a = s->a;
    bool settled;

    if (s->call != STREAM_READ || s->pumping || s->closed || !(s->news || s->over)) {
        settled = settle_locked(s);
        pthread_mutex_unlock(&s->mu);
        if (settled) {
            leave(a);
        }
        return;
    }
    s->pumping = true;
    async_ref(a); /* the stream may be closed meanwhile */
    size_t n, len;
    bool end;
    do {
        s->news = false;
        bool over = s->over;
        void *buf = s->buf;
        len = s->len;
        struct exchange *ex = &s->a->op.ex;
        if (s->settled) { /* nobody else has a hand in it: not even callbacks follow */
            n = exchange_take(ex, buf, len, &end);
        } else {
            pthread_mutex_unlock(&s->mu);
            n = over ? exchange_take(ex, buf, len, &end) : exchange_try_take(ex, buf, len, &end);
            pthread_mutex_lock(&s->mu);
        }
        end |= over;
        /* The end that came meanwhile left it to this thread, and may be all that comes. */
    } while (n == 0 && !end && (s->news || s->over) && s->call == STREAM_READ && !s->closed);
    s->pumping = false;
    s->news |= n == len; /* then some may be left */
    settled = settle_locked(s);
    if (n > 0) {
        s->total += (int64_t)n;
        end_call_unlock(s, n, NULL);
    } else if (end && s->over) {
        end_call_unlock(s, 0, &s->err);
    } else {
        pthread_mutex_unlock(&s->mu);
    }
    if (settled) {
        leave(a);
    }
    async_unref(a);
}

void stream_on_news(struct stream *s)
{
    pthread_mutex_lock(&s->mu);
    if (!s->is_write) {
        s->news = true;
        look_for_data_unlock(s);
    } else if (s->call == STREAM_WRITE) {
        s->total += (int64_t)s->len;
        end_call_unlock(s, s->len, NULL);
    } else {
        pthread_mutex_unlock(&s->mu);
    }
}

/* What the end of the exchange means for the stream. */
static void judge_end(struct stream *s, struct pfs_error *err)
{
    struct op *op = &s->a->op;
    struct exchange *ex = &op->ex;
    struct pfs_reply reply = {0};

    if (ex->failure != FAILURE_NONE) {
        *err = ex->err;
        if (err->outcome == PFS_OUTCOME_UN) {
            op_raise_fence(op);
        }
        return;
    }
    *err = (struct pfs_error){.cls = PFS_OK};
    if (s->is_write) {
        op_decode(op, &reply);
        *err = reply.err;
        s->claimed = reply.count;
        pfs_reply_fini(&reply);
    }
}

/*
 * Has all that the caller wrote, `more` bytes of a chunk in flight included, arrived? The remote
 * may answer as soon as it has the announced number of bytes, before the caller finishes.
 */
static bool is_whole_locked(const struct stream *s, size_t more)
{
    int64_t written = s->total + (int64_t)more;
    bool sent = s->a->op.ex.request_sent;

    if (s->claimed >= 0 && s->claimed != written) {
        return false;
    }
    if (s->call == STREAM_FINISH && sent) {
        return true;
    }
    return s->base.size >= 0 && written == s->base.size && (more == 0 || sent);
}

static void answered_early(const struct stream *s, struct pfs_error *err)
{
    if (s->claimed >= 0) {
        pfs_fail(err, PFS_PROTOCOL, PFS_OUTCOME_UN, PFS_PHASE_SEND,
                 "the remote answered that it wrote %lld bytes, which is not what was sent",
                 (long long)s->claimed);
    } else {
        pfs_fail(err, PFS_PROTOCOL, PFS_OUTCOME_UN, PFS_PHASE_SEND,
                 "the remote answered before the content was complete");
    }
}

/* The exchange is over: what that means for the call in flight; the lock is held and given up. */
static void end_write_unlock(struct stream *s)
{
    size_t more = s->call == STREAM_WRITE ? s->len : 0;

    if (s->call == STREAM_IDLE) { /* the next call learns it */
        pthread_mutex_unlock(&s->mu);
        return;
    }
    if (s->err.cls == PFS_OK && !is_whole_locked(s, more)) {
        answered_early(s, &s->err);
    }
    if (s->err.cls != PFS_OK) {
        end_call_unlock(s, 0, &s->err);
        return;
    }
    s->total += (int64_t)more;
    end_call_unlock(s, more ? more : (size_t)s->total, NULL);
}

void stream_on_done(struct stream *s)
{
    struct async_op *a = s->a;
    struct pfs_error err;

    judge_end(s, &err);
    pthread_mutex_lock(&s->mu);
    if (s->too_slow && err.cls == PFS_TIMEOUT) {
        snprintf(err.text, sizeof err.text, "less than 1 KiB/s for %lld s",
                 PACE_WINDOW_NS / PFS_SEC);
    }
    s->err = err;
    s->over = true;
    if (s->is_write) {
        bool settled = settle_locked(s);

        end_write_unlock(s);
        if (settled) {
            leave(a);
        }
    } else {
        look_for_data_unlock(s);
    }
    async_unref(a); /* the operation's */
}

void stream_refuse_inherited(pfs_io_fn *done, void *arg)
{
    struct pfs_error err;

    pfs_refuse(&err, PFS_SHUTDOWN, "the process was forked: the stream is its parent's");
    done(arg, 0, &err);
}

static bool is_inherited(const struct stream *s)
{
    return s->n_forks != io_n_forks();
}

/* True: the call, which reads or writes, cannot be, and was told so. */
static bool is_refused(const struct stream *s, bool writes, pfs_io_fn *done, void *arg)
{
    struct pfs_error err;

    if (is_inherited(s)) {
        stream_refuse_inherited(done, arg);
        return true;
    }
    if (s->is_write != writes) {
        pfs_refuse(&err, PFS_DENIED, "permission denied: the stream is for %s",
                   s->is_write ? "writing" : "reading");
        done(arg, 0, &err);
        return true;
    }
    return false;
}

static void stream_read(struct pfs_stream *base, void *buf, size_t cap, pfs_io_fn *done, void *arg)
{
    struct stream *s = of_base(base);

    if (!is_refused(s, false, done, arg) && begin_call_lock(s, STREAM_READ, buf, cap, done, arg)) {
        /* Who follows live data waits as long as it takes; a dead peer is found by its silence. */
        if (!s->over && !(s->a->op.req.flags & PFS_READ_STREAM)) {
            arm_locked(s);
        }
        look_for_data_unlock(s);
    }
}

/* A write or finish: refused once the exchange is over. */
static void send_chunk(struct stream *s, enum stream_call call, const void *buf, size_t len,
                       pfs_io_fn *done, void *arg)
{
    struct async_op *a = s->a;

    if (is_refused(s, true, done, arg) || !begin_call_lock(s, call, NULL, len, done, arg)) {
        return;
    }
    if (s->over) {
        s->len = 0; /* of this call nothing was sent */
        if (call == STREAM_WRITE && s->err.cls == PFS_OK) {
            answered_early(s, &s->err);
        }
        end_write_unlock(s);
        return;
    }
    arm_locked(s);
    s->n_giving++;
    async_ref(a); /* the callback, perhaps on another thread, may close the stream meanwhile */
    pthread_mutex_unlock(&s->mu);
    exchange_give(&a->op.ex, buf, len, call == STREAM_FINISH);
    pthread_mutex_lock(&s->mu);
    s->n_giving--;
    bool settled = settle_locked(s);
    pthread_mutex_unlock(&s->mu);
    if (settled) {
        leave(a);
    }
    async_unref(a);
}

static void stream_write(struct pfs_stream *base, const void *buf, size_t len, pfs_io_fn *done,
                         void *arg)
{
    struct pfs_error ok = {.cls = PFS_OK};
    struct stream *s = of_base(base);

    if (len > 0) {
        send_chunk(s, STREAM_WRITE, buf, len, done, arg);
    } else if (!is_refused(s, true, done, arg)) {
        done(arg, 0, &ok);
    }
}

static void stream_finish(struct pfs_stream *base, pfs_io_fn *done, void *arg)
{
    send_chunk(of_base(base), STREAM_FINISH, NULL, 0, done, arg);
}

static void stream_close(struct pfs_stream *base)
{
    struct stream *s = of_base(base);
    struct async_op *a = s->a;
    struct pfs_error err;

    if (is_inherited(s)) {
        return; /* its locks may be held for ever, and its connection is in use elsewhere */
    }
    async_cancel(a, PFS_CANCELLED); /* nothing happens when the exchange is DONE */
    pfs_refuse(&err, PFS_CANCELLED, "the stream was closed");
    pthread_mutex_lock(&s->mu);
    s->closed = true;
    if (s->pumping) { /* the buffer of the read is its owner's again when its callback is called */
        exchange_end_takes(&a->op.ex);
    }
    end_call_unlock(s, 0, &err);
    async_unref(a); /* the stream's */
}

static const struct pfs_stream_ops ops = {
    .read = stream_read,
    .write = stream_write,
    .finish = stream_finish,
    .close = stream_close,
};

void stream_drive(struct pfs_stream *base, const atomic_bool *over)
{
    struct stream *s = of_base(base);

    if (base->ops != &ops || atomic_load(over)) {
        return;
    }
    pthread_mutex_lock(&s->mu);
    struct conn *c = s->settled ? NULL : exchange_conn(&s->a->op.ex);
    pthread_mutex_unlock(&s->mu);
    if (c) {
        conn_drive_stream(c, &s->a->op.ex, over);
        conn_unref(c);
    }
}

struct pfs_stream *stream_init(struct stream *s, struct async_op *a, bool is_write)
{
    memset(s, 0, offsetof(struct stream, err));
    pfs_error_init(&s->err);
    s->base.ops = &ops;
    s->base.size = is_write ? a->op.req.size : a->op.ex.head.content_length;
    if (!is_write && a->op.ex.head.status == 206) {
        const char *tag = a->op.ex.head.etag + 1; /* in quotes: exchange_is_streamed */

        snprintf(s->base.version, sizeof s->base.version, "%.*s", (int)strcspn(tag, "\""), tag);
        s->base.total = a->op.ex.head.range_total;
    }
    s->a = a;
    s->is_write = is_write;
    s->n_forks = io_n_forks();
    s->claimed = -1;
    s->news = true; /* it may have come with the head */
    pthread_mutex_init(&s->mu, NULL);
    return &s->base;
}

void stream_fini(struct stream *s)
{
    pthread_mutex_destroy(&s->mu);
}
