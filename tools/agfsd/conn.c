/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "conn.h"
#include "base/alloc.h"
#include "base/log.h"
#include "identity.h"
#include "listen.h"
#include "req.h"
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define COOL_MS 2000 /* buffers are given back after so long without traffic */
#define QUEUE_MS 100 /* between two looks whether a handshake may begin */

static void on_poll(uv_poll_t *handle, int status, int events);

/* When a connection of now is old: max_age_ms +-10 %, so that those of one moment do not end at
 * one.
 */
static int64_t old_at(const struct loop *l, unsigned id)
{
    int64_t max = l->limits->max_age_ms;
    int64_t jitter = (int64_t)(id * 2654435761u >> 12) * (max / 5) >> 20; /* 0 to max / 5 */

    return loop_now_ms(l) + max - max / 10 + jitter;
}

/* Or waits for others of the same address (false). */
static bool begin_handshake(struct conn *c)
{
    c->shaking = clients_handshake(c->loop->clients, &c->client);
    if (c->shaking) {
        gauge_add(GAUGE_HANDSHAKES, 1);
    }
    return c->shaking;
}

bool conn_new(struct loop *l, int fd, const struct client_key *key, struct tls_ctx *ctx)
{
    static atomic_uint ids;
    struct conn *c = pfs_calloc(1, sizeof(*c));
    struct pfs_error err;

    if (!c) {
        return false;
    }
    c->loop = l;
    c->fd = fd;
    c->id = atomic_fetch_add_explicit(&ids, 1, memory_order_relaxed) + 1;
    c->client = *key;
    if ((ctx && tls_new(ctx, NULL, &c->tls, &err) != PFS_OK) ||
        uv_poll_init(&l->uv, &c->poll, fd) != 0) {
        tls_free(c->tls);
        pfs_free(c);
        return false;
    }
    c->poll.data = c;
    c->old_ms = old_at(l, c->id);
    c->since_ms = c->wrote_ms = c->active_ms = loop_now_ms(l);
    wheel_timer_init(&c->timer);
    list_init(&c->touched);
    list_init(&c->sending);
    list_append(&l->conns, &c->node);
    l->n_conns++;
    gauge_add(GAUGE_CONNECTIONS, 1);
    c->queued = ctx && !begin_handshake(c);
    conn_touch(c); /* sets what it waits for and until when */
    if (l->state != LOOP_RUNNING) {
        conn_shut(c, CONN_SHUT_NOTICE);
    }
    return true;
}

static void on_closed(uv_handle_t *handle)
{
    struct conn *c = handle->data;
    struct loop *l = c->loop;

    tls_free(c->tls);
    identity_drop(c->identity);
    pfs_buf_fini(&c->in);
    pfs_buf_fini(&c->out);
    pfs_free(c);
    l->n_conns--;
    loop_check_end(l);
}

/* Only from the loop's own callbacks, never from inside a protocol. */
static void conn_close(struct conn *c)
{
    if (c->state == CONN_CLOSED) {
        return;
    }
    log_debug("c%u closed", c->id);
    c->state = CONN_CLOSED;
    if (c->session) {
        c->proto->close(c);
        c->session = NULL;
    }
    conn_report_sent(c, SIZE_MAX, false);
    list_remove(&c->node);
    list_remove(&c->touched);
    wheel_remove(&c->loop->wheel, &c->timer);
    conn_end_handshake(c);
    if (c->identity) {
        clients_unidentify(c->loop->clients, c->identity);
    }
    clients_leave(c->loop->clients, &c->client);
    gauge_add(GAUGE_CONNECTIONS, -1);
    uv_close((uv_handle_t *)&c->poll, on_closed);
    close(c->fd);
}

/* ---- limits ---- */

void conn_trip(struct conn *c, enum meter m)
{
    struct meter_state s;
    char peer[METER_PEER_MAX];

    meter_hit(m, &c->client, c->identity);
    if (!c->tripped) {
        c->tripped = true;
        meter_read(m, &s);
        meter_peer(&c->client, c->identity, peer);
        conn_log(c, "limit %s reached by %s", s.name, peer);
    }
}

void conn_end_handshake(struct conn *c)
{
    if (c->shaking) {
        c->shaking = false;
        gauge_add(GAUGE_HANDSHAKES, -1);
        clients_handshaken(c->loop->clients, &c->client);
    }
}

