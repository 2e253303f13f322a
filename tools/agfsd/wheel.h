/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFSD_WHEEL_H
#define AGFSD_WHEEL_H

/*
 * Coarse deadlines for many objects: a wheel of lists. Moving a deadline later, which happens with
 * every request, only stores a number; the object is moved when its old slot comes round.
 */
#include "base/list.h"
#include <stdint.h>

#define WHEEL_SLOTS 512
#define WHEEL_TICK_MS 100
#define WHEEL_NEVER INT64_MAX

struct wheel_timer {
    struct list node;
    int64_t at_ms;   /* when it is due; WHEEL_NEVER: not */
    int64_t slot_ms; /* when its slot comes round; WHEEL_NEVER: in none */
};

struct wheel {
    struct list slots[WHEEL_SLOTS];
    int64_t now_ms; /* all slots up to here have been visited; multiple of the tick */
    unsigned n;     /* timers in slots */
};

/* All times are milliseconds of one monotonic clock. */
void wheel_init(struct wheel *w, int64_t now_ms);
void wheel_timer_init(struct wheel_timer *t);
/* Sets when t is due (WHEEL_NEVER: not at all), at most one tick late. */
void wheel_set(struct wheel *w, struct wheel_timer *t, int64_t at_ms);
/* Takes t out, of a list of due ones too. Allowed also when it is not in. */
void wheel_remove(struct wheel *w, struct wheel_timer *t);
/* Moves time on to now_ms and puts all timers that are due into *due (no longer in the wheel). */
void wheel_advance(struct wheel *w, int64_t now_ms, struct list *due);

#endif
