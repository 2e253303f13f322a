/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* The steps of an operation: validate, encode, judge what came back. */
#include "fs/op.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/random.h"
#include "base/reply.h"
#include "fs/parallel.h"
#include "fs/req_id.h"
#include "fs/secret.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEADLINE_CAP_NS (3600 * PFS_SEC)
/* Data takes time: so much more for each MiB of the request (reliability bar C). */
#define NS_PER_MIB PFS_SEC
/* A part of a large write: better not in the way of others. */
#define BULK_WRITE (1u << 20)
/* What most small replies fit in. */
#define REPLY_ROOM 256

static void set_deadline(struct op *op, const struct pfs_request *req)
{
    int64_t now = pfs_now();
    int64_t own = op->client->options.timeout_ns + (int64_t)(req->len >> 20) * NS_PER_MIB;

    op->began_ns = now;
    if (req->op ==
        PFS_OP_COPY) { /* as long as it takes there; a dead peer is found by its silence */
        own = DEADLINE_CAP_NS;
    }
    op->deadline_ns = pfs_after(now, own);
    if (req->deadline_ns > 0) {
        op->deadline_ns = pfs_earlier(req->deadline_ns, now + DEADLINE_CAP_NS);
    }
}

/* A write that is more than "replace the whole file" (which is all that a stock server can do). */
static bool is_extended_write(const struct pfs_request *r)
{
    if (r->op != PFS_OP_WRITE && r->op != PFS_OP_OPEN_WRITE) {
        return false;
    }
    bool replaces = r->offset == -1 || (r->offset == 0 && (r->flags & PFS_WRITE_TRUNCATE));

    return !replaces || (r->flags & (PFS_WRITE_APPEND | PFS_WRITE_EXCLUSIVE | PFS_WRITE_SYNC)) ||
           (r->offset == 0 && !(r->flags & PFS_WRITE_CREATE));
}

enum pfs_class op_init(struct op *op, struct pfs_client *c, const struct pfs_request *req,
                       struct pfs_reply *reply)
{
    struct pfs_error *err = &reply->err;
    enum pfs_class cls = PFS_OK;

    memset(op, 0, offsetof(struct op, ex)); /* op_prepare makes the exchange */
    op->req_id[0] = op->first_boot[0] = '\0';
    op->client = c;
    op->req = *req;
    op->reply = reply;
    list_init(&op->node);
    cls = op_check(c, req, err);
    if (cls == PFS_OK && op_needs_path(req->op)) {
        cls = op_set_paths(op, req, err);
    }
    if (cls != PFS_OK) {
        return cls;
    }
    set_deadline(op, req);
    if (op_safety_of(req) != SAFETY_R) {
        if (req->req_id) {
            size_t n = strnlen(req->req_id, sizeof op->req_id - 1);

            *(char *)mempcpy(op->req_id, req->req_id, n) = '\0';
        } else if (!remote_is_foreign(c->remote)) { /* others would not remember it */
            req_id_make(op->req_id);
        }
    }
    op->hops[0] = req->hops ? (char)('0' + req->hops) : '\0'; /* HOPS_MAX keeps it a digit */
    op->hops[1] = '\0';
    if (remote_has_authorization(c->remote)) {
        op->authorization = remote_authorization(c->remote);
        if (!op->authorization) {
            return pfs_nomem(err, "a request");
        }
    }
    op->boot_serial = remote_boot_serial(c->remote);
    if (is_extended_write(&op->req)) {
        struct remote_knowledge k = remote_knows(c->remote);
        op->extended = k.features & FEATURE_OFFSET;
        op->step = op->extended ? STEP_MAIN : STEP_PROBE;
    }
    atomic_fetch_add_explicit(&remote_counters(c->remote)->calls, 1, memory_order_relaxed);
    return PFS_OK;
}

void op_release_exchange(struct op *op)
{
    if (op->ex_live) {
        exchange_release(&op->ex);
        wire_message_fini(&op->msg);
        op->ex_live = false;
    }
}

void op_fini(struct op *op)
{
    op_release_exchange(op);
    secret_free(op->authorization);
    if (op->paths != op->small_paths) {
        pfs_free(op->paths);
    }
}