const char *conn_client(const struct conn *c)
{
    return c->identity;
}

void conn_touch(struct conn *c)
{
    if (c->in_turn) {
        c->again = true;
    } else if (c->state != CONN_CLOSED && list_is_empty(&c->touched)) {
        list_append(c->bulk ? &c->loop->bulk : &c->loop->touched, &c->touched);
    }
}

void conn_sending(struct conn *c, struct http_req *r, const char *end)
{
    if (r->sent) {
        r->sent->end = (size_t)(end - c->loop->wbuf);
        list_append(&c->sending, &r->sent->node);
        r->sent = NULL;
    }
}

void conn_report_sent(struct conn *c, size_t n, bool sent)
{
    while (!list_is_empty(&c->sending)) {
        struct http_sent *s = list_entry(c->sending.next, struct http_sent, node);

        if (s->end > n) {
            break;
        }
        list_remove(&s->node);
        s->fn(s, sent);
    }
}

void conn_break(struct conn *c)
{
    c->broken = true;
    conn_touch(c);
}

void conn_reset(struct conn *c)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};

    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    conn_break(c);
}

/*
 * Who takes less than the least rate of what lies ready, while the memory for that is scarce: it
 * is kept from others. What counts is what has arrived, the socket itself takes much at once.
 */
static bool takes_too_slowly(struct conn *c, int64_t now)
{
    const struct server_limits *lim = c->loop->limits;
    int queued = 0;

    if (!gauge_is_scarce(GAUGE_BODY_MEMORY) || ioctl(c->fd, SIOCOUTQ, &queued) != 0) {
        c->rate_ms = 0;
        return false;
    }
    uint64_t received = c->sent - (uint64_t)queued;
    bool slow = c->rate_ms > 0 && received - c->rate_received < (uint64_t)lim->body_min;

    if (c->rate_ms == 0 || now - c->rate_ms >= lim->body_window_ms) {
        c->rate_ms = now;
        c->rate_received = received;
        return slow;
    }
    return false;
}

/* ---- what it waits for ---- */

static void set_events(struct conn *c)
{
    bool read =
        !c->eof && !c->queued &&
        (c->state != CONN_OPEN || (c->proto->wants_read(c) && conn_unsent(c) < OUT_QUEUE_MAX));
    int events = (read ? UV_READABLE : 0) | (conn_unsent(c) || c->more ? UV_WRITABLE : 0);

    if (c->state == CONN_OPEN && !events) {
        /* No priority data comes, but a reset is told with it. */
        events = c->eof || c->ended ? UV_PRIORITIZED : UV_DISCONNECT;
    }
    if (events == c->events) {
        return;
    }
    c->events = events;
    if (events) {
        uv_poll_start(&c->poll, events, on_poll);
    } else {
        uv_poll_stop(&c->poll);
    }
}

/* How long it may go without a protocol; in the queue until those before it have had their time. */
static int64_t early_ms(const struct conn *c)
{
    const struct server_limits *lim = c->loop->limits;

    return c->state == CONN_LINGER ? lim->linger_ms
           : c->queued             ? 2 * lim->handshake_ms
                                   : lim->handshake_ms;
}

static int64_t deadline_of(const struct conn *c)
{
    const struct server_limits *lim = c->loop->limits;
    int64_t at = WHEEL_NEVER;

    switch (c->state) {
    case CONN_HELLO:
    case CONN_TLS:
    case CONN_SNIFF:
    case CONN_LINGER:
        at = c->since_ms + early_ms(c);
        break;
    case CONN_OPEN:
        at = c->proto->deadline(c);
        break;
    case CONN_CLOSED:
        break;
    }
    if (conn_unsent(c) && c->wrote_ms + lim->write_stall_ms < at) {
        at = c->wrote_ms + lim->write_stall_ms;
    }
    if (c->warm && c->active_ms + COOL_MS < at) {
        at = c->active_ms + COOL_MS;
    }
    if (c->queued && loop_now_ms(c->loop) + QUEUE_MS < at) {
        at = loop_now_ms(c->loop) + QUEUE_MS;
    }
    if (c->state == CONN_OPEN && c->old_ms < at) {
        at = c->old_ms;
    }
    return at;
}

