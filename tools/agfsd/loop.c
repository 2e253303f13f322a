/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "loop.h"
#include "base/alloc.h"
#include "base/err.h"
#include "base/log.h"
#include "base/thread.h"
#include "conn.h"
#include "listen.h"
#include "req.h"
#include <proxyfs/host.h>
#include <string.h>

/* So often in a row is looked for posts that posts have made. */
#define POSTS_PER_TURN 8
#define BLOCKS_KEPT 256 /* of each size: 2 MiB in all */

static _Thread_local const struct loop *here;

bool loop_is_here(const struct loop *l)
{
    return here == l;
}

/* ---- posts from other threads ---- */

void http_post(struct loop *l, struct post *p)
{
    struct post *head = atomic_load_explicit(&l->posts, memory_order_relaxed);

    do {
        p->next = head;
    } while (!atomic_compare_exchange_weak_explicit(&l->posts, &head, p, memory_order_release,
                                                    memory_order_relaxed));
    /* Otherwise whoever made the list non-empty has woken the loop, or on_async looks again. */
    if (!head && !(loop_is_here(l) && l->in_posts)) {
        uv_async_send(&l->async);
    }
}

static void run_posts(struct loop *l)
{
    struct post *p = atomic_exchange_explicit(&l->posts, NULL, memory_order_acquire);
    struct post *in_order = NULL;

    while (p) {
        struct post *next = p->next;

        p->next = in_order;
        in_order = p;
        p = next;
    }
    while (in_order) {
        struct post *next = in_order->next;

        in_order->fn(in_order);
        in_order = next;
    }
}

void *http_alloc(struct loop *l, size_t n)
{
    return blocks_get(&l->blocks, n);
}

void http_free(struct loop *l, void *p)
{
    blocks_put(&l->blocks, p);
}

/* A post often leads to another: it need not wake the loop that runs already. */
static void on_async(uv_async_t *handle)
{
    struct loop *l = handle->data;

    l->in_posts = true;
    for (int i = 0; i < POSTS_PER_TURN && atomic_load(&l->posts); i++) {
        run_posts(l);
    }
    l->in_posts = false;
    if (atomic_load(&l->posts)) {
        uv_async_send(&l->async); /* the sockets are to have their turn */
    }
}

/* ---- the end of a turn ---- */

static void on_idle(uv_idle_t *handle)
{
}

/*
 * The connections that move much, in turns as well: when their time is over, the rest waits until
 * the others have been looked at again.
 */
static void flush_bulk(struct loop *l)
{
    uint64_t until = uv_hrtime() + BULK_TURN_NS;
    struct list *node;

    while ((node = list_take_first(&l->bulk))) {
        conn_turn(list_entry(node, struct conn, touched));
        if (uv_hrtime() > until) {
            break;
        }
    }
    if (!list_is_empty(&l->bulk)) {
        uv_idle_start(&l->idle, on_idle); /* then the loop does not sleep */
    } else {
        uv_idle_stop(&l->idle);
    }
}

static void flush(struct loop *l)
{
    struct list *node;

    req_pump_fed(l);
    while ((node = list_take_first(&l->touched))) {
        conn_turn(list_entry(node, struct conn, touched));
    }
    if (!list_is_empty(&l->bulk) || uv_is_active((uv_handle_t *)&l->idle)) {
        flush_bulk(l);
    }
    if (!list_is_empty(&l->dead_reqs)) {
        req_bury(l);
        loop_check_end(l);
    }
}

static void on_prepare(uv_prepare_t *handle)
{
    struct loop *l = handle->data;

    loop_host_work(l);
    flush(l);
    loop_host_before_sleep(l);
    loop_spin_before_sleep(l);
}

static void on_check(uv_check_t *handle)
{
    loop_spin_after_sleep(handle->data);
    loop_host_work(handle->data); /* first: who waits for it waits longer than for an answer */
    flush(handle->data);
}

/* ---- deadlines ---- */

static void on_tick(struct loop *l)
{
    struct list due;
    struct list *node;

    list_init(&due);
    wheel_advance(&l->wheel, loop_now_ms(l), &due);
    while ((node = list_take_first(&due))) {
        conn_due(list_entry(node, struct conn, timer.node));
    }
    if (l->wheel.n == 0) {
        loop_timer_stop(&l->tick);
    }
}

void loop_set_timer(struct loop *l, struct wheel_timer *t, int64_t at_ms)
{
    if (at_ms != WHEEL_NEVER && !l->tick.is_set) {
        struct list none;

        list_init(&none);
        wheel_advance(&l->wheel, loop_now_ms(l), &none); /* empty: it only learns the time */
        loop_timer_set(&l->tick, WHEEL_TICK_MS, WHEEL_TICK_MS);
    }
    wheel_set(&l->wheel, t, at_ms);
}

/* ---- stopping ---- */

static void on_drain(uv_timer_t *handle);

static void shut_conns(struct loop *l, enum conn_shut how)
{
    list_for_each (node, &l->conns) {
        conn_shut(list_entry(node, struct conn, node), how);
    }
}

static void loop_end(struct loop *l)
{
    l->state = LOOP_ENDED;
    uv_close((uv_handle_t *)&l->async, NULL);
    uv_close((uv_handle_t *)&l->prepare, NULL);
    uv_close((uv_handle_t *)&l->check, NULL);
    uv_close((uv_handle_t *)&l->idle, NULL);
    loop_timer_close(&l->tick);
    uv_close((uv_handle_t *)&l->drain, NULL);
    loop_host_close(l);
}

