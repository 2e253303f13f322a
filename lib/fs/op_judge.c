/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* What came of a step of an operation: again, the next step, or the result. */
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/random.h"
#include "base/reply.h"
#include "fs/op.h"
#include <stdio.h>
#include <string.h>

/* A write by handle is over, its handle closed or not. */
static void end_written(struct op *op)
{
    if (op->reply->err.cls == PFS_OK) {
        op->reply->count = op->written;
    }
}

/* Of an operation whose step at hand surely did nothing. */
static enum pfs_outcome outcome_without_step(const struct op *op)
{
    return op->applied ? PFS_OUTCOME_AP : op->uncertain ? PFS_OUTCOME_UN : PFS_OUTCOME_NA;
}

static void count_error(const struct op *op)
{
    atomic_fetch_add_explicit(&remote_counters(op->client->remote)->errors, 1,
                              memory_order_relaxed);
}

void op_end_unsent(struct op *op, const struct pfs_error *why)
{
    if (op->step == STEP_CLOSE) {
        end_written(op);
        return;
    }
    op->reply->err = *why;
    op->reply->err.outcome = outcome_without_step(op);
    count_error(op);
}

void op_give_up(struct op *op, enum pfs_class cls, const char *why)
{
    struct pfs_error err;

    pfs_fail(&err, cls, PFS_OUTCOME_NA, PFS_PHASE_QUEUE, "%s", why);
    op_end_unsent(op, &err);
}

void op_end(struct op *op)
{
    if (atomic_load(&op->client->closing)) {
        op_give_up(op, PFS_SHUTDOWN, "the client is being freed");
    } else {
        op_give_up(op, PFS_CANCELLED, pfs_class_text(PFS_CANCELLED));
    }
}

/* The reply at hand is of the server process that the attempts before were sent to. */
static bool is_of_first_boot(const struct op *op)
{
    const char *boot = op->ex.head.boot;
    size_t n = strlen(op->first_boot);

    return n > 0 && strcspn(boot, ";") == n && memcmp(boot, op->first_boot, n) == 0;
}

static void gather_facts(const struct op *op, const struct pfs_error *err, struct retry_facts *f)
{
    const struct exchange *ex = &op->ex;
    struct remote_knowledge k = remote_knows(op->client->remote);
    struct pfs_request room;
    bool same_process = k.boot[0] && k.serial == op->boot_serial;

    *f = (struct retry_facts){
        .safety = op_safety_of(op_step_request(op, &room)),
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
        .over_limit = err->cls == PFS_LIMIT,
        .attempts = op->attempts - op->n_moves,
        .n_moves = op->n_moves,
        .max_attempts = op->client->options.retries,
        .used_free_retry = op->used_free_retry,
        .uncertain = op->uncertain,
        .remembered = is_of_first_boot(op),
        .h2_code = err->h2_code,
        .retry_after_ms = err->retry_after_ms,
        .tokens = remote_tokens(op->client->remote),
        .random = pfs_random(),
    };
}

/* Whether opening alone may have changed something. */
static bool opening_changes(const struct op *op)
{
    return op->req.flags & (PFS_WRITE_CREATE | PFS_WRITE_EXCLUSIVE | PFS_WRITE_TRUNCATE);
}

/* Of the operation, whose step failed for good with that outcome: what the step did is not yet what
 * was asked for. */
static enum pfs_outcome final_outcome(const struct op *op, const struct retry_facts *f,
                                      enum pfs_outcome of_step)
{
    bool may_have_run = of_step != PFS_OUTCOME_NA;

    switch (op->step) {
    case STEP_PROBE: /* the write itself was not sent */
        return PFS_OUTCOME_NA;
    case STEP_OPEN:
        if (may_have_run) {
            return opening_changes(op) ? PFS_OUTCOME_UN : PFS_OUTCOME_NA;
        }
        break;
    case STEP_WRITE: /* nobody said how much */
        of_step = may_have_run ? PFS_OUTCOME_UN : PFS_OUTCOME_NA;
        break;
    case STEP_SYNC:
        return op->applied ? PFS_OUTCOME_AP : PFS_OUTCOME_UN;
    case STEP_MAIN:
    case STEP_CLOSE:
        break;
    }
    return retry_outcome(f, of_step);
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
        err->outcome = final_outcome(op, &f, err->outcome);
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
    count_error(op);
    if (op->step == STEP_SYNC) {
        pfs_err_prefix(&op->reply->err, "written, but perhaps not on stable storage");
    }
    if (op->step == STEP_WRITE || op->step == STEP_SYNC) {
        op->step = STEP_CLOSE;
        op->attempts = 0;
        op->n_moves = 0;
        return true;
    }
    return false;
}

