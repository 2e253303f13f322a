/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PFS_FS_STREAM_H
#define PFS_FS_STREAM_H

/*
 * A reply body being read or a request body being written, as a pfs_stream. It is part of its
 * asynchronous operation and lives until it is closed and the exchange is DONE.
 */
#include "base/clock.h"
#include "fs/op.h"
#include <pthread.h>

struct async_op;

/*
 * How fast a stream moves while somebody waits for it: a peer that drips a byte now and then would
 * otherwise keep a call going for ever.
 */
struct pace {
    int64_t waited_ns;
    uint64_t bytes;
};
#define PACE_WINDOW_NS (15 * PFS_SEC)
#define PACE_MIN_BYTES (15u << 10) /* in that: 1 KiB/s */

/* Adds a wait and what it brought. True: less than the least for a whole window. */
static inline bool pace_is_slow(struct pace *p, int64_t waited_ns, size_t n)
{
    p->waited_ns += waited_ns;
    p->bytes += n;
    if (p->waited_ns < PACE_WINDOW_NS) {
        return false;
    }
    bool slow = p->bytes < PACE_MIN_BYTES;

    *p = (struct pace){0};
    return slow;
}

enum stream_call { STREAM_IDLE, STREAM_READ, STREAM_WRITE, STREAM_FINISH };

struct stream {
    struct pfs_stream base;
    struct async_op *a;
    bool is_write;
    unsigned n_forks; /* io_n_forks when it was made: the client may be gone before it */
    pthread_mutex_t mu;
    /* under mu */
    enum stream_call call; /* in flight */
    void *buf;             /* STREAM_READ */
    size_t len;
    pfs_io_fn *done;
    void *arg;
    bool pumping;        /* one thread looks for data at a time */
    unsigned n_giving;   /* threads inside exchange_give: a callback may begin the next write */
    bool closed;         /* none begins to */
    bool news;           /* since the last look; without, there is nothing to be found */
    bool over;           /* the exchange is DONE: err says how */
    bool armed;          /* the operation's timer runs for the call */
    struct pace pace;    /* of calls that have a deadline */
    int64_t since_ns;    /* start of the call in flight */
    int64_t deadline_ns; /* its end, if armed */
    bool too_slow;       /* and was ended for that */
    bool settled;        /* and was detached; the client may go */
    int64_t total;
    int64_t claimed; /* how much the remote says it wrote, -1: it does not say */
    struct pfs_error err;
};

/* Sets up a's stream and returns it as it is given to the user. */
struct pfs_stream *stream_init(struct stream *s, struct async_op *a, bool is_write);
void stream_fini(struct stream *s);
/* The exchange has more data, or takes more. */
void stream_on_news(struct stream *s);
/* The exchange is DONE. */
void stream_on_done(struct stream *s);

/*
 * The call in flight is past its deadline: the timer may have been on its way when the one before
 * ended.
 */
bool stream_is_late(struct stream *s);

/* Refuses a call on a stream of the process's parent. */
void stream_refuse_inherited(pfs_io_fn *done, void *arg);

/*
 * For a thread that waits for a call on s, which sets *over: drives s's connection meanwhile, where
 * nobody else does. May return early; any stream.
 */
void stream_drive(struct pfs_stream *s, const atomic_bool *over);

#endif
