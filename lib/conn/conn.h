/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PFS_CONN_CONN_H
#define PFS_CONN_CONN_H

/*
 * One connection: socket + TLS + session, shared by any number of calling threads.
 *
 * Who drives (reads the socket, decrypts, feeds the session) is `owner`, changed only under mu:
 *
 *   NONE    nobody reads; a lone caller left a moment ago
 *   CALLER  one blocked caller reads: it waits in recv() with mu free, so others submit and flush
 *   IO      the I/O thread reads when epoll says so: the connection's, one of the process's
 *
 *   NONE   -> CALLER  a blocking caller submits
 *   IO     -> CALLER  the same, to a calm connection with nothing else pending
 *   CALLER -> NONE    its reply came, nothing else is pending; or it got bytes of its stream,
 *                     nothing else is pending, and it will come back for more
 *   CALLER -> IO      its reply came, others are pending; a turn is asked for
 *   NONE   -> IO      a submit of one who will not wait, or the sweep after IO_SWEEP_MS
 *
 * Submitting: the exchange is pushed on `inbox` (lock-free). Whoever pushes onto an empty inbox
 * must see to it that it is drained: by locking mu and draining, or, when the connection is busy
 * under IO, by asking the I/O thread for a turn. Everyone who finds it not empty has nothing to do.
 * No request is forgotten: the pusher of the first has not returned before the drain happened or
 * the turn was asked for, and a turn always drains. No wake-up is lost: a caller sleeps on `done`
 * (conn/wait.c), and what is in the socket has a reader in every state but NONE, where no call is
 * open, and of a stream left alone the sweep makes the I/O thread the reader. tests/model/owner.pml
 * states this for spin(1), which searches all interleavings.
 *
 * Taking what came of a stream: a consumer that finds mu taken, for as long as a turn lasts, or
 * much longer where its thread has lost the processor meanwhile, marks the exchange and asks for a
 * turn, which ends with DATA for all marked ones. So an event loop is not held up, nor the small
 * calls that it serves.
 *
 * Calling back: `notify` ends in the user's code, which may take the user's locks, and the user may
 * hold these during a blocking call. So a caller notifies only the exchange that it works for; what
 * came for others, or was rejected of them, is left for a turn of the I/O thread.
 *
 * Under mu no callback is made and no other lock taken but the I/O thread's own (io.h: timers),
 * which is the innermost; what is to be done afterwards is collected in a batch: exchanges with
 * events, exchanges to submit elsewhere, the connection's own change of state.
 */
#include "base/clock.h"
#include "base/cold.h"
#include "base/spin.h"
#include "conn/generation.h"
#include "http/session.h"
#include <pthread.h>

enum conn_state {
    CONN_CONNECTING, /* until the peer proved to speak the protocol (HTTP/2: SETTINGS) */
    CONN_READY,
    CONN_DRAINING, /* no new exchanges; closes when the last is done */
    CONN_DEAD
};

enum conn_owner { OWNER_NONE, OWNER_CALLER, OWNER_IO };

struct dial;

/* What others may know of a connection without keeping it: may outlive it. */
struct pulse {
    atomic_uint refs;
    atomic_bool is_dead;
    atomic_ullong pings_acked;
};

struct conn {
    /* fixed after create */
    unsigned id;
    struct generation *gen;
    const struct conn_config *config;
    struct io *io;
    atomic_uint refs;
    struct pulse *pulse; /* a reference */

    /* the generation's, under its lock */
    struct list gen_node;
    unsigned n_picked;    /* exchanges given to this connection and not yet DONE or given back */
    unsigned n_streams;   /* of those, whose bodies come or go as a stream */
    unsigned n_ends_told; /* of the generation's ends, how many it has heard of */
    bool is_draining;     /* counted among the draining ones */
    bool is_gone; /* in no list any more: two threads may report draining and death crosswise */

    /* lock-free */
    _Atomic(struct exchange *) inbox;
    atomic_uint capacity; /* exchanges it takes at once; 0 unless READY */
    atomic_bool busy;     /* under IO with more than one exchange at a time lately */
    atomic_bool turn_asked;
    atomic_bool has_lookers; /* exchanges that want a look */
    struct io_task turn_task;
    struct io_task free_task, connect_task;

