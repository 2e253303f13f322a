/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * An I/O loop: epoll for descriptors, a heap for timers, a lock-free stack for tasks.
 * It sleeps only when there is nothing to do: `sleeping` is set before the last look at tasks and
 * timers, and whoever adds one afterwards writes the eventfd, so no wake-up is lost.
 */
#include "conn/io.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/spin.h"
#include "base/sys.h"
#include "conn/timers.h"
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/eventfd.h>

#define EVENTS_PER_TURN 64
/* While callers post one task after the other, descriptors are looked at after so many rounds. */
#define ROUNDS_PER_TURN 3

struct io {
    int epoll_fd, wake_fd; /* fixed after create */
    _Atomic(struct io_task *) tasks;
    atomic_bool sleeping;
    pthread_mutex_t mu; /* timers, sweeps */
    struct timers timers;
    struct list sweeps;
    int64_t next_sweep_ns;
    struct spin spin; /* the loop's thread's */
    int64_t expect_ns;
};

static _Thread_local const struct io *here;

/* Its own thread looks again before it sleeps. */
static void wake(struct io *io)
{
    if (here != io && atomic_exchange(&io->sleeping, false)) {
        uint64_t one = 1;

        while (sys_write(io->wake_fd, &one, sizeof one) < 0 && errno == EINTR) {
        } /* else it can only fail when the counter is full: it is awake then */
    }
}

void io_post(struct io *io, struct io_task *t)
{
    struct io_task *head = atomic_load(&io->tasks);

    do {
        t->next = head;
    } while (!atomic_compare_exchange_weak(&io->tasks, &head, t));
    wake(io);
}

/* In the order of posting. */
void io_run_posted(struct io *io)
{
    struct io_task *newest, *oldest = NULL;

    if (!atomic_load_explicit(&io->tasks, memory_order_relaxed)) {
        return;
    }
    newest = atomic_exchange(&io->tasks, NULL);
    while (newest) {
        struct io_task *next = newest->next;

        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest) {
        struct io_task *next = oldest->next; /* the task may free itself */

        oldest->run(oldest);
        oldest = next;
    }
}

static void run_timers(struct io *io, int64_t now)
{
    for (;;) {
        pthread_mutex_lock(&io->mu);
        struct io_timer *t = timers_first(&io->timers);

        if (t && t->when_ns <= now) {
            timers_remove(&io->timers, t);
        } else {
            t = NULL;
        }
        pthread_mutex_unlock(&io->mu);
        if (!t) {
            return;
        }
        t->on_time(t);
    }
}

static void run_sweeps(struct io *io, int64_t now)
{
    struct list due;

    list_init(&due);
    pthread_mutex_lock(&io->mu);
    if (now >= io->next_sweep_ns) {
        io->next_sweep_ns = now + IO_SWEEP_MS * PFS_MS;
        list_move_all(&due, &io->sweeps);
    }
    for (;;) {
        struct list *n = list_take_first(&due);

        if (!n) {
            break;
        }
        struct io_sweep *s = list_entry(n, struct io_sweep, node);

        pthread_mutex_unlock(&io->mu);
        bool again = s->on_sweep(s);
        pthread_mutex_lock(&io->mu);
        if (again && list_is_empty(&s->node)) {
            list_append(&io->sweeps, &s->node);
        }
    }
    pthread_mutex_unlock(&io->mu);
}

/* The next time at which something is to be done. */
static int64_t next_time(struct io *io)
{
    int64_t until = PFS_NEVER;

    pthread_mutex_lock(&io->mu);
    struct io_timer *t = timers_first(&io->timers);
    if (t) {
        until = t->when_ns;
    }
    if (!list_is_empty(&io->sweeps)) {
        until = pfs_earlier(until, io->next_sweep_ns);
    }
    pthread_mutex_unlock(&io->mu);
    return until;
}

int64_t io_before_sleep(struct io *io)
{
    atomic_store(&io->sleeping, true);
    return atomic_load(&io->tasks) ? 0 : next_time(io);
}

/* In ms, -1: until woken; max_ms at most. */
static int sleep_ms(int64_t until, int max_ms)
{
    if (until == PFS_NEVER || max_ms == 0) {
        return max_ms;
    }
    return pfs_ms_until(pfs_now(), until, max_ms < 0 ? 60000 : max_ms);
}

static void handle_event(const struct epoll_event *e)
{
    struct io_watch *w = e->data.ptr;

    if (w) { /* else it was woken: edge-triggered, so there is nothing to read */
        w->on_ready(w, e->events);
    }
}

void io_expect(struct io *io, int64_t spin_ns)
{
    io->expect_ns = spin_ns;
}

/* Looks again and again, for spin_ns at most; how many events there are, 0 also with a task. */
static int look(struct io *io, struct epoll_event *events, int64_t spin_ns)
{
    int64_t until = pfs_now() + spin_ns;

    for (;;) {
        int n = sys_epoll_wait(io->epoll_fd, events, EVENTS_PER_TURN, 0);

        if (n != 0 || atomic_load(&io->tasks) || pfs_now() >= until) {
            return n;
        }
        sched_yield(); /* who is waited for may need this very core */
    }
}

