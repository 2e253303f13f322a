/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * Exchanges into a connection and their events out of it, and the turns in which that happens. The
 * rules of who drives stand in conn.h.
 */
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/sys.h"
#include "conn/conn.h"
#include <errno.h>

/* A connection with this many resets and timeouts is replaced (reliability bar C). */
#define RESETS_MAX 20
/* An unsent exchange that so many connections lost: something is wrong with the remote. */
#define MOVES_MAX 8

/* What is to be done after mu was given up. */
struct batch {
    struct exchange *first, **tail; /* with events, by exchange.next, in order */
    struct exchange *rejected;      /* to be submitted through the generation again */
    unsigned n_done, n_streams_done;
    bool became_ready, is_draining, died, was_ready, has_more_room;
    int64_t keepalive_ns; /* the new interval, 0: none */
};

static void batch_init(struct batch *b)
{
    *b = (struct batch){.tail = &b->first};
}

/* It goes to another connection once the lock was given up; from now on it is not ours. */
static void reject(struct conn *c, struct exchange *ex)
{
    atomic_store_explicit(&ex->taken_by, NULL, memory_order_relaxed);
    ex->next = c->rejected;
    c->rejected = ex;
}

static void take_exchange(struct conn *c, struct exchange *ex)
{
    struct pfs_error err;
    int cls = atomic_load(&ex->cancel_class);

    if (cls != 0) {
        pfs_fail(&err, (enum pfs_class)cls, PFS_OUTCOME_NA, PFS_PHASE_QUEUE,
                 "given up while it waited to be sent");
        exchange_fail_at(ex, FAILURE_DEADLINE, &err);
        session_note(c->session, ex, EXCHANGE_DONE);
        return;
    }
    exchange_take_offer(ex);
    if (c->session->ops->submit(c->session, ex, &err) == PFS_OK) {
        c->last_use_ns = ex->ready_ns;
        if (c->slow_timer) {
            c->slow_timer = false;
            conn_set_timer_locked(c, ex->ready_ns + c->keepalive_ns);
        }
        return;
    }
    if (err.cls == PFS_NOMEM && ex->n_moves++ == MOVES_MAX) { /* nobody has any */
        exchange_fail_at(ex, FAILURE_LOCAL, &err);
        session_note(c->session, ex, EXCHANGE_DONE);
        return;
    }
    reject(c, ex);
}

/* After a silence longer than the keepalive interval the peer may be gone: ask before sending. */
static bool must_probe(const struct conn *c, const struct exchange *ex)
{
    return c->state == CONN_READY && c->session->ops->ping && c->session->state.n_open == 0 &&
           (c->held || ex->ready_ns - c->last_rx_ns > c->keepalive_ns);
}

static void hold_exchange(struct conn *c, struct exchange *ex)
{
    if (!c->held) {
        c->session->ops->ping(c->session);
        c->ping_sent_ns = pfs_now();
        c->slow_timer = false;
        conn_set_timer_locked(c, c->ping_sent_ns + c->config->keepalive_timeout_ns);
    }
    ex->is_held = true;
    ex->next = NULL;
    *c->held_tail = ex;
    c->held_tail = &ex->next;
}

void conn_release_held_locked(struct conn *c)
{
    struct exchange *ex = c->held;

    if (!ex || (c->state == CONN_READY && c->ping_sent_ns != 0)) {
        return;
    }
    c->held = NULL;
    c->held_tail = &c->held;
    while (ex) {
        struct exchange *next = ex->next;

        ex->is_held = false;
        if (c->state == CONN_READY) {
            ex->ready_ns = pfs_now();
            take_exchange(c, ex);
        } else {
            reject(c, ex);
        }
        ex = next;
    }
}

static void drain_inbox_locked(struct conn *c)
{
    struct exchange *newest = atomic_exchange(&c->inbox, NULL), *oldest = NULL;

    if (newest) {
        conn_look_locked(c);
    }
    while (newest) {
        struct exchange *next = newest->next;

        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest) {
        struct exchange *next = oldest->next;

        atomic_store_explicit(&oldest->taken_by, c, memory_order_relaxed);
        if (c->state != CONN_READY) {
            reject(c, oldest);
        } else if (must_probe(c, oldest)) {
            hold_exchange(c, oldest);
        } else {
            take_exchange(c, oldest);
        }
        oldest = next;
    }
    conn_release_held_locked(c);
}

