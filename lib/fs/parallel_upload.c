/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * A write in parts. What the user writes is gathered in parts, each of which is sent once it is
 * full. Content that turns out to be smaller than one, and a remote that cannot take parts of this
 * file, get the same bytes by one stream: nothing was thrown away before that was known.
 */
#include "fs/parallel_upload.h"
#include "base/alloc.h"
#include "base/err.h"
#include <string.h>

/* A part that is not full waits for more at most so long: the remote must hear of us. */
#define PART_WAIT_NS (60 * PFS_SEC)
/* All parts under way together make at least so much a second, or the transfer has failed. A part
 * that takes longer than the server's lease for its handle would find it gone. */
#define PACE_MIN (64 << 10)

/* The first failure is the transfer's. */
static void fail_locked(struct upload *u, const struct pfs_error *err)
{
    if (u->err.cls == PFS_OK) {
        u->err = *err;
    }
}

/* What a failed request on the handle means for the content. */
static void explain(struct upload *u, struct pfs_error *err, bool is_commit)
{
    bool is_path = strstr(err->text, "no such file or directory"); /* its directory was removed */

    if (err->cls == PFS_NOTFOUND && !is_path) {
        pfs_fail(
            err, PFS_CONN_LOST, err->outcome, PFS_PHASE_REPLY,
            "%s: the remote has lost what was sent: it was restarted, or nothing came for long",
            u->path);
    }
    if (!is_commit) { /* of parts nobody sees anything */
        err->outcome = PFS_OUTCOME_NA;
    }
}

/* ---- parts ---- */

static void part_over(struct upart *part, const struct pfs_error *err)
{
    struct upload *u = part->u;

    pthread_mutex_lock(&u->mu);
    part->state = PART_FREE;
    part->len = 0;
    u->n_sent--;
    if (err->cls != PFS_OK) {
        fail_locked(u, err);
    }
    pthread_mutex_unlock(&u->mu);
    upload_go_on(u);
    upload_unref(u); /* the part's */
}

static void on_part(void *arg, struct pfs_reply *reply)
{
    struct upart *part = arg;
    struct pfs_error err = reply->err;

    if (err.cls == PFS_OK && reply->count != (int64_t)part->len) {
        pfs_fail(&err, PFS_PROTOCOL, PFS_OUTCOME_NA, PFS_PHASE_REPLY,
                 "%s: of a part of %zu bytes the remote wrote %lld", part->u->path, part->len,
                 (long long)reply->count);
    }
    pfs_reply_fini(reply);
    explain(part->u, &err, false);
    part_over(part, &err);
}

static void on_plain_written(void *arg, size_t n, const struct pfs_error *err)
{
    part_over(arg, err);
}

static void send_part(struct upart *part)
{
    struct upload *u = part->u;
    int64_t patience =
        u->client->options.timeout_ns + PARALLEL_TRANSFER_MEMORY / PACE_MIN * PFS_SEC;
    struct pfs_request req = {.op = PFS_OP_HANDLE_WRITE,
                              .handle = u->handle,
                              .data = part->buf,
                              .len = part->len,
                              .offset = part->at,
                              .size = -1,
                              .flags = WRITE_UNSEEN,
                              .deadline_ns = pfs_after(pfs_now(), patience),
                              .hops = u->hops};

    if (u->plain) {
        u->plain->ops->write(u->plain, part->buf, part->len, on_plain_written, part);
    } else {
        parallel_submit(u->client, &req, on_part, part);
    }
}

static struct upart *find_locked(struct upload *u, enum part_state state)
{
    struct upart *found = NULL;

    for (unsigned i = 0; i < u->n_streams; i++) {
        struct upart *part = &u->parts[i];

        if (part->state == state && (!found || part->at < found->at)) {
            found = part;
        }
    }
    return found;
}

/* The part that takes what comes next; NULL: all are full, or there is no memory. */
static struct upart *part_to_fill_locked(struct upload *u)
{
    struct upart *part = find_locked(u, PART_FILLS);
    struct pfs_error err;

