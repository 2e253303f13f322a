/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PFS_CONN_TIMERS_H
#define PFS_CONN_TIMERS_H

/* A binary heap of io_timer by when_ns. Not locked: io.c does. */
#include "conn/io.h"

struct timers {
    struct io_timer **slot; /* slot[1] is the earliest */
    unsigned n, cap;
};

/* False: out of memory; t stays where it was. */
bool timers_set(struct timers *h, struct io_timer *t, int64_t when_ns);
/* False: not armed. */
bool timers_remove(struct timers *h, struct io_timer *t);
/* The earliest, or NULL. */
static inline struct io_timer *timers_first(const struct timers *h)
{
    return h->n ? h->slot[1] : NULL;
}
void timers_fini(struct timers *h);

#endif
