/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* The set of connections: grow, place, report. Pattern: lock, decide, unlock, act. */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mutex.h"
#include "conn/generation_internal.h"

/* After which a connection is tried again for which there was no memory. */
#define AGAIN_NS (100 * PFS_MS)
/*
 * So many connections unless the options say: calls share those of HTTP/2, which gain little from
 * being more; but where each carries one call at a time (HTTP/1.1), as many calls are under way as
 * there are connections. Measured with 10 ms to such a remote and 64 callers: 4 connections 360
 * calls a second, 32 of them 2,570, 64 of them 4,930. A reload makes as many anew beside them, and
 * our server takes 64 of one certificate.
 */
#define MOST_SHARED 4
#define MOST_SINGLE 32

enum pfs_class generation_new(const struct conn_config *config, struct io *io, struct tls_ctx *tls,
                              unsigned id, struct generation **ret, struct pfs_error *err)
{
    struct generation *g = pfs_calloc(1, sizeof *g);

    if (!g) {
        return pfs_nomem(err, "a generation of connections");
    }
    g->config = config;
    g->n_most = config->max_connections ? config->max_connections : MOST_SHARED;
    g->io = io;
    g->n_loops = io_n_parallel(io);
    g->tls = tls ? tls_ctx_ref(tls) : NULL;
    g->id = id;
    atomic_init(&g->refs, 1);
    pfs_mutex_init_short(&g->mu);
    pthread_cond_init(&g->freed, NULL);
    list_init(&g->conns);
    list_init(&g->draining);
    list_init(&g->queue);
    list_init(&g->moving);
    g->timer.on_time = outage_on_time;
    *ret = g;
    return PFS_OK;
}

unsigned generation_id(const struct generation *g)
{
    return g->id;
}

unsigned generation_n_streams(struct generation *g)
{
    unsigned n = 0;

    pthread_mutex_lock(&g->mu);
    list_for_each (node, &g->conns) {
        n += list_entry(node, struct conn, gen_node)->n_picked;
    }
    pthread_mutex_unlock(&g->mu);
    return n;
}

struct tls_ctx *generation_tls(const struct generation *g)
{
    return g->tls;
}

struct generation *generation_ref(struct generation *g)
{
    atomic_fetch_add(&g->refs, 1);
    return g;
}

void generation_unref(struct generation *g)
{
    if (g && atomic_fetch_sub(&g->refs, 1) == 1) {
        generation_unref(g->heir);
        tls_ctx_unref(g->tls);
        pthread_cond_destroy(&g->freed);
        pthread_mutex_destroy(&g->mu);
        pfs_free(g);
    }
}

void generation_arm_locked(struct generation *g, int64_t when_ns)
{
    if (g->closing || g->heir) {
        return;
    }
    generation_ref(g);
    if (io_timer_set(g->io, &g->timer, when_ns) != TIMER_ARMED) {
        atomic_fetch_sub(&g->refs, 1); /* the caller holds another */
    }
}

void generation_disarm(struct generation *g)
{
    if (io_timer_cancel(g->io, &g->timer)) {
        generation_unref(g);
    }
}

struct conn *generation_wants_conn_locked(struct generation *g, int64_t now)
{
    static atomic_uint next_id;
    struct conn *c;
    struct pfs_error err;

    if (g->closing || g->heir || g->n_connecting > 0 || g->n_conns >= g->n_most ||
        now < g->next_attempt_ns) {
        return NULL;
    }
    if (pfs_conn_new(g, g->config, choose_io_locked(g), atomic_fetch_add(&next_id, 1) + 1, &c,
                     &err) != PFS_OK) {
        return NULL;
    }
    list_append(&g->conns, &c->gen_node);
    g->n_conns++;
    g->n_connecting++;
    g->n_alive++;
    return conn_ref(c); /* until it was started: the generation may end meanwhile */
}

void generation_start_conn(struct generation *g, struct conn *c)
{
    if (c) {
        atomic_fetch_add(&g->config->counters->connects, 1);
        atomic_fetch_add(&g->config->counters->connections, 1);
        conn_connect(c);
        conn_unref(c);
    }
}

struct conn *generation_wants_conn_for_queue_locked(struct generation *g, int64_t now)
{
    struct conn *c = list_is_empty(&g->queue) ? NULL : generation_wants_conn_locked(g, now);

    if (!c && g->n_conns == 0 && !list_is_empty(&g->queue)) {
        generation_arm_locked(g, now + AGAIN_NS);
    }
    return c;
}

static void give_locked(struct conn *c, struct exchange *ex)
{
    c->n_picked++;
    c->n_streams += exchange_is_stream(ex);
    ex->conn = conn_ref(c);
}

/* What came of trying to place an exchange, decided under the lock. */
struct placement {
    struct conn *conn;  /* submit it here */
    struct conn *start; /* connect this one */
    bool fail;
    enum failure_point at; /* with `why`, when it fails */
    struct pfs_error why;
};