/* The request that the step at hand sends: the operation's, or made in *room. */
static const struct pfs_request *step_request(const struct op *op, struct pfs_request *room)
{
    const struct pfs_request *r = &op->req;

    if (op->step == STEP_MAIN) {
        return r;
    }
    struct pfs_request out = PFS_REQUEST_INIT;
    out.handle = op->handle;
    switch (op->step) {
    case STEP_MAIN:
        break;
    case STEP_PROBE:
        out.op = PFS_OP_CAPABILITIES;
        break;
    case STEP_OPEN:
        out.op = PFS_OP_HANDLE_OPEN;
        out.path = r->path;
        out.mode = r->mode ? r->mode : 0644;
        out.flags = PFS_OPEN_WRONLY | (r->flags & PFS_WRITE_APPEND ? PFS_OPEN_APPEND : 0) |
                    (r->flags & (PFS_WRITE_CREATE | PFS_WRITE_EXCLUSIVE) ? PFS_OPEN_CREATE : 0) |
                    (r->flags & PFS_WRITE_EXCLUSIVE ? PFS_OPEN_EXCL : 0) |
                    (r->flags & PFS_WRITE_TRUNCATE ? PFS_OPEN_TRUNC : 0);
        break;
    case STEP_WRITE:
        out.op = PFS_OP_HANDLE_WRITE;
        out.data = r->data;
        out.len = r->len;
        out.offset = r->offset;
        break;
    case STEP_SYNC:
        out.op = PFS_OP_HANDLE_SYNC;
        break;
    case STEP_CLOSE:
        out.op = PFS_OP_HANDLE_CLOSE;
        break;
    }
    *room = out;
    return room;
}

static void add_fields(struct op *op)
{
    struct exchange *ex = &op->ex;

    if (op->authorization && op->authorization[0]) {
        exchange_add_field(ex, "authorization", op->authorization, HPACK_NOTHING);
    }
    if (op->hops[0]) {
        exchange_add_field(ex, "agfs-hops", op->hops, HPACK_FIELD);
    }
    if (op->req_id[0] && op->step == STEP_MAIN) {
        exchange_add_field(ex, "x-req-id", op->req_id, HPACK_NAME);
    }
    if (op->req.op == PFS_OP_OPEN_READ && op->req.flags & PFS_READ_RANGE) {
        int64_t first = op->req.offset > 0 ? op->req.offset : 0, size = op->req.size;
        int64_t last = size > 0 && size <= INT64_MAX - first ? first + size - 1 : INT64_MAX;

        snprintf(op->range, sizeof op->range, "bytes=%lld-", (long long)first);
        if (last < INT64_MAX) {
            size_t n = strlen(op->range);
            snprintf(op->range + n, sizeof op->range - n, "%lld", (long long)last);
        }
        ex->range_first = first;
        ex->range_last = last;
        ex->room = op->req.flags & READ_HAS_ROOM ? (size_t)op->req.size : 0;
        ex->is_bulk = true;
        exchange_add_field(ex, "range", op->range, HPACK_NAME);
    }
    ex->is_bulk |= op->req.op == PFS_OP_HANDLE_WRITE && op->req.len >= BULK_WRITE;
    if (op->attempts > 0) {
        snprintf(op->attempt_text, sizeof op->attempt_text, "%u", op->attempts + 1);
        exchange_add_field(ex, "x-attempt", op->attempt_text, HPACK_NOTHING);
    }
    if (op->first_boot[0] && op->step == STEP_MAIN) { /* only that process may answer for it */
        snprintf(
            op->first_attempt, sizeof op->first_attempt, "%s;age=%lld", op->first_boot,
            (long long)((op->deadline_ns - op->began_ns) / PFS_MS)); /* it may wait on its way */
        exchange_add_field(ex, "x-first-attempt", op->first_attempt, HPACK_NOTHING);
    }
}

enum pfs_class op_prepare(struct op *op)
{
    struct pfs_request room;
    struct exchange *ex = &op->ex;
    enum pfs_class cls = wire_encode(step_request(op, &room), op->client->options.base_path,
                                     op->extended, &op->msg, &op->reply->err);

    if (cls != PFS_OK) {
        return cls;
    }
    exchange_init(ex);
    op->ex_live = true;
    ex->method = op->msg.method;
    ex->target = op->msg.target;
    ex->content_type = op->msg.content_type;
    ex->body = op->msg.body;
    ex->body_len = op->msg.body_len;
    ex->reply_max = op->msg.reply_max;
    ex->deadline_ns = op->deadline_ns;
    add_fields(op);
    if (!op_is_stream(op->req.op)) {
        /* Here, by the thread that frees it: the I/O thread would take it from an arena that is not
         * the caller's, which costs ten times as much. Without memory it is tried again there. */
        pfs_buf_room(&ex->reply, REPLY_ROOM);
    }
    atomic_fetch_add_explicit(&remote_counters(op->client->remote)->attempts, 1,
                              memory_order_relaxed);
    return PFS_OK;
}

