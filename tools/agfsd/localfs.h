/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFSD_LOCALFS_H
#define AGFSD_LOCALFS_H

/*
 * The inside of the localfs driver. Every name is resolved by the kernel below the base directory
 * (openat2 with RESOLVE_BENEATH): neither ".." nor a symbolic link leads out of it, also while
 * somebody changes the tree. Any thread; everything may block.
 */
#include "base/list.h"
#include "driver_util.h"
#include <proxyfs/driver.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/types.h>

struct localfs {
    struct pfs_driver base;
    int dir;        /* O_PATH of the base directory */
    char *dir_name; /* absolute, for meta.Content.local_path */

    pthread_mutex_t mu; /* of everything below */
    struct list handles;
    uint64_t last_handle;
};

static inline struct localfs *lfs_of(struct pfs_driver *d)
{
    return container_of(d, struct localfs, base);
}

/* ---- localfs_io.c ---- */

/* Opens a normalised path below the base, close-on-exec; -1 and errno. */
int lfs_open(const struct localfs *fs, const char *path, int flags, unsigned mode);
/* Opens the directory that holds path (O_PATH) and points *ret_base at the name in it; -1. */
int lfs_open_parent(const struct localfs *fs, const char *path, const char **ret_base);
/* May a client give something that path? False, *err INVALID: a listing would hide it as one of our
 * temporary files, and remove it in the end. */
bool lfs_may_be_named(const char *path, struct pfs_error *err);
/* Opens a regular file for reading or writing: others (pipes, devices) could block for ever.
 * Returns -1 and *err. */
int lfs_open_file(const struct localfs *fs, const char *path, int flags, struct stat *ret_st,
                  struct pfs_error *err);
/* The error of a failed system call on path, as the stock server words it, without host paths. */
enum pfs_class lfs_fail(struct pfs_error *err, int eno, const char *path);
/* Reads exactly as much as is there; -1 and errno. */
ssize_t lfs_pread_all(int fd, void *buf, size_t n, int64_t at);
/* Writes all n bytes at `at`, or at the end when at is -1 (O_APPEND); false and errno. */
bool lfs_pwrite_all(int fd, const void *buf, size_t n, int64_t at);
/* The same; *ret_done: how many were written, also on failure. */
bool lfs_pwrite_some(int fd, const void *buf, size_t n, int64_t at, size_t *ret_done);
/* Go's os.FileMode bits of st_mode. */
uint32_t lfs_mode(mode_t mode);
int64_t lfs_mtime(const struct stat *st);

/* A file being replaced: written under no name or a temporary one, visible only when committed. */
struct lfs_put {
    int dir;       /* of the target, -1: none */
    int fd;        /* of the new content, -1: none */
    char *name;    /* of the target in dir */
    char temp[48]; /* name of the new content, "": it has none yet */
    bool exclusive, sync;
};

/*
 * Is that a temporary name of ours, never to be listed? One that a server which was killed has left
 * behind is removed.
 */
bool lfs_is_temp(int dir, const char *name);
/* A temporary name that nobody else uses. */
void lfs_make_temp_name(char temp[48]);
/* Begins to replace path as plan says. Errors: what the path gives, INVALID, EXISTS, NOTFOUND,
 * NOMEM. */
enum pfs_class lfs_put_begin(const struct localfs *fs, const char *path,
                             const struct write_plan *plan, struct lfs_put *ret,
                             struct pfs_error *err);
/* Makes the new content the file's. The put is finished off either way. */
enum pfs_class lfs_put_commit(struct lfs_put *p, const char *path, struct pfs_error *err);
/* Leaves the old content. Harmless after commit. */
void lfs_put_abort(struct lfs_put *p);

/* ---- localfs_stream.c ---- */

pfs_op_fn lfs_openread, lfs_openwrite;

/* ---- localfs_handles.c ---- */

pfs_op_fn lfs_hopen, lfs_hreplace, lfs_hcommit, lfs_hread, lfs_hwrite, lfs_hseek, lfs_hsync,
    lfs_hstat, lfs_htruncate, lfs_hstream, lfs_hclose;
void lfs_handles_fini(struct localfs *fs);

/* ---- localfs_remove.c ---- */

pfs_op_fn lfs_remove, lfs_removeall;

/* ---- driver_localfs.c ---- */

/* Fills *out from *st; false: out of memory. */
bool lfs_stat_fill(struct pfs_stat *out, const char *name, const struct stat *st);

#endif