/* What the session's state asks of the connection. */
static void follow_session(struct conn *c)
{
    const struct session_state *s = &c->session->state;

    if (c->state == CONN_READY && s->is_closing) {
        conn_drain_locked(c, "peer or session is closing");
    } else if (c->state == CONN_READY && s->n_resets > RESETS_MAX) {
        conn_drain_locked(c, "too many resets and timeouts");
    }
    if (c->state == CONN_DRAINING && s->n_open == 0) {
        struct pfs_error why;
        bool unused = c->reported == CONN_CONNECTING;

        pfs_fail(&why, unused ? PFS_REFUSED : PFS_SHUTDOWN, PFS_OUTCOME_NA, PFS_PHASE_QUEUE,
                 unused ? "%s takes no requests on a new connection (GOAWAY)"
                        : "the connection to %s was closed in order",
                 c->config->authority);
        why.h2_code = s->goodbye_code;
        conn_flush_locked(c);
        conn_die_locked(c, &why);
    }
    if (c->state == CONN_READY) {
        unsigned room = c->is_suspect ? 0 : s->max_open;

        if (atomic_load_explicit(&c->capacity, memory_order_relaxed) != room) {
            c->has_more_room |= atomic_exchange(&c->capacity, room) < room;
        }
    }
}

/*
 * Nothing of it was sent and its owner still wants it: another connection may take it. So with a
 * streamed body that was left over, whose owner could not begin anew; lib/fs repeats all others.
 */
static bool may_move(const struct exchange *ex)
{
    bool left_over = failure_is_orderly(ex->failure, ex->err.h2_code);
    bool unseen =
        ex->failure == FAILURE_NOT_SENT || (left_over && ex->body_stream && exchange_has_body(ex));

    return (ex->events & EXCHANGE_DONE) && unseen && ex->n_moves < MOVES_MAX &&
           atomic_load(&ex->cancel_class) == 0;
}

/* Takes one exchange with events into the batch. */
static void collect_one(struct conn *c, struct exchange *ex, struct batch *b)
{
    bool moves = may_move(ex);

    if (moves && !(ex->events & EXCHANGE_WRITABLE)) {
        list_remove(&ex->ready);
        ex->events = 0;
        exchange_rewind(ex);
        reject(c, ex);
        return;
    }
    /* Before it moves the owner gets its chunk back; what is left to do is collected after that. */
    ex->notify_events = moves ? EXCHANGE_WRITABLE : ex->events;
    ex->events &= ~ex->notify_events;
    if (ex->events == 0) {
        list_remove(&ex->ready);
    }
    if (ex->notify_events & EXCHANGE_DONE) {
        b->n_done++;
        b->n_streams_done += exchange_is_stream(ex);
        c->attested |= ex->head.boot[0] != '\0';
        ex->attested = c->attested;
    } else {
        ex->is_notifying = true;
    }
    ex->next = NULL;
    *b->tail = ex;
    b->tail = &ex->next;
}

/* Its notification is the I/O thread's: this one works for `mine`, and may be inside the user's
 * locks. */
static bool is_foreign(const struct conn *c, const struct exchange *ex, const struct exchange *mine)
{
    return ex->notify && ex != mine && !io_is_own_thread(c->io);
}

/* True: foreign ones are left. */
static bool collect_rejected(struct conn *c, struct batch *b, const struct exchange *mine)
{
    struct exchange **tail = &b->rejected;

    for (struct exchange **p = &c->rejected; *p;) {
        struct exchange *ex = *p;

        if (is_foreign(c, ex, mine)) { /* its next connection may be none */
            p = &ex->next;
            continue;
        }
        *p = ex->next;
        ex->next = NULL;
        *tail = ex;
        tail = &ex->next;
    }
    return c->rejected != NULL;
}

