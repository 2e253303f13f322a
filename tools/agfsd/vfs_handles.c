/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * The server's file handles: one number for all mounts, a lease, and the driver's own handle
 * behind it. Every use of a handle renews its lease.
 */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "vfs_holder.h"
#include "vfs_internal.h"
#include <string.h>
#include <sys/random.h>

struct vhandle {
    struct list link;
    uint64_t id, driver_handle;
    struct mount *mount;
    char *path;
    char *shown;           /* the same for the reply to come; NULL: it was given */
    struct holder *holder; /* an upload is only this one's; NULL: nobody knows who */
    bool is_upload;
    uint32_t flags;
    int64_t lease_s;
    int64_t ends;                  /* CLOCK_MONOTONIC */
    int64_t created_ns, access_ns; /* wall clock */
};

uint64_t vfs_first_handle(void)
{
    uint64_t r;

    if (getrandom(&r, sizeof r, GRND_NONBLOCK) != (ssize_t)sizeof r) {
        r = (uint64_t)pfs_wall_now();
    }
    return r >> 12; /* JSON numbers are exact up to 2^53 */
}

static struct list *bucket(struct vfs *v, uint64_t id)
{
    return &v->handles[id % HANDLE_BUCKETS];
}

static struct vhandle *find_locked(struct vfs *v, uint64_t id)
{
    list_for_each (it, bucket(v, id)) {
        struct vhandle *h = list_entry(it, struct vhandle, link);

        if (h->id == id) {
            return h;
        }
    }
    return NULL;
}

static void renew_locked(struct vhandle *h)
{
    h->access_ns = pfs_wall_now();
    h->ends = pfs_after(pfs_now(), h->lease_s * PFS_SEC);
}

/* The place is free. */
static void give_place_locked(struct vfs *v, struct vhandle *h)
{
    v->n_handles--;
    v->n_uploads -= h->is_upload;
    holder_leave_locked(h->holder, h->is_upload);
    h->holder = NULL;
}

static void free_locked(struct vfs *v, struct vhandle *h)
{
    list_remove(&h->link);
    give_place_locked(v, h);
    pfs_free(h->path);
    pfs_free(h);
}

static int64_t lease_of(int64_t asked, bool is_upload)
{
    if (is_upload) {
        return asked <= 0 || asked > UPLOAD_LEASE_S ? UPLOAD_LEASE_S : asked;
    }
    return asked <= 0 ? LEASE_DEFAULT_S : asked < LEASE_MAX_S ? asked : LEASE_MAX_S;
}

static void describe_locked(const struct vhandle *h, struct pfs_handle_info *info)
{
    info->id = h->id;
    info->flags = h->flags;
    info->lease_s = h->lease_s;
    info->created_ns = h->created_ns;
    info->access_ns = h->access_ns;
    info->expires_ns = h->access_ns + h->lease_s * PFS_SEC;
}

static void free_unlisted(struct vhandle *h)
{
    if (h) {
        pfs_free(h->path);
        pfs_free(h->shown);
        pfs_free(h);
    }
}

/* For what c is about to open, not listed yet; NULL: no memory. */
static struct vhandle *handle_new(const struct vcall *c)
{
    struct vhandle *h = pfs_calloc(1, sizeof *h);
    bool is_upload = c->req.op == PFS_OP_HANDLE_REPLACE;

    if (!h) {
        return NULL;
    }
    *h = (struct vhandle){.mount = c->mount,
                          .path = pfs_strdup(c->full),
                          .shown = pfs_strdup(c->full),
                          .is_upload = is_upload,
                          .flags = is_upload ? PFS_OPEN_WRONLY : c->req.flags,
                          .lease_s = lease_of(c->req.size, is_upload)};
    if (!h->path || !h->shown) {
        free_unlisted(h);
        return NULL;
    }
    return h;
}

/* Keeps a place for h, in the share of *spare (NULL: of nobody). False: there is none. */
static bool take_place_locked(struct vfs *v, struct vhandle *h, struct holder **spare,
                              struct pfs_error *err)
{
    if (v->n_handles >= HANDLES_MAX || (h->is_upload && v->n_uploads >= UPLOADS_MAX)) {
        pfs_refuse(err, PFS_OVERLOAD,
                   "too many open handles: %d are allowed, %d of them of replacements", HANDLES_MAX,
                   UPLOADS_MAX);
        return false;
    }
    struct holder *w = *spare ? holder_enter_locked(&v->holders, spare) : NULL;

    if (w && (w->n >= HANDLES_PER_CLIENT || (h->is_upload && w->n_uploads >= UPLOADS_PER_CLIENT))) {
        pfs_refuse(err, PFS_OVERLOAD,
                   "too many open handles of one %s: %d are allowed, %d of them of replacements",
                   w->is_named ? "client" : "address", HANDLES_PER_CLIENT, UPLOADS_PER_CLIENT);
        return false;
    }
    if (w) {
        w->n++;
        w->n_uploads += h->is_upload;
    }
    h->holder = w;
    v->n_handles++;
    v->n_uploads += h->is_upload;
    return true;
}