static void gather_facts(const struct op *op, const struct pfs_error *err, struct retry_facts *f)
{
    const struct exchange *ex = &op->ex;
    struct remote_knowledge k = remote_knows(op->client->remote);
    struct pfs_request room;
    bool same_process = k.boot[0] && k.serial == op->boot_serial;

    *f = (struct retry_facts){
        .safety = op_safety_of(step_request(op, &room)),
        .failure = ex->failure,
        .status = ex->head.status,
        .says_not_applied = err->outcome == PFS_OUTCOME_NA,
        .attested = ex->attested || op->client->options.trust_refused,
        .others_served = ex->others_served,
        .atomic_body = ex->attested && (k.features & FEATURE_ATOMIC_BODY),
        .dedupe =
            (k.features & FEATURE_DEDUPE) && same_process && op->req_id[0] && op->step == STEP_MAIN,
        .retry_writes = op->client->options.retry_writes,
        .body_gone = ex->body_stream,
        .attempts = op->attempts - op->n_moves,
        .n_moves = op->n_moves,
        .max_attempts = op->client->options.retries,
        .used_free_retry = op->used_free_retry,
        .uncertain = op->uncertain,
        .remembered = op->first_boot[0],
        .h2_code = err->h2_code,
        .retry_after_ms = err->retry_after_ms,
        .tokens = remote_tokens(op->client->remote),
        .random = pfs_random(),
    };
}

/* The failed step again? Fills in the outcome that the evidence allows. */
static bool try_again(struct op *op, struct pfs_error *err, int64_t *ret_delay_ns)
{
    struct retry_facts f;

    op->attempts++;
    gather_facts(op, err, &f);
    struct retry_verdict v = retry_decide(&f);
    if (f.failure != FAILURE_NONE && f.failure != FAILURE_DEADLINE && f.failure != FAILURE_BODY) {
        err->outcome = v.outcome; /* of a complete reply, the reply says it */
    }
    bool in_time = pfs_after(pfs_now(), v.delay_ns) < op->deadline_ns;
    log_debug("%s attempt %u: %s (%s), evidence %s: %s", pfs_op_name(op->req.op), op->attempts,
              pfs_class_name(err->cls), pfs_outcome_name(err->outcome), v.evidence,
              v.again && in_time ? "again" : "final");
    if (!v.again || !in_time) {
        err->outcome = retry_outcome(&f, err->outcome);
        return false;
    }
    if (f.safety != SAFETY_R && v.outcome != PFS_OUTCOME_NA) {
        op->uncertain = true;
        if (f.dedupe && !(f.safety == SAFETY_W && f.retry_writes)) {
            snprintf(op->first_boot, sizeof op->first_boot, "%s",
                     remote_knows(op->client->remote).boot);
        }
    }
    op->n_moves += v.is_move;
    op->used_free_retry |= v.is_free && !v.is_move;
    if (!v.is_free) {
        remote_token_change(op->client->remote, -RETRY_TOKEN_COST);
    }
    *ret_delay_ns = v.delay_ns;
    return true;
}

/* The result of a step that failed for good; a handle that is open gets closed first. */
static bool end_with(struct op *op, const struct pfs_error *err)
{
    op->reply->err = *err;
    atomic_fetch_add_explicit(&remote_counters(op->client->remote)->errors, 1,
                              memory_order_relaxed);
    if (op->step == STEP_WRITE || op->step == STEP_SYNC) {
        op->step = STEP_CLOSE;
        op->attempts = 0;
        op->n_moves = 0;
        return true;
    }
    return false;
}

/* A step succeeded: what follows? False: the operation is over. */
static bool next_step(struct op *op, const struct pfs_reply *reply)
{
    op->attempts = 0;
    op->n_moves = 0;
    op->used_free_retry = false;
    switch (op->step) {
    case STEP_MAIN:
        return false; /* decoded in its place */
    case STEP_PROBE:
        op->extended = remote_knows(op->client->remote).features & FEATURE_OFFSET;
        op->step = op->extended ? STEP_MAIN : STEP_OPEN;
        return true;
    case STEP_OPEN:
        op->handle = reply->handle.id;
        op->step = STEP_WRITE;
        return true;
    case STEP_WRITE:
        op->written = reply->count;
        op->step = op->req.flags & PFS_WRITE_SYNC ? STEP_SYNC : STEP_CLOSE;
        return true;
    case STEP_SYNC:
        op->step = STEP_CLOSE;
        return true;
    case STEP_CLOSE:
        if (op->reply->err.cls == PFS_OK) {
            op->reply->count = op->written;
        }
        break;
    }
    return false;
}

void op_give_up(struct op *op, enum pfs_class cls, const char *why)
{
    enum pfs_outcome outcome = op->uncertain ? PFS_OUTCOME_UN : PFS_OUTCOME_NA;

    pfs_fail(&op->reply->err, cls, outcome, PFS_PHASE_QUEUE, "%s", why);
    atomic_fetch_add_explicit(&remote_counters(op->client->remote)->errors, 1,
                              memory_order_relaxed);
}