/* Collects events, rejected exchanges and changes of state; a turn follows with what is foreign. */
static void collect_locked(struct conn *c, struct batch *b, const struct exchange *mine)
{
    bool some_left = false;

    if (c->session) {
        conn_release_held_locked(c);
        if (c->session->state.calm_down) {
            b->keepalive_ns = conn_ask_less_locked(c);
        }
        follow_session(c);
        list_for_each (n, &c->session->ready) {
            struct exchange *ex = list_entry(n, struct exchange, ready);

            if (is_foreign(c, ex, mine)) {
                some_left = true;
            } else if (!ex->is_notifying) { /* else whoever notifies looks again afterwards */
                collect_one(c, ex, b);
            }
        }
    }
    if (c->state == CONN_DEAD) { /* what came after the end */
        drain_inbox_locked(c);
    }
    if (collect_rejected(c, b, mine) || some_left) {
        conn_ask_for_turn(c);
    }
    b->became_ready = c->state == CONN_READY && c->reported == CONN_CONNECTING;
    b->is_draining = c->state == CONN_DRAINING && c->reported == CONN_READY;
    b->died = c->state == CONN_DEAD && c->reported != CONN_DEAD;
    b->was_ready = c->reported != CONN_CONNECTING;
    c->reported = c->state;
    b->has_more_room = c->has_more_room;
    c->has_more_room = false;
}

/* Notifies one exchange; true: it has more events already. */
static bool notify_one(struct conn *c, struct exchange *ex, const struct exchange *mine,
                       uint32_t bits[WAKE_WORDS])
{
    unsigned events = ex->notify_events;

    if (!ex->notify) {
        unsigned slot = ex->wake_slot; /* the caller may reuse the exchange once done is set */

        if (events & EXCHANGE_DONE) {
            atomic_store_explicit(&ex->done, 1, memory_order_release);
            if (ex != mine) {
                bits[slot / 32] |= 1u << slot % 32;
            }
        }
        return false;
    }
    ex->notify(ex, events);
    if (events & EXCHANGE_DONE) {
        return false;
    }
    pthread_mutex_lock(&c->mu);
    ex->is_notifying = false;
    bool more = ex->events != 0;
    pthread_mutex_unlock(&c->mu);
    return more;
}

/* True: some have more events already. */
static bool notify_all(struct conn *c, struct batch *b, const struct exchange *mine)
{
    uint32_t bits[WAKE_WORDS] = {0};
    bool again = false;

    for (struct exchange *ex = b->first; ex;) {
        struct exchange *next = ex->next;

        again |= notify_one(c, ex, mine, bits);
        ex = next;
    }
    wake_callers(bits);
    return again;
}

/* Tells the generation what changed and hands back what was not taken. */
static void report(struct conn *c, const struct batch *b)
{
    struct generation *g = c->gen;

    if (b->keepalive_ns) {
        log_warn("c%u: %s complains of too many PINGs (ENHANCE_YOUR_CALM): from now on after "
                 "%lld s of silence",
                 c->id, c->config->authority, (long long)(b->keepalive_ns / PFS_SEC));
    }
    if (b->became_ready) {
        generation_conn_ready(g, c);
    }
    if (b->is_draining) {
        generation_conn_draining(g, c);
    }
    if (b->died) {
        generation_conn_gone(g, c, &c->death, b->was_ready);
    }
    if (b->n_done || b->has_more_room) {
        generation_released(g, c, b->n_done, b->n_streams_done);
    }
    for (struct exchange *ex = b->rejected; ex;) {
        struct exchange *next = ex->next;

        generation_released(g, c, 1, exchange_is_stream(ex));
        generation_resubmit(g, ex);
        ex = next;
    }
}

static bool is_empty(const struct batch *b)
{
    return !b->first && !b->rejected && !b->became_ready && !b->is_draining && !b->died &&
           !b->has_more_room && !b->keepalive_ns;
}

/* Carries the batch out; no lock held. */
static void run_batch(struct conn *c, struct batch *b, const struct exchange *mine)
{
    if (is_empty(b)) {
        return;
    }
    conn_ref(c); /* the exchanges, which hold it otherwise, may go during this */
    report(c, b);
    while (notify_all(c, b, mine)) {
        batch_init(b);
        pthread_mutex_lock(&c->mu);
        collect_locked(c, b, mine);
        pthread_mutex_unlock(&c->mu);
        report(c, b);
    }
    conn_unref(c);
}

