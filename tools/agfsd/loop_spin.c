/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * A loop that few use polls before it sleeps, where that has proved faster (base/spin.h): a core
 * that went idle takes 20 to 40 us to wake, as long as a small request takes altogether. Only while
 * something comes all the time; a loop that is asked now and then sleeps at once.
 */
#include "base/clock.h"
#include "base/cores.h"
#include "loop.h"
#include <sched.h>
#include <sys/epoll.h>

/* Between two turns lately: where it takes longer, polling could not bridge it. */
#define FLOW_NS (200 * 1000)

void loop_spin_init(struct loop *l)
{
    /* With one core, who polls only keeps the others from it. */
    l->spin.may_ns = pfs_n_cores() > 1 ? (int64_t)l->limits->spin_us * 1000 : 0;
}

/* What there is, libuv finds again. */
static void look(const struct loop *l)
{
    int fd = uv_backend_fd(&l->uv);
    struct epoll_event e;

    while (epoll_wait(fd, &e, 1, 0) == 0 && pfs_now() - l->spin.began_ns < l->spin.may_ns) {
        sched_yield(); /* who is waited for may need this very core */
    }
}

void loop_spin_before_sleep(struct loop *l)
{
    struct loop_spin *s = &l->spin;

    if (s->may_ns == 0) {
        return;
    }
    s->began_ns = pfs_now();
    s->is_timed = s->last_ns < FLOW_NS && s->n_reqs <= SPIN_FEW && list_is_empty(&l->bulk);
    s->n_reqs = 0;
    if (s->is_timed && spin_begin(&s->spin, s->began_ns)) {
        look(l);
        spin_stop();
    }
}

void loop_spin_after_sleep(struct loop *l)
{
    struct loop_spin *s = &l->spin;

    if (s->may_ns == 0) {
        return;
    }
    int64_t now = pfs_now();

    s->last_ns = now - s->began_ns;
    if (s->is_timed) {
        spin_end(&s->spin, now);
    }
}