    if (part || !(part = find_locked(u, PART_FREE))) {
        return part;
    }
    if (!part->buf && !(part->buf = pfs_malloc(u->part_size))) {
        pfs_nomem(&err, "a part of a file");
        fail_locked(u, &err);
        return NULL;
    }
    part->state = PART_FILLS;
    part->at = u->total;
    return part;
}

/* Gathers what the write in flight brings. */
static void gather_locked(struct upload *u)
{
    struct upart *part;

    while (u->done && u->data && u->left && (part = part_to_fill_locked(u))) {
        size_t room = u->part_size - part->len, n = u->left < room ? u->left : room;

        memcpy(part->buf + part->len, u->data + u->len - u->left, n);
        part->len += n;
        u->left -= n;
        u->total += (int64_t)n;
        if (part->len == u->part_size) {
            part->state = PART_READY;
        }
    }
    part = find_locked(u, PART_FILLS);
    bool finishes = u->done && !u->data;
    bool late = u->mode == MODE_PARTS && pfs_now() - u->sent_ns > PART_WAIT_NS;

    if (part && (finishes || late)) {
        part->state = PART_READY;
    }
}

/* The next part to send, in order where it goes by one stream; its state is SENT then. */
static struct upart *next_part_locked(struct upload *u)
{
    bool may = u->mode == MODE_PARTS || (u->mode == MODE_PLAIN && u->n_sent == 0);
    struct upart *part = may ? find_locked(u, PART_READY) : NULL;

    if (part) {
        part->state = PART_SENT;
        u->n_sent++;
        u->sent_ns = pfs_now();
        atomic_fetch_add(&u->refs, 1);
    }
    return part;
}

/* ---- opening ---- */

static void on_plain(void *arg, struct pfs_reply *reply)
{
    struct upload *u = arg;

    pthread_mutex_lock(&u->mu);
    if (reply->err.cls == PFS_OK) {
        u->plain = reply->stream;
        u->mode = MODE_PLAIN;
        reply->stream = NULL;
    } else {
        fail_locked(u, &reply->err);
    }
    pthread_mutex_unlock(&u->mu);
    pfs_reply_fini(reply);
    upload_go_on(u);
    upload_unref(u); /* the opening's */
}

static void open_plain(struct upload *u, int64_t size)
{
    struct pfs_request req = {.op = PFS_OP_OPEN_WRITE,
                              .path = u->path,
                              .offset = -1,
                              .size = size,
                              .flags = u->flags,
                              .hops = u->hops};

    parallel_submit(u->client, &req, on_plain, u);
}

static void on_handle(void *arg, struct pfs_reply *reply)
{
    struct upload *u = arg;
    struct pfs_error err = reply->err;

    if (err.cls == PFS_UNSUPPORTED || err.cls == PFS_OVERLOAD) {
        pfs_reply_fini(reply);
        open_plain(u, u->base.size);
        return;
    }
    pthread_mutex_lock(&u->mu);
    if (err.cls == PFS_OK) {
        u->handle = reply->handle.id;
        u->has_handle = true;
        u->mode = MODE_PARTS;
        u->sent_ns = pfs_now();
    } else {
        err.outcome = PFS_OUTCOME_NA;
        fail_locked(u, &err);
    }
    pthread_mutex_unlock(&u->mu);
    pfs_reply_fini(reply);
    upload_go_on(u);
    upload_unref(u); /* the opening's */
}

static void open_handle(struct upload *u)
{
    bool matter = u->flags & (PFS_WRITE_EXCLUSIVE | PFS_WRITE_SYNC);
    struct pfs_request req = {
        .op = PFS_OP_HANDLE_REPLACE,
        .path = u->path,
        .offset = -1,
        .size = -1,
        /* one stream without flags that matter says none: what a stock server does then */
        .flags = matter ? u->flags : PFS_WRITE_CREATE | PFS_WRITE_TRUNCATE,
        .hops = u->hops};

    parallel_submit(u->client, &req, on_handle, u);
}

