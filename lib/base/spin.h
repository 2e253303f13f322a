/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PFS_BASE_SPIN_H
#define PFS_BASE_SPIN_H

/*
 * Whether a thread polls for a moment before it sleeps. Waking a sleeper costs 20 to 40 us when its
 * core went idle, and next to nothing when the peer runs on the same core, so neither way is best:
 * both are timed, now and then also the slower one, and the faster is taken. Used by the caller
 * that drives a connection, and by I/O loops with few calls in flight.
 */
#include <stdbool.h>
#include <stdint.h>

/*
 * With more calls or requests at a time than that there is always something to do. Measured with 2,
 * 4, 8 and 16 callers of small reads: 19,700, 35,000, 55,000 and 94,000 a second without polling,
 * 31,000, 51,000, 73,000 and 111,000 with; none the worse from 24 on.
 */
#define SPIN_FEW 24
/*
 * Where one connection carries all of them, its thread and the peer wait for one another, and a
 * third of two cores is idle with 64 callers: those make 115,000 calls a second without polling,
 * 127,000 with; 256 callers leave no core idle, and make 6 % less with.
 */
#define SPIN_ALONE 96

struct spin {
    int64_t asleep_ns, spun_ns; /* how long a wait takes, on average; 0: not known */
    unsigned n;                 /* waits so far */
    int64_t began_ns;           /* the wait under way, or the last one */
    bool polls;
};

/*
 * A wait begins. True: poll first, until spin_stop. Many threads that poll take the cores from
 * those they wait for: of a process one may at a time for each core beyond the first (on one or two
 * cores: one), and the others sleep at once.
 */
bool spin_begin(struct spin *s, int64_t now);
void spin_stop(void);
/* The wait is over, however it went on after the polling: its time is remembered. */
void spin_end(struct spin *s, int64_t now);

#endif
