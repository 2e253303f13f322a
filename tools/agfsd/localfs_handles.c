/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * Open handles of localfs: an open file with a position. The table's lock is never held during
 * I/O; a handle's own lock keeps its position in order when two requests use it at once.
 * One of HANDLE_REPLACE has the file that is to become the new content.
 */
#include "base/alloc.h"
#include "base/err.h"
#include "base/log.h"
#include "base/path.h"
#include "body_share.h"
#include "extents.h"
#include "localfs.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* One read of a handle brings at most this much: the whole of it is in memory. */
#define HANDLE_READ_MAX (16 << 20)

struct lhandle {
    uint64_t id; /* fixed after open */
    int fd;
    uint32_t flags;
    char *path;

    struct list link; /* under the table's lock, as is: */
    unsigned n_users;
    bool closed;

    pthread_mutex_t mu; /* of pos, held during I/O at the position, and of the rest: */
    int64_t pos;
    struct upload *upload; /* NULL: a file that is there */
    bool over;             /* of an upload: it was committed, or could not be */
};

struct upload {
    struct lfs_put put;
    struct extents written;
    int eno; /* of the write that failed, 0: none: it fails whatever comes after */
};

static void handle_free(struct lhandle *h)
{
    if (h->upload) {
        lfs_put_abort(&h->upload->put); /* with fd */
        pfs_free(h->upload);
    } else {
        close(h->fd);
    }
    pthread_mutex_destroy(&h->mu);
    pfs_free(h->path);
    pfs_free(h);
}

static void give(struct localfs *fs, struct lhandle *h, bool close_it)
{
    pthread_mutex_unlock(&h->mu);
    pthread_mutex_lock(&fs->mu);
    if (close_it && !h->closed) {
        h->closed = true;
        list_remove(&h->link);
    }
    bool last = --h->n_users == 0 && h->closed;

    pthread_mutex_unlock(&fs->mu);
    if (last) {
        handle_free(h);
    }
}

/* Takes the handle for use with its lock held; NULL and NOTFOUND. */
static struct lhandle *take(struct localfs *fs, uint64_t id, struct pfs_error *err)
{
    struct lhandle *found = NULL;

    pthread_mutex_lock(&fs->mu);
    list_for_each (it, &fs->handles) {
        struct lhandle *h = list_entry(it, struct lhandle, link);

        if (h->id == id) {
            found = h;
            h->n_users++;
            break;
        }
    }
    pthread_mutex_unlock(&fs->mu);
    if (found) {
        pthread_mutex_lock(&found->mu);
        if (!found->over) {
            return found;
        }
        give(fs, found, true);
    }
    pfs_refuse(err, PFS_NOTFOUND, "handle not found: %llu", (unsigned long long)id);
    return NULL;
}

static bool may(const struct lhandle *h, uint32_t access, struct pfs_error *err)
{
    uint32_t have = h->flags & 3;

    if (have == access || have == PFS_OPEN_RDWR) {
        return true;
    }
    pfs_refuse(err, PFS_DENIED, "permission denied: handle not opened for %s",
               access == PFS_OPEN_RDONLY ? "reading" : "writing");
    return false;
}

static int open_flags(uint32_t flags)
{
    static const int access[] = {O_RDONLY, O_WRONLY, O_RDWR, O_RDONLY};
    int out = access[flags & 3];

    if (flags & PFS_OPEN_TRUNC) { /* the stock server truncates even when opened for reading */
        out = (out == O_RDONLY ? O_RDWR : out) | O_TRUNC;
    }
    out |= flags & PFS_OPEN_CREATE ? O_CREAT : 0;
    out |= flags & PFS_OPEN_EXCL ? O_CREAT | O_EXCL : 0;
    out |= flags & PFS_OPEN_APPEND ? O_APPEND : 0;
    return out;
}

/* Makes h one that can be found. */
static void enter(struct localfs *fs, struct lhandle *h, struct pfs_reply *reply)
{
    pthread_mutex_init(&h->mu, NULL);
    reply->handle.flags = h->flags;
    pthread_mutex_lock(&fs->mu);
    h->id = ++fs->last_handle;
    list_append(&fs->handles, &h->link);
    reply->handle.id = h->id;
    pthread_mutex_unlock(&fs->mu);
}

void lfs_hopen(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct localfs *fs = lfs_of(d);
    struct lhandle *h = pfs_calloc(1, sizeof *h);
    char *path = pfs_strdup(req->path);
    struct stat st;
    int fd = -1;

    if (!h || !path) {
        pfs_nomem(&reply->err, "a handle");
    } else {
        fd = lfs_open_file(fs, req->path, open_flags(req->flags), &st, &reply->err);
    }
    if (fd < 0) {
        pfs_free(h);
        pfs_free(path);
        return;
    }
    *h = (struct lhandle){.fd = fd, .flags = req->flags, .path = path};
    enter(fs, h, reply);
}

