/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "conn/timers.h"
#include "base/alloc.h"

static void put(struct timers *h, unsigned i, struct io_timer *t)
{
    h->slot[i] = t;
    t->index = i;
}

static void move_up(struct timers *h, unsigned i, struct io_timer *t)
{
    for (; i > 1 && h->slot[i / 2]->when_ns > t->when_ns; i /= 2) {
        put(h, i, h->slot[i / 2]);
    }
    put(h, i, t);
}

static void move_down(struct timers *h, unsigned i, struct io_timer *t)
{
    for (;;) {
        unsigned child = 2 * i;

        if (child < h->n && h->slot[child + 1]->when_ns < h->slot[child]->when_ns) {
            child++;
        }
        if (child > h->n || h->slot[child]->when_ns >= t->when_ns) {
            break;
        }
        put(h, i, h->slot[child]);
        i = child;
    }
    put(h, i, t);
}

bool timers_set(struct timers *h, struct io_timer *t, int64_t when_ns)
{
    if (!t->index && h->n + 1 >= h->cap) {
        unsigned cap = h->cap ? 2 * h->cap : 32;
        struct io_timer **slot = pfs_realloc(h->slot, cap * sizeof *slot);

        if (!slot) {
            return false;
        }
        h->slot = slot;
        h->cap = cap;
    }
    bool later = t->index && when_ns > t->when_ns;
    unsigned i = t->index ? t->index : ++h->n;

    t->when_ns = when_ns;
    if (later) {
        move_down(h, i, t);
    } else {
        move_up(h, i, t);
    }
    return true;
}

bool timers_remove(struct timers *h, struct io_timer *t)
{
    unsigned i = t->index;

    if (!i) {
        return false;
    }
    struct io_timer *last = h->slot[h->n--];
    t->index = 0;
    if (last != t) {
        if (i > 1 && h->slot[i / 2]->when_ns > last->when_ns) {
            move_up(h, i, last);
        } else {
            move_down(h, i, last);
        }
    }
    return true;
}

void timers_fini(struct timers *h)
{
    pfs_free(h->slot);
    *h = (struct timers){0};
}
