/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PFS_TESTS_H2SERVER_H
#define PFS_TESTS_H2SERVER_H

/*
 * Peers on a loopback socket: each accepted connection runs the script in a thread of its own and
 * is closed when it returns. Clear text, or TLS with a server context of lib/net.
 */
#include "net/tls.h"
#include "support/h2peer.h"
#include <pthread.h>

#define H2SERVER_CONNS 256

struct h2server;
typedef void h2script_fn(struct h2server *s, struct h2peer *p);

struct h2server_conn {
    struct h2server *server;
    struct h2peer peer;
    struct tls *tls; /* NULL: clear text */
    int fd;
    pthread_t thread;
    size_t slice; /* bytes per send, 0: all */
};

struct h2server {
    h2script_fn *script; /* before start; may be changed by h2server_use */
    void *arg;           /* the test's */
    struct tls_ctx *tls; /* NULL: clear text */
    size_t slice;
    uint16_t port; /* 0 before start: any */
    char url[64];

    int fd; /* 0: no port */
    pthread_t thread;
    pthread_mutex_t mu;
    pthread_cond_t changed;
    bool stopping;
    atomic_uint n_conns;    /* accepted */
    atomic_uint n_requests; /* that scripts counted: h2server_count */
    struct h2server_conn *conns[H2SERVER_CONNS];
    unsigned tick; /* under mu: h2server_signal */
};

/*
 * Takes a port that refuses connections until h2server_start, or for good until h2server_let_go:
 * bound without listening, so that the server of another test cannot get it meanwhile.
 */
void h2server_hold_port(struct h2server *s);
void h2server_let_go(struct h2server *s);
/* Listens on 127.0.0.1:port and accepts. Script and arg must be set. Aborts on failure. */
void h2server_start(struct h2server *s);
/* Closes listener and connections, joins all threads. */
void h2server_stop(struct h2server *s);
/* Counts a request that came through to the peer. */
void h2server_count(struct h2server *s);
/* Resets the connection instead of closing it in order (RST). */
void h2server_reset(struct h2peer *p);
/*
 * TLS: begins a record that never ends: what is sent from now on is taken for its content, as after
 * a bit of a record's length was flipped on the way.
 */
void h2server_begin_record(struct h2peer *p);
/* Closes the sending side only. */
void h2server_finish(struct h2peer *p);
/* Waits until all that was sent, the end included, lies in the client's socket. False: it does not.
 */
bool h2server_arrived(struct h2peer *p);
/* Tells the other thread of a test something: the tick grows; wait until it is at least n. */
void h2server_signal(struct h2server *s);
bool h2server_await(struct h2server *s, unsigned n);

/* ---- nothing is left behind ---- */

/* Open descriptors and threads of the process. */
struct leaks {
    unsigned fds, threads;
};
struct leaks leaks_now(void);
/* True once there are no more than before; waits a moment for threads that are just ending. */
bool leaks_none(const struct leaks *before);

#endif
