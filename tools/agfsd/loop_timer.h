/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFSD_LOOP_TIMER_H
#define AGFSD_LOOP_TIMER_H

/*
 * A timer of a loop that is seldom set anew and often slept under: a descriptor (timerfd_create(2))
 * that the loop polls like a socket. A uv_timer_t gives each sleep of the loop a timeout, for which
 * the kernel sets up a timer of its own and takes it down again: a fiftieth of a small request. The
 * loop's thread only.
 */
#include <proxyfs/error.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct loop;

struct loop_timer {
    uv_poll_t poll;
    int fd;
    bool repeats, is_set;
    struct loop *loop;
    void (*on_time)(struct loop *l);
};

/* Not set. Errors: NOFILE, NOMEM; then there is nothing to close. */
enum pfs_class loop_timer_init(struct loop_timer *t, struct loop *l,
                               void (*on_time)(struct loop *l), struct pfs_error *err);
/* on_time comes in after_ms (0: at once), once or every each_ms (0: once). */
void loop_timer_set(struct loop_timer *t, int64_t after_ms, int64_t each_ms);
void loop_timer_stop(struct loop_timer *t);
/* For good; the descriptor goes when the loop turns next, and so long *t must live. */
void loop_timer_close(struct loop_timer *t);

#endif
