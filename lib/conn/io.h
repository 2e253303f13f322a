/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PFS_CONN_IO_H
#define PFS_CONN_IO_H

/*
 * An I/O loop: watches idle connections, drives contended ones, makes new ones, and keeps the time
 * for asynchronous work. Everything it calls runs with no lock of this file held, on its own
 * thread, which is whoever takes its turns: one of the process's own (io_thread.c), or one that
 * hosts (host.c).
 *
 * What one loop calls is called one after the other: the turns and timers of its connections, which
 * belong to it for life. What two loops call runs at the same time: a generation hears of two of
 * its connections at once, while its own timer runs, as it does when callers drive.
 */
#include "base/list.h"
#include <proxyfs/error.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct io;

/*
 * Takes a reference to the loop of the process's first I/O thread, which is started with the first
 * user and joined with the last. Errors: NOMEM, NOFILE.
 */
PFS_MUST_CHECK enum pfs_class io_get(struct io **ret, struct pfs_error *err);
/*
 * Gives one reference back; not on an I/O thread. Nothing of the caller's may be watched or armed
 * any more, on this loop or one beside it; posted tasks still run.
 */
void io_put(void);
/*
 * How many loops with threads of their own, `home` among them, its user may spread connections
 * over: as many as there are cores, four at most; one when home is not the process's first.
 */
unsigned io_n_parallel(const struct io *home);
/*
 * The i-th of the others, from 1, started if need be; it lives as long as somebody uses home. NULL:
 * there is none, or it cannot be started now.
 */
struct io *io_beside(const struct io *home, unsigned i);

/* ---- for who runs a loop ---- */

/* *ret: io_free, when no thread uses it any more. Errors: NOMEM, NOFILE. */
PFS_MUST_CHECK enum pfs_class io_new(struct io **ret, struct pfs_error *err);
void io_free(struct io *io); /* NULL allowed */
/* The calling thread is the loop's own from now on. */
void io_enter(struct io *io);
/* Sleeps until there is something to do, for at most max_ms (-1: as long as it takes); does it. */
void io_turn(struct io *io, int max_ms);
/*
 * For a thread that sleeps elsewhere, and on io_fd as well, which is then readable when there is
 * something to do. io_before_sleep: when a turn is due in any case (0: now); from now on whoever
 * posts something from another thread makes it readable.
 */
int io_fd(const struct io *io);
int64_t io_before_sleep(struct io *io);
/* Runs what was posted. */
void io_run_posted(struct io *io);

/* ---- for who uses one ---- */

/*
 * On the loop's thread, during a turn: something is about to come, so that the loop may poll for
 * spin_ns before it sleeps (base/spin.h). For this turn only.
 */
void io_expect(struct io *io, int64_t spin_ns);
bool io_is_own_thread(const struct io *io);
/* The loop that the calling thread hosts (proxyfs/host.h), or NULL. */
struct io *io_hosted_here(void);
/*
 * As malloc and free for things of one size that are taken and given back for each request: a
 * thread that hosts a loop keeps some of them, since they are larger than what malloc keeps at hand
 * for a thread. Any thread; n: as it was taken.
 */
void *io_hosted_take(size_t n);
void io_hosted_give(void *p, size_t n);
/*
 * How many forks lie between the start of the program and this process. A child has no I/O thread
 * and must not touch the connections of its parent; io_get makes it threads of its own.
 */
unsigned io_n_forks(void);

/* A function to be run once on the loop's thread. The memory is the caller's until it runs. */
struct io_task {
    struct io_task *next;
    void (*run)(struct io_task *t);
};
void io_post(struct io *io, struct io_task *t);

/* A watched descriptor. Any thread may change or remove it; events come on the loop's thread. */
struct io_watch {
    void (*on_ready)(struct io_watch *w,
                     uint32_t events); /* EPOLLIN, EPOLLOUT, EPOLLERR, EPOLLHUP */
    int fd;
    uint32_t events; /* watched for now; 0: not registered */
};
/*
 * Watches for exactly `events` (level-triggered; 0: not at all). False: the kernel has no memory.
 * Any thread, but for one watch one at a time: who calls holds a lock that on_ready takes too.
 * An event found before may still be delivered afterwards; so w lives until a task posted later has
 * run.
 */
bool io_watch_set(struct io *io, struct io_watch *w, uint32_t events);

/* A point in time at which `on_time` is called once on the loop's thread. */
struct io_timer {
    void (*on_time)(struct io_timer *t);
    int64_t when_ns;
    unsigned index; /* in the heap, from 1; 0: not armed */
};
/*
 * Arms or moves a timer. Any thread. Each TIMER_ARMED is answered by one call of on_time or by one
 * io_timer_cancel that says true: so it can stand for a reference.
 */
enum io_timer_result {
    TIMER_FAILED, /* out of memory: as before */
    TIMER_ARMED,  /* it was not armed */
    TIMER_MOVED   /* it was armed for another time */
};
enum io_timer_result io_timer_set(struct io *io, struct io_timer *t, int64_t when_ns);
/* True: it was armed and will not be called; false: it was not, or is being called now. */
bool io_timer_cancel(struct io *io, struct io_timer *t);

/*
 * Connections that no thread watches (a caller drives them, or did a moment ago) are looked after:
 * `on_sweep` is called on the loop's thread every IO_SWEEP_MS until it answers false.
 */
#define IO_SWEEP_MS 20
struct io_sweep {
    struct list node; /* list_init before first use */
    bool (*on_sweep)(struct io_sweep *s);
};
/* Any thread; a second add is ignored. */
void io_sweep_add(struct io *io, struct io_sweep *s);
/* On the loop's thread. */
void io_sweep_remove(struct io *io, struct io_sweep *s);

#endif
