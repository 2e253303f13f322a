/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PFS_FS_ASYNC_H
#define PFS_FS_ASYNC_H

/*
 * An operation that nobody waits for: driven by the completion of its exchanges and by a timer of
 * the I/O thread, or of the host that submitted it. `mu` decides between the two; the loser of the
 * race leaves the work to the winner.
 */
#include "fs/stream.h"

struct async_op {
    struct op op;
    struct pfs_reply reply;
    pfs_done_fn *done; /* from here on zeroed at the start; see op_init for the rest */
    void *arg;
    bool refused; /* the reply is not the content asked for; its connection's thread's */
    /*
     * The caller's name for it, NULL from before `done` is called: so whoever finds it here in the
     * client's list, under the client's mu, has found a request whose caller still waits.
     */
    _Atomic(const void *) ticket;
    atomic_uint refs; /* the running operation, the armed timer, a stream */
    struct io *io;    /* whose thread keeps the time */
    struct io_timer timer;
    pthread_mutex_t mu;
    /* under mu */
    bool in_flight;        /* the exchange was submitted and is not DONE */
    unsigned n_cancelling; /* threads in exchange_cancel; DONE is then left to the last of them */
    bool done_meanwhile;
    bool backing_off;         /* the timer starts the next attempt */
    enum pfs_class cancelled; /* != OK: no further attempt */
    bool is_stream;           /* the reply was given: events go to `stream` */
    struct stream stream[];   /* one, when op_is_stream */
};

/* As pfs_submit, by one exchange after the other; the caller is counted in n_inside. */
void async_start(struct pfs_client *c, const struct pfs_request *req, pfs_done_fn *done, void *arg);
struct async_op *async_ref(struct async_op *a);
void async_unref(struct async_op *a);
/* The timer no longer calls. */
void async_disarm(struct async_op *a);
/*
 * Gives the operation up: it completes with class cls as far as known. Of the request nothing more
 * is read or sent when this returns. Any thread; no lock held.
 */
void async_cancel(struct async_op *a, enum pfs_class cls);
/*
 * Arms the deadline anew (streams: each call has its own; without a timer the connection's limits
 * must do). False: no memory for the timer.
 */
bool async_set_deadline(struct async_op *a, int64_t deadline_ns);

#endif
