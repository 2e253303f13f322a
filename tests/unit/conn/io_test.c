/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* I/O threads: tasks in order, timers, watches, start and end. */
#include "base/alloc.h"
#include "base/clock.h"
#include "conn/io.h"
#include <criterion/criterion.h>
#include <proxyfs/host.h>
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static unsigned n_seen;
static unsigned order[1000];

static void saw(unsigned what)
{
    pthread_mutex_lock(&mu);
    order[n_seen++] = what;
    pthread_cond_signal(&cond);
    pthread_mutex_unlock(&mu);
}

static void await(unsigned n)
{
    pthread_mutex_lock(&mu);
    while (n_seen < n) {
        pthread_cond_wait(&cond, &mu);
    }
    pthread_mutex_unlock(&mu);
}

struct numbered {
    struct io_task task;
    unsigned n;
    struct io *io;
    bool on_thread;
};

static void run(struct io_task *t)
{
    struct numbered *n = (struct numbered *)t;

    n->on_thread = io_is_own_thread(n->io);
    saw(n->n);
}

Test(io, tasks_run_in_order_on_its_thread)
{
    static struct numbered tasks[1000];
    struct pfs_error err;
    struct io *io, *again;

    cr_assert_eq(io_get(&io, &err), PFS_OK);
    cr_assert_eq(io_get(&again, &err), PFS_OK);
    cr_assert_eq(io, again, "one per process");
    cr_assert_not(io_is_own_thread(io));
    for (unsigned i = 0; i < 1000; i++) {
        tasks[i] = (struct numbered){.task = {.run = run}, .n = i, .io = io};
        io_post(io, &tasks[i].task);
    }
    await(1000);
    for (unsigned i = 0; i < 1000; i++) {
        cr_assert_eq(order[i], i);
        cr_assert(tasks[i].on_thread);
    }
    io_put();
    io_put();
    cr_assert_eq(io_get(&io, &err), PFS_OK, "and a new one after the last user");
    io_put();
}

static void run_and_expect(struct io_task *t)
{
    struct numbered *n = (struct numbered *)t;

    io_expect(n->io, n->n % 3 * 20 * 1000); /* not at all, 20 us, 40 us */
    saw(n->n);
}

/* What is posted while the loop polls, falls asleep or sleeps: each is run. */
Test(io, a_loop_that_expects_something_misses_nothing, .timeout = 60)
{
    struct pfs_error err;
    struct io *io;

    cr_assert_eq(io_get(&io, &err), PFS_OK);
    for (unsigned i = 0; i < 20000; i++) {
        struct numbered one = {.task = {.run = run_and_expect}, .n = i, .io = io};

        io_post(io, &one.task);
        await(1);
        cr_assert_eq(order[--n_seen], i);
        for (int64_t end = pfs_now() + i % 60 * 1000; pfs_now() < end;) {
        }
    }
    io_put();
}

Test(io, each_one_beside_the_first_has_a_thread_of_its_own)
{
    static struct numbered tasks[8];
    struct pfs_error err;
    struct io *io, *other;

    cr_assert_eq(io_get(&io, &err), PFS_OK);
    unsigned n = io_n_parallel(io), seen = 0;
    cr_assert(n >= 1 && n <= 4, "%u", n);
    for (unsigned i = 1; i < n; i++) {
        struct io *beside = io_beside(io, i);

        cr_assert(beside && beside != io);
        cr_assert_eq(beside, io_beside(io, i), "the same again");
        tasks[i] = (struct numbered){.task = {.run = run}, .n = i, .io = beside};
        io_post(beside, &tasks[i].task);
        await(++seen);
        cr_assert(tasks[i].on_thread);
        tasks[i].io = io; /* and not that of the first */
        io_post(beside, &tasks[i].task);
        await(++seen);
        cr_assert_not(tasks[i].on_thread);
    }
    cr_assert_null(io_beside(io, n), "no more than cores");
    cr_assert_eq(io_new(&other, &err), PFS_OK);
    cr_assert_eq(io_n_parallel(other), 1, "a loop that somebody else runs has none beside it");
    cr_assert_null(io_beside(other, 1));
    io_free(other);
    io_put();
}

static void on_time(struct io_timer *t)
{
    saw((unsigned)(t->when_ns % 1000));
}

