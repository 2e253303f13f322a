/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PFS_HTTP_SESSION_H
#define PFS_HTTP_SESSION_H

/*
 * The face of a protocol session over bytes: HTTP/2 (lib/h2) and HTTP/1.1 (lib/h1) as the client of
 * one connection. No file descriptor, no clock, no thread: the connection feeds what it received,
 * drains what is to be sent, and passes the time. All calls under the connection's lock.
 *
 * An exchange that has news is appended (once) to `ready` with its events set; the connection
 * notifies after it gave up its lock.
 */
#include "http/exchange.h"

/* What a session knows of its peer; read by the connection. */
struct session_state {
    bool is_up;        /* the peer proved to speak the protocol (HTTP/2: its SETTINGS came) */
    bool is_closing;   /* takes no more exchanges (GOAWAY, Connection: close, stream ids used up) */
    unsigned n_open;   /* exchanges submitted and not DONE */
    unsigned max_open; /* how many may be */
    uint64_t pings_sent, pings_acked;
    unsigned n_resets;     /* streams reset by the peer or timed out, for retiring the connection */
    bool gave_up;          /* on a request that only the connection's end calls back */
    bool calm_down;        /* the peer complained, perhaps about our pings */
    uint32_t goodbye_code; /* why the peer is_closing (GOAWAY) */
    /*
     * The consumer is behind: receive no more for now. HTTP/1.1 has no window, so the socket's is
     * used; `consumed` and the end of the exchange clear it.
     */
    bool hold_reading;
};

struct session;

struct session_ops {
    const char *name; /* "h2" */
    bool multiplexes; /* the protocol carries many exchanges at a time */
    /* Takes n bytes from the peer. An error ends the connection: *err has class and text. */
    enum pfs_class (*feed)(struct session *s, const void *data, size_t n, int64_t now_ns,
                           struct pfs_error *err);
    /*
     * Writes up to cap bytes for the peer to buf; *ret_n 0: nothing to send. Called until it is.
     * Errors end the connection.
     */
    enum pfs_class (*drain)(struct session *s, void *buf, size_t cap, size_t *ret_n,
                            struct pfs_error *err);
    bool (*wants_drain)(struct session *s);
    /*
     * Takes an exchange; it will be DONE exactly once. Errors (the exchange is not taken): NOMEM,
     * SHUTDOWN (is_closing), OVERLOAD (max_open reached).
     */
    enum pfs_class (*submit)(struct session *s, struct exchange *ex, struct pfs_error *err);
    /* Ends an exchange now: the peer is told (RST_STREAM CANCEL); DONE follows with *why. */
    void (*cancel)(struct session *s, struct exchange *ex, const struct pfs_error *why);
    /* The streamed request body of ex has a new chunk. */
    void (*resume)(struct session *s, struct exchange *ex);
    /* The consumer took n bytes of ex's reply: gives window credit back. */
    void (*consumed)(struct session *s, struct exchange *ex, size_t n);
    /* Asks the peer for a sign of life; NULL where the protocol has none. */
    void (*ping)(struct session *s);
    /* Says goodbye (GOAWAY); exchanges in flight go on. */
    void (*shutdown)(struct session *s);
    /*
     * The peer ended its side in order (FIN; under TLS after close_notify only): a reply that ends
     * with the connection is complete now. Called before fail_all. NULL where no reply ends so.
     */
    void (*eof)(struct session *s);
    /* The connection is lost: every open exchange ends with *why as far as each had come. */
    void (*fail_all)(struct session *s, const struct pfs_error *why);
    /* Nothing is open and nothing came lately: gives back memory kept for use. NULL: keeps none. */
    void (*rest)(struct session *s);
    void (*free)(struct session *s);
};

struct session {
    const struct session_ops *ops;
    struct session_state state;
    struct list ready; /* exchanges with events, by exchange.ready */
    struct list open;  /* exchanges in the session, by exchange.node */
};

/* Notes events of ex for the connection to notify. */
static inline void session_note(struct session *s, struct exchange *ex, unsigned events)
{
    if (ex->events == 0) {
        list_append(&s->ready, &ex->ready);
    }
    ex->events |= events;
}

/* Takes ex out of the open ones and notes DONE. */
static inline void session_done(struct session *s, struct exchange *ex)
{
    list_remove(&ex->node);
    ex->in_session = false;
    s->state.n_open--;
    session_note(s, ex, EXCHANGE_DONE);
}

#endif
