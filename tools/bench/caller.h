/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef BENCH_CALLER_H
#define BENCH_CALLER_H

/* One caller of a round: a thread that makes one call after the other and counts for itself. */
#include "load.h"
#include <pthread.h>
#include <stdatomic.h>

#define SLOT_CALLS 64 /* that wait for the lock of the timeline */

/* What the callers of a round share. */
struct run {
    const struct load *load;
    bool open_loop;
    struct schedule schedule; /* open loop */
    int64_t begin_ns, end_ns; /* calls that start (are due) between them are measured */
    int64_t ended_ns;         /* end_ns, or earlier when interrupted; the waiting thread's */
    atomic_bool stop;         /* no call begins any more */
    atomic_llong tickets;     /* measured calls that may still be made, when a number was given */
    atomic_uint finished;
    pthread_mutex_t mu;
    pthread_cond_t changed;
    unsigned ready;         /* under mu: callers that wait for go */
    bool go;                /* under mu */
    struct step *step;      /* under mu: timeline, first error */
    struct pfs_error error; /* under mu: why a caller could not start */
    unsigned first_slot;
    int64_t slot_ns;
};

struct caller {
    struct run *run;
    pthread_t thread;
    unsigned number;
    struct session session;
    struct rng rng;
    struct hist *hists[N_OPS]; /* NULL: not in the workload */
    uint64_t succeeded[N_OPS], errors[N_OPS], classes[PFS_N_CLASSES], outcomes[3], unstarted;
    struct hist *late; /* open loop */
    unsigned failed_in_a_row;
    int64_t failing_since_ns; /* the first of them */
    uint64_t backed_off;
    int64_t first_ns, last_ns;     /* begin of the first and end of the last measured call */
    atomic_ullong calls, failures; /* measured so far; others may look */
    unsigned slot;                 /* of the timeline, not yet handed over: */
    unsigned slot_calls, slot_errors;
    int64_t slot_took[SLOT_CALLS]; /* how long each took */
};

void caller_init(struct caller *c, struct run *run, unsigned number);
void *caller_main(void *caller);
/* Adds what was measured to the step and to the round's histograms (NULL where unused). */
void caller_add_up(const struct caller *c, struct step *s, struct hist *round[N_OPS]);
void caller_fini(struct caller *c);

#endif