    /* under mu */
    pthread_mutex_t mu;
    enum conn_state state;
    enum conn_state reported; /* the state that the generation knows */
    enum conn_owner owner;
    struct exchange *rejected; /* not taken: to be submitted elsewhere after mu was given up */
    struct exchange *held, **held_tail; /* wait for the answer to a PING after a long silence */
    bool slow_timer;                    /* the timer is set for idleness; use must set it anew */
    int fd; /* -1 before and after; closed by the I/O thread when the last reference goes */
    struct io_watch watch;
    struct tls *tls;          /* NULL: clear text */
    struct pfs_buf plain_out; /* clear text waiting for the socket */
    struct session *session;  /* NULL until the handshake is done */
    int send_errno;      /* != 0: nothing can be sent any more; what has come is read to its end */
    bool out_blocked;    /* the socket takes no more: EPOLLOUT is watched, unless */
    bool driver_flushes; /* a driving caller polls for that */
    unsigned calm;       /* turns in a row with at most one exchange */
    unsigned crowd;      /* at most so many exchanges in a turn lately */
    int64_t created_ns, last_rx_ns, last_use_ns,
        ping_sent_ns; /* ping_sent_ns 0: none outstanding */
    uint64_t pings_acked_before;
    bool has_more_room; /* than the generation knows */
    bool is_suspect;    /* asked for a sign of life, after a timeout or silence: no new exchanges */
    bool is_silent;     /* died of it */
    int64_t keepalive_ns; /* the remote's interval, as of the last tick */
    int64_t max_age_ns;
    int64_t trust_ends_ns; /* the peer's certificate expires */
    struct pfs_error death;
    bool attested;    /* a reply came from one of our servers on this very connection */
    char *raw;        /* receive buffer for clear text */
    struct spin spin; /* the driving caller's; not under mu */

    /* its I/O thread's */
    struct io_timer timer;
    struct io_sweep sweep;
    struct dial *dial; /* while connecting: names and addresses */
    int64_t connect_deadline_ns;
};

/* So many turns with a single exchange, and a lone caller may drive. */
#define CONN_CALM_TURNS 16
#define CONN_RAW_SIZE (64u << 10)
/* SO_RCVTIMEO: a driving caller looks up this often. */
#define CONN_DRIVE_TICK_MS 40

/* conn.c: life and state */
enum pfs_class pfs_conn_new(struct generation *g, const struct conn_config *config, struct io *io,
                            unsigned id, struct conn **ret, struct pfs_error *err);
struct conn *conn_ref(struct conn *c);
void conn_unref(struct conn *c);
/* For events and timers, which hold none; false: the last one has gone, free is on its way. */
bool conn_try_ref(struct conn *c);
void conn_go_locked(struct conn *c, enum conn_state to, const char *why);
/* Ends the connection: every open exchange fails as far as it had come. */
PFS_COLD void conn_die_locked(struct conn *c, const struct pfs_error *why);
/* Lets exchanges in flight finish, then closes. */
PFS_COLD void conn_drain_locked(struct conn *c, const char *why);

/* pulse.c */
struct pulse *pulse_new(void);
void pulse_unref(struct pulse *p); /* NULL allowed */

/* conn_io.c: bytes; all under mu */
/* Moves session output through TLS into the socket; may end the connection. */
void conn_flush_locked(struct conn *c);
/* Decrypts what came in by now and feeds the session; may end the connection. */
void conn_feed_locked(struct conn *c, size_t n_received, int64_t now);
/* Where recv() may put bytes, CONN_RAW_SIZE of them; NULL: no memory, the connection was ended. */
char *conn_recv_room_locked(struct conn *c, size_t *ret_cap);
/* What recv() answered just now: bytes, end, or error. */
void conn_received_locked(struct conn *c, ssize_t n, int eno, int64_t now);
/*
 * Before a request enters an idle connection: takes what lies in its socket already. Where the
 * protocol does not multiplex nothing but order ties a reply to its request, and an idle connection
 * may have no reader: what came before would be taken for the reply, and an end that came before
 * for the loss of a request that it precedes.
 */