static int sleep_for_events(struct io *io, struct epoll_event *events, int max_ms)
{
    int ms = max_ms ? sleep_ms(io_before_sleep(io), max_ms) : 0;
    int n = sys_epoll_wait(io->epoll_fd, events, EVENTS_PER_TURN, ms);

    atomic_store(&io->sleeping, false);
    return n;
}

static int await_events(struct io *io, struct epoll_event *events, int max_ms)
{
    int64_t spin_ns = io->expect_ns;
    int n = 0;

    io->expect_ns = 0;
    if (max_ms == 0 || spin_ns == 0) {
        return sleep_for_events(io, events, max_ms);
    }
    if (spin_begin(&io->spin, pfs_now())) {
        n = look(io, events, spin_ns);
        spin_stop();
    }
    if (n == 0 && !atomic_load(&io->tasks)) {
        n = sleep_for_events(io, events, max_ms);
    }
    spin_end(&io->spin, pfs_now());
    return n;
}

void io_turn(struct io *io, int max_ms)
{
    struct epoll_event events[EVENTS_PER_TURN];
    int n = await_events(io, events, max_ms);

    for (int i = 0; i < n; i++) {
        handle_event(&events[i]);
    }
    int64_t now = pfs_now();
    run_timers(io, now);
    run_sweeps(io, now);
    /* Last: a task may free what an event of this turn named. */
    for (unsigned i = 0; i < ROUNDS_PER_TURN && atomic_load(&io->tasks); i++) {
        io_run_posted(io);
    }
}

void io_enter(struct io *io)
{
    here = io;
}

int io_fd(const struct io *io)
{
    return io->epoll_fd;
}

bool io_is_own_thread(const struct io *io)
{
    return here == io;
}

void io_free(struct io *io)
{
    if (io) {
        if (io->epoll_fd >= 0) {
            close(io->epoll_fd);
        }
        if (io->wake_fd >= 0) {
            close(io->wake_fd);
        }
        timers_fini(&io->timers);
        pthread_mutex_destroy(&io->mu);
        pfs_free(io);
    }
}

enum pfs_class io_new(struct io **ret, struct pfs_error *err)
{
    struct io *io = pfs_calloc(1, sizeof *io);
    struct epoll_event e = {.events = EPOLLIN | EPOLLET};

    if (!io) {
        return pfs_nomem(err, "an I/O loop");
    }
    pthread_mutex_init(&io->mu, NULL);
    list_init(&io->sweeps);
    io->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    io->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (io->wake_fd < 0 || io->epoll_fd < 0 ||
        epoll_ctl(io->epoll_fd, EPOLL_CTL_ADD, io->wake_fd, &e) != 0) {
        bool none = errno == EMFILE || errno == ENFILE || errno == ENOSPC; /* of epoll: too many */
        enum pfs_class cls = none ? PFS_NOFILE : PFS_NOMEM;

        pfs_refuse(err, cls, "I/O loop: %s", strerror(errno));
        io_free(io);
        return cls;
    }
    *ret = io;
    return PFS_OK;
}

bool io_watch_set(struct io *io, struct io_watch *w, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.ptr = w};
    int op = !events ? EPOLL_CTL_DEL : w->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

    if (events == w->events) {
        return true;
    }
    if (epoll_ctl(io->epoll_fd, op, w->fd, &e) != 0) {
        return false;
    }
    w->events = events;
    return true;
}

enum io_timer_result io_timer_set(struct io *io, struct io_timer *t, int64_t when_ns)
{
    pthread_mutex_lock(&io->mu);
    bool was_armed = t->index != 0;
    bool ok = timers_set(&io->timers, t, when_ns);
    bool first = ok && timers_first(&io->timers) == t;
    pthread_mutex_unlock(&io->mu);
    if (first) {
        wake(io);
    }
    return !ok ? TIMER_FAILED : was_armed ? TIMER_MOVED : TIMER_ARMED;
}

bool io_timer_cancel(struct io *io, struct io_timer *t)
{
    pthread_mutex_lock(&io->mu);
    bool was = timers_remove(&io->timers, t);
    pthread_mutex_unlock(&io->mu);
    return was;
}

void io_sweep_add(struct io *io, struct io_sweep *s)
{
    pthread_mutex_lock(&io->mu);
    bool first = list_is_empty(&io->sweeps);
    if (list_is_empty(&s->node)) {
        list_append(&io->sweeps, &s->node);
    }
    pthread_mutex_unlock(&io->mu);
    if (first) {
        wake(io);
    }
}

void io_sweep_remove(struct io *io, struct io_sweep *s)
{
    pthread_mutex_lock(&io->mu);
    list_remove(&s->node);
    pthread_mutex_unlock(&io->mu);
}
