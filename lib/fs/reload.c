/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * Reloads: new connections are made from scratch, proven with GET /health, and swapped in
 * (design.md section 5). To the client it is an operation as others are, so that pfs_client_free
 * and pfs_cancel_all end it.
 */
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/reply.h"
#include "base/thread.h"
#include "fs/op.h"

/* How often it is looked whether another reload of the remote has ended, or an old connection. */
#define TURN_POLL_NS (2 * PFS_MS)
/* Old connections that are just closing are waited for; calls in flight are not. */
#define ROOM_GRACE_NS PFS_SEC

/* False: op->reply says why not. */
static bool await_turn(struct op *op)
{
    while (!remote_reload_begin(op->client->remote)) {
        int64_t now = pfs_now();

        if (now >= op->deadline_ns) {
            op_give_up(op, PFS_TIMEOUT, "the deadline passed during another reload");
            return false;
        }
        if (!client_pause(op, pfs_earlier(now + TURN_POLL_NS, op->deadline_ns))) {
            op_end(op);
            return false;
        }
    }
    return true;
}

/* False: op->reply says why not. */
static bool await_room(struct op *op)
{
    int64_t until = pfs_earlier(pfs_after(pfs_now(), ROOM_GRACE_NS), op->deadline_ns);
    struct pfs_error err;

    while (remote_may_renew(op->client->remote, &err) != PFS_OK) {
        int64_t now = pfs_now();

        if (now >= until) {
            op->reply->err = err;
            return false;
        }
        if (!client_pause(op, pfs_earlier(now + TURN_POLL_NS, until))) {
            op_end(op);
            return false;
        }
    }
    return true;
}

/* Anything but 200 is an error, in op->reply. */
static void check_health(struct op *op, const struct renewal *fresh)
{
    struct pfs_error *err = &op->reply->err;
    const struct exchange *ex = &op->ex;
    char *of_before = op->authorization;

    op->authorization = fresh->authorization;
    if (op_prepare(op) != PFS_OK) {
        /* it is said */
    } else if (!op_call(op, generation_ref(fresh->generation))) {
        op_end(op);
    } else if (ex->failure != FAILURE_NONE) {
        *err = ex->err;
    } else if (ex->head.status != 200) {
        pfs_fail(err, PFS_IO, PFS_OUTCOME_NA, PFS_PHASE_REPLY, "HTTP %d from %s/health",
                 ex->head.status, op->client->options.masked_url);
        err->http_status = ex->head.status;
    } else {
        remote_learn(op->client->remote, ex->head.boot);
    }
    op_release_exchange(op);
    op->authorization = of_before;
}

static void renew(struct op *op)
{
    struct remote *r = op->client->remote;
    struct renewal fresh;

    if (!await_room(op) || remote_renew(r, &fresh, &op->reply->err) != PFS_OK) {
        return;
    }
    check_health(op, &fresh);
    if (op->reply->err.cls == PFS_OK) {
        unsigned id = generation_id(fresh.generation);

        remote_swap_in(r, &fresh);
        log_info("%s: reloaded, generation %u", op->client->options.masked_url, id);
    } else {
        renewal_drop(&fresh);
    }
}

static void reload(struct op *op)
{
    struct pfs_error *err = &op->reply->err;

    if (await_turn(op)) {
        renew(op);
        remote_reload_end(op->client->remote);
    }
    if (err->cls != PFS_OK) {
        pfs_err_prefix(err, "reload failed: failed to connect after reload");
        err->outcome = PFS_OUTCOME_NA;
        log_warn("%s: %s; the old connections go on serving", op->client->options.masked_url,
                 err->text);
    }
}

enum pfs_class pfs_reload(struct pfs_client *c, struct pfs_error *err)
{
    int64_t bound = pfs_after(c->options.connect_timeout_ns, c->options.timeout_ns);
    struct pfs_request req = PFS_REQUEST_INIT;
    struct pfs_reply reply;
    struct op op;
    int before = pfs_cancel_not();

    req.op = PFS_OP_HEALTH;
    req.deadline_ns = pfs_after(pfs_now(), bound);
    pfs_reply_init(&reply);
    if (op_init(&op, c, &req, &reply) == PFS_OK) {
        if (client_enter(c, &op)) {
            reload(&op);
            client_leave(c, &op);
        } else {
            pfs_refuse(&reply.err, PFS_SHUTDOWN, "the client is being freed");
        }
    }
    op_fini(&op);
    enum pfs_class cls = reply.err.cls;
    if (cls != PFS_OK && err) {
        *err = reply.err;
    }
    pfs_reply_fini(&reply);
    pfs_cancel_again(before);
    return cls;
}
