/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "fs/retry.h"
#include "base/clock.h"

#define BACKOFF_FIRST_NS (100 * PFS_MS)
#define BACKOFF_CAP_NS PFS_SEC
/* So many connections may close under a call before it waits for the next. */
#define MOVES_AT_ONCE 8
/* 425 and 421: once (RFC 8470 section 5.2, RFC 9110 section 15.5.20). */
#define TOO_EARLY 425
#define MISDIRECTED 421

/*
 * Nobody sees anything of a replacement before its commit: to open another one, or to write the
 * same bytes at the same place of it once more, harms as little as a read. What comes late finds
 * the handle gone, or opens one that ends with its lease.
 */
enum op_safety op_safety_of(const struct pfs_request *req)
{
    bool unseen = req->op == PFS_OP_HANDLE_REPLACE ||
                  (req->op == PFS_OP_HANDLE_WRITE && req->offset >= 0 && req->flags & WRITE_UNSEEN);

    return unseen ? SAFETY_R : op_safety(req->op);
}

static struct retry_verdict no(enum pfs_outcome outcome, const char *evidence)
{
    return (struct retry_verdict){.outcome = outcome, .evidence = evidence};
}

static int64_t backoff(const struct retry_facts *f)
{
    int64_t ns = BACKOFF_FIRST_NS << (f->attempts < 5 ? f->attempts - 1 : 4);

    ns = pfs_earlier(ns, BACKOFF_CAP_NS);
    return ns / 100 * (80 + f->random % 41);
}

/* Within the budget: attempts left, body at hand, tokens. */
static struct retry_verdict budget(const struct retry_facts *f, enum pfs_outcome outcome,
                                   const char *evidence)
{
    if (f->attempts >= f->max_attempts || f->tokens <= RETRY_TOKENS_OFF || f->body_gone) {
        return no(outcome, evidence);
    }
    int64_t delay = f->retry_after_ms ? f->retry_after_ms * PFS_MS : backoff(f);

    return (struct retry_verdict){
        .again = true, .delay_ns = delay, .outcome = outcome, .evidence = evidence};
}

/*
 * A connection that served its share (nginx: keepalive_requests) ends, and others take its place:
 * no failure of the peer. With many callers one may meet that again and again; it then pauses.
 */
static struct retry_verdict move(const struct retry_facts *f, const char *evidence)
{
    return (struct retry_verdict){.again = true,
                                  .is_free = true,
                                  .is_move = true,
                                  .delay_ns = f->n_moves < MOVES_AT_ONCE ? 0 : backoff(f),
                                  .outcome = PFS_OUTCOME_NA,
                                  .evidence = evidence};
}

/*
 * P1, P2: unprocessed, says the peer. The first is repeated at once and for free. A front may reset
 * what it passed on with REFUSED_STREAM; of what lies beyond an orderly GOAWAY it has seen nothing.
 */
static struct retry_verdict unprocessed(const struct retry_facts *f, const char *evidence)
{
    bool is_orderly = failure_is_orderly(f->failure, f->h2_code);
    bool is_proof = f->safety != SAFETY_Q || f->attested || is_orderly;
    enum pfs_outcome outcome = is_proof ? PFS_OUTCOME_NA : PFS_OUTCOME_UN;

    if (!is_proof && !f->dedupe) {
        return no(outcome, evidence);
    }
    if (is_orderly && f->others_served && !f->body_gone) {
        return move(f, evidence);
    }
    if (!f->used_free_retry && !f->body_gone) {
        return (struct retry_verdict){
            .again = true, .is_free = true, .outcome = outcome, .evidence = evidence};
    }
    return budget(f, outcome, evidence);
}

/* P5, P8: it may have run. */
static struct retry_verdict maybe_run(const struct retry_facts *f, const char *evidence)
{
    if (f->dedupe || f->safety == SAFETY_R || (f->safety == SAFETY_W && f->retry_writes)) {
        return budget(f, PFS_OUTCOME_UN, evidence);
    }
    return no(PFS_OUTCOME_UN, evidence);
}

static struct retry_verdict by_status(const struct retry_facts *f)
{
    switch (f->status) {
    case 429:
        return budget(f, PFS_OUTCOME_NA, "P7");
    case 503:
        return f->says_not_applied ? budget(f, PFS_OUTCOME_NA, "P7") : maybe_run(f, "P8");
    case 502:
    case 504:
        return f->says_not_applied ? no(PFS_OUTCOME_NA, "P8") : maybe_run(f, "P8");
    case 500:
    case 408:
        return no(f->says_not_applied ? PFS_OUTCOME_NA : PFS_OUTCOME_UN, "P8");
    case TOO_EARLY:
    case MISDIRECTED:
        if (f->attempts == 1 && !f->body_gone) {
            return (struct retry_verdict){
                .again = true, .outcome = PFS_OUTCOME_NA, .evidence = "P9"};
        }
        return no(PFS_OUTCOME_NA, "P9");
    default:
        return no(PFS_OUTCOME_NA, "P10");
    }
}

static struct retry_verdict by_failure(const struct retry_facts *f)
{
    switch (f->failure) {
    case FAILURE_NONE:
        return by_status(f);
    case FAILURE_NOT_SENT: /* the wait for a connection has its own grace: here it is over */
        return no(PFS_OUTCOME_NA, "P0");
    case FAILURE_REFUSED:
        return unprocessed(f, "P1");
    case FAILURE_GOAWAY:
        if (f->h2_code != 0 && f->used_free_retry) {
            return no(PFS_OUTCOME_NA, "P2"); /* every connection ends like this: stop */
        }
        return unprocessed(f, "P2");
    case FAILURE_TLS_ALERT:
        return no(PFS_OUTCOME_NA, "P3");
    case FAILURE_SENDING:
        if (f->atomic_body) {
            return budget(f, PFS_OUTCOME_NA, "P4");
        }
        return f->safety == SAFETY_R || f->dedupe ? budget(f, PFS_OUTCOME_UN, "P4")
                                                  : no(PFS_OUTCOME_UN, "P4");
    case FAILURE_WAITING:
        return maybe_run(f, "P5");
    case FAILURE_DEADLINE:
        return no(PFS_OUTCOME_UN, "P6");
    case FAILURE_BODY:
        return f->safety == SAFETY_R || f->dedupe ? budget(f, PFS_OUTCOME_AP, "P11")
                                                  : no(PFS_OUTCOME_AP, "P11");
    case FAILURE_LOCAL:
        return no(PFS_OUTCOME_NA, "P13");
    }
    return no(PFS_OUTCOME_UN, "?");
}

struct retry_verdict retry_decide(const struct retry_facts *f)
{
    struct retry_verdict v = by_failure(f);

    return f->over_limit ? no(v.outcome, v.evidence) : v;
}

enum pfs_outcome retry_outcome(const struct retry_facts *f, enum pfs_outcome of_attempt)
{
    bool is_answer =
        f->remembered && f->failure == FAILURE_NONE && f->status < 500 && f->status != 429;

    return f->uncertain && of_attempt == PFS_OUTCOME_NA && !is_answer ? PFS_OUTCOME_UN : of_attempt;
}
