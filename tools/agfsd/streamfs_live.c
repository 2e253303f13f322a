/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "streamfs.h"
#include <inttypes.h>
#include <string.h>

#define RING_MIN 16

struct reader {
    struct pfs_stream base;
    struct streamfs *fs;
    struct live *live;
    struct list link; /* in live.readers */

    struct chunk *chunk; /* what it is in; NULL: between chunks */
    size_t at;           /* in it */
    uint64_t next;       /* number of the chunk after that */
    uint64_t n_skipped;  /* chunks dropped before this reader came */

    bool pending; /* a read waits for data */
    void *buf;    /* NULL: it is only to be told */
    size_t cap;
    pfs_io_fn *done;
    void *arg;

    struct list ready_link; /* in a list of live_deliver */
    size_t n;               /* its result */
    unsigned n_delivering;  /* callbacks that run: after one has begun the next read may come */
};

/* ---- chunks ---- */

static void chunk_unref_locked(struct chunk *c)
{
    if (--c->refs == 0) {
        pfs_free(c);
    }
}

/* Small ones are many: what they are in counts. */
static size_t cost(size_t len)
{
    return CHUNK_COST + len;
}

static struct chunk *chunk_locked(const struct live *l, uint64_t number)
{
    return l->ring[number & (l->cap - 1)];
}

static size_t n_kept_locked(const struct live *l)
{
    return (size_t)(l->n_chunks + 1 - l->first);
}

/* For `cap` chunks, a power of two. False: no memory. */
static bool resize_locked(struct live *l, size_t cap)
{
    struct chunk **ring = pfs_malloc(cap * sizeof *ring);

    if (!ring) {
        return false;
    }
    for (uint64_t i = l->first; i <= l->n_chunks; i++) {
        ring[i & (cap - 1)] = chunk_locked(l, i);
    }
    pfs_free(l->ring);
    l->ring = ring;
    l->cap = cap;
    return true;
}

static void drop_first_locked(struct streamfs *f, struct live *l)
{
    struct chunk *c = chunk_locked(l, l->first++);

    l->kept -= cost(c->len);
    f->kept -= cost(c->len);
    chunk_unref_locked(c);
    if (l->cap > RING_MIN && n_kept_locked(l) < l->cap / 4) {
        resize_locked(l, l->cap / 2); /* else it stays as large as it was */
    }
}

/* ---- streams ---- */

static void live_unref_locked(struct streamfs *f, struct live *l)
{
    if (--l->refs == 0) {
        while (n_kept_locked(l) > 0) {
            drop_first_locked(f, l);
        }
        pfs_free(l->ring);
        pfs_free(l->name);
        pfs_free(l);
    }
}

struct live *live_find_locked(struct streamfs *f, const char *path)
{
    list_for_each (it, &f->lives) {
        struct live *l = list_entry(it, struct live, link);

        if (strcmp(l->name, path + 1) == 0) {
            return l;
        }
    }
    return NULL;
}

enum pfs_class live_need_locked(struct streamfs *f, const char *path, struct live **ret,
                                struct pfs_error *err)
{
    struct live *l = live_find_locked(f, path);

    if (l) {
        *ret = l;
        return PFS_OK;
    }
    if (f->n_lives == STREAMS_MAX) {
        return pfs_refuse(err, PFS_NOSPC, "too many streams: %d are allowed", STREAMS_MAX);
    }
    l = pfs_calloc(1, sizeof *l);
    if (!l || !(l->name = pfs_strdup(path + 1))) {
        pfs_free(l);
        return pfs_nomem(err, "a stream");
    }
    l->refs = 1;
    l->mtime_ns = pfs_wall_now();
    l->first = 1;
    list_init(&l->readers);
    list_append(&f->lives, &l->link);
    f->n_lives++;
    *ret = l;
    return PFS_OK;
}

/* ---- readers ---- */

/* The chunk that the reader reads next, held; NULL: it has read all there is. */
static struct chunk *next_chunk_locked(struct reader *r)
{
    const struct live *l = r->live;

    if (r->chunk || r->next > l->n_chunks) {
        return r->chunk;
    }
    uint64_t number = r->next > l->first ? r->next : l->first;

    if (number > l->n_chunks) {
        return NULL; /* all have been dropped */
    }
    r->n_skipped += number - r->next;
    r->next = number + 1;
    r->chunk = chunk_locked(l, number);
    r->at = 0;
    r->chunk->refs++;
    return r->chunk;
}