void conn_look_locked(struct conn *c);
/* Gives empty buffers back. Nobody sits in recv(): the owner is not CALLER. */
void conn_rest_locked(struct conn *c);
/* Watches what owner and out_blocked ask for. */
void conn_watch_locked(struct conn *c);

/* submit.c: exchanges in, events out */
/*
 * Hands ex over. may_drive: the caller will wait; true: it owns the connection, with a reference
 * and locked, and must conn_drive.
 */
bool conn_submit(struct conn *c, struct exchange *ex, bool may_drive);
/*
 * Held exchanges go once the PING was answered, or elsewhere when the connection is no more. They
 * leave with the next flush.
 */
void conn_release_held_locked(struct conn *c);
/* True while ex is in c's session or held by c; only then may ex be looked at under c's lock. */
static inline bool conn_has(const struct conn *c, const struct exchange *ex)
{
    return atomic_load(&ex->taken_by) == c && (ex->in_session || ex->is_held);
}
/*
 * Gives mu up and does what came up under it: events go to their exchanges, rejected ones
 * elsewhere, changes of state to the generation. Whoever may have caused any ends its lock like
 * this. `mine`, NULL: none, is the one that the caller works for: it is not woken, or it is
 * notified here. Without a reference of its own c may be gone afterwards.
 */
void conn_unlock(struct conn *c, const struct exchange *mine);
/* Makes the I/O thread the owner. */
void conn_give_to_io_locked(struct conn *c);
/* Asks the I/O thread for a turn with this connection. Any thread, any lock. */
void conn_ask_for_turn(struct conn *c);
/* One turn of the I/O thread: `events` from epoll, 0 when asked for. */
void pfs_conn_turn(struct conn *c, uint32_t events);

/* drive.c */
/*
 * Decides who drives now; true: the caller. `mine`: the exchange of a caller that will wait, NULL:
 * of nobody who does; another thread may have ended and freed that one already.
 */
bool conn_take_locked(struct conn *c, const struct exchange *mine);
/* A blocked caller drives until ex is done; lock and reference of conn_submit are given back. */
void conn_drive(struct conn *c, struct exchange *ex);

/* keepalive.c */
/* Sets the timer of a connection that is up: it never sleeps over the end of trust. */
static inline void conn_set_timer_locked(struct conn *c, int64_t when_ns)
{
    io_timer_set(c->io, &c->timer, pfs_earlier(when_ns, c->trust_ends_ns));
}
/* What time brings: pings, death, idleness, age. Sets the next timer. */
void conn_tick_locked(struct conn *c, int64_t now);
void conn_on_time(struct io_timer *t);
/*
 * The peer has complained about PINGs: the interval of the remote doubles, unless it has done so
 * since for another connection. The new one, or 0: it stays.
 */
int64_t conn_ask_less_locked(struct conn *c);
/* Sends a PING unless one is outstanding; until the peer is heard the connection is suspect. */
void conn_ask_for_life_locked(struct conn *c);

/* connect.c: on the connection's I/O thread */
/* Starts to connect, from any thread; the result comes as READY or death. */
void conn_connect(struct conn *c);
/* The connection died while names or addresses were tried: stops that. */
void conn_abort_dial(struct conn *c);
/* The handshake's part of a turn; under mu. */
void conn_handshake_locked(struct conn *c);

/* generation.c: what connections tell their generation; no lock held */
void generation_conn_ready(struct generation *g, struct conn *c);
PFS_COLD void generation_conn_draining(struct generation *g, struct conn *c);
PFS_COLD void generation_conn_gone(struct generation *g, struct conn *c,
                                   const struct pfs_error *why, bool was_ready);
void generation_released(struct generation *g, struct conn *c, unsigned n, unsigned n_streams);
void generation_resubmit(struct generation *g, struct exchange *ex);
/* The last reference of a connection went. */
void generation_conn_freed(struct generation *g);
struct tls_ctx *generation_tls(const struct generation *g);

/* As generation_call, which waits then: the connection to drive, or NULL. */
struct conn *generation_submit_for_caller(struct generation *g, struct exchange *ex);

/* wait.c */
/* Marks exchanges of blocked callers and wakes them together. */
void wake_callers(const uint32_t bits[WAKE_WORDS]);
/* ex is at its end, with no connection involved: notifies or wakes. */
void exchange_finish(struct exchange *ex);

#endif
