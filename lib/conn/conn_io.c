/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* Bytes between socket, TLS and session. Everything here runs under the connection's lock. */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/sys.h"
#include "conn/conn.h"
#include <errno.h>
#include <string.h>

/*
 * Frames are gathered into records of at most 16 KiB (one record costs some 6,000 instructions each
 * way) and records into one send; no more than this waits for the socket, the rest stays with the
 * session, where it can still be cancelled. It is what programs write at once, 256 KiB, and what
 * frames and records add to that, so that no short end of it needs a send of its own.
 */
#define PIECE_SIZE 16384
#define OUT_HIGH ((256u + 16u) << 10)

static size_t out_len(const struct conn *c)
{
    size_t n;

    if (!c->tls) {
        return pfs_buf_len(&c->plain_out);
    }
    tls_out(c->tls, &n);
    return n;
}

/* n bytes of the output are done with. */
static void drop_out(struct conn *c, size_t n)
{
    if (c->tls) {
        tls_out_sent(c->tls, n);
    } else {
        pfs_buf_consume(&c->plain_out, n);
    }
}

/*
 * The peer takes nothing any more, but what it said before may still lie in the socket (a refusal,
 * and then a reset because it did not read on): so nothing ends here, the reader comes to the end
 * of it. A socket that lives on (ENOBUFS) would have none: the peer is told that no more will come.
 */
static void sending_failed(struct conn *c, int eno)
{
    log_debug("c%u cannot send: %s", c->id, strerror(eno));
    c->send_errno = eno;
    shutdown(c->fd, SHUT_WR);
    if (c->session) {
        c->session->state.is_closing = true;
    }
}

static void send_out(struct conn *c)
{
    while (out_len(c) > 0) {
        size_t n = pfs_buf_len(&c->plain_out);
        const char *p = c->tls ? tls_out(c->tls, &n) : pfs_buf_data(&c->plain_out);
        ssize_t sent =
            c->send_errno ? (ssize_t)n : sys_send(c->fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            c->out_blocked = true;
            return;
        }
        if (sent < 0 && errno != EINTR) {
            sending_failed(c, errno);
        } else if (sent > 0) {
            drop_out(c, (size_t)sent);
        }
        if (sent > 0 && !c->send_errno) {
            atomic_fetch_add_explicit(&c->config->counters->bytes_out, (unsigned long long)sent,
                                      memory_order_relaxed);
        }
    }
    c->out_blocked = false;
}

/* Takes one piece from the session; false: nothing more, or the connection was ended. */
static bool take_piece(struct conn *c)
{
    char piece[PIECE_SIZE];
    size_t n = 0;
    struct pfs_error err;

    enum pfs_class cls = c->session->ops->drain(c->session, piece, sizeof piece, &n, &err);
    if (cls == PFS_OK && n == 0) {
        return false;
    }
    if (cls == PFS_OK && c->tls) {
        cls = tls_write(c->tls, piece, n, &err);
    } else if (cls == PFS_OK && !pfs_buf_add(&c->plain_out, piece, n)) {
        cls = pfs_nomem(&err, "output");
    }
    if (cls != PFS_OK) {
        conn_die_locked(c, &err);
    }
    return cls == PFS_OK;
}

/* Asking is cheaper than draining nothing, with 16 KiB of the stack. */
static bool has_more(struct conn *c)
{
    return c->session && c->session->ops->wants_drain(c->session);
}

void conn_flush_locked(struct conn *c)
{
    bool full = true; /* the session has more than what was taken */

    while (full && !c->out_blocked && c->state != CONN_DEAD && c->fd >= 0) {
        full = false;
        while (has_more(c) && !(full = out_len(c) >= OUT_HIGH) && take_piece(c)) {
        }
        if (c->state == CONN_DEAD) {
            return;
        }
        send_out(c);
    }
    if (c->state != CONN_DEAD) {
        conn_watch_locked(c);
    }
}

void conn_watch_locked(struct conn *c)
{
    bool hold = c->session && c->session->state.hold_reading;
    uint32_t events = (c->owner == OWNER_IO && !hold ? EPOLLIN : 0u) |
                      (c->out_blocked && !c->driver_flushes ? EPOLLOUT : 0u);

    if (c->fd < 0 || c->state == CONN_DEAD) {
        events = 0;
    }
    if (events != c->watch.events && !io_watch_set(c->io, &c->watch, events) && events) {
        struct pfs_error why;

        pfs_nomem(&why, "watching a connection");
        conn_die_locked(c, &why);
    }
}

char *conn_recv_room_locked(struct conn *c, size_t *ret_cap)
{
    struct pfs_error why;

    if (c->tls) {
        char *room = tls_in_room(c->tls, ret_cap);
        if (room) {
            return room;
        }
    } else {
        if (!c->raw) {
            c->raw = pfs_malloc(CONN_RAW_SIZE);
        }
        *ret_cap = CONN_RAW_SIZE;
        if (c->raw) {
            return c->raw;
        }
    }
    pfs_nomem(&why, "input");
    conn_die_locked(c, &why);
    return NULL;
}

