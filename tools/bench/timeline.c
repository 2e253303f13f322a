/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "timeline.h"
#include "util.h"

#define SLOT_NS (100 * NS_PER_MS) /* the least, where a round is not shorter */

void timeline_begin(struct timeline *t, int64_t duration_ns, unsigned share)
{
    int64_t slots = duration_ns / SLOT_NS;

    slots = slots < 1 ? 1 : slots < share ? slots : share;
    if (t->slot_ns == 0) {
        t->slot_ns = duration_ns ? (duration_ns + slots - 1) / slots : SLOT_NS;
        t->round_slots = duration_ns ? (uint64_t)slots : 0;
    }
}

static void merge(struct timeline_point *into, struct timeline_point *p)
{
    into->calls += p->calls;
    into->errors += p->errors;
    if (into->hist == NULL) {
        into->hist = p->hist;
    } else if (p->hist) {
        hist_add(into->hist, p->hist);
        hist_free(p->hist);
    }
    *p = (struct timeline_point){.hist = NULL};
}

static void halve(struct timeline *t)
{
    t->halvings++;
    for (unsigned i = 1; i < TIMELINE_MAX; i++)
        merge(&t->points[i / 2], &t->points[i]);
    t->n = (t->n + 1) / 2;
}

static struct timeline_point *point_of(struct timeline *t, uint64_t slot)
{
    while (slot >> t->halvings >= TIMELINE_MAX)
        halve(t);
    unsigned i = (unsigned)(slot >> t->halvings);
    t->n = i >= t->n ? i + 1 : t->n;
    return &t->points[i];
}

struct timeline_point *timeline_at(struct timeline *t, int64_t since_ns)
{
    uint64_t slot = since_ns > 0 ? (uint64_t)(since_ns / t->slot_ns) : 0;

    if (t->round_slots && slot >= t->round_slots)
        slot = t->round_slots - 1;
    return point_of(t, t->slots + slot);
}

void timeline_end(struct timeline *t, int64_t lasted_ns)
{
    uint64_t slots = lasted_ns > 0 ? (uint64_t)((lasted_ns + t->slot_ns - 1) / t->slot_ns) : 1;

    t->slots += t->round_slots && slots > t->round_slots ? t->round_slots : slots;
    point_of(t, t->slots - 1); /* those before are there too, empty or not */
}

double timeline_interval_s(const struct timeline *t)
{
    return (double)(t->slot_ns << t->halvings) / 1e9;
}

void timeline_fini(struct timeline *t)
{
    for (unsigned i = 0; i < TIMELINE_MAX; i++)
        hist_free(t->points[i].hist);
}
