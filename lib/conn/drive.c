/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * Callers that drive their connection: for the reply of a blocking call, and for the bytes of a
 * stream, so that bulk needs no hand-over between threads. The rules of who drives stand in conn.h.
 */
#include "base/clock.h"
#include "base/err.h"
#include "base/sys.h"
#include "conn/conn.h"
#include <errno.h>
#include <sched.h>

/* SO_RCVTIMEO of the socket: how long a driving caller may overlook what others did. */
#define DRIVE_TICK_NS (CONN_DRIVE_TICK_MS * PFS_MS)

bool conn_take_locked(struct conn *c, const struct exchange *mine)
{
    bool may_drive = c->state != CONN_DEAD && mine && conn_has(c, mine);

    if (may_drive && c->owner == OWNER_NONE) {
        c->owner = OWNER_CALLER;
        return true;
    }
    if (may_drive && c->owner == OWNER_IO && c->calm >= CONN_CALM_TURNS &&
        c->session->state.n_open <= 1 && !c->out_blocked) {
        c->owner = OWNER_CALLER;
        conn_watch_locked(c);
        io_sweep_add(c->io, &c->sweep);
        return true;
    }
    if (c->state != CONN_DEAD && c->owner == OWNER_NONE) {
        conn_give_to_io_locked(c);
    }
    return false;
}

/* What a driving caller waits for, and where the bytes go. */
struct wait {
    char *room;
    size_t cap;
    int64_t deadline_ns;
    bool flush;    /* also until the socket takes more */
    bool may_spin; /* one reply is due, soon */
};

/* Asks again and again, until until_ns at most; -1 and EAGAIN: nothing came. */
static ssize_t spin_and_recv(const struct conn *c, const struct wait *w, int64_t until_ns)
{
    for (;;) {
        ssize_t n = sys_recv(c->fd, w->room, w->cap, MSG_DONTWAIT);

        if (n >= 0 || errno != EAGAIN || pfs_now() >= until_ns) {
            return n;
        }
        sched_yield(); /* the peer may need this very core */
    }
}

/* *now: when the wait began; set to its end. */
static ssize_t spin_or_sleep(struct conn *c, const struct wait *w, int64_t *now)
{
    bool spins = spin_begin(&c->spin, *now);
    ssize_t n = -1;

    if (spins) {
        n = spin_and_recv(c, w, *now + c->config->spin_ns);
        spin_stop();
    }
    if (!spins || (n < 0 && errno == EAGAIN)) {
        n = sys_recv(c->fd, w->room, w->cap, 0);
    }
    int eno = errno;
    *now = pfs_now();
    spin_end(&c->spin, *now);
    errno = eno;
    return n;
}

/*
 * Waits, outside the lock, until bytes come, the socket takes more, the tick is over or the
 * deadline is reached; then receives what there is. *now: as of a moment ago; set to the end.
 */
static ssize_t wait_and_recv(struct conn *c, const struct wait *w, int64_t *now)
{
    bool is_bounded = !w->flush && w->deadline_ns - *now > 2 * DRIVE_TICK_NS; /* by SO_RCVTIMEO */

    if (is_bounded && w->may_spin && c->config->spin_ns) {
        return spin_or_sleep(c, w, now);
    }
    if (!is_bounded) {
        struct pollfd p = {.fd = c->fd, .events = (short)(w->flush ? POLLIN | POLLOUT : POLLIN)};

        sys_poll(&p, 1, pfs_ms_until(*now, w->deadline_ns, CONN_DRIVE_TICK_MS));
    }
    ssize_t n = sys_recv(c->fd, w->room, w->cap, is_bounded ? 0 : MSG_DONTWAIT);
    *now = pfs_now(); /* of the vDSO: errno stays */
    return n;
}

/* A stream that brings nothing for so many ticks is left to the I/O thread, which needs none. */
#define SILENT_TICKS 5