bool vfs_handle_reserve(struct vcall *c)
{
    struct vfs *v = c->vfs;

    if (c->req.op != PFS_OP_HANDLE_OPEN && c->req.op != PFS_OP_HANDLE_REPLACE) {
        return true;
    }
    struct vhandle *h = handle_new(c);
    struct holder *spare = NULL;

    if (!h || !holder_new(&c->req, &spare)) {
        pfs_nomem(&c->reply.err, "a handle");
    } else {
        pthread_mutex_lock(&v->handle_mu);
        if (take_place_locked(v, h, &spare, &c->reply.err)) {
            c->slot = h;
            h = NULL;
        }
        pthread_mutex_unlock(&v->handle_mu);
    }
    pfs_free(spare);
    free_unlisted(h);
    return c->slot != NULL;
}

static void enter_locked(struct vfs *v, struct vhandle *h, struct pfs_handle_info *info)
{
    h->driver_handle = info->id;
    h->id = ++v->last_handle;
    renew_locked(h);
    h->created_ns = h->access_ns;
    list_append(bucket(v, h->id), &h->link);
    pfs_free(info->path);
    describe_locked(h, info);
    info->path = h->shown;
    h->shown = NULL;
}

/*
 * Does closing the handle undo its opening? Whoever asks again with the id must not find a file
 * made that is to be new, or emptied what others have written since.
 */
static bool can_be_undone(const struct pfs_request *req)
{
    return !req->req_id || req->op == PFS_OP_HANDLE_REPLACE ||
           !(req->flags & (PFS_OPEN_CREATE | PFS_OPEN_EXCL | PFS_OPEN_TRUNC));
}

void vfs_handle_settle(struct vcall *c)
{
    struct vfs *v = c->vfs;
    struct vhandle *h = c->slot;

    c->slot = NULL;
    pthread_mutex_lock(&v->handle_mu);
    if (c->reply.err.cls == PFS_OK) {
        enter_locked(v, h, &c->reply.handle);
        h = NULL;
    } else {
        give_place_locked(v, h);
    }
    pthread_mutex_unlock(&v->handle_mu);
    free_unlisted(h);
    if (c->reply.err.cls == PFS_OK && can_be_undone(&c->req)) {
        c->reply.receipt = vfs_receipt_of_handle(v, c->reply.handle.id);
    }
}

unsigned vfs_n_uploads(struct vfs *v)
{
    pthread_mutex_lock(&v->handle_mu);
    unsigned n = v->n_uploads;
    pthread_mutex_unlock(&v->handle_mu);
    return n;
}

void vfs_handle_path(struct vfs *v, uint64_t id, char *dst)
{
    pthread_mutex_lock(&v->handle_mu);
    struct vhandle *h = find_locked(v, id);

    if (h) {
        memcpy(dst, h->path, strlen(h->path) + 1); /* it was normalised, so it is not longer */
    }
    pthread_mutex_unlock(&v->handle_mu);
}

/* An upload is its client's alone; once its lease has ended it can only be closed, by anybody. */
static bool may_use_locked(const struct vhandle *h, const struct pfs_request *req)
{
    if (!h->is_upload) {
        return true;
    }
    if (h->ends <= pfs_now()) {
        return req->op == PFS_OP_HANDLE_CLOSE;
    }
    return holder_is_of(h->holder, req);
}

/* Finds c->handle, holds its mount and puts the driver's handle into c->req. False: *err. */
static bool take_handle(struct vcall *c, struct pfs_error *err)
{
    struct vfs *v = c->vfs;
    bool up = false;

    pthread_mutex_lock(&v->handle_mu);
    struct vhandle *h = find_locked(v, c->handle);

    /* Under handle_mu: an unmount drops its handles before it frees the mount. */
    if (h && may_use_locked(h, &c->req) && vfs_hold(h->mount)) {
        up = true;
        c->mount = h->mount;
        c->req.handle = h->driver_handle;
        c->req.flags = h->flags;
        renew_locked(h);
    }
    pthread_mutex_unlock(&v->handle_mu);
    if (!up) {
        pfs_refuse(err, PFS_NOTFOUND,
                   "handle %llu: not found (closed, its lease ended, or the server restarted)",
                   (unsigned long long)c->handle);
    }
    return up;
}

