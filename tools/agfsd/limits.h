/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFSD_LIMITS_H
#define AGFSD_LIMITS_H

/*
 * Everything a peer can grow or delay, in one place, with the reason of each figure. Those that a
 * test or an operator may want to change are in struct server_limits, most of them also in the
 * configuration (server.limits); the others are constants.
 */
#include <proxyfs/error.h>
#include <stddef.h>
#include <stdint.h>

struct server_limits {
    unsigned max_conns;                 /* of the server: at ~15 KiB each, half a GiB */
    unsigned max_conns_per_client;      /* per IP address: one client cannot take them all */
    unsigned max_conns_per_identity;    /* of client certificates; ours opens at most 64 */
    unsigned max_handshakes_per_client; /* of TLS, under way at once per IP address: further ones
                                           wait unread, so that one host cannot take the CPU */
    int64_t handshake_ms;               /* TCP accept to usable protocol (h2o, Go: 10 s) */
    int64_t max_age_ms;                 /* of a connection, +-10 %: so that clients come back and
                                           find what has changed (names, certificates) */
    int64_t age_grace_ms;               /* for what is in flight then */
    int64_t cert_poll_ms;               /* between two looks whether certificates were replaced */
    size_t body_memory;                 /* of all bodies in memory, both ways */
    int64_t header_ms;                  /* first to last byte of a request's header */
    int64_t settings_ms;                /* HTTP/2: SETTINGS of the peer, and its answer to ours */
    int64_t body_window_ms;             /* a body must bring body_min bytes in each such time ... */
    int64_t body_min;                   /* ... (1 KiB/s), unless we are the ones who wait; one of a
                                           response must take them once body_memory is scarce */
    int64_t write_stall_ms;             /* no byte accepted by the peer's socket */
    int64_t upload_grace_ms; /* HTTP/2: answered early, for the client to stop its body */
    int64_t stream_stall_ms; /* HTTP/2: response bytes ready, no window from the peer */
    int64_t idle_h1_ms;      /* keep-alive without a request (nginx 75 s, clients 90 s) */
    int64_t idle_h2_ms;      /* without a stream; clients retire theirs after 300 s */
    int64_t eof_stall_ms;    /* HTTP/1: peer has ended, its endless response has no data */
    int64_t tick_ms;         /* how often exchanges in progress are looked at */
    int64_t goaway_ms;       /* between the two GOAWAYs: at least one round trip */
    int64_t linger_ms;       /* after the last response: time for it to be read */
    int64_t accept_pause_ms; /* no accepting after EMFILE */
    int64_t drain_ms;        /* of a graceful end, for what is in flight */
    unsigned max_running;    /* requests handed to the API per connection, also when their
                                stream was reset (Rapid Reset) */
    unsigned max_waiting;    /* behind them; further ones are refused unprocessed */
    unsigned spin_us;        /* no limit of a peer's: how long a loop may poll before it sleeps */
};

#define SERVER_LIMITS_INIT                                                                         \
    {                                                                                              \
        .max_conns = 32768, .max_conns_per_client = 1024, .max_conns_per_identity = 64,            \
        .max_handshakes_per_client = 16, .handshake_ms = 10000, .max_age_ms = 3600000,             \
        .age_grace_ms = 30000, .cert_poll_ms = 10000, .body_memory = (size_t)512 << 20,            \
        .header_ms = 10000, .settings_ms = 10000, .body_window_ms = 15000, .body_min = 15360,      \
        .write_stall_ms = 30000, .upload_grace_ms = 1000, .stream_stall_ms = 60000,                \
        .idle_h1_ms = 120000, .idle_h2_ms = 300000, .eof_stall_ms = 5000, .tick_ms = 5000,         \
        .goaway_ms = 1000, .linger_ms = 2000, .accept_pause_ms = 100, .drain_ms = 30000,           \
        .max_running = 100, .max_waiting = 100, .spin_us = 50                                      \
    }

