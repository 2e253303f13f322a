/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "schedule.h"
#include <math.h>

const char *arrival_name(enum arrival a)
{
    return a == ARRIVAL_CLOSED ? "closed" : a == ARRIVAL_CONSTANT ? "constant" : "poisson";
}

static double gap_ns(struct schedule *s)
{
    return s->arrival == ARRIVAL_POISSON ? -log(rng_unit(&s->rng)) * s->period_ns : s->period_ns;
}

void schedule_init(struct schedule *s, enum arrival arrival, double rate, int64_t start_ns,
                   uint64_t seed)
{
    *s = (struct schedule){.arrival = arrival, .period_ns = 1e9 / rate, .start_ns = start_ns};
    pthread_mutex_init(&s->mu, NULL);
    rng_seed(&s->rng, seed);
    s->next_ns = arrival == ARRIVAL_POISSON ? gap_ns(s) : 0;
}

void schedule_fini(struct schedule *s)
{
    pthread_mutex_destroy(&s->mu);
}

int64_t schedule_take(struct schedule *s)
{
    pthread_mutex_lock(&s->mu);
    int64_t at = s->start_ns + (int64_t)s->next_ns;
    s->next_ns += gap_ns(s);
    pthread_mutex_unlock(&s->mu);
    return at;
}

void schedule_skip(struct schedule *s, int64_t until_ns)
{
    double until = (double)(until_ns - s->start_ns);

    pthread_mutex_lock(&s->mu);
    if (s->next_ns < until) /* gaps of Poisson arrivals have no memory: any begin is as good */
        s->next_ns = s->arrival == ARRIVAL_POISSON ? until + gap_ns(s)
                                                   : ceil(until / s->period_ns) * s->period_ns;
    pthread_mutex_unlock(&s->mu);
}

uint64_t schedule_left(struct schedule *s, int64_t end_ns)
{
    pthread_mutex_lock(&s->mu);
    double left = ((double)(end_ns - s->start_ns) - s->next_ns) / s->period_ns;
    pthread_mutex_unlock(&s->mu);
    return left > 0 ? (uint64_t)ceil(left) : 0;
}
