/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* memfs: files in memory (agfs-http-api.md 8.1). Permissions are kept, never enforced. */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/path.h"
#include "driver_options.h"
#include "driver_util.h"
#include "drivers.h"
#include "memfs.h"
#include <string.h>

/* Without a limit any client could have the server killed. */
#define MAX_BYTES_DEFAULT (1024ull << 20)

static const char readme[] =
    "MemFS: files in the server's memory\n"
    "\n"
    "Everything here lives until the server ends or the file system is unmounted;\n"
    "nothing is stored on disk.\n"
    "\n"
    "  mkdir /memfs/data\n"
    "  echo hello > /memfs/data/greeting\n"
    "  cat /memfs/data/greeting\n"
    "\n"
    "Permissions can be set and are shown, but not enforced.\n"
    "Options: max_bytes (all files together, with names and what they cost besides; default\n"
    "1 GiB).\n";

/* With room for the root and the README. */
#define MAX_BYTES_LEAST (sizeof readme + sizeof "/README" + 2 * MNODE_COST)

static void op_create(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct memfs *m = memfs_of(d);

    pthread_rwlock_wrlock(&m->lock);
    mnode_make_locked(m, req->path, false, req->mode ? req->mode : 0644, &reply->err);
    pthread_rwlock_unlock(&m->lock);
}

static void op_mkdir(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct memfs *m = memfs_of(d);

    pthread_rwlock_wrlock(&m->lock);
    mnode_make_locked(m, req->path, true, req->mode, &reply->err);
    pthread_rwlock_unlock(&m->lock);
}

/* The node, or NULL and NOTFOUND. */
static struct mnode *need_locked(struct memfs *m, const char *path, struct pfs_error *err)
{
    struct mnode *n = mnode_find_locked(m, path);

    if (!n) {
        pfs_refuse(err, PFS_NOTFOUND, "no such file or directory: %s", path);
    }
    return n;
}

static struct mnode *need_file_locked(struct memfs *m, const char *path, struct pfs_error *err)
{
    struct mnode *n = need_locked(m, path, err);

    if (n && n->is_dir) {
        pfs_refuse(err, PFS_BADARG, "is a directory: %s", path);
        return NULL;
    }
    return n;
}

static void op_remove(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct memfs *m = memfs_of(d);

    pthread_rwlock_wrlock(&m->lock);
    struct mnode *n = need_locked(m, req->path, &reply->err);

    if (n == m->root && n) {
        pfs_refuse(&reply->err, PFS_DENIED, "permission denied: cannot remove root directory");
    } else if (n && n->n_kids > 0) {
        pfs_refuse(&reply->err, PFS_EXISTS, "directory not empty: %s", req->path);
    } else if (n) {
        mnode_detach_locked(n);
        mnode_free_locked(m, n);
    }
    pthread_rwlock_unlock(&m->lock);
}

static void op_removeall(struct pfs_driver *d, const struct pfs_request *req,
                         struct pfs_reply *reply)
{
    struct memfs *m = memfs_of(d);

    pthread_rwlock_wrlock(&m->lock);
    struct mnode *n = need_locked(m, req->path, &reply->err);

    if (n == m->root && n) {
        while (n->n_kids > 0) {
            struct mnode *kid = n->kids[n->n_kids - 1];

            mnode_detach_locked(kid);
            mnode_free_locked(m, kid);
        }
    } else if (n) {
        mnode_detach_locked(n);
        mnode_free_locked(m, n);
    }
    pthread_rwlock_unlock(&m->lock);
}

static void op_read(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct memfs *m = memfs_of(d);

    pthread_rwlock_rdlock(&m->lock);
    struct mnode *n = need_file_locked(m, req->path, &reply->err);

    if (n) {
        mnode_read_locked(n, req->offset, req->size, reply);
    }
    pthread_rwlock_unlock(&m->lock);
}

/* The file to write to, made when asked for; *ret_made tells so. */
static struct mnode *node_for_write(struct memfs *m, const struct pfs_request *req,
                                    const struct write_plan *plan, bool *ret_made,
                                    struct pfs_error *err)
{
    struct mnode *n = mnode_find_locked(m, req->path);

    *ret_made = false;
    if (n && n->is_dir) {
        pfs_refuse(err, PFS_BADARG, "is a directory: %s", req->path);
        return NULL;
    }
    if (n && plan->exclusive) {
        pfs_refuse(err, PFS_EXISTS, "file already exists: %s", req->path);
        return NULL;
    }
    if (!n && !plan->create) {
        pfs_refuse(err, PFS_NOTFOUND, "no such file or directory: %s", req->path);
        return NULL;
    }
    if (!n) {
        *ret_made = true;
        n = mnode_make_locked(m, req->path, false, req->mode ? req->mode : 0644, err);
    }
    return n;
}

