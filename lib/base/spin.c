/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "base/spin.h"
#include "base/clock.h"
#include "base/cores.h"
#include <stdatomic.h>

/* Each so many waits the way that is slower on average is tried again. */
#define TRY_EACH 128
/* A reply that took longer says nothing of how waiting is best done. */
#define TELLING_NS PFS_MS
/* And one that was there at once, because the peer had this core meanwhile, was not waited for. */
#define AT_ONCE_NS 2000

/* Polling uses a core, so it must win by an eighth. */
static bool pays(const struct spin *s)
{
    return s->spun_ns + s->spun_ns / 8 < s->asleep_ns;
}

static bool choose(struct spin *s)
{
    s->n++;
    if (s->asleep_ns == 0 || s->spun_ns == 0) {
        return s->asleep_ns != 0;
    }
    return s->n % TRY_EACH == 0 ? !pays(s) : pays(s);
}

static atomic_uint n_polling;

static unsigned pollers_max(void)
{
    static atomic_uint max; /* 0: not known yet */
    unsigned n = atomic_load_explicit(&max, memory_order_relaxed);

    if (n == 0) {
        unsigned cores = pfs_n_cores();

        n = cores > 2 ? cores - 1 : 1;
        atomic_store_explicit(&max, n, memory_order_relaxed);
    }
    return n;
}

static bool take_turn(void)
{
    if (atomic_fetch_add_explicit(&n_polling, 1, memory_order_relaxed) < pollers_max()) {
        return true;
    }
    spin_stop();
    return false;
}

bool spin_begin(struct spin *s, int64_t now)
{
    s->began_ns = now;
    s->polls = choose(s) && take_turn();
    return s->polls;
}

void spin_stop(void)
{
    atomic_fetch_sub_explicit(&n_polling, 1, memory_order_relaxed);
}

/*
 * One wait in which something else had the core may take a hundred times as long, and an average
 * that it had moved would be put right only as often as the way is tried: it moves it by a
 * sixteenth at most.
 */
static void blend(int64_t *average, int64_t sample)
{
    int64_t most = *average + *average / 4 + 1000;

    if (*average != 0 && sample > most) {
        sample = most;
    }
    *average = *average == 0 ? sample : *average + (sample - *average) / 4;
}

void spin_end(struct spin *s, int64_t now)
{
    int64_t took_ns = now - s->began_ns;

    if (took_ns >= AT_ONCE_NS) {
        blend(s->polls ? &s->spun_ns : &s->asleep_ns, took_ns < TELLING_NS ? took_ns : TELLING_NS);
    }
}
