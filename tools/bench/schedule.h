/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef BENCH_SCHEDULE_H
#define BENCH_SCHEDULE_H

/*
 * Open loop: when each call is due, whatever became of those before. Callers take the next planned
 * time and wait for it; a call that starts late because all callers were stuck in slow calls counts
 * from the time it was planned for, so a stall of the server is seen by every call that it held up
 * (no coordinated omission). The clock is the caller's: nothing here reads it.
 */
#include "workload.h"
#include <pthread.h>

enum arrival { ARRIVAL_CLOSED, ARRIVAL_CONSTANT, ARRIVAL_POISSON };
const char *arrival_name(enum arrival a);

struct schedule {
    enum arrival arrival;
    double period_ns; /* mean time between two calls */
    int64_t start_ns;
    pthread_mutex_t mu;
    double next_ns; /* after start_ns; under mu, as is rng */
    struct rng rng;
};

/* rate: calls a second, > 0. The first call is due at start_ns (Poisson: some time after it). */
void schedule_init(struct schedule *s, enum arrival arrival, double rate, int64_t start_ns,
                   uint64_t seed);
void schedule_fini(struct schedule *s);
/* The time of the next call that nobody has taken. Any thread. */
int64_t schedule_take(struct schedule *s);
/* Forgets the calls that were due before `until_ns` and that nobody took. */
void schedule_skip(struct schedule *s, int64_t until_ns);
/*
 * How many calls were due before `end_ns` but were not taken: constant arrivals exactly, Poisson as
 * expected.
 */
uint64_t schedule_left(struct schedule *s, int64_t end_ns);

#endif