static void write_planned(struct memfs *m, const struct pfs_request *req,
                          const struct write_plan *plan, struct pfs_reply *reply)
{
    bool made;
    struct mnode *n = node_for_write(m, req, plan, &made, &reply->err);

    if (!n) {
        return;
    }
    int64_t at = plan->append && !plan->replace ? (int64_t)n->len : plan->at;
    enum pfs_class cls = mnode_write_locked(m, n, at, req->data, req->len, &reply->err);

    if (cls == PFS_OK && plan->replace) {
        /* After the write, so that a write without room leaves the old content. */
        if (at > 0) {
            memset(n->data, 0, req->len > 0 ? (size_t)at : 0);
        }
        cls = mnode_resize_locked(m, n, req->len > 0 ? at + (int64_t)req->len : 0, &reply->err);
    }
    if (cls == PFS_OK) {
        reply->count = (int64_t)req->len;
    } else if (made) {
        mnode_detach_locked(n);
        mnode_free_locked(m, n);
    }
}

static void op_write(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct memfs *m = memfs_of(d);
    struct write_plan plan;

    if (write_plan_of(req, &plan, &reply->err) == PFS_OK) {
        pthread_rwlock_wrlock(&m->lock);
        write_planned(m, req, &plan, reply);
        pthread_rwlock_unlock(&m->lock);
    }
}

static void op_readdir(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct memfs *m = memfs_of(d);
    size_t cap = 0;

    pthread_rwlock_rdlock(&m->lock);
    struct mnode *n = need_locked(m, req->path, &reply->err);

    if (n && !n->is_dir) {
        pfs_refuse(&reply->err, PFS_BADARG, "not a directory: %s", req->path);
    } else if (n) {
        for (size_t i = 0; i < n->n_kids; i++) {
            struct pfs_stat *st = reply_add_entry(reply, &cap);

            if (!st || !mnode_stat_locked(n->kids[i], st)) {
                pfs_nomem(&reply->err, "a listing");
                break;
            }
        }
    }
    pthread_rwlock_unlock(&m->lock);
}

static void op_stat(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct memfs *m = memfs_of(d);

    pthread_rwlock_rdlock(&m->lock);
    struct mnode *n = need_locked(m, req->path, &reply->err);

    if (n && !mnode_stat_locked(n, &reply->stat)) {
        pfs_nomem(&reply->err, "stat");
    }
    pthread_rwlock_unlock(&m->lock);
}

/* Moves n to the path `to`, which is free and not below n. */
static void move_locked(struct memfs *m, struct mnode *n, const char *to, struct pfs_error *err)
{
    struct mnode *from = n->parent;
    struct mnode *dir = mnode_parent_locked(m, to, err);
    size_t had = mnode_cost(n->name), needs = mnode_cost(pfs_path_base(to));

    if (!dir || (needs > had && memfs_check_room_locked(m, needs - had, err) != PFS_OK)) {
        return;
    }
    char *name = pfs_strdup(pfs_path_base(to));

    if (!name) {
        pfs_nomem(err, "a name");
        return;
    }
    mnode_detach_locked(n);
    char *old = n->name;

    n->name = name;
    if (mnode_attach_locked(dir, n)) {
        m->n_bytes += needs - had;
        pfs_free(old);
        return;
    }
    n->name = old; /* its old directory has the room it gave up a moment ago */
    mnode_attach_locked(from, n);
    pfs_free(name);
    pfs_nomem(err, "a directory");
}

static void op_rename(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct memfs *m = memfs_of(d);
    const char *rest;

    pthread_rwlock_wrlock(&m->lock);
    struct mnode *n = need_locked(m, req->path, &reply->err);

    if (n == m->root && n) {
        pfs_refuse(&reply->err, PFS_DENIED, "permission denied: cannot rename root directory");
    } else if (n && mnode_find_locked(m, req->path2)) {
        pfs_refuse(&reply->err, PFS_EXISTS, "file already exists: %s", req->path2);
    } else if (n && pfs_path_below(req->path2, req->path, &rest)) {
        pfs_refuse(&reply->err, PFS_BADARG, "cannot rename %s below itself", req->path);
    } else if (n) {
        move_locked(m, n, req->path2, &reply->err);
    }
    pthread_rwlock_unlock(&m->lock);
}

static void op_chmod(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct memfs *m = memfs_of(d);

    pthread_rwlock_wrlock(&m->lock);
    struct mnode *n = need_locked(m, req->path, &reply->err);

    if (n) {
        n->mode = req->mode;
    }
    pthread_rwlock_unlock(&m->lock);
}

