/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PFS_CONN_GENERATION_INTERNAL_H
#define PFS_CONN_GENERATION_INTERNAL_H

/* What generation.c, choose.c and outage.c share. */
#include "base/cold.h"
#include "conn/conn.h"

struct generation {
    /* fixed after create */
    const struct conn_config *config;
    struct io *io;    /* for the timer and the first connection */
    unsigned n_loops; /* that connections are spread over */
    struct tls_ctx *tls;
    unsigned id;
    atomic_uint refs;

    pthread_mutex_t mu;
    pthread_cond_t freed; /* n_alive fell to 0 */
    /* under mu */
    struct list conns;       /* CONNECTING and READY ones, by gen_node; each a reference */
    unsigned n_conns;        /* length of conns, */
    unsigned n_most;         /* and how many there may be */
    struct list draining;    /* the other ones that are not yet DEAD, likewise */
    unsigned n_connecting;   /* of those, CONNECTING */
    unsigned n_alive;        /* connections whose memory is not yet given back */
    struct list queue;       /* exchanges that wait, by exchange.node, in order */
    struct generation *heir; /* a reference: where everything goes after retirement */
    struct list moving;      /* what waited then, and goes there by move_task, whose it is */
    struct io_task move_task;
    bool closing;
    unsigned n_ends; /* times that its connections were told to end: retired, closed */
    /* an outage: nothing READY since the first failed attempt */
    int64_t outage_since_ns; /* 0: none */
    int64_t next_attempt_ns; /* not before */
    int64_t backoff_ns, last_demand_ns;
    struct pfs_error last_error;
    struct io_timer timer;
};

/* ex's generation, locked, or NULL when it was never submitted. */
struct generation *exchange_lock_generation(struct exchange *ex);
/* A connection to make, if one is wanted now; counted already. NULL otherwise. The lock is held. */
struct conn *generation_wants_conn_locked(struct generation *g, int64_t now);
/* The same for exchanges that wait, if any: without memory now, it is tried again soon. */
struct conn *generation_wants_conn_for_queue_locked(struct generation *g, int64_t now);
/* Starts what generation_wants_conn_locked gave; no lock. NULL allowed. */
void generation_start_conn(struct generation *g, struct conn *c);
/* Moves the queue to `out`; the lock is held. */
void generation_take_queue_locked(struct generation *g, struct list *out);
/* Ends exchanges taken from the queue with *why; no lock held. */
PFS_COLD void generation_fail_list(struct list *exchanges, const struct pfs_error *why);

/* Sets the timer, which holds a reference while armed; not of one that has ended. */
void generation_arm_locked(struct generation *g, int64_t when_ns);
void generation_disarm(struct generation *g);

/* choose.c; the lock is held. `hosted`: the loop that the calling thread hosts, NULL: none. */
/* The READY connection that takes one more and suits ex best, or NULL. */
struct conn *choose_conn_locked(struct generation *g, const struct exchange *ex,
                                const struct io *hosted);
/* c, the one chosen, has so much to do that another connection is worth making. */
bool choose_is_crowded_locked(const struct generation *g, const struct conn *c,
                              const struct io *hosted);
/* The loop hosted carries no connection that would suit ex. */
bool choose_lacks_hosted_locked(const struct generation *g, const struct exchange *ex,
                                const struct io *hosted);
/* The loop for one more connection. */
struct io *choose_io_locked(const struct generation *g);

/* outage.c */
/* True: an exchange must fail now with last_error instead of waiting. The lock is held. */
bool outage_fails_fast_locked(const struct generation *g, int64_t now);
/* A connection could not be made: backoff; *ret_fail: the queue must fail now. The lock is held. */
PFS_COLD void outage_on_failure_locked(struct generation *g, const struct conn *c,
                                       const struct pfs_error *why, int64_t now, bool *ret_fail);
void outage_over_locked(struct generation *g);
/* A READY connection is none any more, and counted no more. The lock is held. */
void outage_on_loss_locked(struct generation *g);
void outage_on_time(struct io_timer *t);

#endif
