/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PFS_FS_STREAM_H
#define PFS_FS_STREAM_H

/*
 * A reply body being read or a request body being written, as a pfs_stream. It is part of its
 * asynchronous operation and lives until it is closed and the exchange is DONE.
 */
#include "fs/op.h"
#include <pthread.h>

struct async_op;

enum stream_call { STREAM_IDLE, STREAM_READ, STREAM_WRITE, STREAM_FINISH };

struct stream {
    struct pfs_stream base; /* first */
    struct async_op *a;
    bool is_write;
    pthread_mutex_t mu;
    /* under mu */
    enum stream_call call; /* in flight */
    void *buf;             /* STREAM_READ */
    size_t len;
    pfs_io_fn *done;
    void *arg;
    bool pumping, again; /* one thread looks for data at a time */
    bool over;           /* the exchange is DONE: err says how */
    bool armed;          /* the operation's timer runs for the call */
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
 * For a thread that waits for a call on s, which sets *over: drives s's connection meanwhile, where
 * nobody else does. May return early; any stream.
 */
void stream_drive(struct pfs_stream *s, const atomic_bool *over);

#endif