void conn_rest_locked(struct conn *c)
{
    if (c->tls) {
        tls_release_idle(c->tls);
    }
    if (pfs_buf_len(&c->plain_out) == 0) {
        pfs_buf_fini(&c->plain_out);
    }
    pfs_free(c->raw);
    c->raw = NULL;
    if (c->session->ops->rest) {
        c->session->ops->rest(c->session);
    }
}

/*
 * Only what comes out of TLS is a sign of life: where a bit of a record's length was flipped, bytes
 * come for as long as PINGs are answered, and will never be a record.
 */
static void feed_session(struct conn *c, const char *data, size_t n, int64_t now)
{
    struct pfs_error err;
    bool was_up = c->session->state.is_up;

    c->last_rx_ns = now;
    c->is_suspect = false;
    if (c->session->ops->feed(c->session, data, n, now, &err) != PFS_OK) {
        conn_flush_locked(c); /* the reason, as GOAWAY */
        conn_die_locked(c, &err);
        return;
    }
    if (!was_up && c->session->state.is_up && c->state == CONN_CONNECTING) {
        conn_go_locked(c, CONN_READY, "peer is up");
    }
    if (c->session->state.pings_acked != c->pings_acked_before) {
        c->pings_acked_before = c->session->state.pings_acked;
        atomic_store(&c->pulse->pings_acked, c->pings_acked_before);
        c->ping_sent_ns = 0;
        conn_release_held_locked(c);
    }
}

/* The peer's end of the connection is over; in_order: it said so (FIN; under TLS close_notify). */
static void on_eof(struct conn *c, bool in_order)
{
    struct pfs_error why;
    bool before = c->state == CONN_CONNECTING;

    if (in_order && !c->send_errno && c->session && c->session->ops->eof) {
        c->session->ops->eof(c->session);
    }
    pfs_fail(&why, before ? PFS_CONN : PFS_CONN_LOST, before ? PFS_OUTCOME_NA : PFS_OUTCOME_UN,
             before ? PFS_PHASE_SETTINGS : PFS_PHASE_WAIT, "%s closed the connection%s",
             c->config->authority, before ? " before it was ready" : "");
    if (c->send_errno) {
        pfs_fail(&why, why.cls, why.outcome, why.phase, "connection to %s broke: %s",
                 c->config->authority, strerror(c->send_errno));
        why.sys_errno = c->send_errno;
    }
    conn_die_locked(c, &why);
}

static void feed_decrypted(struct conn *c, int64_t now)
{
    char piece[PIECE_SIZE];

    while (c->state != CONN_DEAD && !c->session->state.hold_reading) {
        struct pfs_error err;
        bool clean = false;
        ssize_t n = tls_read(c->tls, piece, sizeof piece, &clean, &err);

        if (n > 0) {
            feed_session(c, piece, (size_t)n, now);
            if (!tls_has_input(c->tls)) {
                return; /* the usual end: asking costs as much as a record */
            }
        } else if (n == 0) {
            return;
        } else if (n == TLS_READ_EOF) {
            on_eof(c, clean);
        } else {
            conn_die_locked(c, &err);
        }
    }
}

void conn_feed_locked(struct conn *c, size_t n_received, int64_t now)
{
    if (!c->session && c->tls) {
        conn_handshake_locked(c);
    }
    if (c->state == CONN_DEAD || !c->session) {
        return;
    }
    if (c->tls) {
        feed_decrypted(c, now);
    } else if (n_received) {
        feed_session(c, c->raw, n_received, now);
    }
}

void conn_received_locked(struct conn *c, ssize_t n, int eno, int64_t now)
{
    if (c->state == CONN_DEAD) {
        return;
    }
    if (n > 0) {
        atomic_fetch_add_explicit(&c->config->counters->bytes_in, (unsigned long long)n,
                                  memory_order_relaxed);
        if (c->tls) {
            tls_in_added(c->tls, (size_t)n);
        }
        conn_feed_locked(c, (size_t)n, now);
        return;
    }
    if (n == 0) {
        if (c->tls) {
            tls_in_eof(c->tls);
            conn_feed_locked(c, 0, now);
        }
        if (c->state != CONN_DEAD) {
            on_eof(c, !c->tls);
        }
        return;
    }
    if (eno != EAGAIN && eno != EWOULDBLOCK && eno != EINTR) {
        struct pfs_error why;

        pfs_fail(&why, c->state == CONN_CONNECTING ? PFS_CONN : PFS_CONN_LOST, PFS_OUTCOME_UN,
                 c->state == CONN_CONNECTING ? PFS_PHASE_TLS : PFS_PHASE_WAIT,
                 "connection to %s broke: %s", c->config->authority, strerror(eno));
        why.sys_errno = eno;
        conn_die_locked(c, &why);
    }
}

void conn_look_locked(struct conn *c)
{
    size_t cap;

    if (c->state != CONN_READY || c->session->ops->multiplexes || c->session->state.n_open > 0 ||
        c->owner == OWNER_CALLER) {
        return;
    }
    char *room = conn_recv_room_locked(c, &cap);
    if (room) {
        ssize_t n = sys_recv(c->fd, room, cap, MSG_DONTWAIT);

        conn_received_locked(c, n, errno, pfs_now());
    }
}
