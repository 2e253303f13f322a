/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * streamfs: what is written to a file goes to everybody who follows it (agfs-http-api.md 8.5). It
 * never waits, but for reads of handles.
 */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/reply.h"
#include "driver_options.h"
#include "driver_util.h"
#include "drivers.h"
#include "streamfs.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char readme[] =
    "StreamFS: live streams as files\n"
    "\n"
    "  Writing to /NAME appends a chunk and sends it to all readers.\n"
    "  Reading /NAME with stream=true shows the last chunks and then follows.\n"
    "  Removing /NAME ends its readers.\n"
    "\n"
    "Options: ring_buffer_size (what a new reader gets of the past), channel_buffer_size (how far\n"
    "a slow reader may fall behind before it loses chunks), both in bytes or like 512KB. What is\n"
    "kept for these counts 64 bytes more for each chunk.\n";

static bool is_root(const char *path)
{
    return strcmp(path, "/") == 0;
}

bool streamfs_is_name(const char *path)
{
    return path[1] && !strchr(path + 1, '/') && strcmp(path, "/README") != 0;
}

/* Refuses what cannot be a stream. */
static bool check_name(const char *path, struct pfs_error *err)
{
    if (is_root(path)) {
        pfs_refuse(err, PFS_BADARG, "is a directory: %s", path);
    } else if (strcmp(path, "/README") == 0) {
        pfs_refuse(err, PFS_DENIED, "permission denied: %s is read-only", path);
    } else if (strchr(path + 1, '/')) {
        pfs_refuse(err, PFS_UNSUPPORTED, "streamfs does not support directories: %s", path);
    } else {
        return true;
    }
    return false;
}

static bool is_missing(const struct live *l, const char *path, struct pfs_error *err)
{
    if (!l) {
        pfs_refuse(err, PFS_NOTFOUND, "stream not found: %s", path);
    }
    return !l;
}

/* ---- content ---- */

static void op_read(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    if (strcmp(req->path, "/README") == 0) {
        pfs_reply_take_range(reply, pfs_strdup(readme), sizeof readme - 1, req);
    } else if (is_root(req->path)) {
        pfs_refuse(&reply->err, PFS_BADARG, "is a directory: %s", req->path);
    } else {
        pfs_refuse(&reply->err, PFS_BADARG, "use stream mode for reading stream files");
    }
}

static void op_open_read(struct pfs_driver *d, const struct pfs_request *req,
                         struct pfs_reply *reply)
{
    struct streamfs *f = streamfs_of(d);
    struct live *l;

    if (!(req->flags & PFS_READ_STREAM) || strcmp(req->path, "/README") == 0) {
        op_read(d, req, reply);
        return;
    }
    if (!check_name(req->path, &reply->err)) {
        return;
    }
    pthread_mutex_lock(&f->mu);
    if (live_need_locked(f, req->path, &l, &reply->err) == PFS_OK) {
        reply->stream = live_open_locked(f, l, &reply->err);
    }
    pthread_mutex_unlock(&f->mu);
}

static void op_write(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct streamfs *f = streamfs_of(d);
    struct list ready;
    struct live *l;

    if (!check_name(req->path, &reply->err)) {
        return;
    }
    list_init(&ready);
    pthread_mutex_lock(&f->mu);
    if ((req->flags & PFS_WRITE_EXCLUSIVE) && live_find_locked(f, req->path)) {
        pfs_refuse(&reply->err, PFS_EXISTS, "stream already exists: %s", req->path);
    } else if (live_need_locked(f, req->path, &l, &reply->err) == PFS_OK &&
               live_write_locked(f, l, req->data, req->len, &ready, &reply->err) == PFS_OK) {
        reply->count = (int64_t)req->len;
    }
    pthread_mutex_unlock(&f->mu);
    live_deliver(f, &ready);
}

/* ---- the tree ---- */

