/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFSD_LOOP_H
#define AGFSD_LOOP_H

/*
 * A loop: one thread with its libuv loop, its listeners and its connections, which never change
 * threads. Work that a turn leaves behind (bytes to send, input to go on with) is collected in
 * `touched` and done once, at the end of the turn, so that all answers to one read leave in one
 * send; connections that have moved much lately wait in `bulk` instead, and share a short time at
 * the end of each turn, so that what is small goes first. All functions belong to the loop's thread
 * unless they say otherwise.
 */
#include "base/blocks.h"
#include "base/cold.h"
#include "base/spin.h"
#include "http.h"
#include "limits.h"
#include "loop_timer.h"
#include "wheel.h"
#include <pthread.h>
#include <stdatomic.h>
#include <uv.h>

struct clients;
struct pfs_host;
struct pfs_pool;

enum loop_state { LOOP_RUNNING, LOOP_NOTICE, LOOP_DRAINING, LOOP_CUT, LOOP_ENDED };

/* loop_spin.c: whether a wait begins with polling. */
struct loop_spin {
    int64_t may_ns; /* for how long; 0: never */
    struct spin spin;
    int64_t began_ns, last_ns; /* when this wait began, how long the last one took */
    bool is_timed;             /* this wait */
    unsigned n_reqs;           /* begun since the last one */
};

struct loop {
    /* fixed after create */
    unsigned index;
    const struct server_limits *limits;
    struct clients *clients;  /* of the server; locks itself */
    struct pfs_pool *workers; /* of the server, for streams that block; any thread */
    pthread_t thread;

    struct pfs_host *host; /* carries the connections of proxied mounts (loop_host.c) */
    bool started;
    uv_sem_t ended; /* the loop's thread has nothing more to serve */

    /* any thread */
    _Atomic(struct post *) posts;
    uv_async_t async; /* uv_async_send only */

    /* the loop's thread only */
    uv_loop_t uv;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_idle_t idle; /* active: `bulk` is not empty */
    struct loop_timer tick;
    uv_timer_t drain;
    enum loop_state state;
    int64_t grace_ms;
    bool in_posts; /* on_async runs */
    uv_poll_t host_poll;
    struct loop_timer host_timer;
    int64_t host_due_ms; /* when host_timer fires */
    bool in_host;        /* the host calls back, and nothing else is on the stack */
    bool cut;            /* something had to be broken off at the end */
    struct wheel wheel;
    struct list listeners, conns, touched, bulk, fed, dead_reqs;
    unsigned n_conns, n_ios;
    struct blocks blocks; /* of requests and what the API has for them */
    struct loop_spin spin;
    unsigned n_reqs; /* requests not yet given back, also those whose connection is gone */
    char *rbuf;      /* READ_CHUNK bytes, for the duration of one read */
    char *wbuf;      /* WRITE_CHUNK bytes, for the duration of one send */
    struct post stop_post;
    struct post watch_post;
    _Atomic int64_t watched_ms; /* when the watch asked; 0: the loop has answered */
    bool stuck;                 /* of the watch: it has been said */
};

/* What libuv could not have (rc < 0), as an error: NOMEM, NOFILE. For the parts of a loop. */
PFS_COLD enum pfs_class loop_lacks(int rc, struct pfs_error *err);

/* Prepares *l; its thread is not started. Errors: NOMEM, NOFILE. On success: loop_fini. */
enum pfs_class loop_init(struct loop *l, unsigned index, struct pfs_error *err);
/* Starts the thread. Errors: NOMEM. */
enum pfs_class loop_start(struct loop *l, struct pfs_error *err);
/*
 * Asks for a graceful end: listeners close, connections are told, and what is still there after
 * grace_ms is cut. Once per loop, any thread.
 */
void loop_stop(struct loop *l, int64_t grace_ms);
/*
 * Waits until the loop has ended; its thread goes on with what it hosts. Once, any other thread.
 * True: all handlers have answered, so loop_fini may be called.
 */
bool loop_await(struct loop *l);
/* Frees what loop_init made, and joins the thread: it was never started or has been waited for.
 * No proxied mount is left. */
void loop_fini(struct loop *l);

/* True on the loop's own thread. Any thread. */
bool loop_is_here(const struct loop *l);
/* Milliseconds of CLOCK_MONOTONIC, taken once per turn. */
static inline int64_t loop_now_ms(const struct loop *l)
{
    return (int64_t)uv_now(&l->uv);
}
/* Sets a coarse deadline; conn_due is called when it has passed. */
void loop_set_timer(struct loop *l, struct wheel_timer *t, int64_t at_ms);
/* Called when a connection or request has been given back: the end of a stop may be reached. */
void loop_check_end(struct loop *l);

/* ---- loop_host.c: the loop as host of proxied mounts' connections ---- */

enum pfs_class loop_host_init(struct loop *l, struct pfs_error *err);
/* Does what the host has put off. */
void loop_host_work(struct loop *l);
/* The loop is about to sleep. */
void loop_host_before_sleep(struct loop *l);
/* The loop's handles are being closed. */
void loop_host_close(struct loop *l);

/* ---- loop_spin.c: polling before sleeping ---- */

/* With the loop's limits. */
void loop_spin_init(struct loop *l);
/* Around each wait for events. */
void loop_spin_before_sleep(struct loop *l);
void loop_spin_after_sleep(struct loop *l);

#endif