static void place_nowhere(struct placement *p, enum failure_point at, const struct pfs_error *why)
{
    p->fail = true;
    p->at = at;
    p->why = *why;
}

static void place_locked(struct generation *g, struct exchange *ex, struct placement *p)
{
    int64_t now = ex->ready_ns;
    const struct io *hosted = io_hosted_here();
    struct conn *best = choose_conn_locked(g, ex, hosted);

    g->last_demand_ns = now;
    if (!best || choose_is_crowded_locked(g, best, hosted) || (ex->is_bulk && best->n_picked > 0) ||
        (hosted && choose_lacks_hosted_locked(g, ex, hosted))) {
        p->start = generation_wants_conn_locked(g, now);
    }
    if (best) {
        give_locked(best, ex);
        p->conn = best;
    } else if (!p->start && g->n_conns == 0 && g->n_connecting == 0 && now >= g->next_attempt_ns) {
        struct pfs_error why; /* an attempt was due and none could be made */

        pfs_nomem(&why, "a connection");
        place_nowhere(p, FAILURE_LOCAL, &why);
    } else if (outage_fails_fast_locked(g, now)) {
        place_nowhere(p, FAILURE_NOT_SENT, &g->last_error);
    } else {
        ex->is_queued = true;
        list_append(&g->queue, &ex->node);
        if (g->n_connecting == 0 && !p->start) {
            generation_arm_locked(g, g->next_attempt_ns);
        }
    }
}

/* The generation that takes exchanges in g's place, locked; ex is made to refer to it. */
static struct generation *lock_living(struct generation *g, struct exchange *ex)
{
    pthread_mutex_lock(&g->mu);
    while (g->heir) {
        struct generation *heir = g->heir;

        pthread_mutex_unlock(&g->mu);
        pthread_mutex_lock(&heir->mu);
        atomic_store(&ex->gen, heir);
        g = heir;
    }
    return g;
}

static void finish_with(struct exchange *ex, enum failure_point at, const struct pfs_error *why)
{
    exchange_fail_at(ex, at, why);
    exchange_finish(ex);
}

/* True: ex need not be sent any more, and p says why. */
static bool is_too_late_locked(const struct generation *g, struct exchange *ex, struct placement *p)
{
    struct pfs_error why;
    int cancelled =
        atomic_load(&ex->cancel_class); /* under the lock: exchange_cancel sets it first */

    if (cancelled) {
        pfs_refuse(&why, (enum pfs_class)cancelled, "given up while it waited to be sent");
        place_nowhere(p, FAILURE_DEADLINE, &why);
    } else if (g->closing) {
        pfs_refuse(&why, PFS_SHUTDOWN, "the remote is being closed");
        place_nowhere(p, FAILURE_NOT_SENT, &why);
    } else if (ex->deadline_ns && ex->ready_ns >= ex->deadline_ns) {
        pfs_refuse(&why, PFS_TIMEOUT, "the deadline passed before it could be sent");
        place_nowhere(p, FAILURE_DEADLINE, &why);
    }
    return p->fail;
}

static struct conn *submit(struct generation *g, struct exchange *ex, bool may_drive)
{
    struct placement p; /* not zeroed: an error is 600 bytes */

    p.conn = p.start = NULL;
    p.fail = false;
    g = lock_living(g, ex);
    if (!is_too_late_locked(g, ex, &p)) {
        place_locked(g, ex, &p);
    }
    pthread_mutex_unlock(&g->mu);
    generation_start_conn(g, p.start);
    if (p.fail) {
        finish_with(ex, p.at, &p.why);
    } else if (p.conn && conn_submit(p.conn, ex, may_drive)) {
        return p.conn;
    }
    return NULL;
}

static void take_over(struct exchange *ex, struct generation *g)
{
    ex->first_gen = g;
    atomic_store(&ex->gen, g);
}

void exchange_enter(struct exchange *ex, struct generation *g)
{
    if (!atomic_load(&ex->gen)) {
        take_over(ex, generation_ref(g));
    }
}

void generation_submit(struct generation *g, struct exchange *ex)
{
    exchange_enter(ex, g);
    submit(atomic_load(&ex->gen), ex, false);
}

struct conn *generation_submit_for_caller(struct generation *g, struct exchange *ex)
{
    take_over(ex, g);
    return submit(g, ex, true);
}

void generation_resubmit(struct generation *g, struct exchange *ex)
{
    pthread_mutex_lock(&g->mu);
    struct conn *old = ex->conn;
    ex->conn = NULL;
    pthread_mutex_unlock(&g->mu);
    conn_unref(old);
    ex->ready_ns = pfs_now();
    submit(g, ex, false);
}

