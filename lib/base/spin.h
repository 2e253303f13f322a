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

struct spin {
    int64_t asleep_ns, spun_ns; /* how long a wait takes, on average; 0: not known */
    unsigned n;                 /* waits so far */
};

/* True: poll this time. */
bool spin_choose(struct spin *s);
/* What a wait of that kind took. */
void spin_learn(struct spin *s, bool spun, int64_t took_ns);

#endif