void lfs_hreplace(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct localfs *fs = lfs_of(d);
    struct lhandle *h = pfs_calloc(1, sizeof *h);
    struct upload *u = pfs_calloc(1, sizeof *u);
    char *path = pfs_strdup(req->path);
    struct pfs_request whole = *req;
    struct write_plan plan;

    whole.offset = -1; /* `size` is the lease */
    if (!h || !u || !path) {
        pfs_nomem(&reply->err, "a handle");
    } else if (req->flags & PFS_WRITE_APPEND) {
        pfs_refuse(&reply->err, PFS_BADARG, "%s: a replacement cannot append", req->path);
    } else if (write_plan_of(&whole, &plan, &reply->err) == PFS_OK &&
               lfs_put_begin(fs, req->path, &plan, &u->put, &reply->err) == PFS_OK) {
        *h = (struct lhandle){.fd = u->put.fd, .flags = PFS_OPEN_WRONLY, .path = path, .upload = u};
        enter(fs, h, reply);
        return;
    }
    pfs_free(h);
    pfs_free(u);
    pfs_free(path);
}

void lfs_hcommit(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct localfs *fs = lfs_of(d);
    struct lhandle *h = take(fs, req->handle, &reply->err);

    if (!h) {
        return;
    }
    if (!h->upload) {
        pfs_refuse(&reply->err, PFS_BADARG, "%s: the handle is not one of a replacement", h->path);
    } else if (h->upload->eno) {
        lfs_fail(&reply->err, h->upload->eno, h->path);
    } else if (!extents_are_whole(&h->upload->written, req->size)) {
        pfs_refuse(&reply->err, PFS_BADARG,
                   "%s: not exactly the first %lld bytes were written; the old content stays",
                   h->path, (long long)req->size);
    } else {
        h->over = true;
        if (lfs_put_commit(&h->upload->put, h->path, &reply->err) == PFS_OK) {
            reply->count = req->size;
        }
    }
    give(fs, h, h->over);
}

void lfs_hread(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct localfs *fs = lfs_of(d);
    struct lhandle *h = take(fs, req->handle, &reply->err);
    size_t want =
        req->size < 0 || req->size > HANDLE_READ_MAX ? HANDLE_READ_MAX : (size_t)req->size;

    if (!h) {
        return;
    }
    if (may(h, PFS_OPEN_RDONLY, &reply->err) && share_take(h->path, want, &reply->err)) {
        char *buf = pfs_malloc(want + 1);
        int64_t at = req->offset >= 0 ? req->offset : h->pos;
        ssize_t got = buf ? lfs_pread_all(h->fd, buf, want, at) : -1;

        if (!buf) {
            pfs_nomem(&reply->err, "a file's content");
        } else if (got < 0) {
            lfs_fail(&reply->err, errno, h->path);
        } else {
            h->pos = req->offset >= 0 ? h->pos : at + got;
            reply->data = buf;
            reply->len = (size_t)got;
            buf = NULL;
        }
        pfs_free(buf);
    }
    give(fs, h, false);
}

/* Positioned writes to a file opened O_APPEND go to its end on Linux; so take the flag off. */
static bool set_append(int fd, bool on)
{
    int flags = fcntl(fd, F_GETFL);

    return flags >= 0 && fcntl(fd, F_SETFL, on ? flags | O_APPEND : flags & ~O_APPEND) == 0;
}

static bool write_at(struct lhandle *h, const struct pfs_request *req, size_t *ret_done)
{
    bool append = h->flags & PFS_OPEN_APPEND;

    if (req->offset >= 0) {
        bool good = !append || set_append(h->fd, false);

        good = good && lfs_pwrite_some(h->fd, req->data, req->len, req->offset, ret_done);
        return (!append || set_append(h->fd, true)) && good;
    }
    if (!lfs_pwrite_some(h->fd, req->data, req->len, append ? -1 : h->pos, ret_done)) {
        return false;
    }
    h->pos = append ? lseek(h->fd, 0, SEEK_CUR) : h->pos + (int64_t)req->len;
    return true;
}

/* Of content that will not be committed: others may wait for the room. */
static void give_up_room(int fd)
{
    if (ftruncate(fd, 0) < 0) {
        log_debug("emptying a file that was given up: %s", strerror(errno));
    }
}

/* Of new content that nobody sees: a failed write has changed nothing. */
static void write_upload(struct lhandle *h, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct upload *u = h->upload;
    int64_t end;

    if (req->offset < 0 || __builtin_add_overflow(req->offset, (int64_t)req->len, &end)) {
        pfs_refuse(&reply->err, PFS_BADARG, "%s: a replacement is written at offsets", h->path);
        return;
    }
    if (u->eno == 0 && !lfs_pwrite_all(h->fd, req->data, req->len, req->offset)) {
        u->eno = errno;
        give_up_room(h->fd);
    }
    if (u->eno) {
        lfs_fail(&reply->err, u->eno, h->path);
    } else if (!extents_add(&u->written, req->offset, end)) {
        pfs_refuse(&reply->err, PFS_BADARG, "%s: too many gaps between what was written", h->path);
    } else {
        reply->count = (int64_t)req->len;
    }
}

