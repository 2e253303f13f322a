/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * A search as newline-delimited JSON, made while it is being read. It may wait long for a remote,
 * so it has workers of the tree, not those that all streams share. Whoever closes it while one is
 * at work does not wait: the worker finds out, and frees it.
 */
#include "base/alloc.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/list.h"
#include "grep.h"
#include "jsonout.h"
#include <pthread.h>
#include <string.h>

struct gstream {
    struct pfs_stream base;
    struct vfs *vfs;
    struct vfs_fate fate; /* given up by its closing */

    struct grep *grep;  /* the worker's while busy, as is: */
    struct pfs_buf out; /* lines not yet read */
    int64_t count;
    bool ended;

    pthread_mutex_t mu;
    bool busy, closed; /* under mu, as is the read that waits: */
    void *buf;
    size_t cap;
    pfs_io_fn *done;
    void *arg;
};

static bool add_line(struct gstream *s, struct jout *j)
{
    size_t n;
    char *line = jo_take(j, &n);
    bool good = line && pfs_buf_add(&s->out, line, n);

    pfs_free(line);
    return good;
}

static bool add_matches(struct gstream *s, const struct pfs_reply *r)
{
    for (size_t i = 0; i < r->n_matches; i++) {
        struct jout j = {0};

        jo_match(&j, &r->matches[i]);
        if (!add_line(s, &j)) {
            return false;
        }
        s->count++;
    }
    return true;
}

/* The stock server's whole answer to a search of a directory is its error, without a summary. */
static bool add_summary(struct gstream *s, const struct pfs_error *err)
{
    bool is_error_alone = grep_needs_recursive(s->grep);
    struct jout j = {0};

    jo_begin(&j, '{');
    if (!is_error_alone) {
        jo_key(&j, "count");
        jo_int(&j, s->count);
    }
    if (err->cls != PFS_OK) {
        jo_member(&j, "error", err->text);
    }
    if (!is_error_alone) {
        jo_member(&j, "type", "summary");
    }
    jo_end(&j, '}');
    return add_line(s, &j);
}

static void search_on(struct gstream *s, struct pfs_error *err)
{
    while (pfs_buf_len(&s->out) == 0 && !s->ended && err->cls == PFS_OK) {
        struct pfs_reply found = {0};

        s->ended = !grep_next(s->grep, &found);
        if (!add_matches(s, &found) || (s->ended && !add_summary(s, &found.err))) {
            pfs_nomem(err, "matches");
        }
        pfs_reply_fini(&found);
    }
}

static size_t take_lines(struct gstream *s, void *buf, size_t cap)
{
    size_t n = pfs_buf_len(&s->out);

    n = n < cap ? n : cap;
    if (n > 0) {
        memcpy(buf, pfs_buf_data(&s->out), n);
        pfs_buf_consume(&s->out, n);
    }
    return n;
}

static void gstream_free(struct gstream *s)
{
    grep_free(s->grep);
    pfs_buf_fini(&s->out);
    pthread_mutex_destroy(&s->mu);
    pfs_free(s);
}

/* On a worker. */
static void read_job(void *arg)
{
    struct gstream *s = arg;
    struct pfs_error err = {0};
    size_t n = 0;

    search_on(s, &err);
    pthread_mutex_lock(&s->mu);
    bool closed = s->closed;
    pfs_io_fn *done = s->done;
    void *done_arg = s->arg;

    s->busy = false;
    if (!closed && err.cls == PFS_OK) {
        n = take_lines(s, s->buf, s->cap);
    }
    pthread_mutex_unlock(&s->mu);
    if (closed) {
        gstream_free(s);
    } else {
        done(done_arg, n, &err); /* which may be closing it meanwhile */
    }
}

static void stream_read(struct pfs_stream *base, void *buf, size_t cap, pfs_io_fn *done, void *arg)
{
    struct gstream *s = container_of(base, struct gstream, base);
    struct pfs_error err = {0};

    if (pfs_buf_len(&s->out) > 0 || s->ended) {
        done(arg, take_lines(s, buf, cap), &err);
        return;
    }
    s->busy = true; /* nobody else has it yet */
    s->buf = buf;
    s->cap = cap;
    s->done = done;
    s->arg = arg;
    if (vfs_work(s->vfs, read_job, s, &err) != PFS_OK) {
        s->busy = false;
        done(arg, 0, &err);
    }
}

static void stream_close(struct pfs_stream *base)
{
    struct gstream *s = container_of(base, struct gstream, base);
    struct pfs_error err;

    vfs_give_up(s->vfs, &s->fate);
    pthread_mutex_lock(&s->mu);
    bool busy = s->busy;
    pfs_io_fn *done = s->done;
    void *arg = s->arg;

    s->closed = true;
    pthread_mutex_unlock(&s->mu);
    if (busy) { /* from here on it is the worker's */
        pfs_fail(&err, PFS_CANCELLED, PFS_OUTCOME_NA, PFS_PHASE_LOCAL, "the search was closed");
        done(arg, 0, &err);
    } else {
        gstream_free(s);
    }
}

static const struct pfs_stream_ops stream_ops = {.read = stream_read, .close = stream_close};

struct pfs_stream *grep_stream(struct vfs *v, struct grep *g)
{
    struct gstream *s = pfs_calloc(1, sizeof *s);

    if (!s) {
        grep_free(g);
        return NULL;
    }
    s->base.ops = &stream_ops;
    s->base.size = -1;
    s->vfs = v;
    s->fate.reads = true;
    s->grep = g;
    pthread_mutex_init(&s->mu, NULL);
    grep_set_fate(g, &s->fate);
    return &s->base;
}
