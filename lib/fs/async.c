/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "fs/async.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/pool.h"
#include "base/reply.h"
#include "fs/parallel.h"
#include <string.h>

/* More than that of one stream in the way of others is felt. */
#define LARGE_STREAM (256 << 10)
/* So much text takes a third of a millisecond to decode, and there may be 32 MiB of it. */
#define LARGE_TEXT (128 << 10)

static struct async_op *of_exchange(struct exchange *ex)
{
    return container_of(ex, struct async_op, op.ex);
}

static size_t size_for(enum pfs_op op)
{
    return sizeof(struct async_op) + (op_is_stream(op) ? sizeof(struct stream) : 0);
}

struct async_op *async_ref(struct async_op *a)
{
    atomic_fetch_add(&a->refs, 1);
    return a;
}

void async_unref(struct async_op *a)
{
    if (atomic_fetch_sub(&a->refs, 1) == 1) {
        op_fini(&a->op);
        if (a->is_stream) {
            stream_fini(a->stream);
        }
        pthread_mutex_destroy(&a->mu);
        io_hosted_give(a, size_for(a->op.req.op));
    }
}

void async_disarm(struct async_op *a)
{
    if (io_timer_cancel(a->io, &a->timer)) {
        async_unref(a);
    }
}

bool async_set_deadline(struct async_op *a, int64_t when_ns)
{
    async_ref(a);
    enum io_timer_result result = io_timer_set(a->io, &a->timer, when_ns);
    if (result != TIMER_ARMED) {
        async_unref(a);
    }
    return result != TIMER_FAILED;
}

/* The operation is over; the reply goes to whoever asked. */
static void complete(struct async_op *a)
{
    async_disarm(a);
    atomic_store(&a->ticket, NULL);
    a->done(a->arg, &a->reply);
    client_leave(a->op.client, &a->op); /* last: pfs_client_free returns after all completions */
    async_unref(a);
}

static void on_exchange(struct exchange *ex, unsigned events);

/* The reply is a stream, which lives on with a reference of its own. */
static void announce_stream(struct async_op *a, bool is_write)
{
    struct pfs_reply reply = {.stream = stream_init(a->stream, a, is_write)};
    reply.plain = a->op.req.op == PFS_OP_OPEN_READ && boot_says_plain(a->op.ex.head.boot);

    if (reply.stream->size < 0 || reply.stream->size > LARGE_STREAM) {
        exchange_is_large(&a->op.ex);
    }

    async_ref(a);
    pthread_mutex_lock(&a->mu);
    a->is_stream = true;
    pthread_mutex_unlock(&a->mu);
    async_disarm(a);
    atomic_store(&a->ticket, NULL);
    a->done(a->arg, &reply);
}

/* Nothing more of it is sent. */
static void give_up(struct async_op *a, enum pfs_class cls, const char *why)
{
    op_give_up(&a->op, cls, why);
    complete(a);
}

/* Lets the timer start the next attempt after delay_ns, or at the deadline, which ends it. */
static void attempt_after(struct async_op *a, int64_t delay_ns)
{
    int64_t when = pfs_earlier(pfs_after(pfs_now(), delay_ns), a->op.deadline_ns);

    async_disarm(a); /* the deadline's: it must not be taken for the pause's */
    pthread_mutex_lock(&a->mu);
    enum pfs_class cls = a->cancelled;
    if (cls == PFS_OK) { /* once unlocked it may have begun */
        a->backing_off = async_set_deadline(a, when);
        cls = a->backing_off ? PFS_OK : PFS_NOMEM;
    }
    pthread_mutex_unlock(&a->mu);
    if (cls != PFS_OK) {
        give_up(a, cls, pfs_class_text(cls));
    }
}

