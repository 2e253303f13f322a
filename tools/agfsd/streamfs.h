/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFSD_STREAMFS_H
#define AGFSD_STREAMFS_H

/*
 * Inside of streamfs. A live stream keeps the chunks written last; every reader has its own place
 * in them. So a slow reader costs no memory: what was dropped before it came is skipped and
 * counted. A reader that has caught up waits without a thread; the write that follows serves it.
 */
#include "alarm.h"
#include "base/list.h"
#include <proxyfs/driver.h>
#include <pthread.h>

#define STREAMS_MAX 1000                      /* of a mount: clients make them by reading */
#define STREAM_BYTES_MAX (1ull << 30)         /* cost of what all streams of a mount keep */
#define STREAM_READERS_MAX 10000              /* of a mount, handles included */
#define STREAM_RETENTION_DEFAULT (6ull << 20) /* the stock server's 96 chunks of 64 KiB */

#define CHUNK_COST 64 /* of a chunk besides its content, with its place in the ring */

/* Written at once, never changed. */
struct chunk {
    unsigned refs; /* under streamfs.mu: the stream's, and one per reader inside it */
    uint64_t at;   /* of the stream: bytes before it */
    size_t len;
    char data[];
};

struct live {
    struct list link; /* in streamfs.lives, unless removed; everything is under streamfs.mu */
    unsigned refs;    /* the table's, and one per reader */
    bool removed;     /* readers end when they have read what is there */
    char *name;
    struct chunk **ring; /* those kept: number n, from 1, at n & (cap - 1); NULL: none yet */
    size_t cap;          /* a power of two */
    uint64_t first;      /* number of the first one kept; n_chunks + 1: there is none */
    struct list readers;
    size_t kept;        /* what the chunks cost */
    uint64_t n_written; /* bytes */
    uint64_t n_chunks;  /* written so far */
    uint64_t n_readers;
    int64_t mtime_ns;
};

struct streamfs {
    struct pfs_driver base;    /* fixed after open, as are: */
    size_t history, retention; /* bytes that a new reader gets; cost of what is kept */
    uint64_t max_kept;         /* of `kept` */
    pthread_mutex_t mu;        /* of everything below; never held across a wait or a callback */
    pthread_cond_t delivered;  /* a reader's callback has returned */
    struct list lives;         /* those written to last are last */
    struct list handles;       /* of streamfs_handles.c */
    struct alarms deadlines;   /* of their reads that wait */
    uint64_t last_handle;
    uint64_t kept; /* what all streams cost */
    unsigned n_lives, n_readers;
    bool unmounting; /* nobody waits for more */
};

static inline struct streamfs *streamfs_of(struct pfs_driver *d)
{
    return container_of(d, struct streamfs, base);
}

/* ---- streamfs_live.c ---- */

/* The stream of a path ("/name"); NULL: none. */
struct live *live_find_locked(struct streamfs *f, const char *path);
/* The same, made when missing. Errors: NOSPC, NOMEM. */
enum pfs_class live_need_locked(struct streamfs *f, const char *path, struct live **ret,
                                struct pfs_error *err);
/* Takes it from the table and ends its readers; call live_deliver afterwards. */
void live_remove_locked(struct streamfs *f, struct live *l, struct list *ready);
/* Appends a chunk and collects the readers to be served. Errors: NOSPC, NOMEM; nothing happened. */
enum pfs_class live_write_locked(struct streamfs *f, struct live *l, const void *data, size_t len,
                                 struct list *ready, struct pfs_error *err);
/* Collects all readers that wait: with `unmounting` set there is nothing to wait for. */
void live_end_waits_locked(struct streamfs *f, struct list *ready);
/* Calls back the readers collected. No lock is held. */
void live_deliver(struct streamfs *f, struct list *ready);
/* A reader that begins with the history. NULL: OVERLOAD, NOMEM. Its callbacks must not close it. */
struct pfs_stream *live_open_locked(struct streamfs *f, struct live *l, struct pfs_error *err);
/* Another reader at the same place. */
struct pfs_stream *live_clone_locked(struct streamfs *f, struct pfs_stream *s,
                                     struct pfs_error *err);
/* Moves what there is for a reader into buf; 0: nothing now. */
size_t live_take_locked(struct pfs_stream *s, void *buf, size_t cap);
/* There is something to take, or nothing will come any more. */
bool live_has_news_locked(struct pfs_stream *s);
/*
 * Calls news(arg) once, out of live_deliver, when there is: for a reader without news that is not
 * being read. It must stay open until then.
 */
void live_await_locked(struct pfs_stream *s, pfs_io_fn *news, void *arg);
/* No longer; false: it has been called, or will be. */
bool live_unawait_locked(struct pfs_stream *s);

/* ---- streamfs_handles.c ---- */

pfs_op_fn streamfs_hopen, streamfs_hread, streamfs_hwrite, streamfs_hseek, streamfs_hsync,
    streamfs_hstat, streamfs_hstream, streamfs_hclose;
void streamfs_handles_init(struct streamfs *f);
/* HANDLE_READ without a thread: done is called when there is something, or it takes too long. */
void streamfs_hread_later(struct streamfs *f, const struct pfs_request *req, pfs_done_fn *done,
                          void *arg);
/* Gives up the one that waits under that ticket. */
void streamfs_hread_cancel(struct pfs_driver *d, const void *ticket);
void streamfs_handles_fini(struct streamfs *f);

/* ---- driver_streamfs.c ---- */

bool streamfs_fill(struct pfs_stat *st, const struct live *l);
/* True for a path that can be a stream: one component that is not README. */
bool streamfs_is_name(const char *path);

#endif