/* Sends queued exchanges as long as a connection takes them; no lock held. */
static void dispatch(struct generation *g)
{
    for (;;) {
        struct conn *c = NULL;
        struct exchange *ex = NULL;

        pthread_mutex_lock(&g->mu);
        if (!list_is_empty(&g->queue)) {
            ex = list_entry(g->queue.next, struct exchange, node);
            c = choose_conn_locked(g, ex, io_hosted_here());
        }
        if (c) {
            list_remove(&ex->node);
            ex->is_queued = false;
            give_locked(c, ex);
        }
        /* HTTP/1.1 takes one exchange each: more connections while some still wait. */
        struct conn *start = c ? NULL : generation_wants_conn_for_queue_locked(g, pfs_now());
        pthread_mutex_unlock(&g->mu);
        generation_start_conn(g, start);
        if (!c) {
            return;
        }
        conn_submit(c, ex, false);
    }
}

void generation_released(struct generation *g, struct conn *c, unsigned n, unsigned n_streams)
{
    pthread_mutex_lock(&g->mu);
    c->n_picked -= n;
    c->n_streams -= n_streams;
    bool waiting = !list_is_empty(&g->queue);
    pthread_mutex_unlock(&g->mu);
    if (waiting) {
        dispatch(g);
    }
}

void exchange_is_large(struct exchange *ex)
{
    struct generation *g = exchange_lock_generation(ex);
    bool has_quiet = false;

    if (!g) {
        return;
    }
    list_for_each (n, &g->conns) {
        has_quiet |= list_entry(n, struct conn, gen_node)->n_streams == 0;
    }
    struct conn *start = has_quiet ? NULL : generation_wants_conn_locked(g, pfs_now());
    pthread_mutex_unlock(&g->mu);
    generation_start_conn(g, start);
}

void generation_conn_ready(struct generation *g, struct conn *c)
{
    pthread_mutex_lock(&g->mu);
    g->n_connecting--;
    if (g->config->max_connections == 0) {
        g->n_most = c->session->ops->multiplexes ? MOST_SHARED : MOST_SINGLE;
    }
    outage_over_locked(g);
    pthread_mutex_unlock(&g->mu);
    log_info("c%u connected to %s (generation %u)", c->id, g->config->authority, g->id);
    pthread_mutex_lock(&c->mu);
    conn_tick_locked(c, pfs_now());
    conn_unlock(c, NULL);
    dispatch(g);
}

void generation_take_queue_locked(struct generation *g, struct list *out)
{
    list_for_each (n, &g->queue) {
        list_entry(n, struct exchange, node)->is_queued = false;
    }
    list_move_all(out, &g->queue);
}

void generation_fail_list(struct list *exchanges, const struct pfs_error *why)
{
    for (struct list *n; (n = list_take_first(exchanges)) != NULL;) {
        finish_with(list_entry(n, struct exchange, node), FAILURE_NOT_SENT, why);
    }
}

void generation_conn_draining(struct generation *g, struct conn *c)
{
    pthread_mutex_lock(&g->mu);
    if (!c->is_gone) {
        list_remove(&c->gen_node);
        list_append(&g->draining, &c->gen_node);
        c->is_draining = true;
        g->n_conns--;
        outage_on_loss_locked(g);
    }
    pthread_mutex_unlock(&g->mu);
    dispatch(g);
}

void generation_conn_gone(struct generation *g, struct conn *c, const struct pfs_error *why,
                          bool was_ready)
{
    struct list failed;
    struct conn *start = NULL;
    bool fail = false;
    int64_t now = pfs_now();

    list_init(&failed);
    pthread_mutex_lock(&g->mu);
    list_remove(&c->gen_node);
    c->is_gone = true;
    if (!c->is_draining) {
        g->n_conns--;
    }
    if (!was_ready) {
        g->n_connecting--;
        outage_on_failure_locked(g, c, why, now, &fail);
    } else {
        outage_on_loss_locked(g);
    }
    if (fail) {
        generation_take_queue_locked(g, &failed);
    } else if (was_ready) { /* else the outage has its own times */
        start = generation_wants_conn_for_queue_locked(g, now);
    }
    pthread_mutex_unlock(&g->mu);
    bool given_up = why->cls == PFS_SHUTDOWN; /* by this side: a reload, the end */
    if (!was_ready && !given_up) {
        log_warn("c%u cannot connect to %s: %s", c->id, g->config->authority, why->text);
    }
    generation_start_conn(g, start);
    generation_fail_list(&failed, why);
    conn_unref(c); /* the list's */
}

void generation_conn_freed(struct generation *g)
{
    atomic_fetch_sub(&g->config->counters->connections, 1);
    pthread_mutex_lock(&g->mu);
    g->n_alive--;
    pthread_cond_broadcast(&g->freed);
    pthread_mutex_unlock(&g->mu);
}

bool generation_is_empty(struct generation *g)
{
    pthread_mutex_lock(&g->mu);
    bool empty = g->n_alive == 0;
    pthread_mutex_unlock(&g->mu);
    return empty;
}