static void op_create(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct streamfs *f = streamfs_of(d);
    struct live *l;

    if (!check_name(req->path, &reply->err)) {
        return;
    }
    pthread_mutex_lock(&f->mu);
    if (live_find_locked(f, req->path)) {
        pfs_refuse(&reply->err, PFS_EXISTS, "stream already exists: %s", req->path);
    } else {
        live_need_locked(f, req->path, &l, &reply->err);
    }
    pthread_mutex_unlock(&f->mu);
}

static void op_remove(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct streamfs *f = streamfs_of(d);
    struct list ready;

    if (!check_name(req->path, &reply->err)) {
        return;
    }
    list_init(&ready);
    pthread_mutex_lock(&f->mu);
    struct live *l = live_find_locked(f, req->path);

    if (!is_missing(l, req->path, &reply->err)) {
        live_remove_locked(f, l, &ready);
    }
    pthread_mutex_unlock(&f->mu);
    live_deliver(f, &ready);
}

static void op_unsupported(struct pfs_driver *d, const struct pfs_request *req,
                           struct pfs_reply *reply)
{
    pfs_refuse(&reply->err, PFS_UNSUPPORTED, "streamfs does not support %s",
               req->op == PFS_OP_MKDIR ? "directories" : pfs_op_name(req->op));
}

/* Nothing to cut off and no time to set: shells do both before they write. */
static void op_nothing(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    check_name(req->path, &reply->err);
}

static bool fill_other(struct pfs_stat *st, bool root)
{
    st->mode = root ? 0755 : 0444;
    st->is_dir = root;
    st->size = root ? 0 : (int64_t)sizeof readme - 1;
    st->mtime_ns = pfs_wall_now();
    return pfs_stat_fill(st, root ? "/" : "README", "streamfs", root ? "" : "doc");
}

bool streamfs_fill(struct pfs_stat *st, const struct live *l)
{
    char readers[24], written[24];

    snprintf(readers, sizeof readers, "%" PRIu64, l->n_readers);
    snprintf(written, sizeof written, "%" PRIu64, l->n_written);
    st->mode = 0644;
    st->size = (int64_t)l->n_written;
    st->mtime_ns = l->mtime_ns;
    return pfs_stat_fill(st, l->name, "streamfs", "stream") &&
           pfs_stat_add_meta(st, "active_readers", readers) &&
           pfs_stat_add_meta(st, "total_written", written);
}

static void op_stat(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct streamfs *f = streamfs_of(d);
    bool filled;

    if (is_root(req->path) || strcmp(req->path, "/README") == 0) {
        filled = fill_other(&reply->stat, is_root(req->path));
    } else {
        pthread_mutex_lock(&f->mu);
        struct live *l = live_find_locked(f, req->path);

        filled = is_missing(l, req->path, &reply->err) || streamfs_fill(&reply->stat, l);
        pthread_mutex_unlock(&f->mu);
    }
    if (!filled) {
        pfs_nomem(&reply->err, "stat");
    }
}

static void op_readdir(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct streamfs *f = streamfs_of(d);
    size_t cap = 0;
    bool ok = true;

    if (!is_root(req->path)) {
        pfs_refuse(&reply->err, PFS_BADARG, "not a directory: %s", req->path);
        return;
    }
    struct pfs_stat *st = reply_add_entry(reply, &cap);

    ok = st && fill_other(st, false);
    pthread_mutex_lock(&f->mu);
    list_for_each (it, &f->lives) {
        st = ok ? reply_add_entry(reply, &cap) : NULL;
        ok = st && streamfs_fill(st, list_entry(it, struct live, link));
    }
    pthread_mutex_unlock(&f->mu);
    if (!ok) {
        pfs_nomem(&reply->err, "a listing");
    }
}

/* ---- life ---- */

static bool submit(struct pfs_driver *d, const struct pfs_request *req, pfs_done_fn *done,
                   void *arg)
{
    struct pfs_reply reply = {0};

    if (!d->ops->op[req->op]) {
        return false;
    }
    if (req->op == PFS_OP_HANDLE_READ) {
        streamfs_hread_later(streamfs_of(d), req, done, arg);
        return true;
    }
    d->ops->op[req->op](d, req, &reply);
    done(arg, &reply);
    return true;
}

