/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PFS_FS_PARALLEL_INTERNAL_H
#define PFS_FS_PARALLEL_INTERNAL_H

/* Shared by parallel.c (the stream as it is seen) and parallel_part.c (what it is made of). */
#include "fs/parallel.h"

struct parallel;

/* A part on its way: opened, then read into `buf` as fast as it comes. */
struct part {
    struct parallel *p;
    /* under p->mu */
    struct pfs_stream *s; /* NULL: being opened, or over */
    bool in_call;         /* a thread is inside s->ops->read ... */
    unsigned n_pumping;   /* ... and so many have not left `pump` yet */
    bool over;            /* nothing more comes: all of it is there, or err says why not */
    int64_t at;           /* in the content */
    size_t len, have;
    struct pfs_error err;
    /* of the reading, which is one thread's at a time */
    char *buf;
    atomic_int turn; /* who goes on reading: enum turn */
};

/* The caller of read and its callback may be two threads: the later one goes on. */
enum turn { TURN_OPEN, TURN_LEFT, TURN_CAME };

struct parallel {
    struct pfs_stream base;
    struct pfs_client *client;
    atomic_uint refs; /* the stream's user, parts being opened or read */
    unsigned hops, n_streams;
    size_t part_size;
    pfs_done_fn *opened; /* of the first part */
    void *opened_arg;

    pthread_mutex_t mu;
    int64_t next; /* begin of the next part to ask for */
    struct part parts[PARALLEL_STREAMS_MAX];
    unsigned first, n; /* those in use, in the order of the content */
    size_t taken;      /* of the first one */
    bool closed, failed;
    void *buf; /* of the read in flight, NULL: none */
    size_t cap;
    pfs_io_fn *done;
    void *arg;

    char path[];
};

/* parallel.c */
void parallel_unref(struct parallel *p);

/* parallel_part.c */
static inline struct part *parallel_nth_locked(struct parallel *p, unsigned i)
{
    return &p->parts[(p->first + i) % p->n_streams];
}
/* Serves the read in flight with what is there; the lock is held and given up. */
void parallel_deliver_unlock(struct parallel *p);
/* Takes the next len bytes for a part, which holds a reference; NULL: ask for none now. */
struct part *parallel_add_locked(struct parallel *p, size_t len);
/* Asks for parts as long as there is a place for them. */
void parallel_ask(struct parallel *p);
/* The part's stream is open: reads it as it comes. */
void parallel_begin_part(struct part *part);

#endif
