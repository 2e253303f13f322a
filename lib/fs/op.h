/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PFS_FS_OP_H
#define PFS_FS_OP_H

/*
 * An operation: what the caller asked, carried out by one or more exchanges under one absolute
 * deadline.
 *
 *   op_init -> [op_prepare -> exchange -> op_judge] until AGAIN no more -> reply filled -> op_fini
 *
 * Blocking callers run these steps themselves (call.c); asynchronous operations are driven by the
 * completion of their exchanges and by timers (async.c).
 */
#include "fs/client.h"
#include "fs/remote.h"
#include "fs/retry.h"
#include "wire/wire.h"

/* What an exchange of an operation is for. */
enum op_step {
    STEP_MAIN,  /* the operation itself */
    STEP_PROBE, /* GET /capabilities: does this server honour offset and flags? */
    STEP_OPEN,  /* a write at an offset, done by handle on a server that does not: open, */
    STEP_WRITE, /* write, */
    STEP_SYNC,  /* sync, */
    STEP_CLOSE  /* close */
};

struct op {
    struct pfs_client *client;
    struct list node;
    uint64_t serial; /* of those that came into the client's ops; under its mu */
    char *paths;     /* memory of both: small_paths, or owned */
    int64_t deadline_ns;
    enum op_step step;
    unsigned attempts;    /* requests sent for this step */
    unsigned n_moves;     /* those of them that a connection closed in order did not take */
    unsigned boot_serial; /* which server process the remote was known as at the start */
    bool extended;        /* the server honours offset and flags on PUT */
    bool ex_live;         /* ex was initialised and not released */
    bool uncertain;       /* an attempt that failed may have run, or a step changed something */
    bool applied;         /* by handle, all of the content was written */
    bool used_free_retry;
    bool has_waited; /* since began_ns, for a reply or for another operation */
    uint64_t handle; /* STEP_WRITE and later */
    int64_t written;
    int64_t began_ns;           /* when the caller asked */
    char *authorization;        /* owned, NULL: none */
    struct pfs_reply *reply;    /* where the result goes */
    struct async_op *async;     /* NULL: a blocking call */
    atomic_int cancelled;       /* != PFS_OK: given up with that class; set under the client's mu */
    atomic_int pin;             /* a blocking call's exchange: enum op_pin */
    _Atomic(struct op *) *slot; /* where the client knows it from; NULL: its list */
    /* From here on op_init zeroes nothing. */
    struct exchange ex;      /* of the step */
    struct wire_message msg; /* of the step */
    struct pfs_request req;  /* path and path2 normalised, below remote_path */
    char small_paths[128];
    char req_id[33];
    char first_boot[40]; /* uncertain: by this server process, which remembers; "": unknown */
    char hops[2], attempt_text[12], first_attempt[72], range[48];
};

/* Which member of the request is NULL or out of range is INVALID; nothing was sent then. */
PFS_MUST_CHECK enum pfs_class op_init(struct op *op, struct pfs_client *c,
                                      const struct pfs_request *req, struct pfs_reply *reply);
void op_fini(struct op *op);
/* A chain of servers longer than this is taken for a ring of mounts. */
#define HOPS_MAX 8
/* op_check.c: refuses a request that must not be sent. */
PFS_MUST_CHECK enum pfs_class op_check(const struct pfs_client *c, const struct pfs_request *req,
                                       struct pfs_error *err);
/* op_check.c: sets op->paths and those of op->req. Errors: INVALID, NOMEM. */
PFS_MUST_CHECK enum pfs_class op_set_paths(struct op *op, const struct pfs_request *req,
                                           struct pfs_error *err);
/* True for operations whose result is a stream. */
static inline bool op_is_stream(enum pfs_op op)
{
    return op == PFS_OP_OPEN_READ || op == PFS_OP_OPEN_WRITE || op == PFS_OP_HANDLE_STREAM;
}
/* The request that the step at hand sends: the operation's, or made in *room. */
const struct pfs_request *op_step_request(const struct op *op, struct pfs_request *room);
/* Makes op->ex for the step at hand. NOMEM, INVALID, UNSUPPORTED: the operation is over. */
PFS_MUST_CHECK enum pfs_class op_prepare(struct op *op);
/*
 * op_judge.c: looks at the finished exchange. True: go on with op_prepare after *ret_delay_ns.
 * False: the operation is over and op->reply is filled.
 */
bool op_judge(struct op *op, int64_t *ret_delay_ns);
/* An earlier write to the path may still be on its way: ask again after FENCE_POLL_NS. */
bool op_must_wait(struct op *op);
/* op's exchange ended in doubt: later writes to its path wait until the peer saw its end. */
void op_raise_fence(struct op *op);
/*
 * Nothing more of op is sent, for that reason: fills op->reply, with what is known of the attempts
 * and steps before. Where but a handle was left to close, the result of the write stands.
 */
void op_end_unsent(struct op *op, const struct pfs_error *why);
/* The same in other words; the phase is QUEUE. */
void op_give_up(struct op *op, enum pfs_class cls, const char *why);
/* Nothing more of op may be sent: pfs_cancel_all, or the client is being freed. */
static inline bool op_is_ended(const struct op *op)
{
    return atomic_load(&op->cancelled) != PFS_OK || atomic_load(&op->client->closing);
}
/* op_give_up of what op_is_ended. */
void op_end(struct op *op);
/* op->ex is DONE and no longer needed. */
void op_release_exchange(struct op *op);

/*
 * A blocking call's exchange may be given up by another thread while it is LIVE; it is PINNED
 * while that happens, and its caller waits for the end of it before it lets go.
 */
enum op_pin { OP_PIN_NONE, OP_PIN_LIVE, OP_PIN_PINNED };
/*
 * call.c: one exchange of a blocking call, through g, a reference of which is taken over. False:
 * not begun, op_is_ended.
 */
bool op_call(struct op *op, struct generation *g);

/* The header of op->ex has come: is it that of the content asked for? As wire_check_head. */
PFS_MUST_CHECK enum pfs_class op_check_head(const struct op *op, struct pfs_error *err);
/* op_names.c: names in the reply of op->ex become those of the caller, without remote_path. Errors:
 * PAYLOAD, DENIED (a link that leads out of it); *reply is empty then. */
enum pfs_class op_name_locally(const struct op *op, struct pfs_reply *reply);
/* Decodes the complete reply of op->ex, which loses its body. */
void op_decode(struct op *op, struct pfs_reply *reply);

#endif
