/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PFS_CONN_GENERATION_H
#define PFS_CONN_GENERATION_H

/*
 * A generation: the set of connections made by one (re)load of a remote. It chooses a connection
 * for each exchange, makes more when streams queue, waits and backs off when none can be had, and
 * ends them. Exchanges that cannot be sent at once wait here, in order, each under its own
 * deadline.
 *
 * Locks: a generation's lock and a connection's are never held together.
 */
#include "conn/io.h"
#include "http/exchange.h"
#include "net/tls.h"
#include <pthread.h>

struct generation;

/* Versions of the libraries that connections stand on, in this process. Static strings. */
struct conn_libraries {
    const char *openssl, *nghttp2;
};
struct conn_libraries conn_libraries(void);

enum wire_protocol { PROTOCOL_AUTO, PROTOCOL_H2, PROTOCOL_H1 };

/* Blocked callers up to 32 times as many are told apart when some are woken (wait.c). */
#define WAKE_WORDS 8

/* What connections need to know; fixed, borrowed for the generation's life. */
struct conn_config {
    const char *host, *authority; /* authority: "host:port" as in the URL */
    const char *server_name;      /* name that the certificate must have */
    uint16_t port;
    bool use_tls;
    bool warn_insecure; /* the peer is not verified: say so at each connect */
    enum wire_protocol protocol;
    int64_t connect_timeout_ns, keepalive_interval_ns, keepalive_timeout_ns;
    /* The interval in use, of all generations of the remote: longer once its peer complained. */
    atomic_llong *keepalive_ns;
    unsigned max_connections; /* 0: 4, or 32 where the protocol does not multiplex */
    unsigned max_streams;
    int64_t spin_ns; /* how long a lone caller may poll before it sleeps; 0: not at all */
    struct conn_counters *counters;
};

/* Counters of a remote, shared by its generations. */
struct conn_counters {
    atomic_ullong bytes_in, bytes_out, connects;
    atomic_uint connections;
};

/*
 * Makes a generation without connections; the first exchange makes one. tls: NULL for clear text; a
 * reference is taken. Errors: NOMEM. *ret holds one reference; generation_close before the last
 * generation_unref.
 */
PFS_MUST_CHECK enum pfs_class generation_new(const struct conn_config *config, struct io *io,
                                             struct tls_ctx *tls, unsigned id,
                                             struct generation **ret, struct pfs_error *err);
unsigned generation_id(const struct generation *g);
/* Exchanges on its connections now. */
unsigned generation_n_streams(struct generation *g);
struct generation *generation_ref(struct generation *g);
void generation_unref(struct generation *g);

/* The number of the calling thread: 0 for the first that asks, and so on. */
unsigned caller_number(void);

/*
 * Optional before generation_submit: from now on chunks may be given to ex from any thread, and it
 * may be cancelled.
 */
void exchange_enter(struct exchange *ex, struct generation *g);
/*
 * Submits an exchange whose request members are set; DONE follows exactly once, perhaps before this
 * returns. The exchange must stay valid until exchange_release. Any thread, never blocks.
 */
void generation_submit(struct generation *g, struct exchange *ex);
/*
 * Submits (notify must be NULL) and waits for DONE, driving the connection when nobody else does;
 * at ex->deadline_ns the exchange is given up with TIMEOUT. ex takes over a reference of g.
 */
void generation_call(struct generation *g, struct exchange *ex);
/* Gives an exchange up with class cls (TIMEOUT, CANCELLED, SHUTDOWN); DONE follows as always. */
void exchange_cancel(struct exchange *ex, enum pfs_class cls);
/* After DONE (or when it was never submitted): gives back what the exchange holds. */
void exchange_release(struct exchange *ex);

/* After DONE: lets go of connection and generation; what came of the reply can still be taken. */
void exchange_detach(struct exchange *ex);

/* ---- streamed bodies; while DONE has not come ---- */

/*
 * Takes up to cap bytes of the reply body that came so far; 0: none now. *ret_end: the reply is
 * complete and nothing is left. After DONE with an error the rest is still handed out first.
 */
size_t exchange_take(struct exchange *ex, void *buf, size_t cap, bool *ret_end);
/*
 * As exchange_take before DONE, for a thread with better things to do than wait for one that is at
 * the connection: takes nothing then, and DATA (or DONE) follows.
 */
size_t exchange_try_take(struct exchange *ex, void *buf, size_t cap, bool *ret_end);
/*
 * Takes give nothing from now on, and none writes into its buffer any more when this returns. The
 * caller sees to it that the exchange is not detached meanwhile. Never waits for a callback.
 */
void exchange_end_takes(struct exchange *ex);
/*
 * Gives the next chunk (borrowed until WRITABLE or DONE); last: none follows. One at a time, from
 * any thread, never blocks.
 */
void exchange_give(struct exchange *ex, const void *chunk, size_t n, bool last);

/*
 * The stream turned out to have much content: sees to it that the exchanges of others have a
 * connection without streams, as far as there may be one more. No lock held.
 */
void exchange_is_large(struct exchange *ex);

/* The connection that has ex, with a reference (conn_unref); NULL: it still waits for one. */
struct conn *exchange_conn(struct exchange *ex);
void conn_unref(struct conn *c); /* NULL allowed */
/*
 * A blocked consumer of ex's stream drives c, if nobody else does, until *over is set by one of
 * ex's notifications or c has ex no more. ex stays valid meanwhile. Returns early at any time: who
 * calls must be able to wait otherwise.
 */
void conn_drive_stream(struct conn *c, struct exchange *ex, const atomic_bool *over);

/* ---- what the peer has seen ---- */

/* Waits for the answer to a PING on one connection, or for that one's end, not holding it. */
struct sign_of_life {
    struct pulse *pulse; /* a reference */
    uint64_t ping;
};
/*
 * ex is DONE: asks its peer for a sign of life after everything that was sent for ex. False: the
 * connection is gone or ex never had one; nothing to wait for.
 */
bool exchange_ask_for_sign(struct exchange *ex, struct sign_of_life *ret);
/* True: the peer has answered, or the connection is gone. */
bool sign_of_life_came(const struct sign_of_life *s);
void sign_of_life_release(struct sign_of_life *s);

/* ---- the end ---- */

/* No new exchange: they go to `heir`, as those that wait do. Connections drain and close. */
void generation_retire(struct generation *g, struct generation *heir);
/*
 * Ends everything now: all exchanges are DONE with SHUTDOWN, all connections closed and freed when
 * this returns (a stuck notify function is waited for). Not on the I/O thread.
 */
void generation_close(struct generation *g);
/* True once a retired generation has no connection left. */
bool generation_is_empty(struct generation *g);

#endif
