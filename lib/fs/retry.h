/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PFS_FS_RETRY_H
#define PFS_FS_RETRY_H

/*
 * The one place where it is decided whether a failed exchange is made again: table B2 of the
 * reliability bar, with the budget of B3. Pure: facts in, verdict out.
 */
#include "base/op.h"
#include "http/exchange.h"
#include <proxyfs/driver.h>

/* The safety of a request: the operation's, or better when the request says so. */
enum op_safety op_safety_of(const struct pfs_request *req);

/* Flag of HANDLE_WRITE beside those of driver.h: at an offset, of a handle of HANDLE_REPLACE. */
#define WRITE_UNSEEN 0x80000000u

struct retry_facts {
    enum op_safety safety;
    enum failure_point failure; /* NONE: a complete reply, see status */
    int status;                 /* of a complete reply; 0: none */
    bool says_not_applied;      /* our own server's error body said NA */
    bool attested;              /* the peer is one of our servers, or trust_refused is set */
    bool others_served;         /* the connection that GOAWAY ended took requests before */
    bool atomic_body;           /* it promised that an incomplete request has no effect */
    bool dedupe;                /* it remembers request ids, and still is the same process */
    bool retry_writes;          /* the user allows W to be repeated when the outcome is unknown */
    bool body_gone;             /* the request body cannot be sent again (streamed) */
    bool over_limit;            /* the reply is more than is taken, as the next would be */
    unsigned attempts;          /* made so far, >= 1, moves not counted */
    unsigned n_moves;           /* verdicts with is_move so far */
    unsigned max_attempts;
    bool uncertain;       /* an attempt before this one may have been carried out, */
    bool remembered;      /* and the server that answers now knows whether it was */
    bool used_free_retry; /* the one immediate retry of P1, P2 was taken */
    uint32_t h2_code;     /* of GOAWAY or RST_STREAM */
    unsigned retry_after_ms;
    unsigned tokens; /* in the remote's budget, in tenths */
    uint32_t random; /* for the jitter */
};

struct retry_verdict {
    bool again;
    bool is_free;             /* takes no token: P0, first P1, first P2, moves */
    bool is_move;             /* is no attempt: its connection was closed in order */
    int64_t delay_ns;         /* before the next attempt */
    enum pfs_outcome outcome; /* when it is not made again */
    const char *evidence;     /* the row of the table, for the log: "P5" */
};

/*
 * Tokens, in tenths: +0.1 per success, -1 per retry, none given at half of the maximum or less. A
 * lost connection takes all its calls with it, so the burst must cover what is in flight at a time:
 * with gRPC's 10 (5 retries in a row), 8 callers on one connection gave up calls that could have
 * been repeated safely. 32 in a row keep attempts below 1.1 per call from 320 failing calls on.
 */
#define RETRY_TOKENS_MAX 640
#define RETRY_TOKENS_OFF 320
#define RETRY_TOKEN_COST 10

struct retry_verdict retry_decide(const struct retry_facts *f);
/*
 * The outcome of the operation when its last attempt ended with that of_attempt: that the last one
 * was not carried out proves nothing about those before it, unless who remembers them has answered.
 */
enum pfs_outcome retry_outcome(const struct retry_facts *f, enum pfs_outcome of_attempt);

#endif