static void give_up_locked(struct conn *c, struct exchange *ex)
{
    struct pfs_error why;

    pfs_fail(&why, PFS_TIMEOUT, PFS_OUTCOME_UN, PFS_PHASE_WAIT, "the deadline passed");
    if (conn_has(c, ex)) {
        c->session->ops->cancel(c->session, ex, &why);
        conn_ask_for_life_locked(c);
    }
}

/*
 * The caller leaves: the I/O thread goes on with what others wait for. Of a stream alone nobody
 * reads for a moment: its consumer is about to come back, and if not, the sweep finds it.
 */
static void stop_driving_locked(struct conn *c, const struct exchange *ex)
{
    unsigned own = c->state != CONN_DEAD && conn_has(c, ex) ? 1 : 0;

    if (c->last_rx_ns > c->last_use_ns) {
        c->last_use_ns = c->last_rx_ns; /* just now, as a rule; idleness is seconds */
    }
    if (c->state == CONN_DEAD) {
        c->owner = OWNER_NONE;
    } else if (c->session->state.n_open > own || c->held || atomic_load(&c->inbox)) {
        c->calm = 0;
        conn_give_to_io_locked(c);
        conn_ask_for_turn(c);
    } else {
        c->owner = OWNER_NONE;
        conn_watch_locked(c);
    }
}

/*
 * Notifies, waits once and takes what came; the lock is held, and given up meanwhile. *now: as of a
 * moment ago; set to the end of the wait. False: *over was set (NULL: never is), or there is no
 * memory.
 */
static bool take_turn_locked(struct conn *c, struct exchange *ex, int64_t deadline_ns,
                             const atomic_bool *over, int64_t *now)
{
    struct wait w = {.deadline_ns = deadline_ns, .flush = c->out_blocked, .may_spin = !over};

    w.room = conn_recv_room_locked(c, &w.cap);
    if (!w.room) {
        return false;
    }
    c->driver_flushes = w.flush;
    conn_watch_locked(c);
    conn_unlock(c, ex);

    bool go_on = !over || !atomic_load(over);
    ssize_t n = go_on ? wait_and_recv(c, &w, now) : -1;
    int eno = go_on ? errno : EAGAIN;

    pthread_mutex_lock(&c->mu);
    c->driver_flushes = false;
    c->out_blocked &= !w.flush; /* it was polled for, or is tried again */
    conn_received_locked(c, n, eno, *now);
    return go_on;
}

/* Gives the connection back; the lock is held and given up. */
static void leave(struct conn *c, struct exchange *ex)
{
    conn_flush_locked(c);
    stop_driving_locked(c, ex);
    conn_unlock(c, ex);
}

void conn_drive(struct conn *c, struct exchange *ex)
{
    int64_t now = ex->ready_ns;

    for (;;) {
        conn_flush_locked(c);
        if (c->state == CONN_DEAD || !conn_has(c, ex) ||
            !take_turn_locked(c, ex, ex->deadline_ns, NULL, &now) || !conn_has(c, ex)) {
            break; /* the usual end: leave flushes what came up */
        }
        if (now >= ex->deadline_ns) {
            if (ex->is_held) {
                break; /* the waiting caller gives it up */
            }
            give_up_locked(c, ex);
        }
    }
    leave(c, ex);
    conn_unref(c);
}

void conn_drive_stream(struct conn *c, struct exchange *ex, const atomic_bool *over)
{
    unsigned silent = 0;
    int64_t now = pfs_now();

    pthread_mutex_lock(&c->mu);
    if (c->state == CONN_DEAD || c->owner == OWNER_CALLER || !conn_has(c, ex) ||
        c->session->state.hold_reading || !conn_take_locked(c, ex)) {
        pthread_mutex_unlock(&c->mu);
        return;
    }
    while (c->state != CONN_DEAD && conn_has(c, ex) && !c->session->state.hold_reading &&
           silent < SILENT_TICKS) {
        int64_t last_rx_ns = c->last_rx_ns;

        conn_flush_locked(c);
        if (c->state == CONN_DEAD || !take_turn_locked(c, ex, PFS_NEVER, over, &now)) {
            break;
        }
        silent = c->last_rx_ns == last_rx_ns ? silent + 1 : 0;
    }
    leave(c, ex);
}
