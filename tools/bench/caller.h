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
    int64_t warm_ns;          /* when the warm-up ends */
    /*
     * Calls that start (are due) between them are measured. Closed loop: set when the last caller
     * has ended its warm-up, so that nothing of that is in what is measured; before that 0.
     */
    int64_t begin_ns, end_ns;
    int64_t ended_ns;     /* end_ns, or earlier when interrupted; the waiting thread's */
    atomic_bool stop;     /* no call begins any more */
    atomic_llong cut_ns;  /* what is under way then is cut: Ctrl-C; INT64_MAX: nothing is */
    atomic_llong tickets; /* measured calls that may still be made, when a number was given */
    atomic_uint finished;
    pthread_mutex_t mu;
    pthread_cond_t changed;
    unsigned ready;         /* under mu: callers that wait for go */
    bool go;                /* under mu */
    unsigned warm;          /* under mu: callers of a closed loop that have ended their warm-up */
    bool measuring;         /* under mu: they may go on */
    struct step *step;      /* under mu: timeline, first error */
    struct pfs_error error; /* under mu: why a caller could not start */
};

struct caller {
    struct run *run;
    pthread_t thread;
    unsigned number;
    struct session session;
    struct rng rng;
    struct hist *hists[N_OPS]; /* NULL: not in the workload */
    uint64_t succeeded[N_OPS], errors[N_OPS], classes[PFS_N_CLASSES], outcomes[3], unstarted, cut;
    struct hist *late; /* open loop */
    bool warm;         /* closed loop: past the warm-up */
    unsigned failed_in_a_row;
    int64_t failing_since_ns; /* the first of them */
    uint64_t backed_off;
    int64_t first_ns, last_ns;     /* begin of the first and end of the last measured call */
    atomic_ullong calls, failures; /* measured so far; others may look */
    int64_t slot;                  /* of the timeline, not yet handed over: */
    unsigned slot_calls, slot_errors;
    int64_t slot_took[SLOT_CALLS]; /* how long each took */
};

/* No call begins any more, and nobody waits for the time of one. */
void run_stop(struct run *run);
void caller_init(struct caller *c, struct run *run, unsigned number);
void *caller_main(void *caller);
/* Adds what was measured to the step and to the round's histograms (NULL where unused). */
void caller_add_up(const struct caller *c, struct step *s, struct hist *round[N_OPS]);
void caller_fini(struct caller *c);

#endif
