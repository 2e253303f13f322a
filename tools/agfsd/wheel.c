/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "wheel.h"

void wheel_init(struct wheel *w, int64_t now_ms)
{
    for (unsigned i = 0; i < WHEEL_SLOTS; i++) {
        list_init(&w->slots[i]);
    }
    w->now_ms = now_ms - now_ms % WHEEL_TICK_MS;
    w->n = 0;
}

void wheel_timer_init(struct wheel_timer *t)
{
    list_init(&t->node);
    t->at_ms = WHEEL_NEVER;
    t->slot_ms = WHEEL_NEVER;
}

/* Puts t into the slot of its due time, or into the farthest one when that is beyond a turn. */
static void wheel_insert(struct wheel *w, struct wheel_timer *t)
{
    int64_t farthest = w->now_ms + (WHEEL_SLOTS - 1) * WHEEL_TICK_MS;
    int64_t at = t->at_ms > farthest ? farthest : t->at_ms;

    at += WHEEL_TICK_MS - 1;
    at -= at % WHEEL_TICK_MS;
    if (at <= w->now_ms) {
        at = w->now_ms + WHEEL_TICK_MS;
    }
    t->slot_ms = at;
    list_append(&w->slots[at / WHEEL_TICK_MS % WHEEL_SLOTS], &t->node);
    w->n++;
}

void wheel_set(struct wheel *w, struct wheel_timer *t, int64_t at_ms)
{
    t->at_ms = at_ms;
    if (!list_is_empty(&t->node)) {
        if (t->slot_ms != WHEEL_NEVER && at_ms > t->slot_ms - WHEEL_TICK_MS) {
            return; /* looked at again when its slot comes round */
        }
        wheel_remove(w, t);
        t->at_ms = at_ms;
    }
    if (at_ms != WHEEL_NEVER) {
        wheel_insert(w, t);
    }
}

void wheel_remove(struct wheel *w, struct wheel_timer *t)
{
    if (!list_is_empty(&t->node)) {
        list_remove(&t->node);
        w->n -= t->slot_ms != WHEEL_NEVER;
    }
    t->slot_ms = WHEEL_NEVER;
    t->at_ms = WHEEL_NEVER;
}

static void wheel_visit(struct wheel *w, struct list *slot, struct list *due)
{
    struct list all;
    struct list *node;

    list_init(&all);
    list_move_all(&all, slot);
    while ((node = list_take_first(&all))) {
        struct wheel_timer *t = list_entry(node, struct wheel_timer, node);

        w->n--;
        t->slot_ms = WHEEL_NEVER;
        if (t->at_ms <= w->now_ms) {
            list_append(due, node);
        } else if (t->at_ms != WHEEL_NEVER) {
            wheel_insert(w, t);
        }
    }
}

void wheel_advance(struct wheel *w, int64_t now_ms, struct list *due)
{
    if (now_ms - w->now_ms >
        WHEEL_SLOTS * WHEEL_TICK_MS) { /* after a pause: once round is enough */
        int64_t behind = now_ms - WHEEL_SLOTS * WHEEL_TICK_MS;
        w->now_ms = behind - behind % WHEEL_TICK_MS;
    }
    while (w->now_ms + WHEEL_TICK_MS <= now_ms) {
        w->now_ms += WHEEL_TICK_MS;
        wheel_visit(w, &w->slots[w->now_ms / WHEEL_TICK_MS % WHEEL_SLOTS], due);
    }
}
