/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFSD_VFS_INTERNAL_H
#define AGFSD_VFS_INTERNAL_H

/*
 * Inside of the tree. Locks: vfs.handle_mu before vfs.lock (mounts); links' own and vfs.idle_mu are
 * never held with another. None is held while a driver is called.
 */
#include "alarm.h"
#include "base/list.h"
#include "base/path.h"
#include "base/pool.h"
#include "links.h"
#include "vfs.h"
#include <pthread.h>
#include <stdatomic.h>

struct mount {
    struct vfs *vfs; /* fixed after vfs_reserve */
    char *path, *type, *instance, *config;
    bool builtin;

    enum mount_state state;    /* under vfs.lock, as is: */
    char *error;               /* why it failed last */
    struct pfs_driver *driver; /* set with MOUNTED; stays while calls are in flight */
    struct pfs_pool *pool;

    atomic_uint in_flight; /* calls and open streams */
};

#define HANDLE_BUCKETS 256

struct vfs {
    struct links *links;
    struct pfs_pool *pool; /* for work that belongs to no mount: from the root, or as a stream */

    pthread_rwlock_t lock; /* of the table and its mounts' states */
    struct mount **mounts; /* sorted by path */
    size_t n_mounts, cap_mounts;

    pthread_mutex_t idle_mu; /* with idle: a mount that is being unmounted ran out of calls */
    pthread_cond_t idle;
    atomic_uint n_waiting; /* unmounts that wait for `idle` */

    atomic_bool stopping; /* vfs_stop has been called */

    atomic_uint n_orphans;     /* changes under way whose client has gone, or may have */
    pthread_mutex_t orphan_mu; /* of the list of them; inside no other lock */
    struct list orphans;
    uint64_t last_order;
    struct alarms deadlines; /* of the calls that wait for them */

    pthread_mutex_t handle_mu; /* of everything below */
    struct list handles[HANDLE_BUCKETS];
    unsigned n_handles, n_uploads; /* with the places kept for those being opened */
    struct list holders;           /* who has them (vfs_holder.h) */
    uint64_t last_handle;
};

struct vhandle;

/* One operation under way. */
struct vcall {
    struct post post;
    struct list link;      /* while it waits for an orphan of its paths, as is: */
    struct alarm deadline; /* of vfs.deadlines */
    struct vfs *vfs;
    struct loop *loop;
    struct mount *mount;    /* held; NULL: virtual */
    struct pfs_request req; /* paths relative to the mount */
    pfs_op_fn *fn;          /* what a worker runs; NULL: the driver's own */
    pfs_done_fn *done;
    void *arg;
    uint64_t handle;      /* the server's */
    size_t share;         /* of the memory of bodies, for the reply (body_share.h) */
    struct vhandle *slot; /* while it opens a handle: the place for it */
    bool own_deadline;    /* the request names none: req.deadline_ns is the server's */
    char *full;  /* normalised path in the tree, links resolved; behind the struct, as is: */
    char *full2; /* RENAME, COPY: the second path likewise */
    char *asked; /* the first before links were resolved */
    struct pfs_reply reply; /* last: most of it is text, which is not zeroed */
};

/* ---- vfs.c ---- */

/* Has the driver do a call whose mount is held (or NULL: a search from a virtual directory). */
void vfs_start(struct vcall *c);
/* The call is done: gives the mount back and delivers the reply to the loop. */
void vfs_finish(struct vcall *c);
/* The same on the thread that submitted it: the reply is delivered at once. */
void vfs_finish_here(struct vcall *c);

/* Starts a call whose paths are known. On its loop. */
void vfs_restart(struct vcall *c);

/* ---- vfs_fate.c ---- */

/* What it changes, which stays until vfs_fate_end. Before it begins, on the loop. */
void vfs_fate_name(struct vfs *v, struct vfs_fate *f, const char *path, const char *path2,
                   bool deep);
/* The change is about to be made; false: it was given up, *err says so. f NULL: nobody may. */
bool vfs_fate_begin(struct vfs_fate *f, struct pfs_error *err);
/*
 * It has been made, has failed, or never will be. False: vfs_give_up, which is running, finishes
 * the call. Any thread.
 */
bool vfs_fate_end(struct vfs *v, struct vfs_fate *f);
/* The driver gets c, to answer later; it may refuse. */
void vfs_fate_submit(struct vcall *c, struct pfs_request *req);
void vfs_fate_refused(struct vcall *c);
/*
 * True: c waits for an orphan of its paths, and is started again when that is over, or ends by its
 * deadline or when it is given up; or it has ended already: there is no thread to look after that.
 */
bool vfs_fate_wait(struct vcall *c);
/* Of vfs.deadlines. */
bool vfs_fate_take_locked(void *vfs, struct alarm *a);
void vfs_fate_ring(void *vfs, struct alarm *a);

/* ---- vfs_wait.c ---- */

#define LOOK_MS 100 /* between two looks whether somebody still wants what is waited for */

struct waiter;

/* Waits for w; false: it has not ended, and vfs_is_over. */
bool vfs_await(struct vfs *v, struct waiter *w, const struct pfs_request *req,
               struct pfs_error *err);
