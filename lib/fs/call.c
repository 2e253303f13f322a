/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* Blocking calls: the caller's thread carries the operation, and when alone the connection. */
#include "base/clock.h"
#include "base/err.h"
#include "base/reply.h"
#include "base/thread.h"
#include "fs/op.h"
#include <sched.h>

bool op_call(struct op *op, struct generation *g)
{
    int live = OP_PIN_LIVE;

    atomic_store(&op->pin, OP_PIN_LIVE);
    /* Either who gives it up sees the pin, or this sees that it began. */
    bool ended = op_is_ended(op);
    if (!ended) {
        generation_call(g, &op->ex);
    } else {
        generation_unref(g);
    }
    while (!atomic_compare_exchange_weak(&op->pin, &live, OP_PIN_NONE)) {
        live = OP_PIN_LIVE; /* pinned: only for the moment of being given up */
        sched_yield();
    }
    return !ended;
}

static void run(struct op *op)
{
    int64_t delay_ns = 0;

    do {
        if (delay_ns > 0 && !client_pause(op, pfs_after(pfs_now(), delay_ns))) {
            op_end(op);
            return;
        }
        if (op_must_wait(op) && pfs_now() < op->deadline_ns) {
            delay_ns = FENCE_POLL_NS;
            continue;
        }
        if (op_prepare(op) != PFS_OK) {
            return;
        }
        if (!op_call(op, remote_generation(op->client->remote))) {
            op_end(op);
            return;
        }
        if (!op_judge(op, &delay_ns)) {
            return;
        }
    } while (true);
}

/* A call that only the asynchronous way can do: a wait for its end, which its deadline bounds. */
struct waiter {
    pthread_mutex_t mu;
    pthread_cond_t cond;
    bool done;
    struct pfs_reply *reply;
};

static void on_done(void *arg, struct pfs_reply *reply)
{
    struct waiter *w = arg;

    pthread_mutex_lock(&w->mu);
    *w->reply = *reply;
    w->done = true;
    pthread_cond_signal(&w->cond);
    pthread_mutex_unlock(&w->mu);
}

static enum pfs_class submit_and_wait(struct pfs_client *c, const struct pfs_request *req,
                                      struct pfs_reply *reply)
{
    struct waiter w = {
        .mu = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER, .reply = reply};

    pfs_submit(c, req, on_done, &w);
    pthread_mutex_lock(&w.mu);
    while (!w.done) {
        pthread_cond_wait(&w.cond, &w.mu);
    }
    pthread_mutex_unlock(&w.mu);
    return reply->err.cls;
}

static enum pfs_class call(struct pfs_client *c, const struct pfs_request *req,
                           struct pfs_reply *reply)
{
    struct op op;

    if (op_init(&op, c, req, reply) == PFS_OK) {
        if (client_enter(c, &op)) {
            run(&op);
            client_leave(c, &op);
        } else {
            pfs_refuse(&reply->err, PFS_SHUTDOWN, "the client is being freed");
        }
    }
    op_fini(&op);
    return reply->err.cls;
}

enum pfs_class pfs_call(struct pfs_client *c, const struct pfs_request *req,
                        struct pfs_reply *reply)
{
    int before = pfs_cancel_not();

    pfs_reply_init(reply);
    enum pfs_class cls =
        op_is_stream(req->op) ? submit_and_wait(c, req, reply) : call(c, req, reply);
    pfs_cancel_again(before);
    return cls;
}