/*
 * Sets the limit of that name ("connections", see limits.c) from text as it stands in the
 * configuration. Errors: CONFIG, naming it.
 */
enum pfs_class limits_set(struct server_limits *limits, const char *name, const char *value,
                          struct pfs_error *err);

enum limit_kind { LIMIT_COUNT, LIMIT_MS, LIMIT_BYTES }; /* what its value counts */
typedef void limit_fn(void *arg, const char *name, enum limit_kind kind, int64_t value);
void limits_each(const struct server_limits *limits, limit_fn *fn, void *arg);

#define WATCH_MS 60000 /* a loop that does not come round in that time is stuck */
#define LISTEN_BACKLOG 511
#define ACCEPT_MAX_PER_TURN 64 /* so that a storm of connections does not starve requests */

/* Header of a request: nginx 4 x 8 KiB, HAProxy 16 KiB, Envoy 100 fields. */
#define REQ_LINE_MAX (16 * 1024)
#define REQ_HEADER_MAX (32 * 1024)
#define REQ_FIELDS_MAX 100
#define REQ_BLOCK_MAX (REQ_LINE_MAX + REQ_HEADER_MAX)

#define H1_CHUNK_EXT_MAX 256 /* nobody uses chunk extensions; they must not carry data */
#define H1_CHUNK_TRAILER_MAX (8 * 1024)
#define H1_BODY_BUFFER (64 * 1024) /* body bytes waiting for the consumer */
#define DISCARD_MAX (256 * 1024)   /* of a body nobody wants, rather than losing the connection */
#define LINGER_MAX (16 * 1024 * 1024) /* read and thrown away while the last response is read */

#define H2_STREAMS 100
#define H2_STREAM_WINDOW (256u << 10)    /* at first */
#define H2_FIRST_WINDOW_MAX (4u << 20)   /* at first, where streams before it needed that */
#define H2_STREAM_WINDOW_MAX (16u << 20) /* grown: 320 MB/s over 50 ms */
#define H2_WINDOW_SUM (32u << 20)        /* of a connection's streams, as far as they grow */
#define H2_CONN_WINDOW (4u << 20)
#define H2_MAX_SETTINGS 32
#define H2_MAX_OUTBOUND_ACK 1000
#define H2_OUTBOUND_FRAMES 1000 /* then the socket is not read */
#define H2_RESET_BURST 100      /* resets, by the peer and by us together ... */
#define H2_RESET_RATE 10        /* ... per second */
#define H2_GLITCH_BURST 1000    /* odd but legal frames */
#define H2_GLITCH_RATE 100
#define H2_SETTINGS_PER_MIN 10
#define H2_PING_STRIKES 2     /* PINGs so soon after each other while nothing else happens: */
#define H2_PING_WINDOW_MS 900 /* who is to find a dead peer fast asks each second */
#define H2_RESET_PINGS 2      /* with each reset: is the peer there, and does it know by now? */
#define H2_BOMB_FACTOR 4      /* a header this many times over the limit ends the connection */

#define READ_CHUNK (64 * 1024)
#define READS_PER_TURN 4         /* then the other connections of the loop have their turn */
#define WRITE_CHUNK (128 * 1024) /* gathered for one send(2) */
#define WRITE_MAX_PER_TURN (1024 * 1024)
#define BULK_MIN (32 * 1024)        /* who sent that in a turn is served after the others, */
#define BULK_TURN_NS 300000         /* all such so long together: ten times 64 KiB */
#define OUT_QUEUE_MAX (1024 * 1024) /* unsent bytes of a connection: then it is not read */
#define STREAM_CHUNK (64 * 1024)    /* moved between a stream and a connection at once */

#define STREAM_WORKERS 64 /* threads for streams that block: each open follower may hold one */
#define STREAM_QUEUE 4096
#define LATE_ANSWERS_MS 5000 /* after the drain, for handlers that were told to end to do so */

#endif
