/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

/* One round of calls at one target, closed or open loop, added to a step of the report. */
#include "report.h"
#include "session.h"

struct load {
    struct target *target;
    const struct workload *workload;
    const struct setup *setup;
    unsigned callers;
    enum arrival arrival;
    double rate; /* open loop */
    int64_t warmup_ns;
    int64_t duration_ns; /* 0: until `count` measured calls were made */
    uint64_t count;
    uint64_t seed;
    unsigned slots; /* of the timeline that one round may use */
    /* Called every now and then by the thread that waits; may be NULL. */
    void (*progress)(void *arg, uint64_t calls, uint64_t errors, double seconds);
    void *progress_arg;
};

/*
 * Runs it. Returns PFS_OK also when calls failed (the step counts them), else what kept callers
 * from starting. Interrupted: ends early, and what was measured counts.
 */
enum pfs_class load_run(const struct load *l, struct step *into, struct pfs_error *err);

#endif