static void op_unmounting(struct pfs_driver *d, bool unmounting)
{
    struct streamfs *f = streamfs_of(d);
    struct list ready;

    list_init(&ready);
    pthread_mutex_lock(&f->mu);
    f->unmounting = unmounting;
    if (unmounting) {
        live_end_waits_locked(f, &ready);
    }
    pthread_mutex_unlock(&f->mu);
    live_deliver(f, &ready);
}

static void op_close(struct pfs_driver *d)
{
    struct streamfs *f = streamfs_of(d);
    struct list none;

    list_init(&none);
    streamfs_handles_fini(f);
    while (!list_is_empty(&f->lives)) {
        live_remove_locked(f, list_entry(f->lives.next, struct live, link), &none);
    }
    pthread_cond_destroy(&f->delivered);
    pthread_mutex_destroy(&f->mu);
    pfs_free(f);
}

static const struct pfs_driver_ops streamfs_ops = {
    .name = "streamfs",
    .plain_reads = true, /* every reader gets its own copy */
    .op = {[PFS_OP_CREATE] = op_create,
           [PFS_OP_MKDIR] = op_unsupported,
           [PFS_OP_REMOVE] = op_remove,
           [PFS_OP_REMOVE_ALL] = op_remove,
           [PFS_OP_RENAME] = op_unsupported,
           [PFS_OP_CHMOD] = op_unsupported,
           [PFS_OP_TRUNCATE] = op_nothing,
           [PFS_OP_TOUCH] = op_nothing,
           [PFS_OP_READ] = op_read,
           [PFS_OP_OPEN_READ] = op_open_read,
           [PFS_OP_WRITE] = op_write,
           [PFS_OP_STAT] = op_stat,
           [PFS_OP_READDIR] = op_readdir,
           [PFS_OP_HANDLE_OPEN] = streamfs_hopen,
           [PFS_OP_HANDLE_READ] = streamfs_hread,
           [PFS_OP_HANDLE_WRITE] = streamfs_hwrite,
           [PFS_OP_HANDLE_SEEK] = streamfs_hseek,
           [PFS_OP_HANDLE_SYNC] = streamfs_hsync,
           [PFS_OP_HANDLE_STAT] = streamfs_hstat,
           [PFS_OP_HANDLE_STREAM] = streamfs_hstream,
           [PFS_OP_HANDLE_CLOSE] = streamfs_hclose},
    .submit = submit,
    .cancel = streamfs_hread_cancel,
    .unmounting = op_unmounting,
    .close = op_close,
};

enum pfs_class streamfs_open(const struct pfs_option *options, size_t n, struct pfs_driver **ret,
                             struct pfs_error *err)
{
    static const char *const allowed[] = {"channel_buffer_size", "ring_buffer_size", NULL};
    uint64_t channel = STREAM_RETENTION_DEFAULT, ring = STREAM_RETENTION_DEFAULT;
    enum pfs_class cls = options_check(options, n, allowed, err);

    cls = cls == PFS_OK ? option_size(options, n, allowed[0], 1, &channel, err) : cls;
    cls = cls == PFS_OK ? option_size(options, n, allowed[1], 1, &ring, err) : cls;
    if (cls != PFS_OK) {
        return cls;
    }
    struct streamfs *f = pfs_calloc(1, sizeof *f);

    if (!f) {
        return pfs_nomem(err, "streamfs");
    }
    f->base.ops = &streamfs_ops;
    f->history = (size_t)ring;
    f->max_kept = STREAM_BYTES_MAX;
    f->retention = (size_t)(ring > channel ? ring : channel);
    pthread_mutex_init(&f->mu, NULL);
    pthread_cond_init(&f->delivered, NULL);
    list_init(&f->lives);
    streamfs_handles_init(f);
    *ret = &f->base;
    return PFS_OK;
}