/* Sends the step at hand. */
static void attempt(struct async_op *a)
{
    struct op *op = &a->op;

    if (op_must_wait(op)) {
        if (pfs_now() < op->deadline_ns) {
            attempt_after(a, FENCE_POLL_NS);
        } else {
            give_up(a, PFS_TIMEOUT,
                    "the deadline passed, and an earlier write to the path is still in doubt");
        }
        return;
    }
    if (op_prepare(op) != PFS_OK) {
        complete(a);
        return;
    }
    op->ex.notify = on_exchange;
    op->ex.reply_stream = op->step == STEP_MAIN &&
                          (op->req.op == PFS_OP_OPEN_READ || op->req.op == PFS_OP_HANDLE_STREAM);
    if (op->step == STEP_MAIN && op->req.op == PFS_OP_OPEN_WRITE) {
        op->ex.body_stream = true;
        op->ex.body_stream_len = op->req.size;
    }
    pthread_mutex_lock(&a->mu);
    a->in_flight = true;
    enum pfs_class cancelled = a->cancelled;
    pthread_mutex_unlock(&a->mu);
    if (cancelled != PFS_OK) { /* given up between two attempts */
        atomic_store(&op->ex.cancel_class, (int)cancelled);
    }
    struct generation *g = remote_generation(op->client->remote);
    if (op->ex.body_stream) {
        exchange_enter(&op->ex, g);
        announce_stream(a, true); /* its content comes through it, perhaps at once */
    }
    generation_submit(g, &op->ex);
    generation_unref(g);
}

/* Nothing is sent that nobody would end. */
static void attempt_in_time(struct async_op *a)
{
    if (async_set_deadline(a, a->op.deadline_ns)) {
        attempt(a);
    } else {
        give_up(a, PFS_NOMEM, "out of memory for a timer");
    }
}

/* The exchange is DONE and was judged. */
static void go_on(struct async_op *a, bool again, int64_t delay_ns)
{
    if (!again) {
        complete(a);
    } else if (delay_ns == 0) {
        attempt(a);
    } else {
        attempt_after(a, delay_ns);
    }
}

/* An operation whose reply the decoder has; what it finds goes back to the operation's thread. */
struct decoding {
    struct async_op *a;
    struct io_task task;
    bool again;
    int64_t delay_ns;
};

static void on_decoded(struct io_task *t)
{
    struct decoding d = *container_of(t, struct decoding, task);

    pfs_free(container_of(t, struct decoding, task));
    go_on(d.a, d.again, d.delay_ns);
}

static void decode(void *arg)
{
    struct decoding *d = arg;

    d->again = op_judge(&d->a->op, &d->delay_ns);
    io_post(d->a->io, &d->task);
}

static bool has_large_text(const struct op *op)
{
    bool is_content =
        op->req.op == PFS_OP_READ || op->req.op == PFS_OP_HANDLE_READ || op_is_stream(op->req.op);

    return !is_content && op->ex.failure == FAILURE_NONE && pfs_buf_len(&op->ex.reply) > LARGE_TEXT;
}

/* True: the decoder has it. Other calls need this thread more than a long listing does. */
static bool decode_aside(struct async_op *a)
{
    struct pfs_pool *decoder = client_decoder(a->op.client);
    struct decoding *d = decoder ? pfs_malloc(sizeof *d) : NULL;
    struct pfs_error err;

    if (!d) {
        return false;
    }
    *d = (struct decoding){.a = a, .task.run = on_decoded};
    if (pfs_pool_submit(decoder, decode, d, &err) != PFS_OK) {
        pfs_free(d);
        return false;
    }
    return true;
}

/* The exchange is DONE: judge it, go on or complete. */
static void judge(struct async_op *a)
{
    int64_t delay_ns;

    if (a->refused && op_check_head(&a->op, &a->op.ex.err) != PFS_OK) {
        a->op.ex.failure = FAILURE_DEADLINE; /* the rest of it was cancelled */
    }
    if (has_large_text(&a->op) && decode_aside(a)) {
        return;
    }
    bool again = op_judge(&a->op, &delay_ns);

    go_on(a, again, delay_ns);
}

/* True: the caller goes on with the finished exchange; false: async_cancel, now running, will. */
static bool take_done(struct async_op *a)
{
    pthread_mutex_lock(&a->mu);
    bool mine = a->n_cancelling == 0;
    a->done_meanwhile = !mine;
    a->in_flight = false;
    pthread_mutex_unlock(&a->mu);
    return mine;
}

static void after_done(struct async_op *a)
{
    if (a->is_stream) {
        stream_on_done(a->stream);
    } else {
        judge(a);
    }
}