/* Servers without handles, or without this one: the write cannot be done there, and was not. */
static void explain_unsupported(const struct op *op, struct pfs_error *err)
{
    if (op->req.op == PFS_OP_COPY && err->http_status == 404 &&
        strstr(err->text, "page not found")) {
        pfs_refuse(err, PFS_UNSUPPORTED, "copy: not supported by the remote");
        err->phase = PFS_PHASE_REPLY;
    }
    bool no_way = err->cls == PFS_UNSUPPORTED || (op->step == STEP_OPEN && err->http_status == 405);

    if (op->step == STEP_OPEN && no_way) {
        pfs_refuse(err, PFS_UNSUPPORTED,
                   "the remote replaces whole files only and has no handles here: writing at an "
                   "offset, appending or "
                   "exclusive creation is not supported; nothing was changed");
        err->phase = PFS_PHASE_REPLY;
    }
}

void op_decode(struct op *op, struct pfs_reply *reply)
{
    struct exchange *ex = &op->ex;
    struct pfs_request room;
    const struct pfs_request *req = step_request(op, &room);

    if (req->op == PFS_OP_OPEN_READ && req->flags & PFS_READ_INLINE && ex->head.status == 200) {
        room = *req;
        room.op = PFS_OP_READ; /* all is there */
        req = &room;
    }
    struct wire_head head = {
        .status = ex->head.status,
        .content_type = ex->head.content_type[0] ? ex->head.content_type : NULL,
        .content_encoding = ex->head.content_encoding[0] ? ex->head.content_encoding : NULL,
        .retry_after = ex->head.retry_after[0] ? ex->head.retry_after : NULL};
    size_t len = pfs_buf_len(&ex->reply);
    char *body = len ? pfs_buf_take(&ex->reply, NULL) : NULL;

    if (len && !body) {
        pfs_fail(&reply->err, PFS_NOMEM, PFS_OUTCOME_UN, PFS_PHASE_REPLY,
                 "out of memory for a reply");
    } else {
        wire_decode(req, &head, body, len, op->client->options.authority, reply);
    }
}

/* Operations that leave content behind at a path: a later one must not be overtaken by an earlier
 * one. */
static bool writes_content(enum pfs_op op)
{
    return op == PFS_OP_WRITE || op == PFS_OP_OPEN_WRITE || op == PFS_OP_TRUNCATE ||
           op == PFS_OP_COPY || op == PFS_OP_HANDLE_COMMIT;
}

/* Where it leaves that. */
static const char *written_path(const struct op *op)
{
    return op->req.op == PFS_OP_COPY ? op->req.path2 : op->req.path;
}

bool op_must_wait(const struct op *op)
{
    return op->step == STEP_MAIN && writes_content(op->req.op) &&
           fences_block(remote_fences(op->client->remote), written_path(op));
}

void op_raise_fence(struct op *op)
{
    if (writes_content(op->req.op) && op->ex.header_sent) {
        fences_raise(remote_fences(op->client->remote), written_path(op), &op->ex);
    }
}

bool op_judge(struct op *op, int64_t *ret_delay_ns)
{
    struct pfs_reply other, *reply = op->step == STEP_MAIN ? op->reply : &other;
    struct exchange *ex = &op->ex;
    bool again;

    if (reply == &other) { /* the caller's is empty */
        pfs_reply_init(reply);
    }
    *ret_delay_ns = 0;
    if (ex->header_ended) { /* half of one may lack what would be in the other */
        remote_learn(op->client->remote, ex->head.boot);
    }
    if (ex->failure == FAILURE_NONE) {
        op_decode(op, reply);
    } else {
        reply->err = ex->err;
    }
    if (ex->failure != FAILURE_NONE && reply->err.outcome == PFS_OUTCOME_UN) {
        op_raise_fence(op); /* what was answered is on its way no more */
    }
    if (reply->err.cls == PFS_OK) {
        remote_token_change(op->client->remote, 1);
        if (op->attempts == 0) {
            remote_replied(op->client->remote, pfs_now() - op->began_ns);
        }
        again = next_step(op, reply);
    } else if (op->step == STEP_CLOSE) { /* the write's own result stands */
        log_debug("closing the handle of %s: %s", op->req.path, reply->err.text);
        again = next_step(op, reply);
    } else if (try_again(op, &reply->err, ret_delay_ns)) {
        pfs_error_init(&reply->err);
        again = true;
    } else {
        explain_unsupported(op, &reply->err);
        again = end_with(op, &reply->err);
    }
    if (reply == &other) {
        pfs_reply_fini(&other);
    }
    op_release_exchange(op);
    return again;
}