/* A handle takes one piece of content; a stream that it could carry there is none. */
static void refuse_stream(const struct op *op)
{
    struct pfs_error *err = &op->reply->err;

    pfs_refuse(err, PFS_UNSUPPORTED,
               "the remote replaces whole files only: no stream can append, create exclusively or "
               "sync there, but a single write may; nothing was changed");
    err->phase = PFS_PHASE_REPLY;
    count_error(op);
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
        if (!op->extended && op->req.op == PFS_OP_OPEN_WRITE) {
            refuse_stream(op);
            return false;
        }
        op->step = op->extended ? STEP_MAIN : STEP_OPEN;
        return true;
    case STEP_OPEN:
        op->handle = reply->handle.id;
        op->uncertain |= opening_changes(op);
        op->step = STEP_WRITE;
        return true;
    case STEP_WRITE:
        op->written = reply->count;
        op->uncertain = true;
        op->applied = reply->count == (int64_t)op->req.len;
        op->step = op->req.flags & PFS_WRITE_SYNC ? STEP_SYNC : STEP_CLOSE;
        return true;
    case STEP_SYNC:
        op->step = STEP_CLOSE;
        return true;
    case STEP_CLOSE:
        end_written(op);
        break;
    }
    return false;
}

/* A server that does not know the call at all. */
static bool is_unknown_call(const struct pfs_error *err)
{
    return err->cls == PFS_UNSUPPORTED || err->http_status == 405 ||
           (err->http_status == 404 && strstr(err->text, "page not found"));
}

/* Servers without handles, or without this one: the write cannot be done there, and was not. */
static void explain_unsupported(const struct op *op, struct pfs_error *err)
{
    if (!is_unknown_call(err)) {
        return;
    }
    if (op->req.op == PFS_OP_COPY && err->http_status == 404) {
        pfs_refuse(err, PFS_UNSUPPORTED, "copy: not supported by the remote");
        err->phase = PFS_PHASE_REPLY;
    }
    if (op->step == STEP_OPEN) {
        pfs_refuse(err, PFS_UNSUPPORTED,
                   "the remote replaces whole files only and has no handles here: writing at an "
                   "offset, appending or "
                   "exclusive creation is not supported; nothing was changed");
        err->phase = PFS_PHASE_REPLY;
    }
}

static struct wire_head head_of(const struct exchange *ex)
{
    const struct reply_head *h = &ex->head;

    return (struct wire_head){.status = h->status,
                              .is_part = exchange_is_part(ex),
                              .content_type = h->content_type[0] ? h->content_type : NULL,
                              .content_encoding =
                                  h->content_encoding[0] ? h->content_encoding : NULL,
                              .retry_after = h->retry_after[0] ? h->retry_after : NULL};
}

enum pfs_class op_check_head(const struct op *op, struct pfs_error *err)
{
    struct wire_head head = head_of(&op->ex);

    return wire_check_head(&op->req, &head, err);
}

void op_decode(struct op *op, struct pfs_reply *reply)
{
    struct exchange *ex = &op->ex;
    struct pfs_request room;
    const struct pfs_request *req = op_step_request(op, &room);

    if (req->op == PFS_OP_OPEN_READ && req->flags & PFS_READ_INLINE && ex->head.status == 200) {
        room = *req;
        room.op = PFS_OP_READ; /* all is there */
        req = &room;
    }
    struct wire_head head = head_of(ex);
    size_t len = pfs_buf_len(&ex->reply);
    char *body = len ? pfs_buf_take(&ex->reply, NULL) : NULL;

    if (len && !body) {
        pfs_fail(&reply->err, PFS_NOMEM, PFS_OUTCOME_UN, PFS_PHASE_REPLY,
                 "out of memory for a reply");
    } else if (wire_decode(req, &head, body, len, op->client->options.authority, reply) == PFS_OK) {
        op_name_locally(op, reply);
        reply->plain = req->op == PFS_OP_READ && boot_says_plain(ex->head.boot);
    }
}

/* Operations that leave content at a path: a later one must not be overtaken by an earlier one. */
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

bool op_must_wait(struct op *op)
{
    bool must = (op->step == STEP_MAIN || op->step == STEP_OPEN) && writes_content(op->req.op) &&
                fences_block(remote_fences(op->client->remote), written_path(op));

    op->has_waited |= must;
    return must;
}

void op_raise_fence(struct op *op)
{
    if (op->step != STEP_PROBE && writes_content(op->req.op) && op->ex.header_sent) {
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
            remote_replied(op->client->remote, op->began_ns);
        }
        again = next_step(op, reply);
    } else if (op->step == STEP_PROBE &&
               (reply->err.http_status == 404 || is_unknown_call(&reply->err))) {
        again = next_step(op, reply);    /* it has no features; it may have handles */
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