void conn_unlock(struct conn *c, const struct exchange *mine)
{
    struct batch b;

    batch_init(&b);
    collect_locked(c, &b, mine);
    pthread_mutex_unlock(&c->mu);
    run_batch(c, &b, mine);
}

void conn_give_to_io_locked(struct conn *c)
{
    c->owner = OWNER_IO;
    conn_watch_locked(c);
    if (c->state == CONN_DEAD) { /* it cannot be watched, and not everybody here collects */
        conn_ask_for_turn(c);
    }
}

void conn_ask_for_turn(struct conn *c)
{
    if (!atomic_exchange(&c->turn_asked, true)) {
        conn_ref(c);
        io_post(c->io, &c->turn_task);
    }
}

bool conn_submit(struct conn *c, struct exchange *ex, bool may_drive)
{
    struct exchange *head = atomic_load(&c->inbox);
    struct conn *kept = NULL; /* once pushed, ex and the reference it holds may go at any time */

    do {
        if (!head && !kept) {
            kept = conn_ref(c);
        }
        ex->next = head;
    } while (!atomic_compare_exchange_weak(&c->inbox, &head, ex));
    if (head) { /* who found it empty sees to it */
        conn_unref(kept);
        return false;
    }
    if (atomic_load(&c->busy)) {
        conn_ask_for_turn(c);
        conn_unref(c);
        return false;
    }
    pthread_mutex_lock(&c->mu);
    drain_inbox_locked(c);
    bool drive = conn_take_locked(c, may_drive ? ex : NULL);
    if (drive) { /* it does the rest, at once, and has the reference: ex may lose its own */
        return true;
    }
    conn_flush_locked(c);
    conn_unlock(c, NULL);
    conn_unref(c);
    return false;
}

/* Consumers that found the lock taken are told to look again. */
static void call_lookers(struct conn *c)
{
    if (!atomic_load(&c->has_lookers)) {
        return;
    }
    atomic_store(&c->has_lookers, false); /* first: who comes now asks for a turn of its own */
    list_for_each (n, &c->session->open) {
        struct exchange *ex = list_entry(n, struct exchange, node);

        if (atomic_exchange(&ex->wants_look, false)) {
            session_note(c->session, ex, EXCHANGE_DATA);
        }
    }
}

void pfs_conn_turn(struct conn *c, uint32_t events)
{
    struct batch b;

    batch_init(&b);
    pthread_mutex_lock(&c->mu);
    if (events & EPOLLOUT) {
        c->out_blocked = false;
    }
    drain_inbox_locked(c);
    if (c->owner == OWNER_IO && (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) &&
        c->state != CONN_DEAD) {
        size_t cap;
        char *room = conn_recv_room_locked(c, &cap);

        if (room) {
            ssize_t n = sys_recv(c->fd, room, cap, MSG_DONTWAIT);

            conn_received_locked(c, n, errno, pfs_now());
        }
    }
    call_lookers(c);
    unsigned left = c->session ? c->session->state.n_open : 0;
    conn_flush_locked(c);
    collect_locked(c, &b, NULL);
    c->calm = b.n_done + left > 1 ? 0 : c->calm + 1;
    atomic_store(&c->busy,
                 c->owner == OWNER_IO && c->calm < CONN_CALM_TURNS && c->state == CONN_READY);
    bool dead = c->state == CONN_DEAD;
    c->crowd -= c->crowd / 8;
    c->crowd = b.n_done + left > c->crowd ? b.n_done + left : c->crowd;
    unsigned few = c->config->max_connections == 1 ? SPIN_ALONE : SPIN_FEW;
    if (atomic_load(&c->busy) && c->crowd <= few) {
        io_expect(c->io, c->config->spin_ns);
    }
    pthread_mutex_unlock(&c->mu);
    if (dead) {
        conn_abort_dial(c);
    }
    run_batch(c, &b, NULL);
}
