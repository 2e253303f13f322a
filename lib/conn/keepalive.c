/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* What time brings to a connection: signs of life asked for and missed, idleness, age. */
#include "base/clock.h"
#include "base/err.h"
#include "conn/conn.h"

/* An idle connection is kept this long (reliability bar C). */
#define IDLE_NS (300 * PFS_SEC)
/* While in use, looked at this often at least. */
#define TICK_NS PFS_SEC
/* However often the peer complains, a dead one is found after that. */
#define KEEPALIVE_MAX_NS (300 * PFS_SEC)

void conn_ask_for_life_locked(struct conn *c)
{
    if (c->state == CONN_DEAD || !c->session || !c->session->ops->ping) {
        return;
    }
    c->is_suspect = true;
    atomic_store(&c->capacity, 0);
    if (c->ping_sent_ns == 0) {
        c->session->ops->ping(c->session);
        c->ping_sent_ns = pfs_now(); /* from being queued: an unsendable PING counts too */
        conn_set_timer_locked(c, c->ping_sent_ns + c->config->keepalive_timeout_ns);
    }
}

int64_t conn_ask_less_locked(struct conn *c)
{
    long long seen = c->keepalive_ns;
    int64_t fresh = pfs_earlier(2 * seen, KEEPALIVE_MAX_NS);

    c->session->state.calm_down = false;
    /* One that was never asked complains of something else. */
    if (c->session->state.pings_sent == 0 || fresh <= seen ||
        !atomic_compare_exchange_strong(c->config->keepalive_ns, &seen, fresh)) {
        return 0;
    }
    c->keepalive_ns = fresh;
    return fresh;
}

static void die_of_silence(struct conn *c, int64_t now)
{
    struct pfs_error why;

    pfs_fail(&why, PFS_CONN_LOST, PFS_OUTCOME_UN, PFS_PHASE_WAIT,
             "%s has been silent for %lld s and does not answer a PING", c->config->authority,
             (long long)((now - c->last_rx_ns) / PFS_SEC));
    c->is_silent = true;
    conn_die_locked(c, &why);
}

/* Trust does not outlive the certificate, whatever is in flight. */
static void die_of_expiry(struct conn *c)
{
    struct pfs_error why;

    pfs_fail(&why, PFS_TLS_VERIFY, PFS_OUTCOME_UN, PFS_PHASE_WAIT,
             "the certificate of %s has expired during the connection", c->config->authority);
    conn_die_locked(c, &why);
}

/* Not READY in time: where it stuck says what the peer is like. */
static void die_connecting(struct conn *c)
{
    enum pfs_phase phase = c->fd < 0     ? PFS_PHASE_CONNECT
                           : !c->session ? PFS_PHASE_TLS
                                         : PFS_PHASE_SETTINGS;
    const char *what = c->fd < 0 ? "does not answer"
                       : !c->session
                           ? "accepts the connection but does not complete the TLS handshake"
                           : "is silent after the TLS handshake (no HTTP/2 SETTINGS)";
    struct pfs_error why;

    pfs_fail(&why, phase == PFS_PHASE_CONNECT ? PFS_CONN : PFS_TIMEOUT, PFS_OUTCOME_NA, phase,
             "%s %s within %lld ms", c->config->authority, what,
             (long long)(c->config->connect_timeout_ns / PFS_MS));
    conn_die_locked(c, &why);
}

/* When something may have to be done next, so that a dead peer is found in the time promised. */
static int64_t next_tick(const struct conn *c, int64_t now)
{
    if (c->slow_timer) {
        return now + IDLE_NS;
    }
    int64_t due = c->ping_sent_ns ? c->ping_sent_ns + c->config->keepalive_timeout_ns
                                  : c->last_rx_ns + c->keepalive_ns;

    return due <= now ? now + TICK_NS : pfs_earlier(due, now + TICK_NS);
}

void conn_tick_locked(struct conn *c, int64_t now)
{
    if (c->state == CONN_CONNECTING && now >= c->connect_deadline_ns) {
        die_connecting(c);
    }
    if (c->state == CONN_DEAD || c->state == CONN_CONNECTING) {
        return;
    }
    if (now >= c->trust_ends_ns) {
        die_of_expiry(c);
        return;
    }
    unsigned n_open = c->session->state.n_open;

    c->keepalive_ns = atomic_load(c->config->keepalive_ns);
    if (c->ping_sent_ns && c->last_rx_ns > c->ping_sent_ns) {
        c->ping_sent_ns = 0; /* any byte is a sign of life */
        conn_release_held_locked(c);
    }
    if (c->ping_sent_ns && now - c->ping_sent_ns >= c->config->keepalive_timeout_ns) {
        die_of_silence(c, now);
        return;
    }
    if (n_open > 0 && now - c->last_rx_ns >= c->keepalive_ns) {
        conn_ask_for_life_locked(c);
    }
    if (c->state == CONN_READY && n_open == 0 && !c->held && now - c->last_use_ns >= IDLE_NS) {
        conn_drain_locked(c, "idle");
    } else if (c->state == CONN_READY && now - c->created_ns >= c->max_age_ns) {
        conn_drain_locked(c, "old");
    }
    conn_flush_locked(c);
    if (c->state == CONN_DEAD) {
        return;
    }
    c->slow_timer = n_open == 0 && !c->held && c->ping_sent_ns == 0 && c->owner != OWNER_CALLER &&
                    now - c->last_use_ns >= TICK_NS;
    if (c->slow_timer) {
        conn_rest_locked(c);
    }
    conn_set_timer_locked(c, next_tick(c, now));
}

void conn_on_time(struct io_timer *t)
{
    struct conn *c = container_of(t, struct conn, timer);

    if (!conn_try_ref(c)) {
        return;
    }
    pthread_mutex_lock(&c->mu);
    conn_tick_locked(c, pfs_now());
    bool dead = c->state == CONN_DEAD;
    conn_unlock(c, NULL);
    if (dead) {
        conn_abort_dial(c);
    }
    conn_unref(c);
}