static void cool(struct conn *c)
{
    c->warm = false;
    if (c->tls) {
        tls_release_idle(c->tls);
    }
    if (c->state == CONN_OPEN && c->proto->cool) {
        c->proto->cool(c);
    }
    if (pfs_buf_len(&c->in) == 0) {
        pfs_buf_fini(&c->in);
    }
    if (pfs_buf_len(&c->out) == 0) {
        pfs_buf_fini(&c->out);
    }
}

/* After anything has happened: close it, or wait for the next thing. */
static void settle(struct conn *c)
{
    if (!c->broken && c->state == CONN_OPEN && c->proto->is_finished(c) && !conn_unsent(c)) {
        conn_say_end(c);
        c->state = CONN_LINGER;
        c->since_ms = loop_now_ms(c->loop);
    }
    if (c->broken || (c->eof && c->state != CONN_OPEN && !conn_unsent(c))) {
        conn_close(c);
        return;
    }
    if (!conn_unsent(c)) {
        c->wrote_ms = loop_now_ms(c->loop);
        c->rate_ms = 0;
    }
    set_events(c);
    loop_set_timer(c->loop, &c->timer, deadline_of(c));
}

static void on_poll(uv_poll_t *handle, int status, int events)
{
    struct conn *c = handle->data;

    if (status < 0) {
        c->broken = true;
    } else if (events & UV_READABLE) {
        c->active_ms = loop_now_ms(c->loop);
        c->warm = true;
        conn_read(c);
    } else if (events & UV_DISCONNECT) {
        c->ended = true;
    }
    conn_touch(c);
}

void conn_turn(struct conn *c)
{
    c->in_turn = true;
    if (!c->broken) {
        conn_work(c);
    }
    c->in_turn = false;
    settle(c);
    if (c->again) {
        c->again = false;
        conn_touch(c);
    }
}

/* One step further towards its end. */
static void grow_old(struct conn *c, int64_t now)
{
    const struct server_limits *lim = c->loop->limits;

    switch (c->age) {
    case AGE_NEW:
        c->age = AGE_NOTICE;
        c->old_ms = now + lim->goaway_ms;
        c->proto->shut(c, CONN_SHUT_NOTICE);
        meter_hit(METER_AGE, &c->client, c->identity);
        break;
    case AGE_NOTICE:
        c->age = AGE_LAST;
        c->old_ms = now + lim->age_grace_ms;
        c->proto->shut(c, CONN_SHUT_LAST);
        break;
    case AGE_LAST:
        c->broken = true;
        break;
    }
}

/* What goes on too long before there is a protocol, or after its end. */
static void on_early_deadline(struct conn *c, int64_t now)
{
    bool lingers = c->state == CONN_LINGER;

    if (now >= c->since_ms + early_ms(c)) {
        if (!lingers) {
            conn_trip(c, c->queued ? METER_HANDSHAKES : METER_HANDSHAKE_TIME);
        }
        c->broken = true;
    } else if (c->queued && begin_handshake(c)) {
        c->queued = false;
        c->since_ms = now;
    }
}

void conn_due(struct conn *c)
{
    int64_t now = loop_now_ms(c->loop);

    if (c->warm && now - c->active_ms >= COOL_MS) {
        cool(c);
    }
    if (conn_unsent(c) && now - c->wrote_ms >= c->loop->limits->write_stall_ms) {
        conn_trip(c, METER_WRITE_STALL);
        c->broken = true;
    } else if (c->state == CONN_OPEN && conn_unsent(c) && takes_too_slowly(c, now)) {
        conn_trip(c, METER_BODY_RATE);
        conn_reset(c);
    } else if (c->state != CONN_OPEN) {
        on_early_deadline(c, now);
    } else {
        if (now >= c->old_ms) {
            grow_old(c, now);
        }
        if (now >= c->proto->deadline(c)) {
            c->proto->tick(c, now);
        }
    }
    conn_touch(c);
}

void conn_shut(struct conn *c, enum conn_shut how)
{
    switch (c->state) {
    case CONN_HELLO: /* nothing was promised */
        c->broken = c->broken || how != CONN_SHUT_NOTICE;
        break;
    case CONN_TLS:
    case CONN_SNIFF:
    case CONN_LINGER:
        c->broken = c->broken || how == CONN_SHUT_NOW;
        break;
    case CONN_OPEN:
        if (how == CONN_SHUT_NOW) {
            c->broken = true;
        } else {
            c->proto->shut(c, how);
        }
        break;
    case CONN_CLOSED:
        return;
    }
    conn_touch(c);
}