/* Moves what there is into buf; 0: nothing. */
static size_t take_locked(struct reader *r, char *buf, size_t cap)
{
    size_t n = 0;
    struct chunk *c;

    while (n < cap && (c = next_chunk_locked(r))) {
        size_t part = c->len - r->at < cap - n ? c->len - r->at : cap - n;

        memcpy(buf + n, c->data + r->at, part);
        r->at += part;
        n += part;
        if (r->at == c->len) {
            r->chunk = NULL;
            chunk_unref_locked(c);
        }
    }
    return n;
}

/* Moves the readers that wait to `ready`, with what there is for them. */
static void collect_locked(struct live *l, struct list *ready)
{
    list_for_each (it, &l->readers) {
        struct reader *r = list_entry(it, struct reader, link);

        if (r->pending) {
            r->n = take_locked(r, r->buf, r->cap);
            r->pending = false;
            r->n_delivering += r->buf != NULL;
            list_append(ready, &r->ready_link);
        }
    }
}

static void reader_free_locked(struct reader *r)
{
    struct streamfs *f = r->fs;

    if (r->n_skipped > 0) {
        log_info("streamfs: a reader of /%s was too slow for %" PRIu64 " chunks", r->live->name,
                 r->n_skipped);
    }
    if (r->chunk) {
        chunk_unref_locked(r->chunk);
    }
    list_remove(&r->link);
    r->live->n_readers--;
    f->n_readers--;
    live_unref_locked(f, r->live);
    pfs_free(r);
}

void live_deliver(struct streamfs *f, struct list *ready)
{
    const struct pfs_error ok = {.cls = PFS_OK};
    struct list *it;

    while ((it = list_take_first(ready))) {
        struct reader *r = list_entry(it, struct reader, ready_link);

        if (!r->buf) { /* whoever is told may close it */
            r->done(r->arg, 0, &ok);
            continue;
        }
        r->done(r->arg, r->n, &ok);
        pthread_mutex_lock(&f->mu);
        r->n_delivering--;
        pthread_cond_broadcast(&f->delivered);
        pthread_mutex_unlock(&f->mu);
    }
}

static void reader_read(struct pfs_stream *s, void *buf, size_t cap, pfs_io_fn *done, void *arg)
{
    struct reader *r = container_of(s, struct reader, base);
    const struct pfs_error ok = {.cls = PFS_OK};

    pthread_mutex_lock(&r->fs->mu);
    size_t n = take_locked(r, buf, cap);
    bool wait = n == 0 && !r->live->removed && !r->fs->unmounting;

    if (wait) {
        r->pending = true;
        r->buf = buf;
        r->cap = cap;
        r->done = done;
        r->arg = arg;
    }
    pthread_mutex_unlock(&r->fs->mu);
    if (!wait) {
        done(arg, n, &ok);
    }
}

void live_await_locked(struct pfs_stream *s, pfs_io_fn *news, void *arg)
{
    struct reader *r = container_of(s, struct reader, base);

    r->pending = true;
    r->buf = NULL;
    r->cap = 0;
    r->done = news;
    r->arg = arg;
}

bool live_unawait_locked(struct pfs_stream *s)
{
    struct reader *r = container_of(s, struct reader, base);
    bool waits = r->pending;

    r->pending = false;
    return waits;
}

static void reader_close(struct pfs_stream *s)
{
    struct reader *r = container_of(s, struct reader, base);
    struct streamfs *f = r->fs;

    pthread_mutex_lock(&f->mu);
    if (r->pending) {
        struct pfs_error err;

        r->pending = false;
        pthread_mutex_unlock(&f->mu);
        pfs_refuse(&err, PFS_CANCELLED, "the stream was closed");
        r->done(r->arg, 0, &err);
        pthread_mutex_lock(&f->mu);
    }
    /* Callbacks do not wait, so this is short. */
    while (r->n_delivering > 0) {
        pthread_cond_wait(&f->delivered, &f->mu);
    }
    reader_free_locked(r);
    pthread_mutex_unlock(&f->mu);
}

static const struct pfs_stream_ops reader_ops = {.read = reader_read, .close = reader_close};

/* A reader at the end of what there is. */
static struct reader *reader_new_locked(struct streamfs *f, struct live *l, struct pfs_error *err)
{
    if (f->n_readers == STREAM_READERS_MAX) {
        pfs_refuse(err, PFS_OVERLOAD, "too many readers: %d are allowed", STREAM_READERS_MAX);
        return NULL;
    }
    struct reader *r = pfs_calloc(1, sizeof *r);

