/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* What an exchange's owner does with it while it is under way: give up, move its bodies, let go. */
#include "base/clock.h"
#include "base/err.h"
#include "conn/generation_internal.h"
#include <string.h>

void exchange_detach(struct exchange *ex)
{
    conn_unref(ex->conn);
    ex->conn = NULL;
    atomic_store(&ex->gen, NULL);
    generation_unref(ex->first_gen);
    ex->first_gen = NULL;
}

void exchange_release(struct exchange *ex)
{
    exchange_detach(ex);
    exchange_fini(ex);
}

struct generation *exchange_lock_generation(struct exchange *ex)
{
    for (;;) {
        struct generation *g = atomic_load(&ex->gen);

        if (!g) {
            return NULL;
        }
        pthread_mutex_lock(&g->mu);
        if (atomic_load(&ex->gen) == g) {
            return g;
        }
        pthread_mutex_unlock(&g->mu); /* an heir took it meanwhile */
    }
}

struct conn *exchange_conn(struct exchange *ex)
{
    struct generation *g = exchange_lock_generation(ex);
    struct conn *c = g && ex->conn ? conn_ref(ex->conn) : NULL;

    if (g) {
        pthread_mutex_unlock(&g->mu);
    }
    return c;
}

static void unhold_locked(struct conn *c, struct exchange *ex)
{
    for (struct exchange **p = &c->held; *p; p = &(*p)->next) {
        if (*p == ex) {
            *p = ex->next;
            break;
        }
    }
    c->held_tail = &c->held;
    while (*c->held_tail) {
        c->held_tail = &(*c->held_tail)->next;
    }
    ex->is_held = false;
}

static void cancel_on_conn(struct conn *c, struct exchange *ex, const struct pfs_error *why)
{
    pthread_mutex_lock(&c->mu);
    if (!conn_has(c, ex)) {
        /* In the inbox, or on its way to another one: whoever takes it sees cancel_class. */
    } else if (ex->in_session) {
        c->session->ops->cancel(c->session, ex, why);
        conn_ask_for_life_locked(c);
        conn_flush_locked(c);
    } else {
        unhold_locked(c, ex);
        exchange_fail_at(ex, FAILURE_DEADLINE, why);
        session_note(c->session, ex, EXCHANGE_DONE);
    }
    conn_unlock(c, NULL);
}

void exchange_cancel(struct exchange *ex, enum pfs_class cls)
{
    struct pfs_error why;
    struct generation *g;

    const char *what = cls == PFS_TIMEOUT ? "the deadline passed" : pfs_class_text(cls);

    pfs_fail(&why, cls, PFS_OUTCOME_UN, PFS_PHASE_WAIT, "%s", what);
    atomic_store(&ex->cancel_class, (int)cls);
    g = exchange_lock_generation(ex);
    if (!g) {
        return;
    }
    bool queued = ex->is_queued;
    struct conn *c = ex->conn ? conn_ref(ex->conn) : NULL;
    if (queued) {
        list_remove(&ex->node);
        ex->is_queued = false;
        if (g->outage_since_ns) { /* say what it waited for */
            pfs_fail(&why, cls, PFS_OUTCOME_NA, PFS_PHASE_QUEUE, "%s; last: %s", what,
                     g->last_error.text);
        }
    }
    pthread_mutex_unlock(&g->mu);
    if (queued) {
        exchange_fail_at(ex, FAILURE_DEADLINE, &why);
        exchange_finish(ex);
    } else if (c) {
        cancel_on_conn(c, ex, &why);
    }
    conn_unref(c);
}

static size_t copy_out(struct exchange *ex, void *buf, size_t cap)
{
    size_t n = pfs_buf_len(&ex->reply);

    n = n < cap ? n : cap;
    if (n) {
        memcpy(buf, pfs_buf_data(&ex->reply), n);
        pfs_buf_consume(&ex->reply, n);
    }
    return n;
}

/* The lock is held and given up. */
static size_t take_unlock(struct conn *c, struct exchange *ex, void *buf, size_t cap, bool *ret_end)
{
    size_t n = ex->takes_ended ? 0 : copy_out(ex, buf, cap);

    if (n) {
        bool held = c->session->state.hold_reading;

        c->session->ops->consumed(c->session, ex, n);
        if (held && !c->session->state.hold_reading) {
            /* TLS may hold decrypted bytes; then the socket is watched again. */
            conn_feed_locked(c, 0, pfs_now());
            conn_flush_locked(c);
        } else if (c->session->ops->wants_drain(c->session)) {
            conn_flush_locked(c);
        }
    }
    *ret_end = pfs_buf_len(&ex->reply) == 0 && !ex->in_session && ex->failure == FAILURE_NONE;
    conn_unlock(c, ex);
    return n;
}

size_t exchange_take(struct exchange *ex, void *buf, size_t cap, bool *ret_end)
{
    struct conn *c = ex->conn;

    if (!c) { /* detached */
        size_t n = copy_out(ex, buf, cap);

        *ret_end = pfs_buf_len(&ex->reply) == 0;
        return n;
    }
    pthread_mutex_lock(&c->mu);
    return take_unlock(c, ex, buf, cap, ret_end);
}

void exchange_end_takes(struct exchange *ex)
{
    struct conn *c = ex->conn;

    if (c) {
        pthread_mutex_lock(&c->mu);
        ex->takes_ended = true;
        pthread_mutex_unlock(&c->mu);
    }
}

size_t exchange_try_take(struct exchange *ex, void *buf, size_t cap, bool *ret_end)
{
    struct conn *c = ex->conn;

    if (pthread_mutex_trylock(&c->mu) == 0) {
        return take_unlock(c, ex, buf, cap, ret_end);
    }
    atomic_store(&ex->wants_look, true);
    atomic_store(&c->has_lookers, true);
    conn_ask_for_turn(c);
    *ret_end = false;
    return 0;
}

/*
 * Without waiting for anybody: the exchange may be on its way to a connection of this very thread,
 * or of one that waits for this thread. A connection that has not taken it yet, or that takes it
 * after this one gave it away, finds the offer then.
 */
void exchange_give(struct exchange *ex, const void *bytes, size_t n, bool last)
{

    ex->offer = (struct http_chunk){bytes, n, last};
    atomic_store(&ex->is_offered, true);
    struct conn *c = exchange_conn(ex);
    if (!c) { /* waits for a connection, or is over */
        return;
    }
    pthread_mutex_lock(&c->mu);
    if (conn_has(c, ex) && ex->in_session) {
        exchange_take_offer(ex);
        c->session->ops->resume(c->session, ex);
        conn_flush_locked(c);
    }
    conn_unlock(c, ex);
    conn_unref(c);
}