void loop_check_end(struct loop *l)
{
    if ((l->state == LOOP_NOTICE || l->state == LOOP_DRAINING || l->state == LOOP_CUT) &&
        l->n_conns == 0 && l->n_reqs == 0 && l->n_ios == 0) {
        loop_end(l);
    }
}

static void on_drain(uv_timer_t *handle)
{
    struct loop *l = handle->data;

    switch (l->state) {
    case LOOP_NOTICE:
        l->state = LOOP_DRAINING;
        shut_conns(l, CONN_SHUT_LAST);
        uv_timer_start(&l->drain, on_drain, (uint64_t)l->grace_ms, 0);
        break;
    case LOOP_DRAINING:
        l->state = LOOP_CUT;
        l->cut = true;
        api_on_cut();
        log_warn("loop %u: %u connections cut at the end of the drain", l->index, l->n_conns);
        shut_conns(l, CONN_SHUT_NOW);
        uv_timer_start(&l->drain, on_drain, LATE_ANSWERS_MS, 0);
        break;
    case LOOP_CUT:
        log_error("loop %u: %u handlers never answered", l->index, l->n_reqs);
        uv_stop(&l->uv);
        break;
    case LOOP_RUNNING:
    case LOOP_ENDED:
        break;
    }
}

static void on_stop(struct post *p)
{
    struct loop *l = list_entry(p, struct loop, stop_post);

    l->state = LOOP_NOTICE;
    listeners_close(l);
    shut_conns(l, CONN_SHUT_NOTICE);
    uv_timer_start(&l->drain, on_drain, (uint64_t)l->limits->goaway_ms, 0);
    loop_check_end(l);
}

void loop_stop(struct loop *l, int64_t grace_ms)
{
    l->grace_ms = grace_ms;
    l->stop_post.fn = on_stop;
    http_post(l, &l->stop_post);
}

/* ---- life ---- */

static void free_buffers(struct loop *l)
{
    blocks_fini(&l->blocks);
    pfs_free(l->rbuf);
    pfs_free(l->wbuf);
}

enum pfs_class loop_lacks(int rc, struct pfs_error *err)
{
    return pfs_refuse(err, rc == UV_ENOMEM ? PFS_NOMEM : PFS_NOFILE, "event loop: %s",
                      uv_strerror(rc));
}

/* The loop itself, and what in it needs memory or descriptors. */
static enum pfs_class init_uv(struct loop *l, struct pfs_error *err)
{
    enum pfs_class cls;
    int rc = uv_loop_init(&l->uv);

    if (rc == 0) {
        rc = uv_async_init(&l->uv, &l->async, on_async);
        if (rc != 0) {
            uv_loop_close(&l->uv);
        }
    }
    if (rc != 0) {
        return loop_lacks(rc, err);
    }
    cls = loop_timer_init(&l->tick, l, on_tick, err);
    if (cls == PFS_OK) {
        cls = loop_host_init(l, err);
        if (cls != PFS_OK) {
            loop_timer_close(&l->tick);
        }
    }
    if (cls != PFS_OK) {
        uv_close((uv_handle_t *)&l->async, NULL);
        uv_run(&l->uv, UV_RUN_DEFAULT);
        uv_loop_close(&l->uv);
    }
    return cls;
}

enum pfs_class loop_init(struct loop *l, unsigned index, struct pfs_error *err)
{
    memset(l, 0, sizeof(*l));
    l->index = index;
    list_init(&l->listeners);
    list_init(&l->conns);
    list_init(&l->touched);
    list_init(&l->bulk);
    list_init(&l->fed);
    list_init(&l->dead_reqs);
    blocks_init(&l->blocks, BLOCKS_KEPT);
    l->rbuf = pfs_malloc(READ_CHUNK);
    l->wbuf = pfs_malloc(WRITE_CHUNK);
    enum pfs_class cls = l->rbuf && l->wbuf ? init_uv(l, err) : pfs_nomem(err, "buffers of a loop");

    if (cls != PFS_OK) {
        free_buffers(l);
        return cls;
    }
    uv_sem_init(&l->ended, 0);
    uv_prepare_init(&l->uv, &l->prepare);
    uv_check_init(&l->uv, &l->check);
    uv_idle_init(&l->uv, &l->idle);
    uv_timer_init(&l->uv, &l->drain);
    l->async.data = l->prepare.data = l->check.data = l->drain.data = l;
    uv_prepare_start(&l->prepare, on_prepare);
    uv_check_start(&l->check, on_check);
    wheel_init(&l->wheel, loop_now_ms(l));
    return PFS_OK;
}

static void *loop_main(void *arg)
{
    struct loop *l = arg;

    here = l;
    loop_spin_init(l);
    pfs_host_enter(l->host);
    uv_run(&l->uv, UV_RUN_DEFAULT);
    uv_sem_post(&l->ended);
    pfs_host_run(l->host); /* mounts are closed later than loops end */
    return NULL;
}

enum pfs_class loop_start(struct loop *l, struct pfs_error *err)
{
    int rc = pfs_thread_start(loop_main, l, &l->thread);

    l->started = rc == 0;
    return rc ? pfs_nomem(err, "thread of a loop") : PFS_OK;
}

bool loop_await(struct loop *l)
{
    uv_sem_wait(&l->ended);
    return l->state == LOOP_ENDED;
}

void loop_fini(struct loop *l)
{
    if (l->state != LOOP_ENDED) { /* never started */
        listeners_close(l);
        loop_end(l);
        uv_run(&l->uv, UV_RUN_DEFAULT);
    }
    if (l->started) {
        pfs_host_stop(l->host);
        pthread_join(l->thread, NULL);
    }
    uv_loop_close(&l->uv);
    uv_sem_destroy(&l->ended);
    pfs_host_free(l->host);
    free_buffers(l);
}