void lfs_hwrite(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct localfs *fs = lfs_of(d);
    struct lhandle *h = take(fs, req->handle, &reply->err);

    if (!h) {
        return;
    }
    if (h->upload) {
        write_upload(h, req, reply);
    } else if (may(h, PFS_OPEN_WRONLY, &reply->err)) {
        size_t done = 0;

        if (write_at(h, req, &done)) {
            reply->count = (int64_t)req->len;
        } else {
            lfs_fail(&reply->err, errno, h->path);
            reply->err.outcome = done > 0 ? PFS_OUTCOME_UN : PFS_OUTCOME_NA;
        }
    }
    give(fs, h, false);
}

void lfs_hseek(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct localfs *fs = lfs_of(d);
    struct lhandle *h = take(fs, req->handle, &reply->err);
    struct stat st;

    if (!h) {
        return;
    }
    if (fstat(h->fd, &st) < 0) {
        lfs_fail(&reply->err, errno, h->path);
    } else {
        int64_t from = req->whence == 1 ? h->pos : req->whence == 2 ? st.st_size : 0;
        int64_t to;

        if (__builtin_add_overflow(from, req->offset, &to) || to < 0) {
            pfs_refuse(&reply->err, PFS_BADARG, "negative position");
        } else {
            h->pos = to;
            reply->count = to;
        }
    }
    give(fs, h, false);
}

void lfs_hsync(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct localfs *fs = lfs_of(d);
    struct lhandle *h = take(fs, req->handle, &reply->err);

    if (h) {
        if (fsync(h->fd) < 0) {
            lfs_fail(&reply->err, errno, h->path);
        }
        give(fs, h, false);
    }
}

void lfs_hstat(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct localfs *fs = lfs_of(d);
    struct lhandle *h = take(fs, req->handle, &reply->err);
    struct stat st;

    if (h) {
        if (fstat(h->fd, &st) < 0) {
            lfs_fail(&reply->err, errno, h->path);
        } else if (!lfs_stat_fill(&reply->stat, pfs_path_base(h->path), &st)) {
            pfs_nomem(&reply->err, "stat");
        }
        give(fs, h, false);
    }
}

void lfs_htruncate(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct localfs *fs = lfs_of(d);
    struct lhandle *h = take(fs, req->handle, &reply->err);

    if (h) {
        if (h->upload) {
            pfs_refuse(&reply->err, PFS_UNSUPPORTED, "%s: truncating a replacement: not supported",
                       h->path);
        } else if (may(h, PFS_OPEN_WRONLY, &reply->err) && ftruncate(h->fd, req->size) < 0) {
            lfs_fail(&reply->err, errno, h->path);
        }
        give(fs, h, false);
    }
}

void lfs_hclose(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct localfs *fs = lfs_of(d);
    struct lhandle *h = take(fs, req->handle, &reply->err);

    if (h) {
        give(fs, h, true);
    }
}

void lfs_handles_fini(struct localfs *fs)
{
    list_for_each (it, &fs->handles) {
        struct lhandle *h = list_entry(it, struct lhandle, link);

        list_remove(it);
        handle_free(h);
    }
}

/* ---- reading on as a stream ---- */

struct hstream {
    struct pfs_stream base;
    struct localfs *fs;
    uint64_t handle; /* looked up for each chunk: it may be closed meanwhile */
};

static void stream_read(struct pfs_stream *s, void *buf, size_t cap, pfs_io_fn *done, void *arg)
{
    struct hstream *hs = container_of(s, struct hstream, base);
    struct pfs_error err = {0};
    struct lhandle *h = take(hs->fs, hs->handle, &err);
    ssize_t got = 0;

    if (h) {
        do {
            got = pread(h->fd, buf, cap, h->pos);
        } while (got < 0 && errno == EINTR);
        if (got < 0) {
            lfs_fail(&err, errno, h->path);
            got = 0;
        }
        h->pos += got;
        give(hs->fs, h, false);
    }
    done(arg, (size_t)got, &err);
}

static void stream_close(struct pfs_stream *s)
{
    pfs_free(s);
}

static const struct pfs_stream_ops stream_ops = {
    .blocking = true, .read = stream_read, .close = stream_close};

void lfs_hstream(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct localfs *fs = lfs_of(d);
    struct lhandle *h = take(fs, req->handle, &reply->err);
    struct hstream *s;

    if (!h) {
        return;
    }
    bool readable = may(h, PFS_OPEN_RDONLY, &reply->err);

    give(fs, h, false);
    s = readable ? pfs_calloc(1, sizeof *s) : NULL;
    if (s) {
        *s = (struct hstream){.base = {&stream_ops, -1}, .fs = fs, .handle = req->handle};
        reply->stream = &s->base;
    } else if (readable) {
        pfs_nomem(&reply->err, "a stream");
    }
}
