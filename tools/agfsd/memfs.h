/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFSD_MEMFS_H
#define AGFSD_MEMFS_H

/*
 * The inside of the memfs driver: a tree of nodes and a table of handles under one rwlock. Names
 * ending in _locked want the lock held: for reading when they change nothing, else for writing.
 * Waiting for the lock is short (no I/O, no callbacks under it) but while much memory is moved, so
 * the driver calls itself nonblocking, and says of which operations that is not true.
 */
#include "base/list.h"
#include <proxyfs/driver.h>
#include <pthread.h>

struct mnode {
    struct mnode *parent; /* NULL: the root, or removed from the tree */
    char *name;
    bool is_dir;
    uint32_t mode;
    int64_t mtime_ns;
    unsigned n_handles; /* a removed node lives while handles are open */
    char *data;         /* a file's content */
    size_t len, cap;
    struct mnode **kids; /* a directory's, sorted by name */
    size_t n_kids, cap_kids;
};

struct mhandle {
    struct list link;
    uint64_t id;
    struct mnode *node;
    uint32_t flags; /* PFS_OPEN_* */
    int64_t pos;
};

#define MNODE_COST 160 /* of a file or directory besides name and content, counted as bytes */

#define MEMFS_BUCKETS 256 /* of handles, so that finding one among 10000 stays cheap */

struct memfs {
    struct pfs_driver base;
    size_t max_bytes; /* of all contents and nodes together */

    pthread_rwlock_t lock; /* of everything below */
    struct mnode *root;
    size_t n_bytes;                     /* sum of all nodes' cap and cost */
    struct list handles[MEMFS_BUCKETS]; /* by id */
    uint64_t last_handle;
};

static inline struct memfs *memfs_of(struct pfs_driver *d)
{
    return container_of(d, struct memfs, base);
}

/* ---- memfs_tree.c ---- */

struct mnode *mnode_new(const char *name, bool is_dir, uint32_t mode);
/* What a node of that name costs. */
size_t mnode_cost(const char *name);
/* Is there room for so many bytes more? Errors: NOSPC. */
enum pfs_class memfs_check_room_locked(const struct memfs *m, size_t n, struct pfs_error *err);
/* Frees a node in no tree, with all that is below (open files when their last handle goes). */
void mnode_free_locked(struct memfs *m, struct mnode *n);
/* The node at a normalised path, NULL: none. */
struct mnode *mnode_find_locked(struct memfs *m, const char *path);
/* The directory that holds (or would hold) `path`. Errors: NOTFOUND, BADARG (not a directory). */
struct mnode *mnode_parent_locked(struct memfs *m, const char *path, struct pfs_error *err);
/* Puts n (parent NULL) below dir, where its name must be free; false: out of memory. */
bool mnode_attach_locked(struct mnode *dir, struct mnode *n);
void mnode_detach_locked(struct mnode *n);
/* Makes a new file or directory at path. EXISTS, NOTFOUND, BADARG, NOMEM: NULL and *err. */
struct mnode *mnode_make_locked(struct memfs *m, const char *path, bool is_dir, uint32_t mode,
                                struct pfs_error *err);
/* Content of a file: write with the gap zero-filled, or change the length. Errors: NOSPC, NOMEM,
 * TOOBIG; nothing is changed then. */
enum pfs_class mnode_write_locked(struct memfs *m, struct mnode *n, int64_t at, const void *data,
                                  size_t len, struct pfs_error *err);
enum pfs_class mnode_resize_locked(struct memfs *m, struct mnode *n, int64_t size,
                                   struct pfs_error *err);
/* Copies [offset, offset + size) as far as it exists into the reply's data. */
void mnode_read_locked(const struct mnode *n, int64_t offset, int64_t size,
                       struct pfs_reply *reply);
/* Fills *st from the node; false: out of memory. */
bool mnode_stat_locked(const struct mnode *n, struct pfs_stat *st);

/* ---- memfs_handles.c: the HANDLE_* operations ---- */

pfs_op_fn memfs_hopen, memfs_hread, memfs_hwrite, memfs_hseek, memfs_hsync, memfs_hstat,
    memfs_htruncate, memfs_hclose, memfs_hstream;
/* NULL: none. */
struct mhandle *mhandle_find_locked(struct memfs *m, uint64_t id);
/* Frees all handles. */
void memfs_handles_fini(struct memfs *m);

/* ---- memfs_long.c ---- */

/* pfs_driver_ops.is_long */
bool memfs_is_long(struct pfs_driver *d, const struct pfs_request *req);

#endif