Test(io, timers_come_in_the_order_of_their_times)
{
    struct io_timer a = {.on_time = on_time}, b = {.on_time = on_time}, c = {.on_time = on_time};
    struct pfs_error err;
    struct io *io;
    int64_t base = (pfs_now() / 1000 + 1) * 1000 + PFS_SEC; /* all are set before */

    cr_assert_eq(io_get(&io, &err), PFS_OK);
    cr_assert_eq(io_timer_set(io, &a, base + PFS_SEC * 100), TIMER_ARMED);
    cr_assert_eq(io_timer_set(io, &b, base + 2), TIMER_ARMED);
    cr_assert_eq(io_timer_set(io, &c, base + PFS_SEC * 200), TIMER_ARMED);
    cr_assert_eq(io_timer_set(io, &a, base + 1), TIMER_MOVED);
    await(2);
    cr_assert_eq(order[0], 1);
    cr_assert_eq(order[1], 2);
    cr_assert(io_timer_cancel(io, &c));
    cr_assert_not(io_timer_cancel(io, &c));
    cr_assert_not(io_timer_cancel(io, &a), "it was called");
    io_put();
}

struct watched {
    struct io_watch watch;
    struct io *io;
    pthread_mutex_t mu;
};

static void on_ready(struct io_watch *w, uint32_t events)
{
    struct watched *x = (struct watched *)w;

    pthread_mutex_lock(&x->mu); /* one thread at a time, as connections do it */
    bool was_set = w->events != 0;
    io_watch_set(x->io, w, 0);
    pthread_mutex_unlock(&x->mu);
    if (was_set) {
        saw(events);
    }
}

Test(io, a_watch_is_called_until_it_is_unset)
{
    struct pfs_error err;
    struct watched w = {.mu = PTHREAD_MUTEX_INITIALIZER};
    int fds[2];

    cr_assert_eq(pipe(fds), 0);
    cr_assert_eq(io_get(&w.io, &err), PFS_OK);
    w.watch = (struct io_watch){.on_ready = on_ready, .fd = fds[0]};
    for (unsigned i = 1; i <= 3; i++) {
        cr_assert_eq(write(fds[1], "x", 1), 1);
        pthread_mutex_lock(&w.mu);
        cr_assert(io_watch_set(w.io, &w.watch, EPOLLIN));
        pthread_mutex_unlock(&w.mu);
        await(i);
        cr_assert_eq(order[i - 1], EPOLLIN);
    }
    w.watch.fd = -1;
    cr_assert_not(io_watch_set(w.io, &w.watch, EPOLLIN), "no descriptor");
    io_put();
    close(fds[0]);
    close(fds[1]);
}

/* What a host keeps, up to 32, is used again, the last one first; sizes are not mixed up. */
static void *host(void *arg)
{
    struct pfs_host *h = arg;
    void *p[40], *other;

    pfs_host_enter(h);
    for (size_t i = 0; i < 40; i++) {
        p[i] = io_hosted_take(5000);
        cr_assert_not_null(memset(p[i], 'x', 5000));
    }
    for (size_t i = 0; i < 40; i++) {
        io_hosted_give(p[i], 5000);
    }
    pfs_alloc_fail_nth(0); /* counts from here */
    other = io_hosted_take(9000);
    memset(other, 'x', 9000);
    cr_assert_eq(pfs_alloc_count(), 1, "none of that size is kept");
    for (size_t i = 0; PFS_KEEPS_FREED && i < 32; i++) {
        cr_assert_eq(io_hosted_take(5000), p[31 - i], "%zu", i);
    }
    cr_assert(!PFS_KEEPS_FREED || pfs_alloc_count() == 1);
    for (size_t i = 0; PFS_KEEPS_FREED && i < 32; i++) {
        io_hosted_give(p[i], 5000);
    }
    io_hosted_give(other, 9000);
    return NULL;
}

Test(io, a_thread_that_hosts_keeps_what_it_gives_back)
{
    struct pfs_host *h;
    pthread_t thread;
    void *p = io_hosted_take(5000);

    cr_assert_not_null(p);
    io_hosted_give(p, 5000); /* freed: this one hosts nothing */
    cr_assert_eq(pfs_host_new(&h, NULL), PFS_OK);
    cr_assert_eq(pthread_create(&thread, NULL, host, h), 0);
    pthread_join(thread, NULL);
    pfs_host_free(h); /* and what is kept, or LeakSanitizer says so */
}