/* True: it is to be opened now, and *ret_small: all of it is here already. */
static bool must_open_locked(struct upload *u, bool *ret_small)
{
    bool finishes = u->done && !u->data;
    bool large = u->base.size >= 0 || u->total > (int64_t)u->part_size;

    if (u->mode != MODE_GATHERS || (!finishes && !large)) {
        return false;
    }
    *ret_small = finishes && !large;
    u->mode = MODE_OPENS;
    atomic_fetch_add(&u->refs, 1);
    return true;
}

/* ---- ending ---- */

static void end_over(struct upload *u, const struct pfs_error *err)
{
    pthread_mutex_lock(&u->mu);
    u->ended = err->cls == PFS_OK;
    if (u->ended) {
        u->has_handle = false;
    } else {
        fail_locked(u, err);
    }
    pthread_mutex_unlock(&u->mu);
    upload_go_on(u);
    upload_unref(u); /* the end's */
}

static void on_commit(void *arg, struct pfs_reply *reply)
{
    struct upload *u = arg;
    struct pfs_error err = reply->err;

    if (err.cls == PFS_OK && reply->count != u->total) {
        pfs_fail(&err, PFS_PROTOCOL, PFS_OUTCOME_UN, PFS_PHASE_REPLY,
                 "%s: of %lld bytes the remote wrote %lld", u->path, (long long)u->total,
                 (long long)reply->count);
    }
    pfs_reply_fini(reply);
    explain(u, &err, true);
    end_over(u, &err);
}

static void on_plain_finished(void *arg, size_t n, const struct pfs_error *err)
{
    end_over(arg, err);
}

static bool must_end_locked(struct upload *u)
{
    bool opened = u->mode == MODE_PARTS || u->mode == MODE_PLAIN;

    if (!u->done || u->data || !opened || u->n_sent > 0 || u->ending) {
        return false;
    }
    u->ending = true;
    atomic_fetch_add(&u->refs, 1);
    return true;
}

static void end(struct upload *u)
{
    struct pfs_request req = {.op = PFS_OP_HANDLE_COMMIT,
                              .path = u->path,
                              .handle = u->handle,
                              .offset = -1,
                              .size = u->total,
                              .hops = u->hops};

    if (u->plain) {
        u->plain->ops->finish(u->plain, on_plain_finished, u);
    } else {
        parallel_submit(u->client, &req, on_commit, u);
    }
}

/* ---- the course of it ---- */

/* Ends the call in flight if it is over; the lock is held and given up. */
static void answer_unlock(struct upload *u)
{
    bool failed = u->err.cls != PFS_OK;
    struct pfs_error err = u->err;
    pfs_io_fn *done = failed || (u->data ? u->left == 0 : u->ended) ? u->done : NULL;
    void *arg = u->arg;
    size_t n = failed ? 0 : u->data ? u->len : (size_t)u->total;

    if (done) {
        u->done = NULL;
    }
    pthread_mutex_unlock(&u->mu);
    if (done) {
        done(arg, n, &err);
    }
}

void upload_go_on(struct upload *u)
{
    struct upart *part;
    bool small;

    pthread_mutex_lock(&u->mu);
    while (u->err.cls == PFS_OK && !u->closed) {
        gather_locked(u);
        if (u->err.cls != PFS_OK) {
            break;
        }
        if (must_open_locked(u, &small)) {
            pthread_mutex_unlock(&u->mu);
            small ? open_plain(u, u->total) : open_handle(u);
        } else if ((part = next_part_locked(u))) {
            pthread_mutex_unlock(&u->mu);
            send_part(part);
        } else if (must_end_locked(u)) {
            pthread_mutex_unlock(&u->mu);
            end(u);
        } else {
            break;
        }
        pthread_mutex_lock(&u->mu);
    }
    answer_unlock(u);
}