static void op_truncate(struct pfs_driver *d, const struct pfs_request *req,
                        struct pfs_reply *reply)
{
    struct memfs *m = memfs_of(d);

    pthread_rwlock_wrlock(&m->lock);
    struct mnode *n = need_file_locked(m, req->path, &reply->err);

    if (n && req->size < 0) {
        pfs_refuse(&reply->err, PFS_BADARG, "size must be non-negative");
    } else if (n) {
        mnode_resize_locked(m, n, req->size, &reply->err);
    }
    pthread_rwlock_unlock(&m->lock);
}

static void op_touch(struct pfs_driver *d, const struct pfs_request *req, struct pfs_reply *reply)
{
    struct memfs *m = memfs_of(d);

    pthread_rwlock_wrlock(&m->lock);
    struct mnode *n = mnode_find_locked(m, req->path);

    if (n && n->is_dir) {
        pfs_refuse(&reply->err, PFS_BADARG, "cannot touch %s: is a directory", req->path);
    } else if (n) {
        n->mtime_ns = pfs_wall_now();
    } else {
        mnode_make_locked(m, req->path, false, 0644, &reply->err);
    }
    pthread_rwlock_unlock(&m->lock);
}

static void op_close(struct pfs_driver *d)
{
    struct memfs *m = memfs_of(d);

    memfs_handles_fini(m);
    if (m->root) {
        mnode_free_locked(m, m->root);
    }
    pthread_rwlock_destroy(&m->lock);
    pfs_free(m);
}

static const struct pfs_driver_ops memfs_ops = {
    .name = "memfs",
    .nonblocking = true,
    .plain_reads = true,
    .op = {[PFS_OP_CREATE] = op_create,
           [PFS_OP_MKDIR] = op_mkdir,
           [PFS_OP_REMOVE] = op_remove,
           [PFS_OP_REMOVE_ALL] = op_removeall,
           [PFS_OP_READ] = op_read,
           [PFS_OP_WRITE] = op_write,
           [PFS_OP_READDIR] = op_readdir,
           [PFS_OP_STAT] = op_stat,
           [PFS_OP_RENAME] = op_rename,
           [PFS_OP_CHMOD] = op_chmod,
           [PFS_OP_TRUNCATE] = op_truncate,
           [PFS_OP_TOUCH] = op_touch,
           [PFS_OP_HANDLE_OPEN] = memfs_hopen,
           [PFS_OP_HANDLE_READ] = memfs_hread,
           [PFS_OP_HANDLE_WRITE] = memfs_hwrite,
           [PFS_OP_HANDLE_SEEK] = memfs_hseek,
           [PFS_OP_HANDLE_SYNC] = memfs_hsync,
           [PFS_OP_HANDLE_STAT] = memfs_hstat,
           [PFS_OP_HANDLE_TRUNCATE] = memfs_htruncate,
           [PFS_OP_HANDLE_STREAM] = memfs_hstream,
           [PFS_OP_HANDLE_CLOSE] = memfs_hclose},
    .is_long = memfs_is_long,
    .close = op_close,
};

static bool add_readme(struct memfs *m)
{
    struct mnode *n = mnode_make_locked(m, "/README", false, 0444, NULL);

    return n && mnode_write_locked(m, n, 0, readme, sizeof readme - 1, NULL) == PFS_OK;
}

enum pfs_class memfs_open(const struct pfs_option *options, size_t n, struct pfs_driver **ret,
                          struct pfs_error *err)
{
    static const char *const allowed[] = {"init_dirs", "max_bytes", NULL};
    uint64_t max_bytes = MAX_BYTES_DEFAULT;
    enum pfs_class cls = options_check(options, n, allowed, err);

    if (cls == PFS_OK) {
        cls = option_size(options, n, "max_bytes", MAX_BYTES_LEAST, &max_bytes, err);
    }
    if (cls != PFS_OK) {
        return cls;
    }
    struct memfs *m = pfs_calloc(1, sizeof *m);

    if (!m) {
        return pfs_nomem(err, "memfs");
    }
    m->base.ops = &memfs_ops;
    m->max_bytes = max_bytes;
    for (size_t i = 0; i < MEMFS_BUCKETS; i++) {
        list_init(&m->handles[i]);
    }
    pthread_rwlock_init(&m->lock, NULL);
    m->root = mnode_new("/", true, 0755);
    m->n_bytes = mnode_cost("/");
    if (!m->root || !add_readme(m)) {
        op_close(&m->base);
        return pfs_nomem(err, "memfs");
    }
    *ret = &m->base;
    return PFS_OK;
}
