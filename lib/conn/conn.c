/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* Life and states of a connection. The state changes in conn_go_locked and nowhere else. */
#include "conn/conn.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/random.h"
#include "h2/h2.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A connection is replaced after an hour, spread by 10 % so that many do not go at once. */
#define MAX_AGE_NS (3600 * PFS_SEC)

static const char *const state_names[] = {"CONNECTING", "READY", "DRAINING", "DEAD"};

#define TO(s) (1u << CONN_##s)
static const unsigned moves[] = {
    [CONN_CONNECTING] = TO(READY) | TO(DEAD),
    [CONN_READY] = TO(DRAINING) | TO(DEAD),
    [CONN_DRAINING] = TO(DEAD),
    [CONN_DEAD] = 0,
};

void conn_go_locked(struct conn *c, enum conn_state to, const char *why)
{
    assert(moves[c->state] & (1u << to));
    log_debug("c%u %s -> %s: %s", c->id, state_names[c->state], state_names[to], why);
    c->state = to;
    atomic_store(&c->capacity, to == CONN_READY ? c->session->state.max_open : 0);
}

static void on_ready(struct io_watch *w, uint32_t events)
{
    struct conn *c = container_of(w, struct conn, watch);

    if (conn_try_ref(c)) {
        pfs_conn_turn(c, events);
        conn_unref(c);
    }
}

static void turn_task(struct io_task *t)
{
    struct conn *c = container_of(t, struct conn, turn_task);

    atomic_store(&c->turn_asked, false);
    pfs_conn_turn(c, 0);
    conn_unref(c);
}

/* A connection that no thread reads since its caller went is watched by the I/O thread again. */
static bool on_sweep(struct io_sweep *s)
{
    struct conn *c = container_of(s, struct conn, sweep);
    bool again = false;

    pthread_mutex_lock(&c->mu);
    if (c->state != CONN_DEAD && c->owner != OWNER_IO) {
        again = c->owner == OWNER_CALLER || pfs_now() - c->last_use_ns < IO_SWEEP_MS * PFS_MS;
        if (!again) {
            conn_give_to_io_locked(c);
        }
    }
    pthread_mutex_unlock(&c->mu);
    return again;
}

enum pfs_class pfs_conn_new(struct generation *g, const struct conn_config *config, struct io *io,
                            unsigned id, struct conn **ret, struct pfs_error *err)
{
    struct conn *c = pfs_calloc(1, sizeof *c);

    struct pulse *pulse = pulse_new();
    if (!c || !pulse) {
        pfs_free(c);
        pulse_unref(pulse);
        return pfs_nomem(err, "a connection");
    }
    c->pulse = pulse;
    c->id = id;
    c->gen = g;
    c->config = config;
    c->io = io;
    atomic_init(&c->refs, 1);
    pthread_mutex_init(&c->mu, NULL);
    list_init(&c->gen_node);
    list_init(&c->sweep.node);
    c->sweep.on_sweep = on_sweep;
    c->watch.on_ready = on_ready;
    c->turn_task.run = turn_task;
    c->timer.on_time = conn_on_time;
    c->fd = c->watch.fd = -1;
    c->owner = OWNER_IO;
    c->held_tail = &c->held;
    c->calm = CONN_CALM_TURNS;
    c->created_ns = c->last_rx_ns = c->last_use_ns = pfs_now();
    c->keepalive_ns = atomic_load(config->keepalive_ns);
    c->max_age_ns = MAX_AGE_NS / 100 * (90 + pfs_random() % 21);
    c->trust_ends_ns = PFS_NEVER;
    *ret = c;
    return PFS_OK;
}

struct conn *conn_ref(struct conn *c)
{
    atomic_fetch_add(&c->refs, 1);
    return c;
}

bool conn_try_ref(struct conn *c)
{
    unsigned n = atomic_load(&c->refs);

    while (n > 0 && !atomic_compare_exchange_weak(&c->refs, &n, n + 1)) {
    }
    return n > 0;
}

/* On the I/O thread, after all events that named the connection. */
static void free_task(struct io_task *t)
{
    struct conn *c = container_of(t, struct conn, free_task);
    struct generation *g = c->gen;

    io_timer_cancel(c->io, &c->timer);
    io_sweep_remove(c->io, &c->sweep);
    if (c->session) {
        c->session->ops->free(c->session);
    }
    tls_free(c->tls);
    if (c->fd >= 0) {
        close(c->fd);
    }
    pulse_unref(c->pulse);
    pfs_buf_fini(&c->plain_out);
    pfs_free(c->raw);
    pthread_mutex_destroy(&c->mu);
    pfs_free(c);
    generation_conn_freed(g);
}

void conn_unref(struct conn *c)
{
    if (c && atomic_fetch_sub(&c->refs, 1) == 1) {
        c->free_task.run = free_task;
        io_post(c->io, &c->free_task);
    }
}

/*
 * Throws away what the kernel has not delivered: it would go on trying, and a request given up
 * would arrive behind a later one. Where a caller in recv() is in the way, the close does it.
 */
static void discard_unsent(int fd)
{
    const struct linger no_time = {.l_onoff = 1, .l_linger = 0};
    const struct sockaddr nobody = {.sa_family = AF_UNSPEC};

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &no_time, sizeof no_time);
    (void)connect(fd, &nobody, sizeof nobody);
}

void conn_die_locked(struct conn *c, const struct pfs_error *why)
{
    if (c->state == CONN_DEAD) {
        return;
    }
    c->death = *why;
    conn_go_locked(c, CONN_DEAD, c->death.text);
    atomic_store(&c->pulse->is_dead, true);
    if (c->session) {
        c->session->ops->fail_all(c->session, &c->death);
    }
    if (c->fd >= 0) {
        conn_watch_locked(c);
        if (c->is_silent || (c->session && c->session->state.gave_up)) {
            discard_unsent(c->fd);
        }
        shutdown(c->fd, SHUT_RDWR); /* wakes a caller that sits in recv() */
    }
}

void conn_drain_locked(struct conn *c, const char *why)
{
    if (c->state != CONN_READY) {
        return;
    }
    conn_go_locked(c, CONN_DRAINING, why);
    if (!c->session->state.is_closing) {
        c->session->ops->shutdown(c->session);
    }
    conn_flush_locked(c);
}

struct conn_libraries conn_libraries(void)
{
    return (struct conn_libraries){tls_library_version(), h2_library_version()};
}