/*
 * Has the driver of c->mount do what changes nothing, and waits; what nobody wants any more is
 * given up there. False: it does not answer later.
 */
bool vfs_run_later(struct vcall *c);

/* ---- vfs_receipt.c ---- */

/* Takes r, also on failure (NULL: no memory). The mount is held until the end. */
struct pfs_receipt *vfs_receipt_wrap(struct mount *m, struct pfs_receipt *r);
/* One that closes the handle when its number is lost. NULL: no memory; then its lease ends it. */
struct pfs_receipt *vfs_receipt_of_handle(struct vfs *v, uint64_t id);

/* ---- vfs_symlinks.c ---- */

/* Is the last component of the path looked through when it is a link? */
bool vfs_follows_last(enum pfs_op op);
/* Serves what concerns a link of the table at c->full; false: there is none. */
bool vfs_serve_links(struct vcall *c);
/*
 * SYMLINK: by the driver (of c->mount, held; rest is its path) or in the table. A driver's link
 * holds its target in the driver's own words: an absolute one is without the mount path there.
 */
void vfs_start_symlink(struct vcall *c, const char *rest);
/* READLINK by the driver: puts the mount path before an absolute target. */
void vfs_name_link_target(struct vcall *c);

/* ---- vfs_mounts.c ---- */

/*
 * The mount that covers the normalised path, held, and the path in it; NULL: none (*err NOTFOUND),
 * or the one that should is not up (*err BUSY). vfs_release gives it back.
 */
struct mount *vfs_take(struct vfs *v, const char *path, const char **ret_rest,
                       struct pfs_error *err);
/* Holds a mount that cannot be freed now (vfs.handle_mu is held); false: it is being unmounted. */
bool vfs_hold(struct mount *m);
void vfs_release(struct mount *m);
/* Calls fn with the next component of each mount below directory dir, in byte order, each once. */
void vfs_each_child(struct vfs *v, const char *dir, bool (*fn)(void *arg, const char *name),
                    void *arg);

/* ---- vfs_tree.c ---- */

/* True when the path is the root or above a mount. */
bool vfs_is_virtual_dir(struct vfs *v, const char *path);
/* STAT and READDIR where no mount covers the path; NOTFOUND where nothing is. */
void vfs_virtual(struct vfs *v, const char *op, struct vcall *c);
/* Adds mounts and links directly in dir to a listing. */
void vfs_add_children(struct vfs *v, const char *dir, struct pfs_reply *reply);
/* Makes *st a directory entry of the mount layer; false: out of memory. */
bool vfs_fill_entry(struct pfs_stat *st, const char *name, const char *meta_name,
                    const char *meta_type);

/* ---- vfs_handles.c ---- */

/*
 * Where the numbers of handles begin: anywhere, so that a number of before a restart, which a mount
 * elsewhere may still hold, is not somebody else's handle afterwards.
 */
uint64_t vfs_first_handle(void);
/* Before HANDLE_OPEN and HANDLE_REPLACE, which may change something: keeps a place for the handle
 * in c->slot. False: no room or memory, *err of the reply says so. */
bool vfs_handle_reserve(struct vcall *c);
/* The reply is there: its handle takes the place and becomes the server's, or the place is free. */
void vfs_handle_settle(struct vcall *c);
/* Copies the path of a handle in the tree, if there is one, to dst, PFS_PATH_MAX + 1 bytes. */
void vfs_handle_path(struct vfs *v, uint64_t id, char *dst);
/* Starts an operation on c->handle; c->full is set for those that change what is at a path. */
void vfs_start_by_handle(struct vcall *c);
/* Fills the reply's handle_info (after renewing the lease by lease_s > 0). */
void vfs_handle_describe(struct vcall *c, int64_t lease_s);
/* Nobody has got to know of the handle: its lease ends now, and it is closed soon. */
void vfs_handle_abandon(struct vfs *v, uint64_t id);
void vfs_handle_forget(struct vfs *v, uint64_t id);
/* Forgets the handles of a mount whose driver is about to close them all. */
void vfs_handles_drop(struct mount *m);

/* ---- vfs_stream.c ---- */

/* Wraps a driver's stream so that it holds the mount; takes s, also on failure (NULL: no memory).
 * path: in the tree, copied. */
struct pfs_stream *vfs_stream_wrap(struct vfs *v, struct mount *m, const char *path,
                                   struct pfs_stream *s);
/* Reads a small blocking stream on this thread into the reply's data, if it is one. */
void vfs_stream_inline(struct pfs_reply *reply);

/* ---- vfs_pair.c ---- */

/* RENAME of rest in c->mount, which is held, to req.path2 if that is in the same. */
void vfs_start_rename(struct vcall *c, const char *rest);
/* On a worker; req.path2 is the normalised path in the tree. */
void vfs_copy(struct vcall *c);

/* ---- vfs_local.c: operations that a driver lacks, on a worker ---- */

void vfs_local_touch(struct vcall *c);
void vfs_local_digest(struct vcall *c);
void vfs_local_grep(struct vcall *c);

#endif