    if (!r) {
        pfs_nomem(err, "a stream's reader");
        return NULL;
    }
    r->base = (struct pfs_stream){&reader_ops, -1};
    r->fs = f;
    r->live = l;
    r->next = l->n_chunks + 1;
    l->refs++;
    l->n_readers++;
    f->n_readers++;
    list_append(&l->readers, &r->link);
    return r;
}

/* Number of the first chunk that a new reader gets: the last one is always part of the history. */
static uint64_t history_locked(const struct streamfs *f, const struct live *l)
{
    uint64_t low = l->first, high = l->n_chunks;

    while (low < high) {
        uint64_t mid = low + (high - low) / 2;

        if (l->n_written - chunk_locked(l, mid)->at > f->history) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

struct pfs_stream *live_open_locked(struct streamfs *f, struct live *l, struct pfs_error *err)
{
    struct reader *r = reader_new_locked(f, l, err);

    if (!r) {
        return NULL;
    }
    r->next = history_locked(f, l);
    return &r->base;
}

struct pfs_stream *live_clone_locked(struct streamfs *f, struct pfs_stream *s,
                                     struct pfs_error *err)
{
    const struct reader *from = container_of(s, struct reader, base);
    struct reader *r = reader_new_locked(f, from->live, err);

    if (!r) {
        return NULL;
    }
    r->next = from->next;
    r->chunk = from->chunk;
    r->at = from->at;
    if (r->chunk) {
        r->chunk->refs++;
    }
    return &r->base;
}

size_t live_take_locked(struct pfs_stream *s, void *buf, size_t cap)
{
    return take_locked(container_of(s, struct reader, base), buf, cap);
}

bool live_has_news_locked(struct pfs_stream *s)
{
    struct reader *r = container_of(s, struct reader, base);

    return r->live->removed || r->fs->unmounting || next_chunk_locked(r) != NULL;
}

/* ---- changes ---- */

void live_remove_locked(struct streamfs *f, struct live *l, struct list *ready)
{
    l->removed = true;
    list_remove(&l->link);
    f->n_lives--;
    collect_locked(l, ready);
    live_unref_locked(f, l); /* readers go on with what is there */
}

void live_end_waits_locked(struct streamfs *f, struct list *ready)
{
    list_for_each (it, &f->lives) {
        collect_locked(list_entry(it, struct live, link), ready);
    }
}

/*
 * Can what costs `more` be kept, if all that can be dropped is? What was removed stays while it is
 * read.
 */
static bool may_keep_locked(const struct streamfs *f, size_t more)
{
    uint64_t stays = f->kept;

    if (more <= f->max_kept - f->kept) {
        return true;
    }
    list_for_each (it, &f->lives) {
        stays -= list_entry(it, struct live, link)->kept;
    }
    return more <= f->max_kept - stays;
}

/*
 * The streams that were written to longest ago lose their oldest chunks, until all are within the
 * limit: what is live matters more than what was.
 */
static void evict_locked(struct streamfs *f)
{
    list_for_each (it, &f->lives) {
        struct live *l = list_entry(it, struct live, link);

        while (f->kept > f->max_kept && n_kept_locked(l) > 0) {
            drop_first_locked(f, l);
        }
    }
}

enum pfs_class live_write_locked(struct streamfs *f, struct live *l, const void *data, size_t len,
                                 struct list *ready, struct pfs_error *err)
{
    if (!may_keep_locked(f, cost(len))) {
        return pfs_refuse(err, PFS_NOSPC,
                          "no space left for streams: %" PRIu64 " bytes are allowed", f->max_kept);
    }
    l->mtime_ns = pfs_wall_now();
    if (len == 0) {
        return PFS_OK;
    }
    struct chunk *c = pfs_malloc(sizeof *c + len);

    if (!c ||
        (n_kept_locked(l) == l->cap && !resize_locked(l, l->cap > 0 ? 2 * l->cap : RING_MIN))) {
        pfs_free(c);
        return pfs_nomem(err, "a chunk");
    }
    c->refs = 1;
    c->at = l->n_written;
    c->len = len;
    memcpy(c->data, data, len);
    l->ring[++l->n_chunks & (l->cap - 1)] = c;
    l->n_written += len;
    l->kept += cost(len);
    f->kept += cost(len);
    collect_locked(l, ready);
    while (l->kept > f->retention && n_kept_locked(l) > 1) {
        drop_first_locked(f, l);
    }
    list_remove(&l->link);
    list_append(&f->lives, &l->link);
    evict_locked(f);
    return PFS_OK;
}
