/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef BENCH_TIMELINE_H
#define BENCH_TIMELINE_H

/*
 * A step's calls over its measured time: the slots of one round follow those of the round before.
 * Slots that nothing happened in stay, since that is an outage. Where there would be more slots
 * than fit, as in a run of a number of calls that takes long, each two become one.
 */
#include "hist.h"
#include <stdint.h>

#define TIMELINE_MAX 600

struct timeline_point {
    uint64_t calls, errors;
    struct hist *hist; /* NULL: no call */
};

struct timeline {
    struct timeline_point points[TIMELINE_MAX];
    unsigned n;
    int64_t slot_ns;      /* as rounds count; 0: no round yet */
    unsigned halvings;    /* a point holds 2^halvings slots */
    uint64_t slots;       /* of all rounds that are over */
    uint64_t round_slots; /* of a round that has a duration; 0: it has none */
};

/* A round begins, of duration_ns (0: unknown); all rounds of a step have the same. `share`: how
 * many points it may have, when it has a duration. */
void timeline_begin(struct timeline *t, int64_t duration_ns, unsigned share);
/* The point of what was due that long after the round began. Valid until the next call of this. */
struct timeline_point *timeline_at(struct timeline *t, int64_t since_ns);
/* The round is over, and lasted that long. */
void timeline_end(struct timeline *t, int64_t lasted_ns);
double timeline_interval_s(const struct timeline *t);
void timeline_fini(struct timeline *t);

#endif
