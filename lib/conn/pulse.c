/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* What the peer of a connection has certainly seen. */
#include "base/alloc.h"
#include "base/clock.h"
#include "conn/conn.h"

struct pulse *pulse_new(void)
{
    struct pulse *p = pfs_calloc(1, sizeof *p);

    if (p) {
        atomic_init(&p->refs, 1);
    }
    return p;
}

void pulse_unref(struct pulse *p)
{
    if (p && atomic_fetch_sub(&p->refs, 1) == 1) {
        pfs_free(p);
    }
}

bool exchange_ask_for_sign(struct exchange *ex, struct sign_of_life *ret)
{
    struct conn *c = ex->conn;

    if (!c) {
        return false;
    }
    pthread_mutex_lock(&c->mu);
    bool alive = c->state != CONN_DEAD;
    if (alive && c->session->ops->ping) {
        c->session->ops->ping(c->session); /* a new one: an older one may have passed the reset */
        c->ping_sent_ns = c->ping_sent_ns ? c->ping_sent_ns : pfs_now();
        conn_flush_locked(c);
        ret->ping = c->session->state.pings_sent;
    } else {
        ret->ping = UINT64_MAX; /* HTTP/1.1: only the connection's end tells */
    }
    if (alive) {
        ret->pulse = c->pulse;
        atomic_fetch_add(&c->pulse->refs, 1);
    }
    conn_unlock(c, NULL);
    return alive;
}

bool sign_of_life_came(const struct sign_of_life *s)
{
    return atomic_load(&s->pulse->is_dead) || atomic_load(&s->pulse->pings_acked) >= s->ping;
}

void sign_of_life_release(struct sign_of_life *s)
{
    pulse_unref(s->pulse);
    s->pulse = NULL;
}