/* All of the content has come, and may be given as it is. */
static bool is_all_there(const struct async_op *a, unsigned events)
{
    return events & EXCHANGE_DONE && a->op.req.flags & PFS_READ_INLINE &&
           a->op.req.op == PFS_OP_OPEN_READ && a->op.ex.failure == FAILURE_NONE &&
           a->op.ex.head.status == 200;
}

static void on_exchange(struct exchange *ex, unsigned events)
{
    struct async_op *a = of_exchange(ex);
    struct pfs_error why;

    if (events & EXCHANGE_HEAD && !is_all_there(a, events)) {
        a->refused = op_check_head(&a->op, &why) != PFS_OK;
        if (a->refused && !(events & EXCHANGE_DONE)) {
            async_cancel(a, why.cls); /* DONE comes now or soon: a may be gone */
            return;
        }
        if (!a->refused) {
            if (a->op.attempts == 0) {
                remote_replied(a->op.client->remote, a->op.began_ns);
            }
            announce_stream(a, false);
        }
    }
    if (a->is_stream && (events & (EXCHANGE_DATA | EXCHANGE_WRITABLE))) {
        stream_on_news(a->stream);
    }
    if ((events & EXCHANGE_DONE) && take_done(a)) {
        after_done(a);
    }
}

void async_cancel(struct async_op *a, enum pfs_class cls)
{
    pthread_mutex_lock(&a->mu);
    if (a->cancelled == PFS_OK) {
        a->cancelled = cls;
    }
    bool act = a->in_flight;
    a->n_cancelling += act;
    bool waiting = a->backing_off;
    a->backing_off = false;
    pthread_mutex_unlock(&a->mu);
    if (waiting) {
        async_disarm(a);
        give_up(a, cls, pfs_class_text(cls));
        return;
    }
    if (!act) {
        return;
    }
    exchange_cancel(&a->op.ex, cls);
    pthread_mutex_lock(&a->mu);
    a->n_cancelling--;
    bool finish = a->done_meanwhile && a->n_cancelling == 0;
    a->done_meanwhile &= !finish;
    pthread_mutex_unlock(&a->mu);
    if (finish) {
        after_done(a);
    }
}

static void on_time(struct io_timer *t)
{
    struct async_op *a = container_of(t, struct async_op, timer);

    pthread_mutex_lock(&a->mu);
    bool next = a->backing_off, is_stream = a->is_stream;
    a->backing_off = false;
    pthread_mutex_unlock(&a->mu);
    if (next) {
        attempt_in_time(a);
    } else if (!is_stream || stream_is_late(a->stream)) {
        async_cancel(a, PFS_TIMEOUT);
    }
    async_unref(a); /* the timer's */
}

void async_start(struct pfs_client *c, const struct pfs_request *req, pfs_done_fn *done, void *arg)
{
    struct async_op *a = io_hosted_take(size_for(req->op));
    struct io *hosted = io_hosted_here();
    struct pfs_reply reply;

    pfs_reply_init(&reply);
    if (!a) {
        pfs_nomem(&reply.err, "an operation");
        done(arg, &reply);
        return;
    }
    memset(&a->done, 0, sizeof *a - offsetof(struct async_op, done));
    pfs_reply_init(&a->reply);
    atomic_init(&a->refs, 1);
    pthread_mutex_init(&a->mu, NULL);
    a->done = done;
    a->arg = arg;
    a->io = hosted ? hosted : remote_io(c->remote);
    a->timer.on_time = on_time;
    atomic_init(&a->ticket, req->ticket);
    enum pfs_class cls = op_init(&a->op, c, req, &a->reply);
    a->op.async = a;
    if (cls == PFS_OK && !client_enter(c, &a->op)) {
        cls = pfs_refuse(&a->reply.err, PFS_SHUTDOWN, "the client is being freed");
    }
    if (cls != PFS_OK) {
        reply = a->reply;
        async_unref(a);
        done(arg, &reply);
        return;
    }
    attempt_in_time(a);
}

void pfs_submit(struct pfs_client *c, const struct pfs_request *req, pfs_done_fn *done, void *arg)
{
    atomic_fetch_add(&c->n_inside, 1); /* the operation may be over while this still runs */
    if (!parallel_start(c, req, done, arg)) {
        async_start(c, req, done, arg);
    }
    atomic_fetch_sub(&c->n_inside, 1);
}