void vfs_handle_describe(struct vcall *c, int64_t lease_s)
{
    struct vfs *v = c->vfs;
    char *path = NULL;

    pthread_mutex_lock(&v->handle_mu);
    struct vhandle *h = find_locked(v, c->handle);

    if (h) {
        if (lease_s > 0) {
            h->lease_s = lease_of(lease_s, h->is_upload);
            renew_locked(h);
        }
        path = pfs_strdup(h->path);
        describe_locked(h, &c->reply.handle);
    }
    pthread_mutex_unlock(&v->handle_mu);
    if (!h) {
        pfs_refuse(&c->reply.err, PFS_NOTFOUND, "handle %llu: not found",
                   (unsigned long long)c->handle);
    } else if (!path) {
        pfs_nomem(&c->reply.err, "a handle");
    }
    pfs_free(c->reply.handle.path);
    c->reply.handle.path = path;
}

/*
 * Where reading takes nothing away, and the driver can give it up, a read by handle is one whose
 * client may go: the position stays then.
 */
static bool is_plain_read(const struct vcall *c)
{
    const struct pfs_driver_ops *ops = c->mount->driver->ops;

    return c->req.op == PFS_OP_HANDLE_READ && ops->plain_reads && ops->cancel;
}

void vfs_start_by_handle(struct vcall *c)
{
    struct vfs_fate *f = c->req.host;
    const char *rest = c->full;

    if (c->full && vfs_fate_wait(c)) { /* it is a write to the path of its handle */
        return;
    }
    if (!take_handle(c, &c->reply.err)) {
        vfs_finish_here(c);
        return;
    }
    if (c->full && pfs_path_below(c->full, c->mount->path, &rest)) {
        c->req.path = c->req.op == PFS_OP_HANDLE_COMMIT ? rest : NULL;
    }
    if (f && is_plain_read(c)) {
        f->reads = true;
    }
    bool forward = c->mount->driver->ops->op[c->req.op] != NULL;

    if (c->req.op == PFS_OP_HANDLE_INFO || (c->req.op == PFS_OP_HANDLE_RENEW && !forward)) {
        vfs_handle_describe(c, c->req.op == PFS_OP_HANDLE_RENEW ? c->req.size : 0);
        vfs_finish_here(c);
        return;
    }
    vfs_start(c);
}

void vfs_handle_forget(struct vfs *v, uint64_t id)
{
    pthread_mutex_lock(&v->handle_mu);
    struct vhandle *h = find_locked(v, id);

    if (h) {
        free_locked(v, h);
    }
    pthread_mutex_unlock(&v->handle_mu);
}

void vfs_handles_drop(struct mount *m)
{
    struct vfs *v = m->vfs;

    pthread_mutex_lock(&v->handle_mu);
    for (size_t i = 0; i < HANDLE_BUCKETS; i++) {
        list_for_each (it, &v->handles[i]) {
            struct vhandle *h = list_entry(it, struct vhandle, link);

            if (h->mount == m) {
                free_locked(v, h);
            }
        }
    }
    pthread_mutex_unlock(&v->handle_mu);
}

static void closed(void *arg, struct pfs_reply *reply)
{
    pfs_reply_fini(reply);
}

static void close_it(struct vfs *v, uint64_t id)
{
    struct pfs_request req = PFS_REQUEST_INIT;

    req.op = PFS_OP_HANDLE_CLOSE;
    req.handle = id;
    vfs_submit(v, NULL, &req, closed, NULL);
}

void vfs_handle_abandon(struct vfs *v, uint64_t id)
{
    pthread_mutex_lock(&v->handle_mu);
    struct vhandle *h = find_locked(v, id);

    if (h) {
        h->ends = 0; /* who closes it need not be who opened it; the sweep does what fails here */
    }
    pthread_mutex_unlock(&v->handle_mu);
    close_it(v, id);
}

void vfs_sweep_handles(struct vfs *v)
{
    uint64_t ended[64]; /* more are found a second later */
    size_t n = 0;
    int64_t now = pfs_now();

    pthread_mutex_lock(&v->handle_mu);
    for (size_t i = 0; i < HANDLE_BUCKETS && n < sizeof ended / sizeof *ended; i++) {
        list_for_each (it, &v->handles[i]) {
            struct vhandle *h = list_entry(it, struct vhandle, link);

            if (h->ends <= now && n < sizeof ended / sizeof *ended) {
                ended[n++] = h->id;
            }
        }
    }
    pthread_mutex_unlock(&v->handle_mu);
    for (size_t i = 0; i < n; i++) {
        close_it(v, ended[i]);
    }
}

void vfs_each_handle(struct vfs *v, void (*fn)(void *arg, const struct pfs_handle_info *h),
                     void *arg)
{
    pthread_mutex_lock(&v->handle_mu);
    for (size_t i = 0; i < HANDLE_BUCKETS; i++) {
        list_for_each (it, &v->handles[i]) {
            struct vhandle *h = list_entry(it, struct vhandle, link);
            struct pfs_handle_info info = {.path = h->path};

            describe_locked(h, &info);
            fn(arg, &info);
        }
    }
    pthread_mutex_unlock(&v->handle_mu);
}
